/**
 * What is to be delivered, in Redis: any gateway may go on where another stopped, and no receiver waits for another.
 *
 *   tg:hooks                       hash: receiver -> fingerprint of its config when its list was last looked through
 *   tg:hook:RECEIVER               hash: how it does, for whoever asks (receiver-state.ts)
 *   tg:hook-due:RECEIVER           sorted set: `ACCOUNT` -> when to go on with its events; `ACCOUNT !` -> since when there are new ones
 *   tg:hook-late:RECEIVER          sorted set: account -> time of the event that the receiver does not take
 *   tg:hook-lease:RECEIVER:ACCOUNT who delivers at this moment
 *   tg:{ACCOUNT}:webhooks          hash: receiver -> `seq|attempts|failing since`: it has every event up to seq
 *
 * An account has two members, so that nothing is lost between two commands: the mark of new events (`!`) is removed only
 * when the account is listed without it, and then the events are read; one that comes after that has a new mark.
 * No money lies here. Everything throws WalletUnavailable where Redis does not answer.
 */
import type { RedisClient } from '../redis/client.ts'
import { accountKeys } from '../redis/keys.ts'
import { NO_PROGRESS, type Progress } from './retry.ts'

const RECEIVERS = 'tg:hooks'
const MARK = ' !'
const PAGE = 1000

const dueOf = (receiver: string): string => `tg:hook-due:${receiver}`
const lateOf = (receiver: string): string => `tg:hook-late:${receiver}`
const leaseOf = (receiver: string, account: string): string => `tg:hook-lease:${receiver}:${account}`
export const stateOf = (receiver: string): string => `tg:hook:${receiver}`

export class DeliveryList {
  readonly #redis: Pick<RedisClient, 'call'>

  constructor(redis: Pick<RedisClient, 'call'>) {
    this.#redis = redis
  }

  /** There are events in these accounts that the receiver may want. */
  async mark(receiver: string, accounts: readonly string[], nowMs: number): Promise<void> {
    for (let i = 0; i < accounts.length; i += PAGE) {
      const members = accounts.slice(i, i + PAGE).flatMap((account) => [nowMs, account + MARK])
      await this.#redis.call('ZADD', dueOf(receiver), 'NX', ...members)
    }
  }

  /** Accounts to go on with, the longest due first. */
  async due(receiver: string, nowMs: number, limit: number): Promise<readonly string[]> {
    const members = await this.#redis.call('ZRANGEBYSCORE', dueOf(receiver), '-inf', nowMs, 'LIMIT', 0, limit)
    return [...new Set(strings(members).map(accountOf))]
  }

  /** True where nobody else delivers these events now. */
  async claim(receiver: string, account: string, owner: string, forMs: number): Promise<boolean> {
    return (await this.#redis.call('SET', leaseOf(receiver, account), owner, 'NX', 'PX', forMs)) === 'OK'
  }

  async renew(receiver: string, account: string, forMs: number): Promise<void> {
    await this.#redis.call('PEXPIRE', leaseOf(receiver, account), forMs)
  }

  async release(receiver: string, account: string): Promise<void> {
    await this.#redis.call('DEL', leaseOf(receiver, account))
  }

  /** When the account is to be gone on with; undefined: it has its mark alone, or nothing. */
  async dueAt(receiver: string, account: string): Promise<number | undefined> {
    const score = await this.#redis.call('ZSCORE', dueOf(receiver), account)
    return score === null ? undefined : Number(score)
  }

  /** Looked at again at that time, whatever becomes of this process. */
  async postpone(receiver: string, account: string, atMs: number): Promise<void> {
    await this.#redis.call('ZADD', dueOf(receiver), atMs, account)
  }

  async unmark(receiver: string, account: string): Promise<void> {
    await this.#redis.call('ZREM', dueOf(receiver), account + MARK)
  }

  /** Done with what was there when its mark was removed. */
  async remove(receiver: string, account: string): Promise<void> {
    await this.#redis.call('ZREM', dueOf(receiver), account)
  }

  /** Of each receiver that has any. */
  async progress(account: string): Promise<ReadonlyMap<string, Progress>> {
    const flat = strings(await this.#redis.call('HGETALL', accountKeys(account).webhooks))
    const found = new Map<string, Progress>()
    for (let i = 0; i + 1 < flat.length; i += 2) found.set(flat[i] as string, readProgress(flat[i + 1] as string))
    return found
  }

  async keepProgress(receiver: string, account: string, progress: Progress): Promise<void> {
    const { seq, attempts, failingSinceMs } = progress
    await this.#redis.call(
      'HSET',
      accountKeys(account).webhooks,
      receiver,
      `${seq}|${attempts}|${Math.floor(failingSinceMs)}`,
    )
  }

  /** The event that it does not take is of that time; undefined: it takes them again. */
  async keepLate(receiver: string, account: string, eventAtMs: number | undefined): Promise<void> {
    if (eventAtMs === undefined) await this.#redis.call('ZREM', lateOf(receiver), account)
    else await this.#redis.call('ZADD', lateOf(receiver), eventAtMs, account)
  }

  /** Accounts that wait, and since when the oldest does. */
  async waiting(receiver: string, nowMs: number): Promise<{ pending: number; oldestAtMs: number | undefined }> {
    const pending = Number(await this.#redis.call('ZCARD', dueOf(receiver)))
    const late = strings(await this.#redis.call('ZRANGE', lateOf(receiver), 0, 0, 'WITHSCORES'))[1]
    const range = ['-inf', nowMs, 'WITHSCORES', 'LIMIT', 0, 1]
    const due = strings(await this.#redis.call('ZRANGEBYSCORE', dueOf(receiver), ...range))[1]
    const times = [late, due].filter((text) => text !== undefined).map(Number)
    return { pending, oldestAtMs: times.length === 0 ? undefined : Math.min(...times) }
  }

  /** Accounts with events for the receiver, a page at a time, some perhaps twice. */
  async *accounts(receiver: string): AsyncGenerator<readonly string[]> {
    let cursor = '0'
    do {
      const reply = (await this.#redis.call('ZSCAN', dueOf(receiver), cursor, 'COUNT', PAGE)) as [unknown, unknown]
      cursor = String(reply[0])
      const members = strings(reply[1]).filter((_, i) => i % 2 === 0)
      if (members.length > 0) yield [...new Set(members.map(accountOf))]
    } while (cursor !== '0')
  }

  /** Gone on with at the next look, whatever they waited for. */
  async hurry(receiver: string, accounts: readonly string[], nowMs: number): Promise<void> {
    await this.#redis.call('ZADD', dueOf(receiver), 'XX', ...accounts.flatMap((account) => [nowMs, account]))
  }

  /** Receivers that have a list, and the config that it was last looked through for. */
  async receivers(): Promise<ReadonlyMap<string, string>> {
    const flat = strings(await this.#redis.call('HGETALL', RECEIVERS))
    const found = new Map<string, string>()
    for (let i = 0; i + 1 < flat.length; i += 2) found.set(flat[i] as string, flat[i + 1] as string)
    return found
  }

  async keepReceiver(receiver: string, fingerprint: string): Promise<void> {
    await this.#redis.call('HSET', RECEIVERS, receiver, fingerprint)
  }

  async dropReceiver(receiver: string): Promise<void> {
    for (const key of [dueOf(receiver), lateOf(receiver), stateOf(receiver)]) await this.#redis.call('DEL', key)
    await this.#redis.call('HDEL', RECEIVERS, receiver)
  }
}

function accountOf(member: string): string {
  return member.endsWith(MARK) ? member.slice(0, -MARK.length) : member
}

function readProgress(text: string): Progress {
  const [seq, attempts, failingSinceMs] = text.split('|').map(Number)
  if (!Number.isSafeInteger(seq)) return NO_PROGRESS
  return { seq: seq as number, attempts: attempts ?? 0, failingSinceMs: failingSinceMs ?? 0 }
}

function strings(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : []
}
