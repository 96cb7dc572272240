import { expect, test } from 'vitest'
import { addUsage } from '../../../src/core/add-usage.ts'
import { billedMeasure } from '../../../src/core/billed-measure.ts'
import type { CallPrice } from '../../../src/core/price-book.ts'
import type { Usage } from '../../../src/core/usage.ts'

const counted: Usage = { tokens: { input: 3, audio_output: 40 }, units: { characters: 12 }, raw: null }

function price(perUnit: Record<string, string>): CallPrice {
  const rates = { perMillion: { input: '1', output: '2' }, perUnit }
  return { version: 'v', unit: 'USD', costUnit: 'USD', cost: rates, charge: rates } as unknown as CallPrice
}

test.each<[string, CallPrice | undefined, Usage['tokens']]>([
  ['things with a rate are charged in place of tokens', price({ characters: '0.00001' }), {}],
  ['a rate of nothing is a rate', price({ characters: '0' }), {}],
  ['without a rate for them the tokens are charged', price({ seconds: '1' }), counted.tokens],
  ['without a price both stay', undefined, counted.tokens],
])('%s', (_name, given, tokens) => {
  expect(billedMeasure(counted, given, ['characters'])).toEqual({ ...counted, tokens })
})

test('things that were not counted do not replace tokens', () => {
  const tokens: Usage = { tokens: { input: 3 }, raw: null }
  expect(billedMeasure(tokens, price({ characters: '1' }), ['characters'])).toBe(tokens)
  expect(billedMeasure(counted, price({ characters: '1' }), undefined)).toBe(counted)
})

test('usage of parts adds up kind by kind, and keeps what each of them said', () => {
  const a: Usage = { tokens: { input: 1, output: 2 }, reasoning: 1, units: { images: 1 }, raw: { a: 1 }, flags: ['x'] }
  const b: Usage = {
    tokens: { input: 4, cached_input: 3 },
    units: { seconds: 2.5 },
    raw: [{ b: 1 }],
    flags: ['x', 'y'],
  }
  expect(addUsage(a, b)).toEqual({
    tokens: { input: 5, cached_input: 3, output: 2 },
    reasoning: 1,
    units: { images: 1, seconds: 2.5 },
    raw: [{ a: 1 }, { b: 1 }],
    flags: ['x', 'y'],
  })
  expect(addUsage({ tokens: {}, raw: null }, { tokens: {}, raw: null })).toEqual({ tokens: {}, raw: [] })
})
