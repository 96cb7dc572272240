/** Vertex AI: Google's models, tuned ones behind endpoints, and Anthropic's as their own API has them. */

import { googleErrorBody } from '../generate-content/google-error.ts'
import { GoogleOperations, of } from '../generate-content/google-operations.ts'
import { type GoogleMethod, readGoogleMethod } from '../generate-content/google-path.ts'
import { interactionJobReader } from '../generate-content/interaction-job.ts'
import { pathSegments } from '../path-segments.ts'
import type { OperationMatch, Provider } from '../provider.ts'
import { rawPredictMetering } from './raw-predict.ts'

const operations = new GoogleOperations('vertex')
const messages = operations.metered('messages', rawPredictMetering)
const countTokens = operations.free('count_tokens')
const RAW = new Set(['rawpredict', 'streamrawpredict'])
/** Counting is a model of its own to this API. Source: @anthropic-ai/vertex-sdk src/client.ts, buildRequest. */
const COUNTING_MODEL = 'count-tokens'

export const vertexProvider: Provider = {
  format: 'vertex',
  match: (method, path) => {
    const segments = pathSegments(path)
    const named = method === 'POST' ? readGoogleMethod(path) : undefined
    if (named) return isVertexPath(segments) ? matchMethod(named) : undefined
    return operations.resource(method, behindParents(segments))
  },
  jobs: [interactionJobReader],
  errorBody: googleErrorBody,
}

/** `/v1beta/models/M:…` is the Gemini API's; a path without a version stands behind a base URL that says the rest. */
function isVertexPath(segments: readonly string[]): boolean {
  return segments.includes('publishers') || segments.includes('endpoints') || segments.length === 3
}

/** What follows `projects/P/locations/L`, `publishers/NAME`, or both. */
function behindParents(segments: readonly string[]): readonly string[] {
  const parent = Math.max(segments.lastIndexOf('locations'), segments.lastIndexOf('publishers'))
  return parent < 0 ? [] : segments.slice(parent + 2)
}

function matchMethod(named: GoogleMethod): OperationMatch | undefined {
  if (!RAW.has(named.method)) return operations.method(named)
  if (named.publisher !== 'anthropic') return undefined
  return of(named.model === COUNTING_MODEL ? countTokens : messages)
}
