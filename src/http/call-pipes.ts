/** Both sides of an open call, the upstream's and the caller's, and who of them has to wait for the other. */
import type { ErrorFacts } from '../errors.ts'
import type { UpstreamExchange } from '../proxy/upstream.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { CallerAnswer } from './caller-answer.ts'
import type { Settled } from './settlement.ts'
import type { TollgateResponse } from './tollgate-response.ts'
import type { UpstreamAnswer } from './upstream-answer.ts'

export class CallPipes {
  readonly caller: CallerAnswer
  readonly #answer: UpstreamAnswer
  readonly #stopping: () => boolean
  /** Undefined: not sent yet. */
  exchange: UpstreamExchange | undefined
  /** Nothing more comes from the upstream. */
  upstreamDone = false

  /** `stopping`: the gateway takes no new connections, and tells so. */
  constructor(admitted: AdmittedCall, answer: UpstreamAnswer, response: TollgateResponse, stopping: () => boolean) {
    this.caller = new CallerAnswer(response, admitted)
    this.#answer = answer
    this.#stopping = stopping
  }

  write(piece: Buffer): void {
    if (!this.caller.write(piece)) this.exchange?.pause()
  }

  writeAll(pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.write(piece)
  }

  writeHead(settled: Settled | undefined): void {
    const { status, headers } = this.#answer
    this.caller.head(status ?? 502, headers, settled, this.#stopping())
  }

  refuse(facts: ErrorFacts): void {
    this.caller.endWithError(facts, this.#answer.stream)
  }

  pause(): void {
    this.exchange?.pause()
  }

  /** Goes on reading, unless someone else still has to be waited for: the caller, the decoder, the next slice. */
  resume(): void {
    const { decoder, stream } = this.#answer
    const waiting = this.caller.stalled || decoder?.full || stream?.blocked
    if (!waiting) this.exchange?.resume()
  }

  abort(): void {
    this.exchange?.abort()
  }
}
