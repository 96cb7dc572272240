import type { CallFacts, CallPrice } from './price-book.ts'
import { factOf, type PriceEntries } from './price-entries.ts'

/** Distinct calls (by the facts that the book matches on) whose price is kept. Beyond it the cache starts anew. */
const CACHE_MAX = 4096
/** A longer model name is priced as any other, and not kept. */
const CACHED_MODEL_CHARACTERS = 256

/** In force for sinceMs <= t < untilMs, as far as the catalog goes. */
export interface DatedCallPrice {
  readonly price: CallPrice | undefined
  readonly sinceMs: number
  readonly untilMs: number
}

/** Prices that one book's look-ups gave, by the facts they depend on. */
export class FoundPrices {
  readonly #entries: PriceEntries
  readonly #found = new Map<string, DatedCallPrice>()
  /** No entry comes into force for sinceMs <= t < untilMs. */
  #sinceMs = Number.POSITIVE_INFINITY
  #untilMs = Number.NEGATIVE_INFINITY

  constructor(entries: PriceEntries) {
    this.#entries = entries
  }

  get(facts: CallFacts, atMs: number): DatedCallPrice | undefined {
    if (!(this.#sinceMs <= atMs && atMs < this.#untilMs)) this.#turnTo(atMs)
    if (isLong(facts)) return undefined
    const found = this.#found.get(this.#keyOf(facts))
    return found !== undefined && found.sinceMs <= atMs && atMs < found.untilMs ? found : undefined
  }

  /** Of the moment that `get` was asked for last. */
  keep(facts: CallFacts, price: DatedCallPrice): DatedCallPrice {
    if (isLong(facts)) return price
    if (this.#found.size >= CACHE_MAX) this.#found.clear()
    this.#found.set(this.#keyOf(facts), price)
    return price
  }

  #turnTo(atMs: number): void {
    const { instants } = this.#entries
    this.#found.clear()
    this.#sinceMs = instants.findLast((instant) => instant <= atMs) ?? Number.NEGATIVE_INFINITY
    this.#untilMs = instants.find((instant) => instant > atMs) ?? Number.POSITIVE_INFINITY
  }

  /** Names have no control characters; a caller's model may, and therefore stands last. */
  #keyOf(facts: CallFacts): string {
    let key = ''
    for (const name of this.#entries.names) key += `${factOf(facts, name) ?? ''}\n`
    return facts.model === undefined ? key : `${key}=${facts.model}`
  }
}

function isLong(facts: CallFacts): boolean {
  return facts.model !== undefined && facts.model.length > CACHED_MODEL_CHARACTERS
}
