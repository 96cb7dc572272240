/**
 * What accounts and calls take of Redis's memory: by `used_memory` before and after, over how many there were.
 *
 *   node src/bootstrap.js bench/memory.ts [--calls N] [--accounts N]
 */
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { newId } from '../src/core/ids.ts'
import { createWallet } from '../src/wallet/redis-wallet.ts'
import { measureCalls } from './call-bytes.ts'
import { printTable } from './print.ts'
import { startBenchRedis } from './redis.ts'
import { sampleBudgets, sampleGrant, sampleHold, sampleSettle } from './sample-calls.ts'

const { values: options } = parseArgs({
  options: { calls: { type: 'string', default: '2000' }, accounts: { type: 'string', default: '1000' } },
})
const [CALLS, ACCOUNTS] = [Number(options.calls), Number(options.accounts)]

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
  const before = await server.usedBytes()
  for (let i = 0; i < ACCOUNTS; i++) await newAccount()
  const atRest = ((await server.usedBytes()) - before) / ACCOUNTS
  const [plain, counted] = [await callsWith(0), await callsWith(4)]
  const row = (name: string, of: keyof typeof plain): string[] => [name, bytes(plain[of]), bytes(counted[of])]
  printTable(
    `Bytes in ${server.version}`,
    ['', 'no budgets', '4 budgets'],
    [
      ['an account at rest: one wallet, one grant', bytes(atRest), ''],
      row('an open hold: record, deadline, ledger entry', 'open'),
      row('a call right after its end: two entries, its operation record', 'ended'),
      row('an hour later: two entries', 'anHourLater'),
      row('a day later', 'aDayLater'),
      row('of which what the gateway says of the call', 'said'),
    ],
  )
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

async function callsWith(budgets: number) {
  return measureCalls({ redis, wallet }, await newAccount(), budgets, CALLS, () => server.usedBytes())
}

function bytes(count: number): string {
  return count.toFixed(0)
}
