import { basename } from 'node:path'
import type { LongContext, PriceBook, PriceEntry, PriceTiers, TierTerms } from '../core/price-book.ts'
import { SERVICE_TIERS } from '../core/service-tier.ts'
import { loadCatalog } from './load-catalog.ts'
import type { PriceBookFile } from './price-book-schema.ts'
import type { TiersFile } from './price-book-tiers.ts'
import type { YamlFile } from './read-yaml.ts'
import type { Upstream } from './snapshot.ts'

/** Entries in the file's order; `fileVersion` is of the file's text. */
export function buildPriceBook(
  read: PriceBookFile,
  file: YamlFile,
  fileVersion: string,
  upstreams: readonly Upstream[],
): PriceBook {
  const entries = read.entries.map((entry, i): PriceEntry => {
    const priced = entry.per_million !== undefined || entry.per_unit !== undefined
    const { line } = file.problemAt(['entries', i], 'value', '')
    const unit = entry.unit ?? read.unit
    return Object.freeze({
      match: entry.match,
      fromMs: entry.from ?? 0,
      unit,
      cost: priced ? { perMillion: entry.per_million ?? {}, perUnit: entry.per_unit ?? {} } : undefined,
      charge: entry.charge && {
        rates: { perMillion: entry.charge.per_million ?? {}, perUnit: entry.charge.per_unit ?? {} },
        markup: entry.charge.markup,
      },
      like: entry.like,
      ...tiersOf(entry.tiers, unit),
      contextWindow: entry.context_window,
      maxOutputTokens: entry.max_output_tokens,
      source: entry.source,
      position: `${basename(file.file)}:${line}`,
    })
  })
  const book = { version: fileVersion, unit: read.unit, markup: read.markup, entries }
  if (read.catalog === 'none') return Object.freeze(book)
  const data = loadCatalog()
  return Object.freeze({
    ...book,
    version: `${fileVersion}.${data.version}`,
    catalog: { data, providers: providersOf(upstreams) },
  })
}

/** The catalog's provider behind each upstream, by the upstream's name; one without is left out. */
function providersOf(upstreams: readonly Upstream[]): ReadonlyMap<string, string> {
  return new Map(
    upstreams.flatMap((upstream) => {
      const provider = catalogProvider(upstream)
      return provider === undefined ? [] : [[upstream.name, provider] as const]
    }),
  )
}

export function catalogProvider({ name, format, baseUrl }: Upstream): string | undefined {
  return loadCatalog().providerOf({ name, format, url: baseUrl.href })
}

function tiersOf(tiers: TiersFile | undefined, unit: string): Pick<PriceEntry, 'serviceTiers' | 'longContext'> {
  if (tiers === undefined) return {}
  const service = SERVICE_TIERS.flatMap((name) => {
    const terms = tiers[name]
    return terms === undefined ? [] : [[name, termsOf(terms, unit)] as const]
  })
  const longContext = tiers.long_context?.map(
    ({ above, per_million }): LongContext => ({ above, rates: { perMillion: per_million, perUnit: {} }, unit }),
  )
  return {
    ...(service.length === 0 ? {} : { serviceTiers: Object.fromEntries(service) as PriceTiers['service'] }),
    ...(longContext === undefined ? {} : { longContext }),
  }
}

function termsOf(terms: NonNullable<TiersFile['batch']>, unit: string): TierTerms {
  return {
    factor: terms.factor,
    except: [],
    rates: { perMillion: terms.per_million ?? {}, perUnit: terms.per_unit ?? {} },
    unit,
  }
}
