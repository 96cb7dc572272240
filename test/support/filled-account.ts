/** An account with something in each of its records, and other values for each part of them. */
import { expect } from 'vitest'
import type { WalletAlerts } from '../../src/core/alerts.ts'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount, type TestWallet } from './wallet.ts'

const counts = (name: string, measure: string, window: BudgetCount['window'], windowName: string): BudgetCount => ({
  name,
  measure,
  field: `${name}~${measure}~${windowName}~run~r1`,
  limit: 1_000_000n,
  action: 'block',
  lifeMs: 200_000_000,
  group: `${name}~${measure}~${windowName}`,
  valuesMax: 10,
  window,
})
export const BUDGETS: readonly BudgetCount[] = [
  counts('all', 'USD', { kind: 'lifetime' }, 'lifetime'),
  counts('rate', 'requests', { kind: 'rolling', lengthMs: 3_600_000, partMs: 300_000 }, 'rolling3600000'),
  counts('open', 'concurrent', { kind: 'lifetime' }, 'lifetime'),
]

/** Beyond its limit with the first call, which makes the last counter that it may have. */
const FLAGGED: BudgetCount = {
  ...counts('soft', 'USD', { kind: 'lifetime' }, 'lifetime'),
  limit: 5n,
  action: 'flag',
  valuesMax: 1,
}
/** Low from the first call on. */
const ALERTS: WalletAlerts = {
  quiet: false,
  lows: [{ kind: 'below', atoms: 100_000n }],
  expiresInMs: undefined,
  topUp: {
    belowAtoms: 100_000n,
    amountAtoms: 10n,
    atMostAtoms: 1000n,
    waitMs: 3_600_000,
    bounds: [0, 1, 5_000_000_000_000, 6_000_000_000_000],
  },
}

/** An account with something in each of its records. */
export async function filledAccount(harness: TestWallet): Promise<TestAccount> {
  const { wallet, clock } = harness
  const account = accountOf(harness)
  const operation = () => ({
    account: account.account,
    operationId: `op-${Math.random()}`,
    reason: 'test',
    actor: 'test',
  })
  const call = (atoms: bigint, more: Partial<HoldRequest> = {}) =>
    account.call(atoms, { budgets: BUDGETS, amounts: [], ...more })
  const over = (mode: 'negative' | 'flag' | 'postpaid') => ({
    onExhausted: mode === 'negative' ? ({ mode, floorAtoms: -100_000n } as const) : ({ mode } as const),
  })
  const overflow = (period: string) => ({
    onExhausted: { mode: 'overflow', capAtoms: 100_000n, period: 'month', multiplier: '1.5' } as const,
    overflowPeriod: period,
  })
  const soon = await account.grant(11n, { expiresAtMs: clock.nowMs + 10 })
  const voided = await account.grant(12n, { labels: { why: 'test' } })
  const clawed = await account.grant(13n)
  await account.grant(100n, { appliesTo: { models: ['gpt-*'] }, priority: 7, costBasis: '9.5' })
  // Told to expire at some time; after all others, so that something is left of it.
  await account.grant(500n, { expiresAtMs: clock.nowMs + 2_000_000_000, priority: 900 })
  await account.grant(400n, { expiresAtMs: clock.nowMs + 90_000_000, funding: 'promotional' })
  await account.grant(50n, { effectiveAtMs: clock.nowMs + 80_000_000 })
  await account.grant(60n, { payment: 'pending', availability: 'on_settled' })
  await account.voidGrant(voided.id)
  await wallet.clawback({ ...operation(), grant: clawed.id, amountAtoms: undefined, freeze: false })
  await account.freeze(true)
  await account.freeze(false)
  for (const value of ['r8', 'r9']) {
    const stop = {
      id: value,
      kind: 'run',
      value,
      cut: false,
      reason: 'test',
      actor: 'test',
      atMs: clock.nowMs,
    } as const
    await wallet.setStop({ ...operation(), kind: 'run', value, stop })
  }
  clock.nowMs += 20
  await wallet.sweep(account.account)
  expect((await account.grants()).find(({ id }) => id === soon.id)?.state).toBe('expired')
  const charged = call(70n)
  await wallet.hold(charged)
  const { seq } = await account.settle(charged, 65n, { finals: {} })
  await wallet.refund({
    ...operation(),
    chargeSeq: seq,
    amountAtoms: 5n,
    mode: 'original',
    grantId: charged.id,
    noteId: charged.id,
  })
  const low = account.call(9n, { budgets: [FLAGGED], amounts: [], alerts: ALERTS })
  await wallet.hold(low)
  await account.settle(low, 9n)
  const late = call(20n, { deadlineMs: 5, onTimeout: 'full' })
  await wallet.hold(late)
  clock.nowMs += 10
  await wallet.sweep(account.account)
  const open = call(30n, { totalTokens: 40, deadlineMs: 100_000 })
  await wallet.hold(open)
  await account.checkpoint(open.id, 1, 7n, { perTokenAtoms: 1n, leastTokens: 1, wantTokens: 3 })
  for (const policy of [over('negative'), over('flag'), over('postpaid'), overflow('2096-10'), overflow('2096-11')]) {
    const ended = call(600n, policy)
    await wallet.hold(ended)
    await account.settle(ended, 590n)
    await wallet.hold(call(40n, policy))
  }
  await wallet.closePeriod({ ...operation(), unit: 'USD', period: '2096-10', heir: '2096-11', force: true })
  return account
}

// What the ledger does not say: which parts of a record, by the kind of its field.
const NOT_CHECKED: Readonly<Record<string, readonly number[]>> = {
  grant: [13],
  hold: [3, 6, 7, 10, 12, 15, 16, 17, 18],
  counter: [1, 9, 12],
}

export function isNotChecked(key: string, field: string, at: number): boolean {
  return NOT_CHECKED[kindOf(key, field)]?.includes(at) === true
}

/** The part, with other values of the same form: one for each number of a list that the ledger says. */
export function changed(kind: string, at: number, part: string): readonly string[] {
  const numbers =
    kind === 'counter' && at === 13
      ? /(?<=^|,)\d+(?=:)|(?<=(?:^|,)\d+:)\d+|(?<=(?:^|,)\d+:\d+:)\d+/g
      : kind === 'hold' && at === 8
        ? /(?<=:)\d+/g
        : kind === 'hold' && at === 9
          ? /(?<=@)\d+|(?<=@\d+:)\d+/g
          : /^\d+$/g
  const found = [...part.matchAll(numbers)].map(
    ({ 0: number, index }) => part.slice(0, index) + String(BigInt(number) + 1n) + part.slice(index + number.length),
  )
  if (found.length > 0) return found
  return [part === '' ? '7' : `${part.slice(0, -1)}${part.endsWith('x') ? 'y' : 'x'}`]
}

export const kindOf = (key: string, field: string): string => {
  if (key === 'budgets') return field.startsWith('c:') ? 'counter' : ''
  return key === 'grants' ? 'grant' : key === 'holds' ? 'hold' : ''
}
