/**
 * One metered WebSocket from its opening to its end: frames both ways, the reader beside them, the money ahead of them,
 * and exactly one ending, which is recorded before either side is told.
 */
import { WebSocket } from 'ws'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'
import type { CallDependencies } from '../http/call-dependencies.ts'
import type { OpenCall } from '../http/call-guard.ts'
import type { Ending } from '../http/decide-end.ts'
import { type CallerFrame, InvalidCall, type SessionReader } from '../providers/provider.ts'
import { splice } from '../providers/splice.ts'
import { type Cut, isCut } from '../wallet/cuts.ts'
import { Faucet } from './faucet.ts'
import { FrameOutlet } from './frame-outlet.ts'
import { modelRefusal } from './model-refusal.ts'
import { type Cover, SessionMoney } from './session-money.ts'
import { endSession } from './session-settlement.ts'

/** Progress is recorded at most this often, and with each response that ends. */
const PROGRESS_EVERY_MS = 1_000
/** Both sides are asked whether they are still there. */
const PING_EVERY_MS = 30_000
/** Nothing but pings for so long: nobody is talking. */
const IDLE_MS_MAX = 15 * 60_000
/** For a side to answer our closing. */
const CLOSE_MS = 2_000
const REASON_BYTES_MAX = 120

/** Close codes: RFC 6455 section 7.4.1. */
const GOING_AWAY = 1001
const UNSUPPORTED = 1003
const POLICY = 1008
const FAILED = 1011
const TRY_AGAIN = 1013

export interface SessionParts {
  readonly deps: CallDependencies
  readonly admitted: AdmittedCall
  readonly reader: SessionReader
  readonly caller: WebSocket
  /** Open, and paused. */
  readonly upstream: WebSocket
  readonly sentMonotonicMs: number
}

export class RealtimeSession implements OpenCall {
  readonly #deps: CallDependencies
  readonly #admitted: AdmittedCall
  readonly #reader: SessionReader
  readonly #caller: WebSocket
  readonly #upstream: WebSocket
  readonly #money: SessionMoney
  readonly #callerTap: Faucet
  readonly #toCaller: FrameOutlet
  readonly #toUpstream: FrameOutlet
  readonly #sentMonotonicMs: number
  /** The output limit that the session was told by us; undefined: none. */
  #limit: number | undefined
  /** A frame waits for its money, and those behind it. */
  #waiting: { readonly data: Buffer; readonly binary: boolean }[] | undefined
  #ended = false
  #callerGone = false
  #drainDeadlineMs = Number.POSITIVE_INFINITY
  #lastFrameMs: number
  #lastProgressMs = 0
  #progressDue = false
  #lastPingMs: number
  #unanswered = new Set<WebSocket>()

  constructor(parts: SessionParts) {
    this.#deps = parts.deps
    this.#admitted = parts.admitted
    this.#reader = parts.reader
    this.#caller = parts.caller
    this.#upstream = parts.upstream
    this.#sentMonotonicMs = parts.sentMonotonicMs
    this.#money = new SessionMoney(parts.deps, parts.admitted, parts.reader)
    this.#callerTap = new Faucet(parts.caller)
    this.#toCaller = new FrameOutlet(parts.caller, new Faucet(parts.upstream))
    this.#toUpstream = new FrameOutlet(parts.upstream, this.#callerTap)
    this.#lastFrameMs = parts.deps.now()
    this.#lastPingMs = this.#lastFrameMs
  }

  start(): void {
    const { trimmedTo, ceiling, plan } = this.#admitted
    const limit = plan.enforcement === 'observe' ? undefined : (trimmedTo ?? ceiling.writeLimit)
    this.#deps.openCalls.add(this)
    this.#listen(
      this.#caller,
      (data, binary) => this.#fromCaller(data, binary),
      (code, reason) => this.#callerClosed(code, reason),
    )
    this.#listen(
      this.#upstream,
      (data, binary) => this.#fromUpstream(data, binary),
      (code, reason) => this.#upstreamClosed(code, reason),
    )
    if (limit !== undefined) {
      // Nothing may start before the session knows its limit.
      this.#limit = limit
      this.#callerTap.close('limit')
    }
    this.#upstream.resume()
  }

  #listen(
    socket: WebSocket,
    onFrame: (data: Buffer, binary: boolean) => void,
    onClose: (code: number, reason: Buffer) => void,
  ): void {
    socket.on('message', (data, binary) => this.#guard(() => onFrame(data as Buffer, binary)))
    socket.on('close', (code, reason) => this.#guard(() => onClose(code, reason)))
    // What is wrong shows in the close that follows.
    socket.on('error', () => {})
    socket.on('pong', () => this.#unanswered.delete(socket))
  }

  /** An exception in a socket's callback would end the process with every other call in it. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.#deps.log.error({ request_id: this.#admitted.id, error }, 'a session failed in the gateway')
    this.#close(
      'upstream_failed',
      FAILED,
      this.#facts('internal', 'The gateway failed on this session; what was used is in the ledger.'),
    )
  }

  // The caller's frames.

  #fromCaller(data: Buffer, binary: boolean): void {
    if (this.#ended || this.#callerGone) return
    this.#lastFrameMs = this.#deps.now()
    if (this.#waiting) {
      this.#waiting.push({ data, binary })
      return
    }
    let frame: CallerFrame
    try {
      frame = this.#reader.readCaller(data)
    } catch (error) {
      if (!(error instanceof InvalidCall)) throw error
      if (binary)
        this.#close(
          'complete',
          UNSUPPORTED,
          this.#facts('invalid_request', 'A binary frame is no event; send JSON as text.'),
        )
      else
        this.#tellCaller(
          errorFacts('invalid_request', error.message, this.#admitted.id, { param: error.field ?? null }),
          null,
        )
      return
    }
    const refusal = frame.model === undefined ? undefined : modelRefusal(this.#admitted, frame.model)
    if (refusal) {
      this.#deps.metrics.refused({ ...this.#admitted.where, code: refusal.code, rule: refusal.rule })
      this.#tellCaller(refusal, frame.eventId)
    } else if (frame.starts) this.#start(frame, binary)
    else this.#forward(frame, binary)
  }

  #start(frame: CallerFrame, binary: boolean): void {
    const covered = this.#money.coverNow(frame.outputLimit)
    if (covered && 'tokens' in covered) {
      this.#begin(frame, binary, covered.tokens)
      return
    }
    this.#waiting = []
    this.#callerTap.close('money')
    void this.#money
      .cover(frame.outputLimit)
      .then((cover) => this.#guard(() => this.#coverAnswered(frame, binary, cover)))
  }

  #coverAnswered(frame: CallerFrame, binary: boolean, cover: Cover): void {
    if (this.#ended) return
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    this.#callerTap.reopen('money')
    if ('tokens' in cover) this.#begin(frame, binary, cover.tokens)
    else this.#outOfMoney(cover.refused, frame.eventId)
    for (const { data, binary } of waiting) this.#fromCaller(data, binary)
  }

  /** The response is covered: it goes on, and the session is told how much it may say. */
  #begin(frame: CallerFrame, binary: boolean, tokens: number): void {
    this.#tellLimit(tokens)
    this.#money.begin(tokens)
    this.#reader.asked()
    this.#forward(frame, binary)
  }

  /** Only a limit that differs from what the caller and the model have by themselves. */
  #tellLimit(tokens: number): void {
    const { ceiling } = this.#admitted
    const own = Math.min(this.#reader.ownLimit ?? Number.POSITIVE_INFINITY, ceiling.limitTokens)
    const limit = tokens < own ? tokens : this.#limit === undefined ? undefined : own
    if (limit === undefined || limit === this.#limit) return
    this.#limit = limit
    this.#toUpstream.send(this.#reader.limitFrame(limit), false)
  }

  /** A limit above ours is lowered; every other byte stays. */
  #forward(frame: CallerFrame, binary: boolean): void {
    const span = frame.limitSpan
    const higher = span && this.#limit !== undefined && (frame.outputLimit ?? Number.POSITIVE_INFINITY) > this.#limit
    const edited = higher
      ? splice(frame.frame, [{ from: span.valueStart, to: span.valueEnd, text: String(this.#limit) }])
      : frame.frame
    this.#toUpstream.send(edited, binary)
  }

  // The upstream's.

  #fromUpstream(data: Buffer, binary: boolean): void {
    if (this.#ended) return
    this.#lastFrameMs = this.#deps.now()
    const wasReady = this.#reader.ready
    const verdict = this.#reader.readUpstream(data)
    if (verdict === 'drop') return
    if (verdict === 'money') this.#moneyChanged()
    else this.#progressDue = true
    if (this.#ended) return
    this.#toCaller.send(data, binary)
    if (!wasReady && this.#reader.ready && this.#limit !== undefined) {
      this.#toUpstream.send(this.#reader.limitFrame(this.#limit), false)
      this.#callerTap.reopen('limit')
    }
  }

  #moneyChanged(): void {
    this.#money.settleRunning()
    this.#progress(this.#deps.now())
    if (this.#callerGone) {
      if (!this.#reader.unfinished) this.#close('complete', GOING_AWAY, undefined)
      return
    }
    if (this.#reader.answersByItself) this.#coverAhead()
  }

  /** A response that nobody asks for must be covered before the user has spoken. */
  #coverAhead(): void {
    const covered = this.#money.coverNow(undefined)
    if (covered && 'tokens' in covered) {
      if (this.#reader.ready) this.#tellLimit(covered.tokens)
      return
    }
    void this.#money.cover(undefined).then((cover) =>
      this.#guard(() => {
        if (this.#ended) return
        if ('tokens' in cover) this.#tellLimit(cover.tokens)
        else if (this.#reader.running === 0) this.#outOfMoney(cover.refused, null)
      }),
    )
  }

  /** While a response runs it is paid for: only the next one is refused. */
  #outOfMoney(facts: ErrorFacts, eventId: string | null): void {
    this.#deps.metrics.refused({ ...this.#admitted.where, code: facts.code, rule: facts.rule })
    if (this.#reader.running > 0) this.#tellCaller(facts, eventId)
    else this.#close('cut', facts.code === 'wallet_unavailable' ? TRY_AGAIN : POLICY, facts, eventId)
  }

  // Its end.

  #callerClosed(code: number, reason: Buffer): void {
    if (this.#ended || this.#callerGone) return
    this.#callerGone = true
    const { onDisconnect } = this.#admitted.upstream
    const { drains } = this.#admitted.snapshot.settings.limits
    if (!this.#reader.unfinished) this.#end('complete')
    else if (onDisconnect.mode === 'cancel' || this.#deps.drains.size >= drains) this.#end('client_gone')
    else {
      // Read on for what runs, so that it is charged as the provider counts it.
      this.#deps.drains.add(this)
      this.#drainDeadlineMs = this.#deps.now() + onDisconnect.maxMs
      this.#upstream.resume()
      return
    }
    this.#closeSocket(this.#upstream, code, reason)
  }

  #upstreamClosed(code: number, reason: Buffer): void {
    if (this.#ended) return
    const whole = !this.#reader.unfinished
    if (isSendable(code) && whole) {
      this.#end('complete')
      this.#closeSocket(this.#caller, code, reason)
      return
    }
    const message = `The upstream "${this.#admitted.upstream.name}" broke off the session.`
    this.#close(
      whole ? 'complete' : 'upstream_failed',
      isSendable(code) ? code : FAILED,
      this.#facts('upstream_unreachable', message),
    )
  }

  /** Records the end, tells the caller why, and closes both sides. */
  #close(ending: Ending, code: number, facts: ErrorFacts | undefined, eventId: string | null = null): void {
    if (this.#ended) return
    this.#end(ending)
    const reason = facts ? `${facts.code}: ${facts.message}` : ''
    if (facts && !this.#callerGone && this.#caller.readyState === WebSocket.OPEN)
      this.#caller.send(this.#reader.errorFrame(facts, eventId))
    this.#closeSocket(this.#caller, code, Buffer.from(reason))
    this.#closeSocket(this.#upstream, GOING_AWAY, Buffer.alloc(0))
  }

  /** The one ending of the session's money. Recorded when this returns. */
  #end(ending: Ending): void {
    if (this.#ended) return
    this.#ended = true
    this.#deps.openCalls.delete(this)
    this.#deps.drains.delete(this)
    this.#waiting = undefined
    endSession(this.#deps, this.#admitted, this.#reader, {
      ending,
      held: this.#money.held,
      sentMonotonicMs: this.#sentMonotonicMs,
    })
  }

  #closeSocket(socket: WebSocket, code: number, reason: Buffer): void {
    if (socket.readyState === WebSocket.CLOSED) return
    // A socket that is paused would not see the other side's answer.
    socket.resume()
    socket.close(isSendable(code) ? code : GOING_AWAY, reason.subarray(0, REASON_BYTES_MAX).toString())
    setTimeout(terminate, CLOSE_MS, socket).unref()
  }

  /** Each second. */
  tick(nowMs: number): void {
    this.#guard(() => this.#tick(nowMs))
  }

  #tick(nowMs: number): void {
    if (nowMs >= this.#drainDeadlineMs) {
      this.#close('client_gone', GOING_AWAY, undefined)
      return
    }
    this.#money.tick(nowMs)
    if (this.#progressDue) this.#progress(nowMs)
    if (this.#toCaller.stalled(nowMs) || this.#toUpstream.stalled(nowMs)) {
      this.#close(this.#reader.unfinished ? 'client_gone' : 'complete', GOING_AWAY, undefined)
      return
    }
    if (nowMs - this.#lastFrameMs > IDLE_MS_MAX)
      this.#close(
        'complete',
        1000,
        this.#facts('upstream_timeout', 'Nothing was said for too long; the session was closed.'),
      )
    else if (nowMs - this.#lastPingMs >= PING_EVERY_MS) this.#ping(nowMs)
  }

  #ping(nowMs: number): void {
    this.#lastPingMs = nowMs
    for (const socket of [this.#caller, this.#upstream]) {
      if (socket.readyState !== WebSocket.OPEN) continue
      // The last ping found nobody: its close follows.
      if (this.#unanswered.has(socket)) socket.terminate()
      else {
        this.#unanswered.add(socket)
        socket.ping()
      }
    }
  }

  #progress(nowMs: number): void {
    if (nowMs - this.#lastProgressMs < PROGRESS_EVERY_MS && this.#reader.running > 0) return
    this.#lastProgressMs = nowMs
    this.#progressDue = false
    this.#deps.outbox.progress(this.#admitted.id, this.#money.knownAtoms)
  }

  /** The grace of a stop is over. */
  cut(what: Cut): void {
    if (!isCut(this.#admitted.terms, what)) return
    this.#guard(() =>
      this.#close(
        this.#reader.unfinished ? 'stopped' : 'complete',
        POLICY,
        this.#facts('stopped', 'The session was stopped by hand; ask whoever runs the account.'),
      ),
    )
  }

  stop(): void {
    this.#guard(() =>
      this.#close(
        this.#reader.unfinished ? 'stopped' : 'complete',
        GOING_AWAY,
        this.#facts('overloaded', 'The gateway is stopping; open the session again.'),
      ),
    )
  }

  #tellCaller(facts: ErrorFacts, eventId: string | null): void {
    this.#toCaller.send(this.#reader.errorFrame(facts, eventId), false)
  }

  #facts(code: ErrorFacts['code'], message: string): ErrorFacts {
    return errorFacts(code, message, this.#admitted.id, { unit: this.#admitted.terms.unit })
  }
}

/** Codes that stand for something that did not come as a frame cannot be sent in one. */
function isSendable(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
  )
}

function terminate(socket: WebSocket): void {
  socket.terminate()
}
