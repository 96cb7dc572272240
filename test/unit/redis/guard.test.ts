import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectRedis, type RedisClient } from '../../../src/redis/client.ts'
import {
  adoptInstance,
  checkInstance,
  checkServer,
  checkUnits,
  guardRedis,
  RedisRefused,
} from '../../../src/redis/guard.ts'
import { redisAvailable, startRedis, type TestRedis } from '../../support/redis.ts'

test.each([
  ['redis_version:6.2.14\r\n', false],
  ['redis_version:7.0.0\r\n', true],
  ['redis_version:8.2.1\r\n', true],
  ['redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.8\r\n', true],
  ['redis_version:7.2.4\r\nvalkey_version:7.1.0\r\n', false],
])('a server of %j serves: %s', async (info, serves) => {
  const redis = { call: async (_: string, section: unknown) => (section === 'server' ? info : '') }
  if (serves) await expect(checkServer(redis)).resolves.toBeDefined()
  else await expect(checkServer(redis)).rejects.toThrow(/too old: use Redis 7.0 or later/)
})

test('a server of 32 bits is refused: its Lua cannot print every amount', async () => {
  const info = (bits: number) => ({
    call: async (_: string, section: unknown) =>
      section === 'server' ? `redis_version:7.2.0\r\narch_bits:${bits}\r\n` : '',
  })
  await expect(checkServer(info(64))).resolves.toBeDefined()
  await expect(checkServer(info(32))).rejects.toThrow(/built for 32 bits.*use a 64-bit build/)
})

describe.skipIf(!redisAvailable)('on a real server', () => {
  let server: TestRedis
  let redis: RedisClient
  let dir: string
  beforeAll(async () => {
    server = await startRedis()
    redis = connectRedis({
      url: server.url,
      commandMs: 5_000,
      connectMs: 1000,
      breakerFailures: 5,
      breakerWindowMs: 1000,
      probeMs: 500,
    })
    await redis.whenUp(2000)
  })
  afterAll(async () => {
    redis?.close()
    await server?.stop()
  })
  beforeEach(async () => {
    await redis.call('FLUSHALL')
    await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    dir = mkdtempSync(join(tmpdir(), 'tollgate-guard-'))
    return () => rmSync(dir, { recursive: true })
  })

  const options = (more: { expectExisting?: boolean } = {}) => ({ dataDir: dir, expectExisting: false, ...more })

  test('an eviction policy that could delete a wallet is refused by name', async () => {
    await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await expect(checkServer(redis)).rejects.toThrow(/allkeys-lru; set it to noeviction/)
  })

  test('the first start writes the marker in both places, the next finds it', async () => {
    const id = await checkInstance(redis, options())
    expect(readFileSync(join(dir, 'instance-id'), 'utf8').trim()).toBe(id)
    expect(await redis.call('GET', 'tg:instance')).toBe(id)
    expect(await checkInstance(redis, options({ expectExisting: true }))).toBe(id)
  })

  test('a gateway with a new data_dir joins a Redis that has a marker', async () => {
    await redis.call('SET', 'tg:instance', 'abc')
    expect(await checkInstance(redis, options())).toBe('abc')
    expect(readFileSync(join(dir, 'instance-id'), 'utf8').trim()).toBe('abc')
  })

  test.each([
    ['emptied', async () => redis.call('FLUSHALL'), /lost its instance marker.*adopt-redis/],
    ['exchanged', async () => redis.call('SET', 'tg:instance', 'other'), /not the Redis.*adopt-redis/],
  ])('an %s Redis is refused until it is adopted', async (_, change, message) => {
    await checkInstance(redis, options())
    await change()
    await expect(checkInstance(redis, options())).rejects.toThrow(message)
    await expect(checkInstance(redis, options())).rejects.toBeInstanceOf(RedisRefused)
    const adopted = await adoptInstance(redis, dir)
    expect(await checkInstance(redis, options({ expectExisting: true }))).toBe(adopted.id)
  })

  test('adopting an emptied Redis lets the other gateways of the fleet go on', async () => {
    const id = await checkInstance(redis, options())
    await redis.call('FLUSHALL')
    expect(await adoptInstance(redis, dir)).toEqual({ id, was: id, empty: true })
  })

  test('with expect_existing an empty Redis is refused even at the first start', async () => {
    await expect(checkInstance(redis, options({ expectExisting: true }))).rejects.toThrow(/expect_existing/)
    expect(await redis.call('GET', 'tg:instance')).toBeNull()
  })

  test('an empty instance file counts as none', async () => {
    writeFileSync(join(dir, 'instance-id'), '')
    await expect(checkInstance(redis, options())).resolves.toMatch(/^[0-9a-f-]{36}$/)
  })

  test('decimals of a unit are fixed by the first start; another number is refused and nothing is written', async () => {
    await checkUnits(redis, new Map([['USD', 9]]))
    const changed = new Map([
      ['USD', 6],
      ['credits', 0],
    ])
    await expect(checkUnits(redis, changed)).rejects.toThrow(/unit USD is kept with 9 decimals.*configured with 6/)
    expect(await redis.call('HGETALL', 'tg:units')).toEqual(['USD', '9'])
    await checkUnits(redis, new Map([['USD', 9]]))
  })

  test('the embedded stand-in is not asked for a marker or a policy', async () => {
    const guarded = await guardRedis(redis, { ...options(), scales: new Map([['USD', 9]]), embeddedJs: true })
    expect(guarded.instanceId).toBeUndefined()
    expect(await redis.call('EXISTS', 'tg:instance')).toBe(0)
    expect(await redis.call('HGET', 'tg:units', 'USD')).toBe('9')
  })
})
