/** What calls are held for and charged where tiers, long contexts, a catalog or the provider's own figure decide. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { entitlementsFor, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

/** A token of output is 0.001 USD; input is free but in long contexts. */
const PRICES = `
  - match: { model: "tiered*" }
    per_million: { input: "0", output: "1000" }
    tiers:
      flex: "0.5"
      priority: { per_million: { output: "3000" } }
      long_context: [ { above: 1000, per_million: { input: "100", output: "2000" } } ]
  - { match: { model: "gpt-house" }, like: gpt-4o }
  - { match: { model: "gpt-4o" }, charge: { markup: "1.5" } }
catalog: genai-prices
`

let upstream: CountingUpstream
let gateway: TestGateway
/** What the upstream's next answer says beside its text. */
let answer: Record<string, unknown> = {}

beforeAll(async () => {
  if (!redisAvailable) return
  upstream = await startCountingUpstream((request, response) => {
    const { stream } = JSON.parse(request.body) as { stream?: boolean }
    const choice = stream ? { delta: { content: 'hi' } } : { message: { role: 'assistant', content: 'hi' } }
    const body = { id: 'c1', model: 'm', choices: [{ index: 0, finish_reason: 'stop', ...choice }], ...answer }
    response.setHeader('content-type', stream ? 'text/event-stream' : 'application/json')
    response.end(stream ? `data: ${JSON.stringify(body)}\n\ndata: [DONE]\n\n` : JSON.stringify(body))
  })
  gateway = await startTestGateway({ prices: PRICES, upstreams: upstreams() })
  await gateway.grant('10000')
}, 180_000)
afterAll(async () => {
  await gateway?.close()
  await upstream?.close()
})

function upstreams(): string {
  return `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["*"] }
  stated: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: [], charge_by: provider }`
}

const TOKENS = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 }

const seqs = new Map<TestGateway, number>()
async function call(body: object, more: Record<string, unknown>, path = '/v1/chat/completions', through = gateway) {
  answer = { usage: TOKENS, ...more }
  const afterSeq = seqs.get(through) ?? 0
  const response = await through.post(path, { max_tokens: 100, messages: [{ role: 'user', content: 'x' }], ...body })
  expect(response.status).toBe(200)
  await response.text()
  const [entry] = await waitFor('the settlement', async () => {
    const entries = await through.wallet.ledger('acme', { afterSeq, limit: 1, type: 'settle' })
    return entries.length > 0 && entries
  })
  seqs.set(through, entry?.seq ?? afterSeq)
  return { hold: response.headers.get('x-tollgate-hold'), ...(entry?.fields as Record<string, unknown>) } as Record<
    string,
    unknown
  >
}

run.each<[string, object, Record<string, unknown>, string, string]>([
  ['nothing asked, nothing stated', {}, {}, '0.1', '0.02'],
  ['a dearer tier asked and served', { service_tier: 'priority' }, { service_tier: 'priority' }, '0.3', '0.06'],
  ['a dearer one asked, the default served', { service_tier: 'priority' }, { service_tier: 'default' }, '0.3', '0.02'],
  ['a cheaper one asked and served', { service_tier: 'flex' }, { service_tier: 'flex' }, '0.1', '0.01'],
  ['a cheaper one asked, the default served', { service_tier: 'flex' }, { service_tier: 'default' }, '0.1', '0.02'],
  ['one asked, and nothing said of it', { service_tier: 'flex' }, {}, '0.1', '0.01'],
  ['a dearer one served that nobody asked for', {}, { service_tier: 'priority' }, '0.1', '0.06'],
])('a call is held at the dearer of two tiers and charged by the one that served it: %s', async (...row) => {
  const [, asked, stated, hold, charged] = row
  for (const stream of [false, true]) {
    const settled = await call({ model: 'tiered', stream, ...asked }, stated)
    expect([settled['hold'], settled['charged'], settled['unpriced_kinds']]).toEqual([hold, charged, undefined])
  }
})

run('a tier without terms costs what the default one does, and is named and counted', async () => {
  const settled = await call({ model: 'tiered-scale' }, { service_tier: 'scale' })
  expect(settled).toMatchObject({ charged: '0.02', unpriced_kinds: ['tier:scale'] })
  expect(await metricOf(gateway, 'unpriced_kinds_total', { model: 'tiered-scale', kind: 'tier:scale' })).toBe(1)
})

run('a long context is held by the input counted high, and charged by the input that was', async () => {
  const content = 'word '.repeat(3000)
  const messages = [{ role: 'user', content }]
  const usage = { prompt_tokens: 1001, completion_tokens: 20, total_tokens: 1021 }
  const long = await call({ model: 'tiered', messages }, { usage })
  // 1,001 tokens of input at 0.0001 and 20 of output at 0.002.
  expect(long['charged']).toBe('0.1401')
  expect(Number(long['hold'])).toBeGreaterThan(0.2)
  const short = await call({ model: 'tiered', messages }, { usage: { ...usage, prompt_tokens: 1000 } })
  expect([short['charged'], Number(short['hold']) > 0.2]).toEqual(['0.02', true])
})

run(
  'a name of our own is priced as the model that it stands for, by the catalog, and the price’s version says so',
  async () => {
    const settled = await call({ model: 'gpt-house' }, { service_tier: 'priority' })
    // gpt-4o at its priority tier, × 1.5: (10 × 4.25 + 20 × 17) millionths.
    expect(settled).toMatchObject({ cost: '0.0003825', charged: '0.00057375' })
    expect(settled['price_version']).toMatch(/^[0-9a-f]{12}\.[0-9a-f]{8}$/)
    const [hold] = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: 'hold' })
    expect(hold?.fields['price_version']).toBe(settled['price_version'])
  },
)

run('a model that neither entry nor catalog has is refused', async () => {
  const response = await gateway.post('/v1/chat/completions', { model: 'gpt-nobody', messages: [] })
  expect([response.status, response.headers.get('x-tollgate-error')]).toEqual([403, 'model_unpriced'])
})

const COST = { usage: { ...TOKENS, cost: 0.5 } }
const STATED = '/u/stated/v1/chat/completions'

run('what the provider says that a call cost stands beside our own figure', async () => {
  for (const stream of [false, true]) {
    const settled = await call({ model: 'gpt-4o', stream }, COST)
    expect(settled).toMatchObject({ stated_cost: '0.5', cost: '0.000225', charged: '0.0003375' })
    expect(settled['charged_by']).toBeUndefined()
  }
})

run('under charge_by: provider it is charged × markup', async () => {
  for (const stream of [false, true]) {
    const settled = await call({ model: 'gpt-4o', stream }, COST, STATED)
    expect(settled).toMatchObject({ stated_cost: '0.5', cost: '0.000225', charged: '0.75', charged_by: 'provider' })
  }
  const free = await call({ model: 'gpt-4o' }, { usage: { ...TOKENS, cost: 0 } }, STATED)
  expect(free).toMatchObject({ stated_cost: '0', charged: '0' })
})

run.each([
  ['below zero', { ...TOKENS, cost: -1 }],
  ['beyond what any call costs', { ...TOKENS, cost: 10_001 }],
  ['a thousand times and more than ours', { ...TOKENS, cost: 2 }],
])('a cost that cannot be true is ignored and flagged: %s', async (_, usage) => {
  const settled = await call({ model: 'gpt-4o' }, { usage }, STATED)
  expect(settled).toMatchObject({ charged: '0.0003375', usage_flags: ['stated_cost_absurd'] })
  expect(settled['stated_cost']).toBeUndefined()
})

run('a provider that states none is charged by ours', async () => {
  const settled = await call({ model: 'gpt-4o' }, {}, STATED)
  expect(settled).toMatchObject({ charged: '0.0003375' })
  expect([settled['stated_cost'], settled['charged_by']]).toEqual([undefined, undefined])
})

async function inEuros(rates: string, body: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const entitlements = `${entitlementsFor('').replace('USD', 'EUR')}${rates}`
  const euros = await startTestGateway({ prices: PRICES, upstreams: upstreams(), entitlements })
  try {
    await euros.grant('100', 'acme', 'EUR')
    await body(euros)
  } finally {
    await euros.close()
  }
}

run('a wallet in another unit is held and charged at the declared rate, and what it costs us stays', async () => {
  await inEuros('rates: [ { from: USD, to: EUR, rate: "0.8" } ]\n', async (euros) => {
    const rate = { from: 'USD', to: 'EUR', rate: '0.8' }
    const ours = await call(
      { model: 'tiered', service_tier: 'priority' },
      { service_tier: 'priority' },
      undefined,
      euros,
    )
    expect(ours).toMatchObject({ hold: '0.24', charged: '0.048', cost: '0.06', cost_unit: 'USD', rate })
    const stated = await call({ model: 'gpt-4o' }, COST, STATED, euros)
    expect(stated).toMatchObject({ stated_cost: '0.5', charged: '0.6', charged_by: 'provider', cost: '0.000225', rate })
  })
})

run('without a rate a wallet in another unit is refused', async () => {
  await inEuros('rates: [ { from: EUR, to: USD, rate: "1.25" } ]\n', async (euros) => {
    const response = await euros.post('/v1/chat/completions', { model: 'tiered', messages: [] })
    expect([response.status, response.headers.get('x-tollgate-error')]).toEqual([402, 'unit_mismatch'])
  })
})
