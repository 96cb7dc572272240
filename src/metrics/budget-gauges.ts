/** How full the budgets of accounts are: a page of the counters at a time, so that an account with many costs no more. */
import { budgetOfCounter, type CounterSlot, counterUse } from '../core/budget-use.ts'
import type { Budget } from '../core/budgets.ts'
import type { BudgetGauge } from './metric-events.ts'

export interface CounterReader {
  counters(
    account: string,
    cursor: string,
    count: number,
  ): Promise<{
    readonly counters: readonly { readonly field: string; readonly slots: readonly CounterSlot[] }[]
    readonly next: string
    readonly nowMs: number
  }>
}

const PAGE = 500
const BEGINNING = '0'

interface Pass {
  cursor: string
  /** Of the pass that is under way, and of the last whole one. */
  fullest: Map<string, BudgetGauge>
  shown: readonly BudgetGauge[]
}

export class BudgetGauges {
  readonly #wallet: CounterReader
  readonly #budgets: () => readonly Budget[]
  readonly #passes = new Map<string, Pass>()

  constructor(wallet: CounterReader, budgets: () => readonly Budget[]) {
    this.#wallet = wallet
    this.#budgets = budgets
  }

  /** One page further; what the last whole pass over the counters saw, and until there is one what was seen so far. */
  async read(account: string): Promise<readonly BudgetGauge[]> {
    const budgets = this.#budgets()
    if (budgets.length === 0) return []
    const pass = this.#passes.get(account) ?? { cursor: BEGINNING, fullest: new Map(), shown: [] }
    this.#passes.set(account, pass)
    const { counters, next, nowMs } = await this.#wallet.counters(account, pass.cursor, PAGE)
    for (const counter of counters) addFullest(pass.fullest, budgets, account, counter, nowMs)
    const isFirst = pass.shown.length === 0
    pass.cursor = next
    if (next !== BEGINNING && !isFirst) return pass.shown
    const seen = [...pass.fullest.values()]
    if (next !== BEGINNING) return seen
    pass.shown = seen
    pass.fullest = new Map()
    return pass.shown
  }

  forget(account: string): void {
    this.#passes.delete(account)
  }
}

function addFullest(
  fullest: Map<string, BudgetGauge>,
  budgets: readonly Budget[],
  account: string,
  counter: { readonly field: string; readonly slots: readonly CounterSlot[] },
  nowMs: number,
): void {
  const { name, measure, values, spent, held } = counterUse(counter, nowMs)
  const budget = budgetOfCounter(budgets, account, counter.field, values)
  if (!budget) return
  const ratio = ratioOf(spent + held, budget.limit)
  const key = `${name}\n${measure}`
  if (ratio >= (fullest.get(key)?.ratio ?? 0)) fullest.set(key, { budget: name, unit: measure, ratio })
}

/** A budget of nothing is full. */
function ratioOf(used: bigint, limit: bigint): number {
  return limit > 0n ? Number(used) / Number(limit) : 1
}
