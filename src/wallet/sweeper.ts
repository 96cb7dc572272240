/**
 * Ends what time has ended: a hold whose deadline passed gets its timeout entry, an expired grant its expire entry,
 * within a minute, on whichever gateway looks first.
 *
 * `tg:active` (a sorted set) names what to look at: a member is an account and a ten-second bucket of deadlines, its
 * score the end of the bucket. One member for each bucket, and not one for the account: an account in constant use
 * would push a single deadline ahead for ever, and removing it would race with the next hold.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { RedisClient } from '../redis/client.ts'
import { type Wallet, WalletUnavailable } from './wallet-types.ts'

const ACTIVE_KEY = 'tg:active'

const BUCKET_MS = 10_000
const FLUSH_MS = 1_000
const DUE_AT_ONCE = 200
const SCAN_AGAIN_MS = 1_000
const KNOWN_FOR_MS = 3_600_000
const WRITTEN_AT_ONCE = 1_000
// A sweep writes at most 32 entries; an account with more than this many batches goes on in the next round.
const BATCHES_AT_ONCE = 50

export interface SweeperOptions {
  readonly wallet: Pick<Wallet, 'sweep'>
  readonly redis: Pick<RedisClient, 'call'>
  /** Configured accounts: all are looked at after the start, whatever an earlier process left in Redis. */
  readonly accounts: () => Iterable<string>
  /** Further ones, in pages: looked at one page after the other beside the rounds, since there may be very many. */
  readonly others?: () => AsyncIterable<readonly string[]>
  readonly log: Log
  readonly intervalMs?: number
  readonly nowMs?: () => number
}

export class Sweeper {
  readonly #options: SweeperOptions
  readonly #nowMs: () => number
  /** Members not yet written, with their score. */
  readonly #fresh = new Map<string, number>()
  /** Members of buckets that are still to come, so that an account in use costs one write a bucket. */
  readonly #known = new Map<string, number>()
  readonly #atStart = new Set<string>()
  /** Accounts whose failure is in the log. */
  readonly #failing = new Set<string>()
  readonly #flusher: NodeJS.Timeout
  #ticker: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined
  #scan: Promise<void> | undefined
  #stopped = false

  constructor(options: SweeperOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    // Deadlines are written down by every process that makes holds, whichever of them sweeps.
    this.#flusher = setInterval(() => void this.#flush(), FLUSH_MS).unref()
  }

  start(): void {
    for (const account of this.#options.accounts()) this.#atStart.add(account)
    this.#ticker = setInterval(() => void this.tick(), this.#options.intervalMs ?? 5_000).unref()
    void this.tick()
    this.#scan = this.#scanOthers()
  }

  /** Writes down what it still knows, then rests. */
  async stop(): Promise<void> {
    clearInterval(this.#flusher)
    clearInterval(this.#ticker)
    this.#stopped = true
    await this.#scan
    await this.#round
    await this.#flush()
  }

  /** There is a deadline in this account: it is looked at after that time. No await, no round trip of its own. */
  touch(account: string, deadlineAtMs: number): void {
    const bucketMs = Math.ceil(deadlineAtMs / BUCKET_MS) * BUCKET_MS
    const member = `${bucketMs} ${account}`
    if (this.#known.has(member)) return
    this.#fresh.set(member, bucketMs)
    // A grant's end is far away, and there may be one in every account: those are not worth remembering.
    if (bucketMs - this.#nowMs() < KNOWN_FOR_MS) this.#known.set(member, bucketMs)
  }

  /** One round; the next begins only when it is done. */
  tick(): Promise<void> {
    this.#round ??= this.#look().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  async #look(): Promise<void> {
    for (const account of [...this.#atStart]) {
      if (!(await this.#sweep(account))) continue
      this.#atStart.delete(account)
      // And once more: recovery brings deadlines of an earlier process's calls forward about now.
      this.touch(account, this.#nowMs() + 1)
    }
    for (const member of await this.#due(this.#nowMs())) {
      const account = member.slice(member.indexOf(' ') + 1)
      if (await this.#sweep(account)) await this.#ask('ZREM', ACTIVE_KEY, member)
    }
  }

  /** What fails here is looked at again in the rounds: Redis away, or more left than one look takes. */
  async #scanOthers(): Promise<void> {
    let pages: AsyncIterable<readonly string[]> | undefined = this.#options.others?.()
    while (pages !== undefined && !this.#stopped) {
      try {
        for await (const page of pages) {
          for (const account of page) {
            if (this.#stopped) return
            if (!(await this.#sweep(account))) this.#atStart.add(account)
          }
        }
        pages = undefined
      } catch (error) {
        if (!(error instanceof WalletUnavailable))
          this.#options.log.error({ error }, 'accounts could not be listed for their sweep')
        await sleep(SCAN_AGAIN_MS, undefined, { ref: false })
        pages = this.#options.others?.()
      }
    }
  }

  async #due(nowMs: number): Promise<readonly string[]> {
    const members = await this.#ask('ZRANGEBYSCORE', ACTIVE_KEY, '-inf', nowMs, 'LIMIT', 0, DUE_AT_ONCE)
    return Array.isArray(members) ? members.map(String) : []
  }

  /** False where it must be looked at again: Redis away, an error, or more left than one round takes. */
  async #sweep(account: string): Promise<boolean> {
    try {
      for (let batch = 0; batch < BATCHES_AT_ONCE; batch++) {
        const { swept, nextDueMs } = await this.#options.wallet.sweep(account)
        this.#failing.delete(account)
        if (nextDueMs === undefined) return true
        if (swept === 0) {
          // Not yet, by Redis's clock: a bucket ahead at least, or a clock ahead of it would ask in a circle.
          this.touch(account, Math.max(nextDueMs, this.#nowMs() + 1))
          return true
        }
      }
    } catch (error) {
      if (!this.#failing.has(account)) this.#report(error, account)
      if (!(error instanceof WalletUnavailable)) this.#failing.add(account)
      // An account that fails for another reason than Redis being away must not fill each round.
      if (!(error instanceof WalletUnavailable)) this.touch(account, this.#nowMs() + BUCKET_MS)
      return !(error instanceof WalletUnavailable)
    }
    return false
  }

  async #flush(): Promise<void> {
    // Here and not in a round: a worker writes deadlines down and sweeps nothing itself.
    const nowMs = this.#nowMs()
    for (const [member, bucketMs] of this.#known) if (bucketMs < nowMs) this.#known.delete(member)
    const fresh = [...this.#fresh]
    this.#fresh.clear()
    for (let i = 0; i < fresh.length; i += WRITTEN_AT_ONCE) {
      const batch = fresh.slice(i, i + WRITTEN_AT_ONCE)
      const answer = await this.#ask('ZADD', ACTIVE_KEY, ...batch.flatMap(([member, bucketMs]) => [bucketMs, member]))
      // Kept for the next time, unless they are no longer remembered by then anyhow.
      if (answer === undefined) for (const [member, bucketMs] of batch) this.#fresh.set(member, bucketMs)
    }
  }

  /** undefined where Redis did not answer. */
  async #ask(command: string, ...args: (string | number)[]): Promise<unknown> {
    try {
      return await this.#options.redis.call(command, ...args)
    } catch (error) {
      this.#report(error)
      return undefined
    }
  }

  #report(error: unknown, account?: string): void {
    // Redis being away is said once, where the connection is watched.
    if (error instanceof WalletUnavailable) return
    this.#options.log.error({ error, ...(account === undefined ? {} : { account }) }, 'the sweeper failed')
  }
}

export function createSweeper(options: SweeperOptions): Sweeper {
  return new Sweeper(options)
}
