/**
 * What is held and charged of a call at the price of its tokens, and with the multiplier of overflow: what grants do not
 * cover costs that much more. As the hold found the grants: what a stream takes later, in slices, it takes after them.
 */
import { convertHalfEven } from '../core/convert.ts'
import { type Atoms, parseAmount } from '../core/money.ts'
import type { AdmittedCall } from './admitted-call.ts'

/** Decimals that a multiplier has at most. */
const MULTIPLIER_SCALE = 6

type Held = Pick<AdmittedCall, 'held' | 'terms'>

/** Of what is held, the part that grants pay for. */
export function fundedAtoms({ held }: Pick<AdmittedCall, 'held'>): Atoms {
  return held === undefined ? 0n : held.heldAtoms - (held.overage?.atoms ?? 0n)
}

/** What a price comes to for the caller. */
export function chargedAtoms(call: Held, priceAtoms: Atoms): Atoms {
  const multiplier = multiplierOf(call)
  if (multiplier === undefined) return priceAtoms
  const beyond = priceAtoms - fundedAtoms(call)
  if (beyond <= 0n) return priceAtoms
  return priceAtoms - beyond + convertHalfEven(beyond, { rate: multiplier, fromScale: 0, toScale: 0 })
}

/** The highest price that `heldAtoms`, the hold with its extensions, pays for. */
export function heldAtPrice(call: Held, heldAtoms: Atoms): Atoms {
  const multiplier = multiplierOf(call)
  if (multiplier === undefined) return heldAtoms
  const millionths = parseAmount(multiplier, MULTIPLIER_SCALE)
  const funded = fundedAtoms(call)
  // At a multiplier of nothing no hold says what the price was.
  return millionths === 0n ? heldAtoms : funded + ((heldAtoms - funded) * 10n ** BigInt(MULTIPLIER_SCALE)) / millionths
}

/** Undefined: grants pay for all of it, or what they do not costs no more than they do. */
function multiplierOf({ held, terms }: Held): string | undefined {
  const { onExhausted } = terms
  return onExhausted.mode === 'overflow' && held?.overage?.mode === 'overflow' ? onExhausted.multiplier : undefined
}
