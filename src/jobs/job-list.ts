/**
 * The calls that go on at providers, in Redis: any gateway may ask how they stand, and none is lost with one.
 *
 *   tg:jobs           sorted set: job key -> when it is to be asked for next, in ms
 *   tg:job:KEY        hash: call (JSON, fixed), state (JSON of this file); for a week after its end ended alone: the hold's id
 *   tg:job-lease:KEY  who asks at this moment
 *   tg:jobs-in:KEY    set: keys of the jobs that run in an object (KEY: of that one, as a job's)
 *
 * No money lies here: the hold is in the wallet, and a job that is settled twice is settled once, by its hold's id.
 * Everything throws WalletUnavailable where Redis does not answer.
 */
import type { RedisArgument } from '../redis/client.ts'
import { decodeLongCall, jobKey, type LongCall } from './long-call.ts'

export interface ListClient {
  call(command: string, ...args: RedisArgument[]): Promise<unknown>
}

/** What asking has come to so far. */
export interface PollState {
  readonly polls: number
  /** Answers in a row that no such job exists, and when the first of them came. */
  readonly missing: number
  readonly missingSinceMs: number
}

export interface ListedJob {
  readonly call: LongCall
  readonly state: PollState
}

const JOBS = 'tg:jobs'
const FRESH: PollState = { polls: 0, missing: 0, missingSinceMs: 0 }
// Longer than any deadline with its late window: a job is taken off the list long before.
const KEPT_MS = 70 * 86_400_000

/** How long after its end a job is known as charged: a repeated request may be answered with it again. */
const ENDED_MS = 7 * 86_400_000

const hashOf = (key: string): string => `tg:job:${key}`
const leaseOf = (key: string): string => `tg:job-lease:${key}`
const runningIn = (key: string): string => `tg:jobs-in:${key}`

export class JobList {
  readonly #redis: ListClient

  constructor(redis: ListClient) {
    this.#redis = redis
  }

  /**
   * `other`: the job is charged by another hold, or was; nothing was changed. Repeated for the same hold it is `added`
   * again, unless it has ended.
   */
  async add(text: string): Promise<'added' | 'other'> {
    const call = decodeLongCall(text)
    const key = jobKey(call.upstream, call.job.id)
    const ended = await this.#redis.call('HGET', hashOf(key), 'ended')
    if (typeof ended === 'string') return ended === call.terms.id ? 'added' : 'other'
    const made = await this.#redis.call('HSETNX', hashOf(key), 'call', text)
    if (Number(made) === 0) {
      const before = await this.#redis.call('HGET', hashOf(key), 'call')
      if (typeof before === 'string' && decodeLongCall(before).terms.id !== call.terms.id) return 'other'
    }
    await this.#redis.call('PEXPIRE', hashOf(key), KEPT_MS)
    const object = objectOf(call)
    if (object !== undefined) {
      await this.#redis.call('SADD', runningIn(object), key)
      await this.#redis.call('PEXPIRE', runningIn(object), KEPT_MS)
    }
    await this.#redis.call('ZADD', JOBS, 'NX', call.firstPollAtMs, key)
    return 'added'
  }

  /** Keys of jobs that are to be asked for, the longest due first. */
  async due(nowMs: number, limit: number): Promise<readonly string[]> {
    const keys = await this.#redis.call('ZRANGEBYSCORE', JOBS, '-inf', nowMs, 'LIMIT', 0, limit)
    return Array.isArray(keys) ? keys.map(String) : []
  }

  /** True where nobody else asks for it now. */
  async claim(key: string, owner: string, forMs: number): Promise<boolean> {
    return (await this.#redis.call('SET', leaseOf(key), owner, 'NX', 'PX', forMs)) === 'OK'
  }

  async renew(key: string, forMs: number): Promise<void> {
    await this.#redis.call('PEXPIRE', leaseOf(key), forMs)
  }

  async release(key: string): Promise<void> {
    await this.#redis.call('DEL', leaseOf(key))
  }

  /** Undefined: it is not listed. */
  async read(key: string): Promise<ListedJob | undefined> {
    const found = await this.#redis.call('HMGET', hashOf(key), 'call', 'state')
    const [call, state] = Array.isArray(found) ? found : []
    if (typeof call !== 'string') return undefined
    return { call: decodeLongCall(call), state: typeof state === 'string' ? (JSON.parse(state) as PollState) : FRESH }
  }

  async postpone(key: string, state: PollState, dueAtMs: number): Promise<void> {
    await this.#redis.call('HSET', hashOf(key), 'state', JSON.stringify(state))
    await this.#redis.call('ZADD', JOBS, 'XX', dueAtMs, key)
  }

  /** Asked for at the next look, if it is listed. */
  async hurry(key: string, nowMs: number): Promise<void> {
    await this.#redis.call('ZADD', JOBS, 'XX', nowMs, key)
  }

  async remove(key: string): Promise<void> {
    await this.#redis.call('ZREM', JOBS, key)
    const listed = await this.read(key)
    const object = listed && objectOf(listed.call)
    if (object !== undefined) await this.#redis.call('SREM', runningIn(object), key)
    if (listed === undefined) return
    await this.#redis.call('HSET', hashOf(key), 'ended', listed.call.terms.id)
    await this.#redis.call('HDEL', hashOf(key), 'call', 'state')
    await this.#redis.call('PEXPIRE', hashOf(key), ENDED_MS)
  }

  /** Keys of the jobs that run in an object, listed or not. */
  async within(key: string): Promise<readonly string[]> {
    const keys = await this.#redis.call('SMEMBERS', runningIn(key))
    return Array.isArray(keys) ? keys.map(String) : []
  }

  async count(): Promise<number> {
    return Number(await this.#redis.call('ZCARD', JOBS))
  }
}

function objectOf({ upstream, job }: LongCall): string | undefined {
  return job.within === undefined ? undefined : jobKey(upstream, job.within)
}
