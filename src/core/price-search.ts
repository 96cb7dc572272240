import { CATALOG_UNIT, type CatalogPrice, type DatedPrice } from './catalog-model.ts'
import type { CallFacts, LongContext, PriceBook, PriceEntry, PriceTiers, Rates } from './price-book.ts'
import type { Aspect, PriceEntries } from './price-entries.ts'

export interface FoundPrice {
  readonly cost: { readonly rates: Rates; readonly unit: string } | undefined
  readonly charge: { readonly rates: Rates; readonly markup: string | undefined; readonly unit: string } | undefined
  readonly serviceTiers: PriceTiers['service']
  readonly longContext: readonly LongContext[]
  readonly contextWindow: number | undefined
  readonly maxOutputTokens: number | undefined
  readonly reasons: boolean
  readonly writesCache: boolean
  /** What the catalog said is in force for sinceMs <= t < untilMs. */
  readonly sinceMs: number
  readonly untilMs: number
}

const ALWAYS = { sinceMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY }

/** An entry like a model that is like another, and so on, so often. */
const LIKES_MAX = 4

/** One look-up in a book at one moment, with the models that entries are `like`. */
export class PriceSearch {
  readonly #book: PriceBook
  readonly #entries: PriceEntries
  readonly #atMs: number
  /** `like` entries whose model is being looked up: they do not stand for themselves. */
  readonly #open = new Set<PriceEntry>()
  #sinceMs = ALWAYS.sinceMs
  #untilMs = ALWAYS.untilMs

  constructor(book: PriceBook, entries: PriceEntries, atMs: number) {
    this.#book = book
    this.#entries = entries
    this.#atMs = atMs
  }

  find(facts: CallFacts): FoundPrice {
    return this.#find(facts, false)
  }

  /** `named`: the model is one that an entry is like, and not the call's own. */
  #find(facts: CallFacts, named: boolean): FoundPrice {
    const { data, providers } = this.#book.catalog ?? {}
    const provider = providers?.get(facts.upstream)
    const model =
      facts.model === undefined
        ? undefined
        : named
          ? data?.findNamed(provider, facts.model)
          : provider === undefined
            ? undefined
            : data?.find(provider, facts.model)
    const dated = model?.priceAt(this.#atMs)
    if (dated !== undefined) this.#narrow(dated)
    return new OneModel(this, facts, named, dated?.price).found(this.#sinceMs, this.#untilMs)
  }

  #narrow({ sinceMs, untilMs }: DatedPrice): void {
    this.#sinceMs = Math.max(this.#sinceMs, sinceMs)
    this.#untilMs = Math.min(this.#untilMs, untilMs)
  }

  *entries(aspect: Aspect, facts: CallFacts, named: boolean): Generator<PriceEntry> {
    for (const entry of this.#entries.inForce(aspect, facts, this.#atMs)) if (!this.#open.has(entry)) yield entry
    if (!named) return
    for (const entry of this.#entries.elsewhere(aspect, facts, this.#atMs)) if (!this.#open.has(entry)) yield entry
  }

  like(entry: PriceEntry, facts: CallFacts): FoundPrice | undefined {
    if (entry.like === undefined || this.#open.size >= LIKES_MAX) return undefined
    this.#open.add(entry)
    const found = this.#find({ ...facts, model: entry.like }, true)
    this.#open.delete(entry)
    return found
  }
}

/** What the entries, and below them the catalog, say of one model. */
class OneModel {
  readonly #search: PriceSearch
  readonly #facts: CallFacts
  readonly #named: boolean
  readonly #catalog: CatalogPrice | undefined
  readonly #likes = new Map<PriceEntry, FoundPrice>()

  constructor(search: PriceSearch, facts: CallFacts, named: boolean, catalog: CatalogPrice | undefined) {
    this.#search = search
    this.#facts = facts
    this.#named = named
    this.#catalog = catalog
  }

  found(sinceMs: number, untilMs: number): FoundPrice {
    const catalog = this.#catalog
    const found = {
      cost: this.#cost() ?? (catalog && { rates: catalog.rates, unit: CATALOG_UNIT }),
      charge: this.#first('charge', ownCharge),
      serviceTiers: this.#serviceTiers(),
      longContext: this.#first('longContext', (entry) => entry.longContext) ?? catalog?.tiers.longContext ?? [],
      contextWindow: this.#first('contextWindow', (entry) => entry.contextWindow) ?? catalog?.contextWindow,
      maxOutputTokens: this.#first('maxOutputTokens', (entry) => entry.maxOutputTokens) ?? catalog?.maxOutputTokens,
    }
    const like = [...this.#likes.values()]
    return {
      ...found,
      reasons: catalog?.reasons ?? like.some((one) => one.reasons),
      writesCache: catalog?.writesCache ?? like.some((one) => one.writesCache),
      sinceMs: Math.max(sinceMs, ...like.map((one) => one.sinceMs)),
      untilMs: Math.min(untilMs, ...like.map((one) => one.untilMs)),
    }
  }

  /** An entry that is like a model has that model's rates, with its own over them. */
  #cost(): FoundPrice['cost'] {
    for (const entry of this.#search.entries('cost', this.#facts, this.#named)) {
      const like = this.#like(entry)?.cost
      if (entry.cost === undefined && like === undefined) continue
      if (entry.cost === undefined || like === undefined || like.unit !== entry.unit)
        return entry.cost === undefined ? like : { rates: entry.cost, unit: entry.unit }
      return {
        rates: {
          perMillion: { ...like.rates.perMillion, ...entry.cost.perMillion },
          perUnit: { ...like.rates.perUnit, ...entry.cost.perUnit },
        },
        unit: entry.unit,
      }
    }
    return undefined
  }

  #first<K extends Exclude<Aspect, 'cost' | 'serviceTiers'>>(
    aspect: K,
    own: (entry: PriceEntry) => FoundPrice[K] | undefined,
  ): FoundPrice[K] | undefined {
    for (const entry of this.#search.entries(aspect, this.#facts, this.#named)) {
      const value = own(entry) ?? this.#like(entry)?.[aspect]
      if (value !== undefined) return value
    }
    return undefined
  }

  /** Tier by tier, the first entry that names it. */
  #serviceTiers(): PriceTiers['service'] {
    let tiers: PriceTiers['service'] = {}
    for (const entry of this.#search.entries('serviceTiers', this.#facts, this.#named))
      tiers = { ...this.#like(entry)?.serviceTiers, ...entry.serviceTiers, ...tiers }
    return { ...this.#catalog?.tiers.service, ...tiers }
  }

  #like(entry: PriceEntry): FoundPrice | undefined {
    if (entry.like === undefined) return undefined
    let found = this.#likes.get(entry)
    if (found === undefined) {
      found = this.#search.like(entry, this.#facts)
      if (found !== undefined) this.#likes.set(entry, found)
    }
    return found
  }
}

function ownCharge(entry: PriceEntry): FoundPrice['charge'] {
  return entry.charge && { ...entry.charge, unit: entry.unit }
}
