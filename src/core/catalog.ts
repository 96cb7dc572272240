/**
 * Public prices of many providers' models, found by the upstream's address and the model's name. Which provider and
 * which model is meant follows the data's source: github.com/pydantic/genai-prices, packages/js/src/engine.ts.
 */
import type { CatalogData } from './catalog-data.ts'
import { withDashedDate } from './catalog-match.ts'
import type { CatalogModel } from './catalog-model.ts'
import { CatalogProvider } from './catalog-provider.ts'

/** No model has a longer name; what callers send may be of any length. */
const NAME_CHARACTERS_MAX = 256
/** Where neither address nor name says whose API it is: the one that made the format. */
const FORMAT_PROVIDERS: Readonly<Record<string, string>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  gemini: 'google',
  vertex: 'google',
  bedrock: 'aws',
  cohere: 'cohere',
}

export class Catalog {
  readonly version: string
  readonly #providers: ReadonlyMap<string, CatalogProvider>

  constructor(data: CatalogData) {
    this.version = data.version
    this.#providers = new Map(data.providers.map((row) => [row.id, new CatalogProvider(row)]))
  }

  /** The provider behind an upstream: by its address, else by its name, else by its format. */
  providerOf(upstream: { readonly name: string; readonly url: string; readonly format: string }): string | undefined {
    const name = upstream.name.toLowerCase()
    const all = [...this.#providers.values()]
    const found =
      all.find((provider) => provider.serves(upstream.url)) ??
      this.#providers.get(name) ??
      all.find((provider) => provider.isNamed(name))
    return found?.id ?? FORMAT_PROVIDERS[upstream.format]
  }

  /** A model of a provider, or of those whose models it has too. */
  find(providerId: string, model: string): CatalogModel | undefined {
    const provider = this.#providers.get(providerId)
    if (provider === undefined || model.length > NAME_CHARACTERS_MAX) return undefined
    const name = provider.plainName(model.toLowerCase().trim())
    return this.#search(provider, name) ?? this.#search(provider, withDashedDate(name))
  }

  /** A model as a price book names it: of that provider, of the one that owns its name, or PROVIDER/MODEL. */
  findNamed(providerId: string | undefined, model: string): CatalogModel | undefined {
    const own = providerId === undefined ? undefined : this.find(providerId, model)
    if (own !== undefined) return own
    const name = model.toLowerCase()
    const slash = name.indexOf('/')
    if (slash > 0 && this.#providers.has(name.slice(0, slash))) {
      const found = this.find(name.slice(0, slash), name.slice(slash + 1))
      if (found !== undefined) return found
    }
    for (const provider of this.#providers.values()) {
      const found = provider.owns(name) ? this.find(provider.id, name) : undefined
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Ids of all models, for suggestions. */
  modelIds(): string[] {
    return [...new Set([...this.#providers.values()].flatMap((provider) => provider.models.map((model) => model.id)))]
  }

  #search(provider: CatalogProvider, name: string): CatalogModel | undefined {
    const own = provider.find(name)
    if (own !== undefined) return own
    for (const id of provider.fallback) {
      const found = this.#providers.get(id)?.find(name)
      if (found !== undefined) return found
    }
    const slash = provider.vendors ? name.indexOf('/') : -1
    return slash > 0 ? this.#vendor(name.slice(0, slash))?.find(name.slice(slash + 1)) : undefined
  }

  #vendor(name: string): CatalogProvider | undefined {
    return this.#providers.get(name) ?? [...this.#providers.values()].find((provider) => provider.isNamed(name))
  }
}
