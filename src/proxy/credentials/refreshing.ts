/**
 * A value that grows old, as tokens and temporary keys do. One fetch at a time whoever asks; it is fetched anew ahead
 * of its end while the old one still serves, and the old one is kept where that fails. Only who finds no valid value
 * waits.
 */
export interface Fetched<Value> {
  readonly value: Value
  /** From here on it is fetched anew behind the back of those who use it. */
  readonly refreshAtMs: number
  /** From here on it is not used. Infinity: unknown, so it is used until a newer one is there. */
  readonly expiresAtMs: number
}

export interface RefreshingOptions<Value> {
  fetch(): Promise<Fetched<Value>>
  /** A fetch took longer than this: it has failed. */
  readonly timeoutMs: number
  readonly now: () => number
  /** Once for each fetch that failed. `kept`: an older value still serves. */
  onFailure(error: unknown, kept: boolean): void
}

/** A source that fails is asked again no sooner than this, by whoever comes. */
const RETRY_MS = 1_000
/** A value that the other side refuses is fetched anew, but a young one is not what is wrong. */
const YOUNG_MS = 30_000

export class Refreshing<Value> {
  readonly #options: RefreshingOptions<Value>
  #current: Fetched<Value> | undefined
  #fetchedAtMs = 0
  #pending: Promise<Value> | undefined
  #failure: unknown
  #retryAtMs = 0

  constructor(options: RefreshingOptions<Value>) {
    this.#options = options
  }

  /** At once where a valid value is there. Rejects with what the fetch failed with. */
  get(): Value | Promise<Value> {
    const nowMs = this.#options.now()
    const current = this.#current
    if (current && nowMs < current.expiresAtMs) {
      if (nowMs >= current.refreshAtMs) this.#fetchBehind(nowMs)
      return current.value
    }
    if (this.#pending) return this.#pending
    return nowMs < this.#retryAtMs ? Promise.reject(this.#failure) : this.#fetch()
  }

  /** The other side did not take the value. */
  refused(): void {
    const nowMs = this.#options.now()
    if (this.#current && nowMs - this.#fetchedAtMs >= YOUNG_MS) this.#fetchBehind(nowMs)
  }

  #fetchBehind(nowMs: number): void {
    if (this.#pending || nowMs < this.#retryAtMs) return
    // Whoever waits for it handles the failure; nobody may.
    this.#fetch().catch(() => {})
  }

  #fetch(): Promise<Value> {
    const { fetch, timeoutMs } = this.#options
    const pending = withinTime(fetch(), timeoutMs).then(
      (fetched) => {
        this.#pending = undefined
        this.#current = fetched
        this.#fetchedAtMs = this.#options.now()
        return fetched.value
      },
      (error: unknown) => {
        this.#pending = undefined
        const nowMs = this.#options.now()
        this.#failure = error
        this.#retryAtMs = nowMs + RETRY_MS
        this.#options.onFailure(error, this.#current !== undefined && nowMs < this.#current.expiresAtMs)
        throw error
      },
    )
    this.#pending = pending
    return pending
  }
}

function withinTime<Result>(promise: Promise<Result>, timeoutMs: number): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
