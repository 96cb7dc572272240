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
    prices: PRICES,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*", "openrouter/*"] }
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

async function charge(gateway: TestGateway, path: string, model: string): Promise<Record<string, unknown>> {
  const answer = await gateway.post(path, { model, max_tokens: 20, messages: [{ role: 'user', content: 'hello' }] })
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
