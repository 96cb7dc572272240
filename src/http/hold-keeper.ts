/** Keeps the hold of an open call: renews its deadline, and asks for the next slice of a stream in good time. */
import type { Atoms } from '../core/money.ts'
import { CommandDeadlines } from '../redis/command-deadlines.ts'
import type { CheckpointResult } from '../wallet/wallet-types.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { measuredProgress } from './call-budgets.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { firstHeld, type HeldMoney, heldAfter } from './held-money.ts'

/** How long a stream waits for its next slice: 300 ms (WALLET section 3) at the latest, as limits end at a tick of 25 ms. */
const SLICE_WAIT_MS = 275
/** Next slice of a stream without slices whose provider goes far beyond the limit it was given. */
const RUNAWAY_SLICE_TOKENS = 1_024

export type SliceRefusal = Exclude<CheckpointResult, { readonly status: 'checkpointed' }>

/** The call whose hold is kept. */
export interface KeptCall {
  /** What is known to be used so far, in all. */
  knownAtoms(): Atoms
  /** The same in tokens, input and output. */
  knownTokens(): number
  /** This many more output tokens may pass. */
  onSlice(tokens: number): void
  /** The money ended. Undefined: the wallet did not answer. */
  onNoSlice(refusal: SliceRefusal | undefined): void
}

/** The waits of all streams of a process: an event loop that stood still while the slice came cuts no stream. */
export function sliceWaits(): CommandDeadlines {
  return new CommandDeadlines(SLICE_WAIT_MS)
}

export class HoldKeeper {
  readonly #deps: CallDependencies
  readonly #admitted: AdmittedCall
  readonly #call: KeptCall
  #held: HeldMoney
  #checkpoints = 0
  #renewedAtMs: number
  #asking = false
  #refusal: SliceRefusal | undefined
  /** Nothing may pass until a slice comes. */
  #waiting = false
  #endWait: (() => void) | undefined
  #closed = false

  constructor(deps: CallDependencies, admitted: AdmittedCall, call: KeptCall) {
    this.#deps = deps
    this.#admitted = admitted
    this.#call = call
    this.#held = firstHeld(admitted)
    this.#renewedAtMs = admitted.startedAtMs
  }

  /** By the hold and all its extensions. */
  get held(): HeldMoney {
    return this.#held
  }

  /** Output tokens that the hold pays for. Without slices a count of twice the limit is a runaway, not a miscount. */
  get firstAllowance(): number {
    const { held, ceiling, call, plan } = this.#admitted
    const unbounded = !held || plan.enforcement === 'observe' || !call.generates || ceiling.perTokenAtoms === 0n
    if (unbounded) return Number.POSITIVE_INFINITY
    const tokens = held.tokens * call.answers
    return ceiling.sliced ? tokens : tokens * 2 + 64
  }

  /**
   * How far a stream may come before the next slice is asked for: half way through its slice. Without slices it is a limit
   * that a provider does not keep to, or a miscount of ours: most streams that pass their limit end soon after, and need none.
   */
  askAtTokens(fromTokens: number, allowance: number): number {
    const { sliced } = this.#admitted.ceiling
    return fromTokens + (allowance - fromTokens) * (sliced ? 1 / 2 : 3 / 4)
  }

  /** Each second. */
  tick(nowMs: number): void {
    const { checkpointEveryMs } = this.#admitted.snapshot.settings.limits
    // One that goes on holds for longer than any answer takes; a checkpoint would bring its deadline forward.
    if (this.#admitted.call.goesOn) return
    if (this.#admitted.held && !this.#asking && nowMs - this.#renewedAtMs >= checkpointEveryMs) this.#checkpoint(false)
  }

  /** `askAtTokens` have passed: the next slice is asked for while the stream goes on. */
  askEarly(): void {
    if (!this.#asking && !this.#refusal) this.#ask()
  }

  /** The slice is used up and the stream stands still. Answers by onSlice or onNoSlice, in 300 ms at the latest. */
  wait(): void {
    if (this.#waiting) return
    this.#waiting = true
    if (!this.#asking) this.#ask()
    this.#endWait = this.#deps.sliceWaits.start(() => this.#timedOut())
  }

  close(): void {
    this.#closed = true
    this.#endWait?.()
  }

  #timedOut(): void {
    if (this.#waiting && !this.#closed) this.#call.onNoSlice(this.#refusal)
  }

  #ask(): void {
    this.#asking = true
    this.#checkpoint(true)
  }

  #checkpoint(extend: boolean): void {
    const { id, terms, snapshot, ceiling, call, plan } = this.#admitted
    const { holdDeadlineMs } = snapshot.settings.limits
    const sliceTokens = plan.streaming?.sliceTokens ?? RUNAWAY_SLICE_TOKENS
    const wantTokens = Math.max(1, Math.ceil(sliceTokens / call.answers))
    const cumulativeAtoms = this.#call.knownAtoms()
    this.#renewedAtMs = this.#deps.now()
    this.#deps.sweeper.touch(terms.account, this.#renewedAtMs + holdDeadlineMs)
    this.#deps.wallet
      .checkpoint({
        id,
        account: terms.account,
        number: ++this.#checkpoints,
        cumulativeAtoms,
        amounts: measuredProgress(this.#admitted, terms, {
          atoms: cumulativeAtoms,
          tokens: this.#call.knownTokens(),
          perTokenAtoms: ceiling.perTokenAtoms,
        }),
        deadlineMs: holdDeadlineMs,
        extend: extend ? { perTokenAtoms: ceiling.perTokenAtoms, leastTokens: 1, wantTokens } : undefined,
      })
      .then(
        (result) => this.#answered(result, extend),
        () => {
          // Redis is away: the stream goes on to the end of what it holds, and is then cut (on_redis_down: deny).
          if (extend) this.#asking = false
        },
      )
  }

  #answered(result: CheckpointResult, extend: boolean): void {
    if (result.status === 'checkpointed')
      this.#held = heldAfter(this.#held, result, this.#admitted.ceiling.perTokenAtoms)
    if (!extend) return
    this.#asking = false
    if (this.#closed) return
    if (result.status === 'checkpointed') {
      this.#refusal = undefined
      this.#waiting = false
      this.#endWait?.()
      this.#call.onSlice(result.tokens * this.#admitted.call.answers)
    } else if (this.#waiting && this.#refusal) {
      this.#call.onNoSlice(result)
    } else {
      // Asked for early and refused: what other calls release until the slice is used up may still do.
      this.#refusal = result
      if (this.#waiting) this.#ask()
    }
  }
}
