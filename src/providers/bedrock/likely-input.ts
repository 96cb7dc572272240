import type { CallRequest } from '../provider.ts'

/** Input tokens as an estimate charges them: the geometric mean of the low and the high count. */
export function likelyInput({ input }: CallRequest): number {
  return Math.round(Math.sqrt(Math.max(1, input.lowTokens) * Math.max(1, input.highTokens)))
}
