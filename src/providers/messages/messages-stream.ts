/**
 * Reads the events of a message as they pass: `message_start` has the input and a first output count, `message_delta`
 * the running totals over it, `message_stop` ends it.
 * Source: anthropic-sdk-typescript src/resources/messages/messages.ts, RawMessageStreamEvent.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { namedEvent } from '../sse-event.ts'
import { statedCostOf } from '../stated-cost.ts'
import { totalOutput } from '../usage-totals.ts'
import { anthropicError } from './error-body.ts'
import { mergeUsage, readMessagesUsage } from './messages-usage.ts'
import { answeredTier } from './price-tier.ts'

type Fields = Readonly<Record<string, unknown>>

const TYPE = Buffer.from('type')
const INDEX = Buffer.from('index')
const DELTA = Buffer.from('delta')
const TEXT_NAMES = [Buffer.from('text'), Buffer.from('thinking'), Buffer.from('partial_json')]

/** An event as its JSON has it. */
export interface MessagesEvent {
  readonly type: string
  readonly [name: string]: unknown
}

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class MessagesStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #open = new Set<number>()
  #raw: Fields | undefined
  #usage: Usage | undefined
  #id: string | undefined
  #model: string | undefined
  #counted = 0
  #stated = 0
  /** Of the event scanned last. */
  #type = ''
  #index = -1

  constructor(call: CallRequest) {
    this.#call = call
  }

  get outputTokens(): number {
    return this.#stated + this.#counted
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage,
      model: this.#model,
      providerId: this.#id,
      ...statedCostOf(this.#raw),
      serviceTier: answeredTier(this.#raw, this.#call),
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return this.#scan(event)
  }

  onEvent(event: StreamEvent): EventVerdict {
    this.#counted += this.#scan(event)
    switch (this.#type) {
      case 'content_block_start':
        if (this.#index >= 0 && this.#open.size < 1024) this.#open.add(this.#index)
        return 'pass'
      case 'content_block_stop':
        this.#open.delete(this.#index)
        return 'pass'
      case 'message_start':
      case 'message_delta':
        this.#parse(event.data)
        return 'pass'
      case 'error':
        this.failed = true
        return 'pass'
      case 'message_stop':
        this.finished = true
        return 'terminal'
      default:
        return 'pass'
    }
  }

  /** Large are results of tools alone; totals come in events of their own. */
  onOversized(): void {}

  /** Only what is generated counts: deltas, not the tool results that a block may start with. */
  #scan(event: StreamEvent): number {
    cursor.open(event.data)
    counter.reset()
    this.#type = event.name
    this.#index = -1
    let inDelta = false
    while (cursor.next()) {
      if (cursor.depth === 1) {
        inDelta = cursor.keyIs(DELTA)
        if (this.#type === '' && cursor.isString && cursor.keyIs(TYPE)) this.#type = cursor.stringBytes.toString()
        else if (cursor.keyIs(INDEX)) this.#index = cursor.wholeNumber
      } else if (inDelta && cursor.depth === 2 && cursor.isString && isTextName())
        counter.addText(event.data, cursor.valueStart, cursor.valueEnd)
    }
    return counter.tokens
  }

  #parse(data: Buffer): void {
    let event: Fields | undefined
    try {
      event = asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
    }
    if (!event) return
    const message = asObject(event['message'])
    this.#id ??= asText(message?.['id'])
    this.#model ??= asText(message?.['model'])
    if (asText(asObject(event['delta'])?.['stop_reason'])) this.finished = true
    const latest = asObject(message?.['usage'] ?? event['usage'])
    this.#raw = mergeUsage(this.#raw, latest)
    this.#usage = readMessagesUsage(this.#raw, this.#call.input.cacheWriteKind === 'cache_write_1h')
    // The count of message_start covers tokens whose text is still to come.
    if (message || !latest || !this.#usage) return
    this.#stated = totalOutput(this.#usage)
    this.#counted = 0
  }

  cutEnding(): Buffer {
    return Buffer.from(
      this.cutEvents()
        .map((event) => namedEvent(event.type, event))
        .join(''),
    )
  }

  /** The ending for "max_tokens" as objects, for those who frame events in another way. */
  cutEvents(): readonly MessagesEvent[] {
    const events: MessagesEvent[] = [...this.#open].map((index) => ({ type: 'content_block_stop', index }))
    events.push(
      {
        type: 'message_delta',
        delta: { stop_reason: 'max_tokens', stop_sequence: null },
        usage: { output_tokens: this.outputTokens },
      },
      { type: 'message_stop' },
    )
    return events
  }

  errorEvent(error: ErrorFacts): Buffer {
    return Buffer.from(namedEvent('error', anthropicError(error)))
  }
}

function isTextName(): boolean {
  return TEXT_NAMES.some((name) => cursor.keyIs(name))
}
