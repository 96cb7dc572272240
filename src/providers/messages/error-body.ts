/** Our refusals and failures in Anthropic's words. */
import { type ErrorFacts, formatErrorType, tollgateMember } from '../../errors.ts'

/** Source: anthropic-sdk-typescript src/resources/shared.ts, ErrorResponse. */
export function anthropicError(error: ErrorFacts): Readonly<Record<string, unknown>> {
  return {
    type: 'error',
    error: { type: formatErrorType(error.code, 'anthropic'), message: error.message, tollgate: tollgateMember(error) },
    request_id: error.requestId,
  }
}
