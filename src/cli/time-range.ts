/// <reference lib="esnext.temporal" />
import { CliError } from './cli-error.ts'

export interface TimeRange {
  /** Inclusive. */
  readonly sinceMs: number
  /** Exclusive. */
  readonly untilMs: number
}

export interface TimeOptions {
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly period?: string | undefined
  readonly timezone?: string | undefined
}

function midnightMs(date: Temporal.PlainDate, timezone: string): number {
  return date.toZonedDateTime(timezone).epochMilliseconds
}

function wrong(option: string, text: string, example: string): CliError {
  return new CliError(`${option}: "${text}" is not understood; write it like ${example}`, 2)
}

/**
 * A point in time: a date (its midnight in the zone), a time with an offset, or a time to go back from now
 * (`90m`, `24h`, `7d`). Throws CliError 2.
 */
export function parseTime(option: string, text: string, timezone: string, nowMs: number): number {
  const ago = /^(\d{1,6})([mhd])$/.exec(text)
  if (ago) return nowMs - Number(ago[1]) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[ago[2] as 'm' | 'h' | 'd']
  try {
    if (/^\d{4}-\d\d-\d\d$/.test(text)) return midnightMs(Temporal.PlainDate.from(text), timezone)
    return Temporal.Instant.from(text).epochMilliseconds
  } catch {
    throw wrong(option, text, '2026-11-01, 2026-11-01T08:00:00Z or 24h')
  }
}

/** First day of a period and of the next: 2026, 2026-Q4, 2026-11, 2026-W48 (ISO 8601), 2026-11-23. */
function periodDates(text: string): readonly [Temporal.PlainDate, Temporal.PlainDate] {
  const match = /^(\d{4})(?:-(?:Q([1-4])|W(\d\d)|(\d\d)(?:-(\d\d))?))?$/.exec(text)
  if (!match) throw new RangeError(text)
  const [, year, quarter, week, month, day] = match
  const from = (monthNumber: number, dayNumber = 1) =>
    Temporal.PlainDate.from({ year: Number(year), month: monthNumber, day: dayNumber }, { overflow: 'reject' })
  if (quarter) return [from(Number(quarter) * 3 - 2), from(Number(quarter) * 3 - 2).add({ months: 3 })]
  if (day) return [from(Number(month), Number(day)), from(Number(month), Number(day)).add({ days: 1 })]
  if (month) return [from(Number(month)), from(Number(month)).add({ months: 1 })]
  if (!week) return [from(1), from(1).add({ years: 1 })]
  // The week with 4 January is the first.
  const first = from(1, 4)
  const monday = first.subtract({ days: first.dayOfWeek - 1 }).add({ weeks: Number(week) - 1 })
  if (week === '00' || monday.add({ days: 3 }).year !== Number(year)) throw new RangeError(text)
  return [monday, monday.add({ weeks: 1 })]
}

/** Throws CliError 2 for what is not understood, or for a period beside since and until. */
export function timeRange(options: TimeOptions, nowMs: number): TimeRange {
  const timezone = options.timezone ?? 'UTC'
  try {
    Temporal.Now.zonedDateTimeISO(timezone)
  } catch {
    throw wrong('--timezone', timezone, 'Europe/Paris')
  }
  if (options.period !== undefined) {
    if (options.since !== undefined || options.until !== undefined) {
      throw new CliError('--period stands for --since and --until: give one or the other', 2)
    }
    try {
      const [first, next] = periodDates(options.period)
      return { sinceMs: midnightMs(first, timezone), untilMs: midnightMs(next, timezone) }
    } catch {
      throw wrong('--period', options.period, '2026, 2026-Q4, 2026-11, 2026-W48 or 2026-11-23')
    }
  }
  const { since, until } = options
  const sinceMs = since === undefined ? Number.NEGATIVE_INFINITY : parseTime('--since', since, timezone, nowMs)
  const untilMs = until === undefined ? Number.POSITIVE_INFINITY : parseTime('--until', until, timezone, nowMs)
  if (sinceMs >= untilMs) throw new CliError(`--since ${since} is not before --until ${until}`, 2)
  return { sinceMs, untilMs }
}

// A report reads a long ledger.
export const REPORT_ANSWER_MS = 3_600_000

/** The same for the admin API. Throws CliError 2. */
export function spanQuery(options: TimeOptions, nowMs: number): { readonly since?: string; readonly until?: string } {
  const { sinceMs, untilMs } = timeRange(options, nowMs)
  return {
    ...(Number.isFinite(sinceMs) ? { since: new Date(sinceMs).toISOString() } : {}),
    ...(Number.isFinite(untilMs) ? { until: new Date(untilMs).toISOString() } : {}),
  }
}
