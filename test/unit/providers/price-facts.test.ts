/** What calls and answers say that changes their price: the class of service, its tools, the provider's own cost. */
import { describe, expect, test } from 'vitest'
import { messagesMetering } from '../../../src/providers/messages/messages.ts'
import { chatMetering } from '../../../src/providers/openai/chat.ts'
import { completionsMetering } from '../../../src/providers/openai/completions.ts'
import { embeddingsMetering } from '../../../src/providers/openai/embeddings.ts'
import { responsesMetering } from '../../../src/providers/openai/responses.ts'
import type { CallRequest, Metering } from '../../../src/providers/provider.ts'
import { feed } from '../../recordings/feed.ts'
import { NO_HEADERS, SOURCE } from '../../support/call-source.ts'

const BODIES = new Map<Metering, object>([
  [chatMetering, { model: 'm', messages: [] }],
  [completionsMetering, { model: 'm', prompt: 'x' }],
  [embeddingsMetering, { model: 'm', input: 'x' }],
  [responsesMetering, { model: 'm', input: 'x' }],
  [messagesMetering, { model: 'm', max_tokens: 1, messages: [] }],
])
const read = (metering: Metering, more: object): CallRequest =>
  metering.readCall(Buffer.from(JSON.stringify({ ...BODIES.get(metering), ...more })), SOURCE)

const IN_GEOS: readonly (readonly [string, object, object, string])[] = [
  ['in the United States, as asked', { inference_geo: 'us' }, { inference_geo: 'us' }, 'us'],
  ['in the United States, as its workspace has it', {}, { inference_geo: 'us', service_tier: 'standard' }, 'us'],
  ['in the United States, fast', { speed: 'fast' }, { speed: 'fast', inference_geo: 'us' }, 'fast_us'],
  ['in the United States, and not fast', { speed: 'fast' }, { speed: 'standard', inference_geo: 'us' }, 'us'],
  ['anywhere', { inference_geo: 'global' }, { inference_geo: 'global', service_tier: 'standard' }, 'standard'],
  ['where a model does not say', {}, { inference_geo: 'not_available', service_tier: 'standard' }, 'standard'],
  ['where it does not say but was asked to', { inference_geo: 'us' }, { service_tier: 'standard' }, 'us'],
]

describe('the tier asked for', () => {
  test.each<[string, Metering, object, string | undefined]>([
    ['chat', chatMetering, { service_tier: 'flex' }, 'flex'],
    ['completions', completionsMetering, { service_tier: 'priority' }, 'priority'],
    ['embeddings', embeddingsMetering, { service_tier: 'flex' }, 'flex'],
    ['responses', responsesMetering, { service_tier: 'priority' }, 'priority'],
    ['messages', messagesMetering, { service_tier: 'standard_only' }, 'standard_only'],
    ['messages at their fast speed', messagesMetering, { speed: 'fast', service_tier: 'auto' }, 'fast'],
    ['messages kept in the United States', messagesMetering, { inference_geo: 'us', service_tier: 'auto' }, 'us'],
    ['fast ones kept there', messagesMetering, { inference_geo: 'us', speed: 'fast' }, 'fast_us'],
    [
      'how much of the web is read',
      chatMetering,
      { web_search_options: { search_context_size: 'high' } },
      'search_high',
    ],
    ['none', chatMetering, {}, undefined],
    ['none that is a word', chatMetering, { service_tier: 5 }, undefined],
    ['none of any length', chatMetering, { service_tier: 'x'.repeat(100) }, undefined],
    ['no size that there is', chatMetering, { web_search_options: { search_context_size: 'huge' } }, undefined],
  ])('%s', (_, metering, more, tier) => {
    expect(read(metering, more).serviceTier).toBe(tier)
  })

  test('said twice is refused', () => {
    const twice = '{"model":"m","max_tokens":1,"messages":[],"speed":"fast","speed":"standard"}'
    expect(() => messagesMetering.readCall(Buffer.from(twice), SOURCE)).toThrow('speed')
  })
})

describe('the tier and the cost that an answer states', () => {
  const tokens = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
  const anthropic = { input_tokens: 1, output_tokens: 1 }
  test.each<[string, Metering, object, object, string | undefined, string | undefined]>([
    ['beside the usage', chatMetering, {}, { service_tier: 'priority', usage: tokens }, 'priority', undefined],
    ['inside it', chatMetering, {}, { usage: { ...tokens, service_tier: 'flex', cost: 0.1 } }, 'flex', '0.1'],
    [
      'by its context',
      chatMetering,
      {},
      { usage: { ...tokens, search_context_size: 'low', cost: { total_cost: 0.005 } } },
      'search_low',
      '0.005',
    ],
    ['of embeddings', embeddingsMetering, {}, { usage: { ...tokens, cost: 1.4e-7 } }, undefined, '0.00000014'],
    [
      'of a response',
      responsesMetering,
      {},
      { service_tier: 'flex', usage: { ...anthropic, cost_in_usd_ticks: 3515000 } },
      'flex',
      '0.0003515',
    ],
    [
      'of a message',
      messagesMetering,
      {},
      { usage: { ...anthropic, service_tier: 'priority', cost: 0.2 } },
      'priority',
      '0.2',
    ],
    [
      'of a fast message',
      messagesMetering,
      { speed: 'fast' },
      { usage: { ...anthropic, speed: 'fast', service_tier: 'standard' } },
      'fast',
      undefined,
    ],
    [
      'of one that was not served fast',
      messagesMetering,
      { speed: 'fast' },
      { usage: { ...anthropic, speed: 'standard', service_tier: 'standard' } },
      'standard',
      undefined,
    ],
    [
      'of one that does not say',
      messagesMetering,
      { speed: 'fast' },
      { usage: { ...anthropic, service_tier: 'standard' } },
      'fast',
      undefined,
    ],
    ...IN_GEOS.map(([where, asked, usage, tier]): [string, Metering, object, object, string, undefined] => [
      `of one that ran ${where}`,
      messagesMetering,
      asked,
      { usage: { ...anthropic, ...usage } },
      tier,
      undefined,
    ]),
  ])('%s', (_, metering, asked, answer, serviceTier, statedCost) => {
    const facts = metering.readJson(answer as Record<string, unknown>, read(metering, asked), NO_HEADERS)
    expect([facts.serviceTier, facts.statedCost]).toEqual([serviceTier, statedCost])
  })

  test.each<[string, Metering, string[], string | undefined, string | undefined]>([
    [
      'of a chat, the last chunk’s',
      chatMetering,
      [
        `{"service_tier":"default","choices":[{"index":0,"delta":{"content":"a"}}],"usage":${JSON.stringify({ ...tokens, cost: { total_cost: 0.001 } })}}`,
        `{"service_tier":"priority","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":${JSON.stringify({ ...tokens, cost: { total_cost: 0.006 } })}}`,
        '[DONE]',
      ],
      'priority',
      '0.006',
    ],
    [
      'of a response',
      responsesMetering,
      [
        '{"type":"response.created","response":{"id":"r","service_tier":"auto"}}',
        `{"type":"response.completed","response":{"id":"r","service_tier":"flex","usage":${JSON.stringify({ ...anthropic, cost_in_usd_ticks: 10 })}}}`,
      ],
      'flex',
      '0.000000001',
    ],
    [
      'of a message',
      messagesMetering,
      [
        `{"type":"message_start","message":{"id":"m","usage":${JSON.stringify({ ...anthropic, service_tier: 'batch' })}}}`,
        `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5,"cost":0.25}}`,
        '{"type":"message_stop"}',
      ],
      'batch',
      '0.25',
    ],
  ])('%s, in a stream', (_, metering, events, serviceTier, statedCost) => {
    const body = Buffer.from(events.map((event) => `data: ${event}\n\n`).join(''))
    const { facts } = feed(metering, read(metering, { stream: true }), [body])
    expect([facts.serviceTier, facts.statedCost]).toEqual([serviceTier, statedCost])
  })
})

test('each pass of a message is told apart, with the model that it ran on', () => {
  const pass = { input_tokens: 10, output_tokens: 1 }
  const iterations = [
    { type: 'compaction', ...pass, input_tokens: 99 },
    { type: 'message', ...pass, model: null },
    { type: 'advisor_message', ...pass, model: 'claude-opus-4-6' },
  ]
  const { usage } = messagesMetering.readJson(
    { usage: { ...pass, iterations } },
    read(messagesMetering, {}),
    NO_HEADERS,
  )
  expect(usage?.tokens).toMatchObject({ input: 119, output: 3 })
  expect(usage?.passes?.map(({ model, tokens }) => [model, tokens.input])).toEqual([
    [undefined, 99],
    [undefined, 10],
    ['claude-opus-4-6', 10],
  ])
})

test.each<[string, Metering, object, object | undefined]>([
  ['its bound on them', messagesMetering, { tools: [{ type: 'web_search_20250305', max_uses: 3 }] }, { web_search: 3 }],
  ['a few where it has none', messagesMetering, { tools: [{ type: 'web_search_20250305' }] }, { web_search: 5 }],
  ['none without the tool', messagesMetering, { tools: [{ name: 'f', input_schema: {} }] }, undefined],
  [
    'both kinds',
    responsesMetering,
    { max_tool_calls: 2, tools: [{ type: 'web_search' }, { type: 'file_search', vector_store_ids: ['a'] }] },
    { web_search: 2, file_search: 2 },
  ],
  ['a plug-in', chatMetering, { plugins: [{ id: 'web' }] }, { web_search: 5 }],
  [
    'an absurd bound',
    responsesMetering,
    { max_tool_calls: 1e12, tools: [{ type: 'web_search' }] },
    { web_search: 128 },
  ],
])('searches are held for by %s', (_, metering, more, units) => {
  expect(read(metering, more).units).toEqual(units)
})
