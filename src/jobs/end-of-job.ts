/** What a call that went on comes to in money, once it is known how it ended. Pure. */
import { type Atoms, formatAmount } from '../core/money.ts'
import type { CallPrice } from '../core/price-book.ts'
import { type PricedUsage, priceUsage } from '../core/price-usage.ts'
import { billedTier, serviceTier } from '../core/service-tier.ts'
import { isCredibleCost, STATED_UNIT, statedCharge } from '../core/stated-cost.ts'
import type { Usage } from '../core/usage.ts'
import { boundedRaw, countsOf } from '../core/usage-fields.ts'
import { UsageSum } from '../core/usage-sum.ts'
import type { AnswerFacts, JobState } from '../providers/provider.ts'
import { fixedPrice, priceOf } from './job-price.ts'
import type { LongCall, ModelPrice } from './long-call.ts'

export type JobEnd = { readonly kind: 'void'; readonly reason: string } | SettledEnd

export interface SettledEnd {
  readonly kind: 'settle'
  /** By model as the provider answered it; one of '' where it names none. */
  readonly used: readonly ModelUsage[]
  readonly source: 'provider' | 'estimate'
  readonly facts: Pick<AnswerFacts, 'model' | 'serviceTier' | 'statedCost'>
  /** The provider's own words on the whole, for the ledger. */
  readonly raw: unknown
  /** Of a batch: how many results there were. */
  readonly results?: number
  /** Of a batch: results that could not be read. */
  readonly unread?: number
}

export interface ModelUsage {
  readonly model: string
  readonly usage: Usage
  /** Of a sum of results: how many there are, and the length of their inputs, as a number of the price's long contexts. */
  readonly lines?: number
  readonly longContexts?: number
}

/** An object that says all of it: its usage, or an estimate of what it shows; nothing where it failed before it began. */
export function endOfObject(call: LongCall, state: Extract<JobState, { readonly status: 'ended' }>): JobEnd {
  const { facts, failed, outputTokens } = state
  const model = facts.model ?? ''
  if (facts.usage) {
    const used = [{ model, usage: facts.usage }]
    return { kind: 'settle', used, source: 'provider', facts, raw: facts.usage.raw }
  }
  if (failed && outputTokens === 0) return { kind: 'void', reason: 'upstream_refused' }
  const usage = facts.counted ?? { tokens: { input: call.input.likelyTokens, output: outputTokens }, raw: null }
  return { kind: 'settle', used: [{ model, usage }], source: 'estimate', facts, raw: null }
}

export interface SettledJob {
  readonly finalAtoms: Atoms
  /** JSON of the ledger's settle entry. */
  readonly info: string
  readonly parts: readonly PricedPart[]
}

export interface PricedPart extends ModelUsage {
  readonly price: ModelPrice
  readonly priced: PricedUsage
}

/** Each model's usage at the price that was fixed for it when the call began. */
export function settleJob(call: LongCall, end: SettledEnd, chargeBy: 'ours' | 'provider', nowMs: number): SettledJob {
  const parts = end.used.map((part) => pricePart(call, end, part))
  const ours = parts.reduce((sum, { priced }) => sum + priced.chargeAtoms, 0n)
  const stated = statedOf(call, end, parts)
  const charged = chargeBy === 'provider' && stated?.chargeAtoms !== undefined ? stated.chargeAtoms : ours
  const { heldAtoms, terms } = call
  // An estimate of ours makes no debt where the plan allows none.
  const bounded = end.source === 'estimate' && heldAtoms !== undefined && terms.onExhausted.mode === 'block'
  return {
    finalAtoms: bounded && charged > heldAtoms ? heldAtoms : charged,
    info: infoOf(call, end, parts, { stated: stated?.cost, byProvider: charged !== ours }, nowMs),
    parts,
  }
}

function pricePart(call: LongCall, end: SettledEnd, part: ModelUsage): PricedPart {
  const price = priceOf(call.prices, part.model)
  const scales = { scale: call.terms.scale, costScale: price.costScale, unpricedKind: call.unpricedKind }
  if (price.price === undefined || part.longContexts === undefined) {
    const tier = billedTier(end.facts.serviceTier, call.tier)
    const passPrice = (model: string) =>
      [...call.prices, ...(call.toolPrices ?? [])].find((one) => one.model === model)?.price
    return { ...part, price, priced: priceUsage(price.price, part.usage, { ...scales, tier, priceOf: passPrice }) }
  }
  const fixed = fixedPrice(price.price, serviceTier(call.tier), part.longContexts)
  // A fee for each request: the sum stands for many.
  const fee = fixed.price.charge.perUnit.requests ?? fixed.price.cost.perUnit.requests
  const units = fee === undefined ? part.usage.units : { requests: part.lines ?? 1, ...part.usage.units }
  const priced = priceUsage(fixed.price, { ...part.usage, ...(units ? { units } : {}) }, scales)
  const unpriced = fixed.unpricedTier === undefined ? [] : [`tier:${fixed.unpricedTier}`]
  return { ...part, price, priced: { ...priced, unpricedKinds: [...priced.unpricedKinds, ...unpriced] } }
}

/** What the provider says it cost, where that can be true; and the charge by it, where all is in USD. */
function statedOf(
  call: LongCall,
  end: SettledEnd,
  parts: readonly PricedPart[],
): { readonly cost: string; readonly chargeAtoms: Atoms | undefined } | undefined {
  const { statedCost } = end.facts
  const first = parts[0]?.price
  if (statedCost === undefined || end.source !== 'provider' || first === undefined) return undefined
  const comparable = parts.every(
    ({ price }) => price.price?.costUnit === STATED_UNIT && price.costScale === first.costScale,
  )
  const ours = comparable ? parts.reduce((sum, { priced }) => sum + priced.costAtoms, 0n) : undefined
  if (!isCredibleCost(statedCost, ours, first.costScale)) return undefined
  const { price } = first
  return { cost: statedCost, chargeAtoms: price && statedCharge(statedCost, price, call.terms.scale) }
}

interface Stated {
  readonly stated: string | undefined
  readonly byProvider: boolean
}

function infoOf(
  call: LongCall,
  end: SettledEnd,
  parts: readonly PricedPart[],
  { stated, byProvider }: Stated,
  nowMs: number,
): string {
  const sum = new UsageSum()
  for (const { usage } of parts) sum.add(usage)
  const whole = sum.total(end.raw)
  const unpriced = new Set(parts.flatMap(({ priced }) => priced.unpricedKinds))
  return JSON.stringify({
    ...call.info,
    provider_request_id: call.job.id,
    answered_model: end.facts.model === call.info['model'] ? undefined : end.facts.model,
    service_tier: end.facts.serviceTier ?? (end.results === undefined ? undefined : call.tier),
    tokens: countsOf(whole),
    units: whole.units,
    beside: besideOf(parts),
    by_model: byModel(call, parts),
    results: end.results,
    unread_results: end.unread || undefined,
    usage_source: end.source,
    usage: boundedRaw(end.raw),
    usage_flags: whole.flags,
    unpriced_kinds: unpriced.size > 0 ? [...unpriced] : undefined,
    price_version: parts[0]?.price.price?.version,
    ...costOf(parts),
    rate: conversionOf(parts[0]?.price.price),
    stated_cost: stated,
    charged_by: byProvider ? 'provider' : undefined,
    status: 200,
    duration_ms: Math.max(0, nowMs - call.startedAtMs),
  })
}

/** What tools' models used. */
function besideOf(parts: readonly PricedPart[]): Usage['beside'] {
  const beside = parts.flatMap(({ usage }) => usage.beside ?? [])
  return beside.length > 0 ? beside : undefined
}

function conversionOf(price: CallPrice | undefined): object | undefined {
  return price?.conversion && { from: price.conversion.of.unit, to: price.unit, rate: price.conversion.rate }
}

/** Models kept apart in an entry; a batch of more names the first of them. */
const MODELS_MAX = 32

function byModel(call: LongCall, parts: readonly PricedPart[]): object | undefined {
  const models = Map.groupBy(parts, ({ model }) => model)
  if (models.size < 2) return undefined
  return Object.fromEntries(
    [...models].slice(0, MODELS_MAX).map(([model, own]) => {
      const sum = new UsageSum()
      for (const { usage } of own) sum.add(usage)
      const { tokens, units, reasoning } = sum.total(null)
      const atoms = own.reduce((total, { priced }) => total + priced.chargeAtoms, 0n)
      const counts = countsOf(reasoning === undefined ? { tokens } : { tokens, reasoning })
      return [model.slice(0, 256), { tokens: counts, units, charged: formatAmount(atoms, call.terms.scale) }]
    }),
  )
}

/** One sum where all prices have one cost unit. */
function costOf(parts: readonly PricedPart[]): object {
  const priced = parts.filter(({ price }) => price.price !== undefined)
  const unit = priced[0]?.price.price?.costUnit
  const scale = priced[0]?.price.costScale
  if (unit === undefined || scale === undefined) return {}
  if (priced.some(({ price }) => price.price?.costUnit !== unit || price.costScale !== scale)) return {}
  const atoms = priced.reduce((sum, part) => sum + part.priced.costAtoms, 0n)
  return { cost: formatAmount(atoms, scale), cost_unit: unit }
}
