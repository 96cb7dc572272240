/**
 * Whatever a provider sends, a reader does not throw, and its counts are whole and not negative. Streams of each dialect
 * are changed at random: values exchanged, pieces left out or doubled, bytes overwritten.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Format } from '../../../src/config/snapshot.ts'
import { errorFacts } from '../../../src/errors.ts'
import type { AnswerFacts, StreamEvent } from '../../../src/providers/provider.ts'
import { NO_HEADERS } from '../../support/call-source.ts'
import { changed, ODD } from '../../support/odd-values.ts'
import { prepared } from '../../support/read-answer.ts'

const SEED = 20261126
const RUNS = 400
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1')

interface Dialect {
  readonly format: Format
  readonly path: string
  readonly request: object
  readonly events: readonly object[]
  readonly answers: readonly object[]
}

const MESSAGES = { model: 'm', messages: [{ role: 'user', content: 'x' }], stream: true }
const USAGE = { billed_units: { input_tokens: 5, output_tokens: 3, search_units: 1 }, tokens: { reasoning_tokens: 1 } }
const DIALECTS: readonly Dialect[] = [
  {
    format: 'cohere',
    path: '/v2/chat',
    request: MESSAGES,
    events: [
      { type: 'message-start', id: 'a', delta: { message: {} } },
      { type: 'content-start', index: 0 },
      { type: 'content-delta', index: 0, delta: { message: { content: { text: 'é' } } } },
      { type: 'message-end', delta: { finish_reason: 'COMPLETE', usage: USAGE } },
    ],
    answers: [{ id: 'a', usage: USAGE, finish_reason: 'COMPLETE' }],
  },
  {
    format: 'cohere',
    path: '/v1/generate',
    request: { prompt: 'x', stream: true },
    events: [
      { event_type: 'stream-start', generation_id: 'g' },
      { event_type: 'text-generation', text: 'a"\\', index: 1 },
      { event_type: 'stream-end', finish_reason: 'COMPLETE', response: { response_id: 'r', meta: USAGE } },
    ],
    answers: [{ id: 'a', meta: USAGE }],
  },
  {
    format: 'cohere',
    path: '/v2/rerank',
    request: { model: 'm', query: 'q', documents: ['a'] },
    events: [],
    answers: [{ id: 'a', meta: USAGE }],
  },
  {
    format: 'ollama',
    path: '/api/chat',
    request: MESSAGES,
    events: [
      { model: 'm', created_at: 't', message: { role: 'assistant', content: 'a', thinking: 'b' }, done: false },
      { model: 'm', done: true, done_reason: 'stop', prompt_eval_count: 4, eval_count: 2, context: [1, 2] },
      { error: 'no' },
    ],
    answers: [{ model: 'm', done_reason: 'load', prompt_eval_count: 4, eval_count: 2 }],
  },
  {
    format: 'openai',
    path: '/generate_stream',
    request: { inputs: 'x' },
    events: [
      { index: 1, token: { id: 1, text: '\\u00' }, generated_text: null },
      {
        token: { id: 1, text: 'b' },
        generated_text: 'ab',
        details: { generated_tokens: 2, input_length: 3, prefill: [] },
      },
    ],
    answers: [{ generated_text: 'x', details: { generated_tokens: 2, prefill: [1] } }, { error: 'x' }],
  },
  {
    format: 'openai',
    path: '/ml/v1/text/generation_stream',
    request: { model_id: 'm', input: 'x' },
    events: [
      {
        model_id: 'm',
        results: [{ generated_text: 'a', generated_token_count: 1, input_token_count: 8, stop_reason: 'not_finished' }],
      },
      { results: [{ generated_text: '', generated_token_count: 2, input_token_count: 0, stop_reason: 'eos_token' }] },
    ],
    answers: [{ model_id: 'm', results: [{ input_token_count: 7, generated_token_count: 2 }] }],
  },
  {
    format: 'openai',
    path: '/complete',
    request: { model: 'm', prompt: 'x', stream: true },
    events: [
      { type: 'stream_chunk', completion: 'a' },
      { type: 'stream_summary', finish_reason: 'x' },
      { type: 'completion_summary', num_tokens_prompt_total: 3, num_tokens_generated: 1 },
    ],
    answers: [{ num_tokens_prompt_total: 3, num_tokens_generated: 1 }],
  },
  {
    format: 'openai',
    path: '/v1/rerank',
    request: { query: 'q', documents: ['a'] },
    events: [],
    answers: [{ usage: { total_tokens: 4 }, meta: USAGE }],
  },
  {
    format: 'openai',
    path: '/v1/ocr',
    request: { model: 'm', document: { type: 'image_url' } },
    events: [],
    answers: [{ model: 'm', usage_info: { pages_processed: 2 } }],
  },
  {
    format: 'anthropic',
    path: '/v1/complete',
    request: { model: 'm', prompt: 'x', stream: true },
    events: [
      { type: 'completion', id: 'c', completion: 'a', stop_reason: null, model: 'm' },
      { type: 'completion', completion: '', stop_reason: 'stop_sequence' },
    ],
    answers: [{ id: 'c', completion: 'abc', model: 'm' }],
  },
]

function eventOf(bytes: Buffer, name: string): StreamEvent {
  return { name, data: bytes, raw: bytes }
}

function expectSound(facts: AnswerFacts): void {
  for (const usage of [facts.usage, facts.counted]) {
    for (const count of Object.values(usage?.tokens ?? {})) expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
    for (const count of Object.values(usage?.units ?? {})) expect(Number.isFinite(count) && count >= 0).toBe(true)
    const { output = 0 } = usage?.tokens ?? {}
    expect(usage?.reasoning ?? 0).toBeLessThanOrEqual(output)
  }
}

describe.each(DIALECTS.map((dialect) => [`${dialect.format} ${dialect.path}`, dialect] as const))(
  '%s',
  (_name, dialect) => {
    const call = prepared(dialect.format, dialect.path, dialect.request)
    const framing = call.metering.framing ?? 'sse'

    if (dialect.events.length > 0)
      test('a stream', () => {
        const one = fc.record({
          event: fc.nat(dialect.events.length - 1),
          at: fc.nat(40),
          odd: fc.nat(ODD.length),
          byte: fc.option(fc.record({ at: fc.nat(200), value: fc.nat(255) }), { nil: undefined }),
          name: fc.constantFrom('', 'error', 'message-end', 'message'),
        })
        fc.assert(
          fc.property(fc.array(one, { maxLength: 8 }), (steps) => {
            const reader = call.metering.createStreamReader(call.call, framing, NO_HEADERS)
            for (const { event, at, odd, byte, name } of steps) {
              const bytes = Buffer.from(JSON.stringify(changed(dialect.events[event], at, odd)))
              if (byte) bytes[byte.at % bytes.length] = byte.value
              expect(reader.textTokens(eventOf(bytes, name))).toBeGreaterThanOrEqual(0)
              reader.onEvent(eventOf(bytes, name))
              expectSound(reader.facts)
              expect(Number.isSafeInteger(reader.outputTokens) && reader.outputTokens >= 0).toBe(true)
            }
            reader.onOversized(Buffer.from('{"done":true'), Buffer.from('"meta":{"billed_units":{"input_tokens":-4}}}'))
            expectSound(reader.facts)
            reader.cutEnding()
            reader.errorEvent(ERROR)
          }),
          { seed: SEED, numRuns: RUNS },
        )
      })

    test('a whole answer', () => {
      const one = fc.record({ answer: fc.nat(dialect.answers.length - 1), at: fc.nat(40), odd: fc.nat(ODD.length) })
      fc.assert(
        fc.property(one, ({ answer, at, odd }) => {
          const members = changed(dialect.answers[answer], at, odd) as Record<string, unknown>
          expectSound(call.metering.readJson(members, call.call, NO_HEADERS))
        }),
        { seed: SEED, numRuns: RUNS },
      )
    })
  },
)
