/** `budgets` and `rates` of entitlements.yaml. */
import * as z from 'zod'
import { COUNTED_MEASURES } from '../core/budgets.ts'
import {
  decimal,
  duration,
  FieldError,
  factor,
  field,
  glob,
  instant,
  integer,
  NAME,
  name,
  oneOf,
  timezone,
  unitName,
} from './fields.ts'
import { DAY } from './limits-schema.ts'

const CALENDAR = ['hour', 'day', 'week', 'month', 'quarter', 'year'] as const
const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const

export type WindowWord = (typeof CALENDAR)[number] | 'lifetime' | { readonly rollingMs: number }

const rolling = duration(1000, 3660 * DAY)

const window = field(
  { anyOf: [{ enum: [...CALENDAR, 'lifetime'] }, { type: 'string', pattern: '^\\d+(s|m|h|d)$' }] },
  (value): WindowWord => {
    const word = [...CALENDAR, 'lifetime' as const].find((candidate) => candidate === value)
    if (word !== undefined) return word
    const read = rolling.safeParse(value)
    if (read.success) return { rollingMs: read.data }
    throw new FieldError(`%v is no window; write ${CALENDAR.join(', ')}, lifetime, or a duration like 1m, 5h or 30d`)
  },
)

/** tokens, requests, concurrent, or a unit of money. */
const measure = field({ type: 'string' }, (value): string => {
  const word = COUNTED_MEASURES.find((candidate) => candidate === value)
  if (word !== undefined) return word
  const read = unitName().safeParse(value)
  if (read.success) return read.data
  throw new FieldError(`%v is no measure; write ${COUNTED_MEASURES.join(', ')}, or a unit like USD`)
})

/** A count, or an amount of money: quoted where it has decimals. */
const limit = field({ anyOf: [{ type: 'integer', minimum: 0 }, { type: 'string' }] }, (value): string => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return String(value)
  const read = decimal().safeParse(value)
  if (read.success) return read.data
  throw new FieldError(
    typeof value === 'number' ? '%v is a number' : '%v is no limit; write a count, or an amount like "50.00"',
    typeof value === 'number',
  )
})

export const budget = z.strictObject({
  name: name('budget').describe('named in refusals, metrics and reports; of one name the first that matches counts'),
  match: z
    .record(z.string().regex(NAME, 'is no field of a call'), glob())
    .describe(
      'account, plan, key, run, user, model, upstream, endpoint, or a label; globs; "*" makes a counter for each value; {} is every call of an account',
    )
    .prefault({}),
  limit: limit.describe('most in a window: an amount of `unit`, or a count'),
  unit: measure.describe('tokens, requests, concurrent, or a unit of money'),
  window: window
    .describe('hour, day, week, month, quarter, year, lifetime, or a rolling one like 1m; none for concurrent')
    .optional(),
  timezone: timezone().describe('of a calendar window; left out: the plan’s').optional(),
  anchor: integer(1, 31).describe('day on which a month, quarter or year begins').prefault(1),
  week_start: oneOf(WEEKDAYS).describe('day on which a week begins').prefault('monday'),
  action: oneOf(['block', 'flag']).describe('block: refuse beyond the limit; flag: count and tell').prefault('block'),
  max_values: integer(1, 10_000_000).describe('most counters that "*" makes in an account').prefault(100_000),
  idle: duration(60_000, 3660 * DAY)
    .describe('a lifetime counter of a value goes to the ledger after this')
    .prefault('30d'),
})

export const rate = z.strictObject({
  from: unitName().describe('unit that is converted'),
  to: unitName().describe('unit that it becomes'),
  rate: factor().describe('one unit of `from` is so many of `to`'),
  valid_from: instant().describe('day or time from which it counts; left out: always').optional(),
})

export type BudgetFields = z.output<typeof budget>
export const weekdayNumber = (day: (typeof WEEKDAYS)[number]): number => WEEKDAYS.indexOf(day) + 1
