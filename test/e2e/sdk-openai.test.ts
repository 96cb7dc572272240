/** The official `openai` client with its base URL and key changed, and nothing else. */
import OpenAI, { APIUserAbortError } from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import type { CompletionUsage } from 'openai/resources/completions'
import type { ResponseUsage } from 'openai/resources/responses/responses'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, ENTITLEMENTS, expectCharge, nonZero, PRICES } from './charged-call.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let simulator: Simulator
let charges: Charges
let client: OpenAI
/** Straight to the provider: what it says there it must say through the gateway. */
let provider: OpenAI

beforeAll(async () => {
  if (!redisAvailable) return
  simulator = await startSimulator({ seed: 1 })
  const target = `format: openai, base_url: "${simulator.url}/v1", api_key: sk-upstream-secret`
  gateway = await startTestGateway({
    entitlements: ENTITLEMENTS,
    prices: PRICES,
    upstreams: `  openai: { ${target}, models: ["gpt-*", "text-embedding-*"] }
  hasty: { ${target}, models: [], on_disconnect: { mode: cancel } }`,
  })
  charges = new Charges(gateway, 'acme')
  client = clientOf('acme')
  provider = new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: 'sk-direct', maxRetries: 0 })
  await gateway.grant('5')
}, 180_000)

afterAll(async () => {
  await gateway?.close()
  await simulator?.close()
})

function clientOf(account: string, more: ConstructorParameters<typeof OpenAI>[0] = {}): OpenAI {
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: `key-${account}`, maxRetries: 0, ...more })
}

function ask(text: string, more: { readonly max_tokens?: number } = {}) {
  return { model: 'gpt-4o', messages: [{ role: 'user' as const, content: text }], ...more }
}

function chatTokens(usage: CompletionUsage | undefined): Record<string, number> {
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0
  return nonZero({
    input: (usage?.prompt_tokens ?? 0) - cached,
    cached_input: cached,
    output: usage?.completion_tokens ?? 0,
  })
}

function responseTokens(usage: ResponseUsage | undefined): Record<string, number> {
  const cached = usage?.input_tokens_details.cached_tokens ?? 0
  return nonZero({
    input: (usage?.input_tokens ?? 0) - cached,
    cached_input: cached,
    output: usage?.output_tokens ?? 0,
  })
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

const weather = {
  type: 'function' as const,
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const Answer = z.object({ title: z.string(), score: z.number() })

// ---- chat completions

run('a chat call is answered and charged to the token', async () => {
  const question = ask('What is a toll? [simulate: cached=5, output=40]')
  const { data, response } = await client.chat.completions.create(question).withResponse()
  const direct = await provider.chat.completions.create(question)
  expect(data.choices).toEqual(direct.choices)
  expect(data.usage).toEqual(direct.usage)
  expect(data.usage).toMatchObject({ completion_tokens: 40, prompt_tokens_details: { cached_tokens: 5 } })
  const charge = await charges.next()
  expectCharge(charge, chatTokens(direct.usage))
  expect(response.headers.get('x-tollgate-cost')).toBe(charge.charged)
})

run('several answers and reasoning are charged as the provider counted them', async () => {
  const data = await client.chat.completions.create({
    ...ask('Twice.'),
    model: 'gpt-5-mini',
    n: 2,
    reasoning_effort: 'low',
  })
  expect(data.choices).toHaveLength(2)
  const charge = await charges.next()
  expectCharge(charge, chatTokens(data.usage))
  expect(charge.reasoning).toBe(data.usage?.completion_tokens_details?.reasoning_tokens)
  expect(charge.reasoning).toBeGreaterThan(0)
})

run(
  'a stream without include_usage has no usage for the caller, and is charged by the provider’s all the same',
  async () => {
    const question = ask('Tell me a story. [simulate: output=50]')
    const chunks = await collect(await client.chat.completions.create({ ...question, stream: true }))
    const direct = await provider.chat.completions.create(question)
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(
      direct.choices[0]?.message.content,
    )
    expect(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage == null)).toBe(true)
    expectCharge(await charges.next(), chatTokens(direct.usage))
  },
)

run('a stream with include_usage ends with the usage that is charged', async () => {
  const chunks = await collect(
    await client.chat.completions.create({
      ...ask('Tell me more.'),
      stream: true,
      stream_options: { include_usage: true },
    }),
  )
  const last = chunks.at(-1)
  expect(last?.choices).toEqual([])
  expectCharge(await charges.next(), chatTokens(last?.usage ?? undefined))
})

run('the stream helper gathers the whole answer', async () => {
  const question = ask('And the stream helper?')
  const completion = await client.chat.completions.stream(question).finalChatCompletion()
  const direct = await provider.chat.completions.create(question)
  expect(completion.choices[0]?.message.content).toBe(direct.choices[0]?.message.content)
  expect(completion.choices[0]?.finish_reason).toBe('stop')
  expectCharge(await charges.next(), chatTokens(direct.usage))
})

run('a tool is called, its result sent back, both calls are charged', async () => {
  const messages = [{ role: 'user' as const, content: 'How is the weather in Paris?' }]
  const first = await client.chat.completions.create({ model: 'gpt-4o', messages, tools: [weather] })
  const message = first.choices[0]?.message
  const [call] = message?.tool_calls ?? []
  expect(first.choices[0]?.finish_reason).toBe('tool_calls')
  expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } })
  expectCharge(await charges.next(), chatTokens(first.usage))
  const second = await client.chat.completions.create({
    model: 'gpt-4o',
    messages: [
      ...messages,
      message as NonNullable<typeof message>,
      { role: 'tool', tool_call_id: call?.id ?? '', content: 'Sunny.' },
    ],
    tools: [weather],
  })
  expect(second.choices[0]?.message.content).toBeTruthy()
  expectCharge(await charges.next(), chatTokens(second.usage))
})

run('the tool runner goes through streamed tool calls to the end', async () => {
  const cities: unknown[] = []
  const runner = client.chat.completions.runTools({
    model: 'gpt-4o',
    stream: true,
    messages: [{ role: 'user', content: 'Weather in Rome?' }],
    tools: [
      {
        type: 'function',
        function: {
          name: 'weather',
          description: 'The weather of a city.',
          parameters: weather.function.parameters,
          parse: JSON.parse,
          function: (args: unknown) => {
            cities.push(args)
            return 'Cloudy.'
          },
        },
      },
    ],
  })
  expect(await runner.finalContent()).toBeTruthy()
  expect(cities).toEqual([{ city: expect.any(String) }])
  const [first, second] = [await charges.next(), await charges.next()]
  expect([first.source, second.source]).toEqual(['provider', 'provider'])
  expect(await charges.none()).toBe(true)
})

run('a structured answer is parsed by the helper', async () => {
  const completion = await client.chat.completions.parse({
    ...ask('Judge this.'),
    response_format: zodResponseFormat(Answer, 'answer'),
  })
  expect(Answer.safeParse(completion.choices[0]?.message.parsed).success).toBe(true)
  expectCharge(await charges.next(), chatTokens(completion.usage))
})

run('a legacy completion is charged, as JSON and as a stream', async () => {
  const question = { model: 'gpt-3.5-turbo-instruct', prompt: 'Once upon a time', max_tokens: 30 }
  const whole = await client.completions.create(question)
  expectCharge(await charges.next(), chatTokens(whole.usage))
  const chunks = await collect(await client.completions.create({ ...question, stream: true }))
  expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(whole.choices[0]?.text)
  expectCharge(await charges.next(), chatTokens(whole.usage))
})

run('embeddings are charged by their input', async () => {
  const answer = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['toll', 'gate'] })
  expect(answer.data).toHaveLength(2)
  expect(answer.data[0]?.embedding.every(Number.isFinite)).toBe(true)
  expectCharge(await charges.next(), { input: answer.usage.prompt_tokens })
})

// ---- responses

run('a response is created, read back and deleted by its account; reading is free', async () => {
  const created = await client.responses.create({
    model: 'gpt-5-mini',
    input: 'Remember me.',
    reasoning: { effort: 'low' },
  })
  expect(created.output_text).toBeTruthy()
  const charge = await charges.next()
  expectCharge(charge, responseTokens(created.usage))
  expect(charge.reasoning).toBe(created.usage?.output_tokens_details.reasoning_tokens)
  const read = await client.responses.retrieve(created.id)
  expect(read.output_text).toBe(created.output_text)
  await client.responses.delete(created.id)
  await expect(client.responses.retrieve(created.id)).rejects.toThrow(OpenAI.NotFoundError)
  expect(await charges.none()).toBe(true)
})

run('a response streams to its completion', async () => {
  const events = await collect(await client.responses.create({ model: 'gpt-4o', input: 'Stream it.', stream: true }))
  const last = events.at(-1)
  expect(last?.type).toBe('response.completed')
  const response = last?.type === 'response.completed' ? last.response : undefined
  expectCharge(await charges.next(), responseTokens(response?.usage))
  expect((await client.responses.retrieve(response?.id ?? '')).id).toBe(response?.id)
})

run('a response that continues another is charged with what it read of it', async () => {
  const first = await client.responses.create({ model: 'gpt-4o', input: 'The first part. [simulate: output=100]' })
  expectCharge(await charges.next(), responseTokens(first.usage))
  const second = await client.responses.create({ model: 'gpt-4o', input: 'Go on.', previous_response_id: first.id })
  expect(second.usage?.input_tokens).toBeGreaterThan(100)
  expectCharge(await charges.next(), responseTokens(second.usage))
})

run('a structured response is parsed, a tool of a response is called', async () => {
  const parsed = await client.responses.parse({
    model: 'gpt-4o',
    input: 'Judge.',
    text: { format: zodTextFormat(Answer, 'answer') },
  })
  expect(Answer.safeParse(parsed.output_parsed).success).toBe(true)
  expectCharge(await charges.next(), responseTokens(parsed.usage))
  const called = await client.responses.create({
    model: 'gpt-4o',
    input: 'Weather?',
    tools: [{ type: 'function', name: 'weather', parameters: weather.function.parameters, strict: false }],
  })
  expect(called.output).toContainEqual(expect.objectContaining({ type: 'function_call', name: 'weather' }))
  expectCharge(await charges.next(), responseTokens(called.usage))
})

run('a stored response of one account is not found by another: read, delete or continue', async () => {
  const { id } = await client.responses.create({ model: 'gpt-4o', input: 'Mine.' })
  await charges.next()
  await gateway.grant('1', 'other')
  const other = clientOf('other')
  const before = simulator.stats.requests
  await expect(other.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError)
  await expect(other.responses.delete(id)).rejects.toThrow(OpenAI.NotFoundError)
  await expect(other.responses.create({ model: 'gpt-4o', input: 'Go on.', previous_response_id: id })).rejects.toThrow(
    OpenAI.NotFoundError,
  )
  expect(simulator.stats.requests).toBe(before)
  expect((await client.responses.retrieve(id)).id).toBe(id)
})

// ---- errors

run('errors are the client’s own classes, with our code', async () => {
  const stranger = clientOf('nobody')
  const caught = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    )
  const unknown = await caught(stranger.chat.completions.create(ask('Hi')))
  expect(unknown).toBeInstanceOf(OpenAI.AuthenticationError)
  expect(unknown).toMatchObject({ status: 401, code: 'invalid_key', type: 'authentication_error' })
  const forbidden = await caught(client.chat.completions.create({ ...ask('Hi'), model: 'o3' }))
  expect(forbidden).toBeInstanceOf(OpenAI.PermissionDeniedError)
  expect(forbidden).toMatchObject({ status: 403, code: 'not_entitled' })
  const malformed = await caught(client.chat.completions.create({ ...ask('Hi'), max_tokens: -5 }))
  expect(malformed).toBeInstanceOf(OpenAI.BadRequestError)
  expect(await charges.none()).toBe(true)
})

run('402 is an APIError that says what is missing, and the client does not try again', async () => {
  let sent = 0
  const counted: typeof fetch = (...request) => {
    sent++
    return fetch(...request)
  }
  const poor = clientOf('poor', { maxRetries: 3, fetch: counted })
  const error = await poor.chat.completions.create(ask('Hi', { max_tokens: 100 })).catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(OpenAI.APIError)
  expect(error).toMatchObject({ status: 402, code: 'insufficient_funds', type: 'insufficient_quota' })
  expect((error as { error: unknown }).error).toMatchObject({
    tollgate: { rule: 'funds', available: '0', unit: 'USD' },
  })
  expect(sent).toBe(1)
})

run('429 is a RateLimitError; a client with retries waits as told and gets its answer', async () => {
  // Pays for one call of 256 tokens (0.002048 and its input) at a time.
  await gateway.grant('0.003', 'waiting')
  const waiting = new Charges(gateway, 'waiting')
  const question = ask('Wait for it. [simulate: latency=700, output=10]', { max_tokens: 256 })
  const before = simulator.stats.requests
  const first = clientOf('waiting').chat.completions.create(question)
  await waitFor('the first call to be sent', () => simulator.stats.requests > before)
  const refused = await clientOf('waiting')
    .chat.completions.create(question)
    .catch((cause: unknown) => cause)
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError)
  expect(refused).toMatchObject({ status: 429, code: 'held_by_open_calls' })
  const patient = await clientOf('waiting', { maxRetries: 4 }).chat.completions.create(question)
  expect(patient.choices[0]?.finish_reason).toBe('stop')
  expectCharge(await waiting.next(), chatTokens((await first).usage))
  expectCharge(await waiting.next(), chatTokens(patient.usage))
  expect(simulator.stats.requests).toBe(before + 2)
})

run.each([
  ['status=429', OpenAI.RateLimitError, 429],
  ['status=500', OpenAI.InternalServerError, 500],
  ['status=400', OpenAI.BadRequestError, 400],
])('the provider’s own error passes as it came and costs nothing (%s)', async (fault, kind, status) => {
  const question = ask(`Fail. [simulate: ${fault}]`)
  const [through, direct] = await Promise.all(
    [client, provider].map((each) => each.chat.completions.create(question).catch((cause: unknown) => cause)),
  )
  expect(through).toBeInstanceOf(kind)
  expect(through).toMatchObject({ status, message: (direct as Error).message })
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
  expect(await charges.none()).toBe(true)
})

run('a provider that fails in the middle of a stream is an error to the client, never a silent end', async () => {
  const stream = await client.chat.completions.create({
    ...ask('Break. [simulate: fault=reset_mid, output=60]'),
    stream: true,
  })
  await expect(collect(stream)).rejects.toThrow(OpenAI.APIError)
  const charge = await charges.next()
  expect(charge.source).toBe('estimate')
})

// ---- clients that hang up, limits that the money sets

run('a client that aborts pays for what the provider produced for it', async () => {
  const controller = new AbortController()
  const question = ask('Never mind. [simulate: output=400, tps=1000]')
  const stream = await client.chat.completions.create({ ...question, stream: true }, { signal: controller.signal })
  let seen = 0
  const reading = (async () => {
    for await (const _ of stream) if (++seen === 20) controller.abort()
  })()
  await reading.catch((error: unknown) => expect(error).toBeInstanceOf(APIUserAbortError))
  expect(seen).toBeLessThan(400)
  const charge = await charges.next()
  expect(charge.tokens['output']).toBe(400)
  expect(charge.source).toBe('provider')
})

run('where the upstream says cancel, an aborted stream stops the provider and is charged by estimate', async () => {
  const hasty = clientOf('acme', { baseURL: `${gateway.url}/u/hasty/v1` })
  const controller = new AbortController()
  const question = ask('Never mind. [simulate: output=3000, tps=500]')
  const stream = await hasty.chat.completions.create({ ...question, stream: true }, { signal: controller.signal })
  let seen = 0
  await (async () => {
    for await (const _ of stream) if (++seen === 20) controller.abort()
  })().catch((error: unknown) => expect(error).toBeInstanceOf(APIUserAbortError))
  const charge = await charges.next()
  expect(charge.source).toBe('estimate')
  expect(charge.tokens['output']).toBeGreaterThanOrEqual(15)
  expect(charge.tokens['output']).toBeLessThan(3000)
  await waitFor('the provider to stop', () => simulator.stats.open === 0)
})

run('a trimmed call says "length" to the client, and costs no more than the wallet had', async () => {
  await gateway.grant('0.003', 'small')
  const { data, response } = await clientOf('small')
    .chat.completions.create(ask('Write a book. [simulate: output=4000]', { max_tokens: 4000 }))
    .withResponse()
  expect(data.choices[0]?.finish_reason).toBe('length')
  expect(response.headers.get('x-tollgate-trimmed')).toBe(`max_tokens=${data.usage?.completion_tokens}`)
  expectCharge(await new Charges(gateway, 'small').next(), chatTokens(data.usage))
  expect(await gateway.balance('small')).toMatchObject({ debt: '0', held: '0' })
})

run('a cut stream says "length" to the client, in chat and in responses', async () => {
  const sliced = clientOf('sliced')
  const cuts = new Charges(gateway, 'sliced')
  await gateway.grant('0.008', 'sliced')
  const chunks = await collect(
    await sliced.chat.completions.create({
      ...ask('Go on for ever. [simulate: endless, tps=3000]', { max_tokens: 4000 }),
      stream: true,
    }),
  )
  expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('length')
  expect((await cuts.next()).entry.fields['cut']).toBe(true)
  await gateway.grant('0.008', 'sliced')
  const response = await sliced.responses
    .stream({ model: 'gpt-4o', input: 'For ever. [simulate: endless, tps=3000]', max_output_tokens: 4000 })
    .finalResponse()
  expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
  expect(response.output_text.length).toBeGreaterThan(100)
  expect((await cuts.next()).entry.fields['cut']).toBe(true)
  expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
})
