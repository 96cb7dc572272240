/** How calls in Google's formats are read and edited. */
import { describe, expect, test } from 'vitest'
import type { CallRequest, Metering } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { testUpstream } from '../../recordings/recordings.ts'

const UPSTREAM = testUpstream('https://generativelanguage.googleapis.com')
const GENERATE = '/v1beta/models/gemini-2.5-flash:generateContent'

function meteringOf(path: string): Metering {
  for (const format of ['gemini', 'vertex'] as const) {
    const metering = providers.get(format)?.match('POST', path)?.operation.metering
    if (metering) return metering
  }
  throw new Error(path)
}

function read(path: string, body: object | string, query = '', headers = {}): CallRequest {
  const raw = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return meteringOf(path).readCall(raw, { path, query, headers, jsonDepth: 128 })
}

function prepare(path: string, body: string, outputLimit: number | undefined): string {
  const raw = Buffer.from(body)
  const metering = meteringOf(path)
  const call = metering.readCall(raw, { path, query: '', headers: {}, jsonDepth: 128 })
  const prepared = metering.prepare(raw, call, { outputLimit, upstream: UPSTREAM })
  if (prepared.equals(raw)) expect(prepared).toBe(raw)
  JSON.parse(prepared.toString())
  return prepared.toString()
}

const contents = [{ role: 'user', parts: [{ text: 'Hi' }] }]

describe('the path names the model', () => {
  test.each([
    [GENERATE, 'gemini-2.5-flash', false],
    ['/v1beta/models/gemini-2.5-flash:streamGenerateContent', 'gemini-2.5-flash', true],
    ['/v1beta/models/gemini%2D2.5-flash:generateContent', 'gemini-2.5-flash', false],
    ['/v1beta/tunedModels/my-tune:generateContent', 'tunedModels/my-tune', false],
    ['/v1/projects/p/locations/l/endpoints/123:streamGenerateContent', 'endpoints/123', true],
    ['/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent', 'gemini-2.5-pro', false],
  ])('%s', (path, model, stream) => {
    expect(read(path, { contents })).toMatchObject({ model, stream, generates: true })
  })

  test.each([
    ['/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict', false],
    ['/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5%4020250929:streamRawPredict', true],
  ])('%s', (path, stream) => {
    const call = read(path, { anthropic_version: 'vertex-2023-10-16', max_tokens: 77, messages: [] })
    expect(call).toMatchObject({ model: 'claude-sonnet-4-5@20250929', stream, outputLimit: 77 })
  })

  test('a body that names the same model is taken, another one refused', () => {
    for (const model of ['models/gemini-2.5-flash', 'gemini-2.5-flash', 'publishers/google/models/gemini-2.5-flash'])
      expect(read(GENERATE, { model, contents }).model).toBe('gemini-2.5-flash')
    expect(() => read(GENERATE, { model: 'models/gemini-2.5-pro', contents })).toThrow(/"model" names another model/)
    expect(() =>
      read('/v1beta/models/gemini-embedding-001:batchEmbedContents', { requests: [{ model: 'models/other' }] }),
    ).toThrow(/"model" names another model/)
  })
})

describe('what a call asks for', () => {
  test.each([
    ['nothing', {}, { outputLimit: undefined, answers: 1, reasoning: false, thinkingBudget: 0 }],
    ['a limit', { maxOutputTokens: 100 }, { outputLimit: 100 }],
    ['a limit in the other spelling', { max_output_tokens: 100 }, { outputLimit: 100 }],
    ['several answers', { candidateCount: 3 }, { answers: 3 }],
    ['a thinking budget', { thinkingConfig: { thinkingBudget: 512 } }, { reasoning: true, thinkingBudget: 512 }],
    [
      'as much thinking as it likes',
      { thinking_config: { thinking_budget: -1 } },
      { reasoning: true, thinkingBudget: 0 },
    ],
    ['no thinking', { thinkingConfig: { thinkingBudget: 0, includeThoughts: true } }, { reasoning: false }],
    ['a thinking level', { thinkingConfig: { thinkingLevel: 'high' } }, { reasoning: true }],
    ['thoughts to be shown', { thinkingConfig: { includeThoughts: true } }, { reasoning: true }],
    ['a schema', { responseMimeType: 'application/json', responseSchema: { type: 'OBJECT' } }, { structured: true }],
    ['JSON of any shape', { responseMimeType: 'application/json' }, { structured: false }],
    ['speech', { responseModalities: ['AUDIO'] }, { audioOutput: true }],
    [
      'pictures',
      { responseModalities: ['TEXT', 'IMAGE'] },
      { audioOutput: false, imageOutput: true, leastOutputTokens: 1290 },
    ],
    [
      'large pictures',
      { responseModalities: ['IMAGE'], imageConfig: { imageSize: '4K' } },
      { imageOutput: true, leastOutputTokens: 2520 },
    ],
  ])('%s', (_name, generationConfig, expected) => {
    expect(read(GENERATE, { contents, generationConfig })).toMatchObject(expected)
    expect(read(GENERATE, { contents, generation_config: generationConfig })).toMatchObject(expected)
  })

  test.each([
    ['functions', [{ functionDeclarations: [{ name: 'f' }] }], { tools: true, unseenInput: false }],
    ['a search', [{ googleSearch: {} }], { tools: true, unseenInput: true, units: { web_search: 1 } }],
    ['a search in the other spelling', [{ google_search: {} }], { unseenInput: true, units: { web_search: 1 } }],
    ['pages', [{ urlContext: {} }], { unseenInput: true }],
    ['code', [{ functionDeclarations: [] }, { codeExecution: {} }], { unseenInput: true }],
  ])('tools: %s', (_name, tools, expected) => {
    expect(read(GENERATE, { contents, tools })).toMatchObject(expected)
  })

  test('a model that bills each query is held for several', () => {
    const call = read('/v1beta/models/gemini-3.5-flash:generateContent', { contents, tools: [{ googleSearch: {} }] })
    expect(call.units?.web_search).toBeGreaterThan(1)
  })

  test('tiers', () => {
    expect(read(GENERATE, { contents, serviceTier: 'FLEX' }).serviceTier).toBe('flex')
    expect(read(GENERATE, { contents }, '', { 'x-vertex-ai-llm-shared-request-type': 'priority' }).serviceTier).toBe(
      'priority',
    )
    expect(read(GENERATE, { contents }).serviceTier).toBeUndefined()
  })

  test('what is stored at the provider is an object, what stands elsewhere is not seen', () => {
    const uri = 'https://generativelanguage.googleapis.com/v1beta/files/abc-123'
    const parts = [{ fileData: { fileUri: uri, mimeType: 'image/png' } }]
    expect(read(GENERATE, { contents: [{ parts }] })).toMatchObject({ objects: ['abc-123'], unseenInput: true })
    expect(read(GENERATE, { contents: [{ parts: [{ file_data: { file_uri: uri } }] }] }).objects).toEqual(['abc-123'])
    expect(read(GENERATE, { contents, cachedContent: 'cachedContents/c1' })).toMatchObject({
      objects: ['c1'],
      unseenInput: true,
    })
    expect(
      read(GENERATE, { contents: [{ parts: [{ fileData: { fileUri: 'https://www.youtube.com/watch?v=1' } }] }] }),
    ).toMatchObject({ objects: [], unseenInput: true })
  })
})

describe('an address names a file of the Files API, or none', () => {
  const files = (fileUri: string): readonly string[] =>
    read(GENERATE, { contents: [{ parts: [{ fileData: { fileUri } }, { fileData: { fileUri } }] }] }).objects
  test.each([
    ['https://generativelanguage.googleapis.com/v1beta/files/abc-1', ['abc-1']],
    ['HTTPS://GenerativeLanguage.googleapis.com/v1/files/abc-1', ['abc-1']],
    ['files/abc-1', ['abc-1']],
    ['gs://bucket/files/abc', []],
    ['https://www.youtube.com/watch?v=files/1', []],
    ['https://example.com/files/abc', []],
    ['https://storage.googleapis.com/bucket/files/abc.png?x=1', []],
    ['', []],
  ])('%s', (uri, ids) => {
    expect(files(uri)).toEqual(ids)
  })

  test.each([
    'https://generativelanguage.googleapis.com/v1beta/files/abc?alt=media',
    'https://generativelanguage.googleapis.com/v1beta/files/abc#x',
    'https://generativelanguage.googleapis.com/v1beta/files/abc/',
    'https://generativelanguage.googleapis.com/v1beta/files/%61bc',
    'https://generativelanguage.googleapis.com./v1beta/x/files/abc',
    'https://generativelanguage.googleapis.com/v1beta/cachedContents/abc',
    'generativelanguage.googleapis.com/v1beta/files/abc',
    'files/abc:download',
  ])('%s hides what it means', (uri) => {
    expect(() => files(uri)).toThrow(/no address of a file/)
  })

  test('stores that tools search are objects too', () => {
    const tools = [
      { fileSearch: { fileSearchStoreNames: ['fileSearchStores/a', 'fileSearchStores/b'] } },
      { retrieval: { vertexRagStore: { ragResources: [{ ragCorpus: 'projects/p/locations/l/ragCorpora/77' }] } } },
    ]
    expect(read(GENERATE, { contents, tools })).toMatchObject({ objects: ['a', 'b', '77'], unseenInput: true })
  })
})

describe('input is counted high, and low', () => {
  const png = (width: number, height: number): string => {
    const head = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
    const size = Buffer.alloc(8)
    size.writeUInt32BE(width, 0)
    size.writeUInt32BE(height, 4)
    return Buffer.concat([head, size, Buffer.alloc(200)]).toString('base64')
  }
  const blob = (mimeType: string, data: string) => [{ parts: [{ inlineData: { mimeType, data } }] }]

  test('text in every place', () => {
    const text = 'word '.repeat(1000)
    const bare = read(GENERATE, { contents }).input.highTokens
    for (const body of [
      { contents: [{ parts: [{ text }] }] },
      { contents, systemInstruction: { parts: [{ text }] } },
      { contents, system_instruction: { parts: [{ text }] } },
      { contents, tools: [{ functionDeclarations: [{ description: text }] }] },
      { contents, generationConfig: { responseSchema: { description: text } } },
      { contents: [{ parts: [{ functionResponse: { response: { text } } }] }] },
      {
        contents: [{ parts: [{ inlineData: { mimeType: 'text/plain', data: Buffer.from(text).toString('base64') } }] }],
      },
    ])
      expect(read(GENERATE, body).input.highTokens).toBeGreaterThanOrEqual(bare + 1000)
  })

  test('a picture by its tiles, or by the resolution of a later model', () => {
    const small = read(GENERATE, { contents: blob('image/png', png(200, 200)) }).input
    expect(small.parts?.image_input).toBe(258)
    const large = read(GENERATE, { contents: blob('image/png', png(1024, 1024)) }).input
    expect(large.parts?.image_input).toBeGreaterThanOrEqual(1290)
    expect(large.highTokens).toBeGreaterThan(large.parts?.image_input ?? 0)
    const three = (more: object): number | undefined =>
      read('/v1beta/models/gemini-3-pro:generateContent', { contents: blob('image/png', png(9000, 9000)), ...more })
        .input.parts?.image_input
    expect(three({})).toBe(1120)
    expect(three({ generationConfig: { mediaResolution: 'MEDIA_RESOLUTION_ULTRA_HIGH' } })).toBe(2240)
  })

  test('sound by its length', () => {
    const wav = Buffer.alloc(44 + 480_000)
    wav.write('RIFF', 0)
    wav.write('WAVEfmt ', 8)
    wav.writeUInt32LE(48_000, 28)
    const ten = read(GENERATE, { contents: blob('audio/wav', wav.toString('base64')) }).input.parts?.audio_input
    expect(ten).toBeGreaterThanOrEqual(320)
    expect(ten).toBeLessThan(450)
    const mp3 = read(GENERATE, { contents: blob('audio/mp3', Buffer.alloc(16_000).toString('base64')) })
    expect(mp3.input.parts?.audio_input).toBeGreaterThanOrEqual(16 * 32)
  })

  test('a film by the length that its header states; of any other it cannot be seen', () => {
    const box = Buffer.alloc(40)
    box.write('mvhd', 4)
    box.writeUInt32BE(1000, 20)
    box.writeUInt32BE(60_000, 24)
    const data = Buffer.concat([Buffer.alloc(40), box, Buffer.alloc(40)]).toString('base64')
    const film = read(GENERATE, { contents: blob('video/mp4', data) })
    expect(film.unseenInput).toBe(false)
    expect(film.input.parts?.video_input).toBeGreaterThanOrEqual(60 * 295)
    const fast = [{ parts: [{ inlineData: { mimeType: 'video/mp4', data }, videoMetadata: { fps: 5 } }] }]
    expect(read(GENERATE, { contents: fast }).input.parts?.video_input).toBeGreaterThanOrEqual(5 * 60 * 258)
    expect(read(GENERATE, { contents: blob('video/webm', 'AAAA') }).unseenInput).toBe(true)
  })

  test('a document by its pages; of a compressed one they cannot be seen', () => {
    const pdf = '%PDF-1.3 <</Type /Pages /Kids [] /Count 12>> <</Type /Page>> <</Type/Page>>'
    const read12 = read(GENERATE, { contents: blob('application/pdf', Buffer.from(pdf).toString('base64')) })
    expect(read12.unseenInput).toBe(false)
    expect(read12.input.highTokens).toBeGreaterThanOrEqual(12 * 258)
    expect(
      read(GENERATE, { contents: blob('application/pdf', Buffer.from('%PDF').toString('base64')) }).unseenInput,
    ).toBe(true)
  })

  test('embeddings: one or many, and nothing generated', () => {
    const many = {
      requests: [{ content: { parts: [{ text: 'one two' }] } }, { content: { parts: [{ text: 'three' }] } }],
    }
    expect(read('/v1beta/models/gemini-embedding-001:batchEmbedContents', many)).toMatchObject({
      model: 'gemini-embedding-001',
      generates: false,
      stream: false,
    })
    const one = read('/v1beta/models/gemini-embedding-001:embedContent', {
      content: { parts: [{ text: 'word '.repeat(100) }] },
    })
    expect(one.input.highTokens).toBeGreaterThan(100)
  })

  test('predictions: texts, and pictures that are billed by the piece', () => {
    const path = (model: string): string => `/v1/projects/p/locations/l/publishers/google/models/${model}:predict`
    const text = read(path('text-embedding-005'), { instances: [{ content: 'word '.repeat(100) }] })
    expect(text).toMatchObject({ generates: false })
    expect(text.input.highTokens).toBeGreaterThan(100)
    expect(text.billedBy).toBeUndefined()
    const pictures = { instances: [{ prompt: 'a cat' }], parameters: { sampleCount: 3 } }
    expect(read(path('imagen-4.0-generate-001'), pictures)).toMatchObject({
      units: { images: 3 },
      billedBy: ['images'],
    })
    expect(read(path('imagen-4.0-generate-001'), { instances: [{ prompt: 'a cat' }] }).units).toEqual({ images: 1 })
  })
})

describe('a limit is written where Google reads it, and not a byte besides changes', () => {
  test.each([
    ['no object', '{"contents":[]}', '{"generationConfig":{"maxOutputTokens":50},"contents":[]}'],
    ['an empty body', '{ }', '{"generationConfig":{"maxOutputTokens":50} }'],
    ['null', '{"generationConfig": null}', '{"generationConfig": {"maxOutputTokens":50}}'],
    ['an empty object', '{"generationConfig":{ }}', '{"generationConfig":{"maxOutputTokens":50 }}'],
    ['others in it', '{"generationConfig":{"topK":1}}', '{"generationConfig":{"maxOutputTokens":50,"topK":1}}'],
    [
      'the other spelling',
      '{"generation_config":{"top_k":1}}',
      '{"generation_config":{"maxOutputTokens":50,"top_k":1}}',
    ],
    [
      'a higher one',
      '{"generationConfig":{"maxOutputTokens" : 900 }}',
      '{"generationConfig":{"maxOutputTokens" : 50 }}',
    ],
    [
      'a higher one, spelled',
      '{"generation_config":{"max_output_tokens":900}}',
      '{"generation_config":{"max_output_tokens":50}}',
    ],
    ['a null one', '{"generationConfig":{"maxOutputTokens":null}}', '{"generationConfig":{"maxOutputTokens":50}}'],
    ['a lower one', '{"generationConfig":{"maxOutputTokens":20}}', '{"generationConfig":{"maxOutputTokens":20}}'],
  ])('%s', (_name, body, expected) => {
    expect(prepare(GENERATE, body, 50)).toBe(expected)
    expect(prepare(GENERATE, body, undefined)).toBe(body)
  })

  test('an interaction has its own spelling', () => {
    const path = '/v1beta/interactions'
    expect(prepare(path, '{"model":"m","input":"x"}', 9)).toBe(
      '{"generation_config":{"max_output_tokens":9},"model":"m","input":"x"}',
    )
    expect(prepare(path, '{"model":"m","generation_config":{"max_output_tokens":90}}', 9)).toBe(
      '{"model":"m","generation_config":{"max_output_tokens":9}}',
    )
  })

  test('messages on Vertex', () => {
    const path = '/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict'
    expect(prepare(path, '{"max_tokens":900,"messages":[]}', 50)).toBe('{"max_tokens":50,"messages":[]}')
  })
})

describe('what could be read in two ways is refused', () => {
  test.each([
    ['both spellings', '{"generationConfig":{},"generation_config":{}}', /"generationConfig" is given twice/],
    [
      'both spellings of the limit',
      '{"generationConfig":{"maxOutputTokens":5,"max_output_tokens":900}}',
      /"generationConfig.maxOutputTokens" is given twice/,
    ],
    ['the limit twice', '{"generationConfig":{"maxOutputTokens":5,"maxOutputTokens":900}}', /given twice/],
    [
      'the limit twice by escapes',
      '{"generationConfig":{"maxOutputTokens":5,"m\\u0061xOutputTokens":900}}',
      /given twice/,
    ],
    ['contents twice', '{"contents":[],"contents":[]}', /"contents" is given twice/],
    ['another letter case', '{"GenerationConfig":{}}', /did you mean "generationConfig"/],
    [
      'another letter case of the limit',
      '{"generationConfig":{"MaxOutputTokens":5}}',
      /did you mean "maxOutputTokens"/,
    ],
    ['a limit in quotes', '{"generationConfig":{"maxOutputTokens":"5"}}', /whole number/],
    ['a limit of nothing', '{"generationConfig":{"maxOutputTokens":0}}', /whole number/],
    ['a fraction', '{"generationConfig":{"candidateCount":1.5}}', /whole number/],
    ['a config that is none', '{"generationConfig":[]}', /must be an object/],
    ['a budget below any', '{"generationConfig":{"thinkingConfig":{"thinkingBudget":-2}}}', /whole number/],
    ['no JSON', 'not json', /not a JSON object/],
  ])('%s', (_name, body, message) => {
    expect(() => read(GENERATE, body)).toThrow(message)
  })

  test.each([
    ['?alt=proto', {}],
    ['?%24alt=media', {}],
    ['?fields=candidates', {}],
    ['?$fields=candidates,modelVersion', {}],
    ['', { 'x-goog-fieldmask': 'candidates.content' }],
  ])('an answer in a form that hides its usage: %s', (query, headers) => {
    expect(() => read(GENERATE, { contents }, query, headers)).toThrow(/metered|charged/)
  })

  test.each([
    '?alt=sse',
    '?$alt=json;enum-encoding=int',
    '?%24alt=json%3Benum-encoding%3Dint',
    '?fields=candidates,usageMetadata',
    '?fields=*',
    '?prettyPrint=false',
  ])('an answer whose usage can be read: %s', (query) => {
    expect(read(GENERATE, { contents }, query).model).toBe('gemini-2.5-flash')
  })
})

describe('interactions', () => {
  const path = '/v1beta/interactions'
  test('name their model or agent in the body', () => {
    expect(read(path, { model: 'gemini-2.5-flash', input: 'Hi' })).toMatchObject({
      model: 'gemini-2.5-flash',
      stream: false,
    })
    expect(read(path, { model: 'models/gemini-2.5-flash', input: 'Hi', stream: true })).toMatchObject({
      model: 'gemini-2.5-flash',
      stream: true,
    })
    expect(read(path, { agent: 'deep-research', input: 'Hi' })).toMatchObject({
      model: 'deep-research',
      reasoning: true,
      unseenInput: true,
    })
    expect(() => read(path, { input: 'Hi' })).toThrow(/"model" is missing/)
  })

  test('read what an earlier one left, which belongs to who made it', () => {
    const call = read(path, { model: 'm', input: 'Hi', previous_interaction_id: 'v1_Abc' })
    expect(call).toMatchObject({ objects: ['v1_Abc'], unseenInput: true })
  })

  test('count texts, pictures and steps', () => {
    const image = { type: 'image', data: 'AAAA', mime_type: 'image/png' }
    const text = 'word '.repeat(500)
    const call = read(path, {
      model: 'gemini-3-flash',
      input: [
        { type: 'user_input', content: [{ type: 'text', text }, image] },
        { type: 'function_result', call_id: 'c', result: { text } },
      ],
      system_instruction: text,
      generation_config: { max_output_tokens: 70, thinking_level: 'low' },
    })
    expect(call.input.highTokens).toBeGreaterThan(1500 + 1120)
    expect(call).toMatchObject({ outputLimit: 70, reasoning: true, unseenInput: false })
  })
})
