import { answerLine, fails, repeated } from './batch-answers.ts'
import { type Call, isObject, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { JobProgress } from './job-progress.ts'
import { listOf } from './kept-objects.ts'
import { chat, lastUserText } from './openai-chat.ts'
import { completions } from './openai-completions.ts'
import { embeddings } from './openai-embeddings.ts'
import { keepFile } from './openai-files.ts'
import { responses, responseUserText } from './openai-responses.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'
import { createXaiBatch, getXaiBatch } from './xai-batches.ts'

const ENDPOINTS: Readonly<Record<string, (call: Call) => unknown>> = {
  '/v1/chat/completions': chat,
  '/v1/responses': responses,
  '/v1/embeddings': embeddings,
  '/v1/completions': completions,
}

export interface KeptBatch {
  readonly progress: JobProgress
  readonly begun: JsonObject
  /** As it is once it is done: made at the first look that finds it so. */
  readonly end: () => JsonObject
  ended?: JsonObject
  cancelled?: true
}

/** `POST …/batches`. Throws ProviderError for what the real one refuses. */
export function createBatch(call: Call): JsonReply {
  const { body } = call
  if (body['input_file_id'] === undefined && body['name'] !== undefined) return createXaiBatch(call)
  const lines = linesOf(call, String(body['input_file_id'] ?? ''))
  const id = `batch_${idTail(call.idSeed, 32)}`
  const begun = {
    id,
    object: 'batch',
    endpoint: body['endpoint'],
    model: null,
    errors: null,
    input_file_id: body['input_file_id'],
    completion_window: body['completion_window'],
    status: 'validating',
    output_file_id: null,
    error_file_id: null,
    created_at: call.nowSeconds,
    request_counts: { total: 0, completed: 0, failed: 0 },
    metadata: body['metadata'] ?? null,
  }
  const batch: KeptBatch = {
    progress: new JobProgress(call.controls),
    begun,
    end: () => endOf(call, batch, lines),
  }
  call.stored.batches.keep(id, batch)
  return jsonReply(begun)
}

export function getBatch(call: Call, id: string): JsonReply {
  if (call.stored.xaiBatches.has(id)) return getXaiBatch(call, id)
  return jsonReply(look(call.stored.batches.get(id)))
}

export function listBatches(call: Call): JsonReply {
  return listOf(call.stored.batches.all.map(({ begun }) => begun))
}

/** What is under way ends soon, with the results that are there. */
export function cancelBatch(call: Call, id: string): JsonReply {
  const batch = call.stored.batches.get(id)
  if (batch.ended) throw new ProviderError(409, `Cannot cancel a batch with status '${batch.ended['status']}'.`)
  batch.cancelled = true
  batch.progress.hurry()
  return jsonReply({ ...batch.begun, status: 'cancelling' })
}

function look(batch: KeptBatch): JsonObject {
  if (!batch.progress.look()) return { ...batch.begun, status: batch.cancelled ? 'cancelling' : 'in_progress' }
  batch.ended ??= batch.end()
  return batch.ended
}

export interface Line {
  readonly custom_id: string
  readonly url: string
  readonly body: JsonObject
}

/** Of a file that was uploaded. Throws ProviderError. */
export function linesOf(call: Call, fileId: string): Line[] {
  const { content, object } = call.stored.files.get(fileId)
  if (object['purpose'] !== 'batch')
    throw new ProviderError(400, 'The file must have the purpose "batch".', null, 'input_file_id')
  return content
    .toString()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Line)
}

function endOf(call: Call, batch: KeptBatch, lines: readonly Line[]): JsonObject {
  const { outcome } = call.controls
  // Half of it was done when it ended otherwise; of what never passed the validation nothing was.
  const done = outcome === 'failed' ? 0 : batch.cancelled || outcome !== undefined ? lines.length >> 1 : lines.length
  const results = lines.slice(0, done).map((line, number) => resultOf(call, line, number))
  const good = results.filter(({ response }) => response.status_code === 200)
  const bad = results.filter(({ response }) => response.status_code !== 200)
  return {
    ...batch.begun,
    status: batch.cancelled ? 'cancelled' : (outcome ?? 'completed'),
    model: lines[0]?.body['model'] ?? null,
    output_file_id: good.length > 0 ? outputFile(call, repeated(call, good), 1) : null,
    error_file_id: bad.length > 0 ? outputFile(call, bad, 2) : null,
    request_counts: { total: lines.length, completed: good.length, failed: lines.length - good.length },
    usage: totalOf(good),
  }
}

export interface LineResult {
  readonly id: string
  readonly custom_id: string
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: JsonObject }
  readonly error: null
}

export function resultOf(call: Call, line: Line, number: number): LineResult {
  const id = `batch_req_${idTail(call.idSeed + 31 * (number + 1), 32)}`
  const respond = (status_code: number, body: JsonObject): LineResult => ({
    id,
    custom_id: line.custom_id,
    response: { status_code, request_id: idTail(call.idSeed + number, 32), body },
    error: null,
  })
  const failed = { error: { message: 'The server had an error.', type: 'server_error', param: null, code: null } }
  if (fails(call, number)) return respond(500, failed)
  const answer = ENDPOINTS[line.url]
  if (answer === undefined) return respond(404, failed)
  const prompt = line.body['messages'] === undefined ? responseUserText(line.body) : lastUserText(line.body)
  try {
    return respond(200, answerLine(call, number, line.body, prompt, answer))
  } catch (error) {
    if (error instanceof ProviderError) return respond(error.status, failed)
    throw error
  }
}

export function outputFile(call: Call, results: readonly LineResult[], number: number): string {
  const content = results.map((result) => `${JSON.stringify(result)}\n`).join('')
  return String(keepFile(call, Buffer.from(content), 'batch_output', call.idSeed + 977 * number)['id'])
}

/** The job's own sum, which each look repeats. */
function totalOf(results: readonly LineResult[]): JsonObject {
  let [input, output] = [0, 0]
  for (const { response } of results) {
    const usage = isObject(response.body['usage']) ? response.body['usage'] : {}
    input += Number(usage['prompt_tokens'] ?? usage['input_tokens'] ?? 0)
    output += Number(usage['completion_tokens'] ?? usage['output_tokens'] ?? 0)
  }
  return { input_tokens: input, output_tokens: output, total_tokens: input + output }
}
