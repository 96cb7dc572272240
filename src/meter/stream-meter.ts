/**
 * Meters one event stream while its bytes go on. Events that pass in a row are handed on as one part of the chunk they
 * came in; only an event that was cut by a chunk's end is put together again.
 */
import type { ErrorFacts } from '../errors.ts'
import type { AnswerFacts, EventVerdict, Framing, StreamEvent, StreamReader } from '../providers/provider.ts'
import { ArraySplitter } from './array-splitter.ts'
import { FrameSplitter } from './frame-splitter.ts'
import { LineSplitter } from './line-splitter.ts'
import type { StreamMeterShape } from './meter-types.ts'
import type { Splitter } from './splitter.ts'
import { SseSplitter } from './sse-splitter.ts'

const SPLITTERS: { readonly [framing in Framing]: new (eventBytesMax?: number) => Splitter } = {
  sse: SseSplitter,
  ndjson: LineSplitter,
  json_array: ArraySplitter,
  aws_eventstream: FrameSplitter,
}

export interface StreamMeterOptions {
  /** How the stream is cut into events; default sse. */
  readonly framing?: Framing
  /** An unfinished event beyond this is handed on unread; default 1 MiB. */
  readonly eventBytesMax?: number
}

export class StreamMeter implements StreamMeterShape {
  allowance = Number.POSITIVE_INFINITY
  blocked = false
  terminal: Buffer | undefined
  readonly #reader: StreamReader
  readonly #splitter: Splitter
  /** What came while blocked, the event that blocked first. */
  #backlog: Buffer[] = []
  #afterTerminal: Buffer[] = []
  #lastVerdict: EventVerdict = 'pass'
  #ended = false
  #framed = true
  #unreadable = false

  constructor(reader: StreamReader, options: StreamMeterOptions = {}) {
    this.#reader = reader
    this.#splitter = new SPLITTERS[options.framing ?? 'sse'](options.eventBytesMax)
  }

  get facts(): AnswerFacts {
    return this.#reader.facts
  }

  get outputTokens(): number {
    return this.#reader.outputTokens
  }

  get finished(): boolean {
    return this.#reader.finished
  }

  get failed(): boolean {
    return this.#reader.failed
  }

  get unread(): boolean {
    return this.#unreadable || this.#splitter.unreadable || this.#reader.unreadable
  }

  push(chunk: Buffer): readonly Buffer[] {
    if (this.blocked) {
      this.#backlog.push(chunk)
      return []
    }
    const out: Buffer[] = []
    this.#read(chunk, out)
    return out
  }

  resume(): readonly Buffer[] {
    if (!this.blocked) return []
    const waiting = this.#backlog
    const out: Buffer[] = []
    this.blocked = false
    this.#backlog = []
    for (const chunk of waiting) {
      if (this.blocked) this.#backlog.push(chunk)
      else this.#read(chunk, out)
    }
    if (this.#ended && !this.blocked) this.#finish(out)
    return out
  }

  end(framed = true): readonly Buffer[] {
    const out: Buffer[] = []
    this.#ended = true
    this.#framed = framed
    if (!this.blocked) this.#finish(out)
    return out
  }

  takeAfterTerminal(): readonly Buffer[] {
    const after = this.#afterTerminal
    this.#afterTerminal = []
    return after
  }

  #read(chunk: Buffer, out: Buffer[]): void {
    if (this.terminal) {
      this.#afterTerminal.push(chunk)
      return
    }
    const splitter = this.#splitter
    const trailing = splitter.feed(chunk)
    // The second half of a line end goes where the event before it went.
    let run = trailing > 0 && this.#lastVerdict === 'drop' ? trailing : 0
    while (splitter.next()) {
      const verdict = splitter.oversized
        ? this.#readOversized()
        : splitter.closing
          ? 'terminal'
          : splitter.speaks
            ? this.#judge(splitter.event)
            : 'pass'
      if (verdict === undefined) {
        this.#block(chunk, run, out)
        return
      }
      this.#lastVerdict = verdict
      run = this.#putAside(verdict, chunk, run, out)
      splitter.accept()
      if (verdict === 'terminal') return
    }
    if (splitter.start > run) out.push(chunk.subarray(run, splitter.start))
    const overflow = splitter.keep()
    if (overflow.length === 0) return
    this.#unreadable = true
    out.push(...overflow)
  }

  /** Puts the event's bytes where they go; returns where the next run of passing bytes starts. */
  #putAside(verdict: EventVerdict, chunk: Buffer, run: number, out: Buffer[]): number {
    const { start, end, joined } = this.#splitter
    if (verdict === 'pass') {
      if (!joined) return run
      out.push(joined)
      return end
    }
    if (start > run) out.push(chunk.subarray(run, start))
    if (verdict === 'terminal') {
      this.terminal = joined ?? chunk.subarray(start, end)
      if (end < chunk.length) this.#afterTerminal.push(chunk.subarray(end))
    }
    return end
  }

  #block(chunk: Buffer, run: number, out: Buffer[]): void {
    const { start, end, joined } = this.#splitter
    if (start > run) out.push(chunk.subarray(run, start))
    this.blocked = true
    if (joined) this.#backlog.push(joined, chunk.subarray(end))
    else this.#backlog.push(chunk.subarray(start))
    this.#splitter.reject()
  }

  /** undefined: the allowance does not cover the event. What a reader cannot take costs accuracy, never the bytes. */
  #judge(event: StreamEvent): EventVerdict | undefined {
    try {
      if (!this.#allows(event)) return undefined
      const verdict = this.#reader.onEvent(event)
      return verdict === 'drop' && !this.#splitter.droppable ? 'pass' : verdict
    } catch {
      this.#unreadable = true
      return 'pass'
    }
  }

  /** Its beginning has gone on long ago; without its last bytes it is no event to a client. */
  #readOversized(): EventVerdict {
    try {
      this.#reader.onOversized(this.#splitter.head, this.#splitter.tail)
      return this.#reader.oversizedEnd === true ? 'terminal' : 'pass'
    } catch {
      this.#unreadable = true
      return 'pass'
    }
  }

  #allows(event: StreamEvent): boolean {
    if (this.allowance === Number.POSITIVE_INFINITY) return true
    const tokens = this.#reader.textTokens(event)
    return tokens === 0 || this.#reader.outputTokens + tokens <= this.allowance
  }

  /**
   * An event that the end of the stream left unfinished is none to a client, but what it says of usage is true. Where
   * the stream broke off there, an error event of ours follows: half an event is left out, anything else is closed.
   */
  #finish(out: Buffer[]): void {
    const splitter = this.#splitter
    const rest = splitter.takeCarried()
    if (rest.length === 0 || this.terminal) return
    const event = splitter.readUnfinished(rest)
    const verdict = event ? this.#judge(event) : 'pass'
    if (verdict === undefined) {
      this.blocked = true
      this.#backlog.push(rest)
      splitter.reject()
    } else if (verdict === 'terminal') this.terminal = rest
    else if (verdict === 'pass') this.#passUnfinished(rest, out)
  }

  #passUnfinished(rest: Buffer, out: Buffer[]): void {
    const splitter = this.#splitter
    if (this.#reader.finished || this.#reader.failed || (this.#reader.endsByFraming && this.#framed)) {
      splitter.endsOpen = true
      out.push(rest)
      return
    }
    const closed = splitter.closeUnfinished(rest)
    if (closed) out.push(...closed)
    else this.#unreadable = true
  }

  /** Bytes of ours as they can follow what was handed on. */
  place(ending: Buffer): Buffer | undefined {
    return this.#splitter.placeEnding(ending)
  }

  cutEnding(): Buffer | undefined {
    return this.#written(() => this.#reader.cutEnding())
  }

  errorEvent(error: ErrorFacts): Buffer | undefined {
    return this.#written(() => this.#reader.errorEvent(error))
  }

  #written(write: () => Buffer): Buffer | undefined {
    try {
      return this.place(write())
    } catch {
      this.#unreadable = true
      return undefined
    }
  }
}
