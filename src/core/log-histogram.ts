/**
 * Counts of positive numbers in bins of equal ratio: a quantile costs a walk over the bins, and the whole is a few
 * hundred bytes. It forgets: at `COUNTS_MAX` every count is halved, so that what happened lately outweighs the past.
 */
const COUNTS_MAX = 4096

export interface HistogramShape {
  /** Lower edge of the first bin; what is below falls into it. */
  readonly least: number
  readonly binsPerOctave: number
  /** What is above the last one falls into it. */
  readonly bins: number
}

export class LogHistogram {
  readonly #shape: HistogramShape
  readonly #counts: Uint16Array
  #total = 0

  constructor(shape: HistogramShape) {
    this.#shape = shape
    this.#counts = new Uint16Array(shape.bins)
  }

  get total(): number {
    return this.#total
  }

  /** What is no positive number is left out. */
  add(value: number, times = 1): void {
    if (!(value > 0)) return
    this.#addTo(binOf(this.#shape, value), times)
  }

  /** Bins that anything was counted in. */
  get spread(): number {
    let bins = 0
    for (const count of this.#counts) if (count > 0) bins++
    return bins
  }

  /** Upper edge of the bin that the quantile falls into; undefined while nothing was counted. 0 < q <= 1 */
  quantile(q: number): number | undefined {
    if (this.#total === 0) return undefined
    const { least, binsPerOctave, bins } = this.#shape
    // 1 - 0.9 is a little less than 0.1.
    let above = this.#total * (1 - q) + 1e-9
    let bin = bins - 1
    for (; bin > 0; bin--) {
      above -= this.#counts[bin] as number
      if (above < 0) break
    }
    return least * 2 ** ((bin + 1) / binsPerOctave)
  }

  /** Non-empty bins as `bin:count`, joined by commas. */
  encode(): string {
    const parts: string[] = []
    this.#counts.forEach((count, bin) => {
      if (count > 0) parts.push(`${bin}:${count}`)
    })
    return parts.join(',')
  }

  /** Adds what `encode` wrote; anything else in the text is left out. */
  addEncoded(text: string): void {
    for (const part of text.split(',')) {
      const match = /^(\d{1,4}):(\d{1,5})$/.exec(part)
      if (match !== null && Number(match[1]) < this.#shape.bins) this.#addTo(Number(match[1]), Number(match[2]))
    }
  }

  clear(): void {
    this.#counts.fill(0)
    this.#total = 0
  }

  #addTo(bin: number, times: number): void {
    this.#counts[bin] = Math.min(COUNTS_MAX, (this.#counts[bin] as number) + times)
    this.#total += times
    while (this.#total > COUNTS_MAX) this.#halve()
  }

  #halve(): void {
    let total = 0
    this.#counts.forEach((count, bin) => {
      const half = count >> 1
      this.#counts[bin] = half
      total += half
    })
    this.#total = total
  }
}

function binOf({ least, binsPerOctave, bins }: HistogramShape, value: number): number {
  const bin = Math.floor(Math.log2(value / least) * binsPerOctave)
  return bin < 0 ? 0 : bin >= bins ? bins - 1 : bin
}
