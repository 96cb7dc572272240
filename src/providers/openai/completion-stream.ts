/**
 * Reads the events of a chat or legacy completion as they pass.
 *
 * Usage may be in a last chunk without choices (asked for), beside the last choices or inside one of them (Moonshot), in
 * every chunk, or under `x_groq`: the last one wins. The end is `[DONE]`, or in dialects without it a finish reason and a framed end of the body.
 * Sources: openai-node src/resources/chat/completions/completions.ts, ChatCompletionChunk; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { dataEvent } from '../sse-event.ts'
import { statedCostOf } from '../stated-cost.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { readChatUsage, withBreakdown } from './chat-usage.ts'
import { completionErrorEvent } from './error-event.ts'
import type { OpenAIParsed } from './openai-call.ts'
import { answeredTier } from './price-tier.ts'

/** Names of strings inside a delta that were generated, by length: a quick look before bytes are compared. */
const TEXT_NAMES = [
  'content',
  'reasoning',
  'arguments',
  'refusal',
  'transcript',
  'reasoning_content',
  'text',
  'thinking',
]
const TEXT_BY_LENGTH = new Map<number, Buffer[]>()
for (const name of TEXT_NAMES)
  TEXT_BY_LENGTH.set(name.length, [...(TEXT_BY_LENGTH.get(name.length) ?? []), Buffer.from(name)])
const DELTA = Buffer.from('delta')
const USAGE = Buffer.from('usage')
const ERROR = Buffer.from('error')
const INDEX = Buffer.from('index')
const ROLE = Buffer.from('role')
const DATA = Buffer.from('data')
const VALUE = Buffer.from('value')
const TEXT = Buffer.from('text')
const FINISH_REASON = Buffer.from('finish_reason')
const DONE = Buffer.from('[DONE]')
const QUOTE = 0x22
const OPEN_BRACE = 0x7b
/** Chunks looked at for id and model: Azure's first one has neither. */
const HEADS_MAX = 3
/** {"choices":[{"index"… : object, array, object. */
const CHOICE_DEPTH = 3
/** OpenAI allows 128 answers. */
const CHOICES_MAX = 1024

/** What the bytes of one event say. */
interface Scan {
  /** It may carry usage, an ending or an error. */
  mustParse: boolean
  finishReason: boolean
  role: boolean
  /** Writer's completions are a text under `value` and nothing else. */
  bareText: boolean
  /** Indexes of the choices that it speaks of. */
  choices: number[]
}

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class CompletionStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly #call: CallRequest
  readonly #object: 'chat.completion.chunk' | 'text_completion'
  #usage: Usage | undefined
  #id: string | undefined
  #model: string | undefined
  #created = 0
  #serviceTier: string | undefined
  #heads = 0
  /** Tokens by the last usage, and what was counted since. */
  #stated = 0
  #counted = 0
  #sawFinishReason = false
  #bareText = false
  #events = 0
  readonly #open = new Set<number>()
  readonly #closed = new Set<number>()
  /** Choices whose role was sent: clients put it together from all deltas, so it must come once. */
  readonly #withRole = new Set<number>()
  /** Of the event scanned last. */
  readonly #scan: Scan = { mustParse: false, finishReason: false, role: false, bareText: false, choices: [] }

  constructor(call: CallRequest, object: 'chat.completion.chunk' | 'text_completion') {
    this.#call = call
    this.#object = object
  }

  get outputTokens(): number {
    return this.#stated + this.#counted
  }

  /** Writer's completions have neither finish reason nor `[DONE]`. */
  get endsByFraming(): boolean {
    return this.#object === 'text_completion' && this.#events > 0 && !this.#sawFinishReason
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage,
      model: this.#model,
      providerId: this.#id,
      ...statedCostOf(this.#usage?.raw),
      serviceTier: answeredTier(this.#serviceTier, this.#usage?.raw),
      storedId: (this.#call.parsed as OpenAIParsed).stored ? this.#id : undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return this.#scanEvent(event.data)
  }

  onEvent(event: StreamEvent): EventVerdict {
    const data = event.data
    if (data[0] === DONE[0] && data.subarray(0, DONE.length).equals(DONE)) {
      this.finished = true
      return 'terminal'
    }
    this.#events++
    this.#counted += this.#scanEvent(data)
    this.#noteChoices()
    if (event.name === 'error') this.failed = true
    if (!this.#scan.mustParse && (this.#id !== undefined || this.#heads >= HEADS_MAX)) return 'pass'
    return this.#parse(data)
  }

  onOversized(_head: Buffer, tail: Buffer): void {
    this.#takeUsage(readChatUsage(usageInTail(tail)))
  }

  /** Counts the text that was generated, and notes what else the event says; changes nothing of the stream's state. */
  #scanEvent(data: Buffer): number {
    const scan = this.#scan
    scan.mustParse = false
    scan.finishReason = false
    scan.role = false
    scan.bareText = false
    scan.choices.length = 0
    cursor.open(data)
    counter.reset()
    let deltaDepth = Number.POSITIVE_INFINITY
    while (cursor.next()) {
      if (cursor.depth <= deltaDepth) deltaDepth = Number.POSITIVE_INFINITY
      if (cursor.depth > deltaDepth) scanDelta(data, scan)
      else if (cursor.keyIs(DELTA)) deltaDepth = cursor.depth
      else scanChunk(data, scan)
    }
    return counter.tokens
  }

  #noteChoices(): void {
    const scan = this.#scan
    if (scan.finishReason) this.#sawFinishReason = true
    if (scan.bareText) this.#bareText = true
    for (const index of scan.choices) {
      if (index < 0 || index >= CHOICES_MAX) continue
      if (!this.#closed.has(index)) this.#open.add(index)
      if (scan.role) this.#withRole.add(index)
    }
  }

  #parse(data: Buffer): EventVerdict {
    let chunk: Readonly<Record<string, unknown>> | undefined
    try {
      chunk = asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
    }
    if (!chunk) return 'pass'
    this.#readHead(chunk)
    const choices = asArray(chunk['choices']).map(asObject)
    for (const choice of choices) this.#readFinish(choice)
    if (asObject(chunk['error']) || asText(chunk['error'])) this.failed = true
    const usage = readChatUsage(
      chunk['usage'] ?? asObject(chunk['x_groq'])?.['usage'] ?? usageInChoice(choices),
      chunk['timings'],
    )
    if (!usage) return 'pass'
    this.#takeUsage(withBreakdown(usage, chunk['usage_breakdown']))
    const alone = Array.isArray(chunk['choices']) && chunk['choices'].length === 0
    return alone && (this.#call.parsed as OpenAIParsed).usageIsOurs ? 'drop' : 'pass'
  }

  #takeUsage(usage: Usage | undefined): void {
    if (!usage) return
    this.#usage = usage
    this.#stated = totalOutput(usage)
    this.#counted = 0
  }

  #readHead(chunk: Readonly<Record<string, unknown>>): void {
    this.#heads++
    this.#id ??= asText(chunk['id'])
    this.#model ??= asText(chunk['model'])
    if (this.#created === 0 && typeof chunk['created'] === 'number') this.#created = chunk['created']
    this.#serviceTier = asText(chunk['service_tier']) ?? this.#serviceTier
  }

  #readFinish(choice: Readonly<Record<string, unknown>> | undefined): void {
    if (!choice || !asText(choice['finish_reason'])) return
    this.finished = true
    const index = typeof choice['index'] === 'number' ? choice['index'] : 0
    this.#open.delete(index)
    this.#closed.add(index)
  }

  cutEnding(): Buffer {
    // A stream of bare texts has no other end than its own.
    if (this.#bareText) return Buffer.alloc(0)
    const head = {
      id: this.#id ?? 'chatcmpl-tollgate',
      object: this.#object,
      created: this.#created,
      model: this.#model ?? this.#call.model,
    }
    const open = this.#open.size > 0 ? [...this.#open] : this.#closed.size > 0 ? [] : [0]
    const events = open.map((index) => dataEvent({ ...head, choices: [this.#lengthChoice(index)] }))
    if (this.#callerAsked) events.push(dataEvent({ ...head, choices: [], usage: this.#countedUsage() }))
    return Buffer.from(`${events.join('')}data: [DONE]\n\n`)
  }

  errorEvent(error: ErrorFacts): Buffer {
    return completionErrorEvent(error)
  }

  get #callerAsked(): boolean {
    return (this.#call.parsed as OpenAIParsed).usage?.asked === true
  }

  #lengthChoice(index: number): Readonly<Record<string, unknown>> {
    const end = { index, logprobs: null, finish_reason: 'length' }
    return this.#object === 'text_completion'
      ? { text: '', ...end }
      : { ...end, delta: this.#withRole.has(index) ? {} : { role: 'assistant', content: '' } }
  }

  /** What was held and counted: no usage of the provider's will come any more. */
  #countedUsage(): Readonly<Record<string, number>> {
    const prompt = this.#usage ? totalInput(this.#usage) : this.#call.input.highTokens
    const completion = this.outputTokens
    return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
  }
}

function usageInChoice(choices: readonly (Readonly<Record<string, unknown>> | undefined)[]): unknown {
  return choices.find((choice) => asObject(choice?.['usage']))?.['usage']
}

function scanDelta(data: Buffer, scan: Scan): void {
  if (!cursor.isString) return
  const length = cursor.keyLength
  if (length === 4) {
    if (cursor.keyIs(ROLE)) scan.role = true
    else if (cursor.keyIs(DATA)) counter.addAudio(cursor.valueEnd - cursor.valueStart)
  }
  if (isTextName()) counter.addText(data, cursor.valueStart, cursor.valueEnd)
}

function scanChunk(data: Buffer, scan: Scan): void {
  const length = cursor.keyLength
  if (length === 5) {
    if (cursor.keyIs(INDEX) && cursor.depth === CHOICE_DEPTH) scan.choices.push(cursor.wholeNumber)
    else if (cursor.keyIs(USAGE) && cursor.firstByte === OPEN_BRACE) scan.mustParse = true
    else if (cursor.keyIs(ERROR) && (cursor.firstByte === OPEN_BRACE || cursor.isString)) scan.mustParse = true
    else if (cursor.depth === 1 && cursor.isString && cursor.keyIs(VALUE)) {
      scan.bareText = true
      counter.addText(data, cursor.valueStart, cursor.valueEnd)
    }
  } else if (length === 4 && cursor.isString && cursor.depth === CHOICE_DEPTH && cursor.keyIs(TEXT))
    counter.addText(data, cursor.valueStart, cursor.valueEnd)
  else if (length === FINISH_REASON.length && cursor.keyIs(FINISH_REASON)) {
    scan.finishReason = true
    if (cursor.firstByte === QUOTE) scan.mustParse = true
  }
}

function isTextName(): boolean {
  const names = TEXT_BY_LENGTH.get(cursor.keyLength)
  return names?.some((name) => cursor.keyIs(name)) ?? false
}
