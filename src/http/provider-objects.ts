/**
 * Who made which object at a provider (stored responses, …), kept in Redis beside the wallets: an object answers only
 * to the account that made it. Also its tokens, so that a call which refers to it can be held at what it will read.
 */
import type { Upstream } from '../config/snapshot.ts'

export interface ObjectStoreClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
}

export interface ProviderObject {
  readonly account: string
  readonly upstream: string
  /** Input and output tokens that the object carries into a call which continues it; 0: not known. */
  readonly tokens: number
}

// A year: providers keep stored responses for 30 days, and longer where told. No money hangs on it: an object that is
// forgotten here answers to nobody.
const KEPT_MS = 365 * 24 * 3600 * 1000

const keyOf = (id: string): string => `tg:object:${id}`
/** What a provider uses in ids; anything else names no object of ours. */
const ID = /^[A-Za-z0-9_.:-]{1,256}$/

export class ProviderObjects {
  readonly #redis: ObjectStoreClient

  constructor(redis: ObjectStoreClient) {
    this.#redis = redis
  }

  /** Undefined: none made through the gateway. Throws WalletUnavailable. */
  async find(id: string): Promise<ProviderObject | undefined> {
    if (!ID.test(id)) return undefined
    const text = await this.#redis.call('GET', keyOf(id))
    if (typeof text !== 'string') return undefined
    const [account = '', upstream = '', tokens = '0'] = text.split('|')
    return { account, upstream, tokens: Number(tokens) }
  }

  /** Not awaited by callers: it is on its way before the answer that carries the id is. */
  record(id: string, account: string, upstream: Upstream, tokens: number): Promise<unknown> {
    if (!ID.test(id)) return Promise.resolve()
    return this.#redis.call('SET', keyOf(id), `${account}|${upstream.name}|${tokens}`, 'PX', KEPT_MS)
  }
}
