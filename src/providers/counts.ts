/** Numbers of a usage object: whole and not negative, or absent. */
import { asObject } from './read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

/** No answer has a million times a million of anything: what says so cannot be trusted, and sums of counts stay exact. */
export const COUNT_MAX = 1_000_000_000_000

/** The count under a name; undefined where it is absent, null, or no count. Explicit zero is zero. */
export function readCount(fields: Fields | undefined, name: string): number | undefined {
  return asCount(fields?.[name])
}

export function asCount(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > COUNT_MAX) return undefined
  // -0 is a number that JSON has.
  return value + 0
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
