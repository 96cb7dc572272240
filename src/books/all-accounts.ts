/** Ids of all accounts that have something in Redis, whatever the files say. */
import { NAME } from '../config/fields.ts'
import type { BooksRedis } from './books-target.ts'

const SCANNED = 1000
const AGAIN_MS = 600_000

/** Configured accounts at once; those that have a wallet beside them are looked for each ten minutes. */
export class AllAccounts {
  readonly #redis: BooksRedis
  readonly #configured: () => Iterable<string>
  readonly #nowMs: () => number
  #found: readonly string[] = []
  #foundMs = Number.NEGATIVE_INFINITY

  constructor(redis: BooksRedis, configured: () => Iterable<string>, nowMs: () => number = Date.now) {
    this.#redis = redis
    this.#configured = configured
    this.#nowMs = nowMs
  }

  async list(): Promise<ReadonlySet<string>> {
    if (this.#nowMs() - this.#foundMs >= AGAIN_MS) {
      this.#found = await this.#scan()
      this.#foundMs = this.#nowMs()
    }
    return new Set([...this.#configured(), ...this.#found])
  }

  /** A walk through all keys: a few thousand of them take Redis a millisecond. */
  async #scan(): Promise<readonly string[]> {
    const found: string[] = []
    let cursor = '0'
    do {
      const reply = await this.#redis.call('SCAN', cursor, 'MATCH', 'tg:{*}:acct', 'COUNT', SCANNED)
      const [next, keys] = reply as [string, readonly string[]]
      // What is no account's id was written by another hand.
      found.push(...keys.map((key) => key.slice('tg:{'.length, -'}:acct'.length)).filter((id) => NAME.test(id)))
      cursor = next
    } while (cursor !== '0')
    return found
  }
}
