/** The Anthropic API: paths, refusals. */

import { anthropicError } from '../messages/error-body.ts'
import { messagesMetering } from '../messages/messages.ts'
import { pathSegments } from '../path-segments.ts'
import type { Operation, OperationMatch, Provider } from '../provider.ts'
import { batchAnswer, messageBatches, messageBatchReader } from './batch.ts'
import { completeMetering } from './complete.ts'
import { anthropicObjects } from './object-paths.ts'

const messages: Operation = { format: 'anthropic', endpoint: 'messages', kind: 'metered', metering: messagesMetering }
const complete: Operation = {
  format: 'anthropic',
  endpoint: 'completions',
  kind: 'metered',
  metering: completeMetering,
}
const batches: Operation = {
  format: 'anthropic',
  endpoint: 'batches',
  kind: 'metered',
  metering: batchAnswer,
  batch: messageBatches,
}
const countTokens: Operation = { format: 'anthropic', endpoint: 'count_tokens', kind: 'free' }

export const anthropicProvider: Provider = {
  format: 'anthropic',
  match: (method, path) => {
    const segments = pathSegments(path)
    return (method === 'POST' ? matchCall(segments) : undefined) ?? anthropicObjects(method, segments)
  },
  jobs: [messageBatchReader],
  errorBody: (error) => ({ contentType: 'application/json', body: JSON.stringify(anthropicError(error)) }),
}

function matchCall(segments: readonly string[]): OperationMatch | undefined {
  const last = segments.at(-1)
  if (last === 'batches' && segments.at(-2) === 'messages') return { operation: batches, objectId: undefined }
  // OpenAI's assistants have messages too: …/threads/:id/messages.
  if (last === 'messages' && segments.at(-3) !== 'threads') return { operation: messages, objectId: undefined }
  if (last === 'count_tokens' && segments.at(-2) === 'messages') return { operation: countTokens, objectId: undefined }
  return last === 'complete' && segments.at(-2) === 'v1' ? { operation: complete, objectId: undefined } : undefined
}
