/** What the rest of the gateway tells the metrics. Shapes of their own, so that nothing above is imported. */
import type { Atoms } from '../core/money.ts'
import type { Usage } from '../core/usage.ts'

export type Outcome = 'passed' | 'trimmed' | 'cut' | 'refused' | 'failed'

/** Where a call was, as far as it got: "" where that was not known yet. */
export interface RequestLabels {
  readonly account: string
  readonly upstream: string
  readonly model: string
  readonly endpoint: string
}

/** A call that was answered by the gateway itself; what is left out was not known yet. */
export interface RefusedCall extends Partial<RequestLabels> {
  readonly code: string
  readonly rule: string | null
}

/** The end of a metered call. */
export interface EndedCall extends RequestLabels, UsedByCall {
  readonly outcome: Outcome
  /** Its output limit was lowered to fit, however it ended. */
  readonly trimmed: boolean
  /** The answer was whole, said nothing of its usage, and nothing in it could be counted. */
  readonly usageMissing: boolean
  /** Something of the answer that may have carried usage could not be read; left out: nothing. */
  readonly unread?: boolean
  /** From the moment that the request went out; undefined: it went on after its answer. */
  readonly upstreamSeconds: number | undefined
  /** From the caller's request to the first byte of the answer; undefined: none came. */
  readonly firstByteSeconds: number | undefined
}

/** What a call used of one model. */
export interface UsedByCall {
  readonly account: string
  readonly model: string
  /** Of the charge. */
  readonly unit: string
  readonly scale: number
  /** Of the cost; left out: those of the charge. */
  readonly costUnit?: string
  readonly costScale?: number
  /** undefined: nothing was charged (a void). */
  readonly usage: Usage | undefined
  readonly priced:
    | { readonly chargeAtoms: Atoms; readonly costAtoms: Atoms; readonly unpricedKinds: readonly string[] }
    | undefined
}

/** What Redis answered to a settlement; a SettleResult has it all. */
export interface PostedCall {
  readonly account: string
  readonly model: string
  readonly unit: string
  readonly scale: number
  readonly result: {
    readonly status: string
    readonly overage: { readonly mode: string; readonly atoms: Atoms } | undefined
    readonly overrunAtoms: Atoms
    /** With the multiplier of overflow. */
    readonly chargedAtoms: Atoms
  }
  /** undefined: the call had no hold. */
  readonly heldAtoms: Atoms | undefined
  /** At price. */
  readonly chargedAtoms: Atoms
}

/** One wallet as Redis has it. */
export interface WalletGauge {
  readonly account: string
  readonly unit: string
  readonly available: number
  readonly held: number
  readonly debt: number
  /** undefined: at the present rate it does not end. */
  readonly secondsToEmpty: number | undefined
}

/** One account as Redis has it. */
export interface AccountGauge {
  readonly account: string
  readonly holdsOpen: number
  /** Settlements that wait for an operator's word. */
  readonly unmatched: number
  readonly budgets: readonly BudgetGauge[]
}

/** The fullest counter of a budget in an account. */
export interface BudgetGauge {
  readonly budget: string
  /** tokens, requests, concurrent, or a unit of money. */
  readonly unit: string
  readonly ratio: number
}

/** What a receiver of events does not have yet. */
export interface WaitingReceiver {
  readonly receiver: string
  /** Accounts whose events wait. */
  readonly pending: number
  readonly oldestSeconds: number
}
