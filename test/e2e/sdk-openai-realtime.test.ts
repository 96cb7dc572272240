/** The realtime WebSocket through the official `openai` client, with its base URL and key changed. */
import { connect } from 'node:net'
import OpenAI from 'openai'
import { OpenAIRealtimeWS as BetaRealtimeWS } from 'openai/beta/realtime/ws'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import WebSocket from 'ws'
import { formatAmount, parseAmount } from '../../src/core/money.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Charge, Charges } from './charged-call.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let simulator: Simulator
let charges: Charges
const open: { close(): void }[] = []

/** USD a million: 1 token of spoken output is 64,000 atoms. */
const PRICES = `
  - match: { model: "gpt-realtime*" }
    from: 2020-01-01
    per_million: { input: "4", cached_input: "0.4", audio_input: "32", output: "16", audio_output: "64" }
    max_output_tokens: 100
  - match: { model: "whisper-1" }
    from: 2020-01-01
    per_million: { input: "1", output: "1" }
    per_unit: { seconds: "0.0001" }
`
const ATOMS: Readonly<Record<string, bigint>> = {
  input: 4_000n,
  cached_input: 400n,
  audio_input: 32_000n,
  output: 16_000n,
  audio_output: 64_000n,
}

beforeAll(async () => {
  if (!redisAvailable) return
  simulator = await startSimulator({ seed: 1 })
  const target = `format: openai, base_url: "${simulator.url}/v1", api_key: sk-upstream-secret`
  gateway = await startTestGateway({
    entitlements: `version: 1
plans:
  main: { unit: USD }
  capped: { unit: USD, max_output_tokens: 8 }
  cheap: { unit: USD, max_cost_per_call: "0.02" }
  chat: { unit: USD, endpoints: [chat] }
  seen: { unit: USD, enforcement: observe }
accounts:
${['acme', 'capped', 'cheap', 'chat', 'seen', 'small', 'tiny']
  .map(
    (name) =>
      `  ${name}: { plan: ${['acme', 'small', 'tiny'].includes(name) ? 'main' : name}, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }`,
  )
  .join('\n')}
`,
    prices: PRICES,
    settings: `metering: { unmetered_paths: ["GET /v1/echo/realtime/plain"] }`,
    upstreams: `  openai: { ${target}, models: ["*"] }
  hasty: { ${target}, models: [], on_disconnect: { mode: cancel } }
  gone: { format: openai, base_url: "http://127.0.0.1:9", api_key: x, models: [] }`,
  })
  charges = new Charges(gateway, 'acme')
  for (const account of ['acme', 'capped', 'cheap', 'chat']) await gateway.grant('5', account)
}, 180_000)

afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
})

afterAll(async () => {
  await gateway?.close()
  await simulator?.close()
})

type Event = Readonly<Record<string, unknown>> & { readonly type: string }

/** The clients insist on TLS: its place is taken by a plain connection to the gateway. */
function plain(): WebSocket.ClientOptions {
  const { port } = new URL(gateway.url)
  return { createConnection: () => connect(Number(port), '127.0.0.1') } as unknown as WebSocket.ClientOptions
}

class Talk {
  readonly events: Event[] = []
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly #send: (event: object) => void

  constructor(socket: WebSocket, send: (event: object) => void) {
    this.#send = send
    socket.on('message', (data) => this.events.push(JSON.parse(String(data))))
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
    })
    open.push({ close: () => socket.terminate() })
  }

  send(event: object): void {
    this.#send(event)
  }

  /** The event of this type that follows those which were waited for. */
  #seen = 0
  next(type: string): Promise<Event> {
    return waitFor(`the event ${type}`, () => {
      const at = this.events.findIndex((event, index) => index >= this.#seen && event.type === type)
      if (at < 0) return undefined
      this.#seen = at + 1
      return this.events[at] as Event
    })
  }

  say(text: string): void {
    this.send({
      type: 'conversation.item.create',
      item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] },
    })
  }

  async ask(text: string, response?: object): Promise<Event> {
    this.say(text)
    this.send({ type: 'response.create', ...(response ? { response } : {}) })
    return this.next('response.done')
  }
}

async function talk(account: string, more: { readonly path?: string; readonly model?: string } = {}): Promise<Talk> {
  const client = new OpenAI({ baseURL: `${gateway.url}${more.path ?? ''}/v1`, apiKey: `key-${account}` })
  const session = new OpenAIRealtimeWS({ model: more.model ?? 'gpt-realtime', options: plain() }, client)
  // Errors are events too, and the client throws those that nobody listens to.
  session.on('error', () => {})
  const result = new Talk(session.socket, (event) => session.send(event as Parameters<typeof session.send>[0]))
  await result.next('session.created')
  return result
}

function usageOf(done: Event): Record<string, number> {
  const { usage } = done['response'] as {
    usage: Record<string, Record<string, number>> & { input_tokens: number; output_tokens: number }
  }
  const cached = usage['input_token_details']?.['cached_tokens'] ?? 0
  const audioIn = usage['input_token_details']?.['audio_tokens'] ?? 0
  const audioOut = usage['output_token_details']?.['audio_tokens'] ?? 0
  return {
    input: usage.input_tokens - cached - audioIn,
    cached_input: cached,
    audio_input: audioIn,
    output: usage.output_tokens - audioOut,
    audio_output: audioOut,
  }
}

function sum(usages: readonly Record<string, number>[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const usage of usages)
    for (const [kind, count] of Object.entries(usage)) if (count > 0) total[kind] = (total[kind] ?? 0) + count
  return total
}

function expectTokens(charge: Charge, tokens: Readonly<Record<string, number>>): void {
  expect(charge.tokens).toEqual(tokens)
  const atoms = Object.entries(tokens).reduce(
    (total, [kind, count]) => total + BigInt(count) * (ATOMS[kind] as bigint),
    0n,
  )
  expect(charge.charged).toBe(formatAmount(atoms))
  expect(charge.source).toBe('provider')
}

/** Asks for response after response, until one is refused. */
async function untilRefused(session: Talk, text: string): Promise<void> {
  const refused = () => session.events.some((event) => event.type === 'error')
  const answers = () => session.events.filter((event) => event.type === 'response.done').length
  for (let asked = 1; asked <= 20 && !refused(); asked++) {
    session.say(text)
    session.send({ type: 'response.create' })
    await waitFor('an answer', () => refused() || answers() >= asked)
  }
}

async function nothingHeld(account: string): Promise<Record<string, string>> {
  return waitFor('nothing held', async () => {
    const balance = await gateway.balance(account)
    return balance['held'] === '0' && balance
  })
}

run('the responses of a session are charged together when it ends, to the token', async () => {
  const session = await talk('acme')
  const first = await session.ask('Hello. [simulate: output=20, cached=7]')
  const second = await session.ask('And in writing?', { output_modalities: ['text'] })
  expect(usageOf(first)).toMatchObject({ audio_output: 20, cached_input: 7 })
  expect(usageOf(second)).toMatchObject({ output: 12, audio_input: 20 })
  session.events.length = 0
  expect(Number((await gateway.balance())['held'])).toBeGreaterThan(0)
  open[0]?.close()
  const charge = await charges.next()
  expectTokens(charge, sum([usageOf(first), usageOf(second)]))
  expect(charge.entry.fields).toMatchObject({ endpoint: 'realtime', model: 'gpt-realtime', status: 101 })
  expect(charge.entry.fields['usage']).toMatchObject({ responses: 2 })
  expect(charge.entry.fields['provider_request_id']).toMatch(/^sess_/)
  await nothingHeld('acme')
})

run('the first form of the API is metered alike', async () => {
  const client = new OpenAI({ baseURL: `wss://127.0.0.1:${new URL(gateway.url).port}/v1`, apiKey: 'key-acme' })
  const session = new BetaRealtimeWS({ model: 'gpt-realtime', options: plain() }, client)
  session.on('error', () => {})
  const chat = new Talk(session.socket, (event) => session.send(event as Parameters<typeof session.send>[0]))
  const created = await chat.next('session.created')
  expect(created['session']).toMatchObject({ max_response_output_tokens: 'inf' })
  const done = await chat.ask('Hello. [simulate: output=9]')
  session.close()
  await chat.closed
  expectTokens(await charges.next(), sum([usageOf(done)]))
})

run('what the user says is answered and transcribed, each at its own model’s price', async () => {
  const session = await talk('acme')
  session.send({
    type: 'session.update',
    session: { type: 'realtime', audio: { input: { transcription: { model: 'whisper-1' } } } },
  })
  await session.next('session.updated')
  session.send({ type: 'input_audio_buffer.append', audio: Buffer.alloc(48_000, 1).toString('base64') })
  const transcript = await session.next('conversation.item.input_audio_transcription.completed')
  expect(transcript['usage']).toEqual({ type: 'duration', seconds: 1 })
  const done = await session.next('response.done')
  open[0]?.close()
  const charge = await charges.next()
  const tokens = sum([usageOf(done)])
  expect(charge.tokens).toEqual(tokens)
  expect(charge.entry.fields['units']).toEqual({ seconds: 1 })
  const atoms = Object.entries(tokens).reduce(
    (total, [kind, count]) => total + BigInt(count) * (ATOMS[kind] as bigint),
    0n,
  )
  expect(charge.charged).toBe(formatAmount(atoms + parseAmount('0.0001')))
})

run('a session that is opened and closed costs nothing', async () => {
  await talk('acme')
  open[0]?.close()
  const charge = await charges.next()
  expect(charge.charged).toBe('0')
  expect(charge.source).toBe('provider')
})

run(
  'when the money ends the next response is refused with an error event, and the session is closed with the reason',
  async () => {
    // Each response here is held at no more than 100 spoken tokens (0.0064) and some thousand of input.
    await gateway.grant('0.01', 'small')
    const session = await talk('small')
    await untilRefused(session, 'Again. [simulate: output=40]')
    const done = session.events.filter((event) => event.type === 'response.done')
    expect(done.length).toBeGreaterThan(0)
    const refused = await session.next('error')
    expect(refused['error']).toMatchObject({
      type: 'insufficient_quota',
      code: 'insufficient_funds',
      tollgate: { rule: 'funds' },
    })
    const { code, reason } = await session.closed
    expect(code).toBe(1008)
    expect(reason).toMatch(/^insufficient_funds: /)
    const charge = await new Charges(gateway, 'small').next()
    expectTokens(charge, sum(done.map(usageOf)))
    expect(charge.entry.fields['cut']).toBe(true)
    const balance = await nothingHeld('small')
    expect(balance['debt']).toBe('0')
  },
)

run('a wallet that does not cover the shortest useful response is refused before anything is dialled', async () => {
  await gateway.grant('0.0001', 'tiny')
  const before = simulator.stats.requests
  const refusal = await refused('tiny', '/v1/realtime?model=gpt-realtime')
  expect(refusal).toMatchObject({ status: 402, error: { code: 'insufficient_funds' } })
  expect(simulator.stats.requests).toBe(before)
})

run('a plan’s limit is told to the session, unseen by the caller, and written over higher ones', async () => {
  const session = await talk('capped')
  const done = await session.ask('Talk long. [simulate: output=60]')
  expect(usageOf(done)).toMatchObject({ audio_output: 8 })
  const own = await session.ask('Longer. [simulate: output=60]', { max_output_tokens: 50 })
  expect(usageOf(own)).toMatchObject({ audio_output: 8 })
  const lower = await session.ask('Shorter. [simulate: output=60]', { max_output_tokens: 3 })
  expect(usageOf(lower)).toMatchObject({ audio_output: 3 })
  session.send({ type: 'session.update', session: { type: 'realtime', max_output_tokens: 'inf' } })
  const updated = await session.next('session.updated')
  expect(updated['session']).toMatchObject({ max_output_tokens: 8 })
  expect(session.events.filter((event) => event.type === 'session.updated')).toHaveLength(1)
  expect(session.events.filter((event) => event.type === 'error')).toHaveLength(0)
})

run('a plan’s most for one call counts for the whole session', async () => {
  const session = await talk('cheap')
  await untilRefused(session, 'More. [simulate: output=90]')
  const { code, reason } = await session.closed
  expect([code, reason.split(':')[0]]).toEqual([1008, 'call_too_expensive'])
  const charge = await new Charges(gateway, 'cheap').next()
  expect(Number(charge.charged)).toBeGreaterThan(0.005)
  expect(Number(charge.charged)).toBeLessThanOrEqual(0.02)
})

run('hanging up while a response runs: drain waits for its end and charges it exactly', async () => {
  const session = await talk('acme')
  session.say('Slowly. [simulate: output=30, tps=60]')
  session.send({ type: 'response.create' })
  await session.next('response.output_audio.delta')
  open[0]?.close()
  const charge = await charges.next()
  expect(charge.source).toBe('provider')
  expect(charge.tokens['audio_output']).toBe(30)
})

run(
  'hanging up while a response runs: cancel closes the upstream and charges what had come, as an estimate',
  async () => {
    const session = await talk('acme', { path: '/u/hasty' })
    session.say('Slowly. [simulate: output=50, tps=20]')
    session.send({ type: 'response.create' })
    await session.next('response.output_audio.delta')
    open[0]?.close()
    const charge = await charges.next()
    expect(charge.source).toBe('estimate')
    expect(charge.tokens['audio_output']).toBeGreaterThan(0)
    expect(charge.tokens['audio_output']).toBeLessThan(50)
    await waitFor('the upstream closed', () => simulator.stats.open === 0)
  },
)

run(
  'an upstream that breaks off is told as an error event, and what it had said is charged as an estimate',
  async () => {
    const session = await talk('acme')
    session.say('Break. [simulate: output=20, reset_mid, at=10]')
    session.send({ type: 'response.create' })
    expect((await session.next('error'))['error']).toMatchObject({ code: 'upstream_unreachable' })
    expect((await session.closed).code).toBe(1011)
    const charge = await charges.next()
    expect(charge.source).toBe('estimate')
    expect(charge.tokens['audio_output']).toBe(10)
  },
)

run('a cancelled response is charged by what the provider counted of it', async () => {
  const session = await talk('acme')
  session.say('Slowly. [simulate: output=90, tps=30]')
  session.send({ type: 'response.create' })
  await session.next('response.output_audio.delta')
  session.send({ type: 'response.cancel' })
  const done = await session.next('response.done')
  expect(done['response']).toMatchObject({ status: 'cancelled' })
  open[0]?.close()
  expectTokens(await charges.next(), sum([usageOf(done)]))
})

run('a transcriber that nothing prices is refused with an error event, and the session goes on', async () => {
  const session = await talk('acme')
  session.send({
    type: 'session.update',
    event_id: 'mine',
    session: { type: 'realtime', audio: { input: { transcription: { model: 'unknown-asr' } } } },
  })
  expect((await session.next('error'))['error']).toMatchObject({ code: 'model_unpriced', event_id: 'mine' })
  const done = await session.ask('Still there?')
  open[0]?.close()
  expectTokens(await charges.next(), sum([usageOf(done)]))
})

run('frames that could be read in two ways go nowhere; binary ones that are no events end the session', async () => {
  const session = await raw('/v1/realtime?model=gpt-realtime', { authorization: 'Bearer key-acme' })
  await session.next('session.created')
  session.socket.send('{"type":"input_audio_buffer.clear","type":"response.create"}')
  expect((await session.next('error'))['error']).toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining('twice'),
  })
  session.socket.send('{"type":"session.update","session":{"type":"realtime","max_output_tokens":"5"}}')
  expect((await session.next('error'))['error']).toMatchObject({ param: 'session.max_output_tokens' })
  session.socket.send('no json')
  expect((await session.next('error'))['error']).toMatchObject({ code: 'invalid_request' })
  session.socket.send(Buffer.from('{"type":"response.create"}'), { binary: true })
  await session.next('response.done')
  session.socket.send(Buffer.from([1, 2, 3]), { binary: true })
  expect((await session.closed).code).toBe(1003)
  expect((await charges.next()).entry.fields['usage']).toMatchObject({ responses: 1 })
})

// ---- how it is opened

class RawTalk extends Talk {
  readonly socket: WebSocket
  constructor(socket: WebSocket) {
    super(socket, (event) => socket.send(JSON.stringify(event)))
    this.socket = socket
  }
}

async function raw(path: string, headers: Record<string, string> = {}, protocols: string[] = []): Promise<RawTalk> {
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${path}`, protocols, { headers })
  const session = new RawTalk(socket)
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return session
}

async function refused(
  account: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; error: unknown; headers: Headers }> {
  const answer = await fetch(gateway.url + path, {
    headers: { authorization: `Bearer key-${account}`, ...headers },
  }).catch(() => undefined)
  expect(answer?.status).not.toBe(101)
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${path}`, {
      headers: { authorization: `Bearer key-${account}`, ...headers },
    })
    socket.once('open', () => reject(new Error('opened')))
    socket.once('error', () => {})
    socket.once('unexpected-response', (_request, response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.once('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          error: text === '' ? undefined : JSON.parse(text).error,
          headers: new Headers(response.headers as Record<string, string>),
        })
        socket.terminate()
      })
    })
  })
}

run.each([
  ['a header', '/v1/realtime?model=gpt-realtime', { authorization: 'Bearer key-acme' }, []],
  [
    'a subprotocol, as browsers do',
    '/v1/realtime?model=gpt-realtime',
    {},
    ['realtime', 'openai-insecure-api-key.key-acme', 'openai-organization.org-1'],
  ],
  [
    'Azure’s header and deployment',
    '/openai/realtime?api-version=2025-04-01&deployment=gpt-realtime',
    { 'api-key': 'key-acme' },
    [],
  ],
  ['Azure’s query', '/openai/v1/realtime?model=gpt-realtime&api-key=key-acme', {}, []],
] as [string, string, Record<string, string>, string[]][])(
  'the key may stand in %s, and goes no further',
  async (_name, path, headers, protocols) => {
    simulator.reset()
    const session = await raw(path, headers, protocols)
    expect(session.socket.protocol).toBe(protocols.length > 0 ? 'realtime' : '')
    await session.next('session.created')
    session.socket.close()
    await charges.next()
    const seen = simulator.stats.seen.at(-1)
    expect(JSON.stringify([seen, simulator.stats.bodies])).not.toContain('key-acme')
    expect(JSON.stringify([seen, simulator.stats.bodies])).not.toContain('org-1')
    expect(seen?.headers.authorization).toBe('…cret')
  },
)

run('a key in a subprotocol goes no further on a path that nothing meters', async () => {
  simulator.reset()
  const offered = ['realtime', 'openai-insecure-api-key.key-acme', 'openai-organization.org-1']
  await raw('/v1/echo/realtime/plain', { authorization: 'Bearer key-acme' }, offered).catch(() => undefined)
  const seen = simulator.stats.seen.at(-1)
  expect(seen?.headers).toMatchObject({ 'sec-websocket-protocol': 'realtime', authorization: '…cret' })
})

run('the answer that opens the socket says what is held', async () => {
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/realtime?model=gpt-realtime`, {
    headers: { authorization: 'Bearer key-acme', 'x-tollgate-run': 'run-7' },
  })
  open.push({ close: () => socket.terminate() })
  const headers = await new Promise<Record<string, unknown>>((resolve) => {
    socket.once('upgrade', (response) => resolve(response.headers))
  })
  expect(headers).toMatchObject({ 'x-tollgate-account': 'acme', 'x-tollgate-unit': 'USD' })
  expect(Number(headers['x-tollgate-hold'])).toBeGreaterThan(0.006)
  socket.close()
  expect((await charges.next()).entry.fields['run']).toBe('run-7')
})

run.each([
  ['an unknown key', 'nobody', '/v1/realtime?model=gpt-realtime', 401, 'invalid_key'],
  ['a plan without the endpoint', 'chat', '/v1/realtime?model=gpt-realtime', 403, 'not_entitled'],
  ['a model that nothing prices', 'acme', '/v1/realtime?model=other', 403, 'model_unpriced'],
  ['no model', 'acme', '/v1/realtime', 400, 'invalid_request'],
  ['two models', 'acme', '/v1/realtime?model=gpt-realtime&model=gpt-realtime-mini', 400, 'invalid_request'],
  ['a call begun elsewhere', 'acme', '/v1/realtime?call_id=rtc_1', 400, 'invalid_request'],
  ['another path', 'acme', '/v1/realtime/translations?model=gpt-realtime', 403, 'endpoint_not_metered'],
  ['another upstream', 'acme', '/u/nobody/v1/realtime?model=gpt-realtime', 403, 'not_entitled'],
  ['an upstream that is not there', 'acme', '/u/gone/v1/realtime?model=gpt-realtime', 502, 'upstream_unreachable'],
])('%s is refused before the socket opens', async (_name, account, path, status, code) => {
  const refusal = await refused(account, path)
  expect(refusal).toMatchObject({ status, error: { code } })
  expect(refusal.headers.get('x-tollgate-error')).toBe(code)
  if (account === 'acme') await nothingHeld('acme')
})

run('a refusal of the provider’s comes as it is, and costs nothing', async () => {
  const refusal = await refused('acme', '/v1/realtime?model=gpt-realtime', { 'x-simulate': 'status=429' })
  expect(refusal).toMatchObject({ status: 429, error: { code: 'rate_limit_exceeded' } })
  expect(refusal.headers.get('x-tollgate-error')).toBeNull()
  await nothingHeld('acme')
})

run('keys that would go past the gateway are not made', async () => {
  for (const path of [
    '/v1/realtime/client_secrets',
    '/v1/realtime/sessions',
    '/v1/realtime/transcription_sessions',
    '/v1/realtime/calls',
  ]) {
    const answer = await fetch(gateway.url + path, {
      method: 'POST',
      headers: { authorization: 'Bearer key-acme', 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-realtime' }),
    })
    expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([403, 'endpoint_not_metered'])
  }
})

run('a request that asks for another protocol is answered as any other', async () => {
  const answer = await new Promise<string>((resolve) => {
    const { port } = new URL(gateway.url)
    const socket = connect(Number(port), '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
      if (text.includes('}')) socket.destroy()
    })
    socket.once('close', () => resolve(text))
    socket.write(
      'GET /v1/nothing HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key-acme\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n',
    )
  })
  expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  expect(answer).toContain('endpoint_not_metered')
})

run('a dry run is answered without a socket, and nothing is held', async () => {
  const answer = await refused('acme', '/v1/realtime?model=gpt-realtime', { 'x-tollgate-dry-run': '1' })
  expect(answer.status).toBe(200)
  await nothingHeld('acme')
})

run('under observe a session without funds goes on, and the ledger says what would have been', async () => {
  const session = await talk('seen')
  const done = await session.ask('Hello. [simulate: output=20]')
  await session.ask('Again. [simulate: output=20]')
  open[0]?.close()
  const charge = await new Charges(gateway, 'seen').next()
  expect(charge.entry.fields['would']).toMatchObject({ code: 'insufficient_funds' })
  expect(charge.tokens['audio_output']).toBe(2 * (usageOf(done)['audio_output'] ?? 0))
})
