/** Events: once a crossing, in the same act as their cause, and kept until they were handed over. */
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { BELOW_50, eventsOf, watch, watchedCalls } from '../support/watched-wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const { spend, watched } = watchedCalls(harness)

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

describe('wallet.low', () => {
  redisTest(
    'is written once by 50 calls that end at a time, right after the one that crossed the threshold',
    async () => {
      const account = await watched()
      const calls = Array.from({ length: 50 }, () => account.call(2n, BELOW_50))
      await Promise.all(calls.map((call) => harness.wallet.hold(call)))
      await Promise.all(calls.map((call) => account.settle(call, 1n)))
      expect(await eventsOf(account)).toEqual([])
      await spend(account, 1n)
      await spend(account, 1n)
      expect(await eventsOf(account)).toEqual(['settle > wallet.low'])
      expect((await account.ledger()).find(({ type }) => type === 'event')).toMatchObject({
        unit: 'USD',
        fields: { event: 'wallet.low', below: '0.00000005', balance: '0.000000049' },
      })
    },
  )

  redisTest('is judged on what grants hold, so that an open call of nearly all of it tells nothing', async () => {
    const account = await watched()
    const call = account.call(99n, BELOW_50)
    await harness.wallet.hold(call)
    expect(await account.balance()).toMatchObject({ availableAtoms: 1n, balanceAtoms: 100n })
    await account.settle(call, 50n)
    expect(await eventsOf(account)).toEqual([])
  })

  const crossings: readonly (readonly [string, (account: TestAccount) => Promise<unknown>, string])[] = [
    [
      'a timeout',
      async (account) => {
        await account.hold(60n, { ...BELOW_50, onTimeout: 'full', deadlineMs: 10 })
        harness.clock.nowMs += 10
        await harness.wallet.sweep(account.account)
      },
      'timeout',
    ],
    [
      'a late settle of more than the timeout took',
      async (account) => {
        const call = account.call(60n, { ...BELOW_50, onTimeout: 'release', deadlineMs: 10 })
        await harness.wallet.hold(call)
        harness.clock.nowMs += 10
        await harness.wallet.sweep(account.account)
        expect(await eventsOf(account)).toEqual([])
        await account.settle(call, 60n)
      },
      'late_settle',
    ],
    [
      'a clawback',
      async (account) =>
        harness.wallet.clawback({
          account: account.account,
          operationId: newId(harness.clock.nowMs),
          reason: '',
          actor: 'test',
          grant: (await account.grants())[0]?.id ?? '',
          amountAtoms: 60n,
          freeze: false,
        }),
      'clawback',
    ],
    ['an adjustment', (account) => account.adjust(-51n), 'adjust'],
    ['a void', async (account) => account.voidGrant((await account.grants())[0]?.id ?? ''), 'grant_void'],
  ]
  redisTest.each(crossings)('follows %s that crosses the threshold', async (name, cross, type) => {
    const account = await watched()
    await cross(account)
    const all = name === 'a void' ? ['grant_void > wallet.low', 'event > wallet.exhausted'] : [`${type} > wallet.low`]
    expect(await eventsOf(account)).toEqual(all)
  })

  redisTest('follows the expiry of a grant, and not where another takes its place at that moment', async () => {
    const { clock, wallet } = harness
    const account = accountOf(harness)
    const ends = clock.nowMs + 100
    await account.grant(100n, { expiresAtMs: ends })
    await account.grant(100n, { effectiveAtMs: ends, expiresAtMs: ends + 100 })
    await spend(account, 1n)
    clock.nowMs = ends
    await wallet.sweep(account.account)
    expect(await account.balance()).toMatchObject({ balanceAtoms: 100n })
    expect(await eventsOf(account)).toEqual([])
    clock.nowMs = ends + 100
    await wallet.sweep(account.account)
    expect(await eventsOf(account)).toEqual(['expire > wallet.low', 'event > wallet.exhausted'])
  })

  redisTest('is armed again by a grant, and told again at the next crossing', async () => {
    const account = await watched()
    await spend(account, 60n)
    await spend(account, 10n)
    await account.grant(10n)
    await spend(account, 5n)
    expect(await eventsOf(account)).toHaveLength(1)
    await account.grant(20n)
    await spend(account, 10n)
    expect(await eventsOf(account)).toEqual(['settle > wallet.low', 'settle > wallet.low'])
  })

  redisTest('by a share is of the most that the wallet held since funds came in after the last warning', async () => {
    const fifth = watch({ lows: [{ kind: 'granted', millionths: 200_000 }] })
    const account = await watched(fifth)
    await account.grant(100n)
    await spend(account, 159n, fifth)
    expect(await eventsOf(account)).toEqual([])
    await spend(account, 1n, fifth)
    // 40 of 200.
    expect(await eventsOf(account)).toEqual(['settle > wallet.low'])
    await account.grant(10n)
    await spend(account, 39n, fifth)
    expect(await eventsOf(account)).toHaveLength(1)
    await spend(account, 1n, fifth)
    // 10 of 50.
    expect((await account.ledger()).at(-1)?.fields).toMatchObject({ share: '20%', threshold: '0.00000001' })
  })

  redisTest('by hours left is told by what this hour and the last one took', async () => {
    const { clock } = harness
    const account = accountOf(harness)
    const day = watch({ lows: [{ kind: 'hours', hours: 24 }] })
    clock.nowMs += 3_600_000 - (clock.nowMs % 3_600_000)
    await account.grant(100_000n)
    await spend(account, 6000n, day)
    // 100 a minute of the hour before and this one: 94,000 last for 15 h; but nothing is known of less than an hour.
    expect((await account.ledger()).at(-1)).toMatchObject({
      fields: { event: 'wallet.low', hours_left: 24, per_minute: '0.0000001' },
    })
    await account.grant(1_000_000n)
    clock.nowMs += 7_200_000
    await spend(account, 60n, day)
    expect(await eventsOf(account)).toHaveLength(1)
  })

  redisTest('is not told again by gateways whose configs differ for a while', async () => {
    const account = await watched()
    await spend(account, 60n)
    for (let i = 0; i < 3; i++) {
      await spend(account, 1n, { alerts: undefined })
      await spend(account, 1n)
    }
    expect(await eventsOf(account)).toEqual(['settle > wallet.low'])
  })
})

describe('overage.started', () => {
  const over = (onExhausted: HoldRequest['onExhausted'], overflowPeriod = '') => ({ onExhausted, overflowPeriod })
  const NEGATIVE = over({ mode: 'negative', floorAtoms: -1000n })
  const OVERFLOW = (period: string) =>
    over({ mode: 'overflow', capAtoms: 1000n, period: 'month', multiplier: '2' }, period)

  redisTest('is written with the first hold beyond the grants, by 50 at a time once', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    await Promise.all(Array.from({ length: 50 }, () => account.hold(12n, NEGATIVE)))
    expect(await eventsOf(account)).toEqual(['hold > overage.started'])
    expect((await account.ledger())[2]?.fields).toMatchObject({ mode: 'negative', amount: '0.000000002' })
  })

  redisTest('is told once a period of overflow, and of debt again after it was paid', async () => {
    const account = accountOf(harness)
    for (const period of ['2096-10', '2096-10', '2096-11'])
      await spend(account, 3n, { ...OVERFLOW(period), alerts: undefined })
    expect(await eventsOf(account)).toEqual(['hold > overage.started', 'hold > overage.started'])
    await spend(account, 3n, NEGATIVE)
    await spend(account, 3n, NEGATIVE)
    await account.grant(10n)
    await spend(account, 14n, { ...NEGATIVE, alerts: undefined })
    const debts = (await account.ledger()).filter(({ fields }) => fields['mode'] === 'negative')
    expect(debts.map(({ fields }) => fields['amount'])).toEqual(['0.000000003', '0.00000001'])
  })

  redisTest('is told of a settle beyond its hold, and never of a postpaid account', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    const call = account.call(10n)
    await harness.wallet.hold(call)
    await account.settle(call, 15n)
    expect(await eventsOf(account)).toEqual(['settle > overage.started', 'event > wallet.exhausted'])
    expect((await account.ledger())[3]?.fields).toMatchObject({ mode: 'overrun', amount: '0.000000005' })
    const postpaid = accountOf(harness)
    await postpaid.grant(1n)
    await spend(postpaid, 5n, { onExhausted: { mode: 'postpaid' }, ...watch({ quiet: true }) })
    expect(await eventsOf(postpaid)).toEqual([])
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

  redisTest('are read from a sequence on, by who has got further than others', async () => {
    const account = accountOf(harness)
    for (let i = 0; i < 3; i++) {
      await account.grant(1n)
      await account.hold(11n)
    }
    const seqs = async (limit: number, afterSeq?: number) =>
      (await harness.wallet.pendingEvents(account.account, limit, afterSeq)).map(({ seq }) => seq)
    expect(await seqs(10)).toEqual([2, 4, 6])
    expect(await seqs(10, 2)).toEqual([4, 6])
    expect(await seqs(1, 3)).toEqual([4])
    expect(await seqs(10, 6)).toEqual([])
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
    expect(await wallet.counts(account.account)).toMatchObject({ eventsDropped: 1 })
    expect(await redis.zscore(`${prefix}events`, 'x9998')).toBeNull()
    expect((await account.ledger()).filter(({ type }) => type === 'event')).toHaveLength(2)
    expect(await wallet.eventsHandedOver(account.account, 100)).toBe(0)
  })

  redisTest('are dropped and counted once by an act that sweeps before it does its own', async () => {
    const { clock, redis, wallet } = harness
    const account = accountOf(harness)
    const prefix = `tg:{${account.account}}:`
    await account.grant(10n, { expiresAtMs: clock.nowMs + 10 })
    const record = (await redis.hget(`${prefix}acct`, 'account')) ?? ''
    await redis.hset(`${prefix}acct`, 'account', `${record}|0|0|10000`)
    await redis.zadd(`${prefix}events`, ...Array.from({ length: 10_000 }, (_, i) => [-1 - i, `x${i}`]).flat())
    clock.nowMs += 10
    await account.grant(10n)
    expect(await redis.zcard(`${prefix}events`)).toBe(10_000)
    expect(await wallet.counts(account.account)).toMatchObject({ eventsDropped: 1 })
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
  await redis.hset(`${prefix}acct`, 'e:USD', '1 - - 0 - -')
  expect(await fields()).toEqual(['USD.watch'])
})
