import { messages } from './anthropic-messages.ts'
import { answerLine, fails, repeated } from './batch-answers.ts'
import {
  type Call,
  contentText,
  isObject,
  type JsonObject,
  type JsonReply,
  jsonReply,
  lastMessage,
  otherReply,
} from './call.ts'
import { JobProgress } from './job-progress.ts'
import { listOf } from './kept-objects.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

export interface KeptMessageBatch {
  readonly id: string
  readonly progress: JobProgress
  readonly call: Call
  readonly requests: readonly JsonObject[]
  cancelled?: true
  results?: string
}

/** `POST …/messages/batches`. Throws ProviderError for what the real one refuses. */
export function createMessageBatch(call: Call): JsonReply {
  const requests = Array.isArray(call.body['requests']) ? call.body['requests'].filter(isObject) : []
  if (requests.length === 0) throw new ProviderError(400, 'requests: Field required')
  const id = `msgbatch_${idTail(call.idSeed, 24)}`
  const batch: KeptMessageBatch = { id, progress: new JobProgress(call.controls), call, requests }
  call.stored.messageBatches.keep(id, batch)
  return jsonReply(show(batch, false))
}

export function getMessageBatch(call: Call, id: string): JsonReply {
  const batch = call.stored.messageBatches.get(id)
  return jsonReply(show(batch, batch.progress.look()))
}

export function listMessageBatches(call: Call): JsonReply {
  return listOf(call.stored.messageBatches.all.map((batch) => show(batch, batch.progress.done)))
}

export function cancelMessageBatch(call: Call, id: string): JsonReply {
  const batch = call.stored.messageBatches.get(id)
  batch.cancelled = true
  batch.progress.hurry()
  return jsonReply(show(batch, false))
}

export function deleteMessageBatch(call: Call, id: string): JsonReply {
  call.stored.messageBatches.delete(id)
  return jsonReply({ id, type: 'message_batch_deleted' })
}

export function messageBatchResults(call: Call, id: string): JsonReply {
  const batch = call.stored.messageBatches.get(id)
  if (!batch.progress.done) throw new ProviderError(404, 'The batch has not ended yet.')
  batch.results ??= resultsOf(batch)
  return otherReply(batch.results, 'application/x-jsonl')
}

function show(batch: KeptMessageBatch, ended: boolean): JsonObject {
  const { id, call, requests, cancelled } = batch
  const counts = { processing: requests.length, succeeded: 0, errored: 0, canceled: 0, expired: 0 }
  return {
    id,
    type: 'message_batch',
    processing_status: ended ? 'ended' : cancelled ? 'canceling' : 'in_progress',
    request_counts: ended ? { ...counts, processing: 0, succeeded: requests.length } : counts,
    ended_at: ended ? new Date().toISOString() : null,
    created_at: new Date(call.nowSeconds * 1000).toISOString(),
    expires_at: new Date((call.nowSeconds + 86_400) * 1000).toISOString(),
    archived_at: null,
    cancel_initiated_at: cancelled ? new Date().toISOString() : null,
    // The real one's is at its own host, whoever asked.
    results_url: ended ? `https://api.anthropic.com/v1/messages/batches/${id}/results` : null,
  }
}

function resultsOf(batch: KeptMessageBatch): string {
  const { call, requests, cancelled } = batch
  const done = cancelled || call.controls.outcome !== undefined ? requests.length >> 1 : requests.length
  const results = requests.map((request, number) => ({
    custom_id: request['custom_id'],
    result: number < done ? answerRequest(call, request, number) : { type: cancelled ? 'canceled' : 'expired' },
  }))
  return repeated(call, results)
    .map((result) => `${JSON.stringify(result)}\n`)
    .join('')
}

function answerRequest(call: Call, request: JsonObject, number: number): JsonObject {
  const error = { type: 'error', error: { type: 'api_error', message: 'Internal server error' } }
  if (fails(call, number)) return { type: 'errored', error }
  const params = isObject(request['params']) ? request['params'] : {}
  const prompt = contentText(lastMessage(params['messages'])?.['content'])
  try {
    const message = answerLine(call, number, params, prompt, messages)
    const usage = isObject(message['usage']) ? { ...message['usage'], service_tier: 'batch' } : undefined
    return { type: 'succeeded', message: { ...message, ...(usage ? { usage } : {}) } }
  } catch (thrown) {
    if (thrown instanceof ProviderError) return { type: 'errored', error }
    throw thrown
  }
}
