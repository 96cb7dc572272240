/**
 * Fields of a call whose body is JSON or a form: images and audio. Each is read once and strictly: a field that a
 * decision hangs on and that is there twice, or under a name that a server may fold to it, is refused.
 */
import { isUtf8 } from 'node:buffer'
import { readJsonBody, refuseOtherSpellings } from '../json-body.ts'
import { type CallSource, type Form, type FormPart, InvalidCall } from '../provider.ts'
import { readFlag, readWholeNumber } from '../read-fields.ts'

const FIELD_BYTES_MAX = 1024 * 1024

export class MediaFields {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #form: Form | undefined

  /** Throws InvalidCall. */
  constructor(raw: Buffer, source: CallSource, decisive: ReadonlySet<string>) {
    this.#form = source.form
    if (source.form) {
      this.#values = formValues(source.form, decisive)
      return
    }
    const body = readJsonBody(raw, source.jsonDepth)
    refuseOtherSpellings(body, decisive)
    this.#values = body.value
  }

  /** The value as it came: of a form always text. */
  value(name: string): unknown {
    return this.#values[name]
  }

  /** Undefined where it is left out, null or empty. */
  text(name: string): string | undefined {
    const value = this.#values[name]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value !== 'string') throw new InvalidCall(`"${name}" must be a string.`, name)
    return value
  }

  whole(name: string, least: number): number | undefined {
    if (!this.#form) return readWholeNumber(this.#values, name, least)
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    return readWholeNumber({ [name]: value }, name, least)
  }

  flag(name: string): boolean | undefined {
    if (!this.#form) return readFlag(this.#values, name)
    const text = this.text(name)
    if (text === undefined) return undefined
    // Python writes True.
    if (text === 'true' || text === 'True') return true
    if (text === 'false' || text === 'False') return false
    throw new InvalidCall(`"${name}" must be true or false.`, name)
  }

  /** Parts of a form that carry files under the name or `name[]`. */
  files(name: string): readonly FormPart[] {
    return (this.#form ?? []).filter((part) => part.name === name || part.name.startsWith(`${name}[`))
  }
}

/** Text fields by name; of one that may be there more than once, the last. */
function formValues(form: Form, decisive: ReadonlySet<string>): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = Object.create(null)
  for (const part of form) {
    const { name } = part
    const base = (name.split('[', 1)[0] as string).toUpperCase().toLowerCase()
    if (!decisive.has(base)) {
      if (part.filename === undefined) values[name] = fieldText(part)
      continue
    }
    if (name !== base) throw new InvalidCall(`"${name}" is not a field; did you mean "${base}"?`, base)
    if (name in values) throw new InvalidCall(`"${name}" is given twice; send it once.`, name)
    if (part.filename !== undefined) throw new InvalidCall(`"${name}" must be a field, not a file.`, name)
    values[name] = fieldText(part)
  }
  return values
}

function fieldText(part: FormPart): string {
  if (part.content.length > FIELD_BYTES_MAX || !isUtf8(part.content))
    throw new InvalidCall(`"${part.name}" must be UTF-8 text of at most ${FIELD_BYTES_MAX} bytes.`, part.name)
  return part.content.toString()
}
