/** Recorded exchanges with real providers, kept beside the repository; and how our tokens compare with theirs. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import type { Upstream } from '../../src/config/snapshot.ts'
import type { Usage } from '../../src/core/usage.ts'
import type { CallRequest, Metering } from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { totalInput, totalOutput } from '../../src/providers/usage-totals.ts'
import { SOURCE } from '../support/call-source.ts'

export interface Recording {
  readonly id: string
  readonly provider: string
  readonly endpoint: string
  readonly streaming: boolean
  readonly request: { readonly method: string; readonly host: string; readonly path: string; readonly body: unknown }
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly bodyBase64: string
  }
  readonly expected: {
    readonly tokens: Readonly<Record<string, number>> | null
    readonly toolCalls: Readonly<Record<string, number>>
    readonly usageAbsent?: string
    readonly ambiguous?: boolean
    readonly model?: string
    readonly serviceTier?: string
  }
}

export const RECORDINGS_DIR = resolve(import.meta.dirname, '../../../shared/recordings')
export const haveRecordings = existsSync(RECORDINGS_DIR)

const FORMATS: Readonly<Record<string, 'openai' | 'anthropic'>> = {
  'chat.completions': 'openai',
  responses: 'openai',
  completions: 'openai',
  embeddings: 'openai',
  messages: 'anthropic',
}

/** Those of the endpoints that are metered, sorted by name. */
export function loadRecordings(): Recording[] {
  if (!haveRecordings) return []
  const all = readdirSync(RECORDINGS_DIR)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .map((name) => JSON.parse(readFileSync(join(RECORDINGS_DIR, name), 'utf8')))
  return all.filter((recording) => FORMATS[recording.endpoint] !== undefined).map(normalise)
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

/** The body as a decoding client sees it. */
export function responseBody(recording: Recording): Buffer {
  const raw = Buffer.from(recording.response.bodyBase64, 'base64')
  const encoding = recording.response.headers['content-encoding']
  if (encoding === 'gzip') return gunzipSync(raw)
  return encoding === 'br' ? brotliDecompressSync(raw) : raw
}

/** undefined where the path is none that we meter. */
export function meteringOf(recording: Recording): Metering | undefined {
  const format = FORMATS[recording.endpoint] as 'openai' | 'anthropic'
  const match = providers.get(format)?.match(recording.request.method, recording.request.path)
  return match?.operation.metering
}

export function upstreamOf(recording: Recording): Upstream {
  return testUpstream(`https://${recording.request.host}`)
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

/** The recorded call as we read it; a body that we would refuse or that was not kept: a plain call instead. */
export function callOf(recording: Recording, metering: Metering): CallRequest {
  const body = Buffer.from(JSON.stringify(recording.request.body ?? {}))
  try {
    return metering.readCall(body, SOURCE)
  } catch {
    const model = recording.expected.model ?? 'unknown'
    return metering.readCall(Buffer.from(JSON.stringify({ model, input: 'x', stream: recording.streaming })), SOURCE)
  }
}

/** Our usage in the recordings' terms, for the keys that `expected` has. */
export function inTheirTerms(
  usage: Usage | undefined,
  expected: Readonly<Record<string, number>>,
): Record<string, number> | null {
  if (!usage) return null
  const tokens = usage.tokens
  const ours: Record<string, number> = {
    input_total: totalInput(usage),
    input_cached_read: (tokens.cached_input ?? 0) + (tokens.cached_audio_input ?? 0),
    input_cache_write: (tokens.cache_write_5m ?? 0) + (tokens.cache_write_1h ?? 0),
    input_cache_write_5m: tokens.cache_write_5m ?? 0,
    input_cache_write_1h: tokens.cache_write_1h ?? 0,
    input_audio: (tokens.audio_input ?? 0) + (tokens.cached_audio_input ?? 0),
    input_image: tokens.image_input ?? 0,
    input_video: tokens.video_input ?? 0,
    output_total: totalOutput(usage),
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

/** What of `expected` we have a name for. */
export function ofOurKinds(expected: Readonly<Record<string, number>>): Record<string, number> {
  const skipped = /^(output_prediction|citation|input_audio_seconds|input_tool_use|input_document)/
  return Object.fromEntries(Object.entries(expected).filter(([key]) => !skipped.test(key)))
}
