/** A failing seed is printed; run it again with MODEL_SEED. MODEL_HISTORIES for longer runs. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, test } from 'vitest'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { runHistory } from './random-history.ts'

const STEPS = 150
const AT_ONCE = 8
const histories = Number(process.env['MODEL_HISTORIES'] ?? 48)
const fixed = process.env['MODEL_SEED']
const firstSeed = Number(fixed ?? Math.floor(Math.random() * 1e9))
const seeds = Array.from({ length: fixed ? 1 : histories }, (_, i) => firstSeed + i)

let server: TestRedis
let redis: Redis
beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis?.disconnect()
  await server?.stop()
})

test.skipIf(!redisAvailable)(
  `scripts and model agree on every answer and balance of ${seeds.length} random histories (first seed ${firstSeed})`,
  async () => {
    const left = [...seeds]
    const run = async () => {
      for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
        await runHistory(seed, `model-${seed}`, (testClock) => createWallet(redis, { testClock }), STEPS)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, run))
  },
  3_600_000,
)
