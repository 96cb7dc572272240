/** How a receiver does, in Redis (`tg:hook:RECEIVER`): any gateway can say, and 410 Gone counts for all of them. */
import type { Receiver } from '../config/snapshot.ts'
import type { RedisClient } from '../redis/client.ts'
import { stateOf } from './delivery-list.ts'
import type { ReceiverHealth } from './receiver-health.ts'

export interface ReceiverState {
  readonly lastSuccessMs: number | undefined
  readonly failingSinceMs: number | undefined
  readonly error: string | undefined
  /** Of the config under which it answered 410 Gone. */
  readonly goneFingerprint: string | undefined
}

const FIELDS = ['last_success', 'failing_since', 'error', 'gone']

export class ReceiverStates {
  readonly #redis: Pick<RedisClient, 'call'>

  constructor(redis: Pick<RedisClient, 'call'>) {
    this.#redis = redis
  }

  async read(receiver: Receiver): Promise<ReceiverState> {
    const reply = await this.#redis.call('HMGET', stateOf(receiver.id), ...FIELDS)
    const [success, failing, error, gone] = (Array.isArray(reply) ? reply : []) as (string | null)[]
    return {
      lastSuccessMs: success ? Number(success) : undefined,
      failingSinceMs: failing ? Number(failing) : undefined,
      error: error ?? undefined,
      goneFingerprint: gone ?? undefined,
    }
  }

  async isGone(receiver: Receiver): Promise<boolean> {
    return (await this.#redis.call('HGET', stateOf(receiver.id), 'gone')) === receiver.fingerprint
  }

  /** It took a post that did not go through its queue. */
  async recovered(receiver: Receiver, nowMs: number): Promise<void> {
    await this.#redis.call('HSET', stateOf(receiver.id), 'last_success', nowMs)
    await this.#redis.call('HDEL', stateOf(receiver.id), 'failing_since', 'error', 'gone')
  }

  /** What this process has seen since it last wrote. */
  async write(receiver: Receiver, health: ReceiverHealth): Promise<void> {
    if (!health.changed) return
    health.changed = false
    const key = stateOf(receiver.id)
    try {
      if (health.lastSuccessMs !== undefined) await this.#redis.call('HSET', key, 'last_success', health.lastSuccessMs)
      if (health.gone) await this.#redis.call('HSET', key, 'gone', receiver.fingerprint)
      if (health.failingSinceMs === undefined) await this.#redis.call('HDEL', key, 'failing_since', 'error', 'gone')
      else {
        await this.#redis.call('HSETNX', key, 'failing_since', health.failingSinceMs)
        await this.#redis.call('HSET', key, 'error', health.error ?? '')
      }
    } catch (error) {
      health.changed = true
      throw error
    }
  }
}
