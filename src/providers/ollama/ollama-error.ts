/** Our refusals and failures in Ollama's words: a text under `error`. Source: docs.ollama.com, "Errors". */
import { type ErrorFacts, tollgateMember } from '../../errors.ts'
import type { ErrorBody } from '../provider.ts'

export function ollamaError(error: ErrorFacts): Readonly<Record<string, unknown>> {
  return { error: error.message, tollgate: tollgateMember(error) }
}

export function ollamaErrorBody(error: ErrorFacts): ErrorBody {
  return { contentType: 'application/json', body: JSON.stringify(ollamaError(error)) }
}
