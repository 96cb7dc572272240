/** Batches of Mistral and of xAI through the gateway: held by what is in them, charged once by their results. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
let gateway: TestGateway

/** 1 token of output costs 0.001 USD, in a batch half of it. */
const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "0", output: "1000" }
    tiers: { batch: "0.5" }
`
const UPSTREAMS = `  mistral: { format: openai, base_url: "{simulator}/v1", api_key: k1, models: ["mistral-*"] }
  xai: { format: openai, base_url: "{simulator}/v1", api_key: k2, models: ["grok-*"] }`

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    entitlements: `version: 1
plans: { main: { unit: USD } }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
`,
    prices: PRICES,
    upstreams: UPSTREAMS,
    settings: 'limits: { poll_first: 100ms, poll_most: 200ms }',
  })
  await gateway.grant('100')
  await gateway.grant('100', 'other')
})
afterAll(() => gateway?.close())

interface Told {
  readonly response: Response
  readonly body: Record<string, unknown>
}

async function ask(method: string, path: string, body?: object, controls = '', key = TEST_KEY): Promise<Told> {
  const response = await fetch(`${gateway.url}/u/${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-simulate': controls },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { response, body: (await response.json()) as Record<string, unknown> }
}

async function entriesOf({ response }: Told): Promise<Record<string, unknown>[]> {
  const id = response.headers.get('x-tollgate-request-id')
  const answer = await gateway.admin('GET', 'accounts/acme/ledger?limit=1000')
  return ((await answer.json()) as { items: Record<string, unknown>[] }).items.filter((entry) => entry['op'] === id)
}

async function ended(told: Told): Promise<Record<string, unknown>> {
  return waitFor('its end in the ledger', async () =>
    (await entriesOf(told)).find((entry) => ['settle', 'void', 'timeout'].includes(entry['type'] as string)),
  )
}

async function expectOnce(told: Told): Promise<void> {
  expect((await entriesOf(told)).map(({ type }) => type)).toEqual(['hold', 'settle'])
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
}

const said = (output: number): object[] => [{ role: 'user', content: `Say something. [simulate: output=${output}]` }]

function mistralLine(number: number, limit = 20): object {
  return { custom_id: `line-${number}`, body: { max_tokens: limit, messages: said(10) } }
}

async function upload(lines: readonly object[]): Promise<string> {
  const form = new FormData()
  form.set('purpose', 'batch')
  form.set('file', new Blob(lines.map((line) => `${JSON.stringify(line)}\n`)), 'lines.jsonl')
  const response = await fetch(`${gateway.url}/u/mistral/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}` },
    body: form,
  })
  return ((await response.json()) as { id: string }).id
}

const JOB = { model: 'mistral-small-latest', endpoint: '/v1/chat/completions' }
const JOBS = 'mistral/v1/batch/jobs'

run('Mistral: a job of a file is held at its lines’ sum and charged once by the file of its results', async () => {
  const file = await upload([mistralLine(1), mistralLine(2, 40)])
  const job = await ask('POST', JOBS, { ...JOB, input_files: [file] }, 'looks=3')
  expect([job.response.status, job.body['status']]).toEqual([200, 'QUEUED'])
  // 20 + 40 at half of 0.001.
  expect(job.response.headers.get('x-tollgate-hold')).toBe('0.03')
  const { id } = job.body
  const end = await ended(job)
  expect(end).toMatchObject({
    type: 'settle',
    endpoint: 'batches',
    charged: '0.01',
    usage_source: 'provider',
    provider_request_id: id,
    results: 2,
    service_tier: 'batch',
    tokens: { output: 20 },
  })
  const now = await ask('GET', `${JOBS}/${id}`)
  expect(now.body).toMatchObject({ status: 'SUCCESS', succeeded_requests: 2 })
  const output = await fetch(`${gateway.url}/u/mistral/v1/files/${now.body['output_file']}/content`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  })
  expect((await output.text()).trim().split('\n')).toHaveLength(2)
  expect((await ask('GET', `${JOBS}/${id}`, undefined, '', OTHER_KEY)).response.status).toBe(404)
  await expectOnce(job)
})

run.each([
  ['as they are', '', { charged: '0.02', results: 4 }],
  ['that stand twice', 'duplicate_results', { charged: '0.02', results: 4 }],
  ['some of which failed', 'partial_failures', { charged: '0.01', results: 4 }],
  ['of a job whose time was over half way', 'outcome=expired', { charged: '0.01', results: 2 }],
  ['of a job that failed', 'outcome=failed', { charged: '0', results: 0 }],
])('Mistral: requests in the body are charged by their results in the job: %s', async (_name, controls, expected) => {
  const requests = [1, 2, 3, 4].map((number) => mistralLine(number))
  const job = await ask('POST', JOBS, { ...JOB, requests }, controls)
  expect(job.response.headers.get('x-tollgate-hold')).toBe('0.04')
  expect(await ended(job)).toMatchObject({ type: 'settle', ...expected })
  await expectOnce(job)
})

run('Mistral: cancelling passes, and what was done by then is charged', async () => {
  const requests = [1, 2, 3, 4].map((number) => mistralLine(number))
  const job = await ask('POST', JOBS, { ...JOB, requests }, 'looks=1000')
  expect((await ask('POST', `${JOBS}/${job.body['id']}/cancel`, {}, '', OTHER_KEY)).response.status).toBe(404)
  expect((await ask('POST', `${JOBS}/${job.body['id']}/cancel`, {})).body['status']).toBe('CANCELLATION_REQUESTED')
  expect(await ended(job)).toMatchObject({ type: 'settle', charged: '0.01', results: 2 })
})

function xaiRequest(name: string, kind: 'chat_get_completion' | 'responses' = 'chat_get_completion'): object {
  const body =
    kind === 'responses'
      ? { model: 'grok-4', max_output_tokens: 20, input: 'Say something. [simulate: output=10]' }
      : { model: 'grok-4', max_tokens: 20, messages: said(10) }
  return { batch_request_id: name, batch_request: { [kind]: body } }
}

async function emptyBatch(): Promise<string> {
  const made = await ask('POST', 'xai/v1/batches', { name: 'nightly' })
  expect([made.response.status, made.response.headers.get('x-tollgate-hold')]).toEqual([200, null])
  return made.body['batch_id'] as string
}

function add(batch: string, requests: readonly object[], controls = '', key = TEST_KEY): Promise<Told> {
  return ask('POST', `xai/v1/batches/${batch}/requests`, { batch_requests: requests }, controls, key)
}

run(
  'xAI: a batch is made empty for nothing; each call that fills it is held, and charged by its own results',
  async () => {
    const batch = await emptyBatch()
    const first = await add(batch, [xaiRequest('a'), xaiRequest('b', 'responses')], 'job_ms=300')
    const second = await add(batch, [xaiRequest('c')], 'job_ms=1200')
    expect([first, second].map(({ response }) => response.headers.get('x-tollgate-hold'))).toEqual(['0.02', '0.01'])
    expect(await ended(first)).toMatchObject({ type: 'settle', charged: '0.01', results: 2, tokens: { output: 20 } })
    expect(await ended(second)).toMatchObject({ type: 'settle', charged: '0.005', results: 1 })
    const { body } = await ask('GET', `xai/v1/batches/${batch}`)
    expect(body['state']).toMatchObject({ num_requests: 3, num_pending: 0, num_success: 3 })
    for (const told of [first, second]) await expectOnce(told)
  },
)

run('xAI: results are read page by page', async () => {
  const batch = await emptyBatch()
  const added = await add(
    batch,
    Array.from({ length: 230 }, (_, number) => xaiRequest(`r-${number}`)),
  )
  expect(await ended(added)).toMatchObject({ charged: '1.15', results: 230 })
  const results = gateway.simulator.stats.byPath[`/v1/batches/${batch}/results`]
  expect(results).toBeGreaterThanOrEqual(3)
})

run.each([
  ['that stand twice', 'duplicate_results', { charged: '0.02', results: 4 }],
  ['some of which failed', 'partial_failures', { charged: '0.01', results: 4 }],
])('xAI: results %s', async (_name, controls, expected) => {
  const batch = await emptyBatch()
  const added = await add(
    batch,
    ['a', 'b', 'c', 'd'].map((name) => xaiRequest(name)),
    controls,
  )
  expect(await ended(added)).toMatchObject({ type: 'settle', ...expected })
})

run('xAI: a batch that is cancelled before anything of it was done costs nothing', async () => {
  const batch = await emptyBatch()
  const added = await add(batch, [xaiRequest('a')], 'looks=1000')
  expect((await add(batch, [xaiRequest('x')], '', OTHER_KEY)).response.status).toBe(404)
  expect((await ask('POST', `xai/v1/batches/${batch}:cancel`, {})).response.status).toBe(200)
  expect(await ended(added)).toMatchObject({ type: 'settle', charged: '0', results: 0 })
  await expectOnce(added)
})
