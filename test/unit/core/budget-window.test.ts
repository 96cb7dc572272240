import { DateTime } from 'luxon'
import { describe, expect, test } from 'vitest'
import { type CalendarWindow, calendarBounds, partMs, shownWindow } from '../../../src/core/budget-window.ts'

function windowOf(
  every: CalendarWindow['every'],
  timezone = 'UTC',
  more: Partial<CalendarWindow> = {},
): CalendarWindow {
  return { kind: 'calendar', every, timezone, anchor: 1, weekStart: 1, ...more }
}

/** Bounds as local times of the zone. */
function shown(window: CalendarWindow, at: string): string[] {
  return calendarBounds(window, Date.parse(at)).map((ms) =>
    DateTime.fromMillis(ms, { zone: window.timezone }).toFormat("yyyy-MM-dd'T'HH:mm"),
  )
}

describe('a calendar window begins and ends where its calendar says', () => {
  test.each<[string, CalendarWindow, string, string[]]>([
    [
      'an hour',
      windowOf('hour'),
      '2026-11-26T10:59:59.999Z',
      ['2026-11-26T09:00', '2026-11-26T10:00', '2026-11-26T11:00', '2026-11-26T12:00'],
    ],
    [
      'an hour of a zone with half an hour',
      windowOf('hour', 'Asia/Kolkata'),
      '2026-11-26T10:29:00Z',
      ['2026-11-26T14:00', '2026-11-26T15:00', '2026-11-26T16:00', '2026-11-26T17:00'],
    ],
    [
      'a day begins at its first millisecond',
      windowOf('day', 'Europe/Paris'),
      '2026-11-25T23:00:00Z',
      ['2026-11-25T00:00', '2026-11-26T00:00', '2026-11-27T00:00', '2026-11-28T00:00'],
    ],
    [
      'a day of 23 hours',
      windowOf('day', 'Europe/Paris'),
      '2026-03-29T12:00:00Z',
      ['2026-03-28T00:00', '2026-03-29T00:00', '2026-03-30T00:00', '2026-03-31T00:00'],
    ],
    [
      'a day whose midnight does not exist',
      windowOf('day', 'Africa/Cairo'),
      '2026-04-24T12:00:00Z',
      ['2026-04-23T00:00', '2026-04-24T01:00', '2026-04-25T00:00', '2026-04-26T00:00'],
    ],
    [
      'a week from Monday',
      windowOf('week'),
      '2026-11-29T23:59:59Z',
      ['2026-11-16T00:00', '2026-11-23T00:00', '2026-11-30T00:00', '2026-12-07T00:00'],
    ],
    [
      'a week from Sunday',
      windowOf('week', 'UTC', { weekStart: 7 }),
      '2026-11-29T00:00:00Z',
      ['2026-11-22T00:00', '2026-11-29T00:00', '2026-12-06T00:00', '2026-12-13T00:00'],
    ],
    [
      'a month',
      windowOf('month'),
      '2026-12-31T23:59:59Z',
      ['2026-11-01T00:00', '2026-12-01T00:00', '2027-01-01T00:00', '2027-02-01T00:00'],
    ],
    [
      'a month from the 31st',
      windowOf('month', 'UTC', { anchor: 31 }),
      '2028-02-29T00:00:00Z',
      ['2028-01-31T00:00', '2028-02-29T00:00', '2028-03-31T00:00', '2028-04-30T00:00'],
    ],
    [
      'the day before it',
      windowOf('month', 'UTC', { anchor: 31 }),
      '2027-02-27T23:59:59Z',
      ['2026-12-31T00:00', '2027-01-31T00:00', '2027-02-28T00:00', '2027-03-31T00:00'],
    ],
    [
      'a quarter',
      windowOf('quarter'),
      '2026-06-30T00:00:00Z',
      ['2026-01-01T00:00', '2026-04-01T00:00', '2026-07-01T00:00', '2026-10-01T00:00'],
    ],
    [
      'a quarter from the 15th',
      windowOf('quarter', 'UTC', { anchor: 15 }),
      '2026-04-14T23:00:00Z',
      ['2025-10-15T00:00', '2026-01-15T00:00', '2026-04-15T00:00', '2026-07-15T00:00'],
    ],
    [
      'a year',
      windowOf('year', 'America/New_York'),
      '2027-01-01T04:59:59Z',
      ['2025-01-01T00:00', '2026-01-01T00:00', '2027-01-01T00:00', '2028-01-01T00:00'],
    ],
  ])('%s', (_, window, at, expected) => {
    expect(shown(window, at)).toEqual(expected)
  })

  test.each(['Europe/Paris', 'America/New_York', 'Australia/Lord_Howe', 'UTC', 'Asia/Kathmandu', 'Africa/Cairo'])(
    'windows follow each other without a gap, and hold the instant asked for: %s',
    (timezone) => {
      for (const every of ['hour', 'day', 'week', 'month', 'quarter', 'year'] as const) {
        for (const anchor of every === 'month' || every === 'quarter' || every === 'year' ? [1, 15, 31] : [1]) {
          const window = windowOf(every, timezone, { anchor })
          let at = Date.parse('2026-03-20T00:00:00Z')
          for (let i = 0; i < 400; i++) {
            const [before, start, end, after] = calendarBounds(window, at)
            expect(before < start && start <= at && at < end && end < after).toBe(true)
            expect(calendarBounds(window, end)[1]).toBe(end)
            expect(calendarBounds(window, start - 1)[1]).toBe(before)
            at = every === 'hour' ? end : at + 3_600_000 * 7 + 1
          }
        }
      }
    },
  )

  test('the hour that a clock strikes twice is two windows of an hour', () => {
    const window = windowOf('hour', 'Europe/Paris')
    const [, start, end] = calendarBounds(window, Date.parse('2026-10-25T00:30:00Z'))
    const [, second] = calendarBounds(window, end)
    expect([end - start, second]).toEqual([3_600_000, end])
  })
})

test('a rolling window has twelve parts, none of them of no length', () => {
  expect([partMs(60_000), partMs(61_000), partMs(5)]).toEqual([5000, 5084, 1])
})

test.each([
  ['day Europe/Paris 1 1', 'day', 'Europe/Paris'],
  ['month UTC 15 1', 'month', 'UTC'],
  ['lifetime', 'lifetime', null],
  ['rolling60000', '1m', null],
  ['rolling300000', '5m', null],
  ['rolling5400000', '90m', null],
  ['rolling18000000', '5h', null],
  ['rolling2592000000', '30d', null],
  ['rolling1500', '1500ms', null],
])('the window of the counter %s is shown as %s', (name, window, timezone) => {
  expect(shownWindow(name)).toEqual({ window, timezone })
})
