import type { JsonObject } from './call.ts'
import type { JobProgress } from './job-progress.ts'

/** Enough for any test or demo; the oldest goes first. */
const STORED_MAX = 1000

/** Responses that the provider keeps for `GET /v1/responses/:id` and `previous_response_id`. */
export class StoredResponses {
  readonly #byId = new Map<string, StoredResponse>()

  get(id: string): StoredResponse | undefined {
    return this.#byId.get(id)
  }

  keep(id: string, stored: StoredResponse): void {
    this.#byId.set(id, stored)
    if (this.#byId.size <= STORED_MAX) return
    for (const oldest of this.#byId.keys()) {
      this.#byId.delete(oldest)
      return
    }
  }

  delete(id: string): boolean {
    return this.#byId.delete(id)
  }

  clear(): void {
    this.#byId.clear()
  }
}

export interface StoredResponse {
  readonly response: JsonObject
  /** Of a background response: what it is until it has its end. */
  readonly job?: { readonly progress: JobProgress; readonly begun: JsonObject }
  /** What a call that continues it reads: its input and its output. */
  readonly tokens: number
}
