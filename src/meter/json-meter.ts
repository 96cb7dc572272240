/**
 * Picks named members out of a JSON object while its bytes go by, whatever its size and wherever it is cut. It keeps
 * those members alone, each up to 256 KiB, and never the whole body.
 */
import type { JsonMeterShape } from './meter-types.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MEMBER_BYTES_MAX = 256 * 1024
/** No name we look for is longer, even written in escapes. */
const KEY_BYTES_MAX = 256
const BOM = 0xef

type State = 'before' | 'key_or_end' | 'key' | 'colon' | 'value' | 'done'

export class JsonMeter implements JsonMeterShape {
  unread = false
  readonly #names: ReadonlySet<string>
  readonly #found = new Map<string, Buffer>()
  #state: State = 'before'
  /** Depth inside the value: 0 directly in the outermost object. */
  #depth = 0
  #inString = false
  #escaped = false
  #started = false
  /** Bytes of the key, or of the wanted value, that are being collected. */
  #kept: Buffer = Buffer.alloc(512)
  #keptLength = 0
  /** The wanted member whose value is passing; undefined: any other. */
  #wanted: string | undefined
  #tooLarge = false

  constructor(names: readonly string[]) {
    this.#names = new Set(names)
  }

  /** What came so far begins with a JSON object. */
  get isObject(): boolean {
    return this.#started
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#state !== 'done') at = this.#step(chunk, at)
  }

  end(): Readonly<Record<string, unknown>> {
    const members: Record<string, unknown> = {}
    for (const [name, bytes] of this.#found) {
      try {
        members[name] = JSON.parse(bytes.toString())
      } catch {
        this.unread = true
      }
    }
    if (this.#started && this.#state !== 'done') this.unread = true
    return members
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'before':
        return this.#begin(chunk, at)
      case 'key_or_end':
        return this.#keyOrEnd(chunk, at)
      case 'key':
        return this.#key(chunk, at)
      case 'colon':
        return this.#colon(chunk, at)
      case 'value':
        return this.#value(chunk, at)
      default:
        return chunk.length
    }
  }

  #begin(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === 0x7b) {
      this.#state = 'key_or_end'
      this.#started = true
    } else if (!isBlank(byte) && byte !== BOM && byte !== 0xbb && byte !== 0xbf) this.#state = 'done'
    return at + 1
  }

  #keyOrEnd(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === QUOTE) {
      this.#state = 'key'
      this.#keptLength = 0
      this.#escaped = false
    } else if (byte === 0x7d) this.#state = 'done'
    else if (!isBlank(byte) && byte !== 0x2c) this.#giveUp()
    return at + 1
  }

  #key(chunk: Buffer, at: number): number {
    const end = this.#stringEnd(chunk, at)
    if (this.#keptLength + end - at <= KEY_BYTES_MAX) this.#keep(chunk, at, end)
    else this.#keptLength = KEY_BYTES_MAX + 1
    if (end === chunk.length) return end
    this.#state = 'colon'
    return end + 1
  }

  #colon(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === 0x3a) {
      this.#beginValue()
      return at + 1
    }
    if (!isBlank(byte)) this.#giveUp()
    return at + 1
  }

  #beginValue(): void {
    const name = this.#keptLength > KEY_BYTES_MAX ? '' : keyName(this.#kept.toString('utf8', 0, this.#keptLength))
    this.#wanted = this.#names.has(name) ? name : undefined
    this.#state = 'value'
    this.#keptLength = 0
    this.#depth = 0
    this.#inString = false
    this.#tooLarge = false
  }

  /** Runs through a value to the comma or brace behind it, which the next state reads. */
  #value(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length) {
      if (this.#inString) {
        at = this.#stringEnd(chunk, at)
        if (at === chunk.length) break
        this.#inString = false
        at++
        continue
      }
      const byte = chunk[at] as number
      if (byte === QUOTE) {
        this.#inString = true
        this.#escaped = false
      } else if (byte === 0x7b || byte === 0x5b) this.#depth++
      else if (this.#depth === 0 && (byte === 0x2c || byte === 0x7d)) {
        this.#keepValue(chunk, from, at)
        this.#finishValue()
        return at
      } else if (byte === 0x7d || byte === 0x5d) this.#depth--
      at++
    }
    this.#keepValue(chunk, from, chunk.length)
    return chunk.length
  }

  #keepValue(chunk: Buffer, from: number, to: number): void {
    if (this.#wanted === undefined || this.#tooLarge) return
    if (this.#keptLength + to - from <= MEMBER_BYTES_MAX) this.#keep(chunk, from, to)
    else {
      this.#tooLarge = true
      this.unread = true
      this.#kept = Buffer.alloc(512)
      this.#keptLength = 0
    }
  }

  #finishValue(): void {
    this.#state = 'key_or_end'
    if (this.#wanted === undefined || this.#tooLarge) return
    this.#found.set(this.#wanted, Buffer.from(this.#kept.subarray(0, this.#keptLength)))
  }

  /** Offset of the quote that ends the string `at` stands in, or the chunk's length. */
  #stringEnd(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) return at
    }
    return chunk.length
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const needed = this.#keptLength + to - from
    if (needed > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#kept.length * 2))
      this.#kept.copy(larger, 0, 0, this.#keptLength)
      this.#kept = larger
    }
    chunk.copy(this.#kept, this.#keptLength, from, to)
    this.#keptLength = needed
  }

  #giveUp(): void {
    this.unread = true
    this.#state = 'done'
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function keyName(escaped: string): string {
  if (!escaped.includes('\\')) return escaped
  try {
    return JSON.parse(`"${escaped}"`) as string
  } catch {
    return ''
  }
}
