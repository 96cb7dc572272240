/** What repair.lua does with a list of changes, of each kind of key: told straight to the script. */
import { describe, expect } from 'vitest'
import { createScriptCaller, type Reply } from '../../src/wallet/script-caller.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

/** By the number of the key in the script. */
const HASHES = [1, 2, 5, 7, 9]
const ZSETS = [3, 4, 8]
const HEAD = '1|'
const TAIL = '|0|0'

type Change = readonly [key: number, field: string, was: string | false, becomes: string | false]

let accounts = 0

/** Keys of an account whose ledger ends at entry 5; each hash has `a` and `b`, each sorted set too. */
async function made() {
  const { redis, clock } = harness
  const scripts = createScriptCaller(redis, { testClock: () => clock.nowMs })
  const keys = scripts.keysOf(`repaired-${++accounts}`)
  const names = [...keys.wallet, keys.refunds]
  const key = (number: number): string => names[number - 1] as string
  for (const number of HASHES) await redis.hset(key(number), 'a', 'old', 'b', 'gone')
  // Where a member stands in the order is in its name alone.
  for (const number of ZSETS) await redis.zadd(key(number), number === 3 ? 7 : 100, 'a', number === 3 ? 0 : 200, 'b')
  await redis.xadd(key(6), '4-0', 'e', 'before', 'i', '')
  await redis.xadd(key(6), '5-0', 'e', 'last', 'i', '')
  const repair = (changes: readonly Change[], seq = '5', lastMs = '0'): Promise<Reply> =>
    scripts.call('repair', names, [seq, lastMs, HEAD, TAIL, 'me', '{"reason":"test"}', JSON.stringify(changes)])
  const kept = async () =>
    Object.fromEntries([
      ...(await Promise.all(HASHES.map(async (number) => [number, await redis.hgetall(key(number))]))),
      ...(await Promise.all(
        ZSETS.map(async (number) => [number, await redis.zrange(key(number), 0, -1, 'WITHSCORES')]),
      )),
      [6, await redis.xrange(key(6), '-', '+')],
    ])
  return { redis, key, repair, kept }
}

redisTest(
  'what differs is written, added and taken away, and the entry that says so goes on from the last',
  async () => {
    const { nowMs } = harness.clock
    const { repair, kept } = await made()
    const changes: readonly Change[] = [
      ...HASHES.flatMap((key): Change[] => [
        [key, 'a', 'old', 'new'],
        [key, 'b', 'gone', false],
        [key, 'c', false, 'added'],
      ]),
      [3, 'a', '0', false],
      [3, 'c', false, '0'],
      ...[4, 8].flatMap((key): Change[] => [
        [key, 'a', '100', '9007199254740991'],
        [key, 'b', '200', false],
        [key, 'c', false, '300'],
      ]),
    ]
    expect(await repair(changes)).toEqual(['repaired', '6'])
    const { 1: account, 6: ledger, ...rest } = await kept()
    expect(account).toEqual({ a: 'new', c: 'added', account: `1|6|${nowMs}|0|0` })
    for (const key of HASHES.slice(1)) expect(rest[key]).toEqual({ a: 'new', c: 'added' })
    expect(rest[3]).toEqual(['b', '0', 'c', '0'])
    for (const key of [4, 8]) expect(rest[key]).toEqual(['c', '300', 'a', '9007199254740991'])
    expect(ledger).toEqual([
      ['4-0', ['e', 'before', 'i', '']],
      ['5-0', ['e', 'last', 'i', '']],
      ['6-0', ['e', `event|${nowMs}|books.repaired|me||0|||`, 'i', '{"reason":"test"}']],
    ])
  },
)

redisTest('the time of the account does not go back with the clock', async () => {
  const later = String(harness.clock.nowMs + 1)
  const { redis, key, repair } = await made()
  expect(await repair([], '5', later)).toEqual(['repaired', '6'])
  expect(await redis.hget(key(1), 'account')).toBe(`1|6|${later}|0|0`)
})

describe('nothing is written where something is not what it was compared as', () => {
  const SOUND: Change = [2, 'c', false, 'added']
  const ELSE: readonly (readonly [what: string, change: Change])[] = [
    ['a field of a hash has another value', [5, 'a', 'other', 'new']],
    ['a field of a hash is there', [5, 'a', false, 'new']],
    ['a field of a hash is gone', [5, 'c', 'old', 'new']],
    ['a member has another score', [4, 'a', '101', '5']],
    ['a member is there', [4, 'a', false, '5']],
    ['a member is gone', [4, 'c', '100', '5']],
    ['a member of the order is there', [3, 'a', false, '0']],
    ['a member of the order is gone', [3, 'c', '0', false]],
  ]
  redisTest.each(ELSE)('%s', async (_what, change) => {
    const { repair, kept } = await made()
    const before = await kept()
    for (const changes of [[change], [change, SOUND], [SOUND, change]]) {
      expect(await repair(changes)).toEqual(['moved', '5'])
      expect(await kept()).toEqual(before)
    }
  })

  redisTest.each(['4', '6', '50'])('the ledger does not end at %s', async (seq) => {
    const { repair, kept } = await made()
    const before = await kept()
    expect(await repair([SOUND], seq)).toEqual(['moved', seq])
    expect(await kept()).toEqual(before)
  })

  redisTest('the ledger is empty', async () => {
    const { redis, key, repair, kept } = await made()
    await redis.del(key(6))
    const before = await kept()
    expect(await repair([SOUND], '0')).toEqual(['moved', '0'])
    expect(await kept()).toEqual(before)
  })
})
