/** The official `cohere-ai` client, v1 and v2, with its base URL and key changed, and nothing else. */
import { CohereClient, CohereClientV2, CohereError } from 'cohere-ai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, expectCharge } from './charged-call.ts'
import { countingFetch, NATIVE_ENTITLEMENTS, NATIVE_PRICES, SLICE_TOKENS } from './native-accounts.ts'

const run = test.skipIf(!redisAvailable)
const MODEL = 'command-a-03-2025'
let gateway: TestGateway
let charges: Charges
let client: CohereClientV2
/** Straight to the provider: what it says there it must say through the gateway. */
let provider: CohereClientV2

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    upstreams: '  cohere: { format: cohere, base_url: "{simulator}", api_key: co-upstream-secret }',
    entitlements: NATIVE_ENTITLEMENTS,
    prices: NATIVE_PRICES,
  })
  charges = new Charges(gateway, 'acme')
  client = clientOf('acme')
  provider = new CohereClientV2({ token: 'direct', environment: gateway.simulator.url, maxRetries: 0 })
  await gateway.grant('5')
}, 180_000)

afterAll(() => gateway?.close())

type Options = Partial<NonNullable<ConstructorParameters<typeof CohereClientV2>[0]>>

function clientOf(account: string, more: Options = {}): CohereClientV2 {
  return new CohereClientV2({ token: `key-${account}`, environment: gateway.url, maxRetries: 0, ...more })
}

function v1Of(account: string): CohereClient {
  return new CohereClient({ token: `key-${account}`, environment: gateway.url, maxRetries: 0 })
}

function ask(content: string, maxTokens = 500) {
  return { model: MODEL, maxTokens, messages: [{ role: 'user' as const, content }] }
}

function caught(promise: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  )
}

interface Streamed {
  readonly types: string[]
  readonly text: string
  readonly deltas: number
  readonly finish: string | undefined
  readonly error: string | undefined
}

async function streamed(stream: AsyncIterable<object>, seen: (deltas: number) => void = () => {}): Promise<Streamed> {
  const types: string[] = []
  let text = ''
  let deltas = 0
  let finish: string | undefined
  let error: string | undefined
  for await (const item of stream) {
    // biome-ignore lint/suspicious/noExplicitAny: the client's union of events is read as JSON
    const event = item as any
    types.push(event.type ?? event.eventType)
    const piece =
      event.delta?.message?.content?.text ?? (event.eventType === 'text-generation' ? event.text : undefined)
    if (piece) {
      text += piece
      seen(++deltas)
    }
    finish = event.delta?.finishReason ?? event.finishReason ?? finish
    error = event.delta?.error ?? error
  }
  return { types, text, deltas, finish, error }
}

// ---- chat

run('a chat is answered, and charged by its billed units and not by its tokens', async () => {
  const question = ask('What is a toll? [simulate: output=40]')
  const { data, rawResponse } = await client.chat(question).withRawResponse()
  const direct = await provider.chat(question)
  expect(data.message.content).toEqual(direct.message.content)
  const { billedUnits, tokens } = direct.usage ?? {}
  expect(tokens?.inputTokens).toBeGreaterThan(billedUnits?.inputTokens ?? 0)
  const charge = await charges.next()
  expectCharge(charge, { input: billedUnits?.inputTokens ?? -1, output: 40 })
  expect(rawResponse.headers.get('x-tollgate-cost')).toBe(charge.charged)
})

run('a stream comes event by event, and is charged by its last', async () => {
  const question = ask('Tell me a story. [simulate: output=60]')
  const { types, text, deltas, finish } = await streamed(await client.chatStream(question))
  expect([types[0], types.at(-1)]).toEqual(['message-start', 'message-end'])
  expect([deltas, finish]).toEqual([60, 'COMPLETE'])
  const direct = await provider.chat(question)
  expect(direct.message.content?.[0]).toMatchObject({ text })
  expectCharge(await charges.next(), { input: direct.usage?.billedUnits?.inputTokens ?? -1, output: 60 })
})

run('tools are called in a stream, thinking is charged as output', async () => {
  const tools = [
    {
      type: 'function' as const,
      function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
    },
  ]
  const { types, finish } = await streamed(
    await client.chatStream({ ...ask('Weather in Rome?'), tools, thinking: { type: 'enabled' } }),
  )
  expect(types).toEqual(expect.arrayContaining(['tool-call-start', 'tool-call-delta', 'tool-call-end']))
  expect(finish).toBe('TOOL_CALL')
  const charge = await charges.next()
  expect([charge.source, charge.reasoning]).toEqual(['provider', 16])
})

run('v1: a chat, a stream of lines and a generation', async () => {
  const v1 = v1Of('acme')
  const whole = await v1.chat({ model: MODEL, message: 'Hello [simulate: output=20]' })
  expect(whole.text.length).toBeGreaterThan(0)
  expectCharge(await charges.next(), { input: whole.meta?.billedUnits?.inputTokens ?? -1, output: 20 })
  const stream = await streamed(await v1.chatStream({ model: MODEL, message: 'Hello [simulate: output=20]' }))
  expect([stream.types[0], stream.types.at(-1), stream.text]).toEqual(['stream-start', 'stream-end', whole.text])
  expectCharge(await charges.next(), { input: whole.meta?.billedUnits?.inputTokens ?? -1, output: 20 })
  const generation = await v1.generate({ model: 'command', prompt: 'Once [simulate: output=12]', numGenerations: 2 })
  expect(generation.generations).toHaveLength(2)
  expect((await charges.next()).tokens['output']).toBe(24)
})

// ---- what is billed in other ways

run('embeddings are charged by the token, pictures by the piece, reranking by the search', async () => {
  const embedding = await client.embed({ model: 'embed-v4.0', inputType: 'search_query', texts: ['Ruby', 'Python'] })
  expectCharge(await charges.next(), { input: embedding.meta?.billedUnits?.inputTokens ?? -1 })
  const image = `data:image/png;base64,${'A'.repeat(4000)}`
  await client.embed({ model: 'embed-images', inputType: 'image', images: [image] })
  expect(await charges.next()).toMatchObject({ tokens: {}, charged: '0.0001', source: 'provider' })
  const documents = Array.from({ length: 101 }, (_, index) => `document ${index}`)
  const ranked = await client.rerank({ model: 'rerank-v3.5', query: 'tolls', documents, topN: 3 })
  expect(ranked.results).toHaveLength(3)
  const charge = await charges.next()
  expect([charge.charged, charge.entry.fields['units']]).toEqual(['0.004', { searches: 2 }])
})

run('counting tokens is free, also with an empty wallet', async () => {
  const { tokens } = await v1Of('poor').tokenize({ model: 'command', text: 'How long is this?' })
  expect(tokens.length).toBeGreaterThan(0)
  expect(await new Charges(gateway, 'poor').none()).toBe(true)
})

// ---- refusals

run('a refusal has a shape that the client understands, and it does not try again', async () => {
  const counter = countingFetch()
  const error = await caught(clientOf('poor', { maxRetries: 3, fetch: counter.fetch }).chat(ask('Hi', 100)))
  expect(error).toBeInstanceOf(CohereError)
  expect(error).toMatchObject({
    statusCode: 402,
    body: {
      id: expect.any(String),
      message: expect.stringContaining('This call may cost'),
      tollgate: { code: 'insufficient_funds', rule: 'funds', available: '0', unit: 'USD' },
    },
  })
  expect(counter.sent).toBe(1)
  const unknown = await caught(clientOf('nobody', { maxRetries: 3, fetch: counter.fetch }).chat(ask('Hi')))
  expect(unknown).toMatchObject({ statusCode: 401, body: { tollgate: { code: 'invalid_key' } } })
  expect(counter.sent).toBe(2)
  const malformed = await caught(client.chat({ ...ask('Hi'), maxTokens: -5 }))
  expect(malformed).toMatchObject({ statusCode: 400, body: { tollgate: { code: 'invalid_request' } } })
  expect(await charges.none()).toBe(true)
})

run('429 is waited for as told, and the call then passes', async () => {
  // Pays for one call of 256 tokens (0.002048 and its input) at a time.
  await gateway.grant('0.003', 'waiting')
  const question = ask('Wait for it. [simulate: latency=700, output=10]', 256)
  const before = gateway.simulator.stats.requests
  const first = clientOf('waiting').chat(question)
  await waitFor('the first call to be sent', () => gateway.simulator.stats.requests > before)
  const refused = await caught(clientOf('waiting').chat(question))
  expect(refused).toMatchObject({ statusCode: 429, body: { tollgate: { code: 'held_by_open_calls' } } })
  const patient = await clientOf('waiting', { maxRetries: 4 }).chat(question)
  expect([patient.finishReason, (await first).finishReason]).toEqual(['COMPLETE', 'COMPLETE'])
  expect(gateway.simulator.stats.requests).toBe(before + 2)
})

run.each([429, 500, 400])('the provider’s own error passes as it came and costs nothing (%i)', async (status) => {
  const question = ask(`Fail. [simulate: status=${status}]`)
  const [through, direct] = [await caught(client.chat(question)), await caught(provider.chat(question))]
  expect(through).toMatchObject({
    statusCode: status,
    body: { message: (direct as CohereError & { body: { message: string } }).body.message },
  })
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
  expect(await charges.none()).toBe(true)
})

run('a provider that fails in the middle is told as Cohere tells it, never by a silent end', async () => {
  const broken = await streamed(await client.chatStream(ask('Break. [simulate: fault=reset_mid, output=60]')))
  expect([broken.types.at(-1), broken.finish]).toEqual(['message-end', 'ERROR'])
  expect(broken.error).toContain('broke off')
  expect((await charges.next()).source).toBe('estimate')
  const failed = await streamed(await client.chatStream(ask('Fail. [simulate: fault=error_mid, output=60]')))
  expect(failed.finish).toBe('ERROR')
  expect((await charges.next()).source).toBe('estimate')
})

// ---- clients that hang up, limits that the money sets

run('a client that aborts pays for what the provider produced for it', async () => {
  await gateway.grant('1', 'leaving')
  const abort = new AbortController()
  const stream = await clientOf('leaving').chatStream(ask('Never mind. [simulate: output=400, tps=1000]'), {
    abortSignal: abort.signal,
  })
  let seen = 0
  await caught(
    streamed(stream, (deltas) => {
      seen = deltas
      if (deltas === 20) abort.abort()
    }),
  )
  expect(seen).toBeLessThan(400)
  const charge = await new Charges(gateway, 'leaving').next()
  expect([charge.tokens['output'], charge.source]).toEqual([400, 'provider'])
})

run('a trimmed answer says MAX_TOKENS, and a plan’s limit is written into the call', async () => {
  await gateway.grant('0.003', 'small')
  const { data, rawResponse } = await clientOf('small')
    .chat(ask('Write a book. [simulate: output=4000]', 4000))
    .withRawResponse()
  expect(data.finishReason).toBe('MAX_TOKENS')
  expect(rawResponse.headers.get('x-tollgate-trimmed')).toBe(`max_tokens=${data.usage?.billedUnits?.outputTokens}`)
  expect(await gateway.balance('small')).toMatchObject({ debt: '0', held: '0' })
  await gateway.grant('1', 'capped')
  const capped = await clientOf('capped').chat({
    model: MODEL,
    messages: [{ role: 'user', content: 'Hi [simulate: output=90]' }],
  })
  expect(capped.usage?.billedUnits?.outputTokens).toBe(20)
})

run.each([
  ['v2', () => clientOf('sliced').chatStream(ask('For ever. [simulate: endless, tps=3000]', 4000))],
  [
    'v1',
    () =>
      v1Of('sliced').chatStream({ model: MODEL, message: 'For ever. [simulate: endless, tps=3000]', maxTokens: 4000 }),
  ],
])('a stream that the money ends is a normal answer that stopped for its length: %s', async (_version, start) => {
  const sliced = new Charges(gateway, 'sliced')
  while (!(await sliced.none())) await sliced.next()
  await gateway.grant('0.008', 'sliced')
  const { types, text, deltas, finish } = await streamed(await start())
  expect(['message-end', 'stream-end']).toContain(types.at(-1))
  expect(finish).toBe('MAX_TOKENS')
  expect(text.length).toBeGreaterThan(100)
  const charge = await sliced.next()
  expect(charge.entry.fields['cut']).toBe(true)
  expect(Math.abs((charge.tokens['output'] ?? 0) - deltas)).toBeLessThanOrEqual(SLICE_TOKENS)
  expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
})

run('where the plan says so, a cut is told as an error', async () => {
  await gateway.grant('0.008', 'cuterror')
  const cut = await streamed(
    await clientOf('cuterror').chatStream(ask('For ever. [simulate: endless, tps=3000]', 4000)),
  )
  expect([cut.types.at(-1), cut.finish]).toEqual(['message-end', 'ERROR'])
  expect(cut.error).toContain('wallet')
})
