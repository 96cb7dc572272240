/**
 * What the wallet does for the rest of the program. Each function is one script in `redis-scripts/`, one atomic act.
 * A refusal is a status, never an exception. WalletUnavailable says that Redis did not answer.
 */

import type { OnExhausted } from '../config/snapshot.ts'
import type { WalletAlerts } from '../core/alerts.ts'
import type { Atoms } from '../core/money.ts'

/** What grants' `applies_to` (and later budgets and stops) are matched against. */
export interface HoldFacts {
  readonly model: string
  readonly upstream: string
  readonly endpoint: string
  readonly key: string
  readonly run: string | undefined
  readonly user: string | undefined
  readonly labels: Readonly<Record<string, string>>
}

/** A budget that a call counts against, with the counter and the windows around the call's time. */
export interface BudgetCount {
  readonly name: string
  /** The counter: NAME~MEASURE~WINDOW~VALUES, each percent-encoded. */
  readonly field: string
  /** requests | concurrent | tokens | a unit of money. */
  readonly measure: string
  /** In atoms where the measure is money. */
  readonly limit: bigint
  readonly action: 'block' | 'flag'
  /** How long the counter stays after its last use; 0: for ever. */
  readonly lifeMs: number
  /** Of a budget that makes one counter for each value: what its counters have in common; "" otherwise. */
  readonly group: string
  readonly valuesMax: number
  readonly window:
    | { readonly kind: 'rolling'; readonly lengthMs: number; readonly partMs: number }
    /** Four bounds: the window before the call's, its own, the one after. */
    | { readonly kind: 'calendar'; readonly bounds: readonly [number, number, number, number] }
    | { readonly kind: 'lifetime' }
}

/** What a call comes to in a measure that budgets count: tokens, or money of another unit than the wallet's. */
export interface MeasuredAmount {
  readonly measure: string
  readonly fixed: bigint
  readonly perToken: bigint
  /** Certainly used once the call is sent. */
  readonly floor: bigint
}

/** The terms that a hold is made on. A settle carries a copy, in case the hold was lost in a failover. */
export interface HoldTerms {
  /** The call's request id, made by newId: also the operation id of the hold. */
  readonly id: string
  readonly account: string
  readonly unit: string
  readonly scale: number
  readonly onExhausted: OnExhausted
  /** Name of the overflow period that the call falls in ("2026-11"); "" unless the mode is overflow. */
  readonly overflowPeriod: string
  readonly observe: boolean
  readonly facts: HoldFacts
  /** What the call counts against; left out: nothing. */
  readonly budgets?: readonly BudgetCount[]
  /** Certainly spent once the call is sent: the input that could be seen, counted low. */
  readonly floorAtoms: Atoms
  readonly priceVersion: string
  /** What a timeout posts: max(floor, checkpoint) | nothing | the whole hold. */
  readonly onTimeout: 'known' | 'release' | 'full'
  /** How long after a timeout the call's own end still counts: an hour at least; left out: 24 h. */
  readonly lateWindowMs?: number
}

export interface HoldRequest extends HoldTerms {
  /** Input and fees. */
  readonly fixedAtoms: Atoms
  /** For one token of the call's output limit, all answers (`n`) together, rounded up. */
  readonly perTokenAtoms: Atoms
  /** In the measures of the budgets, beside requests, concurrent and the wallet's own unit. */
  readonly amounts?: readonly MeasuredAmount[]
  /** Of the first slice where the call is sliced. 0 <= least <= want. */
  readonly leastTokens: number
  readonly wantTokens: number
  /** The whole ceiling; equal to wantTokens without slices. */
  readonly totalTokens: number
  /** From now. */
  readonly deadlineMs: number
  /** Decide and answer, write nothing. */
  readonly dryRun: boolean
  /** What the wallet is watched for; left out: what needs no threshold. Not of the call: a retry may say something else. */
  readonly alerts?: WalletAlerts | undefined
  /** JSON object of the ledger's hold entry (request facts that the scripts do not read). */
  readonly info: string
}

export interface Overage {
  readonly mode: 'negative' | 'overflow' | 'flag' | 'postpaid'
  readonly atoms: Atoms
}

export interface Held {
  readonly status: 'held'
  readonly replay: boolean
  /** Ledger sequence of the hold entry; 0 in a dry run. */
  readonly seq: number
  /** Output tokens that the hold pays for: leastTokens <= tokens <= wantTokens. */
  readonly tokens: number
  /** Output tokens, up to totalTokens, that the wallet could pay at this moment in all. */
  readonly payableTokens: number
  readonly heldAtoms: Atoms
  /** The part of heldAtoms that no grant covers. */
  readonly overage: Overage | undefined
  /** Free part of the usable grants without applies_to, after the hold; in a dry run as it is. */
  readonly availableAtoms: Atoms
  /** Only under observe: what enforcement would have answered, and the budget that said so. */
  readonly would: HoldRefusalStatus | undefined
  readonly wouldRule: string | undefined
  /** Names of budgets that flag, and are now beyond their limit. */
  readonly exceeded: readonly string[]
}

/** In order of precedence. */
export const HOLD_REFUSALS = [
  'conflict', // this id was used with other arguments
  'id_closed', // an end for this id came before the hold: nothing may be held under it any more
  'id_too_old', // the id's time is further back than its records are kept
  'frozen',
  'stopped', // the run, user, key or request was stopped by hand
  'too_many_holds', // 10,000 open holds
  'out_of_range', // an amount beyond 2^53-1 atoms
  'too_many_values', // a budget that makes one counter for each value has as many as it may
  'insufficient_funds',
  'budget_exceeded',
  'held_by_open_calls', // it would fit but for what open calls hold
] as const
export type HoldRefusalStatus = (typeof HOLD_REFUSALS)[number]

export interface HoldRefused {
  readonly status: HoldRefusalStatus
  readonly replay: boolean
  /** What the least useful call would have held. */
  readonly neededAtoms: Atoms
  /** What could have been held: available, scoped grants that fit, and headroom of overage. */
  readonly availableAtoms: Atoms
  /** Field of the budget that refused, in whose measure the two amounts then are; or the stop (`run:R`). */
  readonly rule: string | undefined
  /** When time alone makes room again. */
  readonly resetsAtMs: number | undefined
}

/** What is known to be used, and what a token of the next slice comes to, in a measure of budgets. */
export interface MeasuredProgress {
  readonly measure: string
  readonly known: bigint
  readonly perToken: bigint
}

export interface CheckpointRequest {
  readonly id: string
  readonly account: string
  /** 1, 2, 3 … of this hold: with the id it makes the operation id, so that a re-sent one changes nothing. */
  readonly number: number
  /** What is known to be used so far, in all. Lower than an earlier one: kept at the earlier. */
  readonly cumulativeAtoms: Atoms
  /** The same in the measures of the hold's budgets. */
  readonly amounts?: readonly MeasuredProgress[]
  /** The deadline is this far from now again. */
  readonly deadlineMs: number
  /** The next slice; undefined: renew only. */
  readonly extend:
    | { readonly perTokenAtoms: Atoms; readonly leastTokens: number; readonly wantTokens: number }
    | undefined
}
export type CheckpointResult =
  | {
      readonly status: 'checkpointed'
      readonly tokens: number
      readonly heldAtoms: Atoms
      readonly availableAtoms: Atoms
    }
  | {
      readonly status:
        | 'conflict'
        | 'hold_not_open'
        | 'out_of_range'
        | 'held_by_open_calls'
        | 'insufficient_funds'
        | 'budget_exceeded'
      readonly neededAtoms: Atoms
      readonly availableAtoms: Atoms
      /** Field of the budget that refused. */
      readonly rule: string | undefined
    }

export interface SettleRequest {
  readonly terms: HoldTerms
  /** What the call cost, final. */
  readonly finalAtoms: Atoms
  /** What it came to in the other measures of its budgets: tokens, money of other units. */
  readonly finals?: Readonly<Record<string, bigint>>
  /** JSON object of the ledger's settle entry: request, tokens, usage, status, times (SPEC section 7). */
  readonly info: string
}
export interface SettleResult {
  /**
   * settled: the hold was open. late_settled: it had timed out (its late window is open), the net is now final.
   * orphan_settled: no trace of the hold, charged from the copy. unmatched: too late to charge, kept for an operator.
   * hold_not_open: the id has its end already (a void, or another settle).
   */
  readonly status: 'settled' | 'late_settled' | 'orphan_settled' | 'unmatched' | 'hold_not_open' | 'conflict'
  readonly replay: boolean
  readonly seq: number
  /** The net of the call: grants, overage at the multiplier, and overrun; of a late settle too. */
  readonly chargedAtoms: Atoms
  readonly drawn: readonly { readonly grant: string; readonly atoms: Atoms }[]
  /** What the policy admitted beyond the grants; the overrun is apart. */
  readonly overage: Overage | undefined
  /** Beyond the hold, and in debt beyond any limit because nothing else covered it. */
  readonly overrunAtoms: Atoms
  readonly availableAtoms: Atoms
}

export interface VoidRequest {
  readonly id: string
  readonly account: string
  /** never_sent | upstream_refused | no_answer | unknown_hold | … */
  readonly reason: string
}
export interface VoidResult {
  /** absent: there was no such hold; the id is closed, so that a hold still under way cannot open it. */
  readonly status: 'voided' | 'absent' | 'hold_not_open'
  readonly replay: boolean
  readonly releasedAtoms: Atoms
}

export type Funding = 'promotional' | 'invoiced' | 'external'

export interface AppliesTo {
  readonly models?: readonly string[]
  readonly upstreams?: readonly string[]
  readonly endpoints?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
}

export type Payment = 'none' | 'pending' | 'authorized' | 'settled' | 'failed'
export type Availability = 'on_creation' | 'on_authorized' | 'on_settled'

/** What an allowance leaves to the next period: clamp(free at the end × percent, min, max), as a grant of its own. */
export interface Rollover {
  /** 100% is 1,000,000. */
  readonly percentMillionths: number
  readonly minAtoms: Atoms
  readonly maxAtoms: Atoms
  /** End of the next period. */
  readonly expiresAtMs: number
  readonly priority: number
  /** Id of the grant that is made. */
  readonly id: string
}

export interface GrantRequest {
  readonly account: string
  /** Operation id: the Idempotency-Key, or a fresh id. */
  readonly operationId: string
  /** Id of the grant itself, made by newId. */
  readonly id: string
  /** Unique for ever in the account; undefined: none. */
  readonly key: string | undefined
  readonly unit: string
  readonly scale: number
  readonly amountAtoms: Atoms
  readonly funding: Funding
  readonly priority: number
  /** undefined: now. */
  readonly effectiveAtMs: number | undefined
  readonly expiresAtMs: number | undefined
  readonly appliesTo: AppliesTo | undefined
  /** Decimal string: what a unit of the grant cost its owner; orders the drawdown. */
  readonly costBasis: string | undefined
  /** undefined: by funding and scope. */
  readonly repaysDebt: boolean | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly actor: string
  /** Left out: none, and usable on creation. */
  readonly payment?: Payment
  readonly availability?: Availability
  readonly rollover?: Rollover
}

export interface Grant {
  readonly id: string
  readonly account: string
  readonly key: string | undefined
  readonly unit: string
  readonly scale: number
  readonly amountAtoms: Atoms
  readonly freeAtoms: Atoms
  readonly heldAtoms: Atoms
  readonly consumedAtoms: Atoms
  readonly expiredAtoms: Atoms
  readonly voidedAtoms: Atoms
  readonly funding: Funding
  readonly priority: number
  readonly createdAtMs: number
  readonly effectiveAtMs: number
  readonly expiresAtMs: number | undefined
  readonly voidedAtMs: number | undefined
  readonly appliesTo: AppliesTo | undefined
  readonly costBasis: string | undefined
  readonly repaysDebt: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly payment: Payment
  readonly availability: Availability
  /** clawed_back: nothing of it is usable, and what open holds take of it becomes debt. */
  readonly state: 'pending' | 'usable' | 'expired' | 'voided' | 'clawed_back'
  /** Its place in the creation sequence: the seq of its ledger entry. */
  readonly seq: number
}

/** Why an operation of the admin API was refused; the message of the API names the field. */
export type AdminRefusal =
  | 'conflict'
  | 'id_too_old'
  | 'out_of_range'
  | 'unit_scale_mismatch'
  | 'too_many_grants'
  | 'unknown_grant'
  | 'already_voided'
  | 'insufficient_funds'
  | 'expired'
  | 'already_clawed_back'
  | 'no_payment'
  | 'payment_order'
  | 'unknown_charge'
  | 'charge_open'
  | 'refund_too_large'
  | 'unknown_period'
  | 'already_closed'
  | 'open_holds'
  | 'unknown_stop'
  | 'too_many_stops'
  | 'unknown_unmatched'
  | 'already_resolved'
  | 'nothing_to_charge'

export type AdminResult<T> =
  | { readonly status: 'done'; readonly replay: boolean; readonly value: T }
  | { readonly status: AdminRefusal }

/** What an operation of the admin API is known by. */
export interface AdminOperation {
  readonly account: string
  readonly operationId: string
  readonly reason: string
  readonly actor: string
}

export type StopKind = 'run' | 'user' | 'key' | 'request'

export interface Stop {
  readonly id: string
  readonly kind: StopKind
  readonly value: string
  readonly reason: string
  readonly cut: boolean
  readonly atMs: number
  readonly actor: string
}

/** A refusal as the bounded list of an account keeps it. */
export interface Refusal {
  readonly atMs: number
  readonly operation: 'hold' | 'checkpoint'
  /** Of the call. */
  readonly id: string
  readonly status: string
  /** Field of the budget, or the stop; "" where the wallet refused. */
  readonly rule: string
  /** In atoms, or in the measure of the budget. */
  readonly needed: bigint
  readonly available: bigint
}

/** A settle that came too late to be charged, and waits for an operator's word. */
export interface Unmatched {
  /** Of its entry. */
  readonly seq: number
  /** Request id of the call. */
  readonly call: string
  readonly unit: string
  readonly finalAtoms: Atoms
  /** What the call's timeout charged of it already, at price. */
  readonly postedAtoms: Atoms
  readonly onExhausted: OnExhausted['mode']
  readonly entry: LedgerEntry
}

/** All amounts in atoms of `unit`; lifetime totals may be beyond 2^53. Meanings: SPEC section 7. */
export interface Balance {
  readonly unit: string
  readonly scale: number
  readonly grantedAtoms: Atoms
  readonly postedAtoms: Atoms
  readonly expiredAtoms: Atoms
  readonly balanceAtoms: Atoms
  readonly heldAtoms: Atoms
  readonly availableAtoms: Atoms
  readonly scopedAtoms: Atoms
  readonly pendingAtoms: Atoms
  readonly debtAtoms: Atoms
  readonly overflowAtoms: Atoms
  readonly overflowPeriods: Readonly<Record<string, Atoms>>
  /** When each closed one was closed. */
  readonly closedPeriods: Readonly<Record<string, number>>
  readonly flaggedAtoms: Atoms
  readonly postpaidAtoms: Atoms
  readonly frozen: boolean
}

export interface OpenHold {
  readonly id: string
  readonly account: string
  readonly unit: string
  readonly scale: number
  readonly heldAtoms: Atoms
  readonly overageAtoms: Atoms
  readonly floorAtoms: Atoms
  readonly checkpointAtoms: Atoms
  readonly createdAtMs: number
  readonly deadlineAtMs: number
  readonly slices: readonly { readonly grant: string; readonly atoms: Atoms }[]
  readonly key: string
  readonly model: string
  readonly upstream: string
  readonly endpoint: string
  readonly run: string | undefined
  readonly user: string | undefined
}

/** What a budget has counted for one set of values. */
export interface BudgetCounter {
  /** NAME~MEASURE~WINDOW~VALUES */
  readonly field: string
  /** Rises with each counter of the account; the ledger names it. */
  readonly id: string
  readonly touchedAtMs: number
  /** In the order of time. endsAtMs: of calendar windows. */
  readonly slots: readonly {
    readonly startAtMs: number
    readonly endsAtMs: number | undefined
    readonly spent: bigint
    readonly held: bigint
  }[]
}

export interface LedgerEntry {
  readonly seq: number
  readonly atMs: number
  readonly type: string
  readonly op: string
  readonly actor: string
  readonly unit: string
  readonly scale: number
  readonly legs: readonly { readonly account: string; readonly atoms: Atoms }[]
  readonly balanceAfter: Readonly<Record<string, Atoms>>
  /** Fields of the type: of a settle those of SPEC section 7, amounts as decimal strings. */
  readonly fields: Readonly<Record<string, unknown>>
}

export interface LedgerPage {
  readonly afterSeq: number
  readonly limit: number
  readonly type: string | undefined
}

/** An event that waits to be handed over. */
export interface PendingEvent {
  readonly seq: number
  readonly entry: LedgerEntry
}

/** What a doctor found in an account: its state as it was right after entry `seq`, against the replay of its ledger. */
export interface CheckedAccount {
  /** 0: there is no ledger. */
  readonly seq: number
  /** Such as `USD.available`: what Redis keeps, and what the ledger says. */
  readonly differences: readonly { readonly field: string; readonly kept: string; readonly ledger: string }[]
  /** What cannot be recomputed, and why. */
  readonly notChecked: readonly string[]
}

/**
 * whole: nothing differed; would_repair: a dry run; refused: `unproven` is what the ledger does not say; moving: calls
 * changed the account each time.
 */
export interface RepairResult {
  readonly status: 'whole' | 'repaired' | 'would_repair' | 'refused' | 'moving'
  /** Of the entry that says it; of the last entry where nothing was repaired. */
  readonly seq: number
  readonly repaired: CheckedAccount['differences']
  readonly unproven: CheckedAccount['differences']
}

export interface Wallet {
  hold(request: HoldRequest): Promise<Held | HoldRefused>
  checkpoint(request: CheckpointRequest): Promise<CheckpointResult>
  settle(request: SettleRequest): Promise<SettleResult>
  void(request: VoidRequest): Promise<VoidResult>
  /** One bounded batch; how many entries were written, and when the next is due. */
  sweep(account: string): Promise<{ readonly swept: number; readonly nextDueMs: number | undefined }>
  grant(request: GrantRequest): Promise<AdminResult<Grant>>
  voidGrant(request: {
    readonly account: string
    readonly operationId: string
    readonly grant: string
    readonly reason: string
    readonly actor: string
  }): Promise<AdminResult<Grant>>
  adjust(request: {
    readonly account: string
    readonly operationId: string
    readonly grantId: string
    readonly unit: string
    readonly scale: number
    readonly amountAtoms: Atoms
    readonly reason: string
    readonly actor: string
  }): Promise<AdminResult<null>>
  setFrozen(request: {
    readonly account: string
    readonly operationId: string
    readonly frozen: boolean
    readonly reason: string
    readonly actor: string
  }): Promise<AdminResult<null>>
  /** amountAtoms undefined: all of it, also what open holds have. */
  clawback(
    request: AdminOperation & {
      readonly grant: string
      readonly amountAtoms: Atoms | undefined
      readonly freeze: boolean
    },
  ): Promise<AdminResult<Grant>>
  payment(
    request: AdminOperation & { readonly grant: string; readonly payment: Exclude<Payment, 'none' | 'pending'> },
  ): Promise<AdminResult<Grant>>
  /** amountAtoms undefined: all that is left of it. */
  refund(
    request: AdminOperation & {
      readonly chargeSeq: number
      readonly amountAtoms: Atoms | undefined
      readonly mode: 'original' | 'new_grant'
      readonly grantId: string
      readonly noteId: string
    },
  ): Promise<AdminResult<{ readonly refundedAtoms: Atoms; readonly ofAtoms: Atoms }>>
  /** amountAtoms undefined: all of it. */
  resolveFlagged(
    request: AdminOperation & {
      readonly unit: string
      readonly amountAtoms: Atoms | undefined
      readonly to: 'debt' | 'overflow' | 'written_off'
      readonly period: string
    },
  ): Promise<AdminResult<null>>
  /** heir: the period that is open, later than the one closed: it takes what still comes. */
  closePeriod(
    request: AdminOperation & {
      readonly unit: string
      readonly period: string
      readonly heir: string
      readonly force: boolean
    },
  ): Promise<AdminResult<{ readonly amountAtoms: Atoms; readonly closedAtMs: number }>>
  /** About the last 1,000, oldest first. */
  refusals(account: string): Promise<readonly Refusal[]>
  /** Those that wait, oldest first. */
  unmatched(account: string, page: { readonly afterSeq: number; readonly limit: number }): Promise<readonly Unmatched[]>
  /** Charged forced, as a late settle is, or dismissed: once. */
  resolveUnmatched(
    request: AdminOperation & { readonly seq: number; readonly decision: 'charge' | 'dismiss' },
  ): Promise<AdminResult<{ readonly seq: number; readonly chargedAtoms: Atoms }>>
  /** stop undefined: allows again. */
  setStop(
    request: AdminOperation & { readonly kind: StopKind; readonly value: string; readonly stop: Stop | undefined },
  ): Promise<AdminResult<null>>
  stops(account: string): Promise<readonly Stop[]>
  /** One for each unit that the account has a wallet in; computed as if all were swept. */
  balances(account: string): Promise<readonly Balance[]>
  grants(account: string): Promise<readonly Grant[]>
  holds(account: string): Promise<readonly OpenHold[]>
  /** Open holds, holds that ever timed out, settles that wait for a word: for metrics, at one cost whatever the size. */
  counts(account: string): Promise<{
    readonly openHolds: number
    readonly timeouts: number
    readonly unmatched: number
    /** Events that left the list before they were handed over. */
    readonly eventsDropped: number
  }>
  /** A page of the counters of budgets, in no order; cursor "0" begins and ends. */
  counters(
    account: string,
    cursor: string,
    count: number,
  ): Promise<{ readonly counters: readonly BudgetCounter[]; readonly next: string; readonly nowMs: number }>
  ledger(account: string, page: LedgerPage): Promise<readonly LedgerEntry[]>
  /**
   * One bounded read: `limit` entries are looked at (at most 1,000), those of the type answered. lastSeq: the last one
   * looked at; undefined where there is none after afterSeq.
   */
  ledgerPage(
    account: string,
    page: LedgerPage,
  ): Promise<{ readonly entries: readonly LedgerEntry[]; readonly lastSeq: number | undefined }>
  /** Events that wait to be handed over, oldest first, or of them those after a sequence. WalletOptions.onEvents says when to ask. */
  pendingEvents(account: string, limit: number, afterSeq?: number): Promise<readonly PendingEvent[]>
  /** They need not be handed over again, up to this sequence: they stay in the ledger. Answers how many wait still. */
  eventsHandedOver(account: string, upToSeq: number): Promise<number>
  /** Recomputes the account from its ledger and compares; calls may go on meanwhile. */
  check(account: string): Promise<CheckedAccount>
  /** Writes what the ledger proves in place of what differs from it: all of it or nothing. */
  repair(request: {
    readonly account: string
    readonly dryRun: boolean
    readonly reason: string
    readonly actor: string
  }): Promise<RepairResult>
  /** Keeps an answer to an operation for 35 days, and says what the first one was. */
  firstAnswer(account: string, operationId: string, answer: string): Promise<string>
}

export { EntriesMissing, WalletUnavailable } from '../errors.ts'
