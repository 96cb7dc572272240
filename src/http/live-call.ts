/**
 * A call from the moment it is sent to its end: the upstream's bytes to the caller, the meter beside them, and exactly
 * one ending, which is recorded before the caller sees the last event. Here is what follows on what; upstream-answer.ts
 * reads what comes, caller-answer.ts writes what goes, hold-keeper.ts keeps the hold, call-ending.ts ends the money.
 */
import type { IncomingMessage } from 'node:http'
import type { Atoms } from '../core/money.ts'
import { NoCredential } from '../proxy/credentials/upstream-credentials.ts'
import { upstreamRequestHeaders } from '../proxy/headers.ts'
import { targetPath, type UpstreamFailure, type UpstreamRequest } from '../proxy/upstream.ts'
import { type Cut, isCut } from '../wallet/cuts.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { AnswerHead } from './answer-head.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { CallEnding } from './call-ending.ts'
import { brokenOff, failure, gatewayFault, noAnswer, redirected, stoppedByHand, stopping } from './call-failures.ts'
import { CallGuard, type GuardedCall } from './call-guard.ts'
import { CallPipes } from './call-pipes.ts'
import type { Ending } from './decide-end.ts'
import { decideHangUp } from './decide-hang-up.ts'
import { HoldKeeper, type SliceRefusal } from './hold-keeper.ts'
import { knownAtoms, knownTokens } from './settlement.ts'
import { StreamRelay } from './stream-relay.ts'
import type { TollgateResponse } from './tollgate-response.ts'
import { NO_FACTS, UpstreamAnswer } from './upstream-answer.ts'

/** Progress is recorded at most this often; a crash loses no more than that of a stream's charge. */
const PROGRESS_EVERY_MS = 1_000

export class LiveCall implements GuardedCall {
  readonly admitted: AdmittedCall
  readonly #deps: CallDependencies
  readonly #request: IncomingMessage
  readonly #response: TollgateResponse
  /** What the outside is given in place of this. */
  readonly #guard = new CallGuard(this)
  readonly #keeper: HoldKeeper
  readonly #answer: UpstreamAnswer
  readonly #pipes: CallPipes
  readonly #ending: CallEnding
  /** Of a stream, once it has begun. */
  #relay: StreamRelay | undefined
  /** Of a whole answer: what the caller does not have yet. */
  #kept: Buffer[] = []
  #keptBytes = 0
  #drainDeadlineMs = Number.POSITIVE_INFINITY
  #drainedBytes = 0
  #progressAtMs: number
  #progressBytes = 0

  constructor(deps: CallDependencies, admitted: AdmittedCall, request: IncomingMessage, response: TollgateResponse) {
    this.#deps = deps
    this.admitted = admitted
    this.#request = request
    this.#response = response
    const keeper = new HoldKeeper(deps, admitted, this.#guard)
    const answer = new UpstreamAnswer(admitted)
    this.#keeper = keeper
    this.#answer = answer
    this.#pipes = new CallPipes(admitted, answer, response, deps.stopping)
    this.#ending = new CallEnding(deps, {
      admitted,
      answer,
      keeper,
      guard: this.#guard,
      rawHeaders: request.rawHeaders,
    })
    this.#progressAtMs = admitted.startedAtMs
  }

  /** Sends the call. Its hold stands; whatever happens from here on ends in CallEnding.end. */
  start(path: string, query: string): void {
    const deps = this.#deps
    this.#response.own(this.#guard)
    if (this.#response.destroyed) {
      this.#pipes.caller.gone = true
      this.#ending.end('never_sent')
      return
    }
    deps.openCalls.add(this.#guard)
    try {
      this.#send(path, query)
    } catch (error) {
      this.fail(error)
    }
  }

  #send(path: string, query: string): void {
    const { admitted } = this
    const { limits } = admitted.snapshot.settings
    const accepted = this.#request.headers['accept-encoding']
    // A stream is edited on its way, so it is asked for uncompressed; a JSON answer passes as the caller wants it.
    const encoding = admitted.call.stream || typeof accepted !== 'string' ? undefined : accepted
    const request: UpstreamRequest = {
      method: this.#request.method ?? 'POST',
      path: targetPath(admitted.upstream, path, query),
      headers: upstreamRequestHeaders(this.#request.rawHeaders, admitted.upstream, encoding),
      body: admitted.body,
      firstByteMs: admitted.call.stream ? limits.upstreamFirstByteStreamMs : limits.upstreamFirstByteJsonMs,
    }
    this.#ending.sentMonotonicMs = performance.now()
    this.#deps.metrics.overhead(
      'admit',
      (this.#ending.sentMonotonicMs - admitted.startedMonotonicMs - admitted.uploadMs) / 1000,
    )
    const pending = this.#deps.credentials.authorize(admitted.upstream, request)
    if (pending === undefined) this.onAuthorized(request)
    else
      pending.then(
        () => this.#guard.onAuthorized(request),
        (error: unknown) => this.#guard.onUnauthorized(error),
      )
  }

  onAuthorized(request: UpstreamRequest): void {
    // Its caller has gone, or the gateway stops: it was never sent.
    if (this.#ending.ended) return
    const { admitted } = this
    const deps = this.#deps
    deps.outbox.dispatched(admitted.terms)
    this.#ending.sentMonotonicMs = performance.now()
    this.#pipes.exchange = deps.pools.send(admitted.upstream, request, this.#guard)
  }

  onUnauthorized(error: unknown): void {
    if (this.#ending.ended) return
    if (!(error instanceof NoCredential)) throw error
    this.#ending.end('never_sent')
    this.#pipes.refuse(failure(this.admitted, 'upstream_unreachable', error.message))
  }

  // The upstream's side.

  onHead(status: number, raw: readonly Buffer[]): void {
    if (status === 401 || status === 403) this.#deps.credentials.refused(this.admitted.upstream)
    const head = this.#answer.takeHead(status, raw)
    if (head.kind === 'redirect') this.#redirected(status)
    else if (head.kind === 'stream') this.#beginStream(head)
    else this.#beginWhole(head)
  }

  onData(chunk: Buffer): void {
    if (this.#pipes.upstreamDone) return
    const answer = this.#answer
    answer.bodyBytes += chunk.length
    if (this.#pipes.caller.gone && !this.#mayDrain(chunk.length)) return
    if (answer.decoder) {
      answer.decoder.push(chunk)
      if (answer.decoder.full) this.#pipes.pause()
    } else {
      this.onDecoded(chunk)
    }
    if (!answer.stream) this.#wholeBytes(chunk)
  }

  onEnd(): void {
    if (this.#answer.decoder) this.#answer.decoder.end()
    else this.onDecodedEnd()
  }

  /** The answer's bytes without any compression: an event stream goes on to the caller so, of JSON it is a copy to meter. */
  onDecoded(bytes: Buffer): void {
    if (this.#relay) this.#relay.push(bytes)
    else this.#answer.meter(bytes)
  }

  onDecodedEnd(): void {
    this.#pipes.upstreamDone = true
    if (this.#relay) this.#relay.end()
    else if (!this.#ending.ended) this.#wholeEnded()
  }

  /** A stream cannot go on from here; of a whole answer only its meter has no more to read. */
  onUndecodable(): void {
    if (!this.#answer.stream || this.#pipes.upstreamDone) return
    this.#pipes.abort()
    this.onDecodedEnd()
  }

  onFailure(what: UpstreamFailure): void {
    const { aborted, timeout } = what
    this.#pipes.upstreamDone = true
    // Whoever aborted writes the caller's ending.
    if (aborted) return
    if (this.#ending.ended) this.#pipes.caller.finish([])
    else if (this.#answer.status !== undefined) this.#brokenOff(timeout)
    else this.#noAnswer(what)
  }

  #redirected(status: number): void {
    this.#pipes.abort()
    this.#ending.end('refused')
    this.#pipes.refuse(redirected(this.admitted, status))
  }

  #noAnswer({ cause, sent, timeout }: UpstreamFailure): void {
    const { id, upstream } = this.admitted
    this.#ending.end(sent ? 'no_answer' : 'never_sent')
    this.#deps.log.warn({ request_id: id, upstream: upstream.name, cause, sent }, 'upstream gave no answer')
    this.#pipes.refuse(noAnswer(this.admitted, timeout))
  }

  /** The answer broke off: charged is what is known, and the caller is told, never left with a silent end. */
  #brokenOff(timeout: boolean): void {
    this.#ending.end('upstream_failed')
    this.#pipes.refuse(brokenOff(this.admitted, timeout))
  }

  // The caller's side.

  onDrain(): void {
    this.#pipes.caller.drained()
    this.#pipes.resume()
  }

  onClose(): void {
    if (!this.#response.writableFinished) this.#callerGone()
  }

  /** Hanging up after the terminal event is no disconnect: the call has its end, and only the socket is let go. */
  #callerGone(): void {
    if (this.#pipes.caller.gone) return
    this.#pipes.caller.leave()
    const { drains } = this.#deps
    const { call, upstream, snapshot } = this.admitted
    const { mode, maxMs } = upstream.onDisconnect
    switch (
      decideHangUp({
        ended: this.#ending.ended,
        sent: this.#pipes.exchange !== undefined,
        nameless: call.goesOn === true && !this.#ending.goesOn,
        mode,
        drains: drains.size,
        drainsMax: snapshot.settings.limits.drains,
      })
    ) {
      case 'let_go':
        this.#pipes.abort()
        return
      case 'never_sent':
        this.#ending.end('never_sent')
        return
      case 'cancel':
        this.#cancel()
        return
      case 'drain':
        this.#drainDeadlineMs = this.#deps.now() + maxMs
        break
      case 'await_name':
    }
    drains.add(this.#guard)
    this.#pipes.resume()
  }

  #cancel(): void {
    this.#ending.end('client_gone')
    this.#pipes.abort()
  }

  /** Whether a drained answer is still within its bytes; cancels where it is not. */
  #mayDrain(bytes: number): boolean {
    this.#drainedBytes += bytes
    if (this.#drainedBytes <= this.admitted.snapshot.settings.limits.drainBytes) return true
    if (!this.#ending.ended) this.#cancel()
    return false
  }

  /** Each second, by one timer of the process. */
  tick(nowMs: number): void {
    if (nowMs >= this.#drainDeadlineMs) {
      this.#cancel()
      return
    }
    const { stream, bodyBytes } = this.#answer
    if (
      stream &&
      !this.admitted.call.goesOn &&
      bodyBytes > this.#progressBytes &&
      nowMs - this.#progressAtMs >= PROGRESS_EVERY_MS
    ) {
      this.#progressAtMs = nowMs
      this.#progressBytes = bodyBytes
      this.#deps.outbox.progress(this.admitted.id, this.knownAtoms())
    }
    this.#keeper.tick(nowMs)
  }

  /** The grace of a stop is over: the caller gets an error, the call its end. */
  stop(): void {
    if (this.#ending.ended) return
    this.#ending.end(this.#endingWith('stopped'))
    this.#pipes.abort()
    this.#pipes.refuse(stopping(this.admitted))
  }

  /** Stopped by hand: a stream ends as one whose money ended, an answer that has not begun is refused. */
  cut(what: Cut): void {
    if (this.#ending.ended || !isCut(this.admitted.terms, what)) return
    if (this.#answer.stream && this.#pipes.caller.headersSent) {
      this.onNoSlice(undefined)
      return
    }
    this.#ending.end('cut')
    this.#pipes.abort()
    this.#pipes.refuse(stoppedByHand(this.admitted, what))
  }

  // A whole answer (JSON, audio, text): kept while it is small, so that its cost can go into the headers; of a larger
  // one the last chunk stays here until the settlement is recorded.

  #beginWhole(head: AnswerHead): void {
    this.#answer.beginWhole(head, this.#guard, () => this.#pipes.resume())
  }

  #wholeBytes(chunk: Buffer): void {
    if (this.#pipes.caller.gone) return
    this.#kept.push(chunk)
    this.#keptBytes += chunk.length
    if (!this.#pipes.caller.headersSent) {
      if (this.#keptBytes <= this.admitted.snapshot.settings.metering.bufferBytes) return
      this.#pipes.writeHead(undefined)
    }
    while (this.#kept.length > 1) this.#pipes.write(this.#kept.shift() as Buffer)
  }

  #wholeEnded(): void {
    const settled = this.#ending.end((this.#answer.status ?? 500) < 300 ? 'complete' : 'refused')
    if (this.#pipes.caller.gone) return
    if (!this.#pipes.caller.headersSent) this.#pipes.writeHead(settled)
    this.#pipes.caller.finish(this.#kept)
  }

  // A stream.

  #beginStream(head: AnswerHead): void {
    const answer = this.#answer
    const pipes = this.#pipes
    const stream = answer.beginStream(head, this.#keeper.firstAllowance, this.#guard, () => pipes.resume())
    const { admitted } = this
    const parts = { admitted, answer, pipes, ending: this.#ending, keeper: this.#keeper, guard: this.#guard }
    this.#relay = new StreamRelay(parts, stream)
    if (pipes.caller.gone) return
    pipes.writeHead(undefined)
    pipes.caller.flushHead()
  }

  onSlice(tokens: number): void {
    this.#relay?.allow(tokens)
  }

  onNoSlice(refusal: SliceRefusal | undefined): void {
    this.#relay?.cut(refusal)
  }

  onLinger(): void {
    this.#relay?.linger()
  }

  // The end.

  knownTokens(): number {
    const { stream } = this.#answer
    return knownTokens(this.admitted, stream?.facts.usage, stream?.outputTokens ?? 0)
  }

  knownAtoms(): Atoms {
    const { stream } = this.#answer
    return knownAtoms(this.admitted, stream?.facts ?? NO_FACTS, stream?.outputTokens ?? 0)
  }

  /** How a call ends that the gateway itself breaks off, `inAnswer` where its answer has begun. */
  #endingWith(inAnswer: Ending): Ending {
    if (!this.#pipes.exchange) return 'never_sent'
    return this.#answer.status === undefined ? 'no_answer' : inAnswer
  }

  /** A fault of the gateway in the middle of the call: what was used is charged, and the caller is told. */
  fail(error: unknown): void {
    this.#ending.logFault(error)
    this.#pipes.upstreamDone = true
    try {
      this.#ending.end(this.#endingWith('upstream_failed'))
      this.#pipes.abort()
      this.#pipes.refuse(gatewayFault(this.admitted))
      // Where the answer's own end is what failed, the caller must not wait for another.
      this.#pipes.caller.destroyUnlessEnded()
    } catch (second) {
      this.#ending.logFault(second)
      this.#response.destroy()
    }
  }
}
