/**
 * A bounded map that keeps what was used lately, without bookkeeping at each use: when the young half is full it becomes
 * the old half, and what is used of that comes back; the rest goes with the next turn.
 */
export class RecentMap<Value> {
  readonly #halfMax: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  constructor(sizeMax: number) {
    this.#halfMax = Math.max(1, sizeMax >> 1)
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) {
      this.#old.delete(key)
      this.set(key, old)
    }
    return old
  }

  set(key: string, value: Value): void {
    if (this.#young.size >= this.#halfMax && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    } else {
      this.#old.delete(key)
    }
    this.#young.set(key, value)
  }

  delete(key: string): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }

  *entries(): Generator<[string, Value]> {
    yield* this.#old
    yield* this.#young
  }
}
