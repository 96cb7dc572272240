/** What is owed and what is held stay a number of Redis's own together: the last atom that there is room for, and the next. */
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { ATOMS_MAX } from '../../src/core/money.ts'
import type { GrantRequest, HoldTerms } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

const by = ({ account }: TestAccount) => ({
  account,
  operationId: newId(harness.clock.nowMs),
  reason: 'test',
  actor: 'test',
})
const OVERFLOW: Partial<HoldTerms> = {
  onExhausted: { mode: 'overflow', capAtoms: ATOMS_MAX, period: 'month', multiplier: '1' },
  overflowPeriod: '2096-10',
}
const FLAG: Partial<HoldTerms> = { onExhausted: { mode: 'flag' } }
const POSTPAID: Partial<HoldTerms> = { onExhausted: { mode: 'postpaid' } }

/** A call that nobody asked for is charged by its terms: what is owed then is as much as is said. */
const owe = (account: TestAccount, atoms: bigint, terms: Partial<HoldTerms> = {}) =>
  account.settle(account.terms(terms), atoms)

/** A debt, and a grant of 100 beside it: 45 free, 30 in an open call, 25 consumed. */
async function granted(debt: bigint, more: Partial<GrantRequest> = {}) {
  const account = accountOf(harness)
  await owe(account, debt)
  const grant = await account.grant(100n, { repaysDebt: false, ...more })
  const call = account.call(25n)
  await harness.wallet.hold(call)
  await account.settle(call, 25n)
  expect(await account.hold(30n)).toMatchObject({ status: 'held' })
  expect((await account.grants())[0]).toMatchObject({ freeAtoms: 45n, heldAtoms: 30n, consumedAtoms: 25n })
  return { account, grant: grant.id }
}

describe('a chargeback leaves room for what is held', () => {
  const clawback = async (debt: bigint, amountAtoms: bigint | undefined) => {
    const { account, grant } = await granted(debt)
    return harness.wallet.clawback({ ...by(account), grant, amountAtoms, freeze: false })
  }

  redisTest('of all of a grant: what was consumed of it, and what its open calls have, may be owed', async () => {
    const most = ATOMS_MAX - 30n - 25n - 30n
    expect(await clawback(most, undefined)).toMatchObject({ status: 'done' })
    expect(await clawback(most, 100n)).toMatchObject({ status: 'done' })
    expect(await clawback(most + 1n, undefined)).toEqual({ status: 'out_of_range' })
    expect(await clawback(most + 1n, 100n)).toEqual({ status: 'out_of_range' })
  })

  redisTest('of a part: only what is not free is owed', async () => {
    expect(await clawback(ATOMS_MAX - 30n, 44n)).toMatchObject({ status: 'done' })
    expect(await clawback(ATOMS_MAX - 30n, 45n)).toMatchObject({ status: 'done' })
    expect(await clawback(ATOMS_MAX - 30n, 46n)).toEqual({ status: 'out_of_range' })
    expect(await clawback(ATOMS_MAX - 30n - 10n, 55n)).toMatchObject({ status: 'done' })
    expect(await clawback(ATOMS_MAX - 30n - 10n, 56n)).toEqual({ status: 'out_of_range' })
  })
})

redisTest('a payment that failed leaves room as a chargeback of all does; one that came needs none', async () => {
  const pay = async (debt: bigint, payment: 'settled' | 'failed') => {
    const { account, grant } = await granted(debt, { payment: 'pending', availability: 'on_creation' })
    return harness.wallet.payment({ ...by(account), grant, payment })
  }
  const most = ATOMS_MAX - 30n - 25n - 30n
  expect(await pay(most, 'failed')).toMatchObject({ status: 'done' })
  expect(await pay(most + 1n, 'failed')).toEqual({ status: 'out_of_range' })
  expect(await pay(most + 1n, 'settled')).toMatchObject({ status: 'done' })
})

redisTest(
  'a payment that failed of a grant that was taken back in part owes what is consumed, and not what is gone',
  async () => {
    const pay = async (debt: bigint) => {
      const { account, grant } = await granted(debt, { payment: 'pending', availability: 'on_creation' })
      await harness.wallet.clawback({ ...by(account), grant, amountAtoms: 45n, freeze: false })
      return harness.wallet.payment({ ...by(account), grant, payment: 'failed' })
    }
    expect(await pay(ATOMS_MAX - 30n - 25n - 30n)).toMatchObject({ status: 'done' })
    expect(await pay(ATOMS_MAX - 30n - 25n - 30n + 1n)).toEqual({ status: 'out_of_range' })
  },
)

describe('a hold leaves room beside what is held and the largest of what is owed', () => {
  redisTest.each([
    ['debt', {}],
    ['overflow', OVERFLOW],
    ['flagged', FLAG],
    ['postpaid', POSTPAID],
  ] as const)('%s', async (_name, terms) => {
    const account = accountOf(harness)
    await owe(account, ATOMS_MAX - 50n, terms)
    await account.grant(100n, { repaysDebt: false })
    expect(await account.hold(20n)).toMatchObject({ status: 'held' })
    expect(await account.hold(31n)).toMatchObject({ status: 'out_of_range' })
    expect(await account.hold(30n)).toMatchObject({ status: 'held' })
  })
})

describe('flagged spend is resolved where it has room beside what is held', () => {
  const resolve = async (owed: bigint, terms: Partial<HoldTerms>, to: 'debt' | 'overflow' | 'written_off') => {
    const account = accountOf(harness)
    await owe(account, owed, terms)
    await owe(account, 100n, FLAG)
    await account.grant(100n, { repaysDebt: false })
    expect(await account.hold(30n)).toMatchObject({ status: 'held' })
    return harness.wallet.resolveFlagged({ ...by(account), unit: 'USD', amountAtoms: 100n, to, period: '2096-10' })
  }
  const most = ATOMS_MAX - 30n - 100n

  redisTest.each([
    ['debt', {}],
    ['overflow', OVERFLOW],
  ] as const)('to %s', async (to, terms) => {
    expect(await resolve(most, terms, to)).toMatchObject({ status: 'done' })
    expect(await resolve(most + 1n, terms, to)).toEqual({ status: 'out_of_range' })
  })

  redisTest('to the one, whatever there is of the other', async () => {
    expect(await resolve(most + 1n, OVERFLOW, 'debt')).toMatchObject({ status: 'done' })
    expect(await resolve(most + 1n, {}, 'overflow')).toMatchObject({ status: 'done' })
  })

  redisTest('written off, it needs no room', async () => {
    expect(await resolve(most + 1n, {}, 'written_off')).toMatchObject({ status: 'done' })
    expect(await resolve(most + 1n, OVERFLOW, 'written_off')).toMatchObject({ status: 'done' })
  })
})
