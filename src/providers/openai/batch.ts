/**
 * POST …/batches (OpenAI, Azure, Groq, Together, xAI with a file), …/batch/jobs (Mistral) and …/batches/:id/requests (xAI):
 * what a batch is made of, and the job that its answer names.
 */
import { readInlineLines } from '../batch-call.ts'
import { readJsonBody } from '../json-body.ts'
import { isPlainId } from '../object-id.ts'
import {
  type AnswerFacts,
  type BatchReading,
  type BatchRequest,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { BATCH_JOB, XAI_REQUESTS_JOB } from './batch-job.ts'
import { type PathMatcher, readOpenAILine, readXaiRequest } from './batch-lines.ts'
import { CompletionStream } from './completion-stream.ts'
import { requestHash } from './request-hash.ts'

type Fields = Readonly<Record<string, unknown>>

/** `CallRequest.parsed` of requests that are added to xAI's batch. */
interface AddedRequests {
  readonly batchId: string
  readonly ids: readonly string[]
}

/** Only reads the job that an answer names. */
function answerMetering(jsonMembers: readonly string[], readJson: Metering['readJson']): Metering {
  return {
    readCall: (): never => {
      throw new InvalidCall('A batch is not read as one call.')
    },
    prepare: (raw) => raw,
    outputLimitName: (): string => 'max_tokens',
    createStreamReader: (call): StreamReader => new CompletionStream(call, 'chat.completion.chunk'),
    jsonMembers,
    readJson,
  }
}

export const batchAnswer = answerMetering(['id', 'batch_id', 'job.id', 'model', 'status'], readBatchAnswer)
export const addedAnswer = answerMetering([], readAddedAnswer)

/** OpenAI's, and those who copy it. */
export function batches(match: PathMatcher): BatchReading {
  return { read: (body, source) => readBatch(body, source, match) }
}

export function mistralJobs(match: PathMatcher): BatchReading {
  return { read: (body, source) => readMistralJob(body, source, match) }
}

export function xaiRequests(match: PathMatcher): BatchReading {
  return { read: (body, source) => readXaiRequests(body, source, match) }
}

const NOTHING = { files: [], lines: undefined, objects: [], model: undefined, endpoint: undefined, parsed: undefined }

function readBatch(raw: Buffer, source: CallSource, match: PathMatcher): BatchRequest {
  const fields = readJsonBody(raw, source.jsonDepth).value
  const file = fields['input_file_id']
  // xAI makes an empty batch by its name alone; what is added to it is held when it is added.
  if (file === undefined && Object.keys(fields).every((name) => name === 'name')) return NOTHING
  const endpoint = fields['endpoint']
  return {
    ...NOTHING,
    files: [readFileId(file, 'input_file_id')],
    endpoint: typeof endpoint === 'string' ? endpointOf(endpoint, match) : undefined,
  }
}

function readMistralJob(raw: Buffer, source: CallSource, match: PathMatcher): BatchRequest {
  const fields = readJsonBody(raw, source.jsonDepth).value
  if (fields['agent_id'] !== undefined && fields['agent_id'] !== null)
    throw new InvalidCall('A batch of an agent cannot be priced; name a "model".', 'agent_id')
  const { endpoint } = fields
  if (typeof endpoint !== 'string')
    throw new InvalidCall('"endpoint" must be a path like "/v1/chat/completions".', 'endpoint')
  const lines = readInlineLines(raw, 'requests', (line) => readOpenAILine(line, source.jsonDepth, match))
  const files = asArray(fields['input_files']).map((file) => readFileId(file, 'input_files'))
  if (files.length === 0 && lines.summary.lines === 0)
    throw new InvalidCall('"input_files" or "requests" must name what the batch is made of.', 'input_files')
  return {
    files,
    lines: lines.summary,
    objects: lines.objects,
    model: asText(fields['model']),
    endpoint: endpointOf(endpoint, match),
    parsed: undefined,
  }
}

function readXaiRequests(raw: Buffer, source: CallSource, match: PathMatcher): BatchRequest {
  const fields = readJsonBody(raw, source.jsonDepth).value
  const ids = asArray(fields['batch_requests']).map((request) => asText(asObject(request)?.['batch_request_id']))
  if (ids.length === 0 || ids.some((id) => id === undefined))
    throw new InvalidCall(
      'Each of "batch_requests" needs a "batch_request_id": its result is told by it.',
      'batch_requests',
    )
  const lines = readInlineLines(raw, 'batch_requests', (line) => readXaiRequest(line, source.jsonDepth, match))
  const batchId = source.path.split('/').at(-2) ?? ''
  const parsed: AddedRequests = { batchId, ids: ids.map((id) => requestHash(id as string)) }
  return { ...NOTHING, lines: lines.summary, objects: [batchId, ...lines.objects], addsTo: batchId, parsed }
}

function readFileId(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= 256) return value
  throw new InvalidCall(`"${field}" must name a file that was uploaded through the gateway.`, field)
}

function endpointOf(path: string, match: PathMatcher): string {
  const operation = path.startsWith('/') ? match(path)?.operation : undefined
  if (operation === undefined || operation.batch || operation.kind === 'unmetered')
    throw new InvalidCall(`"endpoint" ${JSON.stringify(path.slice(0, 100))} is none that is metered here.`, 'endpoint')
  return operation.endpoint
}

function readBatchAnswer(members: Fields): AnswerFacts {
  const id = [members['id'], members['batch_id'], members['job.id']].find(isPlainId)
  return {
    usage: undefined,
    model: undefined,
    providerId: id,
    serviceTier: undefined,
    storedId: id,
    ...(id === undefined ? {} : { job: { id, reader: BATCH_JOB, pollPath: (path) => `${path}/${id}` } }),
  }
}

/** xAI answers null: what was added is known from the call. Each adding has its own end. */
function readAddedAnswer(_members: Fields, call: CallRequest): AnswerFacts {
  const { batchId, ids } = call.parsed as AddedRequests
  const pollPath = (path: string): string => path.replace(/\/requests$/, '')
  return {
    usage: undefined,
    model: undefined,
    providerId: batchId,
    serviceTier: undefined,
    storedId: undefined,
    // The same requests added once more have the same results.
    job: {
      id: `${batchId}#${requestHash(ids.join(''))}`,
      reader: XAI_REQUESTS_JOB,
      pollPath,
      notes: { ids: ids.join('') },
    },
  }
}
