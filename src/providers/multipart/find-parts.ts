/**
 * Where the parts of a multipart/form-data body stand, read without goodwill: a body that two parsers could cut in two
 * ways is refused, so that nobody is metered on one reading and served on another.
 * Source: RFC 7578, RFC 2046 section 5.1.1.
 */
import { InvalidCall } from '../provider.ts'

/** Byte offsets of what a part holds, the end exclusive. */
export interface PartSpan {
  readonly contentStart: number
  readonly contentEnd: number
}

const CR = 0x0d
const LF = 0x0a
const DASH = 0x2d
const HEAD_BYTES_MAX = 8 * 1024
const PARTS_MAX = 256
const HEADER_LINE = /^([A-Za-z0-9-]{1,64}):[ \t]*[\x20-\x7e\x80-\xff\t]*$/
const DISPOSITION = /^form-data((?:[ \t]*;[ \t]*[A-Za-z]{1,16}\*?=(?:"[^"\\\r\n]*"|[^\s";,\\]+))+)$/i
const PARAMETER = /;[ \t]*([A-Za-z]{1,16}\*?)=/g

/** Throws InvalidCall. */
export function findParts(body: Buffer, boundary: string): readonly PartSpan[] {
  const delimiter = Buffer.from(`--${boundary}`)
  const parts: PartSpan[] = []
  let at = body[0] === CR && body[1] === LF ? 2 : 0
  if (body.indexOf(delimiter) !== at) throw broken('it does not begin with the boundary that Content-Type names')
  for (;;) {
    const after = at + delimiter.length
    if (isLast(body, after)) break
    if (parts.length === PARTS_MAX) throw broken(`it has more than ${PARTS_MAX} parts`)
    const next = body.indexOf(delimiter, after)
    if (next < 0) throw broken('its last boundary is missing')
    parts.push(readPart(body, after, next))
    at = next
  }
  return parts
}

/** Two dashes behind a boundary end the form; nothing may follow but a line end. */
function isLast(body: Buffer, after: number): boolean {
  if (body[after] !== DASH || body[after + 1] !== DASH) return false
  for (let at = after + 2; at < body.length; at++)
    if (body[at] !== CR && body[at] !== LF) throw broken('something follows its last boundary')
  return true
}

/** The part between a boundary that ends at `after` and the next one. */
function readPart(body: Buffer, after: number, next: number): PartSpan {
  if (body[after] !== CR || body[after + 1] !== LF) throw broken('a boundary is not a line of its own')
  if (body[next - 2] !== CR || body[next - 1] !== LF) throw broken('a boundary is not a line of its own')
  const headStart = after + 2
  const headEnd = body.indexOf('\r\n\r\n', headStart)
  if (headEnd < 0 || headEnd + 4 > next - 2 || headEnd - headStart > HEAD_BYTES_MAX)
    throw broken('a part has no header with a blank line after it, or too long a one')
  checkHead(body.toString('latin1', headStart, headEnd))
  return { contentStart: headEnd + 4, contentEnd: next - 2 }
}

function checkHead(head: string): void {
  const seen = new Set<string>()
  for (const line of head.split('\r\n')) {
    const match = HEADER_LINE.exec(line)
    const name = match?.[1]?.toLowerCase()
    if (name === undefined || seen.has(name)) throw broken('a part has a header that is unreadable or there twice')
    seen.add(name)
    const value = line.slice(name.length + 1).trim()
    if (name === 'content-disposition') checkDisposition(value)
    else if (name === 'content-transfer-encoding' && !/^(?:7bit|8bit|binary)$/i.test(value))
      throw broken('a part has a Content-Transfer-Encoding; send it as it is')
  }
  if (!seen.has('content-disposition')) throw broken('a part has no Content-Disposition')
}

function checkDisposition(value: string): void {
  const parameters = DISPOSITION.exec(value)?.[1]
  if (parameters === undefined) throw broken('a Content-Disposition is not form-data; name="…"')
  const names = [...parameters.matchAll(PARAMETER)].map((match) => (match[1] as string).toLowerCase())
  if (new Set(names).size < names.length || !names.includes('name') || names.includes('name*'))
    throw broken('a Content-Disposition needs exactly one name')
}

export function broken(why: string): InvalidCall {
  return new InvalidCall(`The form cannot be read: ${why}. Send multipart/form-data as RFC 7578 has it.`)
}
