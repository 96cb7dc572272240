/** Keeps the ends of an answer that is no JSON (audio, text), whatever its size. */
import type { OtherAnswer } from '../providers/provider.ts'
import { Tail } from './tail.ts'

const HEAD_BYTES = 64 * 1024
const TAIL_BYTES = 16 * 1024

export class OtherMeter {
  readonly #contentType: string
  #bytes = 0
  #head: Buffer[] = []
  #headBytes = 0
  readonly #tail = new Tail(TAIL_BYTES)

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
    this.#tail.push(chunk)
  }

  end(): OtherAnswer {
    return {
      contentType: this.#contentType,
      bytes: this.#bytes,
      head: Buffer.concat(this.#head),
      tail: this.#tail.bytes,
    }
  }
}
