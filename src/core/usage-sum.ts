/** Adds up usages, each kind by itself. Counts of a batch stay whole numbers; what would leave them is clamped and flagged. */
import { COUNTED_KINDS, type CountedKind, TOKEN_KINDS, type TokenKind, type Usage } from './usage.ts'

export class UsageSum {
  readonly #tokens: { [kind in TokenKind]?: number } = {}
  readonly #units: { [kind in CountedKind]?: number } = {}
  readonly #flags = new Set<string>()
  #reasoning: number | undefined

  add(usage: Usage): void {
    for (const kind of TOKEN_KINDS) {
      const count = usage.tokens[kind]
      if (count !== undefined) this.#tokens[kind] = this.#plus(this.#tokens[kind], count)
    }
    for (const kind of COUNTED_KINDS) {
      const count = usage.units?.[kind]
      if (count !== undefined) this.#units[kind] = this.#plus(this.#units[kind], count)
    }
    if (usage.reasoning !== undefined) this.#reasoning = this.#plus(this.#reasoning, usage.reasoning)
    for (const flag of usage.flags ?? []) this.flag(flag)
  }

  flag(flag: string): void {
    this.#flags.add(flag)
  }

  /** `raw`: what the provider says of the whole, for the ledger. */
  total(raw: unknown): Usage {
    return {
      tokens: { ...this.#tokens },
      ...(this.#reasoning === undefined ? {} : { reasoning: this.#reasoning }),
      ...(Object.keys(this.#units).length > 0 ? { units: { ...this.#units } } : {}),
      raw,
      ...(this.#flags.size > 0 ? { flags: [...this.#flags] } : {}),
    }
  }

  #plus(before: number | undefined, count: number): number {
    const sum = (before ?? 0) + count
    if (sum <= Number.MAX_SAFE_INTEGER) return sum
    this.flag('count_clamped')
    return Number.MAX_SAFE_INTEGER
  }
}
