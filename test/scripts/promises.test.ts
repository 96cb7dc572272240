/** What others get wrong: each test is named after what it promises. */
import { expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const CENT = 10_000_000n
const HOUR = 3_600_000

const statuses = async (calls: readonly Promise<{ readonly status: string }>[]): Promise<Record<string, number>> => {
  const count: Record<string, number> = {}
  for (const { status } of await Promise.all(calls)) count[status] = (count[status] ?? 0) + 1
  return count
}

const free = async (account: TestAccount): Promise<bigint[]> => (await account.grants()).map((grant) => grant.freeAtoms)

function budget(limit: bigint, more: Partial<BudgetCount> = {}): BudgetCount {
  return {
    name: 'daily',
    field: 'daily~USD~1d~',
    measure: 'USD',
    limit,
    action: 'block',
    lifeMs: 2 * 24 * HOUR,
    group: '',
    valuesMax: 10_000,
    window: { kind: 'rolling', lengthMs: 24 * HOUR, partMs: 2 * HOUR },
    ...more,
  }
}

async function counted(account: TestAccount): Promise<{ readonly spent: bigint; readonly held: bigint }> {
  const { counters } = await harness.wallet.counters(account.account, '0', 1000)
  const slots = counters.flatMap((counter) => counter.slots)
  return {
    spent: slots.reduce((sum, slot) => sum + slot.spent, 0n),
    held: slots.reduce((sum, slot) => sum + slot.held, 0n),
  }
}

redisTest('of 50 parallel calls with one credit left exactly one is held', async () => {
  const account = accountOf(harness)
  await account.grant(1n, { unit: 'CREDITS', scale: 0 })
  const calls = Array.from({ length: 50 }, () => account.hold(1n, { unit: 'CREDITS', scale: 0 }))
  // The one that is held may still give back what it does not use: the others are told to come again.
  expect(await statuses(calls)).toEqual({ held: 1, held_by_open_calls: 49 })
})

redisTest('of five calls of 300,000 tokens at once on $0.45 as many run as it pays for', async () => {
  const account = accountOf(harness)
  await account.grant(45n * CENT)
  // 0.50 USD a million tokens: 0.15 USD each.
  const call = () =>
    account.call(0n, { perTokenAtoms: 500n, leastTokens: 300_000, wantTokens: 300_000, totalTokens: 300_000 })
  expect(await statuses(Array.from({ length: 5 }, () => harness.wallet.hold(call())))).toEqual({
    held: 3,
    held_by_open_calls: 2,
  })
  expect((await account.balance()).availableAtoms).toBe(0n)
})

redisTest('eight first calls at once of a user never seen cannot pass its budget together', async () => {
  const account = accountOf(harness)
  await account.grant(1000n * CENT)
  const perUser = budget(100n * CENT, {
    name: 'per-user',
    field: 'per-user~USD~1d~user-new',
    group: 'per-user~USD~1d~',
  })
  const calls = Array.from({ length: 8 }, () => account.hold(30n * CENT, { budgets: [perUser] }))
  expect(await statuses(calls)).toEqual({ held: 3, held_by_open_calls: 5 })
  expect(await counted(account)).toEqual({ spent: 0n, held: 90n * CENT })
})

redisTest('a call in flight over the reset of its budget is counted in the window it was held in', async () => {
  const account = accountOf(harness)
  await account.grant(100n * CENT)
  const day = 24 * HOUR
  const midnight = Math.ceil(harness.clock.nowMs / day) * day
  harness.clock.nowMs = midnight - 1000
  const window = (nowMs: number): BudgetCount['window'] => {
    const start = Math.floor(nowMs / day) * day
    return { kind: 'calendar', bounds: [start - day, start, start + day, start + 2 * day] }
  }
  const daily = () => budget(10n * CENT, { window: window(harness.clock.nowMs) })
  const before = account.call(8n * CENT, { budgets: [daily()] })
  expect(await harness.wallet.hold(before)).toMatchObject({ status: 'held' })
  expect(await account.hold(8n * CENT, { budgets: [daily()] })).toMatchObject({ status: 'held_by_open_calls' })
  harness.clock.nowMs = midnight
  const after = account.call(8n * CENT, { budgets: [daily()] })
  expect(await harness.wallet.hold(after)).toMatchObject({ status: 'held' })
  await account.settle(before, 8n * CENT)
  // What the earlier one came to takes nothing of the new day.
  await account.settle(after, 2n * CENT)
  expect(await account.hold(8n * CENT, { budgets: [daily()] })).toMatchObject({ status: 'held' })
})

redisTest(
  'a settle at three times its hold on an empty wallet is charged whole, as debt beyond what was held',
  async () => {
    const account = accountOf(harness)
    await account.grant(10n * CENT)
    const call = account.call(10n * CENT)
    await harness.wallet.hold(call)
    expect(await account.settle(call, 30n * CENT)).toMatchObject({
      status: 'settled',
      chargedAtoms: 30n * CENT,
      overrunAtoms: 20n * CENT,
    })
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, debtAtoms: 20n * CENT, heldAtoms: 0n })
    expect(await account.hold(1n)).toMatchObject({ status: 'insufficient_funds' })
  },
)

redisTest('an open hold keeps what it pinned though the grant expires, and what it gives back is expired', async () => {
  const account = accountOf(harness)
  await account.grant(10n * CENT, { expiresAtMs: harness.clock.nowMs + 1000 })
  const call = account.call(8n * CENT)
  await harness.wallet.hold(call)
  harness.clock.nowMs += 60_000
  expect(await account.settle(call, 5n * CENT)).toMatchObject({ chargedAtoms: 5n * CENT, overrunAtoms: 0n })
  expect(await account.balance()).toMatchObject({ availableAtoms: 0n, debtAtoms: 0n, expiredAtoms: 5n * CENT })
})

redisTest('two gateways that create one allowance make one grant', async () => {
  const account = accountOf(harness)
  const allowance = () =>
    harness.wallet.grant(
      account.grantRequest(100n, { key: 'allowance/pro/monthly/2096-10', operationId: newId(harness.clock.nowMs) }),
    )
  const answers = await Promise.all(Array.from({ length: 20 }, allowance))
  expect(new Set(answers.map((answer) => (answer.status === 'done' ? answer.value.id : answer.status))).size).toBe(1)
  expect(await free(account)).toEqual([100n])
})

redisTest('a call whose usage is zero costs nothing, and frees all that was held', async () => {
  const account = accountOf(harness)
  await account.grant(10n * CENT)
  const call = account.call(10n * CENT, { floorAtoms: CENT })
  await harness.wallet.hold(call)
  expect(await account.settle(call, 0n)).toMatchObject({ status: 'settled', chargedAtoms: 0n, drawn: [] })
  expect((await account.balance()).availableAtoms).toBe(10n * CENT)
})

redisTest('a free model runs on an empty wallet, and on one in debt', async () => {
  const account = accountOf(harness)
  expect(await account.hold(0n)).toMatchObject({ status: 'held', heldAtoms: 0n })
  await account.grant(1n)
  const call = account.call(1n)
  await harness.wallet.hold(call)
  await account.settle(call, 100n)
  expect((await account.balance()).debtAtoms).toBe(99n)
  expect(await account.hold(0n)).toMatchObject({ status: 'held', heldAtoms: 0n })
})

redisTest('a budget that is full of open holds alone is told apart from one that is spent', async () => {
  const account = accountOf(harness)
  await account.grant(100n * CENT)
  const call = account.call(10n * CENT, { budgets: [budget(10n * CENT)] })
  await harness.wallet.hold(call)
  expect(await account.hold(5n * CENT, { budgets: [budget(10n * CENT)] })).toMatchObject({
    status: 'held_by_open_calls',
  })
  await account.settle(call, 10n * CENT)
  expect(await account.hold(5n * CENT, { budgets: [budget(10n * CENT)] })).toMatchObject({ status: 'budget_exceeded' })
})

redisTest('caps hold without any wallet: postpaid calls run to their budget and no further', async () => {
  const account = accountOf(harness)
  const postpaid = { onExhausted: { mode: 'postpaid' }, budgets: [budget(10n * CENT)] } as const
  const call = account.call(8n * CENT, postpaid)
  expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held', overage: { mode: 'postpaid' } })
  await account.settle(call, 8n * CENT)
  expect(await account.hold(3n * CENT, postpaid)).toMatchObject({
    status: 'budget_exceeded',
    availableAtoms: 2n * CENT,
  })
  expect(await account.hold(2n * CENT, postpaid)).toMatchObject({ status: 'held' })
})

redisTest(
  'of 10,000 holds at once on one wallet exactly as many are held as fit',
  async () => {
    const account = accountOf(harness)
    await account.grant(1234n * 7n + 6n)
    const calls = Array.from({ length: 10_000 }, () => account.hold(7n))
    expect(await statuses(calls)).toEqual({ held: 1234, held_by_open_calls: 10_000 - 1234 })
    expect(await account.balance()).toMatchObject({ availableAtoms: 6n, heldAtoms: 1234n * 7n })
  },
  180_000,
)

redisTest(
  'a storm of holds that are all given back leaves the wallet as it was',
  async () => {
    const account = accountOf(harness)
    await account.grant(1000n)
    for (let round = 0; round < 20; round++) {
      const calls: HoldRequest[] = Array.from({ length: 100 }, () => account.call(10n))
      expect(await statuses(calls.map((call) => harness.wallet.hold(call)))).toEqual({ held: 100 })
      await Promise.all(calls.map((call) => account.void(call.id)))
    }
    expect(await account.balance()).toMatchObject({ availableAtoms: 1000n, heldAtoms: 0n, postedAtoms: 0n })
    expect(await account.holds()).toEqual([])
  },
  180_000,
)

redisTest(
  'an overflow period is not closed over an open hold, and a call over the end of a month is in the month it began',
  async () => {
    const account = accountOf(harness)
    const overflow = (overflowPeriod: string): Partial<HoldRequest> => ({
      onExhausted: { mode: 'overflow', capAtoms: 1000n, period: 'month', multiplier: '1' },
      overflowPeriod,
    })
    const october = account.call(30n, overflow('2096-10'))
    await harness.wallet.hold(october)
    const november = account.call(50n, overflow('2096-11'))
    await harness.wallet.hold(november)
    await account.settle(november, 50n)
    const close = (period: string) =>
      harness.wallet.closePeriod({
        account: account.account,
        operationId: newId(harness.clock.nowMs),
        reason: 'invoice',
        actor: 'finance',
        unit: 'USD',
        period,
        heir: '2096-12',
        force: false,
      })
    expect(await close('2096-10')).toMatchObject({ status: 'open_holds' })
    await account.settle(october, 20n)
    expect(await close('2096-10')).toMatchObject({ status: 'done' })
    expect(await close('2096-11')).toMatchObject({ status: 'done' })
  },
)

redisTest('Kong’s example of drawing down: 90 of A 50, B 80 and C 100 leaves A nothing, B 40, C whole', async () => {
  const account = accountOf(harness)
  const { nowMs } = harness.clock
  const c = await account.grant(100n, { priority: 2 })
  const b = await account.grant(80n, { priority: 1, expiresAtMs: nowMs + 60 * 24 * HOUR })
  const a = await account.grant(50n, { priority: 1, expiresAtMs: nowMs + 30 * 24 * HOUR })
  const call = account.call(90n)
  await harness.wallet.hold(call)
  const { drawn } = await account.settle(call, 90n)
  expect(drawn).toEqual([
    { grant: a.id, atoms: 50n },
    { grant: b.id, atoms: 40n },
  ])
  const left = new Map((await account.grants()).map((grant) => [grant.id, grant.freeAtoms]))
  expect([left.get(a.id), left.get(b.id), left.get(c.id)]).toEqual([0n, 40n, 100n])
})

redisTest(
  'OpenMeter’s order: a grant for one feature before the general ones of its priority, and never for another feature',
  async () => {
    const account = accountOf(harness)
    const general = await account.grant(100n, { priority: 5 })
    const scoped = await account.grant(100n, { priority: 5, appliesTo: { models: ['gpt-5-*'] } })
    const other = await account.grant(100n, { priority: 1, appliesTo: { models: ['claude-*'] } })
    const call = account.call(150n)
    await harness.wallet.hold(call)
    expect((await account.settle(call, 150n)).drawn).toEqual([
      { grant: scoped.id, atoms: 100n },
      { grant: general.id, atoms: 50n },
    ])
    expect((await account.grants()).find((grant) => grant.id === other.id)?.freeAtoms).toBe(100n)
    expect(replayLedger(await account.ledger(), harness.clock.nowMs).balances).toEqual(
      await harness.wallet.balances(account.account),
    )
  },
)

redisTest('an entry says of a wallet, and of what moved, no more than there is', async () => {
  const account = accountOf(harness)
  const { id } = await account.grant(100n)
  const call = account.call(10n)
  await harness.wallet.hold(call)
  // Beyond its hold, and not beyond what the grant has.
  await account.settle(call, 12n)
  const entries = await harness.redis.xrange(`tg:{${account.account}}:ledger`, '-', '+')
  // kind|time|operation|actor|unit|scale|transfers|balances|…
  expect(entries.map(([, fields]) => (fields[1] ?? '').split('|').slice(6, 8))).toEqual([
    [`fund:external>grant:${id}=100`, '100,0'],
    ['', '90,10'],
    [`grant:${id}>consumed=10,grant:${id}>consumed=2`, '88,0'],
  ])
})
