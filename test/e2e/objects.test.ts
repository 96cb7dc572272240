/** Objects at the provider answer to the account that made them through the gateway, by whatever route they are asked for. */
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type CountingUpstream, type ReceivedRequest, startCountingUpstream } from '../support/counting-upstream.ts'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { rawExchange } from '../support/raw-client.ts'
import { redisAvailable } from '../support/redis.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
let first: CountingUpstream
let second: CountingUpstream
let gateway: TestGateway
let nextId = 1

/** Answers each POST with a new id, whatever it makes. */
function answerNew(request: ReceivedRequest, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json')
  const path = request.path.split('?', 1)[0] as string
  const id = `${path.split('/').at(-1)}_${nextId++}`
  if (request.method !== 'POST') response.end(JSON.stringify({ object: 'thing', path }))
  else if (path.endsWith('/complete'))
    response.end(JSON.stringify({ id: path.split('/').at(-2), file: { id: `file_${nextId++}` } }))
  else if (path.endsWith('/responses'))
    response.end(
      JSON.stringify({
        id,
        object: 'response',
        status: 'completed',
        model: 'gpt-5-mini',
        output: [{ type: 'message', id: `msg_${id}` }],
        usage: { input_tokens: 1, output_tokens: 1 },
      }),
    )
  else response.end(JSON.stringify({ id, object: 'thing' }))
}

const ENTITLEMENTS = `version: 1
plans: { main: { unit: USD } }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
`

beforeAll(async () => {
  if (!redisAvailable) return
  first = await startCountingUpstream(answerNew)
  second = await startCountingUpstream(answerNew)
  gateway = await startTestGateway({
    upstreams: `  first: { format: openai, base_url: "${first.url}/v1", api_key: k1, models: ["gpt-*"] }
  second: { format: openai, base_url: "${second.url}/v1", api_key: k2, models: ["o*"] }
  claude: { format: anthropic, base_url: "${first.url}", api_key: k3, models: ["claude-*"] }`,
    entitlements: ENTITLEMENTS,
    settings: `metering: { unmetered_paths: ["* /v1/videos", "* /v1/videos/*", "* /v1/fine_tuning/*"] }`,
  })
  await gateway.grant('1000')
  await gateway.grant('1000', 'other')
})
afterAll(async () => {
  await gateway?.close()
  await first?.close()
  await second?.close()
})
beforeEach(() => {
  for (const upstream of [first, second]) if (upstream) upstream.requests.length = 0
})

function ask(method: string, path: string, body?: unknown, key = TEST_KEY): Promise<Response> {
  return fetch(`${gateway.url}${path}`, {
    method,
    headers: { 'x-api-key': key, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

async function make(path: string, body: unknown = {}, key = TEST_KEY): Promise<string> {
  const made = await ask('POST', path, body, key)
  expect(made.status).toBe(200)
  return ((await made.json()) as { id: string }).id
}

function sent(): number {
  return first.requests.length + second.requests.length
}

run.each([
  ['/v1/files', ['GET :', 'GET :/content', 'DELETE :']],
  ['/v1/vector_stores', ['GET :', 'POST :', 'GET :/files', 'GET :/files/file_x', 'POST :/file_batches', 'DELETE :']],
  ['/v1/conversations', ['GET :', 'POST :', 'GET :/items', 'POST :/items', 'GET :/items/msg_x', 'DELETE :']],
  ['/v1/assistants', ['GET :', 'POST :', 'DELETE :']],
  ['/v1/threads', ['GET :', 'POST :/messages', 'GET :/messages', 'GET :/runs', 'GET :/runs/run_x/steps', 'DELETE :']],
  ['/v1/uploads', ['POST :/parts', 'POST :/complete', 'POST :/cancel']],
  ['/v1/videos', ['GET :', 'GET :/content', 'DELETE :']],
  ['/v1/fine_tuning/jobs', ['GET :', 'GET :/events', 'POST :/cancel']],
])('what an account made under %s serves it, and is the provider’s 404 for another', async (collection, routes) => {
  const id = await make(collection)
  for (const route of routes) {
    const [method, pattern] = route.split(' ') as [string, string]
    const path = `${collection}/${pattern.replace(':', id)}`
    const body = method === 'POST' ? {} : undefined
    const before = sent()
    const theirs = await ask(method, path, body, OTHER_KEY)
    expect([route, theirs.status]).toEqual([route, 404])
    expect(await theirs.json()).toMatchObject({ error: { type: 'invalid_request_error', code: 'not_found' } })
    expect(sent()).toBe(before)
    expect([route, (await ask(method, path, body)).status]).toEqual([route, 200])
  }
})

run('what was deleted answers to nobody, its owner included', async () => {
  const id = await make('/v1/files')
  expect((await ask('DELETE', `/v1/files/${id}`)).status).toBe(200)
  const before = sent()
  expect((await ask('GET', `/v1/files/${id}`)).status).toBe(404)
  expect(sent()).toBe(before)
})

run('lists need an upstream that shares its objects', async () => {
  for (const path of ['/v1/files', '/v1/batches', '/v1/vector_stores', '/v1/responses', '/v1/assistants', '/v1/videos'])
    expect([path, (await ask('GET', path)).status]).toEqual([path, 404])
  expect(sent()).toBe(0)
})

run('an object is asked for at the upstream that has it; the same id at another is another object', async () => {
  nextId = 5000
  const mine = await make('/u/first/v1/files')
  nextId = 5000
  const theirs = await make('/u/second/v1/files', {}, OTHER_KEY)
  expect(theirs).toBe(mine)
  first.requests.length = 0
  second.requests.length = 0
  expect((await ask('GET', `/v1/files/${mine}`)).status).toBe(200)
  expect([first.requests.length, second.requests.length]).toEqual([1, 0])
  expect((await ask('GET', `/v1/files/${mine}`, undefined, OTHER_KEY)).status).toBe(200)
  expect([first.requests.length, second.requests.length]).toEqual([1, 1])
  expect((await ask('GET', `/u/second/v1/files/${mine}`)).status).toBe(404)
  expect((await ask('GET', `/u/first/v1/files/${mine}`, undefined, OTHER_KEY)).status).toBe(404)
  expect((await ask('DELETE', `/v1/files/${mine}`, undefined, OTHER_KEY)).status).toBe(200)
  expect((await ask('GET', `/v1/files/${mine}`)).status).toBe(200)
})

const RESPONSES = { model: 'gpt-5-mini', max_output_tokens: 5 }

run.each([
  [
    'a file in the input',
    '/v1/responses',
    (id: string) => ({ ...RESPONSES, input: [{ role: 'user', content: [{ type: 'input_file', file_id: id }] }] }),
  ],
  [
    'an image in the input',
    '/v1/responses',
    (id: string) => ({ ...RESPONSES, input: [{ role: 'user', content: [{ type: 'input_image', file_id: id }] }] }),
  ],
  [
    'a vector store of a tool',
    '/v1/responses',
    (id: string) => ({ ...RESPONSES, input: 'x', tools: [{ type: 'file_search', vector_store_ids: [id] }] }),
  ],
  [
    'a container of a tool',
    '/v1/responses',
    (id: string) => ({ ...RESPONSES, input: 'x', tools: [{ type: 'code_interpreter', container: id }] }),
  ],
  [
    'a file of a container',
    '/v1/responses',
    (id: string) => ({
      ...RESPONSES,
      input: 'x',
      tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: [id] } }],
    }),
  ],
  ['a conversation', '/v1/responses', (id: string) => ({ ...RESPONSES, input: 'x', conversation: id })],
  ['an earlier response', '/v1/responses', (id: string) => ({ ...RESPONSES, input: 'x', previous_response_id: id })],
  ['an item', '/v1/responses', (id: string) => ({ ...RESPONSES, input: [{ type: 'item_reference', id }] })],
  [
    'a file of a chat',
    '/v1/chat/completions',
    (id: string) => ({
      model: 'gpt-5-mini',
      max_tokens: 5,
      messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: id } }] }],
    }),
  ],
  [
    'a document of a message',
    '/v1/messages',
    (id: string) => ({
      model: 'claude-x',
      max_tokens: 5,
      messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: id } }] }],
    }),
  ],
  ['files of a vector store', '/v1/vector_stores', (id: string) => ({ file_ids: [id] })],
  [
    'the attachment of a thread',
    '/v1/threads',
    (id: string) => ({ messages: [{ role: 'user', content: 'x', attachments: [{ file_id: id }] }] }),
  ],
  [
    'an assistant’s store',
    '/v1/assistants',
    (id: string) => ({ model: 'm', tool_resources: { file_search: { vector_store_ids: [id] } } }),
  ],
  [
    'a conversation’s items',
    '/v1/conversations',
    (id: string) => ({ items: [{ type: 'message', content: [{ type: 'input_file', file_id: id }] }] }),
  ],
  ['the training file', '/v1/fine_tuning/jobs', (id: string) => ({ model: 'm', training_file: id })],
])('%s of another account is not found, nothing is sent and nothing held', async (_name, path, body) => {
  const theirs = await make('/v1/files', {}, OTHER_KEY)
  const held = (await gateway.balance())['held']
  const before = sent()
  for (const id of [theirs, 'file_of_nobody']) {
    const refused = await ask('POST', path, body(id))
    expect([id, refused.status, refused.headers.get('x-tollgate-error')]).toEqual([id, 404, 'not_found'])
  }
  expect(sent()).toBe(before)
  expect((await gateway.balance())['held']).toBe(held)
})

run('what a response made (itself, its items, a conversation) serves later calls of its account alone', async () => {
  const conversation = await make('/v1/conversations')
  const response = await make('/v1/responses', { ...RESPONSES, input: 'x', conversation })
  const item = { ...RESPONSES, input: [{ type: 'item_reference', id: `msg_${response}` }] }
  expect((await ask('POST', '/v1/responses', item)).status).toBe(200)
  expect((await ask('POST', '/v1/responses', item, OTHER_KEY)).status).toBe(404)
  expect((await ask('GET', `/v1/responses/${response}`, undefined, OTHER_KEY)).status).toBe(404)
})

run.each([
  'GET /v1/files/%2e%2e/files/ID',
  'GET /v1/files/..%2fID',
  'GET /v1/files/ID%2fcontent',
  'GET /v1/files/./ID',
  'GET /v1/files//ID',
  'GET /v1//files/ID',
  'GET /v1/files/ID%00',
  'GET /v1/%66iles/ID',
  'GET /v1/Files/ID',
  'GET /V1/FILES/ID',
  'GET /v1/files/ID/',
  'GET /v1/files/ID;a=b',
  'GET /v1/files/ID/content?x=/../../files/ID',
  'GET /v1/vector_stores/MINE/files/ID',
  'GET /u/first/v1/files/ID',
  'GET /u/first/u/first/v1/files/ID',
  'HEAD /v1/files/ID',
  'PUT /v1/files/ID',
  'DELETE /v1/files/ID',
])('%s does not reach another’s file', async (attempt) => {
  const id = await make('/v1/files')
  const mine = await make('/v1/vector_stores', {}, OTHER_KEY)
  const [method, pattern] = attempt.split(' ') as [string, string]
  const path = pattern.replaceAll('ID', id).replaceAll('MINE', mine)
  const before = sent()
  const bytes = `${method} ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${OTHER_KEY}\r\nconnection: close\r\n\r\n`
  const got = await rawExchange(gateway.url, [bytes], { withinMs: 30_000 })
  expect(got.statuses[0]).toBeGreaterThanOrEqual(400)
  expect(sent()).toBe(before)
  expect((await ask('GET', `/v1/files/${id}`)).status).toBe(200)
})

run('a path that generates at some provider is not free there', async () => {
  const refused = await ask('POST', '/v1/conversations', { model: 'mistral-small', inputs: 'hello' })
  expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([403, 'endpoint_not_metered'])
  expect(sent()).toBe(0)
})

run('an object is recorded before its maker has the whole answer, compressed or cut into bytes', async () => {
  for (let i = 0; i < 20; i++) {
    const id = await make('/v1/files')
    expect((await ask('GET', `/v1/files/${id}`)).status).toBe(200)
  }
})

run('an upload beyond the limit is refused, whether or not it says its length', async () => {
  const small = await startTestGateway({
    upstreams: `  first: { format: openai, base_url: "${first.url}/v1", api_key: k1, models: ["gpt-*"] }`,
    redis: gateway.redis,
    settings: 'limits: { file_bytes: 64KiB }',
  })
  try {
    const body = 'x'.repeat(100_000)
    const said = await fetch(`${small.url}/v1/files`, { method: 'POST', headers: { 'x-api-key': TEST_KEY }, body })
    expect([said.status, said.headers.get('x-tollgate-error')]).toEqual([413, 'body_too_large'])
    const chunks = ReadableStream.from([Buffer.from(body.slice(0, 50_000)), Buffer.from(body.slice(50_000))])
    const unsaid = await fetch(`${small.url}/v1/files`, {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY },
      body: chunks,
      duplex: 'half',
    } as RequestInit)
    expect([unsaid.status, unsaid.headers.get('x-tollgate-error')]).toEqual([413, 'body_too_large'])
    expect(first.requests).toHaveLength(0)
  } finally {
    await small.close()
  }
})
