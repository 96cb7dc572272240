/** What the answers say of money, to the letter: headers, admin API, ledger entries, metrics (SPEC sections 6 to 8). */
import { expect, test } from 'vitest'
import { periodAfter } from '../../src/core/overflow-period.ts'
import { tollgate } from '../support/cli.ts'
import { entitlementsFor, type TestGateway, withGateway } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
// biome-ignore lint/suspicious/noExplicitAny: taken apart by assertions, which say what they expect of it
type Json = any

const CHAT = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }

/** 100 output tokens at 0.001 USD, unless the simulator is told otherwise. */
function call(gateway: TestGateway, simulate = 'output=100', headers: Record<string, string> = {}, more: object = {}) {
  return gateway.post('/v1/chat/completions', { ...CHAT, ...more }, { 'x-simulate': simulate, ...headers })
}

async function json(answer: Response | Promise<Response>): Promise<Json> {
  return (await answer).json()
}

/** Of the admin API. */
async function entries(gateway: TestGateway, type: string): Promise<Json[]> {
  return (await json(gateway.admin('GET', `accounts/acme/ledger?type=${type}`))).items
}

function settles(gateway: TestGateway, count: number): Promise<Json[]> {
  return waitFor(`${count} settles`, async () => {
    const found = await entries(gateway, 'settle')
    return found.length === count ? found : undefined
  })
}

const OVERFLOW =
  'trim: { enabled: false }\non_exhausted: { mode: overflow, cap: "1.00", period: month, multiplier: "1.5" }'

run('what overflow costs beyond the price is in header, cost comment and metric, as it is in the ledger', async () => {
  await withGateway({ plan: OVERFLOW }, async (gateway) => {
    await gateway.grant('0.04')
    const answer = await call(gateway)
    await answer.text()
    expect([answer.headers.get('x-tollgate-hold'), answer.headers.get('x-tollgate-cost')]).toEqual(['0.13', '0.13'])
    expect((await settles(gateway, 1))[0]).toMatchObject({ charged: '0.13', cost: '0.1', hold: '0.13' })
    const stream = await call(gateway, 'output=20', { 'x-tollgate-cost': 'stream' }, { stream: true })
    expect(await stream.text()).toContain(': tollgate cost=0.03 unit=USD input=9 output=20 available=0\n')
    expect((await settles(gateway, 2))[1]).toMatchObject({ charged: '0.03' })
    expect(await metricOf(gateway, 'charged_total', { account: 'acme' })).toBeCloseTo(0.16, 9)
    expect(await metricOf(gateway, 'cost_total', { account: 'acme' })).toBeCloseTo(0.12, 9)
  })
})

run('a hold that is charged whole comes to what was held, whatever its multiplier', async () => {
  const upstreams =
    '  openai: { format: openai, base_url: "{simulator}/v1", api_key: k, models: ["*"], missing_usage: keep_hold }'
  await withGateway({ plan: OVERFLOW, upstreams }, async (gateway) => {
    await gateway.grant('0.04')
    await (await call(gateway, 'output=10,fault=no_usage')).text()
    expect((await settles(gateway, 1))[0]).toMatchObject({ charged: '0.13', hold: '0.13', usage_source: 'estimate' })
  })
})

run('a stream that comes to overflow in a later slice says what it is charged', async () => {
  await withGateway({ plan: `${OVERFLOW}\nstreaming: { slice_tokens: 20 }` }, async (gateway) => {
    await gateway.grant('0.05')
    const stream = await call(gateway, 'output=90,tps=100', { 'x-tollgate-cost': 'stream' }, { stream: true })
    expect(stream.headers.get('x-tollgate-overage')).toBeNull()
    expect(await stream.text()).toContain('cost=0.11 unit=USD input=9 output=90 available=0\n')
    expect((await settles(gateway, 1))[0]).toMatchObject({ charged: '0.11', overage: { mode: 'overflow' } })
  })
})

run('a stream that is charged whole comes to what was held, where a later slice came to overflow', async () => {
  const upstreams =
    '  openai: { format: openai, base_url: "{simulator}/v1", api_key: k, models: ["*"], missing_usage: keep_hold }'
  await withGateway({ plan: `${OVERFLOW}\nstreaming: { slice_tokens: 20 }`, upstreams }, async (gateway) => {
    await gateway.grant('0.05')
    await (await call(gateway, 'output=90,tps=100,fault=no_usage', {}, { stream: true })).text()
    const [settle] = await settles(gateway, 1)
    expect(settle).toMatchObject({ usage_source: 'estimate', overage: { mode: 'overflow' } })
    expect(settle.charged).toBe(settle.hold)
  })
})

run('what is available after a stream is what the wallet then has, although it took slices', async () => {
  const plan = 'streaming: { slice_tokens: 20 }'
  await withGateway({ plan }, async (gateway) => {
    await gateway.grant('1')
    const stream = await call(gateway, 'output=90,tps=100', { 'x-tollgate-cost': 'stream' }, { stream: true })
    expect(await stream.text()).toContain('cost=0.09 unit=USD input=9 output=90 available=0.91\n')
    await settles(gateway, 1)
    expect((await entries(gateway, 'checkpoint')).length).toBeGreaterThan(0)
    expect(await gateway.balance()).toMatchObject({ available: '0.91' })
  })
})

run('postpaid is no overage in the ledger or the metric either; what went there is in the legs', async () => {
  await withGateway({ plan: 'on_exhausted: { mode: postpaid }' }, async (gateway) => {
    await (await call(gateway)).text()
    expect((await settles(gateway, 1))[0]).toMatchObject({
      overage: null,
      charged: '0.1',
      legs: [
        { account: 'postpaid', amount: '-0.1', unit: 'USD' },
        { account: 'consumed', amount: '0.1', unit: 'USD' },
      ],
    })
    expect(await metricOf(gateway, 'overage_total', { account: 'acme' })).toBeFalsy()
  })
})

run('an overflow period closes while it runs: open calls pin it, and what comes later goes to the next', async () => {
  await withGateway({ plan: OVERFLOW }, async (gateway) => {
    const period = new Date().toISOString().slice(0, 7)
    const next = periodAfter(period) as string
    const path = `accounts/acme/overflow/${period}`
    expect(await json(gateway.admin('GET', path))).toEqual({
      ...{ period, unit: 'USD', state: 'open', amount: '0', closed_at: null, lines: [] },
    })
    await (await call(gateway)).text()
    await settles(gateway, 1)
    const open = call(gateway, 'output=100,latency=1200')
    await waitFor('the hold', async () => (await gateway.wallet.holds('acme'))[0])
    const pinned = await gateway.admin('POST', `${path}/close`, {})
    expect([pinned.status, (await json(pinned)).error.code]).toEqual([409, 'conflict'])
    const closed = await gateway.admin('POST', `${path}/close`, { force: true })
    expect([closed.status, await json(closed)]).toMatchObject([
      200,
      { period, state: 'closed', amount: '0.15', closed_at: expect.any(String), lines: [{ amount: '0.15' }] },
    ])
    expect((await open).status).toBe(200)
    await settles(gateway, 2)
    // The call that pinned it, and one that comes after, belong to the next period; the invoice item stays as it is.
    await (await call(gateway)).text()
    await settles(gateway, 3)
    expect(await gateway.balance()).toMatchObject({
      overflow: '0.45',
      overflow_periods: { [period]: '0.15', [next]: '0.3' },
      headroom: '0.7',
    })
    expect((await gateway.admin('POST', `${path}/close`, { force: true })).status).toBe(409)
    expect((await entries(gateway, 'overflow_close'))[0]).toMatchObject({ period, amount: '0.15', heir: next })
  })
})

run.each([
  ['its next allowance', 'allowance: { amount: "0.05", every: day }', 86_400_000],
  ['a new period of overflow', 'on_exhausted: { mode: overflow, cap: "0.05", period: day }', 86_400_000],
  ['nothing but a grant', 'on_exhausted: { mode: negative, floor: "-0.05" }', undefined],
])('a refusal for money says when the wallet may spend more by itself: %s', async (_what, plan, everyMs) => {
  await withGateway({ plan: `trim: { enabled: false }\n${plan}` }, async (gateway) => {
    const refused = await call(gateway)
    const { error } = await json(refused)
    expect([refused.status, error.tollgate]).toMatchObject([402, { code: 'insufficient_funds', needed: '0.1' }])
    const midnight = everyMs && (Math.floor(Date.now() / everyMs) + 1) * everyMs
    expect(error.tollgate.resets_at).toBe(midnight ? new Date(midnight).toISOString() : null)
  })
})

run('payments are said in words, and a grant that waits for one has one', async () => {
  await withGateway({}, async (gateway) => {
    const body = { amount: '1', unit: 'USD', funding: 'external', availability: 'on_settled' }
    const made = await json(gateway.admin('POST', 'accounts/acme/grants', body))
    expect(made).toMatchObject({ payment: 'pending', state: 'pending' })
    for (const state of ['authorized', 'settled', 'failed'])
      expect((await gateway.admin('POST', `accounts/acme/grants/${made.id}/payment`, { state })).status).toBe(200)
    const paid = await entries(gateway, 'payment')
    expect(paid.map(({ payment }) => payment)).toEqual(['authorized', 'settled', 'failed'])
    const never = await gateway.admin('POST', 'accounts/acme/grants', { ...body, payment: 'none' })
    expect([never.status, (await json(never)).error.fields[0].field]).toEqual([422, 'payment'])
  })
})

run('an account is patched with the fields that made it, its own id too', async () => {
  await withGateway({}, async (gateway) => {
    const body = { id: 'cust', plan: 'main', labels: { tier: 'one' } }
    expect((await gateway.admin('POST', 'accounts', body)).status).toBe(201)
    const same = await gateway.admin('PATCH', 'accounts/cust', { ...body, labels: { tier: 'two' } })
    expect([same.status, (await json(same)).labels]).toEqual([200, { tier: 'two' }])
    const other = await gateway.admin('PATCH', 'accounts/cust', { ...body, id: 'other' })
    expect([other.status, (await json(other)).error.fields[0].field]).toEqual([422, 'id'])
    const without = await gateway.admin('POST', 'accounts', { plan: 'main' })
    expect((await json(without)).error.fields).toEqual([{ field: 'id', message: 'is missing' }])
  })
})

const BUDGETS = `budgets:
  - { name: rpd, match: {}, limit: 1, unit: requests, window: day, timezone: Europe/Paris }
  - { name: tpm, match: {}, limit: 5, unit: tokens, window: 5m, action: flag }
`

run('budgets are shown as the config writes them, and flagged by name', async () => {
  await withGateway({ entitlements: `${entitlementsFor('trim: { enabled: false }')}${BUDGETS}` }, async (gateway) => {
    await gateway.grant('1')
    await (await call(gateway)).text()
    await settles(gateway, 1)
    const { items } = await json(gateway.admin('GET', 'budgets?account=acme'))
    const shown = items.map(({ name, window, timezone, spent }: Json) => [name, window, timezone, spent])
    expect(shown.sort()).toEqual([
      ['rpd', 'day', 'Europe/Paris', '1'],
      ['tpm', '5m', null, '109'],
    ])
    const [hold] = await entries(gateway, 'hold')
    expect(hold.exceeded).toEqual(['tpm'])
    // In atoms, by ids of the wallet's own: nothing for a reader.
    expect([hold.budgets, hold.counters]).toEqual([undefined, undefined])
    expect((await call(gateway)).status).toBe(402)
    const event = (await entries(gateway, 'event')).find(({ op }) => op === 'budget.exceeded')
    expect(event).toMatchObject({ budget: 'rpd', window: 'day', timezone: 'Europe/Paris' })
    const controls = await tollgate(gateway, 'report', 'controls', 'acme')
    expect(controls.out).toContain('budget_exceeded rpd 1')
  })
})

run('a dry run speaks of money although a budget of requests refuses, and of what observe would do', async () => {
  await withGateway({ entitlements: `${entitlementsFor('trim: { enabled: false }')}${BUDGETS}` }, async (gateway) => {
    await gateway.grant('1')
    await (await call(gateway)).text()
    await settles(gateway, 1)
    expect(await json(call(gateway, '', { 'x-tollgate-dry-run': '1' }))).toEqual({
      ...{ decision: 'refuse', code: 'budget_exceeded', rule: 'rpd' },
      ...{ hold: '0.1', unit: 'USD', output_limit: 0, available: '0.9' },
    })
  })
  await withGateway({ plan: 'enforcement: observe' }, async (gateway) => {
    expect(await json(call(gateway, '', { 'x-tollgate-dry-run': '1' }))).toMatchObject({
      ...{ decision: 'overage', code: 'insufficient_funds', rule: 'funds', hold: '0.1' },
    })
    expect((await call(gateway)).status).toBe(200)
    const [settle] = await settles(gateway, 1)
    const [hold] = await entries(gateway, 'hold')
    expect([hold.would, settle.would]).toEqual([settle.would, { code: 'insufficient_funds', rule: 'funds' }])
    // No call is refused for want of money: there is no limit to what is flagged.
    expect(await gateway.balance()).toMatchObject({ headroom: null })
  })
})
