/** Ollama's own API. Answers are composed after its documents and after recorded ones; none was captured. */
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { providers } from '../../../src/providers/registry.ts'
import { testUpstream } from '../../recordings/recordings.ts'
import { NO_HEADERS } from '../../support/call-source.ts'
import { counts, cutStream, prepared, readStream, readWhole } from '../../support/read-answer.ts'

const UPSTREAM = testUpstream('http://127.0.0.1:11434', { format: 'ollama' })
const CHAT = { model: 'llama3', messages: [{ role: 'user', content: 'Hello' }] }
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1', { rule: 'funds' })
const lines = (...all: readonly object[]): string => all.map((line) => `${JSON.stringify(line)}\n`).join('')
const at = { model: 'llama3', created_at: '2026-08-07T06:08:23.577476Z' }
const say = (content: string, more: object = {}) => ({
  ...at,
  message: { role: 'assistant', content, ...more },
  done: false,
})
const done = (more: object) => ({
  ...at,
  message: { role: 'assistant', content: '' },
  done: true,
  done_reason: 'stop',
  ...more,
})

describe('counts are those of the last line: absent stays absent, zero is zero', () => {
  test.each([
    ['both', { prompt_eval_count: 17, eval_count: 63 }, { tokens: { input: 17, output: 63 } }],
    ['zero input', { prompt_eval_count: 0, eval_count: 63 }, { tokens: { input: 0, output: 63 } }],
    ['no input: it came from the cache', { eval_count: 63 }, { tokens: { output: 63 }, flags: ['input_not_stated'] }],
    ['a model that was only loaded', { done_reason: 'load' }, { tokens: { input: 0, output: 0 } }],
    ['a model that was put away', { done_reason: 'unload' }, { tokens: { input: 0, output: 0 } }],
    ['nothing', { done_reason: 'stop' }, undefined],
    [
      'absurd ones are left out, and say so',
      { prompt_eval_count: -1, eval_count: 4 },
      { tokens: { output: 4 }, flags: ['unreadable_count', 'input_not_stated'] },
    ],
  ])('%s', (_name, stated, expected) => {
    const answer = { ...done(stated), total_duration: 5 }
    const read = readWhole(prepared('ollama', '/api/chat', { ...CHAT, stream: false }), answer)
    expect(counts(read.usage)).toEqual(expected)
    expect(read.model).toBe('llama3')
    const streamed = readStream(prepared('ollama', '/api/chat', CHAT), 'ndjson', lines(say('a'), answer))
    expect(counts(streamed.facts.usage)).toEqual(expected)
  })

  test('an embedding has input alone; the older endpoint states nothing', () => {
    const embed = prepared('ollama', '/api/embed', { model: 'all-minilm', input: ['a', 'b'] })
    expect(embed.call).toMatchObject({ generates: false, stream: false })
    expect(counts(readWhole(embed, { model: 'all-minilm', embeddings: [[0.1]], prompt_eval_count: 8 }).usage)).toEqual({
      tokens: { input: 8 },
    })
    const older = prepared('ollama', '/api/embeddings', { model: 'all-minilm', prompt: 'a' })
    expect(readWhole(older, { embedding: [0.1, -2e-5] }).usage).toBeUndefined()
  })
})

describe('a stream is metered and passed on byte for byte, wherever it is cut', () => {
  test('chat', () => {
    const stream = lines(
      say('', { thinking: 'hm' }),
      say('Grüße'),
      say(' ☕'),
      done({ prompt_eval_count: 17, eval_count: 3 }),
    )
    const read = readStream(prepared('ollama', '/api/chat', CHAT), 'ndjson', stream)
    expect(read.passed).toBe(stream)
    expect(read).toMatchObject({ finished: true, failed: false, outputTokens: 3, facts: { model: 'llama3' } })
    expect(read.terminal).toContain('"done":true')
  })

  test('what was delivered counts until the counts come: text, thinking, tools', () => {
    const tool = { tool_calls: [{ function: { name: 'f', arguments: { city: 'Rome', days: 2 } } }] }
    const read = readStream(
      prepared('ollama', '/api/chat', CHAT),
      'ndjson',
      lines(say('a'), say('', { thinking: 'b' }), say('', tool)),
    )
    expect(read).toMatchObject({ finished: false, outputTokens: 3 })
  })

  test('generate', () => {
    const stream = lines(
      { ...at, response: 'a', done: false },
      { ...at, response: '', thinking: 'b', done: false },
      { ...at, response: '', done: true, done_reason: 'stop', context: [1, 2, 3], eval_count: 2, prompt_eval_count: 9 },
    )
    const read = readStream(prepared('ollama', '/api/generate', { model: 'llama3', prompt: 'x' }), 'ndjson', stream)
    expect(counts(read.facts.usage)).toEqual({ tokens: { input: 9, output: 2 } })
  })

  test('an error line is a failure', () => {
    const read = readStream(
      prepared('ollama', '/api/chat', CHAT),
      'ndjson',
      lines(say('a'), { error: 'out of memory' }),
    )
    expect(read).toMatchObject({ failed: true, finished: false })
  })

  test('a last line too large to be kept still says its counts', () => {
    const { metering, call } = prepared('ollama', '/api/generate', { model: 'llama3', prompt: 'x' })
    const reader = metering.createStreamReader(call, 'ndjson', NO_HEADERS)
    reader.onOversized(
      Buffer.from('{"model":"llama3","response":"","done":true,"context":[1,'),
      Buffer.from('3,4],"total_duration":9,"prompt_eval_count":12,"eval_count":7,"eval_duration":8}'),
    )
    expect(reader.facts.usage?.tokens).toEqual({ input: 12, output: 7 })
    expect(reader.finished).toBe(true)
  })
})

describe('a cut stream ends as one that stopped for its length', () => {
  test.each([
    ['/api/chat', CHAT, lines(say('a'), say('b'), say('c')), { message: { role: 'assistant', content: '' } }],
    [
      '/api/generate',
      { model: 'llama3', prompt: 'x' },
      lines(...['a', 'b', 'c'].map((response) => ({ ...at, response, done: false }))),
      { response: '' },
    ],
  ])('%s', (path, request, stream, answer) => {
    const cut = cutStream(prepared('ollama', path, request), 'ndjson', stream, 2) ?? ''
    expect(JSON.parse(cut.trim().split('\n').at(-1) ?? '')).toEqual({
      ...at,
      ...answer,
      done: true,
      done_reason: 'length',
      prompt_eval_count: expect.any(Number),
      eval_count: 2,
    })
  })

  test('an error is a line of its own', () => {
    const { metering, call } = prepared('ollama', '/api/chat', CHAT)
    const line = metering.createStreamReader(call, 'ndjson', NO_HEADERS).errorEvent(ERROR).toString()
    expect(JSON.parse(line)).toMatchObject({ error: 'The wallet is empty.', tollgate: { code: 'insufficient_funds' } })
    expect(line.endsWith('\n')).toBe(true)
  })
})

describe('a call is read', () => {
  test('it streams unless it says otherwise', () => {
    expect(prepared('ollama', '/api/chat', CHAT).call.stream).toBe(true)
    expect(prepared('ollama', '/api/chat', { ...CHAT, stream: null }).call.stream).toBe(true)
    expect(prepared('ollama', '/api/chat', { ...CHAT, stream: false }).call.stream).toBe(false)
  })

  test('thinking, schemas, tools', () => {
    const { call } = prepared('ollama', '/api/chat', {
      ...CHAT,
      think: 'high',
      format: { type: 'object' },
      tools: [{ type: 'function', function: { name: 'f' } }],
    })
    expect(call).toMatchObject({ reasoning: true, structured: true, tools: true })
    expect(prepared('ollama', '/api/chat', { ...CHAT, think: false, format: 'json' }).call).toMatchObject({
      reasoning: false,
      structured: false,
    })
  })

  test('pictures are never counted as text', () => {
    const images = ['A'.repeat(3_000_000)]
    const messages = [{ role: 'user', content: 'What is it?', images }]
    expect(prepared('ollama', '/api/chat', { model: 'llava', messages }).call.input.highTokens).toBeLessThan(20_000)
    expect(
      prepared('ollama', '/api/generate', { model: 'llava', prompt: '', images }).call.input.highTokens,
    ).toBeLessThan(20_000)
  })

  test.each([
    [undefined, undefined],
    [{ num_predict: -1 }, undefined],
    [{ num_predict: -2 }, undefined],
    [{ num_predict: 0 }, undefined],
    [{ num_predict: null }, undefined],
    [{ num_predict: 40 }, 40],
  ])('options %o: the limit is %s', (options, expected) => {
    expect(prepared('ollama', '/api/chat', { ...CHAT, options }).call.outputLimit).toBe(expected)
  })

  test.each([
    ['no options', '{"model":"m"}', '{"options":{"num_predict":50},"model":"m"}'],
    ['null options', '{"model":"m","options":null}', '{"model":"m","options":{"num_predict":50}}'],
    ['empty options', '{"model":"m","options":{ }}', '{"model":"m","options":{"num_predict":50 }}'],
    ['other options', '{"model":"m","options":{"seed":1}}', '{"model":"m","options":{"num_predict":50,"seed":1}}'],
    ['no end', '{"model":"m","options":{"num_predict": -1 }}', '{"model":"m","options":{"num_predict": 50 }}'],
    ['a higher one', '{"model":"m","options":{"num_predict":80}}', '{"model":"m","options":{"num_predict":50}}'],
    ['a lower one stays', '{"model":"m","options":{"num_predict":20}}', '{"model":"m","options":{"num_predict":20}}'],
  ])('a limit is written in its place: %s', (_name, body, expected) => {
    const { metering, call } = prepared('ollama', '/api/chat', body)
    const sent = metering.prepare(Buffer.from(body), call, { outputLimit: 50, upstream: UPSTREAM })
    expect(sent.toString()).toBe(expected)
    expect(metering.outputLimitName(call, UPSTREAM)).toBe('num_predict')
  })

  test.each([
    ['/api/chat', '{"messages":[]}', 'model'],
    ['/api/chat', '{"model":"m","options":{"num_predict":"40"}}', 'num_predict'],
    ['/api/chat', '{"model":"m","options":{"num_predict":1.5}}', 'num_predict'],
    ['/api/chat', '{"model":"m","options":{"num_predict":1,"num_predict":9}}', 'options.num_predict'],
    ['/api/chat', '{"model":"m","options":[]}', 'options'],
    ['/api/chat', '{"model":"m","Options":{"num_predict":9}}', 'options'],
    ['/api/chat', '{"model":"m","stream":"no"}', 'stream'],
    ['/api/embed', '{"model":"m","input":[1]}', 'input'],
  ])('%s %s is refused by its field', (path, body, field) => {
    expect(() => prepared('ollama', path, body)).toThrow(expect.objectContaining({ field }))
  })
})

test.each([
  ['POST', '/api/chat', 'metered chat'],
  ['POST', '/api/generate', 'metered generate'],
  ['POST', '/api/embed', 'metered embeddings'],
  ['POST', '/api/embeddings', 'metered embeddings'],
  ['POST', '/prefix/api/chat', 'metered chat'],
  ['GET', '/api/tags', 'free models'],
  ['GET', '/api/ps', 'free models'],
  ['GET', '/api/version', 'free models'],
  ['POST', '/api/show', 'free models'],
  ['POST', '/api/pull', 'none'],
  ['POST', '/api/push', 'none'],
  ['POST', '/api/create', 'none'],
  ['DELETE', '/api/delete', 'none'],
  ['GET', '/api/chat', 'none'],
  ['POST', '/api/chat/completions', 'none'],
] as const)('%s %s: %s', (method, path, expected) => {
  const found = providers.get('ollama')?.match(method, path)
  expect(found ? `${found.operation.kind} ${found.operation.endpoint}` : 'none').toBe(expected)
})

test('a refusal has Ollama’s shape', () => {
  const { contentType, body } = providers.get('ollama')?.errorBody(ERROR) ?? {}
  expect(contentType).toBe('application/json')
  expect(JSON.parse(body ?? '')).toMatchObject({
    error: 'The wallet is empty.',
    tollgate: { code: 'insufficient_funds' },
  })
})
