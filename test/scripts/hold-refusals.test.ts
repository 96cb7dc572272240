/** Which refusal is named of those that stand in the way, and how near to 2^53-1 what is held may come. */
import { describe, expect } from 'vitest'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { commandsOf } from '../support/commands-of.ts'
import { accountOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const MOST = 2n ** 53n - 1n

function budget(measure: string, limit: bigint, more: Partial<BudgetCount> = {}): BudgetCount {
  return {
    ...{ name: 'most', field: `most~${measure}~lifetime~`, measure, limit, action: 'block', lifeMs: 0, group: '' },
    ...{ valuesMax: 0, window: { kind: 'lifetime' }, ...more },
  } as BudgetCount
}

const overflow = (multiplier: string, capAtoms = MOST): Partial<HoldRequest> => ({
  onExhausted: { mode: 'overflow', capAtoms, period: 'month', multiplier },
  overflowPeriod: '2096-10',
})

/** `tokens` of a checkpoint's slice at `perTokenAtoms`, all of them or nothing. */
const slice = (perTokenAtoms: bigint, tokens: number) => ({ perTokenAtoms, leastTokens: tokens, wantTokens: tokens })

describe('a hold', () => {
  redisTest('sweeps what is due in the same script; a dry run leaves that to another one', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const scriptsOf = async (dryRun: boolean): Promise<number> => {
      await account.hold(1n, { deadlineMs: 10 })
      harness.clock.nowMs += 20
      const commands = await commandsOf(harness.redis, () => account.hold(1n, { dryRun }))
      return commands.filter((command) => /^evalsha/i.test(command)).length
    }
    expect(await scriptsOf(false)).toBe(1)
    expect(await scriptsOf(true)).toBe(3)
  })

  redisTest(
    'names the budget whose open calls are in the way, where the wallet pays for just what it needs',
    async () => {
      const account = accountOf(harness)
      await account.grant(11n)
      const budgets = [budget('USD', 10n)]
      await account.hold(6n, { budgets })
      const refused = await account.hold(0n, {
        budgets,
        perTokenAtoms: 1n,
        leastTokens: 5,
        wantTokens: 9,
        totalTokens: 9,
      })
      expect(refused).toMatchObject({
        ...{ status: 'held_by_open_calls', rule: 'most~USD~lifetime~', neededAtoms: 5n, availableAtoms: 4n },
      })
    },
  )

  redisTest('may be of all that there can be', async () => {
    const account = accountOf(harness)
    await account.grant(MOST)
    expect(await account.hold(MOST)).toMatchObject({ status: 'held', heldAtoms: MOST })
    expect((await account.balance()).heldAtoms).toBe(MOST)
  })

  redisTest('may bring a budget that flags to all that can be counted, and no further', async () => {
    const account = accountOf(harness)
    const budgets = [budget('tokens', 10n, { action: 'flag' })]
    const call = (fixed: bigint, perToken = 0n, tokens = 0) =>
      account.call(0n, {
        ...{ budgets, amounts: [{ measure: 'tokens', fixed, perToken, floor: 0n }] },
        ...{ leastTokens: tokens, wantTokens: tokens, totalTokens: tokens },
      })
    const spent = MOST - 375n
    const first = call(spent)
    expect(await harness.wallet.hold(first)).toMatchObject({ status: 'held' })
    await account.settle(first, 0n, { finals: { tokens: spent } })
    expect(await harness.wallet.hold(call(300n))).toMatchObject({ status: 'held' })
    expect(await harness.wallet.hold(call(6n, 7n, 10))).toMatchObject({ status: 'out_of_range' })
    expect(await harness.wallet.hold(call(5n, 7n, 10))).toMatchObject({ status: 'held' })
    const { counters } = await harness.wallet.counters(account.account, '0', 10)
    expect(counters[0]?.slots).toMatchObject([{ spent, held: 375n }])
  })
})

describe('the next slice of a stream', () => {
  redisTest('is refused where the grant that the call began on is void', async () => {
    const account = accountOf(harness)
    const grant = await account.grant(40n)
    const call = account.call(40n)
    await harness.wallet.hold(call)
    await account.voidGrant(grant.id)
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, 1))).toMatchObject({
      ...{ status: 'insufficient_funds', neededAtoms: 1n, availableAtoms: 0n },
    })
  })

  redisTest('may bring the call to all that there can be, and no further', async () => {
    const account = accountOf(harness)
    await account.grant(MOST)
    const call = account.call(10n)
    await harness.wallet.hold(call)
    const next = (tokens: bigint) => ({ perTokenAtoms: 2n, leastTokens: 1, wantTokens: Number(tokens) })
    // 2^53 - 1 is odd: a call that holds 11 has an even rest.
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, 1))).toMatchObject({ status: 'checkpointed' })
    const rest = (MOST - 11n) / 2n
    expect(await account.checkpoint(call.id, 2, 0n, next(rest + 1n))).toMatchObject({
      ...{ status: 'out_of_range', neededAtoms: 0n, availableAtoms: 0n },
    })
    expect(await account.checkpoint(call.id, 2, 0n, next(rest))).toMatchObject({
      ...{ status: 'checkpointed', tokens: Number(rest), heldAtoms: MOST },
    })
  })

  redisTest('names the budget that has no room, where the wallet pays for just what is asked at least', async () => {
    const account = accountOf(harness)
    await account.grant(17n)
    const budgets = [budget('USD', 16n)]
    const before = account.call(15n, { budgets })
    await harness.wallet.hold(before)
    await account.settle(before, 15n)
    const call = account.call(0n, { budgets })
    await harness.wallet.hold(call)
    const next = { perTokenAtoms: 1n, leastTokens: 2, wantTokens: 5 }
    expect(await account.checkpoint(call.id, 1, 0n, next)).toMatchObject({
      ...{ status: 'budget_exceeded', rule: 'most~USD~lifetime~', neededAtoms: 2n, availableAtoms: 1n },
    })
  })

  redisTest.each([
    ['comes back where other calls hold what it lacks of the overage', '1', 20, 'held_by_open_calls'],
    ['does not, where they do not hold as much', '1', 71, 'insufficient_funds'],
    ['comes back at the multiplier of overflow', '2', 30, 'held_by_open_calls'],
    ['does not, by one token', '2', 31, 'insufficient_funds'],
  ] as const)('%s (times %s, %d tokens)', async (_name, multiplier, tokens, status) => {
    const account = accountOf(harness)
    const policy = overflow(multiplier, 100n)
    const [own, others] = multiplier === '1' ? [30n, 60n] : [20n, 25n]
    const call = account.call(own, policy)
    await harness.wallet.hold(call)
    await account.hold(others, policy)
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, tokens))).toMatchObject({ status })
  })

  redisTest('is judged by all its tokens, not by the price of one', async () => {
    const account = accountOf(harness)
    await account.grant(15n)
    const call = account.call(10n)
    await harness.wallet.hold(call)
    await account.hold(5n)
    expect(await account.checkpoint(call.id, 1, 0n, slice(4n, 3))).toMatchObject({ status: 'insufficient_funds' })
    expect(await account.checkpoint(call.id, 1, 0n, slice(4n, 1))).toMatchObject({ status: 'held_by_open_calls' })
  })

  redisTest('may bring what is spent beyond the grants, and what is held, to 2^53-1 together', async () => {
    const account = accountOf(harness)
    const spent = account.call(MOST - 100n, { onExhausted: { mode: 'postpaid' } })
    await harness.wallet.hold(spent)
    await account.settle(spent, MOST - 100n)
    const call = account.call(10n, { onExhausted: { mode: 'postpaid' } })
    await harness.wallet.hold(call)
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, 91))).toMatchObject({
      status: 'out_of_range',
      neededAtoms: 91n,
    })
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, 90))).toMatchObject({ status: 'checkpointed' })
  })

  redisTest('may do so at the multiplier of overflow, beside what other calls hold of grants', async () => {
    const account = accountOf(harness)
    const spent = account.call(MOST - 1000n, overflow('1'))
    await harness.wallet.hold(spent)
    await account.settle(spent, MOST - 1000n)
    await account.grant(150n)
    await account.hold(150n)
    const call = account.call(10n, overflow('2'))
    expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held', heldAtoms: 20n })
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, 416))).toMatchObject({ status: 'out_of_range' })
    expect(await account.checkpoint(call.id, 1, 0n, slice(1n, 415))).toMatchObject({
      status: 'checkpointed',
      heldAtoms: 850n,
    })
  })
})
