/**
 * Who made which object at a provider (stored responses, files, batches, …), kept in Redis beside the wallets: an object
 * answers only to the account that made it. Also its tokens, so that a call which refers to it can be held at what it
 * will read. The same id at two upstreams is two objects.
 */
import type { Upstream } from '../config/snapshot.ts'

export interface ObjectStoreClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>
}

export interface ProviderObject {
  readonly account: string
  /** Input and output tokens that the object carries into a call which continues it; 0: not known. */
  readonly tokens: number
}

// A year: providers keep stored responses for 30 days, and longer where told. No money hangs on it: an object that is
// forgotten here answers to nobody.
const KEPT_MS = 365 * 24 * 3600 * 1000

const keyOf = (upstream: Pick<Upstream, 'name'>, id: string): string => `tg:object:${upstream.name} ${id}`
/** What a provider uses in ids, at Google with the collection before it; anything else names no object of ours. */
const ID = /^[A-Za-z0-9_.:-]{1,256}(?:\/[A-Za-z0-9_.:-]{1,256})?$/

export class ProviderObjects {
  readonly #redis: ObjectStoreClient

  constructor(redis: ObjectStoreClient) {
    this.#redis = redis
  }

  /** Undefined: none made through the gateway. Throws WalletUnavailable. */
  async find(id: string, upstream: Pick<Upstream, 'name'>): Promise<ProviderObject | undefined> {
    if (!ID.test(id)) return undefined
    const text = await this.#redis.call('GET', keyOf(upstream, id))
    if (typeof text !== 'string') return undefined
    const [account = '', tokens = '0'] = text.split('|')
    return { account, tokens: Number(tokens) }
  }

  /**
   * The first account that an id is recorded for keeps it: a provider may answer a retry of another's with its object.
   * Throws WalletUnavailable.
   */
  async record(id: string, account: string, upstream: Pick<Upstream, 'name'>, tokens = 0): Promise<void> {
    if (!ID.test(id)) return
    const [key, value] = [keyOf(upstream, id), `${account}|${tokens}`]
    if ((await this.#redis.call('SET', key, value, 'NX', 'PX', KEPT_MS)) !== null || tokens === 0) return
    const before = await this.find(id, upstream)
    if (before?.account === account) await this.#redis.call('SET', key, value, 'XX', 'PX', KEPT_MS)
  }

  /** It is gone at the provider. Throws WalletUnavailable. */
  async forget(id: string, upstream: Pick<Upstream, 'name'>): Promise<void> {
    if (ID.test(id)) await this.#redis.call('DEL', keyOf(upstream, id))
  }
}
