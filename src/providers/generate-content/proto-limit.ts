/**
 * Writes an output limit into a request whose limit stands in a nested object: `generationConfig.maxOutputTokens`, made
 * with its object where there is none.
 */
import type { MemberSpan } from '../json-body.ts'
import type { CallRequest } from '../provider.ts'
import { readWholeNumber } from '../read-fields.ts'
import { splice } from '../splice.ts'
import type { ProtoObject } from './proto-json.ts'

/** `CallRequest.parsed` of these formats: small, since it lives as long as the call. */
export interface ProtoParsed {
  /** Bytes that are replaced by `before` + the limit + `after`; equal for an insertion. */
  readonly from: number
  readonly to: number
  readonly before: string
  readonly after: string
  /** The caller's own limit; undefined where none is named. */
  readonly limit: number | undefined
}

/** Names of the object and of the limit in it, as the API itself spells them. */
export interface LimitNames {
  readonly object: string
  readonly limit: string
}

/**
 * Where and how a limit would be written. `config` is the nested object, whose limit is known as `maxOutputTokens`;
 * `span` is its own place in the body. Throws InvalidCall where the caller's limit is no whole number above 0.
 */
export function readProtoLimit(
  body: ProtoObject,
  config: ProtoObject | undefined,
  span: MemberSpan | undefined,
  names: LimitNames,
): ProtoParsed {
  const member = `${JSON.stringify(names.limit)}:`
  const object = `${JSON.stringify(names.object)}:{${member}`
  if (!config) {
    if (span) return { from: span.valueStart, to: span.valueEnd, before: `{${member}`, after: '}', limit: undefined }
    return insertion(body, object, '}')
  }
  const own = config.members.get('maxOutputTokens')
  if (!own) return insertion(config, member, '')
  const limit = readWholeNumber(config.value, 'maxOutputTokens', 1)
  return { from: own.valueStart, to: own.valueEnd, before: '', after: '', limit }
}

/** The body with the limit, unless the caller's own is as low. */
export function writeProtoLimit(raw: Buffer, call: CallRequest, outputLimit: number | undefined): Buffer {
  const { from, to, before, after, limit } = call.parsed as ProtoParsed
  if (outputLimit === undefined || (limit !== undefined && limit <= outputLimit)) return raw
  return splice(raw, [{ from, to, text: `${before}${outputLimit}${after}` }])
}

function insertion(object: ProtoObject, before: string, after: string): ProtoParsed {
  const at = object.insertAt
  return { from: at, to: at, before, after: object.isEmpty ? after : `${after},`, limit: undefined }
}
