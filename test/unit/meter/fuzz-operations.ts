/** Every metered endpoint of every provider, with a call that it takes. */
import type { Format } from '../../../src/config/snapshot.ts'
import type { CallRequest, Framing, Metering } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { SOURCE } from '../../support/call-source.ts'

export interface FuzzedOperation {
  readonly name: string
  readonly format: Format
  readonly metering: Metering
  readonly call: CallRequest
  readonly framings: readonly Framing[]
}

const TEXT = { model: 'm', stream: true, prompt: 'x', messages: [{ role: 'user', content: 'x' }] }
const INPUT = { model: 'm', input: 'x' }
const INPUTS = { inputs: 'x', stream: true }
const RANK = { model: 'm', query: 'x', documents: ['a', 'b'] }
const WATSONX = { model_id: 'm', input: 'x', messages: [{ role: 'user', content: 'x' }] }
const CONTENTS = {
  contents: [{ role: 'user', parts: [{ text: 'x' }] }],
  content: { parts: [{ text: 'x' }] },
  requests: [{ content: { parts: [{ text: 'x' }] } }],
  instances: [{ content: 'x', prompt: 'x' }],
}
const CLAUDE = { anthropic_version: 'x', max_tokens: 9, messages: [{ role: 'user', content: 'x' }] }
const GOOGLE = ['generateContent', 'streamGenerateContent', 'embedContent', 'batchEmbedContents', 'predict']
const FAMILIES = [
  'anthropic.claude-3-5-sonnet',
  'amazon.titan-text-express-v1',
  'amazon.titan-embed-text-v2:0',
  'amazon.nova-lite',
  'meta.llama3-8b',
  'mistral.mistral-7b',
  'cohere.command-r',
  'cohere.command-text',
  'cohere.embed-english-v3',
  'ai21.jamba',
  'ai21.j2',
  'openai.gpt-oss-20b',
  'deepseek.r1',
  'stability.sd3',
  'arn:aws:bedrock:us-east-1:1:application-inference-profile/x',
]

const CALLS: readonly (readonly [Format, string, object])[] = [
  ['openai', '/v1/chat/completions', TEXT],
  ['openai', '/v1/completions', TEXT],
  ['openai', '/v1/responses', { ...INPUT, stream: true }],
  ['openai', '/v1/responses/compact', INPUT],
  ['openai', '/v1/embeddings', INPUT],
  ['openai', '/v1/images/generations', TEXT],
  ['openai', '/v1/images/edits', TEXT],
  ['openai', '/v1/audio/speech', INPUT],
  ['openai', '/v1/audio/transcriptions', { model: 'm', stream: true }],
  ['openai', '/v1/listen', {}],
  ['openai', '/v1/speak', { text: 'x', input: 'x' }],
  ['openai', '/v1/rerank', RANK],
  ['openai', '/v1/ocr', { model: 'm', document: { type: 'document_url', document_url: 'https://x/y.pdf' } }],
  ['openai', '/v1/chat', TEXT],
  ['openai', '/complete', TEXT],
  ['openai', '/generate', INPUTS],
  ['openai', '/hf-inference/models/a/b', INPUTS],
  ['openai', '/endpoints/x/invocations', INPUTS],
  ['openai', '/ml/v1/text/generation', WATSONX],
  ['openai', '/ml/v1/text/generation_stream', WATSONX],
  ['openai', '/ml/v1/text/chat', WATSONX],
  ['anthropic', '/v1/messages', { ...TEXT, max_tokens: 9 }],
  ['anthropic', '/v1/complete', { ...TEXT, max_tokens_to_sample: 9 }],
  ...GOOGLE.map((method) => ['gemini', `/v1beta/models/m:${method}`, CONTENTS] as const),
  ['gemini', '/v1beta/interactions', { ...INPUT, stream: true }],
  ...GOOGLE.map(
    (method) => ['vertex', `/v1/projects/p/locations/l/publishers/google/models/m:${method}`, CONTENTS] as const,
  ),
  ['vertex', '/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict', CLAUDE],
  ['vertex', '/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict', CLAUDE],
  ...FAMILIES.flatMap((model) =>
    ['invoke', 'invoke-with-response-stream'].map(
      (verb) => ['bedrock', `/model/${encodeURIComponent(model)}/${verb}`, CLAUDE] as const,
    ),
  ),
  ['bedrock', '/model/cohere.rerank-v3-5%3A0/invoke', { query: 'x', documents: ['a'] }],
  ['bedrock', '/model/m/converse', { messages: [] }],
  ['bedrock', '/model/m/converse-stream', { messages: [] }],
  ['cohere', '/v1/chat', { ...TEXT, message: 'x' }],
  ['cohere', '/v2/chat', TEXT],
  ['cohere', '/v1/generate', TEXT],
  ['cohere', '/v1/embed', { model: 'm', texts: ['x'] }],
  ['cohere', '/v2/embed', { model: 'm', texts: ['x'] }],
  ['cohere', '/v1/rerank', RANK],
  ['cohere', '/v2/rerank', RANK],
  ['cohere', '/v1/classify', { model: 'm', inputs: ['x'] }],
  ['ollama', '/api/chat', TEXT],
  ['ollama', '/api/generate', TEXT],
  ['ollama', '/api/embed', INPUT],
  ['ollama', '/api/embeddings', { model: 'm', prompt: 'x' }],
]

export function fuzzedOperations(): FuzzedOperation[] {
  return CALLS.flatMap(([format, path, request]) => {
    const metering = providers.get(format)?.match('POST', path)?.operation.metering
    // A method that one of Google's two hosts alone has.
    if (!metering && path.endsWith(':batchEmbedContents')) return []
    if (!metering) throw new Error(`${format} ${path} is not metered`)
    const call = metering.readCall(Buffer.from(JSON.stringify(request)), { ...SOURCE, path })
    return [{ name: `${format} ${path}`, format, metering, call, framings: framingsOf(metering) }]
  })
}

/** A content type may name another framing than the usual one. */
function framingsOf(metering: Metering): readonly Framing[] {
  return [metering.framing ?? 'sse', 'sse', 'ndjson', 'aws_eventstream']
}
