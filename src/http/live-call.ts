/**
 * A call from the moment it is sent to its end: the upstream's bytes to the caller, the meter beside them, and exactly
 * one ending, which is recorded before the caller sees the last event. hold-keeper.ts keeps its hold on the way,
 * settlement.ts makes its ending.
 */
import type { IncomingMessage } from 'node:http'
import type { Atoms } from '../core/money.ts'
import type { Usage } from '../core/usage.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import { createDecoder } from '../meter/decode.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import { OtherMeter } from '../meter/other-meter.ts'
import { StreamMeter } from '../meter/stream-meter.ts'
import type { AnswerFacts, AnswerHeaders, JobFacts, StreamReader } from '../providers/provider.ts'
import { NoCredential } from '../proxy/credentials/upstream-credentials.ts'
import { upstreamRequestHeaders } from '../proxy/headers.ts'
import { targetPath, type UpstreamExchange, type UpstreamFailure, type UpstreamRequest } from '../proxy/upstream.ts'
import { type Cut, isCut } from '../wallet/cuts.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { type AnswerHead, RawAnswerHeaders, readAnswerHead } from './answer-head.ts'
import { costComment, wantsCostComment } from './answer-headers.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { CallGuard, type GuardedCall } from './call-guard.ts'
import { CallerAnswer } from './caller-answer.ts'
import { cutError } from './cut-error.ts'
import type { Ending } from './decide-end.ts'
import { DecodeQueue } from './decode-queue.ts'
import { HoldKeeper, type SliceRefusal } from './hold-keeper.ts'
import { longCallOf } from './long-call-of.ts'
import { endCall, knownAtoms, knownTokens, type Settled, totalTokens } from './settlement.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** After the terminal event, for an upstream that leaves the connection open. */
const LINGER_MS = 2_000
/** Progress is recorded at most this often; a crash loses no more than that of a stream's charge. */
const PROGRESS_EVERY_MS = 1_000

/** A longer one answers to nobody: no path of such a length is taken. */
const OBJECT_ID_LENGTH_MAX = 256

const NO_FACTS: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

const NO_HEADERS: AnswerHeaders = { get: () => undefined }

export class LiveCall implements GuardedCall {
  readonly admitted: AdmittedCall
  readonly #deps: CallDependencies
  readonly #request: IncomingMessage
  readonly #response: TollgateResponse
  readonly #caller: CallerAnswer
  /** What the outside is given in place of this. */
  readonly #guard = new CallGuard(this)
  readonly #keeper: HoldKeeper
  #exchange: UpstreamExchange | undefined
  #sentMs = 0
  #firstByteMs: number | undefined
  /** The money has its end: settled or voided. */
  #ended = false
  #upstreamDone = false
  #drainDeadlineMs = Number.POSITIVE_INFINITY
  #drainedBytes = 0
  #progressAtMs: number
  #progressBytes = 0

  // The answer: its head, and a meter of the kind that its body needs.
  #status: number | undefined
  #headers: string[] = []
  #answerHeaders: AnswerHeaders = NO_HEADERS
  #framed = false
  #opaque = false
  #bodyBytes = 0
  #decoder: DecodeQueue | undefined
  #json: JsonMeter | undefined
  #other: OtherMeter | undefined
  /** Of a JSON answer: what the caller does not have yet. */
  #kept: Buffer[] = []
  #keptBytes = 0
  #stream: StreamMeter | undefined
  #isSse = false
  #reader: StreamReader | undefined
  #objectRecorded = false
  /** Of a call that goes on, once it is on the list. */
  #jobId: string | undefined

  constructor(deps: CallDependencies, admitted: AdmittedCall, request: IncomingMessage, response: TollgateResponse) {
    this.#deps = deps
    this.admitted = admitted
    this.#request = request
    this.#response = response
    this.#caller = new CallerAnswer(response, admitted)
    this.#keeper = new HoldKeeper(deps, admitted, this.#guard)
    this.#progressAtMs = admitted.startedAtMs
  }

  /** Sends the call. Its hold stands; whatever happens from here on ends in #end. */
  start(path: string, query: string): void {
    const deps = this.#deps
    this.#response.own(this.#guard)
    if (this.#response.destroyed) {
      this.#caller.gone = true
      this.#end('never_sent')
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
    this.#sentMs = performance.now()
    this.#deps.metrics.overhead('admit', (this.#sentMs - admitted.startedMonotonicMs - admitted.uploadMs) / 1000)
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
    if (this.#ended) return
    const { admitted } = this
    const deps = this.#deps
    deps.outbox.dispatched(admitted.terms)
    this.#sentMs = performance.now()
    this.#exchange = deps.pools.send(admitted.upstream, request, this.#guard)
  }

  onUnauthorized(error: unknown): void {
    if (this.#ended) return
    if (!(error instanceof NoCredential)) throw error
    this.#end('never_sent')
    this.#refuse('upstream_unreachable', error.message)
  }

  // The upstream's side.

  onHead(status: number, raw: readonly Buffer[]): void {
    this.#firstByteMs = performance.now()
    this.#status = status
    const { call, metering, upstream } = this.admitted
    if (status === 401 || status === 403) this.#deps.credentials.refused(upstream)
    const head = readAnswerHead(status, raw, call.stream, metering.framing ?? 'sse')
    this.#framed = head.framed
    this.#opaque = head.opaque
    this.#headers = head.headers
    this.#answerHeaders = new RawAnswerHeaders(raw)
    if (head.kind === 'redirect') this.#redirected(status)
    else if (head.kind === 'stream') this.#beginStream(head)
    else this.#beginWhole(head)
  }

  onData(chunk: Buffer): void {
    if (this.#upstreamDone) return
    this.#bodyBytes += chunk.length
    if (this.#caller.gone && !this.#mayDrain(chunk.length)) return
    if (this.#decoder) {
      this.#decoder.push(chunk)
      if (this.#decoder.full) this.#exchange?.pause()
    } else {
      this.onDecoded(chunk)
    }
    if (!this.#stream) this.#jsonBytes(chunk)
  }

  onEnd(): void {
    if (this.#decoder) this.#decoder.end()
    else this.onDecodedEnd()
  }

  /** The answer's bytes without any compression: an event stream goes on to the caller so, of JSON it is a copy to meter. */
  onDecoded(bytes: Buffer): void {
    if (this.#stream) this.#streamBytes(bytes)
    else {
      this.#json?.push(bytes)
      this.#other?.push(bytes)
    }
  }

  onDecodedEnd(): void {
    this.#upstreamDone = true
    if (this.#stream) this.#streamEnded(this.#stream)
    else if (!this.#ended) this.#jsonEnded()
  }

  /** A stream cannot go on from here; of a whole answer only its meter has no more to read. */
  onUndecodable(): void {
    if (!this.#stream || this.#upstreamDone) return
    this.#exchange?.abort()
    this.onDecodedEnd()
  }

  onFailure(failure: UpstreamFailure): void {
    this.#upstreamDone = true
    // Whoever aborted writes the caller's ending.
    if (failure.aborted) return
    if (this.#ended) this.#caller.finish([])
    else if (this.#status !== undefined) this.#brokenOff(failure.timeout)
    else this.#noAnswer(failure)
  }

  #redirected(status: number): void {
    this.#exchange?.abort()
    this.#end('refused')
    const { upstream } = this.admitted
    this.#refuse(
      'upstream_unreachable',
      `The upstream "${upstream.name}" answered with a redirect (${status}), which is never followed.`,
    )
  }

  #noAnswer(failure: UpstreamFailure): void {
    const { id, upstream } = this.admitted
    this.#end(failure.sent ? 'no_answer' : 'never_sent')
    const { cause, sent } = failure
    this.#deps.log.warn({ request_id: id, upstream: upstream.name, cause, sent }, 'upstream gave no answer')
    if (failure.timeout) this.#refuse('upstream_timeout', `The upstream "${upstream.name}" did not answer in time.`)
    else this.#refuse('upstream_unreachable', `The upstream "${upstream.name}" could not be reached.`)
  }

  /** The answer broke off: charged is what is known, and the caller is told, never left with a silent end. */
  #brokenOff(timeout: boolean): void {
    this.#end('upstream_failed')
    const code = timeout ? 'upstream_timeout' : 'upstream_unreachable'
    this.#refuse(code, `The upstream "${this.admitted.upstream.name}" broke off its answer.`)
  }

  // The caller's side.

  onDrain(): void {
    this.#caller.drained()
    this.#resume()
  }

  /** Goes on reading, unless someone else still has to be waited for: the caller, the decoder, the next slice. */
  #resume(): void {
    const waiting = this.#caller.stalled || this.#decoder?.full || this.#stream?.blocked
    if (!waiting) this.#exchange?.resume()
  }

  onClose(): void {
    if (!this.#response.writableFinished) this.#callerGone()
  }

  /** Hanging up after the terminal event is no disconnect: the call has its end, and only the socket is let go. */
  #callerGone(): void {
    if (this.#caller.gone) return
    this.#caller.leave()
    if (this.#ended) {
      this.#exchange?.abort()
      return
    }
    if (!this.#exchange) {
      this.#end('never_sent')
      return
    }
    if (this.admitted.call.goesOn && this.#jobId === undefined) {
      // It runs on over there whoever hangs up, and nobody could ask for what it comes to: its name is waited for.
      this.#deps.drains.add(this.#guard)
      this.#resume()
      return
    }
    const { onDisconnect } = this.admitted.upstream
    if (onDisconnect.mode === 'cancel' || this.#deps.drains.size >= this.admitted.snapshot.settings.limits.drains) {
      this.#cancel()
      return
    }
    this.#deps.drains.add(this.#guard)
    this.#drainDeadlineMs = this.#deps.now() + onDisconnect.maxMs
    this.#resume()
  }

  #cancel(): void {
    this.#end('client_gone')
    this.#exchange?.abort()
  }

  /** Whether a drained answer is still within its bytes; cancels where it is not. */
  #mayDrain(bytes: number): boolean {
    this.#drainedBytes += bytes
    if (this.#drainedBytes <= this.admitted.snapshot.settings.limits.drainBytes) return true
    if (!this.#ended) this.#cancel()
    return false
  }

  /** Each second, by one timer of the process. */
  tick(nowMs: number): void {
    if (nowMs >= this.#drainDeadlineMs) {
      this.#cancel()
      return
    }
    if (
      this.#stream &&
      !this.admitted.call.goesOn &&
      this.#bodyBytes > this.#progressBytes &&
      nowMs - this.#progressAtMs >= PROGRESS_EVERY_MS
    ) {
      this.#progressAtMs = nowMs
      this.#progressBytes = this.#bodyBytes
      this.#deps.outbox.progress(this.admitted.id, this.knownAtoms())
    }
    this.#keeper.tick(nowMs)
  }

  /** The grace of a stop is over: the caller gets an error, the call its end. */
  stop(): void {
    if (this.#ended) return
    this.#end(!this.#exchange ? 'never_sent' : this.#status === undefined ? 'no_answer' : 'stopped')
    this.#exchange?.abort()
    const facts = this.#failure('overloaded', 'The gateway is stopping; the answer was broken off.')
    this.#caller.endWithError({ ...facts, retryAfterSeconds: 1 }, this.#stream)
  }

  /** Stopped by hand: a stream ends as one whose money ended, an answer that has not begun is refused. */
  cut(what: Cut): void {
    if (this.#ended || !isCut(this.admitted.terms, what)) return
    if (this.#stream && this.#caller.headersSent) {
      this.onNoSlice(undefined)
      return
    }
    this.#end('cut')
    this.#exchange?.abort()
    const facts = this.#failure('stopped', 'The call was stopped by hand; ask whoever runs the account.')
    this.#caller.endWithError({ ...facts, rule: `${what.kind}:${what.value}` }, this.#stream)
  }

  // A whole answer (JSON, audio, text): kept while it is small, so that its cost can go into the headers; of a larger
  // one the last chunk stays here until the settlement is recorded.

  #beginWhole(head: AnswerHead): void {
    const { jsonMembers, readOther } = this.admitted.metering
    this.#json = new JsonMeter(jsonMembers)
    if (readOther) this.#other = new OtherMeter(head.contentType)
    this.#decodeFrom(head.encoding)
  }

  #jsonBytes(chunk: Buffer): void {
    if (this.#caller.gone) return
    this.#kept.push(chunk)
    this.#keptBytes += chunk.length
    if (!this.#caller.headersSent) {
      if (this.#keptBytes <= this.admitted.snapshot.settings.metering.bufferBytes) return
      this.#writeHead(undefined)
    }
    while (this.#kept.length > 1) this.#write(this.#kept.shift() as Buffer)
  }

  #jsonEnded(): void {
    const settled = this.#end((this.#status ?? 500) < 300 ? 'complete' : 'refused')
    if (this.#caller.gone) return
    if (!this.#caller.headersSent) this.#writeHead(settled)
    this.#caller.finish(this.#kept)
  }

  // A stream: each event goes on as it comes; the terminal one after the settlement is recorded.

  #beginStream({ framing, encoding }: AnswerHead): void {
    const { metering, call } = this.admitted
    this.#reader = metering.createStreamReader(call, framing, this.#answerHeaders)
    this.#stream = new StreamMeter(this.#reader, { framing })
    this.#isSse = framing === 'sse'
    this.#stream.allowance = this.#keeper.firstAllowance
    this.#decodeFrom(encoding)
    if (this.#caller.gone) return
    this.#writeHead(undefined)
    this.#caller.flushHead()
  }

  #decodeFrom(encoding: string | undefined): void {
    const decoder = createDecoder(encoding, (bytes) => this.#guard.onDecoded(bytes))
    if (decoder) this.#decoder = new DecodeQueue(decoder, this.#guard, () => this.#resume())
  }

  #streamBytes(chunk: Buffer): void {
    const stream = this.#stream as StreamMeter
    this.#writeAll(stream.push(chunk))
    this.#afterEvents(stream)
  }

  /** After events have passed: the ending, if it came; or the next slice, in good time. */
  #afterEvents(stream: StreamMeter): void {
    if (!this.#objectRecorded && stream.facts.storedId !== undefined) {
      // At once: its owner may ask for the answer before the stream ends.
      this.#objectRecorded = true
      this.#recordObject(stream.facts.storedId, 0)
      const { job, model } = stream.facts
      if (job) this.#goesOn(job, model)
      if (job && this.#caller.gone && !this.#ended) this.#cancel()
    }
    if (this.#ended) {
      this.#writeAll(stream.takeAfterTerminal())
    } else if (stream.terminal) {
      this.#terminalEvent(stream, stream.terminal)
    } else if (stream.blocked) {
      this.#exchange?.pause()
      this.#keeper.wait()
    } else if (stream.outputTokens >= this.#askAtTokens) {
      this.#keeper.askEarly()
    }
  }

  /** Half way through what is left of the slice. */
  get #askAtTokens(): number {
    return ((this.#stream?.allowance ?? 0) + this.#sliceStartTokens) / 2
  }
  #sliceStartTokens = 0

  #terminalEvent(stream: StreamMeter, terminal: Buffer): void {
    const settled = this.#end('complete')
    const comment = this.#costComment(settled)
    if (comment) this.#write(comment)
    this.#write(terminal)
    this.#writeAll(stream.takeAfterTerminal())
    setTimeout(onLinger, LINGER_MS, this.#guard).unref()
  }

  onLinger(): void {
    if (this.#upstreamDone) return
    this.#exchange?.abort()
    this.#caller.finish([])
  }

  #streamEnded(stream: StreamMeter): void {
    this.#writeAll(stream.end(this.#framed))
    this.#afterEvents(stream)
    if (this.#ended) {
      this.#caller.finish([])
    } else if (!stream.blocked) {
      const whole = stream.failed || stream.finished || (this.#reader?.endsByFraming === true && this.#framed)
      if (!whole) this.#brokenOff(false)
      else {
        const comment = this.#costComment(this.#end('complete'))
        // Some formats have no terminal event that it could stand before; behind an error nothing follows.
        const last = comment && !stream.failed ? stream.place(comment) : undefined
        this.#caller.finish(last ? [last] : [])
      }
    }
  }

  onSlice(tokens: number): void {
    const stream = this.#stream as StreamMeter
    this.#sliceStartTokens = stream.outputTokens
    stream.allowance += tokens
    if (!stream.blocked) return
    this.#writeAll(stream.resume())
    this.#afterEvents(stream)
    if (stream.blocked) return
    if (this.#upstreamDone && !this.#ended) this.#streamEnded(stream)
    else this.#resume()
  }

  /** The money ended: the upstream's socket is closed at once, and the stream ends at what is held. */
  onNoSlice(refusal: SliceRefusal | undefined): void {
    if (this.#ended) return
    const settled = this.#end('cut')
    this.#exchange?.abort()
    const stream = this.#stream as StreamMeter
    const last =
      this.admitted.plan.streaming?.onCut === 'error'
        ? stream.errorEvent(cutError(this.admitted, refusal))
        : stream.cutEnding()
    const comment = this.#costComment(settled)
    this.#caller.endStream(comment && last ? Buffer.concat([comment, last]) : last)
  }

  /** Only server-sent events have comments. */
  #costComment(settled: Settled | undefined): Buffer | undefined {
    return settled && this.#isSse && wantsCostComment(this.admitted) ? costComment(this.admitted, settled) : undefined
  }

  // The end.

  knownTokens(): number {
    return knownTokens(this.admitted, this.#stream?.facts.usage, this.#stream?.outputTokens ?? 0)
  }

  knownAtoms(): Atoms {
    return knownAtoms(this.admitted, this.#stream?.facts ?? NO_FACTS, this.#stream?.outputTokens ?? 0)
  }

  /** The one ending of the call's money. Recorded when this returns. Undefined: voided, or ended before. */
  #end(ending: Ending): Settled | undefined {
    if (this.#ended) return undefined
    this.#ended = true
    this.#keeper.close()
    if (ending !== 'complete') this.#decoder?.destroy()
    this.#deps.openCalls.delete(this.#guard)
    this.#deps.drains.delete(this.#guard)
    return this.#settle(ending)
  }

  #settle(ending: Ending): Settled | undefined {
    const endedMs = performance.now()
    let facts = NO_FACTS
    try {
      facts = this.#answerFacts()
    } catch (error) {
      // What cannot be read is estimated: the money has its end all the same.
      this.#logFault(error)
    }
    if (facts.job && ending !== 'refused') {
      this.#goesOn(facts.job, facts.model)
      if (facts.storedId !== undefined) this.#recordObject(facts.storedId, 0)
      return undefined
    }
    if (this.#jobId !== undefined) this.#deps.longCalls.ended(this.admitted.upstream.name, this.#jobId)
    const settled = endCall(this.#deps, this.admitted, {
      ending,
      facts,
      usageFinal: this.#json !== undefined || this.#stream?.finished === true || this.#stream?.terminal !== undefined,
      failedInside: this.#stream?.failed ?? facts.failed ?? false,
      unread: this.#unread(ending),
      outputTokens: facts.failed ? 0 : this.#outputTokens(),
      status: this.#status,
      sentMonotonicMs: this.#sentMs,
      firstByteMonotonicMs: this.#firstByteMs,
      heldAtoms: this.#keeper.heldAtoms,
    })
    this.#deps.metrics.overhead('settle', (performance.now() - endedMs) / 1000)
    if (settled) this.#recordObjects(facts, settled.usage)
    return settled
  }

  /** The call is not over with its answer: it is on the list of those that are asked how they stand, and its hold lives on. */
  #goesOn(job: JobFacts, model: string | undefined): void {
    if (this.#jobId === job.id) {
      // Its own stream tells nothing more of it.
      this.#deps.longCalls.hurry(this.admitted.upstream.name, job.id)
      return
    }
    this.#jobId = job.id
    this.#deps.longCalls.register(longCallOf(this.admitted, job, model, this.#request.rawHeaders, this.#deps.now()))
  }

  /** A fault of the gateway in the middle of the call: what was used is charged, and the caller is told. */
  fail(error: unknown): void {
    this.#logFault(error)
    this.#upstreamDone = true
    try {
      this.#end(!this.#exchange ? 'never_sent' : this.#status === undefined ? 'no_answer' : 'upstream_failed')
      this.#exchange?.abort()
      this.#refuse('internal', 'The gateway failed on this call; what was used is in the ledger.')
      // Where the answer's own end is what failed, the caller must not wait for another.
      this.#caller.destroyUnlessEnded()
    } catch (second) {
      this.#logFault(second)
      this.#response.destroy()
    }
  }

  #logFault(error: unknown): void {
    this.#deps.log.error({ request_id: this.admitted.id, error }, 'a call failed in the gateway')
  }

  #answerFacts(): AnswerFacts {
    if (this.#stream) return this.#stream.facts
    const { metering, call } = this.admitted
    if (!this.#json) return NO_FACTS
    if (!this.#json.isJson && this.#other && (this.#status ?? 500) < 300)
      return metering.readOther?.(this.#other.end(), call, this.#answerHeaders) ?? NO_FACTS
    return metering.readJson(this.#json.end(), call, this.#answerHeaders)
  }

  /** Delivered output: counted in a stream; of a JSON answer a guess from its length. */
  #outputTokens(): number {
    if (this.#stream) return this.#stream.outputTokens
    return this.#json && this.admitted.call.generates ? Math.ceil(this.#bodyBytes / 4) : 0
  }

  /** Something of the answer could not be read that may have said what it used. That it broke off is another matter. */
  #unread(ending: Ending): boolean {
    if (this.#opaque || this.#decoder?.failed) return true
    if (this.#stream) return this.#stream.unread && ending !== 'upstream_failed'
    return (this.#json?.unread ?? false) && (ending === 'complete' || ending === 'refused')
  }

  #recordObjects(facts: AnswerFacts, usage: Usage): void {
    const tokens = totalTokens(usage)
    if (facts.storedId !== undefined) this.#recordObject(facts.storedId, tokens)
    if (facts.carrierId !== undefined) this.#recordObject(facts.carrierId, tokens)
    // Each is a part of the answer.
    for (const id of facts.objectIds ?? []) this.#recordObject(id, usage.tokens.output ?? 0)
  }

  #recordObject(id: string, tokens: number): void {
    if (id.length > OBJECT_ID_LENGTH_MAX) return
    const { terms, upstream } = this.admitted
    this.#deps.objects.record(id, terms.account, upstream, tokens).catch(() => {
      const message = 'the owner of a stored answer could not be recorded; it will answer to nobody'
      this.#deps.log.warn({ request_id: this.admitted.id }, message)
    })
  }

  // Writing to the caller.

  #write(piece: Buffer): void {
    if (!this.#caller.write(piece)) this.#exchange?.pause()
  }

  #writeAll(pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.#write(piece)
  }

  #writeHead(settled: Settled | undefined): void {
    this.#caller.head(this.#status ?? 502, this.#headers, settled, this.#deps.stopping())
  }

  #refuse(code: ErrorFacts['code'], message: string): void {
    this.#caller.endWithError(this.#failure(code, message), this.#stream)
  }

  #failure(code: ErrorFacts['code'], message: string): ErrorFacts {
    return errorFacts(code, message, this.admitted.id, { unit: this.admitted.terms.unit })
  }
}

function onLinger(call: CallGuard): void {
  call.onLinger()
}
