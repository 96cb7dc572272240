import { findRate, type Rate } from './convert.ts'
import { markedUp } from './exact-rates.ts'
import type { CallPrice } from './price-book.ts'

const known = new WeakMap<CallPrice, Map<string, CallPrice>>()

/**
 * The price with its charge in another unit, by the rate that is declared for it at `atMs`; what it costs us stays as it
 * is. The price itself where it is in that unit, or no rate is declared. The same object comes back for the same rate.
 */
export function priceInUnit(price: CallPrice, unit: string, rates: readonly Rate[], atMs: number): CallPrice {
  if (price.unit === unit) return price
  const rate = findRate(rates, price.unit, unit, atMs)
  if (rate === undefined) return price
  let byRate = known.get(price)
  if (byRate === undefined) {
    byRate = new Map()
    known.set(price, byRate)
  }
  const key = `${unit} ${rate}`
  let converted = byRate.get(key)
  if (converted === undefined) {
    const charge = markedUp(price.charge, rate)
    converted = { ...price, unit, charge, ownCharge: charge, conversion: { of: price, rate } }
    byRate.set(key, converted)
  }
  return converted
}
