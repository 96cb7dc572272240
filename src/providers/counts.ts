/** Numbers of a usage object: whole and not negative, or absent. */
import { asObject } from './read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

/** The count under a name; undefined where it is absent, null, or no count. Explicit zero is zero. */
export function readCount(fields: Fields | undefined, name: string): number | undefined {
  const value = fields?.[name]
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/** The first of the names that holds a count. */
export function firstCount(fields: Fields | undefined, names: readonly string[]): number | undefined {
  for (const name of names) {
    const count = readCount(fields, name)
    if (count !== undefined) return count
  }
  return undefined
}

/** Counts under the name that were there but were none: the provider's figure cannot be trusted. */
export function isBadCount(fields: Fields, name: string): boolean {
  const value = fields[name]
  return value !== undefined && value !== null && readCount(fields, name) === undefined
}

export function memberObject(fields: Fields | undefined, name: string): Fields | undefined {
  return asObject(fields?.[name])
}
