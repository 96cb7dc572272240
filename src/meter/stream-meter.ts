/**
 * Meters one event stream while its bytes go on. Events that pass in a row are handed on as one part of the chunk they
 * came in; only an event that was cut by a chunk's end is put together again.
 */
import type { AnswerFacts, EventVerdict, Framing, StreamEvent, StreamReader } from '../providers/provider.ts'
import type { StreamMeterShape } from './meter-types.ts'
import { SseSplitter } from './sse-splitter.ts'

const BLANK_LINE = Buffer.from('\n\n')

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
  readonly #splitter: SseSplitter
  /** What came while blocked, the event that blocked first. */
  #backlog: Buffer[] = []
  #afterTerminal: Buffer[] = []
  #lastVerdict: EventVerdict = 'pass'
  #ended = false
  #unreadable = false

  constructor(reader: StreamReader, options: StreamMeterOptions = {}) {
    this.#reader = reader
    this.#splitter = new SseSplitter(options.eventBytesMax)
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
    return this.#unreadable || this.#reader.unreadable
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

  end(): readonly Buffer[] {
    const out: Buffer[] = []
    this.#ended = true
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
      if (splitter.oversized) {
        this.#lastVerdict = 'pass'
        this.#readOversized()
        splitter.accept()
        continue
      }
      const verdict = this.#judge(splitter.event)
      if (verdict === undefined) {
        this.#block(chunk, run, out)
        return
      }
      this.#lastVerdict = verdict
      run = this.#place(verdict, chunk, run, out)
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
  #place(verdict: EventVerdict, chunk: Buffer, run: number, out: Buffer[]): number {
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
    if (event.data.length === 0) return 'pass'
    try {
      if (!this.#allows(event)) return undefined
      return this.#reader.onEvent(event)
    } catch {
      this.#unreadable = true
      return 'pass'
    }
  }

  #readOversized(): void {
    try {
      this.#reader.onOversized(this.#splitter.head, this.#splitter.tail)
    } catch {
      this.#unreadable = true
    }
  }

  #allows(event: StreamEvent): boolean {
    if (this.allowance === Number.POSITIVE_INFINITY) return true
    const tokens = this.#reader.textTokens(event)
    return tokens === 0 || this.#reader.outputTokens + tokens <= this.allowance
  }

  /**
   * A last event without its blank line is no event to a client, but what it says of usage is true. Where the stream
   * broke off there, an error event of ours follows: half an event is left out, anything else is closed before it.
   */
  #finish(out: Buffer[]): void {
    const rest = this.#splitter.takeCarried()
    if (rest.length === 0 || this.terminal) return
    const event = this.#splitter.readUnfinished(rest)
    const verdict = this.#judge(event)
    if (verdict === undefined) {
      this.blocked = true
      this.#backlog.push(rest)
      this.#splitter.reject()
    } else if (verdict === 'terminal') this.terminal = rest
    else if (verdict === 'drop') return
    else if (this.#isWhole) out.push(rest)
    else if (event.data.length === 0 || isJson(event.data)) out.push(rest, BLANK_LINE)
    else this.#unreadable = true
  }

  get #isWhole(): boolean {
    return this.#reader.finished || this.#reader.failed || this.#reader.endsByFraming
  }
}

function isJson(data: Buffer): boolean {
  try {
    JSON.parse(data.toString())
    return true
  } catch {
    return false
  }
}
