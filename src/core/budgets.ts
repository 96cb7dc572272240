/** Which budgets a call counts against, and in which counters. Pure: the wallet keeps the counters. */
import { type BudgetWindow, calendarBounds, partMs } from './budget-window.ts'
import { globMatches } from './glob.ts'
import { DEFAULT_SCALE } from './money.ts'

const DAY_MS = 86_400_000
/** The longest that a calendar window lasts, and a day for a clock that changes. */
const LONGEST_MS = {
  hour: 3_600_000,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 31 * DAY_MS,
  quarter: 92 * DAY_MS,
  year: 366 * DAY_MS,
}

/** What budgets count beside money. */
export const COUNTED_MEASURES = ['tokens', 'requests', 'concurrent'] as const

export interface Budget {
  readonly name: string
  /** Globs by name: account, plan, key, run, user, model, upstream, endpoint, or a label. "*": a counter for each value. */
  readonly match: Readonly<Record<string, string>>
  /** tokens | requests | concurrent | a unit of money. */
  readonly measure: string
  /** Decimals of the unit; 0 for what is counted. */
  readonly scale: number
  /** In atoms where the measure is money. */
  readonly limit: bigint
  readonly window: BudgetWindow
  readonly action: 'block' | 'flag'
  /** Most counters of a budget that makes one for each value. */
  readonly valuesMax: number
  /** After so long without use a lifetime counter of a value goes to the ledger. */
  readonly idleMs: number
}

export interface BudgetFacts {
  readonly account: string
  readonly plan: string
  readonly key: string
  readonly run: string | undefined
  readonly user: string | undefined
  readonly model: string | undefined
  readonly upstream: string
  readonly endpoint: string
  readonly labels: Readonly<Record<string, string>>
}

/** A budget that matched, with its counter. */
export interface MatchedBudget {
  readonly budget: Budget
  /** NAME~MEASURE~WINDOW~VALUES, each percent-encoded. */
  readonly field: string
  /** "" where the budget has one counter for all. */
  readonly group: string
  /** How long the counter stays after its last use; 0: for ever. */
  readonly lifeMs: number
}

/** A call counts against at most so many. */
export const BUDGETS_MAX = 16

/** Of budgets with one name only the first that matches counts, so that an exception stands above its rule. */
export function matchBudgets(budgets: readonly Budget[], facts: BudgetFacts): readonly MatchedBudget[] {
  const matched: MatchedBudget[] = []
  const names = new Set<string>()
  for (const budget of budgets) {
    if (names.has(budget.name)) continue
    const values = valuesOf(budget, facts)
    if (values === undefined) continue
    names.add(budget.name)
    const group = counterGroup(budget)
    const field = `${group}~${values}`
    matched.push({ budget, field, group: values === '' ? '' : group, lifeMs: lifeOf(budget, values !== '') })
  }
  return matched
}

export function isCounted(measure: string): boolean {
  return measure === 'tokens' || measure === 'requests' || measure === 'concurrent'
}

/** Decimals of a measure; `unitScales` has those of units that the config names. */
export function scaleOfMeasure(measure: string, unitScales: ReadonlyMap<string, number>): number {
  return isCounted(measure) ? 0 : (unitScales.get(measure) ?? DEFAULT_SCALE)
}

/** What all counters of a budget begin with. */
export function counterGroup(budget: Budget): string {
  return `${encode(budget.name)}~${budget.measure}~${windowName(budget)}`
}

/** The values that make a counter, `name~value~…`; undefined: no match. The account is where the counter lives. */
function valuesOf(budget: Budget, facts: BudgetFacts): string | undefined {
  let values = ''
  for (const name in budget.match) {
    const glob = budget.match[name] as string
    const value = factOf(facts, name)
    if (value === undefined || value === '' || !globMatches(glob, value)) return undefined
    if (glob === '*' && name !== 'account') values += `${values === '' ? '' : '~'}${encode(name)}~${encode(value)}`
  }
  return values
}

export function factOf(facts: BudgetFacts, name: string): string | undefined {
  switch (name) {
    case 'account':
    case 'plan':
    case 'key':
    case 'run':
    case 'user':
    case 'model':
    case 'upstream':
    case 'endpoint':
      return facts[name]
    default:
      return Object.hasOwn(facts.labels, name) ? facts.labels[name] : undefined
  }
}

/** What a counter's FIELD names, taken apart: NAME~MEASURE~WINDOW~label~value~…, each percent-encoded. */
export interface CounterField {
  readonly name: string
  readonly measure: string
  /** As windowName() writes it. */
  readonly window: string
  readonly values: Readonly<Record<string, string>>
}

export function readCounterField(field: string): CounterField {
  const [name = '', measure = '', window = '', ...pairs] = field.split('~').map(decodeURIComponent)
  const values: Record<string, string> = {}
  for (let i = 0; i + 1 < pairs.length; i += 2) values[pairs[i] as string] = pairs[i + 1] as string
  return { name, measure, window, values }
}

/** Nothing that ends a field of the wallet's records, and no `~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[~!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** A counter is known by it: a new time zone begins a new one. */
function windowName({ window }: Budget): string {
  switch (window.kind) {
    case 'rolling':
      return `rolling${window.lengthMs}`
    case 'lifetime':
      return 'lifetime'
    case 'calendar':
      return encode(`${window.every} ${window.timezone} ${window.anchor} ${window.weekStart}`)
  }
}

function lifeOf({ window, idleMs }: Budget, ofValue: boolean): number {
  switch (window.kind) {
    case 'rolling':
      return 2 * window.lengthMs + DAY_MS
    case 'lifetime':
      return ofValue ? idleMs : 0
    case 'calendar':
      return LONGEST_MS[window.every] + 2 * DAY_MS
  }
}

/** The window of a counter as the wallet's scripts take it. */
export function windowAround(
  window: BudgetWindow,
  atMs: number,
):
  | { readonly kind: 'rolling'; readonly lengthMs: number; readonly partMs: number }
  | { readonly kind: 'calendar'; readonly bounds: readonly [number, number, number, number] }
  | { readonly kind: 'lifetime' } {
  switch (window.kind) {
    case 'rolling':
      return { kind: 'rolling', lengthMs: window.lengthMs, partMs: partMs(window.lengthMs) }
    case 'calendar':
      return { kind: 'calendar', bounds: calendarBounds(window, atMs) }
    case 'lifetime':
      return window
  }
}

/** Whether what it refuses comes back within minutes: tokens and requests under a day are a rate, all else is a budget. */
export function isRate({ measure, window }: Pick<Budget, 'measure' | 'window'>): boolean {
  if (measure !== 'tokens' && measure !== 'requests') return false
  if (window.kind === 'rolling') return window.lengthMs < DAY_MS
  return window.kind === 'calendar' && window.every === 'hour'
}
