/**
 * The outbox: what this gateway still owes Redis, on local disk before it is due. Process death loses nothing of it.
 * Records of one call, in order: intent → dispatched → progress… → settle | void | job → acknowledged; a job has its own
 * settle later, from whichever gateway learns how it ended.
 */
import type { Atoms } from '../core/money.ts'
import type { HoldTerms, SettleRequest, SettleResult, VoidRequest, VoidResult } from './wallet-types.ts'

export interface OutboxShape {
  /** Before the hold: a restart resolves the id (void) if nothing follows. In the file when this returns; no fsync. */
  intent(id: string, account: string): void
  /** The hold was refused: nothing is owed. */
  drop(id: string): void
  /** Before the request is sent: from here on a restart leaves the hold to its timeout. */
  dispatched(terms: HoldTerms): void
  /** What is known to be used so far; kept at most each second or 4 KiB of output (the caller sees to that). */
  progress(id: string, cumulativeAtoms: Atoms): void
  /**
   * Records the settlement (in the file when this returns the promise), sends it, and re-sends until Redis has
   * acknowledged. The promise settles with Redis's answer; it never rejects. Nobody the client waits for awaits it.
   */
  settle(request: SettleRequest): Promise<SettleResult>
  void(request: VoidRequest): Promise<VoidResult>
  /**
   * The call goes on at the provider: recorded here when this returns, then put on the list of those that are asked how
   * they stand, again and again until it is there; then the promise resolves. `call`: JSON, a LongCall.
   */
  job(id: string, account: string, call: string): Promise<unknown>
  /** Records that Redis has not acknowledged, and the age of the oldest in seconds. */
  readonly depth: number
  readonly oldestSeconds: number
  /** False when the disk refuses or the bound is reached: no new hold is taken then (503 overloaded). */
  readonly accepting: boolean
  /** Resolves when all is acknowledged or the time is up; then closes the file. */
  close(withinMs: number): Promise<void>
}
