/**
 * Reads the events of a v2 chat as they pass. `message-end` has the finish reason and the usage and is the last event
 * that says something; `data: [DONE]` follows it.
 * Sources: cohere-typescript src/api/types/V2ChatStreamResponse.ts, ChatMessageEndEventDelta.ts; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { namedEvent } from '../sse-event.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { cohereError } from './cohere-error.ts'
import { readCohereUsage } from './cohere-usage.ts'

type Fields = Readonly<Record<string, unknown>>

const TYPE = Buffer.from('type')
const INDEX = Buffer.from('index')
const DELTA = Buffer.from('delta')
const TEXT_NAMES = ['text', 'thinking', 'tool_plan', 'arguments', 'name'].map((name) => Buffer.from(name))
/** What is open, by the event that opened it, and the event that closes it. */
const CLOSED_BY = { content: 'content-end', tool: 'tool-call-end', citation: 'citation-end' } as const
type Opened = keyof typeof CLOSED_BY
const OPENED_MAX = 1024
/** Finish reasons of a generation that failed. */
export const FAILED: ReadonlySet<string> = new Set(['ERROR', 'TIMEOUT'])

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class ChatV2Stream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #open = new Map<string, { readonly kind: Opened; readonly index: number }>()
  #usage: Usage | undefined
  #id: string | undefined
  #started = false
  #counted = 0
  /** Of the event scanned last. */
  #type = ''
  #index = -1

  constructor(call: CallRequest) {
    this.#call = call
  }

  get outputTokens(): number {
    return this.#usage ? totalOutput(this.#usage) : this.#counted
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage,
      model: undefined,
      providerId: this.#id,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return this.#scan(event)
  }

  onEvent(event: StreamEvent): EventVerdict {
    this.#counted += this.#scan(event)
    switch (this.#type) {
      case 'message-start':
        this.#started = true
        this.#id ??= asText(this.#parse(event.data)?.['id'])
        return 'pass'
      case 'content-start':
        return this.#opened('content')
      case 'tool-call-start':
        return this.#opened('tool')
      case 'citation-start':
        return this.#opened('citation')
      case 'content-end':
        return this.#closed('content')
      case 'tool-call-end':
        return this.#closed('tool')
      case 'citation-end':
        return this.#closed('citation')
      case 'message-end':
        this.#readEnd(event.data)
        return 'terminal'
      case 'error':
        this.failed = true
        return 'pass'
      default:
        return 'pass'
    }
  }

  /** Large are documents of a citation alone. */
  onOversized(): void {}

  /** Only what is generated counts: not the sources that a citation names. */
  #scan(event: StreamEvent): number {
    cursor.open(event.data)
    counter.reset()
    this.#type = event.name
    this.#index = -1
    let inDelta = false
    while (cursor.next()) {
      if (cursor.depth === 1) {
        inDelta = cursor.keyIs(DELTA)
        if (cursor.isString && cursor.keyIs(TYPE)) this.#type = cursor.stringBytes.toString()
        else if (cursor.keyIs(INDEX)) this.#index = cursor.wholeNumber
      } else if (inDelta && cursor.isString && isTextName())
        counter.addText(event.data, cursor.valueStart, cursor.valueEnd)
    }
    return generates(this.#type) ? counter.tokens : 0
  }

  #opened(kind: Opened): EventVerdict {
    if (this.#open.size < OPENED_MAX) this.#open.set(`${kind}${this.#index}`, { kind, index: this.#index })
    return 'pass'
  }

  #closed(kind: Opened): EventVerdict {
    this.#open.delete(`${kind}${this.#index}`)
    return 'pass'
  }

  #readEnd(data: Buffer): void {
    this.finished = true
    const delta = asObject(this.#parse(data)?.['delta'])
    if (FAILED.has(asText(delta?.['finish_reason']) ?? '') || asText(delta?.['error'])) this.failed = true
    this.#usage = readCohereUsage(delta?.['usage'])
  }

  #parse(data: Buffer): Fields | undefined {
    try {
      return asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  cutEnding(): Buffer {
    const events: string[] = []
    if (!this.#started)
      events.push(
        event('message-start', {
          id: this.#id ?? 'tollgate',
          delta: { message: { role: 'assistant', content: [] } },
        }),
      )
    // What was opened last is closed first: a citation stands inside its content.
    for (const { kind, index } of [...this.#open.values()].reverse())
      events.push(event(CLOSED_BY[kind], index < 0 ? {} : { index }))
    const input = this.#usage ? totalInput(this.#usage) : this.#call.input.highTokens
    const counts = { input_tokens: input, output_tokens: this.outputTokens }
    events.push(
      event('message-end', {
        delta: { finish_reason: 'MAX_TOKENS', usage: { billed_units: counts, tokens: counts } },
      }),
    )
    return Buffer.from(`${events.join('')}data: [DONE]\n\n`)
  }

  /** The format tells a failure by its last event. */
  errorEvent(error: ErrorFacts): Buffer {
    const { message, ...more } = cohereError(error)
    return Buffer.from(event('message-end', { ...more, delta: { finish_reason: 'ERROR', error: message } }))
  }
}

function generates(type: string): boolean {
  return type === 'content-delta' || type === 'tool-plan-delta' || type.startsWith('tool-call')
}

function isTextName(): boolean {
  return TEXT_NAMES.some((name) => cursor.keyIs(name))
}

function event(type: string, fields: Fields): string {
  return namedEvent(type, { type, ...fields })
}
