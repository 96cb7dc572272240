/** What random histories hardly ever come to, and what their model does not see: how much Redis is asked, and when. */
import { createHash } from 'node:crypto'
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { accountKeys, operationKey } from '../../src/redis/keys.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { BudgetCount, HoldRequest, HoldTerms, Stop } from '../../src/wallet/wallet-types.ts'
import { commandsOf } from '../support/commands-of.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

const by = ({ account }: TestAccount) => ({
  account,
  operationId: newId(harness.clock.nowMs),
  reason: 'test',
  actor: 'test',
})
const clawback = (account: TestAccount, grant: string, amountAtoms?: bigint) =>
  harness.wallet.clawback({ ...by(account), grant, amountAtoms, freeze: false })
const refund = (account: TestAccount, chargeSeq: number, amountAtoms?: bigint) =>
  harness.wallet.refund({
    ...by(account),
    chargeSeq,
    amountAtoms,
    mode: 'original',
    grantId: newId(harness.clock.nowMs),
    noteId: newId(harness.clock.nowMs),
  })
const differences = async ({ account }: TestAccount) => (await harness.wallet.check(account)).differences
const orderOf = ({ account }: TestAccount) => harness.redis.zrange(`tg:{${account}}:order`, 0, -1)

/** Settles a call at what it holds; answers the sequence of the charge. */
async function charge(account: TestAccount, atoms: bigint): Promise<number> {
  const call = account.call(atoms)
  expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held' })
  return (await account.settle(call, atoms)).seq
}

function budget(name: string, limit: bigint): BudgetCount {
  return {
    name,
    field: `${name}~USD~lifetime~`,
    measure: 'USD',
    limit,
    action: 'block',
    lifeMs: 0,
    group: '',
    valuesMax: 1,
    window: { kind: 'lifetime' },
  }
}

describe('grants', () => {
  redisTest('one that is paid before its time becomes usable at its time, and not before', async () => {
    const account = accountOf(harness)
    const { nowMs } = harness.clock
    const { id } = await account.grant(100n, {
      effectiveAtMs: nowMs + 1000,
      payment: 'pending',
      availability: 'on_settled',
    })
    expect(await harness.wallet.payment({ ...by(account), grant: id, payment: 'settled' })).toMatchObject({
      status: 'done',
    })
    expect(await account.hold(10n)).toMatchObject({ status: 'insufficient_funds' })
    harness.clock.nowMs = nowMs + 1000
    expect(await account.hold(10n)).toMatchObject({ status: 'held' })
    expect(await differences(account)).toEqual([])
  })

  redisTest('what an ended one leaves to the next period is listed before anything is swept', async () => {
    const account = accountOf(harness)
    const { nowMs } = harness.clock
    const next = newId(nowMs)
    const { id } = await account.grant(100n, {
      expiresAtMs: nowMs + 1000,
      rollover: {
        percentMillionths: 500_000,
        minAtoms: 0n,
        maxAtoms: 40n,
        expiresAtMs: nowMs + 5000,
        priority: 10,
        id: next,
      },
    })
    harness.clock.nowMs = nowMs + 1000
    const grants = await account.grants()
    expect(grants.find((grant) => grant.id === id)).toMatchObject({ freeAtoms: 0n, expiredAtoms: 100n })
    expect(grants.find((grant) => grant.id === next)).toMatchObject({
      freeAtoms: 40n,
      funding: 'promotional',
      expiresAtMs: nowMs + 5000,
    })
    await harness.wallet.sweep(account.account)
    expect(new Set(await account.grants())).toEqual(new Set(grants))
  })

  redisTest('one whose free part is taken back leaves the order, as one that is used up does', async () => {
    const account = accountOf(harness)
    const { id } = await account.grant(100n)
    await charge(account, 40n)
    expect(await orderOf(account)).toHaveLength(1)
    expect(await clawback(account, id, 60n)).toMatchObject({ status: 'done' })
    expect(await orderOf(account)).toEqual([])
    expect(await differences(account)).toEqual([])
  })

  redisTest('one that is free and held to the same amount stays in the order', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(40n)
    expect(await account.adjust(-20n)).toMatchObject({ status: 'done' })
    expect((await account.grants())[0]).toMatchObject({ freeAtoms: 40n, heldAtoms: 40n })
    expect(await account.hold(40n)).toMatchObject({ status: 'held' })
    expect(await differences(account)).toEqual([])
  })

  redisTest('what was taken back of one before its time is not counted as consumed when it repays debt', async () => {
    const account = accountOf(harness)
    const { nowMs } = harness.clock
    await account.settle(account.terms(), 10n)
    const { id } = await account.grant(100n, { effectiveAtMs: nowMs + 1000, repaysDebt: true })
    expect(await clawback(account, id, 30n)).toMatchObject({ status: 'done' })
    harness.clock.nowMs = nowMs + 1000
    await harness.wallet.sweep(account.account)
    expect((await account.grants())[0]).toMatchObject({ freeAtoms: 60n, consumedAtoms: 10n, voidedAtoms: 30n })
    expect(await differences(account)).toEqual([])
  })

  redisTest(
    'one whose notice is due the moment it is made goes as it came; a millisecond later it is told',
    async () => {
      const account = accountOf(harness)
      const alerts = { quiet: false, lows: [], expiresInMs: 1000, topUp: undefined }
      await account.grant(100n)
      await account.hold(1n, { alerts })
      const isTold = async (leftMs: number) => {
        const { nowMs } = harness.clock
        const { id } = await account.grant(10n, { effectiveAtMs: nowMs - 1000, expiresAtMs: nowMs + leftMs })
        harness.clock.nowMs += 1
        await harness.wallet.sweep(account.account)
        const pending = await harness.wallet.pendingEvents(account.account, 100)
        return pending.some(({ entry: { fields } }) => fields['event'] === 'grant.expiring' && fields['grant'] === id)
      }
      expect(await isTold(1000)).toBe(false)
      expect(await isTold(1001)).toBe(true)
      expect(await differences(account)).toEqual([])
    },
  )
})

describe('refunds', () => {
  redisTest(
    'of what was taken back in part and repaid since: that part comes back as a grant, the rest as it was',
    async () => {
      const account = accountOf(harness)
      const { id } = await account.grant(10n)
      const seq = await charge(account, 10n)
      expect(await clawback(account, id, 4n)).toMatchObject({ status: 'done' })
      expect(await account.balance()).toMatchObject({ debtAtoms: 4n })
      await account.grant(100n, { repaysDebt: true })
      expect(await account.balance()).toMatchObject({ debtAtoms: 0n, availableAtoms: 96n })
      expect(await refund(account, seq)).toMatchObject({ status: 'done', value: { refundedAtoms: 10n, ofAtoms: 10n } })
      expect(await account.balance()).toMatchObject({ debtAtoms: 0n, availableAtoms: 106n })
      const fresh = (await account.grants()).find(({ labels }) => labels['refund_of'] === String(seq))
      expect(fresh).toMatchObject({ amountAtoms: 4n, freeAtoms: 4n })
      expect(await differences(account)).toEqual([])
    },
  )

  redisTest('of what was taken back in part and is owed still: the debt is less by that part', async () => {
    const account = accountOf(harness)
    const { id } = await account.grant(10n)
    const seq = await charge(account, 10n)
    await clawback(account, id, 4n)
    await account.settle(account.terms(), 20n)
    expect(await account.balance()).toMatchObject({ debtAtoms: 24n })
    expect(await refund(account, seq)).toMatchObject({ status: 'done' })
    expect(await account.balance()).toMatchObject({ debtAtoms: 20n, availableAtoms: 6n })
    expect(await differences(account)).toEqual([])
  })

  redisTest('of a timeout that nothing has swept yet: it is swept before it is looked for', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    await account.hold(50n, { deadlineMs: 1000, onTimeout: 'full' })
    const seq = ((await account.ledger()).at(-1)?.seq ?? 0) + 1
    expect(await refund(account, seq)).toEqual({ status: 'unknown_charge' })
    harness.clock.nowMs += 1000
    expect(await refund(account, seq)).toEqual({ status: 'charge_open' })
  })
})

describe('refused holds', () => {
  redisTest('a stop of the request is found, before those of its run, user and key', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const stop = (kind: Stop['kind'], value: string) =>
      harness.wallet.setStop({
        ...by(account),
        kind,
        value,
        stop: { ...by(account), id: 's', kind, value, cut: false, atMs: 1 },
      })
    const call = account.call(1n)
    expect(await stop('request', call.id)).toMatchObject({ status: 'done' })
    expect(await stop('key', call.facts.key)).toMatchObject({ status: 'done' })
    expect(await harness.wallet.hold(call)).toMatchObject({ status: 'stopped', rule: `request:${call.id}` })
    expect(await account.hold(1n)).toMatchObject({ status: 'stopped', rule: `key:${call.facts.key}` })
  })

  redisTest('a budget that the call just fits into is not the one that refuses it', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const [fits, wide, full] = [budget('fits', 10n), budget('wide', 50n), budget('full', 15n)]
    await account.hold(6n, { budgets: [full] })
    for (const other of [fits, wide]) {
      const call: HoldRequest = {
        ...account.call(0n, { budgets: [other, full] }),
        perTokenAtoms: 5n,
        leastTokens: 2,
        wantTokens: 2,
        totalTokens: 2,
      }
      expect(await harness.wallet.hold(call)).toMatchObject({
        status: 'held_by_open_calls',
        rule: full.field,
        availableAtoms: 9n,
      })
    }
  })

  redisTest('what open calls have of the room below zero comes back with them too', async () => {
    const account = accountOf(harness)
    const terms = { onExhausted: { mode: 'negative', floorAtoms: -100n } } as const
    await account.grant(10n)
    expect(await account.hold(60n, terms)).toMatchObject({ status: 'held' })
    expect(await account.hold(110n, terms)).toMatchObject({ status: 'held_by_open_calls' })
    expect(await account.hold(111n, terms)).toMatchObject({ status: 'insufficient_funds' })
  })
})

describe('settles that came too late', () => {
  /** One of an hour ago that nobody knows; answers its sequence and what an operator's charge of it came to. */
  async function charged(account: TestAccount, atoms: bigint, terms: Partial<HoldTerms> = {}) {
    const id = newId(harness.clock.nowMs - 90_000_000)
    const { status, seq } = await account.settle(account.terms({ id, ...terms }), atoms)
    expect(status).toBe('unmatched')
    const result = await harness.wallet.resolveUnmatched({ ...by(account), seq, decision: 'charge' })
    return { result, entry: (await account.ledger()).findLast(({ type }) => type === 'late_settle') }
  }

  redisTest('one atom is charged', async () => {
    const account = accountOf(harness)
    await account.grant(1n)
    const { result } = await charged(account, 1n)
    expect(result).toMatchObject({ status: 'done', value: { chargedAtoms: 1n } })
    expect(await account.balance()).toMatchObject({ availableAtoms: 0n })
  })

  redisTest('the entry says what went beyond every limit, from one atom on', async () => {
    const account = accountOf(harness)
    await account.grant(4n)
    const { entry } = await charged(account, 5n)
    expect(entry).toMatchObject({ fields: { overrun: '0.000000001' } })
    await account.grant(10n, { repaysDebt: false })
    const { entry: covered } = await charged(account, 5n)
    expect(covered?.fields).toMatchObject({ late: true })
    expect(covered?.fields).not.toHaveProperty('overrun')
  })

  redisTest('the entry says what is owed and what is in overflow, where they are the same amount', async () => {
    const account = accountOf(harness)
    for (const more of [
      { onExhausted: { mode: 'negative', floorAtoms: -5n } },
      { onExhausted: { mode: 'overflow', capAtoms: 5n, period: 'month', multiplier: '1' }, overflowPeriod: '2096-10' },
    ] satisfies Partial<HoldRequest>[]) {
      const call = account.call(5n, more)
      expect(await harness.wallet.hold(call)).toMatchObject({ status: 'held' })
      expect(await account.settle(call, 5n, { terms: call })).toMatchObject({ status: 'settled' })
    }
    expect((await account.ledger()).at(-1)).toMatchObject({ type: 'settle', balanceAfter: { debt: 5n, overflow: 5n } })
  })

  redisTest('of a call that was only observed what no grant covers is flagged', async () => {
    const account = accountOf(harness)
    await account.grant(4n)
    await charged(account, 5n, { observe: true, onExhausted: { mode: 'negative', floorAtoms: -100n } })
    expect(await account.balance()).toMatchObject({ flaggedAtoms: 1n, debtAtoms: 0n })
  })
})

describe('what is over is due no more, from the act that ends it', () => {
  const dueOf = ({ account }: TestAccount) => harness.redis.zrange(`tg:{${account}}:due`, 0, -1)
  /** With an end, and with a notice of it: both are due some time. */
  async function granted(account: TestAccount): Promise<string> {
    const { nowMs } = harness.clock
    const { id } = await account.grant(100n, { expiresAtMs: nowMs + 30 * 86_400_000 })
    expect(new Set(await dueOf(account))).toEqual(new Set([`g${id}`, `e${id}`]))
    return id
  }

  redisTest('a grant that is voided, or taken back whole', async () => {
    const [voided, taken] = [accountOf(harness), accountOf(harness)]
    await voided.voidGrant(await granted(voided))
    await clawback(taken, await granted(taken))
    expect([await dueOf(voided), await dueOf(taken)]).toEqual([[], []])
  })

  redisTest('a call that is settled, or voided', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const [settled, voided] = [account.call(1n), account.call(1n)]
    for (const call of [settled, voided]) await harness.wallet.hold(call)
    expect(await dueOf(account)).toHaveLength(2)
    await account.settle(settled, 1n)
    expect(await dueOf(account)).toEqual([`h${voided.id}`])
    await account.void(voided.id)
    expect(await dueOf(account)).toEqual([])
  })
})

redisTest('an answer is kept under the first sixteen digits of what was asked', async () => {
  const account = accountOf(harness)
  const request = { ...by(account), frozen: true }
  await harness.wallet.setFrozen(request)
  const keys = accountKeys(account.account)
  const asked = createHash('sha1').update(['1', '{"reason":"test"}'].join('\t')).digest('hex')
  expect(await harness.redis.get(operationKey(keys, request.operationId))).toBe(`${asked.slice(0, 16)}\tdone`)
})

redisTest('the time is that of Redis in whole milliseconds, and never one that is still to come', async () => {
  const { redis } = harness
  const times: string[] = []
  // What time it is right after the script, before another millisecond has begun.
  const timed = async (command: 'evalsha' | 'eval', args: readonly unknown[]): Promise<unknown> => {
    const queue = redis
      .multi()
      .call(command, ...(args as string[]))
      .call('TIME')
    const [[failure, answer] = [], [, time] = []] = (await queue.exec()) ?? []
    if (failure) throw failure
    const [seconds, micros] = time as [string, string]
    times.push(`${seconds}${micros.padStart(6, '0').slice(0, 3)}`)
    return answer
  }
  const wallet = createWallet({ evalsha: (...args) => timed('evalsha', args), eval: (...args) => timed('eval', args) })
  const account = accountOf({ ...harness, wallet, clock: { nowMs: Date.now() } })
  for (let round = 0; round < 10; round++) await account.grant(1n)
  const after = times.map(Number)
  const kept = (await account.ledger()).map(({ atMs }) => atMs)
  expect({ kept: kept.length, after: after.length }).toEqual({ kept: 10, after: 10 })
  expect(kept.filter((atMs, i) => atMs > (after[i] ?? 0))).toEqual([])
})

redisTest('events that wait are handed over with what their entries say', async () => {
  const account = accountOf(harness)
  const alerts = {
    quiet: false,
    lows: [{ kind: 'below', atoms: 50n }],
    expiresInMs: undefined,
    topUp: undefined,
  } as const
  await account.grant(100n)
  const call = account.call(60n, { alerts })
  await harness.wallet.hold(call)
  await account.settle(call, 60n)
  const pending = await harness.wallet.pendingEvents(account.account, 100)
  expect(pending.length).toBeGreaterThan(0)
  const ledger = await account.ledger()
  for (const { seq, entry } of pending) expect(entry).toEqual(ledger.find((one) => one.seq === seq))
})

redisTest('events that nobody took in time are counted', async () => {
  const account = accountOf(harness)
  await account.grant(100n)
  await account.hold(1n)
  const key = `tg:{${account.account}}:acct`
  await harness.redis.hset(key, 'timeouts', '2', 'unmatched', '3', 'events_dropped', '4')
  expect(await harness.wallet.counts(account.account)).toEqual({
    openHolds: 1,
    timeouts: 2,
    unmatched: 3,
    eventsDropped: 4,
  })
})

describe('Redis is asked for no more than is needed', () => {
  const namesOf = async (act: () => Promise<unknown>): Promise<readonly string[]> => {
    const commands = await commandsOf(harness.redis, act)
    return commands.map((command) => command.split(' ', 1)[0]?.toLowerCase() ?? '')
  }
  const count = (names: readonly string[], name: string): number => names.filter((each) => each === name).length

  redisTest('by a call that its first grant covers to the last atom: no other grant is read', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    await account.grant(10n)
    const names = await namesOf(() => account.hold(10n))
    expect({ pages: count(names, 'zrangebylex'), reads: count(names, 'hmget') }).toEqual({ pages: 1, reads: 2 })
  })

  redisTest('by the end of a call where nothing is due: what is due is looked for once', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    const call = account.call(10n)
    await harness.wallet.hold(call)
    const names = await namesOf(() => account.settle(call, 10n))
    expect(count(names, 'zrangebyscore')).toBe(1)
  })

  redisTest('by a call that draws on many grants: one, then eight, then 64 at a time', async () => {
    const account = accountOf(harness)
    for (let i = 0; i < 12; i++) await account.grant(1n)
    const pagesOf = async (act: () => Promise<unknown>): Promise<readonly string[]> => {
      const commands = await commandsOf(harness.redis, act)
      return commands.flatMap((command) => /^zrangebylex .* limit 0 (\d+)$/i.exec(command)?.slice(1) ?? [])
    }
    const call = account.call(12n)
    expect(await pagesOf(() => harness.wallet.hold(call))).toEqual(['1', '8', '64'])
  })

  redisTest('by the end of a call that nobody holds: it is looked for once', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    const commands = await commandsOf(harness.redis, () => account.void(newId(harness.clock.nowMs)))
    expect(commands.filter((command) => /^hget \S+:holds /i.test(command))).toHaveLength(1)
  })

  redisTest('by events that wait: one round trip, whose entries are in the ledger still', async () => {
    const account = accountOf(harness)
    await account.settle(account.terms(), 1n)
    const names = await namesOf(async () =>
      expect((await harness.wallet.pendingEvents(account.account, 100)).length).toBeGreaterThan(0),
    )
    expect(count(names, 'evalsha')).toBe(1)
  })

  redisTest('by a repeated call, whose first answer is in the ledger: one round trip', async () => {
    const account = accountOf(harness)
    await account.grant(10n)
    const call = account.call(10n)
    const first = await harness.wallet.hold(call)
    const names = await namesOf(async () => expect(await harness.wallet.hold(call)).toEqual({ ...first, replay: true }))
    expect({ trips: count(names, 'evalsha'), reads: count(names, 'xrange') }).toEqual({ trips: 1, reads: 1 })
  })
})
