/** Frames to one side, which reads no faster than it takes: while much waits for it the other side is not read. */
import { WebSocket } from 'ws'
import type { Faucet } from './faucet.ts'

const WAITING_BYTES_MAX = 256 * 1024
const WAITING = 'slow reader'
/** A side that takes nothing for so long has gone. */
const STALLED_MS = 60_000

export class FrameOutlet {
  readonly #to: WebSocket
  readonly #from: Faucet
  readonly #sent = (error?: Error | null): void => this.#afterSend(error)
  #stalledSinceMs: number | undefined

  constructor(to: WebSocket, from: Faucet) {
    this.#to = to
    this.#from = from
  }

  send(frame: Buffer | string, binary: boolean): void {
    if (this.#to.readyState !== WebSocket.OPEN) return
    this.#to.send(frame, { binary }, this.#sent)
    if (this.#to.bufferedAmount > WAITING_BYTES_MAX) this.#from.close(WAITING)
  }

  #afterSend(error: Error | null | undefined): void {
    if (error) return
    this.#stalledSinceMs = undefined
    if (this.#to.bufferedAmount <= WAITING_BYTES_MAX / 2) this.#from.reopen(WAITING)
  }

  /** Each second. True: what waits here is taken no more. */
  stalled(nowMs: number): boolean {
    if (this.#to.bufferedAmount === 0) {
      this.#stalledSinceMs = undefined
      return false
    }
    this.#stalledSinceMs ??= nowMs
    return nowMs - this.#stalledSinceMs > STALLED_MS
  }
}
