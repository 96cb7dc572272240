/** Writes an output limit into a body, whichever parameters the format has for it. */
import type { JsonBody, MemberSpan } from './json-body.ts'
import { readWholeNumber } from './read-fields.ts'
import type { Edit } from './splice.ts'

/** A limit parameter that stands in the body; `tokens` undefined: it is null. */
export interface NamedLimit {
  readonly name: string
  readonly tokens: number | undefined
  readonly span: MemberSpan
}

/** Those of `names` that the body has. Throws InvalidCall where one is no whole number of at least `least`. */
export function readLimits(body: JsonBody, names: readonly string[], least: number): NamedLimit[] {
  const limits: NamedLimit[] = []
  for (const name of names) {
    const span = body.members.get(name)
    if (span) limits.push({ name, tokens: readWholeNumber(body.value, name, least), span })
  }
  return limits
}

/** The caller's own limit: the higher one where two differ; undefined where none is named. */
export function highestLimit(limits: readonly NamedLimit[]): number | undefined {
  return limits.reduce<number | undefined>(
    (highest, limit) => (limit.tokens === undefined ? highest : Math.max(highest ?? 0, limit.tokens)),
    undefined,
  )
}

/**
 * Edits that write `tokens`: into each parameter of the caller's that is higher (a lower one stays), else as a member
 * `name` of its own. A null counts as not named and is replaced.
 */
export function limitEdits(limits: readonly NamedLimit[], insertAt: number, name: string, tokens: number): Edit[] {
  const named = limits.filter((limit) => limit.tokens !== undefined)
  if (named.length > 0)
    return named.filter((limit) => (limit.tokens ?? 0) > tokens).map((limit) => replacement(limit, tokens))
  const empty = limits.find((limit) => limit.name === name)
  if (empty) return [replacement(empty, tokens)]
  return [{ from: insertAt, to: insertAt, text: `${JSON.stringify(name)}:${tokens},` }]
}

function replacement(limit: NamedLimit, tokens: number): Edit {
  return { from: limit.span.valueStart, to: limit.span.valueEnd, text: String(tokens) }
}
