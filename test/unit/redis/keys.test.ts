import { expect, test } from 'vitest'
import { accountKeys, denialsKey, operationKey, operationsKey } from '../../../src/redis/keys.ts'

test('every key of an account is in its one hash slot', () => {
  const keys = accountKeys('acme/eu-1')
  const all = [
    ...keys.wallet,
    keys.refusals,
    keys.grantKeys,
    operationsKey(keys, 1),
    denialsKey(keys, 1),
    operationKey(keys, 'x}{y'),
  ]
  expect(new Set(all).size).toBe(all.length)
  for (const key of all) expect(key).toMatch(/^tg:\{acme\/eu-1\}:[a-z]+(:[0-9a-f]+)?$/)
})

test.each(['', 'a{b', 'a}b', 'a b', 'é', 'a'.repeat(129), 'a\n'])('%j is no account id', (account) => {
  expect(() => accountKeys(account)).toThrow(RangeError)
})

test('ids of the same ten minutes share their records', () => {
  const keys = accountKeys('a')
  expect(operationsKey(keys, 599_999)).toBe(operationsKey(keys, 0))
  expect(operationsKey(keys, 600_000)).not.toBe(operationsKey(keys, 0))
})
