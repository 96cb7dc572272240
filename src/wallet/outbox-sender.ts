/**
 * Sends what is owed until it is acknowledged. First attempts go out at once, side by side; what Redis did not take
 * waits in one queue with one back-off for all (100 ms … 5 s), so that a hundred thousand of them cost one timer.
 */
import type { Log } from '../log.ts'
import { WalletUnavailable } from './wallet-types.ts'

export interface Owed {
  readonly id: string
  readonly account: string
  readonly recordedAtMs: number
  /** Sends it; throws where there was no answer, else gives what hands the answer on, once nothing is owed. */
  readonly send: () => Promise<() => void>
}

interface Waiting extends Owed {
  attempts: number
  /** Its failure is in the log. */
  said: boolean
  dueMs: number
  /** A later act of the same call: sent after this one is acknowledged. */
  after: Waiting | undefined
}

const RESENDS_AT_ONCE = 64
const BACK_OFF_MS = 5_000
// What Redis answers with an error of its own will not be mended by asking: now and then, for who mends it by hand.
const FAILED_BACK_OFF_MS = 300_000

function backOffMs(attempts: number, mostMs: number): number {
  return Math.min(mostMs, 100 * 2 ** Math.min(attempts - 1, 12)) * (0.75 + Math.random() * 0.5)
}

export class OutboxSender {
  readonly #log: Log
  readonly #nowMs: () => number
  // In order of recording: the first is the oldest.
  readonly #owed = new Set<Waiting>()
  readonly #lastOfCall = new Map<string, Waiting>()
  // Two lists: what Redis could not be asked about, and what it answered with an error of its own. One that fails for
  // ever must not hold up the others.
  #unavailable: Waiting[] = []
  #failed: Waiting[] = []
  #resending = 0
  #pausedUntilMs = 0
  #pauses = 0
  #timer: NodeJS.Timeout | undefined
  #onEmpty: (() => void) | undefined
  #closed = false

  constructor(log: Log, nowMs: () => number) {
    this.#log = log
    this.#nowMs = nowMs
  }

  get depth(): number {
    return this.#owed.size
  }

  get oldestMs(): number | undefined {
    const first = this.#owed.values().next()
    return first.done ? undefined : first.value.recordedAtMs
  }

  /** How many Redis has answered with an error, which asking again will not mend by itself. */
  get failing(): number {
    let count = 0
    for (const waiting of this.#owed) if (waiting.said) count++
    return count
  }

  owes(id: string): boolean {
    return this.#lastOfCall.has(id)
  }

  add(owed: Owed): void {
    const waiting: Waiting = { ...owed, attempts: 0, said: false, dueMs: 0, after: undefined }
    const earlier = this.#lastOfCall.get(owed.id)
    this.#owed.add(waiting)
    this.#lastOfCall.set(owed.id, waiting)
    if (earlier) earlier.after = waiting
    else void this.#attempt(waiting)
  }

  /** Redis is back: do not wait for the back-off. */
  nudge(): void {
    this.#pausedUntilMs = 0
    this.#pump()
  }

  /** True when nothing is owed any more, false when the time is up. Nothing is re-sent after it. */
  async close(withinMs: number): Promise<boolean> {
    this.nudge()
    if (this.#owed.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#onEmpty = resolve
      const timer = setTimeout(resolve, withinMs)
      await promise
      clearTimeout(timer)
    }
    this.#closed = true
    clearTimeout(this.#timer)
    return this.#owed.size === 0
  }

  async #attempt(waiting: Waiting): Promise<void> {
    let deliver: () => void
    try {
      deliver = await waiting.send()
    } catch (error) {
      waiting.attempts++
      this.#defer(waiting, error)
      return
    }
    this.#pausedUntilMs = 0
    this.#pauses = 0
    this.#done(waiting)
    deliver()
  }

  #done(waiting: Waiting): void {
    this.#owed.delete(waiting)
    if (this.#lastOfCall.get(waiting.id) === waiting) this.#lastOfCall.delete(waiting.id)
    if (waiting.after) void this.#attempt(waiting.after)
    if (this.#owed.size === 0) this.#onEmpty?.()
    if (this.#unavailable.length > 0) this.#pump()
  }

  #defer(waiting: Waiting, error: unknown): void {
    const nowMs = this.#nowMs()
    if (error instanceof WalletUnavailable) {
      this.#unavailable.push(waiting)
      if (this.#pausedUntilMs <= nowMs) this.#pausedUntilMs = nowMs + backOffMs(++this.#pauses, BACK_OFF_MS)
    } else {
      // Redis answers, but not with an answer: a fault of ours. Kept, shown in the age of the oldest, tried again.
      waiting.dueMs = nowMs + backOffMs(waiting.attempts, FAILED_BACK_OFF_MS)
      this.#failed.push(waiting)
      const fields = { id: waiting.id, account: waiting.account, attempts: waiting.attempts, error }
      if (!waiting.said) this.#log.error(fields, 'a settlement fails: it is kept and tried again')
      waiting.said = true
    }
    this.#schedule()
  }

  #pump(): void {
    if (this.#closed) return
    const nowMs = this.#nowMs()
    const due = this.#failed.filter((waiting) => waiting.dueMs <= nowMs)
    if (due.length > 0) this.#failed = this.#failed.filter((waiting) => waiting.dueMs > nowMs)
    for (const waiting of due) void this.#resend(waiting)
    if (this.#pausedUntilMs <= nowMs) {
      const room = RESENDS_AT_ONCE - this.#resending
      for (const waiting of this.#unavailable.splice(0, Math.max(0, room))) void this.#resend(waiting)
    }
    this.#schedule()
  }

  async #resend(waiting: Waiting): Promise<void> {
    this.#resending++
    await this.#attempt(waiting)
    this.#resending--
    this.#pump()
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#closed) return
    if (this.#unavailable.length === 0 && this.#failed.length === 0) return
    const nowMs = this.#nowMs()
    let nextMs = this.#unavailable.length > 0 ? this.#pausedUntilMs : Number.POSITIVE_INFINITY
    for (const waiting of this.#failed) nextMs = Math.min(nextMs, waiting.dueMs)
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#pump()
      },
      Math.max(10, nextMs - nowMs),
    )
  }
}
