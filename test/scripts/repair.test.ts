/** What `doctor --repair` puts right: what the ledger proves, all of it or nothing, in one act that the ledger names. */
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import type { RepairResult } from '../../src/wallet/wallet-types.ts'
import { changed, filledAccount, isNotChecked, kindOf } from '../support/filled-account.ts'
import { accountOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const HASHES = ['acct', 'grants', 'holds', 'budgets', 'refunds']
const ZSETS = ['order', 'due', 'events']

const repair = (account: string, dryRun = false): Promise<RepairResult> =>
  harness.wallet.repair({ account, dryRun, reason: 'test', actor: 'test' })

/** All that is kept, but how far the ledger is and what time it was then. */
async function kept(account: string): Promise<Readonly<Record<string, unknown>>> {
  const found: Record<string, unknown> = {}
  for (const key of HASHES) {
    const fields = Object.entries(await harness.redis.hgetall(`tg:{${account}}:${key}`))
    found[key] = Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)))
  }
  for (const key of ZSETS) {
    const members = await harness.redis.zrange(`tg:{${account}}:${key}`, 0, -1, 'WITHSCORES')
    // When a counter is looked at again; it is looked at too early rather than too late.
    found[key] = members.filter((_, i) => !members[i - 1]?.startsWith('b')).sort()
  }
  const acct = found['acct'] as Record<string, string>
  return { ...found, acct: { ...acct, account: acct['account']?.split('|').slice(3) } }
}

redisTest(
  'each part of each record that differs is put back as it was, or refused with what the ledger does not say',
  async () => {
    const { redis, wallet } = harness
    const { account } = await filledAccount(harness)
    expect((await wallet.check(account)).differences).toEqual([])
    const whole = await kept(account)
    const wrong: string[] = []
    const refused = new Map<string, number>()
    let repaired = 0
    const judge = async (what: string, kind: string, undo: () => Promise<unknown>): Promise<void> => {
      const before = await kept(account)
      const result = await repair(account)
      if (result.status === 'repaired') {
        repaired++
        if (!isDeepStrictEqual(await kept(account), whole)) wrong.push(`${what}: not as it was`)
      } else if (result.status === 'refused' && result.unproven.length > 0) {
        refused.set(kind, (refused.get(kind) ?? 0) + 1)
        if (!isDeepStrictEqual(await kept(account), before)) wrong.push(`${what}: refused, and changed`)
        await undo()
      } else if (!isDeepStrictEqual(before, whole)) wrong.push(`${what}: ${result.status}`)
    }
    for (const key of HASHES) {
      const name = `tg:{${account}}:${key}`
      for (const [field, value] of Object.entries(await redis.hgetall(name))) {
        if (field.startsWith('s:') || field.startsWith('i:0')) continue
        const undo = () => redis.hset(name, field, value)
        const parts = value.split('|')
        for (const [at, part] of parts.entries()) {
          if (isNotChecked(key, field, at) || (field === 'account' && at === 2)) continue
          for (const other of changed(kindOf(key, field), at, part)) {
            await redis.hset(name, field, parts.with(at, other).join('|'))
            await judge(`${key} ${field} part ${at}: ${part} -> ${other}`, `${key} changed`, undo)
          }
        }
        await redis.hdel(name, field)
        if (/[1-9]/.test(value)) await judge(`${key} ${field} gone`, `${key} gone`, undo)
        else await undo()
      }
      await redis.hset(name, key === 'acct' ? 'w:ZZZ' : key === 'budgets' ? 'c:x~USD~lifetime~' : '01BAD', '1|9|7|0')
      await judge(`${key} of another`, `${key} of another`, () => redis.hdel(name, '01BAD'))
    }
    for (const key of ['order', 'due']) {
      const name = `tg:{${account}}:${key}`
      for (const member of await redis.zrange(name, 0, -1)) {
        const score = (await redis.zscore(name, member)) as string
        await redis.zrem(name, member)
        await judge(`${key} ${member} gone`, `${key} gone`, () => redis.zadd(name, score, member))
      }
      await redis.zadd(name, 9e15, 'g01BAD00000000000000000000X')
      await judge(`${key} of another`, `${key} of another`, () => redis.zrem(name, 'g01BAD00000000000000000000X'))
    }
    const name = `tg:{${account}}:events`
    const events = await redis.zrange(name, 0, -1)
    expect(events.length).toBeGreaterThan(0)
    for (const seq of events) {
      // The first entry is of a grant, and no event.
      await redis.zrem(name, seq)
      await redis.zadd(name, 1, '1')
      await judge(`events ${seq} -> 1`, 'events changed', async () => undefined)
    }
    expect(wrong).toEqual([])
    expect(repaired).toBeGreaterThan(250)
    // What no entry says: terms of a grant, policy of a hold, life of a counter, and forms of another version.
    expect([...refused.keys()].sort()).toEqual([
      'budgets changed',
      'budgets gone',
      'grants changed',
      'grants gone',
      'holds changed',
      'holds gone',
    ])
    expect([...refused.values()].reduce((sum, count) => sum + count, 0)).toBeLessThan(80)
    expect((await wallet.check(account)).differences).toEqual([])
  },
  300_000,
)

redisTest(
  'many fields at once are one act, whose entry names them; a dry run says the same and changes nothing',
  async () => {
    const { redis, wallet } = harness
    const account = accountOf(harness)
    const { id } = await account.grant(100n)
    const call = account.call(40n)
    await wallet.hold(call)
    const keys = `tg:{${account.account}}:`
    await redis.hset(`${keys}acct`, 'w:USD', '1|9|1|2|3|4|5|6|7|8|9|10', 't:EUR', '0|1|0|1|0|1')
    await redis.zrem(`${keys}order`, ...(await redis.zrange(`${keys}order`, 0, -1)))
    await redis.hset(
      `${keys}holds`,
      call.id,
      ((await redis.hget(`${keys}holds`, call.id)) ?? '').replace(`${id}:40`, `${id}:4`),
    )
    const before = await kept(account.account)
    const dry = await repair(account.account, true)
    expect(dry.status).toBe('would_repair')
    expect(await kept(account.account)).toEqual(before)
    const result = await repair(account.account)
    expect(result).toEqual({ ...dry, status: 'repaired', seq: 3 })
    const [entry] = await wallet.ledger(account.account, { afterSeq: 2, limit: 1, type: undefined })
    expect(entry).toMatchObject({ type: 'event', op: 'books.repaired', actor: 'test', legs: [] })
    expect(entry?.fields).toMatchObject({ reason: 'test', fields: result.repaired.length, repaired: result.repaired })
    expect((await wallet.check(account.account)).differences).toEqual([])
    expect(await account.settle(call, 30n)).toMatchObject({ status: 'settled', chargedAtoms: 30n })
    expect(await account.balance()).toMatchObject({ availableAtoms: 70n, heldAtoms: 0n, postedAtoms: 30n })
    expect(await repair(account.account)).toMatchObject({ status: 'whole', repaired: [] })
  },
)

redisTest(
  'a hold that no entry made is taken away, one that is gone is refused; the account stays as it is',
  async () => {
    const { redis, wallet } = harness
    const account = accountOf(harness)
    await account.grant(100n)
    const call = account.call(40n)
    await wallet.hold(call)
    const holds = `tg:{${account.account}}:holds`
    const record = (await redis.hget(holds, call.id)) ?? ''
    await redis.hset(holds, `${call.id.slice(0, -1)}${call.id.endsWith('0') ? '1' : '0'}`, record)
    expect(await repair(account.account)).toMatchObject({ status: 'repaired' })
    expect(await redis.hkeys(holds)).toEqual([call.id])
    await redis.hdel(holds, call.id)
    await redis.hset(`tg:{${account.account}}:acct`, 'timeouts', '4')
    const before = await kept(account.account)
    expect(await repair(account.account)).toMatchObject({
      status: 'refused',
      unproven: expect.arrayContaining([{ field: `hold ${call.id}`, kept: 'absent', ledger: 'an open hold' }]),
    })
    expect(await kept(account.account)).toEqual(before)
  },
)

redisTest('a broken ledger proves nothing: refused, with where it is broken', async () => {
  const { redis } = harness
  const account = accountOf(harness)
  for (let i = 0; i < 4; i++) await account.grant(10n)
  const before = await kept(account.account)
  await redis.hset(`tg:{${account.account}}:acct`, 'timeouts', '4')
  await redis.xdel(`tg:{${account.account}}:ledger`, '3-0')
  const result = await repair(account.account)
  expect(result).toMatchObject({ status: 'refused', repaired: [] })
  expect(result.unproven.map(({ field }) => field)).toContain('ledger')
  await redis.hdel(`tg:{${account.account}}:acct`, 'timeouts')
  expect(await kept(account.account)).toEqual(before)
})

redisTest(
  'an account in use is repaired between its calls, and no call of it is lost or counted twice',
  async () => {
    const { redis, wallet, clock } = harness
    const account = accountOf(harness)
    await account.grant(1_000_000n)
    let going = true
    let charged = 0n
    const callOn = async () => {
      while (going) {
        const call = account.call(30n)
        if ((await wallet.hold(call)).status !== 'held') continue
        const { chargedAtoms } = await account.settle(call, 20n)
        charged += chargedAtoms
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    const callers = [callOn(), callOn()]
    try {
      for (let i = 0; i < 5; i++) {
        await redis.hset(`tg:{${account.account}}:acct`, 'timeouts', String(i + 3))
        for (let status = 'moving'; status === 'moving'; ) ({ status } = await repair(account.account))
        clock.nowMs += 1
      }
    } finally {
      going = false
      await Promise.all(callers)
    }
    expect((await wallet.check(account.account)).differences).toEqual([])
    expect(await account.balance()).toMatchObject({ postedAtoms: charged, availableAtoms: 1_000_000n - charged })
  },
  60_000,
)
