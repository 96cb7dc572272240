/** Aleph Alpha's completions. Answers are composed after its documents and client; none was captured. */
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { InvalidCall } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { testUpstream } from '../../recordings/recordings.ts'
import { NO_HEADERS } from '../../support/call-source.ts'
import { counts, cutStream, prepared, readStream, readWhole } from '../../support/read-answer.ts'

const PATH = '/complete'
const REQUEST = { model: 'luminous-base', prompt: 'Count', maximum_tokens: 64, stream: true }
const events = (...all: readonly object[]): string => all.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('')
const chunk = (completion: string) => ({ type: 'stream_chunk', index: 0, completion })
const STREAM = events(
  chunk(' one'),
  chunk(' zwölf'),
  { type: 'stream_summary', index: 0, model_version: '2022-04', finish_reason: 'maximum_tokens' },
  { type: 'completion_summary', num_tokens_prompt_total: 9, num_tokens_generated: 3 },
)

test.each([
  ['/complete', 'openai', 'metered completions'],
  ['/v1/complete', 'openai', 'none'],
  ['/v1/complete', 'anthropic', 'metered completions'],
] as const)('%s of format %s: %s', (path, format, expected) => {
  const found = providers.get(format)?.match('POST', path)
  expect(found ? `${found.operation.kind} ${found.operation.endpoint}` : 'none').toBe(expected)
})

test.each([
  ['both counts', { num_tokens_prompt_total: 9, num_tokens_generated: 1000 }, { tokens: { input: 9, output: 1000 } }],
  ['zero is zero', { num_tokens_prompt_total: 0, num_tokens_generated: 0 }, { tokens: { input: 0, output: 0 } }],
  ['none', { completions: [] }, undefined],
])('a whole answer: %s', (_name, answer, expected) => {
  const call = prepared('openai', PATH, { ...REQUEST, stream: false })
  expect(
    counts(readWhole(call, { completions: [{ completion: 'x' }], model_version: '2022-04', ...answer }).usage),
  ).toEqual(expected)
})

describe('a stream', () => {
  test('is passed on byte for byte and counted by its summary, wherever it is cut', () => {
    const read = readStream(prepared('openai', PATH, REQUEST), 'sse', STREAM)
    expect(read).toMatchObject({ passed: STREAM, finished: true, failed: false, outputTokens: 3 })
    expect(counts(read.facts.usage)).toEqual({ tokens: { input: 9, output: 3 } })
  })

  test('ends as one that reached its limit when it is cut', () => {
    const cut = cutStream(prepared('openai', PATH, REQUEST), 'sse', STREAM, 1) ?? ''
    expect(cut).toContain('"finish_reason":"maximum_tokens"')
    expect(cut).toMatch(/"type":"completion_summary","num_tokens_prompt_total":\d+,"num_tokens_generated":1\}\n\n$/)
  })

  test('tells and sees an error', () => {
    const { metering, call } = prepared('openai', PATH, REQUEST)
    const event = metering
      .createStreamReader(call, 'sse', NO_HEADERS)
      .errorEvent(errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1'))
      .toString()
    expect(event).toContain('"error":"The wallet is empty."')
    expect(readStream({ metering, call }, 'sse', events({ error: 'busy', code: 'QUEUE_FULL' })).failed).toBe(true)
  })
})

describe('a call is read', () => {
  test('prompts of several items: pictures are never counted as text, token numbers exactly', () => {
    const prompt = [
      { type: 'text', data: 'What is it?' },
      { type: 'image', data: 'A'.repeat(500_000) },
      { type: 'token_ids', data: [1, 2, 3] },
    ]
    const { call } = prepared('openai', PATH, { ...REQUEST, prompt, n: 2, best_of: 3 })
    expect(call).toMatchObject({ model: 'luminous-base', stream: true, answers: 3, outputLimit: 64 })
    expect(call.input.highTokens).toBeLessThan(250)
  })

  test('its limit has a name of its own', () => {
    const body = '{"model":"m","prompt":"x"}'
    const { metering, call } = prepared('openai', PATH, body)
    const edits = { outputLimit: 7, upstream: testUpstream('https://api.aleph-alpha.com') }
    expect(metering.prepare(Buffer.from(body), call, edits).toString()).toBe(
      '{"maximum_tokens":7,"model":"m","prompt":"x"}',
    )
  })

  test.each([
    ['{"prompt":"x"}', 'model'],
    ['{"model":"m","maximum_tokens":"9"}', 'maximum_tokens'],
    ['{"model":"m","n":0}', 'n'],
  ])('%s is refused by its field', (body, field) => {
    expect(() => prepared('openai', PATH, body)).toThrow(InvalidCall)
    expect(() => prepared('openai', PATH, body)).toThrow(expect.objectContaining({ field }))
  })
})
