/** What a call that went on comes to in money, once it is known how it ended. Pure. */
import { type Atoms, formatAmount } from '../core/money.ts'
import { type PricedUsage, priceUsage } from '../core/price-usage.ts'
import type { Usage } from '../core/usage.ts'
import { boundedRaw, countsOf } from '../core/usage-fields.ts'
import type { AnswerFacts, JobState } from '../providers/provider.ts'
import type { LongCall, ModelPrice } from './long-call.ts'
import { UsageSum } from './sum-usage.ts'

export type JobEnd =
  | { readonly kind: 'void'; readonly reason: string }
  | {
      readonly kind: 'settle'
      /** By model as the provider answered it; one of '' where it names none. */
      readonly used: readonly ModelUsage[]
      readonly source: 'provider' | 'estimate'
      readonly facts: Pick<AnswerFacts, 'model' | 'serviceTier'>
      /** The provider's own words on the whole, for the ledger. */
      readonly raw: unknown
      /** Of a batch: how many results were read. */
      readonly results?: number
    }

export interface ModelUsage {
  readonly model: string
  readonly usage: Usage
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
export function settleJob(
  call: LongCall,
  end: Extract<JobEnd, { readonly kind: 'settle' }>,
  nowMs: number,
): SettledJob {
  const parts = end.used.map((part): PricedPart => {
    const price = priceOf(call.prices, part.model)
    const options = { scale: call.terms.scale, costScale: price.costScale, unpricedKind: call.unpricedKind }
    return { ...part, price, priced: priceUsage(price.price, part.usage, options) }
  })
  const atoms = parts.reduce((sum, { priced }) => sum + priced.chargeAtoms, 0n)
  const { heldAtoms, terms } = call
  // An estimate of ours makes no debt where the plan allows none.
  const bounded = end.source === 'estimate' && heldAtoms !== undefined && terms.onExhausted.mode === 'block'
  return {
    finalAtoms: bounded && atoms > heldAtoms ? heldAtoms : atoms,
    info: infoOf(call, end, parts, nowMs),
    parts,
  }
}

/** The model as it was named, else the one whose dated name the answer has, else the dearest: a name is no way to pay less. */
export function priceOf(prices: readonly ModelPrice[], answered: string): ModelPrice {
  const exact = prices.find(({ model }) => model === answered)
  if (exact) return exact
  const dated = prices
    .filter(({ model }) => model !== '' && answered.startsWith(model))
    .sort((a, b) => b.model.length - a.model.length)[0]
  return dated ?? (prices.toSorted((a, b) => outputRate(b) - outputRate(a))[0] as ModelPrice)
}

/** For an order alone, never for an amount. */
function outputRate({ price }: ModelPrice): number {
  const { input = '0', output = '0' } = price?.charge.perMillion ?? {}
  return Number(input) + Number(output)
}

function infoOf(
  call: LongCall,
  end: Extract<JobEnd, { readonly kind: 'settle' }>,
  parts: readonly PricedPart[],
  nowMs: number,
): string {
  const sum = new UsageSum()
  for (const { usage } of parts) sum.add(usage)
  const whole = sum.total(end.raw)
  const unpriced = new Set(parts.flatMap(({ priced }) => priced.unpricedKinds))
  const first = parts[0]?.price
  return JSON.stringify({
    ...call.info,
    provider_request_id: call.job.id,
    answered_model: end.facts.model === call.info['model'] ? undefined : end.facts.model,
    service_tier: end.facts.serviceTier,
    tokens: countsOf(whole),
    units: whole.units,
    by_model: parts.length > 1 ? Object.fromEntries(parts.map((part) => [part.model, partOf(call, part)])) : undefined,
    results: end.results,
    usage_source: end.source,
    usage: boundedRaw(end.raw),
    usage_flags: whole.flags,
    unpriced_kinds: unpriced.size > 0 ? [...unpriced] : undefined,
    price_version: first?.price?.version,
    ...costOf(parts),
    status: 200,
    duration_ms: Math.max(0, nowMs - call.startedAtMs),
  })
}

function partOf(call: LongCall, { usage, priced }: PricedPart): object {
  return { tokens: countsOf(usage), units: usage.units, charged: formatAmount(priced.chargeAtoms, call.terms.scale) }
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
