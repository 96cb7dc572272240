import { describe, expect, test } from 'vitest'
import { type Budget, type BudgetFacts, isRate, matchBudgets } from '../../../src/core/budgets.ts'
import { convertHalfEven, convertUp, findRate } from '../../../src/core/convert.ts'

const FACTS: BudgetFacts = {
  account: 'acme',
  plan: 'pro',
  key: 'ci-bot',
  run: 'r1',
  user: undefined,
  model: 'gpt-5-mini',
  upstream: 'openai',
  endpoint: 'chat',
  labels: { team: 'platform' },
}

function budget(name: string, match: Budget['match'], more: Partial<Budget> = {}): Budget {
  return {
    name,
    match,
    measure: 'USD',
    scale: 9,
    limit: 1n,
    window: { kind: 'lifetime' },
    action: 'block',
    valuesMax: 10,
    idleMs: 1000,
    ...more,
  }
}

const fields = (budgets: readonly Budget[], facts: Partial<BudgetFacts> = {}): string[] =>
  matchBudgets(budgets, { ...FACTS, ...facts }).map(({ field }) => field)

describe('a call counts against', () => {
  test.each<[string, Budget['match'], string[]]>([
    ['a budget of everything', {}, ['b~USD~lifetime~']],
    ['its account', { account: 'acme' }, ['b~USD~lifetime~']],
    ['any account, whose counters are its own anyway', { account: '*' }, ['b~USD~lifetime~']],
    ['a label', { team: 'platform' }, ['b~USD~lifetime~']],
    ['each value of a run', { run: '*' }, ['b~USD~lifetime~run~r1']],
    ['two values together', { run: '*', key: '*' }, ['b~USD~lifetime~run~r1~key~ci-bot']],
    ['all models of a pattern', { model: 'gpt-*' }, ['b~USD~lifetime~']],
    ['no budget of another account', { account: 'other' }, []],
    ['no budget of another model', { model: 'claude-*' }, []],
    ['no budget of a value that it does not have', { user: '*' }, []],
    ['no budget of a label that nobody has', { region: '*' }, []],
  ])('%s', (_, match, expected) => {
    expect(fields([budget('b', match)])).toEqual(expected)
  })

  test('the first of one name that matches, so that an exception stands above its rule', () => {
    const budgets = [budget('b', { key: 'other' }), budget('b', { key: 'ci-bot' }, { limit: 5n }), budget('b', {})]
    expect(matchBudgets(budgets, FACTS).map((matched) => matched.budget.limit)).toEqual([5n])
  })

  test('counters of its own whatever stands in a value', () => {
    const each = [budget('b', { model: '*', run: '*' })]
    const tricky = ['a~run~b', 'a', 'a~', "a'()*!", 'a;b|c,d=e@f:g\nh']
    const seen = new Set(tricky.flatMap((model) => fields(each, { model, run: 'b' })))
    expect(seen.size).toBe(tricky.length)
    for (const field of seen) expect(field).toMatch(/^[A-Za-z0-9.%_~-]+$/)
  })
})

test('tokens and requests under a day are a rate, all else a budget', () => {
  const of = (measure: string, window: Budget['window']): boolean => isRate({ measure, window })
  const day = { kind: 'calendar', timezone: 'UTC', anchor: 1, weekStart: 1 } as const
  expect([
    of('tokens', { kind: 'rolling', lengthMs: 60_000 }),
    of('requests', { ...day, every: 'hour' }),
    of('tokens', { kind: 'rolling', lengthMs: 86_400_000 }),
    of('requests', { ...day, every: 'day' }),
    of('USD', { kind: 'rolling', lengthMs: 60_000 }),
    of('tokens', { kind: 'lifetime' }),
  ]).toEqual([true, true, false, false, false, false])
})

describe('rates', () => {
  const rates = [
    { from: 'EUR', to: 'USD', rate: '1.05', validFromMs: 0 },
    { from: 'EUR', to: 'USD', rate: '1.08', validFromMs: 100 },
  ]
  test('the latest that began counts, in its direction alone', () => {
    expect([99, 100].map((at) => findRate(rates, 'EUR', 'USD', at))).toEqual(['1.05', '1.08'])
    expect(findRate(rates, 'USD', 'EUR', 500)).toBeUndefined()
  })

  test('money is rounded once: up for what is held, half to even for what is charged', () => {
    const conversion = { rate: '0.5', fromScale: 9, toScale: 9 }
    expect([1n, 3n, 5n].map((atoms) => convertUp(atoms, conversion))).toEqual([1n, 2n, 3n])
    expect([1n, 3n, 5n].map((atoms) => convertHalfEven(atoms, conversion))).toEqual([0n, 2n, 2n])
    expect(convertHalfEven(1_080_000_000n, { rate: '150.25', fromScale: 9, toScale: 4 })).toBe(1_622_700n)
  })
})
