import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LogHistogram } from '../../../src/core/log-histogram.ts'

const SHAPE = { least: 1, binsPerOctave: 8, bins: 160 }
const BIN = 2 ** (1 / 8)

function of(values: readonly number[]): LogHistogram {
  const histogram = new LogHistogram(SHAPE)
  for (const value of values) histogram.add(value)
  return histogram
}

test('a quantile is never below the true one, and above it by less than a bin', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 500_000 }), { minLength: 1, maxLength: 400 }),
      fc.constantFrom(0.5, 0.9, 0.99, 0.995, 1),
      (values, q) => {
        const sorted = values.toSorted((a, b) => a - b)
        const rank = Math.max(1, Math.ceil(q * sorted.length - 1e-9))
        const truth = sorted[rank - 1] as number
        const found = of(values).quantile(q) as number
        expect(found).toBeGreaterThanOrEqual(truth * 0.999999)
        expect(found).toBeLessThanOrEqual(truth * BIN * BIN)
      },
    ),
  )
})

test('nothing counted: no quantile', () => {
  expect(of([]).quantile(0.99)).toBeUndefined()
  expect(of([0, -1, Number.NaN, Number.NEGATIVE_INFINITY]).total).toBe(0)
})

test('what is written is read back, and other text changes nothing', () => {
  const histogram = of([1, 5, 5, 1000])
  const copy = new LogHistogram(SHAPE)
  copy.addEncoded(`x,${histogram.encode()},999:1,-1:4,3:1e9`)
  expect(copy.encode()).toBe(histogram.encode())
  expect(copy.total).toBe(4)
})

test('it forgets: after a change of what is counted the old values fade from the upper quantile', () => {
  const histogram = of(Array.from({ length: 4000 }, () => 10_000))
  for (let i = 0; i < 40_000; i++) histogram.add(10)
  expect(histogram.quantile(0.99)).toBeLessThan(20)
  expect(histogram.total).toBeLessThanOrEqual(4096)
})
