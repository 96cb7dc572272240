/** The facts of a ledger entry as they leave the gateway: in the admin API, and in webhooks. */
import { shownWindow } from '../core/budget-window.ts'
import { isCounted, readCounterField, scaleOfMeasure } from '../core/budgets.ts'
import { formatAmount } from '../core/money.ts'
import type { LedgerEntry } from './wallet-types.ts'

const RENAMED: Readonly<Record<string, string>> = {
  appliesTo: 'applies_to',
  costBasis: 'cost_basis',
  repaysDebt: 'repays_debt',
}
// What the scripts or a replay need: the decimals and the scope show in amounts and in applies_to, what is watched in
// events, what counters count (in atoms, under ids of their own) in GET budgets.
const NOT_SHOWN = ['scale', 'scope', 'policy', 'facts', 'watch', 'counter_id', 'group', 'budgets', 'counters', 'awaits']
const BUDGET_AMOUNTS = ['limit', 'spent', 'held', 'needed']
const DAY_MS = 86_400_000
const TIMES: Readonly<Record<string, string>> = {
  effective: 'effective_at',
  expires: 'expires_at',
  window_start: 'window_start',
  resets_at: 'resets_at',
}

/** Under the names, and with the times and the decimals, of the admin API; `unitScales` has those that the config names. */
export function shownFields(
  { fields, unit }: Pick<LedgerEntry, 'fields' | 'unit'>,
  unitScales: ReadonlyMap<string, number>,
): Readonly<Record<string, unknown>> {
  const shown: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (NOT_SHOWN.includes(name)) continue
    const time = TIMES[name]
    if (time !== undefined) shown[time] = typeof value === 'number' ? new Date(value).toISOString() : null
    else if (name === 'window') Object.assign(shown, shownWindow(String(value)))
    else if (name === 'would' && typeof value === 'string') shown[name] = readWould(value)
    else if (name === 'overage') shown[name] = isOverage(value) ? value : null
    else shown[RENAMED[name] ?? name] = value
  }
  return 'counter_id' in fields ? { ...shown, ...amountsOfBudget(fields, unit, unitScales) } : shown
}

/** An entry has the decimals of its own unit alone: of a budget in another one it has atoms. */
function amountsOfBudget(
  { measure, ...fields }: LedgerEntry['fields'],
  unit: string,
  unitScales: ReadonlyMap<string, number>,
): object {
  if (typeof measure !== 'string' || measure === unit || isCounted(measure)) return {}
  const scale = scaleOfMeasure(measure, unitScales)
  return Object.fromEntries(BUDGET_AMOUNTS.map((name) => [name, formatAmount(BigInt(String(fields[name])), scale)]))
}

/** Of a hold, STATUS or STATUS:COUNTER, as the settle says it: the code of the answer, and the budget or the funds. */
function readWould(text: string): { readonly code: string; readonly rule: string } {
  const [status = '', field] = text.split(':', 2)
  if (field === undefined) return { code: status, rule: 'funds' }
  const { name, measure, window } = readCounterField(field)
  return { code: budgetCode(status, measure, window), rule: name }
}

function budgetCode(status: string, measure: string, window: string): string {
  if (status === 'too_many_values') return 'budget_exceeded'
  if (status === 'held_by_open_calls' && measure === 'concurrent') return 'too_many_concurrent'
  const isRate = (measure === 'tokens' || measure === 'requests') && isUnderADay(window)
  return status === 'budget_exceeded' && isRate ? 'rate_limited' : status
}

function isUnderADay(window: string): boolean {
  const rolling = /^rolling(\d+)$/.exec(window)
  return rolling ? Number(rolling[1]) < DAY_MS : window.startsWith('hour ')
}

/** Postpaid is no overage: what went there is in the legs. */
function isOverage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (value as { readonly mode?: unknown }).mode !== 'postpaid'
}
