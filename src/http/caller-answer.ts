/** The caller's side of a call: its answer as it is written, and how it ends, once. */
import type { ErrorFacts } from '../errors.ts'
import type { StreamMeter } from '../meter/stream-meter.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { moneyHeaders, tollgateHeaders } from './answer-headers.ts'
import type { Settled } from './settlement.ts'
import type { TollgateResponse } from './tollgate-response.ts'
import { writeError } from './write-error.ts'

/** A caller that takes not one byte for so long has gone; a slow one is left alone. */
const STALLED_MS = 60_000

export class CallerAnswer {
  readonly #response: TollgateResponse
  readonly #admitted: AdmittedCall
  /** The caller has gone: nothing more is written. */
  gone = false
  /** The caller's socket takes nothing more for now. */
  stalled = false
  #ended = false

  constructor(response: TollgateResponse, admitted: AdmittedCall) {
    this.#response = response
    this.#admitted = admitted
  }

  get headersSent(): boolean {
    return this.#response.headersSent
  }

  /** `closing`: the connection serves no further request. */
  head(status: number, headers: string[], settled: Settled | undefined, closing: boolean): void {
    for (const item of tollgateHeaders(this.#admitted, settled)) headers.push(item)
    if (closing) headers.push('connection', 'close')
    this.#response.writeHead(status, headers)
  }

  flushHead(): void {
    this.#response.flushHeaders()
  }

  /** False: the caller is full, and `onDrain` follows. */
  write(piece: Buffer): boolean {
    if (this.gone || this.#ended || this.#response.destroyed || this.#response.write(piece)) return true
    this.stalled = true
    this.#awaitReading()
    return false
  }

  drained(): void {
    this.stalled = false
    this.#response.socket?.setTimeout(0)
  }

  finish(last: readonly Buffer[]): void {
    if (this.gone || this.#ended) return
    this.#ended = true
    for (const piece of last) this.#response.write(piece)
    this.#awaitReading()
    this.#response.end()
  }

  /** Undefined: nothing can follow what was written, so the connection ends behind it, and the answer does not. */
  endStream(last: Buffer | undefined): void {
    if (last) this.finish([last])
    else if (!this.gone && !this.#ended) {
      this.#ended = true
      this.#awaitReading()
      // What was written in this turn reaches the socket at its end.
      setImmediate(endSocket, this.#response)
    }
  }

  /** Where the answer has begun, an error event ends a stream, and a cut connection everything else. */
  endWithError(facts: ErrorFacts, stream: StreamMeter | undefined): void {
    if (this.gone || this.#ended) return
    if (this.headersSent) this.endStream(stream?.errorEvent(facts))
    else {
      this.#ended = true
      writeError(this.#response, this.#admitted.provider, facts, moneyHeaders(this.#admitted, undefined))
    }
  }

  /** Nobody waits for an end that will not come. */
  destroyUnlessEnded(): void {
    if (!this.#response.writableEnded) this.#response.destroy()
  }

  leave(): void {
    this.gone = true
    this.stalled = false
    this.#response.destroy()
  }

  /** Node closes a socket whose peer takes nothing for so long. */
  #awaitReading(): void {
    this.#response.socket?.setTimeout(STALLED_MS)
  }
}

function endSocket(response: TollgateResponse): void {
  response.socket?.destroySoon()
}
