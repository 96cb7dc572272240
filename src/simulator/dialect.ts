import type { IncomingMessage } from 'node:http'
import { bedrockErrorBody, bedrockErrorHeaders, isBedrockRequest } from './bedrock-errors.ts'
import { cohereErrorBody, isCoherePath } from './cohere-words.ts'
import { googleErrorBody, isGooglePath, isGoogleRequest } from './google-words.ts'
import { isOllamaPath, ollamaErrorBody } from './ollama-routes.ts'
import { anthropicErrorBody, openaiErrorBody, type ProviderError } from './provider-errors.ts'

/** Whose API a request speaks: how its errors look, and what its answers are marked with. */
export type Dialect = 'openai' | 'anthropic' | 'google' | 'cohere' | 'ollama' | 'bedrock'

interface DialectWords {
  readonly requestIdHeader: string
  /** What a call without a key is told; undefined: it needs none. */
  readonly noKey: string | undefined
  /** `target`: path and query. */
  errorBody(error: ProviderError, requestId: string, target: string): string
  errorHeaders?(error: ProviderError): Readonly<Record<string, string>>
}

export const DIALECTS: Readonly<Record<Dialect, DialectWords>> = {
  openai: { requestIdHeader: 'x-request-id', noKey: 'Incorrect API key provided.', errorBody: openaiErrorBody },
  anthropic: { requestIdHeader: 'request-id', noKey: 'invalid x-api-key', errorBody: anthropicErrorBody },
  google: {
    requestIdHeader: 'x-request-id',
    noKey: 'API key not valid. Please pass a valid API key.',
    errorBody: (error, _requestId, target) => googleErrorBody(error, target),
  },
  cohere: { requestIdHeader: 'x-debug-trace-id', noKey: 'no api key supplied', errorBody: cohereErrorBody },
  ollama: { requestIdHeader: 'x-request-id', noKey: undefined, errorBody: ollamaErrorBody },
  bedrock: {
    requestIdHeader: 'x-amzn-requestid',
    noKey: 'The security token included in the request is invalid.',
    errorBody: bedrockErrorBody,
    errorHeaders: bedrockErrorHeaders,
  },
}

/** `path`: without query. */
export function dialectOf({ headers }: IncomingMessage, path: string): Dialect {
  if (isBedrockRequest(headers, path)) return 'bedrock'
  if (
    headers['anthropic-version'] !== undefined ||
    /\/messages(\/count_tokens)?$|\/messages\/batches(\/|$)|:(streamR|r)awPredict$/.test(path)
  )
    return 'anthropic'
  if (isCoherePath(path)) return 'cohere'
  if (isOllamaPath(path)) return 'ollama'
  return isGoogleRequest(headers) || isGooglePath(path) ? 'google' : 'openai'
}
