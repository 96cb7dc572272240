/** The request bodies that one process keeps in memory, of all its calls together: each stays until its answer is over. */
import { totalmem } from 'node:os'

export class UploadBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** False: they do not fit, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    return true
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** A quarter of the memory that the machine or the container has, shared by the workers. */
export function uploadBytesMax(workers: number): number {
  const allowed = process.constrainedMemory()
  return Math.floor((allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()) / 4 / workers)
}
