/**
 * What a call holds, in the wallet and as a price: of what grants do not cover, overflow takes the price times its
 * multiplier. A stream that began on grants may come to overflow in a later slice.
 */
import { convertHalfEven } from '../core/convert.ts'
import { type Atoms, parseAmount } from '../core/money.ts'
import type { CheckpointResult } from '../wallet/wallet-types.ts'
import type { AdmittedCall } from './admitted-call.ts'

/** Decimals that a multiplier has at most. */
const MULTIPLIER_SCALE = 6
const ONE = 10n ** BigInt(MULTIPLIER_SCALE)

export interface HeldMoney {
  /** By the hold and its slices, as the wallet has it. */
  readonly atoms: Atoms
  /** The highest price of the call that this pays for. */
  readonly priceAtoms: Atoms
}

/** By the hold alone. Nothing where Redis was away. */
export function firstHeld({ held, ceiling }: Pick<AdmittedCall, 'held' | 'ceiling'>): HeldMoney {
  if (held === undefined) return { atoms: 0n, priceAtoms: 0n }
  return { atoms: held.heldAtoms, priceAtoms: ceiling.fixedAtoms + ceiling.perTokenAtoms * BigInt(held.tokens) }
}

/** After a checkpoint, which held so many tokens more at that price, or none. */
export function heldAfter(
  before: HeldMoney,
  { heldAtoms, tokens }: Extract<CheckpointResult, { readonly status: 'checkpointed' }>,
  perTokenAtoms: Atoms,
): HeldMoney {
  return { atoms: heldAtoms, priceAtoms: before.priceAtoms + perTokenAtoms * BigInt(tokens) }
}

/** Of the hold alone, the part that grants pay for. */
export function fundedAtoms({ held }: Pick<AdmittedCall, 'held'>): Atoms {
  return held === undefined ? 0n : held.heldAtoms - (held.overage?.atoms ?? 0n)
}

/** What a price comes to for the caller. */
export function chargedAtoms(call: Pick<AdmittedCall, 'terms' | 'held'>, held: HeldMoney, priceAtoms: Atoms): Atoms {
  const { onExhausted } = call.terms
  if (onExhausted.mode !== 'overflow' || held.atoms === held.priceAtoms) return priceAtoms
  const { multiplier } = onExhausted
  const funded =
    held.atoms === call.held?.heldAtoms
      ? fundedAtoms(call)
      : held.priceAtoms - inOverflow(held, parseAmount(multiplier, MULTIPLIER_SCALE))
  const beyond = priceAtoms - funded
  if (beyond <= 0n) return priceAtoms
  return priceAtoms - beyond + convertHalfEven(beyond, { rate: multiplier, fromScale: 0, toScale: 0 })
}

/**
 * Of the price that is held for, the part x in overflow, as slices do not tell it: atoms - priceAtoms is
 * ceil(x * multiplier) - x. Of some x that this holds for the one that is charged most, by an atom.
 */
function inOverflow({ atoms, priceAtoms }: HeldMoney, millionths: bigint): Atoms {
  if (millionths > ONE) return ((atoms - priceAtoms) * ONE) / (millionths - ONE)
  const less = ONE - millionths
  return ((priceAtoms - atoms) * ONE + less - 1n) / less
}
