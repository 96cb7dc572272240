/** What an answer comes to in money: by our price, or by the cost that the provider states. */
import { isRouter, isSameModel } from '../core/answered-model.ts'
import { isPriced } from '../core/find-price.ts'
import type { Atoms } from '../core/money.ts'
import { type PricedUsage, priceUsage } from '../core/price-usage.ts'
import { billedTier } from '../core/service-tier.ts'
import { isCredibleCost, STATED_UNIT, statedCharge } from '../core/stated-cost.ts'
import type { Usage } from '../core/usage.ts'
import type { AnswerFacts } from '../providers/provider.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { callPrice } from './call-price.ts'

export interface PricedAnswer {
  /** By our price. `chargeAtoms` is the provider's figure × markup where `chargedBy` says so. */
  readonly priced: PricedUsage
  /** What the provider says that the call cost, in USD; undefined: nothing, or nothing that can be true. */
  readonly statedCost: string | undefined
  readonly chargedBy: 'ours' | 'provider'
  /** Set where a router was asked and the model that answered has a price of its own: that is what counts. */
  readonly pricedModel: string | undefined
  /** What is odd about the stated cost. */
  readonly flags: readonly string[]
}

/**
 * `source`: an estimate is always priced by us; what a provider states of an answer that broke off is not its last word.
 *
 * Under `charge_by: provider` the stated cost × markup is charged where the price is in USD or converted from it; else
 * ours is, and it is flagged. `cost` stays ours, so that the two can be compared.
 */
export function priceAnswer(
  admitted: AdmittedCall,
  usage: Usage,
  source: 'provider' | 'estimate',
  facts: AnswerFacts,
): PricedAnswer {
  const { call, terms, costScale, upstream } = admitted
  const { price, pricedModel } = priceOf(admitted, facts.model)
  const priced = priceUsage(price, usage, {
    scale: terms.scale,
    costScale,
    unpricedKind: admitted.snapshot.settings.metering.unpricedKind,
    tier: billedTier(facts.serviceTier, call.serviceTier),
    billedBy: call.billedBy,
    priceOf: (model) => callPrice(admitted, model),
  })
  const ours = { priced, statedCost: undefined, chargedBy: 'ours', pricedModel, flags: [] } as const
  const stated = source === 'provider' ? facts.statedCost : undefined
  if (stated === undefined) return ours
  const oursAtoms: Atoms | undefined = price?.costUnit === STATED_UNIT ? priced.costAtoms : undefined
  if (!isCredibleCost(stated, oursAtoms, costScale)) return { ...ours, flags: ['stated_cost_absurd'] }
  if (upstream.chargeBy === 'ours' || price === undefined) return { ...ours, statedCost: stated }
  const chargeAtoms = statedCharge(stated, price, terms.scale)
  if (chargeAtoms === undefined) return { ...ours, statedCost: stated, flags: ['stated_cost_other_unit'] }
  return { priced: { ...priced, chargeAtoms }, statedCost: stated, chargedBy: 'provider', pricedModel, flags: [] }
}

/**
 * The price that counts is that of the model which was asked for, whatever name the answer has: it is what was held, and
 * an alias or a deployment is priced by its own entry. A router's is the exception where the model that it took is
 * priced in the same units: its own entry then only says what is held. Of models that may answer in each other's place
 * the one that did counts.
 */
export function priceOf(
  admitted: AdmittedCall,
  answered: string | undefined,
): { readonly price: AdmittedCall['price']; readonly pricedModel: string | undefined } {
  const { price, call } = admitted
  const asked = { price, pricedModel: undefined }
  if (price === undefined || answered === undefined) return asked
  const taken = takenModel(admitted, answered)
  if (taken === undefined) return asked
  const own = callPrice(admitted, taken)
  if (own === price || !isPriced(own, call) || own.unit !== price.unit || own.costUnit !== price.costUnit) return asked
  return { price: own, pricedModel: taken }
}

function takenModel({ call }: AdmittedCall, answered: string): string | undefined {
  if (answered === call.model) return isRouter(call.model) ? answered : undefined
  // A free variant and the paid one behind it have one plain name: whichever could be meant beside the call's own counts.
  const { otherModels = [] } = call
  const other =
    otherModels.find((model) => model === answered) ?? otherModels.find((model) => isSameModel(model, answered))
  return other ?? (isRouter(call.model) ? answered : undefined)
}
