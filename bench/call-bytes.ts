/** What calls take of Redis's memory while they are open and after they have ended, over how many there were. */
import type { Redis } from 'ioredis'
import type { HoldRequest, Wallet } from '../src/wallet/wallet-types.ts'
import { sampleBudgets, sampleHold, sampleSettle } from './sample-calls.ts'

const HOUR_MS = 3_600_000
// The records of a call live an hour from its end, and an hour beyond the ten minutes of its id.
const HOUR_AND_BUCKET_MS = HOUR_MS + 600_000

/** Bytes a call. */
export interface CallBytes {
  /** Its record, its deadline, its ledger entry. */
  readonly open: number
  /** Two ledger entries, its operation record. */
  readonly ended: number
  /** Two ledger entries. */
  readonly anHourLater: number
  readonly aDayLater: number
  /** Of the entries, what the gateway said of the call. */
  readonly said: number
}

/**
 * Holds and then settles so many calls of an account that has made none. `bytes`: what they are measured by.
 * What time takes away is taken away here by deleting the keys whose life would be over by then.
 */
export async function measureCalls(
  { redis, wallet }: { readonly redis: Redis; readonly wallet: Wallet },
  account: string,
  budgets: number,
  count: number,
  bytes: () => Promise<number>,
): Promise<CallBytes> {
  const before = await bytes()
  const each = async (): Promise<number> => ((await bytes()) - before) / count
  const calls: HoldRequest[] = []
  for (let i = 0; i < count; i++) {
    const terms = sampleHold(account, sampleBudgets(budgets))
    calls.push(terms)
    if ((await wallet.hold(terms)).status !== 'held') throw new Error('a hold was refused')
  }
  const open = await each()
  for (const terms of calls)
    if ((await wallet.settle(sampleSettle(terms))).status !== 'settled') throw new Error('a settle was refused')
  const ended = await each()
  await forget(redis, account, HOUR_AND_BUCKET_MS)
  const anHourLater = await each()
  await forget(redis, account, 24 * HOUR_MS)
  return { open, ended, anHourLater, aDayLater: await each(), said: (await saidBytes(redis, account)) / count }
}

async function forget(redis: Redis, account: string, lifeMs: number): Promise<void> {
  for (const key of await redis.keys(`tg:{${account}}:*`)) {
    const left = await redis.pttl(key)
    if (left >= 0 && left <= lifeMs) await redis.del(key)
  }
}

async function saidBytes(redis: Redis, account: string): Promise<number> {
  const entries = await redis.xrange(`tg:{${account}}:ledger`, '-', '+')
  return entries.reduce((sum, [, fields]) => sum + Buffer.byteLength(fields[3] ?? ''), 0)
}
