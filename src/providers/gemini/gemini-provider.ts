/** The Gemini API: paths, refusals. */

import { googleErrorBody } from '../generate-content/google-error.ts'
import { GoogleOperations } from '../generate-content/google-operations.ts'
import { readGoogleMethod } from '../generate-content/google-path.ts'
import { pathSegments } from '../path-segments.ts'
import type { Provider } from '../provider.ts'

const operations = new GoogleOperations('gemini')
/** The released version's collections have the names of others' APIs: `/v1/files` is OpenAI's, `/v1/models` everyone's. */
const VERSION = /^v1(alpha|beta)$/
/** Segments of Vertex AI's paths. */
const VERTEX = new Set(['projects', 'publishers', 'endpoints'])

export const geminiProvider: Provider = {
  format: 'gemini',
  match: (method, path) => {
    const segments = pathSegments(path)
    if (segments.some((segment) => VERTEX.has(segment))) return undefined
    const named = method === 'POST' ? readGoogleMethod(path) : undefined
    if (named) return named.publisher === undefined ? operations.method(named) : undefined
    const version = segments.findLastIndex((segment) => VERSION.test(segment))
    return version < 0 ? undefined : operations.resource(method, segments.slice(version + 1))
  },
  errorBody: googleErrorBody,
}
