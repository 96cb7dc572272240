import type { CatalogModelRow, CatalogPriceRow, CatalogTierRow, FlatRates } from './catalog-data.ts'
import type { LongContext, PriceTiers, Rates } from './price-book.ts'
import type { ServiceTier } from './service-tier.ts'
import { COUNTED_KINDS, type CountedKind, TOKEN_KINDS, type TokenKind } from './usage.ts'

export const CATALOG_UNIT = 'USD'
const DAY_MS = 86_400_000

/** One model's price at one moment. The same object for as long as it is in force. */
export interface CatalogPrice {
  readonly rates: Rates
  readonly tiers: PriceTiers
  readonly contextWindow: number | undefined
  readonly maxOutputTokens: number | undefined
  readonly reasons: boolean
  readonly writesCache: boolean
}

export interface DatedPrice {
  readonly price: CatalogPrice
  /** It is in force for sinceMs <= t < untilMs. */
  readonly sinceMs: number
  readonly untilMs: number
}

export class CatalogModel {
  readonly id: string
  readonly #row: CatalogModelRow
  #prices: readonly (CatalogPriceRow & { readonly price: CatalogPrice })[] | undefined

  constructor(row: CatalogModelRow) {
    this.id = row.id
    this.#row = row
  }

  /** Of several prices the last whose time fits counts, else the first. */
  priceAt(atMs: number): DatedPrice {
    this.#prices ??= this.#row.prices.map((row) => ({ ...row, price: priceOf(this.#row, row) }))
    const first = this.#prices[0] as CatalogPriceRow & { readonly price: CatalogPrice }
    const found = this.#prices.findLast((row) => isInForce(row, atMs)) ?? first
    const instants = this.#prices.flatMap((row) => instantsAround(row, atMs))
    return {
      price: found.price,
      sinceMs: Math.max(Number.NEGATIVE_INFINITY, ...instants.filter((instant) => instant <= atMs)),
      untilMs: Math.min(Number.POSITIVE_INFINITY, ...instants.filter((instant) => instant > atMs)),
    }
  }
}

function isInForce(row: CatalogPriceRow, atMs: number): boolean {
  if (row.from !== undefined) return atMs >= Date.parse(row.from)
  if (row.between === undefined) return true
  const [start, end] = row.between.map(timeOfDayMs) as [number, number]
  const time = ((atMs % DAY_MS) + DAY_MS) % DAY_MS
  return end < start ? time >= start || time < end : time >= start && time < end
}

function instantsAround(row: CatalogPriceRow, atMs: number): number[] {
  if (row.from !== undefined) return [Date.parse(row.from)]
  const day = Math.floor(atMs / DAY_MS) * DAY_MS
  return (row.between ?? []).flatMap((time) => [-DAY_MS, 0, DAY_MS].map((days) => day + days + timeOfDayMs(time)))
}

/** "16:30:00", UTC. */
function timeOfDayMs(time: string): number {
  return Date.parse(`1970-01-01T${time}Z`)
}

function priceOf(model: CatalogModelRow, row: CatalogPriceRow): CatalogPrice {
  return {
    rates: unflatten(row.rates),
    tiers: {
      service: Object.fromEntries(
        Object.entries(model.tiers ?? {}).map(([tier, terms]) => [tier, tierTerms(terms as CatalogTierRow)]),
      ),
      longContext: (row.long ?? []).map(
        ([above, rates]): LongContext => ({ above, rates: unflatten(rates), unit: CATALOG_UNIT }),
      ),
    },
    contextWindow: model.window,
    maxOutputTokens: model.output,
    reasons: model.reasons ?? false,
    writesCache: model.writesCache ?? false,
  }
}

function tierTerms(row: CatalogTierRow): PriceTiers['service'][ServiceTier] {
  const { factor = '1', except = [], rates = {} } = typeof row === 'string' ? { factor: row } : row
  return { factor, except, rates: unflatten(rates), unit: CATALOG_UNIT }
}

function unflatten(flat: FlatRates): Rates {
  return { perMillion: pick(flat, TOKEN_KINDS), perUnit: pick(flat, COUNTED_KINDS) }
}

function pick<K extends TokenKind | CountedKind>(flat: FlatRates, kinds: readonly K[]): { [kind in K]?: string } {
  const picked: { [kind in K]?: string } = {}
  for (const kind of kinds) if (flat[kind] !== undefined) picked[kind] = flat[kind]
  return picked
}
