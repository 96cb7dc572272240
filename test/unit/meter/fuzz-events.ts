/** Events as the providers write them, and whole answers: what mutations start from. [event name, JSON]. */
import type { Format } from '../../../src/config/snapshot.ts'

export type Seed = readonly [name: string, json: string]

const seed = (name: string, value: unknown): Seed => [name, JSON.stringify(value)]
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64')

const chatUsage = {
  prompt_tokens: 100,
  completion_tokens: 40,
  total_tokens: 140,
  prompt_tokens_details: { cached_tokens: 64, audio_tokens: 2, image_tokens: 1 },
  completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 1, accepted_prediction_tokens: 0 },
  cost: 0.0012,
  cost_in_usd_ticks: 12,
  num_search_queries: 1,
  cost_details: { upstream_inference_cost: 0.001 },
}
const responsesUsage = {
  input_tokens: 50,
  input_tokens_details: { cached_tokens: 20, text_tokens: 30 },
  output_tokens: 12,
  output_tokens_details: { reasoning_tokens: 5 },
  total_tokens: 62,
}
const messagesUsage = {
  input_tokens: 20,
  cache_creation_input_tokens: 100,
  cache_read_input_tokens: 300,
  cache_creation: { ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 60 },
  output_tokens: 4,
  server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
  service_tier: 'standard',
  iterations: [
    { type: 'compaction', input_tokens: 9, output_tokens: 8 },
    { type: 'message', input_tokens: 1 },
  ],
}
const googleUsage = {
  promptTokenCount: 277,
  candidatesTokenCount: 37,
  totalTokenCount: 884,
  cachedContentTokenCount: 12,
  toolUsePromptTokenCount: 7,
  thoughtsTokenCount: 570,
  promptTokensDetails: [
    { modality: 'TEXT', tokenCount: 19 },
    { modality: 'IMAGE', tokenCount: 258 },
  ],
  candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 3 }],
  cacheTokensDetails: [{ modality: 'VIDEO', tokenCount: 2 }],
  trafficType: 'ON_DEMAND',
}
const cohereMeta = {
  billed_units: { input_tokens: 58, output_tokens: 119, search_units: 1, images: 2, image_tokens: 0 },
  tokens: { input_tokens: 69, output_tokens: 119 },
  cached_tokens: 3,
}
const bedrockUsage = {
  inputTokens: 5,
  outputTokens: 100,
  totalTokens: 105,
  cacheReadInputTokens: 3,
  cacheWriteInputTokens: 2,
  cacheDetails: [{ ttl: '1h', inputTokens: 1 }],
}
const metrics = { inputTokenCount: 12, outputTokenCount: 100, invocationLatency: 3592, firstByteLatency: 10 }

const MESSAGES: readonly Seed[] = [
  seed('message_start', { type: 'message_start', message: { id: 'msg_1', model: 'claude', usage: messagesUsage } }),
  seed('content_block_start', { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
  seed('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hoi ☕' } }),
  seed('content_block_stop', { type: 'content_block_stop', index: 0 }),
  seed('message_delta', { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: messagesUsage }),
  seed('message_stop', { type: 'message_stop', 'amazon-bedrock-invocationMetrics': metrics }),
  seed('error', { type: 'error', error: { type: 'overloaded_error', message: 'x' } }),
  seed('', { type: 'message', id: 'msg_1', content: [{ type: 'text', text: 'x' }], usage: messagesUsage }),
]
const GOOGLE: readonly Seed[] = [
  seed('', {
    candidates: [{ content: { parts: [{ text: 'abc' }, { thought: true, text: 'hm' }] }, index: 0 }],
    usageMetadata: googleUsage,
    modelVersion: 'gemini',
    responseId: 'r1',
  }),
  seed('', {
    candidates: [
      { finishReason: 'STOP', index: 0, groundingMetadata: { webSearchQueries: ['a', 'b'] } },
      { content: { parts: [{ inlineData: { mimeType: 'image/png', data: 'AAAA' } }] }, index: 1 },
    ],
    usageMetadata: googleUsage,
  }),
  seed('', { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 3 } }),
  seed('', { error: { code: 503, message: 'x', status: 'UNAVAILABLE' } }),
  seed('', { predictions: [{ embeddings: { statistics: { token_count: 7, truncated: false }, values: [0.1] } }] }),
  seed('', { embeddings: [{ values: [1] }], embedding: { values: [1] }, metadata: { billableCharacterCount: 9 } }),
  seed('interaction.completed', {
    event_type: 'interaction.completed',
    interaction: {
      id: 'v1_1',
      status: 'completed',
      usage: {
        total_tokens: 242,
        total_input_tokens: 9,
        input_tokens_by_modality: [{ modality: 'image', tokens: 9 }],
        total_cached_tokens: 0,
        total_output_tokens: 13,
        total_tool_use_tokens: 1,
        total_thought_tokens: 220,
      },
    },
  }),
  seed('step.delta', { event_type: 'step.delta', index: 0, delta: { type: 'text', text: 'abc' } }),
]

export const SEEDS: { readonly [format in Format]: readonly Seed[] } = {
  openai: [
    seed('', { id: 'c', model: 'm', choices: [{ index: 0, delta: { role: 'assistant', content: 'Guten Tag ☕' } }] }),
    seed('', {
      id: 'c',
      choices: [{ index: 1, delta: { reasoning_content: 'hm' }, finish_reason: 'stop', text: 'b' }],
    }),
    seed('', { id: 'c', service_tier: 'default', choices: [], usage: chatUsage, timings: { prompt_n: 3, cache_n: 1 } }),
    seed('', { id: 'c', choices: [], x_groq: { usage: chatUsage }, error: { message: 'x' } }),
    ['', '[DONE]'],
    seed('response.created', { type: 'response.created', response: { id: 'resp_1', usage: null, output: [] } }),
    seed('response.output_item.added', { type: 'response.output_item.added', output_index: 0, item: { id: 'i' } }),
    seed('response.output_text.delta', { type: 'response.output_text.delta', output_index: 0, delta: 'Ciao' }),
    seed('response.completed', {
      type: 'response.completed',
      response: {
        id: 'resp_1',
        output: [{ type: 'web_search_call', action: { type: 'search' } }],
        usage: responsesUsage,
      },
    }),
    seed('image_generation.completed', { type: 'image_generation.completed', b64_json: 'AAAA', usage: responsesUsage }),
    seed('', { created: 1, data: [{ b64_json: 'AAAA' }, { url: 'x' }], usage: responsesUsage, size: '1024x1024' }),
    seed('transcript.text.done', {
      type: 'transcript.text.done',
      text: 'x',
      usage: { type: 'tokens', input_tokens: 3, input_token_details: { audio_tokens: 3 }, output_tokens: 4 },
    }),
    seed('', { text: 'x', duration: 3.7, usage: { type: 'duration', seconds: 7 }, metadata: { duration: 3.69 } }),
    seed('', { token: { id: 1, text: 'x' }, generated_text: 'x', details: { generated_tokens: 9, prefill: [1] } }),
    seed('', [{ generated_text: 'x', details: { generated_tokens: 9 } }]),
    seed('message', { results: [{ generated_text: 'x', generated_token_count: 9, input_token_count: 8 }] }),
    seed('', {
      results: [{ index: 0, relevance_score: 0.5 }],
      usage: { total_tokens: 9 },
      usage_info: { pages_processed: 1 },
    }),
    seed('', { model: 'm', choices: [{ message: { content: 'x' }, finish_reason: 'stop' }], usage: chatUsage }),
    seed('', { object: 'list', data: [{ embedding: [0.1] }], usage: { prompt_tokens: 7, total_tokens: 7 } }),
    seed('', { completions: [{ completion: 'x' }], num_tokens_prompt_total: 3, num_tokens_generated: 4 }),
  ],
  anthropic: [...MESSAGES, seed('completion', { type: 'completion', completion: ' x', stop_reason: 'stop_sequence' })],
  gemini: GOOGLE,
  vertex: [...GOOGLE, ...MESSAGES],
  bedrock: [
    seed('messageStart', { role: 'assistant', p: 'abc' }),
    seed('contentBlockStart', { contentBlockIndex: 0, start: { toolUse: { name: 'f', toolUseId: 't' } } }),
    seed('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Photo' } }),
    seed('contentBlockDelta', { contentBlockIndex: 1, delta: { reasoningContent: { text: 'hm' } } }),
    seed('contentBlockStop', { contentBlockIndex: 0 }),
    seed('messageStop', { stopReason: 'max_tokens' }),
    seed('metadata', { metrics: { latencyMs: 753 }, usage: bedrockUsage, serviceTier: { type: 'priority' } }),
    ...MESSAGES.map(([, json]): Seed => seed('chunk', { bytes: base64(JSON.parse(json)), p: 'abc' })),
    seed('chunk', {
      bytes: base64({ outputText: 'x', index: 0, totalOutputTextTokenCount: 9, inputTextTokenCount: 4 }),
    }),
    seed('chunk', {
      bytes: base64({ generation: 'x', prompt_token_count: 3, generation_token_count: 4, stop_reason: 'stop' }),
    }),
    seed('chunk', { bytes: base64({ text: 'x', is_finished: true, 'amazon-bedrock-invocationMetrics': metrics }) }),
    seed('chunk', { bytes: '%%% no base64', p: 'x' }),
    seed('exception:throttlingException', { message: 'slow down' }),
    seed('', { output: { message: { content: [{ text: 'x' }] } }, stopReason: 'end_turn', usage: bedrockUsage }),
    seed('', { inputTextTokenCount: 3, results: [{ tokenCount: 9, outputText: 'x' }], generation_token_count: 4 }),
    seed('', { usage: chatUsage, choices: [{ message: { content: 'x' } }], completions: [{ data: { tokens: [1] } }] }),
  ],
  cohere: [
    seed('', { event_type: 'stream-start', generation_id: 'g', is_finished: false }),
    seed('', { event_type: 'text-generation', text: 'Ar', is_finished: false }),
    seed('', { event_type: 'stream-end', finish_reason: 'COMPLETE', response: { text: 'x', meta: cohereMeta } }),
    seed('', {
      text: 'x',
      is_finished: true,
      finish_reason: 'COMPLETE',
      response: { generations: [], meta: cohereMeta },
    }),
    seed('message-start', { type: 'message-start', id: 'm', delta: { message: { role: 'assistant' } } }),
    seed('content-delta', { type: 'content-delta', index: 0, delta: { message: { content: { thinking: 'The' } } } }),
    seed('message-end', { type: 'message-end', delta: { finish_reason: 'COMPLETE', usage: cohereMeta } }),
    ['', '[DONE]'],
    seed('', { id: 'x', response_id: 'y', meta: cohereMeta, usage: cohereMeta, results: [{ index: 0 }] }),
  ],
  ollama: [
    seed('', { model: 'q', message: { role: 'assistant', content: 'ab', thinking: 'Here' }, done: false }),
    seed('', { model: 'q', response: 'A brave', done: false }),
    seed('', { model: 'q', done: true, done_reason: 'stop', prompt_eval_count: 21, eval_count: 889, context: [1, 2] }),
    seed('', { model: 'q', embeddings: [[0.1]], prompt_eval_count: 8, total_duration: 1 }),
    seed('', { error: 'model not found' }),
  ],
}
