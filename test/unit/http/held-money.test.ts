import { expect, test } from 'vitest'
import type { AdmittedCall } from '../../../src/http/admitted-call.ts'
import { chargedAtoms, firstHeld, heldAfter } from '../../../src/http/held-money.ts'

const PER_TOKEN = 10n

/** A call with a hold for 50 and `tokens` at 10 each, of which grants pay `funded`. */
function callOf(multiplier: string, tokens: number, funded: bigint): AdmittedCall {
  const beyond = 50n + PER_TOKEN * BigInt(tokens) - funded
  const atoms = overflow(beyond, multiplier)
  const held = { heldAtoms: funded + atoms, tokens, overage: atoms > 0n ? { mode: 'overflow', atoms } : undefined }
  const onExhausted = { mode: 'overflow', multiplier }
  return {
    ceiling: { fixedAtoms: 50n, perTokenAtoms: PER_TOKEN },
    held,
    terms: { onExhausted },
  } as unknown as AdmittedCall
}

/** As the wallet holds it: rounded up. */
function overflow(atoms: bigint, multiplier: string): bigint {
  return (atoms * BigInt(Math.round(Number(multiplier) * 1e6)) + 999_999n) / 1_000_000n
}

function slice(call: AdmittedCall, tokens: number, beyond: bigint, multiplier: string) {
  const before = firstHeld(call)
  const more = PER_TOKEN * BigInt(tokens) - beyond + overflow(beyond, multiplier)
  const answer = { status: 'checkpointed', tokens, heldAtoms: before.atoms + more, availableAtoms: 0n } as const
  return heldAfter(before, answer, PER_TOKEN)
}

test.each(['2', '1.5', '1.1', '0.5', '0', '1'])('a hold in overflow at %s', (multiplier) => {
  const call = callOf(multiplier, 100, 333n)
  const held = firstHeld(call)
  expect(held.priceAtoms).toBe(1050n)
  expect(chargedAtoms(call, held, 333n)).toBe(333n)
  expect(chargedAtoms(call, held, 733n)).toBe(333n + overflow(400n, multiplier))
})

test.each(['2', '1.5', '1.25', '0.5', '0', '1'])(
  'a slice that comes to overflow at %s after a hold on grants',
  (multiplier) => {
    const call = callOf(multiplier, 10, 150n)
    const held = slice(call, 20, 60n, multiplier)
    expect(held.priceAtoms).toBe(350n)
    expect(chargedAtoms(call, held, 290n)).toBe(290n)
    expect(chargedAtoms(call, held, 350n)).toBe(290n + overflow(60n, multiplier))
  },
)

test('of a multiplier near 1 the part in overflow is known to some atoms, what is shown of it to one', () => {
  for (let beyond = 1n; beyond <= 200n; beyond++) {
    const call = callOf('1.01', 10, 150n)
    const shown = chargedAtoms(call, slice(call, 20, beyond, '1.01'), 350n)
    const charged = 350n - beyond + overflow(beyond, '1.01')
    expect([charged - 1n, charged, charged + 1n]).toContain(shown)
  }
})

test('where grants pay for all, a price beyond the hold is shown as it is', () => {
  const call = callOf('2', 10, 150n)
  expect(chargedAtoms(call, firstHeld(call), 200n)).toBe(200n)
})

test('without a hold nothing is held', () => {
  expect(firstHeld({ ...callOf('2', 10, 150n), held: undefined })).toEqual({ atoms: 0n, priceAtoms: 0n })
})
