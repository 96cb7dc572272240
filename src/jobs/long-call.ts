/** A call that goes on at the provider after its answer, with all that its end needs in whichever process learns of it. */
import type { Endpoint, Format } from '../config/snapshot.ts'
import type { UnpricedKind } from '../core/exact-rates.ts'
import type { Atoms } from '../core/money.ts'
import type { CallPrice } from '../core/price-book.ts'
import type { JobNotes } from '../providers/provider.ts'
import { readTerms, type StoredTerms, termsJson } from '../wallet/outbox-file.ts'
import type { HoldTerms } from '../wallet/wallet-types.ts'

export interface LongCall {
  readonly terms: HoldTerms
  /** undefined: Redis was away and observe let the call pass. */
  readonly heldAtoms: Atoms | undefined
  readonly upstream: string
  readonly format: Format
  readonly endpoint: Endpoint
  readonly job: StoredJob
  /** Headers of the caller that say how the provider is spoken to (its version, its project): [name, value, …]. */
  readonly headers: readonly string[]
  /** Prices fixed when the call began, by the model that the caller named. */
  readonly prices: readonly ModelPrice[]
  /** The same of models that tools of the call run. */
  readonly toolPrices?: readonly ModelPrice[]
  readonly unpricedKind: UnpricedKind
  /** Class of service that was asked for; a batch is one of its own. */
  readonly tier: string | undefined
  /** For an end without usage. */
  readonly input: { readonly lowTokens: number; readonly likelyTokens: number }
  /** The settle entry as far as it is known. */
  readonly info: Readonly<Record<string, unknown>>
  readonly startedAtMs: number
  readonly firstPollAtMs: number
  readonly deadlineAtMs: number
}

export interface StoredJob {
  readonly id: string
  readonly reader: string
  /** Path and query that say how it stands. */
  readonly path: string
  readonly notes: JobNotes
  /** The object in which it runs; left out: the job is its own. */
  readonly within?: string
}

export interface ModelPrice {
  readonly model: string
  /** undefined: nothing prices the model, and it was let through all the same. */
  readonly price: CallPrice | undefined
  /** Decimals of the price's cost unit. */
  readonly costScale: number
}

/** Names a job in the list: the same id at two upstreams is two jobs. */
export function jobKey(upstream: string, jobId: string): string {
  return `${upstream} ${jobId}`
}

export function encodeLongCall(call: LongCall): string {
  return JSON.stringify({
    ...call,
    terms: termsJson(call.terms),
    heldAtoms: call.heldAtoms === undefined ? null : String(call.heldAtoms),
  })
}

/** Throws SyntaxError or TypeError for a text that encodeLongCall has not made. */
export function decodeLongCall(text: string): LongCall {
  const json = JSON.parse(text) as Omit<LongCall, 'terms' | 'heldAtoms'> & {
    readonly terms: StoredTerms
    readonly heldAtoms: string | null
  }
  return {
    ...json,
    terms: readTerms(json.terms),
    heldAtoms: json.heldAtoms === null ? undefined : BigInt(json.heldAtoms),
  }
}
