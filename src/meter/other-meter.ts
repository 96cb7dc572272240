/** Keeps the ends of an answer that is no JSON (audio, text), whatever its size. */
import type { OtherAnswer } from '../providers/provider.ts'

const HEAD_BYTES = 64 * 1024
const TAIL_BYTES = 16 * 1024
const EMPTY = Buffer.alloc(0)

export class OtherMeter {
  readonly #contentType: string
  #bytes = 0
  #head: Buffer[] = []
  #headBytes = 0
  #tail: Buffer = EMPTY

  constructor(contentType: string) {
    this.#contentType = contentType
  }

  push(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#headBytes < HEAD_BYTES) {
      // A copy: a part would keep its whole chunk.
      const piece = Buffer.from(chunk.subarray(0, HEAD_BYTES - this.#headBytes))
      this.#head.push(piece)
      this.#headBytes += piece.length
    }
    this.#tail =
      chunk.length >= TAIL_BYTES
        ? chunk.subarray(chunk.length - TAIL_BYTES)
        : Buffer.concat([this.#tail.subarray(Math.max(0, this.#tail.length + chunk.length - TAIL_BYTES)), chunk])
  }

  end(): OtherAnswer {
    return { contentType: this.#contentType, bytes: this.#bytes, head: Buffer.concat(this.#head), tail: this.#tail }
  }
}
