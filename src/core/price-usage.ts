import { decimalParts, type ExactRates, exactRates, roundCharge, tokenRate, type UnpricedKind } from './exact-rates.ts'
import type { Atoms } from './money.ts'
import type { CallPrice, Rates } from './price-book.ts'
import { COUNTED_KINDS, TOKEN_KINDS, type Usage } from './usage.ts'

export interface PricedUsage {
  /** What the customer pays, in atoms of `price.unit`. */
  readonly chargeAtoms: Atoms
  /** What it cost us, in atoms of `price.costUnit`. */
  readonly costAtoms: Atoms
  /** Kinds that were used and have no rate of their own in the charge, in the order of usage.ts. */
  readonly unpricedKinds: readonly string[]
}

export interface PricingOptions {
  /** Decimals of `price.unit`. */
  readonly scale: number
  /** Decimals of `price.costUnit`; left out: `scale`. */
  readonly costScale?: number
  readonly unpricedKind: UnpricedKind
}

const NOTHING: PricedUsage = { chargeAtoms: 0n, costAtoms: 0n, unpricedKinds: [] }

/**
 * What one call's usage costs: count × rate summed exactly over the kinds, rounded once, half-even.
 *
 * A kind without a rate costs what its parent does or nothing (`unpricedKind`), a counted thing without one nothing;
 * both are named in `unpricedKinds`. Each call is one of `requests` where a rate for those is set and the provider
 * states no number. Without a price (observe, `allow_unmetered`) all is 0.
 */
export function priceUsage(price: CallPrice | undefined, usage: Usage, options: PricingOptions): PricedUsage {
  if (price === undefined) return NOTHING
  const unpricedKinds: string[] = []
  return {
    chargeAtoms: sum(price.charge, usage, options.scale, options.unpricedKind, unpricedKinds),
    costAtoms: sum(price.cost, usage, options.costScale ?? options.scale, options.unpricedKind, undefined),
    unpricedKinds,
  }
}

function sum(
  rates: Rates,
  usage: Usage,
  scale: number,
  unpricedKind: UnpricedKind,
  unpriced: string[] | undefined,
): Atoms {
  const exact = exactRates(rates, scale)
  let numerator = 0n
  for (const kind of TOKEN_KINDS) {
    const count = usage.tokens[kind]
    if (count === undefined || !(count > 0)) continue
    if (exact.tokens[kind] === undefined) unpriced?.push(kind)
    numerator += BigInt(count) * tokenRate(exact, kind, unpricedKind)
  }
  return addUnits(exact, usage, numerator, unpriced)
}

function addUnits(exact: ExactRates, usage: Usage, tokens: bigint, unpriced: string[] | undefined): Atoms {
  let numerator = tokens
  let denominator = exact.denominator
  for (const kind of COUNTED_KINDS) {
    const rate = exact.units[kind]
    const count = usage.units?.[kind] ?? (kind === 'requests' && rate !== undefined ? 1 : 0)
    if (!(count > 0)) continue
    if (rate === undefined) unpriced?.push(kind)
    else if (Number.isInteger(count)) numerator += BigInt(count) * rate * (denominator / exact.denominator)
    else {
      // Seconds come in fractions.
      const { mantissa, decimals } = decimalParts(count)
      const finer = 10n ** BigInt(decimals)
      numerator = numerator * finer + mantissa * rate * (denominator / exact.denominator)
      denominator *= finer
    }
  }
  return roundCharge(numerator, denominator)
}
