/**
 * Reads the frames of a `converse-stream` as they pass: text in `contentBlockDelta`, the stop reason in `messageStop`,
 * usage in `metadata`, which comes last and alone.
 * Source: docs.aws.amazon.com, API_runtime_ConverseStreamOutput.
 */
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { eventFrame } from '../event-frame.ts'
import { JsonCursor } from '../json-cursor.ts'
import { likelyInput } from '../likely-input.ts'
import type { AnswerFacts, AnswerHeaders, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { totalOutput } from '../usage-totals.ts'
import { converseFacts } from './converse-facts.ts'
import { bedrockExceptionFrame } from './error-body.ts'

const INDEX = Buffer.from('contentBlockIndex')
const TEXT = Buffer.from('text')
const INPUT = Buffer.from('input')
/** More open blocks than that no model has. */
const OPEN_MAX = 1024

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class ConverseStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #headers: AnswerHeaders
  readonly #open = new Set<number>()
  #facts: AnswerFacts
  #counted = 0
  #started = false
  /** Block of the event scanned last; -1: it names none. */
  #index = -1

  constructor(call: CallRequest, headers: AnswerHeaders) {
    this.#call = call
    this.#headers = headers
    this.#facts = converseFacts({}, call, headers)
  }

  get facts(): AnswerFacts {
    return this.#facts
  }

  get outputTokens(): number {
    const { usage } = this.#facts
    return usage ? totalOutput(usage) : this.#counted
  }

  textTokens(event: StreamEvent): number {
    return event.name === 'contentBlockDelta' ? this.#scan(event.data) : 0
  }

  onEvent(event: StreamEvent): EventVerdict {
    switch (event.name) {
      case 'contentBlockDelta':
        this.#counted += this.#scan(event.data)
        this.#opened()
        return 'pass'
      case 'contentBlockStart':
        this.#scan(event.data)
        this.#opened()
        return 'pass'
      case 'contentBlockStop':
        this.#scan(event.data)
        this.#open.delete(this.#index)
        return 'pass'
      case 'messageStart':
        this.#started = true
        return 'pass'
      case 'messageStop':
        this.finished = true
        return 'pass'
      case 'metadata':
        this.#read(event.data)
        return 'terminal'
      default:
        if (event.name.startsWith('exception:') || event.name.startsWith('error:')) this.failed = true
        return 'pass'
    }
  }

  /** Large are images and results of tools; usage comes in an event of its own. */
  onOversized(): void {}

  #opened(): void {
    if (this.#index >= 0 && this.#open.size < OPEN_MAX) this.#open.add(this.#index)
  }

  /** Text of `delta.text`, `delta.reasoningContent.text` and `delta.toolUse.input`; what is cited stands deeper. */
  #scan(data: Buffer): number {
    cursor.open(data)
    counter.reset()
    this.#index = -1
    while (cursor.next()) {
      if (cursor.depth === 1) {
        if (cursor.keyIs(INDEX)) this.#index = cursor.wholeNumber
      } else if (
        cursor.isString &&
        cursor.depth <= 3 &&
        (cursor.keyIs(TEXT) || (cursor.depth === 3 && cursor.keyIs(INPUT)))
      )
        counter.addText(data, cursor.valueStart, cursor.valueEnd)
    }
    return counter.tokens
  }

  #read(data: Buffer): void {
    try {
      const metadata = asObject(JSON.parse(data.toString()))
      if (metadata) this.#facts = converseFacts(metadata, this.#call, this.#headers)
    } catch {
      this.unreadable = true
    }
  }

  cutEnding(): Buffer {
    const outputTokens = this.outputTokens
    const inputTokens = likelyInput(this.#call.input)
    const usage = { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens }
    return Buffer.concat([
      ...(this.#started ? [] : [eventFrame('messageStart', { role: 'assistant' })]),
      ...[...this.#open].map((contentBlockIndex) => eventFrame('contentBlockStop', { contentBlockIndex })),
      eventFrame('messageStop', { stopReason: 'max_tokens' }),
      eventFrame('metadata', { usage, metrics: { latencyMs: 0 } }),
    ])
  }

  errorEvent(error: ErrorFacts): Buffer {
    return bedrockExceptionFrame(error)
  }
}
