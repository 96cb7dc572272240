/** An output limit that stands inside another member of the body: `options.num_predict`, `parameters.max_new_tokens`. */
import { type JsonBody, type MemberSpan, readMembers } from './json-body.ts'
import { InvalidCall } from './provider.ts'
import { asObject, readWholeNumber } from './read-fields.ts'
import type { Edit } from './splice.ts'

export interface NestedLimit {
  readonly outer: string
  readonly name: string
  readonly insertAt: number
  /** Of the value of the outer member; undefined where the body has none. */
  readonly span: MemberSpan | undefined
  /** What stands there: nothing or null, an object without members, or one with some. */
  readonly holds: 'nothing' | 'empty' | 'members'
  /** Of the limit itself, where it is given. */
  readonly limit: MemberSpan | undefined
  /** undefined: none given, or one that sets no limit. */
  readonly tokens: number | undefined
}

/** Throws InvalidCall where either member is not what it must be. Below `least` only negative numbers pass, as no limit. */
export function readNestedLimit(
  raw: Buffer,
  body: JsonBody,
  place: { readonly outer: string; readonly name: string; readonly negative: 'unlimited' | 'refused' },
  jsonDepth: number,
): NestedLimit {
  const { outer, name } = place
  const span = body.members.get(outer)
  const value = body.value[outer]
  const fields = asObject(value)
  if (!fields) {
    if (value !== undefined && value !== null)
      throw new InvalidCall(`"${outer}" must be an object or null; leave it out for no settings of your own.`, outer)
    return { ...place, insertAt: body.insertAt, span, holds: 'nothing', limit: undefined, tokens: undefined }
  }
  const inner = span ? readMembers(raw, span.valueStart, jsonDepth, `${outer}.`) : new Map<string, MemberSpan>()
  return {
    outer,
    name,
    insertAt: body.insertAt,
    span,
    holds: inner.size === 0 ? 'empty' : 'members',
    limit: inner.get(name),
    tokens: readTokens(fields, name, place.negative),
  }
}

function readTokens(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  negative: 'unlimited' | 'refused',
): number | undefined {
  const value = fields[name]
  const below = negative === 'unlimited' && typeof value === 'number' && Number.isSafeInteger(value) && value <= 0
  return below ? undefined : readWholeNumber(fields, name, 1)
}

/** Writes `tokens` where the caller's own limit is higher or none; a lower one stays. */
export function nestedLimitEdits(nested: NestedLimit, tokens: number): Edit[] {
  const { outer, name, insertAt, span, holds, limit } = nested
  if (nested.tokens !== undefined && nested.tokens <= tokens) return []
  if (limit) return [{ from: limit.valueStart, to: limit.valueEnd, text: String(tokens) }]
  const member = `${JSON.stringify(name)}:${tokens}`
  if (!span) return [{ from: insertAt, to: insertAt, text: `${JSON.stringify(outer)}:{${member}},` }]
  if (holds === 'nothing') return [{ from: span.valueStart, to: span.valueEnd, text: `{${member}}` }]
  const at = span.valueStart + 1
  return [{ from: at, to: at, text: holds === 'empty' ? member : `${member},` }]
}
