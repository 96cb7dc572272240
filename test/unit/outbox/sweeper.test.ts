import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { connectRedis, type RedisClient } from '../../../src/redis/client.ts'
import { createSweeper } from '../../../src/wallet/sweeper.ts'
import { redisAvailable, startRedis, type TestRedis } from '../../support/redis.ts'
import { away, memoryLog, until } from './fake-wallet.ts'

describe.skipIf(!redisAvailable)('the sweeper', () => {
  let server: TestRedis
  let redis: RedisClient
  let nowMs: number
  let log: ReturnType<typeof memoryLog>
  beforeEach(async () => {
    nowMs = 1_800_000_000_000
    log = memoryLog()
    server = await startRedis()
    redis = connectRedis({
      url: server.url,
      commandMs: 300,
      connectMs: 1000,
      breakerFailures: 5,
      breakerWindowMs: 1000,
      probeMs: 50,
    })
    await redis.whenUp(2000)
  })
  afterEach(async () => {
    redis.close()
    await server.stop()
  })

  /** Deadlines by account; a sweep ends two of those that have passed. */
  function fakeWallet(deadlines: Record<string, number[]>) {
    const swept: string[] = []
    return {
      swept,
      fail: undefined as ((account: string) => Error | undefined) | undefined,
      async sweep(account: string) {
        const error = this.fail?.(account)
        if (error) throw error
        swept.push(account)
        const all = deadlines[account] ?? []
        const ended = all.filter((deadline) => deadline <= nowMs).slice(0, 2)
        deadlines[account] = all.filter((deadline) => !ended.includes(deadline))
        const next = Math.min(...deadlines[account])
        return { swept: ended.length, nextDueMs: Number.isFinite(next) ? next : undefined }
      },
    }
  }

  function make(wallet: ReturnType<typeof fakeWallet>, accounts: string[] = []) {
    return createSweeper({ wallet, redis, log, accounts: () => accounts, nowMs: () => nowMs, intervalMs: 1_000_000 })
  }

  test('an account is swept until nothing is due, after its deadline, by a gateway that never saw it', async () => {
    const deadlines = { acme: [nowMs + 1000, nowMs + 2000, nowMs + 3000, nowMs + 90_000] }
    const wallet = fakeWallet(deadlines)
    const first = make(wallet)
    for (const deadline of deadlines.acme) first.touch('acme', deadline)
    await first.stop()
    const second = make(wallet)
    await second.tick()
    expect(wallet.swept).toEqual([])
    nowMs += 20_000
    await second.tick()
    expect(deadlines.acme).toEqual([1_800_000_090_000])
    nowMs += 80_000
    await second.tick()
    expect(deadlines.acme).toEqual([])
    expect(await redis.call('ZCARD', 'tg:active')).toBe(0)
  })

  test('further accounts are looked at after the start, and where that fails until it does not', async () => {
    const wallet = fakeWallet({})
    let listings = 0
    wallet.fail = (account) => (account === 'o2' && listings < 2 ? away : undefined)
    const sweeper = createSweeper({
      wallet,
      redis,
      log,
      accounts: () => ['acme'],
      async *others() {
        listings++
        if (listings === 1) throw away
        yield ['o1', 'o2']
        yield ['o3']
      },
      nowMs: () => nowMs,
      intervalMs: 20,
    })
    sweeper.start()
    await until(() => ['acme', 'o1', 'o2', 'o3'].every((account) => wallet.swept.includes(account)))
    await sweeper.stop()
    expect(listings).toBe(2)
  })

  test('a deadline far away is written down, and not kept in mind', async () => {
    const sweeper = make(fakeWallet({}))
    sweeper.touch('acme', nowMs + 30 * 86_400_000)
    await sweeper.stop()
    expect(await redis.call('ZRANGE', 'tg:active', 0, -1)).toEqual([`${nowMs + 30 * 86_400_000} acme`])
  })

  test('an account in constant use is still looked at each bucket', async () => {
    const wallet = fakeWallet({ acme: [] })
    const sweeper = make(wallet)
    for (let second = 0; second < 60; second++) {
      sweeper.touch('acme', nowMs + 5000)
      if (second % 5 === 0) {
        await sweeper.stop()
        await sweeper.tick()
      }
      nowMs += 1000
    }
    expect(wallet.swept.length).toBeGreaterThanOrEqual(4)
    expect(wallet.swept.length).toBeLessThanOrEqual(8)
  })

  test('after the start every configured account is looked at, also when Redis was away at first', async () => {
    const wallet = fakeWallet({})
    wallet.fail = () => away
    const sweeper = make(wallet, ['acme', 'globex'])
    sweeper.start()
    await sweeper.tick()
    expect(wallet.swept).toEqual([])
    wallet.fail = undefined
    await sweeper.tick()
    await sweeper.tick()
    expect(wallet.swept).toEqual(['acme', 'globex'])
    // Once more a little later, for deadlines that the recovery of an outbox brings forward; then no more.
    for (let round = 0; round < 4; round++) {
      await sweeper.stop()
      nowMs += 20_000
      await sweeper.tick()
    }
    expect(wallet.swept.sort()).toEqual(['acme', 'acme', 'globex', 'globex'])
  })

  test('one account that fails does not stop the others and is tried again', async () => {
    const wallet = fakeWallet({ bad: [nowMs + 1], good: [nowMs + 1] })
    wallet.fail = (account) => (account === 'bad' ? new Error('ERR user_script') : undefined)
    const sweeper = make(wallet)
    sweeper.touch('bad', nowMs + 1)
    sweeper.touch('good', nowMs + 1)
    await sweeper.stop()
    nowMs += 15_000
    await sweeper.tick()
    expect(wallet.swept).toEqual(['good'])
    expect(log.lines).toEqual(['error: the sweeper failed'])
    await sweeper.stop()
    nowMs += 30_000
    await sweeper.tick()
    // Said once, however often it is tried.
    expect(log.lines).toEqual(['error: the sweeper failed'])
    wallet.fail = undefined
    await sweeper.stop()
    nowMs += 30_000
    await sweeper.tick()
    expect(wallet.swept).toEqual(['good', 'bad'])
  })

  test('what was touched while Redis was away is written when it is back', async () => {
    const wallet = fakeWallet({ acme: [nowMs] })
    const sweeper = make(wallet)
    await server.stop('kill')
    await until(() => !redis.up)
    sweeper.touch('acme', nowMs)
    await sweeper.stop()
    server = await startRedis({ port: server.port })
    await redis.whenUp(5000)
    await sweeper.stop()
    nowMs += 10_000
    await sweeper.tick()
    expect(wallet.swept).toEqual(['acme'])
  })
})
