/**
 * The catalog from its two sources: the data bundled with the npm package @pydantic/genai-prices (data alone, none of its
 * code), and our overlay. Pure: `npm run catalog` reads and writes (write-catalog.ts), a test compares.
 */
import { createHash } from 'node:crypto'
import type {
  CatalogData,
  CatalogModelRow,
  CatalogPriceRow,
  CatalogProviderRow,
  CatalogTierRow,
  FlatRates,
} from '../core/catalog-data.ts'
import { timesRate } from '../core/exact-rates.ts'
import { globMatches } from '../core/glob.ts'
import type { Overlay, OverlayModel, OverlayProvider, OverlayRule } from './catalog-overlay.ts'
import { readSource, type SourceProvider } from './catalog-source.ts'

export interface CatalogSources {
  /** Name and version of the package. */
  readonly source: string
  readonly providers: readonly SourceProvider[]
  readonly overlay: Overlay
  readonly overlayText: string
}

/** Throws Error where the overlay speaks of what is not there, or the source of what is not known here. */
export function makeCatalog({ source, providers, overlay, overlayText }: CatalogSources): CatalogData {
  const rows = readSource(providers)
  const own = new Map(overlay.providers.map((provider) => [provider.id, provider]))
  const merged = rows.map((row) => overlaid(row, own.get(row.id)))
  for (const provider of overlay.providers)
    if (!rows.some((row) => row.id === provider.id)) merged.push(overlaid(newProvider(provider), provider))
  return {
    source,
    sourceSha256: sha256(JSON.stringify(providers)),
    overlaySha256: sha256(overlayText),
    version: sha256(JSON.stringify(merged)).slice(0, 8),
    providers: merged,
  }
}

/** One provider, one model a line: what an update changes can be read. */
export function catalogText(data: CatalogData): string {
  const { providers, ...head } = data
  const lines = providers.map(({ models, ...provider }) => {
    const rows = models.map((model) => `      ${JSON.stringify(model)}`).join(',\n')
    const fields = JSON.stringify(provider).slice(0, -1)
    return `    ${fields},"models":[\n${rows}\n    ]}`
  })
  return `${JSON.stringify(head).slice(0, -1)},"providers":[\n${lines.join(',\n')}\n]}\n`
}

function newProvider(provider: OverlayProvider): CatalogProviderRow {
  if (provider.api === undefined) throw new Error(`${provider.id}: the source has no such provider, and it has no api`)
  return { id: provider.id, api: provider.api, models: [] }
}

function overlaid(row: CatalogProviderRow, overlay: OverlayProvider | undefined): CatalogProviderRow {
  if (overlay === undefined) return row
  const { api, named, strip, vendors, fallback } = overlay
  const models = [...overlay.models.map((model) => newModel(row, model)), ...row.models]
  for (const rule of overlay.rules)
    if (!models.some((model) => applies(rule, model.id)))
      throw new Error(`${row.id}: no model fits the rule of ${rule.models.join(', ')}`)
  return {
    ...row,
    ...(api === undefined || api === row.api ? {} : { api: `${row.api}|${api}` }),
    ...defined({ named, strip, vendors, fallback }),
    models: models.map((model) =>
      overlay.rules.filter((rule) => applies(rule, model.id)).reduce<CatalogModelRow>(withRule, model),
    ),
  }
}

function applies({ models, except = [] }: OverlayRule, id: string): boolean {
  const fits = (glob: string): boolean => globMatches(glob, id)
  return models.some(fits) && !except.some(fits)
}

function newModel(row: CatalogProviderRow, model: OverlayModel): CatalogModelRow {
  const like = model.like === undefined ? undefined : row.models.find(({ id }) => id === model.like)
  if (model.like !== undefined && like === undefined)
    throw new Error(`${row.id}: ${model.id} is like no model: ${model.like}`)
  const prices = model.prices?.map(
    ({ from, rates, long }): CatalogPriceRow => ({ ...defined({ from }), rates, ...longOf(long) }),
  )
  const rows = prices ?? like?.prices
  if (rows === undefined) throw new Error(`${row.id}: ${model.id} has neither prices nor a model that it is like`)
  const { id: _id, match: _match, prices: _prices, ...facts } = like ?? ({} as Partial<CatalogModelRow>)
  return {
    id: model.id,
    match: model.match ?? { equals: model.id },
    ...facts,
    ...factsOf(model),
    prices: rows,
  }
}

function withRule(row: CatalogModelRow, rule: OverlayRule): CatalogModelRow {
  const tiers = rule.tiers && { tiers: { ...row.tiers, ...factsOf(rule).tiers } }
  return {
    ...row,
    ...factsOf(rule),
    ...tiers,
    prices: row.prices.map((price) => withRates(price, rule)),
  }
}

function withRates(price: CatalogPriceRow, rule: OverlayRule): CatalogPriceRow {
  const long = rule.long === undefined ? price.long : longOf(rule.long).long
  return {
    ...price,
    rates: multiplied({ ...price.rates, ...rule.rates }, rule),
    ...(long === undefined ? {} : { long: long.map(([above, rates]) => [above, multiplied(rates, rule)] as const) }),
  }
}

/** Where the kind that it is a multiple of has a rate. */
function multiplied(rates: FlatRates, { multiples = {} }: OverlayRule): FlatRates {
  const result: Record<string, string> = { ...rates }
  for (const [kind, { of, times }] of Object.entries(multiples)) {
    const base = rates[of]
    if (base !== undefined) result[kind] = timesRate(base, times)
  }
  return result
}

function longOf(long: OverlayRule['long']): Pick<CatalogPriceRow, 'long'> {
  return long === undefined ? {} : { long: long.map(({ above, rates }) => [above, rates] as const) }
}

function factsOf(of: OverlayRule | OverlayModel): Partial<CatalogModelRow> {
  return {
    ...defined({ window: of.window, output: of.output, reasons: of.reasons, writesCache: of.writes_cache }),
    ...(of.tiers && {
      tiers: Object.fromEntries(
        Object.entries(of.tiers).flatMap(([name, terms]) =>
          terms === undefined ? [] : [[name, typeof terms === 'string' ? terms : (defined(terms) as CatalogTierRow)]],
        ),
      ),
    }),
  }
}

function defined<T extends object>(fields: T): { [name in keyof T]?: Exclude<T[name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}

function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex')
}
