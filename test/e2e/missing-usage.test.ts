/** What becomes of a call whose whole answer says nothing of its usage: an estimate, the whole hold, or the last of its kind. */
import { afterEach, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const CHAT = '/v1/chat/completions'
/** Both of input and output 0.001 USD a token. */
const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "1000", output: "1000" }
`

let gateway: TestGateway | undefined
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
})

/** The simulator's upstream with a policy for missing usage. */
async function start(policy: string, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { startSimulator } = await import('../../src/simulator/simulator.ts')
  const simulator = await startSimulator({ seed: 1 })
  const upstreams = `  openai: { format: openai, base_url: "${simulator.url}/v1", api_key: k, models: ["gpt-*"], missing_usage: ${policy} }`
  const started = await startTestGateway({ prices: PRICES, upstreams, ...options })
  gateway = {
    ...started,
    close: async () => {
      await started.close()
      await simulator.close()
    },
  }
  await gateway.grant('100')
  return gateway
}

const body = (more: Record<string, unknown> = {}) => ({
  model: 'gpt-5-mini',
  max_tokens: 200,
  messages: [{ role: 'user', content: 'hello' }],
  ...more,
})

async function settles(on: TestGateway, count: number) {
  return waitFor('the settlements', async () => {
    const entries = await on.wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: 'settle' })
    return entries.length >= count && entries
  })
}

run.each([false, true])(
  'estimate (stream: %s): what was delivered, said to be an estimate, and counted',
  async (stream) => {
    const on = await start('estimate')
    const answer = await on.post(CHAT, body({ stream }), { 'x-simulate': 'output=50,fault=no_usage' })
    await answer.text()
    const [entry] = await settles(on, 1)
    expect(entry?.fields['usage_source']).toBe('estimate')
    expect(Number(entry?.fields['charged'])).toBeLessThan(Number(answer.headers.get('x-tollgate-hold')))
    expect(await metricOf(on, 'usage_missing_total', { upstream: 'openai', model: 'gpt-5-mini' })).toBe(1)
    expect((await on.post(CHAT, body())).status).toBe(200)
  },
)

run.each([false, true])('keep_hold (stream: %s): the whole hold, said to be an estimate', async (stream) => {
  const on = await start('keep_hold')
  const answer = await on.post(CHAT, body({ stream }), { 'x-simulate': 'output=50,fault=no_usage' })
  await answer.text()
  const hold = answer.headers.get('x-tollgate-hold')
  const [entry] = await settles(on, 1)
  expect(entry?.fields).toMatchObject({ usage_source: 'estimate', charged: hold })
  expect((await on.balance())['posted']).toBe(hold)
  // With usage it is the usage.
  const next = await on.post(CHAT, body(), { 'x-simulate': 'input=5,output=50' })
  expect(next.headers.get('x-tollgate-cost')).toBe('0.055')
})

run('keep_hold: an answer that broke off is an estimate as ever', async () => {
  const on = await start('keep_hold')
  const answer = await on.post(CHAT, body({ stream: true }), { 'x-simulate': 'output=50,fault=reset_mid' })
  await answer.text()
  const [entry] = await settles(on, 1)
  expect(Number(entry?.fields['charged'])).toBeLessThan(Number(answer.headers.get('x-tollgate-hold')))
  expect(await metricOf(on, 'usage_missing_total')).toBe(0)
})

run.each([1, 2])(
  'deny_model with %i worker(s): one answer without usage, then none is sent, until the config is read again',
  async (workers) => {
    const on = await start('deny_model', { workers })
    const first = await on.post(CHAT, body(), { 'x-simulate': 'output=50,fault=no_usage' })
    expect(first.status).toBe(200)
    const refused = () =>
      Promise.all(Array.from({ length: 12 }, () => on.post(CHAT, body()))).then(
        (answers) => answers.every((answer) => answer.status === 403) && (answers[0] as Response),
      )
    const answer = await waitFor('every worker to refuse', refused)
    expect(answer.headers.get('x-tollgate-error')).toBe('model_unpriced')
    const { error } = (await answer.json()) as { error: { tollgate: { rule: string }; message: string } }
    expect(error.tollgate.rule).toBe('missing_usage')
    expect(error.message).toContain('gpt-5-mini')
    const dry = await on.post(CHAT, body(), { 'x-tollgate-dry-run': '1' })
    expect(await dry.json()).toMatchObject({ decision: 'refuse', code: 'model_unpriced', rule: 'missing_usage' })
    // Another model of the same upstream is served.
    expect((await on.post(CHAT, body({ model: 'gpt-5' }))).status).toBe(200)
    expect(await metricOf(on, 'refused_total', { rule: 'missing_usage' })).toBeGreaterThanOrEqual(12)
    expect((await on.admin('POST', 'config/reload')).status).toBe(200)
    await waitFor('the model to be served again', async () => (await on.post(CHAT, body())).status === 200)
  },
  180_000,
)

run('deny_model under observe refuses nothing, and says what it would', async () => {
  const on = await start('deny_model', { plan: 'enforcement: observe' })
  await (await on.post(CHAT, body(), { 'x-simulate': 'output=50,fault=no_usage' })).text()
  const answer = await on.post(CHAT, body())
  expect([answer.status, answer.headers.get('x-tollgate-would')]).toEqual([200, 'model_unpriced'])
})
