import Anthropic, {
  RateLimitError as AnthropicRateLimit,
  InternalServerError as AnthropicServerError,
} from '@anthropic-ai/sdk'
import OpenAI, {
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'

let simulator: Simulator
let openai: OpenAI
let anthropic: Anthropic

beforeAll(async () => {
  simulator = await startSimulator({ seed: 7 })
  openai = new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: 'sk-anything', maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: simulator.url, apiKey: 'sk-anything', maxRetries: 0 })
})
beforeEach(() => simulator.reset())
afterAll(() => simulator.close())

const user = (content: string) => [{ role: 'user' as const, content }]
const WEATHER = {
  type: 'object' as const,
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 7 } },
  required: ['city', 'days'],
}

test('a chat answer has the tokens asked for and usage that adds up', async () => {
  const answer = await openai.chat.completions.create({ model: 'gpt-5-mini+output:30', messages: user('hello there') })
  expect(answer.model).toBe('gpt-5-mini')
  expect(answer.choices[0]?.finish_reason).toBe('stop')
  expect(answer.usage?.completion_tokens).toBe(30)
  expect(answer.usage?.total_tokens).toBe((answer.usage?.prompt_tokens ?? 0) + 30)
})

test.each([
  ['max_tokens', { max_tokens: 9 }],
  ['max_completion_tokens', { max_completion_tokens: 9 }],
])('a chat answer stops at %s and says length', async (_, limit) => {
  const answer = await openai.chat.completions.create({ model: 'm+output:50', messages: user('hello'), ...limit })
  expect(answer.choices[0]?.finish_reason).toBe('length')
  expect(answer.usage?.completion_tokens).toBe(9)
})

test('n answers differ and are all counted', async () => {
  const answer = await openai.chat.completions.create({ model: 'm+output:20', messages: user('hello'), n: 3 })
  expect(answer.choices.map((choice) => choice.index)).toEqual([0, 1, 2])
  expect(new Set(answer.choices.map((choice) => choice.message.content)).size).toBe(3)
  expect(answer.usage?.completion_tokens).toBe(60)
})

test('a chat stream has one token an event and the text of the whole answer', async () => {
  const request = { model: 'gpt-5-mini+output:12', messages: user('count') }
  const whole = await openai.chat.completions.create(request)
  const pieces: string[] = []
  for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) {
    expect(chunk).not.toHaveProperty('usage')
    const piece = chunk.choices[0]?.delta.content
    if (piece) pieces.push(piece)
  }
  expect(pieces).toHaveLength(12)
  expect(pieces.join('')).toBe(whole.choices[0]?.message.content)
})

test('include_usage adds usage: null to every chunk and a last one without choices', async () => {
  const request = { model: 'm+output:5', messages: user('count'), stream: true as const }
  const chunks = []
  const stream = await openai.chat.completions.create({ ...request, stream_options: { include_usage: true } })
  for await (const chunk of stream) chunks.push(chunk)
  const last = chunks.pop()
  expect(last?.choices).toEqual([])
  expect(last?.usage?.completion_tokens).toBe(5)
  expect(chunks.every((chunk) => chunk.usage === null)).toBe(true)
})

test('the text is the same for the same seed and prompt, and another for others', async () => {
  const ask = async (client: OpenAI, prompt: string) => {
    const answer = await client.chat.completions.create({ model: 'm', messages: user(prompt) })
    return answer.choices[0]?.message.content
  }
  const [same, other] = await Promise.all([startSimulator({ seed: 7 }), startSimulator({ seed: 8 })])
  const clientOf = (at: Simulator) => new OpenAI({ baseURL: `${at.url}/v1`, apiKey: 'k' })
  const first = await ask(openai, 'a')
  expect(await ask(clientOf(same), 'a')).toBe(first)
  expect(await ask(openai, 'b')).not.toBe(first)
  expect(await ask(clientOf(other), 'a')).not.toBe(first)
  await Promise.all([same.close(), other.close()])
})

test('chat calls a tool with arguments of its schema, then answers its result', async () => {
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: WEATHER } }]
  const first = await openai.chat.completions.create({ model: 'm', messages: user('rain?'), tools })
  const call = first.choices[0]?.message.tool_calls?.[0]
  expect(first.choices[0]?.finish_reason).toBe('tool_calls')
  if (call?.type !== 'function') throw new Error('no function call')
  expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String), days: expect.any(Number) })
  const result = { role: 'tool' as const, tool_call_id: call.id, content: 'dry' }
  const messages = [...user('rain?'), first.choices[0]?.message as OpenAI.ChatCompletionMessage, result]
  const second = await openai.chat.completions.create({ model: 'm', messages, tools })
  expect(second.choices[0]?.message.content).toMatch(/\w+/)
})

test('a streamed tool call comes together to the same arguments', async () => {
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: WEATHER } }]
  const whole = await openai.chat.completions.create({ model: 'm', messages: user('rain?'), tools })
  const streamed = await openai.chat.completions
    .stream({ model: 'm', messages: user('rain?'), tools })
    .finalChatCompletion()
  const args = (answer: OpenAI.ChatCompletion) => {
    const call = answer.choices[0]?.message.tool_calls?.[0]
    return call?.type === 'function' ? call.function.arguments : undefined
  }
  expect(args(streamed)).toBe(args(whole))
  expect(args(whole)).toContain('city')
})

test('a json_schema answer of chat and of responses parses into the schema', async () => {
  const Person = z.object({
    name: z.string(),
    age: z.number().int(),
    tags: z.array(z.enum(['a', 'b'])),
    nick: z.string().nullable(),
  })
  const response = await openai.responses.parse({
    model: 'm',
    input: 'who',
    text: { format: zodTextFormat(Person, 'person') },
  })
  expect(Person.parse(response.output_parsed)).toBeTruthy()
  const schema = { name: 'person', strict: true, schema: z.toJSONSchema(Person) as Record<string, unknown> }
  const chat = await openai.chat.completions.create({
    model: 'm',
    messages: user('who'),
    response_format: { type: 'json_schema', json_schema: schema },
  })
  expect(Person.parse(JSON.parse(chat.choices[0]?.message.content ?? ''))).toBeTruthy()
})

test('cached and reasoning tokens are inside their wholes for OpenAI', async () => {
  const answer = await openai.chat.completions.create({
    model: 'm+input:1000+cached:800+reasoning:40+output:10',
    messages: user('think'),
  })
  expect(answer.usage).toMatchObject({
    prompt_tokens: 1000,
    completion_tokens: 50,
    prompt_tokens_details: { cached_tokens: 800 },
    completion_tokens_details: { reasoning_tokens: 40 },
  })
})

test('cached tokens are outside input_tokens for Anthropic', async () => {
  const message = await anthropic.messages.create({
    model: 'claude+input:1000+cached:700+cache_write:100+cache_write_1h:50',
    max_tokens: 20,
    messages: user('think'),
  })
  expect(message.usage).toMatchObject({
    input_tokens: 150,
    cache_read_input_tokens: 700,
    cache_creation_input_tokens: 150,
    cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 50 },
  })
})

test('a responses stream numbers its events without a gap and ends in the stored response', async () => {
  const events = []
  const request = { model: 'm+output:8+reasoning:3', input: 'hi', stream: true as const }
  for await (const event of await openai.responses.create(request)) events.push(event)
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index))
  expect(events.filter((event) => event.type === 'response.output_text.delta')).toHaveLength(8)
  const last = events.at(-1)
  if (last?.type !== 'response.completed') throw new Error(`ended with ${last?.type}`)
  expect(last.response.usage).toMatchObject({ output_tokens: 11, output_tokens_details: { reasoning_tokens: 3 } })
  expect((await openai.responses.retrieve(last.response.id)).usage).toEqual(last.response.usage)
})

test('a responses answer that meets its limit is incomplete, whole and streamed', async () => {
  const request = { model: 'm+output:50', input: 'hi', max_output_tokens: 10 }
  const whole = await openai.responses.create(request)
  expect([whole.status, whole.incomplete_details?.reason]).toEqual(['incomplete', 'max_output_tokens'])
  const streamed = await openai.responses.stream(request).finalResponse()
  expect(streamed.output_text).toBe(whole.output_text)
  expect(streamed.status).toBe('incomplete')
})

test('responses calls a function, streamed and whole alike', async () => {
  const tools = [{ type: 'function' as const, name: 'weather', strict: false, parameters: WEATHER }]
  const whole = await openai.responses.create({ model: 'm', input: 'rain?', tools })
  const streamed = await openai.responses.stream({ model: 'm', input: 'rain?', tools }).finalResponse()
  const args = (response: OpenAI.Responses.Response) =>
    response.output.map((item) => item.type === 'function_call' && item.arguments)
  expect(args(streamed as OpenAI.Responses.Response)).toEqual(args(whole))
  expect(whole.output[0]?.type).toBe('function_call')
})

test('a stored response can be continued, read and deleted', async () => {
  const first = await openai.responses.create({ model: 'm+output:20', input: 'one' })
  const next = await openai.responses.create({ model: 'm', input: 'one', previous_response_id: first.id })
  expect(next.usage?.input_tokens).toBe((first.usage?.input_tokens ?? 0) + (first.usage?.total_tokens ?? 0))
  await openai.responses.delete(first.id)
  await expect(openai.responses.retrieve(first.id)).rejects.toBeInstanceOf(NotFoundError)
  const gone = openai.responses.create({ model: 'm', input: 'one', previous_response_id: first.id })
  await expect(gone).rejects.toBeInstanceOf(BadRequestError)
  const unstored = await openai.responses.create({ model: 'm', input: 'one', store: false })
  await expect(openai.responses.retrieve(unstored.id)).rejects.toBeInstanceOf(NotFoundError)
})

test('completions answer each prompt n times and bill what best_of threw away', async () => {
  const answer = await openai.completions.create({
    model: 'm',
    prompt: ['one', 'two'],
    n: 1,
    best_of: 3,
    max_tokens: 5,
  })
  expect(answer.choices.map((choice) => choice.finish_reason)).toEqual(['length', 'length'])
  expect(answer.usage?.completion_tokens).toBe(30)
  let text = ''
  const stream = await openai.completions.create({ model: 'm', prompt: 'one', max_tokens: 5, stream: true })
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? ''
  expect(text).toBe(answer.choices[0]?.text)
})

test('embeddings come as base64 and as floats, unit vectors both', async () => {
  const request = { model: 'm', input: ['one', 'two'], dimensions: 8 }
  const packed = await openai.embeddings.create(request)
  const floats = await openai.embeddings.create({ ...request, encoding_format: 'float' })
  expect(packed.data.map((item) => item.embedding)).toEqual(floats.data.map((item) => item.embedding))
  expect(Math.hypot(...(floats.data[1]?.embedding ?? []))).toBeCloseTo(1, 5)
  expect(packed.usage.prompt_tokens).toBe(packed.usage.total_tokens)
})

test('messages answer whole and streamed alike', async () => {
  const request = { model: 'claude', max_tokens: 500, messages: user('hello') }
  const whole = await anthropic.messages.create(request)
  const streamed = await anthropic.messages.stream(request).finalMessage()
  expect(streamed.content).toEqual(whole.content)
  expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens)
  expect(whole.stop_reason).toBe('end_turn')
})

test('messages think, use a tool, answer its result, and stop at max_tokens', async () => {
  const tools = [{ name: 'weather', input_schema: WEATHER }]
  const thinking = { type: 'enabled' as const, budget_tokens: 1024 }
  const first = await anthropic.messages
    .stream({ model: 'c', max_tokens: 2048, thinking, tools, messages: user('rain?') })
    .finalMessage()
  expect(first.content.map((block) => block.type)).toEqual(['thinking', 'tool_use'])
  const use = first.content.find((block) => block.type === 'tool_use')
  expect(use?.input).toEqual({ city: expect.any(String), days: expect.any(Number) })
  const messages = [
    ...user('rain?'),
    { role: 'assistant' as const, content: first.content },
    { role: 'user' as const, content: [{ type: 'tool_result' as const, tool_use_id: use?.id ?? '', content: 'dry' }] },
  ]
  const second = await anthropic.messages.create({ model: 'c', max_tokens: 7, tools, messages })
  expect([second.stop_reason, second.usage.output_tokens]).toEqual(['max_tokens', 7])
})

test('an answer without a token is whole in every format, streamed too', async () => {
  const message = { model: 'c+output:0', max_tokens: 9, messages: user('x') }
  expect((await anthropic.messages.stream(message).finalMessage()).content).toEqual([{ type: 'text', text: '' }])
  const chat = await openai.chat.completions.stream({ model: 'm+output:0', messages: user('x') }).finalChatCompletion()
  expect([chat.choices[0]?.finish_reason, chat.choices[0]?.message.content ?? '']).toEqual(['stop', ''])
  expect((await openai.responses.stream({ model: 'm+output:0', input: 'x' }).finalResponse()).status).toBe('completed')
})

test('reasoning can use up the whole limit', async () => {
  const chat = await openai.chat.completions.create({
    model: 'm+reasoning:50',
    max_completion_tokens: 20,
    messages: user('x'),
  })
  expect([chat.choices[0]?.finish_reason, chat.choices[0]?.message.content]).toEqual(['length', ''])
  expect(chat.usage).toMatchObject({ completion_tokens: 20, completion_tokens_details: { reasoning_tokens: 20 } })
})

test('count_tokens says what the message is then billed', async () => {
  const request = { model: 'claude', messages: user('how long is a road'), system: 'be brief' }
  const { input_tokens } = await anthropic.messages.countTokens(request)
  expect((await anthropic.messages.create({ ...request, max_tokens: 5 })).usage.input_tokens).toBe(input_tokens)
})

test('models are listed in both shapes', async () => {
  expect((await openai.models.list()).data.map((model) => model.id)).toContain('gpt-5-mini')
  expect((await anthropic.models.list()).data.map((model) => model.id)).toContain('claude-sonnet-4-6')
})

test.each([
  [400, BadRequestError],
  [401, AuthenticationError],
  [404, NotFoundError],
  [429, RateLimitError],
  [500, InternalServerError],
])('an error with status %d is the OpenAI client’s own class', async (status, Type) => {
  const call = openai.chat.completions.create({ model: `m+status:${status}`, messages: user('x') })
  await expect(call).rejects.toBeInstanceOf(Type)
})

test.each([
  [429, AnthropicRateLimit, 'rate_limit_error'],
  [529, AnthropicServerError, 'overloaded_error'],
])('an error with status %d is the Anthropic client’s own class', async (status, Type, type) => {
  const call = anthropic.messages.create({ model: `c+status:${status}`, max_tokens: 5, messages: user('x') })
  await expect(call).rejects.toBeInstanceOf(Type)
  await expect(call).rejects.toMatchObject({ status, error: { error: { type } } })
})

test.each([
  ['no limit', { max_tokens: 0 }],
  [
    'a thinking budget above the limit',
    { max_tokens: 1024, thinking: { type: 'enabled' as const, budget_tokens: 2000 } },
  ],
])('messages refuse %s', async (_, fields) => {
  const call = anthropic.messages.create({ model: 'c', messages: user('x'), ...fields })
  await expect(call).rejects.toMatchObject({ status: 400 })
})

test('stream_options without a stream is refused as the real one does', async () => {
  const call = openai.chat.completions.create({
    model: 'm',
    messages: user('x'),
    stream_options: { include_usage: true },
  })
  await expect(call).rejects.toBeInstanceOf(BadRequestError)
})
