/** `alerts` and `auto_top_up` of a plan, and what their schemas alone cannot see. */
import * as z from 'zod'
import { atomsOf } from './allowance-schema.ts'
import { shownField } from './describe-issues.ts'
import { decimal, duration, FieldError, field, integer, oneOf } from './fields.ts'
import type { Path, YamlFile } from './read-yaml.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/** `20%`, as millionths. */
const share = field({ type: 'string', pattern: '^\\d{1,2}(\\.\\d{1,4})?%$' }, (value) => {
  const match = typeof value === 'string' ? /^(\d{1,2})(?:\.(\d{1,4}))?%$/.exec(value) : null
  const millionths = match ? Number(match[1]) * 10_000 + Number((match[2] ?? '').padEnd(4, '0')) : 0
  if (millionths === 0) throw new FieldError('%v is no share above 0% and below 100%; write it like 20% or 2.5%')
  return millionths
})

export const alert = z
  .strictObject({
    at: share.describe('low at this share of the most that the wallet held since funds came in, or below'),
    of: oneOf(['granted']).describe('what the share is of'),
    below: decimal('above zero').describe('low below this balance, in the plan’s unit'),
    hours_left: integer(1, 8760).describe(
      'low when the balance lasts for less, by what this hour and the last one took',
    ),
    expires_in: duration(MINUTE_MS, 3660 * DAY_MS).describe(
      'how long before its end a grant is told to expire, if it lives twice as long at least; without such an alert 3d',
    ),
  })
  .partial()

export const autoTopUp = z.strictObject({
  below: decimal('above zero').describe('asked for below this balance, in the plan’s unit'),
  amount: decimal('above zero').describe('how much is asked for'),
  at_most: decimal('above zero').describe('most that is asked for in a period, in the plan’s unit'),
  per: oneOf(['day', 'week', 'month', 'quarter', 'year'])
    .describe('the period, in the plan’s time zone')
    .prefault('month'),
  wait: duration(MINUTE_MS, DAY_MS)
    .describe('until it is asked for again where no funds came; doubles each time, up to a day')
    .prefault('10m'),
})

export type AlertFields = z.output<typeof alert>
export type AutoTopUpFields = z.output<typeof autoTopUp>

const KINDS = ['at', 'below', 'hours_left', 'expires_in'] as const
const ALERTS_MAX = 16

/** Works on the value as read; `scale` decimals are kept of its unit. */
export function checkTopUp(
  file: Pick<YamlFile, 'report'>,
  { amount, at_most: most }: Readonly<Record<string, unknown>>,
  scale: number,
  path: Path,
): void {
  const [one, all] = [atomsOf(amount, scale), atomsOf(most, scale)]
  if (one === undefined || all === undefined || one <= all) return
  const at = [...path, 'at_most']
  file.report(at, 'value', `${shownField(at)}: "${most}" is below amount "${amount}": nothing would ever be asked for`)
}

/** Works on the values as read; `path` is the plan. */
export function checkAlerts(file: Pick<YamlFile, 'report'>, alerts: readonly unknown[], path: Path): void {
  const say = (at: Path, message: string) => file.report(at, 'value', `${shownField(at)}: ${message}`)
  if (alerts.length > ALERTS_MAX) say([...path, 'alerts'], `has ${alerts.length} alerts; ${ALERTS_MAX} are the most`)
  let notices = 0
  for (const [i, item] of alerts.entries()) {
    if (typeof item !== 'object' || item === null) continue
    const named = KINDS.filter((kind) => kind in item)
    const at = [...path, 'alerts', i]
    if (named.length !== 1) say(at, `needs one of ${KINDS.join(', ')}${named.length > 1 ? '; write two alerts' : ''}`)
    if ('of' in item && !('at' in item)) say(at, '`of` goes with `at` alone')
    if (named.includes('expires_in') && ++notices > 1) say(at, 'a second expires_in; leave one')
  }
}
