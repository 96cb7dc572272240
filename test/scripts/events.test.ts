/** Events: once a crossing, in the same act as their cause, and kept until they were handed over. */
import { describe, expect } from 'vitest'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

/** Names of the events in the ledger, each with the type of the entry before it. */
async function eventsOf(account: TestAccount): Promise<readonly string[]> {
  const entries = await account.ledger()
  return entries.flatMap(({ type, fields }, i) =>
    type === 'event' ? [`${entries[i - 1]?.type} > ${String(fields['event'])}`] : [],
  )
}

describe('wallet.exhausted', () => {
  redisTest('is written once by 50 calls that are refused at a time', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const answers = await Promise.all(Array.from({ length: 50 }, () => account.hold(101n)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['insufficient_funds']))
    expect(await eventsOf(account)).toEqual(['grant > wallet.exhausted'])
    expect((await account.ledger()).at(-1)).toMatchObject({
      type: 'event',
      op: 'wallet.exhausted',
      unit: 'USD',
      fields: { event: 'wallet.exhausted', needed: '0.000000101' },
      balanceAfter: { available: 100n },
    })
  })

  redisTest('follows the settle, the void of a grant and the timeout that takes the last of the money', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const call = account.call(100n)
    await harness.wallet.hold(call)
    await account.settle(call, 100n)
    const { id } = await account.grant(50n)
    await account.voidGrant(id)
    await account.grant(60n)
    await account.hold(60n, { onTimeout: 'full', deadlineMs: 10 })
    harness.clock.nowMs += 10
    await harness.wallet.sweep(account.account)
    expect(await eventsOf(account)).toEqual([
      'settle > wallet.exhausted',
      'grant_void > wallet.exhausted',
      'timeout > wallet.exhausted',
    ])
  })

  redisTest('is not written for a hold of all there is, nor for a dry run that is refused', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(1000n, { dryRun: true })
    await account.hold(100n)
    await account.hold(10n)
    expect(await eventsOf(account)).toEqual([])
  })

  redisTest('is armed again by new money alone', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    await account.hold(11n)
    const call = account.call(5n)
    await harness.wallet.hold(call)
    await account.settle(call, 5n)
    await account.hold(11n)
    expect(await eventsOf(account)).toHaveLength(1)
    await account.grant(1n)
    await account.hold(11n)
    expect(await eventsOf(account)).toEqual(['grant > wallet.exhausted', 'grant > wallet.exhausted'])
  })
})

describe('events that wait', () => {
  redisTest('are said by every answer of the account until they were handed over', async () => {
    const told: string[] = []
    const wallet = createWallet(harness.redis, {
      testClock: () => harness.clock.nowMs,
      onEvents: (account) => told.push(account),
    })
    const account = accountOf({ ...harness, wallet })
    const { account: name } = account
    await account.grant(10n)
    await account.hold(1n)
    expect(told).toEqual([])
    expect(await account.hold(11n)).toMatchObject({ status: 'insufficient_funds' })
    expect(told).toEqual([name])
    expect(await wallet.sweep(name)).toMatchObject({ swept: 0 })
    expect(await account.hold(2n)).toMatchObject({ status: 'held' })
    await account.freeze(false)
    expect(told).toEqual([name, name, name, name])
    const [event, ...more] = await wallet.pendingEvents(name, 10)
    expect(more).toEqual([])
    expect(event?.entry).toMatchObject({ seq: event?.seq, type: 'event', fields: { event: 'wallet.exhausted' } })
    expect(await wallet.eventsHandedOver(name, 1)).toBe(1)
    expect(await wallet.eventsHandedOver(name, event?.seq ?? 0)).toBe(0)
    expect(await wallet.pendingEvents(name, 10)).toEqual([])
    await account.hold(1n)
    expect(told).toHaveLength(4)
  })

  redisTest('beyond 10,000 the oldest are dropped and counted, and stay in the ledger', async () => {
    const { redis, wallet } = harness
    const account = accountOf(harness)
    const prefix = `tg:{${account.account}}:`
    await account.grant(10n)
    await account.hold(11n)
    // As if 9,999 more had waited before it.
    const record = (await redis.hget(`${prefix}acct`, 'account')) ?? ''
    await redis.hset(`${prefix}acct`, 'account', record.replace(/\|1$/, '|10000'))
    await redis.zadd(`${prefix}events`, ...Array.from({ length: 9_999 }, (_, i) => [-1 - i, `x${i}`]).flat())
    await account.grant(10n)
    await account.hold(21n)
    expect(await redis.zcard(`${prefix}events`)).toBe(10_000)
    expect(await redis.hget(`${prefix}acct`, 'events_dropped')).toBe('1')
    expect(await redis.zscore(`${prefix}events`, 'x9998')).toBeNull()
    expect((await account.ledger()).filter(({ type }) => type === 'event')).toHaveLength(2)
    expect(await wallet.eventsHandedOver(account.account, 100)).toBe(0)
  })
})

redisTest('the doctor finds a list of waiting events and a latch that were changed', async () => {
  const { redis, wallet } = harness
  const account = accountOf(harness)
  await account.grant(10n)
  await account.hold(11n)
  await account.grant(10n)
  await account.hold(21n)
  const fields = async () => (await wallet.check(account.account)).differences.map(({ field }) => field)
  const prefix = `tg:{${account.account}}:`
  expect(await fields()).toEqual([])
  const [, second = ''] = await redis.zrange(`${prefix}events`, 0, -1)
  await redis.zrem(`${prefix}events`, second)
  expect(await fields()).toEqual(['account.events', 'account.events 1'])
  await redis.zadd(`${prefix}events`, second, second, 99, '99')
  expect(await fields()).toContain('account.events 3')
  await redis.zrem(`${prefix}events`, '99')
  await redis.hdel(`${prefix}acct`, 'e:USD')
  expect(await fields()).toEqual(['USD.watch'])
  await redis.hset(`${prefix}acct`, 'e:USD', '1 - -')
  expect(await fields()).toEqual(['USD.watch'])
})
