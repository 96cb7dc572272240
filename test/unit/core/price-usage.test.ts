import { Decimal } from 'decimal.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { roundCeiling, roundCharge, roundFloor } from '../../../src/core/exact-rates.ts'
import type { CallPrice, Rates } from '../../../src/core/price-book.ts'
import { priceUsage } from '../../../src/core/price-usage.ts'
import type { TokenCounts, UnitCounts } from '../../../src/core/usage.ts'

const price = (charge: Partial<Rates>, cost: Partial<Rates> = charge): CallPrice => ({
  version: 'v',
  unit: 'USD',
  costUnit: 'USD',
  charge: { perMillion: {}, perUnit: {}, ...charge },
  cost: { perMillion: {}, perUnit: {}, ...cost },
  contextWindow: undefined,
  maxOutputTokens: undefined,
})
const usage = (tokens: TokenCounts, units: UnitCounts = {}) => ({ tokens, units, raw: null })
const FULL = price({ perMillion: { input: '3', cached_input: '0.30', cache_write_5m: '3.75', output: '15' } })

test.each<[string, CallPrice, TokenCounts, UnitCounts, bigint]>([
  ['1,000 tokens at 3.00 per million', FULL, { input: 1000 }, {}, 3_000_000n],
  // 1000×3 + 500×0.30 + 200×3.75 + 100×15 = 3000 + 150 + 750 + 1500 = 5400 millionths
  ['four kinds', FULL, { input: 1000, cached_input: 500, cache_write_5m: 200, output: 100 }, {}, 5_400_000n],
  ['nothing', FULL, {}, {}, 0n],
  [
    '100 tokens at 1000 per million: 0.10',
    price({ perMillion: { output: '1000' } }),
    { output: 100 },
    {},
    100_000_000n,
  ],
  ['two searches at 0.01', price({ perUnit: { web_search: '0.01' } }), {}, { web_search: 2 }, 20_000_000n],
  [
    '12.5 seconds at 0.006 a minute, by the second',
    price({ perUnit: { seconds: '0.0001' } }),
    {},
    { seconds: 12.5 },
    1_250_000n,
  ],
  ['a fee for each request, which no provider counts', price({ perUnit: { requests: '0.005' } }), {}, {}, 5_000_000n],
  ['requests that the provider counts', price({ perUnit: { requests: '0.005' } }), {}, { requests: 3 }, 15_000_000n],
  // 1 token at 0.0005 per million = half an atom: to the even one
  ['half an atom', price({ perMillion: { input: '0.0005' } }), { input: 1 }, {}, 0n],
  ['one and a half atoms', price({ perMillion: { input: '0.0015' } }), { input: 1 }, {}, 2n],
  ['two and a half atoms', price({ perMillion: { input: '0.0025' } }), { input: 1 }, {}, 2n],
  // Rounded once: two halves of an atom are one atom, not two zeros.
  ['two halves', price({ perMillion: { input: '0.0005', output: '0.0005' } }), { input: 1, output: 1 }, {}, 1n],
])('usage is charged exactly and rounded once: %s', (_, of, tokens, units, atoms) => {
  const result = priceUsage(of, usage(tokens, units), { scale: 9, unpricedKind: 'parent' })
  expect(result).toEqual({ chargeAtoms: atoms, costAtoms: atoms, unpricedKinds: [] })
})

test.each<['parent' | 'zero', bigint]>([
  ['parent', 10n * 1000n + 4n * 2000n],
  ['zero', 0n],
])('kinds without a rate cost by unpriced_kind %s, and are named', (unpricedKind, chargeAtoms) => {
  const basic = price({ perMillion: { input: '1', output: '2' } })
  const used = usage({ cached_input: 4, audio_input: 6, image_output: 4, video_input: 0 }, { web_search: 3, images: 0 })
  expect(priceUsage(basic, used, { scale: 9, unpricedKind })).toEqual({
    chargeAtoms,
    costAtoms: chargeAtoms,
    unpricedKinds: ['cached_input', 'audio_input', 'image_output', 'web_search'],
  })
})

test.each<[string, Partial<Rates>, TokenCounts, UnitCounts, string[]]>([
  ['an image billed by its tokens', { perMillion: { image_output: '40' } }, { image_output: 5 }, { images: 1 }, []],
  ['tokens billed by their seconds', { perUnit: { seconds: '1' } }, { audio_input: 5 }, { seconds: 2 }, []],
  ['neither', {}, { audio_input: 5 }, { seconds: 2 }, ['audio_input', 'seconds']],
  ['a fee beside them', { perMillion: { input: '1' } }, { input: 5 }, { seconds: 2, web_search: 1 }, ['web_search']],
])('of things that stand for tokens one of the two is priced: %s', (_, rates, tokens, units, unpricedKinds) => {
  const billedBy = ['images', 'seconds'] as const
  const result = priceUsage(price(rates), usage(tokens, units), { scale: 9, unpricedKind: 'parent', billedBy })
  expect(result.unpricedKinds).toEqual(unpricedKinds)
})

test('each pass of an answer is priced for itself: by its model, by its own length; rounded once together', () => {
  const long = { above: 100, rates: { perMillion: { input: '4' }, perUnit: {} }, unit: 'USD' }
  const of = { ...price({ perMillion: { input: '2' } }), tiers: { service: {}, longContext: [long] } }
  const other = price({ perMillion: { input: '0.0005' } })
  const passes = [
    { model: undefined, tokens: { input: 100 } },
    { model: 'adviser', tokens: { input: 1 } },
    { model: 'adviser', tokens: { input: 2 } },
    { model: undefined, tokens: { input: 101 } },
  ]
  const used = { ...usage({ input: 204 }, { web_search: 1 }), passes }
  const ask = (priceOf?: (model: string) => CallPrice | undefined) =>
    priceUsage(of, used, { scale: 9, unpricedKind: 'parent', ...(priceOf ? { priceOf } : {}) })
  // 100 × 2 + 101 × 4 = 604 thousandths of a cent, and 1.5 atoms that are 2.
  expect(ask((model) => (model === 'adviser' ? other : undefined))).toEqual({
    chargeAtoms: 604_002n,
    costAtoms: 604_002n,
    unpricedKinds: ['web_search'],
  })
  // A model without a price costs what the call's does, and is named; so does one in another unit.
  for (const priceOf of [undefined, () => ({ ...other, unit: 'credits' })]) {
    expect(ask(priceOf)).toMatchObject({ chargeAtoms: 610_000n, unpricedKinds: ['web_search', 'pass_model'] })
  }
})

test('cost and charge have rates of their own, and the charge names what it lacks', () => {
  const of = price({ perMillion: { input: '2' } }, { perMillion: { input: '1', cached_input: '0.5' } })
  expect(priceUsage(of, usage({ input: 10, cached_input: 10 }), { scale: 9, unpricedKind: 'parent' })).toEqual({
    chargeAtoms: 40_000n,
    costAtoms: 15_000n,
    unpricedKinds: ['cached_input'],
  })
})

test('each unit keeps its own decimals', () => {
  const of = { ...price({ perMillion: { input: '1500000' } }, { perMillion: { input: '3' } }), unit: 'credits' }
  const result = priceUsage(of, usage({ input: 3 }), { scale: 0, costScale: 9, unpricedKind: 'parent' })
  expect(result).toMatchObject({ chargeAtoms: 4n, costAtoms: 9000n }) // 4.5 credits, half to even
})

test('a call without a price costs nothing', () => {
  const none = { chargeAtoms: 0n, costAtoms: 0n, unpricedKinds: [] }
  expect(priceUsage(undefined, usage({ input: 5 }), { scale: 9, unpricedKind: 'parent' })).toEqual(none)
})

test('strange counts of a provider cost nothing and break nothing', () => {
  const counts = usage({ input: Number.NaN, output: -5 }, { web_search: -1 })
  expect(priceUsage(FULL, counts, { scale: 9, unpricedKind: 'parent' }).chargeAtoms).toBe(0n)
})

test('a charge equals the decimal sum of its kinds, rounded half-even once', () => {
  const rate = fc
    .tuple(fc.nat(1_000_000), fc.nat(12))
    .map(([digits, places]) => new Decimal(`${digits}e-${places}`).toFixed())
  const count = fc.nat(100_000_000)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  fc.assert(
    fc.property(rate, rate, rate, count, count, count, fc.nat(12), (input, cached, output, a, b, c, scale) => {
      const of = price({ perMillion: { input, cached_input: cached, output } })
      const D = Decimal.clone({ precision: 100 })
      const sum = new D(input).times(a).plus(new D(cached).times(b)).plus(new D(output).times(c))
      const expected = sum
        .times(new D(10).pow(scale - 6))
        .toDecimalPlaces(0, Decimal.ROUND_HALF_EVEN)
        .toFixed()
      const result = priceUsage(of, usage({ input: a, cached_input: b, output: c }), { scale, unpricedKind: 'zero' })
      expect(String(result.chargeAtoms)).toBe(expected)
    }),
    { seed, numRuns: 2000 },
  )
})

test.each([
  [5n, 2n, 2n, 2n, 3n],
  [7n, 2n, 3n, 4n, 4n],
  [9n, 4n, 2n, 2n, 3n],
  [11n, 4n, 2n, 3n, 3n],
  [8n, 4n, 2n, 2n, 2n],
  [0n, 4n, 0n, 0n, 0n],
])('%s/%s is %s down, %s as a charge, %s as a hold', (numerator, denominator, floor, charge, ceiling) => {
  expect(roundFloor(numerator, denominator)).toBe(floor)
  expect(roundCharge(numerator, denominator)).toBe(charge)
  expect(roundCeiling(numerator, denominator)).toBe(ceiling)
})
