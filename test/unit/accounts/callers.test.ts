import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { Callers } from '../../../src/accounts/callers.ts'
import { type AccountFields, type KeyFields, writeAccount, writeKey } from '../../../src/accounts/records.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'
import type { Snapshot } from '../../../src/config/snapshot.ts'
import { waitFor } from '../../support/wait-for.ts'

function config(plan = 'max_output_tokens: 100', more = ''): Snapshot {
  const entitlements = `version: 1\nplans:\n  pro: { unit: USD, ${plan} }\naccounts:\n  filed: { plan: pro }\n${more}`
  const { snapshot } = parseConfig(
    {
      tollgate: { file: '/t.yaml', text: 'version: 1\nupstreams: {}\n' },
      entitlements: { file: '/e.yaml', text: entitlements },
      prices: { file: '/p.yaml', text: 'version: 1\nunit: USD\nentries: []\n' },
    },
    {},
  )
  if (!snapshot) throw new Error('the config is wrong')
  return snapshot
}

function setUp() {
  const world = { nowMs: 1_000, heard: true, reads: 0, held: undefined as Promise<void> | undefined }
  const keys = new Map<string, string>()
  const accounts = new Map<string, string>()
  const callers = new Callers({
    store: {
      async findKey(sha256) {
        world.reads++
        const key = keys.get(sha256)
        const account = key && accounts.get(key.slice(0, key.indexOf(' ')))
        await world.held
        return key === undefined ? undefined : { key, account }
      },
      async accountText(id) {
        world.reads++
        return accounts.get(id)
      },
    },
    heard: () => world.heard,
    nowMs: () => world.nowMs,
  })
  const account = (id: string, more: Partial<AccountFields> = {}) =>
    accounts.set(
      id,
      writeAccount({ plan: 'pro', labels: {}, givenOverrides: {}, createdAtMs: 1, closedAtMs: undefined, ...more }),
    )
  const key = (sha256: string, of: string, more: Partial<KeyFields> = {}) => {
    const nothing = { labels: {}, givenOverrides: {}, actsFor: [], createdAtMs: 1, expiresAtMs: undefined }
    keys.set(sha256, writeKey({ id: `key-${sha256}`, account: of, ...nothing, ...more }))
  }
  return { callers, world, keys, accounts, account, key }
}

test('a caller that nobody remembers costs one read, and none for five seconds', async () => {
  const { callers, world, account, key } = setUp()
  const snapshot = config()
  account('a')
  key('k', 'a')
  const first = await callers.findKey('k', snapshot)
  expect([first.value?.account.id, world.reads]).toEqual(['a', 1])
  world.nowMs += 4_999
  expect(callers.findKey('k', snapshot)).toBe(first)
  world.nowMs += 1
  // The same records: what hangs on the caller stays the same object.
  expect((await callers.findKey('k', snapshot)).value).toBe(first.value)
  expect(world.reads).toBe(2)
})

test('a config edit counts at once, without a read', async () => {
  const { callers, world, account, key } = setUp()
  account('a', { givenOverrides: { models: ['x-*'] } })
  key('k', 'a', { givenOverrides: { max_output_tokens: 5 } })
  const before = await callers.findKey('k', config())
  expect([before.value?.plan.maxOutputTokens, before.value?.plan.models]).toEqual([5, ['x-*']])
  const after = await callers.findKey('k', config('max_output_tokens: 7'))
  expect([after.value?.account.plan.maxOutputTokens, after.value?.plan.maxOutputTokens]).toEqual([7, 5])
  expect(world.reads).toBe(1)
})

test('a caller that nobody asks for any more keeps no config that is out of force', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { callers, account, key } = setUp()
  account('a')
  key('k', 'a', { givenOverrides: { max_output_tokens: 5 } })
  const old = await (async () => {
    const snapshot = config()
    await callers.findKey('k', snapshot)
    return new WeakRef(snapshot)
  })()
  await waitFor('the old config to go', async () => {
    collect()
    return old.deref() === undefined
  })
  expect((await callers.findKey('k', config())).value?.id).toBe('key-k')
})

test('what is no name of an account is nobody’s, without a read and without being remembered', () => {
  const { callers, world } = setUp()
  for (const id of ['a b', 'a, b', '', 'a'.repeat(129)])
    expect(callers.findAccount(id, config())).toEqual({ problem: 'no_account' })
  expect(world.reads).toBe(0)
})

test('not heard: one second', async () => {
  const { callers, world, account, key } = setUp()
  const snapshot = config()
  world.heard = false
  account('a')
  key('k', 'a')
  await callers.findKey('k', snapshot)
  world.nowMs += 1_000
  await callers.findKey('k', snapshot)
  expect(world.reads).toBe(2)
})

test('an account that changes while a key of it is being read is read again for the next call', async () => {
  const { callers, world, account, key } = setUp()
  const snapshot = config()
  account('a')
  key('k', 'a')
  let go = (): void => {}
  world.held = new Promise((resolve) => {
    go = resolve
  })
  const early = callers.findKey('k', snapshot)
  account('a', { closedAtMs: 5 })
  callers.drop('account', 'a')
  go()
  await early
  world.held = undefined
  expect(await callers.findKey('k', snapshot)).toEqual({ problem: 'closed' })
})

test('a key of an account of the files; of one that the files lost; of one that nobody has', async () => {
  const { callers, key } = setUp()
  key('k', 'filed')
  key('l', 'lost')
  expect((await callers.findKey('k', config())).value?.account.id).toBe('filed')
  expect((await callers.findKey('l', config())).problem).toBe('no_account')
  expect((await callers.findKey('l', config('trim: {}', '  lost: { plan: pro }\n'))).value?.account.id).toBe('lost')
})

test('records that cannot be read are a problem of their own', async () => {
  const { callers, keys, accounts, key } = setUp()
  keys.set('k', 'a {"v":9}')
  accounts.set('b', 'nonsense')
  key('l', 'b')
  expect(await callers.findKey('k', config())).toEqual({ problem: 'unreadable' })
  expect(await callers.findKey('l', config())).toEqual({ problem: 'unreadable' })
})
