import { wrongField } from './admin-error.ts'
import { timeText } from './render-wallet.ts'

export interface Span {
  /** Inclusive and exclusive. */
  readonly sinceMs: number
  readonly untilMs: number
}

/** Throws 422 for a span that ends before it begins. */
export function spanOf({
  since,
  until,
}: {
  readonly since?: string | undefined
  readonly until?: string | undefined
}): Span {
  const sinceMs = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(since)
  const untilMs = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until)
  if (sinceMs >= untilMs) throw wrongField('until', `is not after since (${since})`)
  return { sinceMs, untilMs }
}

export function spanJson({ sinceMs, untilMs }: Span): { readonly since: string | null; readonly until: string | null } {
  const text = (ms: number): string | null => (Number.isFinite(ms) ? timeText(ms) : null)
  return { since: text(sinceMs), until: text(untilMs) }
}

/** Throws 422 for a time zone that does not exist. */
export function needTimezone(timezone: string): string {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: timezone })
    return timezone
  } catch {
    throw wrongField('timezone', `"${timezone}" is no time zone; write it like Europe/Paris`)
  }
}
