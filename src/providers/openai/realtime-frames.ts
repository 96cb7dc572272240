/** Frames of a realtime session that are read strictly or written by us: both forms of the API, beta and current. */
import type { ErrorFacts } from '../../errors.ts'
import { type JsonBody, type MemberSpan, readJsonBody, readMembers, refuseOtherSpellings } from '../json-body.ts'
import { InvalidCall } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { openAIError } from './error-event.ts'

type Fields = Readonly<Record<string, unknown>>

const DECISIVE = new Set(['type', 'session', 'response', 'item', 'audio', 'event_id'])
const LIMIT_NAMES = ['max_output_tokens', 'max_response_output_tokens']
const LIMIT_MAX = 1_000_000

export interface CallerEvent {
  readonly body: JsonBody
  readonly type: string
}

/** Throws InvalidCall: what is no event, or one that could be read in two ways. */
export function readCallerEvent(frame: Buffer, jsonDepth: number): CallerEvent {
  const body = readJsonBody(frame, jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  const type = body.value['type']
  if (typeof type !== 'string') throw new InvalidCall('"type" is missing; an event names its type.', 'type')
  return { body, type }
}

export interface StatedLimit {
  /** `inf` and left out: undefined. */
  readonly tokens: number | undefined
  /** Where it stands; undefined: nowhere. */
  readonly span: MemberSpan | undefined
}

/** The output limit in the member `name` (`session`, `response`) of an event. Throws InvalidCall. */
export function readEventLimit(frame: Buffer, { body }: CallerEvent, name: string, jsonDepth: number): StatedLimit {
  const fields = asObject(body.value[name])
  const span = body.members.get(name)
  if (!fields || !span) return { tokens: undefined, span: undefined }
  const members = readMembers(frame, span.valueStart, jsonDepth, `${name}.`)
  const named = LIMIT_NAMES.filter((limit) => members.has(limit) && fields[limit] !== null)
  if (named.length > 1) throw new InvalidCall(`"${name}" has two output limits; send one.`, `${name}.${named[1]}`)
  const limit = named[0]
  if (limit === undefined) return { tokens: undefined, span: undefined }
  const value = fields[limit]
  const whole = typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= LIMIT_MAX
  if (!whole && value !== 'inf')
    throw new InvalidCall(`"${name}.${limit}" must be a whole number of at least 1, or "inf".`, `${name}.${limit}`)
  return { tokens: whole ? value : undefined, span: members.get(limit) }
}

/** Sets the limit of a session. `beta`: in the words of the API's first form. */
export function limitFrame(limit: number, beta: boolean, eventId: string): Buffer {
  const session = beta ? { max_response_output_tokens: limit } : { type: 'realtime', max_output_tokens: limit }
  return Buffer.from(JSON.stringify({ type: 'session.update', event_id: eventId, session }))
}

/** `eventId`: the caller's, of the event that it is about. */
export function errorFrame(error: ErrorFacts, eventId: string | null): string {
  const { type, code, message, param, tollgate } = openAIError(error)
  return JSON.stringify({
    type: 'error',
    event_id: `event_tollgate_${error.requestId}`,
    error: { type, code, message, param, event_id: eventId, tollgate },
  })
}

/** The model that transcribes what the user says, as a session names it: undefined where it says nothing of it. */
export function transcriptionModel(session: Fields | undefined): string | null | undefined {
  const input = asObject(asObject(session?.['audio'])?.['input'])
  const stated = input && 'transcription' in input ? input['transcription'] : session?.['input_audio_transcription']
  if (stated === undefined) return undefined
  const model = asObject(stated)?.['model']
  return typeof model === 'string' && model !== '' ? model : null
}

/** Whether the server answers by itself when the user has spoken; undefined where a session says nothing of it. */
export function answersByItself(session: Fields | undefined): boolean | undefined {
  const input = asObject(asObject(session?.['audio'])?.['input'])
  const stated = input && 'turn_detection' in input ? input['turn_detection'] : session?.['turn_detection']
  if (stated === undefined) return undefined
  const detection = asObject(stated)
  return detection !== undefined && detection['create_response'] !== false
}
