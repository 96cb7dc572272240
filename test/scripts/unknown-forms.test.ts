/**
 * Records and arguments that no script of this version wrote: refused by name before anything is written, since a script
 * that goes on with half of a record would write the other half wrong.
 */
import { describe, expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { accountKeys, operationsKey } from '../../src/redis/keys.ts'
import { createScriptCaller } from '../../src/wallet/script-caller.ts'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

const BUDGET: BudgetCount = {
  name: 'b',
  field: 'b~USD~lifetime~',
  measure: 'USD',
  limit: 1000n,
  action: 'block',
  lifeMs: 0,
  group: '',
  valuesMax: 1,
  window: { kind: 'lifetime' },
}
const OVERFLOW = {
  onExhausted: { mode: 'overflow', capAtoms: 1000n, period: 'month', multiplier: '1' },
  overflowPeriod: '2096-10',
} as const

/** By field: the order in which Redis dumps a hash is its own. */
async function keptOf(account: string): Promise<unknown> {
  const { redis } = harness
  const key = (name: string): string => `tg:{${account}}:${name}`
  return Promise.all([
    ...['acct', 'grants', 'holds', 'budgets'].map((name) => redis.hgetall(key(name))),
    ...['order', 'due', 'events'].map((name) => redis.zrange(key(name), 0, -1, 'WITHSCORES')),
    redis.xlen(key('ledger')),
  ])
}

interface Made {
  readonly account: TestAccount
  readonly grant: string
  readonly open: HoldRequest
  readonly settled: HoldRequest
  /** Sequence of a settle that came too late. */
  readonly unmatched: number
}

/** A wallet with one grant, an open call that a budget counts, one that was settled, and one that was settled too late. */
async function made(): Promise<Made> {
  const account = accountOf(harness)
  const { id } = await account.grant(100n)
  const [open, settled] = [account.call(10n, { budgets: [BUDGET] }), account.call(20n)]
  await harness.wallet.hold(open)
  await harness.wallet.hold(settled)
  await account.settle(settled, 20n)
  const { seq } = await account.settle(account.terms({ id: newId(harness.clock.nowMs - 90_000_000) }), 5n)
  return { account, grant: id, open, settled, unmatched: seq }
}

type Case = readonly [
  name: string,
  key: string,
  field: (made: Made) => string,
  record: string,
  act: (made: Made) => Promise<unknown>,
]

const admin = ({ account }: Made) => ({
  account: account.account,
  operationId: newId(harness.clock.nowMs),
  reason: 'test',
  actor: 'test',
})
const holdMore = (more: Partial<HoldRequest> = {}) => {
  return ({ account }: Made) => harness.wallet.hold(account.call(500n, more))
}
const ROLLING = {
  ...BUDGET,
  field: 'b~USD~rolling~',
  window: { kind: 'rolling', lengthMs: 1000, partMs: 250 },
} as const

const CASES: readonly Case[] = [
  ['account', 'acct', () => 'account', '9|1|1|0|1', holdMore()],
  ['account', 'acct', () => 'account', '1|4|1|1|1|what', holdMore()],
  ['account', 'acct', () => 'account', '9', ({ account }) => harness.wallet.eventsHandedOver(account.account, 1)],
  ['wallet', 'acct', () => 'w:USD', '9|1|1|1|9', holdMore()],
  ['wallet', 'acct', () => 'w:USD', '1|70|10|10|9|what', holdMore()],
  ['totals', 'acct', () => 't:USD', '9', ({ account, open }) => account.settle(open, 5n)],
  ['overflow', 'acct', () => 'o:USD:2096-10', 'what', holdMore(OVERFLOW)],
  ['watch', 'acct', () => 'e:USD', '9', holdMore()],
  ['grant', 'grants', ({ grant }) => grant, '9|what', holdMore()],
  ['grant', 'grants', ({ grant }) => grant, '1|70|10|20|u|g|what', ({ account, grant }) => account.voidGrant(grant)],
  ['hold', 'holds', ({ open }) => open.id, '9|what', ({ account, open }) => account.settle(open, 5n)],
  [
    'hold',
    'holds',
    ({ open }) => open.id,
    '1|o|USD|0|0|2||block,0,1000000,,0|||what',
    ({ account, open }) => account.checkpoint(open.id, 1, 1n),
  ],
  ['counter', 'budgets', () => `c:${BUDGET.field}`, '9', holdMore({ budgets: [BUDGET] })],
  // What another window than the newest needs of it.
  [
    'counter',
    'budgets',
    () => `c:${ROLLING.field}`,
    '1|0|0|0|5||0|0|1|what',
    holdMore({ budgets: [ROLLING], fixedAtoms: 1n }),
  ],
  [
    'unmatched',
    'acct',
    ({ unmatched }) => `u:${unmatched}`,
    'what',
    (of) => harness.wallet.resolveUnmatched({ ...admin(of), seq: of.unmatched, decision: 'dismiss' }),
  ],
  ['operation', 'ops', ({ settled }) => settled.id, '9', ({ account, settled }) => account.settle(settled, 20n)],
]

describe('a record of an unknown form is refused before anything is written', () => {
  redisTest.each(CASES)('%s: %s', async (name, key, field, record, act) => {
    const of = await made()
    const { account } = of.account
    const found = key === 'ops' ? operationsKey(accountKeys(account), harness.clock.nowMs) : `tg:{${account}}:${key}`
    await harness.redis.hset(found, field(of), record)
    const before = await keptOf(account)
    await expect(act(of)).rejects.toThrow(
      new RegExp(name === 'totals' ? 'totals of an unknown form' : `${name} record of an unknown form`),
    )
    expect(await keptOf(account)).toEqual(before)
  })
})

const MAX = '9007199254740991'

describe('arguments that the gateway never sends are refused by name', () => {
  const call = (name: string, account: string, more: readonly string[], args: readonly string[]) => {
    const scripts = createScriptCaller(harness.redis, { testClock: () => harness.clock.nowMs })
    const keys = scripts.keysOf(account)
    return scripts.call(name, [...keys.wallet, ...more.map((key) => `${keys.prefix}${key}`)], args)
  }
  const FACTS = 'm;u;e;k;r;;'
  const hold = (account: string, changed: Readonly<Record<number, string>> = {}) => {
    const { nowMs } = harness.clock
    const usual = [
      newId(nowMs),
      'abcdef',
      `${nowMs},9,10,0,0,0,0,1000`,
      'USD',
      'block,0,1000000,,0',
      FACTS,
      '0|0|known',
      'v1',
      '0',
      '{}',
      '',
      '',
      '',
    ]
    return call(
      'hold',
      account,
      ['ops:1', 'refusals', 'den:1'],
      usual.map((value, index) => changed[index + 1] ?? value),
    )
  }
  const settle = (account: string, numbers: string) =>
    call(
      'settle',
      account,
      ['ops:1'],
      [newId(harness.clock.nowMs), numbers, 'USD', '{}', '', 'block,0,1000000,,0', FACTS, '1000', ''],
    )
  const adjust = (account: string, amount: string) =>
    call(
      'adjust',
      account,
      ['op:1'],
      ['key:1', '', newId(harness.clock.nowMs), 'USD', '9', amount, '{}', '{"labels":{}}', 'test'],
    )

  redisTest('the same call with arguments as they should be is held', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    expect((await hold(account.account))[0]).toBe('held')
  })

  redisTest.each([
    [{ 3: '1,9,x,0,0,0,0,1000' }, /not whole numbers/],
    [{ 3: '1,9,1.5,0,0,0,0,1000' }, /not whole numbers/],
    [{ 7: 'x|0|known' }, /not whole numbers/],
    [{ 3: '1,9,9007199254740992,0,0,0,0,1000' }, /out_of_range/],
    [{ 3: '1,9,1,9007199254740992,0,0,0,1000' }, /out_of_range/],
    [{ 3: '1,9,1,0,0,0,9007199254740992,1000' }, /out_of_range/],
    [{ 7: '9007199254740992|0|known' }, /out_of_range/],
    [{ 5: 'what,0,1000000,,0,' }, /policy of an unknown form/],
    [{ 5: 'Block,0,1000000,,0' }, /policy of an unknown form/],
    [{ 6: 'what' }, /facts of an unknown form/],
    [{ 11: 'b~USD~lifetime~;what' }, /budget of an unknown form/],
    [{ 11: 'b~tokens~lifetime~;ob2;100;l;0;;1;', 12: '1,1,1' }, /no amount of b~tokens~lifetime~/],
    [{ 13: 't1' }, /alerts of an unknown form/],
  ])('hold with %j', async (changed, problem) => {
    const account = accountOf(harness)
    await account.grant(100n, { appliesTo: { models: ['m'] } })
    const before = await keptOf(account.account)
    await expect(hold(account.account, changed)).rejects.toThrow(problem)
    expect(await keptOf(account.account)).toEqual(before)
  })

  redisTest.each([`${1},9,1.5,0`, `${1},9,-1,0`, `${1},9,1,3`, `${1},9,9007199254740992,0`])(
    'settle of %s',
    async (numbers) => {
      const account = accountOf(harness)
      await account.grant(100n)
      const before = await keptOf(account.account)
      await expect(settle(account.account, numbers)).rejects.toThrow(/out_of_range, or not whole numbers/)
      expect(await keptOf(account.account)).toEqual(before)
    },
  )

  redisTest('another number of decimals than the wallet keeps', async () => {
    const account = accountOf(harness)
    await account.grant(100n)
    const before = await keptOf(account.account)
    const { nowMs } = harness.clock
    await expect(settle(account.account, `${nowMs},3,1,0`)).rejects.toThrow('unit_scale_mismatch: USD has 9 decimals')
    await expect(hold(account.account, { 3: `${nowMs},3,1,0,0,0,0,1000` })).rejects.toThrow(
      'unit_scale_mismatch: USD has 9 decimals',
    )
    expect(await keptOf(account.account)).toEqual(before)
  })

  redisTest.each(['1e3', '0x10', 'nan', '1.0', ''])('an amount of %j', async (amount) => {
    const account = accountOf(harness)
    await expect(adjust(account.account, amount)).rejects.toThrow(`not a whole number: ${amount}`)
  })

  redisTest('an amount beyond what a number keeps exactly, above or below 0, and the last within', async () => {
    const account = accountOf(harness)
    await expect(adjust(account.account, '9007199254740992')).rejects.toThrow('out_of_range: 9007199254740992')
    await expect(adjust(account.account, '-9007199254740992')).rejects.toThrow('out_of_range: -9007199254740992')
    expect((await adjust(account.account, `-${MAX}`))[0]).toBe('insufficient_funds')
    expect((await adjust(accountOf(harness).account, MAX))[0]).toBe('done')
  })
})
