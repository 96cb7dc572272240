/**
 * Time limits of the commands that are under way, by one timer for all of them. A limit counts time in which this
 * process could have read an answer: on a busy machine the event loop stands still for longer than a limit while the
 * answers wait in the socket, and a limit by the clock alone would take each of them for a Redis that does not answer.
 */

const TICK_MS = 25
/** A tick that comes later than this says that the loop stood still. */
const TICK_COUNTED_MS_MAX = 2 * TICK_MS

export class CommandTimedOut extends Error {}

interface Pending {
  readonly startedMs: number
  readonly onLimit: (error: Error) => void
}

export class CommandDeadlines {
  readonly #limitMs: number
  /** In the order of sending, which is the order of their limits. */
  readonly #pending = new Set<Pending>()
  readonly #timer: NodeJS.Timeout
  #lastTickMs = performance.now()
  /** Time in which the loop turned. */
  #activeMs = 0

  constructor(limitMs: number) {
    this.#limitMs = limitMs
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref()
  }

  /** The promise's own outcome, or CommandTimedOut. */
  bound<Value>(promise: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      const end = this.start(reject)
      promise.then(
        (value) => {
          end()
          resolve(value)
        },
        (error) => {
          end()
          reject(error)
        },
      )
    })
  }

  /** Calls `onLimit` at the limit, unless the function that it gives was called before. */
  start(onLimit: (error: Error) => void): () => void {
    const pending: Pending = { startedMs: this.#activeMs, onLimit }
    this.#pending.add(pending)
    return () => this.#pending.delete(pending)
  }

  /** The connection is gone: none of them will be answered. */
  failAll(error: Error): void {
    for (const pending of this.#pending) pending.onLimit(error)
    this.#pending.clear()
  }

  close(): void {
    clearInterval(this.#timer)
    this.failAll(new Error('the connection was closed'))
  }

  #tick(): void {
    const nowMs = performance.now()
    this.#activeMs += Math.min(nowMs - this.#lastTickMs, TICK_COUNTED_MS_MAX)
    this.#lastTickMs = nowMs
    for (const pending of this.#pending) {
      if (this.#activeMs - pending.startedMs < this.#limitMs) return
      this.#pending.delete(pending)
      pending.onLimit(new CommandTimedOut('Command timed out'))
    }
  }
}
