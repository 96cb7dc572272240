/** Batches by the official client: lines are summed up as the file passes, held together, and charged once by their results. */
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
const TIGHT_KEY = 'tg-tight-key'
let gateway: TestGateway
let client: OpenAI

const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD, batch_output_tokens: 50 }
  tight: { unit: USD, max_cost_per_call: "0.02", max_cost_per_batch: "0.05" }
  chatty: { unit: USD, endpoints: [chat] }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
  tight: { plan: tight, keys: [{ id: tight, sha256: "${sha256(TIGHT_KEY)}" }, { id: chat, sha256: "${sha256('tg-chat')}", plan_overrides: { endpoints: [chat] } }] }
`
/** 1 token of output costs 0.001 USD, in a batch half of it. */
const PRICES = `
  - match: { model: "gpt-*" }
    from: 2020-01-01
    per_million: { input: "0", output: "1000" }
    tiers: { batch: "0.5" }
  - match: { model: "text-embedding-*" }
    from: 2020-01-01
    per_million: { input: "1000" }
    tiers: { batch: "0.5" }
`

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    entitlements: ENTITLEMENTS,
    prices: PRICES,
    settings: 'limits: { poll_first: 100ms, poll_most: 200ms }',
  })
  client = clientOf(TEST_KEY)
  for (const account of ['acme', 'other', 'tight']) await gateway.grant('100', account)
}, 180_000)
afterAll(() => gateway?.close())
beforeEach(() => {
  made = batchesMade()
})

/** Batches that reached the provider before the test. */
let made = 0
function batchesMade(): number {
  return gateway?.simulator.stats.byPath['/v1/batches'] ?? 0
}

function clientOf(apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
}

const simulate = (controls: string) => ({ headers: { 'x-simulate': controls } })

interface LineOptions {
  readonly model?: string
  readonly limit?: number
  readonly output?: number
}

function chatLine(number: number, { model = 'gpt-5-mini', limit = 20, output = 10 }: LineOptions = {}): object {
  return {
    custom_id: `line-${number}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model,
      ...(limit > 0 ? { max_completion_tokens: limit } : {}),
      messages: [{ role: 'user', content: `Say something. [simulate: output=${output}]` }],
    },
  }
}

async function upload(lines: readonly object[], by = client): Promise<string> {
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  const file = await by.files.create({ purpose: 'batch', file: await toFile(Buffer.from(text), 'lines.jsonl') })
  return file.id
}

function create(fileId: string, controls = '', by = client) {
  return by.batches
    .create(
      { input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h' },
      controls === '' ? {} : simulate(controls),
    )
    .withResponse()
}

async function entriesOf(id: string, account = 'acme'): Promise<Record<string, unknown>[]> {
  const answer = await gateway.admin('GET', `accounts/${account}/ledger?limit=1000`)
  return ((await answer.json()) as { items: Record<string, unknown>[] }).items.filter((entry) => entry['op'] === id)
}

function idOf(response: Response): string {
  return response.headers.get('x-tollgate-request-id') as string
}

async function ended(id: string): Promise<Record<string, unknown>> {
  let end: Record<string, unknown> | undefined
  await waitFor('its end in the ledger', async () => {
    end = (await entriesOf(id)).find((entry) => ['settle', 'void', 'timeout'].includes(entry['type'] as string))
    return end !== undefined
  })
  return end as Record<string, unknown>
}

run('it is held at the sum of its lines at the batch price, and charged once by its results', async () => {
  const file = await upload([chatLine(1), chatLine(2, { limit: 40 }), chatLine(3, { limit: 0 })])
  const { data: batch, response } = await create(file, 'looks=3')
  expect(batch.status).toBe('validating')
  // 20 + 40 + 50 (the plan's, for a line without a limit) at half of 0.001.
  expect(response.headers.get('x-tollgate-hold')).toBe('0.055')
  const holds = (await (await gateway.admin('GET', 'accounts/acme/holds')).json()) as {
    items: Record<string, string>[]
  }
  expect(holds.items).toMatchObject([{ held: '0.055', endpoint: 'batches', model: 'gpt-5-mini' }])
  let now = batch
  while (now.status !== 'completed') now = await client.batches.retrieve(batch.id)
  const end = await ended(idOf(response))
  expect(end).toMatchObject({
    type: 'settle',
    endpoint: 'batches',
    charged: '0.015',
    usage_source: 'provider',
    provider_request_id: batch.id,
    results: 3,
    service_tier: 'batch',
    tokens: { output: 30 },
  })
  for (let look = 0; look < 3; look++) await client.batches.retrieve(batch.id)
  const output = await (await client.files.content(now.output_file_id as string)).text()
  expect(output.trim().split('\n')).toHaveLength(3)
  expect((await entriesOf(idOf(response))).map(({ type }) => type)).toEqual(['hold', 'settle'])
  expect((await gateway.balance())['held']).toBe('0')
  // Nothing was written into its lines.
  expect(gateway.simulator.stats.bodies.some((body) => body.includes('"max_completion_tokens":50'))).toBe(false)
})

run.each([
  ['with results that stand twice', 'duplicate_results', { charged: '0.02', results: 4 }],
  ['with lines that failed', 'partial_failures', { charged: '0.01', results: 4 }],
  ['that expired half way', 'outcome=expired', { charged: '0.01', results: 2 }],
  ['that failed its validation', 'outcome=failed', { charged: '0', results: 0 }],
])('one %s is charged what its results state', async (_name, controls, expected) => {
  const file = await upload([1, 2, 3, 4].map((number) => chatLine(number)))
  const { response } = await create(file, controls)
  expect(await ended(idOf(response))).toMatchObject({ type: 'settle', ...expected })
})

run('cancelling it passes, and it is charged for what was done by then', async () => {
  const file = await upload([1, 2, 3, 4].map((number) => chatLine(number)))
  const { data, response } = await create(file, 'looks=1000')
  expect((await client.batches.cancel(data.id)).status).toBe('cancelling')
  expect(await ended(idOf(response))).toMatchObject({ type: 'settle', charged: '0.01' })
})

run('its models are priced each by itself', async () => {
  const file = await upload([chatLine(1), chatLine(2, { model: 'gpt-5-nano' })])
  const { response } = await create(file)
  const end = await ended(idOf(response))
  expect(end).toMatchObject({
    charged: '0.01',
    by_model: { 'gpt-5-mini': { charged: '0.005' }, 'gpt-5-nano': { charged: '0.005' } },
  })
})

run('lines of embeddings are held and charged by their input', async () => {
  const line = {
    custom_id: '1',
    method: 'POST',
    url: '/v1/embeddings',
    body: { model: 'text-embedding-3-small', input: 'some words' },
  }
  const file = await upload([line])
  const created = await client.batches
    .create({ input_file_id: file, endpoint: '/v1/embeddings', completion_window: '24h' })
    .withResponse()
  const end = await ended(idOf(created.response))
  const { input } = end['tokens'] as { input: number }
  expect(end).toMatchObject({ type: 'settle', charged: String(input * 0.0005) })
  expect(Number(created.response.headers.get('x-tollgate-hold'))).toBeGreaterThanOrEqual(input * 0.0005)
})

async function refusal(promise: Promise<unknown>): Promise<[number, string, string | null]> {
  try {
    await promise
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error
    const { code, tollgate } = error.error as { code: string; tollgate: { rule: string | null } }
    return [error.status as number, code, tollgate.rule]
  }
  throw new Error('it was not refused')
}

run('what costs too much is refused by its rule: a line, the whole, the wallet', async () => {
  const tight = clientOf(TIGHT_KEY)
  const dear = await upload([chatLine(1, { limit: 10 }), chatLine(2, { limit: 41 })], tight)
  expect(await refusal(create(dear, '', tight))).toEqual([402, 'call_too_expensive', 'max_cost_per_call'])
  const long = await upload(
    Array.from({ length: 4 }, (_, i) => chatLine(i, { limit: 30 })),
    tight,
  )
  expect(await refusal(create(long, '', tight))).toEqual([402, 'call_too_expensive', 'max_cost_per_batch'])
  const huge = await upload([chatLine(1, { limit: 400_000 })])
  expect(await refusal(create(huge))).toEqual([402, 'insufficient_funds', 'funds'])
  expect((await gateway.balance())['held']).toBe('0')
  expect(batchesMade()).toBe(made)
})

run(
  'a plan without the endpoint, a model without a price and a model that no upstream serves are refused',
  async () => {
    const chat = clientOf('tg-chat')
    const file = await upload([chatLine(1)], chat)
    expect(await refusal(create(file, '', chat))).toEqual([403, 'not_entitled', 'plan.endpoints'])
    const unpriced = await upload([chatLine(1, { model: 'o9' })])
    expect(await refusal(create(unpriced))).toEqual([403, 'model_unpriced', 'price_book'])
  },
)

run.each([
  ['a line that is no JSON', '{"custom_id":"1"', 'Line 1'],
  [
    'a line without a body',
    `${JSON.stringify(chatLine(1))}\n{"custom_id":"2","method":"POST","url":"/v1/chat/completions"}`,
    'Line 2',
  ],
  ['an endpoint that is not metered', JSON.stringify({ custom_id: '1', url: '/v1/videos', body: {} }), 'Line 1'],
  [
    'a batch in a batch',
    JSON.stringify({ custom_id: '1', url: '/v1/batches', body: { input_file_id: 'x' } }),
    'Line 1',
  ],
  [
    'a decision given twice',
    '{"custom_id":"1","url":"/v1/chat/completions","body":{"model":"gpt-5-mini","max_tokens":1,"max_tokens":9,"messages":[]}}',
    'Line 1',
  ],
  ['no line at all', '\n\n', 'no lines'],
])('of a file with %s no batch is made, and the line is named', async (_name, text, says) => {
  const file = await client.files.create({ purpose: 'batch', file: await toFile(Buffer.from(text), 'lines.jsonl') })
  await expect(create(file.id)).rejects.toThrow(says)
  expect(batchesMade()).toBe(made)
})

run('a file that the gateway did not see with purpose batch, and another account’s, are not found', async () => {
  const other = await client.files.create({
    purpose: 'user_data',
    file: await toFile(Buffer.from('{"a":1}'), 'a.json'),
  })
  expect(await refusal(create(other.id))).toEqual([404, 'not_found', null])
  const mine = await upload([chatLine(1)])
  expect(await refusal(create(mine, '', clientOf(OTHER_KEY)))).toEqual([404, 'not_found', null])
  await client.files.delete(mine)
  expect(await refusal(create(mine))).toEqual([404, 'not_found', null])
})

run('another account reaches nothing of a batch: the job, its results, its cancelling', async () => {
  const { data } = await create(await upload([chatLine(1)]))
  let done = data
  while (done.status !== 'completed') done = await client.batches.retrieve(data.id)
  const other = clientOf(OTHER_KEY)
  for (const attempt of [
    () => other.batches.retrieve(data.id),
    () => other.batches.cancel(data.id),
    () => other.files.retrieve(done.output_file_id as string),
    () => other.files.content(done.output_file_id as string),
    () => other.files.delete(done.output_file_id as string),
    () => other.batches.list(),
    () => other.files.list(),
  ])
    expect((await refusal(attempt() as Promise<unknown>))[0]).toBe(404)
})

run('what would become of a batch can be asked for without one being made', async () => {
  const file = await upload([chatLine(1, { limit: 40 })])
  const asked = await gateway.post(
    '/v1/batches',
    { input_file_id: file, endpoint: '/v1/chat/completions', completion_window: '24h' },
    { 'x-tollgate-dry-run': '1' },
  )
  expect(await asked.json()).toMatchObject({ decision: 'pass', hold: '0.02', unit: 'USD', output_limit: null })
  expect(batchesMade()).toBe(made)
})

run('conversations and their items by the official client', async () => {
  const conversation = await client.conversations.create({
    items: [{ type: 'message', role: 'user', content: 'hello' }],
  })
  const added = await client.conversations.items.create(conversation.id, {
    items: [{ type: 'message', role: 'user', content: 'more' }],
  })
  expect(added.data).toHaveLength(1)
  expect((await client.conversations.items.list(conversation.id)).data).toHaveLength(2)
  const other = clientOf(OTHER_KEY)
  expect((await refusal(other.conversations.retrieve(conversation.id)))[0]).toBe(404)
  expect(
    (await refusal(other.responses.create({ model: 'gpt-5-mini', input: 'x', conversation: conversation.id })))[0],
  ).toBe(404)
  expect((await client.conversations.delete(conversation.id)).deleted).toBe(true)
  expect((await refusal(client.conversations.retrieve(conversation.id)))[0]).toBe(404)
})
