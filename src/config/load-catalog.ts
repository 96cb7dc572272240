import { readFileSync } from 'node:fs'
import { Catalog } from '../core/catalog.ts'
import type { CatalogData } from '../core/catalog-data.ts'

let loaded: Catalog | undefined

/**
 * The catalog of config/catalog/, read and parsed once in a process and by the first config that asks for it: a reload
 * costs nothing. Its models are looked at one by one, when they are called.
 */
export function loadCatalog(): Catalog {
  loaded ??= new Catalog(
    JSON.parse(readFileSync(new URL('../../config/catalog/catalog.json', import.meta.url), 'utf8')) as CatalogData,
  )
  return loaded
}
