/** Cuts bytes into lines as they come, each up to a bound; what is beyond it is told and left out. */
const LF = 0x0a

export interface LineTaker {
  /** Without its line end; a part of a larger buffer, good until this returns. Empty lines are left out. */
  onLine(line: Buffer): void
  onTooLong(): void
}

export class JsonLines {
  readonly #taker: LineTaker
  readonly #bytesMax: number
  #pieces: Buffer[] = []
  #bytes = 0
  #skipping = false

  constructor(taker: LineTaker, bytesMax: number) {
    this.#taker = taker
    this.#bytesMax = bytesMax
  }

  push(chunk: Buffer): void {
    let at = 0
    for (;;) {
      const end = chunk.indexOf(LF, at)
      if (end < 0) break
      this.#take(chunk.subarray(at, end))
      this.#finish()
      at = end + 1
    }
    if (at < chunk.length) this.#take(chunk.subarray(at))
  }

  /** The beginning of a line that has not ended; empty where that is too long already. */
  get rest(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  /** The last line may have no end. */
  end(): void {
    this.#finish()
  }

  #take(piece: Buffer): void {
    if (this.#skipping) return
    this.#bytes += piece.length
    if (this.#bytes <= this.#bytesMax) {
      this.#pieces.push(piece)
      return
    }
    this.#skipping = true
    this.#pieces = []
    this.#taker.onTooLong()
  }

  #finish(): void {
    const pieces = this.#pieces
    const skipped = this.#skipping
    this.#pieces = []
    this.#bytes = 0
    this.#skipping = false
    if (skipped) return
    const line = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
    if (!isBlank(line)) this.#taker.onLine(line)
  }
}

function isBlank(line: Buffer): boolean {
  for (const byte of line) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false
  return true
}
