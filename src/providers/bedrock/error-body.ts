/**
 * Our refusals and failures in Bedrock's words: the SDKs make a typed error of the name in `x-amzn-errortype` and take
 * `message` from the body. None of the names that a 4xx has here is retried by them but ThrottlingException.
 * Source: smithy-typescript, service-error-classification constants; botocore data/_retry.json.
 */
import { type ErrorCode, type ErrorFacts, tollgateMember } from '../../errors.ts'
import { exceptionFrame } from '../event-frame.ts'
import type { ErrorBody } from '../provider.ts'

const NAMES: Readonly<Record<ErrorCode, string>> = {
  invalid_request: 'ValidationException',
  invalid_key: 'AccessDeniedException',
  account_suspended: 'AccessDeniedException',
  stopped: 'AccessDeniedException',
  not_entitled: 'AccessDeniedException',
  endpoint_not_metered: 'AccessDeniedException',
  model_unpriced: 'AccessDeniedException',
  not_found: 'ResourceNotFoundException',
  call_too_expensive: 'ServiceQuotaExceededException',
  unit_mismatch: 'ServiceQuotaExceededException',
  insufficient_funds: 'ServiceQuotaExceededException',
  budget_exceeded: 'ServiceQuotaExceededException',
  held_by_open_calls: 'ThrottlingException',
  rate_limited: 'ThrottlingException',
  too_many_concurrent: 'ThrottlingException',
  body_too_large: 'ValidationException',
  upload_timeout: 'ModelTimeoutException',
  wallet_unavailable: 'ServiceUnavailableException',
  overloaded: 'ServiceUnavailableException',
  upstream_unreachable: 'InternalServerException',
  upstream_timeout: 'ModelTimeoutException',
  internal: 'InternalServerException',
}

/** Exceptions that a stream may have inside; any other one is told as the last of them. */
const IN_STREAM: Readonly<Record<string, string>> = {
  ThrottlingException: 'throttlingException',
  ServiceUnavailableException: 'serviceUnavailableException',
  InternalServerException: 'internalServerException',
  ModelTimeoutException: 'modelStreamErrorException',
  ValidationException: 'validationException',
}

export function bedrockErrorBody(error: ErrorFacts): ErrorBody {
  return {
    contentType: 'application/json',
    body: JSON.stringify(members(error)),
    headers: [['x-amzn-errortype', NAMES[error.code]]],
  }
}

export function bedrockExceptionFrame(error: ErrorFacts): Buffer {
  return exceptionFrame(IN_STREAM[NAMES[error.code]] ?? 'validationException', members(error))
}

function members(error: ErrorFacts): Readonly<Record<string, unknown>> {
  return { message: error.message, tollgate: tollgateMember(error) }
}
