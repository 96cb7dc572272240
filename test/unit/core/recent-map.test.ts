import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecentMap } from '../../../src/core/recent-map.ts'

test('it never holds more than its size, and what was set last is there', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 300 }), (keys) => {
      const map = new RecentMap<number>(10)
      for (const key of keys) {
        map.set(`k${key}`, key)
        expect(map.get(`k${key}`)).toBe(key)
        expect(map.size).toBeLessThanOrEqual(10)
        expect([...map.entries()]).toHaveLength(map.size)
      }
    }),
  )
})

test('what is used stays while others come and go', () => {
  const map = new RecentMap<number>(10)
  map.set('used', 1)
  for (let i = 0; i < 1000; i++) {
    map.set(`other-${i}`, i)
    if (i % 3 === 0) expect(map.get('used')).toBe(1)
  }
  expect(map.get('other-1')).toBeUndefined()
})
