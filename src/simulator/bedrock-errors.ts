import type { IncomingHttpHeaders } from 'node:http'
import type { ProviderError } from './provider-errors.ts'

const NAMES: Readonly<Record<number, string>> = {
  400: 'ValidationException',
  401: 'UnrecognizedClientException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  408: 'ModelTimeoutException',
  424: 'ModelErrorException',
  429: 'ThrottlingException',
  500: 'InternalServerException',
  503: 'ServiceUnavailableException',
}

export function isBedrockRequest(headers: IncomingHttpHeaders, path: string): boolean {
  return headers['amz-sdk-request'] !== undefined || /\/(model|guardrail)\/.+\/[a-z-]+$/.test(path)
}

export function bedrockErrorBody(error: ProviderError): string {
  return JSON.stringify({ message: error.message })
}

/** Behind the name the real one has an address of Amazon's own. */
export function bedrockErrorHeaders(error: ProviderError): Readonly<Record<string, string>> {
  const name = NAMES[error.status] ?? 'InternalServerException'
  return { 'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/` }
}
