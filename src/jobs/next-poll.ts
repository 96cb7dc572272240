import type { Limits } from '../config/snapshot.ts'
import type { LongCall } from './long-call.ts'

/** Past the deadline the money is charged already: what still comes is worth a question now and then. */
const LATE_MS = 600_000
const GROWTH = 1.5

/** When to ask again after `polls` questions: ever later, with a fifth of jitter so that many do not come in step. */
export function nextPollMs(
  limits: Pick<Limits, 'pollFirstMs' | 'pollMostMs'>,
  call: Pick<LongCall, 'deadlineAtMs'>,
  polls: number,
  nowMs: number,
  random: () => number = Math.random,
): number {
  const grown = limits.pollFirstMs * GROWTH ** Math.min(polls, 60)
  const delay = nowMs >= call.deadlineAtMs ? Math.max(LATE_MS, limits.pollMostMs) : Math.min(limits.pollMostMs, grown)
  return Math.round(nowMs + delay * (0.8 + 0.4 * random()))
}
