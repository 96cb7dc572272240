import { Decimal } from 'decimal.js'
import type { Atoms } from './money.ts'

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

/** A credible stated cost × markup × rate in atoms, to the nearest, halves to the even one. */
export function statedCharge(
  stated: string,
  { markup, rate, scale }: { readonly markup: string; readonly rate: string; readonly scale: number },
): Atoms {
  const atoms = new Exact(stated).times(markup).times(rate).times(Exact.pow(10, scale))
  return BigInt(atoms.toDecimalPlaces(0, Decimal.ROUND_HALF_EVEN).toFixed())
}
