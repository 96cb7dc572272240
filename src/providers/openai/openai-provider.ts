/** The OpenAI API and those who copy it: paths, refusals. */
import type { Endpoint } from '../../config/snapshot.ts'
import { madeIn } from '../made-objects.ts'
import { isPlainId } from '../object-id.ts'
import { pathSegments } from '../path-segments.ts'
import {
  type BatchReading,
  type Metering,
  type ObjectRules,
  type Operation,
  type OperationMatch,
  type Provider,
  SOCKET,
} from '../provider.ts'
import { addedAnswer, batchAnswer, batches, mistralJobs, xaiRequests } from './batch.ts'
import { batchJobReader, xaiRequestsReader } from './batch-job.ts'
import { readOpenAILine } from './batch-lines.ts'
import { chatMetering } from './chat.ts'
import { compactMetering } from './compact.ts'
import { completionsMetering } from './completions.ts'
import { embeddingsMetering } from './embeddings.ts'
import { openAIErrorBody } from './error-event.ts'
import { imagesMetering } from './images.ts'
import { matchModelRoot, matchNative } from './native-paths.ts'
import { openAIObjects } from './object-paths.ts'
import { realtimeMetering } from './realtime.ts'
import { responseJobReader } from './response-job.ts'
import { responsesMetering } from './responses.ts'
import { runJobReader } from './run-job.ts'
import { runsMetering, startsRun } from './runs.ts'
import { speechMetering } from './speech.ts'
import { transcriptionsMetering } from './transcriptions.ts'

const chat = metered('chat', chatMetering)
const responses = metered('responses', responsesMetering)
const compact = metered('responses', compactMetering)
const countTokens = free('count_tokens', { readsBody: true })
const completions = metered('completions', completionsMetering)
const embeddings = metered('embeddings', embeddingsMetering)
const images = metered('images', imagesMetering)
const speech = metered('speech', speechMetering)
const transcriptions = metered('transcriptions', transcriptionsMetering)
const realtime = metered('realtime', realtimeMetering)
const runs = metered('responses', runsMetering)
const moderations = free('moderations')
const batch = batchOf(batchAnswer, batches(matchPost))
const mistralJob = batchOf(batchAnswer, mistralJobs(matchPost))
const xaiAdding = batchOf(addedAnswer, xaiRequests(matchPost))
const storedResponse = free('responses')
const storedChat = free('chat')
const cancelledResponse = free('responses', { nudges: true })
const deletedResponse = free('responses', { deletes: true })
const deletedChat = free('chat', { deletes: true })

/** Of servers of open models (vLLM, llama.cpp), at their root: `/v1/tokenize` is Cohere's. */
const COUNTING_CALLS = new Set(['tokenize', 'detokenize', 'apply-template'])
const IMAGE_CALLS = new Set(['generations', 'edits', 'variations'])

export const openAIProvider: Provider = {
  format: 'openai',
  match: (method, path) => {
    const segments = pathSegments(path)
    if (method === SOCKET) return segments.at(-1) === 'realtime' ? of(realtime) : undefined
    // Before the objects: `threads/runs` looks like a thread of that id.
    if (method === 'POST' && startsRun(segments)) return of(runs)
    const object = openAIObjects(method, segments) ?? matchStored(method, segments)
    if (object || method !== 'POST') return object
    const call = matchCall(segments)
    if (call) return call
    const root = matchModelRoot(segments)
    return root && of(root)
  },
  jobs: [responseJobReader, runJobReader, batchJobReader, xaiRequestsReader],
  readBatchLine: (line, jsonDepth) => readOpenAILine(line, jsonDepth, matchPost),
  errorBody: openAIErrorBody,
}

/** The calls that make something, by their last segments. */
function matchCall(segments: readonly string[]): OperationMatch | undefined {
  const batched = matchBatch(segments)
  if (batched) return of(batched)
  const native = matchNative(segments)
  if (native) return of(native)
  const last = segments.at(-1)
  if (last === 'completions') return of(segments.at(-2) === 'chat' ? chat : completions)
  // Perplexity's Agent API is a responses API under its own name.
  if (last === 'responses' || (last === 'agent' && segments.at(-2) === 'v1')) return of(responses)
  if (segments.at(-2) === 'responses' && last === 'compact') return of(compact)
  if (segments.at(-2) === 'responses' && last === 'input_tokens') return of(countTokens)
  if (last === 'embeddings') return of(embeddings)
  return matchMedia(last ?? '', segments.at(-2) ?? '')
}

function matchBatch(segments: readonly string[]): Operation | undefined {
  const [before, last] = segments.slice(-2)
  if (last === 'batches' && before !== 'messages') return batch
  if (before === 'batch' && last === 'jobs') return mistralJob
  return last === 'requests' && segments.at(-3) === 'batches' && isPlainId(before) ? xaiAdding : undefined
}

/** Images, audio, and what is free beside them. */
function matchMedia(last: string, before: string): OperationMatch | undefined {
  if (last === 'images' || (before === 'images' && IMAGE_CALLS.has(last))) return of(images)
  if (before === 'audio' && last === 'speech') return of(speech)
  if (before === 'audio' && (last === 'transcriptions' || last === 'translations')) return of(transcriptions)
  // xAI's and Deepgram's names of the same.
  if (last === 'tts' || last === 'speak') return of(speech)
  if (last === 'stt' || last === 'listen') return of(transcriptions)
  if (COUNTING_CALLS.has(last) && before !== 'v1') return of(countTokens)
  return last === 'moderations' ? of(moderations) : undefined
}

/** Reading, changing, cancelling, deleting what a call has stored. */
function matchStored(method: string, segments: readonly string[]): OperationMatch | undefined {
  const last = segments.at(-1) ?? ''
  const before = segments.at(-2) ?? ''
  if (before === 'responses' && method === 'GET') return stored(storedResponse, last)
  if (before === 'responses' && method === 'DELETE') return stored(deletedResponse, last)
  if (segments.at(-3) === 'responses') {
    if (method === 'POST' && last === 'cancel') return stored(cancelledResponse, before)
    if (method === 'GET' && last === 'input_items') return stored(storedResponse, before)
  }
  if (
    before === 'completions' &&
    segments.at(-3) === 'chat' &&
    (method === 'GET' || method === 'POST' || method === 'DELETE')
  )
    return stored(method === 'DELETE' ? deletedChat : storedChat, last)
  if (segments.at(-3) === 'completions' && segments.at(-4) === 'chat' && method === 'GET' && last === 'messages')
    return stored(storedChat, before)
  return undefined
}

function batchOf(metering: Metering, reading: BatchReading): Operation {
  // xAI makes a batch empty, which is free; whatever makes one, it belongs to who asked.
  const objects = { makes: madeIn('id', 'batch_id') }
  return { format: 'openai', endpoint: 'batches', kind: 'metered', metering, batch: reading, objects }
}

/** What a line of a batch calls. */
function matchPost(path: string): OperationMatch | undefined {
  return openAIProvider.match('POST', path, {})
}

function metered(endpoint: Endpoint, metering: Metering): Operation {
  return { format: 'openai', endpoint, kind: 'metered', metering }
}

function free(endpoint: Endpoint, objects: ObjectRules = {}): Operation {
  return { format: 'openai', endpoint, kind: 'free', objects }
}

function of(operation: Operation): OperationMatch {
  return { operation, objectId: undefined }
}

function stored(operation: Operation, objectId: string): OperationMatch | undefined {
  return isPlainId(objectId) ? { operation, objectId } : undefined
}
