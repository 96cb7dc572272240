/** Every status of the scripts that keep the list of accounts and keys, and that each change is told. */
import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AccountStore } from '../../src/accounts/account-store.ts'
import { readAccount, readKey } from '../../src/accounts/records.ts'
import { connectRedis, type RedisClient } from '../../src/redis/client.ts'
import { commandsOf } from '../support/commands-of.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let server: TestRedis
let redis: RedisClient
let store: AccountStore
let listener: Redis
let observer: Redis
const told: string[] = []

beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  redis = await connected(server.url)
  store = new AccountStore(redis)
  observer = new Redis(server.url)
  listener = new Redis(server.url)
  listener.on('message', (_channel, message) => told.push(message))
  await listener.subscribe('tg:accounts')
})
afterAll(async () => {
  listener?.disconnect()
  observer?.disconnect()
  redis?.close()
  await server?.stop()
})

async function connected(url: string): Promise<RedisClient> {
  const times = { commandMs: 2000, connectMs: 2000, breakerFailures: 50, breakerWindowMs: 1000, probeMs: 100 }
  const client = connectRedis({ url, ...times })
  await client.whenUp(5000)
  return client
}

const account = (plan = 'pro') => ({ plan, labels: {}, givenOverrides: {}, createdAtMs: 1, closedAtMs: undefined })
const key = (id: string, of: string) => ({
  ...{ id, account: of, labels: {}, givenOverrides: {}, actsFor: [], createdAtMs: 1, expiresAtMs: undefined },
})
const repeat = (operationId: string, fingerprint: string) => ({ operationId, fingerprint })
const hashText = (text: string): string => createHash('sha256').update(text).digest('hex')
const hashOf = (digit: string): string => digit.repeat(64)

run('account_create: created, replay, conflict, exists', async () => {
  expect(await store.createAccount('a1', account(), repeat('o1', 'f1'))).toBe('created')
  expect(await store.createAccount('a1', account(), repeat('o1', 'f1'))).toBe('replay')
  expect(await store.createAccount('a2', account(), repeat('o1', 'f2'))).toBe('conflict')
  expect(await store.createAccount('a1', account(), repeat('o2', 'f1'))).toBe('exists')
  expect(await store.createAccount('a1', account(), undefined)).toBe('exists')
  expect(await store.createAccount('a2', account(), undefined)).toBe('created')
  expect(await store.createAccount('a3', account(), undefined)).toBe('created')
  expect((await store.accountsAfter('a1', 10)).map(({ id }) => id)).toEqual(['a2', 'a3'])
  await waitFor('the messages', () => told.filter((message) => message.startsWith('account')).length === 3)
})

run('account_update: changes that meet are all made and told; unknown_account', async () => {
  await store.createAccount('busy', account(), undefined)
  await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      store.updateAccount('busy', (kept) => ({ ...kept, labels: { ...kept.labels, [`l${i}`]: 'x' } })),
    ),
  )
  expect(Object.keys((await store.readAccount('busy'))?.labels ?? {})).toHaveLength(10)
  expect(await store.updateAccount('nobody', (kept) => kept)).toBeUndefined()
  await waitFor('the messages', () => told.filter((message) => message === 'account busy').length === 11)
})

run('key_create: created, replay, conflict, unknown_account, exists; key_find finds it with its account', async () => {
  await store.createAccount('k1', account('plan-of-k1'), undefined)
  expect(await store.createKey(hashOf('1'), key('key1', 'k1'), false, repeat('o5', 'f5'))).toBe('created')
  expect(await store.createKey(hashOf('2'), key('key1', 'k1'), false, repeat('o5', 'f5'))).toBe('replay')
  expect(await store.createKey(hashOf('2'), key('key1', 'k1'), false, repeat('o5', 'f6'))).toBe('conflict')
  expect(await store.createKey(hashOf('2'), key('key2', 'nobody'), false, undefined)).toBe('unknown_account')
  expect(await store.createKey(hashOf('2'), key('key2', 'of-files'), true, undefined)).toBe('created')
  expect(await store.createKey(hashOf('3'), key('key1', 'of-files'), true, undefined)).toBe('exists')
  const found = await store.findKey(hashOf('1'))
  expect(readKey(found?.key ?? '')).toMatchObject({ id: 'key1', account: 'k1' })
  expect(readAccount(found?.account ?? '')).toMatchObject({ plan: 'plan-of-k1' })
  expect((await store.findKey(hashOf('2')))?.account).toBeUndefined()
  expect(await store.findKey(hashOf('3'))).toBeUndefined()
})

run('key_update and key_revoke: done, replay, unknown_key, revoked; told by its SHA-256', async () => {
  await store.createKey(hashOf('7'), key('gone', 'of-files'), true, undefined)
  expect((await store.updateKey('gone', (kept) => ({ ...kept, actsFor: ['x*'] })))?.actsFor).toEqual(['x*'])
  expect((await store.revokeKey('gone'))?.record?.actsFor).toEqual(['x*'])
  expect((await store.revokeKey('gone'))?.record?.id).toBe('gone')
  expect(await store.revokeKey('never')).toBeUndefined()
  expect(await store.updateKey('gone', (kept) => kept)).toBeUndefined()
  expect(await store.createKey(hashOf('8'), key('gone', 'of-files'), true, undefined)).toBe('revoked')
  expect(await store.findKey(hashOf('7'))).toBeUndefined()
  expect((await store.keysAfter('of-files', undefined, 10)).map(({ id }) => id)).not.toContain('of-files gone')
  await waitFor('three messages', () => told.filter((message) => message === `key ${hashOf('7')}`).length === 3)
})

run('keys of an account are listed apart from those of an account whose id begins alike', async () => {
  for (const [digit, of] of [
    ['a', 'list'],
    ['b', 'list-2'],
    ['c', 'list'],
    ['d', 'lis'],
  ] as const)
    await store.createKey(hashOf(digit), key(`of-${digit}`, of), true, undefined)
  const listed = async (after?: string, limit = 10) => (await store.keysAfter('list', after, limit)).map(({ id }) => id)
  expect(await listed()).toEqual(['list of-a', 'list of-c'])
  expect(await listed(undefined, 1)).toEqual(['list of-a'])
  expect(await listed('list of-a')).toEqual(['list of-c'])
})

run('lists are in the order of ids only where every score is 0, as those have that were added before', async () => {
  await store.createAccount('scored', account(), undefined)
  await store.createKey(hashOf('9'), key('scored-key', 'scored'), false, undefined)
  expect(await observer.zscore('tg:{#accounts}:ids', 'scored')).toBe('0')
  expect(await observer.zscore('tg:{#accounts}:key-order', 'scored scored-key')).toBe('0')
})

run('what made an account or a key is known for 35 days, and so is a key that was revoked', async () => {
  const commands = await commandsOf(observer, async () => {
    await store.createAccount('long', account(), repeat('of-account', 'f1'))
    await store.createKey(hashOf('0'), key('long-key', 'long'), false, repeat('of-key', 'f2'))
    await store.revokeKey('long-key')
    // Nothing is kept of what cannot be sent again.
    await store.createAccount('long-2', account(), undefined)
  })
  const kept = commands.flatMap(
    (command) => /^set tg:\{#accounts\}:([a-z]+):\S+ .* px (\d+)$/i.exec(command)?.slice(1) ?? [],
  )
  expect(kept).toEqual(['op', '3024000000', 'op', '3024000000', 'revoked', '3024000000'])
})

run('a user of Redis who may not tell the other gateways changes nothing', async () => {
  await store.createAccount('told', account(), undefined)
  await store.createKey(hashOf('e'), key('told-key', 'told'), false, undefined)
  await redis.call('ACL', 'SETUSER', 'mute', 'on', '>secret', '~*', '+@all', 'resetchannels')
  const mute = await connected(server.url.replace('//', '//mute:secret@'))
  try {
    const muted = new AccountStore(mute)
    const changes = [
      () => muted.createAccount('told-2', account(), repeat('told', 'f')),
      () => muted.updateAccount('told', (kept) => ({ ...kept, closedAtMs: 5 })),
      () => muted.createKey(hashText('told'), key('told-key-2', 'told'), false, repeat('told', 'f')),
      () => muted.updateKey('told-key', (kept) => ({ ...kept, expiresAtMs: 5 })),
      () => muted.revokeKey('told-key'),
    ]
    const commands = await commandsOf(observer, async () => {
      for (const change of changes) await expect(change()).rejects.toThrow('lib/accounts.lua')
    })
    expect(commands.filter((command) => /^(hset|hdel|set|zadd|zrem) /i.test(command))).toEqual([])
  } finally {
    mute.close()
  }
})

run('a record of another version is unreadable, and only that one', async () => {
  await store.createAccount('odd', account(), undefined)
  await redis.call('HSET', 'tg:{#accounts}:records', 'odd', '{"v":2,"plan":"pro","created_at":1}')
  await expect(store.readAccount('odd')).rejects.toThrow('cannot be read')
  const page = await store.accountsAfter('nz', 10)
  expect(page[0]).toEqual({ id: 'odd', record: undefined })
})

run.each([
  ['of another version', 'of-files {"v":2,"id":"odd-key"}', 'of-files'],
  ['that is no JSON', 'of-files <html>', 'of-files'],
  ['without an account', '{"v":1,"id":"odd-key","created_at":1}', ''],
  ['of another account, which is none', 'a#b {"v":1,"id":"odd-key","created_at":1}', ''],
  ['that is a blank', ' ', ''],
  ['of nothing', '', ''],
])('a key with a record %s is refused, not changed, and revoked', async (_name, value, of) => {
  const id = `odd-key-${hashText(value).slice(0, 8)}`
  const sha256 = hashText(value)
  await store.createKey(sha256, key(id, 'of-files'), true, undefined)
  await redis.call('HSET', 'tg:{#accounts}:keys', sha256, value)
  expect(await store.findKey(sha256)).toEqual({ key: value, account: undefined })
  await expect(store.updateKey(id, (kept) => kept)).rejects.toThrow(
    `wrote what Redis has at tg:{#accounts}:keys, field ${sha256}.`,
  )
  for (const _again of [1, 2]) expect(await store.revokeKey(id)).toEqual({ account: of, record: undefined })
  expect(await store.findKey(sha256)).toBeUndefined()
  expect((await store.keysAfter('of-files', undefined, 100)).filter((listed) => listed.id.endsWith(id))).toEqual(
    of === '' ? [{ id: `of-files ${id}`, record: undefined, gone: true }] : [],
  )
})

run('a full Redis makes no more accounts, and still revokes and closes', async () => {
  await store.createAccount('full', account(), undefined)
  await store.createKey(hashOf('f'), key('full', 'full'), false, undefined)
  await redis.call('CONFIG', 'SET', 'maxmemory', '1')
  try {
    await expect(store.createAccount('more', account(), undefined)).rejects.toThrow('OOM')
    expect((await store.revokeKey('full'))?.record?.id).toBe('full')
    expect(await store.updateAccount('full', (kept) => ({ ...kept, closedAtMs: 5 }))).toMatchObject({ closedAtMs: 5 })
  } finally {
    await redis.call('CONFIG', 'SET', 'maxmemory', '0')
  }
})
