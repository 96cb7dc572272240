import { request as httpRequest, type IncomingMessage } from 'node:http'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'
import { waitFor } from '../../support/wait-for.ts'

let simulator: Simulator

beforeAll(async () => {
  simulator = await startSimulator()
})
beforeEach(() => simulator.reset())
afterAll(() => simulator.close())

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly bytes: Buffer
  /** ended: framed to its end. cut: the connection was reset. open: still open when the time was over. */
  readonly how: 'ended' | 'cut' | 'open'
}

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'hi' }] }
const PATHS = { chat: '/v1/chat/completions', responses: '/v1/responses', messages: '/v1/messages' } as const
const BODIES = {
  chat: CHAT,
  responses: { model: 'm', input: 'hi' },
  messages: { ...CHAT, max_tokens: 1000 },
} as const
type Kind = keyof typeof PATHS

/** How long a connection is watched that is meant to stay open. */
const OPEN_MS = 300

/** Sends a call on a connection of its own and watches it for `openMs`: long, where an end is awaited. */
function post(kind: Kind, simulate: string, fields: object = {}, openMs = 10_000): Promise<Answer> {
  const headers = { authorization: 'Bearer k', 'anthropic-version': '2023-06-01', 'x-simulate': simulate }
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let response: IncomingMessage | undefined
    const call = httpRequest(`${simulator.url}${PATHS[kind]}`, { method: 'POST', headers, agent: false })
    const finish = (how: Answer['how']) => {
      const { statusCode = 0, headers = {} } = response ?? {}
      resolve({ status: statusCode, headers, bytes: Buffer.concat(chunks), how })
      call.destroy()
    }
    call.on('response', (incoming) => {
      response = incoming
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => finish('ended'))
      incoming.on('error', () => finish('cut'))
    })
    call.on('error', () => finish('cut'))
    setTimeout(() => finish('open'), openMs)
    call.end(JSON.stringify({ ...BODIES[kind], ...fields }))
  })
}

const TERMINALS = { chat: '[DONE]', responses: 'response.completed', messages: 'message_stop' } as const
const DELTAS = { chat: '"content":"', responses: 'output_text.delta"', messages: '"text_delta"' } as const
const KINDS = ['chat', 'responses', 'messages'] as const

/** Events with text in them; the chat stream's first has empty content. */
function deltas(kind: Kind, text: string): number {
  return text.split(DELTAS[kind]).length - 1 - (kind === 'chat' ? 1 : 0)
}

test.each(KINDS)('%s: truncate ends the body in good form after half the tokens', async (kind) => {
  const { how, bytes } = await post(kind, 'truncate,output=20', { stream: true })
  const text = bytes.toString()
  expect([how, deltas(kind, text), text.includes(TERMINALS[kind])]).toEqual(['ended', 10, false])
})

test.each(KINDS)('%s: at=N moves the place of the fault', async (kind) => {
  const { bytes } = await post(kind, 'truncate,output=20,at=3', { stream: true })
  expect(deltas(kind, bytes.toString())).toBe(3)
})

test.each(KINDS)('%s: reset_mid cuts the connection after what was sent', async (kind) => {
  const { how, bytes } = await post(kind, 'reset_mid,output=20', { stream: true })
  expect([how, deltas(kind, bytes.toString())]).toEqual(['cut', 10])
  expect(simulator.stats.closedByClient).toBe(0)
})

test.each(KINDS)('%s: hang_mid leaves the connection open', async (kind) => {
  const { how, bytes } = await post(kind, 'hang_mid,output=20', { stream: true }, OPEN_MS)
  expect([how, deltas(kind, bytes.toString())]).toEqual(['open', 10])
  await waitFor('the simulator to see that the client went', () => simulator.stats.closedByClient === 1)
})

test.each(KINDS)('%s: reset_before and hang_before send no byte', async (kind) => {
  expect(await post(kind, 'reset_before')).toMatchObject({ status: 0, how: 'cut' })
  expect(await post(kind, 'hang_before', {}, OPEN_MS)).toMatchObject({ status: 0, how: 'open' })
})

test.each(KINDS)('%s: no_terminal has every token but no terminal event', async (kind) => {
  const text = (await post(kind, 'no_terminal,output=20', { stream: true })).bytes.toString()
  expect([deltas(kind, text), text.includes(TERMINALS[kind])]).toEqual([20, false])
})

test.each(KINDS)('%s: no_usage says nothing of usage, whole or streamed', async (kind) => {
  const options = kind === 'chat' ? { stream_options: { include_usage: true } } : {}
  const streamed = await post(kind, 'no_usage', { stream: true, ...options })
  const whole = await post(kind, 'no_usage')
  for (const { bytes } of [streamed, whole]) expect(bytes.toString()).not.toMatch(/(prompt|input|output)_tokens":\s*\d/)
})

test.each(KINDS)('%s: ignore_max_tokens goes beyond the limit, and says so in its usage', async (kind) => {
  const limit = kind === 'responses' ? { max_output_tokens: 5 } : { max_tokens: 5 }
  const { usage } = JSON.parse((await post(kind, 'ignore_max_tokens,output=40', limit)).bytes.toString())
  expect(usage.completion_tokens ?? usage.output_tokens).toBe(40)
})

test.each(KINDS)('%s: endless goes on past every limit until the client goes', async (kind) => {
  const limit = kind === 'responses' ? { max_output_tokens: 5 } : { max_tokens: 5 }
  const { how, bytes } = await post(kind, 'endless', { stream: true, ...limit }, OPEN_MS)
  expect(how).toBe('open')
  expect(deltas(kind, bytes.toString())).toBeGreaterThan(1000)
  await waitFor('the simulator to stop', () => simulator.stats.open === 0)
})

test('an endless JSON answer never closes its text', async () => {
  const { how, bytes } = await post('chat', 'endless', {}, OPEN_MS)
  expect(how).toBe('open')
  expect(bytes.length).toBeGreaterThan(100_000)
})

test.each(KINDS)('%s: malformed has an event, or a body, that does not parse', async (kind) => {
  const streamed = (await post(kind, 'malformed,output=4', { stream: true })).bytes.toString()
  const data = streamed.split('\n').filter((line) => line.startsWith('data: {'))
  const broken = data.filter((line) => {
    try {
      JSON.parse(line.slice(6))
      return false
    } catch {
      return true
    }
  })
  expect([broken.length, deltas(kind, streamed)]).toEqual([1, 4])
  const whole = await post(kind, 'malformed')
  expect(() => JSON.parse(whole.bytes.toString())).toThrow()
})

test.each([
  ['gzip', gunzipSync],
  ['br', brotliDecompressSync],
  ['zstd', zstdDecompressSync],
])('encoding=%s compresses JSON and streams to the same text', async (encoding, decompress) => {
  for (const stream of [false, true]) {
    const packed = await post('messages', `encoding=${encoding},output=20`, { stream })
    const plain = await post('messages', 'output=20', { stream })
    expect(packed.headers['content-encoding']).toBe(encoding)
    const withoutId = (text: string) => text.replaceAll(/msg_\w+/g, 'msg')
    expect(withoutId(decompress(packed.bytes).toString())).toBe(withoutId(plain.bytes.toString()))
  }
})

test('close_delimited has neither a length nor chunks', async () => {
  for (const stream of [false, true]) {
    const { headers, how } = await post('chat', 'close_delimited', { stream })
    expect(headers['content-length']).toBeUndefined()
    expect(headers['transfer-encoding']).toBeUndefined()
    expect(how).toBe('ended')
  }
})

test('latency and tokens per second set the pace of a stream', async () => {
  const startMs = performance.now()
  await post('chat', 'latency=100,tps=100,output=20', { stream: true }, 5_000)
  const elapsedMs = performance.now() - startMs
  expect(elapsedMs).toBeGreaterThan(290)
})

test('an error in the middle reaches the clients as an error', async () => {
  const openai = new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: 'k', maxRetries: 0 })
  const anthropic = new Anthropic({ baseURL: simulator.url, apiKey: 'k', maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: 'hi [simulate: error_mid, output=10]' }]
  const drain = async (stream: AsyncIterable<unknown>) => {
    for await (const _ of stream);
  }
  await expect(drain(await openai.chat.completions.create({ model: 'm', messages, stream: true }))).rejects.toThrow()
  const claude = await anthropic.messages.create({ model: 'm', max_tokens: 20, messages, stream: true })
  await expect(drain(claude)).rejects.toThrow(/Overloaded/)
  const failed = await openai.responses.create({ model: 'm+failed_mid', input: 'hi', stream: true })
  const types: string[] = []
  for await (const event of failed) types.push(event.type)
  expect(types.at(-1)).toBe('response.failed')
})

test('error_before can say when to come back', async () => {
  const { status, headers } = await post('chat', 'status=429,retry_after=7')
  expect([status, headers['retry-after']]).toEqual([429, '7'])
})

test.each([
  ['an unknown fault', 'fault=nonsense'],
  ['an unknown key', 'speed=3'],
  ['a number that is none', 'output=many'],
])('%s is refused by name instead of ignored', async (_, simulate) => {
  const { status, bytes } = await post('chat', simulate)
  expect(status).toBe(400)
  expect(bytes.toString()).toContain('simulate:')
})

test('what reached the provider is counted and shown, keys masked', async () => {
  await post('chat', 'output=3')
  const { requests, answered, byPath, bodies, seen } = simulator.stats
  expect([requests, answered, byPath]).toEqual([1, 1, { '/v1/chat/completions': 1 }])
  expect(JSON.parse(bodies[0] ?? '')).toEqual(CHAT)
  const shown = await (await fetch(`${simulator.url}/__simulator/requests`)).json()
  expect(shown).toMatchObject({ requests: 1 })
  expect(seen[0]?.headers.authorization).not.toContain('Bearer')
  await fetch(`${simulator.url}/__simulator/reset`, { method: 'POST' })
  expect(simulator.stats.requests).toBe(0)
})

test('a call without a key, or with another than the one set, is refused', async () => {
  const strict = await startSimulator({ apiKey: 'right' })
  const call = (key: string) =>
    fetch(`${strict.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify(CHAT),
    })
  expect((await call('wrong')).status).toBe(401)
  expect((await call('right')).status).toBe(200)
  const bare = await fetch(`${simulator.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(CHAT) })
  expect(bare.status).toBe(401)
  await strict.close()
})
