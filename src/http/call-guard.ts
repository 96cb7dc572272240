/**
 * Where the world enters an open call: the upstream's answer, the caller's socket, the wallet's replies, the clock. An
 * exception behind any of these ends that call, once, and nothing else: in a socket's callback or a timer it would end
 * the process with every other call in it.
 */
import type { Atoms } from '../core/money.ts'
import type { AnswerListener, UpstreamFailure, UpstreamRequest } from '../proxy/upstream.ts'
import type { Cut } from '../wallet/cuts.ts'
import type { KeptCall, SliceRefusal } from './hold-keeper.ts'
import type { ResponseOwner } from './tollgate-response.ts'

/** What the process does with every open call. */
export interface OpenCall {
  /** Each second. */
  tick(nowMs: number): void
  /** The grace of a stop is over. */
  stop(): void
  /** Somebody stopped a run, a user, a key or a request by hand: ends if it is of it, as a call whose money ended. */
  cut(what: Cut): void
}

/** Told when the credential for the upstream is there, or cannot be had. */
export interface AuthorizedCall {
  onAuthorized(request: UpstreamRequest): void
  onUnauthorized(error: unknown): void
}

export interface GuardedCall extends AnswerListener, AuthorizedCall, ResponseOwner, KeptCall, OpenCall {
  onDecoded(bytes: Buffer): void
  onDecodedEnd(): void
  onUndecodable(): void
  onLinger(): void
  /** Ends the call's money and its answer. Must not throw. */
  fail(error: unknown): void
}

export class CallGuard implements GuardedCall {
  readonly #call: GuardedCall

  constructor(call: GuardedCall) {
    this.#call = call
  }

  onAuthorized(request: UpstreamRequest): void {
    try {
      this.#call.onAuthorized(request)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onUnauthorized(error: unknown): void {
    try {
      this.#call.onUnauthorized(error)
    } catch (thrown) {
      this.#call.fail(thrown)
    }
  }

  onHead(status: number, raw: readonly Buffer[]): void {
    try {
      this.#call.onHead(status, raw)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onData(chunk: Buffer): void {
    try {
      this.#call.onData(chunk)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onEnd(): void {
    try {
      this.#call.onEnd()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onFailure(failure: UpstreamFailure): void {
    try {
      this.#call.onFailure(failure)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onDecoded(bytes: Buffer): void {
    try {
      this.#call.onDecoded(bytes)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onDecodedEnd(): void {
    try {
      this.#call.onDecodedEnd()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onUndecodable(): void {
    try {
      this.#call.onUndecodable()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onDrain(): void {
    try {
      this.#call.onDrain()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onClose(): void {
    try {
      this.#call.onClose()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onSlice(tokens: number): void {
    try {
      this.#call.onSlice(tokens)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  onNoSlice(refusal: SliceRefusal | undefined): void {
    try {
      this.#call.onNoSlice(refusal)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  knownAtoms(): Atoms {
    try {
      return this.#call.knownAtoms()
    } catch (error) {
      this.#call.fail(error)
      return 0n
    }
  }

  knownTokens(): number {
    try {
      return this.#call.knownTokens()
    } catch (error) {
      this.#call.fail(error)
      return 0
    }
  }

  onLinger(): void {
    try {
      this.#call.onLinger()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  tick(nowMs: number): void {
    try {
      this.#call.tick(nowMs)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  stop(): void {
    try {
      this.#call.stop()
    } catch (error) {
      this.#call.fail(error)
    }
  }

  cut(what: Cut): void {
    try {
      this.#call.cut(what)
    } catch (error) {
      this.#call.fail(error)
    }
  }

  fail(error: unknown): void {
    this.#call.fail(error)
  }
}
