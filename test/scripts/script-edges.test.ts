/** What scripts answer at their edges when they are asked by themselves, where what asks them in the product rounds it off. */
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { createScriptCaller, type ScriptCaller } from '../../src/wallet/script-caller.ts'
import { accountOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

let caller: ScriptCaller | undefined
/** Loaded once: all scripts are put together. */
const scripts = (): ScriptCaller => {
  caller ??= createScriptCaller(harness.redis, { testClock: () => harness.clock.nowMs })
  return caller
}

describe('trim', () => {
  /** A ledger of ten entries, of which the first are gone; `exported` as directories of books and snapshots write it. */
  async function ledgerOf(entries: number, exported: Readonly<Record<string, string>>, trimmedSeq = 0) {
    const { account } = accountOf(harness)
    const keys = scripts().keysOf(account)
    for (let seq = trimmedSeq + 1; seq <= entries; seq++) await harness.redis.xadd(keys.ledger, `${seq}-0`, 'e', 'x')
    if (Object.keys(exported).length > 0) await harness.redis.hset(keys.exported, exported)
    return {
      trim: (upToSeq: number, most: number, books: string) =>
        scripts().call('trim', [keys.ledger, keys.exported], [String(upToSeq), String(most), books]),
      left: async () => (await harness.redis.xrange(keys.ledger, '-', '+')).map(([id]) => Number.parseInt(id, 10)),
      said: () => harness.redis.hget(keys.exported, 'trimmed'),
    }
  }
  const all = { snapshot: '10', one: '10 hash', two: '10 hash' }

  type Trim = readonly [upToSeq: number, most: number, books: string]
  redisTest.each<
    [why: string, exported: Readonly<Record<string, string>>, trim: Trim, trimmedSeq: number, before: number]
  >([
    ['all but the last entry', all, [99, 99, 'one two'], 9, 0],
    ['as far as it is wanted', all, [4, 99, 'one two'], 4, 0],
    ['the first one alone', all, [1, 99, 'one two'], 1, 0],
    ['as many as may leave at once', all, [99, 3, 'one two'], 3, 0],
    ['as many at once from the first that is there', all, [99, 3, 'one two'], 7, 4],
    ['the one that is the first by now', all, [5, 99, 'one two'], 5, 4],
    ['as far as the snapshot covers', { ...all, snapshot: '6' }, [99, 99, 'one two'], 6, 0],
    ['as far as the first directory of books has', { ...all, one: '5 hash' }, [99, 99, 'one two'], 5, 0],
    ['as far as the second directory of books has', { ...all, two: '5 hash' }, [99, 99, 'one two'], 5, 0],
    ['with one directory of books', all, [3, 99, 'two'], 3, 0],
  ])('takes %s', async (_why, exported, args, trimmedSeq, before) => {
    const { trim, left, said } = await ledgerOf(10, exported, before)
    expect(await trim(...args)).toEqual(['trimmed', String(trimmedSeq)])
    expect(await left()).toEqual(Array.from({ length: 10 - trimmedSeq }, (_, i) => trimmedSeq + 1 + i))
    expect(await said()).toBe(String(trimmedSeq))
  })

  const { snapshot: _, ...uncovered } = all
  redisTest.each<
    [
      why: string,
      status: string,
      entries: number,
      exported: Readonly<Record<string, string>>,
      trim: Trim,
      before: number,
    ]
  >([
    ['there is no ledger', 'nothing', 0, {}, [99, 99, 'one two'], 0],
    ['it is the last entry', 'nothing', 1, all, [99, 99, 'one two'], 0],
    ['all that is wanted has left', 'nothing', 10, all, [4, 99, 'one two'], 4],
    ['no snapshot covers it', 'not_exported', 10, uncovered, [99, 99, 'one two'], 0],
    ['there are no books', 'not_exported', 10, all, [99, 99, ''], 0],
    ['one of the books has nothing of it', 'not_exported', 10, all, [99, 99, 'one three'], 0],
    ['a directory of books says something else', 'not_exported', 10, { ...all, two: 'what' }, [99, 99, 'one two'], 0],
  ])('takes nothing where %s: %s', async (_why, status, entries, exported, args, before) => {
    const { trim, left, said } = await ledgerOf(entries, exported, before)
    expect(await trim(...args)).toEqual([status, '0'])
    expect((await left()).length).toBe(entries - before)
    expect(await said()).toBe(null)
  })
})

describe('state', () => {
  redisTest('leaves out a hash with one field more than is asked for, and no other', async () => {
    const { account } = accountOf(harness)
    const keys = scripts().keysOf(account)
    await harness.redis.xadd(keys.ledger, '3-0', 'e', 'x')
    await harness.redis.xadd(keys.ledger, '4-0', 'e', 'x')
    await harness.redis.hset(keys.account, 'account', 'a')
    await harness.redis.hset(keys.budgets, { a: '1', b: '2' })
    await harness.redis.hset(keys.refunds, { c: '3' })
    await harness.redis.zadd(keys.events, 4, '4')
    const state = async (fieldsMax: number) =>
      scripts().call('state', [...keys.wallet, keys.refunds, keys.exported], [String(fieldsMax)])
    const head = ['3', '4', '2', '0', '2', 'account', 'a', '0', '0', '0', '0']
    expect(await state(2)).toEqual([...head, '4', 'a', '1', 'b', '2', '2', 'c', '3', '1', '4'])
    expect(await state(1)).toEqual([...head, '-1', '2', 'c', '3', '1', '4'])
    expect(await state(0)).toEqual([...head, '-1', '-1', '1', '4'])
  })
})

describe('settle', () => {
  const settleOf = (account: string, id: string, idMs: number, lookedUp = 0) => {
    const keys = scripts().keysOf(account)
    const facts = 'm;u;e;k;r;;'
    const args = [id, `${idMs},9,5,${lookedUp}`, 'USD', '{}', '', 'block,0,1000000,,0', facts, '86400000', '']
    return scripts().call('settle', [...keys.wallet, `${keys.prefix}ops:1`], args)
  }

  redisTest('says 0 of what is none: overage, and what went beyond it', async () => {
    const account = accountOf(harness)
    const { nowMs } = harness.clock
    const { id: grant } = await account.grant(20n)
    const call = account.call(7n)
    await account.hold(7n, { id: call.id })
    expect(await settleOf(account.account, call.id, nowMs)).toEqual(['settled', '0', `3;5;;0;0;15;${grant}:5`])
    const longAgo = nowMs - 86_400_001
    expect(await settleOf(account.account, newId(longAgo), longAgo, 1)).toEqual(['unmatched', '0', '4;0;;0;0;15;'])
  })

  redisTest('asks for a look into the ledger from one millisecond past the hour that records are kept', async () => {
    const settle = async (ageMs: number, lookedUp = 0) => {
      const idMs = harness.clock.nowMs - ageMs
      return (await settleOf(accountOf(harness).account, newId(idMs), idMs, lookedUp))[0]
    }
    expect(await settle(0)).toBe('orphan_settled')
    expect(await settle(3_600_000)).toBe('orphan_settled')
    expect(await settle(3_600_001)).toBe('look_up')
    expect(await settle(3_600_001, 1)).toBe('orphan_settled')
  })
})
