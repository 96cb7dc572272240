/**
 * The price book: dated entries, first fit. What a call costs us and what its customer pays are looked up apart; either
 * may come from an entry of its own.
 */
import type { CountedKind, TokenKind } from './usage.ts'

/** Facts of a call that prices and entitlements are matched by. */
export interface CallFacts {
  readonly account: string
  readonly plan: string
  readonly key: string
  readonly upstream: string
  /** As the caller named it; undefined where the call names none. */
  readonly model: string | undefined
  readonly endpoint: string
  readonly labels: Readonly<Record<string, string>>
}

/** Decimal strings: units of money per million tokens, and per piece. */
export interface Rates {
  readonly perMillion: { readonly [kind in TokenKind]?: string }
  readonly perUnit: { readonly [kind in CountedKind]?: string }
}

export interface PriceEntry {
  /** Globs by name: account, plan, key, upstream, model, endpoint; any other name is a label. */
  readonly match: Readonly<Record<string, string>>
  readonly fromMs: number
  readonly unit: string
  /** What it costs us; undefined where the entry sets the charge alone. */
  readonly cost: Rates | undefined
  /** What the customer pays; a kind left out: cost × markup. Undefined where the entry sets the cost alone. */
  readonly charge: { readonly rates: Rates; readonly markup: string | undefined } | undefined
  readonly contextWindow: number | undefined
  readonly maxOutputTokens: number | undefined
  readonly source: string | undefined
  /** Where it stands in the file, for messages: "price-book.yaml:12". */
  readonly position: string
}

export interface PriceBook {
  /** First 12 hex digits of the file's SHA-256: kept on the hold and the charge. */
  readonly version: string
  readonly unit: string
  readonly markup: string
  readonly entries: readonly PriceEntry[]
}

/** The price of one call, fixed when it starts and kept to its end. */
export interface CallPrice {
  readonly version: string
  /** Unit of `charge`. */
  readonly unit: string
  /** Unit of `cost`: another one where cost and charge come from entries of different units. */
  readonly costUnit: string
  readonly cost: Rates
  /** Complete: markup already applied, exact. */
  readonly charge: Rates
  readonly contextWindow: number | undefined
  readonly maxOutputTokens: number | undefined
}
