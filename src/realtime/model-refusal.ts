/** A further model that a session is to use (to transcribe): allowed and priced, or an error event says why not. */
import { decideEntitlement } from '../core/entitlement.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'
import { callPrice } from '../http/call-price.ts'

export function modelRefusal(admitted: AdmittedCall, model: string): ErrorFacts | undefined {
  const { plan, id, snapshot, operation } = admitted
  if (plan.enforcement === 'observe' || model === admitted.call.model) return undefined
  const denied = decideEntitlement(plan, { model, endpoint: operation.endpoint, free: false })
  if (denied) return errorFacts(denied.code, denied.message, id, { rule: denied.rule, param: 'model' })
  if (snapshot.settings.metering.unpricedModel === 'allow_unmetered') return undefined
  const price = callPrice(admitted, model)
  const { perMillion = {}, perUnit = {} } = price?.charge ?? {}
  if (
    price &&
    (perMillion.input !== undefined || perMillion.audio_input !== undefined || perUnit.seconds !== undefined)
  )
    return price.unit === plan.unit
      ? undefined
      : errorFacts(
          'unit_mismatch',
          `The model "${model}" is priced in ${price.unit}, the wallet holds ${plan.unit}, and no rate between them is declared.`,
          id,
          { rule: 'rates' },
        )
  const message = `The price book has no price for the model "${model}"; add an entry for it, or ask for a priced one.`
  return errorFacts('model_unpriced', message, id, { rule: 'price_book', param: 'model' })
}
