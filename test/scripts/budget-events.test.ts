/** Events of budgets: once in a window, or once a day. */
import { describe, expect } from 'vitest'
import type { BudgetCount } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { eventsOf } from '../support/watched-wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

describe('budget.exceeded', () => {
  const HOUR_MS = 3_600_000
  const budget = (name: string, more: Partial<BudgetCount> = {}): BudgetCount => ({
    name,
    measure: 'USD',
    field: `${name}~USD~lifetime~run~r%201`,
    limit: 10n,
    action: 'block',
    lifeMs: 10 * HOUR_MS,
    group: `${name}~USD`,
    valuesMax: 100,
    window: { kind: 'lifetime' },
    ...more,
  })
  const hourly = (name: string, limit: bigint, startMs: number): BudgetCount => ({
    ...budget(name, { limit }),
    field: `${name}~USD~hour~`,
    group: '',
    window: {
      kind: 'calendar',
      bounds: [startMs - HOUR_MS, startMs, startMs + HOUR_MS, startMs + 2 * HOUR_MS],
    },
  })
  const exceeded = async (account: TestAccount) =>
    (await account.ledger()).filter(({ op }) => op === 'budget.exceeded').map(({ fields }) => fields)

  redisTest('is written once by 50 calls that a budget refuses at a time, and again under another limit', async () => {
    const account = accountOf(harness)
    await account.grant(1000n)
    const call = (atoms: bigint, limit = 10n) =>
      account.hold(atoms, { budgets: [budget('run', { limit })], amounts: [] })
    const first = account.call(8n, { budgets: [budget('run')], amounts: [] })
    await harness.wallet.hold(first)
    await account.settle(first, 8n)
    const answers = await Promise.all(Array.from({ length: 50 }, () => call(3n)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['budget_exceeded']))
    expect(await exceeded(account)).toEqual([
      {
        event: 'budget.exceeded',
        budget: 'run',
        measure: 'USD',
        window: 'lifetime',
        values: { run: 'r 1' },
        action: 'block',
        limit: '0.00000001',
        spent: '0.000000008',
        held: '0',
        needed: '0.000000003',
        window_start: 0,
        resets_at: null,
        counter_id: '1',
      },
    ])
    await call(4n, 11n)
    expect((await exceeded(account)).map(({ limit }) => limit)).toEqual(['0.00000001', '0.000000011'])
    expect((await harness.wallet.check(account.account)).differences).toEqual([])
  })

  redisTest('is told of two budgets in their own windows, which begin anew', async () => {
    const { clock, wallet } = harness
    clock.nowMs += HOUR_MS - (clock.nowMs % HOUR_MS)
    const account = accountOf(harness)
    await account.grant(1000n)
    const spendBoth = async (atoms: bigint, startMs: number) => {
      const call = account.call(atoms, {
        budgets: [hourly('small', 10n, startMs), hourly('large', 15n, startMs)],
        amounts: [],
      })
      if ((await wallet.hold(call)).status === 'held') await account.settle(call, atoms)
    }
    const start = clock.nowMs
    await spendBoth(9n, start)
    await spendBoth(2n, start)
    await spendBoth(7n, start)
    expect((await exceeded(account)).map(({ budget: name, resets_at }) => [name, resets_at])).toEqual([
      ['small', start + HOUR_MS],
      ['large', start + HOUR_MS],
    ])
    clock.nowMs = start + HOUR_MS
    await spendBoth(9n, start + HOUR_MS)
    expect(await exceeded(account)).toHaveLength(2)
    await spendBoth(2n, start + HOUR_MS)
    expect((await exceeded(account)).map(({ budget: name }) => name)).toEqual(['small', 'large', 'small'])
  })

  redisTest('follows the first hold that is beyond a budget that flags', async () => {
    const account = accountOf(harness)
    await account.grant(1000n)
    for (const atoms of [8n, 3n, 4n])
      await account.hold(atoms, { budgets: [budget('soft', { action: 'flag' })], amounts: [] })
    expect(await eventsOf(account)).toEqual(['hold > budget.exceeded'])
    expect(await exceeded(account)).toMatchObject([{ action: 'flag', held: '0.000000008', needed: '0.000000003' }])
  })

  redisTest(
    'is told neither of a rate nor of a call that is too large by itself, nor where open calls are in the way',
    async () => {
      const account = accountOf(harness)
      await account.grant(1000n)
      const rate = budget('rpm', {
        measure: 'requests',
        field: 'rpm~requests~rolling60000~',
        limit: 1n,
        group: '',
        window: { kind: 'rolling', lengthMs: 60_000, partMs: 5000 },
      })
      await account.hold(1n, { budgets: [rate], amounts: [] })
      expect(await account.hold(1n, { budgets: [rate], amounts: [] })).toMatchObject({ status: 'budget_exceeded' })
      expect(await account.hold(11n, { budgets: [budget('run')], amounts: [] })).toMatchObject({
        status: 'budget_exceeded',
      })
      await account.hold(8n, { budgets: [budget('run')], amounts: [] })
      expect(await account.hold(3n, { budgets: [budget('run')], amounts: [] })).toMatchObject({
        status: 'held_by_open_calls',
      })
      expect(await eventsOf(account)).toEqual([])
    },
  )

  redisTest('budget.values is told once a day, of a budget with four fifths of the values it may have', async () => {
    const { wallet } = harness
    const account = accountOf(harness)
    await account.grant(1000n)
    const run = (value: number) =>
      account.hold(1n, {
        budgets: [budget('run', { field: `run~USD~lifetime~run~r${value}`, valuesMax: 6 })],
        amounts: [],
      })
    for (let value = 1; value <= 4; value++) await run(value)
    expect(await eventsOf(account)).toEqual([])
    await run(5)
    await run(6)
    expect(await run(7)).toMatchObject({ status: 'too_many_values' })
    const values = (await account.ledger()).filter(({ op }) => op === 'budget.values')
    expect(values).toMatchObject([{ fields: { budget: 'run', measure: 'USD', count: 5, max_values: 6 } }])
    expect((await wallet.check(account.account)).differences).toEqual([])
  })

  redisTest('the doctor finds what was told of a budget where it was changed', async () => {
    const { redis, wallet } = harness
    const account = accountOf(harness)
    await account.grant(1000n)
    const first = account.call(8n, { budgets: [budget('run', { valuesMax: 1 })], amounts: [] })
    await wallet.hold(first)
    await account.settle(first, 8n)
    await account.hold(3n, { budgets: [budget('run', { valuesMax: 1 })], amounts: [] })
    const name = `tg:{${account.account}}:budgets`
    for (const latch of ['e:1', 'x:run~USD']) {
      const value = (await redis.hget(name, latch)) ?? ''
      expect(value).not.toBe('')
      await redis.hset(name, latch, value.replace(/^./, '8'))
      expect((await wallet.check(account.account)).differences).toHaveLength(1)
      await redis.hdel(name, latch)
      expect((await wallet.check(account.account)).differences).toHaveLength(1)
      await redis.hset(name, latch, value)
    }
    expect((await wallet.check(account.account)).differences).toEqual([])
  })
})
