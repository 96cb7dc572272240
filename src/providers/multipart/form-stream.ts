/**
 * Reads a multipart/form-data body as it passes, without keeping it, and as strictly as find-parts.ts: what two parsers
 * could cut in two ways ends the reading, and nothing may then be decided on it.
 * Source: RFC 7578, RFC 2046 section 5.1.1.
 */

export interface PartTaker {
  /** Its name; "" where it has none. Answers whether its bytes are wanted. */
  onPart(name: string, isFile: boolean): boolean
  /** A part of what was pushed: good until this returns. */
  onBytes(bytes: Buffer): void
  onPartEnd(): void
}

const BOUNDARY = /^multipart\/form-data[ \t]*;[ \t]*boundary=(?:"([^"\\\r\n]{1,70})"|([^\s";,\\]{1,70}))[ \t]*$/i
const HEAD_BYTES_MAX = 8 * 1024
const PARTS_MAX = 256
const HEADER_LINE = /^([A-Za-z0-9-]{1,64}):[ \t]*([\x20-\x7e\x80-\xff\t]*)$/
const NAME = /;[ \t]*name=(?:"([^"\\\r\n]*)"|([^\s";,\\]+))/i
const FILENAME = /;[ \t]*filename\*?=/i
/** Under another the provider may see other bytes than these. */
const PLAIN_CODINGS = new Set(['7bit', '8bit', 'binary'])
const BLANK_LINE = Buffer.from('\r\n\r\n')

type State = 'boundary' | 'after boundary' | 'head' | 'body' | 'end' | 'broken'

/** Undefined: the content type names no form. */
export function formStream(contentType: string | undefined, taker: PartTaker): FormStream | undefined {
  const match = BOUNDARY.exec((contentType ?? '').trim())
  const boundary = match?.[1] ?? match?.[2]
  return boundary === undefined ? undefined : new FormStream(boundary, taker)
}

export class FormStream {
  readonly #delimiter: Buffer
  readonly #taker: PartTaker
  #state: State = 'boundary'
  /** Bytes that cannot be told yet: the beginning of a boundary, half a head. */
  #rest: Buffer = Buffer.alloc(0)
  #parts = 0
  #wanted = false

  constructor(boundary: string, taker: PartTaker) {
    // The first boundary has no line end before it: one is put there.
    this.#delimiter = Buffer.from(`\r\n--${boundary}`)
    this.#taker = taker
    this.#rest = Buffer.from('\r\n')
  }

  /** Its last boundary has come, and all before it was a form. */
  get whole(): boolean {
    return this.#state === 'end'
  }

  push(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = EMPTY
    while (bytes.length > 0) {
      const left = this.#step(bytes)
      if (left.length === bytes.length) {
        this.#rest = left
        return
      }
      bytes = left
    }
  }

  /** Answers what it did not take; all of it where more must come first. */
  #step(bytes: Buffer): Buffer {
    switch (this.#state) {
      case 'boundary':
        return this.#first(bytes)
      case 'after boundary':
        return this.#afterBoundary(bytes)
      case 'head':
        return this.#head(bytes)
      case 'body':
        return this.#body(bytes)
      case 'end':
        return this.#epilogue(bytes)
      default:
        return EMPTY
    }
  }

  #first(bytes: Buffer): Buffer {
    // A line end of the body's own may stand before it.
    const own = bytes[2] === 0x0d && bytes[3] === 0x0a ? 2 : 0
    if (bytes.length < own + this.#delimiter.length) return bytes
    if (!bytes.subarray(own, own + this.#delimiter.length).equals(this.#delimiter)) return this.#break()
    this.#state = 'after boundary'
    return bytes.subarray(own + this.#delimiter.length)
  }

  #afterBoundary(bytes: Buffer): Buffer {
    if (bytes.length < 2) return bytes
    const [first, second] = [bytes[0], bytes[1]]
    if (first === 0x2d && second === 0x2d) this.#state = 'end'
    else if (first === 0x0d && second === 0x0a && this.#parts < PARTS_MAX) this.#state = 'head'
    else return this.#break()
    return bytes.subarray(2)
  }

  #head(bytes: Buffer): Buffer {
    const end = bytes.indexOf(BLANK_LINE)
    if (end > HEAD_BYTES_MAX || (end < 0 && bytes.length > HEAD_BYTES_MAX)) return this.#break()
    if (end < 0) return bytes
    const head = readHead(bytes.toString('latin1', 0, end))
    if (head === undefined) return this.#break()
    this.#parts++
    this.#wanted = this.#taker.onPart(head.name, head.isFile)
    this.#state = 'body'
    // The line end of the blank line may be that of a boundary: an empty part.
    return bytes.subarray(end + 2)
  }

  #body(bytes: Buffer): Buffer {
    // Its first two bytes are the head's last line end, which a boundary may use and nobody else sees.
    const end = bytes.indexOf(this.#delimiter)
    const start = this.#fresh ? 2 : 0
    if (end >= 0) {
      if (this.#wanted && end > start) this.#taker.onBytes(bytes.subarray(start, end))
      this.#taker.onPartEnd()
      this.#fresh = true
      this.#state = 'after boundary'
      return bytes.subarray(end + this.#delimiter.length)
    }
    const safe = bytes.length - this.#delimiter.length + 1
    if (safe <= start) return bytes
    if (this.#wanted) this.#taker.onBytes(bytes.subarray(start, safe))
    this.#fresh = false
    return bytes.subarray(safe)
  }
  #fresh = true

  /** Nothing may follow but a line end. */
  #epilogue(bytes: Buffer): Buffer {
    for (const byte of bytes) if (byte !== 0x0d && byte !== 0x0a) return this.#break()
    return EMPTY
  }

  #break(): Buffer {
    this.#state = 'broken'
    return EMPTY
  }
}

const EMPTY: Buffer = Buffer.alloc(0)

function readHead(text: string): { readonly name: string; readonly isFile: boolean } | undefined {
  const headers = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const match = HEADER_LINE.exec(line)
    const name = match?.[1]?.toLowerCase()
    if (name === undefined || headers.has(name)) return undefined
    headers.set(name, match?.[2] ?? '')
  }
  const disposition = headers.get('content-disposition') ?? ''
  const coding = headers.get('content-transfer-encoding')?.trim().toLowerCase()
  if (!/^form-data\b/i.test(disposition) || (coding !== undefined && !PLAIN_CODINGS.has(coding))) return undefined
  const name = NAME.exec(disposition)
  return { name: name?.[1] ?? name?.[2] ?? '', isFile: FILENAME.test(disposition) }
}
