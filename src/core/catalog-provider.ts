import type { CatalogProviderRow } from './catalog-data.ts'
import { matcher } from './catalog-match.ts'
import { CatalogModel } from './catalog-model.ts'

/** One provider's models, and what upstreams are its own. Names are in lower case. */
export class CatalogProvider {
  readonly id: string
  readonly fallback: readonly string[]
  readonly vendors: boolean
  readonly models: readonly CatalogModel[]
  readonly #row: CatalogProviderRow
  readonly #api: RegExp
  readonly #strip: RegExp | undefined
  #byName: Map<string, number> | undefined
  #others: readonly (readonly [number, (name: string) => boolean])[] = []

  constructor(row: CatalogProviderRow) {
    this.id = row.id
    this.fallback = row.fallback ?? []
    this.vendors = row.vendors ?? false
    this.models = row.models.map((model) => new CatalogModel(model))
    this.#row = row
    this.#api = new RegExp(`^(?:${row.api})`)
    this.#strip = row.strip === undefined ? undefined : new RegExp(`^(?:${row.strip})`)
  }

  serves(url: string): boolean {
    return this.#api.test(url)
  }

  isNamed(name: string): boolean {
    return this.#row.named !== undefined && matcher(this.#row.named)(name)
  }

  owns(name: string): boolean {
    return this.#row.owns !== undefined && matcher(this.#row.owns)(name)
  }

  plainName(name: string): string {
    return this.#strip === undefined ? name : name.replace(this.#strip, '')
  }

  /** The first model whose rule fits, as in a list that is tried from its top. */
  find(name: string): CatalogModel | undefined {
    this.#byName ??= this.#index()
    let best = this.#byName.get(name) ?? Number.POSITIVE_INFINITY
    for (const [index, fits] of this.#others) {
      if (index >= best) break
      if (fits(name)) best = index
    }
    return this.models[best]
  }

  /** Whole names by look-up; the other rules are few, and tried in their order. */
  #index(): Map<string, number> {
    const byName = new Map<string, number>()
    const others: [number, (name: string) => boolean][] = []
    this.#row.models.forEach(({ match }, index) => {
      for (const rule of 'or' in match ? match.or : [match]) {
        if (!('equals' in rule)) others.push([index, matcher(rule)])
        else if (!byName.has(rule.equals.toLowerCase())) byName.set(rule.equals.toLowerCase(), index)
      }
    })
    this.#others = others
    return byName
  }
}
