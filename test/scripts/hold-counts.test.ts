/** What a hold keeps of the budgets that it counts against: by the ids of counters, and as older gateways wrote it. */
import { expect } from 'vitest'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { commandsOf } from '../support/commands-of.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()

function budget(name: string, measure: string, lifeMs = 0): BudgetCount {
  return {
    name,
    measure,
    field: `${name}~${measure}~lifetime~account~a`,
    limit: 1000n,
    action: 'block',
    lifeMs,
    group: '',
    valuesMax: 10,
    window: { kind: 'lifetime' },
  }
}
const BUDGETS = [
  budget('money', 'USD'),
  budget('calls', 'requests'),
  budget('text', 'tokens'),
  budget('open', 'concurrent'),
]
const amounts = [{ measure: 'tokens', fixed: 20n, perToken: 0n, floor: 3n }]
const more: Partial<HoldRequest> = { budgets: BUDGETS, amounts, floorAtoms: 4n }

const keptOf = async ({ account }: TestAccount, id: string) =>
  (await harness.redis.hget(`tg:{${account}}:holds`, id))?.split('|')[9]

/** As every gateway wrote it before counters were named by their ids. */
async function nameByFields(account: TestAccount, id: string): Promise<void> {
  const key = `tg:{${account.account}}:holds`
  const parts = (await harness.redis.hget(key, id))?.split('|') ?? []
  const fields = await harness.redis.hgetall(`tg:{${account.account}}:budgets`)
  parts[9] = (parts[9] ?? '').replaceAll(/(?<=^|,)\d+(?=@)/g, (name) => fields[`i:${name}`] ?? '')
  await harness.redis.hset(key, id, parts.join('|'))
}

async function countsOf({ account }: TestAccount) {
  const { counters } = await harness.wallet.counters(account, '0', 100)
  return Object.fromEntries(
    counters.map(({ field, slots }) => [
      field.split('~')[0],
      slots.map(({ spent, held }) => `${spent} ${held}`).join(),
    ]),
  )
}

type Ends = readonly [string, (account: TestAccount, call: HoldRequest) => Promise<unknown>, Record<string, string>]
const late = async (account: TestAccount, call: HoldRequest): Promise<unknown> => {
  harness.clock.nowMs += 200_000
  await harness.wallet.sweep(account.account)
  return account.settle(call, 9n, { finals: { tokens: 8n } })
}
const ENDS: readonly Ends[] = [
  ['a settle', (account, call) => account.settle(call, 9n, { finals: { tokens: 8n } }), { money: '9 0', text: '8 0' }],
  [
    'a settle whose copy of the terms has no budgets',
    (account, call) => account.settle({ ...call, budgets: [] }, 9n, { finals: { tokens: 8n } }),
    { money: '9 0', text: '8 0' },
  ],
  ['a void', (account, call) => account.void(call.id), { money: '0 0', text: '0 0' }],
  [
    'a timeout',
    async (account) => {
      harness.clock.nowMs += 200_000
      await harness.wallet.sweep(account.account)
    },
    { money: '4 0', text: '3 0' },
  ],
  ['a late settle', late, { money: '9 0', text: '8 0' }],
  [
    'a further slice, then a settle',
    async (account, call) => {
      const extend = { perTokenAtoms: 1n, leastTokens: 1, wantTokens: 5 }
      expect((await account.checkpoint(call.id, 1, 5n, extend)).status).toBe('checkpointed')
      expect(await countsOf(account)).toMatchObject({ money: '0 15' })
      return account.settle(call, 14n, { finals: { tokens: 8n } })
    },
    { money: '14 0', text: '8 0' },
  ],
]

for (const form of ['ids', 'fields'] as const)
  for (const [name, end, counts] of ENDS)
    redisTest(`${name} ends what a hold counts that names counters by their ${form}`, async () => {
      const account = accountOf(harness)
      await account.grant(1000n)
      const call = account.call(10n, more)
      expect((await harness.wallet.hold(call)).status).toBe('held')
      expect(await keptOf(account, call.id)).toBe('1@0:10:4:0:1000,3@0:20:3:0:1000,4@0:1:0:0:1000')
      if (form === 'fields') await nameByFields(account, call.id)
      expect(await countsOf(account)).toEqual({ money: '0 10', calls: '1 0', text: '0 20', open: '0 1' })
      await end(account, call)
      expect(await countsOf(account)).toEqual({ ...counts, calls: '1 0', open: '0 0' })
      expect((await harness.wallet.check(account.account)).differences).toEqual([])
    })

redisTest('a hold of nothing counts in what came in the place of its counter', async () => {
  const account = accountOf(harness)
  await account.grant(1000n)
  const budgets = [budget('text', 'tokens', 2000)]
  const none = [{ measure: 'tokens', fixed: 0n, perToken: 0n, floor: 0n }]
  const call = account.call(10n, { budgets, amounts: none })
  await harness.wallet.hold(call)
  expect(await keptOf(account, call.id)).toBe('text~tokens~lifetime~account~a@0:0:0:0:1000')
  harness.clock.nowMs += 3000
  await harness.wallet.sweep(account.account)
  expect(await countsOf(account)).toEqual({})
  const other = account.call(10n, { budgets, amounts })
  await harness.wallet.hold(other)
  await account.settle(call, 9n, { finals: { tokens: 8n } })
  expect(await countsOf(account)).toEqual({ text: '8 20' })
  await account.settle(other, 9n, { finals: { tokens: 1n } })
  expect(await countsOf(account)).toEqual({ text: '9 0' })
  expect((await harness.wallet.check(account.account)).differences).toEqual([])
})

redisTest('a count of a hold that is not what the ledger says is put back, under the name that it has', async () => {
  for (const form of ['ids', 'fields'] as const) {
    const account = accountOf(harness)
    await account.grant(1000n)
    const call = account.call(10n, more)
    await harness.wallet.hold(call)
    if (form === 'fields') await nameByFields(account, call.id)
    const before = await keptOf(account, call.id)
    const key = `tg:{${account.account}}:holds`
    const record = (await harness.redis.hget(key, call.id)) ?? ''
    await harness.redis.hset(key, call.id, record.replace('@0:20:', '@0:21:'))
    expect((await harness.wallet.check(account.account)).differences).toMatchObject([
      { field: `hold ${call.id}.counts of text~tokens~lifetime~account~a 0`, kept: '21', ledger: '20' },
    ])
    const repaired = await harness.wallet.repair({
      account: account.account,
      dryRun: false,
      reason: 'test',
      actor: 'test',
    })
    expect(repaired.status).toBe('repaired')
    expect(await keptOf(account, call.id)).toBe(before)
  }
})

redisTest('a hold, and its end by a gateway that knows its terms, look into the budgets once each', async () => {
  const account = accountOf(harness)
  await account.grant(1000n)
  const budgetsAsked = async (act: () => Promise<unknown>): Promise<readonly string[]> => {
    const key = `tg:{${account.account}}:budgets`
    // As scripts write them: what a client sends has all the keys.
    const commands = (await commandsOf(harness.redis, act)).filter((command) => command.split(' ')[1] === key)
    return commands.map((command) => command.replace(key, '').replaceAll(/~\S+/g, '').toLowerCase())
  }
  const first = account.call(10n, more)
  await harness.wallet.hold(first)
  const call = account.call(10n, more)
  const look = 'hmget  c:money c:calls c:text c:open'
  const held = await budgetsAsked(() => harness.wallet.hold(call))
  expect(held.filter((command) => !command.startsWith('hset'))).toEqual([look])
  const ended = await budgetsAsked(() => account.settle(call, 9n, { finals: { tokens: 8n } }))
  expect(ended.filter((command) => !command.startsWith('hset'))).toEqual([look])
  expect(await countsOf(account)).toEqual({ money: '9 10', calls: '2 0', text: '8 20', open: '0 1' })
  // Without the terms the counters are found by what the hold keeps.
  const bare = await budgetsAsked(() => account.settle({ ...first, budgets: [] }, 9n, { finals: { tokens: 8n } }))
  expect(bare.filter((command) => !command.startsWith('hset'))).toEqual([
    'hmget  i:1 i:3 i:4',
    'hmget  c:money c:text c:open',
  ])
})
