/** What a hold and its next slice are answered at the edges of what there is, which chance hardly comes to. */
import { describe, expect } from 'vitest'
import { ATOMS_MAX } from '../../src/core/money.ts'
import type { BudgetCount, CheckpointRequest, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { historyTests, type WrittenHistory } from './written-history.ts'

const historyTest = historyTests()

const budget = (more: Partial<BudgetCount> = {}): BudgetCount => ({
  name: 'b',
  measure: 'USD',
  field: 'b~USD~lifetime~',
  limit: 10n,
  action: 'block',
  lifeMs: 0,
  group: '',
  valuesMax: 1,
  window: { kind: 'lifetime' },
  ...more,
})
/** Counts tokens and refuses nothing, so that a call has as many as it wants. */
const TOKENS = budget({ name: 't', measure: 'tokens', field: 't~tokens~lifetime~', action: 'flag' })
const NEGATIVE: Partial<HoldRequest> = { onExhausted: { mode: 'negative', floorAtoms: -100n } }
const twice = (capAtoms: bigint): Partial<HoldRequest> => ({
  onExhausted: { mode: 'overflow', capAtoms, period: 'month', multiplier: '2' },
  overflowPeriod: '2096-10',
})
const perToken = (atoms: bigint, least: number, want: number): Partial<HoldRequest> => ({
  perTokenAtoms: atoms,
  leastTokens: least,
  wantTokens: want,
  totalTokens: want,
})

describe('a hold', () => {
  historyTest('takes all that a number holds', async ({ account }) => {
    await account.grant(ATOMS_MAX)
    expect(await account.hold(ATOMS_MAX)).toMatchObject({ status: 'held' })
  })

  historyTest(
    'that the wallet just pays for is refused by the budget that open calls are in the way of',
    async (history) => {
      const { account } = history
      await account.grant(11n)
      await account.hold(6n, { budgets: [budget()] })
      expect(await account.hold(0n, { ...perToken(1n, 5, 10), budgets: [budget()] })).toMatchObject({
        status: 'held_by_open_calls',
        availableAtoms: 4n,
        rule: 'b~USD~lifetime~',
      })
    },
  )

  /** A call that costs nothing; it wants ten tokens and needs none. */
  const counting = ({ account }: WrittenHistory, fixed: bigint, each: bigint) =>
    account.hold(0n, {
      ...perToken(0n, 0, 10),
      budgets: [TOKENS],
      amounts: [{ measure: 'tokens', fixed, perToken: each, floor: 0n }],
    })

  for (const [fixed, each, status] of [
    [ATOMS_MAX, 0n, 'held'],
    [1n, (ATOMS_MAX - 1n) / 10n, 'held'],
    [ATOMS_MAX, 1n, 'out_of_range'],
    [0n, ATOMS_MAX / 9n, 'out_of_range'],
  ] as const) {
    historyTest(`that counts ${fixed} and ten times ${each} is ${status}`, async (history) => {
      expect(await counting(history, fixed, each)).toMatchObject({ status })
    })
  }

  historyTest('counts no more than a number holds beside what is held and what was spent', async (history) => {
    const { account } = history
    const call = account.call(0n, {
      budgets: [TOKENS],
      amounts: [{ measure: 'tokens', fixed: 7n, perToken: 0n, floor: 0n }],
    })
    await history.wallet.hold(call)
    expect(await counting(history, ATOMS_MAX - 6n, 0n)).toMatchObject({ status: 'out_of_range' })
    await account.settle(call, 0n, { finals: { tokens: 5n } })
    expect(await counting(history, ATOMS_MAX - 4n, 0n)).toMatchObject({ status: 'out_of_range' })
    expect(await counting(history, ATOMS_MAX - 5n, 0n)).toMatchObject({ status: 'held' })
  })
})

describe('the next slice of a call', () => {
  /** Of the last call that was held. */
  const extend = (
    { account, wallet, lastHold }: WrittenHistory,
    [atoms, least, want]: readonly [atoms: bigint, least: number, want: number],
    amounts: NonNullable<CheckpointRequest['amounts']> = [],
  ) => {
    const slice = { perTokenAtoms: atoms, leastTokens: least, wantTokens: want }
    return wallet.checkpoint({
      id: lastHold().id,
      account: account.account,
      number: 1,
      cumulativeAtoms: 0n,
      amounts,
      deadlineMs: 120_000,
      extend: slice,
    })
  }

  historyTest('brings it to all that a number holds, and not beyond', async (history) => {
    await history.account.grant(ATOMS_MAX)
    await history.account.hold(10n)
    const nothing = { status: 'out_of_range', neededAtoms: 0n, availableAtoms: 0n }
    expect(await extend(history, [ATOMS_MAX - 9n, 0, 1])).toMatchObject(nothing)
    expect(await extend(history, [ATOMS_MAX - 9n, 0, 2])).toMatchObject(nothing)
    expect(await extend(history, [ATOMS_MAX - 10n, 1, 1])).toMatchObject({ status: 'checkpointed', tokens: 1 })
  })

  historyTest('is refused by the budget where the wallet just pays for it', async (history) => {
    const { account } = history
    await account.grant(10n)
    await account.hold(5n, { budgets: [budget({ limit: 5n })] })
    expect(await extend(history, [1n, 5, 10])).toMatchObject({ status: 'budget_exceeded', rule: 'b~USD~lifetime~' })
  })

  for (const [limit, spent, others, status] of [
    [9n, 0n, 0n, 'budget_exceeded'],
    [10n, 1n, 0n, 'budget_exceeded'],
    [10n, 0n, 1n, 'held_by_open_calls'],
  ] as const) {
    const name = `is ${status} of ${limit}, ${spent} of it spent, ${others} held by others, 5 by itself: it needs 5 more`
    historyTest(name, async (history) => {
      const { account, spend } = history
      const budgets = [budget({ limit })]
      await account.grant(100n)
      await spend(spent, { budgets })
      await account.hold(others, { budgets })
      await account.hold(5n, { budgets })
      expect(await extend(history, [1n, 5, 10])).toMatchObject({ status, availableAtoms: 4n })
    })
  }

  historyTest('is refused where the grant of the slices before was voided', async (history) => {
    const { account } = history
    const { id } = await account.grant(10n)
    await account.hold(5n)
    await account.voidGrant(id)
    expect(await extend(history, [1n, 1, 1])).toMatchObject({ status: 'insufficient_funds' })
  })

  historyTest('is refused for want of money where nothing that is held would pay for it', async (history) => {
    await history.account.grant(15n)
    await history.account.hold(10n)
    expect(await extend(history, [2n, 10, 10])).toMatchObject({
      status: 'insufficient_funds',
      neededAtoms: 20n,
      availableAtoms: 5n,
    })
  })

  historyTest('waits for what other calls may come to owe', async (history) => {
    await history.account.hold(50n, NEGATIVE)
    await history.account.hold(30n, NEGATIVE)
    expect(await extend(history, [1n, 40, 40])).toMatchObject({ status: 'held_by_open_calls', availableAtoms: 20n })
  })

  historyTest('does not wait for what it may come to owe itself, at the multiplier', async (history) => {
    await history.account.hold(10n, twice(100n))
    await history.account.hold(30n, twice(100n))
    expect(await extend(history, [1n, 25, 25])).toMatchObject({ status: 'insufficient_funds', availableAtoms: 10n })
  })

  historyTest('counts no more than a number holds', async (history) => {
    await history.account.hold(0n, {
      budgets: [TOKENS],
      amounts: [{ measure: 'tokens', fixed: 1n, perToken: 0n, floor: 0n }],
    })
    const amounts = [{ measure: 'tokens', known: 0n, perToken: ATOMS_MAX / 9n }]
    expect(await extend(history, [0n, 0, 10], amounts)).toMatchObject({ status: 'out_of_range' })
  })

  historyTest('lets nothing be owed that is no number with what is owed', async (history) => {
    const POSTPAID = { onExhausted: { mode: 'postpaid' } } as const
    await history.spend(5n, POSTPAID)
    await history.account.hold(10n, POSTPAID)
    expect(await extend(history, [ATOMS_MAX - 10n, 1, 1])).toMatchObject({ status: 'out_of_range' })
  })

  historyTest('may bring what is owed to all that a number holds, at the multiplier', async (history) => {
    await history.spend(ATOMS_MAX - 100n, { onExhausted: { mode: 'flag' } })
    await history.account.hold(10n, twice(1000n))
    expect(await extend(history, [40n, 1, 1])).toMatchObject({ status: 'checkpointed', tokens: 1, heldAtoms: 100n })
  })
})
