/**
 * Reads the events of a transcription: `transcript.text.delta`, `.segment`, and `.done`, which states the usage; some
 * servers let `[DONE]` follow. Mistral's are `transcription.text.delta`, `.segment` and `.done`; vLLM sends chunks like a
 * chat's, which `[DONE]` ends.
 * Sources: openai-node src/resources/audio/transcriptions.ts, TranscriptionStreamEvent; mistralai/client-ts
 * docs/models/components/transcriptionstreameventsdata.md; vllm entrypoints, TranscriptionStreamResponse.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { completionErrorEvent } from './error-event.ts'
import { countedTranscript, readTranscriptUsage, type TranscriptionParsed } from './transcription-usage.ts'

type Fields = Readonly<Record<string, unknown>>

const DONE = Buffer.from('[DONE]')
const TEXTS = new Set([
  'transcript.text.delta',
  'transcript.text.segment',
  'transcription.text.delta',
  'transcription.segment',
])
const ENDS = ['transcript.text.done', 'transcription.done']
const counter = new DeltaCounter()

export class TranscriptStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  oversizedEnd = false
  outputTokens = 0
  readonly endsByFraming = false
  readonly #parsed: TranscriptionParsed
  #usage: Usage | undefined
  #model: string | undefined

  constructor(call: CallRequest) {
    this.#parsed = call.parsed as TranscriptionParsed
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage,
      counted: countedTranscript(this.#parsed, this.outputTokens),
      model: this.#model,
      providerId: undefined,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return deltaTokens(textOf(this.#parse(event.data)))
  }

  onEvent(event: StreamEvent): EventVerdict {
    if (event.data.equals(DONE)) {
      this.finished = true
      return 'terminal'
    }
    const parsed = this.#parse(event.data)
    const type = asText(parsed?.['type']) ?? event.name
    if (event.name === 'error' || asObject(parsed?.['error'])) this.failed = true
    this.#model ??= asText(parsed?.['model'])
    if (TEXTS.has(type) || Array.isArray(parsed?.['choices'])) this.outputTokens += deltaTokens(textOf(parsed))
    this.#usage = readTranscriptUsage(parsed?.['usage'], parsed?.['duration']) ?? this.#usage
    if (!ENDS.includes(type)) return 'pass'
    this.finished = true
    return 'terminal'
  }

  #parse(data: Buffer): Fields | undefined {
    try {
      return asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  /** The last event holds the whole transcript. */
  onOversized(head: Buffer, tail: Buffer): void {
    if (!ENDS.some((end) => head.includes(end))) return
    this.#usage = readTranscriptUsage(usageInTail(tail), undefined)
    this.finished = true
    this.oversizedEnd = true
  }

  /** Never asked for: what such a call can come to is held whole. */
  cutEnding(): Buffer {
    return Buffer.alloc(0)
  }

  errorEvent(error: ErrorFacts): Buffer {
    return completionErrorEvent(error)
  }
}

/** Of one event: a delta, a segment, or a chunk with one choice. */
function textOf(event: Fields | undefined): string {
  const delta = asObject(asObject(asArray(event?.['choices'])[0])?.['delta'])
  return asText(event?.['delta']) ?? asText(event?.['text']) ?? asText(delta?.['content']) ?? ''
}

function deltaTokens(text: string): number {
  counter.reset()
  const bytes = Buffer.from(text)
  counter.addText(bytes, 0, bytes.length)
  return counter.tokens
}
