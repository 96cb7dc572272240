import { describe, expect, test } from 'vitest'
import { decodeFacts, encodeFacts, encodeFilter, encodePolicy, sortableDecimal } from '../../../src/wallet/encode.ts'
import type { HoldTerms } from '../../../src/wallet/wallet-types.ts'

const terms = (more: Partial<HoldTerms>): HoldTerms => ({ observe: false, overflowPeriod: '', ...more }) as HoldTerms

describe('a policy', () => {
  test.each([
    [{ onExhausted: { mode: 'block' } }, 'block,0,1000000,,0'],
    [{ onExhausted: { mode: 'flag' }, observe: true }, 'flag,0,1000000,,1'],
    [{ onExhausted: { mode: 'negative', floorAtoms: -50n } }, 'negative,-50,1000000,,0'],
    [
      {
        onExhausted: { mode: 'overflow', capAtoms: 7n, period: 'month', multiplier: '1.25' },
        overflowPeriod: '2026-11',
      },
      'overflow,7,1250000,2026-11,0',
    ],
    [
      {
        onExhausted: { mode: 'overflow', capAtoms: 7n, period: 'week', multiplier: '0.000001' },
        overflowPeriod: '2026-W07',
      },
      'overflow,7,1,2026-W07,0',
    ],
  ] as const)('%o', (policy, text) => {
    expect(encodePolicy(terms(policy))).toBe(text)
  })

  test.each(['1.0000001', '1001', '-1', 'x', ''])('a multiplier of %s is refused', (multiplier) => {
    const onExhausted = { mode: 'overflow', capAtoms: 1n, period: 'month', multiplier } as const
    expect(() => encodePolicy(terms({ onExhausted }))).toThrow(RangeError)
  })
})

test('decimals sort as text as they do as numbers', () => {
  const sorted = [
    '0',
    '0.001',
    '0.01',
    '0.1',
    '0.11',
    '0.5',
    '1',
    '1.05',
    '1.5',
    '9',
    '9.99',
    '10',
    '10.1',
    '99',
    '100',
    '12345678901234567890',
  ]
  expect(sorted.map(sortableDecimal).toSorted()).toEqual(sorted.map(sortableDecimal))
  expect(sortableDecimal('1.50')).toBe(sortableDecimal('1.5'))
})

test.each(['-1', '1e3', '01', '.5', ''])('%s is no cost basis', (text) => {
  expect(() => sortableDecimal(text)).toThrow(RangeError)
})

test('facts come back as they were, whatever characters they have', () => {
  const facts = { model: 'a;b|c,d=e', upstream: 'ü', endpoint: 'chat', key: 'k/1', run: undefined, user: 'x y' }
  const text = encodeFacts({ ...facts, labels: { 'a=b': 'c,d' } })
  expect(text).not.toMatch(/[|\t\n ]/)
  expect(decodeFacts(text)).toEqual(facts)
})

test('a filter has a part for each list that is named, and none for a general grant', () => {
  expect(encodeFilter(undefined)).toBe('')
  expect(encodeFilter({})).toBe('')
  expect(encodeFilter({ models: ['gpt-*', 'o*'], labels: { team: 'x' } })).toBe('m=gpt-*,o*;l=team=x')
})
