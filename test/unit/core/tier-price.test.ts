import { expect, test } from 'vitest'
import type { CallPrice, LongContext, PriceTiers, Rates, TierTerms } from '../../../src/core/price-book.ts'
import { priceUsage } from '../../../src/core/price-usage.ts'
import { billedTier, serviceTier } from '../../../src/core/service-tier.ts'
import { tierPrice } from '../../../src/core/tier-price.ts'

const rates = (perMillion: Rates['perMillion'], perUnit: Rates['perUnit'] = {}): Rates => ({ perMillion, perUnit })
const terms = (more: Partial<TierTerms>): TierTerms => ({
  factor: '1',
  except: [],
  rates: rates({}),
  unit: 'USD',
  ...more,
})
const long = (above: number, perMillion: Rates['perMillion'], unit = 'USD'): LongContext => ({
  above,
  rates: rates(perMillion),
  unit,
})

const COST = rates({ input: '2', cached_input: '0.5', output: '8' }, { web_search: '0.01', images: '0.04' })
function price(tiers: Partial<PriceTiers>, more: Partial<CallPrice> = {}): CallPrice {
  return {
    version: 'v',
    unit: 'USD',
    costUnit: 'USD',
    cost: COST,
    charge: COST,
    ownCharge: rates({}),
    markup: '1',
    tiers: { service: {}, longContext: [], ...tiers },
    contextWindow: undefined,
    maxOutputTokens: undefined,
    ...more,
  }
}

test('without a tier and below every long context the rates are the price’s own, as the same objects', () => {
  const of = price({ service: { batch: terms({ factor: '0.5' }) }, longContext: [long(1000, { input: '4' })] })
  const { cost, charge, unpricedTier } = tierPrice(of, { inputTokens: 1000 })
  expect([cost, charge, unpricedTier]).toEqual([of.cost, of.charge, undefined])
  expect(cost).toBe(of.cost)
  expect(tierPrice(of, { tier: 'batch', inputTokens: 0 })).toBe(tierPrice(of, { tier: 'batch', inputTokens: 999 }))
})

test('a factor is of tokens and of what the model makes, not of fees', () => {
  const { cost, charge } = tierPrice(price({ service: { batch: terms({ factor: '0.5' }) } }), {
    tier: 'batch',
    inputTokens: 0,
  })
  const half = rates({ input: '1', cached_input: '0.25', output: '4' }, { web_search: '0.01', images: '0.02' })
  expect([cost, charge]).toEqual([half, half])
})

test('a tier may leave kinds alone, and have rates of its own', () => {
  const of = price({
    service: { flex: terms({ factor: '0.5', except: ['cached_input'], rates: rates({ output: '5' }) }) },
  })
  expect(tierPrice(of, { tier: 'flex', inputTokens: 0 }).cost.perMillion).toEqual({
    input: '1',
    cached_input: '0.5',
    output: '5',
  })
})

test.each([
  [200_000, '2', '8'],
  [200_001, '4', '12'], // of every token, once the input has passed it
  [500_000, '4', '12'],
  [500_001, '6', '12'],
])('an input of %i tokens costs %s, its output %s', (inputTokens, input, output) => {
  const of = price({ longContext: [long(200_000, { input: '4', output: '12' }), long(500_000, { input: '6' })] })
  expect(tierPrice(of, { inputTokens }).charge.perMillion).toEqual({ input, cached_input: '0.5', output })
})

test('a tier comes on top of a long context, its own rates too', () => {
  const of = price({
    service: { batch: terms({ factor: '0.5' }), priority: terms({ rates: rates({ input: '3' }) }) },
    longContext: [long(200_000, { input: '4' })],
  })
  expect(tierPrice(of, { tier: 'batch', inputTokens: 300_000 }).cost.perMillion.input).toBe('2')
  expect(tierPrice(of, { tier: 'priority', inputTokens: 300_000 }).cost.perMillion.input).toBe('6')
})

test('what is charged as cost × markup follows the cost; a charge of its own keeps its margin', () => {
  const of = price(
    { service: { batch: terms({ factor: '0.5' }) }, longContext: [long(200_000, { input: '3', output: '16' })] },
    {
      markup: '1.1',
      ownCharge: rates({ input: '2.4' }),
      charge: rates({ input: '2.4', cached_input: '0.55', output: '8.8' }),
    },
  )
  expect(tierPrice(of, { inputTokens: 300_000 }).charge.perMillion).toEqual({
    input: '3.6', // 2.4 × 3 ÷ 2
    cached_input: '0.55',
    output: '17.6',
  })
  expect(tierPrice(of, { tier: 'batch', inputTokens: 0 }).charge.perMillion).toEqual({
    input: '1.2',
    cached_input: '0.275',
    output: '4.4',
  })
})

test('a ratio without an end is kept as a fraction, and priced exactly', () => {
  const of = price(
    { longContext: [long(10, { input: '1' })] },
    { cost: rates({ input: '3' }), ownCharge: rates({ input: '7' }), charge: rates({ input: '7' }) },
  )
  // 3,000,000 tokens at 7 × 1 ÷ 3 per million
  const usage = { tokens: { input: 3_000_000 }, raw: null }
  expect(priceUsage(of, usage, { scale: 9, unpricedKind: 'parent' }).chargeAtoms).toBe(7_000_000_000n)
})

test('a charge in a unit of its own takes factors, and the tiers that are in that unit', () => {
  const of = price(
    {
      service: { batch: terms({ factor: '0.5' }) },
      longContext: [long(100, { input: '40' }, 'credits')],
    },
    { unit: 'credits', cost: rates({}), ownCharge: rates({ input: '20' }), charge: rates({ input: '20' }) },
  )
  expect(tierPrice(of, { tier: 'batch', inputTokens: 0 }).charge.perMillion.input).toBe('10')
  expect(tierPrice(of, { inputTokens: 101 }).charge.perMillion.input).toBe('40')
  expect(tierPrice(of, { inputTokens: 101 }).cost).toEqual(rates({}))
})

test('a tier without terms costs what the default one does, and is named', () => {
  const of = price({})
  expect(tierPrice(of, { tier: 'priority', inputTokens: 0 })).toEqual({
    cost: COST,
    charge: COST,
    unpricedTier: 'priority',
  })
  const priced = priceUsage(
    of,
    { tokens: { input: 1_000_000 }, raw: null },
    { scale: 9, unpricedKind: 'parent', tier: 'priority' },
  )
  expect(priced).toMatchObject({ chargeAtoms: 2_000_000_000n, unpricedKinds: ['tier:priority'] })
})

test('the length of the input is that of all its kinds together', () => {
  const of = price({ longContext: [long(1000, { input: '4', cached_input: '1', output: '16' })] })
  const charge = (tokens: Record<string, number>) =>
    priceUsage(of, { tokens, raw: null }, { scale: 9, unpricedKind: 'parent' }).chargeAtoms
  expect(charge({ input: 400, cached_input: 600, output: 5000 })).toBe(800_000n + 300_000n + 40_000_000n)
  expect(charge({ input: 401, cached_input: 600 })).toBe(401n * 4_000n + 600n * 1_000n)
})

test.each([
  ['priority', 'priority'],
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['flex', 'flex'],
  ['default', undefined],
  ['standard', undefined],
  ['on_demand', undefined],
  ['constructor', undefined],
  ['x'.repeat(1000), undefined],
  [undefined, undefined],
])('the word %s stands for the tier %s', (word, tier) => {
  expect(serviceTier(word)).toBe(tier)
})

test.each([
  ['the answer’s word counts', 'default', 'flex', undefined],
  ['the answer’s word counts, dearer or not', 'priority', undefined, 'priority'],
  ['what was asked where the answer says nothing', undefined, 'flex', 'flex'],
  ['"auto" says nothing', 'auto', 'priority', 'priority'],
])('%s', (_, answered, asked, tier) => {
  expect(billedTier(answered, asked)).toBe(tier)
})
