/**
 * The fields that money hangs on, read without goodwill: what a lenient server would take for a number or a flag
 * ("100", 1, 1e400) is refused, so that nobody is metered on one reading and served on another.
 */
import { InvalidCall } from './provider.ts'

type Fields = Readonly<Record<string, unknown>>

const LIMIT_MAX = 1_000_000_000
const MODEL_LENGTH_MAX = 256
const TIER_LENGTH_MAX = 64

/** 1 to 256 characters. `hint` is put behind the message where the model is missing. */
export function readModel(fields: Fields, hint = ''): string {
  const model = fields['model']
  if (model === undefined || model === null)
    throw new InvalidCall(`"model" is missing; name the model to be used.${hint}`, 'model')
  if (typeof model !== 'string' || model.length === 0 || model.length > MODEL_LENGTH_MAX)
    throw new InvalidCall(`"model" must be a string of 1 to ${MODEL_LENGTH_MAX} characters.`, 'model')
  if (!isPrintable(model)) throw new InvalidCall('"model" has a control character or half a surrogate pair.', 'model')
  return model
}

function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code === 0x7f) return false
  }
  return text.isWellFormed()
}

/** true, false, or (left out, null) undefined. */
export function readFlag(fields: Fields, name: string): boolean | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw new InvalidCall(`"${name}" must be true or false, without quotes.`, name)
  return value
}

/** A whole number of at least `least`; left out and null are undefined. */
export function readWholeNumber(fields: Fields, name: string, least: number): number | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > LIMIT_MAX)
    throw new InvalidCall(
      `"${name}" must be a whole number from ${least} to ${LIMIT_MAX}, without quotes; leave it out for no value of your own.`,
      name,
    )
  return value
}

/** The value as an object, or undefined where it is none. */
export function asObject(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined
}

/** The value as a string that is not empty, or undefined. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** What a caller names as the class of service, where that is a word at all: another value is the provider's to refuse. */
export function readTier(fields: Fields): { readonly serviceTier?: string } {
  const tier = fields['service_tier']
  return typeof tier === 'string' && tier !== '' && tier.length <= TIER_LENGTH_MAX ? { serviceTier: tier } : {}
}
