/** Writes config/catalog/catalog.json and its source's licence: `npm run catalog`, after an update of the package or the overlay. */
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { catalogText, makeCatalog } from './make-catalog.ts'
import { readCatalogSources } from './read-catalog-sources.ts'

const directory = new URL('../../config/catalog/', import.meta.url)
const sources = await readCatalogSources()
const data = makeCatalog(sources)
writeFileSync(new URL('catalog.json', directory), catalogText(data))
const main = createRequire(import.meta.url).resolve('@pydantic/genai-prices')
writeFileSync(new URL('LICENSE-genai-prices', directory), readFileSync(join(dirname(dirname(main)), 'LICENSE')))
const models = data.providers.reduce((sum, provider) => sum + provider.models.length, 0)
console.log(`config/catalog/catalog.json: ${data.source}, version ${data.version}, ${models} models`)
