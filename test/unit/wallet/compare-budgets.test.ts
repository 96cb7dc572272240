import { expect, test } from 'vitest'
import { type CalendarUnit, calendarBounds } from '../../../src/core/budget-window.ts'
import { mayLeave } from '../../../src/wallet/compare-budgets.ts'

const DAY_MS = 86_400_000

/** Where the scripts forget a window, the check of the books must not miss it. In Troll clocks change by two hours at once. */
test.each<[CalendarUnit, timezone: string]>(
  (['hour', 'day', 'week', 'month', 'quarter', 'year'] as const).flatMap((every) =>
    ['Europe/Paris', 'Australia/Lord_Howe', 'Antarctica/Troll'].map((zone): [CalendarUnit, string] => [every, zone]),
  ),
)('%s windows in %s may be gone a day after their end, and not while something is held in them', (every, timezone) => {
  const window = { kind: 'calendar', every, timezone, anchor: 1, weekStart: 1 } as const
  const field = `b~USD~${encodeURIComponent(`${every} ${timezone} 1 1`)}~`
  const missed: string[] = []
  const end = every === 'hour' ? Date.UTC(2027, 3, 1) : Date.UTC(2028, 0, 1)
  for (let at = every === 'hour' ? Date.UTC(2027, 2, 25) : Date.UTC(2024, 0, 1); at < end; ) {
    const [, start, ends] = calendarBounds(window, at)
    if (!mayLeave(field, start, { spent: 1n, held: 0n }, ends + DAY_MS)) missed.push(new Date(start).toISOString())
    expect(mayLeave(field, start, { spent: 1n, held: 1n }, ends + DAY_MS)).toBe(false)
    at = ends
  }
  expect(missed).toEqual([])
})
