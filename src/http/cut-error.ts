import { formatAmount } from '../core/money.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { budgetOfField } from './call-budgets.ts'
import type { SliceRefusal } from './hold-keeper.ts'

/** Why a stream ends where it does, for `on_cut: error`. `refusal` undefined: the wallet did not answer. */
export function cutError(admitted: AdmittedCall, refusal: SliceRefusal | undefined): ErrorFacts {
  const { terms, plan, id } = admitted
  const { unit, scale } = terms
  const more = { rule: 'funds', unit, topUpUrl: plan.topUpUrl ?? null }
  if (refusal === undefined) {
    const message = 'The answer was cut: the wallet could not be asked for its next part.'
    return errorFacts('wallet_unavailable', message, id, more)
  }
  const budget = refusal.rule === undefined ? undefined : budgetOfField(admitted, refusal.rule)
  if (budget) {
    return errorFacts(
      'budget_exceeded',
      `The answer was cut: budget "${budget.name}" does not cover its next part.`,
      id,
      {
        rule: budget.name,
        unit: budget.measure,
        needed: formatAmount(refusal.neededAtoms, budget.scale),
        available: formatAmount(refusal.availableAtoms, budget.scale),
      },
    )
  }
  const code = refusal.status === 'held_by_open_calls' ? refusal.status : 'insufficient_funds'
  return errorFacts(code, 'The answer was cut: the wallet does not cover its next part.', id, {
    ...more,
    needed: formatAmount(refusal.neededAtoms, scale),
    available: formatAmount(refusal.availableAtoms, scale),
  })
}
