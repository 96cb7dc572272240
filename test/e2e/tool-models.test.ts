/** A tool of the provider's that runs another model: what that one uses is held and charged at its own price. */
import { expect, test } from 'vitest'
import { startCountingUpstream } from '../support/counting-upstream.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

/** USD a token: gpt-5-nano 0.001, gpt-image-1 0.01 and its pictures 0.1. */
const PRICES = `
  - { match: { model: "gpt-5-nano*" }, from: 2020-01-01, per_million: { input: "1000", output: "1000" }, context_window: 1000 }
  - { match: { model: "gpt-image-1" }, from: 2020-01-01, per_million: { input: "10000", output: "10000", image_output: "100000" } }
`
const DRAWING = { model: 'gpt-5-nano', input: 'draw', max_output_tokens: 50 }
const TOOL = { type: 'image_generation', quality: 'low', size: '1024x1024' }
const STATED = {
  image_gen: {
    input_tokens: 20,
    input_tokens_details: { text_tokens: 20, image_tokens: 0 },
    output_tokens: 272,
    output_tokens_details: { text_tokens: 0, image_tokens: 272 },
  },
}

function responseOf(more: object): object {
  return {
    id: 'resp_1',
    object: 'response',
    status: 'completed',
    model: 'gpt-5-nano',
    output: [{ type: 'image_generation_call', id: 'ig_1', status: 'completed', quality: 'low', size: '1024x1024' }],
    usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
    ...more,
  }
}

async function answering(
  answer: { readonly json?: object; readonly sse?: string; readonly polled?: object },
  use: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const upstream = await startCountingUpstream(({ method }, response) => {
    response.setHeader('content-type', answer.sse === undefined ? 'application/json' : 'text/event-stream')
    response.end(answer.sse ?? JSON.stringify(method === 'GET' ? answer.polled : answer.json))
  })
  const gateway = await startTestGateway({
    prices: PRICES,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`,
    settings: 'limits: { poll_first: 100ms }',
  })
  try {
    await gateway.grant('10000')
    await use(gateway)
  } finally {
    await gateway.close()
    await upstream.close()
  }
}

async function settled(gateway: TestGateway): Promise<Record<string, unknown>> {
  const [entry] = await waitFor('the settlement', async () => {
    const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'settle' })
    return entries.length > 0 && entries
  })
  return entry?.fields as Record<string, unknown>
}

// 5 tokens at 0.001, 20 at 0.01, 272 at 0.1.
const CHARGED = { charged: '27.405', tokens: { input: 3, output: 2 }, beside: [{ model: 'gpt-image-1' }] }

run('pictures that a response makes are charged at the price of the model that drew them', async () => {
  await answering({ json: responseOf({ tool_usage: STATED }) }, async (gateway) => {
    const answer = await gateway.post('/v1/responses', { ...DRAWING, tools: [TOOL] })
    expect(answer.status).toBe(200)
    expect(Number(answer.headers.get('x-tollgate-hold'))).toBeGreaterThan(27)
    expect(await settled(gateway)).toMatchObject(CHARGED)
  })
})

run('the same of a stream', async () => {
  const event = { type: 'response.completed', sequence_number: 1, response: responseOf({ tool_usage: STATED }) }
  const sse = `event: response.completed\ndata: ${JSON.stringify(event)}\n\n`
  await answering({ sse }, async (gateway) => {
    const answer = await gateway.post('/v1/responses', { ...DRAWING, stream: true, tools: [TOOL] })
    await answer.text()
    expect(await settled(gateway)).toMatchObject(CHARGED)
  })
})

run('the same of a background response, by what its end states', async () => {
  const json = responseOf({ status: 'queued', output: [], usage: null })
  await answering({ json, polled: responseOf({ tool_usage: STATED }) }, async (gateway) => {
    expect((await gateway.post('/v1/responses', { ...DRAWING, background: true, tools: [TOOL] })).status).toBe(200)
    expect(await settled(gateway)).toMatchObject(CHARGED)
  })
})

run('pictures whose tokens nobody states are counted by their quality and size, and flagged', async () => {
  await answering({ json: responseOf({}) }, async (gateway) => {
    await gateway.post('/v1/responses', { ...DRAWING, tools: [TOOL] })
    expect(await settled(gateway)).toMatchObject({ charged: '27.205', usage_flags: ['image_tool_counted'] })
  })
})

run('a response that makes no picture costs what it did without the tool', async () => {
  const none = { image_gen: { input_tokens: 0, output_tokens: 0 } }
  await answering({ json: responseOf({ output: [], tool_usage: none }) }, async (gateway) => {
    await gateway.post('/v1/responses', { ...DRAWING, tools: [TOOL] })
    const fields = await settled(gateway)
    expect(fields).toMatchObject({ charged: '0.005' })
    expect(fields['beside']).toBeUndefined()
  })
})

run('a tool whose model nothing prices is refused before anything is sent', async () => {
  await answering({ json: responseOf({}) }, async (gateway) => {
    const answer = await gateway.post('/v1/responses', { ...DRAWING, tools: [{ ...TOOL, model: 'gpt-image-9' }] })
    expect(answer.status).toBe(403)
    expect(await answer.json()).toMatchObject({ error: { code: 'model_unpriced', param: 'tools' } })
  })
})
