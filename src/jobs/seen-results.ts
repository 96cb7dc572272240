/** Which results were read already: a hash of each id, in one block of memory, so that a million of them stay small. */
import { createHash } from 'node:crypto'

/** No batch has more. Beyond it a repeated result could no longer be told, so that reading stops being exact. */
const RESULTS_MAX = 4_000_000

export class SeenResults {
  #slots = new BigUint64Array(1024)
  #count = 0

  /** True where it is new. */
  add(id: string): boolean {
    if (this.#count >= RESULTS_MAX) return true
    if (this.#count * 2 >= this.#slots.length) this.#grow()
    const added = this.#put(this.#slots, hashOf(id))
    if (added) this.#count++
    return added
  }

  #put(slots: BigUint64Array, hash: bigint): boolean {
    const mask = slots.length - 1
    for (let at = Number(hash & 0xffffffffn) & mask; ; at = (at + 1) & mask) {
      if (slots[at] === hash) return false
      if (slots[at] !== 0n) continue
      slots[at] = hash
      return true
    }
  }

  #grow(): void {
    const larger = new BigUint64Array(this.#slots.length * 2)
    for (const hash of this.#slots) if (hash !== 0n) this.#put(larger, hash)
    this.#slots = larger
  }
}

/** 64 bits: of a million ids two are alike once in thirty million batches. Never 0, which is an empty slot. */
function hashOf(id: string): bigint {
  const hash = createHash('sha256').update(id).digest().readBigUInt64LE(0)
  return hash === 0n ? 1n : hash
}
