import { decimalParts, type ExactRates, exactRates, roundCharge, tokenRate, type UnpricedKind } from './exact-rates.ts'
import type { Atoms } from './money.ts'
import type { CallPrice, Rates } from './price-book.ts'
import type { ServiceTier } from './service-tier.ts'
import { type TieredRates, tierPrice } from './tier-price.ts'
import {
  COUNTED_KINDS,
  type CountedKind,
  PARENT_KIND,
  TOKEN_KINDS,
  type TokenCounts,
  type TokenKind,
  type Usage,
} from './usage.ts'

export interface PricedUsage {
  /** What the customer pays, in atoms of `price.unit`. */
  readonly chargeAtoms: Atoms
  /** What it cost us, in atoms of `price.costUnit`. */
  readonly costAtoms: Atoms
  /**
   * Kinds that were used and have no rate of their own in the charge, in the order of usage.ts; `tier:NAME` of a service
   * tier without terms, which cost what the default one does; `pass_model` of a pass whose model has no price.
   */
  readonly unpricedKinds: readonly string[]
}

export interface PricingOptions {
  /** Decimals of `price.unit`. */
  readonly scale: number
  /** Decimals of `price.costUnit`; left out: `scale`. */
  readonly costScale?: number
  readonly unpricedKind: UnpricedKind
  /** Service tier that is billed (`batch` for a batch's line); left out: the default one. */
  readonly tier?: ServiceTier | undefined
  /** Things that the endpoint may be billed by in place of tokens: where one of the two is priced, the other need not be. */
  readonly billedBy?: readonly CountedKind[] | undefined
  /** Price of another model that a pass of the answer, or a tool, ran on. */
  readonly priceOf?: (model: string) => CallPrice | undefined
}

const NOTHING: PricedUsage = { chargeAtoms: 0n, costAtoms: 0n, unpricedKinds: [] }
const INPUT_KINDS = TOKEN_KINDS.filter((kind) => PARENT_KIND[kind] === 'input')

/** An amount in atoms before it is rounded. */
interface Exact {
  numerator: bigint
  denominator: bigint
}

/**
 * What one call's usage costs: count × rate summed exactly over the kinds, rounded once, half-even, at the rates of its
 * service tier and of its length of input.
 *
 * A kind without a rate costs what its parent does or nothing (`unpricedKind`), a counted thing without one nothing;
 * both are named in `unpricedKinds`. Each call is one of `requests` where a rate for those is set and the provider
 * states no number. Passes are priced one by one, and so is what stands beside. Without a price (observe, `allow_unmetered`) all is 0.
 */
export function priceUsage(price: CallPrice | undefined, usage: Usage, options: PricingOptions): PricedUsage {
  if (price === undefined) return NOTHING
  const unpriced = new Set<string>()
  const passes = usage.passes ?? [{ model: undefined, tokens: usage.tokens }]
  const parts = (usage.beside === undefined ? passes : [...passes, ...usage.beside]).map(({ model, tokens }) => ({
    rates: ratesFor(passPrice(price, model, options, unpriced), tokens, options, unpriced),
    tokens,
  }))
  const fees = tierPrice(price, { tier: options.tier, inputTokens: 0 })
  const chargeAtoms = total(parts, fees, 'charge', usage, options.scale, options.unpricedKind, unpriced)
  const costScale = options.costScale ?? options.scale
  const same = costScale === options.scale && parts.every(({ rates }) => rates.cost === rates.charge)
  const costAtoms = same ? chargeAtoms : total(parts, fees, 'cost', usage, costScale, options.unpricedKind, undefined)
  if (unpriced.size > 0 && options.billedBy !== undefined) forgetOther(unpriced, options.billedBy, fees.charge, usage)
  return { chargeAtoms, costAtoms, unpricedKinds: unpriced.size === 0 ? [] : inOrder(unpriced) }
}

/** An image that was billed by its tokens has no price of its own, and seconds that were billed have no tokens'. */
function forgetOther(unpriced: Set<string>, billedBy: readonly CountedKind[], rates: Rates, usage: Usage): void {
  const { perMillion, perUnit } = rates
  const rateOf = (kind: TokenKind) => perMillion[kind] ?? perMillion[PARENT_KIND[kind]]
  const used = TOKEN_KINDS.filter((kind) => (usage.tokens[kind] ?? 0) > 0)
  if (used.some((kind) => rateOf(kind) !== undefined)) for (const kind of billedBy) unpriced.delete(kind)
  const byThings = billedBy.some((kind) => (usage.units?.[kind] ?? 0) > 0 && perUnit[kind] !== undefined)
  if (byThings) for (const kind of used) if (rateOf(kind) === undefined) unpriced.delete(kind)
}

/** All kinds of input together: what long contexts are told by. */
export function inputTotal(tokens: TokenCounts): number {
  let sum = 0
  for (const kind of INPUT_KINDS) sum += tokens[kind] ?? 0
  return sum
}

function ratesFor(price: CallPrice, tokens: TokenCounts, { tier }: PricingOptions, unpriced: Set<string>): TieredRates {
  const rates = tierPrice(price, { tier, inputTokens: price.tiers === undefined ? 0 : inputTotal(tokens) })
  if (rates.unpricedTier !== undefined) unpriced.add(`tier:${rates.unpricedTier}`)
  return rates
}

function passPrice(
  price: CallPrice,
  model: string | undefined,
  { priceOf }: PricingOptions,
  unpriced: Set<string>,
): CallPrice {
  if (model === undefined) return price
  const own = priceOf?.(model)
  if (own !== undefined && own.unit === price.unit && own.costUnit === price.costUnit) return own
  unpriced.add('pass_model')
  return price
}

function total(
  parts: readonly { readonly rates: TieredRates; readonly tokens: TokenCounts }[],
  fees: TieredRates,
  side: 'charge' | 'cost',
  usage: Usage,
  scale: number,
  unpricedKind: UnpricedKind,
  unpriced: Set<string> | undefined,
): Atoms {
  const sum: Exact = { numerator: 0n, denominator: 1n }
  for (const { rates, tokens } of parts) addTokens(sum, rates[side], tokens, scale, unpricedKind, unpriced)
  addUnits(sum, parts.length === 1 ? (parts[0] as (typeof parts)[0]).rates[side] : fees[side], usage, scale, unpriced)
  return roundCharge(sum.numerator, sum.denominator)
}

function addTokens(
  sum: Exact,
  rates: Rates,
  tokens: TokenCounts,
  scale: number,
  unpricedKind: UnpricedKind,
  unpriced: Set<string> | undefined,
): void {
  const exact = exactRates(rates, scale)
  let numerator = 0n
  for (const kind of TOKEN_KINDS) {
    const count = tokens[kind]
    if (count === undefined || !(count > 0)) continue
    if (exact.tokens[kind] === undefined) unpriced?.add(kind)
    numerator += BigInt(count) * tokenRate(exact, kind, unpricedKind)
  }
  add(sum, numerator, exact.denominator)
}

function addUnits(sum: Exact, rates: Rates, usage: Usage, scale: number, unpriced: Set<string> | undefined): void {
  const exact: ExactRates = exactRates(rates, scale)
  for (const kind of COUNTED_KINDS) {
    const rate = exact.units[kind]
    const count = usage.units?.[kind] ?? (kind === 'requests' && rate !== undefined ? 1 : 0)
    if (!(count > 0)) continue
    if (rate === undefined) unpriced?.add(kind)
    else if (Number.isInteger(count)) add(sum, BigInt(count) * rate, exact.denominator)
    else {
      // Seconds come in fractions.
      const { mantissa, decimals } = decimalParts(count)
      add(sum, mantissa * rate, exact.denominator * 10n ** BigInt(decimals))
    }
  }
}

function add(sum: Exact, numerator: bigint, denominator: bigint): void {
  if (sum.denominator === denominator) sum.numerator += numerator
  else {
    sum.numerator = sum.numerator * denominator + numerator * sum.denominator
    sum.denominator *= denominator
  }
}

const ORDER: readonly string[] = [...TOKEN_KINDS, ...COUNTED_KINDS]

function inOrder(unpriced: ReadonlySet<string>): string[] {
  const kinds = ORDER.filter((kind) => unpriced.has(kind))
  return kinds.length === unpriced.size ? kinds : [...kinds, ...[...unpriced].filter((kind) => !ORDER.includes(kind))]
}
