/**
 * The meter reads usage beside the bytes and hands the same bytes on. It knows no prices and cannot break a call:
 * what it cannot read costs accuracy, is flagged, and never the client's bytes. Its memory is bounded.
 */
import type { ErrorFacts } from '../errors.ts'
import type { AnswerFacts } from '../providers/provider.ts'

/** An answer in events, one a call. Made by `new StreamMeter(reader, options)` in stream-meter.ts. */
export interface StreamMeterShape {
  /**
   * Output tokens that may pass. When an event would go beyond, the meter blocks: that event and all after it are
   * kept back until `allowance` is raised and `resume()` called. Infinity without slices.
   */
  allowance: number
  /** Feeds bytes as they came (decoded). Returns what goes to the client now, in order; subarrays, not copies. */
  push(chunk: Buffer): readonly Buffer[]
  /** After allowance was raised. */
  resume(): readonly Buffer[]
  /**
   * The body ended: returns what was kept back of a last event without its end. Where the stream is not whole (an error
   * event of ours must follow), half an event is left out and anything else closed. `framed`: the body's end was said,
   * and not a connection that closed.
   */
  end(framed?: boolean): readonly Buffer[]
  /** An event is kept back for want of allowance: the caller stops reading the upstream. */
  readonly blocked: boolean
  /** The terminal event, kept back: written by the caller once the settlement is recorded. */
  readonly terminal: Buffer | undefined
  /** Bytes that came after the terminal event so far, taken out by this call. */
  takeAfterTerminal(): readonly Buffer[]
  /**
   * The reader's ending for a cut, as it can follow the bytes that were handed on (in a JSON array behind a comma and
   * before the bracket). Undefined: they stopped in the middle of an event that nothing can follow.
   */
  cutEnding(): Buffer | undefined
  /** The same for an error. */
  errorEvent(error: ErrorFacts): Buffer | undefined
  readonly facts: AnswerFacts
  readonly outputTokens: number
  readonly finished: boolean
  readonly failed: boolean
  /** Something could not be read (an event beyond the bound, broken JSON where usage may have been). */
  readonly unread: boolean
}

/** A whole JSON answer, one a call: collects the named members as bytes pass, whatever the size. */
export interface JsonMeterShape {
  push(chunk: Buffer): void
  /** After the last byte. Members that were found and could be parsed; a member over the bound is left out. */
  end(): Readonly<Record<string, unknown>>
  readonly unread: boolean
}
