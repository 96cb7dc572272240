import { describe, expect, test } from 'vitest'
import { type CallRequest, InvalidCall, type Metering } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { SOURCE } from '../../support/call-source.ts'

const PATHS: Readonly<Record<string, string>> = {
  chat: '/v1/chat/completions',
  completions: '/v1/completions',
  responses: '/v1/responses',
  embeddings: '/v1/embeddings',
  messages: '/v1/messages',
}

function meteringFor(endpoint: string): Metering {
  const format = endpoint === 'messages' ? 'anthropic' : 'openai'
  const metering = providers.get(format)?.match('POST', PATHS[endpoint] ?? '')?.operation.metering
  if (!metering) throw new Error(endpoint)
  return metering
}

function read(endpoint: string, body: string | object): CallRequest {
  const raw = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return meteringFor(endpoint).readCall(raw, SOURCE)
}

describe('a field that money hangs on is read without goodwill', () => {
  test.each([
    ['chat', '{"messages":[]}', 'model'],
    ['chat', '{"model":""}', 'model'],
    ['chat', '{"model":null}', 'model'],
    ['chat', '{"model":["m"]}', 'model'],
    ['chat', `{"model":"${'m'.repeat(257)}"}`, 'model'],
    ['chat', '{"model":"m\\ud800"}', 'model'],
    ['chat', '{"model":"m\\u0000"}', 'model'],
    ['chat', '{"model":"m","max_tokens":"100"}', 'max_tokens'],
    ['chat', '{"model":"m","max_tokens":1e400}', 'max_tokens'],
    ['chat', '{"model":"m","max_tokens":-1}', 'max_tokens'],
    ['chat', '{"model":"m","max_tokens":0}', 'max_tokens'],
    ['chat', '{"model":"m","max_tokens":1.5}', 'max_tokens'],
    ['chat', '{"model":"m","n_predict":-3}', 'n_predict'],
    ['chat', '{"model":"m","max_tokens":true}', 'max_tokens'],
    ['chat', '{"model":"m","max_completion_tokens":[1]}', 'max_completion_tokens'],
    ['chat', '{"model":"m","n":"2"}', 'n'],
    ['chat', '{"model":"m","n":0}', 'n'],
    ['chat', '{"model":"m","stream":"true"}', 'stream'],
    ['chat', '{"model":"m","stream":1}', 'stream'],
    ['chat', '{"model":"m","stream":true,"stream_options":[]}', 'stream_options'],
    ['chat', '{"model":"m","stream":true,"stream_options":{"include_usage":1}}', 'include_usage'],
    [
      'chat',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_us\\u0061ge":false}}',
      'stream_options.include_usage',
    ],
    ['chat', '{"model":"m","MAX_TOKENS":9}', 'max_tokens'],
    ['completions', '{"model":"m","best_of":1.5}', 'best_of'],
    ['completions', '{"model":"m","prompt":{"a":1}}', 'prompt'],
    ['completions', '{"model":"m","prompt":["a",1]}', 'prompt'],
    ['embeddings', '{"model":"m"}', 'input'],
    ['embeddings', '{"model":"m","input":[]}', 'input'],
    ['embeddings', '{"model":"m","input":5}', 'input'],
    ['responses', '{"model":"m","background":"yes"}', 'background'],
    ['responses', '{"model":"m","max_output_tokens":"9"}', 'max_output_tokens'],
    ['responses', '{"model":"m","previous_response_id":5}', 'previous_response_id'],
    ['responses', '{"prompt":{"id":"pmpt_1"}}', 'model'],
    ['messages', '{"model":"m","max_tokens":"9"}', 'max_tokens'],
    ['messages', '{"model":"m","thinking":{"type":"enabled","budget_tokens":-5}}', 'budget_tokens'],
  ])('%s %s', (endpoint, body, field) => {
    try {
      read(endpoint, body)
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidCall)
      expect((error as InvalidCall).field).toBe(field)
      expect((error as Error).message.length).toBeGreaterThan(20)
      return
    }
    throw new Error('was taken')
  })

  test('null is the same as left out', () => {
    const call = read('chat', { model: 'm', stream: null, max_tokens: null, n: null, stream_options: null })
    expect(call).toMatchObject({ stream: false, outputLimit: undefined, answers: 1 })
  })
})

describe('what a call asks for', () => {
  test.each([
    [
      'chat',
      { model: 'm' },
      {
        stream: false,
        generates: true,
        outputLimit: undefined,
        answers: 1,
        reasoning: false,
        structured: false,
        tools: false,
      },
    ],
    ['chat', { model: 'm', max_tokens: 5, max_completion_tokens: 9, n: 3 }, { outputLimit: 9, answers: 3 }],
    ['chat', { model: 'm', max_tokens: 5, n_predict: -1 }, { outputLimit: undefined }],
    ['chat', { model: 'm', reasoning_effort: 'none' }, { reasoning: false }],
    ['chat', { model: 'm', reasoning_effort: 'low' }, { reasoning: true, thinkingBudget: 0 }],
    ['chat', { model: 'm', reasoning: { max_tokens: 2000 } }, { reasoning: true, thinkingBudget: 2000 }],
    [
      'chat',
      { model: 'm', response_format: { type: 'json_schema', json_schema: { strict: true } } },
      { structured: true },
    ],
    ['chat', { model: 'm', response_format: { type: 'json_object' } }, { structured: false }],
    [
      'chat',
      { model: 'm', tools: [{ type: 'function', function: { name: 'f' } }] },
      { tools: true, unseenInput: false },
    ],
    ['chat', { model: 'm', functions: [{ name: 'f' }] }, { tools: true }],
    ['chat', { model: 'm', modalities: ['text', 'audio'], audio: {} }, { audioOutput: true }],
    ['chat', { model: 'm', web_search_options: {} }, { unseenInput: true }],
    [
      'chat',
      { model: 'm', messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
      { unseenInput: true },
    ],
    [
      'completions',
      { model: 'm', prompt: ['a', 'b', 'c'], n: 2, best_of: 4, max_tokens: 0 },
      { answers: 12, outputLimit: 0 },
    ],
    ['completions', { model: 'm', prompt: [1, 2, 3] }, { answers: 1 }],
    ['completions', { model: 'm', prompt: [[1, 2], [3]] }, { answers: 2 }],
    ['completions', { model: 'm' }, { answers: 1 }],
    ['embeddings', { model: 'm', input: 'x' }, { generates: false, outputLimit: undefined, answers: 1, stream: false }],
    [
      'responses',
      { model: 'm', input: 'x', max_output_tokens: 7 },
      { outputLimit: 7, objects: [], unseenInput: false },
    ],
    [
      'responses',
      { model: 'm', previous_response_id: 'resp_1', conversation: { id: 'conv_1' } },
      { objects: ['resp_1', 'conv_1'], unseenInput: true },
    ],
    ['responses', { model: 'm', conversation: 'conv_1' }, { objects: ['conv_1'], unseenInput: true }],
    ['responses', { model: 'm', prompt: { id: 'pmpt_1' } }, { unseenInput: true }],
    ['responses', { model: 'm', input: [{ type: 'item_reference', id: 'msg_1' }] }, { unseenInput: true }],
    ['responses', { model: 'm', tools: [{ type: 'web_search' }] }, { tools: true, unseenInput: true }],
    ['responses', { model: 'm', tools: [{ type: 'mcp', server_url: 'https://x' }] }, { unseenInput: true }],
    ['responses', { model: 'm', tools: [{ type: 'function', name: 'f' }] }, { tools: true, unseenInput: false }],
    ['responses', { model: 'm', reasoning: { effort: 'high' } }, { reasoning: true }],
    ['responses', { model: 'm', reasoning: { effort: 'none' } }, { reasoning: false }],
    [
      'responses',
      { model: 'm', text: { format: { type: 'json_schema', strict: true, schema: {} } } },
      { structured: true },
    ],
    [
      'messages',
      { model: 'm', max_tokens: 9, thinking: { type: 'enabled', budget_tokens: 5 } },
      { outputLimit: 9, reasoning: true, thinkingBudget: 5 },
    ],
    ['messages', { model: 'm', thinking: { type: 'adaptive' } }, { reasoning: true, thinkingBudget: 0 }],
    ['messages', { model: 'm', thinking: { type: 'disabled' } }, { reasoning: false }],
    ['messages', { model: 'm', output_config: { format: { type: 'json_schema', schema: {} } } }, { structured: true }],
    ['messages', { model: 'm', output_format: { type: 'json_schema', schema: {} } }, { structured: true }],
    [
      'messages',
      { model: 'm', tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
      { tools: true, unseenInput: true },
    ],
    ['messages', { model: 'm', tools: [{ type: 'bash_20250124', name: 'bash' }] }, { tools: true, unseenInput: false }],
    ['messages', { model: 'm', mcp_servers: [{ url: 'https://x' }] }, { unseenInput: true }],
    [
      'messages',
      {
        model: 'm',
        messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'base64', data: 'AAAA' } }] }],
      },
      { unseenInput: true },
    ],
    [
      'messages',
      {
        model: 'm',
        messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'text', data: 'Hello' } }] }],
      },
      { unseenInput: false },
    ],
  ] as const)('%s %j', (endpoint, body, expected) => {
    expect(read(endpoint, body)).toMatchObject(expected)
  })
})

describe('input', () => {
  const user = (content: unknown): object => ({ model: 'gpt-5', messages: [{ role: 'user', content }] })
  const base64 = 'A'.repeat(1_000_000)

  test('tokens sent as numbers count exactly', () => {
    expect(read('embeddings', { model: 'm', input: [[1, 2, 3], [4]] }).input).toMatchObject({ lowTokens: 4 })
    expect(read('completions', { model: 'm', prompt: [1, 2, 3] }).input).toMatchObject({ lowTokens: 3 })
  })

  test('an image costs its maximum, whatever its base64 weighs', () => {
    const small = read('chat', user([{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }])).input
      .highTokens
    const large = read('chat', user([{ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } }]))
      .input.highTokens
    expect(large).toBe(small)
    expect(small).toBeGreaterThan(1445)
    expect(small).toBeLessThan(6000)
    const anthropic = read('messages', {
      ...user([{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: base64 } }]),
      model: 'claude-sonnet-4-6',
    })
    expect(anthropic.input.highTokens).toBeGreaterThan(1600)
    expect(anthropic.input.highTokens).toBeLessThan(1700)
  })

  test.each([
    ['claude-3-5-sonnet-20241022', 1600],
    ['claude-opus-4-20250514', 1600],
    ['claude-opus-4-6', 1600],
    ['claude-haiku-4-5-20251001', 1600],
    ['claude-opus-4-7', 4784],
    ['claude-sonnet-5', 4784],
  ])('an image at %s costs at most %d', (model, most) => {
    const text = read('messages', { model, messages: [{ role: 'user', content: [] }] }).input.highTokens
    const image = read('messages', { model, messages: [{ role: 'user', content: [{ type: 'image' }] }] }).input
      .highTokens
    expect(image - text).toBe(most)
  })

  test('what asks to be cached is held as written, for an hour if any part asks for that', () => {
    const block = (cache_control: object): object => ({
      model: 'claude-sonnet-4-6',
      system: [{ type: 'text', text: 'Hello', cache_control }],
      messages: [],
    })
    const minutes = read('messages', block({ type: 'ephemeral' })).input
    expect(minutes.cacheWriteTokens).toBe(minutes.highTokens)
    expect(minutes.cacheWriteKind).toBe('cache_write_5m')
    expect(read('messages', block({ type: 'ephemeral', ttl: '1h' })).input.cacheWriteKind).toBe('cache_write_1h')
    expect(
      read('messages', { model: 'm', tools: [{ name: 'f', cache_control: { type: 'ephemeral' } }] }).input
        .cacheWriteTokens,
    ).toBeGreaterThan(0)
    expect(
      read('messages', { model: 'm', cache_control: { type: 'ephemeral' } }).input.cacheWriteTokens,
    ).toBeGreaterThan(0)
    expect(read('messages', { model: 'm', messages: [] }).input.cacheWriteTokens).toBe(0)
  })

  test('a compaction pass is held too', () => {
    const body = { model: 'claude-sonnet-4-6', messages: [{ role: 'user', content: 'Hello '.repeat(1000) }] }
    const once = read('messages', body).input.highTokens
    const twice = read('messages', { ...body, context_management: { edits: [{ type: 'compact_20260112' }] } }).input
      .highTokens
    expect(twice).toBe(2 * once)
  })

  test.each([
    ['English', 'The quick brown fox jumps over the lazy dog. '.repeat(50), 10 / 45],
    [
      'base64 in a prompt',
      Buffer.from(Array.from({ length: 900 }, (_, i) => (i * 151 + 7) % 256)).toString('base64'),
      0.65,
    ],
    ['Chinese', '敏捷的棕色狐狸跳过了懒狗。'.repeat(50), 1],
    ['emoji', '🦊🐕'.repeat(50), 1],
  ])('%s is counted high, and low what is certain', (_name, text, tokensPerCharacter) => {
    const { highTokens, lowTokens } = read('chat', user(text)).input
    const likely = text.length * tokensPerCharacter
    expect(highTokens).toBeGreaterThan(likely)
    expect(highTokens).toBeLessThan(likely * 4 + 100)
    expect(lowTokens).toBeLessThanOrEqual(likely)
    expect(lowTokens).toBeGreaterThan(0)
  })

  test('a call keeps no prompt', () => {
    expect(JSON.stringify(read('chat', user('top-secret-prompt')))).not.toContain('top-secret-prompt')
  })

  test('32 MiB are read in far less than a second of work', () => {
    const body = Buffer.from(JSON.stringify(user('word '.repeat(6.5 * 1024 * 1024))))
    const started = process.cpuUsage()
    meteringFor('chat').readCall(body, SOURCE)
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(1500)
  })
})
