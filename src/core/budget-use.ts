/** What the counter of a budget has counted in the window that a time falls in. */
import { type Budget, type CounterField, counterGroup, readCounterField } from './budgets.ts'
import { globMatches } from './glob.ts'

export interface CounterSlot {
  readonly startAtMs: number
  /** Of calendar windows. */
  readonly endsAtMs: number | undefined
  readonly spent: bigint
  readonly held: bigint
}

export interface CounterUse extends CounterField {
  readonly spent: bigint
  readonly held: bigint
  /** The window's bounds, where it has any. */
  readonly startAtMs: number | undefined
  readonly endsAtMs: number | undefined
}

export function counterUse(
  { field, slots }: { readonly field: string; readonly slots: readonly CounterSlot[] },
  nowMs: number,
): CounterUse {
  const about = readCounterField(field)
  const current = slots.filter((slot) => isCurrent(slot, about.window, nowMs))
  const last = current.at(-1)
  return {
    ...about,
    spent: current.reduce((sum, slot) => sum + slot.spent, 0n),
    held: current.reduce((sum, slot) => sum + slot.held, 0n),
    startAtMs: last?.endsAtMs === undefined ? undefined : last.startAtMs,
    endsAtMs: last?.endsAtMs,
  }
}

function isCurrent(slot: CounterSlot, window: string, nowMs: number): boolean {
  if (slot.endsAtMs !== undefined) return slot.startAtMs <= nowMs && nowMs < slot.endsAtMs
  const rolling = /^rolling(\d+)$/.exec(window)
  return rolling === null || slot.startAtMs > nowMs - Number(rolling[1]) - Number(rolling[1]) / 12
}

/**
 * The budget that a counter of an account belongs to: of those with its name, measure, window and values the first for
 * the account. Undefined where the config has it no more.
 */
export function budgetOfCounter(
  budgets: readonly Budget[],
  account: string,
  field: string,
  values: Readonly<Record<string, string>>,
): Budget | undefined {
  const names = Object.keys(values).sort().join('\n')
  return budgets.find((budget) => {
    const { account: accounts = '*', ...match } = budget.match
    const starred = Object.keys(match).filter((name) => match[name] === '*')
    return (
      field.startsWith(`${counterGroup(budget)}~`) &&
      globMatches(accounts, account) &&
      starred.sort().join('\n') === names
    )
  })
}
