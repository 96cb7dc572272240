export type Period = 'day' | 'week' | 'month' | 'quarter' | 'year'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/** The last minute asked for, by zone: offsets change on whole minutes, so a date holds for all of one. */
const lastDate = new Map<string, { readonly minute: number; readonly date: Date }>()
const formats = new Map<string, Intl.DateTimeFormat>()

/**
 * Name of the period that an instant falls in, by the calendar of a time zone: 2026-11-23, 2026-W48 (ISO 8601 weeks),
 * 2026-11, 2026-Q4, 2026. Names of one kind sort by time. Throws RangeError for a zone that does not exist.
 */
export function overflowPeriod(period: Period, atMs: number, timezone: string): string {
  const date = localDate(atMs, timezone)
  const year = String(date.getUTCFullYear()).padStart(4, '0')
  const month = date.getUTCMonth() + 1
  switch (period) {
    case 'day':
      return `${year}-${two(month)}-${two(date.getUTCDate())}`
    case 'week':
      return isoWeek(date)
    case 'month':
      return `${year}-${two(month)}`
    case 'quarter':
      return `${year}-Q${Math.ceil(month / 3)}`
    case 'year':
      return year
  }
}

/** Name of the period after one of the same kind: 2026-12 → 2027-01. Undefined for what is no period. */
export function periodAfter(name: string): string | undefined {
  const match = /^(\d{4})(?:-(?:Q([1-4])|W(\d\d)|(\d\d)(?:-(\d\d))?))?$/.exec(name)
  if (!match) return undefined
  const [year, quarter, week, month, day] = match.slice(1).map((part) => part && Number(part)) as number[]
  if (year === undefined) return undefined
  if (day !== undefined && month !== undefined) return overflowPeriod('day', Date.UTC(year, month - 1, day + 1), 'UTC')
  if (month !== undefined) return overflowPeriod('month', Date.UTC(year, month), 'UTC')
  // 4 January is in the first week of its year.
  if (week !== undefined) return overflowPeriod('week', Date.UTC(year, 0, 4 + week * 7), 'UTC')
  if (quarter !== undefined) return overflowPeriod('quarter', Date.UTC(year, quarter * 3), 'UTC')
  return overflowPeriod('year', Date.UTC(year + 1, 0), 'UTC')
}

/** The period that charges of `name` go to: itself, or the first after it that is not closed. */
export function openPeriod(name: string, closed: Readonly<Record<string, unknown>>): string {
  let open = name
  while (Object.hasOwn(closed, open)) open = periodAfter(open) ?? open
  return open
}

/** The calendar date in the zone, as midnight UTC of a Date: only its UTC fields mean anything. */
function localDate(atMs: number, timezone: string): Date {
  const minute = Math.floor(atMs / MINUTE_MS)
  const last = lastDate.get(timezone)
  if (last?.minute === minute) return last.date
  const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {}
  for (const part of formatOf(timezone).formatToParts(atMs)) parts[part.type] = part.value
  const date = new Date(Date.UTC(Number(parts.year), Number(parts.month) - 1, Number(parts.day)))
  lastDate.set(timezone, { minute, date })
  return date
}

function formatOf(timezone: string): Intl.DateTimeFormat {
  let format = formats.get(timezone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
    })
    formats.set(timezone, format)
  }
  return format
}

/** A week belongs to the year that its Thursday is in. */
function isoWeek(date: Date): string {
  const weekday = (date.getUTCDay() + 6) % 7
  const thursday = new Date(date.getTime() + (3 - weekday) * DAY_MS)
  const year = thursday.getUTCFullYear()
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS))
  return `${String(year).padStart(4, '0')}-W${two(week)}`
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
