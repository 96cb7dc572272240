/**
 * Reads the events of a response as they pass. Usage stands in the event that ends it: `response.completed`,
 * `.incomplete` or `.failed`; deltas say how much text has passed.
 * Source: openai-node src/resources/responses/responses.ts, ResponseStreamEvent.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { namedEvent } from '../sse-event.ts'
import { statedCostOf } from '../stated-cost.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { openAIError } from './error-event.ts'

import { idsOfItems, keptObjects } from './kept-objects.ts'
import { answeredTier } from './price-tier.ts'

import { responseJob } from './response-job.ts'
import { ResponseTranscript } from './response-transcript.ts'
import { countToolCalls, readResponsesUsage } from './responses-usage.ts'

type Fields = Readonly<Record<string, unknown>>

const TYPE = Buffer.from('type')
const DELTA = Buffer.from('delta')
const SEQUENCE_NUMBER = Buffer.from('sequence_number')
const OUTPUT_INDEX = Buffer.from('output_index')
const CONTENT_INDEX = Buffer.from('content_index')
const SUMMARY_INDEX = Buffer.from('summary_index')
const DONE = Buffer.from('[DONE]')
/** A response echoes instructions and tools: its head is kept for the ending up to this size. */
/** Items of one response that later calls may refer to. */
const ITEMS_MAX = 500
const HEAD_BYTES_MAX = 64 * 1024
const PARSED = new Set([
  'response.created',
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.output_item.added',
  'response.output_item.done',
  'response.content_part.added',
  'response.content_part.done',
  'response.reasoning_summary_part.added',
  'response.reasoning_summary_part.done',
  'error',
])
const ENDS = new Set(['response.completed', 'response.incomplete', 'response.failed'])

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class ResponsesStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  oversizedEnd = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #transcript = new ResponseTranscript()
  #usage: Usage | undefined
  #response: Fields | undefined
  #id: string | undefined
  #model: string | undefined
  #serviceTier: string | undefined
  #counted = 0
  readonly #items: string[] = []
  #webSearches = 0
  #fileSearches = 0
  /** Of the event scanned last. */
  #type = ''
  #outputIndex = -1
  #partIndex = -1
  #sequence = -1
  #deltaStart = 0
  #deltaEnd = 0
  #lastSequence = -1

  constructor(call: CallRequest) {
    this.#call = call
  }

  get outputTokens(): number {
    return this.#usage ? totalOutput(this.#usage) : this.#counted
  }

  get facts(): AnswerFacts {
    const job = this.#call.goesOn && !this.finished ? responseJob(this.#id, 'in_progress', this.#call) : undefined
    return {
      ...(job ? { job } : {}),
      usage: this.#usage,
      model: this.#model,
      providerId: this.#id,
      ...statedCostOf(this.#usage?.raw),
      serviceTier: answeredTier(this.#serviceTier, this.#usage?.raw),
      ...keptObjects(this.#call, this.#id, this.#items),
    }
  }

  textTokens(event: StreamEvent): number {
    return this.#scan(event)
  }

  onEvent(event: StreamEvent): EventVerdict {
    const tokens = this.#scan(event)
    this.#counted += tokens
    if (this.#sequence >= 0) this.#lastSequence = this.#sequence
    if (PARSED.has(this.#type)) return this.#parse(event.data)
    if (tokens > 0) this.#keepDelta(event.data)
    // Some copies of the API end with chat's marker; the response has ended before.
    return this.finished && event.data.equals(DONE) ? 'terminal' : 'pass'
  }

  /** The event that ends a response holds all of its output, images too. */
  onOversized(head: Buffer, tail: Buffer): void {
    const start = head.toString('latin1')
    const type = [...ENDS].find((end) => start.includes(`event: ${end}\n`) || start.includes(`"type":"${end}"`))
    if (type === undefined) return
    const calls = { webSearches: this.#webSearches, fileSearches: this.#fileSearches }
    this.#usage = readResponsesUsage(usageInTail(tail), calls) ?? this.#usage
    this.finished = true
    this.oversizedEnd = true
    if (type === 'response.failed') this.failed = true
  }

  #scan(event: StreamEvent): number {
    cursor.open(event.data)
    counter.reset()
    this.#type = event.name
    this.#outputIndex = -1
    this.#partIndex = -1
    this.#sequence = -1
    this.#deltaStart = 0
    this.#deltaEnd = 0
    while (cursor.next()) if (cursor.depth === 1) this.#scanMember(event.data)
    if (!this.#type.endsWith('.delta') || this.#type === 'response.audio.delta') return 0
    counter.addText(event.data, this.#deltaStart, this.#deltaEnd)
    return counter.tokens
  }

  #scanMember(data: Buffer): void {
    switch (cursor.keyLength) {
      case 4:
        // The name of the event stands in its data too; some copies of the API send no `event:` line.
        if (this.#type === '' && cursor.isString && cursor.keyIs(TYPE)) this.#type = cursor.stringBytes.toString()
        return
      case 5:
        if (!cursor.isString || !cursor.keyIs(DELTA)) return
        this.#deltaStart = cursor.valueStart
        this.#deltaEnd = Math.min(cursor.valueEnd, data.length)
        return
      case 12:
        if (cursor.keyIs(OUTPUT_INDEX)) this.#outputIndex = cursor.wholeNumber
        return
      case 13:
        if (cursor.keyIs(CONTENT_INDEX) || cursor.keyIs(SUMMARY_INDEX)) this.#partIndex = cursor.wholeNumber
        return
      case 15:
        if (cursor.keyIs(SEQUENCE_NUMBER)) this.#sequence = cursor.wholeNumber
    }
  }

  #keepDelta(data: Buffer): void {
    this.#transcript.addText(this.#outputIndex, this.#partIndex, data.subarray(this.#deltaStart, this.#deltaEnd))
  }

  #parse(data: Buffer): EventVerdict {
    const type = this.#type
    let event: Fields | undefined
    try {
      event = asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
    }
    if (!event) return 'pass'
    if (type === 'error') this.failed = true
    else if (type === 'response.created') this.#begin(event, data.length)
    else if (ENDS.has(type)) return this.#end(type, event)
    else this.#keepItem(type, event, data.length)
    return 'pass'
  }

  #begin(event: Fields, size: number): void {
    const response = asObject(event['response'])
    this.#readHead(response)
    if (response && size <= HEAD_BYTES_MAX) this.#response = response
  }

  #readHead(response: Fields | undefined): void {
    this.#id = asText(response?.['id']) ?? this.#id
    this.#model = asText(response?.['model']) ?? this.#model
    this.#serviceTier = asText(response?.['service_tier']) ?? this.#serviceTier
  }

  #end(type: string, event: Fields): EventVerdict {
    const response = asObject(event['response'])
    this.#readHead(response)
    const listed = countToolCalls(response?.['output'], response?.['tool_usage'], this.#call.beside?.model)
    this.#usage = readResponsesUsage(response?.['usage'], {
      ...listed,
      webSearches: Math.max(listed.webSearches, this.#webSearches),
      fileSearches: Math.max(listed.fileSearches, this.#fileSearches),
    })
    this.finished = true
    if (type === 'response.failed') this.failed = true
    return 'terminal'
  }

  #keepItem(type: string, event: Fields, size: number): void {
    const item = asObject(event['item'])
    const part = asObject(event['part'])
    const index = this.#outputIndex
    if (type === 'response.output_item.added' && item) this.#transcript.addItem(index, item, size)
    else if (type === 'response.output_item.done' && item) {
      if (item['type'] === 'web_search_call') this.#webSearches++
      if (item['type'] === 'file_search_call') this.#fileSearches++
      if (this.#items.length < ITEMS_MAX) this.#items.push(...idsOfItems([item]))
      this.#transcript.finishItem(index, item, size)
    } else if (type.endsWith('_part.added') && part) this.#transcript.addPart(index, this.#partIndex, part, size)
    else if (type.endsWith('_part.done')) this.#transcript.finishPart(index, this.#partIndex)
  }

  cutEnding(): Buffer {
    let sequence = this.#lastSequence
    const closing = this.#transcript.close()
    closing.push(['response.incomplete', { response: this.#incompleteResponse() }])
    const lines = closing.map(([type, fields]) => namedEvent(type, { type, ...fields, sequence_number: ++sequence }))
    return Buffer.from(lines.join(''))
  }

  #incompleteResponse(): Fields {
    const input = this.#usage ? totalInput(this.#usage) : this.#call.input.highTokens
    const output = this.outputTokens
    const { output: _begun, ...head } = this.#response ?? { id: this.#id, object: 'response', model: this.#model }
    return {
      ...head,
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      // Without it the official client takes what it has put together from the deltas.
      ...(this.#transcript.whole ? { output: this.#transcript.output } : {}),
      usage: {
        input_tokens: input,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: output,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: input + output,
      },
    }
  }

  errorEvent(error: ErrorFacts): Buffer {
    const { code, message, param, tollgate } = openAIError(error)
    const event = { type: 'error', code, message, param, sequence_number: this.#lastSequence + 1, tollgate }
    return Buffer.from(namedEvent('error', event))
  }
}
