/** Money of one unit in another, by declared and dated rates. Exact until it is rounded once. */
import { ATOMS_MAX, type Atoms } from './money.ts'

export interface Rate {
  readonly from: string
  readonly to: string
  /** Decimal string: one unit of `from` is so many of `to`. */
  readonly rate: string
  readonly validFromMs: number
}

/** The rate in force at `atMs`: the latest that began. Undefined where none is declared for this pair, in this direction. */
export function findRate(rates: readonly Rate[], from: string, to: string, atMs: number): string | undefined {
  let found: Rate | undefined
  for (const rate of rates) {
    if (rate.from !== from || rate.to !== to || rate.validFromMs > atMs) continue
    if (found === undefined || rate.validFromMs >= found.validFromMs) found = rate
  }
  return found?.rate
}

export interface Conversion {
  readonly rate: string
  readonly fromScale: number
  readonly toScale: number
}

/** Up to a whole atom: for what is held. At most one atom more than a unit can have, which a hold then refuses. */
export function convertUp(atoms: Atoms, conversion: Conversion): Atoms {
  const { numerator, denominator } = fraction(atoms, conversion)
  return bounded((numerator + denominator - 1n) / denominator)
}

/** To the nearest whole atom, halves to the even one: for what is charged. */
export function convertHalfEven(atoms: Atoms, conversion: Conversion): Atoms {
  const { numerator, denominator } = fraction(atoms, conversion)
  const whole = numerator / denominator
  const twice = (numerator % denominator) * 2n
  return bounded(twice > denominator || (twice === denominator && whole % 2n === 1n) ? whole + 1n : whole)
}

function fraction(atoms: Atoms, { rate, fromScale, toScale }: Conversion): { numerator: bigint; denominator: bigint } {
  const [whole = '0', decimals = ''] = rate.split('.')
  return {
    numerator: atoms * BigInt(whole + decimals) * 10n ** BigInt(toScale),
    denominator: 10n ** BigInt(fromScale + decimals.length),
  }
}

function bounded(atoms: Atoms): Atoms {
  return atoms > ATOMS_MAX ? ATOMS_MAX + 1n : atoms
}
