/** The official `@anthropic-ai/sdk` client with its base URL and key changed, and nothing else. */
import Anthropic, { APIUserAbortError } from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, ENTITLEMENTS, expectCharge, nonZero, PRICES } from './charged-call.ts'

const run = test.skipIf(!redisAvailable)
const MODEL = 'claude-sonnet-5'
let gateway: TestGateway
let charges: Charges
let client: Anthropic
/** Straight to the provider: what it says there it must say through the gateway. */
let provider: Anthropic

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({ entitlements: ENTITLEMENTS, prices: PRICES })
  charges = new Charges(gateway, 'acme')
  client = clientOf('acme')
  provider = new Anthropic({ baseURL: gateway.simulator.url, apiKey: 'sk-direct', maxRetries: 0 })
  await gateway.grant('5')
}, 180_000)

afterAll(() => gateway?.close())

function clientOf(account: string, more: ConstructorParameters<typeof Anthropic>[0] = {}): Anthropic {
  return new Anthropic({ baseURL: gateway.url, apiKey: `key-${account}`, maxRetries: 0, ...more })
}

function ask(text: string, maxTokens = 500) {
  return { model: MODEL, max_tokens: maxTokens, messages: [{ role: 'user' as const, content: text }] }
}

function messageTokens(usage: Anthropic.Usage): Record<string, number> {
  return nonZero({
    input: usage.input_tokens,
    cached_input: usage.cache_read_input_tokens ?? 0,
    cache_write_5m: usage.cache_creation?.ephemeral_5m_input_tokens ?? 0,
    cache_write_1h: usage.cache_creation?.ephemeral_1h_input_tokens ?? 0,
    output: usage.output_tokens,
  })
}

const weather = {
  name: 'weather',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
}
const Answer = z.object({ title: z.string(), score: z.number() })

// ---- messages

run('a message is answered and charged to the token', async () => {
  const question = ask('What is a toll? [simulate: output=40]')
  const { data, response } = await client.messages.create(question).withResponse()
  const direct = await provider.messages.create(question)
  expect(data.content).toEqual(direct.content)
  expect(data.usage).toEqual(direct.usage)
  expect(data.usage.output_tokens).toBe(40)
  const charge = await charges.next()
  expectCharge(charge, messageTokens(direct.usage))
  expect(response.headers.get('x-tollgate-cost')).toBe(charge.charged)
})

run('tokens read from the cache and written to it are charged at their own prices', async () => {
  const controls = '[simulate: input=4000, cached=1500, cache_write=1000, cache_write_1h=500, output=30]'
  const { usage } = await client.messages.create(ask(`Remember. ${controls}`))
  expect(messageTokens(usage)).toEqual({
    input: 1000,
    cached_input: 1500,
    cache_write_5m: 1000,
    cache_write_1h: 500,
    output: 30,
  })
  expectCharge(await charges.next(), messageTokens(usage))
})

run('thinking is charged as output', async () => {
  const { usage, content } = await client.messages.create({
    ...ask('Think.', 2000),
    thinking: { type: 'enabled', budget_tokens: 1024 },
  })
  expect(content[0]?.type).toBe('thinking')
  expectCharge(await charges.next(), messageTokens(usage))
})

run('a raw stream comes event by event, and is charged by its last usage', async () => {
  const question = ask('Tell me a story. [simulate: output=60]')
  const types: string[] = []
  for await (const event of await client.messages.create({ ...question, stream: true })) types.push(event.type)
  expect(types[0]).toBe('message_start')
  expect(types.at(-1)).toBe('message_stop')
  expect(types.filter((type) => type === 'content_block_delta')).toHaveLength(60)
  expectCharge(await charges.next(), messageTokens((await provider.messages.create(question)).usage))
})

run('the stream helper gathers the whole message', async () => {
  const question = ask('And the stream helper?')
  const message = await client.messages.stream(question).finalMessage()
  const direct = await provider.messages.create(question)
  expect(message.content).toEqual(direct.content)
  expect(message.stop_reason).toBe('end_turn')
  expect(message.usage.output_tokens).toBe(direct.usage.output_tokens)
  expectCharge(await charges.next(), messageTokens(direct.usage))
})

run('a tool is called, its result sent back, both calls are charged', async () => {
  const messages = [{ role: 'user' as const, content: 'How is the weather in Paris?' }]
  const first = await client.messages.create({ model: MODEL, max_tokens: 500, messages, tools: [weather] })
  const use = first.content.find((block) => block.type === 'tool_use')
  expect(first.stop_reason).toBe('tool_use')
  expect(use).toMatchObject({ name: 'weather', input: { city: expect.any(String) } })
  expectCharge(await charges.next(), messageTokens(first.usage))
  const second = await client.messages.create({
    model: MODEL,
    max_tokens: 500,
    messages: [
      ...messages,
      { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use?.id ?? '', content: 'Sunny.' }] },
    ],
    tools: [weather],
  })
  expect(second.stop_reason).toBe('end_turn')
  expectCharge(await charges.next(), messageTokens(second.usage))
})

run('the tool runner goes through streamed tool calls to the end', async () => {
  const cities: string[] = []
  const tool = betaZodTool({
    name: 'weather',
    description: 'The weather of a city.',
    inputSchema: z.object({ city: z.string() }),
    run: ({ city }) => {
      cities.push(city)
      return 'Cloudy.'
    },
  })
  const message = await client.beta.messages
    .toolRunner({ ...ask('Weather in Rome?'), tools: [tool], stream: true })
    .runUntilDone()
  expect(message.stop_reason).toBe('end_turn')
  expect(cities).toEqual([expect.any(String)])
  const [first, second] = [await charges.next(), await charges.next()]
  expect([first.source, second.source]).toEqual(['provider', 'provider'])
  expect(await charges.none()).toBe(true)
})

run('a structured answer is parsed by the helper', async () => {
  const message = await client.messages.parse({
    ...ask('Judge this.'),
    output_config: { format: zodOutputFormat(Answer) },
  })
  expect(Answer.safeParse(message.parsed_output).success).toBe(true)
  expectCharge(await charges.next(), messageTokens(message.usage))
})

run('counting tokens is free, also with an empty wallet', async () => {
  const { model, messages } = ask('How long is this?')
  const counted = await clientOf('poor').messages.countTokens({ model, messages })
  expect(counted.input_tokens).toBe((await provider.messages.countTokens({ model, messages })).input_tokens)
  expect(await new Charges(gateway, 'poor').none()).toBe(true)
})

// ---- errors

run('errors are the client’s own classes, with our code', async () => {
  const caught = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    )
  const unknown = await caught(clientOf('nobody').messages.create(ask('Hi')))
  expect(unknown).toBeInstanceOf(Anthropic.AuthenticationError)
  expect(unknown).toMatchObject({
    status: 401,
    error: { type: 'error', error: { type: 'authentication_error', tollgate: { code: 'invalid_key' } } },
  })
  const forbidden = await caught(client.messages.create({ ...ask('Hi'), model: 'other-model' }))
  expect(forbidden).toBeInstanceOf(Anthropic.PermissionDeniedError)
  expect(forbidden).toMatchObject({
    status: 403,
    error: { error: { type: 'permission_error', tollgate: { code: 'not_entitled' } } },
  })
  const malformed = await caught(client.messages.create({ ...ask('Hi'), max_tokens: -5 }))
  expect(malformed).toBeInstanceOf(Anthropic.BadRequestError)
  expect(await charges.none()).toBe(true)
})

run('402 is an APIError that says what is missing, and the client does not try again', async () => {
  let sent = 0
  const counted: typeof fetch = (...request) => {
    sent++
    return fetch(...request)
  }
  const poor = clientOf('poor', { maxRetries: 3, fetch: counted })
  const error = await poor.messages.create(ask('Hi', 100)).catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(Anthropic.APIError)
  expect(error).toMatchObject({
    status: 402,
    error: {
      error: {
        type: 'billing_error',
        tollgate: { code: 'insufficient_funds', rule: 'funds', available: '0', unit: 'USD' },
      },
    },
  })
  expect(sent).toBe(1)
})

run('429 is a RateLimitError; a client with retries waits as told and gets its answer', async () => {
  // Pays for one call of 256 tokens (0.002048 and its input) at a time.
  await gateway.grant('0.003', 'waiting')
  const waiting = new Charges(gateway, 'waiting')
  const question = ask('Wait for it. [simulate: latency=700, output=10]', 256)
  const before = gateway.simulator.stats.requests
  const first = clientOf('waiting').messages.create(question)
  await waitFor('the first call to be sent', () => gateway.simulator.stats.requests > before)
  const refused = await clientOf('waiting')
    .messages.create(question)
    .catch((cause: unknown) => cause)
  expect(refused).toBeInstanceOf(Anthropic.RateLimitError)
  expect(refused).toMatchObject({ status: 429, error: { error: { tollgate: { code: 'held_by_open_calls' } } } })
  const patient = await clientOf('waiting', { maxRetries: 4 }).messages.create(question)
  expect(patient.stop_reason).toBe('end_turn')
  expectCharge(await waiting.next(), messageTokens((await first).usage))
  expectCharge(await waiting.next(), messageTokens(patient.usage))
  expect(gateway.simulator.stats.requests).toBe(before + 2)
})

run.each([
  ['status=429', Anthropic.RateLimitError, 429],
  ['status=529', Anthropic.InternalServerError, 529],
  ['status=400', Anthropic.BadRequestError, 400],
])('the provider’s own error passes as it came and costs nothing (%s)', async (fault, kind, status) => {
  const through = await client.messages.create(ask(`Fail. [simulate: ${fault}]`)).catch((cause: unknown) => cause)
  const direct = await provider.messages.create(ask(`Fail. [simulate: ${fault}]`)).catch((cause: unknown) => cause)
  expect(through).toBeInstanceOf(kind)
  expect(through).toMatchObject({ status, error: { error: (direct as { error: { error: unknown } }).error.error } })
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
  expect(await charges.none()).toBe(true)
})

run('a provider that fails in the middle of a stream is an error to the client, never a silent end', async () => {
  const stream = client.messages.stream(ask('Break. [simulate: fault=reset_mid, output=60]'))
  await expect(stream.finalMessage()).rejects.toThrow(Anthropic.APIError)
  // The input was reported in message_start, the output was not: what was seen of it is estimated.
  expect((await charges.next()).source).toBe('estimate')
})

// ---- clients that hang up, limits that the money sets

run('a client that aborts pays for what the provider produced for it', async () => {
  const stream = client.messages.stream(ask('Never mind. [simulate: output=400, tps=1000]'))
  let seen = 0
  stream.on('text', () => {
    if (++seen === 20) stream.abort()
  })
  await expect(stream.finalMessage()).rejects.toThrow(APIUserAbortError)
  expect(seen).toBeLessThan(400)
  const charge = await charges.next()
  expect(charge.tokens['output']).toBe(400)
  expect(charge.source).toBe('provider')
})

run('a trimmed message says "max_tokens" to the client, and costs no more than the wallet had', async () => {
  await gateway.grant('0.003', 'small')
  const { data, response } = await clientOf('small')
    .messages.create(ask('Write a book. [simulate: output=4000]', 4000))
    .withResponse()
  expect(data.stop_reason).toBe('max_tokens')
  expect(response.headers.get('x-tollgate-trimmed')).toBe(`max_tokens=${data.usage.output_tokens}`)
  expectCharge(await new Charges(gateway, 'small').next(), messageTokens(data.usage))
  expect(await gateway.balance('small')).toMatchObject({ debt: '0', held: '0' })
})

run('a cut stream says "max_tokens" to the client', async () => {
  await gateway.grant('0.008', 'sliced')
  const message = await clientOf('sliced')
    .messages.stream(ask('For ever. [simulate: endless, tps=3000]', 4000))
    .finalMessage()
  expect(message.stop_reason).toBe('max_tokens')
  expect(message.content[0]?.type === 'text' && message.content[0].text.length).toBeGreaterThan(100)
  expect((await new Charges(gateway, 'sliced').next()).entry.fields['cut']).toBe(true)
  expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
})
