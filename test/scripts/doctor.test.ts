/** What the doctor finds: each field that is not what the ledger says, and nothing in an account that is whole. */
import { expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

const counts = (name: string, measure: string, window: BudgetCount['window'], windowName: string): BudgetCount => ({
  name,
  measure,
  field: `${name}~${measure}~${windowName}~run~r1`,
  limit: 1_000_000n,
  action: 'block',
  lifeMs: 200_000_000,
  group: `${name}~${measure}~${windowName}`,
  valuesMax: 10,
  window,
})
const BUDGETS: readonly BudgetCount[] = [
  counts('all', 'USD', { kind: 'lifetime' }, 'lifetime'),
  counts('rate', 'requests', { kind: 'rolling', lengthMs: 3_600_000, partMs: 300_000 }, 'rolling3600000'),
  counts('open', 'concurrent', { kind: 'lifetime' }, 'lifetime'),
]

/** An account with something in each of its records. */
async function fill(): Promise<TestAccount> {
  const { wallet, clock } = harness
  const account = accountOf(harness)
  const operation = () => ({
    account: account.account,
    operationId: `op-${Math.random()}`,
    reason: 'test',
    actor: 'test',
  })
  const call = (atoms: bigint, more: Partial<HoldRequest> = {}) =>
    account.call(atoms, { budgets: BUDGETS, amounts: [], ...more })
  const over = (mode: 'negative' | 'flag' | 'postpaid') => ({
    onExhausted: mode === 'negative' ? ({ mode, floorAtoms: -100_000n } as const) : ({ mode } as const),
  })
  const overflow = (period: string) => ({
    onExhausted: { mode: 'overflow', capAtoms: 100_000n, period: 'month', multiplier: '1.5' } as const,
    overflowPeriod: period,
  })
  const soon = await account.grant(11n, { expiresAtMs: clock.nowMs + 10 })
  const voided = await account.grant(12n, { labels: { why: 'test' } })
  const clawed = await account.grant(13n)
  await account.grant(100n, { appliesTo: { models: ['gpt-*'] }, priority: 7, costBasis: '9.5' })
  await account.grant(400n, { expiresAtMs: clock.nowMs + 90_000_000, funding: 'promotional' })
  await account.grant(50n, { effectiveAtMs: clock.nowMs + 80_000_000 })
  await account.grant(60n, { payment: 'pending', availability: 'on_settled' })
  await account.voidGrant(voided.id)
  await wallet.clawback({ ...operation(), grant: clawed.id, amountAtoms: undefined, freeze: false })
  await account.freeze(true)
  await account.freeze(false)
  for (const value of ['r8', 'r9']) {
    const stop = {
      id: value,
      kind: 'run',
      value,
      cut: false,
      reason: 'test',
      actor: 'test',
      atMs: clock.nowMs,
    } as const
    await wallet.setStop({ ...operation(), kind: 'run', value, stop })
  }
  clock.nowMs += 20
  await wallet.sweep(account.account)
  expect((await account.grants()).find(({ id }) => id === soon.id)?.state).toBe('expired')
  const charged = call(70n)
  await wallet.hold(charged)
  const { seq } = await account.settle(charged, 65n, { finals: {} })
  await wallet.refund({
    ...operation(),
    chargeSeq: seq,
    amountAtoms: 5n,
    mode: 'original',
    grantId: charged.id,
    noteId: charged.id,
  })
  const late = call(20n, { deadlineMs: 5, onTimeout: 'full' })
  await wallet.hold(late)
  clock.nowMs += 10
  await wallet.sweep(account.account)
  const open = call(30n, { totalTokens: 40, deadlineMs: 100_000 })
  await wallet.hold(open)
  await account.checkpoint(open.id, 1, 7n, { perTokenAtoms: 1n, leastTokens: 1, wantTokens: 3 })
  for (const policy of [over('negative'), over('flag'), over('postpaid'), overflow('2096-10'), overflow('2096-11')]) {
    const ended = call(600n, policy)
    await wallet.hold(ended)
    await account.settle(ended, 590n)
    await wallet.hold(call(40n, policy))
  }
  await wallet.closePeriod({ ...operation(), unit: 'USD', period: '2096-10', heir: '2096-11', force: true })
  return account
}

// What the ledger does not say: which parts of a record, by the kind of its field.
const NOT_CHECKED: Readonly<Record<string, readonly number[]>> = {
  grant: [13],
  hold: [2, 6, 7, 8, 10, 13, 14, 16, 18],
  counter: [2, 3],
}

/** The part, with other values of the same form: one for each number of a list that the ledger says. */
function changed(kind: string, at: number, part: string): readonly string[] {
  const numbers =
    kind === 'counter' && at === 5
      ? /(?<=^|,)\d+(?=:)|(?<=(?:^|,)\d+:)\d+|(?<=(?:^|,)\d+:\d+:)\d+/g
      : kind === 'hold' && at === 12
        ? /(?<=:)\d+/g
        : kind === 'hold' && at === 17
          ? /(?<=@)\d+|(?<=@\d+:)\d+/g
          : /^\d+$/g
  const found = [...part.matchAll(numbers)].map(
    ({ 0: number, index }) => part.slice(0, index) + String(BigInt(number) + 1n) + part.slice(index + number.length),
  )
  if (found.length > 0) return found
  return [part === '' ? '7' : `${part.slice(0, -1)}${part.endsWith('x') ? 'y' : 'x'}`]
}

const kindOf = (key: string, field: string): string => {
  if (key === 'budgets') return field.startsWith('c:') ? 'counter' : ''
  return key === 'grants' ? 'grant' : key === 'holds' ? 'hold' : ''
}

redisTest(
  'each part of each record of an account that is not what the ledger says is found and named',
  async () => {
    const { redis, wallet } = harness
    const { account } = await fill()
    expect((await wallet.check(account)).differences).toEqual([])
    const missed: string[] = []
    let tried = 0
    const expectFound = async (what: string) => {
      tried++
      const { differences } = await wallet.check(account)
      if (differences.length === 0) missed.push(what)
    }
    for (const key of ['acct', 'grants', 'holds', 'budgets', 'refunds']) {
      const name = `tg:{${account}}:${key}`
      for (const [field, value] of Object.entries(await redis.hgetall(name))) {
        if (field.startsWith('s:') || field.startsWith('i:0')) continue
        const parts = value.split('|')
        for (const [at, part] of parts.entries()) {
          if (NOT_CHECKED[kindOf(key, field)]?.includes(at)) continue
          // Time goes on without an entry; back it cannot.
          const others = field === 'account' && at === 2 ? ['1'] : changed(kindOf(key, field), at, part)
          for (const other of others) {
            await redis.hset(name, field, parts.with(at, other).join('|'))
            await expectFound(`${key} ${field} part ${at}: ${part} -> ${other}`)
          }
        }
        await redis.hdel(name, field)
        // Zeros are what an absent record means.
        if (/[1-9]/.test(value)) await expectFound(`${key} ${field} gone`)
        await redis.hset(name, field, value)
      }
    }
    for (const key of ['order', 'due']) {
      const name = `tg:{${account}}:${key}`
      for (const member of await redis.zrange(name, 0, -1)) {
        const score = (await redis.zscore(name, member)) as string
        await redis.zrem(name, member)
        await expectFound(`${key} ${member} gone`)
        await redis.zadd(name, score, member)
      }
      await redis.zadd(name, 9e15, 'g01BAD00000000000000000000X')
      await expectFound(`${key} of another`)
      await redis.zrem(name, 'g01BAD00000000000000000000X')
    }
    expect(missed).toEqual([])
    expect(tried).toBeGreaterThan(300)
    expect((await wallet.check(account)).differences).toEqual([])
  },
  180_000,
)

redisTest('a difference names the field, what is kept and what the ledger says', async () => {
  const { redis, wallet } = harness
  const account = accountOf(harness)
  const { id } = await account.grant(5_000_000_000n)
  const name = `tg:{${account.account}}:acct`
  await redis.hset(name, 'w:USD', '1|9|6000000000|0|0|0|0|0|0|0|0|0')
  expect((await wallet.check(account.account)).differences).toEqual([
    { field: 'USD.available', kept: '6', ledger: '5' },
  ])
  await redis.hset(name, 'w:USD', '1|9|5000000000|0|0|0|0|0|0|0|0|0')
  await redis.hdel(`tg:{${account.account}}:grants`, id)
  expect((await wallet.check(account.account)).differences).toContainEqual({
    field: `grant ${id}`,
    kept: 'absent',
    ledger: 'a grant',
  })
})

redisTest(
  'a ledger without its beginning, with a gap, or with a leg changed is a difference, never passed',
  async () => {
    const { redis, wallet } = harness
    const account = accountOf(harness)
    const ledger = `tg:{${account.account}}:ledger`
    for (let i = 0; i < 4; i++) await account.grant(10n)
    const entries = await redis.xrange(ledger, '-', '+')
    await redis.xdel(ledger, '3-0')
    expect((await wallet.check(account.account)).differences.map(({ field }) => field)).toContain('ledger')
    await redis.xdel(ledger, '1-0')
    expect(await wallet.check(account.account)).toMatchObject({
      differences: [{ field: 'ledger.first_seq', kept: '2', ledger: '1' }],
      notChecked: expect.arrayContaining([expect.stringContaining('what came before is missing')]),
    })
    await redis.del(ledger)
    expect((await wallet.check(account.account)).differences).toContainEqual({
      field: 'account.seq',
      kept: '4',
      ledger: '0',
    })
    for (const [id, fields] of entries) {
      await redis.xadd(ledger, id, ...fields.map((field) => (id === '4-0' ? field.replace(/=10\|/, '=11|') : field)))
    }
    expect((await wallet.check(account.account)).differences).toContainEqual({
      field: 'USD.granted',
      kept: '0.00000004',
      ledger: '0.000000041',
    })
  },
)

redisTest('an account of which nothing is kept has no difference; keys of another type are one', async () => {
  const { redis, wallet } = harness
  expect(await wallet.check('nobody')).toEqual({ seq: 0, differences: [], notChecked: [] })
  await redis.set('tg:{typed}:acct', 'x')
  expect((await wallet.check('typed')).differences).toMatchObject([{ field: 'state' }])
})

redisTest(
  'calls that go on while the doctor looks are no difference',
  async () => {
    const { wallet, clock } = harness
    const account = accountOf(harness)
    await account.grant(1_000_000n)
    let going = true
    let calls = 0
    const callOn = async () => {
      while (going) {
        const request = account.call(30n, { budgets: BUDGETS, amounts: [], deadlineMs: 50 })
        if ((await wallet.hold(request)).status !== 'held') continue
        calls++
        clock.nowMs += calls % 5 === 0 ? 20 : 0
        if (calls % 3 !== 0) await account.settle(request, 20n)
        if (calls % 40 === 0) await account.grant(100n, { expiresAtMs: clock.nowMs + 30 })
      }
    }
    const callers = Array.from({ length: 8 }, callOn)
    try {
      let lastSeq = 0
      for (let look = 0; look < 25; look++) {
        const checked = await wallet.check(account.account)
        expect(checked.differences).toEqual([])
        expect(checked.seq).toBeGreaterThan(lastSeq)
        lastSeq = checked.seq
      }
    } finally {
      going = false
      await Promise.all(callers)
    }
    expect(calls).toBeGreaterThan(100)
  },
  180_000,
)

redisTest(
  'an allowance and what it leaves to the next period are no difference, before and after a sweep',
  async () => {
    const { wallet, clock } = harness
    const account = accountOf(harness)
    const ends = clock.nowMs + 1000
    const rollover = {
      percentMillionths: 500_000,
      minAtoms: 0n,
      maxAtoms: 1000n,
      expiresAtMs: ends + 5000,
      priority: 4,
    }
    await account.grant(100n, {
      key: 'allowance:main:2096-10',
      funding: 'promotional',
      priority: 5,
      expiresAtMs: ends,
      rollover: { ...rollover, id: newId(clock.nowMs) },
    })
    for (const step of [500, 600, 5000]) {
      clock.nowMs += step
      expect((await wallet.check(account.account)).differences).toEqual([])
      await account.hold(10n, { deadlineMs: 100 })
      expect((await wallet.check(account.account)).differences).toEqual([])
    }
    const types = (await account.ledger()).map(({ type }) => type)
    expect(types.filter((type) => type === 'allowance' || type === 'expire')).toEqual([
      'allowance',
      'expire',
      'allowance',
      'expire',
    ])
  },
)
