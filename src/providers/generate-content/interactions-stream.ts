/**
 * Reads the events of an interaction as they pass: steps with their deltas, usage so far in an event's `metadata`, the
 * whole of it in `interaction.completed`, and `[DONE]` at the end.
 * Source: googleapis/js-genai, InteractionSSEEvent; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { namedEvent } from '../sse-event.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { googleError } from './google-error.ts'
import { interactionJob } from './interaction-job.ts'
import { readInteractionUsage } from './interactions-usage.ts'

type Fields = Readonly<Record<string, unknown>>

const key = (name: string): Buffer => Buffer.from(name)
const EVENT_TYPE = key('event_type')
const DELTA = key('delta')
const INDEX = key('index')
const OUTPUT_COUNTS = [key('total_output_tokens'), key('total_thought_tokens')]
const DATA = key('data')
const TEXTS = [key('text'), key('arguments'), key('partial_arguments'), key('code')]
const DONE = key('[DONE]')
const STEPS_MAX = 1024

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class InteractionsStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #stored: boolean
  #usage: Usage | undefined
  #id: string | undefined
  #model: string | undefined
  #tier: string | undefined
  #stated = 0
  #counted = 0
  readonly #open = new Set<number>()
  /** Of the event scanned last. */
  #type = ''
  #index = -1
  /** Output tokens that it states, all so far; -1: it states none. */
  #statedNow = -1

  constructor(call: CallRequest, stored: boolean) {
    this.#call = call
    this.#stored = stored
  }

  get outputTokens(): number {
    return this.#stated + this.#counted
  }

  get facts(): AnswerFacts {
    const job = this.#call.goesOn && !this.finished ? interactionJob(this.#id, 'in_progress') : undefined
    return {
      ...(job ? { job } : {}),
      usage: this.#usage,
      model: this.#model,
      providerId: this.#id,
      serviceTier: this.#tier,
      storedId: this.#stored ? this.#id : undefined,
    }
  }

  /** Where the event states the output, that counts: thoughts are billed and seldom shown. */
  textTokens(event: StreamEvent): number {
    const tokens = this.#scan(event)
    return this.#statedNow < 0 ? tokens : Math.max(0, this.#statedNow - this.outputTokens)
  }

  onEvent(event: StreamEvent): EventVerdict {
    if (event.data.subarray(0, DONE.length).equals(DONE)) {
      this.finished = true
      return 'terminal'
    }
    this.#counted += this.#scan(event)
    switch (this.#type) {
      case 'step.start':
        if (this.#index >= 0 && this.#open.size < STEPS_MAX) this.#open.add(this.#index)
        break
      case 'step.stop':
        this.#open.delete(this.#index)
        break
      case 'error':
        this.failed = true
        break
      default:
        if (this.#type.startsWith('interaction.')) {
          this.#parse(event.data)
          return 'pass'
        }
    }
    if (this.#statedNow >= 0) this.#parse(event.data)
    return 'pass'
  }

  /** A picture or sound in base64, or the steps of a whole interaction. */
  onOversized(_head: Buffer, tail: Buffer): void {
    this.#takeUsage(usageInTail(tail))
  }

  /** Only what is generated counts: deltas, and not what tools gave back. */
  #scan({ name, data }: StreamEvent): number {
    cursor.open(data)
    counter.reset()
    this.#type = name
    this.#index = -1
    this.#statedNow = -1
    let inDelta = false
    while (cursor.next()) {
      if (cursor.depth === 1) {
        inDelta = cursor.keyIs(DELTA)
        if (this.#type === '' && cursor.isString && cursor.keyIs(EVENT_TYPE)) this.#type = cursor.stringBytes.toString()
        else if (cursor.keyIs(INDEX)) this.#index = cursor.wholeNumber
      } else if (inDelta && cursor.isString) {
        if (TEXTS.some((text) => cursor.keyIs(text))) counter.addText(data, cursor.valueStart, cursor.valueEnd)
        else if (cursor.keyIs(DATA)) counter.addAudio(cursor.valueEnd - cursor.valueStart)
      } else if (OUTPUT_COUNTS.some((name) => cursor.keyIs(name)))
        this.#statedNow = Math.max(0, this.#statedNow) + Math.max(0, cursor.wholeNumber)
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
    const interaction = asObject(event['interaction'])
    this.#id ??= asText(interaction?.['id'])
    this.#model ??= asText(interaction?.['model']) ?? asText(interaction?.['agent'])
    this.#tier = asText(interaction?.['service_tier']) ?? this.#tier
    this.#takeUsage(interaction?.['usage'] ?? asObject(event['metadata'])?.['usage'])
    if (this.#type !== 'interaction.completed') return
    this.finished = true
    if (interaction?.['status'] === 'failed') this.failed = true
  }

  #takeUsage(value: unknown): void {
    const usage = readInteractionUsage(value, this.#model ?? this.#call.model)
    if (!usage) return
    this.#usage = usage
    this.#stated = totalOutput(usage)
    this.#counted = 0
  }

  cutEnding(): Buffer {
    const events = [...this.#open].map((index) => event('step.stop', { index }))
    const interaction = {
      id: this.#id ?? '',
      status: 'incomplete',
      usage: this.#countedUsage(),
      object: 'interaction',
      model: this.#model ?? this.#call.model,
    }
    events.push(event('interaction.completed', { interaction }), 'event: done\ndata: [DONE]\n\n')
    return Buffer.from(events.join(''))
  }

  /** What was held and counted: no usage of the provider's will come any more. */
  #countedUsage(): Readonly<Record<string, number>> {
    const input = this.#usage ? totalInput(this.#usage) : this.#call.input.highTokens
    const thoughts = Math.min(this.#usage?.reasoning ?? 0, this.outputTokens)
    return {
      total_tokens: input + this.outputTokens,
      total_input_tokens: input,
      total_output_tokens: this.outputTokens - thoughts,
      total_thought_tokens: thoughts,
    }
  }

  /** The event's `code` is a text; all else is as in Google's other errors. */
  errorEvent(error: ErrorFacts): Buffer {
    const { error: google } = googleError(error) as { readonly error: Fields }
    return Buffer.from(event('error', { error: { ...google, code: error.code } }))
  }
}

function event(type: string, fields: Fields): string {
  return namedEvent(type, { ...fields, event_type: type })
}
