import { expect, test } from 'vitest'
import type { WalletGauge } from '../../src/metrics/metric-events.ts'
import { WalletGauges, type WalletReader } from '../../src/metrics/wallet-gauges.ts'

const balance = (more: { posted?: bigint; available?: bigint; held?: bigint; granted?: bigint } = {}) => ({
  unit: 'USD',
  scale: 2,
  grantedAtoms: more.granted ?? 10_000n,
  postedAtoms: more.posted ?? 0n,
  heldAtoms: more.held ?? 0n,
  availableAtoms: more.available ?? 6000n,
  debtAtoms: 0n,
})

function setUp(
  wallet: Omit<WalletReader, 'counters'>,
  more: {
    accounts?: () => Iterable<string>
    others?: (most: number) => Promise<readonly string[]>
    accountsPerTick?: number
    maxSeries?: number
  } = {},
) {
  const seen = {
    wallets: [] as WalletGauge[],
    holds: [] as (readonly [string, number])[],
    unmatched: [] as number[],
    expired: [] as (readonly [string, number])[],
    dropped: [] as (readonly [string, number])[],
    warnings: 0,
    nowMs: 0,
  }
  const gauges = new WalletGauges({
    wallet: { ...wallet, counters: () => Promise.reject(new Error('there are no budgets')) },
    budgets: () => [],
    accounts: more.accounts ?? (() => ['acme']),
    ...(more.others === undefined ? {} : { others: more.others }),
    ...(more.accountsPerTick === undefined ? {} : { accountsPerTick: more.accountsPerTick }),
    metrics: {
      maxSeries: more.maxSeries ?? 100,
      wallets: (wallets, accounts) => {
        seen.wallets = [...wallets]
        const all = [...accounts]
        seen.holds = all.map(({ account, holdsOpen }) => [account, holdsOpen])
        seen.unmatched = all.map(({ unmatched }) => unmatched)
      },
      holdsExpired: (account, count) => seen.expired.push([account, count]),
      eventsDropped: (account, count) => seen.dropped.push([account, count]),
    },
    log: { warn: () => seen.warnings++ },
    now: () => seen.nowMs,
  })
  return { gauges, seen }
}

test('balances are shown in units, with the number of open holds', async () => {
  const { gauges, seen } = setUp({
    balances: () => Promise.resolve([balance({ held: 150n })]),
    counts: () => Promise.resolve({ openHolds: 3, timeouts: 7, unmatched: 2, eventsDropped: 0 }),
  })
  await gauges.tick()
  expect(seen.wallets).toEqual([
    { account: 'acme', unit: 'USD', available: 60, held: 1.5, debt: 0, secondsToEmpty: undefined },
  ])
  expect(seen.holds).toEqual([['acme', 3]])
  expect(seen.unmatched).toEqual([2])
})

test('events that were dropped since the last reading are counted', async () => {
  let eventsDropped = 5
  const { gauges, seen } = setUp({
    balances: () => Promise.resolve([balance()]),
    counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped }),
  })
  await gauges.tick()
  eventsDropped = 8
  await gauges.tick()
  await gauges.tick()
  expect(seen.dropped).toEqual([['acme', 3]])
})

test('further accounts have gauges where there is room, and keep them while they cannot be listed', async () => {
  let fails = false
  const wallet = {
    balances: () => Promise.resolve([balance()]),
    counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
  }
  const asked: number[] = []
  const others = async (most: number) => {
    asked.push(most)
    if (fails) throw new Error('away')
    return ['r1', 'r2', 'r3'].slice(0, most)
  }
  const { gauges, seen } = setUp(wallet, { maxSeries: 3, others })
  await gauges.tick()
  fails = true
  await gauges.tick()
  expect(asked).toEqual([2, 2])
  expect(seen.wallets.map(({ account }) => account).sort()).toEqual(['acme', 'r1', 'r2'])
  expect(seen.warnings).toBe(1)
})

test('holds that timed out since the last reading are counted, whichever script or gateway ended them', async () => {
  let timeouts = 7
  const { gauges, seen } = setUp({
    balances: () => Promise.resolve([balance()]),
    counts: () => Promise.resolve({ openHolds: 0, timeouts, unmatched: 0, eventsDropped: 0 }),
  })
  await gauges.tick()
  expect(seen.expired).toEqual([])
  timeouts = 9
  await gauges.tick()
  await gauges.tick()
  expect(seen.expired).toEqual([['acme', 2]])
})

test.each<[string, bigint[], bigint, bigint, number | undefined]>([
  // posted at 0, 1, 2 … minutes; the wallet has 60.00
  ['10.00 a minute', [0n, 1000n, 2000n], 6000n, 10_000n, 360],
  ['nothing spent', [500n, 500n, 500n], 6000n, 10_000n, undefined],
  ['one reading', [500n], 6000n, 10_000n, undefined],
  ['refunded since', [500n, 300n], 6000n, 10_000n, undefined],
  ['empty, and spending on', [0n, 1000n], 0n, 10_000n, 0],
  ['a wallet that nothing ever funded', [0n, 1000n], 0n, 0n, undefined],
])('seconds to empty: %s', async (_, posted, available, granted, seconds) => {
  let reading = 0n
  const { gauges, seen } = setUp({
    balances: () => Promise.resolve([balance({ posted: reading, available, granted })]),
    counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
  })
  for (const [minute, amount] of posted.entries()) {
    reading = amount
    seen.nowMs = minute * 60_000
    await gauges.tick()
  }
  expect(seen.wallets[0]?.secondsToEmpty).toBe(seconds)
})

test('only the last quarter of an hour counts', async () => {
  let posted = 0n
  const { gauges, seen } = setUp({
    balances: () => Promise.resolve([balance({ posted })]),
    counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
  })
  for (let minute = 0; minute <= 40; minute++) {
    // 100.00 in the first minutes, then 1.00 a minute.
    posted += minute < 10 ? 1000n : 100n
    seen.nowMs = minute * 60_000
    await gauges.tick()
  }
  expect(seen.wallets[0]?.secondsToEmpty).toBeCloseTo(3600, -1)
})

test('a long list of accounts is read in turns, bounded by max_series', async () => {
  const asked: string[] = []
  const accounts = Array.from({ length: 50 }, (_, i) => `a${i}`)
  const { gauges, seen } = setUp(
    {
      balances: (account) => {
        asked.push(account)
        return Promise.resolve([balance()])
      },
      counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
    },
    { accounts: () => accounts, accountsPerTick: 10, maxSeries: 25 },
  )
  await gauges.tick()
  expect(asked).toHaveLength(10)
  await gauges.tick()
  await gauges.tick()
  expect(new Set(asked).size).toBe(25)
  expect(seen.wallets).toHaveLength(25)
})

test('an account that is gone from the config loses its gauges', async () => {
  let accounts = ['acme', 'globex']
  const { gauges, seen } = setUp(
    {
      balances: () => Promise.resolve([balance()]),
      counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
    },
    { accounts: () => accounts },
  )
  await gauges.tick()
  expect(seen.wallets).toHaveLength(2)
  accounts = ['globex']
  await gauges.tick()
  expect(seen.wallets.map((wallet) => wallet.account)).toEqual(['globex'])
})

test('while Redis is away the gauges keep what was read, and the next tick tries again', async () => {
  let away = false
  const { gauges, seen } = setUp({
    balances: () => (away ? Promise.reject(new Error('away')) : Promise.resolve([balance()])),
    counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
  })
  await gauges.tick()
  away = true
  await gauges.tick()
  expect(seen).toMatchObject({ warnings: 1, wallets: [{ account: 'acme' }] })
  away = false
  await gauges.tick()
  expect(seen).toMatchObject({ warnings: 1, wallets: [{ account: 'acme' }] })
})

test('a slow Redis never has two rounds under way', async () => {
  let calls = 0
  let answer = (): void => undefined
  const { gauges } = setUp({
    balances: () => {
      calls++
      return new Promise((resolve) => {
        answer = () => resolve([balance()])
      })
    },
    counts: () => Promise.resolve({ openHolds: 0, timeouts: 0, unmatched: 0, eventsDropped: 0 }),
  })
  const first = gauges.tick()
  const second = gauges.tick()
  answer()
  await Promise.all([first, second])
  expect(calls).toBe(1)
})
