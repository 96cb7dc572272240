/** The data of @pydantic/genai-prices in our own form: kinds by our names, exact decimals, a price for one piece. */
import { Decimal } from 'decimal.js'
import type {
  CatalogMatch,
  CatalogModelRow,
  CatalogPriceRow,
  CatalogProviderRow,
  FlatRates,
} from '../core/catalog-data.ts'
import { matcher } from '../core/catalog-match.ts'
import { timesRate } from '../core/exact-rates.ts'
import type { CountedKind, TokenKind } from '../core/usage.ts'

/** Provider, ModelInfo and the like of the package's index.d.ts, as far as they are read here. */
export interface SourceProvider {
  readonly id: string
  readonly api_pattern: string
  readonly model_match?: CatalogMatch
  readonly provider_match?: CatalogMatch
  readonly fallback_model_providers?: readonly string[]
  readonly models: readonly SourceModel[]
}

export interface SourceModel {
  readonly id: string
  readonly match: CatalogMatch
  readonly context_window?: number
  readonly prices: SourcePrices | readonly SourceDated[]
}

interface SourceDated {
  readonly constraint?:
    | { readonly type: 'start_date'; readonly start_date: string }
    | { readonly type: 'time_of_date'; readonly start_time: string; readonly end_time: string }
  readonly prices: SourcePrices
}

type SourcePrices = Readonly<Record<string, number | SourceTiered | undefined>>

/** The price is of every token once the input has more than `start`. */
interface SourceTiered {
  readonly base: number
  readonly tiers: readonly { readonly start: number; readonly price: number }[]
}

const EACH = '1'
const THOUSANDTH = '0.001'
const SECOND_OF_AN_HOUR = '/3600'

/** Name in the source → our kind, and what of its price one piece of ours costs. */
const KINDS: Readonly<Record<string, readonly [TokenKind | CountedKind, string]>> = {
  input_mtok: ['input', EACH],
  cache_read_mtok: ['cached_input', EACH],
  cache_write_mtok: ['cache_write_5m', EACH],
  cache_write_1h_mtok: ['cache_write_1h', EACH],
  input_audio_mtok: ['audio_input', EACH],
  cache_audio_read_mtok: ['cached_audio_input', EACH],
  input_image_mtok: ['image_input', EACH],
  input_video_mtok: ['video_input', EACH],
  output_mtok: ['output', EACH],
  output_audio_mtok: ['audio_output', EACH],
  output_image_mtok: ['image_output', EACH],
  // Either says the same: both stand where the source has them.
  audio_hours: ['seconds', SECOND_OF_AN_HOUR],
  input_audio_hours: ['seconds', SECOND_OF_AN_HOUR],
  // A page that is read is an image of it.
  input_document_kpages: ['images', THOUSANDTH],
  web_searches_kcount: ['web_search', THOUSANDTH],
  storage_searches_kcount: ['file_search', THOUSANDTH],
  requests_kcount: ['requests', THOUSANDTH],
}

/** Kinds that we do not tell apart from another: README.md of the catalog says what that comes to. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'cache_image_read_mtok',
  'output_reasoning_mtok',
  'output_citation_mtok',
  'output_video_mtok',
  'input_annotated_document_kpages',
  'input_text_messages_kcount',
])

/** Nothing at all in a model's prices: it is free of charge. */
const FREE: FlatRates = { input: '0', output: '0' }

/** Throws Error for a kind of price, a rule or a constraint that is not known here. */
export function readSource(providers: readonly SourceProvider[]): CatalogProviderRow[] {
  return providers.map(
    (provider): CatalogProviderRow => ({
      id: provider.id,
      api: provider.api_pattern,
      ...(provider.provider_match && { named: checked(provider.provider_match) }),
      ...(provider.model_match && { owns: checked(provider.model_match) }),
      ...(provider.fallback_model_providers && { fallback: provider.fallback_model_providers }),
      models: provider.models.map((model) => readModel(provider.id, model)),
    }),
  )
}

function readModel(provider: string, model: SourceModel): CatalogModelRow {
  const sets = isDated(model.prices) ? model.prices : [{ prices: model.prices }]
  try {
    return {
      id: model.id,
      match: checked(model.match),
      ...(model.context_window === undefined ? {} : { window: model.context_window }),
      prices: sets.map(readSet),
    }
  } catch (error) {
    throw new Error(`${provider}/${model.id}: ${(error as Error).message}`)
  }
}

function isDated(prices: SourceModel['prices']): prices is readonly SourceDated[] {
  return Array.isArray(prices)
}

function checked(match: CatalogMatch): CatalogMatch {
  matcher(match)
  return match
}

function readSet({ constraint, prices }: SourceDated): CatalogPriceRow {
  const rates: Record<string, string> = {}
  const steps = new Map<number, Record<string, string>>()
  for (const [name, price] of Object.entries(prices)) {
    if (price === undefined || LEFT_OUT.has(name)) continue
    const known = KINDS[name]
    if (known === undefined) throw new Error(`unknown kind of price ${name}`)
    const [kind, part] = known
    rates[kind] = rateOf(typeof price === 'number' ? price : price.base, part)
    for (const { start, price: long } of typeof price === 'number' ? [] : price.tiers)
      steps.set(start, { ...steps.get(start), [kind]: rateOf(long, part) })
  }
  const long = [...steps].toSorted(([a], [b]) => a - b)
  return {
    ...constraintOf(constraint),
    rates: Object.keys(rates).length === 0 ? FREE : rates,
    ...(long.length === 0 ? {} : { long }),
  }
}

function rateOf(price: number, part: string): string {
  const text = new Decimal(price).toFixed()
  if (part !== SECOND_OF_AN_HOUR) return timesRate(text, part)
  const perSecond = new Decimal(text).div(3600)
  return perSecond.decimalPlaces() <= 12 ? perSecond.toFixed() : `${text}/3600`
}

function constraintOf(constraint: SourceDated['constraint']): Pick<CatalogPriceRow, 'from' | 'between'> {
  if (constraint === undefined) return {}
  if (constraint.type === 'start_date') return { from: constraint.start_date }
  if (constraint.type === 'time_of_date') return { between: [utc(constraint.start_time), utc(constraint.end_time)] }
  throw new Error(`unknown constraint ${JSON.stringify(constraint)}`)
}

function utc(time: string): string {
  if (!/^\d{2}:\d{2}:\d{2}Z$/.test(time)) throw new Error(`a time that is not UTC: ${time}`)
  return time.slice(0, -1)
}
