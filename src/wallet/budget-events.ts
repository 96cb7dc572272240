/** What an event says of a budget. How it is packed: redis-scripts/lib/events.lua. */
import { readCounterField } from '../core/budgets.ts'
import { formatAmount, parseAmount } from '../core/money.ts'
import type { LedgerEntry } from './wallet-types.ts'

const NEVER = '9999999999999999'

/**
 * ID:START:LIMIT:SPENT:HELD:NEEDED:UNTIL:ACTION:FIELD. Money of the entry's unit as decimal strings, everything else in
 * whole numbers (tokens, requests; atoms of another unit, whose decimals are not known here). `resets_at` null: not by
 * itself.
 */
export function readExceeded(text: string, unit: string, scale: number): Readonly<Record<string, unknown>> {
  const [id, start, limit = '0', spent = '0', held = '0', needed = '0', until, action, field = ''] = text.split(':')
  const { name, measure, window, values } = readCounterField(field)
  const shown = (amount: string): string => (measure === unit ? formatAmount(BigInt(amount), scale) : amount)
  return {
    budget: name,
    measure,
    window,
    values,
    action,
    limit: shown(limit),
    spent: shown(spent),
    held: shown(held),
    needed: shown(needed),
    window_start: Number(start),
    resets_at: until === NEVER ? null : Number(until),
    counter_id: id,
  }
}

/** COUNT:MOST:GROUP of a budget that makes a counter for each value. */
export function readValues(text: string): Readonly<Record<string, unknown>> {
  const [count, most, group = ''] = text.split(':')
  const { name, measure } = readCounterField(group)
  return { budget: name, measure, count: Number(count), max_values: Number(most), group }
}

/** What the budgets hash keeps of it, so that it is told once: field and value. */
export function latchOf({ op, unit, scale, atMs, fields }: LedgerEntry): readonly [string, string] | undefined {
  const { counter_id: id, measure, limit, resets_at: resetsAt, group } = fields
  if (op === 'budget.values') return [`x:${String(group)}`, String(atMs)]
  if (op !== 'budget.exceeded') return undefined
  const atoms = measure === unit ? parseAmount(String(limit), scale) : String(limit)
  return [`e:${String(id)}`, `${String(resetsAt ?? NEVER)}:${atoms}`]
}
