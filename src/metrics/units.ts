import type { Atoms } from '../core/money.ts'

/** Atoms as a sample of a metric: a double, near enough to watch and never to charge by. */
export function units(atoms: Atoms, scale: number): number {
  return Number(atoms) / 10 ** scale
}
