/**
 * The price book: dated entries, first fit, over a catalog of public prices. What a call costs us and what its customer
 * pays are looked up apart; either may come from an entry of its own.
 */
import type { Catalog } from './catalog.ts'
import type { ServiceTier } from './service-tier.ts'
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

/**
 * Units of money per million tokens, and per piece: decimal strings, or fractions like "0.111/3600" where a price by
 * the hour has no end as a decimal.
 */
export interface Rates {
  readonly perMillion: { readonly [kind in TokenKind]?: string }
  readonly perUnit: { readonly [kind in CountedKind]?: string }
}

/** What one service tier changes. */
export interface TierTerms {
  /** Tier's price ÷ the default tier's, for tokens and for what the model makes (images, seconds, characters); no fees. */
  readonly factor: string
  /** Kinds that the factor leaves alone. */
  readonly except: readonly (TokenKind | CountedKind)[]
  /** Rates of the tier's own, in place of base × factor. */
  readonly rates: Rates
  /** Unit of `rates`. */
  readonly unit: string
}

/** Rates of a call with more than `above` input tokens: of all its tokens. A kind left out keeps its rate. */
export interface LongContext {
  readonly above: number
  readonly rates: Rates
  readonly unit: string
}

export interface PriceTiers {
  readonly service: { readonly [tier in ServiceTier]?: TierTerms }
  /** `above` rising. */
  readonly longContext: readonly LongContext[]
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
  /** A model whose prices, limits and tiers stand where the entry has none of its own. */
  readonly like?: string | undefined
  readonly serviceTiers?: PriceTiers['service']
  /** Set, if only to none. */
  readonly longContext?: readonly LongContext[] | undefined
  readonly contextWindow: number | undefined
  readonly maxOutputTokens: number | undefined
  readonly source: string | undefined
  /** Where it stands in the file, for messages: "price-book.yaml:12". */
  readonly position: string
}

export interface PriceBook {
  /** First 12 hex digits of the file's SHA-256, and 8 of the catalog's: kept on the hold and the charge. */
  readonly version: string
  readonly unit: string
  readonly markup: string
  readonly entries: readonly PriceEntry[]
  /** Below the entries, in USD. */
  readonly catalog?: { readonly data: Catalog; readonly providers: ReadonlyMap<string, string> } | undefined
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
  /** Part of `charge` that is no cost × markup; left out: all of it. */
  readonly ownCharge?: Rates
  /** Charge ÷ cost of the other kinds; left out: 1. */
  readonly markup?: string
  readonly tiers?: PriceTiers | undefined
  /** Set where the charge is that of another price, in another unit, × rate. */
  readonly conversion?: { readonly of: CallPrice; readonly rate: string }
  readonly contextWindow: number | undefined
  readonly maxOutputTokens: number | undefined
  /** The model reasons without being asked to. */
  readonly reasons?: boolean
  /** The provider keeps prompts by itself and bills the writing of them. */
  readonly writesCache?: boolean
}
