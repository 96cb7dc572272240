/** Reads `speech.audio.delta`, which carries audio, and `speech.audio.done`, which states the usage and ends the stream. */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { completionErrorEvent } from './error-event.ts'
import { countedSpeech, readSpeechUsage, type SpeechParsed } from './speech-usage.ts'

const DELTA = Buffer.from('"speech.audio.delta"')
const TYPE_BYTES = 64

export class SpeechStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  oversizedEnd = false
  /** Audio is billed by its end: nothing is cut in between. */
  readonly outputTokens = 0
  readonly endsByFraming = false
  readonly #parsed: SpeechParsed
  #usage: Usage | undefined

  constructor(call: CallRequest) {
    this.#parsed = call.parsed as SpeechParsed
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage,
      counted: countedSpeech(this.#parsed, undefined),
      model: undefined,
      providerId: undefined,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(): number {
    return 0
  }

  onEvent(event: StreamEvent): EventVerdict {
    // Audio in base64: nothing in it is looked for.
    if (event.data.subarray(0, TYPE_BYTES).includes(DELTA)) return 'pass'
    let parsed: Readonly<Record<string, unknown>> | undefined
    try {
      parsed = asObject(JSON.parse(event.data.toString()))
    } catch {
      this.unreadable = true
    }
    if (event.name === 'error' || asObject(parsed?.['error'])) this.failed = true
    if ((asText(parsed?.['type']) ?? event.name) !== 'speech.audio.done') return 'pass'
    this.#usage = readSpeechUsage(parsed?.['usage'])
    this.finished = true
    return 'terminal'
  }

  onOversized(head: Buffer, tail: Buffer): void {
    if (!head.includes('speech.audio.done')) return
    this.#usage = readSpeechUsage(usageInTail(tail))
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
