/** A call that another model may answer: each is entitled and priced as if it were asked for, and the dearest is held. */
import { type CeilingQuestion, type CeilingRefusal, type CostCeiling, costCeiling } from '../core/cost-ceiling.ts'
import { isPriced } from '../core/find-price.ts'
import type { CallPrice } from '../core/price-book.ts'
import type { ErrorFacts } from '../errors.ts'
import { callPrice } from './call-price.ts'
import { entitlementRefusal, priceRefusal } from './call-refusals.ts'
import type { ReadCall } from './read-call.ts'

/** The first refusal that one of the other models would get, in the order in which they are named. */
export function otherModelsRefusal(read: ReadCall): ErrorFacts | undefined {
  for (const model of read.call.otherModels ?? []) {
    const asked = { ...read, call: { ...read.call, model } }
    const refusal = entitlementRefusal(asked) ?? priceRefusal(asked, callPrice(read, model))
    if (refusal) return refusal
  }
  return undefined
}

/** By the price of whichever model comes to the most; a refusal of one is that of the call. */
export function dearestCeiling(read: ReadCall, question: CeilingQuestion): CostCeiling | CeilingRefusal {
  let dearest = costCeiling(question)
  for (const model of read.call.otherModels ?? []) {
    if (dearest.refused !== undefined) return dearest
    const price = usablePrice(read, model)
    const other = price && costCeiling({ ...question, price })
    if (other && (other.refused !== undefined || mostOf(other) > mostOf(dearest))) dearest = other
  }
  return dearest
}

function usablePrice(read: ReadCall, model: string): CallPrice | undefined {
  const price = callPrice(read, model)
  return isPriced(price, read.call) && price.unit === read.plan.unit ? price : undefined
}

function mostOf({ fixedAtoms, perTokenAtoms, limitTokens }: CostCeiling): bigint {
  return fixedAtoms + perTokenAtoms * BigInt(limitTokens)
}
