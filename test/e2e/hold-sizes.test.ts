/** Holds that fit: what calls come to teaches the next hold, and what goes beyond one is booked, never lost. */
import { afterEach, expect, test } from 'vitest'
import { startCountingUpstream } from '../support/counting-upstream.ts'
import { startTestGateway, TEST_KEY, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const CHAT = '/v1/chat/completions'
/** 0.001 USD a token of input, a tenth of it from the cache, 0.001 a token of output. */
const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "1000", cached_input: "100", output: "1000" }
    max_output_tokens: 4000
`
const LONG = 'the quick brown fox jumps over the lazy dog and runs away '.repeat(40)

let gateway: TestGateway | undefined
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
})

async function start(options: TestGatewayOptions): Promise<TestGateway> {
  gateway = await startTestGateway({ prices: PRICES, ...options })
  await gateway.grant('100000')
  return gateway
}

interface Asked {
  readonly hold: number
  readonly cost: number
  readonly status: number
}

async function ask(
  on: TestGateway,
  directives: string,
  more: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<Asked> {
  const body = { model: 'gpt-5-mini', max_tokens: 1000, messages: [{ role: 'user', content: LONG }], ...more }
  const answer = await on.post(CHAT, body, { 'x-simulate': directives, ...headers })
  await answer.text()
  return {
    status: answer.status,
    hold: Number(answer.headers.get('x-tollgate-hold')),
    cost: Number(answer.headers.get('x-tollgate-cost')),
  }
}

const settled = (on: TestGateway) =>
  waitFor('nothing held', async () => (await on.balance())['held'] === '0' && (await on.balance()))

run('input: the hold comes down to what the model bills, once it has billed it often enough', async () => {
  const on = await start({})
  const first = await ask(on, 'input=520,output=1')
  for (let i = 0; i < 60; i++) await ask(on, `input=${420 + (i % 11) * 10},output=1`)
  const later = await ask(on, 'input=520,output=1')
  expect(first.hold).toBeGreaterThan(2)
  expect(later.hold).toBeLessThan(first.hold - 0.4)
  expect(later.hold - 1).toBeGreaterThanOrEqual(0.52)
  expect(await metricOf(on, 'input_underestimates_total')).toBe(0)
})

run('tokenizer: high never lowers the count', async () => {
  const on = await start({ plan: 'hold: { tokenizer: high }' })
  const first = await ask(on, 'input=520,output=1')
  for (let i = 0; i < 60; i++) await ask(on, 'input=520,output=1')
  expect((await ask(on, 'input=520,output=1')).hold).toBe(first.hold)
})

run(
  'what one gateway has learnt the next one knows',
  async () => {
    const on = await start({})
    const first = await ask(on, 'input=520,output=1')
    for (let i = 0; i < 60; i++) await ask(on, 'input=520,output=1')
    const later = await ask(on, 'input=520,output=1')
    const other = await startTestGateway({ prices: PRICES, redis: on.redis })
    try {
      // The first call asks for what is known, the exchange brings it.
      await ask(other, 'input=520,output=1')
      await on.gateway.stop()
      const held = await waitFor(
        'the other gateway to know',
        async () => {
          const { hold } = await ask(other, 'input=520,output=1')
          return hold < first.hold && hold
        },
        { withinMs: 40_000, everyMs: 1000 },
      )
      expect(held).toBeLessThanOrEqual(later.hold + 0.05)
    } finally {
      await other.close()
      gateway = undefined
      await on.simulator.close()
      await on.redis.stop()
    }
  },
  180_000,
)

run(
  'recent: what the last call of the run had cached is held at the cached rate; a miss is booked in full',
  async () => {
    const on = await start({ plan: 'hold: { input: recent }' })
    const inRun = { 'x-tollgate-run': 'agent-1' }
    const first = await ask(on, 'input=700,cached=600,output=10', {}, inRun)
    const second = await ask(on, 'input=700,cached=600,output=10', {}, inRun)
    const other = await ask(on, 'input=700,cached=0,output=10', {}, { 'x-tollgate-run': 'agent-2' })
    // 600 tokens at a tenth of the price.
    expect(first.hold - second.hold).toBeCloseTo(0.54, 6)
    expect(other.hold).toBe(first.hold)
    const missed = await ask(on, 'input=700,cached=0,output=10', {}, inRun)
    expect(missed.cost).toBeCloseTo(0.71, 6)
    expect((await settled(on))['posted']).toBe('1.76')
  },
)

run(
  'p99: after 50 calls the hold has what such calls stay within, and the limit is sent as it was asked for',
  async () => {
    const on = await start({ plan: 'hold: { output: p99 }' })
    const first = await ask(on, 'input=10,output=300', { max_tokens: 3000 })
    expect(first.hold).toBeGreaterThan(3)
    for (let i = 0; i < 52; i++) await ask(on, 'input=10,output=300', { max_tokens: 3000 })
    const later = await ask(on, 'input=10,output=300', { max_tokens: 3000 })
    expect(later.hold).toBeLessThan(first.hold - 2.6)
    // An answer that goes beyond: whole, charged whole.
    const longer = await ask(on, 'input=10,output=2500', { max_tokens: 3000 })
    expect(longer.cost).toBeCloseTo(2.51, 6)
    expect((await settled(on))['debt']).toBe('0')
  },
)

run('p99: a stream that goes beyond its hold asks for more on the way and is not cut', async () => {
  const on = await start({ plan: 'hold: { output: p99 }' })
  const stream = { max_tokens: 3000, stream: true }
  for (let i = 0; i < 51; i++) await ask(on, 'input=10,output=260', stream)
  const body = { model: 'gpt-5-mini', messages: [{ role: 'user', content: LONG }], ...stream }
  const answer = await on.post(CHAT, body, { 'x-simulate': 'input=10,output=1500,tps=3000' })
  const text = await answer.text()
  expect(Number(answer.headers.get('x-tollgate-hold'))).toBeLessThan(1.6)
  expect(text).toContain('"finish_reason":"stop"')
  const entries = await waitFor('its end', async () => {
    const found = await on.wallet.ledger('acme', { afterSeq: 0, limit: 10_000, type: undefined })
    return found.filter((entry) => entry.type === 'settle').length === 52 && found
  })
  const settle = entries.filter((entry) => entry.type === 'settle').at(-1)
  expect(settle?.fields['tokens']).toMatchObject({ output: 1500 })
  expect(entries.some((entry) => entry.type === 'checkpoint')).toBe(true)
  expect((await settled(on))['debt']).toBe('0')
  expect(await metricOf(on, 'overrun_total')).toBe(0)
})

run('p99 under a small wallet: no answer is sent with a limit that the wallet could not pay', async () => {
  gateway = await startTestGateway({ prices: PRICES, plan: 'hold: { output: p99 }' })
  const on = gateway
  await on.grant('60')
  for (let i = 0; i < 51; i++) await ask(on, 'input=10,output=260', { max_tokens: 3000 })
  await settled(on)
  const left = Number((await on.balance())['available'])
  const calls = Math.ceil(left / 1.5)
  for (let i = 0; i < calls + 3; i++) await ask(on, 'input=10,output=3000', { max_tokens: 3000 })
  const balance = await settled(on)
  expect(balance['debt']).toBe('0')
  expect(Number(balance['available'])).toBeLessThan(1)
})

run(
  'exact: from the first call on the hold is what the model’s own tokenizer says; other models are estimated',
  async () => {
    const on = await start({ plan: 'hold: { tokenizer: exact }' })
    const tokens = 481 + 24
    const held = await waitFor('the tokenizer', async () => {
      const { hold } = await ask(on, 'output=1', { max_tokens: 1 })
      return hold < 0.6 && hold
    })
    expect(held).toBeCloseTo((tokens + 1) / 1000, 2)
    const estimated = await on.post(
      '/v1/messages',
      { model: 'claude-sonnet-4-5', max_tokens: 1, messages: [{ role: 'user', content: LONG }] },
      { 'anthropic-version': '2023-06-01' },
    )
    expect(Number(estimated.headers.get('x-tollgate-hold'))).toBeGreaterThan(1)
  },
  180_000,
)

run('a file that a call names by its id is held at the window once, and then at what it was billed', async () => {
  const upstream = await startCountingUpstream((request, response) => {
    response.setHeader('content-type', 'application/json')
    const file = { id: 'file-abc', object: 'file', bytes: 120_000, filename: 'report.pdf', purpose: 'user_data' }
    const answer = {
      id: 'resp_1',
      object: 'response',
      status: 'completed',
      model: 'gpt-5-mini',
      output: [],
      usage: { input_tokens: 1500, output_tokens: 5, total_tokens: 1505 },
    }
    response.end(JSON.stringify(request.path.endsWith('/files') ? file : answer))
  })
  const on = await start({
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"] }`,
  })
  try {
    const form = new FormData()
    form.set('purpose', 'user_data')
    form.set('file', new Blob(['%PDF-1.4']), 'report.pdf')
    const upload = await fetch(`${on.url}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}` },
      body: form,
    })
    expect(upload.status).toBe(200)
    await upload.text()
    const input = [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-abc' }] }]
    const call = async (): Promise<number> => {
      const answer = await on.post('/v1/responses', { model: 'gpt-5-mini', max_output_tokens: 10, input })
      expect(answer.status).toBe(200)
      await answer.text()
      return Number(answer.headers.get('x-tollgate-hold'))
    }
    expect(await call()).toBeGreaterThan(128)
    const held = await waitFor('its size to be known', async () => {
      const hold = await call()
      return hold < 128 && hold
    })
    expect(held).toBeGreaterThanOrEqual(1.505)
    expect(held).toBeLessThan(1.7)
    expect(await metricOf(on, 'assumed_limits_total', { model: 'gpt-5-mini' })).toBeGreaterThan(0)
  } finally {
    await upstream.close()
  }
})
