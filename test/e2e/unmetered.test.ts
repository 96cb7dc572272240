/** Paths that cost nothing, and objects at the provider: who may reach them, and how they are passed on. */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  CHAT_ANSWER,
  type CountingUpstream,
  type ReceivedRequest,
  startCountingUpstream,
  startRawUpstream,
} from '../support/counting-upstream.ts'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { rawExchange } from '../support/raw-client.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
const UPSTREAM_KEY = 'sk-upstream-canary'
let upstream: CountingUpstream
let gateway: TestGateway
/** What the upstream answers, in place of the standard answer. */
let answer: ((request: ReceivedRequest, response: ServerResponse) => void) | undefined
let nextId = 1

const RESPONSE = {
  object: 'response',
  status: 'completed',
  model: 'gpt-5-mini',
  output: [],
  usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
}

function answerStored(request: ReceivedRequest, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json')
  if (request.path.endsWith('/responses')) response.end(JSON.stringify({ id: `resp_${nextId++}`, ...RESPONSE }))
  else if (request.path.endsWith('/chat/completions'))
    response.end(JSON.stringify({ ...CHAT_ANSWER, id: `chatcmpl-stored${nextId++}` }))
  else response.end(JSON.stringify({ object: 'thing', path: request.path }))
}

const ENTITLEMENTS = `version: 1
plans: { main: { unit: USD } }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
`

const UNMETERED = [
  'GET /v1/models',
  'GET /v1/models/*',
  '* /v1/things',
  '* /v1/things/*',
  '* /v1/files',
  '* /v1/files/*',
  '* /v1/F*',
  'POST /v1/C*',
]

function upstreams(shared: boolean): string {
  return `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: ${UPSTREAM_KEY}, models: ["gpt-*"], shared: ${shared} }
  named: { format: openai, base_url: "${upstream.url}/other/v1", api_key: second-key, models: [] }
  anthropic: { format: anthropic, base_url: "${upstream.url}", api_key: ${UPSTREAM_KEY}, models: ["claude-*"] }`
}

beforeAll(async () => {
  if (!redisAvailable) return
  upstream = await startCountingUpstream((request, response) => (answer ?? answerStored)(request, response))
  gateway = await startTestGateway({
    upstreams: upstreams(false),
    entitlements: ENTITLEMENTS,
    settings: `metering: { unmetered_paths: ${JSON.stringify(UNMETERED)} }`,
  })
  await gateway.grant('1000')
  await gateway.grant('1000', 'other')
})
afterAll(async () => {
  await gateway?.close()
  await upstream?.close()
})
beforeEach(() => {
  answer = undefined
  if (upstream) upstream.requests.length = 0
})

function ask(method: string, path: string, body?: unknown, key = TEST_KEY, on = gateway): Promise<Response> {
  return fetch(`${on.url}${path}`, {
    method,
    headers: { 'x-api-key': key, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

async function stored(path: string, body: Record<string, unknown>, key = TEST_KEY): Promise<string> {
  const made = await ask('POST', path, { model: 'gpt-5-mini', store: true, ...body }, key)
  expect(made.status).toBe(200)
  return ((await made.json()) as { id: string }).id
}

run.each([
  ['a stored response', '/v1/responses', { input: 'hi', max_output_tokens: 5 }, ['', '/input_items']],
  [
    'a stored chat completion',
    '/v1/chat/completions',
    { messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 },
    ['', '/messages'],
  ],
])("%s answers to the account that made it, and is the provider's 404 for others", async (_name, path, body, parts) => {
  const id = await stored(path, body)
  for (const part of parts) {
    const mine = await ask('GET', `${path}/${id}${part}`)
    expect(mine.status).toBe(200)
    upstream.requests.length = 0
    const theirs = await ask('GET', `${path}/${id}${part}`, undefined, OTHER_KEY)
    expect(theirs.status).toBe(404)
    expect(await theirs.json()).toMatchObject({ error: { type: 'invalid_request_error', code: 'not_found' } })
  }
  expect((await ask('DELETE', `${path}/${id}`, undefined, OTHER_KEY)).status).toBe(404)
  expect((await ask('GET', `/u/named${path}/${id}`)).status).toBe(404)
  expect((await ask('GET', `${path}/nobodys`)).status).toBe(404)
  expect(upstream.requests).toHaveLength(0)
  expect((await ask('DELETE', `${path}/${id}`)).status).toBe(200)
})

run('a call that continues a response of another account is 404, sends nothing and holds nothing', async () => {
  const id = await stored('/v1/responses', { input: 'hi', max_output_tokens: 5 })
  upstream.requests.length = 0
  const body = { model: 'gpt-5-mini', input: 'go on', max_output_tokens: 5, previous_response_id: id }
  const theirs = await ask('POST', '/v1/responses', body, OTHER_KEY)
  expect([theirs.status, theirs.headers.get('x-tollgate-error')]).toEqual([404, 'not_found'])
  expect(upstream.requests).toHaveLength(0)
  expect((await ask('POST', '/v1/responses', body)).status).toBe(200)
})

run('objects that none made through the gateway need an upstream that shares them', async () => {
  const other = await startTestGateway({
    upstreams: upstreams(true),
    entitlements: ENTITLEMENTS,
    redis: gateway.redis,
    settings: `metering: { unmetered_paths: ${JSON.stringify(UNMETERED)} }`,
  })
  try {
    const mine = await stored('/v1/responses', { input: 'hi', max_output_tokens: 5 })
    expect((await ask('GET', '/v1/responses/resp_made_elsewhere', undefined, OTHER_KEY, other)).status).toBe(200)
    // Sharing is for what nobody owns.
    expect((await ask('GET', `/v1/responses/${mine}`, undefined, OTHER_KEY, other)).status).toBe(404)
    expect((await ask('GET', '/v1/files/file-1', undefined, OTHER_KEY, other)).status).toBe(200)
  } finally {
    await other.close()
  }
  for (const path of ['/v1/files/file-1', '/v1/files']) {
    const refused = await ask('GET', path)
    expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([404, 'not_found'])
  }
  expect((await ask('GET', '/v1/Files/file-1')).status).toBe(403)
})

run.each([
  ['POST', '/v1/videos', 'endpoint_not_metered', 403],
  ['POST', '/v1/models', 'endpoint_not_metered', 403],
  ['GET', '/v1/chat/completions', 'not_found', 404],
  ['GET', '/', 'endpoint_not_metered', 403],
  ['POST', '/v1/Chat/Completions', 'endpoint_not_metered', 403],
  ['POST', '/u/nobody/v1/chat/completions', 'not_entitled', 403],
  ['GET', '/u/nobody', 'not_entitled', 403],
  ['GET', '/u/openai', 'endpoint_not_metered', 403],
])('%s %s is refused as %s', async (method, path, code, status) => {
  const refused = await ask(method, path, method === 'POST' ? { model: 'gpt-5-mini' } : undefined)
  expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([status, code])
  expect(upstream.requests).toHaveLength(0)
})

run('a named path passes with the credentials exchanged, and makes no ledger entry', async () => {
  const seqBefore = (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })).length
  const passed = await fetch(`${gateway.url}/v1/things/1?key=${TEST_KEY}&a=1`, {
    headers: {
      authorization: `Bearer ${TEST_KEY}`,
      cookie: 'a=b',
      'x-tollgate-run': 'r',
      'x-forwarded-for': '1.2.3.4',
    },
  })
  expect(passed.status).toBe(200)
  expect(passed.headers.get('x-tollgate-account')).toBe('acme')
  expect(upstream.requests[0]?.path).toBe('/v1/things/1?a=1')
  expect(JSON.stringify(upstream.requests)).not.toMatch(/tg-test-key|a=b|tollgate|1\.2\.3\.4/)
  expect(upstream.requests[0]?.rawHeaders).toContain(`Bearer ${UPSTREAM_KEY}`)
  const after = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })
  expect(after).toHaveLength(seqBefore)
})

run('/u/NAME goes to that upstream, with its own key', async () => {
  expect((await ask('GET', '/u/named/v1/things/1')).status).toBe(200)
  expect(
    (
      await ask('POST', '/u/named/v1/chat/completions', {
        model: 'anything',
        max_tokens: 5,
        messages: [{ role: 'user', content: 'x' }],
      })
    ).status,
  ).toBe(200)
  expect(upstream.requests.map((request) => request.path)).toEqual(['/other/v1/things/1', '/other/v1/chat/completions'])
  for (const request of upstream.requests) expect(request.rawHeaders).toContain('Bearer second-key')
})

run('Expect: 100-continue on an unmetered path: the key stays here, the body goes on', async () => {
  const head = `POST /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\nx-tollgate-user: u\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n`
  const got = await rawExchange(gateway.url, [head, 'hello'], {
    withinMs: 30_000,
    until: (text) => text.includes('"thing"'),
  })
  expect(got.statuses).toEqual([100, 200])
  expect(upstream.requests).toMatchObject([{ method: 'POST', body: 'hello' }])
  expect(JSON.stringify(upstream.requests)).not.toMatch(/tg-test-key|tollgate/)
  expect(upstream.requests[0]?.rawHeaders).toContain(`Bearer ${UPSTREAM_KEY}`)
})

const SMUGGLED = 'GET /v1/smuggled HTTP/1.1\r\nhost: xyz\r\n\r\n'

run.each([
  ['DELETE', 'without a body', '', ''],
  ['DELETE', 'with a length', 'content-length: 40\r\n', SMUGGLED],
  ['DELETE', 'in chunks', 'transfer-encoding: chunked\r\n', `28\r\n${SMUGGLED}\r\n0\r\n\r\n`],
  ['OPTIONS', 'in chunks', 'transfer-encoding: chunked\r\n', `28\r\n${SMUGGLED}\r\n0\r\n\r\n`],
  ['GET', 'in chunks', 'transfer-encoding: chunked\r\n', `28\r\n${SMUGGLED}\r\n0\r\n\r\n`],
  ['PATCH', 'in chunks', 'transfer-encoding: chunked\r\n', `28\r\n${SMUGGLED}\r\n0\r\n\r\n`],
])('%s %s keeps its framing: one request upstream, with the body it had', async (method, _name, framing, body) => {
  expect(SMUGGLED).toHaveLength(40)
  const bytes = `${method} /v1/things/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n${framing}\r\n${body}`
  const got = await rawExchange(gateway.url, [bytes], { withinMs: 30_000, until: (text) => text.includes('"thing"') })
  expect(got.statuses).toEqual([200])
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(upstream.requests).toMatchObject([{ method, path: '/v1/things/1', body: body === '' ? '' : SMUGGLED }])
  expect(upstream.malformed).toBe(0)
})

run('HEAD has the headers and no body, and the connection serves on', async () => {
  const head = (line: string): string => `${line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n\r\n`
  const got = await rawExchange(gateway.url, [head('HEAD /v1/things/1'), head('GET /v1/models')], {
    withinMs: 30_000,
    until: (text) => text.includes('"/v1/models"'),
  })
  expect(got.statuses).toEqual([200, 200])
  expect(got.text.indexOf('{')).toBeGreaterThan(got.text.lastIndexOf('HTTP/1.1'))
})

run.each([
  ['a client that wants to close', 'HTTP/1.1', 'connection: close\r\n'],
  ['HTTP/1.0', 'HTTP/1.0', ''],
])('%s on an unmetered path is let go after its answer', async (_name, version, header) => {
  const bytes = `GET /v1/models ${version}\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n${header}\r\n`
  const got = await rawExchange(gateway.url, [bytes], { withinMs: 30_000 })
  expect([got.statuses, got.closed]).toEqual([[200], true])
  expect(got.text).toContain('"/v1/models"')
})

run('50 clients that hang up in a stream close 50 upstream streams', async () => {
  answer = (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.write('data: 1\n\n')
    const timer = setInterval(() => response.write('data: 2\n\n'), 20)
    response.on('close', () => clearInterval(timer))
  }
  const aborts = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const abort = new AbortController()
      const open = await fetch(`${gateway.url}/v1/things/1`, {
        headers: { 'x-api-key': TEST_KEY },
        signal: abort.signal,
      })
      await open.body?.getReader().read()
      return abort
    }),
  )
  expect(upstream.sockets).toBeGreaterThanOrEqual(50)
  for (const abort of aborts) abort.abort()
  await waitFor('the streams closed', () => upstream.sockets <= 4, { withinMs: 30_000 })
})

run('an unmetered upload whose sender hangs up does not look whole to the upstream', async () => {
  const bytes = `POST /v1/things HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`
  await rawExchange(gateway.url, [bytes], { withinMs: 100 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(upstream.requests).toHaveLength(0)
})

const HEAD = 'content-type: application/json\r\n'

run.each([
  ['a status line that cannot be sent on', `HTTP/1.1 200 O\x01\x7fK\r\n${HEAD}content-length: 2\r\n\r\n{}`, [200, 502]],
  ['status 099', `HTTP/1.1 099 x\r\n${HEAD}content-length: 2\r\n\r\n{}`, [502]],
  ['status 999', `HTTP/1.1 999 x\r\n${HEAD}content-length: 2\r\n\r\n{}`, [999]],
  ['an unasked upgrade', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nbytes', [502]],
  ['a header that is none', `HTTP/1.1 200 OK\r\nbad header\r\n${HEAD}content-length: 2\r\n\r\n{}`, [502]],
  [
    'a header block of 1 MiB',
    `HTTP/1.1 200 OK\r\nx-big: ${'a'.repeat(1024 * 1024)}\r\ncontent-length: 2\r\n\r\n{}`,
    [502],
  ],
  [
    '1,000 interim answers',
    `${'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(1000)}HTTP/1.1 200 OK\r\n${HEAD}content-length: 2\r\n\r\n{}`,
    [200, 502],
  ],
  ['garbage', 'hello\r\n\r\n', [502]],
  ['a reset', '', [502]],
])('%s from an upstream is an answer or a 502, never the end of the gateway', async (_name, bytes, statuses) => {
  const raw = await startRawUpstream((socket: Socket) =>
    bytes === '' ? socket.resetAndDestroy() : socket.end(bytes, 'latin1'),
  )
  const other = await startTestGateway({
    upstreams: `  openai: { format: openai, base_url: "${raw.url}/v1", api_key: k, models: ["gpt-*"] }`,
    redis: gateway.redis,
  })
  try {
    const got = await rawExchange(
      other.url,
      [`GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n\r\n`],
      { withinMs: 30_000, until: (text) => text.includes('}') },
    )
    expect(statuses).toContain(got.statuses[0])
    expect((await fetch(`${other.url}/v1/models`)).status).toBe(401)
  } finally {
    await other.close()
    raw.close()
  }
})

run('a second answer that nobody asked for never reaches the next caller of an unmetered path', async () => {
  let count = 0
  const raw = await startRawUpstream((socket) => {
    const own = `{"answer":${++count}}`
    const one = (text: string): string => `HTTP/1.1 200 OK\r\n${HEAD}content-length: ${text.length}\r\n\r\n${text}`
    socket.write(one(own) + (count % 2 ? one('{"answer":"stolen"}') : ''))
    if (count % 2 === 0) setTimeout(() => socket.write(one('{"answer":"stolen"}')), 5)
  })
  const other = await startTestGateway({
    upstreams: `  openai: { format: openai, base_url: "${raw.url}/v1", api_key: k, models: ["gpt-*"] }`,
    redis: gateway.redis,
  })
  try {
    for (let call = 1; call <= 40; call++) {
      const got = await ask('GET', '/v1/models', undefined, TEST_KEY, other)
      expect(await got.text()).not.toContain('stolen')
      // The late one comes while the connection is idle; after the next request nobody could tell whose it is.
      if (call % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 25))
    }
  } finally {
    await other.close()
    raw.close()
  }
})
