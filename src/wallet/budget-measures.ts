/** In which measures the budgets of a hold count, and what a call came to in them. */
import { type Conversion, convertHalfEven } from '../core/convert.ts'
import type { Atoms } from '../core/money.ts'
import type { HoldTerms } from './wallet-types.ts'

const NONE: readonly string[] = []

/** Without requests, concurrent and the wallet's own unit, which the scripts know. */
export function measuresOf({ budgets, unit }: HoldTerms): readonly string[] {
  if (budgets === undefined || budgets.length === 0) return NONE
  const measures = new Set(budgets.map((budget) => budget.measure))
  measures.delete('requests')
  measures.delete('concurrent')
  measures.delete(unit)
  return [...measures]
}

/** `conversionTo`: undefined where no rate is declared any more; that budget then keeps what was held of it. */
export function measuredFinals(
  terms: HoldTerms,
  final: { readonly atoms: Atoms; readonly tokens: number },
  conversionTo: (measure: string) => Conversion | undefined,
): Readonly<Record<string, bigint>> {
  const finals: Record<string, bigint> = {}
  for (const measure of measuresOf(terms)) {
    if (measure === 'tokens') {
      finals[measure] = BigInt(final.tokens)
      continue
    }
    const conversion = conversionTo(measure)
    if (conversion) finals[measure] = convertHalfEven(final.atoms, conversion)
  }
  return finals
}
