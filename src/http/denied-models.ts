/**
 * Models that an upstream answered without usage, under `missing_usage: deny_model`: refused there from then on, in every
 * process of the gateway, until the config is read again or the gateway starts anew.
 */

/** Upstream and model. */
export type DeniedModel = readonly [upstream: string, model: string]

/** More than an operator can have: the rest goes on as estimates. */
const DENIED_MAX = 10_000

export class DeniedModels {
  readonly #denied = new Set<string>()
  /** Tells the other processes; set by the worker. */
  onDeny: ((upstream: string, model: string) => void) | undefined

  has(upstream: string, model: string): boolean {
    return this.#denied.size > 0 && this.#denied.has(nameOf(upstream, model))
  }

  /** Met here: the others are told. */
  deny(upstream: string, model: string): void {
    if (this.has(upstream, model)) return
    this.take(upstream, model)
    this.onDeny?.(upstream, model)
  }

  /** Met by another process. */
  take(upstream: string, model: string): void {
    if (this.#denied.size < DENIED_MAX) this.#denied.add(nameOf(upstream, model))
  }

  clear(): void {
    this.#denied.clear()
  }
}

/** An upstream's name has no line end. */
function nameOf(upstream: string, model: string): string {
  return `${upstream}\n${model}`
}
