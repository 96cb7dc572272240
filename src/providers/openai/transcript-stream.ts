/**
 * Reads the events of a transcription: `transcript.text.delta`, `.segment`, and `.done`, which states the usage; some
 * servers let `[DONE]` follow. Source: openai-node src/resources/audio/transcriptions.ts, TranscriptionStreamEvent.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { completionErrorEvent } from './error-event.ts'
import { countedTranscript, readTranscriptUsage, type TranscriptionParsed } from './transcription-usage.ts'

const DONE = Buffer.from('[DONE]')
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

  constructor(call: CallRequest) {
    this.#parsed = call.parsed as TranscriptionParsed
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage,
      counted: countedTranscript(this.#parsed, this.outputTokens),
      model: undefined,
      providerId: undefined,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    const parsed = this.#parse(event.data)
    return deltaTokens(asText(parsed?.['delta']) ?? asText(parsed?.['text']) ?? '')
  }

  onEvent(event: StreamEvent): EventVerdict {
    if (event.data.equals(DONE)) return this.finished ? 'terminal' : 'pass'
    const parsed = this.#parse(event.data)
    const type = asText(parsed?.['type']) ?? event.name
    if (event.name === 'error' || asObject(parsed?.['error'])) this.failed = true
    if (type === 'transcript.text.delta' || type === 'transcript.text.segment') {
      const text = asText(parsed?.['delta']) ?? asText(parsed?.['text']) ?? ''
      this.outputTokens += deltaTokens(text)
      return 'pass'
    }
    if (type !== 'transcript.text.done') return 'pass'
    this.#usage = readTranscriptUsage(parsed?.['usage'], parsed?.['duration'])
    this.finished = true
    return 'terminal'
  }

  #parse(data: Buffer): Readonly<Record<string, unknown>> | undefined {
    try {
      return asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  /** The last event holds the whole transcript. */
  onOversized(head: Buffer, tail: Buffer): void {
    if (!head.includes('transcript.text.done')) return
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

function deltaTokens(text: string): number {
  counter.reset()
  const bytes = Buffer.from(text)
  counter.addText(bytes, 0, bytes.length)
  return counter.tokens
}
