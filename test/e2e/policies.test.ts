/** What the config decides where a price or an answer is missing. */
import { afterEach, expect, test } from 'vitest'
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const CHAT = '/v1/chat/completions'
/** 0.001 USD a token; what is cached has no rate of its own. */
const PRICES = `
  - { match: { model: "gpt-5-mini" }, from: 2020-01-01, per_million: { input: "1000", output: "1000" } }
`
const BODY = { max_tokens: 20, messages: [{ role: 'user', content: 'hello there, how are you today?' }] }

let gateway: TestGateway | undefined
let upstream: CountingUpstream | undefined
afterEach(async () => {
  await gateway?.close()
  await upstream?.close()
  gateway = undefined
  upstream = undefined
})

async function start(options: { policy?: string; settings?: string; answer?: unknown }): Promise<TestGateway> {
  upstream = await startCountingUpstream((_request, response) => {
    if (options.answer === undefined) {
      response.destroy()
      return
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(options.answer))
  })
  gateway = await startTestGateway({
    prices: PRICES,
    settings: options.settings ?? '',
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["*"]${options.policy ?? ''} }`,
  })
  await gateway.grant('10')
  return gateway
}

async function end(on: TestGateway): Promise<{ type: string; fields: Readonly<Record<string, unknown>> }> {
  return waitFor('the end', async () => {
    const entries = await on.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: undefined })
    return entries.find((entry) => entry.type === 'settle' || entry.type === 'void')
  })
}

run('no answer: nothing is charged, and what may have been billed is counted', async () => {
  const on = await start({})
  expect((await on.post(CHAT, { model: 'gpt-5-mini', ...BODY })).status).toBe(502)
  expect((await end(on)).type).toBe('void')
  expect(await metricOf(on, 'unbilled_exposure_total', { account: 'acme' })).toBeGreaterThan(0)
  expect((await on.balance())['posted']).toBe('0')
})

run('no answer under on_no_answer: floor: the input that could be seen is charged, counted low', async () => {
  const on = await start({ policy: ', on_no_answer: floor' })
  expect((await on.post(CHAT, { model: 'gpt-5-mini', ...BODY })).status).toBe(502)
  const { type, fields } = await end(on)
  expect([type, fields['usage_source']]).toEqual(['settle', 'estimate'])
  const posted = Number((await on.balance())['posted'])
  expect(posted).toBeGreaterThan(0)
  expect(posted).toBeLessThan(0.01)
})

const USED = { prompt_tokens: 30, completion_tokens: 5, total_tokens: 35, prompt_tokens_details: { cached_tokens: 20 } }
const ANSWER = {
  id: 'c',
  model: 'gpt-5-mini',
  choices: [{ index: 0, finish_reason: 'stop', message: {} }],
  usage: USED,
}

run.each([
  ['parent', '0.035'],
  ['zero', '0.015'],
])(
  'a kind without a rate under unpriced_kind: %s costs %s, is named on the charge and counted',
  async (policy, charged) => {
    const on = await start({ answer: ANSWER, settings: `metering: { unpriced_kind: ${policy} }` })
    expect((await on.post(CHAT, { model: 'gpt-5-mini', ...BODY })).status).toBe(200)
    expect((await end(on)).fields).toMatchObject({
      charged,
      unpriced_kinds: ['cached_input'],
      usage_source: 'provider',
    })
    expect(await metricOf(on, 'unpriced_kinds_total', { model: 'gpt-5-mini', kind: 'cached_input' })).toBe(1)
  },
)

run('a model without a price is refused, and nothing is sent', async () => {
  const on = await start({ answer: ANSWER })
  const answer = await on.post(CHAT, { model: 'gpt-unknown', ...BODY })
  expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([403, 'model_unpriced'])
  expect(upstream?.requests).toHaveLength(0)
})

run('under unpriced_model: allow_unmetered it passes at nothing, and the ledger has what it used', async () => {
  const on = await start({ answer: ANSWER, settings: 'metering: { unpriced_model: allow_unmetered }' })
  const answer = await on.post(CHAT, { model: 'gpt-unknown', ...BODY })
  expect([answer.status, answer.headers.get('x-tollgate-cost')]).toEqual([200, '0'])
  expect((await end(on)).fields).toMatchObject({ charged: '0', tokens: { input: 10, cached_input: 20, output: 5 } })
  expect(await metricOf(on, 'tokens_total', { model: 'gpt-unknown', kind: 'output' })).toBe(5)
})
