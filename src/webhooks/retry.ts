/** When an event that its receiver did not take is posted again, and when it is given up. */

export interface RetryPolicy {
  readonly firstMs: number
  readonly mostMs: number
  readonly forMs: number
}

/** How far a receiver is with the events of an account. */
export interface Progress {
  /** It has, or has lost, every event up to this. */
  readonly seq: number
  /** Failed posts of the event after it. */
  readonly attempts: number
  /** When it last began to fail; 0: it does not. */
  readonly failingSinceMs: number
}

export const NO_PROGRESS: Progress = { seq: 0, attempts: 0, failingSinceMs: 0 }

/** firstMs, doubled for each failure before, up to mostMs; less a fifth at random, so that they do not come in step. */
export function retryDelayMs(failures: number, policy: RetryPolicy, random: () => number): number {
  const whole = Math.min(policy.mostMs, policy.firstMs * 2 ** Math.min(failures - 1, 30))
  return Math.ceil(whole * (1 - random() / 5))
}

/** `Retry-After` in milliseconds from now, seconds or a date; undefined where it says nothing. */
export function readRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000
  const atMs = Date.parse(value)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}

/**
 * An event is given up that failed, and is older than the policy's time, as is the failing: what waited behind others
 * for as long is tried once, and what a gateway finds that was away itself gets the whole time.
 */
export function isGivenUp(eventAtMs: number, failingSinceMs: number, policy: RetryPolicy, nowMs: number): boolean {
  return nowMs - Math.max(eventAtMs, failingSinceMs) >= policy.forMs
}
