/**
 * A streamed answer on its way to the caller: each event goes on as it comes, as far as the hold pays for it; the terminal
 * one after the settlement is recorded.
 */
import type { StreamMeter } from '../meter/stream-meter.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { costComment, wantsCostComment } from './answer-headers.ts'
import type { CallEnding } from './call-ending.ts'
import { brokenOff } from './call-failures.ts'
import type { CallGuard } from './call-guard.ts'
import type { CallPipes } from './call-pipes.ts'
import { cutError } from './cut-error.ts'
import type { HoldKeeper, SliceRefusal } from './hold-keeper.ts'
import type { Settled } from './settlement.ts'
import type { UpstreamAnswer } from './upstream-answer.ts'

/** After the terminal event, for an upstream that leaves the connection open. */
const LINGER_MS = 2_000

/** What a stream is relayed with, all of one call. */
export interface RelayParts {
  readonly admitted: AdmittedCall
  readonly answer: UpstreamAnswer
  readonly pipes: CallPipes
  readonly ending: CallEnding
  readonly keeper: HoldKeeper
  readonly guard: CallGuard
}

export class StreamRelay {
  readonly #parts: RelayParts
  readonly #stream: StreamMeter
  /** So much delivered, and the next slice is asked for. */
  #askAtTokens: number
  #storedRecorded = false

  constructor(parts: RelayParts, stream: StreamMeter) {
    this.#parts = parts
    this.#stream = stream
    this.#askAtTokens = parts.keeper.askAtTokens(0, stream.allowance)
  }

  push(bytes: Buffer): void {
    this.#parts.pipes.writeAll(this.#stream.push(bytes))
    this.#afterEvents()
  }

  /** The upstream's last byte has come. */
  end(): void {
    const stream = this.#stream
    const { answer, pipes, ending, admitted } = this.#parts
    pipes.writeAll(answer.endStream(stream))
    this.#afterEvents()
    if (ending.ended) pipes.caller.finish([])
    else if (stream.blocked) return
    else if (answer.isWhole(stream)) this.#endWithout()
    else {
      ending.end('upstream_failed')
      pipes.refuse(brokenOff(admitted, false))
    }
  }

  /** This many more output tokens may pass. */
  allow(tokens: number): void {
    const stream = this.#stream
    const { pipes, ending } = this.#parts
    stream.allowance += tokens
    this.#askAtTokens = this.#parts.keeper.askAtTokens(stream.outputTokens, stream.allowance)
    if (!stream.blocked) return
    pipes.writeAll(stream.resume())
    this.#afterEvents()
    if (stream.blocked) return
    if (pipes.upstreamDone && !ending.ended) this.end()
    else pipes.resume()
  }

  /** The money ended: the upstream's socket is closed at once, and the stream ends at what is held. */
  cut(refusal: SliceRefusal | undefined): void {
    const { ending, pipes, admitted } = this.#parts
    if (ending.ended) return
    const settled = ending.end('cut')
    pipes.abort()
    const last =
      admitted.plan.streaming?.onCut === 'error'
        ? this.#stream.errorEvent(cutError(admitted, refusal))
        : this.#stream.cutEnding()
    const comment = this.#costComment(settled)
    pipes.caller.endStream(comment && last ? Buffer.concat([comment, last]) : last)
  }

  linger(): void {
    const { pipes } = this.#parts
    if (pipes.upstreamDone) return
    pipes.abort()
    pipes.caller.finish([])
  }

  /** After events have passed: the ending, if it came; or the next slice, in good time. */
  #afterEvents(): void {
    const stream = this.#stream
    const { ending, pipes, keeper } = this.#parts
    if (!this.#storedRecorded && stream.facts.storedId !== undefined) this.#stored(stream.facts.storedId)
    if (ending.ended) {
      pipes.writeAll(stream.takeAfterTerminal())
    } else if (stream.terminal) {
      this.#terminalEvent(stream.terminal)
    } else if (stream.blocked) {
      pipes.pause()
      keeper.wait()
    } else if (stream.outputTokens >= this.#askAtTokens) {
      keeper.askEarly()
    }
  }

  /** At once: its owner may ask for the answer before the stream ends. */
  #stored(storedId: string): void {
    const { ending, pipes } = this.#parts
    this.#storedRecorded = true
    ending.recordObject(storedId, 0)
    const { job, model } = this.#stream.facts
    if (!job) return
    ending.goOn(job, model)
    if (!pipes.caller.gone || ending.ended) return
    ending.end('client_gone')
    pipes.abort()
  }

  #terminalEvent(terminal: Buffer): void {
    const { ending, pipes, guard } = this.#parts
    const comment = this.#costComment(ending.end('complete'))
    if (comment) pipes.write(comment)
    pipes.write(terminal)
    pipes.writeAll(this.#stream.takeAfterTerminal())
    setTimeout(onLinger, LINGER_MS, guard).unref()
  }

  /** Some formats have no terminal event that the cost could stand before; behind an error nothing follows. */
  #endWithout(): void {
    const { ending, pipes } = this.#parts
    const comment = this.#costComment(ending.end('complete'))
    const last = comment && !this.#stream.failed ? this.#stream.place(comment) : undefined
    pipes.caller.finish(last ? [last] : [])
  }

  /** Only server-sent events have comments. */
  #costComment(settled: Settled | undefined): Buffer | undefined {
    const { answer, admitted } = this.#parts
    return settled && answer.isSse && wantsCostComment(admitted) ? costComment(admitted, settled) : undefined
  }
}

function onLinger(call: CallGuard): void {
  call.onLinger()
}
