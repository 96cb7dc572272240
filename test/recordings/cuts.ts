/** How an answer is cut into writes. */

export const CUTS = ['whole', 'at random', 'byte by byte'] as const
export type Cut = (typeof CUTS)[number]

/** Sizes up to this come at random: small ones often, so that events, lines and code points are cut. */
const SIZE_BITS_MAX = 12

export function pieces(body: Buffer, cut: Cut, seed: number): Buffer[] {
  if (cut === 'whole' || body.length === 0) return [body]
  if (cut === 'byte by byte') return Array.from(body, (_, at) => body.subarray(at, at + 1))
  const parts: Buffer[] = []
  let state = (seed ^ body.length) >>> 0
  for (let at = 0; at < body.length; ) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    const size = 1 + ((state >>> 8) & ((1 << ((state >>> 4) % SIZE_BITS_MAX)) - 1))
    parts.push(body.subarray(at, at + size))
    at += size
  }
  return parts
}
