/** What a session's usage costs: each model that it used at its own price. */

import type { CallPrice } from '../core/price-book.ts'
import type { PricedUsage } from '../core/price-usage.ts'
import { priceUsage } from '../core/price-usage.ts'
import type { Usage } from '../core/usage.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'
import { callPrice } from '../http/call-price.ts'

const NOTHING: PricedUsage = { chargeAtoms: 0n, costAtoms: 0n, unpricedKinds: [] }

/** The price of a further model; that of the session's own where it has none in the wallet's unit. */
function priceOfModel(admitted: AdmittedCall, model: string): CallPrice | undefined {
  if (model === admitted.call.model) return admitted.price
  const found = callPrice(admitted, model)
  return found !== undefined && found.unit === admitted.plan.unit ? found : admitted.price
}

export function priceSession(admitted: AdmittedCall, usages: Iterable<readonly [string, Usage]>): PricedUsage {
  let total = NOTHING
  for (const [model, usage] of usages) {
    const price = priceOfModel(admitted, model)
    const { terms, costScale, snapshot } = admitted
    const { unpricedKind } = snapshot.settings.metering
    const one = priceUsage(price, usage, { scale: terms.scale, costScale, unpricedKind })
    total = {
      chargeAtoms: total.chargeAtoms + one.chargeAtoms,
      // What it cost us in another unit cannot be added.
      costAtoms: total.costAtoms + (price?.costUnit === admitted.price?.costUnit ? one.costAtoms : 0n),
      unpricedKinds: [...new Set([...total.unpricedKinds, ...one.unpricedKinds])],
    }
  }
  return total
}
