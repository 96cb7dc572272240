import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LearnedHistograms } from '../../../src/core/learned-histograms.ts'
import { HistogramSharing } from '../../../src/redis/share-histograms.ts'
import { redisAvailable, startRedis, type TestRedis } from '../../support/redis.ts'

const run = test.skipIf(!redisAvailable)
const SHAPE = { least: 1, binsPerOctave: 8, bins: 160 }
let server: TestRedis
let redis: Redis

beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  redis = new Redis(server.url)
}, 180_000)
afterAll(async () => {
  redis?.disconnect()
  await server?.stop()
})

function processOf(key: string): { store: LearnedHistograms; sharing: HistogramSharing } {
  const store = new LearnedHistograms(SHAPE, 4096)
  return { store, sharing: new HistogramSharing(redis, new Map([[key, store]])) }
}

run('what several processes add is known to all of them, each count once', async () => {
  const [a, b, c] = [processOf('k1'), processOf('k1'), processOf('k1')]
  for (let i = 0; i < 100; i++) a.store.add('x', 10)
  for (let i = 0; i < 50; i++) b.store.add('x', 1000)
  await a.sharing.exchange()
  await b.sharing.exchange()
  await a.sharing.exchange()
  expect(c.store.find('x')).toBeUndefined()
  await c.sharing.exchange()
  a.store.add('x', 10)
  await a.sharing.exchange()
  expect([a, b, c].map(({ store }) => store.find('x')?.total)).toEqual([151, 150, 150])
  expect(c.store.find('x')?.quantile(0.99)).toBeGreaterThan(1000)
})

run('nothing learnt, nothing written; and what was written has an end', async () => {
  const one = processOf('k2')
  one.store.find('asked')
  await one.sharing.exchange()
  expect(await redis.exists('k2')).toBe(0)
  one.store.add('asked', 5)
  await one.sharing.exchange()
  expect(await redis.ttl('k2')).toBeGreaterThan(24 * 3600)
})

run('one round hands over all that there is, and Redis keeps a bounded number', async () => {
  for (let i = 0; i < 3; i++) {
    const one = processOf('k3')
    for (let name = 0; name < 4096; name++) one.store.add(`${i}-${name}`, 5)
    await one.sharing.exchange()
    expect(one.store.namesToExchange(10)).toEqual([])
  }
  expect(await redis.hlen('k3')).toBeLessThanOrEqual(8192)
})

run('other values under the key, or none of it there: what is known here stays', async () => {
  await redis.set('k4', 'a string')
  const one = processOf('k4')
  one.store.add('x', 5)
  await one.sharing.exchange()
  expect(one.store.find('x')?.total).toBe(1)
  await redis.del('k4')
  await redis.hset('k4', 'x', 'no histogram,-1:2')
  await one.sharing.exchange()
  expect(one.store.find('x')?.total).toBe(1)
})
