/** Message batches by the official client: their requests stand in the body. */
import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
let gateway: TestGateway
let client: Anthropic

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    entitlements: `version: 1
plans: { main: { unit: USD, models: ["claude-*"] } }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
`,
    prices: `
  - match: { model: "claude-*" }
    from: 2020-01-01
    per_million: { input: "0", output: "1000" }
    tiers: { batch: "0.5" }
`,
    settings: 'limits: { poll_first: 100ms, poll_most: 200ms }',
  })
  client = clientOf(TEST_KEY)
  await gateway.grant('100')
  await gateway.grant('100', 'other')
}, 180_000)
afterAll(() => gateway?.close())

function clientOf(apiKey: string): Anthropic {
  return new Anthropic({ apiKey, baseURL: gateway.url, maxRetries: 0 })
}

function request(number: number, more: object = {}): Anthropic.Messages.BatchCreateParams.Request {
  const messages = [{ role: 'user' as const, content: `Say something. [simulate: output=${10 * number}]` }]
  return { custom_id: `r${number}`, params: { model: 'claude-haiku-4-5', max_tokens: 100, messages, ...more } }
}

function create(numbers: readonly number[], controls = '') {
  return client.messages.batches
    .create(
      { requests: numbers.map((number) => request(number)) },
      controls ? { headers: { 'x-simulate': controls } } : {},
    )
    .withResponse()
}

async function ended(response: Response): Promise<Record<string, unknown>> {
  const id = response.headers.get('x-tollgate-request-id')
  let end: Record<string, unknown> | undefined
  await waitFor('its end in the ledger', async () => {
    const { items } = (await (await gateway.admin('GET', 'accounts/acme/ledger?limit=1000')).json()) as {
      items: Record<string, unknown>[]
    }
    end = items.find((entry) => entry['op'] === id && entry['type'] !== 'hold')
    return end !== undefined
  })
  return end as Record<string, unknown>
}

run('it is held at the sum of its requests, asked for by the gateway, and charged once', async () => {
  const { data, response } = await create([1, 2], 'looks=3')
  expect(response.headers.get('x-tollgate-hold')).toBe('0.1')
  expect(await ended(response)).toMatchObject({
    type: 'settle',
    endpoint: 'batches',
    model: 'claude-haiku-4-5',
    charged: '0.015',
    provider_request_id: data.id,
    results: 2,
    tokens: { output: 30 },
  })
  // The provider names the results' address on its own host; the gateway's stands in the answer.
  const batch = await client.messages.batches.retrieve(data.id)
  expect(batch.results_url).toBe(`${gateway.url}/v1/messages/batches/${data.id}/results`)
  const results = await client.messages.batches.results(data.id)
  const ids: string[] = []
  for await (const result of results) ids.push(result.custom_id)
  expect(ids).toEqual(['r1', 'r2'])
  expect((await gateway.balance())['posted']).toBe('0.015')
})

run.each([
  ['with results that stand twice', 'duplicate_results', { charged: '0.05', results: 4 }],
  ['with requests that failed', 'partial_failures', { charged: '0.02', results: 4 }],
  ['that expired half way', 'outcome=expired', { charged: '0.015', results: 4 }],
])('one %s is charged what its results state', async (_name, controls, expected) => {
  const { response } = await create([1, 2, 3, 4], controls)
  expect(await ended(response)).toMatchObject({ type: 'settle', ...expected })
})

run('cancelling passes, and deleting it before anyone has looked leaves it charged', async () => {
  const cancelled = await create([1, 2, 3, 4], 'looks=1000')
  expect((await client.messages.batches.cancel(cancelled.data.id)).processing_status).toBe('canceling')
  expect(await ended(cancelled.response)).toMatchObject({ charged: '0.015' })
  const deleted = await create([1])
  await client.messages.batches.delete(deleted.data.id)
  expect(await ended(deleted.response)).toMatchObject({ type: 'settle', charged: '0.005' })
})

run('another account reaches nothing of it', async () => {
  const { data } = await create([1])
  const other = clientOf(OTHER_KEY)
  for (const attempt of [
    () => other.messages.batches.retrieve(data.id),
    () => other.messages.batches.results(data.id),
    () => other.messages.batches.cancel(data.id),
    () => other.messages.batches.delete(data.id),
    () => other.messages.batches.list(),
  ])
    await expect(attempt()).rejects.toMatchObject({ status: 404, error: { error: { type: 'not_found_error' } } })
})

run.each([
  ['a request without params', { requests: [{ custom_id: 'a' }] }, 'Line 1'],
  ['no request', { requests: [] }, 'requests'],
  ['a limit in quotes', { requests: [request(1), request(2, { max_tokens: '100' })] }, 'Line 2'],
])('a batch with %s is refused, and says where', async (_name, body, says) => {
  await expect(client.messages.batches.create(body as never)).rejects.toMatchObject({ status: 400 })
  await expect(client.messages.batches.create(body as never)).rejects.toThrow(says)
})

run('a model beyond the plan in one of its requests refuses all of it', async () => {
  await waitFor('earlier batches to end', async () => (await gateway.balance())['held'] === '0')
  const body = { requests: [request(1), request(2, { model: 'other-model' })] }
  await expect(client.messages.batches.create(body as never)).rejects.toMatchObject({ status: 403 })
  expect((await gateway.balance())['held']).toBe('0')
})
