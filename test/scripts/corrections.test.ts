/** What finance puts right: refunds, chargebacks, payments, flagged spend, invoices; and stops by hand. */
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import type { GrantRequest, HoldTerms } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

const OVERFLOW: Partial<HoldTerms> = {
  onExhausted: { mode: 'overflow', capAtoms: 1000n, period: 'month', multiplier: '1' },
  overflowPeriod: '2096-10',
}

function by(account: TestAccount) {
  return { account: account.account, operationId: newId(harness.clock.nowMs), reason: 'test', actor: 'finance' }
}

function refund(
  account: TestAccount,
  chargeSeq: number,
  amountAtoms?: bigint,
  mode: 'original' | 'new_grant' = 'original',
) {
  const { nowMs } = harness.clock
  const ids = { grantId: newId(nowMs), noteId: newId(nowMs) }
  return harness.wallet.refund({ ...by(account), chargeSeq, amountAtoms, mode, ...ids })
}

/** A settled call of `atoms`; its charge. */
async function charge(account: TestAccount, atoms: bigint, more: Partial<HoldTerms> = {}): Promise<number> {
  const call = account.call(atoms, more)
  expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held' })
  return (await account.settle(call, atoms)).seq
}

const free = async (account: TestAccount): Promise<bigint[]> => (await account.grants()).map((grant) => grant.freeAtoms)

/** The books balance, and from the ledger alone the same balances come out. */
async function balanced(account: TestAccount): Promise<void> {
  const entries = await account.ledger()
  for (const entry of entries) expect(entry.legs.reduce((sum, leg) => sum + leg.atoms, 0n)).toBe(0n)
  expect(replayLedger(entries, harness.clock.nowMs).balances).toEqual(await harness.wallet.balances(account.account))
}

/** Timed out with 60 atoms charged, then settled late at `final`. The charges of both. */
async function lateCharges(account: TestAccount, final: bigint): Promise<readonly [timeout: number, late: number]> {
  const call = account.call(100n, { floorAtoms: 60n, deadlineMs: 1000 })
  await harness.wallet.hold(call)
  harness.clock.nowMs += 1000
  const late = await account.settle(call, final)
  expect(late.status).toBe('late_settled')
  const timeout = (await account.ledger()).find(({ type, op }) => type === 'timeout' && op === call.id)
  return [timeout?.seq ?? 0, late.seq]
}

describe('a refund of a call that was settled late', () => {
  redisTest('gives back of the timeout what the late settle left of it, at once', async () => {
    const account = accountOf(harness)
    await account.grant(50n, { priority: 1 })
    await account.grant(80n, { priority: 2 })
    const [timeout, late] = await lateCharges(account, 20n)
    expect(await refund(account, late)).toEqual({ status: 'unknown_charge' })
    expect(await refund(account, timeout, 21n)).toEqual({ status: 'refund_too_large' })
    expect(await refund(account, timeout, 5n)).toMatchObject({ value: { refundedAtoms: 5n, ofAtoms: 20n } })
    expect(await free(account)).toEqual([35n, 80n])
    expect(await refund(account, timeout)).toMatchObject({ value: { refundedAtoms: 20n, ofAtoms: 20n } })
    expect(await free(account)).toEqual([50n, 80n])
    expect((await account.balance()).postedAtoms).toBe(0n)
    await balanced(account)
    expect((await harness.wallet.check(account.account)).differences).toEqual([])
  })

  redisTest('gives back the timeout and what the late settle charged beyond it, each as a charge', async () => {
    const account = accountOf(harness)
    await account.grant(200n)
    const [timeout, late] = await lateCharges(account, 90n)
    expect(await refund(account, late)).toMatchObject({ value: { refundedAtoms: 30n, ofAtoms: 30n } })
    expect(await refund(account, timeout)).toMatchObject({ value: { refundedAtoms: 60n, ofAtoms: 60n } })
    expect(await free(account)).toEqual([200n])
    await balanced(account)
  })

  redisTest('gives back nothing where the late settle gave back all', async () => {
    const account = accountOf(harness)
    await account.grant(200n)
    const [timeout] = await lateCharges(account, 0n)
    expect(await refund(account, timeout)).toEqual({ status: 'refund_too_large' })
  })
})

describe('a refund', () => {
  redisTest('goes back in reverse order of drawing, overage first, and never beyond the charge', async () => {
    const account = accountOf(harness)
    await account.grant(50n, { priority: 1 })
    await account.grant(80n, { priority: 2 })
    const seq = await charge(account, 150n, { onExhausted: { mode: 'negative', floorAtoms: -100n } })
    expect((await account.balance()).debtAtoms).toBe(20n)
    expect(await refund(account, seq, 60n)).toMatchObject({
      status: 'done',
      value: { refundedAtoms: 60n, ofAtoms: 150n },
    })
    expect([(await account.balance()).debtAtoms, ...(await free(account))]).toEqual([0n, 0n, 40n])
    expect(await refund(account, seq, 91n)).toEqual({ status: 'refund_too_large' })
    expect(await refund(account, seq)).toMatchObject({ value: { refundedAtoms: 150n } })
    expect(await free(account)).toEqual([50n, 80n])
    expect(await refund(account, seq)).toEqual({ status: 'refund_too_large' })
    expect((await account.balance()).postedAtoms).toBe(0n)
    await balanced(account)
  })

  redisTest('sent again changes nothing and answers the same', async () => {
    const account = accountOf(harness)
    await account.grant(50n)
    const seq = await charge(account, 30n)
    const request = {
      ...by(account),
      chargeSeq: seq,
      amountAtoms: 10n,
      mode: 'original',
      grantId: newId(1),
      noteId: newId(2),
    } as const
    const first = await harness.wallet.refund(request)
    expect(await harness.wallet.refund(request)).toEqual({ ...first, replay: true })
    expect(await harness.wallet.refund({ ...request, amountAtoms: 11n })).toEqual({ status: 'conflict' })
    expect(await free(account)).toEqual([30n])
  })

  redisTest('after its grant expired is expired too, and a fresh grant where that is asked for', async () => {
    const account = accountOf(harness)
    await account.grant(100n, { expiresAtMs: harness.clock.nowMs + 1000 })
    const seq = await charge(account, 60n)
    harness.clock.nowMs += 2000
    await refund(account, seq, 20n)
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, expiredAtoms: 60n })
    await refund(account, seq, 40n, 'new_grant')
    expect(await account.balance()).toMatchObject({ availableAtoms: 40n, postedAtoms: 0n })
    await balanced(account)
  })

  redisTest('of debt that was repaid meanwhile comes back as credit', async () => {
    const account = accountOf(harness)
    const seq = await charge(account, 30n, { onExhausted: { mode: 'negative', floorAtoms: -100n } })
    await account.grant(100n)
    expect(await account.balance()).toMatchObject({ debtAtoms: 0n, availableAtoms: 70n })
    await refund(account, seq)
    expect(await account.balance()).toMatchObject({ debtAtoms: 0n, availableAtoms: 100n })
    await balanced(account)
  })

  redisTest('of a timeout waits until the call cannot say any more what it came to', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(40n, { deadlineMs: 1000, onTimeout: 'full' })
    harness.clock.nowMs += 2000
    await harness.wallet.sweep(account.account)
    const timeout = (await account.ledger()).find((entry) => entry.type === 'timeout')
    expect(await refund(account, timeout?.seq ?? 0)).toEqual({ status: 'charge_open' })
    harness.clock.nowMs += 86_400_000
    expect(await refund(account, timeout?.seq ?? 0)).toMatchObject({ status: 'done' })
    expect((await account.balance()).availableAtoms).toBe(100n)
  })

  redisTest.each([0, 2, 999])('of what is no charge (entry %i) is refused', async (seq) => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(10n)
    expect(await refund(account, seq)).toEqual({ status: 'unknown_charge' })
  })
})

describe('a chargeback', () => {
  const clawback = (account: TestAccount, grant: string, amountAtoms?: bigint, freeze = false) =>
    harness.wallet.clawback({ ...by(account), grant, amountAtoms, freeze })

  redisTest('voids what is free and makes debt of what was spent', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(100n)
    await charge(account, 30n)
    expect(await clawback(account, grant.id)).toMatchObject({
      value: { state: 'clawed_back', voidedAtoms: 100n, consumedAtoms: 0n },
    })
    expect(await account.balance()).toMatchObject({
      availableAtoms: 0n,
      debtAtoms: 30n,
      postedAtoms: 30n,
      frozen: false,
    })
    expect(await clawback(account, grant.id)).toEqual({ status: 'already_clawed_back' })
    await balanced(account)
  })

  redisTest('of credit that an open call holds becomes debt as far as the call uses it', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(100n)
    const open = account.call(80n)
    await harness.wallet.hold(open)
    await clawback(account, grant.id, undefined, true)
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, debtAtoms: 0n, heldAtoms: 80n, frozen: true })
    // Frozen stops holds, never settles.
    expect(await account.hold(1n)).toMatchObject({ status: 'frozen' })
    await account.settle(open, 50n)
    expect(await account.balance()).toMatchObject({ heldAtoms: 0n, debtAtoms: 50n, expiredAtoms: 100n })
    await balanced(account)
  })

  redisTest('of a part takes the free part first; more than is free and spent is refused', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(100n)
    await charge(account, 30n)
    const open = account.call(20n)
    await harness.wallet.hold(open)
    expect(await clawback(account, grant.id, 81n)).toEqual({ status: 'out_of_range' })
    expect(await clawback(account, grant.id, 60n)).toMatchObject({ value: { state: 'usable', voidedAtoms: 60n } })
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, debtAtoms: 10n, heldAtoms: 20n })
    await account.settle(open, 5n)
    expect((await account.balance()).availableAtoms).toBe(15n)
    await balanced(account)
  })
})

describe('a payment', () => {
  const pay = (account: TestAccount, grant: string, payment: 'authorized' | 'settled' | 'failed') =>
    harness.wallet.payment({ ...by(account), grant, payment })
  const waiting: Partial<GrantRequest> = { payment: 'pending', availability: 'on_settled' }

  redisTest('makes a grant usable that waited for it, and no step is taken twice or back', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(100n, waiting)
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, pendingAtoms: 100n })
    expect(await account.hold(1n)).toMatchObject({ status: 'insufficient_funds' })
    expect(await pay(account, grant.id, 'authorized')).toMatchObject({
      value: { state: 'pending', payment: 'authorized' },
    })
    expect(await pay(account, grant.id, 'authorized')).toEqual({ status: 'payment_order' })
    expect(await pay(account, grant.id, 'settled')).toMatchObject({ value: { state: 'usable', payment: 'settled' } })
    expect(await account.hold(100n)).toMatchObject({ status: 'held' })
    await balanced(account)
  })

  redisTest('that fails takes the grant back', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(100n, { payment: 'pending', availability: 'on_creation' })
    await charge(account, 25n)
    expect(await pay(account, grant.id, 'failed')).toMatchObject({ value: { state: 'clawed_back' } })
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, debtAtoms: 25n })
    expect(await pay(account, grant.id, 'settled')).toEqual({ status: 'payment_order' })
    await balanced(account)
  })

  redisTest('of a grant without one is refused', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(1n)
    expect(await pay(account, grant.id, 'settled')).toEqual({ status: 'no_payment' })
    expect(await pay(account, newId(1), 'settled')).toEqual({ status: 'unknown_grant' })
  })

  redisTest('that never comes: the grant expires unused', async () => {
    const account = accountOf(harness)
    await account.grant(100n, { ...waiting, expiresAtMs: harness.clock.nowMs + 1000 })
    harness.clock.nowMs += 1000
    expect(await account.balance()).toMatchObject({ pendingAtoms: 0n, expiredAtoms: 100n })
    await harness.wallet.sweep(account.account)
    await balanced(account)
  })
})

describe('flagged spend', () => {
  redisTest.each([
    ['debt', { debtAtoms: 30n, flaggedAtoms: 10n }],
    ['overflow', { overflowAtoms: 30n, flaggedAtoms: 10n }],
    ['written_off', { debtAtoms: 0n, overflowAtoms: 0n, flaggedAtoms: 10n }],
  ] as const)('becomes %s by the word of finance, and no more of it than there is', async (to, expected) => {
    const account = accountOf(harness)
    await charge(account, 40n, { onExhausted: { mode: 'flag' } })
    const resolve = (amountAtoms: bigint) =>
      harness.wallet.resolveFlagged({ ...by(account), unit: 'USD', amountAtoms, to, period: '2096-10' })
    expect(await resolve(41n)).toEqual({ status: 'insufficient_funds' })
    expect(await resolve(30n)).toMatchObject({ status: 'done' })
    expect(await account.balance()).toMatchObject(expected)
    await balanced(account)
  })
})

describe('an overflow period', () => {
  const close = (account: TestAccount, force = false) =>
    harness.wallet.closePeriod({ ...by(account), unit: 'USD', period: '2096-10', heir: '2096-11', force })

  redisTest('closes without holds that pin it, and never changes then: what comes late goes to the next', async () => {
    const account = accountOf(harness)
    const seq = await charge(account, 100n, OVERFLOW)
    const open = account.call(50n, OVERFLOW)
    await harness.wallet.hold(open)
    expect(await close(account)).toEqual({ status: 'open_holds' })
    expect(await close(account, true)).toMatchObject({ status: 'done', value: { amountAtoms: 100n } })
    expect(await close(account, true)).toEqual({ status: 'already_closed' })
    await account.settle(open, 50n)
    expect((await account.balance()).overflowPeriods).toEqual({ '2096-10': 100n, '2096-11': 50n })
    // A hold of a gateway that still has the old period in mind.
    await charge(account, 7n, OVERFLOW)
    expect((await account.balance()).overflowPeriods).toEqual({ '2096-10': 100n, '2096-11': 57n })
    await refund(account, seq, 40n)
    const balance = await account.balance()
    expect([balance.overflowPeriods, balance.availableAtoms]).toEqual([{ '2096-10': 100n, '2096-11': 57n }, 40n])
    const note = (await account.grants())[0]
    expect([note?.funding, note?.labels]).toEqual(['invoiced', { credit_note: '2096-10' }])
    await balanced(account)
  })

  redisTest('in which nothing ever was is unknown', async () => {
    expect(await close(accountOf(harness))).toEqual({ status: 'unknown_period' })
  })
})

describe('a stop', () => {
  redisTest.each([
    ['run', 'r1', 'run:r1'],
    ['user', 'u 1', 'user:u%201'],
    ['key', 'ci-bot', 'key:ci-bot'],
  ] as const)('of a %s refuses its calls and no others, until it is lifted', async (kind, value, rule) => {
    const account = accountOf(harness)
    await account.grant(100n)
    const facts = { ...account.terms().facts, run: 'r1', user: 'u 1' }
    const open = account.call(10n, { facts })
    await harness.wallet.hold(open)
    const stop = {
      id: newId(harness.clock.nowMs),
      kind,
      value,
      reason: 'runaway',
      cut: false,
      atMs: harness.clock.nowMs,
      actor: 'ops',
    }
    expect(await harness.wallet.setStop({ ...by(account), kind, value, stop })).toMatchObject({ status: 'done' })
    expect(await harness.wallet.stops(account.account)).toEqual([stop])
    expect(await account.hold(1n, { facts })).toMatchObject({ status: 'stopped', rule })
    const others = { ...facts, run: 'r2', user: 'u2', key: 'other' }
    expect(await account.hold(1n, { facts: others })).toMatchObject({ status: 'held' })
    // What is open goes on and settles.
    expect(await account.settle(open, 10n)).toMatchObject({ status: 'settled' })
    await harness.wallet.setStop({ ...by(account), kind, value, stop: undefined })
    expect(await account.hold(1n, { facts })).toMatchObject({ status: 'held' })
    expect(await harness.wallet.setStop({ ...by(account), kind, value, stop: undefined })).toEqual({
      status: 'unknown_stop',
    })
  })
})

describe('an allowance', () => {
  const allowance = (
    account: TestAccount,
    period: string,
    startMs: number,
    endMs: number,
    more: Partial<GrantRequest> = {},
  ) =>
    account.grant(100n, {
      key: `allowance:${period}`,
      funding: 'promotional',
      effectiveAtMs: startMs,
      expiresAtMs: endMs,
      ...more,
    })

  redisTest('is there once a period, whoever creates it and however often', async () => {
    const account = accountOf(harness)
    const start = harness.clock.nowMs
    const first = await allowance(account, '2096-10', start, start + 1000)
    const second = await allowance(account, '2096-10', start, start + 1000)
    expect(second.id).toBe(first.id)
    expect((await account.balance()).grantedAtoms).toBe(100n)
  })

  redisTest('leaves to the next period what its rollover says, which draws first and is not rolled again', async () => {
    const account = accountOf(harness)
    const start = harness.clock.nowMs
    const rollover = {
      percentMillionths: 500_000,
      minAtoms: 0n,
      maxAtoms: 30n,
      expiresAtMs: start + 2000,
      priority: 9,
      id: newId(start),
    }
    await allowance(account, '2096-10', start, start + 1000, { rollover })
    await allowance(account, '2096-11', start + 1000, start + 2000)
    await charge(account, 20n)
    harness.clock.nowMs = start + 999
    expect((await account.balance()).availableAtoms).toBe(80n)
    harness.clock.nowMs = start + 1000
    // Half of 80 is 40; 30 is the most.
    expect((await account.balance()).availableAtoms).toBe(130n)
    await charge(account, 25n)
    const rolled = (await account.grants()).find((grant) => grant.id === rollover.id)
    expect([rolled?.freeAtoms, rolled?.labels]).toEqual([5n, { rollover_of: (await account.grants())[0]?.id }])
    harness.clock.nowMs = start + 2000
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n })
    await harness.wallet.sweep(account.account)
    await balanced(account)
  })
})
