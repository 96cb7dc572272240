/**
 * Server-sent events: LF, CR, CRLF, mixed, a BOM, comments, several data lines. An event ends with its blank line.
 * Source: html.spec.whatwg.org, "Server-sent events", Interpreting an event stream.
 */
import type { StreamEvent } from '../providers/provider.ts'
import { EMPTY, isJson, Splitter } from './splitter.ts'

const LF = 0x0a
const CR = 0x0d
const COLON = 0x3a
const SPACE = 0x20
const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b
const DATA = Buffer.from('data')
const EVENT = Buffer.from('event')
const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const BLANK_LINE = Buffer.from('\n\n')

export class SseSplitter extends Splitter {
  #lineEmpty = true
  #afterCarriageReturn = false
  /** The event read last has a field `data` or `event`. */
  #fields = false
  /** A CR was seen in this stream. */
  #returns = false

  /** The LF of a CRLF that was cut in two belongs to the event before. */
  override feed(chunk: Buffer): number {
    super.feed(chunk)
    this.#returns ||= chunk.includes(CR)
    if (!this.#afterCarriageReturn || chunk.length === 0) return 0
    this.#afterCarriageReturn = false
    if (chunk[0] !== LF) return 0
    this.at = 1
    if (!this.#lineEmpty || this.carried > 0 || this.passing) return 0
    this.start = 1
    return 1
  }

  override reject(): void {
    this.#lineEmpty = true
    this.#afterCarriageReturn = false
  }

  override readUnfinished(bytes: Buffer): StreamEvent | undefined {
    this.#returns = true
    return this.read(bytes, 0, bytes.length) ? this.event : undefined
  }

  /**
   * To a client an event without its blank line is none. With one, a name or a field `data` without a value would be an
   * event for some of them, and broken JSON.
   */
  override closeUnfinished(bytes: Buffer): readonly Buffer[] | undefined {
    const speaks = this.readUnfinished(bytes) !== undefined
    const whole = speaks ? isJson(this.event.data) : !this.#fields
    return whole ? [bytes, BLANK_LINE] : undefined
  }

  override placeEnding(ending: Buffer): Buffer {
    return this.passing || this.endsOpen ? Buffer.concat([BLANK_LINE, ending]) : ending
  }

  protected override find(): boolean {
    return this.#returns ? this.#findWithReturns() : this.#findLineFeeds()
  }

  /** Reads the fields. */
  protected override read(bytes: Buffer, from: number, to: number): boolean {
    const event = this.event
    event.fill(bytes, from, to)
    let at = this.first && to - from >= 3 && bytes.compare(BOM, 0, 3, from, from + 3) === 0 ? from + 3 : from
    let joined: Buffer[] | undefined
    let lines = 0
    this.#fields = false
    while (at < to) {
      const end = this.#returns ? lineEnd(bytes, at, to) : lineFeed(bytes, at, to)
      const value = fieldValue(bytes, at, end, DATA)
      if (value >= 0) {
        const line = bytes.subarray(value, end)
        this.#fields = true
        if (lines++ === 0) event.data = line
        else {
          joined ??= [event.data]
          joined.push(line)
        }
      } else {
        const name = fieldValue(bytes, at, end, EVENT)
        if (name >= 0) {
          event.name = bytes.toString('utf8', name, end)
          this.#fields = true
        }
      }
      at = bytes[end] === CR && bytes[end + 1] === LF ? end + 2 : end + 1
    }
    if (joined) event.data = joinLines(joined)
    else if (lines === 0) event.data = bareJson(bytes, from, to)
    return event.data.length > 0
  }

  #findLineFeeds(): boolean {
    const chunk = this.chunk
    for (;;) {
      const end = chunk.indexOf(LF, this.at)
      if (end < 0) {
        if (this.at < chunk.length) this.#lineEmpty = false
        this.at = chunk.length
        return false
      }
      const blank = this.#lineEmpty && end === this.at
      this.at = end + 1
      this.#lineEmpty = true
      if (blank) return true
    }
  }

  #findWithReturns(): boolean {
    const chunk = this.chunk
    while (this.at < chunk.length) {
      const byte = chunk[this.at++]
      if (byte !== LF && byte !== CR) {
        this.#lineEmpty = false
        continue
      }
      if (byte === CR) {
        if (this.at === chunk.length) this.#afterCarriageReturn = true
        else if (chunk[this.at] === LF) this.at++
      }
      if (this.#lineEmpty) return true
      this.#lineEmpty = true
    }
    return false
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

/** An error that the provider put into the stream as it was, without a field's name (Vertex AI); to a client it is no event. */
function bareJson(bytes: Buffer, from: number, to: number): Buffer {
  return bytes[from] === OPEN_BRACE || bytes[from] === OPEN_BRACKET ? bytes.subarray(from, to) : EMPTY
}

function joinLines(lines: readonly Buffer[]): Buffer {
  const feed = Buffer.from([LF])
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [feed, line])))
}
