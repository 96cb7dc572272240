/** Compressed bytes on their way to a decoder: one after the other, and few at a time. */
import type { Decoder } from '../meter/decode.ts'

/** Compressed bytes that may wait before the upstream has to. */
const WAITING_BYTES_MAX = 256 * 1024

export interface DecodeOwner {
  onDecodedEnd(): void
  /** No byte more will be decoded; told once, and never after the end. */
  onUndecodable(): void
  fail(error: unknown): void
}

export class DecodeQueue {
  readonly #decoder: Decoder
  readonly #owner: DecodeOwner
  /** Called when the queue has become short again after it was `full`. */
  readonly #onRoom: () => void
  #last: Promise<void> = Promise.resolve()
  #waitingBytes = 0
  #toldFailure = false

  constructor(decoder: Decoder, owner: DecodeOwner, onRoom: () => void) {
    this.#decoder = decoder
    this.#owner = owner
    this.#onRoom = onRoom
  }

  /** What came could not be decoded, or not to its end. */
  get failed(): boolean {
    return this.#decoder.failure !== undefined
  }

  /** The upstream is to wait. */
  get full(): boolean {
    return this.#waitingBytes > WAITING_BYTES_MAX
  }

  push(chunk: Buffer): void {
    this.#waitingBytes += chunk.length
    this.#last = this.#last
      .then(() => this.#decoder.write(chunk))
      .then(() => this.#written(chunk.length))
      .catch((error: unknown) => this.#owner.fail(error))
  }

  /** `onDecodedEnd` follows when all is decoded. */
  end(): void {
    this.#last
      .then(() => this.#decoder.end())
      .then(() => this.#owner.onDecodedEnd())
      .catch((error: unknown) => this.#owner.fail(error))
  }

  destroy(): void {
    this.#decoder.destroy()
  }

  #written(bytes: number): void {
    const full = this.full
    this.#waitingBytes -= bytes
    if (full && !this.full) this.#onRoom()
    if (!this.failed || this.#toldFailure) return
    this.#toldFailure = true
    this.#owner.onUndecodable()
  }
}
