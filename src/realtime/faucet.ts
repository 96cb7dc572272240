/** One socket that is read only while nobody has to be waited for. */
import type { WebSocket } from 'ws'

export class Faucet {
  readonly #socket: WebSocket
  readonly #reasons = new Set<string>()

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  get open(): boolean {
    return this.#reasons.size === 0
  }

  close(reason: string): void {
    if (this.#reasons.size === 0) this.#socket.pause()
    this.#reasons.add(reason)
  }

  reopen(reason: string): void {
    if (this.#reasons.delete(reason) && this.#reasons.size === 0) this.#socket.resume()
  }
}
