/** The one place that writes a refusal: status, headers, and a body in the caller's own API's shape. */
import type { ServerResponse } from 'node:http'
import { ERRORS, type ErrorFacts } from '../errors.ts'
import type { Provider } from '../providers/provider.ts'
import { endEarly } from './end-early.ts'

/** Writes and ends the answer. `extra`: further headers of ours, [name, value, …]. Does nothing once headers have gone. */
export function writeError(
  response: ServerResponse,
  provider: Provider,
  error: ErrorFacts,
  extra: readonly string[] = [],
): void {
  if (response.headersSent || response.destroyed) return
  const { contentType, body, headers: own } = provider.errorBody(error, response.req.url ?? '')
  const row = ERRORS[error.code]
  const headers = [
    'content-type',
    contentType,
    'content-length',
    String(Buffer.byteLength(body)),
    'x-tollgate-error',
    error.code,
    'x-tollgate-request-id',
    error.requestId,
    ...extra,
  ]
  for (const [name, value] of own ?? []) headers.push(name, value)
  if (error.retryAfterSeconds !== undefined) headers.push('retry-after', String(error.retryAfterSeconds))
  if (!row.retry || (error.retryAfterSeconds ?? 0) > 60) headers.push('x-should-retry', 'false')
  const uploading = !response.req.complete
  if (uploading) headers.push('connection', 'close')
  response.writeHead(row.status, headers)
  if (uploading) endEarly(response.req, response, body)
  else response.end(body)
}
