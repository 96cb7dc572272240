/**
 * What accounts and calls take of Redis's memory: by `used_memory` before and after, over how many there were.
 *
 *   node bench/memory.ts [--calls N] [--accounts N]
 *
 * What time takes away is taken away here by deleting the keys whose life would be over by then.
 */
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { newId } from '../src/core/ids.ts'
import { createWallet } from '../src/wallet/redis-wallet.ts'
import type { HoldRequest } from '../src/wallet/wallet-types.ts'
import { printTable } from './print.ts'
import { startBenchRedis } from './redis.ts'
import { sampleBudgets, sampleGrant, sampleHold, sampleSettle } from './sample-calls.ts'

const { values: options } = parseArgs({
  options: { calls: { type: 'string', default: '2000' }, accounts: { type: 'string', default: '1000' } },
})
const [CALLS, ACCOUNTS] = [Number(options.calls), Number(options.accounts)]
const HOUR_MS = 3_600_000
// The records of a call live an hour from its end, and an hour beyond the ten minutes of its id.
const HOUR_AND_BUCKET_MS = HOUR_MS + 600_000

const server = await startBenchRedis()
const redis = new Redis(server.url)
const wallet = createWallet(redis)
try {
  await run()
} finally {
  redis.disconnect()
  await server.stop()
}

async function run(): Promise<void> {
  await warmUp()
  const rows: string[][] = []
  const before = await server.usedBytes()
  for (let i = 0; i < ACCOUNTS; i++) await newAccount()
  rows.push(['an account at rest: one wallet, one grant', each((await server.usedBytes()) - before, ACCOUNTS)])
  for (const budgets of [0, 4]) rows.push(...(await callRows(budgets)))
  printTable(`Bytes in ${server.version}`, ['', 'bytes'], rows)
}

/** Scripts and connections take their part before anything is measured. */
async function warmUp(): Promise<void> {
  const account = await newAccount()
  const terms = sampleHold(account, sampleBudgets(4))
  await wallet.hold(terms)
  await wallet.settle(sampleSettle(terms))
}

async function newAccount(): Promise<string> {
  const account = `memory-${newId(Date.now()).toLowerCase()}`
  const { status } = await wallet.grant(sampleGrant(account, 1_000_000_000_000_000n, 10))
  if (status !== 'done') throw new Error(`a grant was answered ${status}`)
  return account
}

async function callRows(budgets: number): Promise<string[][]> {
  const account = await newAccount()
  const before = await server.usedBytes()
  const since = async (): Promise<string> => each((await server.usedBytes()) - before, CALLS)
  const calls: HoldRequest[] = []
  for (let i = 0; i < CALLS; i++) {
    const terms = sampleHold(account, sampleBudgets(budgets))
    calls.push(terms)
    if ((await wallet.hold(terms)).status !== 'held') throw new Error('a hold was refused')
  }
  const name = (what: string): string => `${what}, ${budgets} budgets`
  const rows = [[name('an open hold: record, deadline, ledger entry'), await since()]]
  for (const terms of calls)
    if ((await wallet.settle(sampleSettle(terms))).status !== 'settled') throw new Error('a settle was refused')
  rows.push([name('a call right after its end: two entries, its operation record'), await since()])
  await forget(account, HOUR_AND_BUCKET_MS)
  rows.push([name('an hour later: two entries'), await since()])
  await forget(account, 24 * HOUR_MS)
  rows.push([name('a day later'), await since()])
  rows.push([name('of which what was given as JSON'), each(await jsonBytes(account), CALLS)])
  return rows
}

async function forget(account: string, lifeMs: number): Promise<void> {
  for (const key of await redis.keys(`tg:{${account}}:*`)) {
    const left = await redis.pttl(key)
    if (left >= 0 && left <= lifeMs) await redis.del(key)
  }
}

async function jsonBytes(account: string): Promise<number> {
  const entries = await redis.xrange(`tg:{${account}}:ledger`, '-', '+')
  return entries.reduce((sum, [, fields]) => sum + (fields[3] ?? '').length, 0)
}

function each(bytes: number, count: number): string {
  return (bytes / count).toFixed(0)
}
