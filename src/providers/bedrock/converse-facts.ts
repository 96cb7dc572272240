import type { AnswerFacts, AnswerHeaders, CallRequest } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { optimized, requestId } from './answer-headers.ts'
import { converseCounts, mergeCounts } from './token-counts.ts'

/** What a whole answer of Converse says, or a stream's `metadata`. */
export function converseFacts(
  members: Readonly<Record<string, unknown>>,
  call: CallRequest,
  headers: AnswerHeaders,
): AnswerFacts {
  const { usage } = members
  const counts = converseCounts(usage)
  const rules = { forAnHour: call.input.cacheWriteKind === 'cache_write_1h', generates: true }
  const merged = counts && mergeCounts([{ counts, raw: asObject(usage) ?? {} }], rules)
  const router = asObject(members['trace.promptRouter']) ?? asObject(asObject(members['trace'])?.['promptRouter'])
  return {
    usage: merged,
    model: asText(router?.['invokedModelId']) ?? call.model,
    providerId: requestId(headers),
    serviceTier:
      asText(asObject(members['serviceTier'])?.['type']) ??
      optimized(asObject(members['performanceConfig'])?.['latency']),
    storedId: undefined,
  }
}
