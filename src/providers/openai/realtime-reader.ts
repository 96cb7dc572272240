/**
 * Reads the frames of one realtime session, both ways. A response is paid for where it begins (`response.create` of the
 * caller, or the server by itself when the user has spoken) and metered where it ends: `response.done`. What a user says
 * may be transcribed by another model, with usage of its own.
 * Source: openai-node src/resources/realtime/realtime.ts, RealtimeClientEvent and RealtimeServerEvent; the first form of
 * the API: src/resources/beta/realtime/realtime.ts.
 */
import { addUsage } from '../../core/add-usage.ts'
import type { TokenCounts, Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { CallerFrame, CallRequest, SessionReader, UpstreamFrame } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { RealtimeContext } from './realtime-context.ts'
import {
  answersByItself,
  type CallerEvent,
  errorFrame,
  limitFrame,
  readCallerEvent,
  readEventLimit,
  transcriptionModel,
} from './realtime-frames.ts'
import { readRealtimeUsage } from './realtime-usage.ts'
import { readTranscriptUsage } from './transcription-usage.ts'

type Fields = Readonly<Record<string, unknown>>

const TYPE = Buffer.from('type')
const DELTA = Buffer.from('delta')
const TRANSCRIBED = 'conversation.item.input_audio_transcription.completed'
const NOT_TRANSCRIBED = 'conversation.item.input_audio_transcription.failed'
/** Begins the ids of our own events: what answers them is for us. */
const LIMIT_EVENT = 'event_tollgate_limit_'
/** A session that opens more responses at once than this is not following the protocol. */
const RUNNING_MAX = 64

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class RealtimeReader implements SessionReader {
  ready = false
  ownLimit: number | undefined
  answersByItself = false
  sessionId: string | undefined
  /** By the model that was used. */
  readonly usages = new Map<string, Usage>()
  readonly #model: string
  readonly #jsonDepth: number
  readonly #context: RealtimeContext
  /** Output counted so far of responses that have begun. */
  readonly #running = new Map<string, { text: number; audio: number }>()
  /** Responses that the caller has asked for and that have not begun. */
  #asked = 0
  #beta = false
  #transcriber: string | undefined
  /** Of the user's audio that will be transcribed: seconds without an end. */
  #untranscribed = 0
  #transcriptions = 0
  #responses = 0
  #limitsSet = 0
  /** Answers to limits that we set, which the caller did not ask for. */
  #ownUpdates = 0
  /** Of the upstream's event scanned last. */
  #deltaCharacters = 0

  constructor(call: CallRequest, jsonDepth: number) {
    this.#model = call.model
    this.#jsonDepth = jsonDepth
    this.#context = new RealtimeContext(call.model)
  }

  get running(): number {
    return this.#asked + this.#running.size
  }

  /** Something has begun whose usage is not stated yet. */
  get unfinished(): boolean {
    return this.#running.size > 0 || this.#transcriptions > 0
  }

  get nextInput(): TokenCounts {
    return this.#context.tokens
  }

  get counted(): Usage | undefined {
    if (this.#running.size === 0) return undefined
    const output = { text: 0, audio: 0 }
    for (const { text, audio } of this.#running.values()) {
      output.text += text
      output.audio += audio
    }
    return { tokens: { output: Math.ceil(output.text), audio_output: Math.ceil(output.audio) }, raw: null }
  }

  get summary(): Fields {
    return {
      responses: this.#responses,
      usage: Object.fromEntries(this.usages.entries().map(([model, usage]) => [model, usage.raw])),
    }
  }

  readCaller(frame: Buffer): CallerFrame {
    const event = readCallerEvent(frame, this.#jsonDepth)
    const eventId = asText(event.body.value['event_id']) ?? null
    switch (event.type) {
      case 'response.create':
        return this.#readCreate(frame, event, eventId)
      case 'session.update':
      case 'transcription_session.update':
        return this.#readUpdate(frame, event, eventId)
      case 'input_audio_buffer.append':
        this.#heard(asText(event.body.value['audio'])?.length ?? 0)
        break
      case 'conversation.item.create':
        this.#context.addItem(event.body.value['item'])
    }
    return { frame, limitSpan: undefined, starts: false, outputLimit: undefined, model: undefined, eventId }
  }

  #readCreate(frame: Buffer, event: CallerEvent, eventId: string | null): CallerFrame {
    const stated = readEventLimit(frame, event, 'response', this.#jsonDepth)
    const response = asObject(event.body.value['response'])
    for (const item of asArray(response?.['input'])) this.#context.addItem(item)
    this.#context.addItem({ content: [{ text: response?.['instructions'] }] })
    return {
      frame,
      limitSpan: stated.span,
      starts: true,
      outputLimit: stated.tokens,
      model: undefined,
      eventId,
    }
  }

  #readUpdate(frame: Buffer, event: CallerEvent, eventId: string | null): CallerFrame {
    const stated = readEventLimit(frame, event, 'session', this.#jsonDepth)
    const session = asObject(event.body.value['session'])
    if (stated.span) this.ownLimit = stated.tokens
    return {
      frame,
      limitSpan: stated.span,
      starts: false,
      outputLimit: stated.tokens,
      model: transcriptionModel(session) ?? undefined,
      eventId,
    }
  }

  #heard(base64Characters: number): void {
    this.#context.addHeard(base64Characters)
    if (this.#transcriber !== undefined) this.#untranscribed += this.#context.heardSeconds(base64Characters)
  }

  /** The response that `readCaller` announced goes on its way. */
  asked(): void {
    this.#asked = Math.min(RUNNING_MAX, this.#asked + 1)
  }

  readUpstream(frame: Buffer): UpstreamFrame {
    const type = this.#scan(frame)
    if (type.endsWith('.delta')) {
      this.#addDelta(type)
      return 'pass'
    }
    try {
      return this.#readEvent(type, frame)
    } catch {
      // What cannot be read costs accuracy, never the caller's frames.
      return 'pass'
    }
  }

  /** Type and length of the delta, without making the frame into a string. */
  #scan(frame: Buffer): string {
    let type = ''
    this.#deltaCharacters = 0
    counter.reset()
    cursor.open(frame)
    while (cursor.next()) {
      if (cursor.depth !== 1 || !cursor.isString) continue
      if (cursor.keyIs(TYPE)) type = cursor.stringBytes.toString()
      else if (cursor.keyIs(DELTA)) {
        this.#deltaCharacters = cursor.valueEnd - cursor.valueStart
        if (this.#deltaCharacters < 4096) counter.addText(frame, cursor.valueStart, cursor.valueEnd)
      }
    }
    return type
  }

  /** To whichever response runs: only their sum is looked at. */
  #addDelta(type: string): void {
    const running = this.#running.values().next().value
    if (!running || !type.startsWith('response.')) return
    if (type === 'response.audio.delta' || type === 'response.output_audio.delta')
      running.audio += this.#context.spokenTokens(this.#deltaCharacters)
    else running.text += counter.tokens
  }

  #readEvent(type: string, frame: Buffer): UpstreamFrame {
    switch (type) {
      case 'session.created':
      case 'session.updated':
      case 'transcription_session.created':
      case 'transcription_session.updated':
        return this.#readSession(type, asObject(parse(frame)?.['session']))
      case 'response.created':
        this.#begin(asObject(parse(frame)?.['response']))
        return 'money'
      case 'response.done':
        this.#end(asObject(parse(frame)?.['response']))
        return 'money'
      case 'input_audio_buffer.committed':
        if (this.#transcriber !== undefined) this.#transcriptions++
        return 'pass'
      case TRANSCRIBED:
      case NOT_TRANSCRIBED:
        this.#transcribed(parse(frame))
        return 'money'
      case 'conversation.item.created':
      case 'conversation.item.added':
        return 'pass'
      case 'error':
        return this.#readError(asObject(parse(frame)?.['error']))
      default:
        return 'pass'
    }
  }

  #readSession(type: string, session: Fields | undefined): UpstreamFrame {
    if (!session) return 'pass'
    this.sessionId ??= asText(session['id'])
    this.#context.setSession(session)
    const transcriber = transcriptionModel(session)
    if (transcriber !== undefined) this.#transcriber = transcriber ?? undefined
    this.answersByItself = answersByItself(session) ?? this.answersByItself
    if (type.endsWith('.created')) {
      this.ready = true
      this.#beta = 'max_response_output_tokens' in session
      return 'money'
    }
    if (this.#ownUpdates === 0) return 'pass'
    this.#ownUpdates--
    return 'drop'
  }

  #begin(response: Fields | undefined): void {
    const id = asText(response?.['id']) ?? ''
    if (this.#asked > 0) this.#asked--
    if (this.#running.size < RUNNING_MAX) this.#running.set(id, { text: 0, audio: 0 })
  }

  #end(response: Fields | undefined): void {
    const id = asText(response?.['id']) ?? ''
    // One whose beginning was not seen is over all the same.
    if (!this.#running.delete(id) && this.#asked > 0) this.#asked--
    this.#responses++
    const usage = readRealtimeUsage(response?.['usage'])
    if (!usage) return
    this.#add(this.#model, usage)
    if (response?.['conversation_id'] !== null) this.#context.setUsage(usage)
  }

  #transcribed(event: Fields | undefined): void {
    if (this.#transcriptions > 0) this.#transcriptions--
    if (this.#transcriptions === 0) this.#untranscribed = 0
    const usage = readTranscriptUsage(event?.['usage'], undefined)
    if (usage) this.#add(this.#transcriber ?? this.#model, usage)
  }

  /** The sum of what was stated; of the provider's own objects the last. */
  #add(model: string, usage: Usage): void {
    const before = this.usages.get(model)
    this.usages.set(model, before ? { ...addUsage(before, usage), raw: usage.raw } : usage)
  }

  /** The request is in no state to start a response: its `response.create` was refused. */
  #readError(error: Fields | undefined): UpstreamFrame {
    if (asText(error?.['event_id'])?.startsWith(LIMIT_EVENT)) {
      if (this.#ownUpdates > 0) this.#ownUpdates--
      return 'drop'
    }
    if (this.#asked > 0) {
      this.#asked--
      return 'money'
    }
    return 'pass'
  }

  limitFrame(limit: number): Buffer {
    this.#ownUpdates++
    return limitFrame(limit, this.#beta, `${LIMIT_EVENT}${++this.#limitsSet}`)
  }

  errorFrame(error: ErrorFacts, eventId: string | null): string {
    return errorFrame(error, eventId)
  }
}

function parse(frame: Buffer): Fields | undefined {
  return asObject(JSON.parse(frame.toString()))
}
