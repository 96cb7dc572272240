/** Sums over the disjoint kinds of one usage. */
import { PARENT_KIND, TOKEN_KINDS, type Usage } from '../core/usage.ts'

export function totalInput(usage: Usage): number {
  return sumOf(usage, 'input')
}

export function totalOutput(usage: Usage): number {
  return sumOf(usage, 'output')
}

function sumOf(usage: Usage, parent: 'input' | 'output'): number {
  let sum = 0
  for (const kind of TOKEN_KINDS) if (PARENT_KIND[kind] === parent) sum += usage.tokens[kind] ?? 0
  return sum
}
