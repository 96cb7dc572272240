/**
 * Objects of the OpenAI API and of those who copy it. Longer patterns stand before the shorter ones that they end in.
 * Source: openai-node src/resources; Mistral's and xAI's API references for theirs.
 */
import { madeIn } from '../made-objects.ts'
import { type ObjectMatcher, type ObjectRow, objectMatcher } from '../object-paths.ts'
import type { ObjectRules } from '../provider.ts'

const MADE: ObjectRules = { makes: madeIn('id') }
const LISTS: ObjectRules = { lists: true }
const DELETES: ObjectRules = { deletes: true }
const READS: ObjectRules = { readsBody: true }
/** Mistral's conversations and agents answer under paths that only keep things at OpenAI. */
const GENERATING = ['inputs', 'agent_id', 'model', 'stream', 'completion_args']
const KEEPS: ObjectRules = { readsBody: true, notFreeWith: GENERATING }
/** Results that a batch shows when it has ended. */
const BATCH: ObjectRules = { makes: madeIn('output_file_id', 'error_file_id', 'output_file', 'error_file') }
const COSTS = { unmetered: true } as const

const FILES: readonly ObjectRow[] = [
  ['GET', 'vector_stores/:id/files/:part/content', 'files'],
  ['GET POST', 'vector_stores/:id/files/:part', 'files', READS],
  ['DELETE', 'vector_stores/:id/files/:part', 'files'],
  ['GET', 'vector_stores/:id/files', 'files'],
  ['POST', 'vector_stores/:id/files', 'files', { ...MADE, ...READS }],
  ['GET', 'vector_stores/:id/file_batches/:part/files', 'files'],
  ['POST', 'vector_stores/:id/file_batches/:part/cancel', 'files'],
  ['GET', 'vector_stores/:id/file_batches/:part', 'files'],
  ['POST', 'vector_stores/:id/file_batches', 'files', { ...MADE, ...READS }],
  ['POST', 'vector_stores/:id/search', 'files', { ...READS, ...COSTS }],
  ['GET POST', 'vector_stores/:id', 'files', READS],
  ['DELETE', 'vector_stores/:id', 'files', DELETES],
  ['GET', 'vector_stores', 'files', LISTS],
  ['POST', 'vector_stores', 'files', { ...MADE, ...READS }],

  ['POST', 'uploads/:id/parts', 'files', { ...MADE, upload: true }],
  ['POST', 'uploads/:id/complete', 'files', { makes: madeIn('id', 'file.id'), ...READS }],
  ['POST', 'uploads/:id/cancel', 'files'],
  ['POST', 'uploads', 'files', { ...MADE, ...READS }],

  ['GET', 'containers/:id/files/:part/content', 'files'],
  ['GET DELETE', 'containers/:id/files/:part', 'files'],
  ['GET', 'containers/:id/files', 'files'],
  ['POST', 'containers/:id/files', 'files', { upload: true, ...COSTS }],
  ['GET', 'containers/:id', 'files'],
  ['DELETE', 'containers/:id', 'files', DELETES],
  ['GET', 'containers', 'files', LISTS],
  ['POST', 'containers', 'files', { ...MADE, ...READS, ...COSTS }],

  ['GET', 'files/:id/content', 'files'],
  ['GET', 'files/:id/url', 'files'],
  ['GET', 'files/:id', 'files'],
  ['DELETE', 'files/:id', 'files', DELETES],
  ['GET', 'files', 'files', LISTS],
  ['POST', 'files', 'files', { ...MADE, upload: true }],
]

const BATCHES: readonly ObjectRow[] = [
  ['POST', 'batch/jobs/:id/cancel', 'batches', { ...BATCH, nudges: true }],
  ['GET', 'batch/jobs/:id', 'batches', BATCH],
  ['DELETE', 'batch/jobs/:id', 'batches', DELETES],
  ['GET', 'batch/jobs', 'batches', LISTS],
  ['GET', 'batches/:id/requests', 'batches'],
  ['GET', 'batches/:id/results', 'batches', { nudges: true }],
  ['POST', 'batches/:id:cancel', 'batches', { nudges: true }],
  ['POST', 'batches/:id/cancel', 'batches', { ...BATCH, nudges: true }],
  ['GET', 'batches/:id', 'batches', BATCH],
  ['GET', 'batches', 'batches', LISTS],
]

const CONVERSATIONS: readonly ObjectRow[] = [
  ['GET DELETE', 'conversations/:id/items/:part', 'responses'],
  ['GET', 'conversations/:id/items', 'responses'],
  ['POST', 'conversations/:id/items', 'responses', KEEPS],
  ['GET', 'conversations/:id', 'responses'],
  ['POST', 'conversations/:id', 'responses', KEEPS],
  ['DELETE', 'conversations/:id', 'responses', DELETES],
  ['POST', 'conversations', 'responses', { ...MADE, ...KEEPS }],
  ['GET', 'responses', 'responses', LISTS],
  ['GET', 'chat/completions', 'chat', LISTS],
]

const ASSISTANTS: readonly ObjectRow[] = [
  ['GET', 'threads/:id/runs/:part/steps/:part', 'responses'],
  ['GET', 'threads/:id/runs/:part/steps', 'responses'],
  // Both belong to the run, which is charged when it has its end.
  ['POST', 'threads/:id/runs/:part/submit_tool_outputs', 'responses', { ...READS, nudges: true }],
  ['POST', 'threads/:id/runs/:part/cancel', 'responses', { nudges: true }],
  ['GET POST', 'threads/:id/runs/:part', 'responses', READS],
  ['GET', 'threads/:id/runs', 'responses'],
  ['GET POST', 'threads/:id/messages/:part', 'responses', READS],
  ['DELETE', 'threads/:id/messages/:part', 'responses'],
  ['GET', 'threads/:id/messages', 'responses'],
  ['POST', 'threads/:id/messages', 'responses', READS],
  ['GET POST', 'threads/:id', 'responses', READS],
  ['DELETE', 'threads/:id', 'responses', DELETES],
  ['POST', 'threads', 'responses', { ...MADE, ...READS }],
  ['GET POST', 'assistants/:id', 'responses', READS],
  ['DELETE', 'assistants/:id', 'responses', DELETES],
  ['GET', 'assistants', 'responses', LISTS],
  ['POST', 'assistants', 'responses', { ...MADE, ...READS }],
]

/** Billed by what nothing here counts: hours of training, seconds of video, graders. */
const OTHERS: readonly ObjectRow[] = [
  ['GET', 'fine_tuning/jobs/:id/events', 'unmetered', COSTS],
  ['GET', 'fine_tuning/jobs/:id/checkpoints', 'unmetered', COSTS],
  ['POST', 'fine_tuning/jobs/:id/cancel', 'unmetered', COSTS],
  ['POST', 'fine_tuning/jobs/:id/pause', 'unmetered', COSTS],
  ['POST', 'fine_tuning/jobs/:id/resume', 'unmetered', COSTS],
  ['GET', 'fine_tuning/jobs/:id', 'unmetered', COSTS],
  ['GET', 'fine_tuning/jobs', 'unmetered', { ...LISTS, ...COSTS }],
  ['POST', 'fine_tuning/jobs', 'unmetered', { ...MADE, ...READS, ...COSTS }],
  ['GET', 'videos/:id/content', 'unmetered', COSTS],
  ['POST', 'videos/:id/remix', 'unmetered', { ...MADE, ...READS, ...COSTS }],
  ['GET', 'videos/:id', 'unmetered', COSTS],
  ['DELETE', 'videos/:id', 'unmetered', { ...DELETES, ...COSTS }],
  ['GET', 'videos', 'unmetered', { ...LISTS, ...COSTS }],
  ['POST', 'videos', 'unmetered', { ...MADE, upload: true, ...COSTS }],
  ['GET', 'evals/:id/runs/:part/output_items/:part', 'unmetered', COSTS],
  ['GET', 'evals/:id/runs/:part/output_items', 'unmetered', COSTS],
  ['GET POST DELETE', 'evals/:id/runs/:part', 'unmetered', COSTS],
  ['GET', 'evals/:id/runs', 'unmetered', COSTS],
  ['POST', 'evals/:id/runs', 'unmetered', { ...READS, ...COSTS }],
  ['GET POST', 'evals/:id', 'unmetered', { ...READS, ...COSTS }],
  ['DELETE', 'evals/:id', 'unmetered', { ...DELETES, ...COSTS }],
  ['GET', 'evals', 'unmetered', { ...LISTS, ...COSTS }],
  ['POST', 'evals', 'unmetered', { ...MADE, ...READS, ...COSTS }],
]

export const openAIObjects: ObjectMatcher = objectMatcher('openai', [
  ...FILES,
  ...BATCHES,
  ...CONVERSATIONS,
  ...ASSISTANTS,
  ...OTHERS,
])
