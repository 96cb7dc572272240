/** Bedrock: models in paths, bodies in the words of many makers, usage in three places, and binary streams. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Upstream } from '../../../src/config/snapshot.ts'
import { errorFacts } from '../../../src/errors.ts'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import { encodeFrame, eventFrame, exceptionFrame } from '../../../src/providers/event-frame.ts'
import type { AnswerHeaders } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { NO_HEADERS } from '../../support/call-source.ts'
import { chunksOf, decodeFrames } from '../../support/frames.ts'
import { counts, type Prepared, prepared, readStream, readWhole } from '../../support/read-answer.ts'

const bedrock = providers.get('bedrock')
const HELLO = { messages: [{ role: 'user', content: [{ text: 'Hello there' }] }] }
const call = (operation: string, model: string, body: object): Prepared =>
  prepared('bedrock', `/model/${model}/${operation}`, body)
const headers = (values: Record<string, string>): AnswerHeaders => ({ get: (name) => values[name] })

// ---- paths

describe('the operation is the last segment, the model the one before it', () => {
  test.each([
    ['POST', '/model/amazon.nova-lite-v1%3A0/converse', 'metered converse'],
    ['POST', '/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/converse-stream', 'metered converse'],
    ['POST', '/bedrock/model/x/invoke', 'metered invoke'],
    [
      'POST',
      '/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aimported-model%2Fab/invoke-with-response-stream',
      'metered invoke',
    ],
    ['POST', '/model/arn:aws:bedrock:us-east-1:1:imported-model/ab/invoke', 'metered invoke'],
    ['POST', '/model/x/count-tokens', 'free count_tokens'],
    ['POST', '/guardrail/abc/version/1/apply', 'unmetered moderations'],
    ['GET', '/model/x/converse', 'none'],
    ['POST', '/model/x/constructor', 'none'],
    ['POST', '/model/x/invoke-with-bidirectional-stream', 'none'],
    ['POST', '/async-invoke', 'none'],
    ['POST', '/agents/A/agentAliases/B/sessions/C/text', 'none'],
    ['POST', '/knowledgebases/A/retrieve', 'none'],
    ['POST', '/retrieveAndGenerate', 'none'],
    ['POST', '/converse', 'none'],
  ])('%s %s: %s', (method, path, expected) => {
    const found = bedrock?.match(method, path)
    expect(found ? `${found.operation.kind} ${found.operation.endpoint}` : 'none').toBe(expected)
  })

  test.each([
    ['amazon.nova-lite-v1%3A0', 'amazon.nova-lite-v1:0'],
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'],
    [
      'arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-v1%3A0',
      'arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-v1:0',
    ],
    ['arn:aws:bedrock:us-east-1:1:provisioned-model/ab12', 'arn:aws:bedrock:us-east-1:1:provisioned-model/ab12'],
  ])('%s is the model %s', (segment, model) => {
    expect(call('converse', segment, HELLO).call.model).toBe(model)
    expect(bedrock?.match('POST', `/model/${segment}/count-tokens`)?.model).toBe(model)
  })

  test.each(['%FF', '-x', `a${'b'.repeat(256)}`, 'a%20b'])('%s is no model', (segment) => {
    expect(() => call('converse', segment, HELLO)).toThrow('The path names no model')
  })
})

// ---- limits

function written(operation: string, model: string, body: string, outputLimit: number): [string, string] {
  const path = `/model/${model}/${operation}`
  const { metering, call: read } = prepared('bedrock', path, body)
  const raw = Buffer.from(body)
  expect(metering.prepare(raw, read, { outputLimit: undefined, upstream: {} as Upstream })).toBe(raw)
  const edited = metering.prepare(raw, read, { outputLimit, upstream: {} as Upstream }).toString()
  JSON.parse(edited)
  return [edited, metering.outputLimitName(read, {} as Upstream)]
}

const ARN = 'arn:aws:bedrock:us-east-1:1:provisioned-model/ab'

describe('a limit is written where the model reads it, and every other byte stays', () => {
  test.each([
    [
      'converse',
      'x.y',
      '{"messages":[]}',
      '{"inferenceConfig":{"maxTokens":9},"messages":[]}',
      'inferenceConfig.maxTokens',
    ],
    ['converse', 'x.y', '{}', '{"inferenceConfig":{"maxTokens":9}}', 'inferenceConfig.maxTokens'],
    [
      'converse',
      'x.y',
      '{"inferenceConfig":{},"a":1}',
      '{"inferenceConfig":{"maxTokens":9},"a":1}',
      'inferenceConfig.maxTokens',
    ],
    [
      'converse',
      'x.y',
      '{"inferenceConfig" : null}',
      '{"inferenceConfig" : {"maxTokens":9}}',
      'inferenceConfig.maxTokens',
    ],
    [
      'converse',
      'x.y',
      '{"inferenceConfig":{"topP":1}}',
      '{"inferenceConfig":{"maxTokens":9,"topP":1}}',
      'inferenceConfig.maxTokens',
    ],
    [
      'converse',
      'x.y',
      '{"inferenceConfig":{"maxTokens": null }}',
      '{"inferenceConfig":{"maxTokens": 9 }}',
      'inferenceConfig.maxTokens',
    ],
    [
      'converse',
      'x.y',
      '{"inferenceConfig":{"maxTokens":100}}',
      '{"inferenceConfig":{"maxTokens":9}}',
      'inferenceConfig.maxTokens',
    ],
    [
      'converse',
      'x.y',
      '{"inferenceConfig":{"maxTokens":5}}',
      '{"inferenceConfig":{"maxTokens":5}}',
      'inferenceConfig.maxTokens',
    ],
    [
      'converse',
      'anthropic.claude',
      '{"additionalModelRequestFields":{"max_tokens":50}}',
      '{"additionalModelRequestFields":{"max_tokens":9}}',
      'additionalModelRequestFields.max_tokens',
    ],
    [
      'converse',
      'amazon.nova-x',
      '{"additionalModelRequestFields":{"inferenceConfig":{"max_new_tokens":50}}}',
      '{"additionalModelRequestFields":{"inferenceConfig":{"max_new_tokens":9}}}',
      'additionalModelRequestFields.inferenceConfig.max_new_tokens',
    ],
    [
      'converse',
      'x.y',
      '{"additionalModelRequestFields":{"max_gen_len":5}}',
      '{"inferenceConfig":{"maxTokens":9},"additionalModelRequestFields":{"max_gen_len":5}}',
      'inferenceConfig.maxTokens',
    ],
    ['invoke', 'anthropic.claude-3', '{"messages":[],"max_tokens":50}', '{"messages":[],"max_tokens":9}', 'max_tokens'],
    [
      'invoke',
      ARN,
      '{"anthropic_version":"bedrock-2023-05-31","messages":[]}',
      '{"max_tokens":9,"anthropic_version":"bedrock-2023-05-31","messages":[]}',
      'max_tokens',
    ],
    [
      'invoke',
      'anthropic.claude-v2',
      '{"prompt":"Human:"}',
      '{"max_tokens_to_sample":9,"prompt":"Human:"}',
      'max_tokens_to_sample',
    ],
    [
      'invoke',
      'amazon.nova-lite',
      '{"messages":[]}',
      '{"inferenceConfig":{"maxTokens":9},"messages":[]}',
      'inferenceConfig.maxTokens',
    ],
    [
      'invoke',
      'amazon.nova-lite',
      '{"inferenceConfig":{"max_new_tokens":10}}',
      '{"inferenceConfig":{"max_new_tokens":9}}',
      'inferenceConfig.max_new_tokens',
    ],
    [
      'invoke',
      'amazon.titan-text-lite-v1',
      '{"inputText":"a"}',
      '{"textGenerationConfig":{"maxTokenCount":9},"inputText":"a"}',
      'textGenerationConfig.maxTokenCount',
    ],
    ['invoke', 'us.meta.llama3-3', '{"prompt":"a","max_gen_len":512}', '{"prompt":"a","max_gen_len":9}', 'max_gen_len'],
    ['invoke', 'mistral.mistral-7b', '{"prompt":"a"}', '{"max_tokens":9,"prompt":"a"}', 'max_tokens'],
    ['invoke', 'mistral.mistral-large', '{"messages":[]}', '{"max_tokens":9,"messages":[]}', 'max_tokens'],
    ['invoke', 'cohere.command-r-v1', '{"message":"a"}', '{"max_tokens":9,"message":"a"}', 'max_tokens'],
    ['invoke', 'ai21.j2-mid', '{"prompt":"a","maxTokens":200}', '{"prompt":"a","maxTokens":9}', 'maxTokens'],
    ['invoke', 'ai21.jamba-1-5', '{"messages":[]}', '{"max_tokens":9,"messages":[]}', 'max_tokens'],
    ['invoke', 'us.deepseek.r1-v1', '{"prompt":"a"}', '{"max_tokens":9,"prompt":"a"}', 'max_tokens'],
    [
      'invoke',
      'openai.gpt-oss-20b',
      '{"messages":[]}',
      '{"max_completion_tokens":9,"messages":[]}',
      'max_completion_tokens',
    ],
    ['invoke', 'openai.gpt-oss-20b', '{"messages":[],"max_tokens":50}', '{"messages":[],"max_tokens":9}', 'max_tokens'],
    ['invoke', 'qwen.qwen3-32b', '{"messages":[]}', '{"max_tokens":9,"messages":[]}', 'max_tokens'],
    [
      'invoke',
      ARN,
      '{"prompt":"a","max_gen_len":50,"max_tokens":60}',
      '{"prompt":"a","max_gen_len":9,"max_tokens":9}',
      'max_tokens',
    ],
    [
      'invoke',
      ARN,
      '{"inputText":"a","textGenerationConfig":{"maxTokenCount":60}}',
      '{"inputText":"a","textGenerationConfig":{"maxTokenCount":9}}',
      'textGenerationConfig.maxTokenCount',
    ],
    ['invoke', 'amazon.titan-embed-text-v2', '{"inputText":"a"}', '{"inputText":"a"}', 'max_tokens'],
  ])('%s of %s: %s', (operation, model, body, expected, name) => {
    const [edited, limitName] = written(operation, model, body, 9)
    expect(edited).toBe(expected)
    if (edited !== body) expect(limitName).toBe(name)
  })

  test('of a body whose words nobody knows every limit counts, and the highest is held', () => {
    const { call: read } = call('invoke', ARN, { prompt: 'a', max_gen_len: 5, max_tokens: 70_000 })
    expect(read.outputLimit).toBe(70_000)
  })

  test.each([
    ['converse', { inferenceConfig: { maxTokens: '100' } }, '"inferenceConfig.maxTokens" must be a whole number'],
    ['converse', { inferenceConfig: { maxTokens: -1 } }, '"inferenceConfig.maxTokens" must be a whole number'],
    ['converse', { inferenceConfig: [] }, '"inferenceConfig" must be an object'],
    ['converse', '{"inferenceConfig":{"maxTokens":5,"maxTokens":500}}', '"inferenceConfig.maxTokens" is given twice'],
    ['converse', '{"inferenceConfig":{"maxTokens":5,"MaxTokens":500}}', 'is given twice'],
    ['converse', { InferenceConfig: {} }, 'did you mean "inferenceConfig"?'],
    ['invoke', { MAX_TOKENS: 5, messages: [] }, 'did you mean "max_tokens"?'],
    ['invoke', '{"messages":[],"max_tokens":5,"max_tokens":6}', '"max_tokens" is given twice'],
  ])('%s refuses %j', (operation, body, message) => {
    expect(() => prepared('bedrock', `/model/mistral.x/${operation}`, body)).toThrow(message)
  })
})

// ---- what a call asks for

test('what Converse says of a call', () => {
  const body = {
    ...HELLO,
    inferenceConfig: { maxTokens: 2000 },
    toolConfig: {
      tools: [{ toolSpec: { name: 't', inputSchema: { json: {} } } }, { cachePoint: { type: 'default', ttl: '1h' } }],
    },
    additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 1024 } },
    outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: '{}' } } } },
    serviceTier: { type: 'priority' },
  }
  const { call: read } = call('converse-stream', 'us.anthropic.claude-x', body)
  expect(read).toMatchObject({
    stream: true,
    outputLimit: 2000,
    thinkingBudget: 1024,
    reasoning: true,
    structured: true,
    tools: true,
    serviceTier: 'priority',
    unseenInput: false,
    input: { cacheWriteKind: 'cache_write_1h' },
  })
  expect(read.input.cacheWriteTokens).toBe(read.input.highTokens)
  expect(call('converse', 'x.y', HELLO).call).toMatchObject({
    stream: false,
    tools: false,
    reasoning: false,
    structured: false,
  })
})

test.each([
  [
    'a video',
    { ...HELLO, messages: [{ role: 'user', content: [{ video: { format: 'mp4', source: { bytes: 'AAAA' } } }] }] },
    'x.y',
  ],
  [
    'pages of a document',
    { messages: [{ role: 'user', content: [{ document: { format: 'pdf', source: { bytes: 'AAAA' } } }] }] },
    'x.y',
  ],
  ['a managed prompt', {}, 'arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1'],
  [
    'a tool of AWS that searches',
    { ...HELLO, toolConfig: { tools: [{ systemTool: { name: 'nova_grounding' } }] } },
    'amazon.nova-2',
  ],
])('%s is not seen, and held as such', (_name, body, model) => {
  expect(call('converse', model, body).call.unseenInput).toBe(true)
})

test('text counts wherever it stands, base64 does not', () => {
  const of = (content: object): number =>
    call('converse', 'anthropic.claude-3', { messages: [{ role: 'user', content: [content] }] }).call.input.highTokens
  const empty = of({ text: '' })
  const words = 'These are eleven words that a model will have to read. '.repeat(20)
  const text = of({ text: words }) - empty
  expect(text).toBeGreaterThan(220)
  const bytes = Buffer.from(words).toString('base64')
  for (const content of [
    { document: { format: 'txt', name: 'n', source: { text: words } } },
    { document: { format: 'md', name: 'n', source: { bytes } } },
    { document: { format: 'txt', name: 'n', source: { content: [{ text: words }] } } },
    { toolResult: { toolUseId: 'a', content: [{ text: words }] } },
    { toolResult: { toolUseId: 'a', content: [{ json: { words } }] } },
    { guardContent: { text: { text: words } } },
    { reasoningContent: { reasoningText: { text: words, signature: 'x' } } },
  ]) {
    const counted = of(content) - empty
    expect([counted >= text, counted < text * 1.3 + 100]).toEqual([true, true])
  }
  const image = of({ image: { format: 'png', source: { bytes: 'A'.repeat(1_000_000) } } }) - empty
  expect(image).toBe(1600)
})

test.each([
  ['stability.stable-image-core-v1:1', { prompt: 'a cat' }, { images: 1 }, ['images']],
  [
    'amazon.nova-canvas-v1:0',
    { taskType: 'TEXT_IMAGE', imageGenerationConfig: { numberOfImages: 3 } },
    { images: 3 },
    ['images'],
  ],
  [
    'cohere.rerank-v3-5:0',
    { query: 'q', documents: Array.from({ length: 101 }, () => 'd') },
    { searches: 2 },
    ['searches'],
  ],
  ['amazon.titan-embed-image-v1', { inputText: 'a', inputImage: 'AAAA' }, { images: 1 }, ['images']],
])('%s is billed by the piece', (model, body, units, billedBy) => {
  const read = call('invoke', model, body).call
  expect(read).toMatchObject({ generates: false, units, billedBy })
})

test('the tier of an invoke stands in a header', () => {
  const metering = bedrock?.match('POST', '/model/x.y/invoke')?.operation.metering
  const source = { path: '/model/x.y/invoke', query: '', jsonDepth: 128 }
  const read = (more: Record<string, string>): string | undefined =>
    metering?.readCall(Buffer.from('{"prompt":"a"}'), { ...source, headers: more }).serviceTier
  expect(read({ 'x-amzn-bedrock-service-tier': 'flex' })).toBe('flex')
  expect(read({ 'x-amzn-bedrock-performanceconfig-latency': 'optimized' })).toBe('optimized')
  expect(read({})).toBeUndefined()
})

// ---- usage of whole answers

test('Converse: cache reads and writes stand beside the input, writes by their lifetime', () => {
  const usage = {
    inputTokens: 10,
    outputTokens: 4,
    totalTokens: 134,
    cacheReadInputTokens: 20,
    cacheWriteInputTokens: 100,
    cacheDetails: [
      { ttl: '1h', inputTokens: 60 },
      { ttl: '5m', inputTokens: 40 },
    ],
  }
  const facts = readWhole(
    call('converse', 'x.y', HELLO),
    { output: {}, usage, serviceTier: { type: 'flex' } },
    headers({ 'x-amzn-requestid': 'r1' }),
  )
  expect(counts(facts.usage)).toEqual({
    tokens: { input: 10, output: 4, cached_input: 20, cache_write_5m: 40, cache_write_1h: 60 },
  })
  expect(facts).toMatchObject({ model: 'x.y', providerId: 'r1', serviceTier: 'flex' })
})

test.each([
  ['nothing', {}, undefined],
  ['no usage', { usage: {} }, undefined],
  ['zeros', { usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 } }, [0, 0, undefined]],
  ['a total without the input', { usage: { outputTokens: 5, totalTokens: 12 } }, [7, 5, undefined]],
  ['a fraction', { usage: { inputTokens: 1.5, outputTokens: 5 } }, [0, 5, ['unreadable_count']]],
  ['a negative count', { usage: { inputTokens: -3, outputTokens: 5 } }, [0, 5, ['unreadable_count']]],
  ['text', { usage: { inputTokens: '3', outputTokens: 5 } }, [0, 5, ['unreadable_count']]],
  [
    'more writes for an hour than writes',
    {
      usage: {
        inputTokens: 1,
        outputTokens: 1,
        cacheWriteInputTokens: 5,
        cacheDetails: [{ ttl: '1h', inputTokens: 9 }],
      },
    },
    [1, 1, ['cache_write_parts_beyond_whole']],
  ],
])('Converse with %s', (_name, body, expected) => {
  const { usage } = readWhole(call('converse', 'x.y', HELLO), body)
  expect(usage && [usage.tokens.input, usage.tokens.output, usage.flags]).toEqual(expected)
})

test('a prompt router names the model that it chose', () => {
  const body = {
    usage: { inputTokens: 1, outputTokens: 1 },
    trace: { promptRouter: { invokedModelId: 'arn:aws:bedrock:::m/a' } },
  }
  expect(readWhole(call('converse', 'arn:aws:bedrock:us-east-1:1:default-prompt-router/a', HELLO), body).model).toBe(
    'arn:aws:bedrock:::m/a',
  )
})

const COUNTED = headers({ 'x-amzn-bedrock-input-token-count': '7', 'x-amzn-bedrock-output-token-count': '9' })

test.each<[string, object, string, object, AnswerHeaders, object | undefined]>([
  [
    'anthropic.claude-3',
    { messages: [] },
    'message',
    { usage: { input_tokens: 3, output_tokens: 4, cache_read_input_tokens: 5 } },
    NO_HEADERS,
    { input: 3, output: 4, cached_input: 5 },
  ],
  ['anthropic.claude-3', { messages: [] }, 'headers alone', {}, COUNTED, { input: 7, output: 9 }],
  [
    'amazon.nova-lite',
    { messages: [] },
    'Nova',
    { usage: { inputTokens: 3, outputTokens: 4, cacheReadInputTokenCount: 2, cacheWriteInputTokenCount: 1 } },
    NO_HEADERS,
    { input: 3, output: 4, cached_input: 2, cache_write_5m: 1 },
  ],
  [
    'amazon.nova-lite',
    { messages: [] },
    'half in the body, half in the headers',
    { usage: { inputTokens: 7 } },
    COUNTED,
    { input: 7, output: 9 },
  ],
  [
    'amazon.titan-text-lite',
    { inputText: 'a' },
    'Titan',
    { inputTextTokenCount: 3, results: [{ tokenCount: 4 }, { tokenCount: 5 }] },
    NO_HEADERS,
    { input: 3, output: 9 },
  ],
  [
    'meta.llama3',
    { prompt: 'a' },
    'Llama',
    { prompt_token_count: 3, generation_token_count: 4 },
    NO_HEADERS,
    { input: 3, output: 4 },
  ],
  [
    'openai.gpt-oss',
    { messages: [] },
    'OpenAI',
    { usage: { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 6 } } },
    NO_HEADERS,
    { input: 4, output: 4, cached_input: 6 },
  ],
  ['cohere.command-r', { message: 'a' }, 'headers alone', { text: 'b' }, COUNTED, { input: 7, output: 9 }],
  [
    'amazon.titan-embed-text-v2',
    { inputText: 'a' },
    'an embedding',
    { embedding: [0.1], inputTextTokenCount: 3 },
    NO_HEADERS,
    { input: 3, output: 0 },
  ],
  [
    'cohere.embed-v4',
    { texts: ['a'] },
    'an embedding, headers alone',
    { embeddings: [] },
    headers({ 'x-amzn-bedrock-input-token-count': '7' }),
    { input: 7, output: 0 },
  ],
  ['mistral.x', { prompt: 'a' }, 'nothing', { outputs: [] }, NO_HEADERS, undefined],
  [
    'mistral.x',
    { prompt: 'a' },
    'headers that are no counts',
    {},
    headers({ 'x-amzn-bedrock-input-token-count': '-7', 'x-amzn-bedrock-output-token-count': '1e9' }),
    undefined,
  ],
])('invoke of %s %j: %s', (model, body, _name, answer, from, expected) => {
  const { usage } = readWhole(call('invoke', model, body), answer, from)
  const zeros = { input: 0, output: 0, cached_input: 0, cache_write_5m: 0, cache_write_1h: 0 }
  expect(usage?.tokens).toEqual(expected && { ...zeros, ...expected })
  expect(usage?.flags).toBeUndefined()
})

test('the message counts before the headers, and says so where they differ', () => {
  const message = { usage: { input_tokens: 3, output_tokens: 88 } }
  const { usage } = readWhole(
    call('invoke', 'anthropic.claude-3', { messages: [] }),
    message,
    headers({ 'x-amzn-bedrock-output-token-count': '72' }),
  )
  expect([usage?.tokens.output, usage?.flags]).toEqual([88, ['counts_differ']])
})

test('what a guardrail kept from the model costs nothing', () => {
  const answer = {
    inputTextTokenCount: 6,
    results: [{ tokenCount: 3, outputText: 'Input blocked' }],
    'amazon-bedrock-guardrailAction': 'INTERVENED',
    'amazon-bedrock-trace': { guardrail: { input: { g: { topicPolicy: {} } } } },
  }
  const facts = readWhole(call('invoke', 'amazon.titan-text', { inputText: 'a' }), answer)
  expect([facts.usage, facts.counted]).toEqual([undefined, { tokens: {}, raw: null }])
  const judged = { ...answer, 'amazon-bedrock-trace': { guardrail: { input: {}, outputs: [{}] } } }
  expect(
    readWhole(call('invoke', 'amazon.titan-text', { inputText: 'a' }), judged, COUNTED).usage?.tokens,
  ).toMatchObject({ input: 6, output: 3 })
})

test('images are counted where nothing is stated, without those that were filtered', () => {
  const request = call('invoke', 'stability.sd3-5', { prompt: 'a' })
  expect(readWhole(request, { seeds: [1], finish_reasons: [null], images: ['AAAA'] }).counted).toEqual({
    tokens: {},
    units: { images: 1 },
    raw: null,
  })
  expect(readWhole(request, { finish_reasons: ['Filter reason: prompt'] }).counted?.units).toEqual({ images: 0 })
})

// ---- streams

const CONVERSE = [
  eventFrame('messageStart', { p: 'abc', role: 'assistant' }),
  eventFrame('contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent: { text: 'Hmm' } } }),
  eventFrame('contentBlockStop', { contentBlockIndex: 0 }),
  eventFrame('contentBlockDelta', { contentBlockIndex: 1, delta: { text: 'Grüße' }, p: 'abcdefgh' }),
  eventFrame('contentBlockDelta', {
    contentBlockIndex: 1,
    delta: { citation: { title: 'quoted', sourceContent: [{ text: 'quoted' }] } },
  }),
  eventFrame('contentBlockStop', { contentBlockIndex: 1 }),
  eventFrame('contentBlockStart', { contentBlockIndex: 2, start: { toolUse: { toolUseId: 't', name: 'weather' } } }),
  eventFrame('contentBlockDelta', { contentBlockIndex: 2, delta: { toolUse: { input: '{"a":1}' } } }),
  eventFrame('contentBlockStop', { contentBlockIndex: 2 }),
  eventFrame('messageStop', { stopReason: 'tool_use' }),
]
const METADATA = eventFrame('metadata', {
  usage: { inputTokens: 5, outputTokens: 30, totalTokens: 35 },
  metrics: { latencyMs: 1 },
  serviceTier: { type: 'default' },
})

test('a converse stream ends with its metadata, which is kept back, and counts what was said till then', () => {
  const request = call('converse-stream', 'x.y', HELLO)
  const whole = readStream(request, 'aws_eventstream', Buffer.concat([...CONVERSE, METADATA]))
  expect(whole.terminal).toBe(METADATA.toString())
  expect(counts(whole.facts.usage)?.tokens).toMatchObject({ input: 5, output: 30 })
  expect(whole).toMatchObject({
    outputTokens: 30,
    finished: true,
    failed: false,
    facts: { serviceTier: 'default', model: 'x.y' },
  })
  const without = readStream(request, 'aws_eventstream', Buffer.concat(CONVERSE))
  // One of "Hmm", two of "Grüße", one of the arguments: what is cited is not said.
  expect(without).toMatchObject({ outputTokens: 4, finished: true, terminal: undefined, facts: { usage: undefined } })
  const broken = readStream(request, 'aws_eventstream', Buffer.concat(CONVERSE.slice(0, 4)))
  expect([broken.finished, broken.failed]).toEqual([false, false])
})

test.each([
  exceptionFrame('throttlingException', { message: 'slow down' }),
  exceptionFrame('modelStreamErrorException', { message: 'broke', originalStatusCode: 500 }),
  encodeFrame({ ':message-type': 'error', ':error-code': 'InternalFailure', ':error-message': 'x' }, Buffer.alloc(0)),
])('an exception inside a stream is a failure', (frame) => {
  for (const request of [
    call('converse-stream', 'x.y', HELLO),
    call('invoke-with-response-stream', 'anthropic.claude', { messages: [] }),
    call('invoke-with-response-stream', 'meta.llama3', { prompt: 'a' }),
  ])
    expect(readStream(request, 'aws_eventstream', frame)).toMatchObject({
      failed: true,
      finished: false,
      terminal: undefined,
    })
})

const chunk = (value: unknown): Buffer =>
  eventFrame('chunk', { bytes: Buffer.from(JSON.stringify(value)).toString('base64'), p: 'abcdef' })
const METRICS = { inputTokenCount: 5, outputTokenCount: 6, invocationLatency: 1, firstByteLatency: 1 }
const withMetrics = (value: object, metrics: object = METRICS): object => ({
  ...value,
  'amazon-bedrock-invocationMetrics': metrics,
})

interface MakerStream {
  readonly model: string
  readonly request: object
  readonly chunks: readonly object[]
  /** Counted from the text before the last chunk. */
  readonly counted: number
  /** How the stream ends when it is cut behind the first text. */
  readonly ending: readonly object[]
}

const cutMetrics = { 'amazon-bedrock-invocationMetrics': { inputTokenCount: expect.any(Number), outputTokenCount: 1 } }
const MAKERS: Readonly<Record<string, MakerStream>> = {
  messages: {
    model: 'us.anthropic.claude-3',
    request: { messages: [{ role: 'user', content: 'Hi' }] },
    chunks: [
      {
        type: 'message_start',
        message: { id: 'msg_1', model: 'claude-3', usage: { input_tokens: 5, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'One' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: ' two' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 6 } },
      withMetrics({ type: 'message_stop' }),
    ],
    counted: 6,
    ending: [
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'max_tokens', stop_sequence: null }, usage: { output_tokens: 1 } },
      { type: 'message_stop', ...cutMetrics },
    ],
  },
  'Claude’s text': {
    model: 'anthropic.claude-v2',
    request: { prompt: 'Human: Hi' },
    chunks: [
      { completion: 'One', stop_reason: null },
      { completion: ' two', stop_reason: null },
      withMetrics({ completion: '', stop_reason: 'stop_sequence' }),
    ],
    counted: 2,
    ending: [{ type: 'completion', completion: '', stop_reason: 'max_tokens', stop: null, ...cutMetrics }],
  },
  Nova: {
    model: 'amazon.nova-micro',
    request: { messages: [] },
    chunks: [
      { messageStart: { role: 'assistant' } },
      { contentBlockDelta: { delta: { text: 'One' }, contentBlockIndex: 0 } },
      { contentBlockDelta: { delta: { text: ' two' }, contentBlockIndex: 0 } },
      { contentBlockStop: { contentBlockIndex: 0 } },
      { messageStop: { stopReason: 'end_turn' } },
      withMetrics({ metadata: { usage: { inputTokens: 5, outputTokens: 6 }, metrics: {}, trace: {} } }),
    ],
    counted: 2,
    ending: [
      { contentBlockStop: { contentBlockIndex: 0 } },
      { messageStop: { stopReason: 'max_tokens' } },
      {
        metadata: { usage: { inputTokens: expect.any(Number), outputTokens: 1 }, metrics: {}, trace: {} },
        ...cutMetrics,
      },
    ],
  },
  Titan: {
    model: 'amazon.titan-text-express-v1',
    request: { inputText: 'Hi' },
    chunks: [
      { outputText: 'One', index: 0, inputTextTokenCount: 5.0 },
      { outputText: ' two', index: 0 },
      withMetrics({ outputText: '', index: 0, totalOutputTextTokenCount: 6, completionReason: 'FINISH' }),
    ],
    counted: 2,
    ending: [
      {
        outputText: '',
        index: 0,
        totalOutputTextTokenCount: 1,
        completionReason: 'LENGTH',
        inputTextTokenCount: 5,
        ...cutMetrics,
      },
    ],
  },
  Llama: {
    model: 'meta.llama3',
    request: { prompt: 'Hi' },
    chunks: [
      { generation: 'One', prompt_token_count: 5, generation_token_count: 1, stop_reason: null },
      { generation: ' two three', prompt_token_count: null, generation_token_count: 5, stop_reason: null },
      withMetrics({ generation: '', prompt_token_count: null, generation_token_count: 6, stop_reason: 'stop' }),
    ],
    counted: 5,
    ending: [
      { generation: '', prompt_token_count: null, generation_token_count: 1, stop_reason: 'length', ...cutMetrics },
    ],
  },
  'Mistral’s text': {
    model: 'mistral.mistral-7b',
    request: { prompt: 'Hi' },
    chunks: [
      { outputs: [{ text: 'One', stop_reason: null }] },
      { outputs: [{ text: ' two', stop_reason: null }] },
      withMetrics({ outputs: [{ text: '', stop_reason: 'stop' }] }),
    ],
    counted: 2,
    ending: [{ outputs: [{ text: '', stop_reason: 'length' }], ...cutMetrics }],
  },
  'Mistral’s chat': {
    model: 'mistral.mistral-large',
    request: { messages: [] },
    chunks: [
      { choices: [{ index: 0, message: { role: 'assistant', content: 'One' }, stop_reason: null }] },
      { choices: [{ index: 0, message: { role: 'assistant', content: ' two' }, stop_reason: null }] },
      withMetrics({ choices: [{ index: 0, message: { role: 'assistant', content: '' }, stop_reason: 'stop' }] }),
    ],
    counted: 2,
    ending: [
      { choices: [{ index: 0, message: { role: 'assistant', content: '' }, stop_reason: 'length' }], ...cutMetrics },
    ],
  },
  DeepSeek: {
    model: 'us.deepseek.r1-v1',
    request: { prompt: 'Hi' },
    chunks: [
      { choices: [{ text: 'One', stop_reason: null }] },
      { choices: [{ text: ' two', stop_reason: null }] },
      withMetrics({ choices: [{ text: '', stop_reason: 'stop' }] }),
    ],
    counted: 2,
    ending: [{ choices: [{ index: 0, text: '', stop_reason: 'length' }], ...cutMetrics }],
  },
  'a chat': {
    model: 'openai.gpt-oss-20b',
    request: { messages: [] },
    chunks: [
      {
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta: { role: 'assistant', reasoning: 'One' }, finish_reason: null }],
      },
      { object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: ' two' }, finish_reason: null }] },
      withMetrics({
        choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
        usage: { prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 },
      }),
    ],
    counted: 2,
    ending: [{ choices: [{ index: 0, delta: {}, finish_reason: 'length' }], ...cutMetrics }],
  },
  'Cohere’s command': {
    model: 'cohere.command-text',
    request: { prompt: 'Hi' },
    chunks: [
      { text: 'One', is_finished: false },
      { text: ' two', is_finished: false },
      withMetrics({ is_finished: true, finish_reason: 'COMPLETE' }),
    ],
    counted: 2,
    ending: [{ text: '', is_finished: true, finish_reason: 'MAX_TOKENS', ...cutMetrics }],
  },
  'Cohere’s command r': {
    model: 'cohere.command-r-plus',
    request: { message: 'Hi' },
    chunks: [
      { event_type: 'text-generation', text: 'One', is_finished: false },
      { event_type: 'text-generation', text: ' two', is_finished: false },
      withMetrics({
        event_type: 'stream-end',
        is_finished: true,
        finish_reason: 'COMPLETE',
        response: { text: 'One two', chat_history: [{ message: 'One two' }] },
      }),
    ],
    counted: 2,
    ending: [{ is_finished: true, event_type: 'stream-end', finish_reason: 'MAX_TOKENS', ...cutMetrics }],
  },
  'a model of one’s own': {
    model: ARN,
    request: { prompt: 'Hi' },
    chunks: [{ generation: 'One' }, { generation: ' two' }, withMetrics({ generation: '', stop_reason: 'stop' })],
    counted: 2,
    ending: [
      { generation: '', prompt_token_count: null, generation_token_count: 1, stop_reason: 'length', ...cutMetrics },
    ],
  },
}

describe.each(Object.entries(MAKERS))('an invoke stream in the words of %s', (_name, maker) => {
  const request = call('invoke-with-response-stream', maker.model, maker.request)
  const frames = maker.chunks.map(chunk)
  const last = frames.at(-1) as Buffer

  test('is read to the token, and its last chunk kept back', () => {
    const read = readStream(request, 'aws_eventstream', Buffer.concat(frames))
    expect(counts(read.facts.usage)).toMatchObject({ tokens: { input: 5, output: 6 } })
    expect(read.facts.usage?.flags).toBeUndefined()
    expect(read).toMatchObject({
      terminal: last.toString(),
      finished: true,
      failed: false,
      outputTokens: 6,
      facts: { model: maker.model },
    })
  })

  test('counts what was said so far where it breaks off', () => {
    const read = readStream(request, 'aws_eventstream', Buffer.concat(frames.slice(0, -1)))
    expect(read).toMatchObject({ outputTokens: maker.counted, terminal: undefined, failed: false })
  })

  test('ends in the same words when the money ends', () => {
    const meter = new StreamMeter(request.metering.createStreamReader(request.call, 'aws_eventstream', NO_HEADERS), {
      framing: 'aws_eventstream',
    })
    meter.allowance = 1
    const passed = Buffer.concat([...meter.push(Buffer.concat(frames))])
    expect([meter.blocked, meter.outputTokens]).toEqual([true, 1])
    const ending = meter.cutEnding() as Buffer
    expect(chunksOf(ending)).toEqual(maker.ending)
    expect(
      decodeFrames(Buffer.concat([passed, ending])).every((frame) => frame.kind === 'event' && frame.type === 'chunk'),
    ).toBe(true)
  })
})

test('the message’s own usage counts before the metrics, which are flagged where they differ', () => {
  const { chunks, model, request } = MAKERS['messages'] as MakerStream
  const frames = [
    ...chunks.slice(0, -1),
    withMetrics({ type: 'message_stop' }, { inputTokenCount: 5, outputTokenCount: 3 }),
  ].map(chunk)
  const { usage } = readStream(
    call('invoke-with-response-stream', model, request),
    'aws_eventstream',
    Buffer.concat(frames),
  ).facts
  expect([usage?.tokens.output, usage?.flags]).toEqual([6, ['counts_differ']])
  const bare = [{ type: 'message_start', message: { id: 'a' } }, withMetrics({ type: 'message_stop' })].map(chunk)
  const stated = readStream(call('invoke-with-response-stream', model, request), 'aws_eventstream', Buffer.concat(bare))
    .facts.usage
  expect(stated?.tokens).toMatchObject({ input: 5, output: 6 })
})

test('chunks that are no JSON, no base64 or nothing cost accuracy alone', () => {
  const request = call('invoke-with-response-stream', 'meta.llama3', { prompt: 'a' })
  const odd = [
    eventFrame('chunk', {}),
    eventFrame('chunk', { bytes: '****' }),
    eventFrame('chunk', { bytes: Buffer.from('{"amazon-bedrock-invocationMetrics":{').toString('base64') }),
    eventFrame('chunk', 'text'),
    eventFrame('unheardOf', { bytes: 'AAAA' }),
    chunk(withMetrics({ generation: '' }, { inputTokenCount: -1, outputTokenCount: 1e300 })),
  ]
  const read = readStream(request, 'aws_eventstream', Buffer.concat(odd))
  expect(read).toMatchObject({ terminal: odd.at(-1)?.toString(), failed: false })
  expect(counts(read.facts.usage)?.tokens ?? { input: 0 }).toMatchObject({ input: 0 })
})

test('whatever a model or a guardrail puts into its chunks, counts stay whole, and nothing is thrown', () => {
  const odd = [null, true, -1, 1.5, 1e300, '7', [], [1], {}, { text: 5 }, '\u0000', { inputTokens: -1 }, 2 ** 53]
  const names = [
    ...['usage', 'metadata', 'amazon-bedrock-invocationMetrics', 'prompt_token_count', 'generation_token_count'],
    ...['inputTextTokenCount', 'totalOutputTextTokenCount', 'amazon-bedrock-guardrailAction', 'amazon-bedrock-trace'],
    ...['choices', 'outputs', 'type', 'message', 'delta', 'contentBlockIndex', 'contentBlockDelta', 'stop_reason'],
  ]
  const value = fc.oneof(fc.constantFrom<unknown>(...odd), fc.jsonValue({ maxDepth: 3 }))
  const chunks = fc.array(fc.dictionary(fc.constantFrom(...names, 'inputTokens', 'inputTokenCount'), value), {
    maxLength: 6,
  })
  const requests = Object.values(MAKERS).map(({ model, request }) =>
    call('invoke-with-response-stream', model, request),
  )
  fc.assert(
    fc.property(chunks, fc.constantFrom(...requests, call('converse-stream', 'x.y', HELLO)), (values, request) => {
      const converse = request.call.model === 'x.y'
      const types = ['messageStart', 'contentBlockDelta', 'messageStop', 'metadata']
      const frames = values.map((one, i) => (converse ? eventFrame(types[i % 4] as string, one) : chunk(one)))
      const meter = new StreamMeter(request.metering.createStreamReader(request.call, 'aws_eventstream', COUNTED), {
        framing: 'aws_eventstream',
      })
      const bytes = Buffer.concat(frames)
      const out = [...meter.push(bytes), ...meter.end(), ...(meter.terminal ? [meter.terminal] : [])]
      expect(Buffer.concat([...out, ...meter.takeAfterTerminal()]).equals(bytes)).toBe(true)
      const numbers = [...Object.values(meter.facts.usage?.tokens ?? {}), meter.outputTokens]
      expect(numbers.every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true)
      decodeFrames(meter.cutEnding() as Buffer)
    }),
    { numRuns: 3_000 },
  )
})

// ---- endings and errors

test('a converse stream that is cut closes what is open and says max_tokens, with the usage that is charged', () => {
  const request = call('converse-stream', 'x.y', HELLO)
  const meter = new StreamMeter(request.metering.createStreamReader(request.call, 'aws_eventstream', NO_HEADERS), {
    framing: 'aws_eventstream',
  })
  meter.allowance = 2
  const passed = Buffer.concat([...meter.push(Buffer.concat([...CONVERSE, METADATA]))])
  expect([meter.blocked, meter.outputTokens]).toEqual([true, 1])
  const input = Math.round(Math.sqrt(request.call.input.lowTokens * request.call.input.highTokens))
  expect(decodeFrames(Buffer.concat([passed, meter.cutEnding() as Buffer])).slice(3)).toEqual([
    { kind: 'event', type: 'messageStop', payload: { stopReason: 'max_tokens' } },
    {
      kind: 'event',
      type: 'metadata',
      payload: { usage: { inputTokens: input, outputTokens: 1, totalTokens: input + 1 }, metrics: { latencyMs: 0 } },
    },
  ])
})

test('an open block is closed before the ending, and a stream without a start gets one', () => {
  const request = call('converse-stream', 'x.y', HELLO)
  const reader = request.metering.createStreamReader(request.call, 'aws_eventstream', NO_HEADERS)
  expect(decodeFrames(reader.cutEnding()).map(({ type }) => type)).toEqual(['messageStart', 'messageStop', 'metadata'])
  const meter = new StreamMeter(reader, { framing: 'aws_eventstream' })
  meter.push(Buffer.concat(CONVERSE.slice(0, 4)))
  expect(decodeFrames(reader.cutEnding()).map(({ type, payload }) => [type, payload.contentBlockIndex])).toEqual([
    ['contentBlockStop', 1],
    ['messageStop', undefined],
    ['metadata', undefined],
  ])
})

test.each([
  ['insufficient_funds', 'ServiceQuotaExceededException', 'validationException'],
  ['invalid_request', 'ValidationException', 'validationException'],
  ['invalid_key', 'AccessDeniedException', 'validationException'],
  ['held_by_open_calls', 'ThrottlingException', 'throttlingException'],
  ['wallet_unavailable', 'ServiceUnavailableException', 'serviceUnavailableException'],
  ['upstream_unreachable', 'InternalServerException', 'internalServerException'],
  ['upstream_timeout', 'ModelTimeoutException', 'modelStreamErrorException'],
] as const)('%s is a %s, and in a stream a %s', (code, name, inStream) => {
  const facts = errorFacts(code, 'What happened.', 'req_1', { unit: 'USD' })
  const { body, headers: own } = bedrock?.errorBody(facts) ?? { body: '' }
  expect(own).toEqual([['x-amzn-errortype', name]])
  expect(JSON.parse(body)).toMatchObject({
    message: 'What happened.',
    tollgate: { code, unit: 'USD', request_id: 'req_1' },
  })
  for (const request of [
    call('converse-stream', 'x.y', HELLO),
    call('invoke-with-response-stream', 'anthropic.claude', { messages: [] }),
    call('invoke-with-response-stream', 'x.y', { prompt: 'a' }),
  ]) {
    const reader = request.metering.createStreamReader(request.call, 'aws_eventstream', NO_HEADERS)
    expect(decodeFrames(reader.errorEvent(facts))).toEqual([
      { kind: 'exception', type: inStream, payload: { message: 'What happened.', tollgate: expect.anything() } },
    ])
  }
})
