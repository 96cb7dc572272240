/**
 * Reads the events of a text completion: `completion` with the next piece of text, the last one with a stop reason.
 * Source: docs.anthropic.com, "Streaming Text Completions"; recorded traffic.
 */
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import { anthropicError } from '../messages/error-body.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { namedEvent } from '../sse-event.ts'

const TYPE = Buffer.from('type')
const COMPLETION = Buffer.from('completion')
const STOP_REASON = Buffer.from('stop_reason')

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class CompleteStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  outputTokens = 0
  readonly #call: CallRequest
  #id: string | undefined
  #model: string | undefined
  /** Of the event scanned last. */
  #type = ''
  #stops = false

  constructor(call: CallRequest) {
    this.#call = call
  }

  get facts(): AnswerFacts {
    return {
      usage: undefined,
      model: this.#model,
      providerId: this.#id,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return this.#scan(event)
  }

  onEvent(event: StreamEvent): EventVerdict {
    this.outputTokens += this.#scan(event)
    if (this.#type === 'error') this.failed = true
    if (this.#id === undefined && this.#type === 'completion') this.#readHead(event.data)
    if (!this.#stops) return 'pass'
    this.finished = true
    return 'terminal'
  }

  onOversized(): void {}

  #scan(event: StreamEvent): number {
    cursor.open(event.data)
    counter.reset()
    this.#type = event.name
    this.#stops = false
    while (cursor.next()) {
      if (cursor.depth !== 1 || !cursor.isString) continue
      if (cursor.keyIs(COMPLETION)) counter.addText(event.data, cursor.valueStart, cursor.valueEnd)
      else if (cursor.keyIs(STOP_REASON)) this.#stops = cursor.valueEnd > cursor.valueStart
      else if (this.#type === '' && cursor.keyIs(TYPE)) this.#type = cursor.stringBytes.toString()
    }
    return counter.tokens
  }

  #readHead(data: Buffer): void {
    try {
      const event = asObject(JSON.parse(data.toString()))
      this.#id = asText(event?.['id'])
      this.#model = asText(event?.['model'])
    } catch {
      this.unreadable = true
    }
  }

  cutEnding(): Buffer {
    const end = {
      type: 'completion',
      id: this.#id ?? 'compl_tollgate',
      completion: '',
      stop_reason: 'max_tokens',
      model: this.#model ?? this.#call.model,
      stop: null,
      log_id: this.#id ?? 'compl_tollgate',
    }
    return Buffer.from(namedEvent('completion', end))
  }

  errorEvent(error: ErrorFacts): Buffer {
    return Buffer.from(namedEvent('error', anthropicError(error)))
  }
}
