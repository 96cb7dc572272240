/** What goes through all accounts beside the calls, with those in Redis: allowances in the background, the sweep, gauges. */
import { expect } from 'vitest'
import { AccountStore } from '../../src/accounts/account-store.ts'
import { allowancesInRedis, firstInRedis, idsInRedis } from '../../src/accounts/background.ts'
import { AccountDirectory } from '../../src/accounts/directory.ts'
import { parseConfig } from '../../src/config/parse-config.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { SILENT_LOG } from '../../src/log.ts'
import type { RedisClient } from '../../src/redis/client.ts'
import { AllowanceKeeper } from '../../src/wallet/allowance-keeper.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

function config(plans: string, accounts = ''): Snapshot {
  const text = `version: 1\nplans:\n${plans}\naccounts:\n  filed: { plan: plain }\n${accounts}`
  const { snapshot, problems } = parseConfig(
    {
      tollgate: { file: '/t.yaml', text: 'version: 1\nupstreams: {}\n' },
      entitlements: { file: '/e.yaml', text },
      prices: { file: '/p.yaml', text: 'version: 1\nunit: USD\nentries: []\n' },
    },
    {},
  )
  if (!snapshot) throw new Error(JSON.stringify(problems))
  return snapshot
}

const PLANS = '  plain: { unit: USD }\n  monthly: { unit: USD, allowance: { amount: "2.00", every: month } }'

function setUp(name: string) {
  const world = { snapshot: config(PLANS) }
  const store = new AccountStore(harness.redis as unknown as RedisClient)
  const directory = new AccountDirectory({ snapshot: () => world.snapshot, store })
  const keeper = new AllowanceKeeper({
    wallet: harness.wallet,
    redis: harness.redis as unknown as RedisClient,
    accounts: () => world.snapshot.accounts,
    others: allowancesInRedis(directory, () => world.snapshot.defaultPlan?.allowance),
    log: SILENT_LOG,
    nowMs: () => harness.clock.nowMs,
  })
  const make = (id: string, plan: string) =>
    store.createAccount(
      `${name}-${id}`,
      { plan, labels: {}, givenOverrides: {}, createdAtMs: 1, closedAtMs: undefined },
      undefined,
    )
  const states = async (id: string) =>
    (await harness.wallet.grants(`${name}-${id}`)).map(({ key, state }) => `${key?.slice(0, 9)} ${state}`)
  return { world, store, directory, keeper, make, states }
}

const BOTH = ['allowance usable', 'allowance pending']

redisTest(
  'the background makes allowances of accounts that make no calls, and only of those whose plan has one',
  async () => {
    const { keeper, make, states } = setUp('bg')
    for (let i = 0; i < 30; i++) await make(`m${i}`, 'monthly')
    await make('p', 'plain')
    await keeper.tickOthers()
    expect(await states('m0')).toEqual(BOTH)
    expect(await states('m29')).toEqual(BOTH)
    expect(await states('p')).toEqual([])
  },
)

redisTest(
  'a plan that is missing for a while takes nothing away; one that is closed loses what is to come',
  async () => {
    const { world, store, keeper, make, states } = setUp('gone')
    await make('a', 'monthly')
    await make('b', 'monthly')
    await keeper.tickOthers()
    world.snapshot = config('  plain: { unit: USD }')
    await keeper.tickOthers()
    await keeper.ensure('gone-a')
    expect(await states('a')).toEqual(BOTH)
    world.snapshot = config(PLANS)
    await store.updateAccount('gone-b', (kept) => ({ ...kept, closedAtMs: 1 }))
    await keeper.tickOthers()
    expect(await states('b')).toEqual(['allowance usable', 'allowance voided'])
    expect(await states('a')).toEqual(BOTH)
  },
)

redisTest('an allowance that its plan lost while no gateway ran is noticed by the next one', async () => {
  const first = setUp('lost')
  await first.make('a', 'monthly')
  // Made by a call, before any round has been there.
  await first.keeper.ensure('lost-a')
  const second = setUp('lost')
  second.world.snapshot = config('  plain: { unit: USD }\n  monthly: { unit: USD }')
  await second.keeper.tickOthers()
  expect(await second.states('a')).toEqual(['allowance usable', 'allowance voided'])
})

redisTest('an account that the files took over is theirs', async () => {
  const { world, keeper, directory, make, states } = setUp('both')
  await make('a', 'monthly')
  world.snapshot = config(PLANS, '  both-a: { plan: plain }\n')
  await keeper.tickOthers()
  await keeper.tick()
  expect(await states('a')).toEqual([])
  const ids: string[] = []
  for await (const page of idsInRedis(directory)) ids.push(...page)
  expect(ids).not.toContain('both-a')
})

redisTest('the first of Redis by id, as many as are asked for', async () => {
  const { directory, make } = setUp('0-first')
  for (const id of ['c', 'a', 'b']) await make(id, 'plain')
  expect(await firstInRedis(directory, 2)).toEqual(['0-first-a', '0-first-b'])
  expect((await firstInRedis(directory, 1_000)).slice(0, 3)).toEqual(['0-first-a', '0-first-b', '0-first-c'])
})
