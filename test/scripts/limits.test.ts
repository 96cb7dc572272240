/** How much of anything an account may have, how long what is answered is kept, and what every script sweeps first. */
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { ScriptClient } from '../../src/redis/run-script.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { BudgetCount, Stop } from '../../src/wallet/wallet-types.ts'
import { commandsOf } from '../support/commands-of.ts'
import { accountOf, stateOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

const by = ({ account }: TestAccount) => ({
  account,
  operationId: newId(harness.clock.nowMs),
  reason: 'test',
  actor: 'test',
})

/** 1|seq|last_ms|open_holds|grants|frozen|stops|events: the counters alone are set, ten thousand of anything take too long. */
async function setCounts(
  { account }: TestAccount,
  counts: { readonly openHolds?: number; readonly grants?: number; readonly stops?: number },
): Promise<void> {
  const key = `tg:{${account}}:acct`
  const parts = ((await harness.redis.hget(key, 'account')) ?? '').split('|')
  const [version, seq, lastMs, openHolds, grants, frozen = '0', stops = '0', events = '0'] = parts
  const set = [counts.openHolds ?? openHolds, counts.grants ?? grants, frozen, counts.stops ?? stops, events]
  await harness.redis.hset(key, 'account', [version, seq, lastMs, ...set].join('|'))
}

describe('the last that there is room for passes, and the next is refused', () => {
  redisTest('10,000 open holds', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await setCounts(account, { openHolds: 9_999 })
    expect(await account.hold(1n)).toMatchObject({ status: 'held' })
    expect(await account.hold(1n)).toMatchObject({
      status: 'too_many_holds',
      neededAtoms: 0n,
      availableAtoms: 0n,
    })
  })

  redisTest('10,000 grants', async () => {
    const account = accountOf(harness)
    await account.grant(1n)
    await setCounts(account, { grants: 9_999 })
    expect(await harness.wallet.grant(account.grantRequest(1n))).toMatchObject({ status: 'done' })
    expect(await harness.wallet.grant(account.grantRequest(1n))).toEqual({ status: 'too_many_grants' })
  })

  redisTest('10,000 grants, by adjustments: one that takes something away makes none', async () => {
    const account = accountOf(harness)
    await account.grant(5n)
    await setCounts(account, { grants: 9_999 })
    expect(await account.adjust(1n)).toMatchObject({ status: 'done' })
    expect(await account.adjust(1n)).toEqual({ status: 'too_many_grants' })
    expect(await account.adjust(-1n)).toMatchObject({ status: 'done' })
  })

  redisTest('10,000 grants, of which a refund may need two', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const call = account.call(10n)
    await harness.wallet.hold(call)
    const { seq } = await account.settle(call, 10n)
    const refund = (amountAtoms: bigint) => {
      const [grantId, noteId] = [newId(harness.clock.nowMs), newId(harness.clock.nowMs)]
      return harness.wallet.refund({ ...by(account), chargeSeq: seq, amountAtoms, mode: 'original', grantId, noteId })
    }
    await setCounts(account, { grants: 9_998 })
    expect(await refund(1n)).toMatchObject({ status: 'done' })
    await setCounts(account, { grants: 9_999 })
    expect(await refund(1n)).toEqual({ status: 'too_many_grants' })
  })

  redisTest('1,000 stops; one in force is set again, and one is lifted', async () => {
    const account = accountOf(harness)
    const set = (value: string, isLifted = false) => {
      const stop: Stop = { ...by(account), id: 's', kind: 'run', value, cut: false, atMs: 1 }
      return harness.wallet.setStop({ ...by(account), kind: 'run', value, stop: isLifted ? undefined : stop })
    }
    await set('first')
    await setCounts(account, { stops: 999 })
    expect(await set('last')).toMatchObject({ status: 'done' })
    expect(await set('one more')).toEqual({ status: 'too_many_stops' })
    expect(await set('last')).toMatchObject({ status: 'done' })
    expect(await set('last', true)).toMatchObject({ status: 'done' })
    expect(await set('one more')).toMatchObject({ status: 'done' })
  })

  redisTest('64 grants of a hold, where the first ones are empty', async () => {
    const account = accountOf(harness)
    for (let i = 0; i < 67; i++) await account.grant(10n)
    // Held in whole, the first two are in the order still.
    await account.hold(20n)
    expect(await account.hold(641n)).toMatchObject({ status: 'held_by_open_calls', availableAtoms: 640n })
    const call = account.call(640n)
    expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held' })
    const slices = (await account.holds()).find(({ id }) => id === call.id)?.slices
    expect(slices?.length).toBe(64)
  })
})

describe('one atom is enough', () => {
  redisTest('for an overflow period to be pinned by an open call', async () => {
    const account = accountOf(harness)
    const period = '2096-10'
    await account.hold(1n, {
      onExhausted: { mode: 'overflow', capAtoms: 10n, period: 'month', multiplier: '1' },
      overflowPeriod: period,
    })
    const close = (force: boolean) =>
      harness.wallet.closePeriod({ ...by(account), unit: 'USD', period, heir: '2096-11', force })
    expect(await close(false)).toMatchObject({ status: 'open_holds' })
    expect(await close(true)).toMatchObject({ status: 'done' })
  })
})

redisTest('an adjustment takes from more grants than one command of Redis is given at once', async () => {
  const account = accountOf(harness)
  const GRANTS = 1_001
  const made = Array.from({ length: GRANTS }, () => account.grant(1n))
  await Promise.all(made)
  expect(await account.adjust(-BigInt(GRANTS))).toMatchObject({ status: 'done' })
  expect((await account.grants()).every(({ freeAtoms, voidedAtoms }) => freeAtoms === 0n && voidedAtoms === 1n)).toBe(
    true,
  )
  expect((await harness.wallet.check(account.account)).differences).toEqual([])
})

redisTest('a call counts against more budgets than one command of Redis is given at once', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  const budgets = Array.from(
    { length: 400 },
    (_, i): BudgetCount => ({
      name: `b${i}`,
      field: `b${i}~USD~lifetime~`,
      measure: 'USD',
      limit: 1000n,
      action: 'block',
      lifeMs: 0,
      group: '',
      valuesMax: 1,
      window: { kind: 'lifetime' },
    }),
  )
  const call = account.call(10n, { budgets })
  expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held' })
  await account.settle(call, 7n)
  const { counters } = await harness.wallet.counters(account.account, '0', 10_000)
  expect(counters.map(({ slots }) => slots[0]?.spent)).toEqual(budgets.map(() => 7n))
  expect((await harness.wallet.check(account.account)).differences).toEqual([])
})

describe('what an operation was answered is kept', () => {
  const matching = async (pattern: RegExp, act: () => Promise<unknown>): Promise<readonly string[]> => {
    const commands = await commandsOf(harness.redis, act)
    return commands.flatMap((command) => pattern.exec(command)?.slice(1) ?? [])
  }

  redisTest('35 days where it was done, a minute where it was refused', async () => {
    const account = accountOf(harness)
    const life = / px (\d+)$/i
    expect(await matching(life, () => account.grant(100n))).toEqual(['3024000000'])
    expect(await matching(life, () => account.adjust(-1000n))).toEqual(['60000'])
    expect(await matching(life, () => account.freeze(false))).toEqual(['3024000000'])
  })

  redisTest('35 days in the words of the first answer, which every other is given', async () => {
    const { account } = accountOf(harness)
    const answers: string[] = []
    const answer = async (text: string) => answers.push(await harness.wallet.firstAnswer(account, 'op', text))
    expect(await matching(/^set \S+ first nx px (\d+)$/i, () => answer('first'))).toEqual(['3024000000'])
    await answer('second')
    expect(answers).toEqual(['first', 'first'])
    expect(await harness.wallet.firstAnswer(account, 'another', 'second')).toBe('second')
  })

  redisTest('a minute of a refused hold, in a list of about a thousand', async () => {
    const account = accountOf(harness)
    expect(await matching(/^pexpire \S+:den:\S+ (\d+)$/i, () => account.hold(1n))).toEqual(['60000'])
    expect(await matching(/^xadd \S+:refusals maxlen ~ (\d+) /i, () => account.hold(1n))).toEqual(['1000'])
  })

  redisTest('an hour of an end, and an hour past all ids of its ten minutes', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const endsAt = async (laterMs: number): Promise<number> => {
      const idMs = harness.clock.nowMs
      const call = account.call(1n, { deadlineMs: 3_000_000 })
      await harness.wallet.hold(call)
      harness.clock.nowMs += laterMs
      await account.settle(call, 1n)
      const key = `tg:{${account.account}}:ops:${Math.floor(idMs / 600_000)}`
      return (await harness.redis.pexpiretime(key)) - idMs
    }
    expect(await endsAt(0)).toBe(600_000 + 3_600_000)
    expect(await endsAt(1_200_000)).toBe(1_200_000 + 3_600_000)
  })
})

describe('more than one sweep takes is swept before anything is decided', () => {
  const DUE = 40
  /** Grants that all become effective at one moment, so that nothing is free before them. */
  async function manyDue(account: TestAccount): Promise<void> {
    const effectiveAtMs = harness.clock.nowMs + 1000
    for (let i = 0; i < DUE; i++) await account.grant(10n, { effectiveAtMs, repaysDebt: false })
    harness.clock.nowMs += 1000
  }
  const dueNow = ({ account }: TestAccount) =>
    harness.redis.zcount(`tg:{${account}}:due`, '-inf', String(harness.clock.nowMs))

  type Act = (account: TestAccount, made: { grant: string; open: string; seq: number }) => Promise<unknown>
  const ACTS: readonly (readonly [name: string, act: Act])[] = [
    ['hold', (account) => account.hold(400n)],
    ['void', (account, { open }) => account.void(open)],
    ['checkpoint', (account, { open }) => account.checkpoint(open, 1, 1n)],
    ['grant', (account) => account.grant(1n)],
    ['grant_void', (account, { grant }) => account.voidGrant(grant)],
    ['adjust', (account) => account.adjust(-400n)],
    ['freeze', (account) => account.freeze(false)],
    [
      'clawback',
      (account, { grant }) => harness.wallet.clawback({ ...by(account), grant, amountAtoms: undefined, freeze: false }),
    ],
    ['payment', (account, { grant }) => harness.wallet.payment({ ...by(account), grant, payment: 'settled' })],
    [
      'refund',
      (account, { seq }) =>
        harness.wallet.refund({
          ...by(account),
          chargeSeq: seq,
          amountAtoms: 1n,
          mode: 'original',
          grantId: newId(1),
          noteId: newId(1),
        }),
    ],
    [
      'resolve_flagged',
      (account) =>
        harness.wallet.resolveFlagged({ ...by(account), unit: 'USD', amountAtoms: 1n, to: 'debt', period: '' }),
    ],
    [
      'close_period',
      (account) =>
        harness.wallet.closePeriod({
          ...by(account),
          unit: 'USD',
          period: '2096-10',
          heir: '2096-11',
          force: false,
        }),
    ],
    ['stop', (account) => harness.wallet.setStop({ ...by(account), kind: 'run', value: 'r', stop: undefined })],
  ]

  async function prepared() {
    const account = accountOf(harness)
    const { id: grant } = await account.grant(20n)
    const [settled, open] = [account.call(10n), account.call(10n)]
    await harness.wallet.hold(settled)
    const { seq } = await account.settle(settled, 10n)
    await harness.wallet.hold(open)
    await manyDue(account)
    return { account, grant, open: open.id, call: open, seq }
  }

  redisTest.each(ACTS)('by %s', async (_name, act) => {
    const { account, ...made } = await prepared()
    expect(await dueNow(account)).toBe(DUE)
    await act(account, made)
    expect(await dueNow(account)).toBe(0)
  })

  redisTest('by settle, which charges what goes beyond the hold to what became usable', async () => {
    const { account, call } = await prepared()
    const { overrunAtoms, drawn } = await account.settle(call, 410n)
    expect({ overrunAtoms, drawn: drawn.length }).toEqual({ overrunAtoms: 0n, drawn: 1 + DUE })
    expect(await dueNow(account)).toBe(0)
  })

  redisTest('by a hold itself, in one call of Redis where it is not more', async () => {
    const { redis, clock } = harness
    const account = accountOf(harness)
    await account.grant(10n)
    await account.hold(1n, { deadlineMs: 10 })
    let calls = 0
    const counting: ScriptClient = {
      evalsha(...args) {
        calls++
        return redis.evalsha(...args)
      },
      eval: (...args) => redis.eval(...args),
    }
    clock.nowMs += 10
    const wallet = createWallet(counting, { testClock: () => clock.nowMs })
    expect(await wallet.hold(account.call(1n))).toMatchObject({ status: 'held' })
    expect(calls).toBe(1)
  })

  redisTest('by a dry run, which writes nothing itself', async () => {
    const { account } = await prepared()
    expect(await account.hold(400n, { dryRun: true })).toMatchObject({ status: 'held' })
    expect(await dueNow(account)).toBe(0)
  })

  redisTest('32 at once by the sweep, which says when the next is due', async () => {
    const { account } = await prepared()
    expect(await harness.wallet.sweep(account.account)).toMatchObject({ swept: 32, nextDueMs: harness.clock.nowMs })
    const next = await harness.wallet.sweep(account.account)
    expect(next.swept).toBe(DUE - 32)
    expect(next.nextDueMs).toBeGreaterThan(harness.clock.nowMs)
    const before = await stateOf(harness.redis, account.account)
    harness.clock.nowMs += 1
    expect((await harness.wallet.sweep(account.account)).swept).toBe(0)
    expect(await stateOf(harness.redis, account.account)).toEqual(before)
  })
})
