import type { CallPrice } from './price-book.ts'
import type { CountedKind, Usage } from './usage.ts'

/**
 * An endpoint that states nothing is billed by things (images, seconds, characters) or by tokens, and was counted both
 * ways: the things are charged where the price has a rate for one of them, else the tokens. Without a price: both stay.
 */
export function billedMeasure(
  counted: Usage,
  price: CallPrice | undefined,
  billedBy: readonly CountedKind[] | undefined,
): Usage {
  const byThings = billedBy?.some(
    (kind) => counted.units?.[kind] !== undefined && price?.charge.perUnit[kind] !== undefined,
  )
  return byThings ? { ...counted, tokens: {} } : counted
}
