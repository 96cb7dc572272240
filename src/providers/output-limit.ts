/** Writes an output limit into a body, whichever parameters the format has for it. */
import type { JsonBody, MemberSpan } from './json-body.ts'
import { readWholeNumber } from './read-fields.ts'
import type { Edit } from './splice.ts'

/** A limit parameter that stands in the body; `tokens` undefined: it is null, or asks for as much as there is. */
export interface NamedLimit {
  readonly name: string
  readonly tokens: number | undefined
  readonly span: MemberSpan
  readonly endless?: true
}

/** llama.cpp's own parameter wins over the others there, and -1 and -2 are as much as there is to it. */
const ENDLESS_NAME = 'n_predict'

/** Those of `names` that the body has. Throws InvalidCall where one is no whole number of at least `least`. */
export function readLimits(body: JsonBody, names: readonly string[], least: number): NamedLimit[] {
  const limits: NamedLimit[] = []
  for (const name of names) {
    const span = body.members.get(name)
    if (!span) continue
    const value = body.value[name]
    if (name === ENDLESS_NAME && (value === -1 || value === -2))
      limits.push({ name, tokens: undefined, span, endless: true })
    else limits.push({ name, tokens: readWholeNumber(body.value, name, least), span })
  }
  return limits
}

/** The caller's own limit: the higher one where two differ; undefined where none is named, or one is endless. */
export function highestLimit(limits: readonly NamedLimit[]): number | undefined {
  if (limits.some((limit) => limit.endless)) return undefined
  return limits.reduce<number | undefined>(
    (highest, limit) => (limit.tokens === undefined ? highest : Math.max(highest ?? 0, limit.tokens)),
    undefined,
  )
}

/**
 * Edits that write `tokens`: into each parameter of the caller's that is higher (a lower one stays) or endless, else as a
 * member `name` of its own. A null counts as not named and is replaced.
 */
export function limitEdits(limits: readonly NamedLimit[], insertAt: number, name: string, tokens: number): Edit[] {
  const named = limits.filter((limit) => limit.tokens !== undefined || limit.endless)
  if (named.length > 0)
    return named
      .filter((limit) => limit.endless || (limit.tokens ?? 0) > tokens)
      .map((limit) => replacement(limit, tokens))
  const empty = limits.find((limit) => limit.name === name)
  if (empty) return [replacement(empty, tokens)]
  return [{ from: insertAt, to: insertAt, text: `${JSON.stringify(name)}:${tokens},` }]
}

function replacement(limit: NamedLimit, tokens: number): Edit {
  return { from: limit.span.valueStart, to: limit.span.valueEnd, text: String(tokens) }
}
