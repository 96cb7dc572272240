/**
 * Answers composed by us after the providers' documents, for where the recorded ones are not at hand: at least one for
 * each endpoint and shape. Nothing here was captured from a provider.
 */
import type { Usage } from '../../src/core/usage.ts'

export interface Composed {
  readonly name: string
  readonly format: 'openai' | 'anthropic'
  readonly path: string
  readonly request: Readonly<Record<string, unknown>>
  readonly streaming: boolean
  /** What the provider sends. */
  readonly body: string
  /** What the caller gets; the same where left out. */
  readonly passed?: string
  readonly usage: Omit<Usage, 'raw'> | undefined
  readonly providerId: string | undefined
}

const sse = (...events: readonly unknown[]): string =>
  events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('')

const named = (...events: readonly { readonly type: string }[]): string =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')

const chunk = (more: object): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_790_000_000,
  model: 'gpt-5-mini',
  service_tier: 'default',
  ...more,
})
const delta = (content: string): object =>
  chunk({ choices: [{ index: 0, delta: { content }, finish_reason: null }], usage: null })
const stop = chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null })
const chatUsage = {
  prompt_tokens: 100,
  completion_tokens: 40,
  total_tokens: 140,
  prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 0 },
}
const chatTokens = { tokens: { input: 36, cached_input: 64, output: 40 }, reasoning: 30 }
const usageChunk = chunk({ choices: [], usage: chatUsage })
const chatRequest = { model: 'gpt-5-mini', stream: true, messages: [{ role: 'user', content: 'Name three rivers ☕' }] }
const head = chunk({
  choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
  usage: null,
})
const chatEvents = [head, delta('Guten '), delta('Tag ☕'), stop]

const response = (more: object): object => ({
  id: 'resp_1',
  object: 'response',
  created_at: 1_790_000_000,
  model: 'gpt-5-mini',
  service_tier: 'default',
  output: [],
  ...more,
})
const responsesUsage = {
  input_tokens: 50,
  input_tokens_details: { cached_tokens: 20 },
  output_tokens: 12,
  output_tokens_details: { reasoning_tokens: 5 },
  total_tokens: 62,
}
const search = { id: 'ws_1', type: 'web_search_call', status: 'completed' }
const message = { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [] }

const messagesUsage = {
  input_tokens: 20,
  cache_creation_input_tokens: 100,
  cache_read_input_tokens: 300,
  cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 60 },
  output_tokens: 4,
  service_tier: 'standard',
}
const messagesRequest = { model: 'claude-sonnet-4-6', max_tokens: 100, messages: [{ role: 'user', content: 'Hello' }] }

export const COMPOSED: readonly Composed[] = [
  {
    name: 'chat, JSON',
    format: 'openai',
    path: '/v1/chat/completions',
    request: { ...chatRequest, stream: false },
    streaming: false,
    body: JSON.stringify({
      ...chunk({}),
      object: 'chat.completion',
      choices: [{ message: { content: '"usage":{}' } }],
      usage: chatUsage,
    }),
    usage: chatTokens,
    providerId: 'chatcmpl-1',
  },
  {
    name: 'chat, stream, usage asked for by the caller',
    format: 'openai',
    path: '/v1/chat/completions',
    request: { ...chatRequest, stream_options: { include_usage: true } },
    streaming: true,
    body: sse(...chatEvents, usageChunk, '[DONE]'),
    usage: chatTokens,
    providerId: 'chatcmpl-1',
  },
  {
    name: 'chat, stream, usage asked for by us and taken out again',
    format: 'openai',
    path: '/openai/deployments/prod/chat/completions',
    request: chatRequest,
    streaming: true,
    body: sse(...chatEvents, usageChunk, '[DONE]'),
    passed: sse(...chatEvents, '[DONE]'),
    usage: chatTokens,
    providerId: 'chatcmpl-1',
  },
  {
    name: 'chat, stream with comments, repeated usage beside the choices, reasoning outside, no [DONE]',
    format: 'openai',
    path: '/v1/chat/completions',
    request: chatRequest,
    streaming: true,
    body: `: keep-alive\r\n\r\n${sse(
      chunk({
        choices: [{ index: 0, delta: { reasoning_content: 'hm' } }],
        usage: { prompt_tokens: 9, completion_tokens: 90, total_tokens: 99 },
      }),
      chunk({
        choices: [{ index: 0, delta: { content: 'x' }, finish_reason: 'stop' }],
        usage: {
          prompt_tokens: 9,
          completion_tokens: 3,
          total_tokens: 19,
          completion_tokens_details: { reasoning_tokens: 7 },
        },
      }),
    ).replaceAll('\n', '\r\n')}`,
    usage: { tokens: { input: 9, output: 10 }, reasoning: 7 },
    providerId: 'chatcmpl-1',
  },
  {
    name: 'chat, stream, usage under x_groq alone',
    format: 'openai',
    path: '/openai/v1/chat/completions',
    request: chatRequest,
    streaming: true,
    body: sse(
      delta('a'),
      chunk({
        choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
        x_groq: { usage: { prompt_tokens: 18, completion_tokens: 73, total_tokens: 91 } },
      }),
      '[DONE]',
    ),
    usage: { tokens: { input: 18, output: 73 } },
    providerId: 'chatcmpl-1',
  },
  {
    name: 'chat, stream, usage inside the last choice alone',
    format: 'openai',
    path: '/v1/chat/completions',
    request: chatRequest,
    streaming: true,
    body: sse(
      delta('a'),
      chunk({
        choices: [
          {
            index: 0,
            delta: {},
            finish_reason: 'stop',
            usage: { prompt_tokens: 19, completion_tokens: 13, total_tokens: 32, cached_tokens: 4 },
          },
        ],
      }),
      '[DONE]',
    ),
    usage: { tokens: { input: 15, cached_input: 4, output: 13 } },
    providerId: 'chatcmpl-1',
  },
  {
    name: 'chat, stream, an error inside the 200',
    format: 'openai',
    path: '/v1/chat/completions',
    request: chatRequest,
    streaming: true,
    body: `${sse(delta('a'))}event: error\ndata: {"error":{"message":"over capacity","type":"server_error"}}\n\n`,
    usage: undefined,
    providerId: 'chatcmpl-1',
  },
  {
    name: 'completions, JSON',
    format: 'openai',
    path: '/v1/completions',
    request: { model: 'davinci-002', prompt: ['a', 'b'], n: 2 },
    streaming: false,
    body: '{"id":"cmpl-1","model":"davinci-002","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":64,"total_tokens":66}}',
    usage: { tokens: { input: 2, output: 64 } },
    providerId: 'cmpl-1',
  },
  {
    name: 'completions, stream',
    format: 'openai',
    path: '/v1/completions',
    request: { model: 'davinci-002', prompt: 'a', stream: true },
    streaming: true,
    body: sse(
      {
        id: 'cmpl-1',
        object: 'text_completion',
        created: 1,
        model: 'davinci-002',
        choices: [{ text: ' b', index: 0, finish_reason: null }],
        usage: null,
      },
      {
        id: 'cmpl-1',
        object: 'text_completion',
        created: 1,
        model: 'davinci-002',
        choices: [{ text: '', index: 0, finish_reason: 'stop' }],
        usage: null,
      },
      {
        id: 'cmpl-1',
        object: 'text_completion',
        created: 1,
        model: 'davinci-002',
        choices: [],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      },
      '[DONE]',
    ),
    passed: sse(
      {
        id: 'cmpl-1',
        object: 'text_completion',
        created: 1,
        model: 'davinci-002',
        choices: [{ text: ' b', index: 0, finish_reason: null }],
        usage: null,
      },
      {
        id: 'cmpl-1',
        object: 'text_completion',
        created: 1,
        model: 'davinci-002',
        choices: [{ text: '', index: 0, finish_reason: 'stop' }],
        usage: null,
      },
      '[DONE]',
    ),
    usage: { tokens: { input: 1, output: 1 } },
    providerId: 'cmpl-1',
  },
  {
    name: 'embeddings, JSON',
    format: 'openai',
    path: '/v1/embeddings',
    request: { model: 'text-embedding-3-small', input: ['a', 'b'] },
    streaming: false,
    body: '{"object":"list","data":[{"embedding":[0.1,-2e-5]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":7,"total_tokens":7}}',
    usage: { tokens: { input: 7 } },
    providerId: undefined,
  },
  {
    name: 'responses, JSON, with a search',
    format: 'openai',
    path: '/v1/responses',
    request: { model: 'gpt-5-mini', input: 'Hello' },
    streaming: false,
    body: JSON.stringify(response({ status: 'completed', output: [search, message], usage: responsesUsage })),
    usage: { tokens: { input: 30, cached_input: 20, output: 12 }, reasoning: 5, units: { web_search: 1 } },
    providerId: 'resp_1',
  },
  {
    name: 'responses, stream',
    format: 'openai',
    path: '/v1/responses',
    request: { model: 'gpt-5-mini', input: 'Hello', stream: true },
    streaming: true,
    body: named(
      { type: 'response.created', response: response({ status: 'in_progress', usage: null }), sequence_number: 0 } as {
        type: string
      },
      {
        type: 'response.output_item.added',
        output_index: 0,
        item: { ...message, status: 'in_progress' },
        sequence_number: 1,
      } as { type: string },
      {
        type: 'response.output_text.delta',
        item_id: 'msg_1',
        output_index: 0,
        content_index: 0,
        delta: 'Ciao ☕',
        sequence_number: 2,
      } as { type: string },
      {
        type: 'response.completed',
        response: response({ status: 'completed', output: [message], usage: responsesUsage }),
        sequence_number: 3,
      } as { type: string },
    ),
    usage: { tokens: { input: 30, cached_input: 20, output: 12 }, reasoning: 5 },
    providerId: 'resp_1',
  },
  {
    name: 'responses, stream that failed but states usage',
    format: 'openai',
    path: '/v1/responses',
    request: { model: 'gpt-5-mini', input: 'Hello', stream: true },
    streaming: true,
    body: named({
      type: 'response.failed',
      response: response({ status: 'failed', usage: responsesUsage }),
      sequence_number: 0,
    } as { type: string }),
    usage: { tokens: { input: 30, cached_input: 20, output: 12 }, reasoning: 5 },
    providerId: 'resp_1',
  },
  {
    name: 'messages, JSON, the lifetimes of cache writes stated in part',
    format: 'anthropic',
    path: '/v1/messages',
    request: messagesRequest,
    streaming: false,
    body: JSON.stringify({
      id: 'msg_1',
      type: 'message',
      model: 'claude-sonnet-4-6',
      content: [],
      usage: messagesUsage,
    }),
    usage: { tokens: { input: 20, cached_input: 300, cache_write_5m: 40, cache_write_1h: 60, output: 4 } },
    providerId: 'msg_1',
  },
  {
    name: 'messages, JSON, with a compaction pass',
    format: 'anthropic',
    path: '/v1/messages',
    request: messagesRequest,
    streaming: false,
    body: JSON.stringify({
      id: 'msg_1',
      type: 'message',
      model: 'claude-sonnet-4-6',
      content: [],
      usage: {
        input_tokens: 162,
        output_tokens: 11,
        iterations: [
          { type: 'compaction', input_tokens: 99195, output_tokens: 81 },
          { type: 'message', input_tokens: 162, output_tokens: 11 },
        ],
      },
    }),
    usage: {
      tokens: { input: 99357, cached_input: 0, cache_write_5m: 0, cache_write_1h: 0, output: 92 },
      passes: [
        {
          model: undefined,
          tokens: { input: 99195, cached_input: 0, cache_write_5m: 0, cache_write_1h: 0, output: 81 },
        },
        { model: undefined, tokens: { input: 162, cached_input: 0, cache_write_5m: 0, cache_write_1h: 0, output: 11 } },
      ],
    },
    providerId: 'msg_1',
  },
  {
    name: 'messages, stream whose input is restated upward',
    format: 'anthropic',
    path: '/v1/messages',
    request: { ...messagesRequest, stream: true },
    streaming: true,
    body: named(
      {
        type: 'message_start',
        message: {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          model: 'claude-sonnet-4-6',
          content: [],
          usage: { input_tokens: 727, output_tokens: 1 },
        },
      } as { type: string },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } } as { type: string },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hoi ☕' } } as { type: string },
      { type: 'content_block_stop', index: 0 } as { type: string },
      {
        type: 'message_delta',
        delta: { stop_reason: 'end_turn' },
        usage: { input_tokens: 1595, output_tokens: 30, server_tool_use: { web_search_requests: 2 } },
      } as { type: string },
      { type: 'message_stop' },
    ),
    usage: {
      tokens: { input: 1595, cached_input: 0, cache_write_5m: 0, cache_write_1h: 0, output: 30 },
      units: { web_search: 2 },
    },
    providerId: 'msg_1',
  },
]
