import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { overlaySchema } from './catalog-overlay.ts'
import type { SourceProvider } from './catalog-source.ts'
import type { CatalogSources } from './make-catalog.ts'

const PACKAGE = '@pydantic/genai-prices'

/**
 * The installed package's bundled data, and the overlay. The package is a dependency of development alone: nothing of it
 * is there at run time. Its `waitForUpdate` gives the data that it was made with; nothing is fetched.
 *
 * Throws Error where the overlay is not valid.
 */
export async function readCatalogSources(): Promise<CatalogSources> {
  const { waitForUpdate } = await import(PACKAGE)
  const main = createRequire(import.meta.url).resolve(PACKAGE)
  const { version } = JSON.parse(readFileSync(join(dirname(dirname(main)), 'package.json'), 'utf8'))
  const overlayText = readFileSync(new URL('../../config/catalog/overlay.yaml', import.meta.url), 'utf8')
  return {
    source: `${PACKAGE} ${version}`,
    providers: (await waitForUpdate()) as readonly SourceProvider[],
    overlay: overlaySchema.parse(parse(overlayText)),
    overlayText,
  }
}
