/** Which of the prices that were fixed when a call began counts for what a provider says it used. */
import type { CallPrice } from '../core/price-book.ts'
import type { ServiceTier } from '../core/service-tier.ts'
import { variantOf } from '../core/tier-price.ts'
import type { ModelPrice } from './long-call.ts'

/** The model as it was named, else the one whose dated name the answer has, else the dearest: a name is no way to pay less. */
export function priceOf(prices: readonly ModelPrice[], answered: string): ModelPrice {
  const first = prices[0] as ModelPrice
  if (prices.length === 1) return first
  const exact = prices.find(({ model }) => model === answered)
  if (exact) return exact
  const dated = prices
    .filter(({ model }) => model !== '' && answered.startsWith(model))
    .sort((a, b) => b.model.length - a.model.length)[0]
  return dated ?? (prices.toSorted((a, b) => orderRate(b) - orderRate(a))[0] as ModelPrice)
}

/** For an order alone, never for an amount. */
function orderRate({ price }: ModelPrice): number {
  const { input = '0', output = '0' } = price?.charge.perMillion ?? {}
  return number(input) + number(output)
}

function number(rate: string): number {
  const [top = '0', bottom = '1'] = rate.split('/')
  return Number(top) / Number(bottom)
}

/** A price as it is at one tier and after so many long contexts, whatever the sum that it is used for comes to. */
export function fixedPrice(
  price: CallPrice,
  tier: ServiceTier | undefined,
  longContexts: number,
): { readonly price: CallPrice; readonly unpricedTier: ServiceTier | undefined } {
  const { cost, charge, unpricedTier } = variantOf(price, tier, longContexts)
  // Converted already: what it was converted from would be asked for its tiers again.
  const { conversion: _, ...rest } = price
  return { price: { ...rest, cost, charge, tiers: undefined }, unpricedTier }
}
