/**
 * The windows of budgets: rolling ones of any length, and those of a calendar in its own time zone, through changes of
 * daylight saving time. A window is half open: from its start up to, and not including, its end.
 */
import { DateTime } from 'luxon'

export type CalendarUnit = 'hour' | 'day' | 'week' | 'month' | 'quarter' | 'year'

/** ISO weekdays: Monday is 1. */
export interface CalendarWindow {
  readonly kind: 'calendar'
  readonly every: CalendarUnit
  readonly timezone: string
  /** Day of the month on which a month, quarter or year begins: 1 to 31; in a shorter month its last day. */
  readonly anchor: number
  /** Weekday on which a week begins. */
  readonly weekStart: number
}

export type BudgetWindow =
  | { readonly kind: 'rolling'; readonly lengthMs: number }
  | CalendarWindow
  | { readonly kind: 'lifetime' }

const LENGTHS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const

/**
 * A window as the config writes it, of the name that its counters have: `day Europe/Paris 1 1` is a day of that zone,
 * `rolling300000` is 5m.
 */
export function shownWindow(name: string): { readonly window: string; readonly timezone: string | null } {
  const rolling = /^rolling(\d+)$/.exec(name)
  if (rolling) {
    const lengthMs = Number(rolling[1])
    const [unit, ms] = LENGTHS.find((length) => lengthMs % length[1] === 0) ?? ['ms', 1]
    return { window: `${lengthMs / ms}${unit}`, timezone: null }
  }
  const [every = '', timezone = null] = name.split(' ')
  return { window: every, timezone }
}

/** A rolling window is counted in so many parts; the oldest counts whole, so a count is at most a twelfth too high. */
const PARTS = 12

export function partMs(lengthMs: number): number {
  return Math.max(1, Math.ceil(lengthMs / PARTS))
}

/** Start of the window before the one that `atMs` falls in, of that one, of the next, and the next one's end. */
export type Bounds = readonly [before: number, start: number, end: number, after: number]

const known = new Map<string, Bounds>()
const KNOWN_MAX = 1000

/** Worked out once a window: most calls find it. */
export function calendarBounds(window: CalendarWindow, atMs: number): Bounds {
  const { every, timezone, anchor, weekStart } = window
  const name = `${every} ${timezone} ${anchor} ${weekStart}`
  const last = known.get(name)
  if (last && last[1] <= atMs && atMs < last[2]) return last
  const bounds = findBounds(window, atMs)
  if (known.size >= KNOWN_MAX) known.clear()
  known.set(name, bounds)
  return bounds
}

function findBounds(window: CalendarWindow, atMs: number): Bounds {
  const start = startOf(window, atMs)
  const end = startAfter(window, start)
  return [startOf(window, start - 1), start, end, startAfter(window, end)]
}

/** Start of the window that `atMs` falls in. */
function startOf(window: CalendarWindow, atMs: number): number {
  const at = DateTime.fromMillis(atMs, { zone: window.timezone })
  switch (window.every) {
    case 'hour':
      return hourStart(window, atMs)
    case 'day':
      return at.startOf('day').toMillis()
    case 'week': {
      const back = (at.weekday - window.weekStart + 7) % 7
      return at.startOf('day').minus({ days: back }).startOf('day').toMillis()
    }
    case 'month':
      return anchored(window, at, 1)
    case 'quarter':
      return anchored(window, at, 3)
    case 'year':
      return anchored(window, at, 12)
  }
}

const HOUR_MS = 3_600_000
/** Any instant: where clocks change, they do so by whole hours but on one island (Lord Howe, by half of one). */
const REFERENCE_MS = Date.UTC(2026, 0, 1)

/** Hours are told by the zone's offset, not by its clock: in the night of the change one hour of the clock comes twice. */
function hourStart({ timezone }: CalendarWindow, atMs: number): number {
  const offsetMs = DateTime.fromMillis(REFERENCE_MS, { zone: timezone }).offset * 60_000
  const local = atMs + offsetMs
  return atMs - (((local % HOUR_MS) + HOUR_MS) % HOUR_MS)
}

/** Months are taken `step` at a time, from January on; the window begins at the anchor of the first of them. */
function anchored(window: CalendarWindow, at: DateTime, step: number): number {
  const first = at.startOf('month').minus({ months: (at.month - 1) % step })
  const start = anchorOf(window, first)
  return start <= at.toMillis() ? start : anchorOf(window, first.minus({ months: step }))
}

function anchorOf(window: CalendarWindow, month: DateTime): number {
  const day = Math.min(window.anchor, month.daysInMonth ?? 28)
  return month.set({ day }).startOf('day').toMillis()
}

function startAfter(window: CalendarWindow, startMs: number): number {
  const at = DateTime.fromMillis(startMs, { zone: window.timezone })
  switch (window.every) {
    case 'hour':
      return startMs + HOUR_MS
    case 'day':
      return at.plus({ days: 1 }).startOf('day').toMillis()
    case 'week':
      return at.plus({ days: 7 }).startOf('day').toMillis()
    case 'month':
      return anchorOf(window, at.startOf('month').plus({ months: 1 }))
    case 'quarter':
      return anchorOf(window, at.startOf('month').plus({ months: 3 }))
    case 'year':
      return anchorOf(window, at.startOf('month').plus({ months: 12 }))
  }
}
