/**
 * Our refusals and failures in Cohere's words: `{"id", "message"}`, which its clients hand on as the error's body.
 * Source: recorded answers of 400, 401 and 404; cohere-typescript src/errors/CohereError.ts.
 */
import { type ErrorFacts, tollgateMember } from '../../errors.ts'
import type { ErrorBody } from '../provider.ts'

export function cohereError(error: ErrorFacts): Readonly<Record<string, unknown>> {
  return { id: error.requestId, message: error.message, tollgate: tollgateMember(error) }
}

export function cohereErrorBody(error: ErrorFacts): ErrorBody {
  return { contentType: 'application/json', body: JSON.stringify(cohereError(error)) }
}
