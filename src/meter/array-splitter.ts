/**
 * One JSON array in pieces, as Gemini streams without `alt=sse`: the data of an event is one element of the array,
 * whatever stands between them. A comma, and the opening bracket, belong to the element behind it; blanks behind an
 * element go on at once. The closing bracket is the stream's terminal event.
 */
import type { StreamEvent } from '../providers/provider.ts'
import { isBlank } from './json-blank.ts'
import { EMPTY, Splitter } from './splitter.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN = 0x5b
const CLOSE = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** before: no bracket yet. between: in front of an element. nested, string, scalar: in one, by its kind. */
type State = 'before' | 'between' | 'nested' | 'string' | 'scalar'

export class ArraySplitter extends Splitter {
  /** Its comma would stay. */
  override readonly droppable = false
  #state: State = 'before'
  /** Brackets open inside the element. */
  #depth = 0
  #inString = false
  #escaped = false
  /** Bytes of the event in front of its element. */
  #prefix = 0
  /** The bracket was handed on. */
  #opened = false
  /** No array, but a value alone: nothing of ours can follow it. */
  #bare = false
  #closed = false

  override accept(): void {
    super.accept()
    this.#opened = true
    this.#state = 'between'
  }

  override reject(): void {
    this.#state = this.#opened ? 'between' : 'before'
    this.closing = false
    this.#closed = false
  }

  override readUnfinished(bytes: Buffer): StreamEvent | undefined {
    if (!this.#inElement) return undefined
    this.event.fill(bytes, 0, bytes.length)
    this.event.data = bytes.subarray(this.#prefix)
    return this.event
  }

  /** The bracket and the comma come with what follows. */
  override closeUnfinished(): readonly Buffer[] | undefined {
    return this.#inElement ? undefined : []
  }

  /** `ending`: elements with commas between them. */
  override placeEnding(ending: Buffer): Buffer | undefined {
    if (this.passing || this.endsOpen || this.#bare || this.#closed) return undefined
    const before = this.#opened ? (ending.length > 0 ? ',' : '') : '['
    return Buffer.concat([Buffer.from(before), ending, Buffer.from(']\n')])
  }

  get #inElement(): boolean {
    return this.#state !== 'before' && this.#state !== 'between'
  }

  protected override find(): boolean {
    if (this.#closed) this.at = this.start = this.chunk.length
    while (this.at < this.chunk.length) {
      if (this.#inElement ? this.#endElement() : this.#beginElement()) return true
    }
    return false
  }

  protected override read(bytes: Buffer, from: number, to: number): boolean {
    this.event.fill(bytes, from, to)
    this.event.data = this.closing ? EMPTY : bytes.subarray(from + this.#prefix, to)
    return !this.closing
  }

  /** True where the array ended instead. */
  #beginElement(): boolean {
    const at = this.at++
    const byte = this.chunk[at] as number
    if (this.#state === 'before') this.#open(byte, at)
    else if (byte === CLOSE && !this.#bare) {
      this.closing = true
      this.#closed = true
      return true
    } else if (isBlank(byte)) {
      if (this.carried === 0 && this.start === at && this.#opened) this.start = this.at
    } else if (byte !== COMMA) this.#enter(byte, at)
    return false
  }

  #open(byte: number, at: number): void {
    if (byte === OPEN) this.#state = 'between'
    else if (byte === OPEN_BRACE) {
      this.#bare = true
      this.#enter(byte, at)
    } else if (!isBlank(byte) && byte !== 0xef && byte !== 0xbb && byte !== 0xbf) {
      this.at = this.chunk.length
      this.giveUp()
    }
  }

  #enter(byte: number, at: number): void {
    this.#prefix = this.carried + at - this.start
    this.#depth = byte === OPEN || byte === OPEN_BRACE ? 1 : 0
    this.#state = this.#depth > 0 ? 'nested' : byte === QUOTE ? 'string' : 'scalar'
    this.#inString = byte === QUOTE
    this.#escaped = false
  }

  #endElement(): boolean {
    if (this.#inString) return this.#endString()
    return this.#state === 'scalar' ? this.#endScalar() : this.#endNested()
  }

  /** Runs to the closing quote. */
  #endString(): boolean {
    const chunk = this.chunk
    while (this.at < chunk.length) {
      const byte = chunk[this.at++]
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) {
        this.#inString = false
        return this.#state === 'string'
      }
    }
    return false
  }

  #endNested(): boolean {
    const chunk = this.chunk
    while (this.at < chunk.length) {
      const byte = chunk[this.at++]
      if (byte === QUOTE) {
        this.#inString = true
        this.#escaped = false
        return false
      }
      if (byte === OPEN || byte === OPEN_BRACE) this.#depth++
      else if ((byte === CLOSE || byte === CLOSE_BRACE) && --this.#depth === 0) return true
    }
    return false
  }

  /** A number or a word ends in front of what stands behind it. */
  #endScalar(): boolean {
    const chunk = this.chunk
    while (this.at < chunk.length) {
      const byte = chunk[this.at] as number
      if (byte === COMMA || byte === CLOSE || isBlank(byte)) return true
      this.at++
    }
    return false
  }
}
