import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CallPrice, Rates } from '../../../src/core/price-book.ts'
import { priceInUnit } from '../../../src/core/price-in-unit.ts'
import { priceUsage } from '../../../src/core/price-usage.ts'
import { tierPrice } from '../../../src/core/tier-price.ts'

const rates = (perMillion: Rates['perMillion'], perUnit: Rates['perUnit'] = {}): Rates => ({ perMillion, perUnit })
const NO_RATES = rates({})

const COST = rates({ input: '0', output: '8' }, { images: '0.04' })
const PRICE: CallPrice = {
  version: 'v',
  unit: 'USD',
  costUnit: 'USD',
  cost: COST,
  charge: COST,
  ownCharge: NO_RATES,
  markup: '1',
  tiers: {
    service: { flex: { factor: '0.5', except: [], rates: NO_RATES, unit: 'USD' } },
    longContext: [{ above: 1000, rates: rates({ input: '4', output: '12' }), unit: 'USD' }],
  },
  contextWindow: undefined,
  maxOutputTokens: undefined,
}

const DAY = 86_400_000
const rate = (from: string, to: string, figure: string, validFromMs = 0) => ({ from, to, rate: figure, validFromMs })
const RATES = [rate('USD', 'EUR', '0.5'), rate('USD', 'EUR', '0.25', DAY), rate('EUR', 'credits', '100')]

test('the charge is converted at the rate of the day, and what it costs us stays as it is', () => {
  const [first, second] = [priceInUnit(PRICE, 'EUR', RATES, DAY - 1), priceInUnit(PRICE, 'EUR', RATES, DAY)]
  expect(first).toMatchObject({ unit: 'EUR', costUnit: 'USD', conversion: { of: PRICE, rate: '0.5' } })
  expect(first.cost).toBe(PRICE.cost)
  expect(first.charge).toEqual(rates({ input: '0', output: '4' }, { images: '0.02' }))
  expect(second.charge).toEqual(rates({ input: '0', output: '2' }, { images: '0.01' }))
})

test('the same object comes back for the same rate, and the price itself where nothing is to be converted', () => {
  expect(priceInUnit(PRICE, 'EUR', RATES, 2 * DAY)).toBe(priceInUnit(PRICE, 'EUR', RATES, DAY))
  expect(priceInUnit(PRICE, 'USD', RATES, 0)).toBe(PRICE)
})

test.each([
  ['no rate is declared', []],
  ['only the other direction is', [rate('EUR', 'USD', '2')]],
  ['it is by way of a third unit', [rate('USD', 'credits', '100'), rate('credits', 'EUR', '0.01')]],
  ['it is not in force yet', [rate('USD', 'EUR', '2', DAY)]],
])('the price stays in its own unit where %s', (_, declared) => {
  expect(priceInUnit(PRICE, 'EUR', declared, 0)).toBe(PRICE)
})

test('tiers and long contexts are converted with it, those too that price what is free otherwise', () => {
  const converted = priceInUnit(PRICE, 'EUR', RATES, 0)
  expect(tierPrice(converted, { tier: 'flex', inputTokens: 1 })).toEqual({
    cost: rates({ input: '0', output: '4' }, { images: '0.02' }),
    charge: rates({ input: '0', output: '2' }, { images: '0.01' }),
    unpricedTier: undefined,
  })
  expect(tierPrice(converted, { inputTokens: 1001 }).charge.perMillion).toEqual({ input: '2', output: '6' })
})

test('a charge is the cost × rate, rounded once, whatever the rate, the tier and the length', () => {
  const figure = fc.bigInt({ min: 1n, max: 10n ** 12n }).map((atoms) => `0.${atoms.toString().padStart(9, '0')}`)
  const tokens = fc.nat({ max: 3000 })
  fc.assert(
    fc.property(
      figure,
      tokens,
      tokens,
      fc.constantFrom(undefined, 'flex' as const),
      (declared, input, output, tier) => {
        const price = priceInUnit(PRICE, 'EUR', [rate('USD', 'EUR', declared)], 0)
        const usage = { quality: 'provider', tokens: { input, output }, raw: undefined } as const
        const priced = priceUsage(price, usage, { scale: 9, unpricedKind: 'parent', tier })
        const [, decimals = ''] = declared.split('.')
        const exact = { top: priced.costAtoms * BigInt(decimals), bottom: 10n ** BigInt(decimals.length) }
        const twiceOff = 2n * (priced.chargeAtoms * exact.bottom - exact.top)
        expect(twiceOff <= exact.bottom && -twiceOff <= exact.bottom).toBe(true)
      },
    ),
  )
})
