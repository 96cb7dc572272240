/** The Gemini API: paths, refusals. */
import type { IncomingHttpHeaders } from 'node:http'

import { googleBatchReader, readGoogleLine } from '../generate-content/batch.ts'
import { googleErrorBody } from '../generate-content/google-error.ts'
import { GoogleOperations } from '../generate-content/google-operations.ts'
import { readGoogleMethod } from '../generate-content/google-path.ts'
import { interactionJobReader } from '../generate-content/interaction-job.ts'
import { googleUploadStep } from '../generate-content/upload-step.ts'
import { pathSegments } from '../path-segments.ts'
import type { Provider } from '../provider.ts'

const operations = new GoogleOperations('gemini')
const VERSION = /^v1(alpha|beta)?$/
/** Collections that no other API has: under `/v1` stand OpenAI's files and batches too, and everyone's models. */
const OWN = new Set(['interactions', 'cachedContents', 'tunedModels'])
/** Segments of Vertex AI's paths. */
const VERTEX = new Set(['projects', 'publishers', 'endpoints'])

const SIGNS = ['x-goog-api-key', 'x-goog-api-client', 'x-goog-upload-command']

export const geminiProvider: Provider = {
  format: 'gemini',
  match: (method, path, headers = {}) => {
    const segments = pathSegments(path)
    if (segments.some((segment) => VERTEX.has(segment))) return undefined
    const named = method === 'POST' ? readGoogleMethod(path) : undefined
    if (named) return named.publisher === undefined ? operations.method(named) : undefined
    const version = segments.findLastIndex((segment) => VERSION.test(segment))
    if (version < 0) return undefined
    const resource = segments.slice(version + 1)
    const shared = segments[version] === 'v1' && !OWN.has(resource[0] ?? '')
    return shared && !isGoogles(headers) ? undefined : operations.resource(method, resource)
  },
  tellingHeaders: SIGNS,
  jobs: [interactionJobReader, googleBatchReader],
  readBatchLine: readGoogleLine,
  readUploadStep: googleUploadStep,
  errorBody: googleErrorBody,
}

/** A caller that says so: the client's key, its name, or its way to upload. */
function isGoogles(headers: IncomingHttpHeaders): boolean {
  return SIGNS.some((name) => headers[name] !== undefined)
}
