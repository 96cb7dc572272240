/**
 * Amazon's binary event stream. A frame: total length (4 bytes), length of the headers (4), CRC32 of those eight (4),
 * headers, payload, CRC32 of all before (4); integers big-endian. Both checksums are checked: a wrong first one means
 * that these are no frames, and all goes on unread; a wrong second one costs that frame alone.
 *
 * An event's name is its `:event-type`; of an exception `exception:` and its `:exception-type`; of an error `error:`
 * and its `:error-code`. Its data is the payload.
 * Source: smithy.io/2.0/aws/amazon-eventstream.html.
 */
import { crc32 } from 'node:zlib'
import { Splitter } from './splitter.ts'

const PRELUDE_BYTES = 12
const CHECKSUM_BYTES = 4
const TYPE_STRING = 7
/** Bytes of a header's value by its type; -1: two bytes of length in front of it. */
const VALUE_BYTES = [0, 0, 1, 2, 4, 8, -1, -1, 8, 16]

export class FrameSplitter extends Splitter {
  /** Length of the unfinished frame; 0: not known yet. */
  #frame = 0
  /** Its bytes that came in earlier chunks. */
  #seen = 0
  readonly #prelude = Buffer.alloc(PRELUDE_BYTES)

  override keep(): readonly Buffer[] {
    this.#seen += this.chunk.length - this.start
    return super.keep()
  }

  override accept(): void {
    super.accept()
    this.#frame = 0
    this.#seen = 0
  }

  override reject(): void {
    this.#frame = 0
    this.#seen = 0
  }

  override readUnfinished(): undefined {
    return undefined
  }

  override closeUnfinished(): undefined {
    return undefined
  }

  override placeEnding(ending: Buffer): Buffer | undefined {
    return this.passing || this.endsOpen ? undefined : ending
  }

  protected override find(): boolean {
    const available = this.#seen + this.chunk.length - this.start
    this.at = this.chunk.length
    if (this.#frame === 0) {
      if (available < PRELUDE_BYTES) return false
      this.#frame = this.#readPrelude()
      if (this.#frame === 0) {
        this.giveUp()
        return false
      }
    }
    if (available < this.#frame) return false
    this.at = this.start + this.#frame - this.#seen
    return true
  }

  /** The frame's length; 0: no frame starts here. */
  #readPrelude(): number {
    const prelude = this.#prelude
    for (let i = 0; i < PRELUDE_BYTES; i++) prelude[i] = this.byteAt(i)
    const total = prelude.readUInt32BE(0)
    const headers = prelude.readUInt32BE(4)
    const whole = total >= PRELUDE_BYTES + headers + CHECKSUM_BYTES
    return whole && crc32(prelude.subarray(0, 8)) === prelude.readUInt32BE(8) ? total : 0
  }

  protected override read(bytes: Buffer, from: number, to: number): boolean {
    this.event.fill(bytes, from, to)
    const payload = from + PRELUDE_BYTES + bytes.readUInt32BE(from + 4)
    const end = to - CHECKSUM_BYTES
    if (crc32(bytes.subarray(from, end)) !== bytes.readUInt32BE(end)) {
      this.unreadable = true
      return false
    }
    this.event.name = eventName(bytes, from + PRELUDE_BYTES, payload)
    this.event.data = bytes.subarray(payload, end)
    return true
  }
}

/** By the headers that stand from `from` to `to`. */
function eventName(bytes: Buffer, from: number, to: number): string {
  let kind = ''
  let name = ''
  let at = from
  while (at < to) {
    const nameEnd = at + 1 + (bytes[at] as number)
    const type = bytes[nameEnd] as number
    const fixed = VALUE_BYTES[type]
    if (nameEnd >= to || fixed === undefined) break
    const value = fixed < 0 ? nameEnd + 3 : nameEnd + 1
    if (value > to) break
    const end = value + (fixed < 0 ? bytes.readUInt16BE(nameEnd + 1) : fixed)
    if (end > to) break
    if (type === TYPE_STRING) {
      const header = bytes.toString('latin1', at + 1, nameEnd)
      const text = bytes.toString('utf8', value, end)
      if (header === ':message-type') kind = text
      else if (header === ':event-type' || header === ':exception-type' || header === ':error-code') name = text
    }
    at = end
  }
  return kind === '' || kind === 'event' ? name : `${kind}:${name}`
}
