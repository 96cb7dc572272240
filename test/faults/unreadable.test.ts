/**
 * Answers that cannot be read: broken or boundless compression, events of 256 MB, frames that lie, absurd usage. The
 * caller gets the provider's bytes, memory stays, the money has its end, and the entry and a metric say that something
 * was not read.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, crc32, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { eventFrame } from '../../src/providers/event-frame.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { entitlementsFor, TEST_KEY, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { canMeasurePeak, peakGrowth } from '../support/peak-memory.ts'
import { rawExchange } from '../support/raw-client.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const MIB = 1024 * 1024
/** A process's heap and what is on its way through sockets, up to 60 MB: what was kept even once would show. */
const GROWTH_MAX = 90 * MIB
const LARGE_BYTES = 256 * MIB
const BLOCK = Buffer.alloc(MIB, 'x')

let redis: TestRedis
let wallet: Wallet
let connection: Redis
let upstream: CountingUpstream
let answer: (response: ServerResponse) => void | Promise<void>
let dir: string
let gateway: GatewayProcess

beforeAll(async () => {
  if (!redisAvailable) return
  redis = await startRedis()
  connection = new Redis(redis.url)
  wallet = createWallet(connection)
  dir = mkdtempSync(join(tmpdir(), 'tollgate-unread-'))
  upstream = await startCountingUpstream((_request, response) => void answer(response))
  const files = writeConfig(dir, 'http://127.0.0.1:1', redis.url, {
    entitlements: entitlementsFor('on_exhausted: { mode: postpaid }'),
    prices: '\n  - match: { model: "*" }\n    from: 2020-01-01\n    per_million: { input: "0.001", output: "0.001" }\n',
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }
  gemini: { format: gemini, base_url: "${upstream.url}", api_key: k, models: ["gemini-*"] }`,
  })
  gateway = await startGatewayProcess(files.tollgate)
  await warm()
})

afterAll(async () => {
  await gateway?.kill('SIGKILL')
  connection?.disconnect()
  await upstream?.close()
  await redis?.stop()
  if (dir) rmSync(dir, { recursive: true, force: true })
})

/** The first large answers of a process grow its heap to working size. */
async function warm(): Promise<void> {
  for (const stream of [true, false]) {
    answer = (response) => sendAll(response, stream ? 'text/event-stream' : 'application/json', [], [': ', BLOCK, 40])
    for (let i = 0; i < 2; i++) await readThrough(await post(stream))
  }
}

interface Read {
  readonly bytes: number
  /** The first and last characters. */
  readonly head: string
  readonly tail: string
  /** The connection ended before the answer did. */
  readonly broken: boolean
}

async function readThrough(response: Response): Promise<Read> {
  let bytes = 0
  let head = ''
  let tail = ''
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')
      if (head.length < 1000) head += text.slice(0, 1000)
      tail = (tail + text.slice(-4000)).slice(-4000)
    }
  } catch {
    return { bytes, head, tail, broken: true }
  }
  return { bytes, head, tail, broken: false }
}

function post(stream: boolean, headers: Record<string, string> = {}, maxTokens = 100): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      model: 'gpt-5-mini',
      max_tokens: maxTokens,
      stream,
      stream_options: stream ? { include_usage: true } : undefined,
      messages: [{ role: 'user', content: 'hi' }],
    }),
  })
}

function postGemini(): Promise<Response> {
  return fetch(`${gateway.url}/v1beta/models/gemini-2.5-flash:streamGenerateContent`, {
    method: 'POST',
    headers: { 'x-goog-api-key': TEST_KEY, 'content-type': 'application/json' },
    body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'hi' }] }] }),
  })
}

async function endOf(response: Response): Promise<Record<string, unknown>> {
  const id = response.headers.get('x-tollgate-request-id')
  return waitFor('the end', async () => {
    const entries = await wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })
    const end = entries.find((entry) => entry.op === id && ['settle', 'void', 'timeout'].includes(entry.type))
    return end && { ...end.fields, type: end.type }
  })
}

async function unreadAnswers(): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const counts = text.matchAll(/^tollgate_unread_answers_total\{upstream="\w+",model="[\w.-]+"\} (\S+)/gm)
  return [...counts].reduce((sum, count) => sum + Number(count[1]), 0)
}

type Part = string | Buffer | readonly [before: string | Buffer, block: Buffer, times: number]

/** Writes with regard to the other side. */
async function sendAll(
  response: ServerResponse,
  type: string,
  headers: readonly (readonly [string, string])[],
  ...parts: readonly Part[]
): Promise<void> {
  response.setHeader('content-type', type)
  for (const [name, value] of headers) response.setHeader(name, value)
  const gone = new Promise((resolve) => response.once('close', resolve))
  for (const piece of pieces(parts)) {
    if (response.destroyed) return
    if (!response.write(piece)) await Promise.race([gone, new Promise((resolve) => response.once('drain', resolve))])
  }
  response.end()
}

function* pieces(parts: readonly Part[]): Generator<string | Buffer> {
  for (const part of parts) {
    if (typeof part === 'string' || Buffer.isBuffer(part)) yield part
    else {
      yield part[0]
      for (let i = 0; i < part[2]; i++) yield part[1]
    }
  }
}

const chunk = (more: object): string =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'gpt-5-mini', ...more })
const TEXT = chunk({ choices: [{ index: 0, delta: { content: 'a b c' }, finish_reason: null }] })
const STOP = chunk({
  choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 },
})
const WHOLE = JSON.stringify({
  id: 'c',
  model: 'gpt-5-mini',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }],
  usage: { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 },
})
const STREAM = `data: ${TEXT}\n\ndata: ${STOP}\n\ndata: [DONE]\n\n`
const GEMINI_USAGE = '"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":9,"totalTokenCount":12}'
const STATED = { type: 'settle', usage_source: 'provider', tokens: { input: 3, output: 9 } }

const run = describe.skipIf(!redisAvailable)
const measured = test.skipIf(!canMeasurePeak)
let unreadBefore = 0
beforeEach(async () => {
  if (redisAvailable) unreadBefore = await unreadAnswers()
})

run('an event of 256 MB passes byte for byte in bounded memory, and what follows is read', () => {
  /** A frame whose lengths are right and whose checksum is not: nobody can sum up what is not kept. */
  const largeFrameStart = (): Buffer => {
    const start = Buffer.alloc(12)
    start.writeUInt32BE(12 + LARGE_BYTES + 4, 0)
    start.writeUInt32BE(crc32(start.subarray(0, 8)), 8)
    return start
  }
  const frame = (json: string): Buffer => eventFrame('chunk', JSON.parse(json))
  measured.each<[string, string, readonly Part[]]>([
    ['SSE', 'text/event-stream', ['data: {"x":"', ['', BLOCK, LARGE_BYTES / MIB], '"}\n\n', STREAM]],
    ['lines', 'application/x-ndjson', ['{"x":"', ['', BLOCK, LARGE_BYTES / MIB], '"}\n', `${TEXT}\n`, `${STOP}\n`]],
    [
      'frames',
      'application/vnd.amazon.eventstream',
      [largeFrameStart(), ['', BLOCK, LARGE_BYTES / MIB], Buffer.alloc(4), frame(TEXT), frame(STOP)],
    ],
    [
      'elements of a JSON array',
      'application/json',
      [
        '[{"x":"',
        ['', BLOCK, LARGE_BYTES / MIB],
        '"},\r\n',
        `{"candidates":[{"finishReason":"STOP"}],${GEMINI_USAGE}}]`,
      ],
    ],
  ])('%s', async (name, type, parts) => {
    answer = (response) => sendAll(response, type, [], ...parts)
    let got: Response | undefined
    let read: Read | undefined
    const growth = await peakGrowth(gateway.child.pid as number, async () => {
      got = await (name.includes('array') ? postGemini() : post(true))
      read = await readThrough(got)
    })
    const sent = parts.reduce((sum, part) => sum + (Array.isArray(part) ? LARGE_BYTES : (part as string).length), 0)
    expect([read?.bytes, read?.broken]).toEqual([sent, false])
    expect(growth).toBeLessThan(GROWTH_MAX)
    expect(await endOf(got as Response)).toMatchObject({ ...STATED, usage_flags: ['unread'] })
    expect(await unreadAnswers()).toBe(unreadBefore + 1)
  })

  test('its usage is found where it stands at its end', async () => {
    const start = '[{"candidates":[{"content":{"parts":[{"inlineData":{"data":"'
    const end = `"}}]},"finishReason":"STOP"}],${GEMINI_USAGE}}]`
    answer = (response) => sendAll(response, 'application/json', [], [start, BLOCK, 4], end)
    const got = await postGemini()
    expect((await readThrough(got)).broken).toBe(false)
    expect(await endOf(got)).toMatchObject({ ...STATED, usage_flags: ['unread'] })
  })
})

run('an answer of 100 MB passes in bounded memory', () => {
  const large = Buffer.from(`data: ${TEXT.replace('a b c', 'a b c '.repeat(1000))}\n\n`)
  const times = Math.ceil((100 * MIB) / large.length)
  const long = '{"choices":[{"message":{"content":"'
  measured.each<[string, boolean, string, readonly Part[]]>([
    ['a stream of many events', true, 'text/event-stream', [['', large, times], STREAM]],
    ['one line after the other', true, 'application/x-ndjson', [['', Buffer.from(`${TEXT}\n`), 50_000], `${STOP}\n`]],
    ['one JSON text', false, 'application/json', [[long, BLOCK, 100], `"}}],${WHOLE.slice(1)}`]],
  ])('%s', async (_name, stream, type, parts) => {
    answer = (response) => sendAll(response, type, [], ...parts)
    let got: Response | undefined
    const growth = await peakGrowth(gateway.child.pid as number, async () => {
      // Held whole: slice by slice it would ask Redis 28,000 times, and one late answer of those ends it, as it should.
      got = await post(stream, {}, 100_000_000)
      const read = await readThrough(got)
      expect(read.tail.slice(-600), gateway.output().slice(-2000)).toContain('"total_tokens":12')
      expect(read.broken).toBe(false)
    })
    expect(growth).toBeLessThan(GROWTH_MAX)
    const end = await endOf(got as Response)
    expect(end).toMatchObject(STATED)
    expect(end['usage_flags']).toBeUndefined()
  })
})

run('frames that lie', () => {
  test('a frame that claims 2 GB is passed on as far as it comes; the connection ends there, as nothing can follow', async () => {
    const start = Buffer.alloc(12)
    start.writeUInt32BE(2 ** 31, 0)
    start.writeUInt32BE(crc32(start.subarray(0, 8)), 8)
    answer = (response) =>
      sendAll(response, 'application/vnd.amazon.eventstream', [], eventFrame('chunk', JSON.parse(TEXT)), start, [
        '',
        BLOCK,
        3,
      ])
    const got = await post(true)
    const read = await readThrough(got)
    expect(read.broken).toBe(true)
    expect(await endOf(got)).toMatchObject({ type: 'settle', usage_source: 'estimate' })
  })

  test('bytes that are no frames pass as they are', async () => {
    answer = (response) =>
      sendAll(response, 'application/vnd.amazon.eventstream', [], '<html>the service is busy, try again</html>')
    // fetch forgets what it has when the connection ends early.
    const body = JSON.stringify({ model: 'gpt-5-mini', stream: true, messages: [] })
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    const { text, closed } = await rawExchange(gateway.url, [head + body], { withinMs: 10_000 })
    expect(text).toContain('<html>the service is busy, try again</html>')
    expect([closed, text.endsWith('0\r\n\r\n')]).toEqual([true, false])
  })
})

run('compression that is broken', () => {
  const encoders: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['deflate', deflateSync],
  ]
  const filled = (text: string): Buffer =>
    Buffer.from(text.replace('a b c', Array.from({ length: 3000 }, (_, i) => `w${(i * 7919) % 9973}`).join(' ')))
  const broken = (encode: (bytes: Buffer) => Buffer, plain: string, how: string): Buffer => {
    const bytes = Buffer.from(encode(filled(plain)))
    if (how === 'cut short') return bytes.subarray(0, bytes.length - 20)
    bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 64)
    return bytes
  }
  const kinds = encoders.flatMap(([name, encode]) =>
    ['cut short', 'corrupt'].map((how) => [name, how, encode] as const),
  )

  test.each(kinds)('a JSON answer in %s, %s: the bytes pass, the usage is estimated', async (name, how, encode) => {
    const bytes = broken(encode, WHOLE.replace('hello', 'a b c'), how)
    answer = (response) => sendAll(response, 'application/json', [['content-encoding', name]], bytes)
    const got = await post(false, { 'accept-encoding': 'x-none' })
    const end = await endOf(got)
    await readThrough(got)
    expect(end).toMatchObject({ type: 'settle', usage_flags: ['unread'] })
    expect(await unreadAnswers()).toBe(unreadBefore + 1)
  })

  test.each(kinds)('a stream in %s, %s: an error event ends it', async (name, how, encode) => {
    const bytes = broken(encode, STREAM.replace('data: [DONE]\n\n', `: ${'pad '.repeat(100)}\n\n`), how)
    answer = (response) => sendAll(response, 'text/event-stream', [['content-encoding', name]], bytes)
    const got = await post(true)
    const read = await readThrough(got)
    const end = await endOf(got)
    expect(end['type']).toBe('settle')
    if (end['usage_source'] !== 'provider') expect(read.tail).toContain('"code":"upstream_unreachable"')
    expect(end['usage_flags']).toEqual(['unread'])
  })

  test('an upstream that goes on behind corrupt bytes is let go at once', async () => {
    let closed = false
    answer = (response) => {
      response.setHeader('content-type', 'text/event-stream')
      response.setHeader('content-encoding', 'gzip')
      response.write('these bytes are no gzip')
      response.on('close', () => {
        closed = true
      })
    }
    const read = await readThrough(await post(true))
    expect(read.tail).toContain('"code":"upstream_unreachable"')
    await waitFor('the upstream to be let go', () => closed)
  })

  test.each([[true], [false]])('an encoding that is not known passes as it is (stream: %s)', async (stream) => {
    const bytes = Buffer.from(stream ? STREAM : WHOLE).map((byte) => byte ^ 0x55)
    const type = stream ? 'text/event-stream' : 'application/json'
    answer = (response) => sendAll(response, type, [['content-encoding', 'x-rot']], Buffer.from(bytes))
    const got = await post(stream)
    expect(got.headers.get('content-encoding')).toBe('x-rot')
    const read = await readThrough(got)
    expect([read.bytes, read.broken]).toEqual([bytes.length, false])
    expect(await endOf(got)).toMatchObject({ type: 'settle', usage_source: 'estimate', usage_flags: ['unread'] })
  })

  test('a bomb in a JSON answer passes as it came', async () => {
    const bomb = gzipSync(Buffer.alloc(256 * MIB, 'a'))
    answer = (response) => sendAll(response, 'application/json', [['content-encoding', 'gzip']], bomb)
    const got = await post(false, { 'accept-encoding': 'gzip' })
    await got.body?.cancel()
    expect(await endOf(got)).toMatchObject({ type: 'settle' })
  })
})

run('absurd usage', () => {
  const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  const absurd: readonly (readonly [string, string])[] = [
    ['1e308', '{"prompt_tokens":1e308,"completion_tokens":1e308,"total_tokens":1e309}'],
    ['negative', '{"prompt_tokens":-5,"completion_tokens":-1}'],
    ['text', '{"prompt_tokens":"12","completion_tokens":"9"}'],
    ['fractions', '{"prompt_tokens":1.5,"completion_tokens":0.1}'],
    ['null', '{"prompt_tokens":null,"completion_tokens":null}'],
    ['an array', '[1,2,3]'],
    ['objects for numbers', '{"prompt_tokens":{"a":1},"completion_tokens":[9]}'],
    ['nested 10,000 deep', `{"prompt_tokens":3,"completion_tokens":9,"x":${deep(10_000)}}`],
    ['nested where numbers stand', `{"prompt_tokens":${deep(10_000)},"completion_tokens":9}`],
    ['twice', '{"prompt_tokens":1,"completion_tokens":1},"usage":{"prompt_tokens":3,"completion_tokens":9}'],
    [
      'parts beyond the whole',
      '{"prompt_tokens":3,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":1e15}}',
    ],
    ['beyond what is exact', '{"prompt_tokens":9007199254740993,"completion_tokens":9}'],
    ['long names', `{"prompt_tokens":3,"completion_tokens":9,"${'x'.repeat(100_000)}":1}`],
  ]
  test.each(absurd.flatMap(([name, usage]) => [true, false].map((stream) => [name, stream, usage] as const)))(
    '%s (stream: %s): the bytes pass, and the call has its one end, of whole and positive counts',
    async (_name, stream, usage) => {
      const json = `{"id":"c","model":"gpt-5-mini","choices":[{"index":0,"finish_reason":"stop"}],"usage":${usage}}`
      const text = stream ? `data: ${json}\n\ndata: [DONE]\n\n` : json
      answer = (response) => sendAll(response, stream ? 'text/event-stream' : 'application/json', [], text)
      const got = await post(stream)
      const read = await readThrough(got)
      expect([read.bytes, read.broken]).toEqual([text.length, false])
      const end = await endOf(got)
      expect(end['type']).toBe('settle')
      for (const count of Object.values((end['tokens'] ?? {}) as Record<string, number>))
        expect(Number.isSafeInteger(count) && count >= 0 && count < 1e15).toBe(true)
      expect(Number(end['charged'])).toBeGreaterThanOrEqual(0)
    },
  )
})
