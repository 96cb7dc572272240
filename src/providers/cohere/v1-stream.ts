/**
 * Reads the lines of a v1 chat or generation as they pass. The last one, `stream-end`, holds the whole response with
 * what was billed.
 * Sources: cohere-typescript src/api/types/{StreamedChatResponse,GenerateStreamedResponse}.ts; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import { readJsonText } from '../json-text.ts'
import type { AnswerFacts, CallRequest, EventVerdict, Framing, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { cohereError } from './cohere-error.ts'
import { readCohereUsage } from './cohere-usage.ts'

type Fields = Readonly<Record<string, unknown>>

const EVENT_TYPE = Buffer.from('event_type')
const TEXT = Buffer.from('text')
const INDEX = Buffer.from('index')
const META = Buffer.from('"meta":')
const TOOL_CALL_DELTA = Buffer.from('tool_call_delta')
/** Of the text that the ending repeats; beyond it the ending has none (clients put it together from the lines). */
const KEPT_BYTES_MAX = 128 * 1024
const GENERATIONS_MAX = 5
const FAILED = new Set(['ERROR', 'ERROR_TOXIC', 'TIMEOUT'])

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class V1Stream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #framing: Framing
  readonly #kind: 'chat' | 'generate'
  /** Escaped text by generation, while it is kept. */
  #texts: string[] | undefined = []
  #keptBytes = 0
  #usage: Usage | undefined
  #id: string | undefined
  #counted = 0
  /** Of the event scanned last. */
  #type = ''
  #index = 0
  #text: Buffer | undefined

  constructor(call: CallRequest, framing: Framing, kind: 'chat' | 'generate') {
    this.#call = call
    this.#framing = framing
    this.#kind = kind
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
      case 'text-generation':
        this.#keepText()
        return 'pass'
      case 'stream-start':
        this.#id ??= asText(this.#parse(event.data)?.['generation_id'])
        return 'pass'
      case 'stream-error':
        this.failed = true
        return 'pass'
      case 'stream-end':
        this.#readEnd(this.#parse(event.data))
        return 'terminal'
      case '':
        // A line of another kind: Cohere's errors have a message alone.
        if (asText(this.#parse(event.data)?.['message'])) this.failed = true
        return 'pass'
      default:
        return 'pass'
    }
  }

  /** Its `meta` stands near the end of the last line, however long the documents before it are. */
  onOversized(_head: Buffer, tail: Buffer): void {
    const usage = readCohereUsage(usageInTail(tail, META))
    if (!usage) return
    this.#usage = usage
    this.finished = true
  }

  #scan(event: StreamEvent): number {
    cursor.open(event.data)
    counter.reset()
    this.#type = ''
    this.#index = 0
    this.#text = undefined
    let tool = false
    while (cursor.next()) {
      if (cursor.depth === 1) {
        tool = cursor.keyIs(TOOL_CALL_DELTA)
        if (cursor.isString && cursor.keyIs(EVENT_TYPE)) this.#type = cursor.stringBytes.toString()
        else if (cursor.isString && cursor.keyIs(TEXT)) this.#text = cursor.stringBytes
        else if (cursor.keyIs(INDEX)) this.#index = Math.max(0, cursor.wholeNumber)
        if (this.#text && cursor.keyIs(TEXT)) counter.addText(event.data, cursor.valueStart, cursor.valueEnd)
      } else if (tool && cursor.isString) counter.addText(event.data, cursor.valueStart, cursor.valueEnd)
    }
    return this.#type === 'text-generation' || this.#type === 'tool-calls-chunk' ? counter.tokens : 0
  }

  #keepText(): void {
    if (!this.#text || !this.#texts || this.#index >= GENERATIONS_MAX) return
    this.#keptBytes += this.#text.length
    if (this.#keptBytes > KEPT_BYTES_MAX) this.#texts = undefined
    else this.#texts[this.#index] = (this.#texts[this.#index] ?? '') + this.#text.toString()
  }

  #readEnd(end: Fields | undefined): void {
    this.finished = true
    if (FAILED.has(asText(end?.['finish_reason']) ?? '')) this.failed = true
    const response = asObject(end?.['response'])
    this.#id = asText(response?.['response_id']) ?? this.#id ?? asText(response?.['id'])
    this.#usage = readCohereUsage(response?.['meta'])
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
    const input = this.#usage ? totalInput(this.#usage) : this.#call.input.highTokens
    const counts = { input_tokens: input, output_tokens: this.outputTokens }
    const meta = { api_version: { version: '1' }, billed_units: counts, tokens: counts }
    return this.#end({ finish_reason: 'MAX_TOKENS', response: this.#response(meta) })
  }

  #response(meta: Fields): Fields {
    const texts = Array.from(this.#texts ?? [], (text) => readJsonText(text ?? ''))
    if (this.#kind === 'chat')
      return { text: texts[0] ?? '', generation_id: this.#id, finish_reason: 'MAX_TOKENS', meta }
    const generations = texts.map((text, index) => ({ index, text, finish_reason: 'MAX_TOKENS' }))
    return { id: this.#id ?? 'tollgate', generations, meta }
  }

  errorEvent(error: ErrorFacts): Buffer {
    const { message, ...more } = cohereError(error)
    return this.#end({ ...more, finish_reason: 'ERROR', err: message, response: { text: '', finish_reason: 'ERROR' } })
  }

  #end(fields: Fields): Buffer {
    const line = JSON.stringify({ is_finished: true, event_type: 'stream-end', ...fields })
    return Buffer.from(this.#framing === 'sse' ? `event: stream-end\ndata: ${line}\n\n` : `${line}\n`)
  }
}
