/** An answer of the simulated provider that is an error, in the words of its API. */
export class ProviderError extends Error {
  readonly status: number
  readonly code: string | null
  readonly param: string | null
  constructor(status: number, message: string, code: string | null = null, param: string | null = null) {
    super(message)
    this.status = status
    this.code = code
    this.param = param
  }
}

const OPENAI_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'invalid_request_error',
  403: 'invalid_request_error',
  404: 'invalid_request_error',
  429: 'requests',
}

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

const MESSAGES: Readonly<Record<number, string>> = {
  400: 'The request could not be understood.',
  401: 'Incorrect API key provided.',
  403: 'This key may not use that.',
  404: 'Not found.',
  413: 'Request exceeds the maximum size',
  429: 'Rate limit reached. Please try again later.',
  529: 'Overloaded',
}

const SERVER_MESSAGE = 'The server had an error while processing your request. Sorry about that!'

/** The error that `fault=error_before,status=N` asks for. */
export function simulatedError(status: number): ProviderError {
  const code = status === 401 ? 'invalid_api_key' : status === 429 ? 'rate_limit_exceeded' : null
  return new ProviderError(status, MESSAGES[status] ?? SERVER_MESSAGE, code)
}

/** `{"error":{message,type,param,code}}` */
export function openaiErrorBody(error: ProviderError): string {
  const { message, status, param, code } = error
  return JSON.stringify({ error: { message, type: OPENAI_TYPES[status] ?? 'server_error', param, code } })
}

/** `{"type":"error","error":{type,message},"request_id"}` */
export function anthropicErrorBody(error: ProviderError, requestId: string): string {
  const type = ANTHROPIC_TYPES[error.status] ?? 'api_error'
  return JSON.stringify({ type: 'error', error: { type, message: error.message }, request_id: requestId })
}

export const MID_STREAM_ERROR = new ProviderError(500, SERVER_MESSAGE, 'server_error')
