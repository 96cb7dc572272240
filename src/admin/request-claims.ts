/**
 * Which call an Idempotency-Key belongs to, for every gateway: a wallet's operations are recorded with their account, what
 * makes accounts and keys beside those, and neither knows of the other. Here a key stands for one call, whatever it does.
 */
import type { RedisClient } from '../redis/client.ts'
import { requestKey } from '../redis/keys.ts'
import { sha256Of } from './first-answers.ts'

/** As long as what the call did is known. */
const KEPT_MS = 35 * 86_400_000

/** `taken`: the key is another call's. */
export type Claim = 'made' | 'known' | 'taken'

export class RequestClaims {
  readonly #redis: Pick<RedisClient, 'call'>

  constructor(redis: Pick<RedisClient, 'call'>) {
    this.#redis = redis
  }

  /** `call`: method and path; arguments are told apart by what the call itself keeps. Throws WalletUnavailable. */
  async claim(key: string, call: string): Promise<Claim> {
    const mine = sha256Of(call)
    // A claim that was taken back between the two commands is free again: one more round decides.
    for (let round = 1; ; round++) {
      if ((await this.#redis.call('SET', requestKey(key), mine, 'NX', 'PX', KEPT_MS)) !== null) return 'made'
      const held = await this.#redis.call('GET', requestKey(key))
      if (held === mine) return 'known'
      if (held !== null || round === 2) return 'taken'
    }
  }

  /** What was claimed was refused: the key is free. */
  async release(key: string): Promise<void> {
    await this.#redis.call('DEL', requestKey(key))
  }
}
