import { markedUp } from './exact-rates.ts'
import { globMatches } from './glob.ts'
import type { CallFacts, CallPrice, PriceBook, PriceEntry, Rates } from './price-book.ts'

/** Distinct calls (by the facts that the book matches on) whose price is kept. Beyond it the cache starts anew. */
const CACHE_MAX = 4096
/** A longer model name is priced as any other, and not kept. */
const CACHED_MODEL_CHARACTERS = 256

const NO_RATES: Rates = { perMillion: {}, perUnit: {} }

/**
 * The price of a call that starts at `atMs`: the first entry whose match fits; entries of equal match are one series,
 * of which the latest in force at `atMs` counts. Cost, charge and the two limits are looked up apart, each among the
 * entries that set it. Undefined: neither a cost nor a charge fits.
 *
 * The same object comes back for the same facts until the next `from` of the book, so that what is worked out from a
 * price is worked out once.
 */
export function findPrice(book: PriceBook, facts: CallFacts, atMs: number): CallPrice | undefined {
  return indexOf(book).find(facts, atMs)
}

/** Whether every rate is there that each call of the endpoint needs: `input`, and `output` where it generates. */
export function isPriced(price: CallPrice | undefined, endpointGenerates: boolean): price is CallPrice {
  if (price === undefined) return false
  const { input, output } = price.charge.perMillion
  return input !== undefined && (!endpointGenerates || output !== undefined)
}

const indexes = new WeakMap<PriceBook, BookIndex>()

function indexOf(book: PriceBook): BookIndex {
  const known = indexes.get(book)
  if (known !== undefined) return known
  const index = new BookIndex(book)
  indexes.set(book, index)
  return index
}

/** Entries of equal match that set one thing, latest `from` first. */
interface Series {
  readonly match: readonly (readonly [string, string])[]
  readonly entries: readonly PriceEntry[]
}

/** One book, sorted for look-ups, with the prices found so far. */
class BookIndex {
  readonly #book: PriceBook
  readonly #costs: readonly Series[]
  readonly #charges: readonly Series[]
  readonly #windows: readonly Series[]
  readonly #outputs: readonly Series[]
  /** Names that any match has, without `model`. */
  readonly #names: readonly string[]
  /** Instants at which an entry comes into force, rising. */
  readonly #instants: readonly number[]
  readonly #found = new Map<string, CallPrice | undefined>()
  /** Prices found are good for sinceMs <= atMs < untilMs. */
  #sinceMs = Number.POSITIVE_INFINITY
  #untilMs = Number.NEGATIVE_INFINITY

  constructor(book: PriceBook) {
    this.#book = book
    this.#costs = seriesOf(book, (entry) => entry.cost !== undefined)
    this.#charges = seriesOf(book, (entry) => entry.charge !== undefined)
    this.#windows = seriesOf(book, (entry) => entry.contextWindow !== undefined)
    this.#outputs = seriesOf(book, (entry) => entry.maxOutputTokens !== undefined)
    const names = new Set(book.entries.flatMap((entry) => Object.keys(entry.match)))
    names.delete('model')
    this.#names = [...names]
    this.#instants = [...new Set(book.entries.map((entry) => entry.fromMs))].sort((a, b) => a - b)
  }

  find(facts: CallFacts, atMs: number): CallPrice | undefined {
    if (!(this.#sinceMs <= atMs && atMs < this.#untilMs)) this.#turnTo(atMs)
    if (facts.model !== undefined && facts.model.length > CACHED_MODEL_CHARACTERS) return this.#search(facts, atMs)
    const key = this.#keyOf(facts)
    const found = this.#found.get(key)
    if (found !== undefined || this.#found.has(key)) return found
    const price = this.#search(facts, atMs)
    if (this.#found.size >= CACHE_MAX) this.#found.clear()
    this.#found.set(key, price)
    return price
  }

  #turnTo(atMs: number): void {
    this.#found.clear()
    this.#sinceMs = this.#instants.findLast((instant) => instant <= atMs) ?? Number.NEGATIVE_INFINITY
    this.#untilMs = this.#instants.find((instant) => instant > atMs) ?? Number.POSITIVE_INFINITY
  }

  /** Names have no control characters; a caller's model may, and therefore stands last. */
  #keyOf(facts: CallFacts): string {
    let key = ''
    for (const name of this.#names) key += `${factOf(facts, name) ?? ''}\n`
    return facts.model === undefined ? key : `${key}=${facts.model}`
  }

  #search(facts: CallFacts, atMs: number): CallPrice | undefined {
    const cost = firstInForce(this.#costs, facts, atMs)
    const charge = firstInForce(this.#charges, facts, atMs)
    if (cost === undefined && charge === undefined) return undefined
    const unit = (charge ?? cost)?.unit ?? this.#book.unit
    const costUnit = (cost ?? charge)?.unit ?? this.#book.unit
    return {
      version: this.#book.version,
      unit,
      costUnit,
      cost: cost?.cost ?? NO_RATES,
      // A markup has no meaning between two units: there the charge is what its own entry says.
      charge: chargeRates(unit === costUnit ? cost?.cost : undefined, charge?.charge, this.#book.markup),
      contextWindow: firstInForce(this.#windows, facts, atMs)?.contextWindow,
      maxOutputTokens: firstInForce(this.#outputs, facts, atMs)?.maxOutputTokens,
    }
  }
}

function chargeRates(cost: Rates | undefined, charge: PriceEntry['charge'], bookMarkup: string): Rates {
  const fromCost = markedUp(cost ?? NO_RATES, charge?.markup ?? bookMarkup)
  const own = charge?.rates ?? NO_RATES
  return {
    perMillion: { ...fromCost.perMillion, ...own.perMillion },
    perUnit: { ...fromCost.perUnit, ...own.perUnit },
  }
}

function seriesOf(book: PriceBook, sets: (entry: PriceEntry) => boolean): Series[] {
  const byMatch = new Map<string, PriceEntry[]>()
  for (const entry of book.entries) {
    if (!sets(entry)) continue
    const match = JSON.stringify(Object.entries(entry.match).sort(([a], [b]) => (a < b ? -1 : 1)))
    const entries = byMatch.get(match)
    if (entries === undefined) byMatch.set(match, [entry])
    else entries.push(entry)
  }
  return [...byMatch.values()].map((entries) => ({
    match: Object.entries(entries[0]?.match ?? {}),
    entries: entries.toSorted((a, b) => b.fromMs - a.fromMs),
  }))
}

function firstInForce(list: readonly Series[], facts: CallFacts, atMs: number): PriceEntry | undefined {
  for (const series of list) {
    const entry = series.entries.find((candidate) => candidate.fromMs <= atMs)
    if (entry !== undefined && series.match.every(([name, glob]) => fits(name, glob, facts))) return entry
  }
  return undefined
}

function fits(name: string, glob: string, facts: CallFacts): boolean {
  const value = factOf(facts, name)
  if (value === undefined) return name === 'model' && glob === '*'
  return globMatches(glob, value)
}

function factOf(facts: CallFacts, name: string): string | undefined {
  switch (name) {
    case 'account':
    case 'plan':
    case 'key':
    case 'upstream':
    case 'model':
    case 'endpoint':
      return facts[name]
    default:
      return Object.hasOwn(facts.labels, name) ? facts.labels[name] : undefined
  }
}
