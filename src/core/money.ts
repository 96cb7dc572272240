/** A whole number of atoms: 1 unit = 10^scale atoms. At scale 9, 1 USD = 1_000_000_000n. */
export type Atoms = bigint

/** The largest live value that Redis keeps exactly (Lua numbers are doubles): 9,007,199.254740991 USD at scale 9. */
export const ATOMS_MAX: Atoms = 9_007_199_254_740_991n

/** Decimals kept of a unit that `units` does not name. */
export const DEFAULT_SCALE = 9

/** An amount that cannot be read; the message names what was wrong and what to write instead. */
export class AmountError extends Error {
  readonly code: 'invalid' | 'out_of_range'
  constructor(code: 'invalid' | 'out_of_range', message: string) {
    super(message)
    this.name = 'AmountError'
    this.code = code
  }
}

// ASCII digits only: \d without the u flag already means [0-9], so Arabic digits are refused.
const DECIMAL = /^(-?)(0|[1-9]\d{0,24})(?:\.(\d{1,24}))?$/

/**
 * Reads a quoted decimal such as "10.50" into atoms.
 *
 * Throws AmountError: `invalid` for anything but plain decimal digits or for more decimals than the unit keeps,
 * `out_of_range` beyond ±ATOMS_MAX.
 */
export function parseAmount(text: string, scale: number = DEFAULT_SCALE): Atoms {
  const match = DECIMAL.exec(text)
  if (!match) {
    const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
    throw new AmountError('invalid', `${shown} is not a decimal amount; write it like "10.50"`)
  }
  const fraction = (match[3] ?? '').replace(/0+$/, '')
  if (fraction.length > scale) {
    throw new AmountError('invalid', `"${text}" has ${fraction.length} decimals; this unit keeps ${scale}`)
  }
  const magnitude = BigInt((match[2] ?? '0') + fraction.padEnd(scale, '0'))
  if (magnitude > ATOMS_MAX) {
    throw new AmountError('out_of_range', `"${text}" is beyond the largest amount, ${formatAmount(ATOMS_MAX, scale)}`)
  }
  return match[1] === '-' ? -magnitude : magnitude
}

/** Atoms as the shortest decimal string: 1_050_000_000n at scale 9 is "1.05". */
export function formatAmount(atoms: Atoms, scale: number = DEFAULT_SCALE): string {
  const digits = (atoms < 0n ? -atoms : atoms).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  const fraction = scale === 0 ? '' : digits.slice(-scale).replace(/0+$/, '')
  return `${atoms < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}
