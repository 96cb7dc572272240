/**
 * APIs of their own that providers have beside OpenAI's. Answers are composed after the providers' documents and after
 * recorded ones; none was captured.
 */
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { InvalidCall } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { testUpstream } from '../../recordings/recordings.ts'
import { wavFile } from '../../support/audio-files.ts'
import { NO_HEADERS, SOURCE } from '../../support/call-source.ts'
import { counts, cutStream, prepared, readStream, readWhole } from '../../support/read-answer.ts'

const UPSTREAM = testUpstream('https://api.example.com')
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1', { rule: 'funds' })
const data = (...events: readonly object[]): string =>
  events.map((event) => `data:${JSON.stringify(event)}\n\n`).join('')

function sent(path: string, body: string, outputLimit: number): string {
  const { metering, call } = prepared('openai', path, body)
  return metering.prepare(Buffer.from(body), call, { outputLimit, upstream: UPSTREAM }).toString()
}

describe('a path is known by its last segments', () => {
  test.each([
    ['/generate', 'completions'],
    ['/generate_stream', 'completions'],
    ['/', 'completions'],
    ['/hf-inference/models/google/flan-t5-xxl', 'completions'],
    ['/models/gpt2', 'completions'],
    ['/pipeline/feature-extraction/sentence-transformers/all-MiniLM-L6-v2', 'completions'],
    ['/hf-inference/models/BAAI/bge-m3/pipeline/feature-extraction', 'completions'],
    ['/endpoints/my-llama/invocations', 'chat'],
    ['/serving-endpoints/dbrx/invocations', 'chat'],
    ['/ml/v1/text/generation?version=2024-02-15', 'completions'],
    ['/ml/v1/text/generation_stream?version=2024-02-15', 'completions'],
    ['/ml/v1-beta/generation/text?version=2024-02-15', 'completions'],
    ['/ml/v1/deployments/d-1/text/generation', 'completions'],
    ['/ml/v1/text/chat', 'chat'],
    ['/ml/v1/text/chat_stream', 'chat'],
    ['/ml/v1/text/embeddings', 'embeddings'],
    ['/v1/multimodalembeddings', 'embeddings'],
    ['/v1/contextualizedembeddings', 'embeddings'],
    ['/v1/chat', 'chat'],
    ['/v1/fim/completions', 'completions'],
    ['/v1/agents/completions', 'chat'],
    ['/v1/prompts/pp-1/completions', 'completions'],
    ['/v1/rerank', 'rerank'],
    ['/rerank', 'rerank'],
    ['/v1/ocr', 'ocr'],
    ['/models/chat/completions', 'chat'],
    ['/models/embeddings', 'embeddings'],
    ['/openai/v1/responses', 'responses'],
  ])('POST %s: %s', (path, endpoint) => {
    const found = providers.get('openai')?.match('POST', path)
    expect([found?.operation.kind, found?.operation.endpoint]).toEqual(['metered', endpoint])
  })

  test.each([
    ['POST', '/v1/predictions'],
    ['POST', '/v1/models/black-forest-labs/flux-schnell/predictions'],
    ['GET', '/v1/predictions/p-1'],
    ['POST', '/api/generate'],
    ['POST', '/v1/generate'],
    ['POST', '/api/chat'],
    ['POST', '/v1/models/gpt-5'],
    ['POST', '/models/a/b/c'],
    ['POST', '/pipeline'],
    ['POST', '/invocations'],
    ['GET', '/'],
    ['GET', '/v1/rerank'],
  ])('%s %s is not', (method, path) => {
    expect(providers.get('openai')?.match(method, path)).toBeUndefined()
  })
})

describe('text generation of Hugging Face’s servers', () => {
  const token = (index: number, text: string, more: object = {}) => ({
    index,
    token: { id: 7, text, logprob: -0.5, special: false },
    generated_text: null,
    details: null,
    ...more,
  })
  const call = (more: object = {}) => prepared('openai', '/generate_stream', { inputs: 'Count', ...more })

  test.each([
    ['/models/org/name', { inputs: 'x' }, 'org/name'],
    ['/hf-inference/models/org/name/pipeline/feature-extraction', { inputs: 'x' }, 'org/name'],
    ['/pipeline/fill-mask/bert', { inputs: 'x' }, 'bert'],
    ['/models/org/name', { inputs: 'x', model: 'other' }, 'org/name'],
    ['/endpoints/my-llama/invocations', { inputs: 'x' }, 'my-llama'],
    ['/', { inputs: 'x', model: 'm' }, 'm'],
    ['/', { inputs: 'x' }, ''],
  ])('the model of %s %o is "%s"', (path, body, model) => {
    expect(prepared('openai', path, body).call.model).toBe(model)
  })

  test('only tasks that write text hold output', () => {
    expect(prepared('openai', '/pipeline/feature-extraction/org/name', { inputs: 'x' }).call.generates).toBe(false)
    expect(prepared('openai', '/pipeline/summarization/org/name', { inputs: 'x' }).call.generates).toBe(true)
    expect(prepared('openai', '/models/org/name', { inputs: ['x', 'y'] }).call).toMatchObject({
      generates: true,
      answers: 2,
    })
  })

  test.each([
    ['{"inputs":"x"}', '{"parameters":{"max_new_tokens":50},"inputs":"x"}'],
    ['{"inputs":"x","parameters":{"seed":1}}', '{"inputs":"x","parameters":{"max_new_tokens":50,"seed":1}}'],
    ['{"inputs":"x","parameters":{"max_new_tokens":80}}', '{"inputs":"x","parameters":{"max_new_tokens":50}}'],
    ['{"inputs":"x","parameters":{"max_new_tokens":20}}', '{"inputs":"x","parameters":{"max_new_tokens":20}}'],
  ])('a limit is written in its place: %s', (body, expected) => {
    expect(sent('/generate', body, 50)).toBe(expected)
  })

  test('each event is a token; the last has the text, and no [DONE] follows', () => {
    const stream = data(token(1, ' 1'), token(2, ' 2'), token(3, '</s>', { generated_text: ' 1 2' }))
    const read = readStream(call(), 'sse', stream)
    expect(read).toMatchObject({ outputTokens: 3, finished: true, failed: false, passed: stream })
    expect(read.facts.usage).toBeUndefined()
  })

  test('usage is what the details state, where they state both', () => {
    const details = { finish_reason: 'length', generated_tokens: 2, input_length: 5 }
    const stream = data(token(1, ' 1'), token(2, ' 2', { generated_text: ' 1 2', details }))
    expect(counts(readStream(call(), 'sse', stream).facts.usage)).toEqual({ tokens: { input: 5, output: 2 } })
    const whole = { generated_text: 'x', details: { generated_tokens: 4, prefill: [{ id: 1 }, { id: 2 }] } }
    for (const body of [whole, [whole]])
      expect(counts(readWhole(prepared('openai', '/generate', { inputs: 'x' }), body).usage)).toEqual({
        tokens: { input: 2, output: 4 },
      })
  })

  test('what is stated in part, in headers or not at all is counted, and no usage of the provider’s', () => {
    const part = [{ generated_text: 'x', details: { generated_tokens: 75, prefill: [] } }]
    const headers = { get: (name: string) => (name === 'x-prompt-tokens' ? '16' : undefined) }
    const known = readWhole(prepared('openai', '/', { inputs: 'x' }), part, headers)
    expect([known.usage, counts(known.counted)]).toEqual([undefined, { tokens: { input: 16, output: 75 } }])
    const echo = readWhole(prepared('openai', '/', { inputs: 'one plus two' }), [
      { generated_text: 'one plus two is three' },
    ])
    expect(echo.counted?.tokens.output).toBe(3)
    const embedding = readWhole(prepared('openai', '/pipeline/feature-extraction/org/name', { inputs: 'x' }), [
      [0.1, 0.2],
    ])
    expect(Object.keys(embedding.counted?.tokens ?? {})).toEqual(['input'])
  })

  test('pictures and sound are counted as what they are, sent or made', () => {
    const metering = providers.get('openai')?.match('POST', '/models/org/name')?.operation.metering
    if (!metering?.readOther) throw new Error('not metered')
    const read = (type: string, raw: Buffer) =>
      metering.readCall(raw, { ...SOURCE, path: '/models/org/name', headers: { 'content-type': type } })
    const sound = read('audio/wav', wavFile(4))
    expect(sound).toMatchObject({ model: 'org/name', generates: false, billedBy: ['seconds', 'images'] })
    expect(counts(metering.readJson({}, sound, NO_HEADERS).counted)).toEqual({
      tokens: { input: 50 },
      units: { seconds: 4 },
    })
    const picture = read('image/png', Buffer.alloc(5000))
    expect(counts(metering.readJson({}, picture, NO_HEADERS).counted)?.units).toEqual({ images: 1 })
    const bytes = Buffer.alloc(3)
    expect(metering.prepare(bytes, picture, { outputLimit: 5, upstream: UPSTREAM })).toBe(bytes)
    const text = read('application/json', Buffer.from('{"inputs":"a cat"}'))
    const made = { bytes: 90_000, head: Buffer.alloc(0), tail: Buffer.alloc(0) }
    const image = metering.readOther({ ...made, contentType: 'image/jpeg' }, text, NO_HEADERS).counted
    expect([image?.units, Object.keys(image?.tokens ?? {})]).toEqual([{ images: 1 }, ['input']])
  })

  test('the text of a summary or a translation counts too', () => {
    for (const name of ['summary_text', 'translation_text']) {
      const facts = readWhole(prepared('openai', '/models/org/name', { inputs: 'x' }), [{ [name]: 'y'.repeat(40) }])
      expect(facts.counted?.tokens.output).toBe(10)
    }
  })

  test('an error inside the 200 is seen', () => {
    const stream = data({ error: 'Input validation error', error_type: 'validation' })
    expect(readStream(call(), 'sse', stream)).toMatchObject({ failed: true, outputTokens: 0 })
  })

  test('a cut ends with the text so far and "length"', () => {
    const cut = cutStream(call(), 'sse', data(token(1, ' "1"'), token(2, ' ☕'), token(3, ' 3')), 2) ?? ''
    const last = JSON.parse(cut.trim().split('\n\n').at(-1)?.slice('data:'.length) ?? '')
    expect(last).toMatchObject({
      index: 3,
      generated_text: ' "1" ☕',
      details: { finish_reason: 'length', generated_tokens: 2 },
    })
  })

  test('a SageMaker endpoint takes either text generation or a chat', () => {
    const chat = prepared('openai', '/endpoints/e/invocations', {
      messages: [{ role: 'user', content: 'x' }],
      max_tokens: 9,
    })
    expect(chat.call).toMatchObject({ model: 'e', outputLimit: 9 })
    expect(
      counts(readWhole(chat, { id: 'c', usage: { prompt_tokens: 3, completion_tokens: 2 } }).usage)?.tokens,
    ).toEqual({
      input: 3,
      output: 2,
    })
    expect(sent('/endpoints/e/invocations', '{"inputs":"x"}', 5)).toBe(
      '{"parameters":{"max_new_tokens":5},"inputs":"x"}',
    )
    expect(sent('/endpoints/e/invocations', '{"messages":[]}', 5)).toBe('{"max_tokens":5,"messages":[]}')
  })
})

describe('an endpoint that takes several kinds of body', () => {
  const path = '/serving-endpoints/dbrx/invocations'

  test.each([
    ['a chat', { messages: [], max_tokens: 9, n: 2 }, { generates: true, outputLimit: 9, answers: 2 }],
    ['completions', { prompt: ['a', 'b'], max_tokens: 9 }, { generates: true, outputLimit: 9, answers: 2 }],
    ['embeddings', { input: ['a', 'b'] }, { generates: false, outputLimit: undefined }],
    ['text generation', { inputs: 'a', parameters: { max_new_tokens: 9 } }, { generates: true, outputLimit: 9 }],
  ])('%s', (_name, body, expected) => {
    expect(prepared('openai', path, body).call).toMatchObject({ model: 'dbrx', ...expected })
  })

  test('usage that is repeated is that of the last chunk, and a stream is asked for it', () => {
    const body = '{"messages":[],"stream":true}'
    expect(sent(path, body, 5)).toBe(
      '{"stream_options":{"include_usage":true},"max_tokens":5,"messages":[],"stream":true}',
    )
    const chunk = (content: string, completion_tokens: number) => ({
      id: 'c-1',
      choices: [{ index: 0, delta: { content }, finish_reason: null }],
      usage: { prompt_tokens: 7, completion_tokens, total_tokens: 7 + completion_tokens },
    })
    const read = readStream(
      prepared('openai', path, { messages: [], stream: true }),
      'sse',
      data(chunk('a', 1), chunk('b', 2)),
    )
    expect(counts(read.facts.usage)?.tokens).toEqual({ input: 7, output: 2 })
  })
})

describe('an error where the answer should be costs nothing', () => {
  test.each([
    ['openai', '/v1/chat/completions', { model: 'm', messages: [] }, { error: { message: 'no provider', code: 502 } }],
    ['openai', '/v1/completions', { model: 'm', prompt: 'x' }, { error: 'overloaded' }],
    ['openai', '/v1/embeddings', { model: 'm', input: 'x' }, { error: { message: 'no' } }],
    ['openai', '/generate', { inputs: 'x' }, { error: 'Input validation error', error_type: 'validation' }],
    ['openai', '/complete', { model: 'm', prompt: 'x' }, { error: 'busy' }],
    ['openai', '/v1/rerank', { model: 'm', query: 'q', documents: [] }, { error: { message: 'no' } }],
    ['openai', '/ml/v1/text/generation', { model_id: 'm', input: 'x' }, { errors: [{ code: 'x' }] }],
    ['cohere', '/v2/chat', { model: 'm', messages: [] }, { id: 'a', finish_reason: 'ERROR' }],
    ['ollama', '/api/chat', { model: 'm', messages: [] }, { error: 'out of memory' }],
  ] as const)('%s %s', (format, path, request, answer) => {
    const call = prepared(format, path, request)
    expect(readWhole(call, answer).failed).toBe(true)
    expect(readWhole(call, { ...answer, error: null, errors: [], finish_reason: 'COMPLETE' }).failed).toBeUndefined()
  })
})

describe('watsonx.ai', () => {
  const result = (text: string, generated: number, more: object = {}) => ({
    model_id: 'google/flan-ul2',
    results: [
      {
        generated_text: text,
        generated_token_count: generated,
        input_token_count: 0,
        stop_reason: 'not_finished',
        ...more,
      },
    ],
  })
  const events = (...all: readonly object[]): string =>
    all.map((one, index) => `id: ${index + 1}\nevent: message\ndata: ${JSON.stringify(one)}\n\n`).join('')
  const path = '/ml/v1/text/generation_stream'
  const body = { model_id: 'google/flan-ul2', input: 'Write', project_id: 'p' }

  test('the counts of all results are summed', () => {
    const answer = {
      model_id: 'google/flan-ul2',
      results: [
        { generated_text: '2', generated_token_count: 2, input_token_count: 7 },
        { generated_text: '3', generated_token_count: 3, input_token_count: 7 },
      ],
    }
    const facts = readWhole(prepared('openai', '/ml/v1/text/generation', body), answer)
    expect(counts(facts.usage)).toEqual({ tokens: { input: 14, output: 5 } })
    expect(facts.model).toBe('google/flan-ul2')
  })

  test('a stream: the prompt’s count early, the output’s running total last', () => {
    const stream = events(
      result('', 0, { input_token_count: 8 }),
      result('the', 1),
      result(' sun', 2),
      result('', 3, { stop_reason: 'eos_token' }),
    )
    const read = readStream(prepared('openai', path, body), 'sse', stream)
    expect(counts(read.facts.usage)).toEqual({ tokens: { input: 8, output: 3 } })
    expect(read).toMatchObject({ finished: true, passed: stream, facts: { model: 'google/flan-ul2' } })
  })

  test('a cut ends as for "max_tokens"; an error is seen and told', () => {
    const cut = cutStream(prepared('openai', path, body), 'sse', events(result('a', 1), result('b', 2)), 1) ?? ''
    expect(cut).toContain('"stop_reason":"max_tokens"')
    const broken = `event: error\ndata: {"errors":[{"code":"downstream_error","message":"no"}],"status_code":500}\n\n`
    expect(readStream(prepared('openai', path, body), 'sse', broken).failed).toBe(true)
    const { metering, call } = prepared('openai', path, body)
    expect(metering.createStreamReader(call, 'sse', NO_HEADERS).errorEvent(ERROR).toString()).toMatch(/^event: error\n/)
  })

  test('the limit, the model, the stream and the chat', () => {
    expect(sent('/ml/v1/text/generation', '{"model_id":"m","input":"x"}', 9)).toBe(
      '{"parameters":{"max_new_tokens":9},"model_id":"m","input":"x"}',
    )
    expect(prepared('openai', path, body).call.stream).toBe(true)
    expect(prepared('openai', '/ml/v1/deployments/d-1/text/generation', { input: 'x' }).call).toMatchObject({
      model: 'd-1',
      stream: false,
    })
    expect(() => prepared('openai', path, { input: 'x' })).toThrow(InvalidCall)
    const chat = prepared('openai', '/ml/v1/text/chat_stream', { model_id: 'm', messages: [] })
    expect(chat.call).toMatchObject({ model: 'm', stream: true })
    // It states its usage by itself, and does not know the option.
    const raw = Buffer.from('{"model_id":"m","messages":[]}')
    expect(chat.metering.prepare(raw, chat.call, { outputLimit: undefined, upstream: UPSTREAM })).toBe(raw)
    const facts = readWhole(prepared('openai', '/ml/v1/text/chat', { model_id: 'm', messages: [] }), {
      id: 'chat-1',
      model_id: 'm',
      usage: { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 },
    })
    expect([facts.model, counts(facts.usage)?.tokens]).toEqual(['m', { input: 4, output: 2 }])
    const embedding = prepared('openai', '/ml/v1/text/embeddings', { model_id: 'm', inputs: ['a', 'b'] })
    expect(counts(readWhole(embedding, { model_id: 'm', input_token_count: 6, results: [] }).usage)?.tokens).toEqual({
      input: 6,
    })
  })
})

describe('rerank', () => {
  const call = prepared('openai', '/v1/rerank', { model: 'rerank-2', query: 'q', documents: ['a', { text: 'b' }] })

  test.each([
    ['Voyage', { usage: { total_tokens: 43 } }, { tokens: { input: 43 } }],
    ['vLLM', { usage: { total_tokens: 43, prompt_tokens: 43 } }, { tokens: { input: 43 } }],
    ['Cohere behind another', { meta: { billed_units: { search_units: 2 } } }, { tokens: {}, units: { searches: 2 } }],
    ['OpenRouter', { usage: { search_units: 1 } }, { tokens: {}, units: { searches: 1 } }],
  ])('%s', (_name, answer, expected) => {
    expect(counts(readWhole(call, { id: 'r', model: 'rerank-2', ...answer }).usage)).toEqual(expected)
  })

  test('what states nothing is counted both ways', () => {
    const facts = readWhole(call, { results: [] })
    expect([facts.usage, facts.counted?.units]).toEqual([undefined, { searches: 1 }])
    expect(facts.counted?.tokens.input).toBeGreaterThan(0)
    const texts = prepared('openai', '/rerank', { query: 'q', texts: ['a'] })
    expect(texts.call).toMatchObject({ model: '', generates: false })
  })
})

describe('a transcript that streams in a provider’s own words', () => {
  const call = (more: object = {}) =>
    prepared('openai', '/v1/audio/transcriptions', { model: 'voxtral-mini-latest', stream: true, ...more })

  test('Mistral’s ends with its usage', () => {
    const usage = {
      prompt_audio_seconds: 5,
      prompt_tokens: 10,
      completion_tokens: 20,
      total_tokens: 405,
      prompt_tokens_details: { audio_tokens: 375 },
    }
    const stream = data(
      { type: 'transcription.language', audio_language: 'en' },
      { type: 'transcription.text.delta', text: 'Hello' },
      { type: 'transcription.segment', text: ' there', start: 0, end: 1 },
      { type: 'transcription.done', model: 'voxtral-mini-2507', text: 'Hello there', usage },
    )
    const read = readStream(call(), 'sse', stream)
    expect(read).toMatchObject({ finished: true, failed: false, outputTokens: 2, passed: stream })
    expect(counts(read.facts.usage)).toEqual({
      tokens: { input: 10, audio_input: 375, output: 20 },
      units: { seconds: 5 },
    })
    expect(read.facts.model).toBe('voxtral-mini-2507')
  })

  test('vLLM’s is a chat’s, whose usage comes where it is asked for', () => {
    const chunk = (more: object) => ({ id: 'trsc-1', object: 'transcription.chunk', model: 'whisper', ...more })
    const said = chunk({ choices: [{ delta: { content: 'Hello' }, finish_reason: 'stop' }] })
    const usage = { prompt_tokens: 6, completion_tokens: 4, total_tokens: 10 }
    const stated = readStream(call(), 'sse', `${data(said, chunk({ choices: [], usage }))}data: [DONE]\n\n`)
    expect(counts(stated.facts.usage)).toEqual({ tokens: { input: 6, output: 4 } })
    const silent = readStream(call(), 'sse', `${data(said)}data: [DONE]\n\n`)
    expect(silent).toMatchObject({ finished: true, failed: false, outputTokens: 1 })
    expect(silent.facts.usage).toBeUndefined()
    expect(silent.facts.counted?.tokens.output).toBe(1)
  })
})

describe('a conversation that is made shorter', () => {
  const body = { model: 'gpt-5.2', input: [{ role: 'user', content: 'Add three.' }], previous_response_id: 'resp_0' }
  const { call } = prepared('openai', '/v1/responses/compact', body)

  test('is charged as a response is, and what it names must be the account’s own', () => {
    const usage = {
      input_tokens: 154,
      input_tokens_details: { cached_tokens: 64 },
      output_tokens: 163,
      output_tokens_details: { reasoning_tokens: 100 },
      total_tokens: 317,
    }
    const answer = { id: 'resp_1', object: 'response.compaction', output: [{ id: 'cmp_1', type: 'compaction' }], usage }
    const facts = readWhole(prepared('openai', '/v1/responses/compact', body), answer)
    expect(counts(facts.usage)).toEqual({ tokens: { input: 90, cached_input: 64, output: 163 }, reasoning: 100 })
    expect(facts.providerId).toBe('resp_1')
    expect(call.objects).toEqual(['resp_0'])
  })

  test('takes no limit: what it may write is held at the output rate', () => {
    const text = JSON.stringify(body)
    expect(sent('/v1/responses/compact', text, 50)).toBe(text)
    expect([call.generates, call.input.parts]).toEqual([false, { output: 16_384 }])
    expect(call.input.highTokens).toBeGreaterThan(16_384)
  })
})

describe('the text of documents', () => {
  test('a page counts as an image', () => {
    const call = prepared('openai', '/v1/ocr', {
      model: 'mistral-ocr',
      document: { type: 'image_url', image_url: 'https://x' },
    })
    const facts = readWhole(call, {
      pages: [],
      model: 'mistral-ocr',
      usage_info: { pages_processed: 3, doc_size_bytes: 9 },
    })
    expect(counts(facts.usage)).toEqual({ tokens: {}, units: { images: 3 } })
  })

  test.each([
    ['a picture', { document: { type: 'image_url', image_url: 'https://x' } }, 1],
    [
      'pages that are asked for',
      { document: { type: 'document_url', document_url: 'https://x' }, pages: [0, 1, 4] },
      3,
    ],
    ['what lies elsewhere', { document: { type: 'document_url', document_url: 'https://x' } }, 1000],
    ['what comes along', { document: { document_url: `data:application/pdf;base64,${'A'.repeat(3380)}` } }, 10],
  ])('%s: held for at most %3$s pages', (_name, body, images) => {
    expect(prepared('openai', '/v1/ocr', { model: 'm', ...body }).call).toMatchObject({
      units: { images },
      billedBy: ['images'],
    })
  })
})

describe('what names its model in another way', () => {
  test('an agent and a prompt are kept over there', () => {
    expect(prepared('openai', '/v1/agents/completions', { agent_id: 'ag-1', messages: [] }).call).toMatchObject({
      model: 'ag-1',
      unseenInput: true,
    })
    expect(prepared('openai', '/v1/prompts/pp-1/completions', { variables: { city: 'Rome' } }).call).toMatchObject({
      model: 'pp-1',
      unseenInput: true,
      generates: true,
    })
  })

  test('code between two texts is answered as a chat', () => {
    const call = prepared('openai', '/v1/fim/completions', {
      model: 'codestral',
      prompt: 'def f(',
      suffix: 'return a',
      stream: true,
    })
    const chunk = (content: string, more: object = {}) => ({
      id: 'c-1',
      object: 'chat.completion.chunk',
      model: 'codestral',
      choices: [{ index: 0, delta: { content }, finish_reason: null, ...more }],
    })
    const stream = data(chunk('a'), chunk('b'), chunk('c'))
    expect(readStream(call, 'sse', stream).outputTokens).toBe(3)
    expect(cutStream(call, 'sse', stream, 1)).toContain('"object":"chat.completion.chunk"')
  })
})

test('bare texts of Writer’s completions count, and a cut leaves nothing behind them', () => {
  const call = prepared('openai', '/v1/completions', { model: 'palmyra-x4', prompt: 'x', stream: true })
  const stream = data({ value: 'Sure' }, { value: ',' }, { value: ' here' })
  expect(readStream(call, 'sse', stream)).toMatchObject({ outputTokens: 3, finished: false, passed: stream })
  expect(cutStream(call, 'sse', stream, 2)).toBe(data({ value: 'Sure' }, { value: ',' }))
})

describe('Anthropic’s retired completions', () => {
  const request = {
    model: 'claude-2.1',
    prompt: '\n\nHuman: Why?\n\nAssistant:',
    max_tokens_to_sample: 100,
    stream: true,
  }
  const event = (completion: string, stop: string | null = null): string =>
    `event: completion\ndata: ${JSON.stringify({ type: 'completion', id: 'compl_1', completion, stop_reason: stop, model: 'claude-2.1' })}   \n\n`
  const stream = `${event(' Light')}event: ping\ndata: {"type": "ping"}\n\n${event(' scatters')}${event('', 'stop_sequence')}`

  test('a stream counts what it delivers: usage is never stated', () => {
    const read = readStream(prepared('anthropic', '/v1/complete', request), 'sse', stream)
    expect(read).toMatchObject({ outputTokens: 2, finished: true, facts: { usage: undefined, providerId: 'compl_1' } })
    expect(read.terminal).toContain('stop_sequence')
  })

  test('a whole answer is counted from its text', () => {
    const facts = readWhole(prepared('anthropic', '/v1/complete', { ...request, stream: false }), {
      id: 'compl_1',
      model: 'claude-2.1',
      completion: 'x'.repeat(40),
    })
    expect([facts.usage, facts.counted?.tokens.output]).toEqual([undefined, 10])
  })

  test('its limit has a name of its own; a cut says so', () => {
    const { metering, call } = prepared('anthropic', '/v1/complete', request)
    expect(call.outputLimit).toBe(100)
    const raw = Buffer.from('{"model":"claude-2.1"}')
    const empty = prepared('anthropic', '/v1/complete', '{"model":"claude-2.1"}')
    expect(metering.prepare(raw, empty.call, { outputLimit: 5, upstream: UPSTREAM }).toString()).toBe(
      '{"max_tokens_to_sample":5,"model":"claude-2.1"}',
    )
    expect(cutStream(prepared('anthropic', '/v1/complete', request), 'sse', stream, 1)).toContain(
      '"stop_reason":"max_tokens"',
    )
  })
})
