/** What the doctor finds: each field that is not what the ledger says, and nothing in an account that is whole. */
import { expect } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { BUDGETS, changed, filledAccount, isNotChecked, kindOf } from '../support/filled-account.ts'
import { accountOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

redisTest(
  'each part of each record of an account that is not what the ledger says is found and named',
  async () => {
    const { redis, wallet } = harness
    const { account } = await filledAccount(harness)
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
          if (isNotChecked(key, field, at)) continue
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
  await redis.hset(name, 'w:USD', '1|6000000000|0|0|9')
  expect((await wallet.check(account.account)).differences).toEqual([
    { field: 'USD.available', kept: '6', ledger: '5' },
  ])
  await redis.hset(name, 'w:USD', '1|5000000000|0|0|9')
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
