/** Allowances on a real wallet: the keeper of one gateway or of two, with the clock in the test's hand. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Allowance, allowancePeriods, makeAllowance } from '../../src/core/allowance.ts'
import { SILENT_LOG } from '../../src/log.ts'
import { ALLOWANCES_KEY, AllowanceKeeper } from '../../src/wallet/allowance-keeper.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import { WalletUnavailable } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

function monthly(amountAtoms: bigint, more: Partial<Allowance> = {}): Allowance {
  const terms = {
    unit: 'USD',
    scale: 9,
    amountAtoms,
    every: 'month',
    timezone: 'UTC',
    anchor: 1,
    funding: 'promotional',
    rollover: undefined,
  } as const
  return makeAllowance({ ...terms, ...more }, more.onChange ?? 'keep')
}

type Accounts = Map<string, { plan: { allowance?: Allowance | undefined } }>

function keeperOf(
  accounts: Accounts,
  wallet: ConstructorParameters<typeof AllowanceKeeper>[0]['wallet'] = harness.wallet,
  more: { readonly knownMax?: number } = {},
) {
  const redis = { call: (command: string, ...args: (string | number)[]) => harness.redis.call(command, ...args) }
  return new AllowanceKeeper({
    wallet,
    redis: redis as ConstructorParameters<typeof AllowanceKeeper>[0]['redis'],
    accounts: () => accounts,
    log: SILENT_LOG,
    nowMs: () => harness.clock.nowMs,
    ...more,
  })
}

function only(account: TestAccount, allowance: Allowance | undefined): Accounts {
  return new Map([[account.account, { plan: { allowance } }]])
}

const available = async (account: TestAccount) => (await account.balance()).availableAtoms

async function charge(account: TestAccount, atoms: bigint): Promise<void> {
  const call = account.call(atoms)
  expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held' })
  await account.settle(call, atoms)
}

async function balanced(account: TestAccount): Promise<void> {
  const entries = await account.ledger()
  for (const entry of entries) expect(entry.legs.reduce((sum, leg) => sum + leg.atoms, 0n)).toBe(0n)
  expect(replayLedger(entries, harness.clock.nowMs).balances).toEqual(await harness.wallet.balances(account.account))
}

redisTest('gateways that look at one time make one allowance a period', async () => {
  const account = accountOf(harness)
  const accounts = only(account, monthly(100n))
  const gateways = Array.from({ length: 4 }, () => keeperOf(accounts))
  await Promise.all(gateways.flatMap((keeper) => [keeper.ensure(account.account), keeper.tick()]))
  const [current, next] = allowancePeriods(monthly(100n), harness.clock.nowMs)
  expect(
    (await account.grants()).map(({ key, effectiveAtMs, expiresAtMs }) => [key, effectiveAtMs, expiresAtMs]),
  ).toEqual([
    [`allowance:${current.name}`, current.startMs, current.endMs],
    [`allowance:${next.name}`, next.startMs, next.endMs],
  ])
  expect((await account.ledger()).map(({ type, actor }) => [type, actor])).toEqual([
    ['allowance', 'allowance'],
    ['allowance', 'allowance'],
  ])
  expect(await available(account)).toBe(100n)
})

redisTest('the boundary is exact to the millisecond: the old one ends where the next begins', async () => {
  const account = accountOf(harness)
  await keeperOf(only(account, monthly(100n))).tick()
  const [{ endMs }] = allowancePeriods(monthly(100n), harness.clock.nowMs)
  await charge(account, 70n)
  harness.clock.nowMs = endMs - 1
  expect(await account.hold(31n)).toMatchObject({ status: 'insufficient_funds' })
  harness.clock.nowMs = endMs
  expect(await available(account)).toBe(100n)
  await charge(account, 100n)
  await balanced(account)
})

redisTest('what is left rolls over once, within its bounds, and is drawn first', async () => {
  const account = accountOf(harness)
  const allowance = monthly(100n, { rollover: { percentMillionths: 500_000, minAtoms: 5n, maxAtoms: 30n } })
  const keeper = keeperOf(only(account, allowance))
  await keeper.tick()
  const months = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      harness.clock.nowMs = allowancePeriods(allowance, harness.clock.nowMs)[0].endMs
      await keeper.ensure(account.account)
    }
  }
  await charge(account, 20n)
  await months(1)
  // Half of 80 is 40; 30 is the most.
  expect(await available(account)).toBe(130n)
  await charge(account, 120n)
  await months(1)
  // The 30 were drawn first; of the 10 that are left half is 5.
  expect(await available(account)).toBe(105n)
  await months(1)
  // 100 are left of the allowance itself, and the 5 end here.
  expect(await available(account)).toBe(130n)
  await charge(account, 130n)
  await months(1)
  // Nothing is left; 5 is the least.
  expect(await available(account)).toBe(105n)
  await balanced(account)
})

redisTest.each<[Allowance['onChange'], bigint, now: bigint, next: bigint]>([
  ['keep', 300n, 60n, 300n],
  ['keep', 50n, 60n, 50n],
  ['top_up', 300n, 260n, 300n],
  ['top_up', 50n, 60n, 50n],
  ['replace', 300n, 300n, 300n],
  ['replace', 50n, 50n, 50n],
])(
  '%s: an allowance of 100 with 40 spent that becomes %i leaves %i now and %i in the next period, by two gateways at once',
  async (onChange, amount, now, next) => {
    const account = accountOf(harness)
    await keeperOf(only(account, monthly(100n))).tick()
    await charge(account, 40n)
    const changed = monthly(amount, { onChange })
    const gateways = Array.from({ length: 3 }, () => keeperOf(only(account, changed)))
    await Promise.all(gateways.map((keeper) => keeper.tick()))
    expect(await available(account)).toBe(now)
    expect((await account.balance()).pendingAtoms).toBe(next)
    for (const keeper of gateways) await keeper.ensure(account.account)
    expect((await account.balance()).pendingAtoms).toBe(next)
    harness.clock.nowMs = allowancePeriods(changed, harness.clock.nowMs)[0].endMs
    expect(await available(account)).toBe(next)
    await harness.wallet.sweep(account.account)
    await balanced(account)
  },
)

redisTest('an open call keeps what it holds of a replaced allowance', async () => {
  const account = accountOf(harness)
  await keeperOf(only(account, monthly(100n))).tick()
  const call = account.call(40n)
  await harness.wallet.hold(call)
  await keeperOf(only(account, monthly(10n, { onChange: 'replace' }))).tick()
  await account.settle(call, 30n)
  expect(await account.balance()).toMatchObject({ availableAtoms: 10n, postedAtoms: 30n, debtAtoms: 0n })
  await balanced(account)
})

redisTest('one taken away while no gateway ran ends with its period; given again, it goes on', async () => {
  const account = accountOf(harness)
  const allowance = monthly(100n)
  await keeperOf(only(account, allowance)).tick()
  expect(await harness.redis.sismember(ALLOWANCES_KEY, account.account)).toBe(1)
  await keeperOf(only(account, undefined)).tick()
  expect(await account.balance()).toMatchObject({ availableAtoms: 100n, pendingAtoms: 0n })
  expect(await harness.redis.sismember(ALLOWANCES_KEY, account.account)).toBe(0)
  await keeperOf(only(account, allowance)).tick()
  expect(await account.balance()).toMatchObject({ availableAtoms: 100n, pendingAtoms: 100n })
})

redisTest('what an operator voided is not granted again', async () => {
  const account = accountOf(harness)
  const accounts = only(account, monthly(100n))
  await keeperOf(accounts).tick()
  for (const grant of await account.grants()) await account.voidGrant(grant.id)
  await keeperOf(accounts).tick()
  expect(await account.balance()).toMatchObject({ availableAtoms: 0n, pendingAtoms: 0n })
})

redisTest('an account that another gateway configures is left alone', async () => {
  const account = accountOf(harness)
  await keeperOf(only(account, monthly(100n))).tick()
  await keeperOf(new Map()).tick()
  expect((await account.balance()).pendingAtoms).toBe(100n)
})

redisTest('an account is looked at once a period: its calls ask the map', async () => {
  const account = accountOf(harness)
  const allowance = monthly(100n)
  let reads = 0
  const wallet = {
    grants: (name: string) => {
      reads++
      return harness.wallet.grants(name)
    },
    grant: harness.wallet.grant,
    voidGrant: harness.wallet.voidGrant,
  }
  const keeper = keeperOf(only(account, allowance), wallet)
  expect(keeper.covers(account.account, allowance)).toBe(false)
  await Promise.all(Array.from({ length: 20 }, () => keeper.ensure(account.account)))
  expect([reads, keeper.covers(account.account, allowance)]).toEqual([1, true])
  expect(keeper.covers(account.account, monthly(200n))).toBe(false)
  const [, next] = allowancePeriods(allowance, harness.clock.nowMs)
  harness.clock.nowMs = next.endMs - 1
  expect(keeper.covers(account.account, allowance)).toBe(true)
  harness.clock.nowMs = next.endMs
  expect(keeper.covers(account.account, allowance)).toBe(false)
})

redisTest('with Redis away nothing is thrown and nothing is believed; later it is made', async () => {
  const account = accountOf(harness)
  const allowance = monthly(100n)
  let away = true
  const keeper = keeperOf(only(account, allowance), {
    ...harness.wallet,
    grants: (name) => (away ? Promise.reject(new WalletUnavailable('away', false)) : harness.wallet.grants(name)),
  })
  await keeper.ensure(account.account)
  await keeper.tick()
  expect(keeper.covers(account.account, allowance)).toBe(false)
  away = false
  await keeper.tick()
  expect([keeper.covers(account.account, allowance), await available(account)]).toEqual([true, 100n])
})

redisTest('where another Redis answers, what was made in the first is made again', async () => {
  const account = accountOf(harness)
  const keeper = keeperOf(only(account, monthly(100n)))
  await keeper.tick()
  const keys = await harness.redis.keys(`tg:{${account.account}}:*`)
  await harness.redis.del(...keys, ALLOWANCES_KEY)
  keeper.forget()
  await keeper.tick()
  expect([await available(account), await harness.redis.sismember(ALLOWANCES_KEY, account.account)]).toEqual([100n, 1])
})

redisTest(
  'of ever new accounts those used lately are remembered; one that is forgotten is not granted twice',
  async () => {
    const allowance = monthly(100n)
    const names = Array.from({ length: 60 }, (_, i) => `ever-new-${i}`)
    const accounts: Accounts = new Map(names.map((name) => [name, { plan: { allowance } }]))
    const keeper = keeperOf(accounts, harness.wallet, { knownMax: 20 })
    for (const name of names) {
      await keeper.ensure(name)
      expect([keeper.covers(name, allowance), keeper.covers('ever-new-0', allowance)]).toEqual([true, true])
    }
    const covered = names.filter((name) => keeper.covers(name, allowance))
    expect(covered).toContain('ever-new-0')
    expect(covered.length).toBeLessThanOrEqual(20)
    await keeper.ensure('ever-new-1')
    await keeper.tick()
    expect((await harness.wallet.balances('ever-new-1'))[0]).toMatchObject({ availableAtoms: 100n, pendingAtoms: 100n })
    // Taken away from all of them, also from those that are not remembered.
    for (const name of names) accounts.set(name, { plan: { allowance: undefined } })
    await keeper.tick()
    const left = await Promise.all(names.map(async (name) => (await harness.wallet.balances(name))[0]?.pendingAtoms))
    expect(new Set(left)).toEqual(new Set([0n]))
    expect(await harness.redis.call('SMISMEMBER', ALLOWANCES_KEY, ...names)).toEqual(names.map(() => 0))
  },
)

redisTest('1,000 accounts get theirs without a stalled event loop', async () => {
  const accounts: Accounts = new Map()
  for (let i = 0; i < 1000; i++) accounts.set(`many-${i}`, { plan: { allowance: monthly(100n) } })
  let [worstMs, last, running] = [0, performance.now(), true]
  const watch = (async () => {
    while (running) {
      await sleep(5)
      const now = performance.now()
      worstMs = Math.max(worstMs, now - last - 5)
      last = now
    }
  })()
  const keeper = keeperOf(accounts)
  await keeper.tick()
  running = false
  await watch
  expect([...accounts].filter(([name, { plan }]) => !keeper.covers(name, plan.allowance as Allowance))).toEqual([])
  expect((await harness.wallet.balances('many-999'))[0]).toMatchObject({ availableAtoms: 100n, pendingAtoms: 100n })
  // Other processes share the machine: what a stall of ours would be is seconds.
  expect(worstMs).toBeLessThan(250)
})
