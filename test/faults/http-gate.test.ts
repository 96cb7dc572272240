/** One in, one out: no request text makes two upstream requests, or one that was refused. Raw sockets throughout. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { rawExchange, rawSocket } from '../support/raw-client.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let upstream: CountingUpstream
let gateway: TestGateway

beforeAll(async () => {
  if (!redisAvailable) return
  upstream = await startCountingUpstream()
  gateway = await startTestGateway({
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"], shared: true }`,
    settings: `metering: { unmetered_paths: ["* /v1/models", "* /v1/files/*"] }
limits: { body_bytes: 64KiB, headers_timeout: 1s, request_timeout: 2s }`,
  })
  await gateway.grant('100000')
})
afterAll(async () => {
  await gateway?.close()
  await upstream?.close()
})
beforeEach(() => {
  if (upstream) upstream.requests.length = 0
})

const BODY = JSON.stringify({ model: 'gpt-5-mini', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] })
const AUTH = `authorization: Bearer ${TEST_KEY}\r\n`

/** A request line, headers and body; `headers` after host, key and type. */
function post(headers: string, body: string = BODY, line = 'POST /v1/chat/completions HTTP/1.1'): string {
  return `${line}\r\nhost: gateway\r\n${AUTH}content-type: application/json\r\n${headers}\r\n${body}`
}
const length = (text: string): string => `content-length: ${Buffer.byteLength(text)}\r\n`
const chunked = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`
const SMUGGLED = post(length(BODY))

const GOOD = post(length(BODY))

run.each([
  ['a plain request', GOOD, 200, 1],
  ['chunks', post('transfer-encoding: chunked\r\n', chunked(BODY)), 200, 1],
  [
    'Content-Length and Transfer-Encoding',
    post(`${length(BODY)}transfer-encoding: chunked\r\n`, chunked(BODY)),
    400,
    0,
  ],
  [
    'Transfer-Encoding twice',
    post('transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n', chunked(BODY)),
    400,
    0,
  ],
  ['gzip, chunked', post('transfer-encoding: gzip, chunked\r\n', chunked(BODY)), 400, 0],
  [
    'Transfer-Encoding in HTTP/1.0',
    post('transfer-encoding: chunked\r\n', chunked(BODY), 'POST /v1/chat/completions HTTP/1.0'),
    400,
    0,
  ],
  ['two lengths', post(`content-length: 5\r\n${length(BODY)}`), 400, 0],
  ['a length with a sign', post(`content-length: +${Buffer.byteLength(BODY)}\r\n`), 400, 0],
  ['a length in hex', post('content-length: 0x10\r\n'), 400, 0],
  ['a length list', post(`content-length: ${Buffer.byteLength(BODY)}, ${Buffer.byteLength(BODY)}\r\n`), 400, 0],
  ['a negative length', post('content-length: -1\r\n'), 400, 0],
  ['two Host', post(`host: other\r\n${length(BODY)}`), 400, 0],
  ['no Host', `POST /v1/chat/completions HTTP/1.1\r\n${AUTH}${length(BODY)}\r\n${BODY}`, 400, 0],
  ['two keys in one header name', post(`authorization: Bearer other\r\n${length(BODY)}`), 400, 0],
  ['a folded header', post(`x-folded: a\r\n b\r\n${length(BODY)}`), 400, 0],
  ['a space before the colon', post(`x-space : a\r\n${length(BODY)}`), 400, 0],
  ['a NUL in a header', post(`x-nul: a\0b\r\n${length(BODY)}`), 400, 0],
  ['bare line feeds', GOOD.replaceAll('\r\n', '\n'), 400, 0],
  ['HTTP/2.0', post(length(BODY), BODY, 'POST /v1/chat/completions HTTP/2.0'), 400, 0],
  ['HTTP/0.9', post(length(BODY), BODY, 'POST /v1/chat/completions HTTP/0.9'), 400, 0],
  [
    'two spaces after the method are sent on as one',
    post(length(BODY), BODY, 'POST  /v1/chat/completions HTTP/1.1'),
    200,
    1,
  ],
  ['TRACE', post(length(BODY), BODY, 'TRACE /v1/chat/completions HTTP/1.1'), 400, 0],
  ['a method of its own', post(length(BODY), BODY, 'BREW /v1/chat/completions HTTP/1.1'), 400, 0],
  ['CONNECT', `CONNECT 169.254.169.254:80 HTTP/1.1\r\nhost: x\r\n${AUTH}\r\n`, undefined, 0],
  ['an asterisk', post('', '', 'OPTIONS * HTTP/1.1'), 400, 0],
  ['absolute form', post(length(BODY), BODY, 'POST http://169.254.169.254/v1/chat/completions HTTP/1.1'), 400, 0],
  ['a dot segment', post(length(BODY), BODY, 'POST /v1/x/../chat/completions HTTP/1.1'), 400, 0],
  ['an escaped dot segment', post(length(BODY), BODY, 'POST /v1/x/%2e%2e/chat/completions HTTP/1.1'), 400, 0],
  ['an escaped slash', post(length(BODY), BODY, 'POST /v1%2fchat/completions HTTP/1.1'), 400, 0],
  ['an escaped letter', post(length(BODY), BODY, 'POST /v1/chat/completion%73 HTTP/1.1'), 400, 0],
  ['an escaped letter in an object', post('', '', 'GET /v1/file%73/x HTTP/1.1'), 400, 0],
  ['a double slash', post(length(BODY), BODY, 'POST /v1//chat/completions HTTP/1.1'), 400, 0],
  ['a backslash', post(length(BODY), BODY, 'POST /v1\\chat/completions HTTP/1.1'), 400, 0],
  ['a broken escape', post(length(BODY), BODY, 'POST /v1/chat/completions%zz HTTP/1.1'), 400, 0],
  ['a fragment', post(length(BODY), BODY, 'POST /v1/chat/completions#x HTTP/1.1'), 400, 0],
  ['a path of 5 KiB', post(length(BODY), BODY, `POST /v1/${'a'.repeat(5 * 1024)} HTTP/1.1`), 400, 0],
  ['a header block of 20 KiB', post(`x-big: ${'a'.repeat(20 * 1024)}\r\n${length(BODY)}`), 431, 0],
  ['250 headers', post(`${'x-many: a\r\n'.repeat(250)}${length(BODY)}`), 431, 0],
  ['HEAD of a call', `HEAD /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${AUTH}\r\n`, 403, 0],
  ['OPTIONS without a key', 'OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n', 401, 0],
  ['a WebSocket by POST', post(`connection: upgrade\r\nupgrade: websocket\r\n${length(BODY)}`), 400, 0],
  [
    'a wish for h2c is a plain request',
    post(`connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n${length(BODY)}`),
    200,
    1,
  ],
  [
    'a wish for h2c with two lengths',
    post(`connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n${length(BODY)}`),
    400,
    0,
  ],
  ['a compressed body', post(`content-encoding: gzip\r\n${length(BODY)}`), 400, 0],
  ['a length above the bound', post('content-length: 70000\r\n', ''), 413, 0],
  ['chunks above the bound', post('transfer-encoding: chunked\r\n', chunked('a'.repeat(70_000))), 413, 0],
  ['an unknown expectation', post(`expect: a-pony\r\n${length(BODY)}`), 417, 0],
  ['an empty body', post('content-length: 0\r\n', ''), 400, 0],
  [
    'the model twice, once escaped',
    post(
      length(`{"model":"gpt-5-mini","mod\\u0065l":"gpt-5",${BODY.slice(1)}`),
      `{"model":"gpt-5-mini","mod\\u0065l":"gpt-5",${BODY.slice(1)}`,
    ),
    400,
    0,
  ],
])('%s: %#', async (_name, bytes, status, sent) => {
  const answer = await rawExchange(gateway.url, [bytes], { until: (text) => /\r\n\r\n/.test(text) })
  expect(answer.statuses[0]).toBe(status)
  expect([upstream.requests.length, upstream.malformed]).toEqual([sent, 0])
})

run('what the upstream gets has none of our headers, claims of forwarding or hop-by-hop names', async () => {
  const headers = [
    'x-tollgate-run: r1',
    'x-tollgate-anything: 1',
    'x-forwarded-for: 1.2.3.4',
    'forwarded: for=1.2.3.4',
    'via: 1.1 x',
    'te: trailers',
    'connection: x-secret-hop',
    'x-secret-hop: 1',
    'cookie: a=b',
    'proxy-authorization: Basic eA==',
    '__proto__: 1',
    'x-kept: 1',
  ]
  const answer = await rawExchange(gateway.url, [post(`${headers.join('\r\n')}\r\n${length(BODY)}`)], {
    until: (text) => text.includes('usage'),
  })
  expect(answer.statuses).toEqual([200])
  const names = (upstream.requests[0]?.rawHeaders ?? [])
    .filter((_, index) => index % 2 === 0)
    .map((name) => name.toLowerCase())
  expect(names.sort()).toEqual(
    [
      '__proto__',
      'accept-encoding',
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
      'x-kept',
    ].sort(),
  )
})

run('pipelined requests are answered each by itself, in order', async () => {
  const answer = await rawExchange(gateway.url, [GOOD.repeat(20)], {
    withinMs: 30_000,
    until: (text) => (text.match(/HTTP\/1\.1 200/g) ?? []).length === 20 && text.endsWith('}}'),
  })
  expect(answer.statuses).toEqual(Array(20).fill(200))
  expect(upstream.requests).toHaveLength(20)
})

run('a caller that hangs up on pipelined requests leaves nothing held', async () => {
  const socket = await rawSocket(gateway.url)
  socket.write(GOOD.repeat(20))
  await waitFor('one upstream', () => upstream.requests.length > 0)
  socket.destroy()
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
})

run.each([
  ['401', `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n`, 401],
  ['413', post('', '').slice(0, -2), 413],
  ['403', post('', '', 'POST /v1/nothing HTTP/1.1').slice(0, -2), 403],
  ['400', post('', '', 'POST /v1/x/../y HTTP/1.1').slice(0, -2), 400],
])('after an early %s the rest of the upload is never a request', async (_name, head, status) => {
  // The upload is announced as 1 MiB and looks like a request of its own.
  const answer = await rawExchange(gateway.url, [`${head}content-length: 1048576\r\n\r\n`, SMUGGLED, SMUGGLED], {
    withinMs: 30_000,
  })
  expect(answer.statuses).toEqual([status])
  expect(answer.closed).toBe(true)
  expect(upstream.requests).toHaveLength(0)
})

run('402 after a whole upload keeps the connection for the next call', async () => {
  const other = await startTestGateway({
    redis: gateway.redis,
    upstreams: upstreamLine(),
    entitlements: poorEntitlements(),
  })
  try {
    const answer = await rawExchange(other.url, [GOOD, GOOD], {
      withinMs: 30_000,
      until: (text) => (text.match(/HTTP\/1\.1 402/g) ?? []).length === 2,
    })
    expect(answer.statuses).toEqual([402, 402])
    expect(upstream.requests).toHaveLength(0)
  } finally {
    await other.close()
  }
})

function upstreamLine(): string {
  return `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`
}

function poorEntitlements(): string {
  return `version: 1
plans: { main: { unit: USD } }
accounts:
  poor: { plan: main, keys: [{ id: p, sha256: "${sha256(TEST_KEY)}" }] }
`
}

run('a refused upload that is still being sent can be read by its sender', async () => {
  const big = 'a'.repeat(300_000)
  for (let attempt = 0; attempt < 10; attempt++) {
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: big,
    })
    expect(answer.status).toBe(413)
    expect(await answer.json()).toHaveProperty('error.code', 'body_too_large')
  }
})

run.each([
  ['with a key', AUTH, length(BODY), [100, 200]],
  ['without a key', '', length(BODY), [401]],
  ['with a length above the bound', AUTH, 'content-length: 70000\r\n', [413]],
])('Expect: 100-continue %s', async (_name, auth, size, statuses) => {
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${auth}expect: 100-continue\r\n${size}\r\n`
  const socket = await rawSocket(gateway.url)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.write(head)
  await waitFor('an answer', () => /HTTP\/1.1 \d+ .*\r\n\r\n/s.test(text))
  if (statuses[0] === 100) socket.write(BODY)
  await waitFor('the final answer', () => text.includes(`HTTP/1.1 ${statuses.at(-1)}`))
  socket.destroy()
  expect([...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))).toEqual(statuses)
})

run.each([
  ['headers', 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow:', 1_000],
  ['a body', post('content-length: 500\r\n', '{"model":'), 2_000],
])('slow %s: 408, the connection closed, nothing held', async (_name, begin, limitMs) => {
  const startedMs = performance.now()
  const answer = await rawExchange(gateway.url, [begin], { withinMs: 30_000 })
  expect(answer.statuses).toEqual([408])
  expect(answer.closed).toBe(true)
  // The limits that hold where none is said: 10 s and 60 s.
  expect(performance.now() - startedMs).toBeLessThan(limitMs + 7_000)
  expect(upstream.requests).toHaveLength(0)
  expect((await gateway.balance())['held']).toBe('0')
})

run('a caller that goes in the middle of its upload holds nothing and reaches nobody', async () => {
  for (const abrupt of [true, false]) {
    const socket = await rawSocket(gateway.url)
    socket.write(post('content-length: 500\r\n', BODY))
    await new Promise((resolve) => setTimeout(resolve, 50))
    if (abrupt) socket.resetAndDestroy()
    else socket.end()
  }
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(upstream.requests).toHaveLength(0)
  expect((await gateway.balance())['held']).toBe('0')
})

run('an HTTP/1.0 client reads a whole answer, ended by the connection', async () => {
  const answer = await rawExchange(gateway.url, [post(length(BODY), BODY, 'POST /v1/chat/completions HTTP/1.0')], {
    withinMs: 30_000,
  })
  expect(answer.closed).toBe(true)
  expect(answer.text).not.toMatch(/transfer-encoding/i)
  expect(answer.text).toContain('"completion_tokens":2')
})

const CORPORA = fileURLToPath(new URL('../../../shared/corpora/', import.meta.url))
const haveCorpora = existsSync(CORPORA)
if (!haveCorpora) process.stdout.write(`skipped: the corpora of malformed requests are not at ${CORPORA}\n`)

function readLines(file: string): Record<string, string>[] {
  return readFileSync(`${CORPORA}${file}`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>)
}

/** Some at a time, each on a connection of its own. */
async function inTurns<T>(items: readonly T[], atOnce: number, step: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await step(item)
    }),
  )
}

test.skipIf(!redisAvailable || !haveCorpora)(
  'requests of the parser corpus: what is no call never reaches the upstream',
  async () => {
    await inTurns(readLines('llhttp/requests.jsonl'), 20, async (entry) => {
      await rawExchange(gateway.url, [Buffer.from(entry['bytes_b64'] as string, 'base64')], {
        withinMs: 150,
        until: (text) => text.includes('\r\n\r\n'),
      })
    })
    expect([upstream.requests.length, upstream.malformed]).toEqual([0, 0])
    expect((await fetch(`${gateway.url}/v1/chat/completions`)).status).toBe(401)
  },
)

test.skipIf(!redisAvailable || !haveCorpora)(
  'malformed Transfer-Encoding lines: at most one upstream request for each that was accepted, none smuggled',
  async () => {
    let accepted = 0
    await inTurns(readLines('smuggler-te/te-gadgets.jsonl'), 20, async (entry) => {
      const gadget = Buffer.from(entry['gadget_b64'] as string, 'base64')
      const inner = chunked(BODY)
      const head = Buffer.from(
        `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${AUTH}content-length: ${inner.length}\r\n`,
      )
      const answer = await rawExchange(gateway.url, [Buffer.concat([head, gadget, Buffer.from(`\r\n\r\n${inner}`)])], {
        withinMs: 300,
        until: (text) => text.includes('\r\n\r\n'),
      })
      if (answer.statuses[0] === 200) accepted++
    })
    expect(upstream.requests.length).toBeLessThanOrEqual(accepted)
    expect(upstream.malformed).toBe(0)
    // A body that begins with a chunk size is no JSON, so nothing of this can pass.
    expect(upstream.requests).toHaveLength(0)
  },
)

test.skipIf(!redisAvailable || !haveCorpora)(
  'with a key, and every path let through: each text of both corpora makes at most one upstream request',
  async () => {
    const plain = await startCountingUpstream((_request, response) => response.end('{}'))
    const open = await startTestGateway({
      redis: gateway.redis,
      upstreams: `  openai: { format: openai, base_url: "${plain.url}", api_key: k, models: ["gpt-*"], shared: true }`,
      settings: 'metering: { unmetered_paths: ["* /*"] }',
    })
    // Only the first request of a text has a key and its number: one that was smuggled would have neither.
    let number = 0
    const marked = (bytes: Buffer): Buffer => {
      const end = bytes.indexOf('\r\n') + 2
      return Buffer.concat([bytes.subarray(0, end), Buffer.from(`${AUTH}x-text: ${++number}\r\n`), bytes.subarray(end)])
    }
    const texts = readLines('llhttp/requests.jsonl').map((entry) => Buffer.from(entry['bytes_b64'] as string, 'base64'))
    const whole = texts.filter((bytes) => bytes.includes('\r\n')).map(marked)
    const inner = '5\r\nhello\r\n0\r\n\r\n'
    for (const entry of readLines('smuggler-te/te-gadgets.jsonl')) {
      const head = `POST /things HTTP/1.1\r\nhost: x\r\ncontent-length: ${inner.length}\r\n`
      const tail = Buffer.from(`\r\n\r\n${inner}`)
      whole.push(marked(Buffer.concat([Buffer.from(head), Buffer.from(entry['gadget_b64'] as string, 'base64'), tail])))
    }
    try {
      await inTurns(whole, 20, async (bytes) => {
        await rawExchange(open.url, [bytes], { withinMs: 150 })
      })
      const numbers = plain.requests.map(({ rawHeaders }) => rawHeaders[rawHeaders.indexOf('x-text') + 1])
      expect(plain.malformed).toBe(0)
      expect(numbers.length).toBeGreaterThan(5)
      expect(numbers.every((text) => /^\d+$/.test(text ?? ''))).toBe(true)
      expect(new Set(numbers).size).toBe(numbers.length)
      expect(JSON.stringify(plain.requests)).not.toContain(TEST_KEY)
    } finally {
      await open.close()
      await plain.close()
    }
  },
)
