/** A source of 32-bit whole numbers that the seed fixes: the same seed gives the same row of them. */
export interface Random {
  /** A whole number from 0 up to and without `below`. */
  below(below: number): number
}

/** Mulberry32: small, fast, and good enough to pick words with. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    below(below) {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) % below
    },
  }
}

/** FNV-1a over the UTF-16 units of a text, begun at `seed`; 32 bits. */
export function hashText(text: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Letters and digits of the given length: the tail of an id. */
export function idTail(seed: number, length: number): string {
  const random = createRandom(seed)
  let tail = ''
  while (tail.length < length) tail += random.below(0x7fffffff).toString(36)
  return tail.slice(0, length)
}
