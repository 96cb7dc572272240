/** The last bytes of what goes by, whatever its pieces: each is copied once or twice, however small they come. */
const EMPTY = Buffer.alloc(0)

export class Tail {
  readonly #bytesMax: number
  /** Twice as long as what is kept: moved to the front when it is full. */
  #bytes: Buffer = EMPTY
  #length = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  push(piece: Buffer): void {
    const max = this.#bytesMax
    if (this.#bytes.length === 0) this.#bytes = Buffer.allocUnsafe(2 * max)
    if (piece.length >= max) {
      piece.copy(this.#bytes, 0, piece.length - max)
      this.#length = max
      return
    }
    if (this.#length + piece.length > this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#length - max, this.#length)
      this.#length = max
    }
    piece.copy(this.#bytes, this.#length)
    this.#length += piece.length
  }

  /** Valid until the next push. */
  get bytes(): Buffer {
    return this.#bytes.subarray(Math.max(0, this.#length - this.#bytesMax), this.#length)
  }

  clear(): void {
    this.#length = 0
  }
}
