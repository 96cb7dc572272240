/** Callers that hang up at every point of a call: one end of the money each, nothing held, the upstream let go. */
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { rawSocket } from '../support/raw-client.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway

const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "1000", output: "1000" }
`

beforeAll(async () => {
  if (redisAvailable) gateway = await startTestGateway({ prices: PRICES })
})
afterAll(async () => {
  await gateway?.close()
})
beforeEach(async () => {
  if (!redisAvailable) return
  await gateway.grant('10000')
  gateway.simulator.reset()
})

function bytesOf(stream: boolean, controls: string, path = '/v1/chat/completions'): string {
  const body = JSON.stringify({
    model: 'gpt-5-mini',
    max_tokens: 200,
    stream,
    messages: [{ role: 'user', content: 'hello' }],
  })
  return `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\ncontent-type: application/json\r\nx-simulate: ${controls}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

interface Books {
  readonly holds: number
  readonly ends: readonly { readonly op: string; readonly type: string; readonly [field: string]: unknown }[]
}

async function books(on: TestGateway, afterSeq: number): Promise<Books> {
  const entries = await on.wallet.ledger('acme', { afterSeq, limit: 100_000, type: undefined })
  return {
    holds: entries.filter((entry) => entry.type === 'hold').length,
    ends: entries
      .filter((entry) => ['settle', 'void', 'timeout', 'late_settle'].includes(entry.type))
      .map((entry) => ({ ...entry.fields, op: entry.op, type: entry.type })),
  }
}

async function lastSeq(on: TestGateway): Promise<number> {
  return (await on.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })).at(-1)?.seq ?? 0
}

/** Waits until each hold has its end and nothing is held; then the ends. */
async function endsAfter(on: TestGateway, afterSeq: number, holds: number): Promise<Books['ends']> {
  const { ends } = await waitFor('one end for each hold', async () => {
    const found = await books(on, afterSeq)
    return found.holds >= holds && found.ends.length >= found.holds && found
  })
  expect((await on.balance())['held']).toBe('0')
  expect(new Set(ends.map((end) => end.op)).size).toBe(ends.length)
  return ends
}

run.each([
  ['before the first byte of JSON', false, 'output=20,latency=500', undefined, 20],
  ['before the first byte of a stream', true, 'output=20,latency=500', undefined, 20],
  ['after the head of a stream', true, 'output=40,tps=100', 'text/event-stream', 40],
  ['in the middle of a stream', true, 'output=40,tps=100', '"content":"', 40],
  ['right after [DONE]', true, 'output=40', '[DONE]', 40],
])('drain: gone %s, the caller pays what the provider reports, once', async (_name, stream, controls, at, output) => {
  const seq = await lastSeq(gateway)
  const socket = await rawSocket(gateway.url)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    if (at !== undefined && text.includes(at)) socket.resetAndDestroy()
  })
  socket.write(bytesOf(stream, controls))
  if (at === undefined) {
    await waitFor('the call at the provider', () => gateway.simulator.stats.requests === 1)
    socket.resetAndDestroy()
  }
  const ends = await endsAfter(gateway, seq, 1)
  expect(ends).toMatchObject([{ type: 'settle', usage_source: 'provider', tokens: { output } }])
})

run('gone before the hold has answered: nothing is sent, and what was held goes back', async () => {
  const seq = await lastSeq(gateway)
  for (let attempt = 0; attempt < 30; attempt++) {
    const socket = await rawSocket(gateway.url)
    socket.write(bytesOf(false, 'output=20,latency=50'))
    if (attempt % 3) await new Promise((resolve) => setTimeout(resolve, attempt % 3))
    socket.resetAndDestroy()
  }
  // On a slow machine some of them are read long after.
  const served = await waitFor('an end for each that was read', async () => {
    const { holds, ends } = await books(gateway, seq)
    const sent = ends.filter((end) => end.type === 'settle').length
    const { open, requests } = gateway.simulator.stats
    return holds > 0 && ends.length === holds && open === 0 && requests === sent && ends
  })
  expect(served.every((end) => end.type === 'settle' || end['reason'] === 'never_sent')).toBe(true)
  expect((await gateway.balance())['held']).toBe('0')
})

run('a pipelined call whose turn never came has its end too', async () => {
  const seq = await lastSeq(gateway)
  const socket = await rawSocket(gateway.url)
  socket.write(bytesOf(true, 'output=100,tps=200') + bytesOf(true, 'output=30,tps=100') + bytesOf(false, 'output=5'))
  await waitFor('all at the provider', () => gateway.simulator.stats.requests === 3)
  socket.resetAndDestroy()
  const ends = await endsAfter(gateway, seq, 3)
  expect(ends.map((end) => (end['tokens'] as { output: number }).output).sort((a, b) => a - b)).toEqual([5, 30, 100])
})

run(
  '100 callers that hang up at once: each call has one end, the upstreams are let go, nothing stays open',
  async () => {
    const open = new Set<ServerResponse>()
    const upstream = await startCountingUpstream((_request, response) => {
      response.setHeader('content-type', 'text/event-stream')
      response.write(chunk({ choices: [{ index: 0, delta: { content: 'one two three' }, finish_reason: null }] }))
      open.add(response)
      response.on('close', () => open.delete(response))
    })
    const other = await startTestGateway({
      prices: PRICES,
      redis: gateway.redis,
      upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`,
    })
    try {
      const seq = await lastSeq(other)
      const sockets = await Promise.all(Array.from({ length: 100 }, () => rawSocket(other.url)))
      let begun = 0
      for (const socket of sockets) {
        socket.once('data', () => begun++)
        socket.write(bytesOf(true, ''))
      }
      await waitFor('100 streams', () => begun === 100)
      for (const socket of sockets) socket.resetAndDestroy()
      // 64 are read on to their end; the others are closed and charged what was produced.
      await waitFor('the others closed', () => open.size === 64)
      for (const response of open) response.end(ENDING)
      const ends = await endsAfter(other, seq, 100)
      expect(ends).toHaveLength(100)
      const drained = ends.filter((end) => end['usage_source'] === 'provider')
      expect(drained).toHaveLength(64)
      for (const end of drained) expect(end['tokens']).toMatchObject({ output: 77 })
      for (const end of ends) expect((end['tokens'] as { output: number }).output).toBeGreaterThan(0)
      await waitFor('no stream at the provider', () => open.size === 0)
    } finally {
      await other.close()
      await upstream.close()
    }
  },
)

const chunk = (more: object): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'gpt-5-mini', ...more })}\n\n`
const ENDING = `${chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}${chunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 77, total_tokens: 80 } })}data: [DONE]\n\n`

/** Streams until the other side closes. */
function endless(bytesEach: number, everyMs: number): (request: unknown, response: ServerResponse) => void {
  const event = `data: {"id":"c","object":"chat.completion.chunk","model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"${'a '.repeat(bytesEach / 2)}"}}]}\n\n`
  return (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    const timer = setInterval(() => response.write(event), everyMs)
    response.write(event)
    response.on('close', () => clearInterval(timer))
  }
}

run.each([
  ['time', endless(10, 20), 'max_seconds: 1', '', 800],
  ['bytes', endless(20_000, 5), 'max_seconds: 30', 'limits: { drain_bytes: 200KiB }', 0],
  ['number', endless(10, 20), 'max_seconds: 30', 'limits: { drains: 0 }', 0],
  ['cancel', endless(10, 20), 'mode: cancel', '', 0],
] as const)(
  'a drain is bounded by %s: then the upstream is closed, and what was produced is charged',
  async (_name, answer, mode, settings, leastMs) => {
    const upstream: CountingUpstream = await startCountingUpstream(answer)
    const other = await startTestGateway({
      prices: PRICES,
      redis: gateway.redis,
      settings,
      upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"], on_disconnect: { ${mode} } }`,
    })
    try {
      const seq = await lastSeq(other)
      const socket = await rawSocket(other.url)
      let begun = false
      socket.on('data', (chunk) => {
        begun ||= chunk.includes('content')
      })
      socket.write(bytesOf(true, ''))
      await waitFor('the first event', () => begun)
      const sinceMs = performance.now()
      socket.resetAndDestroy()
      await waitFor('the upstream closed', () => upstream.sockets === 0, { everyMs: 5 })
      const tookMs = performance.now() - sinceMs
      expect(tookMs).toBeGreaterThanOrEqual(leastMs)
      // By its time alone, which is 30 s where none is said, it would be read on longer.
      expect(tookMs).toBeLessThan(20_000)
      const ends = await endsAfter(other, seq, 1)
      expect(ends).toMatchObject([{ type: 'settle', usage_source: 'estimate' }])
    } finally {
      await other.close()
      await upstream.close()
    }
  },
)

run('cancel: the upstream socket is closed within 100 ms of the caller’s close', async () => {
  const upstream = await startCountingUpstream(endless(10, 20))
  const other = await startTestGateway({
    prices: PRICES,
    redis: gateway.redis,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"], on_disconnect: { mode: cancel } }`,
  })
  try {
    const tookMs: number[] = []
    for (let call = 0; call < 9; call++) {
      const socket = await rawSocket(other.url)
      const begun = new Promise((resolve) => socket.on('data', (chunk) => chunk.includes('content') && resolve(true)))
      socket.write(bytesOf(true, ''))
      await begun
      const sinceMs = performance.now()
      socket.destroy()
      await waitFor('the upstream closed', () => upstream.sockets === 0, { everyMs: 1 })
      tookMs.push(performance.now() - sinceMs)
    }
    // What the gateway itself takes, it takes each time; what a busy machine adds differs.
    expect(tookMs.toSorted((a, b) => a - b)[2]).toBeLessThan(100)
  } finally {
    await other.close()
    await upstream.close()
  }
})

run('gone in the middle of a JSON answer: charged what the provider reports', async () => {
  const body = JSON.stringify({
    id: 'chatcmpl-1',
    model: 'gpt-5-mini',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'a'.repeat(2_000_000) } }],
    usage: { prompt_tokens: 3, completion_tokens: 77, total_tokens: 80 },
  })
  const upstream = await startCountingUpstream((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.write(body.slice(0, 1_000_000))
    setTimeout(() => response.end(body.slice(1_000_000)), 300)
  })
  const other = await startTestGateway({
    prices: PRICES,
    redis: gateway.redis,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`,
  })
  try {
    const seq = await lastSeq(other)
    const socket = await rawSocket(other.url)
    socket.write(bytesOf(false, ''))
    await new Promise((resolve) => socket.once('data', resolve))
    socket.resetAndDestroy()
    expect(await endsAfter(other, seq, 1)).toMatchObject([
      { type: 'settle', usage_source: 'provider', tokens: { output: 77 } },
    ])
  } finally {
    await other.close()
    await upstream.close()
  }
})
