/** `allowance` of a plan, and what its schema alone cannot see. */
import * as z from 'zod'
import { parseAmount } from '../core/money.ts'
import { shownField } from './describe-issues.ts'
import { decimal, integer, oneOf, percent } from './fields.ts'
import type { Path, YamlFile } from './read-yaml.ts'

export const allowance = z.strictObject({
  amount: decimal('above zero').describe('granted each period, in the plan’s unit'),
  every: oneOf(['day', 'week', 'month', 'quarter', 'year']).describe('length of a period, in the plan’s time zone'),
  anchor: integer(1, 31)
    .describe(
      'day of the month on which months, quarters and years begin (in a shorter month its last); of weeks the weekday, Monday is 1',
    )
    .prefault(1),
  funding: oneOf(['promotional', 'invoiced', 'external'])
    .describe('where the money comes from')
    .prefault('promotional'),
  rollover: z
    .strictObject({
      percent: percent().describe('of what is free at the end').prefault('100'),
      min: decimal().describe('at least this much').prefault('0'),
      max: decimal().describe('at most this much; left out: the amount').optional(),
    })
    .describe('what the end of a period leaves to the next one, once; left out: nothing')
    .optional(),
  on_change: oneOf(['keep', 'top_up', 'replace'])
    .describe(
      'what another amount or form does to the running period: nothing, the difference on top, or the new one for the rest of it',
    )
    .prefault('keep'),
})

export type AllowanceFields = z.output<typeof allowance>

/** Works on the value as read; `scale` decimals are kept of its unit. */
export function checkAllowance(
  file: Pick<YamlFile, 'report'>,
  value: Readonly<Record<string, unknown>>,
  scale: number,
  path: Path,
): void {
  const say = (field: string, message: string) =>
    file.report([...path, field], 'value', `${shownField([...path, field])}: ${message}`)
  const { anchor, every } = value
  if (typeof anchor === 'number') {
    if (every === 'day' && anchor !== 1) say('anchor', 'a day begins at midnight; leave it out')
    if (every === 'week' && anchor > 7 && anchor <= 31)
      say('anchor', `${anchor} is no weekday; from 1 (Monday) to 7 (Sunday)`)
  }
  const rollover = value['rollover']
  if (typeof rollover !== 'object' || rollover === null) return
  const { min = '0', max = value['amount'] } = rollover as Readonly<Record<string, unknown>>
  const least = atomsOf(min, scale)
  const most = atomsOf(max, scale)
  if (least !== undefined && most !== undefined && least > most)
    say(
      'rollover',
      `min "${min}" is above max "${max}"${'max' in rollover ? '' : ' (the amount, where it is left out)'}`,
    )
}

/** undefined for what is refused elsewhere. */
export function atomsOf(value: unknown, scale: number): bigint | undefined {
  try {
    return typeof value === 'string' ? parseAmount(value, scale) : undefined
  } catch {
    return undefined
  }
}
