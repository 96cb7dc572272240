import type { InputEstimate } from './provider.ts'

/** Input as it most likely is, for what no provider states: between the low and the high count: their geometric mean. */
export function likelyInput({ lowTokens, highTokens }: InputEstimate): number {
  return Math.round(Math.sqrt(Math.max(1, lowTokens) * Math.max(1, highTokens)))
}
