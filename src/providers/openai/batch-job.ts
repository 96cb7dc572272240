/**
 * How a batch of the OpenAI family stands, and what its results used. Words of its status: OpenAI, Azure and Groq in lower
 * case, Together and Mistral in capitals; xAI counts what is pending. Results: files (OpenAI's output and error file,
 * Mistral's), inside the object (Mistral, when asked for), or pages (xAI).
 * Sources: openai-node src/resources/batches.ts, docs.mistral.ai "Batch", docs.x.ai "Batch API", docs.together.ai "Batch".
 */
import { isPlainId } from '../object-id.ts'
import type {
  CallRequest,
  JobNotes,
  JobReader,
  JobResult,
  JobState,
  Metering,
  ResultReader,
  ResultSource,
} from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { chatMetering } from './chat.ts'
import { completionsMetering } from './completions.ts'
import { embeddingsMetering } from './embeddings.ts'
import { REQUEST_HASH_LENGTH, requestHash } from './request-hash.ts'
import { responsesMetering } from './responses.ts'

type Fields = Readonly<Record<string, unknown>>

export const BATCH_JOB = 'batch'
export const XAI_REQUESTS_JOB = 'batch_requests'

const ENDED = new Set(['completed', 'failed', 'expired', 'cancelled', 'success', 'timeout_exceeded'])
const FILES = ['output_file_id', 'error_file_id', 'output_file', 'error_file']
const MEMBERS = [
  'status',
  ...FILES,
  'usage',
  'request_counts',
  'total_requests',
  'succeeded_requests',
  'failed_requests',
  'state',
  'cancel_time',
]

/** A result by what its body says it is. */
const METERINGS: readonly (readonly [object: string, Metering])[] = [
  ['response', responsesMetering],
  ['text_completion', completionsMetering],
  ['list', embeddingsMetering],
]
const BODY_MEMBERS = [
  ...new Set([
    'object',
    ...[chatMetering, responsesMetering, completionsMetering, embeddingsMetering].flatMap(
      ({ jsonMembers }) => jsonMembers,
    ),
  ]),
]
/** Where the body of a result stands: OpenAI's and Mistral's lines, xAI's elements. */
const BODIES = ['response.body', 'batch_result.response.chat_get_completion', 'batch_result.response.responses']

const results: ResultReader = {
  inline: ['outputs'],
  members: [
    'id',
    'custom_id',
    'batch_request_id',
    ...BODIES.flatMap((body) => BODY_MEMBERS.map((name) => `${body}.${name}`)),
  ],
  read: readResult,
}

export const batchJobReader: JobReader = { name: BATCH_JOB, members: MEMBERS, read: readState, results }

export const xaiRequestsReader: JobReader = {
  name: XAI_REQUESTS_JOB,
  members: MEMBERS,
  read: readAddedState,
  results: {
    ...results,
    inline: [],
    read: (result, notes) => (isOwn(result, notes) ? readResult(result) : undefined),
  },
}

function readState(members: Fields): JobState {
  const state = asObject(members['state'])
  if (state && typeof state['num_requests'] === 'number') return readXaiState(state, members)
  const status = asText(members['status'])?.toLowerCase() ?? ''
  if (!ENDED.has(status)) return { status: 'open' }
  const files = FILES.map((name) => members[name]).filter(isPlainId)
  return {
    status: 'results',
    sources: (jobPath) => files.map((id) => ({ path: filePath(jobPath, id), form: 'lines' })),
    objectIds: files,
    raw: stated(members),
  }
}

/** Several calls may add to one batch: what is counted as done may be another's. */
function readAddedState(members: Fields, notes: JobNotes): JobState {
  const state = readState(members)
  if (state.status !== 'results' || isCancelled(members)) return state
  return { ...state, expects: ownIds(notes).size }
}

function isCancelled(members: Fields): boolean {
  return members['cancel_time'] !== undefined && members['cancel_time'] !== null
}

function readXaiState(state: Fields, members: Fields): JobState {
  if (!isCancelled(members) && (state['num_requests'] === 0 || state['num_pending'] !== 0)) return { status: 'open' }
  return {
    status: 'results',
    sources: (jobPath): readonly ResultSource[] => {
      const [path = '', query] = jobPath.split('?', 2)
      return [{ path: `${path}/results?limit=100${query === undefined ? '' : `&${query}`}`, form: 'pages' }]
    },
    objectIds: [],
    raw: { state },
  }
}

/** …/batches/ID?q and …/batch/jobs/ID?q -> …/files/FILE/content?q */
function filePath(jobPath: string, file: string): string {
  return jobPath.replace(/\/(?:batches|batch\/jobs)\/[^/?]+(?=$|\?)/, `/files/${file}/content`)
}

/** What the provider says of the whole. */
function stated(members: Fields): Fields {
  const { status, usage, request_counts, total_requests, succeeded_requests, failed_requests } = members as {
    readonly [name: string]: unknown
  }
  return { status, usage, request_counts, total_requests, succeeded_requests, failed_requests }
}

function readResult(result: Fields): JobResult {
  for (const body of BODIES) {
    const fields = fieldsOf(result, body)
    if (fields === undefined) continue
    const metering = METERINGS.find(([object]) => object === fields['object'])?.[1] ?? chatMetering
    const facts = metering.readJson(fields, callOf(metering), { get: () => undefined })
    return {
      id: asText(fields['id']) ?? nameOf(result),
      model: facts.model,
      usage: facts.usage,
      statedCost: facts.statedCost,
    }
  }
  return { id: nameOf(result), model: undefined, usage: undefined }
}

function nameOf(result: Fields): string | undefined {
  return asText(result['id']) ?? asText(result['custom_id']) ?? asText(result['batch_request_id'])
}

/** The members under a path, by their own names; undefined where there is none. */
function fieldsOf(result: Fields, body: string): Fields | undefined {
  const fields: Record<string, unknown> = {}
  let any = false
  for (const name of BODY_MEMBERS) {
    const value = result[`${body}.${name}`]
    if (value === undefined) continue
    fields[name] = value
    any = true
  }
  return any ? fields : undefined
}

/** What readers want to know of the call: nothing of it changes what an answer used. */
const calls = new Map<Metering, CallRequest>()

function callOf(metering: Metering): CallRequest {
  let call = calls.get(metering)
  if (call === undefined) {
    const body = Buffer.from('{"model":"m","messages":[],"input":"","prompt":"","store":false}')
    call = metering.readCall(body, { path: '', query: '', headers: {}, jsonDepth: 8 })
    calls.set(metering, call)
  }
  return call
}

/** Requests that were added to one batch by several calls: each call has the results of its own. */
function isOwn(result: Fields, notes: JobNotes): boolean {
  const id = asText(result['batch_request_id'])
  return id !== undefined && ownIds(notes).has(requestHash(id))
}

const known = new WeakMap<JobNotes, ReadonlySet<string>>()

function ownIds(notes: JobNotes): ReadonlySet<string> {
  let ids = known.get(notes)
  if (ids === undefined) {
    const text = asText(notes['ids']) ?? ''
    const count = Math.floor(text.length / REQUEST_HASH_LENGTH)
    ids = new Set(
      Array.from({ length: count }, (_, i) => text.slice(i * REQUEST_HASH_LENGTH, (i + 1) * REQUEST_HASH_LENGTH)),
    )
    known.set(notes, ids)
  }
  return ids
}
