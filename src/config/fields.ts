/**
 * The kinds of value that config fields have. Each is one zod schema: it reads the value, says what is wrong with it
 * and what to write instead, and carries its own JSON Schema. In messages `%v` stands for the value as the file has it;
 * describe-issues.ts puts it in, or leaves it out where the field holds a secret.
 */
import * as z from 'zod'
import { isCounted } from '../core/budgets.ts'
import { remedy } from './suggest.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** What a reader throws: the message of the problem. `quote`: the value is right but for its missing quotes. */
export class FieldError extends Error {
  readonly quote: boolean
  constructor(message: string, quote = false) {
    super(message)
    this.quote = quote
  }
}

export type Field<T> = z.ZodPipe<z.ZodUnknown, z.ZodTransform<T, unknown>>

/** A field whose value `read` turns into T, throwing FieldError for what it cannot take. */
export function field<T>(json: JsonSchema, read: (value: unknown) => T): Field<T> {
  const schema = z.unknown().transform((value, context): T => {
    try {
      if (value === undefined) throw new FieldError('is missing')
      if (value === null) throw new FieldError('is empty; give it a value or leave it out')
      return read(value)
    } catch (error) {
      if (!(error instanceof FieldError)) throw error
      context.addIssue({ code: 'custom', message: error.message, params: { quote: error.quote } })
      return z.NEVER
    }
  })
  return schema.meta(json)
}

const FROM_ENVIRONMENT = { type: 'string', pattern: '\\$\\{' } as const
const orEnvironment = (json: JsonSchema): JsonSchema => ({ anyOf: [json, FROM_ENVIRONMENT] })

function needString(value: unknown, wanted: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'object') throw new FieldError(`needs ${wanted}`)
  throw new FieldError(`%v is not ${wanted}; put it in quotes`)
}

/** Any text; control characters are refused, since they end up in headers, logs and labels. */
export function text(wanted = 'a text'): Field<string> {
  return field({ type: 'string' }, (value) => {
    const string = needString(value, wanted)
    if (/\p{Cc}/u.test(string)) throw new FieldError(`%v has control characters`)
    if (string.length > 4096) throw new FieldError('is longer than 4,096 characters')
    return string
  })
}

/** What account, key, upstream, plan and label names look like. */
export const NAME = /^[A-Za-z0-9._:@/+-]{1,128}$/
const NAME_RULE = 'letters, digits and . _ : @ / + - (at most 128)'

export function name(called: string): Field<string> {
  return field({ type: 'string' }, (value) => {
    const string = typeof value === 'number' ? String(value) : needString(value, `a ${called}`)
    if (!NAME.test(string)) throw new FieldError(`%v is no ${called}; use ${NAME_RULE}`)
    return string
  })
}

/** A map of names to `schema`. */
export function named<S extends z.ZodType>(called: string, schema: S) {
  return z.record(z.string().regex(NAME, `is no ${called}; use ${NAME_RULE}`), schema)
}

/** One of a few words; `later` are words whose behaviour is not there yet. */
export function oneOf<const T extends string>(words: readonly T[], laterWords: readonly string[] = []): Field<T> {
  return field(orEnvironment({ enum: words }), (value) => {
    const word = words.find((candidate) => candidate === value)
    if (word !== undefined) return word
    if (laterWords.includes(value as string)) throw new FieldError('%v: not supported yet')
    if (typeof value === 'object') throw new FieldError(`needs one of ${words.join(', ')}`)
    const near = typeof value === 'string' ? remedy(value, words, '') : ''
    throw new FieldError(`%v is not one of ${words.join(', ')}${near.startsWith('; did') ? near : ''}`)
  })
}

/** true or false; a value from the environment may be these words. */
export function flag(): Field<boolean> {
  return field(orEnvironment({ type: 'boolean' }), (value) => {
    if (value === true || value === 'true') return true
    if (value === false || value === 'false') return false
    throw new FieldError('%v is not true or false')
  })
}

function readInteger(value: unknown, minimum: number, maximum: number): number {
  // A number from the environment is a string of digits.
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw new FieldError('%v is not a whole number')
  if (number < minimum || number > maximum) {
    throw new FieldError(`%v is out of range; from ${minimum} to ${maximum}`)
  }
  return number
}

export function integer(minimum: number, maximum: number): Field<number> {
  return field(orEnvironment({ type: 'integer', minimum, maximum }), (value) => readInteger(value, minimum, maximum))
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `250ms`, `30s`, `10m`, `24h`, `30d`, as milliseconds. */
export function duration(minimumMs: number, maximumMs: number): Field<number> {
  return field(orEnvironment({ type: 'string', pattern: '^\\d+(ms|s|m|h|d)$' }), (value) => {
    const match = typeof value === 'string' ? /^(\d{1,12})(ms|s|m|h|d)$/.exec(value) : null
    if (!match) throw new FieldError('%v is not a duration; write it like 250ms, 30s, 10m, 24h or 30d')
    const ms = Number(match[1]) * (MILLISECONDS[match[2] ?? ''] ?? 0)
    if (ms < minimumMs || ms > maximumMs) {
      throw new FieldError(`%v is out of range; from ${shownDuration(minimumMs)} to ${shownDuration(maximumMs)}`)
    }
    return ms
  })
}

function shownDuration(ms: number): string {
  const unit = ['d', 'h', 'm', 's'].find((letter) => ms % (MILLISECONDS[letter] ?? 1) === 0) ?? 'ms'
  return `${ms / (MILLISECONDS[unit] ?? 1)}${unit}`
}

const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** A plain number of bytes, or `256KiB`, `32MiB`. */
export function size(minimum: number, maximum: number): Field<number> {
  const json = { anyOf: [{ type: 'integer' }, { type: 'string', pattern: '^\\d+(B|KiB|MiB|GiB)?$' }, FROM_ENVIRONMENT] }
  return field(json, (value) => {
    const match = /^(\d{1,15})(B|KiB|MiB|GiB)?$/.exec(
      typeof value === 'number' ? String(value) : needString(value, 'a size'),
    )
    if (!match) throw new FieldError('%v is not a size; write a number of bytes, or like 256KiB or 32MiB')
    return readInteger(Number(match[1]) * (BYTES[match[2] ?? 'B'] ?? 1), minimum, maximum)
  })
}

const DECIMAL = /^-?(0|[1-9]\d{0,24})(\.\d{1,24})?$/
export const DECIMAL_JSON = orEnvironment({ type: 'string', pattern: '^-?(0|[1-9]\\d*)(\\.\\d+)?$' })

function readDecimal(value: unknown): string {
  if (typeof value === 'number') throw new FieldError('%v is a number', true)
  const string = needString(value, 'a quoted decimal like "10.50"')
  if (!DECIMAL.test(string)) throw new FieldError('%v is not a decimal; write it like "10.50"')
  return string
}

const isZero = (decimal: string) => /^-?[0.]+$/.test(decimal)

/** A quoted decimal that is not negative: an amount of money, or a price. */
export function decimal(least: 'zero' | 'above zero' = 'zero'): Field<string> {
  return field(DECIMAL_JSON, (value) => {
    const string = readDecimal(value)
    if (string.startsWith('-') && !isZero(string)) throw new FieldError('%v is below zero')
    if (least === 'above zero' && isZero(string)) throw new FieldError('%v is not above zero')
    return string
  })
}

/** A quoted decimal that is zero or negative. */
export function decimalUpToZero(): Field<string> {
  return field(DECIMAL_JSON, (value) => {
    const string = readDecimal(value)
    if (!string.startsWith('-') && !isZero(string))
      throw new FieldError('%v is above zero; a floor is "0" or like "-20.00"')
    return string
  })
}

/** A factor with at most six decimals, above zero. */
export function factor(): Field<string> {
  return field(DECIMAL_JSON, (value) => {
    const string = readDecimal(value)
    if (string.startsWith('-') || isZero(string)) throw new FieldError('%v is not above zero')
    if ((string.split('.')[1] ?? '').length > 6) throw new FieldError('%v has more than six decimals')
    if (Number(string) > 1_000_000) throw new FieldError('%v is out of range; at most "1000000"')
    return string
  })
}

/** From "0" to "100", with at most four decimals. */
export function percent(): Field<string> {
  return field(DECIMAL_JSON, (value) => {
    const string = readDecimal(value)
    if (string.startsWith('-') || Number(string) > 100) throw new FieldError('%v is out of range; from "0" to "100"')
    if ((string.split('.')[1] ?? '').length > 4) throw new FieldError('%v has more than four decimals')
    return string
  })
}

/** A SHA-256 as 64 hex digits, in lower case. */
export function sha256(): Field<string> {
  return field(orEnvironment({ type: 'string', pattern: '^[0-9a-fA-F]{64}$' }), (value) => {
    // Digits alone are a number to YAML.
    if (typeof value === 'number') throw new FieldError('is a number; put the hex digits in quotes')
    const string = typeof value === 'string' ? value.toLowerCase() : ''
    if (!/^[0-9a-f]{64}$/.test(string)) {
      throw new FieldError('is not a SHA-256 of 64 hex digits; "tollgate keys hash" prints the line of a key')
    }
    if (string === SHA256_OF_NOTHING) throw new FieldError('is the SHA-256 of an empty key; hash a real one')
    return string
  })
}
const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

export function unitName(): Field<string> {
  return field({ type: 'string' }, (value) => {
    const string = needString(value, 'a unit like USD')
    if (!/^[A-Za-z][A-Za-z0-9._-]{0,31}$/.test(string)) {
      throw new FieldError('%v is no unit; write an ISO 4217 code like USD or a name like credits')
    }
    if (isCounted(string)) throw new FieldError('%v is a measure of budgets, not a unit of money')
    return string
  })
}

/** A name or a pattern, where `*` stands for any run of characters. */
export function glob(): Field<string> {
  return field({ type: 'string' }, (value) => {
    const string = needString(value, 'a name or a pattern like gpt-*')
    if (string === '' || string.length > 256 || /[\s\p{Cc}]/u.test(string)) {
      throw new FieldError('%v is no pattern; write it like gpt-* (at most 256 characters, no blanks)')
    }
    return string
  })
}

export function timezone(): Field<string> {
  return field({ type: 'string' }, (value) => {
    const string = needString(value, 'a time zone like Europe/Paris')
    if (!isTimezone(string)) throw new FieldError('%v is no time zone; write it like UTC or Europe/Paris')
    return string
  })
}

function isTimezone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined
  } catch {
    return false
  }
}

/** An http or https URL without credentials; `bare`: without query and fragment too. */
export function httpUrl(bare: boolean): Field<string> {
  return field({ type: 'string' }, (value) => {
    const string = needString(value, 'a URL like https://api.example.com')
    const url = URL.canParse(string) ? new URL(string) : undefined
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      throw new FieldError('%v is no URL; write it like https://api.example.com')
    }
    if (url.username !== '' || url.password !== '') throw new FieldError('has a user or password in it; leave them out')
    if (bare && /[?#]/.test(string)) throw new FieldError('%v has a query or a fragment; leave it out')
    return string
  })
}

/** A day (00:00 UTC) or an RFC 3339 time, as milliseconds. */
export function instant(): Field<number> {
  return field({ type: 'string' }, (value) => {
    const string = needString(value, 'a date like 2026-01-31')
    const form = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/.exec(string)
    const ms = form ? Date.parse(string) : Number.NaN
    // Date.parse takes 30 February for 2 March.
    const day = form ? new Date(`${form[1]}T00:00:00Z`) : undefined
    if (Number.isNaN(ms) || !day || Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== form?.[1]) {
      throw new FieldError('%v is no date; write it like 2026-01-31 or 2026-01-31T09:00:00Z')
    }
    return ms
  })
}

/**
 * A field whose behaviour comes with a later version: refused, unless its value is one of `allowed`, which say what
 * happens without it. The JSON Schema describes it as `inner` does.
 */
export function later(inner: z.ZodType, ...allowed: readonly unknown[]) {
  const { $schema: _, ...json } = z.toJSONSchema(inner, { io: 'input' })
  const accepted = new Set(allowed.map((value) => JSON.stringify(value)))
  const schema = z.unknown().transform((value, context): undefined => {
    if (value !== undefined && !accepted.has(JSON.stringify(value))) {
      context.addIssue({ code: 'custom', message: 'not supported yet', params: { atKey: true } })
    }
    return undefined
  })
  return schema.meta({ ...json, 'x-later': true }).optional()
}

/** A map of rates by kind of token or counted thing. */
export function rates<const K extends string>(kinds: readonly K[]) {
  const shape = Object.fromEntries(kinds.map((kind) => [kind, decimal().exactOptional()])) as {
    [kind in K]: z.ZodExactOptional<Field<string>>
  }
  return z.strictObject(shape)
}
