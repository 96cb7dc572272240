import type { IncomingHttpHeaders } from 'node:http'
import { isObject, type JsonObject } from './call.ts'
import type { ProviderError } from './provider-errors.ts'

const STATUSES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

export function isGoogleRequest(headers: IncomingHttpHeaders): boolean {
  return headers['x-goog-api-key'] !== undefined || headers['x-goog-api-client'] !== undefined
}

export function isGooglePath(path: string): boolean {
  return /\/v1(alpha|beta\d*)\/|\/projects\/|\/publishers\/|\/models\/[^/]+:[A-Za-z]+$/.test(path)
}

export function googleError(error: ProviderError): JsonObject {
  const { status, message } = error
  return { error: { code: status, message, status: STATUSES[status] ?? 'UNKNOWN' } }
}

/** In an array where the call would have been answered by one. */
export function googleErrorBody(error: ProviderError, target: string): string {
  const body = JSON.stringify(googleError(error), null, 2)
  return asksForArray(target) ? `[${body}\n]` : `${body}\n`
}

/** Whether a call streams as one JSON array. `target`: path and query. */
export function asksForArray(target: string): boolean {
  return target.includes(':streamGenerateContent') && !/[?&]alt=sse(&|$)/.test(target)
}

/** A member under either of its names: `generationConfig`, `generation_config`. */
export function either(body: JsonObject, camel: string): unknown {
  return body[camel] ?? body[camel.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]
}

export function eitherObject(body: JsonObject, camel: string): JsonObject {
  const value = either(body, camel)
  return isObject(value) ? value : {}
}

/** Text of the last content of a request. */
export function lastContentText(body: JsonObject): string {
  const contents = body['contents']
  const last: unknown = Array.isArray(contents) ? contents.at(-1) : undefined
  return isObject(last) ? partsText(last['parts']) : ''
}

function partsText(parts: unknown): string {
  if (!Array.isArray(parts)) return ''
  return parts.map((part) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('')
}
