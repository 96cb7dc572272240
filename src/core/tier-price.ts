import { isFree, markedUp, scaledRate, timesRate } from './exact-rates.ts'
import type { CallPrice, LongContext, Rates, TierTerms } from './price-book.ts'
import type { ServiceTier } from './service-tier.ts'
import { COUNTED_KINDS, type CountedKind, TOKEN_KINDS, type TokenKind } from './usage.ts'

type Kind = TokenKind | CountedKind

/** What a call pays at one service tier and one length of input. */
export interface TieredRates {
  readonly cost: Rates
  readonly charge: Rates
  /** The tier has no terms: these are the default tier's rates. */
  readonly unpricedTier: ServiceTier | undefined
}

export interface TierQuestion {
  /** undefined: the default one. */
  readonly tier?: ServiceTier | undefined
  /** All kinds of input together: the highest `above` that it passes counts, for every token of the call. */
  readonly inputTokens: number
}

/** Fees stay as they are in every tier: a tool's, and one for each request. */
const FEES: ReadonlySet<Kind> = new Set(['searches', 'web_search', 'file_search', 'requests'])

/**
 * The rates of a call at a service tier (`batch` for a line of a batch) and a length of input.
 *
 * Long contexts come first, then the tier's factor. A charge of its own changes as the cost does, kind by kind, so
 * that the margin stays; what is charged as cost × markup follows by itself. The same object comes back for the same
 * question, so that exact rates are worked out once.
 */
export function tierPrice(price: CallPrice, { tier, inputTokens }: TierQuestion): TieredRates {
  return variantOf(price, tier, longContextIndex(price, inputTokens))
}

/** How many of the price's long contexts an input has passed. */
export function longContextIndex(price: CallPrice, inputTokens: number): number {
  const steps = price.tiers?.longContext
  if (steps === undefined) return 0
  let index = 0
  while (index < steps.length && inputTokens > (steps[index] as LongContext).above) index++
  return index
}

/** By the number of long contexts passed. */
type Variants = (TieredRates | undefined)[]
const known = new WeakMap<CallPrice, Map<ServiceTier | undefined, Variants>>()

/** `index`: how many long contexts count. */
export function variantOf(price: CallPrice, tier: ServiceTier | undefined, index: number): TieredRates {
  let byTier = known.get(price)
  if (byTier === undefined) {
    byTier = new Map()
    known.set(price, byTier)
  }
  let variants = byTier.get(tier)
  if (variants === undefined) {
    variants = []
    byTier.set(tier, variants)
  }
  const found = variants[index]
  if (found !== undefined) return found
  const made = makeVariant(price, tier, index)
  variants[index] = made
  return made
}

function makeVariant(price: CallPrice, tier: ServiceTier | undefined, index: number): TieredRates {
  const terms = tier === undefined ? undefined : price.tiers?.service[tier]
  const steps = (price.tiers?.longContext ?? []).slice(0, index)
  const unpricedTier = tier !== undefined && terms === undefined ? tier : undefined
  if (terms === undefined && steps.length === 0) return { cost: price.cost, charge: price.charge, unpricedTier }
  if (price.conversion) {
    const { cost, charge } = variantOf(price.conversion.of, tier, index)
    return { cost, charge: markedUp(charge, price.conversion.rate), unpricedTier }
  }
  const cost = withTerms(withSteps(price.cost, steps, price.costUnit), price.cost, terms, price.costUnit)
  return { cost, charge: chargeOf(price, cost, steps, terms), unpricedTier }
}

function withSteps(base: Rates, steps: readonly LongContext[], unit: string): Rates {
  return steps.filter((step) => step.unit === unit).reduce((rates, step) => over(rates, step.rates), base)
}

/** `base`: the rates of a short context, which a tier's own rates replace; a long one makes them dearer as it does those. */
function withTerms(rates: Rates, base: Rates, terms: TierTerms | undefined, unit: string): Rates {
  if (terms === undefined) return rates
  const factored = mapRates(rates, (kind, rate) =>
    FEES.has(kind) || terms.except.includes(kind) ? rate : timesRate(rate, terms.factor),
  )
  if (terms.unit !== unit) return factored
  const own = mapRates(terms.rates, (kind, rate) => {
    const [long, short] = [rateOf(rates, kind), rateOf(base, kind)]
    return long === undefined || short === undefined || isFree(short) ? rate : scaledRate(rate, long, short)
  })
  return over(factored, own)
}

function chargeOf(price: CallPrice, cost: Rates, steps: readonly LongContext[], terms: TierTerms | undefined): Rates {
  const own = price.ownCharge ?? price.charge
  // Without a cost in this unit the tiers speak of the charge itself.
  const alone = withTerms(withSteps(own, steps, price.unit), own, terms, price.unit)
  const scaled = mapRates(own, (kind, rate) => {
    const [now, before] = [rateOf(cost, kind), rateOf(price.cost, kind)]
    if (now === undefined || before === undefined || isFree(before)) return rateOf(alone, kind) ?? rate
    return scaledRate(rate, now, before)
  })
  if (price.unit === price.costUnit) return over(markedUp(cost, price.markup ?? '1'), scaled)
  return over(alone, scaled)
}

function over(under: Rates, rates: Rates): Rates {
  return {
    perMillion: { ...under.perMillion, ...rates.perMillion },
    perUnit: { ...under.perUnit, ...rates.perUnit },
  }
}

function rateOf(rates: Rates, kind: Kind): string | undefined {
  return rates.perMillion[kind as TokenKind] ?? rates.perUnit[kind as CountedKind]
}

function mapRates(rates: Rates, change: (kind: Kind, rate: string) => string): Rates {
  const perMillion: { [kind in TokenKind]?: string } = {}
  const perUnit: { [kind in CountedKind]?: string } = {}
  for (const kind of TOKEN_KINDS) {
    const rate = rates.perMillion[kind]
    if (rate !== undefined) perMillion[kind] = change(kind, rate)
  }
  for (const kind of COUNTED_KINDS) {
    const rate = rates.perUnit[kind]
    if (rate !== undefined) perUnit[kind] = change(kind, rate)
  }
  return { perMillion, perUnit }
}
