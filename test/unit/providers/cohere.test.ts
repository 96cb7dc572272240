/** Cohere's v1 and v2. Answers are composed after its documents and after recorded ones; none was captured. */
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { InvalidCall } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { testUpstream } from '../../recordings/recordings.ts'
import { wavFile } from '../../support/audio-files.ts'
import { NO_HEADERS } from '../../support/call-source.ts'
import { type Field, formBody, formSource } from '../../support/form.ts'
import { counts, cutStream, prepared, readStream, readWhole } from '../../support/read-answer.ts'

const UPSTREAM = testUpstream('https://api.cohere.com', { format: 'cohere' })
const V2 = { model: 'command-a-03-2025', stream: true, messages: [{ role: 'user', content: 'Hello' }] }
const V1 = { model: 'command-r', stream: true, message: 'Hello' }
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1', { rule: 'funds' })

const events = (...all: readonly { readonly type: string }[]): string =>
  all.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
const lines = (...all: readonly object[]): string => all.map((line) => `${JSON.stringify(line)}\n`).join('')
const v2 = (type: string, more: object): { readonly type: string } => ({ type, ...more })
const text = (index: number, piece: string) =>
  v2('content-delta', { index, delta: { message: { content: { text: piece } } } })
const usage = {
  billed_units: { input_tokens: 5, output_tokens: 3 },
  tokens: { input_tokens: 206, output_tokens: 9, reasoning_tokens: 2 },
  cached_tokens: 192,
}
const V2_STREAM = `${events(
  v2('message-start', { id: 'm-1', delta: { message: { role: 'assistant', content: [] } } }),
  v2('content-start', { index: 0, delta: { message: { content: { type: 'thinking', thinking: '' } } } }),
  v2('content-delta', { index: 0, delta: { message: { content: { thinking: 'hm' } } } }),
  v2('content-end', { index: 0 }),
  v2('content-start', { index: 1, delta: { message: { content: { type: 'text', text: '' } } } }),
  text(1, 'Grüße'),
  text(1, ' ☕'),
  v2('citation-start', {
    index: 0,
    delta: { message: { citations: { start: 0, end: 5, text: 'Grüße', sources: [] } } },
  }),
  v2('citation-end', { index: 0 }),
  v2('content-end', { index: 1 }),
  v2('message-end', { delta: { finish_reason: 'COMPLETE', usage } }),
)}data: [DONE]\n\n`

describe('what Cohere billed is charged, not the tokens that its models read', () => {
  test.each([
    ['billed units beside tokens', usage, { tokens: { input: 5, output: 3 }, reasoning: 2 }],
    ['an embedding', { billed_units: { input_tokens: 7, image_tokens: 0 } }, { tokens: { input: 7 } }],
    [
      'an embedding of pictures by the token',
      { billed_units: { image_tokens: 300 } },
      { tokens: { image_input: 300 } },
    ],
    ['an embedding of pictures by the piece', { billed_units: { images: 2 } }, { tokens: {}, units: { images: 2 } }],
    ['a rerank', { billed_units: { search_units: 2 } }, { tokens: {}, units: { searches: 2 } }],
    ['a classification', { billed_units: { classifications: 3 } }, { tokens: {}, units: { requests: 3 } }],
    ['explicit zero is zero', { billed_units: { input_tokens: 0 } }, { tokens: { input: 0 } }],
    [
      'tokens alone stand in, and say so',
      { tokens: { input_tokens: 9, output_tokens: 4 } },
      { tokens: { input: 9, output: 4 }, flags: ['billed_units_missing'] },
    ],
    [
      'an absurd count is left out, and says so',
      { billed_units: { input_tokens: -4, output_tokens: 3 } },
      { tokens: { output: 3 }, flags: ['unreadable_count'] },
    ],
    [
      'reasoning stays within what was billed',
      { billed_units: { input_tokens: 1, output_tokens: 2 }, tokens: { reasoning_tokens: 90 } },
      { tokens: { input: 1, output: 2 }, reasoning: 2 },
    ],
    ['nothing stated', { api_version: { version: '2' } }, undefined],
    ['no object', 'x', undefined],
  ])('%s', (_name, stated, expected) => {
    const facts = readWhole(prepared('cohere', '/v2/chat', V2), { id: 'a', usage: stated })
    expect(counts(facts.usage)).toEqual(expected)
  })

  test('where each endpoint states it', () => {
    const meta = { api_version: { version: '1' }, billed_units: { input_tokens: 2, output_tokens: 1 } }
    const expected = { tokens: { input: 2, output: 1 } }
    const chat = readWhole(prepared('cohere', '/v1/chat', V1), { response_id: 'r-1', text: '"meta":{}', meta })
    expect(counts(chat.usage)).toEqual(expected)
    expect(chat.providerId).toBe('r-1')
    const generate = readWhole(prepared('cohere', '/v1/generate', { prompt: 'x' }), {
      id: 'g-1',
      meta,
      generations: [],
    })
    expect(counts(generate.usage)).toEqual(expected)
    for (const path of ['/v1/embed', '/v2/embed']) {
      const embed = readWhole(prepared('cohere', path, { model: 'e', texts: ['a'] }), {
        id: 'e-1',
        embeddings: [[1]],
        meta,
      })
      expect(counts(embed.usage)).toEqual(expected)
    }
  })

  test('a rerank that states nothing is counted from what it ranks', () => {
    const documents = Array.from({ length: 201 }, (_, index) => `document ${index}`)
    const call = prepared('cohere', '/v2/rerank', { model: 'rerank-v3.5', query: 'q', documents })
    expect(call.call.units).toEqual({ searches: 3 })
    expect(counts(readWhole(call, { id: 'x', results: [] }).counted)).toEqual({ tokens: {}, units: { searches: 3 } })
  })
})

describe('a stream is metered and passed on byte for byte, wherever it is cut', () => {
  test('v2', () => {
    const read = readStream(prepared('cohere', '/v2/chat', V2), 'sse', V2_STREAM)
    expect(read.passed).toBe(V2_STREAM)
    expect(counts(read.facts.usage)).toEqual({ tokens: { input: 5, output: 3 }, reasoning: 2 })
    expect(read).toMatchObject({ finished: true, failed: false, outputTokens: 3, facts: { providerId: 'm-1' } })
    expect(read.terminal).toContain('message-end')
  })

  test('v2, tools and a plan: what is generated counts, sources do not', () => {
    const call = prepared('cohere', '/v2/chat', V2)
    const stream = events(
      v2('tool-plan-delta', { delta: { message: { tool_plan: 'I' } } }),
      v2('tool-call-start', {
        index: 0,
        delta: { message: { tool_calls: { id: 'x', function: { name: 'f', arguments: '' } } } },
      }),
      v2('tool-call-delta', { index: 0, delta: { message: { tool_calls: { function: { arguments: '{}' } } } } }),
      v2('citation-start', { index: 0, delta: { message: { citations: { text: 'long text of a source' } } } }),
    )
    expect(readStream(call, 'sse', stream)).toMatchObject({ outputTokens: 3, finished: false, failed: false })
  })

  const end = {
    is_finished: true,
    event_type: 'stream-end',
    finish_reason: 'COMPLETE',
    response: { response_id: 'r-1', text: 'ab', meta: { billed_units: { input_tokens: 7, output_tokens: 2 } } },
  }
  const v1Lines = [
    { is_finished: false, event_type: 'stream-start', generation_id: 'g-1' },
    { is_finished: false, event_type: 'search-results', documents: [{ text: 'of a page' }] },
    { is_finished: false, event_type: 'text-generation', text: 'Grüße' },
    { is_finished: false, event_type: 'text-generation', text: ' ☕' },
  ]

  test('v1, lines', () => {
    const read = readStream(prepared('cohere', '/v1/chat', V1), 'ndjson', lines(...v1Lines, end))
    expect(read.passed).toBe(lines(...v1Lines, end))
    expect(counts(read.facts.usage)).toEqual({ tokens: { input: 7, output: 2 } })
    expect(read).toMatchObject({ finished: true, failed: false, facts: { providerId: 'r-1' } })
  })

  test('v1, server-sent events', () => {
    const stream = [...v1Lines, end]
      .map((line) => `event: ${line.event_type}\ndata: ${JSON.stringify(line)}\n\n`)
      .join('')
    const read = readStream(prepared('cohere', '/v1/chat', V1), 'sse', stream)
    expect(counts(read.facts.usage)).toEqual({ tokens: { input: 7, output: 2 } })
  })

  test('v1, text counts before usage says it', () => {
    expect(readStream(prepared('cohere', '/v1/chat', V1), 'ndjson', lines(...v1Lines)).outputTokens).toBe(3)
  })

  test('generate, several at once', () => {
    const call = prepared('cohere', '/v1/generate', { prompt: 'x', stream: true, num_generations: 2 })
    expect(call.call.answers).toBe(2)
    const read = readStream(
      call,
      'ndjson',
      lines(
        { event_type: 'text-generation', text: 'a', index: 0, is_finished: false },
        { event_type: 'text-generation', text: 'b', index: 1, is_finished: false },
        {
          event_type: 'stream-end',
          is_finished: true,
          finish_reason: 'COMPLETE',
          response: { id: 'g-1', meta: usage },
        },
      ),
    )
    expect(counts(read.facts.usage)?.tokens).toEqual({ input: 5, output: 3 })
  })

  test('a last line too large to be kept still says what was billed', () => {
    const { metering, call } = prepared('cohere', '/v1/chat', V1)
    const reader = metering.createStreamReader(call, 'ndjson', NO_HEADERS)
    reader.onOversized(
      Buffer.from('{"is_finished":true'),
      Buffer.from('…","meta":{"billed_units":{"input_tokens":9}}},"x":1}'),
    )
    expect(reader.facts.usage?.tokens).toEqual({ input: 9 })
    expect(reader.finished).toBe(true)
  })

  test.each([
    ['v2', '/v2/chat', V2, 'sse', events(v2('message-end', { delta: { finish_reason: 'ERROR', error: 'no' } }))],
    ['v1', '/v1/chat', V1, 'ndjson', lines({ event_type: 'stream-end', finish_reason: 'ERROR', response: {} })],
    ['v1, a bare error', '/v1/chat', V1, 'ndjson', lines({ message: 'internal server error' })],
  ] as const)('a failure inside the 200 is seen: %s', (_name, path, request, framing, stream) => {
    expect(readStream(prepared('cohere', path, request), framing, stream).failed).toBe(true)
  })
})

describe('a cut stream ends as one that stopped for its length', () => {
  test('v2: what is open is closed, then message-end and [DONE]', () => {
    const cut = cutStream(prepared('cohere', '/v2/chat', V2), 'sse', V2_STREAM, 3) ?? ''
    const types = [...cut.matchAll(/^event: (.*)$/gm)].map((found) => found[1])
    expect(types.slice(-3)).toEqual(['content-delta', 'content-end', 'message-end'])
    expect(cut).toMatch(
      /"finish_reason":"MAX_TOKENS","usage":\{"billed_units":\{"input_tokens":\d+,"output_tokens":3\}/,
    )
    expect(cut.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  test('v2, before the first event', () => {
    const { metering, call } = prepared('cohere', '/v2/chat', V2)
    const ending = metering.createStreamReader(call, 'sse', NO_HEADERS).cutEnding().toString()
    expect(ending.startsWith('event: message-start\n')).toBe(true)
  })

  test('v1: stream-end with the text so far', () => {
    const stream = lines(
      { is_finished: false, event_type: 'stream-start', generation_id: 'g-1' },
      { is_finished: false, event_type: 'text-generation', text: 'Sie sagte: "hm"\n' },
      { is_finished: false, event_type: 'text-generation', text: 'zu viel' },
    )
    const cut = cutStream(prepared('cohere', '/v1/chat', V1), 'ndjson', stream, 4) ?? ''
    const last = JSON.parse(cut.trim().split('\n').at(-1) ?? '')
    expect(last).toMatchObject({
      is_finished: true,
      event_type: 'stream-end',
      finish_reason: 'MAX_TOKENS',
      response: { text: 'Sie sagte: "hm"\n', generation_id: 'g-1', finish_reason: 'MAX_TOKENS' },
    })
    expect(last.response.meta.billed_units.output_tokens).toBeGreaterThan(0)
  })

  test('an error ends a stream in the words of the format', () => {
    const v2Call = prepared('cohere', '/v2/chat', V2)
    const v2Error = v2Call.metering.createStreamReader(v2Call.call, 'sse', NO_HEADERS).errorEvent(ERROR).toString()
    expect(v2Error).toContain('"finish_reason":"ERROR","error":"The wallet is empty."')
    const v1Call = prepared('cohere', '/v1/chat', V1)
    const v1Error = v1Call.metering.createStreamReader(v1Call.call, 'ndjson', NO_HEADERS).errorEvent(ERROR).toString()
    expect(JSON.parse(v1Error)).toMatchObject({ event_type: 'stream-end', finish_reason: 'ERROR', err: ERROR.message })
  })
})

describe('a call is read', () => {
  test('v2: limit, thinking, schema, tools, documents', () => {
    const { call } = prepared('cohere', '/v2/chat', {
      ...V2,
      max_tokens: 300,
      thinking: { type: 'enabled', token_budget: 200 },
      response_format: { type: 'json_object', json_schema: { type: 'object' } },
      tools: [{ type: 'function', function: { name: 'f' } }],
      documents: [{ id: '1', data: { text: 'Ruby was made in 1993.' } }],
    })
    expect(call).toMatchObject({
      model: 'command-a-03-2025',
      stream: true,
      generates: true,
      outputLimit: 300,
      thinkingBudget: 200,
      reasoning: true,
      structured: true,
      tools: true,
      unseenInput: false,
    })
    expect(call.input.highTokens).toBeGreaterThan(prepared('cohere', '/v2/chat', V2).call.input.highTokens + 10)
  })

  test('v2: documents of a tool’s result are text, pictures are never counted as text', () => {
    const base64 = `data:image/png;base64,${'A'.repeat(400_000)}`
    const { call } = prepared('cohere', '/v2/chat', {
      model: 'm',
      messages: [
        { role: 'user', content: [{ type: 'image_url', image_url: { url: base64 } }] },
        { role: 'tool', tool_call_id: 'x', content: [{ type: 'document', document: { data: '{"a":1}' } }] },
      ],
    })
    expect(call.unseenInput).toBe(false)
    expect(call.input.highTokens).toBeLessThan(5000)
  })

  test('v1: connectors and stored conversations read what no body shows', () => {
    expect(prepared('cohere', '/v1/chat', { ...V1, connectors: [{ id: 'web-search' }] }).call.unseenInput).toBe(true)
    expect(prepared('cohere', '/v1/chat', { ...V1, conversation_id: 'c-1' }).call).toMatchObject({
      unseenInput: true,
      objects: ['c-1'],
    })
    expect(prepared('cohere', '/v1/chat', { message: 'Hello' }).call).toMatchObject({ model: '', stream: false })
  })

  test('embed: pictures by the piece and by the token', () => {
    const { call } = prepared('cohere', '/v2/embed', {
      model: 'embed-v4.0',
      images: [`data:image/png;base64,${'A'.repeat(99_999)}`],
    })
    expect(call).toMatchObject({ generates: false, units: { images: 1 }, billedBy: ['images'] })
    expect(call.input.highTokens).toBeLessThan(5000)
  })

  test.each([
    ['/v2/chat', '{"messages":[]}', 'model'],
    ['/v2/chat', '{"model":"m","max_tokens":"9"}', 'max_tokens'],
    ['/v2/chat', '{"model":"m","stream":"yes"}', 'stream'],
    ['/v2/chat', '{"model":"m","model":"n"}', 'model'],
    ['/v2/chat', '{"model":"m","MAX_TOKENS":9}', 'max_tokens'],
    ['/v1/chat', '{"messages":[]}', 'message'],
    ['/v1/generate', '{"prompt":"x","num_generations":0}', 'num_generations'],
    ['/v2/embed', '{"model":"m"}', 'texts'],
    ['/v2/rerank', '{"model":"m","documents":[]}', 'query'],
    ['/v2/rerank', '{"model":"m","query":"q","documents":"x"}', 'documents'],
  ])('%s %s is refused by its field', (path, body, field) => {
    expect(() => prepared('cohere', path, body)).toThrow(expect.objectContaining({ field }))
    expect(() => prepared('cohere', path, body)).toThrow(InvalidCall)
  })

  test.each([
    ['a limit is added', '{"model":"m"}', '{"max_tokens":50,"model":"m"}'],
    ['a higher one is lowered', '{"model":"m","max_tokens": 80}', '{"model":"m","max_tokens": 50}'],
    ['a lower one stays', '{"model":"m","max_tokens":20}', '{"model":"m","max_tokens":20}'],
  ])('%s', (_name, body, expected) => {
    const { metering, call } = prepared('cohere', '/v2/chat', body)
    const sent = metering.prepare(Buffer.from(body), call, { outputLimit: 50, upstream: UPSTREAM })
    expect(sent.toString()).toBe(expected)
  })
})

describe('a transcription, of which nothing is ever stated', () => {
  const read = async (fields: readonly Field[]) => {
    const metering = providers.get('cohere')?.match('POST', '/v2/audio/transcriptions')?.operation.metering
    if (!metering) throw new Error('not metered')
    const body = formBody(fields)
    return { metering, call: metering.readCall(body, await formSource(body)) }
  }

  test('is held and counted by the length of its audio', async () => {
    const call = await read([
      ['model', 'cohere-transcribe'],
      ['file', wavFile(4), 'a.wav'],
    ])
    expect(call.call).toMatchObject({ model: 'cohere-transcribe', billedBy: ['seconds'], generates: false })
    expect(call.call.units?.seconds).toBeGreaterThanOrEqual(4)
    const facts = readWhole(call, { text: 'Ruby is a language.' })
    expect([facts.usage, counts(facts.counted)]).toEqual([
      undefined,
      { tokens: { audio_input: 50, output: 5 }, units: { seconds: 4 } },
    ])
  })

  test.each([
    [[['file', wavFile(1), 'a.wav']], 'model'],
    [[['model', 'm']], 'file'],
    [
      [
        ['model', 'm'],
        ['model', 'n'],
        ['file', wavFile(1), 'a.wav'],
      ],
      'model',
    ],
  ] as readonly (readonly [readonly Field[], string])[])(
    'without a part it needs it is refused',
    async (fields, field) => {
      await expect(read(fields)).rejects.toThrow(expect.objectContaining({ field }))
    },
  )
})

test.each([
  ['POST', '/v1/chat', 'metered chat'],
  ['POST', '/v2/chat', 'metered chat'],
  ['POST', '/v1/generate', 'metered generate'],
  ['POST', '/v1/embed', 'metered embeddings'],
  ['POST', '/v2/embed', 'metered embeddings'],
  ['POST', '/v1/rerank', 'metered rerank'],
  ['POST', '/prefix/v2/rerank', 'metered rerank'],
  ['POST', '/v1/classify', 'metered embeddings'],
  ['POST', '/v2/audio/transcriptions', 'metered transcriptions'],
  ['POST', '/v1/audio/transcriptions', 'none'],
  ['POST', '/v1/tokenize', 'free count_tokens'],
  ['POST', '/v1/detokenize', 'free count_tokens'],
  ['GET', '/v1/chat', 'none'],
  ['POST', '/chat', 'none'],
  ['POST', '/v3/chat', 'none'],
  ['POST', '/v1/embed-jobs', 'none'],
  ['POST', '/v1/chat/completions', 'none'],
  ['POST', '/v2/chat%2f..', 'none'],
] as const)('%s %s: %s', (method, path, expected) => {
  const found = providers.get('cohere')?.match(method, path)
  expect(found ? `${found.operation.kind} ${found.operation.endpoint}` : 'none').toBe(expected)
})

test('a refusal has Cohere’s shape', () => {
  const { contentType, body } = providers.get('cohere')?.errorBody(ERROR) ?? {}
  expect(contentType).toBe('application/json')
  expect(JSON.parse(body ?? '')).toMatchObject({
    id: 'req_1',
    message: 'The wallet is empty.',
    tollgate: { code: 'insufficient_funds', rule: 'funds', request_id: 'req_1' },
  })
})
