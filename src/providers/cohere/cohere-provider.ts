/** The Cohere API, v1 and v2: paths, refusals. Source: docs.cohere.com/reference. */
import type { Endpoint } from '../../config/snapshot.ts'
import { pathSegments } from '../path-segments.ts'
import type { Metering, Operation, Provider } from '../provider.ts'
import { chatV1Metering } from './chat-v1.ts'
import { chatV2Metering } from './chat-v2.ts'
import { classifyMetering } from './classify.ts'
import { cohereErrorBody } from './cohere-error.ts'
import { embedMetering } from './embed.ts'
import { generateMetering } from './generate.ts'
import { rerankMetering } from './rerank.ts'
import { transcriptionsMetering } from './transcriptions.ts'

const embed = metered('embeddings', embedMetering)
const rerank = metered('rerank', rerankMetering)
const transcriptions = metered('transcriptions', transcriptionsMetering)
const countTokens = free('count_tokens')

/** By the last two segments. */
const CALLS = new Map<string, Operation>([
  ['v1/chat', metered('chat', chatV1Metering)],
  ['v2/chat', metered('chat', chatV2Metering)],
  ['v1/generate', metered('generate', generateMetering)],
  ['v1/embed', embed],
  ['v2/embed', embed],
  ['v1/rerank', rerank],
  ['v2/rerank', rerank],
  ['v1/classify', metered('embeddings', classifyMetering)],
  ['v1/tokenize', countTokens],
  ['v1/detokenize', countTokens],
])

export const cohereProvider: Provider = {
  format: 'cohere',
  match: (method, path) => {
    if (method !== 'POST') return undefined
    const ends = pathSegments(path).slice(-3).join('/')
    const operation = ends === 'v2/audio/transcriptions' ? transcriptions : CALLS.get(ends.slice(ends.indexOf('/') + 1))
    return operation && { operation, objectId: undefined }
  },
  errorBody: cohereErrorBody,
}

function metered(endpoint: Endpoint, metering: Metering): Operation {
  return { format: 'cohere', endpoint, kind: 'metered', metering }
}

function free(endpoint: Endpoint): Operation {
  return { format: 'cohere', endpoint, kind: 'free' }
}
