import { Decimal } from 'decimal.js'
import type { Rates } from './price-book.ts'
import { type CountedKind, PARENT_KIND, type TokenKind } from './usage.ts'

/** `metering.unpriced_kind`: what a kind of token without a rate of its own costs. */
export type UnpricedKind = 'parent' | 'zero'

/** Rates as whole numbers over one denominator: count × numerator may be summed, and is rounded once at the end. */
export interface ExactRates {
  readonly denominator: bigint
  /** Numerators in atoms for one token; undefined: no rate of its own. */
  readonly tokens: { readonly [kind in TokenKind]?: bigint }
  /** Numerators in atoms for one piece. */
  readonly units: { readonly [kind in CountedKind]?: bigint }
}

// Rates of up to 49 digits, a factor and a markup are multiplied exactly; a quotient with more decimals stays a fraction.
const DECIMALS_MAX = 100
const Exact = Decimal.clone({ precision: 200, toExpNeg: -1e6, toExpPos: 1e6 })

const known = new WeakMap<Rates, { readonly scale: number; readonly exact: ExactRates }>()

/** The rates in atoms of a unit with `scale` decimals. Worked out once for each object: prices are kept and shared. */
export function exactRates(rates: Rates, scale: number): ExactRates {
  const found = known.get(rates)
  if (found !== undefined && found.scale === scale) return found.exact
  const exact = compile(rates, scale)
  known.set(rates, { scale, exact })
  return exact
}

/** The rate of a kind of token: its own, else what `unpricedKind` says (0n where its parent has none either). */
export function tokenRate(exact: ExactRates, kind: TokenKind, unpricedKind: UnpricedKind): bigint {
  const own = exact.tokens[kind]
  if (own !== undefined) return own
  return unpricedKind === 'zero' ? 0n : (exact.tokens[PARENT_KIND[kind]] ?? 0n)
}

/** Every rate × markup, exact. The same object where the markup is one. */
export function markedUp(rates: Rates, markup: string): Rates {
  if (new Exact(markup).eq(1)) return rates
  return { perMillion: timesEach(rates.perMillion, markup), perUnit: timesEach(rates.perUnit, markup) }
}

/** A rate × factor, exact: a decimal, or a fraction where the rate is one. */
export function timesRate(rate: string, factor: string): string {
  const slash = rate.indexOf('/')
  if (slash < 0) return new Exact(rate).times(factor).toFixed()
  return `${new Exact(rate.slice(0, slash)).times(factor).toFixed()}${rate.slice(slash)}`
}

/** rate × of ÷ by, exact: `by` is above zero, and a fraction stays one. */
export function scaledRate(rate: string, of: string, by: string): string {
  const [rateTop = '0', rateBottom = '1'] = rate.split('/')
  const [ofTop = '0', ofBottom = '1'] = of.split('/')
  const [byTop = '0', byBottom = '1'] = by.split('/')
  const top = new Exact(rateTop).times(ofTop).times(byBottom)
  const bottom = new Exact(rateBottom).times(ofBottom).times(byTop)
  const quotient = top.div(bottom)
  return quotient.decimalPlaces() <= DECIMALS_MAX ? quotient.toFixed() : `${top.toFixed()}/${bottom.toFixed()}`
}

/** Whether a rate is nothing at all. */
export function isFree(rate: string): boolean {
  return /^[0.]+(\/|$)/.test(rate)
}

/** Up to a whole atom: for what is held. */
export function roundCeiling(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator
}

/** To the nearest whole atom, halves to the even one: for what is charged. */
export function roundCharge(numerator: bigint, denominator: bigint): bigint {
  const whole = numerator / denominator
  const twice = (numerator % denominator) * 2n
  if (twice < denominator || (twice === denominator && whole % 2n === 0n)) return whole
  return whole + 1n
}

/** Down to a whole atom: for what is certainly spent. */
export function roundFloor(numerator: bigint, denominator: bigint): bigint {
  return numerator / denominator
}

/** A finite decimal as mantissa / 10^decimals. */
export function decimalParts(value: string | number): { readonly mantissa: bigint; readonly decimals: number } {
  const text = new Exact(value).toFixed()
  const point = text.indexOf('.')
  if (point < 0) return { mantissa: BigInt(text), decimals: 0 }
  return { mantissa: BigInt(text.slice(0, point) + text.slice(point + 1)), decimals: text.length - point - 1 }
}

function timesEach<K extends string>(
  rates: { readonly [kind in K]?: string },
  markup: string,
): { [kind in K]?: string } {
  const result: { [kind in K]?: string } = {}
  for (const kind of Object.keys(rates) as K[]) {
    const rate = rates[kind]
    if (rate !== undefined) result[kind] = timesRate(rate, markup)
  }
  return result
}

/** A rate as mantissa / 10^decimals / divisor. */
interface RateParts {
  readonly mantissa: bigint
  readonly decimals: number
  readonly divisor: bigint
}

function rateParts(rate: string): RateParts {
  const slash = rate.indexOf('/')
  if (slash < 0) return { ...decimalParts(rate), divisor: 1n }
  const top = decimalParts(rate.slice(0, slash))
  const bottom = decimalParts(rate.slice(slash + 1))
  return {
    mantissa: top.mantissa * 10n ** BigInt(bottom.decimals),
    decimals: top.decimals,
    divisor: bottom.mantissa,
  }
}

function compile(rates: Rates, scale: number): ExactRates {
  const tokens = partsOf(rates.perMillion)
  const units = partsOf(rates.perUnit)
  const exponent = Math.max(0, decimals(tokens) + 6 - scale, decimals(units) - scale)
  let divisor = 1n
  for (const [, parts] of [...tokens, ...units]) divisor = leastMultiple(divisor, parts.divisor)
  return {
    denominator: 10n ** BigInt(exponent) * divisor,
    tokens: numerators(tokens, exponent + scale - 6, divisor),
    units: numerators(units, exponent + scale, divisor),
  }
}

function partsOf<K extends string>(rates: { readonly [kind in K]?: string }): [K, RateParts][] {
  return (Object.keys(rates) as K[]).flatMap((kind) => {
    const rate = rates[kind]
    return rate === undefined ? [] : [[kind, rateParts(rate)] as [K, RateParts]]
  })
}

function decimals(rates: readonly (readonly [string, RateParts])[]): number {
  return Math.max(0, ...rates.map(([, parts]) => parts.decimals))
}

function numerators<K extends string>(
  rates: readonly (readonly [K, RateParts])[],
  exponent: number,
  divisor: bigint,
): { [kind in K]?: bigint } {
  const result: { [kind in K]?: bigint } = {}
  for (const [kind, parts] of rates)
    result[kind] = parts.mantissa * 10n ** BigInt(exponent - parts.decimals) * (divisor / parts.divisor)
  return result
}

export function leastMultiple(a: bigint, b: bigint): bigint {
  let [larger, smaller] = [a, b]
  while (smaller > 0n) [larger, smaller] = [smaller, larger % smaller]
  return (a / larger) * b
}
