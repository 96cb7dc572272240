/**
 * POST …/messages/batches: the requests stand in the body. It is done when `processing_status` is ended; the results are
 * lines, one for each request, and only those that succeeded used something.
 * Source: anthropic-sdk-typescript src/resources/messages/batches.ts.
 */
import { readInlineLines, readMember } from '../batch-call.ts'
import { idsInBody } from '../ids-in-body.ts'
import { readJsonBody } from '../json-body.ts'
import { messagesMetering } from '../messages/messages.ts'
import { MessagesStream } from '../messages/messages-stream.ts'
import { isPlainId } from '../object-id.ts'
import {
  type AnswerFacts,
  type BatchReading,
  type BatchRequest,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type JobNotes,
  type JobReader,
  type JobResult,
  type JobState,
  type Metering,
  type ReadBatchLine,
} from '../provider.ts'
import { asText } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const NAME = 'message_batch'
const MESSAGE = 'result.message'

/** `CallRequest.parsed`: a line asked for caching for an hour, which the usage of an answer may leave out. */
interface MessageBatch {
  readonly hour: boolean
}

/** Only reads the job that an answer names. */
export const batchAnswer: Metering = {
  readCall: (): never => {
    throw new InvalidCall('A batch is not read as one call.')
  },
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (call) => new MessagesStream(call),
  jsonMembers: ['id'],
  readJson: readAnswer,
}

export const messageBatches: BatchReading = { read: readBatch }

export const messageBatchReader: JobReader = {
  name: NAME,
  members: ['processing_status', 'request_counts'],
  read: readState,
  results: {
    inline: [],
    members: ['custom_id', 'result.type', ...messagesMetering.jsonMembers.map((name) => `${MESSAGE}.${name}`)],
    read: readResult,
  },
}

function readBatch(raw: Buffer, { jsonDepth, path }: CallSource): BatchRequest {
  readJsonBody(raw, jsonDepth)
  const lines = readInlineLines(raw, 'requests', (element) => readRequest(element, jsonDepth, path))
  if (lines.summary.lines === 0)
    throw new InvalidCall('"requests" must be an array of at least one request.', 'requests')
  const parsed: MessageBatch = {
    hour: lines.summary.groups.some(({ cacheWriteKind }) => cacheWriteKind === 'cache_write_1h'),
  }
  return { files: [], lines: lines.summary, objects: lines.objects, model: undefined, endpoint: undefined, parsed }
}

function readRequest(element: Buffer, jsonDepth: number, path: string): ReadBatchLine {
  const fields = readJsonBody(element, jsonDepth)
  const params = readMember(element, fields, 'params', jsonDepth)
  const call = messagesMetering.readCall(params.raw, { path, query: '', headers: {}, jsonDepth })
  return { endpoint: 'messages', model: call.model, call, objects: idsInBody(params.value) }
}

function readAnswer(members: Fields, call: CallRequest): AnswerFacts {
  const id = isPlainId(members['id']) ? members['id'] : undefined
  const notes: JobNotes = (call.parsed as MessageBatch).hour ? { hour: true } : {}
  return {
    usage: undefined,
    model: undefined,
    providerId: id,
    serviceTier: undefined,
    storedId: id,
    ...(id === undefined ? {} : { job: { id, reader: NAME, pollPath: (path) => `${path}/${id}`, notes } }),
  }
}

function readState(members: Fields): JobState {
  if (members['processing_status'] !== 'ended') return { status: 'open' }
  return {
    status: 'results',
    // Beside the batch itself; the address that it names is not dialled.
    sources: (jobPath) => [{ path: jobPath.replace(/(?=\?|$)/, '/results'), form: 'lines' }],
    objectIds: [],
    raw: { processing_status: 'ended', request_counts: members['request_counts'] },
  }
}

function readResult(result: Fields, notes: JobNotes): JobResult {
  const customId = asText(result['custom_id'])
  const message = Object.fromEntries(
    messagesMetering.jsonMembers.map((name) => [name, result[`${MESSAGE}.${name}`]] as const),
  )
  const facts = messagesMetering.readJson(message, callOf(notes['hour'] === true), { get: () => undefined })
  return { id: facts.providerId ?? customId, model: facts.model, usage: facts.usage }
}

let calls: readonly [plain: CallRequest, hour: CallRequest] | undefined

/** What the reader of an answer wants to know of its call. */
function callOf(hour: boolean): CallRequest {
  calls ??= [leastCall(''), leastCall(',"cache_control":{"type":"ephemeral","ttl":"1h"}')]
  return calls[hour ? 1 : 0]
}

/** The least call that asks for it. */
function leastCall(more: string): CallRequest {
  const body = Buffer.from(`{"model":"m","max_tokens":1,"messages":[]${more}}`)
  return messagesMetering.readCall(body, { path: '', query: '', headers: {}, jsonDepth: 8 })
}
