import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, stateOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const HOUR = 3_600_000
const NEGATIVE: Partial<HoldRequest> = { onExhausted: { mode: 'negative', floorAtoms: -50n } }
const OVERFLOW: Partial<HoldRequest> = {
  onExhausted: { mode: 'overflow', capAtoms: 50n, period: 'month', multiplier: '1.5' },
  overflowPeriod: '2026-11',
}

describe('a hold on a wallet of 100 settled', () => {
  const cases: readonly [string, bigint, bigint, Partial<HoldRequest>, object, object][] = [
    ['at its amount', 60n, 60n, {}, { chargedAtoms: 60n, overrunAtoms: 0n }, { availableAtoms: 40n, postedAtoms: 60n }],
    ['below it', 60n, 20n, {}, { chargedAtoms: 20n }, { availableAtoms: 80n, debtAtoms: 0n }],
    ['at nothing', 60n, 0n, {}, { chargedAtoms: 0n, drawn: [] }, { availableAtoms: 100n, postedAtoms: 0n }],
    [
      'above it, from what is free',
      60n,
      90n,
      {},
      { chargedAtoms: 90n, overrunAtoms: 0n },
      { availableAtoms: 10n, debtAtoms: 0n },
    ],
    [
      'above all there is: debt beyond any limit',
      60n,
      130n,
      {},
      { chargedAtoms: 130n, overrunAtoms: 30n, overage: undefined },
      { debtAtoms: 30n },
    ],
    [
      'within the overage of its hold',
      130n,
      120n,
      NEGATIVE,
      { overage: { mode: 'negative', atoms: 20n }, overrunAtoms: 0n },
      { debtAtoms: 20n },
    ],
    [
      'beyond its hold, to the floor',
      130n,
      150n,
      NEGATIVE,
      { overage: { mode: 'negative', atoms: 50n }, overrunAtoms: 0n },
      { debtAtoms: 50n },
    ],
    [
      'beyond the floor',
      130n,
      160n,
      NEGATIVE,
      { overage: { mode: 'negative', atoms: 50n }, overrunAtoms: 10n },
      { debtAtoms: 60n },
    ],
    [
      'in overflow, half to even',
      121n,
      101n,
      OVERFLOW,
      { chargedAtoms: 102n, overage: { mode: 'overflow', atoms: 2n } },
      { overflowAtoms: 2n, overflowPeriods: { '2026-11': 2n } },
    ],
    [
      'in overflow, half to even, up',
      121n,
      103n,
      OVERFLOW,
      { chargedAtoms: 104n, overage: { mode: 'overflow', atoms: 4n } },
      { overflowAtoms: 4n },
    ],
    [
      'in overflow, beyond the cap',
      121n,
      140n,
      OVERFLOW,
      { overage: { mode: 'overflow', atoms: 50n }, overrunAtoms: 7n },
      { overflowAtoms: 50n, debtAtoms: 7n },
    ],
    [
      'flagged',
      121n,
      140n,
      { onExhausted: { mode: 'flag' } },
      { overage: { mode: 'flag', atoms: 40n }, overrunAtoms: 0n },
      { flaggedAtoms: 40n, debtAtoms: 0n },
    ],
    [
      'postpaid',
      121n,
      110n,
      { onExhausted: { mode: 'postpaid' } },
      { overage: { mode: 'postpaid', atoms: 10n } },
      { postpaidAtoms: 10n },
    ],
    ['observed', 121n, 110n, { observe: true }, { overage: { mode: 'flag', atoms: 10n } }, { flaggedAtoms: 10n }],
  ]
  redisTest.each(cases)('%s', async (_name, held, final, policy, result, balance) => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(held, policy)
    expect(await harness.wallet.hold(request)).toMatchObject({ status: 'held' })
    expect(await account.settle(request, final)).toMatchObject({ status: 'settled', replay: false, ...result })
    expect(await account.balance()).toMatchObject({ heldAtoms: 0n, ...balance })
    expect(await account.holds()).toEqual([])
  })

  redisTest('posts the prefix of its slices and releases the rest', async () => {
    const account = accountOf(harness)
    const ids = [(await account.grant(10n)).id, (await account.grant(10n)).id, (await account.grant(10n)).id]
    const request = account.call(25n)
    await harness.wallet.hold(request)
    expect(await account.settle(request, 12n)).toMatchObject({
      drawn: [
        { grant: ids[0], atoms: 10n },
        { grant: ids[1], atoms: 2n },
      ],
    })
    expect((await account.grants()).map((grant) => grant.freeAtoms)).toEqual([0n, 8n, 10n])
  })

  redisTest('by the policy of the hold, whatever the copy says by then', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    const request = account.call(30n, NEGATIVE)
    await harness.wallet.hold(request)
    const result = await account.settle({ ...request, onExhausted: { mode: 'flag' } }, 30n)
    expect(result.overage).toEqual({ mode: 'negative', atoms: 20n })
  })
})

describe('ends, in any order', () => {
  redisTest('a settle again is a replay; at another amount or in another unit a conflict', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    const first = await account.settle(request, 20n)
    const before = await stateOf(harness.redis, account.account)
    expect(await account.settle(request, 20n)).toEqual({ ...first, replay: true })
    expect(await account.settle(request, 21n)).toMatchObject({ status: 'conflict' })
    expect(await account.settle({ ...request, unit: 'EUR' }, 20n)).toMatchObject({ status: 'conflict' })
    expect(await account.void(request.id)).toMatchObject({ status: 'hold_not_open' })
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
  })

  redisTest('a void returns all; again it is a replay; a settle after it finds the hold not open', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    expect(await account.void(request.id)).toEqual({ status: 'voided', replay: false, releasedAtoms: 60n })
    expect(await account.void(request.id)).toEqual({ status: 'voided', replay: true, releasedAtoms: 60n })
    expect(await account.settle(request, 5n)).toMatchObject({ status: 'hold_not_open' })
    expect(await account.balance()).toMatchObject({ availableAtoms: 100n, heldAtoms: 0n, postedAtoms: 0n })
  })

  redisTest('a void before the hold closes the id', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    expect(await account.void(request.id)).toMatchObject({ status: 'absent', replay: false })
    expect(await account.void(request.id)).toMatchObject({ status: 'absent', replay: true })
    expect(await harness.wallet.hold(request)).toMatchObject({ status: 'id_closed' })
    expect(await account.settle(request, 5n)).toMatchObject({ status: 'hold_not_open' })
  })

  redisTest('a hold is settled while the account is frozen', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    await account.freeze(true)
    expect(await account.settle(request, 20n)).toMatchObject({ status: 'settled' })
  })
})

describe('a hold that nobody ended', () => {
  redisTest.each([
    ['known: the floor', 'known', 15n, 0n, 15n],
    ['known: the checkpoint, where it is more', 'known', 15n, 25n, 25n],
    ['known: never more than is held', 'known', 90n, 0n, 60n],
    ['release', 'release', 15n, 25n, 0n],
    ['full', 'full', 15n, 25n, 60n],
  ] as const)('times out: %s', async (_name, onTimeout, floorAtoms, checkpoint, posted) => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, { onTimeout, floorAtoms, deadlineMs: 1000 })
    await harness.wallet.hold(request)
    if (checkpoint > 0n) {
      await harness.wallet.checkpoint({
        id: request.id,
        account: account.account,
        number: 1,
        cumulativeAtoms: checkpoint,
        deadlineMs: 1000,
        extend: undefined,
      })
    }
    harness.clock.nowMs += 1000
    const seen = await account.balance()
    expect(seen).toMatchObject({ heldAtoms: 0n, postedAtoms: posted, availableAtoms: 100n - posted })
    expect(await harness.wallet.sweep(account.account)).toMatchObject({ swept: 1 })
    expect(await account.balance()).toEqual(seen)
    expect((await account.ledger()).at(-1)).toMatchObject({
      type: 'timeout',
      atMs: harness.clock.nowMs,
      fields: { unreconciled: true },
    })
    expect(await account.void(request.id)).toMatchObject({ status: 'hold_not_open' })
    expect(await harness.wallet.hold(request)).toMatchObject({ status: 'held', replay: true })
  })

  redisTest('is open one millisecond before its deadline', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, { deadlineMs: 1000 })
    await harness.wallet.hold(request)
    harness.clock.nowMs += 999
    expect(await account.settle(request, 60n)).toMatchObject({ status: 'settled' })
  })

  redisTest.each([
    ['more than was posted', 70n, { chargedAtoms: 70n }, { availableAtoms: 30n, postedAtoms: 70n }],
    ['exactly that', 20n, { chargedAtoms: 20n }, { availableAtoms: 80n, postedAtoms: 20n }],
    ['less', 5n, { chargedAtoms: 5n }, { availableAtoms: 95n, postedAtoms: 5n }],
    ['nothing', 0n, { chargedAtoms: 0n, drawn: [] }, { availableAtoms: 100n, postedAtoms: 0n }],
    [
      'more than the wallet has',
      120n,
      { chargedAtoms: 120n, overrunAtoms: 20n },
      { availableAtoms: 0n, debtAtoms: 20n },
    ],
  ] as const)('settled late: %s', async (_name, final, result, balance) => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, { floorAtoms: 20n, deadlineMs: 1000 })
    await harness.wallet.hold(request)
    harness.clock.nowMs += 24 * HOUR + 999
    const late = await account.settle(request, final)
    expect(late).toMatchObject({ status: 'late_settled', replay: false, ...result })
    expect(await account.balance()).toMatchObject(balance)
    expect(await account.settle(request, final)).toEqual({ ...late, replay: true })
    expect(await account.settle(request, final + 1n)).toMatchObject({ status: 'conflict' })
  })

  redisTest(
    'settled late gives back overage first, then grants from the last; an expired one does not come back',
    async () => {
      const account = accountOf(harness)
      const soon = await account.grant(10n, { expiresAtMs: harness.clock.nowMs + 2000 })
      const general = await account.grant(10n)
      const request = account.call(30n, { ...NEGATIVE, onTimeout: 'full', deadlineMs: 1000 })
      await harness.wallet.hold(request)
      harness.clock.nowMs += 3000
      expect(await account.settle(request, 5n)).toMatchObject({
        chargedAtoms: 5n,
        drawn: [{ grant: soon.id, atoms: 5n }],
      })
      expect(await account.balance()).toMatchObject({
        debtAtoms: 0n,
        availableAtoms: 10n,
        expiredAtoms: 5n,
        postedAtoms: 5n,
      })
      expect((await account.grants()).map((grant) => [grant.id, grant.freeAtoms, grant.expiredAtoms])).toEqual([
        [soon.id, 0n, 5n],
        [general.id, 10n, 0n],
      ])
    },
  )

  redisTest('settled late gives back as credit the debt that was repaid meanwhile', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    const request = account.call(30n, { ...NEGATIVE, onTimeout: 'full', deadlineMs: 1000 })
    await harness.wallet.hold(request)
    harness.clock.nowMs += 1000
    await account.grant(50n)
    expect(await account.balance()).toMatchObject({ debtAtoms: 0n, availableAtoms: 30n })
    expect(await account.settle(request, 10n)).toMatchObject({
      status: 'late_settled',
      chargedAtoms: 10n,
      overage: undefined,
    })
    expect(await account.balance()).toMatchObject({ debtAtoms: 0n, availableAtoms: 50n, postedAtoms: 10n })
  })

  redisTest.each([
    ['within its own late window of 7 days', 7 * 24 * HOUR - 1, 'late_settled', 80n],
    ['after it', 7 * 24 * HOUR, 'unmatched', 40n],
  ] as const)(
    'a hold of 26 hours that posted itself whole is settled %s',
    async (_name, laterMs, status, available) => {
      const account = accountOf(harness)
      await account.grant(100n)
      const request = account.call(60n, {
        onTimeout: 'full',
        deadlineMs: 26 * HOUR,
        lateWindowMs: 7 * 24 * HOUR,
      })
      await harness.wallet.hold(request)
      harness.clock.nowMs += 26 * HOUR - 1
      expect(await account.balance()).toMatchObject({ heldAtoms: 60n, postedAtoms: 0n })
      harness.clock.nowMs += 1
      expect(await account.balance()).toMatchObject({ heldAtoms: 0n, postedAtoms: 60n, availableAtoms: 40n })
      harness.clock.nowMs += laterMs
      expect(await account.settle(request, 20n)).toMatchObject({ status })
      expect(await account.balance()).toMatchObject({ availableAtoms: available })
    },
  )

  redisTest('a settle whose hold was lost is charged from its copy within its own late window', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, { lateWindowMs: 7 * 24 * HOUR })
    harness.clock.nowMs += 30 * HOUR
    expect(await account.settle(request, 20n)).toMatchObject({ status: 'orphan_settled', chargedAtoms: 20n })
    const old = account.call(60n)
    harness.clock.nowMs += 30 * HOUR
    expect(await account.settle(old, 20n)).toMatchObject({ status: 'unmatched', chargedAtoms: 0n })
  })

  redisTest('is unmatched after 24 hours: an entry for an operator, nothing charged', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, { floorAtoms: 20n, deadlineMs: 1000 })
    await harness.wallet.hold(request)
    harness.clock.nowMs += 24 * HOUR + 1000
    const first = await account.settle(request, 50n)
    expect(first).toMatchObject({ status: 'unmatched', chargedAtoms: 0n })
    expect(await account.settle(request, 50n)).toEqual({ ...first, replay: true })
    expect(await account.balance()).toMatchObject({ postedAtoms: 20n })
    expect((await account.ledger()).at(-1)).toMatchObject({
      type: 'unmatched',
      op: request.id,
      fields: { final: '0.00000005' },
    })
  })
})

describe('a settle without a trace of its hold', () => {
  redisTest('is charged from the copy, once, and closes the id', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, NEGATIVE)
    const first = await account.settle(request, 120n)
    expect(first).toMatchObject({
      status: 'orphan_settled',
      chargedAtoms: 120n,
      overage: { mode: 'negative', atoms: 20n },
    })
    expect(await account.settle(request, 120n)).toEqual({ ...first, replay: true })
    expect(await account.settle(request, 121n)).toMatchObject({ status: 'conflict' })
    expect(await harness.wallet.hold(request)).toMatchObject({ status: 'id_closed' })
  })

  redisTest('older than its records: what the ledger has is answered, what it lacks is charged', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const [settled, voided, lost] = [account.call(10n), account.call(10n), account.call(10n)]
    await harness.wallet.hold(settled)
    await harness.wallet.hold(voided)
    const first = await account.settle(settled, 7n)
    await account.void(voided.id)
    for (let i = 0; i < 20; i++) {
      harness.clock.nowMs += HOUR / 10
      const other = account.call(1n)
      await harness.wallet.hold(other)
      await account.settle(other, 1n)
    }
    // Operation records expire by the server's clock; here by hand.
    await harness.redis.del(await harness.redis.keys(`tg:{${account.account}}:ops:*`))
    expect(await account.settle(settled, 7n)).toEqual({ ...first, replay: true })
    expect(await account.settle(voided, 7n)).toMatchObject({ status: 'hold_not_open' })
    expect(await account.settle(lost, 7n)).toMatchObject({ status: 'orphan_settled', chargedAtoms: 7n })
    expect(await account.balance()).toMatchObject({ postedAtoms: 34n })
  })

  redisTest('is unmatched when the id is older than 24 hours', async () => {
    const account = accountOf(harness)
    const terms = account.terms({ id: newId(harness.clock.nowMs - 25 * HOUR) })
    expect(await account.settle(terms, 7n)).toMatchObject({ status: 'unmatched', chargedAtoms: 0n })
  })
})

describe('a checkpoint', () => {
  const slice = { perTokenAtoms: 1n, leastTokens: 5, wantTokens: 20 }
  redisTest('renews the deadline and never lowers what is known', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n, { deadlineMs: 1000 })
    await harness.wallet.hold(request)
    harness.clock.nowMs += 900
    expect(await account.checkpoint(request.id, 1, 40n)).toEqual({
      status: 'checkpointed',
      tokens: 0,
      heldAtoms: 60n,
      availableAtoms: 40n,
    })
    await account.checkpoint(request.id, 2, 30n)
    expect((await account.holds())[0]).toMatchObject({
      checkpointAtoms: 40n,
      deadlineAtMs: harness.clock.nowMs + 120_000,
    })
  })

  redisTest('holds the next slice, as much of it as the wallet pays for', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    expect(await account.checkpoint(request.id, 1, 40n, slice)).toMatchObject({
      status: 'checkpointed',
      tokens: 20,
      heldAtoms: 80n,
    })
    expect(await account.checkpoint(request.id, 2, 40n, { ...slice, wantTokens: 50 })).toMatchObject({
      tokens: 20,
      heldAtoms: 100n,
    })
    const refused = await account.checkpoint(request.id, 3, 90n, slice)
    expect(refused).toEqual({ status: 'insufficient_funds', neededAtoms: 5n, availableAtoms: 0n })
    expect((await account.holds())[0]).toMatchObject({ heldAtoms: 100n, checkpointAtoms: 40n })
    expect(await account.settle(request, 95n)).toMatchObject({ status: 'settled', chargedAtoms: 95n })
    expect(await account.balance()).toMatchObject({ availableAtoms: 5n, heldAtoms: 0n })
  })

  redisTest('of a slice that other calls hold says so', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    await account.hold(40n)
    expect(await account.checkpoint(request.id, 1, 0n, slice)).toMatchObject({ status: 'held_by_open_calls' })
  })

  redisTest('draws overage as the policy of the hold has it', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(100n, OVERFLOW)
    await harness.wallet.hold(request)
    expect(await account.checkpoint(request.id, 1, 0n, slice)).toMatchObject({ tokens: 20, heldAtoms: 130n })
    expect(await account.checkpoint(request.id, 2, 0n, { ...slice, wantTokens: 40 })).toMatchObject({
      tokens: 13,
      heldAtoms: 150n,
    })
    expect(await account.settle(request, 133n)).toMatchObject({
      overage: { mode: 'overflow', atoms: 50n },
      overrunAtoms: 0n,
    })
  })

  redisTest('sent again changes nothing; with other arguments, or out of turn, it is a conflict', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    const first = await account.checkpoint(request.id, 1, 40n, slice)
    const before = await stateOf(harness.redis, account.account)
    expect(await account.checkpoint(request.id, 1, 40n, slice)).toEqual(first)
    expect(await account.checkpoint(request.id, 1, 41n, slice)).toMatchObject({ status: 'conflict' })
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
    await account.checkpoint(request.id, 2, 50n)
    expect(await account.checkpoint(request.id, 1, 40n, slice)).toMatchObject({ status: 'conflict' })
  })

  redisTest('of a hold that has its end, or of none', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    await account.void(request.id)
    expect(await account.checkpoint(request.id, 1, 1n)).toMatchObject({ status: 'hold_not_open' })
    expect(await account.checkpoint(newId(harness.clock.nowMs), 1, 1n)).toMatchObject({ status: 'hold_not_open' })
  })
})

redisTest('under block, with every final within its hold, debt stays 0', async () => {
  const account = accountOf(harness)
  await account.grant(1000n)
  const requests = Array.from({ length: 50 }, (_, i) => account.call(BigInt(10 + i)))
  const held = await Promise.all(requests.map((request) => harness.wallet.hold(request)))
  await Promise.all(requests.map((request, i) => held[i]?.status === 'held' && account.settle(request, BigInt(i))))
  const balance = await account.balance()
  expect(balance).toMatchObject({ debtAtoms: 0n, heldAtoms: 0n })
  expect(balance.postedAtoms + balance.availableAtoms).toBe(1000n)
})

redisTest('more than 32 overdue holds are swept by the hold that needs what they release', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  await Promise.all(Array.from({ length: 100 }, () => account.hold(1n, { deadlineMs: 10 })))
  harness.clock.nowMs += 10
  expect(await account.hold(100n)).toMatchObject({ status: 'held', availableAtoms: 0n })
  expect((await account.ledger()).filter((entry) => entry.type === 'timeout')).toHaveLength(100)
})
