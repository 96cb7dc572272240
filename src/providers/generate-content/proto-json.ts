/**
 * Members of Google's requests, which may be written in either spelling of protocol buffers' JSON: `maxOutputTokens` or
 * `max_output_tokens`. Both at once are refused: which of them the server takes is its own affair.
 * Source: protobuf.dev/programming-guides/json, "Field names".
 */

import { foldCase } from '../fold-case.ts'
import { type MemberSpan, readMembers } from '../json-body.ts'
import { InvalidCall } from '../provider.ts'
import { asObject } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

/** An object of the body with its members by their camelCase names, whichever spelling the body has. */
export interface ProtoObject {
  readonly value: Fields
  readonly members: ReadonlyMap<string, MemberSpan>
  /** Just behind the opening brace. */
  readonly insertAt: number
  readonly isEmpty: boolean
}

/** Names that decisions hang on, by what they fold to. */
export class DecisiveNames {
  readonly #byFold = new Map<string, string>()

  /** camelCase each. */
  constructor(names: readonly string[]) {
    for (const name of names) this.#byFold.set(fold(name), name)
  }

  /**
   * The decisive members of an object under their camelCase names. `path` names the object in errors: "" or
   * "generationConfig.". Throws InvalidCall for one that is given in two spellings, or in one that is none.
   */
  read(value: Fields, spans: ReadonlyMap<string, MemberSpan>, insertAt: number, path: string): ProtoObject {
    const members = new Map<string, MemberSpan>()
    const found: Record<string, unknown> = {}
    for (const [name, span] of spans) {
      const camel = this.#byFold.get(fold(name))
      if (camel === undefined) continue
      if (name !== camel && name !== snakeCase(camel))
        throw new InvalidCall(`"${path}${name}" is not a field; did you mean "${camel}"?`, path + camel)
      if (members.has(camel))
        throw new InvalidCall(
          `"${path}${camel}" is given twice, as "${camel}" and as "${snakeCase(camel)}"; send it once.`,
          path + camel,
        )
      members.set(camel, span)
      found[camel] = value[name]
    }
    return { value: found, members, insertAt, isEmpty: spans.size === 0 }
  }
}

/**
 * The object that stands under a decisive member of `parent`; undefined where there is none or null. Throws InvalidCall
 * where it is anything else.
 */
export function readNested(
  body: Buffer,
  parent: ProtoObject,
  name: string,
  names: DecisiveNames,
  jsonDepth: number,
  path = '',
): ProtoObject | undefined {
  const value = parent.value[name]
  if (value === undefined || value === null) return undefined
  const fields = asObject(value)
  if (!fields) throw new InvalidCall(`"${path}${name}" must be an object; leave it out for no values.`, path + name)
  const open = (parent.members.get(name) as MemberSpan).valueStart
  return names.read(fields, readMembers(body, open, jsonDepth, `${path}${name}.`), open + 1, `${path}${name}.`)
}

/** A member of an object that no decision hangs on, in whichever spelling. */
export function eitherSpelling(fields: Fields | undefined, camel: string): unknown {
  return fields?.[camel] ?? fields?.[snakeCase(camel)]
}

function fold(name: string): string {
  return foldCase(name.replaceAll('_', ''))
}

function snakeCase(camel: string): string {
  return camel.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
