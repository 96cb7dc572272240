import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { GrantRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, stateOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const MAX = 9_007_199_254_740_991n
const NEGATIVE = { onExhausted: { mode: 'negative', floorAtoms: -50n } } as const

describe('a grant', () => {
  redisTest('is what was asked for, and can be read back', async () => {
    const account = accountOf(harness)
    const now = harness.clock.nowMs
    const made = await account.grant(100n, {
      key: 'invoice-7',
      funding: 'invoiced',
      priority: 3,
      effectiveAtMs: now + 5,
      expiresAtMs: now + 10,
      appliesTo: { models: ['gpt-*'], labels: { team: 'a b' } },
      costBasis: '0.8',
      labels: { deal: '7' },
    })
    expect(made).toMatchObject({
      amountAtoms: 100n,
      freeAtoms: 100n,
      heldAtoms: 0n,
      consumedAtoms: 0n,
      key: 'invoice-7',
      funding: 'invoiced',
      priority: 3,
      createdAtMs: now,
      effectiveAtMs: now + 5,
      expiresAtMs: now + 10,
      voidedAtMs: undefined,
      appliesTo: { models: ['gpt-*'], labels: { team: 'a b' } },
      costBasis: '0.8',
      repaysDebt: false,
      labels: { deal: '7' },
      seq: 1,
      unit: 'USD',
      scale: 9,
    })
    expect(await account.grants()).toEqual([made])
  })

  redisTest.each([
    ['paid', { funding: 'external' }, true],
    ['promotional', { funding: 'promotional' }, false],
    ['paid and scoped', { funding: 'invoiced', appliesTo: { models: ['gpt-*'] } }, false],
    ['promotional that says so', { funding: 'promotional', repaysDebt: true }, true],
    ['paid that says not', { funding: 'external', repaysDebt: false }, false],
  ] as const)('repays debt first, or does not: %s', async (_name, more, repays) => {
    const account = accountOf(harness)
    await account.grant(1n)
    const request = account.call(31n, NEGATIVE)
    await harness.wallet.hold(request)
    await account.settle(request, 31n)
    const made = await account.grant(100n, more)
    expect(made).toMatchObject(repays ? { freeAtoms: 70n, consumedAtoms: 30n } : { freeAtoms: 100n, consumedAtoms: 0n })
    expect(await account.balance()).toMatchObject({ debtAtoms: repays ? 0n : 30n, postedAtoms: 31n })
  })

  redisTest('that only repays a part of the debt has nothing left', async () => {
    const account = accountOf(harness)
    await account.settle(account.terms(), 100n)
    expect(await account.grant(40n)).toMatchObject({ freeAtoms: 0n, consumedAtoms: 40n })
    expect(await account.balance()).toMatchObject({ debtAtoms: 60n, availableAtoms: 0n })
  })

  redisTest('that is not yet effective repays debt when it is, and not before', async () => {
    const account = accountOf(harness)
    await account.settle(account.terms(), 30n)
    await account.grant(100n, { effectiveAtMs: harness.clock.nowMs + 10 })
    expect(await account.balance()).toMatchObject({ debtAtoms: 30n, pendingAtoms: 100n, availableAtoms: 0n })
    harness.clock.nowMs += 10
    const seen = await account.balance()
    expect(seen).toMatchObject({ debtAtoms: 0n, pendingAtoms: 0n, availableAtoms: 70n })
    await harness.wallet.sweep(account.account)
    expect(await account.balance()).toEqual(seen)
    expect((await account.ledger()).at(-1)).toMatchObject({ type: 'grant', fields: { activated: true } })
  })

  redisTest('never repays overflow: that is invoiced', async () => {
    const account = accountOf(harness)
    const policy = {
      onExhausted: { mode: 'overflow', capAtoms: 50n, period: 'month', multiplier: '1' },
      overflowPeriod: '2026-11',
    } as const
    await account.settle(account.terms(policy), 30n)
    await account.grant(100n)
    expect(await account.balance()).toMatchObject({ overflowAtoms: 30n, availableAtoms: 100n })
  })

  const again: readonly [string, Partial<GrantRequest>, string][] = [
    ['same operation, same arguments', {}, 'done'],
    ['same operation, another amount', { amountAtoms: 101n }, 'conflict'],
    ['another operation, same key', { operationId: 'other', id: '01ARZ3NDEKTSV4RRFFQ69G5FAV' }, 'done'],
    [
      'another operation, same key, another expiry',
      { operationId: 'other', expiresAtMs: 4_100_000_000_000 },
      'conflict',
    ],
    ['another operation and key, same id', { operationId: 'other', key: 'k2' }, 'conflict'],
  ]
  redisTest.each(again)('asked for again: %s', async (_name, more, status) => {
    const account = accountOf(harness)
    const request = account.grantRequest(100n, { operationId: 'first', key: 'k1' })
    const first = await harness.wallet.grant(request)
    const before = await stateOf(harness.redis, account.account)
    const second = await harness.wallet.grant({ ...request, ...more })
    expect(second).toEqual(status === 'done' ? { ...first, replay: true } : { status: 'conflict' })
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
  })

  redisTest('is answered with the first answer, though it was used meanwhile', async () => {
    const account = accountOf(harness)
    const request = account.grantRequest(100n)
    const first = await harness.wallet.grant(request)
    await account.hold(60n)
    expect(await harness.wallet.grant(request)).toEqual({ ...first, replay: true })
  })

  redisTest.each([
    ['that has expired', { expiresAtMs: 1_799_999_999_999 }, 'expired'],
    ['that expires now', { expiresAtMs: 4_000_000_000_000 }, 'expired'],
    [
      'that expires when it becomes effective',
      { effectiveAtMs: 4_100_000_000_000, expiresAtMs: 4_100_000_000_000 },
      'expired',
    ],
    ['of another number of decimals', { scale: 6 }, 'unit_scale_mismatch'],
    ['that the wallet cannot hold', { amountAtoms: MAX }, 'out_of_range'],
    ['beyond every wallet', { amountAtoms: MAX + 1n }, 'out_of_range'],
    ['whose operation is too old', { operationId: newId(4_000_000_000_000 - 36 * 86_400_000) }, 'id_too_old'],
  ] as const)('%s is refused', async (_name, more, status) => {
    harness.clock.nowMs = 4_000_000_000_000
    const account = accountOf(harness)
    await account.grant(1n)
    const before = await stateOf(harness.redis, account.account)
    expect(await harness.wallet.grant(account.grantRequest(100n, more))).toEqual({ status })
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
  })

  redisTest('may fill the wallet to 2^53-1, and all of it is exact', async () => {
    const account = accountOf(harness)
    await account.grant(MAX)
    const request = account.call(MAX - 1n)
    expect(await harness.wallet.hold(request)).toMatchObject({ heldAtoms: MAX - 1n, availableAtoms: 1n })
    expect(await account.settle(request, MAX - 2n)).toMatchObject({ chargedAtoms: MAX - 2n, availableAtoms: 2n })
    await account.grant(MAX - 2n)
    expect(await account.balance()).toMatchObject({
      availableAtoms: MAX,
      grantedAtoms: 2n * MAX - 2n,
      postedAtoms: MAX - 2n,
    })
  })

  redisTest('10,000 are the most', async () => {
    const account = accountOf(harness)
    await account.grant(1n)
    const key = `tg:{${account.account}}:acct`
    const record = (await harness.redis.hget(key, 'account')) ?? ''
    await harness.redis.hset(key, 'account', record.replace(/\|1$/, '|10000'))
    expect(await harness.wallet.grant(account.grantRequest(1n))).toEqual({ status: 'too_many_grants' })
    const adjustment = {
      account: account.account,
      operationId: 'a',
      grantId: newId(1),
      unit: 'USD',
      scale: 9,
      reason: '',
      actor: 'test',
    }
    expect(await harness.wallet.adjust({ ...adjustment, amountAtoms: 1n })).toEqual({ status: 'too_many_grants' })
  })
})

describe('the edges of a grant', () => {
  redisTest('it is usable from effective_at, to the millisecond, until expires_at, exclusive', async () => {
    const account = accountOf(harness)
    const start = harness.clock.nowMs
    await account.grant(100n, { effectiveAtMs: start + 100, expiresAtMs: start + 200 })
    const at = async (ms: number): Promise<string> => {
      harness.clock.nowMs = start + ms
      return (await account.hold(100n, { dryRun: true })).status
    }
    expect([await at(99), await at(100), await at(199), await at(200)]).toEqual([
      'insufficient_funds',
      'held',
      'held',
      'insufficient_funds',
    ])
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, expiredAtoms: 100n, balanceAtoms: 0n })
    const [expired, event] = (await account.ledger()).slice(-2)
    expect(expired).toMatchObject({ type: 'expire', atMs: start + 200 })
    expect(event).toMatchObject({ type: 'event', fields: { event: 'wallet.exhausted' } })
  })

  redisTest('what a hold pins survives the expiry; what it releases is expired', async () => {
    const account = accountOf(harness)
    await account.grant(100n, { expiresAtMs: harness.clock.nowMs + 1000 })
    const request = account.call(60n)
    await harness.wallet.hold(request)
    harness.clock.nowMs += 1000
    expect(await account.balance()).toMatchObject({ heldAtoms: 60n, balanceAtoms: 0n, expiredAtoms: 40n })
    expect(await account.settle(request, 50n)).toMatchObject({ chargedAtoms: 50n, overrunAtoms: 0n })
    expect(await account.balance()).toMatchObject({
      availableAtoms: 0n,
      expiredAtoms: 50n,
      postedAtoms: 50n,
      debtAtoms: 0n,
    })
  })

  redisTest('unswept and swept answer alike, whichever of deadline and expiry came first', async () => {
    for (const [deadlineMs, expiresInMs] of [
      [100, 200],
      [200, 100],
      [100, 100],
    ] as const) {
      const account = accountOf(harness)
      await account.grant(100n, { expiresAtMs: harness.clock.nowMs + expiresInMs })
      await account.hold(60n, { deadlineMs, floorAtoms: 10n })
      harness.clock.nowMs += 300
      const seen = await account.balance()
      await harness.wallet.sweep(account.account)
      expect(await account.balance()).toEqual(seen)
      expect(seen).toMatchObject({ postedAtoms: 10n, expiredAtoms: 90n, heldAtoms: 0n })
    }
  })

  redisTest('time of an account never runs back', async () => {
    const account = accountOf(harness)
    await account.grant(100n, { expiresAtMs: harness.clock.nowMs + 100 })
    harness.clock.nowMs += 100
    await harness.wallet.sweep(account.account)
    harness.clock.nowMs -= 50
    expect(await account.hold(1n)).toMatchObject({ status: 'insufficient_funds' })
    harness.clock.nowMs += 50
  })

  redisTest('a sweep says when the next thing is due', async () => {
    const account = accountOf(harness)
    expect(await harness.wallet.sweep(account.account)).toEqual({ swept: 0, nextDueMs: undefined })
    await account.grant(100n, { expiresAtMs: harness.clock.nowMs + 500 })
    await account.hold(1n, { deadlineMs: 300 })
    expect(await harness.wallet.sweep(account.account)).toEqual({ swept: 0, nextDueMs: harness.clock.nowMs + 300 })
  })
})

describe('the void of a grant', () => {
  redisTest('forfeits what is free, leaves what is consumed, and lets holds end', async () => {
    const account = accountOf(harness)
    const made = await account.grant(100n)
    const spent = account.call(10n)
    await harness.wallet.hold(spent)
    await account.settle(spent, 10n)
    const request = account.call(60n)
    await harness.wallet.hold(request)
    const voided = await account.voidGrant(made.id)
    expect(voided).toMatchObject({
      status: 'done',
      value: { freeAtoms: 0n, heldAtoms: 60n, consumedAtoms: 10n, voidedAtoms: 30n },
    })
    expect(await account.hold(1n)).toMatchObject({ status: 'insufficient_funds' })
    await account.settle(request, 20n)
    expect((await account.grants())[0]).toMatchObject({ consumedAtoms: 30n, voidedAtoms: 70n, heldAtoms: 0n })
    expect(await account.balance()).toMatchObject({
      expiredAtoms: 70n,
      postedAtoms: 30n,
      debtAtoms: 0n,
      balanceAtoms: 0n,
    })
  })

  redisTest('reaches one that is not yet effective', async () => {
    const account = accountOf(harness)
    const made = await account.grant(100n, { effectiveAtMs: harness.clock.nowMs + 10 })
    await account.voidGrant(made.id)
    harness.clock.nowMs += 10
    expect(await account.balance()).toMatchObject({ pendingAtoms: 0n, availableAtoms: 0n, expiredAtoms: 100n })
  })

  redisTest('is refused where there is nothing to void', async () => {
    const account = accountOf(harness)
    const made = await account.grant(100n)
    const soon = await account.grant(100n, { expiresAtMs: harness.clock.nowMs + 10 })
    expect(await account.voidGrant('01ARZ3NDEKTSV4RRFFQ69G5FAV')).toEqual({ status: 'unknown_grant' })
    await account.voidGrant(made.id)
    expect(await account.voidGrant(made.id)).toEqual({ status: 'already_voided' })
    harness.clock.nowMs += 10
    expect(await account.voidGrant(soon.id)).toEqual({ status: 'expired' })
  })

  redisTest('sent again is a replay; of another grant a conflict', async () => {
    const account = accountOf(harness)
    const [first, second] = [await account.grant(100n), await account.grant(100n)]
    const request = { account: account.account, operationId: 'void-1', grant: first.id, reason: 'r', actor: 'test' }
    const done = await harness.wallet.voidGrant(request)
    expect(await harness.wallet.voidGrant(request)).toEqual({ ...done, replay: true })
    expect(await harness.wallet.voidGrant({ ...request, grant: second.id })).toEqual({ status: 'conflict' })
    expect(await account.balance()).toMatchObject({ availableAtoms: 100n })
  })
})

describe('an adjustment', () => {
  redisTest.each([
    ['up, without debt: a promotional grant', 0n, 40n, { availableAtoms: 140n, debtAtoms: 0n, grantedAtoms: 140n }],
    ['up, repaying debt', 130n, 20n, { availableAtoms: 0n, debtAtoms: 10n, grantedAtoms: 100n }],
    ['up, beyond the debt', 130n, 50n, { availableAtoms: 20n, debtAtoms: 0n, grantedAtoms: 120n }],
    ['down, from what is free', 0n, -40n, { availableAtoms: 60n, expiredAtoms: 40n }],
    ['down to nothing', 0n, -100n, { availableAtoms: 0n, expiredAtoms: 100n }],
  ] as const)('%s', async (_name, spent, amount, balance) => {
    const account = accountOf(harness)
    await account.grant(100n)
    if (spent > 0n) await account.settle(account.terms(), spent)
    expect(await account.adjust(amount)).toEqual({ status: 'done', replay: false, value: null })
    expect(await account.balance()).toMatchObject(balance)
  })

  redisTest('never takes more than is free', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(30n)
    expect(await account.adjust(-71n)).toEqual({ status: 'insufficient_funds' })
    expect(await account.adjust(-70n)).toMatchObject({ status: 'done' })
  })

  redisTest('takes from more grants than a call may draw on', async () => {
    const account = accountOf(harness)
    for (let i = 0; i < 100; i++) await account.grant(1n)
    expect(await account.adjust(-100n)).toMatchObject({ status: 'done' })
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, expiredAtoms: 100n })
  })

  redisTest('sent again is a replay', async () => {
    const account = accountOf(harness)
    const request = {
      account: account.account,
      operationId: 'a-1',
      grantId: newId(harness.clock.nowMs),
      unit: 'USD',
      scale: 9,
      amountAtoms: 5n,
      reason: 'r',
      actor: 'test',
    }
    await harness.wallet.adjust(request)
    expect(await harness.wallet.adjust(request)).toEqual({ status: 'done', replay: true, value: null })
    expect(await harness.wallet.adjust({ ...request, amountAtoms: 6n })).toEqual({ status: 'conflict' })
    expect(await harness.wallet.adjust({ ...request, operationId: 'a-2', scale: 6, grantId: newId(1) })).toEqual({
      status: 'unit_scale_mismatch',
    })
    expect(await account.balance()).toMatchObject({ availableAtoms: 5n })
  })
})

redisTest('freeze and unfreeze stand in the ledger with reason and actor', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  await account.freeze(true)
  expect(await account.balance()).toMatchObject({ frozen: true })
  await account.freeze(false)
  expect(await account.hold(1n)).toMatchObject({ status: 'held' })
  const entries = await account.ledger()
  expect(entries.filter((entry) => entry.type === 'freeze')).toMatchObject([
    { actor: 'test', fields: { frozen: true, reason: 'test' } },
    { actor: 'test', fields: { frozen: false, reason: 'test' } },
  ])
})

redisTest('wallets of several units stand beside each other', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  await account.grant(7n, { unit: 'credits', scale: 0 })
  expect(await account.hold(5n, { unit: 'credits', scale: 0 })).toMatchObject({ status: 'held', availableAtoms: 2n })
  expect(await harness.wallet.balances(account.account)).toMatchObject([
    { unit: 'USD', scale: 9, availableAtoms: 100n, heldAtoms: 0n },
    { unit: 'credits', scale: 0, availableAtoms: 2n, heldAtoms: 5n },
  ])
})

redisTest('the ledger is read a page at a time, by type', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  for (let i = 0; i < 5; i++) {
    const request = account.call(1n)
    await harness.wallet.hold(request)
    await account.settle(request, 1n, { info: JSON.stringify({ model: 'gpt', n: i }) })
  }
  const page = async (afterSeq: number, limit: number, type?: string): Promise<number[]> =>
    (await harness.wallet.ledger(account.account, { afterSeq, limit, type })).map((entry) => entry.seq)
  expect(await page(0, 3)).toEqual([1, 2, 3])
  expect(await page(3, 100)).toEqual([4, 5, 6, 7, 8, 9, 10, 11])
  expect(await page(0, 2, 'settle')).toEqual([3, 5])
  expect(await page(5, 10, 'settle')).toEqual([7, 9, 11])
  expect(await page(11, 10)).toEqual([])
  const [entry] = await harness.wallet.ledger(account.account, { afterSeq: 10, limit: 1, type: undefined })
  expect(entry).toMatchObject({
    type: 'settle',
    actor: 'gateway',
    fields: {
      model: 'gpt',
      n: 4,
      charged: '0.000000001',
      drawn: [{ amount: '0.000000001' }],
      overage: null,
      late: false,
      hold: '0.000000001',
    },
    balanceAfter: { balance: 95n, available: 95n, held: 0n },
  })
})
