/** An operator's word on settles that came too late: what each decision does, on a real Redis. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { HoldTerms } from '../../src/wallet/wallet-types.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { accountOf, stateOf, type TestAccount, type TestWallet, testWallet } from '../support/wallet.ts'

const HOUR = 3_600_000
const redisTest = test.skipIf(!redisAvailable)

let server: TestRedis
let harness: TestWallet
beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  harness = testWallet(server.url)
})
afterAll(async () => {
  harness?.close()
  await server?.stop()
})

/** A settle of 50 atoms a day after the call timed out with `floorAtoms` charged. Answers its entry's sequence. */
async function tooLate(account: TestAccount, more: Partial<HoldTerms> = {}, info = '{}'): Promise<number> {
  const request = account.call(60n, { floorAtoms: 20n, deadlineMs: 1000, ...more })
  expect((await harness.wallet.hold(request)).status).toBe('held')
  harness.clock.nowMs += 24 * HOUR + 1000
  const settled = await account.settle(request, 50n, { info })
  expect(settled.status).toBe('unmatched')
  return settled.seq
}

function decide(
  account: TestAccount,
  seq: number,
  decision: 'charge' | 'dismiss',
  operationId = newId(harness.clock.nowMs),
) {
  return harness.wallet.resolveUnmatched({
    account: account.account,
    operationId,
    seq,
    decision,
    reason: 'r',
    actor: 'a',
  })
}

const waiting = (account: TestAccount) => harness.wallet.unmatched(account.account, { afterSeq: 0, limit: 10 })

redisTest('a charge posts what the timeout did not, once, and says what the settle said of the call', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  const seq = await tooLate(account, {}, '{"model":"gpt-5","tokens":{"output":3}}')
  expect(await waiting(account)).toMatchObject([{ seq, finalAtoms: 50n, postedAtoms: 20n, onExhausted: 'block' }])
  const operation = newId(harness.clock.nowMs)
  const done = await decide(account, seq, 'charge', operation)
  expect(done).toMatchObject({ status: 'done', replay: false, value: { chargedAtoms: 30n } })
  expect(await decide(account, seq, 'charge', operation)).toMatchObject({ status: 'done', replay: true })
  expect(await decide(account, seq, 'dismiss', operation)).toEqual({ status: 'conflict' })
  const before = await stateOf(harness.redis, account.account)
  expect(await decide(account, seq, 'charge')).toEqual({ status: 'already_resolved' })
  expect(await stateOf(harness.redis, account.account)).toEqual(before)
  expect(await account.balance()).toMatchObject({ postedAtoms: 50n, availableAtoms: 50n })
  expect(await waiting(account)).toEqual([])
  const entry = (await account.ledger()).at(-1)
  expect(entry).toMatchObject({
    type: 'late_settle',
    actor: 'a',
    fields: { model: 'gpt-5', unmatched: seq, reason: 'r' },
  })
  expect(entry?.fields).not.toHaveProperty('final')
  expect((await harness.wallet.check(account.account)).differences).toEqual([])
})

redisTest('the settle sent once more gets its first answer and charges nothing', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  const request = account.call(60n, { deadlineMs: 1000 })
  await harness.wallet.hold(request)
  harness.clock.nowMs += 24 * HOUR + 1000
  const first = await account.settle(request, 50n)
  await decide(account, first.seq, 'charge')
  for (const laterMs of [0, 2 * HOUR]) {
    harness.clock.nowMs += laterMs
    expect(await account.settle(request, 50n)).toMatchObject({ status: 'unmatched', seq: first.seq, replay: true })
  }
  expect((await account.balance()).postedAtoms).toBe(50n)
})

redisTest('a dismissed one is left as it was', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  const seq = await tooLate(account)
  expect(await decide(account, seq, 'dismiss')).toMatchObject({ status: 'done', value: { chargedAtoms: 0n } })
  expect(await decide(account, seq, 'charge')).toEqual({ status: 'already_resolved' })
  expect(await account.balance()).toMatchObject({ postedAtoms: 20n, availableAtoms: 80n })
  expect(await harness.wallet.counts(account.account)).toMatchObject({ unmatched: 0 })
  expect((await harness.wallet.check(account.account)).differences).toEqual([])
})

describe('where the money is gone', () => {
  redisTest('under block the charge becomes debt', async () => {
    const account = accountOf(harness)
    const { id } = await account.grant(100n)
    const seq = await tooLate(account)
    await account.voidGrant(id)
    await decide(account, seq, 'charge')
    expect(await account.balance()).toMatchObject({ postedAtoms: 50n, debtAtoms: 30n })
  })

  redisTest(
    'under overflow it goes to the period at the multiplier, over what was posted at price before',
    async () => {
      const account = accountOf(harness)
      const onExhausted = { mode: 'overflow', capAtoms: 1000n, period: 'month', multiplier: '2' } as const
      const seq = await tooLate(account, { onExhausted, overflowPeriod: '2096-10' })
      expect(await account.balance()).toMatchObject({ postedAtoms: 40n, overflowPeriods: { '2096-10': 40n } })
      expect(await waiting(account)).toMatchObject([{ postedAtoms: 20n }])
      expect(await decide(account, seq, 'charge')).toMatchObject({ value: { chargedAtoms: 60n } })
      expect(await account.balance()).toMatchObject({ postedAtoms: 100n, overflowPeriods: { '2096-10': 100n } })
    },
  )
})

redisTest('what the timeout charged in full leaves nothing to charge, and is still to be dismissed', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  const seq = await tooLate(account, { onTimeout: 'full' })
  expect(await decide(account, seq, 'charge')).toEqual({ status: 'nothing_to_charge' })
  expect(await decide(account, seq, 'dismiss')).toMatchObject({ status: 'done' })
})

redisTest.each([0, -1, 1, 999, 1.5])('entry %s, which is none of these, is unknown', async (seq) => {
  const account = accountOf(harness)
  await account.grant(100n)
  expect(await decide(account, seq, 'charge')).toEqual({ status: 'unknown_unmatched' })
})

redisTest('both the timeout and the charge can be refunded', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  const seq = await tooLate(account)
  const done = await decide(account, seq, 'charge')
  const timeout = (await account.ledger()).find(({ type }) => type === 'timeout')
  const charges = [timeout?.seq ?? 0, done.status === 'done' ? done.value.seq : 0]
  for (const chargeSeq of charges) {
    const ids = {
      grantId: newId(harness.clock.nowMs),
      noteId: newId(harness.clock.nowMs),
      operationId: newId(harness.clock.nowMs),
    }
    const rest = { amountAtoms: undefined, mode: 'original', reason: 'r', actor: 'a' } as const
    expect(await harness.wallet.refund({ account: account.account, chargeSeq, ...ids, ...rest })).toMatchObject({
      status: 'done',
    })
  }
  expect(await account.balance()).toMatchObject({ postedAtoms: 0n, availableAtoms: 100n })
})
