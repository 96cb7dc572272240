import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, stateOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const MAX = 9_007_199_254_740_991n
const NEGATIVE: Partial<HoldRequest> = { onExhausted: { mode: 'negative', floorAtoms: -50n } }
const OVERFLOW: Partial<HoldRequest> = {
  onExhausted: { mode: 'overflow', capAtoms: 50n, period: 'month', multiplier: '1.5' },
  overflowPeriod: '2026-11',
}
const FLAG: Partial<HoldRequest> = { onExhausted: { mode: 'flag' } }
const POSTPAID: Partial<HoldRequest> = { onExhausted: { mode: 'postpaid' } }

describe('what a hold is answered on a wallet of 100', () => {
  const tokens = (least: number, want: number, total = want): Partial<HoldRequest> => ({
    perTokenAtoms: 2n,
    leastTokens: least,
    wantTokens: want,
    totalTokens: total,
  })
  redisTest.each([
    ['all of it', 100n, {}, { status: 'held', heldAtoms: 100n, availableAtoms: 0n, overage: undefined }],
    ['one atom too many', 101n, {}, { status: 'insufficient_funds', neededAtoms: 101n, availableAtoms: 100n }],
    ['nothing', 0n, {}, { status: 'held', heldAtoms: 0n, availableAtoms: 100n }],
    ['tokens that fit', 20n, tokens(1, 40), { status: 'held', tokens: 40, payableTokens: 40, heldAtoms: 100n }],
    ['tokens trimmed to what is left', 20n, tokens(1, 100), { status: 'held', tokens: 40, heldAtoms: 100n }],
    ['an odd atom left over', 21n, tokens(1, 100), { status: 'held', tokens: 39, heldAtoms: 99n, availableAtoms: 1n }],
    ['the least that is useful', 80n, tokens(10, 100), { status: 'held', tokens: 10 }],
    [
      'less than is useful',
      81n,
      tokens(10, 100),
      { status: 'insufficient_funds', neededAtoms: 101n, availableAtoms: 100n },
    ],
    [
      'a slice, and what the rest could pay',
      0n,
      tokens(1, 10, 80),
      { status: 'held', tokens: 10, payableTokens: 50, heldAtoms: 20n },
    ],
    [
      'negative, within the floor',
      130n,
      NEGATIVE,
      { status: 'held', heldAtoms: 130n, overage: { mode: 'negative', atoms: 30n } },
    ],
    ['negative, exactly the floor', 150n, NEGATIVE, { status: 'held', overage: { mode: 'negative', atoms: 50n } }],
    ['negative, beyond the floor', 151n, NEGATIVE, { status: 'insufficient_funds', availableAtoms: 150n }],
    [
      'overflow, at the multiplier, rounded up',
      121n,
      OVERFLOW,
      { status: 'held', heldAtoms: 132n, overage: { mode: 'overflow', atoms: 32n } },
    ],
    ['overflow, up to the cap', 133n, OVERFLOW, { status: 'held', overage: { mode: 'overflow', atoms: 50n } }],
    ['overflow, beyond the cap', 134n, OVERFLOW, { status: 'insufficient_funds', availableAtoms: 133n }],
    [
      'flag, without limit',
      100_000n,
      FLAG,
      { status: 'held', heldAtoms: 100_000n, overage: { mode: 'flag', atoms: 99_900n } },
    ],
    ['postpaid, grants first', 500n, POSTPAID, { status: 'held', overage: { mode: 'postpaid', atoms: 400n } }],
    [
      'observed, what enforcement would refuse',
      150n,
      { observe: true },
      { status: 'held', overage: { mode: 'flag', atoms: 50n }, would: 'insufficient_funds' },
    ],
    [
      'observed, nothing trimmed',
      0n,
      { observe: true, ...tokens(1, 100) },
      { status: 'held', tokens: 100, overage: { mode: 'flag', atoms: 100n }, would: undefined },
    ],
    ['an amount that Redis cannot keep', MAX + 1n, FLAG, { status: 'out_of_range' }],
    [
      'tokens that come to more than 2^53-1',
      1n,
      { ...FLAG, perTokenAtoms: MAX / 2n, leastTokens: 3, wantTokens: 3, totalTokens: 3 },
      { status: 'out_of_range' },
    ],
    ['the largest amount', MAX, { ...FLAG }, { status: 'held', heldAtoms: MAX }],
  ] as const)('%s', async (_name, fixed, more, expected) => {
    const account = accountOf(harness)
    await account.grant(100n)
    expect(await account.hold(fixed, more)).toMatchObject(expected)
  })
})

describe('refusals, in order of precedence', () => {
  const refusals: readonly [string, (account: TestAccount) => Promise<HoldRequest>, string][] = [
    [
      'an id that was held with other arguments',
      async (account) => {
        const request = account.call(10n)
        await harness.wallet.hold(request)
        await account.freeze(true)
        return { ...request, fixedAtoms: 11n }
      },
      'conflict',
    ],
    [
      'an id of an hour ago',
      async (account) => account.call(10n, { id: newId(harness.clock.nowMs - 3_600_001) }),
      'id_too_old',
    ],
    [
      'an id that was voided before',
      async (account) => {
        const request = account.call(10n)
        await account.void(request.id)
        await account.freeze(true)
        return request
      },
      'id_closed',
    ],
    [
      'a frozen account',
      async (account) => {
        await account.freeze(true)
        return account.call(10n)
      },
      'frozen',
    ],
    [
      'a frozen account, observed',
      async (account) => {
        await account.freeze(true)
        return account.call(10n, { observe: true })
      },
      'frozen',
    ],
    [
      'funds that open calls hold',
      async (account) => {
        await account.hold(60n)
        return account.call(50n)
      },
      'held_by_open_calls',
    ],
    [
      'more than all open calls could bring back',
      async (account) => {
        await account.hold(60n)
        // The first of such refusals writes an event.
        await account.hold(101n)
        return account.call(101n)
      },
      'insufficient_funds',
    ],
    [
      'overage that open calls hold',
      async (account) => {
        await account.hold(140n, NEGATIVE)
        return account.call(120n, NEGATIVE)
      },
      'held_by_open_calls',
    ],
  ]
  redisTest.each(refusals)('%s', async (_name, prepare, status) => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = await prepare(account)
    const before = await stateOf(harness.redis, account.account)
    expect(await harness.wallet.hold(request)).toMatchObject({ status, replay: false })
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
  })

  redisTest('10,000 open holds are the most', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(1n)
    const key = `tg:{${account.account}}:acct`
    const record = (await harness.redis.hget(key, 'account')) ?? ''
    // The counter alone is set: ten thousand calls would make this the slowest test of all.
    await harness.redis.hset(key, 'account', record.replace(/\|1\|1$/, '|10000|1'))
    expect(await account.hold(1n)).toMatchObject({ status: 'too_many_holds' })
  })
})

describe('a repeated hold', () => {
  redisTest('is answered as the first time, open or ended', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const request = account.call(10n, { perTokenAtoms: 1n, leastTokens: 1, wantTokens: 20, totalTokens: 30 })
    const first = await harness.wallet.hold(request)
    await account.hold(60n)
    expect(await harness.wallet.hold(request)).toEqual({ ...first, replay: true })
    await account.settle(request, 5n)
    const before = await stateOf(harness.redis, account.account)
    expect(await harness.wallet.hold(request)).toEqual({ ...first, replay: true })
    expect(await harness.wallet.hold({ ...request, floorAtoms: 1n })).toMatchObject({ status: 'conflict' })
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
  })

  redisTest('that was refused is refused again, though money came meanwhile; another id passes', async () => {
    const account = accountOf(harness)
    await account.grant(5n)
    const request = account.call(10n)
    const first = await harness.wallet.hold(request)
    await account.grant(100n)
    expect(await harness.wallet.hold(request)).toEqual({ ...first, replay: true })
    expect(await account.hold(10n)).toMatchObject({ status: 'held' })
  })
})

describe('which grants a hold draws on', () => {
  redisTest.each([
    ['priority', { priority: 20 }, { priority: 5, funding: 'external' }],
    ['scoped before general', {}, { appliesTo: { models: ['gpt-*'] } }],
    ['the sooner expiry', { expiresAtMs: 4_100_000_000_001 }, { expiresAtMs: 4_100_000_000_000 }],
    ['expiry before none', {}, { expiresAtMs: 4_100_000_000_000 }],
    ['promotional before paid', { funding: 'invoiced' }, { funding: 'promotional' }],
    ['the lower cost basis', { costBasis: '10' }, { costBasis: '9.5' }],
    ['the lower cost basis, in its decimals', { costBasis: '0.50' }, { costBasis: '0.49' }],
    ['the earlier effective time', { effectiveAtMs: 1_700_000_000_001 }, { effectiveAtMs: 1_700_000_000_000 }],
  ] as const)('%s', async (_name, second, first) => {
    const account = accountOf(harness)
    const last = await account.grant(100n, { funding: 'external', ...second })
    const drawn = await account.grant(100n, { funding: 'external', ...first })
    await account.hold(150n)
    expect((await account.holds())[0]?.slices).toEqual([
      { grant: drawn.id, atoms: 100n },
      { grant: last.id, atoms: 50n },
    ])
  })

  redisTest('the order of creation where all else is equal', async () => {
    const account = accountOf(harness)
    const ids = ['7ZZZZZZZZZZZZZZZZZZZZZZZZZ', newId(harness.clock.nowMs)]
    for (const id of ids) await account.grant(10n, { id })
    await account.hold(15n)
    expect((await account.holds())[0]?.slices.map((slice) => slice.grant)).toEqual(ids)
  })

  redisTest.each([
    ['a model that fits a glob', { models: ['claude-*', 'gpt-5*'] }, true],
    ['a model that fits none', { models: ['claude-*'] }, false],
    ['a model that ends where a glob goes on', { models: ['gpt-5-mini*x', 'gpt-5-mini**x'] }, false],
    ['a model that ends where a glob does, twice', { models: ['gpt-5-mini**'] }, true],
    ['an upstream', { upstreams: ['openai'] }, true],
    ['another endpoint', { endpoints: ['embeddings'] }, false],
    ['a label', { labels: { team: 'platform' } }, true],
    ['a label with another value', { labels: { team: 'plat' } }, false],
    ['all of several', { models: ['gpt-*'], endpoints: ['chat'], labels: { team: 'platform' } }, true],
    ['all but one of several', { models: ['gpt-*'], endpoints: ['chat'], labels: { agent: 'ci' } }, false],
    ['odd characters', { models: ['gpt-5-mini', 'a|b;c,d=e:f%'] }, true],
  ] as const)('applies_to: %s', async (_name, appliesTo, fits) => {
    const account = accountOf(harness)
    await account.grant(100n, { appliesTo })
    const result = await account.hold(10n)
    expect(result.status).toBe(fits ? 'held' : 'insufficient_funds')
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n, scopedAtoms: fits ? 90n : 100n })
  })

  redisTest('the first 64 that are not empty', async () => {
    const account = accountOf(harness)
    for (let i = 0; i < 70; i++) await account.grant(1n)
    expect(await account.hold(65n)).toMatchObject({ status: 'insufficient_funds', availableAtoms: 64n })
    expect(await account.hold(10n)).toMatchObject({ status: 'held' })
    expect(await account.hold(60n)).toMatchObject({ status: 'held', availableAtoms: 0n })
  })
})

describe('a dry run', () => {
  redisTest('answers as the hold would, and writes nothing', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const before = await harness.redis.keys(`tg:{${account.account}}:*`)
    const state = await stateOf(harness.redis, account.account)
    expect(await account.hold(60n, { dryRun: true })).toMatchObject({
      status: 'held',
      seq: 0,
      heldAtoms: 60n,
      availableAtoms: 100n,
    })
    expect(await account.hold(160n, { dryRun: true })).toMatchObject({ status: 'insufficient_funds' })
    expect(await stateOf(harness.redis, account.account)).toEqual(state)
    expect((await harness.redis.keys(`tg:{${account.account}}:*`)).toSorted()).toEqual(before.toSorted())
  })

  redisTest('sees a grant that has just become effective', async () => {
    const account = accountOf(harness)
    await account.grant(100n, { effectiveAtMs: harness.clock.nowMs + 10 })
    expect(await account.hold(60n, { dryRun: true })).toMatchObject({ status: 'insufficient_funds' })
    harness.clock.nowMs += 10
    expect(await account.hold(60n, { dryRun: true })).toMatchObject({ status: 'held' })
  })
})

redisTest('an account without any grant holds a call that costs nothing', async () => {
  const account = accountOf(harness)
  expect(await account.hold(0n)).toMatchObject({ status: 'held', heldAtoms: 0n, overage: undefined })
})

redisTest('300 holds of 0.10 at once on 1.05: ten are held', async () => {
  const account = accountOf(harness)
  await account.grant(1_050_000_000n)
  const results = await Promise.all(Array.from({ length: 300 }, () => account.hold(100_000_000n)))
  expect(results.filter((result) => result.status === 'held')).toHaveLength(10)
  expect(results.filter((result) => result.status === 'held_by_open_calls')).toHaveLength(290)
  expect(await account.balance()).toMatchObject({ availableAtoms: 50_000_000n, heldAtoms: 1_000_000_000n })
})

redisTest('the records of a unit are kept in one number of decimals', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  await expect(account.hold(1n, { scale: 6 })).rejects.toThrow(/hold\.lua:\d+: unit_scale_mismatch/)
})

redisTest('a name that could reach another account is refused', async () => {
  await expect(accountOf(harness, 'a}b').hold(1n)).rejects.toThrow(RangeError)
  await expect(accountOf(harness).hold(1n, { id: 'not-an-id' })).rejects.toThrow(RangeError)
})
