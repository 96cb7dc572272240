/** Which price counts where the answer is by another model than was asked for, or by several. */
import { expect, test } from 'vitest'
import { CHAT_ANSWER, startCountingUpstream } from '../support/counting-upstream.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

/** USD a token: gpt-5-mini 0.001, gpt-5 0.01, routers 0.1. */
const PRICES = `
  - { match: { model: "openrouter/auto" }, from: 2020-01-01, per_million: { input: "100000", output: "100000" } }
  - { match: { model: "gpt-5-mini*" }, from: 2020-01-01, per_million: { input: "1000", output: "1000" } }
  - { match: { model: "*:free" }, from: 2020-01-01, per_million: { input: "0", output: "0" } }
  - { match: { model: "openai/gpt-5" }, from: 2020-01-01, per_million: { input: "100000", output: "100000" } }
  - { match: { model: "gpt-5*" }, from: 2020-01-01, per_million: { input: "10000", output: "10000" } }
  - { match: { model: "claude-opus*" }, from: 2020-01-01, per_million: { input: "10000", cached_input: "1000", output: "10000" } }
  - { match: { model: "claude-haiku*" }, from: 2020-01-01, per_million: { input: "1000", output: "1000" } }
`

async function answering(answer: unknown, use: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const upstream = await startCountingUpstream((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answer))
  })
  const gateway = await startTestGateway({
    plan: 'models: ["gpt-*", "openrouter/*", "openai/*", "claude-haiku*"]',
    prices: PRICES,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*", "openrouter/*", "openai/*"] }
  anthropic: { format: anthropic, base_url: "${upstream.url}", api_key: k, models: ["claude-*"] }`,
  })
  try {
    await gateway.grant('1000')
    await use(gateway)
  } finally {
    await gateway.close()
    await upstream.close()
  }
}

async function charge(
  gateway: TestGateway,
  path: string,
  model: string,
  more: object = {},
): Promise<Record<string, unknown>> {
  const messages = [{ role: 'user', content: 'hello' }]
  const answer = await gateway.post(path, { model, max_tokens: 20, messages, ...more })
  expect(answer.status).toBe(200)
  const [entry] = await waitFor('the settlement', async () => {
    const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'settle' })
    return entries.length > 0 && entries
  })
  return entry?.fields as Record<string, unknown>
}

run.each<[string, string, string, string, number, object]>([
  ['a dated snapshot', 'gpt-5-mini', 'gpt-5-mini-2025-08-07', '0.005', 0, {}],
  ['another model', 'gpt-5-mini', 'gpt-5', '0.005', 1, { answered_model: 'gpt-5' }],
  ['what a router took', 'openrouter/auto', 'openai/gpt-5-mini', '0.5', 1, { answered_model: 'openai/gpt-5-mini' }],
  [
    'what a router took, which has a price of its own',
    'openrouter/auto',
    'gpt-5',
    '0.05',
    1,
    { priced_model: 'gpt-5' },
  ],
])('answered by %s: asked for %s, answered by %s', async (_name, asked, answered, charged, counted, fields) => {
  await answering({ ...CHAT_ANSWER, model: answered }, async (gateway) => {
    expect(await charge(gateway, '/v1/chat/completions', asked)).toMatchObject({ charged, model: asked, ...fields })
    expect(await metricOf(gateway, 'other_model_total', { upstream: 'openai', model: asked })).toBe(counted)
  })
})

run('passes on several models are billed each at its own model’s price, though the top level says less', async () => {
  const answer = {
    id: 'msg_1',
    type: 'message',
    model: 'claude-haiku-4-5',
    content: [{ type: 'text', text: 'hello' }],
    stop_reason: 'end_turn',
    usage: {
      input_tokens: 3,
      output_tokens: 2,
      iterations: [
        { type: 'message', input_tokens: 3, output_tokens: 2 },
        {
          type: 'advisor_message',
          model: 'claude-opus-4-7',
          input_tokens: 5,
          cache_read_input_tokens: 10,
          output_tokens: 4,
        },
        { type: 'advisor_message', model: 'nobody-knows', input_tokens: 1, output_tokens: 1 },
      ],
    },
  }
  await answering(answer, async (gateway) => {
    // 5 at 0.001, 9 at 0.01 and 10 at 0.001, and 2 of the model without a price at the caller's own.
    expect(await charge(gateway, '/v1/messages', 'claude-haiku-4-5')).toMatchObject({
      charged: '0.107',
      tokens: { input: 9, cached_input: 10, output: 7 },
      unpriced_kinds: ['pass_model'],
    })
  })
})

run('a model that answers in the place of another is held and charged at its own price', async () => {
  await answering({ ...CHAT_ANSWER, model: 'openai/gpt-5' }, async (gateway) => {
    const others = { models: ['gpt-5-mini', 'openai/gpt-5'] }
    const held = await gateway.post('/v1/chat/completions', ask(others), { 'x-tollgate-dry-run': '1' })
    // 20 tokens of output at 0.1, which is the dearer one's.
    expect(Number(((await held.json()) as { hold: string }).hold)).toBeGreaterThan(2)
    const fields = { charged: '0.5', priced_model: 'openai/gpt-5' }
    expect(await charge(gateway, '/v1/chat/completions', 'gpt-5-mini', others)).toMatchObject(fields)
  })
})

run('a free variant is no way to the paid one that answers in its place', async () => {
  await answering({ ...CHAT_ANSWER, model: 'openai/gpt-5' }, async (gateway) => {
    const others = { models: ['openai/gpt-5'] }
    expect(await charge(gateway, '/v1/chat/completions', 'openai/gpt-5:free', others)).toMatchObject({ charged: '0.5' })
  })
})

run('the model that is asked for is charged where it answers itself, whatever else might have', async () => {
  await answering({ ...CHAT_ANSWER, model: 'gpt-5-mini-2025-08-07' }, async (gateway) => {
    const others = { models: ['openai/gpt-5'] }
    expect(await charge(gateway, '/v1/chat/completions', 'gpt-5-mini', others)).toMatchObject({ charged: '0.005' })
  })
})

run.each<[string, object, string]>([
  ['without a price', { models: ['gpt-9'] }, 'model_unpriced'],
  ['without a price, as a fallback', { fallbacks: [{ model: 'gpt-9' }] }, 'model_unpriced'],
  ['that the plan does not have', { models: ['claude-opus-4-7'] }, 'not_entitled'],
  ['that is no name', { models: [5] }, 'invalid_request'],
])('a further model %s is refused', async (_name, others, code) => {
  await answering(CHAT_ANSWER, async (gateway) => {
    const answer = await gateway.post('/v1/chat/completions', ask(others))
    expect(answer.headers.get('x-tollgate-error')).toBe(code)
  })
})

function ask(more: object): object {
  return { model: 'gpt-5-mini', max_tokens: 20, messages: [{ role: 'user', content: 'hello' }], ...more }
}
