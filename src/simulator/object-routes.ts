/** Objects that the provider keeps: files, batches, conversations. */
import {
  cancelMessageBatch,
  createMessageBatch,
  deleteMessageBatch,
  getMessageBatch,
  listMessageBatches,
  messageBatchResults,
} from './anthropic-batches.ts'
import type { Call, JsonReply } from './call.ts'
import type { Dialect } from './dialect.ts'
import { cancelMistralJob, createMistralJob, getMistralJob, listMistralJobs } from './mistral-batches.ts'
import { cancelBatch, createBatch, getBatch, listBatches } from './openai-batches.ts'
import {
  addItems,
  createConversation,
  deleteConversation,
  getConversation,
  listItems,
  updateConversation,
} from './openai-conversations.ts'
import { deleteFile, fileContent, getFile, listFiles, uploadFile } from './openai-files.ts'
import type { Route } from './routes.ts'
import { addXaiRequests, cancelXaiBatch, xaiResults } from './xai-batches.ts'

type Act = (call: Call, id: string) => JsonReply

/** `POST /files/:/content`: `:` is the object's id. */
const ROUTES: readonly (readonly [method: string, pattern: string, format: Dialect, act: Act])[] = [
  ['POST', '/messages/batches', 'anthropic', createMessageBatch],
  ['GET', '/messages/batches', 'anthropic', listMessageBatches],
  ['GET', '/messages/batches/:', 'anthropic', getMessageBatch],
  ['DELETE', '/messages/batches/:', 'anthropic', deleteMessageBatch],
  ['POST', '/messages/batches/:/cancel', 'anthropic', cancelMessageBatch],
  ['GET', '/messages/batches/:/results', 'anthropic', messageBatchResults],
  ['POST', '/batches', 'openai', createBatch],
  ['GET', '/batches', 'openai', listBatches],
  ['GET', '/batches/:', 'openai', getBatch],
  ['POST', '/batches/:/cancel', 'openai', cancelBatch],
  ['POST', '/batches/:/requests', 'openai', addXaiRequests],
  ['GET', '/batches/:/results', 'openai', xaiResults],
  ['POST', '/batches/::cancel', 'openai', cancelXaiBatch],
  ['POST', '/batch/jobs', 'openai', createMistralJob],
  ['GET', '/batch/jobs', 'openai', listMistralJobs],
  ['GET', '/batch/jobs/:', 'openai', getMistralJob],
  ['POST', '/batch/jobs/:/cancel', 'openai', cancelMistralJob],
  ['POST', '/files', 'openai', uploadFile],
  ['GET', '/files', 'openai', listFiles],
  ['GET', '/files/:', 'openai', getFile],
  ['DELETE', '/files/:', 'openai', deleteFile],
  ['GET', '/files/:/content', 'openai', fileContent],
  ['POST', '/conversations', 'openai', createConversation],
  ['GET', '/conversations/:', 'openai', getConversation],
  ['POST', '/conversations/:', 'openai', updateConversation],
  ['DELETE', '/conversations/:', 'openai', deleteConversation],
  ['POST', '/conversations/:/items', 'openai', addItems],
  ['GET', '/conversations/:/items', 'openai', listItems],
]

const COMPILED = ROUTES.map(
  ([method, pattern, format, act]) => [method, new RegExp(`${pattern.replace(':', '([^/]+)')}$`), format, act] as const,
)

export function objectRoute(method: string, path: string): Route | undefined {
  for (const [wanted, pattern, format, act] of COMPILED) {
    const found = wanted === method ? pattern.exec(path) : null
    if (found !== null) return { format, generates: false, answer: (call) => act(call, found[1] ?? '') }
  }
  return undefined
}
