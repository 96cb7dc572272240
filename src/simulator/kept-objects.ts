import { type Call, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { ProviderError } from './provider-errors.ts'

/** Enough for any test or demo; the oldest goes first. */
const KEPT_MAX = 1000

/** Objects of one kind that the provider keeps under their ids. */
export class KeptObjects<Kept> {
  readonly #kind: string
  readonly #byId = new Map<string, Kept>()

  /** `kind`: as errors name it. */
  constructor(kind: string) {
    this.#kind = kind
  }

  /** Throws ProviderError where there is none. */
  get(id: string): Kept {
    const found = this.#byId.get(id)
    if (found === undefined) throw new ProviderError(404, `No such ${this.#kind}: '${id}'.`, null, 'id')
    return found
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  keep(id: string, kept: Kept): void {
    this.#byId.set(id, kept)
    if (this.#byId.size <= KEPT_MAX) return
    for (const oldest of this.#byId.keys()) {
      this.#byId.delete(oldest)
      return
    }
  }

  delete(id: string): void {
    this.get(id)
    this.#byId.delete(id)
  }

  get all(): readonly Kept[] {
    return [...this.#byId.values()]
  }

  clear(): void {
    this.#byId.clear()
  }
}

export function listOf(data: readonly JsonObject[]): JsonReply {
  return jsonReply({
    object: 'list',
    data,
    has_more: false,
    first_id: data[0]?.['id'] ?? null,
    last_id: data.at(-1)?.['id'] ?? null,
  })
}

export function deleted(object: string, id: string): JsonReply {
  return jsonReply({ id, object, deleted: true })
}

/** Of one call, another id for each `number`. */
export function seedOf(call: Call, number: number): number {
  return Math.imul(call.idSeed + number + 1, 0x85ebca6b) >>> 0
}
