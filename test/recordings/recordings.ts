/** Recorded exchanges with real providers, kept beside the repository; and how our tokens compare with theirs. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import type { Format, Upstream } from '../../src/config/snapshot.ts'
import type { Usage } from '../../src/core/usage.ts'
import { isForm, readForm } from '../../src/providers/multipart/read-form.ts'
import {
  type AnswerHeaders,
  type CallRequest,
  type CallSource,
  type Form,
  type Framing,
  InvalidCall,
  type Metering,
  type OperationMatch,
} from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { totalInput, totalOutput } from '../../src/providers/usage-totals.ts'
import { composedBody } from './composed-body.ts'

export interface Recording {
  readonly id: string
  readonly provider: string
  readonly endpoint: string
  readonly streaming: boolean
  readonly streamFormat: 'sse' | 'ndjson' | 'json-array' | 'aws-eventstream' | null
  readonly request: {
    readonly method: string
    readonly host: string
    readonly path: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: unknown
    readonly bodyText?: string
    readonly bodyBase64?: string
  }
  /** Of a body that is one. */
  readonly form?: Form
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly bodyBase64: string
    readonly bodyState: string
  }
  readonly expected: {
    readonly tokens: Readonly<Record<string, number>> | null
    readonly toolCalls: Readonly<Record<string, number>>
    readonly units?: Readonly<Record<string, number>>
    readonly usageAbsent?: string
    readonly ambiguous?: boolean
    readonly model?: string
    readonly serviceTier?: string
  }
}

export const RECORDINGS_DIR = resolve(import.meta.dirname, '../../../shared/recordings')
export const haveRecordings = existsSync(RECORDINGS_DIR)

/** The format that an operator gives each recorded provider. */
export const FORMAT_OF: Readonly<Record<string, Format>> = {
  'aleph-alpha': 'openai',
  anthropic: 'anthropic',
  avian: 'openai',
  'azure-ai-foundry': 'openai',
  'azure-openai': 'openai',
  bedrock: 'bedrock',
  'bedrock-agent': 'bedrock',
  'bedrock-mantle': 'openai',
  cerebras: 'openai',
  cohere: 'cohere',
  'cohere-openai-compat': 'openai',
  deepgram: 'openai',
  deepseek: 'openai',
  fireworks: 'openai',
  gemini: 'gemini',
  gpustack: 'openai',
  groq: 'openai',
  'hf-router': 'openai',
  'hf-tgi': 'openai',
  hyperbolic: 'openai',
  'llama.cpp': 'openai',
  mistral: 'openai',
  nebius: 'openai',
  novita: 'openai',
  ollama: 'ollama',
  'ollama-openai-compat': 'openai',
  openai: 'openai',
  openrouter: 'openai',
  perplexity: 'openai',
  portkey: 'openai',
  replicate: 'openai',
  sagemaker: 'openai',
  sambanova: 'openai',
  together: 'openai',
  'vercel-ai-gateway': 'openai',
  vertex: 'vertex',
  'vertex-anthropic': 'vertex',
  vllm: 'openai',
  voyage: 'openai',
  watsonx: 'openai',
  writer: 'openai',
  xai: 'openai',
  zai: 'openai',
}

const only = (process.env['RECORDINGS'] ?? '').split(',').filter((name) => name !== '')

/** All of formats that are spoken, sorted by name. RECORDINGS=bedrock,xai: of those providers alone. */
export async function loadRecordings(): Promise<Recording[]> {
  if (!haveRecordings) return []
  const recordings = readdirSync(RECORDINGS_DIR)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => normalise(JSON.parse(readFileSync(join(RECORDINGS_DIR, name), 'utf8'))))
    .filter((recording) => only.length === 0 || only.includes(recording.provider))
    .filter((recording) => providers.has(formatOf(recording)))
  return Promise.all(recordings.map(withForm))
}

/** Forms are read before the call is. */
async function withForm(recording: Recording): Promise<Recording> {
  const { headers, body } = requestOf(recording)
  const type = headers['content-type']
  if (!body || !isForm(type) || !meteringOf(recording)?.takesForms) return recording
  return { ...recording, form: await readForm(body, type as string) }
}

// biome-ignore lint/suspicious/noExplicitAny: a file of others, read as it is
function normalise(recording: any): Recording {
  const { tool_calls, ...tokens } = recording.expected.tokens ?? {}
  return {
    ...recording,
    expected: {
      ...recording.expected,
      tokens: recording.expected.tokens ? tokens : null,
      toolCalls: tool_calls ?? {},
    },
  }
}

export function formatOf(recording: Recording): Format {
  const format = FORMAT_OF[recording.provider]
  if (!format) throw new Error(`no format for the provider ${recording.provider} of ${recording.id}`)
  return format
}

/** The body as a decoding client sees it. */
export function responseBody(recording: Recording): Buffer {
  const raw = Buffer.from(recording.response.bodyBase64, 'base64')
  const encoding = recording.response.headers['content-encoding']
  if (encoding === 'gzip') return gunzipSync(raw)
  return encoding === 'br' ? brotliDecompressSync(raw) : raw
}

const FRAMINGS: Readonly<Record<string, Framing>> = {
  sse: 'sse',
  ndjson: 'ndjson',
  'json-array': 'json_array',
  'aws-eventstream': 'aws_eventstream',
}

export function framingOf(recording: Recording): Framing {
  return FRAMINGS[recording.streamFormat ?? 'sse'] as Framing
}

export function matchOf(recording: Recording): OperationMatch | undefined {
  const { method, path } = recording.request
  return providers.get(formatOf(recording))?.match(method, path.split('?')[0] as string)
}

/** undefined where the path is none that we meter. */
export function meteringOf(recording: Recording): Metering | undefined {
  return matchOf(recording)?.operation.metering
}

export function upstreamOf(recording: Recording): Upstream {
  const name = recording.provider
  return testUpstream(`https://${recording.request.host}`, { name, format: formatOf(recording) })
}

export function testUpstream(url: string, more: Partial<Upstream> = {}): Upstream {
  return {
    name: 'test',
    format: 'openai',
    baseUrl: new URL(url),
    apiKey: '',
    auth: 'bearer',
    models: [],
    headers: {},
    shared: false,
    onDisconnect: { mode: 'drain', maxMs: 1000 },
    onNoAnswer: 'void',
    missingUsage: 'estimate',
    chargeBy: 'ours',
    outputLimitParam: undefined,
    ...more,
  }
}

/** The request as it was sent; a body that the cassette did not keep is composed after what the answer says. */
export function requestOf(recording: Recording): {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
} {
  const { method, headers, body, bodyText, bodyBase64 } = recording.request
  if (body !== null && body !== undefined) {
    return { headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(JSON.stringify(body)) }
  }
  if (bodyText !== undefined && !bodyText.includes('omitted]')) return { headers, body: Buffer.from(bodyText) }
  if (bodyBase64 !== undefined) return { headers, body: Buffer.from(bodyBase64, 'base64') }
  return method === 'POST' ? composedBody(recording) : { headers, body: undefined }
}

export function sourceOf(recording: Recording): CallSource {
  const [path, query] = recording.request.path.split('?')
  return {
    path: path as string,
    query: query === undefined ? '' : `?${query}`,
    headers: requestOf(recording).headers,
    jsonDepth: 128,
    ...(recording.form ? { form: recording.form } : {}),
  }
}

/** Those whose path is metered and whose body we would not refuse. */
export async function loadMetered(): Promise<Recording[]> {
  return (await loadRecordings()).filter((recording) => {
    const metering = meteringOf(recording)
    if (!metering) return false
    try {
      callOf(recording, metering)
      return true
    } catch (error) {
      if (error instanceof InvalidCall) return false
      throw error
    }
  })
}

/** The recorded call as we read it, edited as it would be sent. Throws InvalidCall where we would refuse it. */
export function callOf(recording: Recording, metering: Metering): CallRequest {
  const body = requestOf(recording).body ?? Buffer.alloc(0)
  const call = metering.readCall(body, sourceOf(recording))
  metering.prepare(body, call, { outputLimit: undefined, upstream: upstreamOf(recording) })
  return call
}

export function answerHeadersOf(recording: Recording): AnswerHeaders {
  const { headers } = recording.response
  return { get: (name) => headers[name] }
}

/** Our usage in the recordings' terms, for the keys that `expected` has. */
export function inTheirTerms(
  usage: Pick<Usage, 'tokens' | 'reasoning'> | undefined,
  expected: Readonly<Record<string, number>>,
): Record<string, number> | null {
  if (!usage) return null
  const tokens = usage.tokens
  const ours: Record<string, number> = {
    input_total: totalInput(usage as Usage),
    input_cached_read: (tokens.cached_input ?? 0) + (tokens.cached_audio_input ?? 0),
    input_cache_write: (tokens.cache_write_5m ?? 0) + (tokens.cache_write_1h ?? 0),
    input_cache_write_5m: tokens.cache_write_5m ?? 0,
    input_cache_write_1h: tokens.cache_write_1h ?? 0,
    input_audio: (tokens.audio_input ?? 0) + (tokens.cached_audio_input ?? 0),
    input_image: withCached(tokens, tokens.image_input ?? 0, expected, 'image'),
    input_video: withCached(tokens, tokens.video_input ?? 0, expected, 'video'),
    output_total: totalOutput(usage as Usage),
    output_reasoning: usage.reasoning ?? 0,
    output_audio: tokens.audio_output ?? 0,
    output_image: tokens.image_output ?? 0,
  }
  return Object.fromEntries(
    Object.keys(expected)
      .filter((key) => key in ours)
      .map((key) => [key, ours[key] as number]),
  )
}

/**
 * Cached images and video stand in one kind alone, cached input. How many of them are cached most providers do not say:
 * then their count is right where the cached tokens can make up the difference.
 */
function withCached(
  tokens: Usage['tokens'],
  count: number,
  expected: Readonly<Record<string, number>>,
  kind: 'image' | 'video',
): number {
  const cached = expected[`input_cached_${kind}`]
  if (cached !== undefined) return count + cached
  const stated = expected[`input_${kind}`] ?? 0
  return count <= stated && count + (tokens.cached_input ?? 0) >= stated ? stated : count
}

/** What of `expected` we have a kind for; what is not named here is a part of one, and stands in it. */
export function ofOurKinds(expected: Readonly<Record<string, number>>): Record<string, number> {
  const skipped = /^(output_prediction|citation|input_audio_seconds|input_tool_use|input_document|input_cached_(im|vi))/
  return Object.fromEntries(Object.entries(expected).filter(([key]) => !skipped.test(key)))
}

/** Counted things as we name them: of what was billed, and of what the tools did. */
export function unitsOf(recording: Recording): Record<string, number> {
  const { units = {}, toolCalls } = recording.expected
  const ours = {
    images: units['images'],
    searches: units['search_units'],
    seconds: units['audio_seconds'],
    web_search: toolCalls['web_search'] ?? groundedSearches(recording),
  }
  return Object.fromEntries(
    Object.entries(ours).filter((entry): entry is [string, number] => entry[1] !== undefined && entry[1] > 0),
  )
}

/** Gemini 2.5 and earlier bill a grounded prompt, however many queries were made for it. */
function groundedSearches({ expected }: Recording): number | undefined {
  const queries = expected.toolCalls['grounding_queries']
  return queries !== undefined && /^gemini-[12]/.test(expected.model ?? '') ? Math.min(queries, 1) : queries
}
