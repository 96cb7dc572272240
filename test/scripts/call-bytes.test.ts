/** What a call leaves in Redis (WALLET section 6): its record, hold and settle entry together are at most 1 KiB. */
import { expect } from 'vitest'
import { measureCalls } from '../../bench/call-bytes.ts'
import { sampleGrant } from '../../bench/sample-calls.ts'
import { OPENAI_USAGE } from '../../bench/traffic.ts'
import { newId } from '../../src/core/ids.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const KIB = 1024
const CALLS = 500

/**
 * All keys of the account, each counted whole. Within ten bytes a call the same in each run, and 3 to 12 % above what they
 * take of `used_memory`, in which buffers of connections come and go: so there is no tolerance beside it.
 */
async function bytesOf(account: string): Promise<number> {
  const { redis } = harness
  let bytes = 0
  for (const key of await redis.keys(`tg:{${account}}:*`))
    bytes += (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0
  return bytes
}

redisTest('a usual call takes at most 1 KiB of Redis: open, ended, an hour and a day later', async () => {
  // In real time: what is measured are keys with their lives.
  const test = { redis: harness.redis, wallet: createWallet(harness.redis) }
  const measure = async (budgets: number) => {
    const account = `bytes-${newId(Date.now()).toLowerCase()}`
    expect((await test.wallet.grant(sampleGrant(account, 10n ** 15n, 10))).status).toBe('done')
    const bytes = await measureCalls(test, account, budgets, CALLS, () => bytesOf(account))
    const [settled] = await test.wallet.ledger(account, { afterSeq: 2 * CALLS, limit: 1, type: undefined })
    expect(settled?.fields).toMatchObject({ usage: OPENAI_USAGE, tokens: { input: 192, output: 160 }, status: 200 })
    return bytes
  }
  for (const budgets of [0, 4]) {
    const { open, ended, anHourLater, aDayLater } = await measure(budgets)
    console.info(`bytes a call with ${budgets} budgets:`, { open, ended, anHourLater, aDayLater })
    for (const bytes of [open, ended, anHourLater, aDayLater]) expect(bytes, `${budgets}`).toBeLessThanOrEqual(KIB)
    expect(anHourLater).toBeLessThan(ended)
    expect(aDayLater).toBe(anHourLater)
  }
})
