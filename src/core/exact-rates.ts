import { Decimal } from 'decimal.js'
import type { Rates } from './price-book.ts'
import { type CountedKind, PARENT_KIND, type TokenKind } from './usage.ts'

/** `metering.unpriced_kind`: what a kind of token without a rate of its own costs. */
export type UnpricedKind = 'parent' | 'zero'

/** Rates as whole numbers over one power of ten: count × numerator may be summed, and is rounded once at the end. */
export interface ExactRates {
  readonly denominator: bigint
  /** Numerators in atoms for one token; undefined: no rate of its own. */
  readonly tokens: { readonly [kind in TokenKind]?: bigint }
  /** Numerators in atoms for one piece. */
  readonly units: { readonly [kind in CountedKind]?: bigint }
}

// Two rates of up to 49 digits each are multiplied exactly.
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

/** Every rate × markup, as exact decimal strings. */
export function markedUp(rates: Rates, markup: string): Rates {
  return { perMillion: timesEach(rates.perMillion, markup), perUnit: timesEach(rates.perUnit, markup) }
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
    if (rate !== undefined) result[kind] = new Exact(rate).times(markup).toFixed()
  }
  return result
}

function compile(rates: Rates, scale: number): ExactRates {
  const exponent = Math.max(0, decimals(rates.perMillion) + 6 - scale, decimals(rates.perUnit) - scale)
  return {
    denominator: 10n ** BigInt(exponent),
    tokens: numerators(rates.perMillion, exponent + scale - 6),
    units: numerators(rates.perUnit, exponent + scale),
  }
}

function decimals(rates: { readonly [kind: string]: string | undefined }): number {
  let most = 0
  for (const rate of Object.values(rates)) {
    if (rate !== undefined) most = Math.max(most, decimalParts(rate).decimals)
  }
  return most
}

function numerators<K extends string>(
  rates: { readonly [kind in K]?: string },
  exponent: number,
): { [kind in K]?: bigint } {
  const result: { [kind in K]?: bigint } = {}
  for (const kind of Object.keys(rates) as K[]) {
    const rate = rates[kind]
    if (rate === undefined) continue
    const { mantissa, decimals } = decimalParts(rate)
    result[kind] = mantissa * 10n ** BigInt(exponent - decimals)
  }
  return result
}
