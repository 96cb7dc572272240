/** Our refusals and failures in OpenAI's words. Source: openai-node src/core/error.ts, APIError.generate. */
import { type ErrorFacts, formatErrorType, tollgateMember } from '../../errors.ts'
import type { ErrorBody } from '../provider.ts'
import { dataEvent } from '../sse-event.ts'

/** The `error` member of a body or an event; the SDKs read message, type, param, code. */
export function openAIError(error: ErrorFacts): Readonly<Record<string, unknown>> {
  return {
    message: error.message,
    type: formatErrorType(error.code, 'openai'),
    param: error.param,
    code: error.code,
    tollgate: tollgateMember(error),
  }
}

export function openAIErrorBody(error: ErrorFacts): ErrorBody {
  return { contentType: 'application/json', body: JSON.stringify({ error: openAIError(error) }) }
}

/** An event after which nothing follows: no `[DONE]`, so that no client takes the answer for complete. */
export function completionErrorEvent(error: ErrorFacts): Buffer {
  return Buffer.from(dataEvent({ error: openAIError(error) }))
}
