/** Counts of ratios in bins of about one percent, so that quantiles of any number of them take bounded memory. */
const BINS_PER_OCTAVE = 64
const BIN_MAX = 20 * BINS_PER_OCTAVE

export class RatioCounts {
  readonly #bins = new Map<number, number>()
  #total = 0

  get total(): number {
    return this.#total
  }

  /** A ratio that is no positive number is left out. */
  add(ratio: number): void {
    if (!(ratio > 0)) return
    const bin = Math.max(-BIN_MAX, Math.min(BIN_MAX, Math.ceil(Math.log2(ratio) * BINS_PER_OCTAVE)))
    this.#bins.set(bin, (this.#bins.get(bin) ?? 0) + 1)
    this.#total += 1
  }

  /** At most one percent above what it is; undefined while nothing was counted. 0 < q <= 1 */
  quantile(q: number): number | undefined {
    let left = Math.ceil(this.#total * q)
    for (const [bin, count] of [...this.#bins].sort(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return Math.round(2 ** (bin / BINS_PER_OCTAVE) * 100) / 100
    }
    return undefined
  }
}
