import { expect, test } from 'vitest'
import { openPeriod, overflowPeriod, type Period, periodAfter } from '../../../src/core/overflow-period.ts'

test.each<[string, string, Period, string]>([
  ['2026-11-23T12:00:00Z', 'UTC', 'day', '2026-11-23'],
  ['2026-11-23T12:00:00Z', 'UTC', 'week', '2026-W48'],
  ['2026-11-23T12:00:00Z', 'UTC', 'month', '2026-11'],
  ['2026-11-23T12:00:00Z', 'UTC', 'quarter', '2026-Q4'],
  ['2026-11-23T12:00:00Z', 'UTC', 'year', '2026'],
  // ISO weeks belong to the year of their Thursday.
  ['2027-01-01T00:00:00Z', 'UTC', 'week', '2026-W53'],
  ['2027-01-03T23:59:59.999Z', 'UTC', 'week', '2026-W53'],
  ['2027-01-04T00:00:00Z', 'UTC', 'week', '2027-W01'],
  ['2024-12-30T00:00:00Z', 'UTC', 'week', '2025-W01'],
  ['2026-03-31T23:59:59.999Z', 'UTC', 'quarter', '2026-Q1'],
  ['2026-04-01T00:00:00Z', 'UTC', 'quarter', '2026-Q2'],
  // Midnight of the zone, to the millisecond, in winter and in summer.
  ['2026-10-31T22:59:59.999Z', 'Europe/Paris', 'month', '2026-10'],
  ['2026-10-31T23:00:00Z', 'Europe/Paris', 'month', '2026-11'],
  ['2026-06-30T21:59:59.999Z', 'Europe/Paris', 'month', '2026-06'],
  ['2026-06-30T22:00:00Z', 'Europe/Paris', 'month', '2026-07'],
  // The night the clocks go back has 25 hours, and forward 23.
  ['2026-10-24T22:00:00Z', 'Europe/Paris', 'day', '2026-10-25'],
  ['2026-10-25T22:59:59.999Z', 'Europe/Paris', 'day', '2026-10-25'],
  ['2026-10-25T23:00:00Z', 'Europe/Paris', 'day', '2026-10-26'],
  ['2026-03-28T23:00:00Z', 'Europe/Paris', 'day', '2026-03-29'],
  ['2026-03-29T21:59:59.999Z', 'Europe/Paris', 'day', '2026-03-29'],
  ['2026-03-29T22:00:00Z', 'Europe/Paris', 'day', '2026-03-30'],
  ['2026-01-01T07:59:59Z', 'America/Los_Angeles', 'year', '2025'],
  ['2025-12-31T18:15:00Z', 'Asia/Kathmandu', 'year', '2026'],
  ['2025-12-31T18:14:59.999Z', 'Asia/Kathmandu', 'year', '2025'],
])('%s in %s falls in %s %s', (at, timezone, period, name) => {
  expect(overflowPeriod(period, Date.parse(at), timezone)).toBe(name)
})

test.each([
  ['2026-11-30', '2026-12-01'],
  ['2028-02-28', '2028-02-29'],
  ['2026-12-31', '2027-01-01'],
  ['2026-W52', '2026-W53'],
  ['2026-W53', '2027-W01'],
  ['2027-W52', '2028-W01'],
  ['2026-01', '2026-02'],
  ['2026-12', '2027-01'],
  ['2026-Q3', '2026-Q4'],
  ['2026-Q4', '2027-Q1'],
  ['2026', '2027'],
  ['november', undefined],
])('the period after %s is %s', (period, next) => {
  expect(periodAfter(period)).toBe(next)
})

test('charges of a closed period go to the first after it that is open', () => {
  expect(openPeriod('2026-11', {})).toBe('2026-11')
  expect(openPeriod('2026-11', { '2026-11': 1, '2026-12': 2 })).toBe('2027-01')
})

test('an answer of one zone or minute is never given for another', () => {
  const at = Date.parse('2026-01-01T00:00:00Z')
  for (let round = 0; round < 3; round++) {
    expect(overflowPeriod('year', at, 'UTC')).toBe('2026')
    expect(overflowPeriod('year', at, 'America/New_York')).toBe('2025')
    expect(overflowPeriod('year', at - 1, 'UTC')).toBe('2025')
  }
})

test('a zone that does not exist is an error', () => {
  expect(() => overflowPeriod('day', 0, 'Europe/Atlantis')).toThrow(RangeError)
})
