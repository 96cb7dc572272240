import { expect, test } from 'vitest'
import type { CallPrice } from '../../../src/core/price-book.ts'
import { isCredibleCost, statedCharge } from '../../../src/core/stated-cost.ts'

test.each<[string, string, bigint | undefined, boolean]>([
  ['a part of a cent', '0.00000014', 140n, true],
  ['nothing', '0', 1_000_000n, true],
  ['a fee of a plug-in, far beyond the tokens of a small call', '0.03', 1_000n, true],
  ['a thousand times ours', '2', 2_000_000n, true],
  ['more than a thousand times ours', '2.1', 2_000_000n, false],
  ['whatever it is, where ours is nothing', '500', 0n, true],
  ['whatever it is, where ours is in another unit', '500', undefined, true],
  ['more than any call costs', '10000.01', undefined, false],
  ['below zero', '-0.5', 1_000n, false],
  ['no number', 'NaN', 1_000n, false],
  ['without end', 'Infinity', 1_000n, false],
  ['an exponent', '1e-7', 1_000n, false],
  ['a text of any length', '1'.repeat(100_000), 1_000n, false],
])('a cost that a provider states may be true: %s', (_, stated, ours, credible) => {
  expect(isCredibleCost(stated, ours, 9)).toBe(credible)
})

const NO_RATES = { perMillion: {}, perUnit: {} }
const PRICE: CallPrice = {
  version: 'v',
  unit: 'USD',
  costUnit: 'USD',
  cost: NO_RATES,
  charge: NO_RATES,
  contextWindow: undefined,
  maxOutputTokens: undefined,
}

test.each([
  ['0.5', '1.1', 9, 550_000_000n],
  ['0.0000000005', '1', 9, 0n], // half an atom: to the even one
  ['0.0000000015', '1', 9, 2n],
  ['0.00033881250000000003', '1', 9, 338_813n],
  ['1.239', '1', 2, 124n],
])('%s × %s at scale %i is rounded once', (stated, markup, scale, atoms) => {
  expect(statedCharge(stated, { ...PRICE, markup }, scale)).toBe(atoms)
})

test('a stated cost is charged in the unit that the price was converted to, and in no other', () => {
  const price = { ...PRICE, markup: '1.2', unit: 'EUR' }
  const conversion = { of: PRICE, rate: '0.5' }
  expect(statedCharge('0.5', { ...price, conversion }, 2)).toBe(30n)
  expect(statedCharge('0.5', { ...price, conversion: { ...conversion, of: { ...PRICE, unit: 'credits' } } }, 2)).toBe(
    undefined,
  )
  expect(statedCharge('0.5', price, 2)).toBe(undefined)
})
