import { expect, test } from 'vitest'
import { type CostCeiling, costCeiling } from '../../../src/core/cost-ceiling.ts'
import { ATOMS_MAX } from '../../../src/core/money.ts'
import type { CeilingCall, CeilingPlan } from '../../../src/core/output-tokens.ts'
import type { CallPrice, Rates } from '../../../src/core/price-book.ts'

const INPUT = { highTokens: 0, lowTokens: 0, cacheWriteTokens: 0, cacheWriteKind: 'cache_write_5m' } as const
const call = (more: Partial<CeilingCall> = {}): CeilingCall => ({
  stream: false,
  input: INPUT,
  generates: true,
  outputLimit: undefined,
  answers: 1,
  thinkingBudget: 0,
  reasoning: false,
  structured: false,
  tools: false,
  audioOutput: false,
  unseenInput: false,
  ...more,
})

const TRIM = { enabled: true, minOutputTokens: 256, minReasoningTokens: 4096, structured: false, tools: true }
const plan = (more: Partial<CeilingPlan> = {}): CeilingPlan => ({
  unit: 'USD',
  enforcement: 'enforce',
  maxCostPerCallAtoms: undefined,
  maxOutputTokens: undefined,
  trim: TRIM,
  streaming: undefined,
  ...more,
})

function price(
  perMillion: Rates['perMillion'],
  more: Partial<CallPrice> = {},
  perUnit: Rates['perUnit'] = {},
): CallPrice {
  const rates = { perMillion, perUnit }
  return {
    version: 'v',
    unit: 'USD',
    costUnit: 'USD',
    cost: rates,
    charge: rates,
    contextWindow: undefined,
    maxOutputTokens: undefined,
    ...more,
  }
}
/** At scale 9, "1" per million is 1,000 atoms a token, "1000" per million 1,000,000. */
const PRICE = price({ input: '1', output: '1000' })

function ask(c: CeilingCall, p: CeilingPlan = plan(), of: CallPrice | undefined = PRICE, unseenTokens?: number) {
  return costCeiling({ call: c, price: of, plan: p, unseenTokens, scale: 9, unpricedKind: 'parent' })
}
function ceiling(...args: Parameters<typeof ask>): CostCeiling {
  const result = ask(...args)
  if (result.refused !== undefined) throw new Error(`refused: ${result.rule}`)
  return result
}

test('100 tokens at 1000 per million are held at 0.10', () => {
  const { fixedAtoms, perTokenAtoms, wantTokens, totalTokens } = ceiling(call({ outputLimit: 100 }))
  expect({ fixedAtoms, perTokenAtoms, wantTokens, totalTokens }).toEqual({
    fixedAtoms: 0n,
    perTokenAtoms: 1_000_000n,
    wantTokens: 100,
    totalTokens: 100,
  })
})

test.each<[string, Partial<CeilingCall>, CallPrice, number | undefined, bigint, string[]]>([
  ['counted high at the input rate', { input: { ...INPUT, highTokens: 120 } }, PRICE, undefined, 120_000n, []],
  [
    'what asks to be cached at the write rate',
    { input: { ...INPUT, highTokens: 120, cacheWriteTokens: 100 } },
    price({ input: '1', cache_write_5m: '1.25', output: '1' }),
    undefined,
    20_000n + 125_000n,
    [],
  ],
  [
    'the write rate of an hour',
    { input: { ...INPUT, highTokens: 100, cacheWriteTokens: 100, cacheWriteKind: 'cache_write_1h' } },
    price({ input: '1', cache_write_5m: '1.25', cache_write_1h: '2', output: '1' }),
    undefined,
    200_000n,
    [],
  ],
  [
    'a write rate below the input rate does not lower the hold',
    { input: { ...INPUT, highTokens: 100, cacheWriteTokens: 100 } },
    price({ input: '1', cache_write_5m: '0.5', output: '1' }),
    undefined,
    100_000n,
    [],
  ],
  [
    'a fee for each request',
    {},
    price({ input: '1', output: '1' }, {}, { requests: '0.01' }),
    undefined,
    10_000_000n,
    [],
  ],
  [
    'a part of an atom is held whole',
    { input: { ...INPUT, highTokens: 1 } },
    price({ input: '0.0001', output: '1' }),
    undefined,
    1n,
    [],
  ],
  [
    'unseen: the recorded tokens',
    { unseenInput: true },
    price({ input: '1', output: '1' }, { contextWindow: 9 }),
    700,
    700_000n,
    [],
  ],
  [
    'unseen: the context window',
    { unseenInput: true },
    price({ input: '1', output: '1' }, { contextWindow: 9 }),
    undefined,
    9_000n,
    [],
  ],
  ['unseen: 128,000, counted as a guess', { unseenInput: true }, PRICE, undefined, 128_000_000n, ['input']],
  ['unseen beside what is seen', { unseenInput: true, input: { ...INPUT, highTokens: 5 } }, PRICE, 10, 15_000n, []],
  ['recorded tokens count only for what is unseen', {}, PRICE, 10, 0n, []],
])('input is held %s', (_, more, of, unseen, fixedAtoms, guesses) => {
  const result = ceiling(call({ outputLimit: 1, ...more }), plan(), of, unseen)
  expect(result.fixedAtoms).toBe(fixedAtoms)
  expect(result.guesses).toEqual(guesses)
})

test.each<[string, number | undefined, number | undefined, number | undefined, number, number | undefined, string[]]>([
  // caller, plan, book -> ceiling, written
  ["the caller's own", 100, undefined, 500, 100, undefined, []],
  ["a lower one of the caller's stays", 100, 200, 500, 100, undefined, []],
  ["a higher one is lowered to the plan's", 300, 200, 500, 200, 200, []],
  ["the plan's is written where none is named", undefined, 200, 500, 200, 200, []],
  ["the model's from the price book", undefined, undefined, 500, 500, undefined, []],
  [
    '16,384 where nothing says more, counted as a guess',
    undefined,
    undefined,
    undefined,
    16_384,
    undefined,
    ['output'],
  ],
])('output limit: %s', (_, own, planLimit, book, limit, written, guesses) => {
  const of = price({ input: '1', output: '1' }, { maxOutputTokens: book })
  const result = ceiling(call({ outputLimit: own }), plan({ maxOutputTokens: planLimit }), of)
  expect(result).toMatchObject({
    limitTokens: limit,
    totalTokens: limit,
    wantTokens: limit,
    writeLimit: written,
    guesses,
  })
})

test.each<[string, Partial<CeilingCall>, Rates['perMillion'], bigint]>([
  ['each answer', { answers: 3 }, { input: '1', output: '2' }, 6_000n],
  ['rounded up once for all answers', { answers: 3 }, { input: '1', output: '0.0001' }, 1n],
  ['audio where it may come', { audioOutput: true }, { input: '1', output: '2', audio_output: '5' }, 5_000n],
  ['text where it is dearer', { audioOutput: true }, { input: '1', output: '7', audio_output: '5' }, 7_000n],
  ['audio without a rate of its own', { audioOutput: true }, { input: '1', output: '2' }, 2_000n],
  ['no audio', {}, { input: '1', output: '2', audio_output: '5' }, 2_000n],
  ['a free model', {}, { input: '0', output: '0' }, 0n],
])('one token of the limit is held at: %s', (_, more, rates, perTokenAtoms) => {
  const result = ceiling(
    call({ outputLimit: 1000, ...more }),
    plan({ maxCostPerCallAtoms: 1_000_000_000n }),
    price(rates),
  )
  expect(result).toMatchObject({ perTokenAtoms, wantTokens: 1000 })
})

test('a call that generates nothing is all fixed, and no limit is written into it', () => {
  const embedding = call({ generates: false, input: { ...INPUT, highTokens: 10, lowTokens: 9 } })
  expect(ceiling(embedding, plan({ maxOutputTokens: 5, streaming: { sliceTokens: 2 } }))).toMatchObject({
    fixedAtoms: 10_000n,
    perTokenAtoms: 0n,
    wantTokens: 0,
    leastTokens: 0,
    totalTokens: 0,
    writeLimit: undefined,
    sliced: false,
    guesses: [],
  })
})

test.each<[string, Partial<CeilingCall>, Partial<typeof TRIM>, number]>([
  ['min_output_tokens', { outputLimit: 4000 }, {}, 256],
  ["the caller's limit where that is lower", { outputLimit: 100 }, {}, 100],
  ['above the thinking budget asked for', { outputLimit: 9000, thinkingBudget: 2000, reasoning: true }, {}, 2256],
  ['what a picture comes to', { outputLimit: 9000, leastOutputTokens: 1290 }, {}, 1290],
  ['a picture above the thinking budget', { outputLimit: 9000, leastOutputTokens: 1290, thinkingBudget: 10 }, {}, 1300],
  ['a picture that may be thought of', { outputLimit: 9000, leastOutputTokens: 5000, reasoning: true }, {}, 5000],
  [
    'one above the thinking budget at the very least',
    { outputLimit: 9000, thinkingBudget: 2000, reasoning: true },
    { minOutputTokens: 0 },
    2001,
  ],
  ['min_reasoning_tokens where it may reason without a budget', { outputLimit: 9000, reasoning: true }, {}, 4096],
  ['nothing: trim is off', { outputLimit: 4000 }, { enabled: false }, 4000],
  ['nothing: a strict schema', { outputLimit: 4000, structured: true }, {}, 4000],
  ['a strict schema where the plan says so', { outputLimit: 4000, structured: true }, { structured: true }, 256],
  ['tools, by default', { outputLimit: 4000, tools: true }, {}, 256],
  ['nothing: tools where the plan says no', { outputLimit: 4000, tools: true }, { tools: false }, 4000],
])('a limit is trimmed down to %s', (_, more, trim, leastTokens) => {
  expect(ceiling(call(more), plan({ trim: { ...TRIM, ...trim } })).leastTokens).toBe(leastTokens)
})

// Fixed part 0.01, each token 0.001.
const TEN = { input: { ...INPUT, highTokens: 10_000 } }
const PRICED = price({ input: '1', output: '1000' })
test.each<[string, Partial<CeilingCall>, bigint, number | 'refused', bigint | undefined]>([
  ['all fits', { outputLimit: 490 }, 500_000_000n, 490, undefined],
  ['the last atom that fits', { outputLimit: 600 }, 500_999_999n, 490, undefined],
  ['one token more', { outputLimit: 600 }, 501_000_000n, 491, undefined],
  ['exactly the least useful answer', { outputLimit: 600 }, 266_000_000n, 256, undefined],
  ['one atom below it', { outputLimit: 600 }, 265_999_999n, 'refused', 266_000_000n],
  ['the input alone is too dear', { outputLimit: 600 }, 9_999_999n, 'refused', 266_000_000n],
  ['a call that may not be trimmed, and fits', { outputLimit: 490, structured: true }, 500_000_000n, 490, undefined],
  [
    'a call that may not be trimmed, and does not',
    { outputLimit: 491, structured: true },
    500_000_000n,
    'refused',
    501_000_000n,
  ],
])('max_cost_per_call: %s', (_, more, max, tokens, neededAtoms) => {
  const result = ask(call({ ...TEN, ...more }), plan({ maxCostPerCallAtoms: max }), PRICED)
  if (tokens === 'refused') {
    expect(result).toMatchObject({
      refused: 'call_too_expensive',
      rule: 'max_cost_per_call',
      neededAtoms,
      allowedAtoms: max,
    })
  } else {
    expect(result).toMatchObject({
      refused: undefined,
      totalTokens: tokens,
      wantTokens: tokens,
      limitTokens: more.outputLimit,
    })
  }
})

test('a refusal names the amount needed and the amount allowed', () => {
  const result = ask(call({ outputLimit: 600 }), plan({ maxCostPerCallAtoms: 50_000_000n }))
  expect(result).toMatchObject({ message: expect.stringContaining('up to 0.256 USD') })
  expect(result).toMatchObject({ message: expect.stringContaining('its plan allows 0.05') })
})

test.each<[string, Partial<CeilingCall>, Partial<CeilingPlan>, number, number, number, boolean]>([
  // want, least, total
  ['the first slice alone', { outputLimit: 4000 }, {}, 200, 200, 4000, true],
  [
    'a slice above the least useful answer',
    { outputLimit: 4000 },
    { streaming: { sliceTokens: 1024 } },
    1024,
    256,
    4000,
    true,
  ],
  ['a call shorter than a slice', { outputLimit: 50 }, {}, 50, 50, 50, true],
  ['not in slices: no stream', { outputLimit: 4000, stream: false }, {}, 4000, 256, 4000, false],
  ['not in slices: reasoning', { outputLimit: 9000, reasoning: true }, {}, 9000, 4096, 9000, false],
  ['not in slices: the plan has none', { outputLimit: 4000 }, { streaming: undefined }, 4000, 256, 4000, false],
  [
    'without trim the first slice must fit whole',
    { outputLimit: 4000 },
    { trim: { ...TRIM, enabled: false } },
    200,
    200,
    4000,
    true,
  ],
  [
    'max_cost_per_call bounds the whole',
    { outputLimit: 4000 },
    { maxCostPerCallAtoms: 300_000_000n },
    200,
    200,
    300,
    true,
  ],
])('a stream is held in slices: %s', (_, more, planMore, want, least, total, sliced) => {
  const result = ceiling(call({ stream: true, ...more }), plan({ streaming: { sliceTokens: 200 }, ...planMore }))
  expect(result).toMatchObject({ wantTokens: want, leastTokens: least, totalTokens: total, sliced })
})

test.each<[string, Partial<CeilingCall>, number, boolean]>([
  ['at the budget', { thinkingBudget: 4096, reasoning: true }, 4096, true],
  ['below the budget', { thinkingBudget: 8000, outputLimit: 20_000, reasoning: true }, 4096, true],
  ['above the budget', { thinkingBudget: 4095, outputLimit: 20_000, reasoning: true }, 4096, false],
  ["not written: the caller's own is lower", { thinkingBudget: 8000, outputLimit: 3000, reasoning: true }, 4096, false],
  ['no budget', { outputLimit: 20_000 }, 4096, false],
])('a limit is never written at or below the thinking budget: %s', (_, more, maxOutputTokens, refused) => {
  const result = ask(call(more), plan({ maxOutputTokens }))
  if (refused) expect(result).toMatchObject({ refused: 'call_too_expensive', rule: 'max_output_tokens' })
  else expect(result.refused).toBeUndefined()
})

test.each<[string, Rates['perMillion'], 'parent' | 'zero', bigint]>([
  ['at the cached rate', { input: '1', cached_input: '0.1', output: '1' }, 'parent', 9_000n],
  [
    'at the input rate where nothing is cheaper',
    { input: '1', cache_write_5m: '1.25', output: '1' },
    'parent',
    90_000n,
  ],
  ['at nothing where a cached token costs nothing', { input: '1', output: '1' }, 'zero', 0n],
  ['rounded down', { input: '0.00001', output: '1' }, 'parent', 0n],
])('the floor is the input counted low %s', (_, rates, unpricedKind, floorAtoms) => {
  const question = call({ outputLimit: 1, input: { ...INPUT, highTokens: 100, lowTokens: 90 } })
  const result = costCeiling({
    call: question,
    price: price(rates),
    plan: plan(),
    unseenTokens: undefined,
    scale: 9,
    unpricedKind,
  })
  expect(result).toMatchObject({ floorAtoms })
})

test.each([
  [
    'by the piece where they have a rate, not by tokens too',
    { input: '1' },
    { characters: '0.001' },
    100n * 1_000_000n,
  ],
  ['by tokens where they have none', { input: '1' }, {}, 50n * 1_000n],
  ['without the fee of a request, which no answer may cost', {}, { characters: '0.001', requests: '1' }, 100_000_000n],
] as const)('the floor counts things in the call %s', (_, perMillion, perUnit, floorAtoms) => {
  const spoken = call({
    generates: false,
    input: { ...INPUT, highTokens: 200, lowTokens: 50 },
    units: { characters: 100 },
    certainUnits: { characters: 100 },
  })
  expect(ceiling(spoken, plan(), price(perMillion, {}, perUnit))).toMatchObject({ floorAtoms })
})

test('the floor counts things at the cheapest tier that may be billed', () => {
  const spoken = call({ generates: false, units: { characters: 100 }, certainUnits: { characters: 100 } })
  const flex = { factor: '0.5', except: [], rates: { perMillion: {}, perUnit: {} }, unit: 'USD' }
  const tiers = { service: { flex }, longContext: [] }
  const cheaper = price({}, { tiers }, { characters: '0.001' })
  expect(ceiling({ ...spoken, serviceTier: 'flex' }, plan(), cheaper).floorAtoms).toBe(50_000_000n)
  expect(ceiling(spoken, plan(), cheaper).floorAtoms).toBe(100_000_000n)
})

test('a floor is never above what is held', () => {
  const odd = call({ outputLimit: 1, input: { ...INPUT, highTokens: 10, lowTokens: 90 } })
  expect(ceiling(odd).floorAtoms).toBe(10_000n)
})

test.each<[string, Partial<CeilingCall>, Partial<CeilingPlan>]>([
  ['max_cost_per_call', { outputLimit: 4000 }, { maxCostPerCallAtoms: 1n }],
  ['max_output_tokens', { outputLimit: 9000, thinkingBudget: 5000, reasoning: true }, { maxOutputTokens: 100 }],
])('observe refuses and writes nothing, and says what would have been: %s', (rule, more, planMore) => {
  const result = ceiling(call(more), plan({ enforcement: 'observe', ...planMore }))
  expect(result).toMatchObject({ would: { rule }, writeLimit: undefined, totalTokens: more.outputLimit })
})

test('observe does not count on a limit that it does not write', () => {
  const result = ceiling(call(), plan({ enforcement: 'observe', maxOutputTokens: 10 }))
  expect(result).toMatchObject({ limitTokens: 16_384, writeLimit: undefined, would: undefined })
})

test('a call without a price is held at nothing, with its limits', () => {
  const free = costCeiling({
    call: call({ outputLimit: 400, input: { ...INPUT, highTokens: 9 } }),
    price: undefined,
    plan: plan({ maxOutputTokens: 300 }),
    unseenTokens: undefined,
    scale: 9,
    unpricedKind: 'parent',
  })
  expect(free).toMatchObject({ fixedAtoms: 0n, perTokenAtoms: 0n, floorAtoms: 0n, wantTokens: 300, writeLimit: 300 })
})

test.each<[string, number, Partial<CeilingPlan>, number | 'refused']>([
  ['an absurd limit is lowered to the largest amount there is', 1e15, {}, 9_007_199_254],
  ['a limit beyond any number', Number.MAX_VALUE, {}, 9_007_199_254],
  ['where nothing may be trimmed it is refused', 1e15, { trim: { ...TRIM, enabled: false } }, 'refused'],
  ['under observe it is lowered too', 1e15, { enforcement: 'observe' }, 9_007_199_254],
])('sums beyond 2^53-1 atoms: %s', (_, outputLimit, more, tokens) => {
  const result = ask(call({ outputLimit }), plan(more))
  if (tokens === 'refused') {
    expect(result).toMatchObject({ refused: 'call_too_expensive', rule: 'out_of_range', allowedAtoms: ATOMS_MAX })
    return
  }
  expect(result).toMatchObject({ totalTokens: tokens })
  if (result.refused === undefined) {
    expect(result.fixedAtoms + BigInt(result.totalTokens) * result.perTokenAtoms <= ATOMS_MAX).toBe(true)
  }
})
