/** Batches of the Gemini API by the official client: requests in the body, or lines of a file that came in pieces. */
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BatchJob, GoogleGenAI, type InlinedRequest } from '@google/genai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
const MODEL = 'gemini-2.5-flash'
let gateway: TestGateway
let client: GoogleGenAI

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    entitlements: `version: 1
plans: { main: { unit: USD, models: ["gemini-*"], max_cost_per_call: "1" } }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
`,
    upstreams: '  gemini: { format: gemini, base_url: "{simulator}", api_key: AIza-upstream-secret }',
    prices: `
  - match: { model: "gemini-embedding-*" }
    from: 2020-01-01
    per_million: { input: "1000", output: "0" }
    tiers: { batch: "0.5" }
  - match: { model: "gemini-*" }
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

function clientOf(apiKey: string): GoogleGenAI {
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: gateway.url } })
}

function request(number: number, config: object = { maxOutputTokens: 100 }): InlinedRequest {
  const text = `Say something. [simulate: output=${10 * number}]`
  return { contents: [{ role: 'user', parts: [{ text }] }], config, metadata: { key: `r${number}` } }
}

/** As a line of a file: the REST API's own words. */
function line(number: number, more: object = {}): object {
  const text = `Say something. [simulate: output=${10 * number}]`
  const generationConfig = { maxOutputTokens: 100 }
  return { key: `r${number}`, request: { contents: [{ role: 'user', parts: [{ text }] }], generationConfig, ...more } }
}

function create(numbers: readonly number[], controls = ''): Promise<BatchJob> {
  return client.batches.create({
    model: MODEL,
    src: numbers.map((number) => request(number)),
    config: controls ? { httpOptions: { headers: { 'x-simulate': controls } } } : {},
  })
}

async function upload(lines: readonly object[], pad = 0): Promise<string> {
  const text = lines.map((one) => `${JSON.stringify(one)}\n`).join('')
  const file = await client.files.upload({
    file: new Blob([text, ' '.repeat(pad)]),
    config: { mimeType: 'application/jsonl' },
  })
  return file.name as string
}

async function ended(job: BatchJob): Promise<Record<string, unknown>> {
  const id = job.name?.slice('batches/'.length)
  let end: Record<string, unknown> | undefined
  await waitFor('its end in the ledger', async () => {
    const { items } = (await (await gateway.admin('GET', 'accounts/acme/ledger?limit=1000')).json()) as {
      items: Record<string, unknown>[]
    }
    end = items.find((entry) => entry['provider_request_id'] === id)
    return end !== undefined
  })
  return end as Record<string, unknown>
}

run('it is charged once by the results in it, which stand there twice, and again at each look', async () => {
  const job = await create([1, 2], 'looks=2')
  expect(job.state).toBe('JOB_STATE_PENDING')
  expect((await gateway.balance())['held']).toBe('0.1')
  expect(await ended(job)).toMatchObject({
    type: 'settle',
    endpoint: 'batches',
    model: MODEL,
    charged: '0.015',
    results: 2,
    tokens: { output: 30 },
  })
  const done = await client.batches.get({ name: job.name as string })
  expect(done.state).toBe('JOB_STATE_SUCCEEDED')
  expect(done.dest?.inlinedResponses).toHaveLength(2)
  expect((await gateway.balance())['posted']).toBe('0.015')
})

run.each([
  ['with results that stand twice in one list', 'duplicate_results', { charged: '0.05', results: 4 }],
  ['with requests that failed', 'partial_failures', { charged: '0.02', results: 4 }],
  ['that expired half way', 'outcome=expired', { charged: '0.015', results: 2 }],
  ['that failed', 'outcome=failed', { charged: '0.015', results: 2 }],
])('one %s is charged what its results state', async (_name, controls, expected) => {
  expect(await ended(await create([1, 2, 3, 4], controls))).toMatchObject({ type: 'settle', ...expected })
})

run('one of a file has its results in a file, which is its maker’s too', async () => {
  const file = await upload([line(1), line(2), line(3, { generationConfig: {} })])
  const before = Number((await gateway.balance())['posted'])
  const job = await client.batches.create({ model: MODEL, src: file })
  // 100 + 100 + the plan's 1024 for the line without a limit, at half of 0.001.
  expect((await gateway.balance())['held']).toBe('0.612')
  expect(await ended(job)).toMatchObject({ charged: '0.03', results: 3, tokens: { output: 60 } })
  expect(Number((await gateway.balance())['posted']) - before).toBeCloseTo(0.03)
  const results = (await client.batches.get({ name: job.name as string })).dest?.fileName as string
  const path = join(tmpdir(), `tollgate-batch-${process.pid}`)
  await client.files.download({ file: results, downloadPath: path })
  await waitFor('the download', async () => (await readFile(path, 'utf8').catch(() => '')).endsWith('\n'))
  expect((await readFile(path, 'utf8')).trim().split('\n')).toHaveLength(3)
  await rm(path)
  await expect(clientOf(OTHER_KEY).files.download({ file: results, downloadPath: path })).rejects.toThrow()
  await rm(path, { force: true })
})

run(
  'a file that comes in several pieces is read across them',
  async () => {
    // The client sends pieces of 8 MiB: the end of the first cuts a line.
    const many = Array.from({ length: 3 }, () =>
      line(1, { systemInstruction: { parts: [{ text: 'x'.repeat(4 << 20) }] } }),
    )
    const file = await upload([...many, line(2)])
    const job = await client.batches.create({ model: MODEL, src: file })
    expect((await gateway.balance())['held']).toBe('0.2')
    expect(await ended(job)).toMatchObject({ charged: '0.025', results: 4 })
  },
  180_000,
)

run('embeddings are charged by what their results state', async () => {
  const job = await client.batches.createEmbeddings({
    model: 'gemini-embedding-2',
    src: { inlinedRequests: { contents: ['a text', 'another text'] } },
  })
  const { tokens, charged, results } = await ended(job)
  expect(results).toBe(2)
  const input = (tokens as { input: number }).input
  expect(input).toBeGreaterThan(0)
  expect(Number(charged)).toBeCloseTo(input * 0.0005)
})

run('cancelling passes and is charged; deleting it before anyone has looked leaves it charged', async () => {
  const cancelled = await create([1, 2, 3, 4], 'looks=1000')
  await client.batches.cancel({ name: cancelled.name as string })
  expect(await ended(cancelled)).toMatchObject({ charged: '0.015' })
  const deleted = await create([1])
  await client.batches.delete({ name: deleted.name as string })
  expect(await ended(deleted)).toMatchObject({ type: 'settle', charged: '0.005' })
})

run('another account reaches nothing of it, nor of its file', async () => {
  const other = clientOf(OTHER_KEY)
  const file = await upload([line(1)])
  const { name = '' } = await create([1])
  for (const attempt of [
    () => other.batches.get({ name }),
    () => other.batches.cancel({ name }),
    () => other.batches.delete({ name }),
    () => other.batches.create({ model: MODEL, src: file }),
    () => other.files.get({ name: file }),
  ])
    await expect(attempt()).rejects.toMatchObject({ status: 404 })
  await waitFor('its end', async () => (await gateway.balance())['held'] === '0')
})

run.each([
  ['lines of another model', [line(1), line(2, { model: 'models/gemini-2.5-pro' })], 'gemini-2.5-pro'],
  ['lines of embeddings', [{ key: 'a', request: { content: { parts: [{ text: 'x' }] } } }], 'embeddings'],
  ['a line that is no request', [line(1), { key: 'a', contents: [] }], 'Line 2'],
  ['a line that costs more than a call may', [line(1, { generationConfig: { maxOutputTokens: 3000 } })], 'max_cost'],
])('a file with %s makes no batch', async (_name, lines, says) => {
  const src = await upload(lines)
  await expect(client.batches.create({ model: MODEL, src })).rejects.toThrow(says)
  expect((await gateway.balance())['held']).toBe('0')
})

run.each([
  ['no requests', { batch: { inputConfig: { requests: { requests: [] } } } }],
  ['both ways', { batch: { inputConfig: { requests: { requests: [line(1)] }, fileName: 'files/a' } } }],
  ['two spellings', { batch: { inputConfig: {}, input_config: { requests: { requests: [line(1)] } } } }],
  ['an odd spelling', { batch: { InputConfig: { requests: { requests: [line(1)] } } } }],
  ['another model', { batch: { model: 'models/gemini-2.5-pro', inputConfig: { requests: { requests: [line(1)] } } } }],
  ['another model within', { batch: { input_config: { requests: { requests: [line(1, { model: 'models/m' })] } } } }],
])('a batch with %s is refused', async (_name, body) => {
  const answer = await fetch(`${gateway.url}/v1beta/models/${MODEL}:batchGenerateContent`, {
    method: 'POST',
    headers: { 'x-goog-api-key': TEST_KEY, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(400)
  expect((await gateway.balance())['held']).toBe('0')
})
