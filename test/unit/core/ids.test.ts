import { expect, test } from 'vitest'
import { idTimeMs, newId } from '../../../src/core/ids.ts'

test('an id carries its time, and ids sort by it', () => {
  const times = [0, 1, 1_700_000_000_000, Date.parse('2026-11-23T00:00:00.001Z'), 2 ** 48 - 1]
  const ids = times.map((time) => newId(time))
  expect(ids.map(idTimeMs)).toEqual(times)
  expect([...ids].sort()).toEqual(ids)
})

test('ids of one millisecond differ', () => {
  expect(new Set(Array.from({ length: 20_000 }, () => newId(1))).size).toBe(20_000)
})

test.each(['', 'short', '8ZZZZZZZZZZZZZZZZZZZZZZZZZ', `${newId(1)}0`, newId(1).toLowerCase(), `I${newId(1).slice(1)}`])(
  '%j is no id of ours',
  (text) => {
    expect(idTimeMs(text)).toBeUndefined()
  },
)
