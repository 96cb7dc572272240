/**
 * Our refusals and failures in Google's words: `error.code` is the HTTP status, `status` the name of a google.rpc.Code,
 * our own code the `reason` of an ErrorInfo.
 * Sources: google.aip.dev/193; googleapis google/rpc/error_details.proto and google/rpc/code.proto; recorded traffic.
 */
import { ERRORS, type ErrorFacts, tollgateMember } from '../../errors.ts'
import type { ErrorBody } from '../provider.ts'
import { asksForArray } from './google-path.ts'

const STATUSES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  402: 'RESOURCE_EXHAUSTED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  413: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

export function googleError(error: ErrorFacts): Readonly<Record<string, unknown>> {
  const { status } = ERRORS[error.code]
  return {
    error: {
      code: status,
      message: error.message,
      status: STATUSES[status] ?? 'UNKNOWN',
      details: errorDetails(error),
      tollgate: tollgateMember(error),
    },
  }
}

/** A call that streams as one JSON array gets its errors in an array too: its readers look at nothing but elements. */
export function googleErrorBody(error: ErrorFacts, target = ''): ErrorBody {
  const json = JSON.stringify(googleError(error))
  return { contentType: 'application/json; charset=UTF-8', body: asksForArray(target) ? `[${json}]` : json }
}

function errorDetails(error: ErrorFacts): readonly unknown[] {
  const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: error.code, domain: 'tollgate' }
  if (error.retryAfterSeconds === undefined) return [info]
  return [info, { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${error.retryAfterSeconds}s` }]
}
