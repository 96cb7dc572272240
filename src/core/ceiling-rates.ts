import { type ExactRates, exactRates, leastMultiple, tokenRate, type UnpricedKind } from './exact-rates.ts'
import type { CallPrice } from './price-book.ts'
import type { ServiceTier } from './service-tier.ts'
import { longContextIndex, variantOf } from './tier-price.ts'
import { COUNTED_KINDS, type CountedKind, TOKEN_KINDS, type TokenKind } from './usage.ts'

/** The dearest that a call may be billed at, over every tier and length of input that it may turn out to have. */
export interface CeilingRates {
  readonly denominator: bigint
  /** Numerators in atoms for one token, a parent's where the kind has no rate. */
  readonly tokens: { readonly [kind in TokenKind]: bigint }
  /** Numerators in atoms for one piece. */
  readonly units: { readonly [kind in CountedKind]?: bigint }
  /** The least that one piece costs. */
  readonly cheapestUnits: { readonly [kind in CountedKind]?: bigint }
  /** A token of text input, however cached. */
  readonly plainInput: bigint
  /** The least that a token of text input costs. */
  readonly cheapestInput: bigint
}

export interface CeilingRatesQuestion {
  /** Tiers that the provider may bill; undefined among them: the default one. */
  readonly tiers: readonly (ServiceTier | undefined)[]
  /** The input counted high: shorter ones may be billed at any length's rates below it. */
  readonly highTokens: number
  readonly scale: number
  readonly unpricedKind: UnpricedKind
}

const KNOWN_MAX = 64
const TEXT_INPUT_KINDS: readonly TokenKind[] = ['input', 'cached_input', 'cache_write_5m', 'cache_write_1h']
type Known = CeilingRatesQuestion & { readonly index: number; readonly rates: CeilingRates }
const known = new WeakMap<CallPrice, Known[]>()

/** Worked out once for a price and a set of tiers (the same array for the same set). */
export function ceilingRates(price: CallPrice, question: CeilingRatesQuestion): CeilingRates {
  const index = longContextIndex(price, question.highTokens)
  let list = known.get(price)
  if (list === undefined) {
    list = []
    known.set(price, list)
  }
  const { tiers, scale, unpricedKind } = question
  for (const one of list)
    if (one.index === index && one.tiers === tiers && one.scale === scale && one.unpricedKind === unpricedKind)
      return one.rates
  const rates = dearest(price, question, index)
  // A few: the lengths of context times the tiers that are asked for.
  if (list.length >= KNOWN_MAX) list.length = 0
  list.push({ ...question, index, rates })
  return rates
}

function dearest(price: CallPrice, { tiers, scale, unpricedKind }: CeilingRatesQuestion, index: number): CeilingRates {
  const variants: ExactRates[] = tiers.flatMap((tier) =>
    Array.from({ length: index + 1 }, (_, i) => exactRates(variantOf(price, tier, i).charge, scale)),
  )
  const denominator = variants.reduce((multiple, exact) => leastMultiple(multiple, exact.denominator), 1n)
  const ofKind = (kind: TokenKind): bigint[] =>
    variants.map((exact) => tokenRate(exact, kind, unpricedKind) * (denominator / exact.denominator))
  const tokens = Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, largest(ofKind(kind))])) as CeilingRates['tokens']
  const units: { [kind in CountedKind]?: bigint } = {}
  for (const kind of COUNTED_KINDS)
    for (const exact of variants) {
      const rate = exact.units[kind]
      if (rate === undefined) continue
      units[kind] = largest([units[kind] ?? 0n, rate * (denominator / exact.denominator)])
    }
  const cheapestUnits: { [kind in CountedKind]?: bigint } = {}
  for (const kind of COUNTED_KINDS) {
    if (units[kind] === undefined) continue
    const each = variants.map((exact) => (exact.units[kind] ?? 0n) * (denominator / exact.denominator))
    cheapestUnits[kind] = each.reduce((least, rate) => (rate < least ? rate : least))
  }
  const plain = [tokens.input, tokens.cached_input, price.writesCache === true ? tokens.cache_write_5m : 0n]
  const text = TEXT_INPUT_KINDS.flatMap(ofKind)
  return {
    denominator,
    tokens,
    units,
    cheapestUnits,
    plainInput: largest(plain),
    cheapestInput: text.reduce((least, rate) => (rate < least ? rate : least), tokens.input),
  }
}

function largest(rates: readonly bigint[]): bigint {
  return rates.reduce((most, rate) => (rate > most ? rate : most), 0n)
}
