/**
 * A call from the moment it is sent to its end: the upstream's bytes to the caller, the meter beside them, slices and
 * checkpoints on the way, and exactly one ending, which is recorded before the caller sees the last event.
 */
import type { IncomingMessage } from 'node:http'
import { type Atoms, formatAmount } from '../core/money.ts'
import { priceUsage } from '../core/price-usage.ts'
import { TOKEN_KINDS, type Usage } from '../core/usage.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import { createDecoder, type Decoder, isKnownEncoding } from '../meter/decode.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import { StreamMeter } from '../meter/stream-meter.ts'
import type { AnswerFacts, StreamReader } from '../providers/provider.ts'
import { callerResponseHeaders, rawHeader, upstreamRequestHeaders } from '../proxy/headers.ts'
import { type AnswerListener, targetPath, type UpstreamExchange, type UpstreamFailure } from '../proxy/upstream.ts'
import type { CheckpointResult, SettleResult } from '../wallet/wallet-types.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { decideEnd, type End, type Ending } from './decide-end.ts'
import { settleInfo } from './settle-info.ts'
import type { ResponseOwner, TollgateResponse } from './tollgate-response.ts'
import { writeError } from './write-error.ts'

/** How long a stream waits for its next slice (SPEC: WALLET section 3). */
const SLICE_WAIT_MS = 300
/** A caller that takes nothing for so long has gone. */
const STALLED_MS = 60_000
/** After the terminal event, for an upstream that leaves the connection open. */
const LINGER_MS = 2_000
/** Next slice of a stream without slices whose provider goes far beyond the limit it was given. */
const RUNAWAY_SLICE_TOKENS = 1_024

const NO_FACTS: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

const DONE = Promise.resolve()

type Mode = 'waiting' | 'json' | 'stream'

export class LiveCall implements AnswerListener, ResponseOwner {
  readonly admitted: AdmittedCall
  readonly #deps: CallDependencies
  readonly #request: IncomingMessage
  readonly #response: TollgateResponse
  #exchange: UpstreamExchange | undefined
  #mode: Mode = 'waiting'
  #status: number | undefined
  #headers: string[] = []
  #framed = false
  #firstByteMs: number | undefined
  #sentMs = 0
  /** The money has its end: settled or voided. */
  #ended = false
  /** The caller has its answer, or has gone. */
  #answered = false
  #gone = false
  #drainDeadlineMs = Number.POSITIVE_INFINITY
  #drainedBytes = 0
  #stalledSinceMs: number | undefined
  #upstreamDone = false

  #decoder: Decoder | undefined
  /** Decoding takes its own time: each piece waits for the one before. */
  #decoding: Promise<void> = DONE
  #jsonMeter: JsonMeter | undefined
  #buffered: Buffer[] = []
  #bufferedBytes = 0
  #bodyBytes = 0
  #reader: StreamReader | undefined
  #meter: StreamMeter | undefined

  #sliceStartTokens = 0
  #extending = false
  #refusedExtension: CheckpointResult | undefined
  #sliceTimer: NodeJS.Timeout | undefined
  #checkpoints = 0
  #checkpointAtMs: number
  #progressAtMs: number
  #progressBytes = 0
  #heldAtoms: Atoms
  #recordedObject = false

  constructor(deps: CallDependencies, admitted: AdmittedCall, request: IncomingMessage, response: TollgateResponse) {
    this.#deps = deps
    this.admitted = admitted
    this.#request = request
    this.#response = response
    this.#checkpointAtMs = admitted.startedAtMs
    this.#progressAtMs = admitted.startedAtMs
    this.#heldAtoms = admitted.held?.heldAtoms ?? 0n
  }

  /** Sends the call. Its hold stands; whatever happens from here on ends in #end. */
  start(path: string, query: string): void {
    const { admitted } = this
    const deps = this.#deps
    this.#response.own(this)
    if (this.#response.destroyed) {
      this.#gone = true
      this.#end('never_sent')
      return
    }
    deps.openCalls.add(this)
    deps.outbox.dispatched(admitted.terms)
    const { limits } = admitted.snapshot.settings
    const accepted = this.#request.headers['accept-encoding']
    this.#sentMs = performance.now()
    deps.metrics.overhead('admit', (this.#sentMs - admitted.startedMonotonicMs) / 1000)
    this.#exchange = deps.pools.send(
      admitted.upstream,
      {
        method: this.#request.method ?? 'POST',
        path: targetPath(admitted.upstream, path, query),
        // A stream is edited on its way, so it is asked for uncompressed; a JSON answer passes as the caller wants it.
        headers: upstreamRequestHeaders(
          this.#request.rawHeaders,
          admitted.upstream,
          admitted.call.stream || typeof accepted !== 'string' ? undefined : accepted,
        ),
        body: admitted.body,
        firstByteMs: admitted.call.stream ? limits.upstreamFirstByteStreamMs : limits.upstreamFirstByteJsonMs,
      },
      this,
    )
  }

  // ---- the upstream's side

  onHead(status: number, raw: readonly Buffer[]): void {
    this.#firstByteMs = performance.now()
    this.#status = status
    this.#framed = rawHeader(raw, 'content-length') !== undefined || rawHeader(raw, 'transfer-encoding') !== undefined
    if (status >= 300 && status < 400) {
      this.#exchange?.abort()
      this.#end('refused')
      this.#refuse(
        'upstream_unreachable',
        `The upstream "${this.admitted.upstream.name}" answered with a redirect (${status}), which is never followed.`,
      )
      return
    }
    const type = rawHeader(raw, 'content-type')?.toLowerCase() ?? ''
    const isStream = status < 300 && (type.includes('text/event-stream') || (type === '' && this.admitted.call.stream))
    const encoding = rawHeader(raw, 'content-encoding')
    this.#mode = isStream ? 'stream' : 'json'
    // What cannot be decoded is handed on as it is, and estimated.
    this.#headers = callerResponseHeaders(raw, isStream && (encoding === undefined || isKnownEncoding(encoding)))
    if (isStream) this.#beginStream(encoding)
    else this.#beginJson(encoding)
  }

  onData(chunk: Buffer): void {
    if (this.#upstreamDone) return
    this.#bodyBytes += chunk.length
    if (this.#gone && !this.#mayDrain(chunk.length)) return
    if (this.#mode === 'stream') {
      if (this.#decoder) this.#decode(this.#decoder, chunk)
      else this.#streamBytes(chunk)
    } else {
      this.#jsonBytes(chunk)
    }
  }

  onEnd(): void {
    const decoder = this.#decoder
    if (decoder) this.#decoding = this.#decoding.then(() => decoder.end()).then(() => this.#afterBody())
    else this.#afterBody()
  }

  #decode(decoder: Decoder, chunk: Buffer): void {
    this.#decoding = this.#decoding.then(() => decoder.write(chunk))
  }

  onFailure(failure: UpstreamFailure): void {
    this.#upstreamDone = true
    // Whoever aborted writes the caller's ending.
    if (failure.aborted) return
    if (this.#ended) {
      this.#closeAnswer()
      return
    }
    if (this.#mode !== 'waiting') {
      this.#brokenOff(failure.timeout ? 'upstream_timeout' : 'upstream_unreachable')
      return
    }
    this.#end(failure.sent ? 'no_answer' : 'never_sent')
    const { upstream } = this.admitted
    this.#deps.log.warn(
      { request_id: this.admitted.id, upstream: upstream.name, cause: failure.cause, sent: failure.sent },
      'upstream gave no answer',
    )
    if (failure.timeout) this.#refuse('upstream_timeout', `The upstream "${upstream.name}" did not answer in time.`)
    else this.#refuse('upstream_unreachable', `The upstream "${upstream.name}" could not be reached.`)
  }

  // ---- the caller's side

  onDrain(): void {
    this.#stalledSinceMs = undefined
    if (!this.#meter?.blocked) this.#exchange?.resume()
  }

  onClose(): void {
    if (this.#response.writableFinished || this.#answered) {
      this.#answered = true
      return
    }
    this.#callerGone()
  }

  #callerGone(): void {
    if (this.#gone || this.#answered) return
    this.#gone = true
    this.#response.destroy()
    if (this.#ended) {
      this.#exchange?.abort()
      return
    }
    const { onDisconnect } = this.admitted.upstream
    if (onDisconnect.mode === 'drain' && this.#deps.drains.size < this.admitted.snapshot.settings.limits.drains) {
      this.#deps.drains.add(this)
      this.#drainDeadlineMs = this.#deps.now() + onDisconnect.maxMs
      this.#exchange?.resume()
      return
    }
    this.#cancel()
  }

  #cancel(): void {
    this.#end('client_gone')
    this.#exchange?.abort()
  }

  /** Whether a drained answer is still within its bytes; cancels where it is not. */
  #mayDrain(bytes: number): boolean {
    this.#drainedBytes += bytes
    if (this.#drainedBytes <= this.admitted.snapshot.settings.limits.drainBytes) return true
    this.#cancel()
    return false
  }

  /** Each second, by one timer of the process. */
  tick(nowMs: number): void {
    if (this.#ended) return
    if (nowMs >= this.#drainDeadlineMs) {
      this.#cancel()
      return
    }
    if (this.#stalledSinceMs !== undefined && nowMs - this.#stalledSinceMs >= STALLED_MS) {
      this.#callerGone()
      return
    }
    const { limits } = this.admitted.snapshot.settings
    if (this.#mode === 'stream' && this.#bodyBytes > this.#progressBytes && nowMs - this.#progressAtMs >= 1000) {
      this.#progressAtMs = nowMs
      this.#progressBytes = this.#bodyBytes
      this.#deps.outbox.progress(this.admitted.id, this.#estimateAtoms())
    }
    if (this.admitted.held && !this.#extending && nowMs - this.#checkpointAtMs >= limits.checkpointEveryMs)
      this.#checkpoint(undefined)
  }

  /** The grace of a stop is over: the caller gets an error event, the call its end. */
  stop(): void {
    if (this.#ended) return
    const answered = this.#mode !== 'waiting'
    this.#end(answered ? 'stopped' : 'no_answer')
    this.#exchange?.abort()
    if (this.#gone) return
    const facts = this.#failure('overloaded', 'The gateway is stopping; the answer was broken off.')
    if (this.#mode === 'stream') this.#finishStream([this.#streamReader().errorEvent(facts)])
    else if (this.#response.headersSent) this.#response.destroy()
    else
      writeError(
        this.#response,
        this.admitted.provider,
        { ...facts, retryAfterSeconds: 1 },
        this.#tollgateHeaders(undefined).slice(2),
      )
  }

  // ---- a JSON answer

  #beginJson(encoding: string | undefined): void {
    const meter = new JsonMeter(this.admitted.metering.jsonMembers)
    this.#jsonMeter = meter
    this.#decoder = createDecoder(encoding, (bytes) => meter.push(bytes))
  }

  #jsonBytes(chunk: Buffer): void {
    if (this.#decoder) this.#decode(this.#decoder, chunk)
    else this.#jsonMeter?.push(chunk)
    if (this.#gone) return
    // The last chunk stays here until the settlement is recorded; a small answer stays whole, so that its cost can
    // go into the headers.
    this.#buffered.push(chunk)
    this.#bufferedBytes += chunk.length
    if (!this.#response.headersSent && this.#bufferedBytes <= this.admitted.snapshot.settings.metering.bufferBytes)
      return
    if (!this.#response.headersSent) this.#writeHead(this.#tollgateHeaders(undefined))
    while (this.#buffered.length > 1) this.#write(this.#buffered.shift() as Buffer)
    this.#bufferedBytes = chunk.length
  }

  #jsonEnded(): void {
    const settled = this.#end(this.#status !== undefined && this.#status < 300 ? 'complete' : 'refused')
    if (this.#gone) return
    if (!this.#response.headersSent) this.#writeHead(this.#tollgateHeaders(settled))
    for (const chunk of this.#buffered) this.#response.write(chunk)
    this.#answered = true
    this.#response.end()
  }

  // ---- a stream

  #beginStream(encoding: string | undefined): void {
    const { admitted } = this
    this.#reader = admitted.metering.createStreamReader(admitted.call)
    this.#meter = new StreamMeter(this.#reader)
    this.#meter.allowance = this.#firstAllowance()
    this.#decoder = createDecoder(encoding, (bytes) => this.#streamBytes(bytes))
    if (this.#gone) return
    this.#writeHead(this.#tollgateHeaders(undefined))
    this.#response.flushHeaders()
  }

  /** Output tokens that the hold pays for. Without slices a count beyond twice the limit is a runaway, not a miscount. */
  #firstAllowance(): number {
    const { held, ceiling, call, plan } = this.admitted
    if (!held || plan.enforcement === 'observe' || !call.generates || ceiling.perTokenAtoms === 0n)
      return Number.POSITIVE_INFINITY
    const tokens = held.tokens * call.answers
    return ceiling.sliced ? tokens : tokens * 2 + 64
  }

  #streamBytes(chunk: Buffer): void {
    const meter = this.#meter as StreamMeter
    this.#writeAll(meter.push(chunk))
    this.#afterEvents()
  }

  /** After events have passed: the ending, if it came; or the next slice, in good time. */
  #afterEvents(): void {
    const meter = this.#meter as StreamMeter
    this.#recordObject()
    if (this.#ended) {
      this.#writeAll(meter.takeAfterTerminal())
      return
    }
    if (meter.terminal) {
      this.#terminalEvent(meter)
      return
    }
    if (meter.blocked) {
      this.#exchange?.pause()
      if (!this.#extending) this.#askForSlice()
      this.#sliceTimer ??= setTimeout(onSliceTimeout, SLICE_WAIT_MS, this)
      return
    }
    const slice = meter.allowance - this.#sliceStartTokens
    if (!this.#extending && !this.#refusedExtension && meter.outputTokens - this.#sliceStartTokens >= slice / 2)
      this.#askForSlice()
  }

  #terminalEvent(meter: StreamMeter): void {
    const settled = this.#end('complete')
    if (!this.#gone) {
      if (settled && (this.admitted.caller.streamCost || this.admitted.snapshot.settings.answers.streamCost)) {
        this.#write(this.#costComment(settled))
      }
      this.#write(meter.terminal as Buffer)
      this.#writeAll(meter.takeAfterTerminal())
      // From here on hanging up is no disconnect.
      this.#answered = true
    }
    setTimeout(onLinger, LINGER_MS, this).unref()
  }

  linger(): void {
    if (this.#upstreamDone) return
    this.#exchange?.abort()
    this.#closeAnswer()
  }

  #streamEnded(): void {
    const meter = this.#meter as StreamMeter
    this.#writeAll(meter.end())
    this.#afterEvents()
    if (this.#ended) {
      this.#closeAnswer()
      return
    }
    if (meter.blocked) return
    const reader = this.#streamReader()
    if (meter.failed || meter.finished || (reader.endsByFraming && this.#framed)) {
      this.#end('complete')
      this.#closeAnswer()
    } else {
      this.#brokenOff('upstream_unreachable')
    }
  }

  #finishStream(last: readonly Buffer[]): void {
    if (this.#gone || this.#answered) return
    this.#answered = true
    for (const piece of last) this.#response.write(piece)
    this.#response.end()
  }

  // ---- slices

  #sliceTokens(): number {
    return this.admitted.plan.streaming?.sliceTokens ?? RUNAWAY_SLICE_TOKENS
  }

  #askForSlice(): void {
    const { call, ceiling } = this.admitted
    this.#extending = true
    const wantTokens = Math.max(1, Math.ceil(this.#sliceTokens() / call.answers))
    this.#checkpoint({ perTokenAtoms: ceiling.perTokenAtoms, leastTokens: 1, wantTokens })
  }

  #checkpoint(extend: { perTokenAtoms: Atoms; leastTokens: number; wantTokens: number } | undefined): void {
    const { id, terms, snapshot } = this.admitted
    this.#checkpointAtMs = this.#deps.now()
    const { holdDeadlineMs } = snapshot.settings.limits
    this.#deps.wallet
      .checkpoint({
        id,
        account: terms.account,
        number: ++this.#checkpoints,
        cumulativeAtoms: this.#estimateAtoms(),
        deadlineMs: holdDeadlineMs,
        extend,
      })
      .then(
        (result) => this.#checkpointed(result, extend !== undefined),
        () => {
          // Redis is away: the stream goes on to the end of what it holds, then is cut (on_redis_down: deny).
          this.#extending = false
        },
      )
    this.#deps.sweeper.touch(terms.account, this.#deps.now() + holdDeadlineMs)
  }

  #checkpointed(result: CheckpointResult, extended: boolean): void {
    if (result.status === 'checkpointed') this.#heldAtoms = result.heldAtoms
    if (!extended) return
    this.#extending = false
    if (this.#ended) return
    const meter = this.#meter as StreamMeter
    if (result.status === 'checkpointed') {
      this.#refusedExtension = undefined
      this.#sliceStartTokens = Math.min(meter.allowance, meter.outputTokens)
      meter.allowance += result.tokens * this.admitted.call.answers
      if (meter.blocked) this.#goOn(meter)
    } else if (meter.blocked && this.#refusedExtension) {
      this.#cut(result)
    } else {
      // Asked for early and refused: what other calls release until the slice is used up may still do.
      this.#refusedExtension = result
      if (meter.blocked) this.#askForSlice()
    }
  }

  #goOn(meter: StreamMeter): void {
    clearTimeout(this.#sliceTimer)
    this.#sliceTimer = undefined
    this.#writeAll(meter.resume())
    this.#afterEvents()
    if (meter.blocked) return
    if (this.#upstreamDone && !this.#ended) this.#streamEnded()
    else if (this.#stalledSinceMs === undefined) this.#exchange?.resume()
  }

  sliceTimedOut(): void {
    this.#sliceTimer = undefined
    if (!this.#ended && this.#meter?.blocked) this.#cut(this.#refusedExtension)
  }

  /** The money ended: the upstream's socket is closed at once, the stream ends at what is held. */
  #cut(refusal: CheckpointResult | undefined): void {
    const settled = this.#end('cut')
    this.#exchange?.abort()
    if (this.#gone) return
    const reader = this.#streamReader()
    const pieces: Buffer[] = []
    if (settled && (this.admitted.caller.streamCost || this.admitted.snapshot.settings.answers.streamCost))
      pieces.push(this.#costComment(settled))
    if (this.admitted.plan.streaming?.onCut === 'error') pieces.push(reader.errorEvent(this.#cutError(refusal)))
    else pieces.push(reader.cutEnding())
    this.#finishStream(pieces)
  }

  #cutError(refusal: CheckpointResult | undefined): ErrorFacts {
    const { terms, plan, id } = this.admitted
    const away = refusal === undefined || refusal.status === 'checkpointed'
    return errorFacts(
      away
        ? 'wallet_unavailable'
        : refusal.status === 'held_by_open_calls'
          ? 'held_by_open_calls'
          : 'insufficient_funds',
      away
        ? 'The answer was cut: the wallet could not be asked for its next part.'
        : 'The answer was cut: the wallet does not cover its next part.',
      id,
      {
        rule: 'funds',
        unit: terms.unit,
        topUpUrl: plan.topUpUrl ?? null,
        ...(away
          ? {}
          : {
              needed: formatAmount(refusal.neededAtoms, terms.scale),
              available: formatAmount(refusal.availableAtoms, terms.scale),
            }),
      },
    )
  }

  // ---- the end

  #afterBody(): void {
    this.#upstreamDone = true
    if (this.#mode === 'stream') this.#streamEnded()
    else if (!this.#ended) this.#jsonEnded()
  }

  /** The answer broke off: charged is what is known, and the caller is told, never left with a silent end. */
  #brokenOff(code: 'upstream_timeout' | 'upstream_unreachable'): void {
    this.#end('upstream_failed')
    if (this.#gone) return
    const facts = this.#failure(code, `The upstream "${this.admitted.upstream.name}" broke off its answer.`)
    if (this.#mode === 'stream') this.#finishStream([this.#streamReader().errorEvent(facts)])
    else if (this.#response.headersSent) this.#response.destroy()
    else writeError(this.#response, this.admitted.provider, facts, this.#tollgateHeaders(undefined).slice(2))
  }

  /** The one ending of the call's money. Recorded when this returns; Redis is told after. Undefined: voided, or done before. */
  #end(ending: Ending): Settled | undefined {
    if (this.#ended) return undefined
    this.#ended = true
    if (ending !== 'complete') this.#decoder?.destroy()
    clearTimeout(this.#sliceTimer)
    this.#deps.openCalls.delete(this)
    this.#deps.drains.delete(this)
    const { admitted } = this
    const facts = this.#answerFacts()
    const end = decideEnd({
      ending,
      usage: facts.usage,
      usageFinal: this.#mode === 'json' || (this.#meter?.finished ?? false) || this.#meter?.terminal !== undefined,
      failedInside: this.#meter?.failed ?? false,
      outputTokens: this.#outputTokens(),
      answered: this.#mode !== 'waiting',
      inputLowTokens: admitted.call.input.lowTokens,
      inputLikelyTokens: likelyInput(admitted),
      onNoAnswer: admitted.upstream.onNoAnswer,
    })
    if (ending === 'no_answer')
      this.#deps.metrics.unbilledExposure(
        admitted.terms.account,
        admitted.terms.unit,
        admitted.terms.floorAtoms,
        admitted.terms.scale,
      )
    if (end.kind === 'void') {
      this.#void(end.reason)
      this.#count(ending, undefined, undefined)
      return undefined
    }
    return this.#settle(ending, end, facts)
  }

  #void(reason: string): void {
    const { terms, id } = this.admitted
    // Without a hold there is nothing to give back; the id is closed all the same.
    void this.#deps.outbox.void({ id, account: terms.account, reason })
  }

  #settle(ending: Ending, end: Extract<End, { kind: 'settle' }>, facts: AnswerFacts): Settled {
    const { admitted } = this
    const { terms, price, snapshot } = admitted
    const priced = priceUsage(price, end.usage, {
      scale: terms.scale,
      costScale: admitted.costScale,
      unpricedKind: snapshot.settings.metering.unpricedKind,
    })
    // A cut call has used up what it holds and no more: its estimate cannot be dearer than the hold.
    const capped = ending === 'cut' || terms.onExhausted.mode === 'block'
    const bounded =
      end.source === 'estimate' && capped && admitted.held !== undefined && priced.chargeAtoms > this.#heldAtoms
    const finalAtoms = bounded ? this.#heldAtoms : priced.chargeAtoms
    const info = settleInfo(admitted, {
      usage: end.usage,
      source: end.source,
      priced,
      facts,
      cut: ending === 'cut',
      status: this.#status ?? null,
      endedMonotonicMs: performance.now(),
      firstByteMonotonicMs: this.#firstByteMs,
    })
    const settled: Settled = { chargeAtoms: finalAtoms, usage: end.usage }
    this.#deps.outbox.settle({ terms, finalAtoms, info }).then((result) => this.#posted(result, settled))
    this.#recordTokens(facts, end.usage)
    this.#count(ending, { ...priced, chargeAtoms: finalAtoms }, end)
    return settled
  }

  #posted(result: SettleResult, settled: Settled): void {
    const { terms } = this.admitted
    this.#deps.metrics.posted({
      account: terms.account,
      unit: terms.unit,
      scale: terms.scale,
      result,
      heldAtoms: this.admitted.held ? this.#heldAtoms : undefined,
      chargedAtoms: settled.chargeAtoms,
    })
  }

  #count(
    ending: Ending,
    priced: { chargeAtoms: Atoms; costAtoms: Atoms; unpricedKinds: readonly string[] } | undefined,
    end: Extract<End, { kind: 'settle' }> | undefined,
  ): void {
    const { admitted } = this
    const now = performance.now()
    this.#deps.metrics.ended({
      account: admitted.terms.account,
      upstream: admitted.upstream.name,
      model: admitted.call.model,
      endpoint: admitted.operation.endpoint,
      outcome:
        ending === 'cut'
          ? 'cut'
          : ending === 'complete' || ending === 'client_gone'
            ? admitted.trimmedTo === undefined
              ? 'passed'
              : 'trimmed'
            : 'failed',
      unit: admitted.terms.unit,
      scale: admitted.terms.scale,
      ...(admitted.price ? { costUnit: admitted.price.costUnit, costScale: admitted.costScale } : {}),
      usage: end?.usage,
      usageMissing: end?.source === 'estimate' && ending === 'complete',
      priced,
      upstreamSeconds: (now - this.#sentMs) / 1000,
      firstByteSeconds:
        this.#firstByteMs === undefined ? undefined : (this.#firstByteMs - admitted.startedMonotonicMs) / 1000,
    })
  }

  #answerFacts(): AnswerFacts {
    if (this.#mode === 'stream') return (this.#meter as StreamMeter).facts
    if (this.#mode === 'json')
      return this.admitted.metering.readJson((this.#jsonMeter as JsonMeter).end(), this.admitted.call)
    return NO_FACTS
  }

  /** Delivered output: counted in a stream; of a JSON answer without usage a guess from its length. */
  #outputTokens(): number {
    if (this.#mode === 'stream') return (this.#meter as StreamMeter).outputTokens
    return this.#mode === 'json' && this.admitted.call.generates ? Math.ceil(this.#bodyBytes / 4) : 0
  }

  /** What the call has cost so far, as far as is known: never below the floor. */
  #estimateAtoms(): Atoms {
    const { admitted } = this
    const { terms, price, snapshot } = admitted
    const seen = this.#mode === 'stream' ? this.#meter?.facts.usage : undefined
    const tokens = {
      ...(seen?.tokens ?? { input: this.#mode === 'waiting' ? admitted.call.input.lowTokens : likelyInput(admitted) }),
      output: Math.max(seen?.tokens.output ?? 0, this.#mode === 'stream' ? this.#outputTokens() : 0),
    }
    const { chargeAtoms } = priceUsage(
      price,
      { tokens, raw: null },
      { scale: terms.scale, unpricedKind: snapshot.settings.metering.unpricedKind },
    )
    return chargeAtoms > terms.floorAtoms ? chargeAtoms : terms.floorAtoms
  }

  // ---- objects at the provider

  /** As soon as the stream names the stored answer: its owner may ask for it before the stream ends. */
  #recordObject(): void {
    if (this.#recordedObject || !this.#meter?.facts.storedId) return
    this.#recordedObject = true
    this.#keepObject(this.#meter.facts.storedId, 0)
  }

  #recordTokens(facts: AnswerFacts, usage: Usage): void {
    if (facts.storedId) this.#keepObject(facts.storedId, totalTokens(usage))
  }

  #keepObject(id: string, tokens: number): void {
    const { terms, upstream } = this.admitted
    this.#deps.objects.record(id, terms.account, upstream, tokens).catch(() => {
      this.#deps.log.warn(
        { request_id: this.admitted.id },
        'the owner of a stored answer could not be recorded; it will answer to nobody',
      )
    })
  }

  // ---- writing

  #write(piece: Buffer): void {
    if (this.#gone || this.#response.destroyed) return
    if (!this.#response.write(piece)) {
      this.#stalledSinceMs ??= this.#deps.now()
      this.#exchange?.pause()
    }
  }

  #writeAll(pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.#write(piece)
  }

  #closeAnswer(): void {
    if (this.#gone || this.#response.writableEnded) return
    this.#answered = true
    this.#response.end()
  }

  #writeHead(extra: readonly string[]): void {
    const headers = this.#headers
    for (const item of extra) headers.push(item)
    if (this.#deps.stopping()) headers.push('connection', 'close')
    this.#response.writeHead(this.#status ?? 502, headers)
  }

  /** SPEC section 6. `settled` of an answer that ended before its headers were written. */
  #tollgateHeaders(settled: Settled | undefined): string[] {
    const { admitted } = this
    const { terms, held, would } = admitted
    const headers = [
      'x-tollgate-request-id',
      admitted.id,
      'x-tollgate-account',
      terms.account,
      'x-tollgate-unit',
      terms.unit,
    ]
    if (held) {
      headers.push(
        'x-tollgate-hold',
        formatAmount(held.heldAtoms, terms.scale),
        'x-tollgate-available',
        formatAmount(held.availableAtoms, terms.scale),
      )
      if (held.overage && held.overage.mode !== 'postpaid' && held.overage.atoms > 0n)
        headers.push('x-tollgate-overage', held.overage.mode)
    }
    if (admitted.trimmedTo !== undefined) {
      headers.push(
        'x-tollgate-trimmed',
        `${admitted.metering.outputLimitName(admitted.call, admitted.upstream)}=${admitted.trimmedTo}`,
      )
    }
    if (would) headers.push('x-tollgate-would', would.code)
    if (settled) headers.push('x-tollgate-cost', formatAmount(settled.chargeAtoms, terms.scale))
    return headers
  }

  #costComment(settled: Settled): Buffer {
    const { terms, held } = this.admitted
    let input = 0
    let output = 0
    for (const kind of TOKEN_KINDS) {
      const count = settled.usage.tokens[kind] ?? 0
      if (kind.endsWith('output')) output += count
      else input += count
    }
    const available = held === undefined ? 0n : held.availableAtoms + this.#heldAtoms - settled.chargeAtoms
    return Buffer.from(
      `: tollgate cost=${formatAmount(settled.chargeAtoms, terms.scale)} unit=${terms.unit} input=${input} output=${output} available=${formatAmount(available > 0n ? available : 0n, terms.scale)}\n\n`,
    )
  }

  #refuse(code: 'upstream_timeout' | 'upstream_unreachable', message: string): void {
    if (this.#gone) return
    this.#answered = true
    writeError(
      this.#response,
      this.admitted.provider,
      this.#failure(code, message),
      this.#tollgateHeaders(undefined).slice(2),
    )
  }

  #failure(code: ErrorFacts['code'], message: string): ErrorFacts {
    return errorFacts(code, message, this.admitted.id, { unit: this.admitted.terms.unit })
  }

  #streamReader(): StreamReader {
    return this.#reader as StreamReader
  }
}

interface Settled {
  readonly chargeAtoms: Atoms
  readonly usage: Usage
}

function onSliceTimeout(call: LiveCall): void {
  call.sliceTimedOut()
}

function onLinger(call: LiveCall): void {
  call.linger()
}

/** Between what is certain and what is held: the geometric mean of the low and the high count. */
function likelyInput(admitted: AdmittedCall): number {
  const { lowTokens, highTokens } = admitted.call.input
  return Math.round(Math.sqrt(Math.max(1, lowTokens) * Math.max(1, highTokens)))
}

function totalTokens(usage: Usage): number {
  let total = 0
  for (const kind of TOKEN_KINDS) total += usage.tokens[kind] ?? 0
  return total
}
