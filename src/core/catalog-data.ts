/**
 * The catalog as it lies in config/catalog/catalog.json: written by `npm run catalog` (src/config/make-catalog.ts), read
 * once in a process.
 */
import type { ServiceTier } from './service-tier.ts'
import type { CountedKind, TokenKind } from './usage.ts'

/** Letters count alike in all but `regex`, which sees the name in lower case. */
export type CatalogMatch =
  | { readonly or: readonly CatalogMatch[] }
  | { readonly and: readonly CatalogMatch[] }
  | { readonly equals: string }
  | { readonly starts_with: string }
  | { readonly ends_with: string }
  | { readonly contains: string }
  | { readonly regex: string }

export type FlatRates = { readonly [kind in TokenKind | CountedKind]?: string }

/** Prices from a day on, or between two times of each day (UTC, the end excluded, over midnight where it comes first). */
export interface CatalogPriceRow {
  readonly from?: string
  readonly between?: readonly [string, string]
  readonly rates: FlatRates
  readonly long?: readonly (readonly [above: number, rates: FlatRates])[]
}

/** A factor, or a factor with exceptions and rates. */
export type CatalogTierRow =
  | string
  | { readonly factor?: string; readonly except?: readonly (TokenKind | CountedKind)[]; readonly rates?: FlatRates }

export interface CatalogModelRow {
  readonly id: string
  readonly match: CatalogMatch
  readonly window?: number
  readonly output?: number
  readonly reasons?: boolean
  readonly writesCache?: boolean
  readonly tiers?: { readonly [tier in ServiceTier]?: CatalogTierRow }
  readonly prices: readonly CatalogPriceRow[]
}

export interface CatalogProviderRow {
  readonly id: string
  /** Regular expression that the beginning of an upstream's address fits. */
  readonly api: string
  /** Names of upstreams that are this provider's, where the address says nothing. */
  readonly named?: CatalogMatch
  /** Models that are this provider's wherever they are named alone. */
  readonly owns?: CatalogMatch
  /** Providers whose models it has too. */
  readonly fallback?: readonly string[]
  /** Regular expression of what may stand before a model's name. */
  readonly strip?: string
  /** Its models are named VENDOR/MODEL, and cost what the vendor takes. */
  readonly vendors?: boolean
  readonly models: readonly CatalogModelRow[]
}

export interface CatalogData {
  readonly source: string
  readonly sourceSha256: string
  readonly overlaySha256: string
  /** First 8 hex digits of a SHA-256 over the providers. */
  readonly version: string
  readonly providers: readonly CatalogProviderRow[]
}
