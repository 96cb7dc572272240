/** Each phase of a call and what may go wrong in it: what the caller sees, and the exact money after. */

import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

let gateway: TestGateway

// Input is priced too here: 0.001 a token of input or output.
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
  await gateway.grant('1000')
  gateway.simulator.reset()
})

const run = test.skipIf(!redisAvailable)

interface End {
  readonly type: string
  readonly charged?: string
  readonly usage_source?: string
  readonly tokens?: Record<string, number>
  readonly [field: string]: unknown
}

async function endOf(requestId: string, on: TestGateway = gateway): Promise<End> {
  return waitFor(`the end of ${requestId}`, async () => {
    const entries = await on.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })
    const end = entries.find(
      (entry) => entry.op === requestId && ['settle', 'void', 'timeout', 'late_settle'].includes(entry.type),
    )
    return end && ({ type: end.type, ...end.fields } as End)
  })
}

function ask(
  stream: boolean,
  controls: string,
  more: { signal?: AbortSignal; on?: TestGateway; path?: string } = {},
): Promise<Response> {
  return fetch(`${(more.on ?? gateway).url}${more.path ?? '/v1/chat/completions'}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', 'x-simulate': controls },
    body: JSON.stringify({
      model: 'gpt-5-mini',
      max_tokens: 200,
      stream,
      messages: [{ role: 'user', content: 'hello '.repeat(20) }],
    }),
    ...(more.signal ? { signal: more.signal } : {}),
  })
}

const idOf = (answer: Response): string => answer.headers.get('x-tollgate-request-id') as string

run.each([
  ['500', 'fault=error_before,status=500', 500],
  ['429', 'fault=error_before,status=429,retry_after=7', 429],
])("the provider's own %s passes as it came and costs nothing", async (_name, controls, status) => {
  const answer = await ask(false, controls)
  expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([status, null])
  if (status === 429) expect(answer.headers.get('retry-after')).toBe('7')
  expect(await answer.json()).toHaveProperty('error')
  expect(await endOf(idOf(answer))).toMatchObject({ type: 'void' })
})

run.each([true, false])(
  'a reset before any byte (stream: %s) is 502, costs nothing, and is not sent again',
  async (stream) => {
    const answer = await ask(stream, 'fault=reset_before')
    expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([502, 'upstream_unreachable'])
    expect(await endOf(idOf(answer))).toMatchObject({ type: 'void' })
    expect(gateway.simulator.stats.requests).toBe(1)
  },
)

run('a stream reset in the middle ends with an error event and costs what was produced', async () => {
  const answer = await ask(true, 'output=100,fault=reset_mid,at=40')
  const text = await answer.text()
  expect(text).toMatch(/data: \{"error":/)
  expect(text).not.toContain('[DONE]')
  const end = await endOf(idOf(answer))
  expect(end).toMatchObject({ type: 'settle', usage_source: 'estimate' })
  expect(end.tokens?.['output']).toBe(40)
})

run('a stream that ends without its terminal event and without a finish reason was cut short', async () => {
  const answer = await ask(true, 'output=100,fault=truncate,at=40')
  expect(await answer.text()).toMatch(/data: \{"error":/)
  expect(await endOf(idOf(answer))).toMatchObject({ type: 'settle', usage_source: 'estimate', tokens: { output: 40 } })
})

run('a stream that ends after its finish reason, properly framed, is complete', async () => {
  const answer = await ask(true, 'output=30,fault=no_terminal')
  expect(await answer.text()).not.toContain('"error"')
  expect(await endOf(idOf(answer))).toMatchObject({ type: 'settle', usage_source: 'provider', tokens: { output: 30 } })
})

run('an error event inside a 200 passes, and only what was delivered counts', async () => {
  const answer = await ask(true, 'output=100,fault=error_mid,at=25')
  expect(await answer.text()).toContain('"error"')
  expect(await endOf(idOf(answer))).toMatchObject({ type: 'settle', usage_source: 'estimate', tokens: { output: 25 } })
})

run.each([true, false])('an answer without usage (stream: %s) is estimated, and says so', async (stream) => {
  const answer = await ask(stream, 'output=50,fault=no_usage')
  await answer.text()
  const end = await endOf(idOf(answer))
  expect(end).toMatchObject({ type: 'settle', usage_source: 'estimate' })
  expect(end.tokens?.['output']).toBeGreaterThan(20)
})

run('malformed JSON passes as it came and is estimated', async () => {
  const answer = await ask(false, 'output=50,fault=malformed')
  expect(answer.status).toBe(200)
  await answer.text()
  expect(await endOf(idOf(answer))).toMatchObject({ type: 'settle', usage_source: 'estimate' })
})

run('a provider that ignores the limit is booked beyond the hold, flagged, never dropped', async () => {
  const answer = await ask(false, 'output=500,fault=ignore_max_tokens')
  await answer.text()
  const end = await endOf(idOf(answer))
  expect(end).toMatchObject({ type: 'settle', usage_source: 'provider', tokens: { output: 500 } })
})

run.each(['gzip', 'br', 'zstd'])('%s: the caller reads the same answer, the usage is exact', async (encoding) => {
  for (const stream of [false, true]) {
    const answer = await ask(stream, `output=30,encoding=${encoding}`)
    const text = await answer.text()
    expect(text).toContain(stream ? '[DONE]' : '"completion_tokens"')
    expect(await endOf(idOf(answer))).toMatchObject({
      type: 'settle',
      usage_source: 'provider',
      tokens: { output: 30 },
    })
  }
})

run('drain: a caller that hangs up in the stream pays exactly what the provider reports', async () => {
  const abort = new AbortController()
  const answer = await ask(true, 'output=60,tps=100', { signal: abort.signal })
  const reader = answer.body?.getReader()
  await reader?.read()
  abort.abort()
  expect(await endOf(idOf(answer))).toMatchObject({ type: 'settle', usage_source: 'provider', tokens: { output: 60 } })
})

run('cancel: the upstream is closed at the hang-up, and what was produced is charged', async () => {
  const other = await startTestGateway({
    prices: PRICES,
    upstreams: `  openai: { format: openai, base_url: "${gateway.simulator.url}/v1", api_key: k, models: ["gpt-*"], on_disconnect: { mode: cancel } }`,
    redis: gateway.redis,
  })
  try {
    const abort = new AbortController()
    const answer = await ask(true, 'output=200,tps=50', { signal: abort.signal, on: other })
    const reader = answer.body?.getReader()
    let text = ''
    while (text.split('"content":').length < 10) text += Buffer.from((await reader?.read())?.value ?? []).toString()
    expect(gateway.simulator.stats.open).toBe(1)
    abort.abort()
    await waitFor('the upstream socket closed', () => gateway.simulator.stats.open === 0)
    const end = await endOf(idOf(answer))
    expect(end).toMatchObject({ type: 'settle', usage_source: 'estimate' })
    expect(end.tokens?.['output']).toBeGreaterThan(5)
    expect(end.tokens?.['output']).toBeLessThan(200)
  } finally {
    await other.close()
  }
})

run('an upstream that cannot be reached is 502 and costs nothing', async () => {
  const other = await startTestGateway({
    upstreams: '  openai: { format: openai, base_url: "http://127.0.0.1:9/v1", api_key: k, models: ["gpt-*"] }',
    redis: gateway.redis,
  })
  try {
    const answer = await ask(false, 'output=1', { on: other })
    expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([502, 'upstream_unreachable'])
    expect(await endOf(idOf(answer))).toMatchObject({ type: 'void' })
  } finally {
    await other.close()
  }
})

/** An upstream of raw bytes. */
async function rawUpstream(onRequest: (socket: Socket) => void): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => onRequest(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

run.each([
  [
    'a redirect is not followed',
    'HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n',
    502,
    'void',
  ],
  [
    'a length that is never reached breaks off',
    'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"id":"x"',
    502,
    'settle',
  ],
  [
    'HTML with a 503 passes as it came',
    'HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<h1>down</h1>\r\n',
    503,
    'void',
  ],
])('%s', async (_name, bytes, status, type) => {
  const upstream = await rawUpstream((socket) => socket.end(bytes))
  const other = await startTestGateway({
    prices: PRICES,
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`,
    redis: gateway.redis,
  })
  try {
    const answer = await ask(false, '', { on: other })
    expect(answer.status).toBe(status)
    await answer.text()
    expect(await endOf(idOf(answer))).toMatchObject({ type })
  } finally {
    await other.close()
    upstream.server.close()
  }
})

test.skipIf(!redisAvailable)(
  'Redis away: refused within 600 ms, nothing sent; back: served again, and what was owed is settled',
  async () => {
    let redis: TestRedis = await startRedis()
    const other = await startTestGateway({
      prices: PRICES,
      redis,
      settings: 'limits: { redis_command_timeout: 300ms }',
    })
    try {
      await other.grant('100')
      // A call is open while Redis goes away: it ends for its caller, and is settled from the outbox.
      const open = ask(false, 'output=10,latency=3000', { on: other })
      await waitFor('the call at the provider', () => other.simulator.stats.open === 1)
      const port = redis.port
      const dump = await dumpOf(redis)
      await redis.stop('kill')
      const tookMs: number[] = []
      const refuse = async (): Promise<void> => {
        const startedMs = performance.now()
        const refused = await ask(false, 'output=10', { on: other })
        expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([503, 'wallet_unavailable'])
        expect(refused.headers.get('retry-after')).not.toBeNull()
        tookMs.push(performance.now() - startedMs)
      }
      // All before anybody knows that Redis is away; the fastest shows what the gateway takes, not the machine.
      await Promise.all(Array.from({ length: 5 }, refuse))
      expect(Math.min(...tookMs)).toBeLessThan(600)
      const served = await open
      expect(served.status).toBe(200)
      expect(other.simulator.stats.requests).toBe(1)
      redis = await startRedis({ port })
      await dump.restore(redis)
      expect(await endOf(idOf(served), other)).toMatchObject({ type: 'settle', tokens: { output: 10 } })
      const again = await waitFor('a call passes', async () => {
        const answer = await ask(false, 'output=10', { on: other })
        return answer.status === 200 && answer
      })
      expect(again.status).toBe(200)
    } finally {
      await other.close()
      await redis.stop()
    }
  },
)

/** All keys, to be put into another server: a Redis that comes back with its data. */
async function dumpOf(from: TestRedis): Promise<{ restore(to: TestRedis): Promise<void> }> {
  const { Redis } = await import('ioredis')
  const source = new Redis(from.url)
  const keys = await source.keys('*')
  const values = await Promise.all(keys.map((key) => source.dumpBuffer(key)))
  source.disconnect()
  return {
    async restore(to) {
      const target = new Redis(to.url)
      await Promise.all(keys.map((key, index) => target.restore(key, 0, values[index] as Buffer, 'REPLACE')))
      target.disconnect()
    },
  }
}
