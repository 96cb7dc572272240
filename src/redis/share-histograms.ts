/**
 * What the processes of a fleet learn, added up in Redis: each hands over what it has learnt since the last time and
 * takes the sum, every few seconds and once at its end, never while a call waits. Nothing here is money: a lost addition
 * costs accuracy, and while Redis is away each process goes on with what it knows.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LearnedHistograms } from '../core/learned-histograms.ts'

export interface SharingClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
}

const EVERY_MS = 15_000
/** Names a question; a round asks as often as there are more, up to all that a store can have. */
const NAMES_MAX = 512
const QUESTIONS_MAX = 8
/** Fields a hash: those beyond it are forgotten, by chance. */
const FIELDS_MAX = 8192
const KEPT_SECONDS = 30 * 24 * 3600
const LAST_ROUND_MS = 1_000

export class HistogramSharing {
  readonly #redis: SharingClient
  readonly #stores: ReadonlyMap<string, LearnedHistograms>
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined

  /** `stores`: by the key of their hash in Redis, of which each histogram is a field. */
  constructor(redis: SharingClient, stores: ReadonlyMap<string, LearnedHistograms>) {
    this.#redis = redis
    this.#stores = stores
  }

  start(): void {
    this.#timer = setInterval(() => void this.exchange(), EVERY_MS)
    this.#timer.unref()
  }

  /** The last round; not waited for longer than a second. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.race([this.exchange(), sleep(LAST_ROUND_MS, undefined, { ref: false })])
  }

  /** Never throws. One round at a time. */
  exchange(): Promise<void> {
    this.#round ??= this.#exchangeAll().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  async #exchangeAll(): Promise<void> {
    for (const [key, store] of this.#stores) {
      try {
        let questions = 0
        let exchanged = 0
        do {
          exchanged = await this.#exchangeSome(key, store)
          if (exchanged > 0) questions++
        } while (exchanged === NAMES_MAX && questions < QUESTIONS_MAX)
        if (questions > 0) await this.#forgetSome(key)
      } catch {
        // Redis is away, or has something else under the key: the next round tries again.
      }
    }
  }

  /** How many were exchanged. */
  async #exchangeSome(key: string, store: LearnedHistograms): Promise<number> {
    const names = store.namesToExchange(NAMES_MAX)
    if (names.length === 0) return 0
    const shared = await this.#redis.call('HMGET', key, ...names)
    if (!Array.isArray(shared)) return 0
    const changed: string[] = []
    names.forEach((name, i) => {
      const sum = store.exchange(name, typeof shared[i] === 'string' ? shared[i] : '')
      if (sum !== undefined) changed.push(name, sum)
    })
    if (changed.length > 0) {
      await this.#redis.call('HSET', key, ...changed)
      await this.#redis.call('EXPIRE', key, KEPT_SECONDS)
    }
    return names.length
  }

  async #forgetSome(key: string): Promise<void> {
    const tooMany = Number(await this.#redis.call('HLEN', key)) - FIELDS_MAX
    if (!(tooMany > 0)) return
    const names = await this.#redis.call('HRANDFIELD', key, tooMany)
    if (Array.isArray(names) && names.length > 0) await this.#redis.call('HDEL', key, ...names.map(String))
  }
}
