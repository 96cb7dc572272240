import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { createRedisMock } from 'js-redis-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { loadScripts } from '../../src/redis/script-loader.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { HoldRequest } from '../../src/wallet/wallet-types.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { accountOf, testWallet } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

describe('a server', () => {
  const harness = withWallet()

  redisTest('that lost its scripts gets them again', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await harness.redis.script('FLUSH')
    expect(await account.hold(10n)).toMatchObject({ status: 'held' })
    await harness.redis.script('FLUSH')
    expect(await account.balance()).toMatchObject({ heldAtoms: 10n })
  })

  redisTest('its own clock serves as well as a given one', async () => {
    const wallet = createWallet(harness.redis)
    const account = accountOf({ ...harness, wallet, clock: { nowMs: Date.now() } })
    await account.grant(100n, { expiresAtMs: Date.now() + 2_000 })
    expect(await account.hold(10n, { deadlineMs: 50 })).toMatchObject({ status: 'held' })
    await expect.poll(async () => (await account.balance()).heldAtoms, { interval: 10, timeout: 60_000 }).toBe(0n)
    await expect.poll(async () => (await account.balance()).expiredAtoms, { interval: 10, timeout: 60_000 }).toBe(100n)
    expect(await account.hold(10n)).toMatchObject({ status: 'insufficient_funds' })
  })

  redisTest('keeps no key of an account with a life of its own but operation records', async () => {
    const account = accountOf(harness)
    await account.grant(100n, { key: 'k' })
    const [request, other] = [account.call(10n), account.call(10n)]
    await harness.wallet.hold(request)
    await harness.wallet.hold(other)
    await account.settle(request, 5n)
    await account.hold(1000n)
    const keys = await harness.redis.keys(`tg:{${account.account}}:*`)
    const lives = await Promise.all(
      keys.map(async (key) => [key.split(':')[2], await harness.redis.pttl(key)] as const),
    )
    expect(Object.fromEntries(lives)).toMatchObject({
      acct: -1,
      grants: -1,
      order: -1,
      due: -1,
      holds: -1,
      ledger: -1,
      gkeys: -1,
      refusals: -1,
    })
    for (const [name, life] of lives) if (['op', 'ops', 'den'].includes(name ?? '')) expect(life).toBeGreaterThan(0)
  })

  redisTest('every number that is kept is a whole one within 2^53-1', async () => {
    const account = accountOf(harness)
    await account.grant(9_007_199_254_740_991n)
    const request = account.call(9_000_000_000_000_001n, { deadlineMs: 500 })
    await harness.wallet.hold(request)
    await account.settle(request, 9_000_000_000_000_000n)
    const values = await Promise.all(
      ['acct', 'grants', 'holds'].map((name) => harness.redis.hgetall(`tg:{${account.account}}:${name}`)),
    )
    const numbers = values.flatMap((hash) => Object.entries(hash)).filter(([field]) => !field.startsWith('i:'))
    for (const [, value] of numbers) {
      expect(value).not.toMatch(/e\+|nan|inf|-0\b|\d\.\d/)
      for (const digits of value.match(/(?<![\w:])\d+(?=\||$)/g) ?? []) {
        expect(BigInt(digits)).toBeLessThanOrEqual(9_007_199_254_740_991n)
      }
    }
  })

  redisTest('a ledger that is ahead of the account refuses the hold before anything was written', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await harness.redis.xadd(`tg:{${account.account}}:ledger`, '50-0', 'e', 'x', 'i', '')
    const before = await account.balance()
    await expect(account.hold(10n)).rejects.toThrow(/holds\.lua:\d+/)
    expect(await account.balance()).toEqual(before)
    expect(await account.holds()).toEqual([])
  })

  redisTest('a record of an unknown form refuses before anything was written', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(100n)
    await harness.redis.hset(`tg:{${account.account}}:grants`, grant.id, '9|what')
    await expect(account.hold(10n)).rejects.toThrow(/unknown form/)
    expect(await harness.redis.xlen(`tg:{${account.account}}:ledger`)).toBe(1)
  })
})

describe('a server at maxmemory', () => {
  const harness = withWallet(['--maxmemory-policy', 'noeviction'])

  redisTest('takes no hold and no grant, and settles, voids, sweeps and reads all the same', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const [settled, voided, late] = [account.call(10n), account.call(10n), account.call(10n, { deadlineMs: 10 })]
    for (const request of [settled, voided, late]) await harness.wallet.hold(request)
    await harness.redis.config('SET', 'maxmemory', '1')
    try {
      await expect(account.hold(10n)).rejects.toThrow(/OOM/)
      await expect(account.grant(10n)).rejects.toThrow(/OOM/)
      expect(await account.checkpoint(settled.id, 1, 4n)).toMatchObject({ status: 'checkpointed' })
      expect(await account.settle(settled, 5n)).toMatchObject({ status: 'settled' })
      expect(await account.void(voided.id)).toMatchObject({ status: 'voided' })
      harness.clock.nowMs += 10
      expect(await harness.wallet.sweep(account.account)).toMatchObject({ swept: 1 })
      expect(await account.settle(late, 6n)).toMatchObject({ status: 'late_settled' })
      expect(await account.settle(account.terms(), 7n)).toMatchObject({ status: 'orphan_settled' })
      expect(await account.balance()).toMatchObject({ postedAtoms: 18n, heldAtoms: 0n })
      expect(await account.freeze(true)).toMatchObject({ status: 'done' })
    } finally {
      await harness.redis.config('SET', 'maxmemory', '0')
    }
  })
})

test.skipIf(!redisAvailable)(
  'what was acknowledged is there after the server was killed and started again',
  async (context) => {
    const { mkdtempSync, rmSync } = await import('node:fs')
    const { tmpdir } = await import('node:os')
    const dir = mkdtempSync(`${tmpdir()}/tollgate-aof-`)
    context.onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    const server = await startRedis({ aof: true, dir })
    const first = testWallet(server.url)
    const account = accountOf(first)
    await account.grant(100n)
    const request = account.call(60n)
    const held = await first.wallet.hold(request)
    first.close()
    await server.stop('kill')
    const restarted = await startRedis({ aof: true, dir })
    const second = testWallet(restarted.url)
    try {
      const again = accountOf(second, account.account)
      expect(await second.wallet.hold(request)).toEqual({ ...held, replay: true })
      expect(await again.settle(request, 50n)).toMatchObject({ status: 'settled', chargedAtoms: 50n })
      expect(await again.balance()).toMatchObject({ availableAtoms: 50n, heldAtoms: 0n })
    } finally {
      second.close()
      await restarted.stop()
    }
  },
)

describe('js-redis-server (for looking around only)', () => {
  let server: Awaited<ReturnType<typeof createRedisMock>>
  let redis: Redis
  beforeAll(async () => {
    server = await createRedisMock()
    const [address] = server.addresses()
    redis = new Redis(address?.port ?? 0, address?.host ?? '')
  })
  afterAll(async () => {
    redis.disconnect()
    await server.close()
  })

  test('takes the scripts without their first line', async () => {
    const wallet = createWallet(redis, { stripShebang: true })
    const account = accountOf({ wallet, redis, clock: { nowMs: Date.now() }, close: () => {} })
    await account.grant(100n, { key: 'k', expiresAtMs: Date.now() + 60_000 })
    const [request, other, slow]: HoldRequest[] = [
      account.call(10n),
      account.call(20n),
      account.call(5n, { deadlineMs: 1, floorAtoms: 2n }),
    ] as HoldRequest[]
    for (const each of [request, other, slow] as HoldRequest[])
      expect(await wallet.hold(each)).toMatchObject({ status: 'held' })
    expect(await wallet.hold(request as HoldRequest)).toMatchObject({ status: 'held', replay: true })
    expect(await account.hold(1000n)).toMatchObject({ status: 'insufficient_funds' })
    expect(await account.settle(request as HoldRequest, 7n)).toMatchObject({ status: 'settled', chargedAtoms: 7n })
    expect(await account.void(other?.id ?? '')).toMatchObject({ status: 'voided' })
    expect(await account.settle(account.terms({ id: newId(Date.now()) }), 3n)).toMatchObject({
      status: 'orphan_settled',
    })
    await expect.poll(async () => (await account.balance()).heldAtoms).toBe(0n)
    await wallet.sweep(account.account)
    expect(await account.balance()).toMatchObject({ availableAtoms: 88n, postedAtoms: 12n })
    expect((await account.ledger()).length).toBeGreaterThan(6)
  })
})

test('no script has a key or argument that its header does not name', () => {
  const directory = fileURLToPath(new URL('../../redis-scripts', import.meta.url))
  const files = readdirSync(directory).filter((file) => file.endsWith('.lua'))
  // It throws where one has.
  expect([...loadScripts(directory).keys()]).toEqual(files.map((file) => file.slice(0, -4)).sort())
  expect(files.length).toBeGreaterThan(30)
})
