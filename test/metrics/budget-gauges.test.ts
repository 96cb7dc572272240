import { expect, test } from 'vitest'
import { type Budget, type BudgetFacts, matchBudgets } from '../../src/core/budgets.ts'
import { BudgetGauges } from '../../src/metrics/budget-gauges.ts'

const DAILY: Budget = {
  name: 'daily',
  match: { account: '*' },
  measure: 'USD',
  scale: 9,
  limit: 200n,
  window: { kind: 'rolling', lengthMs: 86_400_000 },
  action: 'block',
  valuesMax: 100,
  idleMs: 0,
}
const PER_RUN: Budget = { ...DAILY, name: 'per-run', match: { run: '*' }, limit: 100n, window: { kind: 'lifetime' } }
const FACTS: BudgetFacts = {
  ...{ account: 'acme', plan: 'pro', key: 'k', run: 'r', user: undefined, model: 'm', upstream: 'u', endpoint: 'chat' },
  labels: {},
}
const NOW = 1_000_000_000

/** The counter that a call's match makes, as the wallet has it. */
function counter(budget: Budget, run: string, spent: bigint, held = 0n, startAtMs = NOW) {
  const field = matchBudgets([budget], { ...FACTS, run })[0]?.field ?? ''
  return { field, slots: [{ startAtMs, endsAtMs: undefined, spent, held }] }
}

function gaugesOf(pages: readonly (readonly ReturnType<typeof counter>[])[], budgets: readonly Budget[]) {
  return new BudgetGauges(
    {
      counters: async (_, cursor) => {
        const at = Number(cursor)
        return { counters: pages[at] ?? [], next: String((at + 1) % pages.length), nowMs: NOW }
      },
    },
    () => budgets,
  )
}

test('a budget is as full as the fullest of its counters, held and spent together, in the window of now', async () => {
  const old = counter(DAILY, '', 500n, 0n, NOW - 3 * 86_400_000)
  const gauges = gaugesOf([[counter(PER_RUN, 'a', 10n), counter(PER_RUN, 'b', 30n, 20n), old]], [DAILY, PER_RUN])
  expect(await gauges.read('acme')).toEqual([
    { budget: 'per-run', unit: 'USD', ratio: 0.5 },
    { budget: 'daily', unit: 'USD', ratio: 0 },
  ])
})

test('an account with many counters is read a page a time, and shows the last whole pass meanwhile', async () => {
  const pages = [[counter(PER_RUN, 'a', 80n)], [counter(PER_RUN, 'b', 10n)]]
  const gauges = gaugesOf(pages, [PER_RUN])
  const ratios = async () => (await gauges.read('acme')).map(({ ratio }) => ratio)
  expect(await ratios()).toEqual([0.8])
  expect(await ratios()).toEqual([0.8])
  pages[0] = []
  expect(await ratios()).toEqual([0.8])
  expect(await ratios()).toEqual([0.1])
})

test('an exception counts for its account, a counter of no budget in force for none, and a limit of 0 is full', async () => {
  const exception = { ...DAILY, match: { account: 'acme' }, limit: 1000n }
  const page = [counter(DAILY, '', 100n), counter({ ...DAILY, name: 'gone' }, '', 100n)]
  const budgets = [exception, DAILY]
  expect(await gaugesOf([page], budgets).read('acme')).toEqual([{ budget: 'daily', unit: 'USD', ratio: 0.1 }])
  expect(await gaugesOf([page], budgets).read('globex')).toEqual([{ budget: 'daily', unit: 'USD', ratio: 0.5 }])
  expect(await gaugesOf([page], [{ ...DAILY, limit: 0n }]).read('acme')).toEqual([
    { budget: 'daily', unit: 'USD', ratio: 1 },
  ])
})

test('without budgets nothing is read', async () => {
  const gauges = new BudgetGauges({ counters: () => Promise.reject(new Error('read')) }, () => [])
  expect(await gauges.read('acme')).toEqual([])
})
