/** Events that time brings: of grants that will expire, and of credit that is asked for again. */
import { describe, expect } from 'vitest'
import { accountOf } from '../support/wallet.ts'
import { eventsOf, watch, watchedCalls } from '../support/watched-wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const { spend, watched } = watchedCalls(harness)

describe('grant.expiring', () => {
  const DAY_MS = 86_400_000

  redisTest(
    'is written once, three days before the end, of a grant with something left that lives for six',
    async () => {
      const { clock, wallet } = harness
      const account = accountOf(harness)
      const start = clock.nowMs
      const { id } = await account.grant(100n, { expiresAtMs: start + 7 * DAY_MS })
      await account.grant(100n, { expiresAtMs: start + 5 * DAY_MS })
      const voided = await account.grant(100n, { expiresAtMs: start + 7 * DAY_MS })
      const empty = await account.grant(100n, { expiresAtMs: start + 7 * DAY_MS, priority: 1 })
      await account.voidGrant(voided.id)
      await spend(account, 100n, { alerts: undefined })
      expect((await account.grants()).find((grant) => grant.id === empty.id)?.freeAtoms).toBe(0n)
      clock.nowMs = start + 4 * DAY_MS - 1
      await wallet.sweep(account.account)
      expect(await eventsOf(account)).toEqual([])
      clock.nowMs = start + 4 * DAY_MS
      await Promise.all(Array.from({ length: 20 }, () => wallet.sweep(account.account)))
      expect((await wallet.check(account.account)).differences).toEqual([])
      const events = (await account.ledger()).filter(({ type }) => type === 'event')
      expect(events).toMatchObject([
        {
          atMs: start + 4 * DAY_MS,
          fields: { event: 'grant.expiring', grant: id, left: '0.0000001', expires: start + 7 * DAY_MS },
        },
      ])
    },
  )

  redisTest('comes as early as the plan says, of grants made from then on', async () => {
    const { clock, wallet } = harness
    const account = await watched(watch({ expiresInMs: 1000 }))
    const start = clock.nowMs
    await account.grant(100n, { expiresAtMs: start + 2000 })
    await account.grant(100n, { expiresAtMs: start + 1999 })
    clock.nowMs = start + 1000
    await wallet.sweep(account.account)
    expect((await wallet.check(account.account)).differences).toEqual([])
    expect(await eventsOf(account)).toEqual(['grant > grant.expiring'])
  })
})

describe('top_up.requested', () => {
  const MINUTE_MS = 60_000
  const HOUR_MS = 60 * MINUTE_MS

  redisTest('is asked for again after a wait that doubles, and never for more than at_most in a period', async () => {
    const { clock, wallet } = harness
    clock.nowMs += HOUR_MS - (clock.nowMs % HOUR_MS)
    const start = clock.nowMs
    const topUp = {
      belowAtoms: 50n,
      amountAtoms: 100n,
      atMostAtoms: 350n,
      waitMs: MINUTE_MS,
      bounds: [start - HOUR_MS, start, start + HOUR_MS, start + 2 * HOUR_MS] as const,
    }
    const account = await watched(watch({ topUp }))
    await spend(account, 60n, watch({ topUp }))
    const asked = async () =>
      (await account.ledger())
        .filter(({ op }) => op === 'top_up.requested')
        .map(({ atMs, fields }) => `${(atMs - start) / MINUTE_MS} ${String(fields['requested'])}`)
    expect(await asked()).toEqual(['0 0.0000001'])
    for (let minute = 1; minute <= 65; minute++) {
      clock.nowMs = start + minute * MINUTE_MS
      await wallet.sweep(account.account)
      await spend(account, 0n, watch({ topUp }))
    }
    // Three of 100 are what 350 allow; in the next hour it begins anew.
    expect(await asked()).toEqual([
      '0 0.0000001',
      '1 0.0000002',
      '3 0.0000003',
      '60 0.0000001',
      '61 0.0000002',
      '63 0.0000003',
    ])
    expect((await wallet.check(account.account)).differences).toEqual([])
  })

  redisTest('is not asked for any more where no call came since the periods ended that are known', async () => {
    const { clock, wallet } = harness
    const start = clock.nowMs
    const topUp = {
      belowAtoms: 50n,
      amountAtoms: 100n,
      atMostAtoms: 100n,
      waitMs: MINUTE_MS,
      bounds: [start - HOUR_MS, start, start + HOUR_MS, start + 2 * HOUR_MS] as const,
    }
    const account = await watched(watch({ topUp }))
    await spend(account, 60n, watch({ topUp }))
    for (let minute = 0; minute < 600; minute++) {
      clock.nowMs += MINUTE_MS
      await wallet.sweep(account.account)
    }
    const asked = async () => (await account.ledger()).filter(({ op }) => op === 'top_up.requested').length
    expect(await asked()).toBe(2)
    expect(await harness.redis.zscore(`tg:{${account.account}}:due`, 'tUSD')).toBeNull()
    const later = [10, 11, 12, 13].map((hours) => start + hours * HOUR_MS) as [number, number, number, number]
    await spend(account, 1n, watch({ topUp: { ...topUp, bounds: later } }))
    expect(await asked()).toBe(3)
    expect((await wallet.check(account.account)).differences).toEqual([])
  })

  redisTest('is not asked for again once funds came that put the balance right', async () => {
    const { clock, wallet } = harness
    const topUp = {
      belowAtoms: 50n,
      amountAtoms: 100n,
      atMostAtoms: 1000n,
      waitMs: MINUTE_MS,
      bounds: [0, clock.nowMs, clock.nowMs + HOUR_MS, clock.nowMs + 2 * HOUR_MS] as const,
    }
    const account = await watched(watch({ topUp }))
    await Promise.all(Array.from({ length: 50 }, () => spend(account, 2n, watch({ topUp }))))
    expect((await eventsOf(account)).filter((event) => event.endsWith('top_up.requested'))).toHaveLength(1)
    await account.grant(100n)
    clock.nowMs += 10 * MINUTE_MS
    await wallet.sweep(account.account)
    expect((await eventsOf(account)).filter((event) => event.endsWith('top_up.requested'))).toHaveLength(1)
    expect((await wallet.check(account.account)).differences).toEqual([])
  })
})
