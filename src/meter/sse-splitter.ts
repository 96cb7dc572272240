/**
 * Cuts a byte stream into server-sent events without changing it: LF, CR, CRLF, mixed, a BOM, comments, several data
 * lines, cut at any byte. Pull: `feed` a chunk, `next` until false, `keep` what is unfinished.
 * Source: html.spec.whatwg.org, "Server-sent events", Interpreting an event stream.
 */
import type { StreamEvent } from '../providers/provider.ts'

const LF = 0x0a
const CR = 0x0d
const COLON = 0x3a
const SPACE = 0x20
const EMPTY = Buffer.alloc(0)
const DATA = Buffer.from('data')
const EVENT = Buffer.from('event')
const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const CARRY_BYTES_FIRST = 1024

const HEAD_BYTES = 256
const TAIL_BYTES = 16 * 1024

/** An unfinished event larger than this is handed on unread. */
export const EVENT_BYTES_MAX = 1024 * 1024

/** One object a stream, filled anew for each event. */
class SplitEvent implements StreamEvent {
  name = ''
  data: Buffer = EMPTY
  #bytes: Buffer = EMPTY
  #from = 0
  #to = 0

  get raw(): Buffer {
    return this.#bytes.subarray(this.#from, this.#to)
  }

  /** Reads the fields of the event that stands in `bytes` from `from` to `to`. `returns`: lines may end in CR. */
  read(bytes: Buffer, from: number, to: number, first: boolean, returns: boolean): void {
    this.#bytes = bytes
    this.#from = from
    this.#to = to
    this.name = ''
    this.data = EMPTY
    let at = first && to - from >= 3 && bytes.compare(BOM, 0, 3, from, from + 3) === 0 ? from + 3 : from
    let joined: Buffer[] | undefined
    let lines = 0
    while (at < to) {
      const end = returns ? lineEnd(bytes, at, to) : lineFeed(bytes, at, to)
      const value = fieldValue(bytes, at, end, DATA)
      if (value >= 0) {
        const line = bytes.subarray(value, end)
        if (lines++ === 0) this.data = line
        else {
          joined ??= [this.data]
          joined.push(line)
        }
      } else {
        const name = fieldValue(bytes, at, end, EVENT)
        if (name >= 0) this.name = bytes.toString('utf8', name, end)
      }
      at = bytes[end] === CR && bytes[end + 1] === LF ? end + 2 : end + 1
    }
    if (joined) this.data = joinLines(joined)
  }
}

export class SseSplitter {
  /** The event found last. */
  readonly event = new SplitEvent()
  /** Where the event found last, or the unfinished one, starts in the chunk. */
  start = 0
  /** Where the event found last ends in the chunk. */
  end = 0
  /** The whole event, where it began in an earlier chunk. */
  joined: Buffer | undefined
  /** The event found last is the rest of one that was too large: its bytes go on, nothing was read. */
  oversized = false
  /** First bytes of an event that was too large. */
  head: Buffer = EMPTY
  readonly #eventBytesMax: number
  #chunk: Buffer = EMPTY
  #at = 0
  #lineEmpty = true
  #afterCarriageReturn = false
  /** A CR was seen in this stream. */
  #returns = false
  #carry: Buffer = EMPTY
  #carried = 0
  #passing = false
  #first = true
  #tail: Buffer = EMPTY
  #tailLength = 0

  constructor(eventBytesMax: number = EVENT_BYTES_MAX) {
    this.#eventBytesMax = eventBytesMax
  }

  /** Last bytes of an event that was too large. */
  get tail(): Buffer {
    return this.#tail.subarray(0, this.#tailLength)
  }

  /**
   * Takes the next chunk. Returns how many of its first bytes still belong to the event before: the LF of a CRLF that
   * was cut in two.
   */
  feed(chunk: Buffer): number {
    this.#chunk = chunk
    this.#at = 0
    this.start = 0
    this.#returns ||= chunk.includes(CR)
    if (!this.#afterCarriageReturn || chunk.length === 0) return 0
    this.#afterCarriageReturn = false
    if (chunk[0] !== LF) return 0
    this.#at = 1
    if (!this.#lineEmpty || this.#carried > 0 || this.#passing) return 0
    this.start = 1
    return 1
  }

  /** Finds the next complete event of the chunk. */
  next(): boolean {
    if (!this.#findBlankLine()) return false
    this.end = this.#at
    this.oversized = this.#passing
    this.joined = undefined
    if (this.oversized) {
      this.#passing = false
      this.#keepTail(this.#chunk.subarray(0, this.end))
    } else if (this.#carried > 0) {
      this.joined = Buffer.concat([this.#carry.subarray(0, this.#carried), this.#chunk.subarray(0, this.end)])
      this.#carried = 0
      this.event.read(this.joined, 0, this.joined.length, this.#first, this.#returns)
    } else this.event.read(this.#chunk, this.start, this.end, this.#first, this.#returns)
    return true
  }

  /** The event was taken: the next one starts behind it. */
  accept(): void {
    this.start = this.end
    this.#first = false
  }

  /** The event was not taken and comes again, with all that follows, in a chunk of its own. */
  reject(): void {
    this.#lineEmpty = true
    this.#afterCarriageReturn = false
  }

  /**
   * At the end of a chunk: keeps the bytes of the unfinished event. Returns those that must go on now, since the event
   * is too large to be kept: none, or what was kept and the rest of the chunk.
   */
  keep(): readonly Buffer[] {
    const rest = this.#chunk.subarray(this.start)
    this.#chunk = EMPTY
    if (rest.length === 0) return []
    if (this.#passing) {
      this.#keepTail(rest)
      return [rest]
    }
    if (this.#carried + rest.length <= this.#eventBytesMax) {
      this.#append(rest)
      return []
    }
    this.#passing = true
    this.#first = false
    const kept = this.takeCarried()
    this.head = Buffer.concat([kept.subarray(0, HEAD_BYTES), rest.subarray(0, HEAD_BYTES)]).subarray(0, HEAD_BYTES)
    this.#tailLength = 0
    this.#keepTail(kept)
    this.#keepTail(rest)
    return kept.length > 0 ? [kept, rest] : [rest]
  }

  /** The bytes of the unfinished event, taken out. */
  takeCarried(): Buffer {
    const kept = Buffer.from(this.#carry.subarray(0, this.#carried))
    this.#carried = 0
    if (this.#carry.length > 64 * 1024) this.#carry = EMPTY
    return kept
  }

  /** Reads bytes that the end of the stream left unfinished as an event. */
  readUnfinished(bytes: Buffer): StreamEvent {
    this.event.read(bytes, 0, bytes.length, this.#first, true)
    return this.event
  }

  /** Moves behind the next blank line; false at the end of the chunk. */
  #findBlankLine(): boolean {
    return this.#returns ? this.#findWithReturns() : this.#findLineFeeds()
  }

  #findLineFeeds(): boolean {
    const chunk = this.#chunk
    for (;;) {
      const end = chunk.indexOf(LF, this.#at)
      if (end < 0) {
        if (this.#at < chunk.length) this.#lineEmpty = false
        this.#at = chunk.length
        return false
      }
      const blank = this.#lineEmpty && end === this.#at
      this.#at = end + 1
      this.#lineEmpty = true
      if (blank) return true
    }
  }

  #findWithReturns(): boolean {
    const chunk = this.#chunk
    while (this.#at < chunk.length) {
      const byte = chunk[this.#at++]
      if (byte !== LF && byte !== CR) {
        this.#lineEmpty = false
        continue
      }
      if (byte === CR) {
        if (this.#at === chunk.length) this.#afterCarriageReturn = true
        else if (chunk[this.#at] === LF) this.#at++
      }
      if (this.#lineEmpty) return true
      this.#lineEmpty = true
    }
    return false
  }

  #keepTail(bytes: Buffer): void {
    if (this.#tail.length === 0) this.#tail = Buffer.allocUnsafe(TAIL_BYTES)
    const added = Math.min(bytes.length, TAIL_BYTES)
    const kept = Math.min(this.#tailLength, TAIL_BYTES - added)
    this.#tail.copyWithin(0, this.#tailLength - kept, this.#tailLength)
    bytes.copy(this.#tail, kept, bytes.length - added)
    this.#tailLength = kept + added
  }

  #append(bytes: Buffer): void {
    const needed = this.#carried + bytes.length
    if (needed > this.#carry.length) {
      const larger = Buffer.allocUnsafe(Math.max(CARRY_BYTES_FIRST, needed, this.#carry.length * 2))
      this.#carry.copy(larger, 0, 0, this.#carried)
      this.#carry = larger
    }
    bytes.copy(this.#carry, this.#carried)
    this.#carried = needed
  }
}

function lineEnd(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at < to; at++) if (bytes[at] === LF || bytes[at] === CR) return at
  return to
}

/** The same where the stream has no CR. */
function lineFeed(bytes: Buffer, from: number, to: number): number {
  const end = bytes.indexOf(LF, from)
  return end < 0 || end > to ? to : end
}

/** Where the value of the line's field starts, if the field is `name`; -1 if it is another. */
function fieldValue(bytes: Buffer, from: number, end: number, name: Buffer): number {
  if (end - from < name.length) return -1
  for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name[i]) return -1
  const colon = from + name.length
  if (colon === end) return end
  if (bytes[colon] !== COLON) return -1
  return bytes[colon + 1] === SPACE && colon + 1 < end ? colon + 2 : colon + 1
}

function joinLines(lines: readonly Buffer[]): Buffer {
  const feed = Buffer.from([LF])
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [feed, line])))
}
