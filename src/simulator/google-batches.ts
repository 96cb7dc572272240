import { answerLine, fails, repeated } from './batch-answers.ts'
import { type Call, isObject, type JsonObject, type JsonReply, jsonReply, otherReply } from './call.ts'
import { generateContent } from './google-content.ts'
import { embedContent } from './google-embeddings.ts'
import { either, eitherObject, lastContentText } from './google-words.ts'
import { JobProgress } from './job-progress.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

export interface KeptGoogleBatch {
  readonly name: string
  readonly progress: JobProgress
  readonly call: Call
  readonly embeds: boolean
  readonly requests: readonly JsonObject[]
  /** Its results stand in a file. */
  readonly inFile: boolean
  cancelled?: true
  /** Made at the first look that finds it done. */
  output?: JsonObject
}

/** `POST …:batchGenerateContent`, `…:asyncBatchEmbedContent`. Throws ProviderError for what the real one refuses. */
export function createGoogleBatch(call: Call): JsonReply {
  const input = eitherObject(eitherObject(call.body, 'batch'), 'inputConfig')
  const file = either(input, 'fileName')
  const inline = isObject(input['requests']) ? input['requests']['requests'] : undefined
  const requests = typeof file === 'string' ? linesOf(call, file) : Array.isArray(inline) ? inline.filter(isObject) : []
  if (requests.length === 0) throw new ProviderError(400, 'Request contains an invalid argument.')
  const batch: KeptGoogleBatch = {
    name: `batches/${idTail(call.idSeed, 36)}`,
    progress: new JobProgress(call.controls),
    call,
    embeds: call.target.includes(':asyncBatchEmbedContent'),
    requests,
    inFile: typeof file === 'string',
  }
  call.stored.googleBatches.keep(batch.name, batch)
  return jsonReply(show(batch, 'BATCH_STATE_PENDING'))
}

export function getGoogleBatch(call: Call, name: string): JsonReply {
  const batch = call.stored.googleBatches.get(name)
  if (!batch.progress.look()) return jsonReply(show(batch, 'BATCH_STATE_RUNNING'))
  const { outcome } = batch.call.controls
  const state = batch.cancelled ? 'CANCELLED' : (outcome ?? 'succeeded').toUpperCase()
  batch.output ??= outputOf(batch)
  return jsonReply(show(batch, `BATCH_STATE_${state}`, batch.output))
}

export function cancelGoogleBatch(call: Call, name: string): JsonReply {
  const batch = call.stored.googleBatches.get(name)
  batch.cancelled = true
  batch.progress.hurry()
  return jsonReply({})
}

export function deleteGoogleBatch(call: Call, name: string): JsonReply {
  call.stored.googleBatches.delete(name)
  return jsonReply({})
}

/** `GET …/files/ID:download`. */
export function downloadFile(call: Call, name: string): JsonReply {
  return otherReply(call.stored.googleFiles.get(name), 'application/octet-stream')
}

function linesOf(call: Call, name: string): JsonObject[] {
  return call.stored.googleFiles
    .get(name)
    .toString()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as JsonObject)
}

/** What has ended shows its results twice, as the real one does. */
function show(batch: KeptGoogleBatch, state: string, output?: JsonObject): JsonObject {
  const { name, call, requests } = batch
  const count = String(requests.length)
  return {
    name,
    metadata: {
      '@type': 'type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch',
      model: `models/${call.model}`,
      displayName: either(eitherObject(call.body, 'batch'), 'displayName'),
      ...(output ? { output } : {}),
      createTime: new Date(call.nowSeconds * 1000).toISOString(),
      batchStats: {
        requestCount: count,
        ...(output ? { successfulRequestCount: count } : { pendingRequestCount: count }),
      },
      state,
      name,
    },
    ...(output ? { done: true, response: output } : {}),
  }
}

function outputOf(batch: KeptGoogleBatch): JsonObject {
  const { call, requests, cancelled, inFile, embeds } = batch
  const done = cancelled || call.controls.outcome !== undefined ? requests.length >> 1 : requests.length
  const results = repeated(
    call,
    requests.slice(0, done).map((request, number) => resultOf(batch, request, number)),
  )
  if (!inFile) return { [embeds ? 'inlinedEmbedContentResponses' : 'inlinedResponses']: { inlinedResponses: results } }
  const name = `files/batch-${idTail(call.idSeed + 977, 36)}`
  call.stored.googleFiles.keep(name, Buffer.from(results.map((result) => `${JSON.stringify(result)}\n`).join('')))
  return { responsesFile: name }
}

function resultOf({ call, embeds }: KeptGoogleBatch, line: JsonObject, number: number): JsonObject {
  const beside = { ...(line['key'] === undefined ? {} : { key: line['key'] }), ...pick(line, 'metadata') }
  const error = { code: 13, message: 'Internal error encountered.' }
  if (fails(call, number)) return { ...beside, error }
  const body = isObject(line['request']) ? line['request'] : {}
  const answer = embeds ? embedContent : generateContent
  try {
    return {
      ...beside,
      response: answerLine(call, number, { ...body, model: call.model }, lastContentText(body) ?? '', answer),
    }
  } catch (thrown) {
    if (thrown instanceof ProviderError) return { ...beside, error }
    throw thrown
  }
}

function pick(from: JsonObject, name: string): JsonObject {
  return from[name] === undefined ? {} : { [name]: from[name] }
}
