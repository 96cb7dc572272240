/** xAI's batches: made empty by a name, filled by several calls, their results told in pages. */
import { answerLine, fails, repeated } from './batch-answers.ts'
import { type Call, isObject, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { JobProgress } from './job-progress.ts'
import { chat, lastUserText } from './openai-chat.ts'
import { responses, responseUserText } from './openai-responses.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** What one call added. */
interface Added {
  readonly progress: JobProgress
  readonly results: readonly JsonObject[]
  readonly count: number
}

export interface KeptXaiBatch {
  readonly begun: JsonObject
  readonly added: Added[]
  cancelledAt?: string
}

const KINDS = {
  chat_get_completion: { answer: chat, textOf: lastUserText },
  responses: { answer: responses, textOf: responseUserText },
} as const

/** `POST …/batches` with a name alone. */
export function createXaiBatch(call: Call): JsonReply {
  const id = `batch_${idTail(call.idSeed, 32)}`
  const begun = { batch_id: id, name: call.body['name'], create_time: '2026-11-26', expire_time: '2026-12-26' }
  const batch: KeptXaiBatch = { begun, added: [] }
  call.stored.xaiBatches.keep(id, batch)
  return jsonReply(shown(batch))
}

export function getXaiBatch(call: Call, id: string): JsonReply {
  const batch = call.stored.xaiBatches.get(id)
  for (const { progress } of batch.added) progress.look()
  return jsonReply(shown(batch))
}

/** `POST …/batches/ID:cancel`: what is under way is given up. */
export function cancelXaiBatch(call: Call, id: string): JsonReply {
  const batch = call.stored.xaiBatches.get(id)
  batch.cancelledAt = '2026-11-26'
  return jsonReply(shown(batch))
}

/** `POST …/batches/ID/requests`. Its answer is `null`. */
export function addXaiRequests(call: Call, id: string): JsonReply {
  const batch = call.stored.xaiBatches.get(id)
  const requests = Array.isArray(call.body['batch_requests']) ? call.body['batch_requests'].filter(isObject) : []
  if (requests.length === 0) throw new ProviderError(422, 'batch_requests: nothing to add.')
  const results = requests.map((request, number) => resultOf(call, request, number))
  batch.added.push({
    progress: new JobProgress(call.controls),
    results: repeated(call, results),
    count: requests.length,
  })
  return { ...jsonReply({}), body: 'null' }
}

/** `GET …/batches/ID/results?limit=&pagination_token=`. */
export function xaiResults(call: Call, id: string): JsonReply {
  const batch = call.stored.xaiBatches.get(id)
  const { searchParams } = new URL(call.target, 'http://simulator')
  const limit = Math.min(100, Number(searchParams.get('limit') ?? 100))
  const from = Number(searchParams.get('pagination_token') ?? 0)
  const all = batch.added.filter(({ progress }) => progress.done).flatMap(({ results }) => results)
  const next = from + limit < all.length ? String(from + limit) : null
  return jsonReply({ results: all.slice(from, from + limit), pagination_token: next })
}

function shown(batch: KeptXaiBatch): JsonObject {
  const state = { num_requests: 0, num_pending: 0, num_success: 0, num_error: 0, num_cancelled: 0 }
  for (const { progress, results, count } of batch.added) {
    state.num_requests += count
    const bad = new Set(results.filter((result) => !isGood(result)).map((result) => result['batch_request_id'])).size
    if (progress.done) {
      state.num_error += bad
      state.num_success += count - bad
    } else if (batch.cancelledAt === undefined) state.num_pending += count
    else state.num_cancelled += count
  }
  return { ...batch.begun, cancel_time: batch.cancelledAt ?? null, cancel_by_xai_message: null, state }
}

function isGood(result: JsonObject): boolean {
  return isObject(result['batch_result']) && result['batch_result']['error'] === undefined
}

function resultOf(call: Call, request: JsonObject, number: number): JsonObject {
  const batch_request_id = request['batch_request_id']
  const failed = { batch_request_id, batch_result: { error: 'The server had an error.' } }
  if (fails(call, number)) return failed
  const inner = isObject(request['batch_request']) ? request['batch_request'] : {}
  for (const [kind, { answer, textOf }] of Object.entries(KINDS)) {
    const body = inner[kind]
    if (!isObject(body)) continue
    try {
      const answered = answerLine(call, number, body, textOf(body), answer)
      return { batch_request_id, batch_result: { response: { [kind]: answered } } }
    } catch (error) {
      if (error instanceof ProviderError) return failed
      throw error
    }
  }
  throw new ProviderError(422, 'batch_request: no kind that is known.')
}
