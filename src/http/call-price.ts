import type { Plan, Snapshot } from '../config/snapshot.ts'
import { findPrice } from '../core/find-price.ts'
import type { CallFacts, CallPrice } from '../core/price-book.ts'
import { priceInUnit } from '../core/price-in-unit.ts'

/** What a price depends on; a call that is read has it all. */
export interface PricedCall {
  readonly snapshot: Snapshot
  readonly plan: Plan
  readonly facts: CallFacts
  readonly startedAtMs: number
}

/** The price of a call, or of another model in it, in the wallet's unit where that is its own or a rate is declared. */
export function callPrice(call: PricedCall, model: string | undefined = call.facts.model): CallPrice | undefined {
  const { snapshot, plan, facts, startedAtMs } = call
  const found = findPrice(snapshot.priceBook, model === facts.model ? facts : { ...facts, model }, startedAtMs)
  return found && priceInUnit(found, plan.unit, snapshot.rates, startedAtMs)
}
