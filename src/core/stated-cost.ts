import { Decimal } from 'decimal.js'
import type { Atoms } from './money.ts'
import type { CallPrice } from './price-book.ts'

/** What providers state their costs in. */
export const STATED_UNIT = 'USD'

const Exact = Decimal.clone({ precision: 200, toExpNeg: -1e6, toExpPos: 1e6 })
const DECIMAL = /^\d{1,30}(?:\.\d{1,60})?$/
/** No call costs so much, in USD. */
const MOST = 10_000
/** Beyond a dollar, so many times what our own price makes of it is an error of one of the two. */
const TIMES_OURS = 1000

/**
 * Whether a cost that a provider states can be true. A fee of some plug-in may be many times what tokens of a small call
 * cost, so that only large amounts are compared with ours.
 *
 * @param stated USD, as the answer has it.
 * @param oursAtoms by our price, in USD at `scale`; undefined: our price is in another unit.
 */
export function isCredibleCost(stated: string, oursAtoms: Atoms | undefined, scale: number): boolean {
  if (!DECIMAL.test(stated)) return false
  const cost = new Exact(stated)
  if (cost.gt(MOST)) return false
  if (oursAtoms === undefined || oursAtoms === 0n || cost.lte(1)) return true
  return cost.lte(new Exact(oursAtoms.toString()).div(Exact.pow(10, scale)).times(TIMES_OURS))
}

/**
 * A credible stated cost × the price's markup in the unit of the price, to the nearest atom, halves to the even one;
 * undefined: the price is neither in USD nor converted from it.
 */
export function statedCharge(stated: string, price: CallPrice, scale: number): Atoms | undefined {
  const rate = rateFromStated(price)
  if (rate === undefined) return undefined
  const exact = new Exact(stated).times(price.markup ?? '1').times(rate)
  return BigInt(exact.times(Exact.pow(10, scale)).toDecimalPlaces(0, Decimal.ROUND_HALF_EVEN).toFixed())
}

function rateFromStated({ unit, conversion }: CallPrice): string | undefined {
  if (unit === STATED_UNIT) return '1'
  return conversion?.of.unit === STATED_UNIT ? conversion.rate : undefined
}

/** Stated costs of several answers together; undefined where one of them is no amount. */
export function addStated(sum: string | undefined, stated: string): string | undefined {
  if (!DECIMAL.test(stated)) return undefined
  return sum === undefined ? stated : new Exact(sum).plus(stated).toFixed()
}
