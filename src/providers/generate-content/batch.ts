/**
 * POST …:batchGenerateContent and …:asyncBatchEmbedContent of the Gemini API: many requests of the path's model, in the
 * body or as lines `{key, request}` of a file. The batch is an operation; a small one shows its results in itself, twice
 * (under `response` and under `metadata.output`), and names a file with them otherwise.
 * Source: googleapis google/ai/generativelanguage/v1beta/batch_service.proto; @google/genai src/batches.ts, src/_downloader.ts.
 */
import { readInlineLines } from '../batch-call.ts'
import { readCount } from '../counts.ts'
import { googleFileId } from '../google-file-id.ts'
import { idsInBody } from '../ids-in-body.ts'
import { readJsonBody } from '../json-body.ts'
import { isPlainId } from '../object-id.ts'
import {
  type AnswerFacts,
  type BatchReading,
  type BatchRequest,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type JobReader,
  type JobResult,
  type JobState,
  type Metering,
  type ReadBatchLine,
} from '../provider.ts'
import { asText } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { embedContentMetering } from './embed-content.ts'
import { generateContentMetering, refuseOtherModel } from './generate-content.ts'
import { googleErrorBody } from './google-error.ts'
import { bareModel, modelOfPath } from './google-path.ts'
import { DecisiveNames, type ProtoObject, readNested } from './proto-json.ts'

type Fields = Readonly<Record<string, unknown>>

const NAME = 'google_batch'
const BODY_NAMES = new DecisiveNames(['batch'])
const BATCH_NAMES = new DecisiveNames(['model', 'inputConfig'])
const INPUT_NAMES = new DecisiveNames(['requests', 'fileName'])
const REQUESTS_NAMES = new DecisiveNames(['requests'])
const LINE_NAMES = new DecisiveNames(['request'])
const REQUEST_NAMES = new DecisiveNames(['model', 'contents', 'content'])
/** Stands for the model of a line that names none: its media are counted by the dearest rule. */
const NO_MODEL = 'batch'
const ENDED = /^(?:BATCH|JOB)_STATE_(?:SUCCEEDED|FAILED|CANCELLED|EXPIRED|PARTIALLY_SUCCEEDED)$/
const FILES = ['response.responsesFile', 'metadata.output.responsesFile'] as const
const RESPONSE = 'response'
const MEMBERS = generateContentMetering.jsonMembers

/** Only reads the job that an answer names. */
export const googleBatchAnswer: Metering = {
  readCall: (): never => {
    throw new InvalidCall('A batch is not read as one call.')
  },
  prepare: (raw) => raw,
  outputLimitName: (): string => 'maxOutputTokens',
  createStreamReader: () => new SilentStream(googleErrorBody),
  jsonMembers: ['name'],
  readJson: readAnswer,
}

/** `endpoint`: of every request in it. */
export function googleBatches(endpoint: string, metering: Metering): BatchReading {
  return { read: (raw, source) => readBatch(raw, source, endpoint, metering) }
}

function readBatch(raw: Buffer, source: CallSource, endpoint: string, metering: Metering): BatchRequest {
  const { jsonDepth } = source
  const model = modelOfPath(source.path)
  const json = readJsonBody(raw, jsonDepth)
  const body = BODY_NAMES.read(json.value, json.members, json.insertAt, '')
  const batch = readNested(raw, body, 'batch', BATCH_NAMES, jsonDepth)
  const input = batch && readNested(raw, batch, 'inputConfig', INPUT_NAMES, jsonDepth, 'batch.')
  refuseOtherModel(batch?.value['model'], model)
  const file = asText(input?.value['fileName'])
  const requests = input && readNested(raw, input, 'requests', REQUESTS_NAMES, jsonDepth, 'batch.inputConfig.')
  if ((file === undefined) === (requests === undefined))
    throw new InvalidCall('"batch.inputConfig" must have either "requests" or "fileName".', 'batch.inputConfig')
  const whole = { model, endpoint, imageOutput: model.includes('image'), parsed: undefined }
  if (requests === undefined) {
    const id = googleFileId(file as string)
    if (id === undefined)
      throw new InvalidCall('"fileName" must be the "name" of a file of the Files API.', 'batch.inputConfig.fileName')
    return { ...whole, files: [id], lines: undefined, objects: [] }
  }
  const lines = readInlineLines(raw, INLINE, (element) => {
    const request = readRequest(element, jsonDepth)
    const call = metering.readCall(request.raw, plainSource(source.path, jsonDepth))
    return lineOf(endpoint, model, call, request.value)
  })
  if (lines.summary.lines === 0)
    throw new InvalidCall('"requests" must be an array of at least one request.', 'batch.inputConfig.requests')
  return { ...whole, files: [], lines: lines.summary, objects: lines.objects }
}

/** Where the requests stand, in either spelling; the body has one of them. */
const INLINE = ['batch.inputConfig.requests.requests', 'batch.input_config.requests.requests']

/** A line of a file. Throws InvalidCall. */
export function readGoogleLine(line: Buffer, jsonDepth: number): ReadBatchLine {
  const { raw, value, fields } = readRequest(line, jsonDepth)
  const named = asText(fields.value['model'])
  const model = named === undefined ? undefined : bareModel(named)
  const embeds = fields.members.has('content')
  const path = `/v1beta/models/${encodeURIComponent(model ?? NO_MODEL)}:method`
  const metering = embeds ? embedContentMetering : generateContentMetering
  const call = metering.readCall(raw, plainSource(path, jsonDepth))
  return lineOf(embeds ? 'embeddings' : 'generate_content', model ?? '', call, value)
}

interface LineRequest {
  readonly raw: Buffer
  readonly value: Fields
  readonly fields: ProtoObject
}

function readRequest(line: Buffer, jsonDepth: number): LineRequest {
  const json = readJsonBody(line, jsonDepth)
  const outer = LINE_NAMES.read(json.value, json.members, json.insertAt, '')
  const fields = readNested(line, outer, 'request', REQUEST_NAMES, jsonDepth)
  const span = outer.members.get('request')
  if (fields === undefined || span === undefined) throw new InvalidCall('"request" must be an object.', 'request')
  return {
    raw: line.subarray(span.valueStart, span.valueEnd),
    value: outer.value['request'] as Fields,
    fields,
  }
}

function lineOf(endpoint: string, model: string, call: CallRequest, request: Fields): ReadBatchLine {
  return { endpoint, model, call, objects: [...new Set([...(call.objects ?? []), ...idsInBody(request)])] }
}

function plainSource(path: string, jsonDepth: number): CallSource {
  return { path, query: '', headers: {}, jsonDepth }
}

function readAnswer(members: Fields): AnswerFacts {
  const id = idOf(members['name'])
  return {
    usage: undefined,
    model: undefined,
    providerId: id,
    serviceTier: undefined,
    storedId: id,
    ...(id === undefined ? {} : { job: { id, reader: NAME, pollPath: (path) => pollPath(path, id), notes: {} } }),
  }
}

/** `/v1beta/models/M:batchGenerateContent` → `/v1beta/batches/ID`. */
function pollPath(path: string, id: string): string {
  return [...path.split('/').slice(0, -2), 'batches', id].join('/')
}

/** `batches/ID`, `files/ID`. */
function idOf(name: unknown): string | undefined {
  const id = typeof name === 'string' ? name.slice(name.lastIndexOf('/') + 1) : undefined
  return isPlainId(id) ? id : undefined
}

export const googleBatchReader: JobReader = {
  name: NAME,
  members: ['done', 'metadata.state', 'metadata.batchStats', 'error', ...FILES],
  read: readState,
  results: {
    inline: ['response', 'metadata.output'].flatMap((place) =>
      ['inlinedResponses', 'inlinedEmbedContentResponses'].map((kind) => `${place}.${kind}.inlinedResponses`),
    ),
    members: ['key', 'metadata.key', `${RESPONSE}.tokenCount`, ...MEMBERS.map((name) => `${RESPONSE}.${name}`)],
    read: readResult,
  },
}

function readState(members: Fields): JobState {
  const state = members['metadata.state']
  if (members['done'] !== true && !ENDED.test(String(state))) return { status: 'open' }
  const file = FILES.map((name) => idOf(members[name])).find((id) => id !== undefined)
  return {
    status: 'results',
    // …/batches/ID → …/files/FILE:download
    sources: (jobPath) =>
      file === undefined
        ? []
        : [
            {
              path: `${pollPath(jobPath, file).replace(/batches(\/[^/]+)$/, 'files$1')}:download?alt=media`,
              form: 'lines',
            },
          ],
    objectIds: file === undefined ? [] : [file],
    raw: { state, batchStats: members['metadata.batchStats'], error: members['error'] },
  }
}

/** What the reader of an answer wants to know of its call. */
const STUB = { model: '' } as CallRequest

function readResult(result: Fields): JobResult {
  const response = Object.fromEntries(MEMBERS.map((name) => [name, result[`${RESPONSE}.${name}`]] as const))
  const facts = generateContentMetering.readJson(response, STUB, { get: () => undefined })
  const embedded = readCount(result, `${RESPONSE}.tokenCount`)
  const usage = facts.usage ?? (embedded === undefined ? undefined : { tokens: { input: embedded }, raw: null })
  return {
    id: facts.providerId ?? asText(result['key']) ?? asText(result['metadata.key']),
    model: facts.model,
    usage,
  }
}
