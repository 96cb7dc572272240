/** Exact sums of decimal strings whose units keep different numbers of decimals. */
import { formatAmount } from './money.ts'

/** More decimals than any unit keeps. */
const SCALE = 24

/** "-1.05" in parts of 10^-24. */
export function exactOf(text: string): bigint {
  const [whole = '0', fraction = ''] = text.replace('-', '').split('.')
  const parts = BigInt(whole + fraction.padEnd(SCALE, '0').slice(0, SCALE))
  return text.startsWith('-') ? -parts : parts
}

export function exactOfAtoms(atoms: bigint, scale: number): bigint {
  return atoms * 10n ** BigInt(SCALE - scale)
}

export function exactText(parts: bigint): string {
  return formatAmount(parts, SCALE)
}
