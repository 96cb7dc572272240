/** Slow and boundless: readers that read nothing, answers without an end, upstreams that stop, bytes nobody asked for. */
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { parseAmount } from '../../src/core/money.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import {
  CHAT_ANSWER,
  type CountingUpstream,
  startCountingUpstream,
  startRawUpstream,
} from '../support/counting-upstream.ts'
import { creditRequest } from '../support/credit-request.ts'
import { sha256, startTestGateway, TEST_KEY, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { rawExchange, rawSocket } from '../support/raw-client.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const MIB = 1024 * 1024
/**
 * What the heap and the sockets' own buffers take on the way differs by run, up to 70 MiB. Buffered whole, each of
 * these would be far beyond.
 */
const GROWTH_MAX = 144 * MIB
const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "0.001", output: "0.001" }
`
let redis: TestRedis
let wallet: Wallet
let connection: Redis
let upstream: CountingUpstream
let answer: (response: ServerResponse) => void
let dir: string
let gateway: GatewayProcess

beforeAll(async () => {
  if (!redisAvailable) return
  redis = await startRedis()
  connection = new Redis(redis.url)
  wallet = createWallet(connection)
  dir = mkdtempSync(join(tmpdir(), 'tollgate-slow-'))
  upstream = await startCountingUpstream((_request, response) => answer(response))
  const files = writeConfig(dir, 'http://127.0.0.1:1', redis.url, {
    prices: PRICES,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`,
  })
  gateway = await startGatewayProcess(files.tollgate)
  await grant('acme')
})
afterAll(async () => {
  await gateway?.kill('SIGKILL')
  connection?.disconnect()
  await upstream?.close()
  await redis?.stop()
  if (dir) rmSync(dir, { recursive: true, force: true })
})

async function grant(account: string): Promise<void> {
  await wallet.grant(creditRequest(parseAmount('100000'), { account }))
}

function post(stream: boolean, { url = gateway.url, maxTokens = 100 } = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    body: chatBody(stream, maxTokens),
  })
}

function chatBody(stream: boolean, maxTokens: number): string {
  const messages = [{ role: 'user', content: 'hi' }]
  return JSON.stringify({ model: 'gpt-5-mini', max_tokens: maxTokens, stream, messages })
}

async function held(): Promise<string | undefined> {
  const got = await fetch(`${gateway.adminUrl}/admin/v1/accounts/acme`, {
    headers: { authorization: `Bearer ${gateway.adminToken}` },
  })
  return ((await got.json()) as { balances: { held: string }[] }).balances[0]?.held
}

async function residentBytes(): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1])
}

async function endOf(id: string): Promise<Record<string, unknown>> {
  return waitFor('the end', async () => {
    const entries = await wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })
    const end = entries.find((entry) => entry.op === id && ['settle', 'void', 'timeout'].includes(entry.type))
    return end && { ...end.fields, type: end.type }
  })
}
const idOf = (got: Response): string => got.headers.get('x-tollgate-request-id') as string

/** Highest resident memory while `work` goes on, above what it was before. */
async function growthDuring(work: () => Promise<void>): Promise<number> {
  const before = await residentBytes()
  let most = before
  let done = false
  const watching = (async () => {
    while (!done) {
      most = Math.max(most, await residentBytes())
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })()
  try {
    await work()
  } finally {
    done = true
    await watching
  }
  return most - before
}

function event(text: string): string {
  return `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'gpt-5-mini', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`
}
const ENDING = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\ndata: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [], usage: { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 } })}\n\ndata: [DONE]\n\n`

/** Writes with regard to the other side, and counts what it took. */
async function writeAll(
  response: ServerResponse,
  pieces: Iterable<string | Buffer>,
  taken: { bytes: number },
): Promise<void> {
  const gone = new Promise((resolve) => response.once('close', resolve))
  for (const piece of pieces) {
    if (response.destroyed) return
    taken.bytes += piece.length
    if (!response.write(piece)) await Promise.race([gone, new Promise((resolve) => response.once('drain', resolve))])
  }
  response.end()
}

function* repeated(piece: string | Buffer, times: number, last: string): Generator<string | Buffer> {
  for (let i = 0; i < times; i++) yield piece
  yield last
}

run(
  '20 callers that stop reading 20 MB streams at once: the upstream waits, memory does not grow, and the answers are whole after',
  async () => {
    const taken = { bytes: 0 }
    const piece = event('a '.repeat(4_000))
    const times = Math.ceil((20 * MIB) / piece.length)
    answer = (response) => {
      response.setHeader('content-type', 'text/event-stream')
      void writeAll(response, repeated(piece, times, ENDING), taken)
    }
    const request = bytesOf(true)
    // The first streams of a process grow its heap to working size: what is measured is what waits, not what warms up.
    await Promise.all(Array.from({ length: 8 }, async () => readThrough(await post(true, { maxTokens: 100_000_000 }))))
    upstream.requests.length = 0
    taken.bytes = 0
    const sockets = await Promise.all(Array.from({ length: 20 }, () => rawSocket(gateway.url)))
    // Also where this test fails: the next one counts the upstream's sockets.
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
    })
    let bytes = 0
    const growth = await growthDuring(async () => {
      ;[bytes = 0] = await Promise.all(sockets.map((socket) => startStream(socket, request)))
      await new Promise((resolve) => setTimeout(resolve, 2_000))
    })
    // Buffered whole it would be 400 MiB.
    expect(growth).toBeLessThan(GROWTH_MAX)
    expect(taken.bytes).toBeLessThan(300 * MIB)
    // One of them reads on: its answer is whole.
    const first = sockets[0] as Socket
    let tail = ''
    first.on('data', (chunk) => {
      bytes += chunk.length
      tail = (tail + chunk.toString('latin1')).slice(-200)
    })
    first.resume()
    await waitFor('the end', () => tail.includes('[DONE]'))
    expect(bytes).toBeGreaterThan(20 * MIB)
    for (const socket of sockets) socket.destroy()
    await waitFor('nothing held', async () => (await held()) === '0')
  },
)

/** Sends the request, and reads the first bytes of its answer and no more: how many they were. */
async function startStream(socket: Socket, request: string): Promise<number> {
  socket.write(request)
  const head = await new Promise<Buffer>((resolve) => {
    socket.once('data', resolve)
    socket.once('close', () => resolve(Buffer.from('closed')))
  })
  socket.pause()
  expect(head.toString('latin1')).toMatch(/^HTTP\/1\.1 200 /)
  return head.length
}

function bytesOf(stream: boolean): string {
  const body = chatBody(stream, 100_000_000)
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

/** Length, and the last bytes. */
async function readThrough(got: Response): Promise<{ bytes: number; tail: string }> {
  let bytes = 0
  let tail = ''
  for await (const chunk of got.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    tail = (tail + Buffer.from(chunk.subarray(-300)).toString('latin1')).slice(-300)
  }
  return { bytes, tail }
}

run('one SSE line of 256 MB passes with bounded memory, and the usage after it counts', async () => {
  const block = 'a'.repeat(64 * 1024)
  answer = (response) => {
    response.setHeader('content-type', 'text/event-stream')
    function* pieces(): Generator<string> {
      yield event('x').slice(0, -2).replace(/"x".*/, '"')
      for (let i = 0; i < 4096; i++) yield block
      yield `"},"finish_reason":null}]}\n\n${ENDING}`
    }
    void writeAll(response, pieces(), { bytes: 0 })
  }
  let end: Record<string, unknown> = {}
  const growth = await growthDuring(async () => {
    const got = await post(true)
    const { bytes, tail } = await readThrough(got)
    expect(bytes).toBeGreaterThan(256 * MIB)
    expect(tail).toContain('[DONE]')
    end = await endOf(idOf(got))
  })
  expect(growth).toBeLessThan(GROWTH_MAX)
  expect(end).toMatchObject({ type: 'settle', usage_source: 'provider', tokens: { output: 9 } })
})

run.each([false, true])(
  'two JSON answers of 100 MB pass at once with bounded memory (gzip: %s), and their usage counts',
  async (compressed) => {
    const [before, after] = JSON.stringify({ ...CHAT_ANSWER, choices: [{ message: { content: '@' } }] }).split('@') as [
      string,
      string,
    ]
    const block = 'abcdefgh'.repeat(8 * 1024)
    function* pieces(): Generator<string | Buffer> {
      yield before
      for (let i = 0; i < 1_600; i++) yield block
      yield after
    }
    // 60 MB of JSON, made before anyone waits for it: beyond 64 MB nobody decodes.
    const random = Buffer.from(Array.from({ length: 3_000_000 }, () => Math.floor(Math.random() * 26) + 97)).toString()
    const whole = compressed ? [gzipSync(`${before}${random.repeat(20)}${after}`, { level: 1 })] : undefined
    answer = (response) => {
      response.setHeader('content-type', 'application/json')
      if (compressed) response.setHeader('content-encoding', 'gzip')
      void writeAll(response, whole ?? pieces(), { bytes: 0 })
    }
    const growth = await growthDuring(async () => {
      const call = async (): Promise<void> => {
        const got = await post(false)
        expect((await readThrough(got)).bytes).toBeGreaterThan(compressed ? 60_000_000 - 1 : 100 * MIB)
        const end = await endOf(idOf(got))
        expect(end).toMatchObject({ type: 'settle', usage_source: 'provider', tokens: { output: 2 } })
      }
      await Promise.all(Array.from({ length: 2 }, call))
    })
    expect(growth).toBeLessThan(GROWTH_MAX)
  },
)

run('a compressed stream that swells without end is stopped with an error event; memory stays', async () => {
  const bomb = gzipSync(Buffer.alloc(512 * MIB, 'a'))
  answer = (response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.setHeader('content-encoding', 'gzip')
    response.end(bomb)
  }
  let text = ''
  const growth = await growthDuring(async () => {
    const got = await post(true)
    text = (await readThrough(got)).tail
    expect(await endOf(idOf(got))).toMatchObject({ type: 'settle', usage_source: 'estimate' })
  })
  expect(text).toContain('"code":"upstream_unreachable"')
  expect(growth).toBeLessThan(GROWTH_MAX)
})

run(
  'an upstream that falls silent in a stream: an error event, what was produced is charged, the upstream is closed',
  async () => {
    await withSilentUpstream('text/event-stream', event('one two three'), async (url, silent) => {
      const got = await post(true, { url })
      const text = await got.text()
      expect(text).toContain('"upstream_timeout"')
      expect(text).not.toContain('[DONE]')
      expect(await endOf(idOf(got))).toMatchObject({ type: 'settle', usage_source: 'estimate' })
      await waitFor('the upstream closed', () => silent.sockets === 0)
    })
  },
)

run('an upstream that falls silent in JSON: 504, or a connection that breaks off once bytes have gone', async () => {
  await withSilentUpstream('application/json', '{"id":', async (url) => {
    const got = await post(false, { url })
    expect([got.status, got.headers.get('x-tollgate-error')]).toEqual([504, 'upstream_timeout'])
  })
  await withSilentUpstream('application/json', `{"id":"${'a'.repeat(400_000)}`, async (url) => {
    const broken = await post(false, { url })
    expect(broken.status).toBe(200)
    await expect(broken.text()).rejects.toThrow()
  })
})

/** A gateway whose upstream says `begin`, and then nothing more. */
async function withSilentUpstream(
  type: string,
  begin: string,
  use: (url: string, silent: CountingUpstream) => Promise<void>,
): Promise<void> {
  const silent = await startCountingUpstream((_request, response) => {
    response.setHeader('content-type', type)
    response.write(begin)
  })
  const other = await startTestGateway({
    prices: PRICES,
    redis,
    upstreams: `  openai: { format: openai, base_url: "${silent.url}/v1", api_key: k, models: ["gpt-*"] }`,
    settings: 'limits: { upstream_idle_timeout: 1s }',
  })
  try {
    await use(other.url, silent)
  } finally {
    await other.close()
    await silent.close()
  }
}

run('a stream that goes on for ever ends at upstream_total_timeout', async () => {
  const raw = await startCountingUpstream((_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    const timer = setInterval(() => response.write(event('x')), 100)
    response.on('close', () => clearInterval(timer))
  })
  const other = await startTestGateway({
    prices: PRICES,
    redis,
    upstreams: `  openai: { format: openai, base_url: "${raw.url}/v1", api_key: k, models: ["gpt-*"] }`,
    settings: 'limits: { upstream_total_timeout: 1s }',
  })
  try {
    const startedMs = performance.now()
    const got = await post(true, { url: other.url })
    expect(await got.text()).toContain('"upstream_timeout"')
    // Silence would end it after 120 s, nothing else before 15 min.
    expect(performance.now() - startedMs).toBeLessThan(20_000)
    expect(await endOf(idOf(got))).toMatchObject({ type: 'settle', usage_source: 'estimate' })
  } finally {
    await other.close()
    await raw.close()
  }
})

const HEAD = 'content-type: application/json\r\n'
const OK = JSON.stringify(CHAT_ANSWER)
const sized = (text: string, status = '200 OK'): string =>
  `HTTP/1.1 ${status}\r\n${HEAD}content-length: ${text.length}\r\n\r\n${text}`

run('a second answer, or bytes beyond the first, never reach another caller', async () => {
  let count = 0
  const raw = await startRawUpstream((socket, request) => {
    const asked = /"user","content":"([^"]*)"/.exec(request)?.[1] ?? ''
    const own = OK.replace('"hello"', JSON.stringify(asked))
    const kind = count++ % 4
    if (kind === 0) socket.write(sized(own) + sized(OK.replace('hello', 'stolen')))
    else if (kind === 1) socket.write(`${sized(own)}surplus`)
    else {
      socket.write(sized(own))
      if (kind === 2) setTimeout(() => socket.write(sized(OK.replace('hello', 'stolen'))), 3)
    }
  })
  const other = await startTestGateway({
    prices: PRICES,
    redis,
    entitlements: `version: 1
plans: { main: { unit: USD } }
accounts:
  acme: { plan: main, keys: [{ id: a, sha256: "${sha256('key-a')}" }] }
  other: { plan: main, keys: [{ id: b, sha256: "${sha256('key-b')}" }] }
`,
    upstreams: `  openai: { format: openai, base_url: "${raw.url}/v1", api_key: k, models: ["gpt-*"] }`,
  })
  try {
    await other.grant('100', 'other')
    for (let call = 0; call < 200; call++) {
      const got = await fetch(`${other.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer key-${call % 2 ? 'a' : 'b'}` },
        body: JSON.stringify({
          model: 'gpt-5-mini',
          max_tokens: 9,
          messages: [{ role: 'user', content: `mine-${call}` }],
        }),
      })
      const text = await got.text()
      expect(text).not.toContain('stolen')
      if (got.status === 200) expect(text).toContain(`"mine-${call}"`)
      else expect(got.status).toBe(502)
      // The late one comes while the connection is idle; after the next request nobody could tell whose it is.
      if (call % 4 === 2) await new Promise((resolve) => setTimeout(resolve, 15))
    }
    await waitFor('nothing held', async () => (await other.balance('other'))['held'] === '0')
  } finally {
    await other.close()
    raw.close()
  }
})

run.each([
  [
    'a status line of control characters',
    `HTTP/1.1 200 O\x01\x7fK\r\n${HEAD}content-length: ${OK.length}\r\n\r\n${OK}`,
    [200, 502],
  ],
  ['status 099', `HTTP/1.1 099 x\r\n${HEAD}content-length: 2\r\n\r\n{}`, [502]],
  ['status 199', `HTTP/1.1 199 x\r\n${HEAD}\r\n`, [502]],
  ['status 999', sized('{}', '999 x'), [999]],
  ['status 204', 'HTTP/1.1 204 No Content\r\n\r\n', [204]],
  ['an unasked upgrade', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nbytes', [502]],
  [
    'a control character in a header',
    `HTTP/1.1 200 OK\r\nx-bad: a\x01b\r\n${HEAD}content-length: ${OK.length}\r\n\r\n${OK}`,
    [200, 502],
  ],
  ['a NUL in a header', `HTTP/1.1 200 OK\r\nx-bad: a\0b\r\n${HEAD}content-length: ${OK.length}\r\n\r\n${OK}`, [502]],
  [
    'a header name with a space',
    `HTTP/1.1 200 OK\r\nx bad: a\r\n${HEAD}content-length: ${OK.length}\r\n\r\n${OK}`,
    [502],
  ],
  ['two lengths', `HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n${HEAD}\r\n${OK}`, [502]],
  [
    'a header block of 1 MiB',
    `HTTP/1.1 200 OK\r\nx-big: ${'a'.repeat(MIB)}\r\n${HEAD}content-length: 2\r\n\r\n{}`,
    [502],
  ],
  [
    '1,000 interim answers',
    `${'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(1_000)}${sized(OK)}`,
    [200, 502],
  ],
  ['a length that is too short', `HTTP/1.1 200 OK\r\n${HEAD}content-length: ${OK.length}\r\n\r\n${OK}and more`, [200]],
  ['chunks with a broken size', `HTTP/1.1 200 OK\r\n${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n${OK}`, [502]],
  ['garbage', 'hello\r\n\r\n', [502]],
  [
    'an encoding that is none',
    `HTTP/1.1 200 OK\r\n${HEAD}content-encoding: gzip\r\ncontent-length: ${OK.length}\r\n\r\n${OK}`,
    [200],
  ],
  ['an empty answer', `HTTP/1.1 200 OK\r\n${HEAD}content-length: 0\r\n\r\n`, [200]],
])('%s from an upstream: one end of the money, nothing held, the gateway serves on', async (_name, bytes, statuses) => {
  const raw = await startRawUpstream((socket) => socket.end(bytes, 'latin1'))
  const other = await startTestGateway({
    prices: PRICES,
    redis,
    upstreams: `  openai: { format: openai, base_url: "${raw.url}/v1", api_key: k, models: ["gpt-*"] }`,
  })
  try {
    for (const stream of [false, true]) {
      const got = await post(stream, { url: other.url })
      expect(statuses).toContain(got.status)
      const id = idOf(got)
      await got.arrayBuffer().catch(() => undefined)
      await endOf(id)
      expect((await other.balance())['held']).toBe('0')
    }
  } finally {
    await other.close()
    raw.close()
  }
})

run('an upstream that refuses in the middle of the upload: its answer or a 502, and nothing is charged', async () => {
  const raw = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.end(sized('{"error":{"message":"too large"}}', '413 Payload Too Large'))
    })
  })
  await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve))
  const other = await startTestGateway({
    prices: PRICES,
    redis,
    upstreams: `  openai: { format: openai, base_url: "http://127.0.0.1:${(raw.address() as AddressInfo).port}/v1", api_key: k, models: ["gpt-*"] }`,
  })
  try {
    const got = await fetch(`${other.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}` },
      body: JSON.stringify({
        model: 'gpt-5-mini',
        max_tokens: 9,
        messages: [{ role: 'user', content: 'word '.repeat(2_000_000) }],
      }),
    })
    expect([413, 502]).toContain(got.status)
    expect(await endOf(idOf(got))).toMatchObject({ type: 'void' })
  } finally {
    await other.close()
    raw.close()
  }
})

run.each([
  ['an event stream for a call that asked for JSON', false, 'text/event-stream', event('hi') + ENDING],
  ['JSON for a call that asked for a stream', true, 'application/json', OK],
])('%s passes as it came, with its usage', async (_name, stream, type, body) => {
  answer = (response) => {
    response.setHeader('content-type', type)
    response.end(body)
  }
  const got = await post(stream)
  expect(got.headers.get('content-type')).toBe(type)
  const text = await got.text()
  expect(text).toContain(stream ? '"completion_tokens":2' : '[DONE]')
  expect(await endOf(idOf(got))).toMatchObject({
    type: 'settle',
    usage_source: 'provider',
    tokens: { output: stream ? 2 : 9 },
  })
})

run('an HTTP/1.0 client reads a stream to its end, which is the end of the connection', async () => {
  answer = (response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.end(event('hi') + ENDING)
  }
  const request = bytesOf(true).replace('HTTP/1.1', 'HTTP/1.0')
  const got = await rawExchange(gateway.url, [request], { withinMs: 30_000 })
  expect([got.statuses, got.closed]).toEqual([[200], true])
  expect(got.text).not.toMatch(/transfer-encoding/i)
  expect(got.text).toContain('[DONE]')
})

run('a stream is asked for uncompressed whatever the caller accepts; JSON as the caller wants it', async () => {
  answer = (response) => response.end(OK)
  const asked = async (stream: boolean, accept: string): Promise<string | undefined> => {
    upstream.requests.length = 0
    await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'accept-encoding': accept },
      body: JSON.stringify({ model: 'gpt-5-mini', max_tokens: 9, stream, messages: [{ role: 'user', content: 'x' }] }),
    })
    const raw = upstream.requests[0]?.rawHeaders ?? []
    return raw[raw.indexOf('accept-encoding') + 1]
  }
  expect(await asked(true, 'gzip, br')).toBe('identity')
  expect(await asked(false, 'gzip, br')).toBe('gzip, br')
})

beforeEach(() => {
  if (upstream) upstream.requests.length = 0
})
