/** Every request is counted once, with all that was known of it, whatever became of it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway

beforeAll(async () => {
  if (redisAvailable) gateway = await startTestGateway({ plan: 'models: ["gpt-*"]\nmax_cost_per_call: "1.00"' })
}, 180_000)
afterAll(async () => {
  await gateway?.close()
})

const messages = [{ role: 'user', content: 'hello' }]
const CHAT = '/v1/chat/completions'

run('a refusal for money is counted with upstream, model and endpoint', async () => {
  const answer = await gateway.post(CHAT, { model: 'gpt-poor', max_tokens: 100, messages })
  expect(answer.status).toBe(402)
  const refused = { outcome: 'refused', account: 'acme', upstream: 'openai', model: 'gpt-poor', endpoint: 'chat' }
  expect(await metricOf(gateway, 'requests_total', refused)).toBe(1)
  expect(await metricOf(gateway, 'refused_total', { account: 'acme', rule: 'funds' })).toBe(1)
})

run.each([
  [
    'a model that no upstream serves',
    '/v1/chat/completions',
    { model: 'nobody-1', messages },
    { model: 'nobody-1', endpoint: 'chat', upstream: '' },
  ],
  ['a body that is no call', '/v1/embeddings', { model: 7 }, { model: '', endpoint: 'embeddings', upstream: '' }],
  ['a path that nothing meters', '/v1/unknown', {}, { model: '', endpoint: 'unmetered', upstream: '' }],
])('%s is counted with what was known of it', async (_name, path, body, labels) => {
  const answer = await gateway.post(path, body)
  expect(answer.ok).toBe(false)
  expect(await metricOf(gateway, 'requests_total', { outcome: 'refused', account: 'acme', ...labels })).toBe(1)
})

run('a trimmed call counts as trimmed even where its upstream breaks off', async () => {
  await gateway.grant('10')
  const answer = await gateway.post(
    CHAT,
    { model: 'gpt-broken', max_tokens: 4000, stream: true, messages },
    { 'x-simulate': 'output=100,fault=reset_mid' },
  )
  expect(answer.headers.get('x-tollgate-trimmed')).toBe('max_tokens=1000')
  await answer.text()
  const labels = { account: 'acme', model: 'gpt-broken' }
  await waitFor(
    'the end',
    async () => (await metricOf(gateway, 'requests_total', { ...labels, outcome: 'failed' })) === 1,
  )
  expect(await metricOf(gateway, 'trimmed_total', labels)).toBe(1)
})

run('a dry run is counted by its decision, and is no request', async () => {
  const before = await metricOf(gateway, 'requests_total', { account: 'acme' })
  const ask = { 'x-tollgate-dry-run': '1' }
  await gateway.post(CHAT, { model: 'gpt-dry', max_tokens: 100, messages }, ask)
  await gateway.post(CHAT, { model: 'gpt-dry', max_tokens: 4000, messages }, ask)
  await gateway.post(CHAT, { model: 'o9-dry', max_tokens: 100, messages }, ask)
  const counted = (model: string, decision: string): Promise<number> =>
    metricOf(gateway, 'dry_runs_total', { account: 'acme', model, decision })
  expect([
    await counted('gpt-dry', 'pass'),
    await counted('gpt-dry', 'trim'),
    await counted('o9-dry', 'refuse'),
  ]).toEqual([1, 1, 1])
  expect(await metricOf(gateway, 'requests_total', { account: 'acme' })).toBe(before)
})

run('what the gateway adds is told by stage, without the time that a caller takes to send its body', async () => {
  const answer = await gateway.post(CHAT, { model: 'gpt-staged', max_tokens: 10, messages })
  expect(answer.status).toBe(200)
  for (const stage of ['read', 'decide', 'hold', 'admit', 'settle'])
    expect(await metricOf(gateway, 'overhead_seconds_count', { stage }), stage).toBeGreaterThan(0)
})
