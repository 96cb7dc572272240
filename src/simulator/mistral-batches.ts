/** Mistral's batches: of files or of requests in the body, whose endpoint and model stand with the job. */

import { repeated } from './batch-answers.ts'
import { type Call, isObject, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { JobProgress } from './job-progress.ts'
import { listOf } from './kept-objects.ts'
import { type Line, type LineResult, linesOf, outputFile, resultOf } from './openai-batches.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

export interface KeptMistralJob {
  readonly progress: JobProgress
  readonly begun: JsonObject
  /** As it is once it is done: made at the first look that finds it so. */
  readonly end: () => JsonObject
  ended?: JsonObject
  cancelled?: true
}

/** Mistral's words for how a job ended. */
const OUTCOMES: Readonly<Record<string, string>> = {
  failed: 'FAILED',
  expired: 'TIMEOUT_EXCEEDED',
  cancelled: 'CANCELLED',
}

/** `POST …/batch/jobs`. Throws ProviderError for what the real one refuses. */
export function createMistralJob(call: Call): JsonReply {
  const { body } = call
  const lines = linesOfJob(call)
  if (lines.length === 0) throw new ProviderError(422, 'Either input_files or requests must be provided.')
  const id = `${idTail(call.idSeed, 8)}-${idTail(call.idSeed + 1, 12)}`
  const begun = {
    id,
    object: 'batch',
    input_files: body['input_files'] ?? [],
    metadata: body['metadata'] ?? null,
    endpoint: body['endpoint'],
    model: body['model'] ?? null,
    agent_id: null,
    output_file: null,
    error_file: null,
    errors: [],
    outputs: null,
    status: 'QUEUED',
    created_at: call.nowSeconds,
    total_requests: lines.length,
    completed_requests: 0,
    succeeded_requests: 0,
    failed_requests: 0,
  }
  const job: KeptMistralJob = { progress: new JobProgress(call.controls), begun, end: () => endOf(call, job, lines) }
  call.stored.mistralJobs.keep(id, job)
  return jsonReply(begun)
}

export function getMistralJob(call: Call, id: string): JsonReply {
  const job = call.stored.mistralJobs.get(id)
  if (!job.progress.look())
    return jsonReply({ ...job.begun, status: job.cancelled ? 'CANCELLATION_REQUESTED' : 'RUNNING' })
  job.ended ??= job.end()
  return jsonReply(job.ended)
}

export function listMistralJobs(call: Call): JsonReply {
  return listOf(call.stored.mistralJobs.all.map(({ begun }) => begun))
}

export function cancelMistralJob(call: Call, id: string): JsonReply {
  const job = call.stored.mistralJobs.get(id)
  job.cancelled = true
  job.progress.hurry()
  return jsonReply({ ...job.begun, status: 'CANCELLATION_REQUESTED' })
}

/** The job says what its lines leave out. */
function linesOfJob(call: Call): Line[] {
  const { body } = call
  const ids = Array.isArray(body['input_files']) ? body['input_files'] : []
  const inBody = Array.isArray(body['requests']) ? body['requests'].filter(isObject) : []
  const lines = [...ids.flatMap((id) => linesOf(call, String(id))), ...(inBody as unknown as Line[])]
  return lines.map((line) => ({
    custom_id: line.custom_id,
    url: String(body['endpoint']),
    body: { model: body['model'], ...line.body },
  }))
}

function endOf(call: Call, job: KeptMistralJob, lines: readonly Line[]): JsonObject {
  const { outcome } = call.controls
  const half = job.cancelled || outcome !== undefined
  const results = lines
    .slice(0, outcome === 'failed' ? 0 : half ? lines.length >> 1 : lines.length)
    .map((line, number) => resultOf(call, line, number))
  const good = results.filter(({ response }) => response.status_code === 200)
  const bad = results.filter(({ response }) => response.status_code !== 200)
  return {
    ...job.begun,
    status: job.cancelled ? 'CANCELLED' : outcome === undefined ? 'SUCCESS' : (OUTCOMES[outcome] ?? 'FAILED'),
    ...whereResultsStand(call, good, bad),
    completed_requests: results.length,
    succeeded_requests: good.length,
    failed_requests: bad.length,
  }
}

/** Of requests in the body they stand in the job; of files in files. */
function whereResultsStand(call: Call, good: readonly LineResult[], bad: readonly LineResult[]): JsonObject {
  if (Array.isArray(call.body['requests'])) return { outputs: repeated(call, [...good, ...bad]) }
  return {
    output_file: good.length > 0 ? outputFile(call, repeated(call, good), 1) : null,
    error_file: bad.length > 0 ? outputFile(call, bad, 2) : null,
  }
}
