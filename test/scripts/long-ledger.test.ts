/** Reports over a ledger of 100,000 entries: exact, in a bounded number of groups, and started in the middle. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Dimension, parseDimensions } from '../../src/reports/dimensions.ts'
import { readUsage } from '../../src/reports/read-usage.ts'
import { chargedOf, TooManyGroups, type UsageOptions } from '../../src/reports/usage-report.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { accountOf, type TestWallet, testWallet } from '../support/wallet.ts'

const run = test.skipIf(!redisAvailable)
const CALLS = 50_000
const STEP_MS = 1_000

let server: TestRedis
let harness: TestWallet
beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  harness = testWallet(server.url)
})
afterAll(async () => {
  harness?.close()
  await server?.stop()
})

/** Holds and settles of 7 atoms each, copies of one real call in its ledger, a second apart. */
async function longLedger(account: string, grant: string, firstSeq: number, firstMs: number): Promise<void> {
  const key = `tg:{${account}}:ledger`
  for (let start = 0; start < CALLS; start += 1000) {
    const pipeline = harness.redis.pipeline()
    for (let call = start; call < start + 1000; call++) {
      const [seq, atMs, op] = [firstSeq + call * 2, firstMs + call * STEP_MS, `call-${call}`]
      const info = JSON.stringify({ key: 'ci-bot', run: `run-${call}`, model: `m-${call % 5}`, tokens: { output: 7 } })
      pipeline.xadd(key, `${seq}-0`, 'e', `hold|${atMs}|${op}||USD|9||93,7|slices=${grant}:7;tokens=0`, 'i', info)
      const charge = `settle|${atMs}|${op}||USD|9|grant:${grant}>consumed=7|93,0|hold=7`
      pipeline.xadd(key, `${seq + 1}-0`, 'e', charge, 'i', info)
    }
    await pipeline.exec()
  }
}

run('100,000 entries are summed exactly, whole and in part, and too many groups are an error', async () => {
  const account = accountOf(harness)
  const { id } = await account.grant(1_000_000n)
  const firstMs = harness.clock.nowMs + STEP_MS
  await longLedger(account.account, id, 2, firstMs)
  const usage = async (by: string, span: Partial<UsageOptions> = {}) => {
    const startedMs = performance.now()
    const options = { sinceMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY, timezone: 'UTC', ...span }
    const dimensions = parseDimensions(by) as readonly Dimension[]
    const report = await readUsage(harness.wallet, [account.account], { by: dimensions, groupsMax: 10_000, ...options })
    process.stdout.write(`usage by ${by}: ${Math.round(performance.now() - startedMs)} ms\n`)
    return report.groups()
  }
  const whole = await usage('model')
  expect(whole.map(({ values, calls }) => [values[0], calls])).toEqual(
    [0, 1, 2, 3, 4].map((model) => [`m-${model}`, CALLS / 5]),
  )
  expect(whole.reduce((sum, group) => sum + chargedOf(group), 0n)).toBe(BigInt(CALLS * 7) * 10n ** 15n)
  const [last] = await usage('key', { sinceMs: firstMs + (CALLS - 10) * STEP_MS })
  expect(last).toMatchObject({ values: ['ci-bot'], calls: 10 })
  const [first] = await usage('key', { untilMs: firstMs + 10 * STEP_MS })
  expect(first).toMatchObject({ values: ['ci-bot'], calls: 10 })
  await expect(usage('run')).rejects.toThrow(TooManyGroups)
})
