/**
 * Walks over the members of one small JSON text as bytes, without making objects or strings: fast enough for every
 * event of a stream. It never throws; of text that is not JSON it finds what looks like members.
 */

import { COUNT_MAX } from './counts.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a

export class JsonCursor {
  /** Of the member found last: 1 for members of the outermost object, arrays counted too. */
  depth = 0
  keyStart = 0
  keyEnd = 0
  /** First byte of the value; behind the opening quote where it is a string. */
  valueStart = 0
  /** Behind the last byte of a string (before its closing quote); for other values the same as valueStart. */
  valueEnd = 0
  isString = false
  #data: Buffer = Buffer.alloc(0)
  #at = 0
  #level = 0

  open(data: Buffer): void {
    this.#data = data
    this.#at = 0
    this.#level = 0
  }

  /** Moves to the next member, into objects and arrays as they come; false at the end. */
  next(): boolean {
    const data = this.#data
    const length = data.length
    let at = this.#at
    let level = this.#level
    while (at < length) {
      const byte = data[at] as number
      at++
      if (byte === QUOTE) {
        const start = at
        const end = stringEnd(data, start)
        at = skipBlanks(data, end + 1)
        if (data[at] !== COLON) continue
        this.#level = level
        this.#member(start, end, skipBlanks(data, at + 1))
        return true
      }
      // { and [ open a level, } and ] close one.
      if ((byte & 0xdf) === 0x5b) level++
      else if ((byte & 0xdf) === 0x5d) level--
    }
    this.#at = at
    return false
  }

  get keyLength(): number {
    return this.keyEnd - this.keyStart
  }

  keyIs(name: Buffer): boolean {
    const start = this.keyStart
    if (this.keyEnd - start !== name.length) return false
    for (let i = 0; i < name.length; i++) if (this.#data[start + i] !== name[i]) return false
    return true
  }

  /** First byte of the value, as a character code; the quote of a string. -1: nothing there. */
  get firstByte(): number {
    return this.isString ? QUOTE : (this.#data[this.valueStart] ?? -1)
  }

  /** A count (whole, not negative, not absurd), or -1. */
  get wholeNumber(): number {
    if (this.isString) return -1
    let number = -1
    for (let at = this.valueStart; at < this.#data.length; at++) {
      const byte = this.#data[at] as number
      // A fraction or an exponent.
      if (byte === 0x2e || byte === 0x65 || byte === 0x45) return -1
      const digit = byte - 0x30
      if (digit < 0 || digit > 9) break
      number = Math.max(number, 0) * 10 + digit
      if (number > COUNT_MAX) return -1
    }
    return number
  }

  /** The bytes of a string value as they stand, escapes and all. */
  get stringBytes(): Buffer {
    return this.#data.subarray(this.valueStart, this.valueEnd)
  }

  #member(start: number, end: number, value: number): void {
    const data = this.#data
    this.depth = this.#level
    this.keyStart = start
    this.keyEnd = end
    if (data[value] === QUOTE) {
      this.isString = true
      this.valueStart = value + 1
      this.valueEnd = stringEnd(data, value + 1)
      this.#at = this.valueEnd + 1
    } else {
      this.isString = false
      this.valueStart = value
      this.valueEnd = value
      this.#at = value
    }
  }
}

function stringEnd(data: Buffer, start: number): number {
  const length = data.length
  let at = start
  while (at < length) {
    const byte = data[at]
    if (byte === QUOTE) return at
    at += byte === BACKSLASH ? 2 : 1
  }
  return length
}

function skipBlanks(data: Buffer, from: number): number {
  let at = from
  while (data[at] === 0x20 || data[at] === 0x0a || data[at] === 0x0d || data[at] === 0x09) at++
  return at
}
