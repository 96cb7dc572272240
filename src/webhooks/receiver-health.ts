/**
 * How a receiver does, as this process sees it. One that fails for several accounts in a row is left alone for a while,
 * then tried with one post: thousands of accounts must not each wait out a dead address.
 */
import type { Receiver } from '../config/snapshot.ts'
import type { PostResult } from './post.ts'
import { type RetryPolicy, retryDelayMs } from './retry.ts'

const FAILURES_BEFORE_PAUSE = 5
/** One account's event that the receiver cannot take is no reason to keep the others waiting. */
const ACCOUNTS_BEFORE_PAUSE = 3

export interface HealthOptions {
  readonly policy: RetryPolicy
  readonly now: () => number
  readonly random: () => number
}

export class ReceiverHealth {
  /** For logs and metrics: a path may be a secret. */
  readonly name: string
  /** It answered 410 Gone under this config. */
  gone = false
  lastSuccessMs: number | undefined
  /** Of the first failure after the last success. */
  failingSinceMs: number | undefined
  error: string | undefined
  /** Changes that are not yet in Redis. */
  changed = false
  readonly #options: HealthOptions
  readonly #accounts = new Set<string>()
  #failures = 0
  #pauses = 0
  #pausedUntilMs = 0

  constructor(receiver: Receiver, options: HealthOptions) {
    this.name = new URL(receiver.url).host
    this.#options = options
  }

  saw(result: Exclude<PostResult, { kind: 'stopped' }>, account: string): void {
    this.changed = true
    if (result.kind === 'delivered') {
      this.#succeeded()
      return
    }
    this.failingSinceMs ??= this.#options.now()
    this.error = result.reason
    if (result.kind === 'gone') this.gone = true
    else if (result.ofReceiver) this.#failed(account, result.retryAfterMs ?? 0)
  }

  /** It has config, or an operator's test, that lets it be asked again. */
  forget(): void {
    this.gone = false
    this.#resume()
  }

  isPaused(nowMs: number): boolean {
    return nowMs < this.#pausedUntilMs
  }

  resumesAt(nowMs: number): number {
    return Math.max(nowMs, this.#pausedUntilMs)
  }

  /** How many posts at once it may be asked: one where it failed until now. */
  slots(nowMs: number, most: number): number {
    if (this.isPaused(nowMs)) return 0
    return this.#pauses > 0 ? 1 : most
  }

  #succeeded(): void {
    this.lastSuccessMs = this.#options.now()
    this.failingSinceMs = undefined
    this.error = undefined
    this.gone = false
    this.#resume()
  }

  #resume(): void {
    this.#failures = 0
    this.#pauses = 0
    this.#pausedUntilMs = 0
    this.#accounts.clear()
  }

  #failed(account: string, askedMs: number): void {
    const { policy, now, random } = this.#options
    this.#failures++
    if (this.#accounts.size < ACCOUNTS_BEFORE_PAUSE) this.#accounts.add(account)
    // Those that were under way when the pause began say nothing new.
    if (this.isPaused(now())) return
    if (this.#failures < FAILURES_BEFORE_PAUSE || this.#accounts.size < ACCOUNTS_BEFORE_PAUSE) return
    this.#pauses++
    const waitMs = Math.max(retryDelayMs(this.#pauses, policy, random), Math.min(askedMs, policy.mostMs))
    this.#pausedUntilMs = now() + waitMs
  }
}
