import { describe, expect, test } from 'vitest'
import type { StreamEvent } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { NO_HEADERS, SOURCE } from '../../support/call-source.ts'

const CHAT = providers.get('openai')?.match('POST', '/v1/chat/completions')?.operation.metering
const RESPONSES = providers.get('openai')?.match('POST', '/v1/responses')?.operation.metering
const MESSAGES = providers.get('anthropic')?.match('POST', '/v1/messages')?.operation.metering
const REQUEST = Buffer.from('{"model":"m","stream":true}')

function tokens(metering: typeof CHAT, data: unknown, name = ''): number {
  const bytes = Buffer.from(typeof data === 'string' ? data : JSON.stringify(data))
  const event: StreamEvent = { name, data: bytes, raw: bytes }
  const reader = metering?.createStreamReader(metering.readCall(REQUEST, SOURCE), 'sse', NO_HEADERS)
  const weighed = reader?.textTokens(event)
  reader?.onEvent(event)
  expect(reader?.outputTokens).toBe(weighed)
  return weighed ?? -1
}

const delta = (fields: object): object => ({
  choices: [{ index: 0, delta: fields, logprobs: { content: [{ token: 'x' }] } }],
})

describe('one token of text counts one; more count by their length', () => {
  test.each([
    ['a word', delta({ content: ' river' }), 1],
    ['a long token', delta({ content: 'understanding'.slice(0, 12) }), 1],
    ['an escape', '{"choices":[{"delta":{"content":"\\n\\n\\"\\\\"}}]}', 1],
    ['an escaped quote before the end', '{"choices":[{"delta":{"content":"a\\"}}]}{\\"content\\":\\"b"}}]}', 5],
    ['a sign beyond ASCII', delta({ content: '☕' }), 1],
    ['a sign beyond ASCII, escaped', '{"choices":[{"delta":{"content":"\\u2615"}}]}', 1],
    ['a sentence', delta({ content: 'x'.repeat(400) }), 100],
    ['nothing', delta({ content: '' }), 0],
    ['a role', delta({ role: 'assistant' }), 0],
    ['null', delta({ content: null }), 0],
    ['reasoning', delta({ reasoning_content: 'hm' }), 1],
    [
      'arguments of a tool',
      delta({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'f', arguments: '{"a"' } }] }),
      1,
    ],
    ['a refusal', delta({ refusal: 'No' }), 1],
    [
      'a whole message beside the delta (Perplexity)',
      { choices: [{ delta: { content: 'x' }, message: { content: 'y'.repeat(400) } }] },
      1,
    ],
    ['legacy text', { choices: [{ text: ' b', index: 0 }] }, 1],
    ['half a second of audio', delta({ audio: { data: 'A'.repeat(32_000) } }), 10],
    ['no JSON', 'not json at all', 0],
  ])('chat: %s', (_name, data, expected) => {
    expect(tokens(CHAT, data)).toBe(expected)
  })

  test.each([
    ['text', { type: 'response.output_text.delta', delta: 'Hi', obfuscation: 'x'.repeat(80), logprobs: [] }, 1],
    ['arguments', { type: 'response.function_call_arguments.delta', delta: '{"a"' }, 1],
    ['reasoning', { type: 'response.reasoning_summary_text.delta', delta: 'hm' }, 1],
    ['done text, which was counted', { type: 'response.output_text.done', text: 'x'.repeat(400) }, 0],
    ['an item', { type: 'response.output_item.done', item: { delta: 'x'.repeat(400) } }, 0],
  ])('responses: %s', (_name, data, expected) => {
    expect(tokens(RESPONSES, data, data.type)).toBe(expected)
    expect(tokens(RESPONSES, data)).toBe(expected)
  })

  test.each([
    ['text', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hoi' } }, 1],
    ['thinking', { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } }, 1],
    [
      'arguments',
      { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: '{"a"' } },
      1,
    ],
    [
      'a signature',
      { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'x'.repeat(400) } },
      0,
    ],
    ['a result of a search', { type: 'content_block_start', index: 0, content_block: { text: 'x'.repeat(400) } }, 0],
  ])('messages: %s', (_name, data, expected) => {
    expect(tokens(MESSAGES, data, data.type)).toBe(expected)
    expect(tokens(MESSAGES, data)).toBe(expected)
  })
})
