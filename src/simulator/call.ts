import type { IncomingHttpHeaders } from 'node:http'
import type { Controls } from './controls.ts'
import { ProviderError } from './provider-errors.ts'
import type { StoredResponses } from './stored-responses.ts'

/** One call as an endpoint of the simulator sees it. */
export interface Call {
  /** Path and query. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly body: JsonObject
  /** Without its controls. */
  readonly model: string
  readonly controls: Controls
  /** Fixes the text of the answer. */
  readonly seed: number
  /** Fixes the ids; another for each call. */
  readonly idSeed: number
  readonly nowSeconds: number
  readonly stored: StoredResponses
}

/** What goes back: one body, or a stream in steps. */
export type Reply = JsonReply | StreamReply

export interface JsonReply {
  readonly kind: 'json'
  readonly status: number
  readonly body: string | Buffer
  /** Default application/json. */
  readonly contentType?: string
  /** Output tokens that the pace of the answer follows. */
  readonly tokens: number
  /** First text of the answer in the body: `endless` grows it there. */
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * The first step comes at once, then one step for each token (an empty string where a token shows nothing), then the
 * last with everything that ends the answer.
 */
export interface StreamReply {
  readonly kind: 'stream'
  readonly steps: Iterator<string>
  /** Tokens that come between the first step and the last. */
  readonly tokens: number
  readonly errorEvent: string
  readonly failedEvent: string
  /** Default text/event-stream; charset=utf-8. */
  readonly contentType?: string
  /** Each character of a step is a byte. */
  readonly binary?: boolean
  readonly headers?: Readonly<Record<string, string>>
  /** What `malformed` puts between two steps; default an event of a broken object. */
  readonly brokenEvent?: string
}

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function jsonReply(value: unknown, tokens = 0, text = ''): JsonReply {
  return { kind: 'json', status: 200, body: JSON.stringify(value), tokens, text }
}

/** Audio, or a plain text. */
export function otherReply(body: string | Buffer, contentType: string, tokens = 0): JsonReply {
  return { kind: 'json', status: 200, body, contentType, tokens, text: '' }
}

/** A whole number of the body that must be above zero where it is given. Throws ProviderError. */
export function positiveInteger(body: JsonObject, name: string): number | undefined {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value
  throw new ProviderError(400, `Invalid value for '${name}': must be a whole number above 0.`, 'invalid_value', name)
}

/** The text of a message's content: a string, or parts with `text`. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  let text = ''
  for (const part of content) if (isObject(part) && typeof part['text'] === 'string') text += part['text']
  return text
}

/** The last message, where there is one. */
export function lastMessage(messages: unknown): JsonObject | undefined {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined
  return isObject(last) ? last : undefined
}

/** One line of a stream in NDJSON. */
export function jsonLine(value: JsonObject): string {
  return `${JSON.stringify(value)}\n`
}
