/**
 * Cuts a byte stream into events without changing it, at whatever bytes its chunks end. Pull: `feed` a chunk, `next`
 * until false, `keep` what is unfinished. How an event ends and how it is read is each framing's own.
 */
import type { StreamEvent } from '../providers/provider.ts'
import { Tail } from './tail.ts'

export const EMPTY = Buffer.alloc(0)
const CARRY_BYTES_FIRST = 1024
/** A carry larger than this is given back when its event is done. */
const CARRY_BYTES_KEPT = 64 * 1024
const HEAD_BYTES = 256
const TAIL_BYTES = 16 * 1024

/** An unfinished event larger than this is handed on unread. */
const EVENT_BYTES_MAX = 1024 * 1024

/** One object a stream, filled anew for each event. */
export class SplitEvent implements StreamEvent {
  name = ''
  data: Buffer = EMPTY
  #bytes: Buffer = EMPTY
  #from = 0
  #to = 0

  get raw(): Buffer {
    return this.#bytes.subarray(this.#from, this.#to)
  }

  fill(bytes: Buffer, from: number, to: number): void {
    this.#bytes = bytes
    this.#from = from
    this.#to = to
    this.name = ''
    this.data = EMPTY
  }
}

export abstract class Splitter {
  /** The event found last. */
  readonly event = new SplitEvent()
  /** Where the event found last, or the unfinished one, starts in the chunk. */
  start = 0
  /** Where the event found last ends in the chunk. */
  end = 0
  /** The whole event, where it began in an earlier chunk. */
  joined: Buffer | undefined
  /** The event found last says something to a reader; a comment or a blank line does not. */
  speaks = false
  /** The event found last is the rest of one that was too large: its bytes go on, nothing was read. */
  oversized = false
  /** The event found last closes the stream by the framing's own rules: a JSON array's bracket. */
  closing = false
  /** An event can be taken out and the rest is still whole. */
  readonly droppable: boolean = true
  /** First bytes of an event that was too large. */
  head: Buffer = EMPTY
  /** Bytes that belong to no event, or an event that contradicts itself, went by. */
  unreadable = false
  /** The end of the stream was handed on in the middle of an event. */
  endsOpen = false
  protected chunk: Buffer = EMPTY
  /** Behind what was looked at of the chunk. */
  protected at = 0
  /** Bytes of the unfinished event that came in earlier chunks and are kept. */
  protected carried = 0
  /** The first event of the stream is still to come. */
  protected first = true
  /** The unfinished event is too large to be kept: its bytes go on as they come. */
  protected passing = false
  readonly #eventBytesMax: number
  #carry: Buffer = EMPTY
  #lost = false
  readonly #tail = new Tail(TAIL_BYTES)

  constructor(eventBytesMax: number = EVENT_BYTES_MAX) {
    this.#eventBytesMax = eventBytesMax
  }

  /** Moves `at` behind the event's end; false at the end of the chunk. */
  protected abstract find(): boolean

  /** Fills `event` from the bytes of a whole event; whether it says something to a reader. */
  protected abstract read(bytes: Buffer, from: number, to: number): boolean

  /** The event was not taken and comes again, with all that follows, in a chunk of its own. */
  abstract reject(): void

  /** Reads bytes that the end of the stream left unfinished; undefined: they say nothing. */
  abstract readUnfinished(bytes: Buffer): StreamEvent | undefined

  /** Those bytes made whole, so that an event of ours can follow; undefined: half an event, which must be left out. */
  abstract closeUnfinished(bytes: Buffer): readonly Buffer[] | undefined

  /** An ending of ours as it can follow what was handed on; undefined: nothing can follow, as that stopped midway. */
  abstract placeEnding(ending: Buffer): Buffer | undefined

  /** Last bytes of an event that was too large. */
  get tail(): Buffer {
    return this.#tail.bytes
  }

  /** Takes the next chunk. Returns how many of its first bytes still belong to the event before. */
  feed(chunk: Buffer): number {
    this.chunk = chunk
    this.at = 0
    this.start = 0
    return 0
  }

  /** Finds the next complete event of the chunk. */
  next(): boolean {
    if (this.#lost || !this.find()) return false
    this.end = this.at
    this.oversized = this.passing
    this.joined = undefined
    if (this.oversized) {
      this.passing = false
      this.#tail.push(this.chunk.subarray(0, this.end))
    } else if (this.carried > 0) {
      this.joined = Buffer.concat([this.#carry.subarray(0, this.carried), this.chunk.subarray(0, this.end)])
      this.carried = 0
      this.speaks = this.read(this.joined, 0, this.joined.length)
    } else this.speaks = this.read(this.chunk, this.start, this.end)
    return true
  }

  /** The event was taken: the next one starts behind it. */
  accept(): void {
    this.start = this.end
    this.first = false
    this.closing = false
  }

  /**
   * At the end of a chunk: keeps the bytes of the unfinished event. Returns those that must go on now, since the event
   * is too large to be kept: none, or what was kept and the rest of the chunk.
   */
  keep(): readonly Buffer[] {
    const rest = this.chunk.subarray(this.start)
    this.chunk = EMPTY
    if (rest.length === 0 && (this.carried === 0 || !this.#lost)) return []
    if (this.passing) {
      this.#tail.push(rest)
      return [rest]
    }
    if (!this.#lost && this.carried + rest.length <= this.#eventBytesMax) {
      this.#append(rest)
      return []
    }
    this.passing = true
    this.first = false
    const kept = this.takeCarried()
    this.head = Buffer.concat([kept.subarray(0, HEAD_BYTES), rest.subarray(0, HEAD_BYTES)]).subarray(0, HEAD_BYTES)
    this.#tail.clear()
    this.#tail.push(kept)
    this.#tail.push(rest)
    return kept.length > 0 ? [kept, rest] : [rest]
  }

  /** The bytes of the unfinished event, taken out. */
  takeCarried(): Buffer {
    const kept = Buffer.from(this.#carry.subarray(0, this.carried))
    this.carried = 0
    if (this.#carry.length > CARRY_BYTES_KEPT) this.#carry = EMPTY
    return kept
  }

  /** These are no events of this framing: all that is left goes on unread. */
  protected giveUp(): void {
    this.#lost = true
    this.unreadable = true
  }

  /** A byte of the unfinished event, wherever it is kept. */
  protected byteAt(offset: number): number {
    return offset < this.carried
      ? (this.#carry[offset] as number)
      : (this.chunk[this.start + offset - this.carried] as number)
  }

  #append(bytes: Buffer): void {
    const needed = this.carried + bytes.length
    if (needed > this.#carry.length) {
      const larger = Buffer.allocUnsafe(Math.max(CARRY_BYTES_FIRST, needed, this.#carry.length * 2))
      this.#carry.copy(larger, 0, 0, this.carried)
      this.#carry = larger
    }
    bytes.copy(this.#carry, this.carried)
    this.carried = needed
  }
}

/** Whether the bytes are one whole JSON value. */
export function isJson(data: Buffer): boolean {
  try {
    JSON.parse(data.toString())
    return true
  } catch {
    return false
  }
}
