import { markedUp } from './exact-rates.ts'
import { type DatedCallPrice, FoundPrices } from './found-prices.ts'
import { isEmpty } from './is-empty.ts'
import type { CallFacts, CallPrice, PriceBook, Rates } from './price-book.ts'
import { PriceEntries } from './price-entries.ts'
import { PriceSearch } from './price-search.ts'
import type { CountedKind } from './usage.ts'

const NO_RATES: Rates = { perMillion: {}, perUnit: {} }

/**
 * The price of a call that starts at `atMs`: the first entry whose match fits; entries of equal match are one series,
 * of which the latest in force at `atMs` counts. Cost, charge, tiers and limits are looked up apart, each among the
 * entries that set it, then in the catalog. Undefined: neither a cost nor a charge fits.
 *
 * The same object comes back for the same facts for as long as the price is in force, so that what is worked out from
 * a price is worked out once.
 */
export function findPrice(book: PriceBook, facts: CallFacts, atMs: number): CallPrice | undefined {
  let index = indexes.get(book)
  if (index === undefined) {
    const entries = new PriceEntries(book.entries, book.catalog ? ['upstream'] : [])
    index = { entries, found: new FoundPrices(entries) }
    indexes.set(book, index)
  }
  const found = index.found.get(facts, atMs)
  return found !== undefined ? found.price : index.found.keep(facts, search(book, index.entries, facts, atMs)).price
}

/**
 * Whether every rate is there that each call of the endpoint needs: `input`, and `output` where it generates; or that
 * of a counted thing that it is billed by in their place.
 */
export function isPriced(
  price: CallPrice | undefined,
  call: { readonly generates: boolean; readonly billedBy?: readonly CountedKind[] },
): price is CallPrice {
  if (price === undefined) return false
  const { perMillion, perUnit } = price.charge
  if (perMillion.input !== undefined && (!call.generates || perMillion.output !== undefined)) return true
  return call.billedBy?.some((kind) => perUnit[kind] !== undefined) ?? false
}

const indexes = new WeakMap<PriceBook, { readonly entries: PriceEntries; readonly found: FoundPrices }>()

function search(book: PriceBook, entries: PriceEntries, facts: CallFacts, atMs: number): DatedCallPrice {
  const found = new PriceSearch(book, entries, atMs).find(facts)
  const { cost, charge, sinceMs, untilMs } = found
  if (cost === undefined && charge === undefined) return { price: undefined, sinceMs, untilMs }
  const costUnit = (cost ?? charge)?.unit ?? book.unit
  // A charge that is a markup alone has no unit of its own.
  const unit = charge === undefined || hasNoRates(charge.rates) ? costUnit : charge.unit
  const markup = charge?.markup ?? book.markup
  // A markup has no meaning between two units: there the charge is what its own entry says.
  const fromCost = unit === costUnit ? markedUp(cost?.rates ?? NO_RATES, markup) : NO_RATES
  const own = charge?.rates ?? NO_RATES
  const price: CallPrice = {
    version: book.version,
    unit,
    costUnit,
    cost: cost?.rates ?? NO_RATES,
    charge: hasNoRates(own) ? fromCost : over(fromCost, own),
    ownCharge: own,
    markup,
    tiers:
      found.longContext.length === 0 && isEmpty(found.serviceTiers)
        ? undefined
        : { service: found.serviceTiers, longContext: found.longContext },
    contextWindow: found.contextWindow,
    maxOutputTokens: found.maxOutputTokens,
    reasons: found.reasons,
    writesCache: found.writesCache,
  }
  return { price, sinceMs, untilMs }
}

function over(under: Rates, rates: Rates): Rates {
  return {
    perMillion: { ...under.perMillion, ...rates.perMillion },
    perUnit: { ...under.perUnit, ...rates.perUnit },
  }
}

function hasNoRates({ perMillion, perUnit }: Rates): boolean {
  return isEmpty(perMillion) && isEmpty(perUnit)
}
