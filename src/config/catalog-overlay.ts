/** config/catalog/overlay.yaml: what the catalog's source lacks or has wrong, each with where it is from and when it was checked. */
import * as z from 'zod'
import type { CatalogMatch } from '../core/catalog-data.ts'
import { SERVICE_TIERS } from '../core/service-tier.ts'
import { COUNTED_KINDS, TOKEN_KINDS } from '../core/usage.ts'
import { factor, instant, integer, oneOf, rates, text } from './fields.ts'

const KINDS = [...TOKEN_KINDS, ...COUNTED_KINDS] as const
const flat = rates(KINDS)
const kind = oneOf(KINDS)

const tier = z.union([
  factor(),
  z.strictObject({
    factor: factor().optional(),
    except: z.array(kind).optional(),
    rates: flat.optional(),
  }),
])
const tiers = z.strictObject(
  Object.fromEntries(SERVICE_TIERS.map((name) => [name, tier.optional()])) as {
    [name in (typeof SERVICE_TIERS)[number]]: z.ZodOptional<typeof tier>
  },
)
const longContext = z.array(z.strictObject({ above: integer(1, 1_000_000_000), rates: flat }))
const match: z.ZodType<CatalogMatch> = z.lazy(() =>
  z.union([
    z.strictObject({ or: z.array(match) }),
    z.strictObject({ and: z.array(match) }),
    z.strictObject({ equals: text() }),
    z.strictObject({ starts_with: text() }),
    z.strictObject({ ends_with: text() }),
    z.strictObject({ contains: text() }),
    z.strictObject({ regex: text() }),
  ]),
)

/** Where it is from, and the day on which it was looked at. */
const provenance = {
  source: text(),
  checked: instant(),
}

const facts = {
  tiers: tiers.optional(),
  window: integer(1, 1_000_000_000).optional(),
  output: integer(1, 1_000_000_000).optional(),
  reasons: z.boolean().optional(),
  writes_cache: z.boolean().optional(),
}

/** Of every model of the source whose id fits one of `models` and none of `except` (globs): rates over its own. */
const rule = z.strictObject({
  models: z.array(text()),
  except: z.array(text()).optional(),
  rates: flat.optional(),
  /** Rates that are a multiple of another, in each of the model's prices. */
  multiples: z.partialRecord(z.enum(KINDS), z.strictObject({ of: kind, times: factor() })).optional(),
  long: longContext.optional(),
  ...facts,
  ...provenance,
})

/** A model that the source lacks, or has wrong: it comes before all of the source's. */
const model = z.strictObject({
  id: text(),
  /** Left out: its id alone. */
  match: match.optional(),
  /** Another model of the provider whose prices and limits it has. */
  like: text().optional(),
  prices: z.array(z.strictObject({ from: text().optional(), rates: flat, long: longContext.optional() })).optional(),
  ...facts,
  ...provenance,
})

const provider = z.strictObject({
  id: text(),
  /** Further addresses, or those of a provider that the source lacks. */
  api: text().optional(),
  named: match.optional(),
  strip: text().optional(),
  vendors: z.boolean().optional(),
  fallback: z.array(text()).optional(),
  models: z.array(model).prefault([]),
  rules: z.array(rule).prefault([]),
})

export const overlaySchema = z.strictObject({ providers: z.array(provider) })
export type Overlay = z.output<typeof overlaySchema>
export type OverlayProvider = Overlay['providers'][number]
export type OverlayRule = OverlayProvider['rules'][number]
export type OverlayModel = OverlayProvider['models'][number]
