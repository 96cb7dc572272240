/** A further model that a session is to use (to transcribe): allowed and priced, or an error event says why not. */
import { decideEntitlement } from '../core/entitlement.ts'
import { findPrice } from '../core/find-price.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'

export function modelRefusal(admitted: AdmittedCall, model: string): ErrorFacts | undefined {
  const { plan, id, snapshot, facts, operation } = admitted
  if (plan.enforcement === 'observe' || model === admitted.call.model) return undefined
  const denied = decideEntitlement(plan, { model, endpoint: operation.endpoint, free: false })
  if (denied) return errorFacts(denied.code, denied.message, id, { rule: denied.rule, param: 'model' })
  if (snapshot.settings.metering.unpricedModel === 'allow_unmetered') return undefined
  const price = findPrice(snapshot.priceBook, { ...facts, model }, admitted.startedAtMs)
  const { perMillion = {}, perUnit = {} } = price?.charge ?? {}
  if (
    price &&
    (perMillion.input !== undefined || perMillion.audio_input !== undefined || perUnit.seconds !== undefined)
  )
    return price.unit === plan.unit
      ? undefined
      : errorFacts(
          'unit_mismatch',
          `The model "${model}" is priced in ${price.unit}, the wallet holds ${plan.unit}.`,
          id,
          { rule: 'rates' },
        )
  const message = `The price book has no price for the model "${model}"; add an entry for it, or ask for a priced one.`
  return errorFacts('model_unpriced', message, id, { rule: 'price_book', param: 'model' })
}
