/**
 * Reads a request body once and strictly, for every JSON format: what the gateway decides on must be what the provider
 * reads. Members of the top level are found as spans of bytes, so that an edit can be spliced in beside them.
 */
import { isUtf8 } from 'node:buffer'
import { foldCase } from './fold-case.ts'
import { InvalidCall } from './provider.ts'

/** Where a member of an object stands in the body: byte offsets, the end exclusive. */
export interface MemberSpan {
  readonly keyStart: number
  readonly valueStart: number
  readonly valueEnd: number
}

export interface JsonBody {
  readonly value: Readonly<Record<string, unknown>>
  readonly members: ReadonlyMap<string, MemberSpan>
  /** Just behind the opening brace: a new member goes here, with a comma after it. */
  readonly insertAt: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
/** Bytes of a string looked at one by one before the native search takes over; a call of it costs as much as 60. */
const SHORT_STRING = 64
const PLAIN_NAME = /^[a-z0-9_]*$/

/**
 * Throws InvalidCall where the body is not UTF-8, not JSON, nested deeper than `jsonDepth`, not an object, or names a
 * member of the top level twice (escapes and letter case count as the same name: some servers fold case).
 */
export function readJsonBody(body: Buffer, jsonDepth: number): JsonBody {
  if (!isUtf8(body)) throw new InvalidCall('The body is not valid UTF-8; send JSON encoded as UTF-8.')
  const open = skipSpace(body, 0)
  if (body[open] !== OPEN_BRACE) throw new InvalidCall('The body is not a JSON object; send one, starting with "{".')
  const members = readMembers(body, open, jsonDepth, '')
  return { value: parseObject(body), members, insertAt: open + 1 }
}

/** Spans of the members of the object that opens at `open`. `path` names the object in errors: "" or "stream_options.". */
export function readMembers(body: Buffer, open: number, jsonDepth: number, path: string): Map<string, MemberSpan> {
  const members = new Map<string, MemberSpan>()
  let folded: Set<string> | undefined
  let at = skipSpace(body, open + 1)
  if (body[at] === CLOSE_BRACE) return members
  for (;;) {
    if (body[at] !== QUOTE) throw notJson()
    const keyEnd = skipString(body, at)
    const name = readKey(body, at, keyEnd)
    if (members.has(name)) throw twice(path + name)
    if (!PLAIN_NAME.test(name)) {
      folded ??= new Set()
      const plain = foldCase(name)
      if (folded.has(plain)) throw twice(path + name)
      folded.add(plain)
    }
    const colon = skipSpace(body, keyEnd)
    if (body[colon] !== COLON) throw notJson()
    const valueStart = skipSpace(body, colon + 1)
    const valueEnd = skipValue(body, valueStart, jsonDepth)
    members.set(name, { keyStart: at, valueStart, valueEnd })
    at = skipSpace(body, valueEnd)
    if (body[at] === CLOSE_BRACE) break
    if (body[at] !== COMMA) throw notJson()
    at = skipSpace(body, at + 1)
  }
  if (folded) for (const name of folded) if (members.has(name) && PLAIN_NAME.test(name)) throw twice(path + name)
  return members
}

/** Refuses names that fold to one that a decision hangs on but are spelt otherwise: `MAX_TOKENS`, `ſtream`. */
export function refuseOtherSpellings(body: JsonBody, decisive: ReadonlySet<string>): void {
  for (const name of body.members.keys()) {
    if (PLAIN_NAME.test(name)) continue
    const plain = foldCase(name)
    if (plain !== name && decisive.has(plain))
      throw new InvalidCall(`"${printable(name)}" is not a field; did you mean "${plain}"?`, plain)
  }
}

function parseObject(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body.toString()) as Record<string, unknown>
  } catch (error) {
    // Only the position: the message itself would quote the prompt.
    const position = error instanceof Error ? /position (\d+)/.exec(error.message)?.[1] : undefined
    throw notJson(position)
  }
}

function notJson(position?: string): InvalidCall {
  const where = position === undefined ? '' : ` (at character ${position})`
  return new InvalidCall(`The body is not valid JSON${where}; send one JSON object.`)
}

function twice(field: string): InvalidCall {
  return new InvalidCall(`"${printable(field)}" is given twice; send it once.`, printable(field))
}

function printable(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name
}

function readKey(body: Buffer, start: number, end: number): string {
  const text = body.toString('utf8', start + 1, end - 1)
  if (!text.includes('\\')) return text
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    throw notJson()
  }
}

function skipSpace(body: Buffer, from: number): number {
  let at = from
  for (; at < body.length; at++) {
    const byte = body[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
  }
  return at
}

/** `at` is the opening quote; returns the offset behind the closing one. */
function skipString(body: Buffer, at: number): number {
  let i = at + 1
  const near = Math.min(body.length, i + SHORT_STRING)
  while (i < near) {
    const byte = body[i]
    if (byte === QUOTE) return i + 1
    i += byte === BACKSLASH ? 2 : 1
  }
  for (;;) {
    const quote = body.indexOf(QUOTE, i)
    if (quote < 0) throw notJson()
    let slashes = 0
    while (quote - 1 - slashes >= i && body[quote - 1 - slashes] === BACKSLASH) slashes++
    if (slashes % 2 === 0) return quote + 1
    i = quote + 1
  }
}

function skipValue(body: Buffer, start: number, jsonDepth: number): number {
  const first = body[start]
  if (first === QUOTE) return skipString(body, start)
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return skipScalar(body, start)
  let depth = 1
  let at = start
  while (at < body.length) {
    const byte = body[at]
    if (byte === QUOTE) {
      at = skipString(body, at)
      continue
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > jsonDepth) throw new InvalidCall(`The body is nested deeper than ${jsonDepth} levels; flatten it.`)
    } else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 1) return at + 1
    at++
  }
  throw notJson()
}

function skipScalar(body: Buffer, start: number): number {
  let at = start
  for (; at < body.length; at++) {
    const byte = body[at]
    if (byte === COMMA || byte === CLOSE_BRACE || byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)
      break
  }
  if (at === start) throw notJson()
  return at
}
