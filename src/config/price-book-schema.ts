/** config/price-book.yaml: the one source of its checks, its defaults and its JSON Schema. */
import * as z from 'zod'
import { COUNTED_KINDS, TOKEN_KINDS } from '../core/usage.ts'
import { factor, glob, instant, integer, NAME, oneOf, rates, text, unitName } from './fields.ts'
import { tiersSchema } from './price-book-tiers.ts'

const matchName = z
  .string()
  .regex(NAME, 'is no field of a call')
  .refine((field) => field !== 'run' && field !== 'user', 'is the caller’s word; prices cannot depend on it')

const tokens = rates(TOKEN_KINDS)
const pieces = rates(COUNTED_KINDS)

const entry = z.strictObject({
  match: z
    .record(matchName, glob())
    .describe('account, plan, key, upstream, model, endpoint, or a label; globs; {} fits every call')
    .prefault({}),
  from: instant().describe('day (00:00 UTC) or RFC 3339 time from which it counts; left out: always').optional(),
  unit: unitName().describe('unit of its prices; left out: the price book’s').optional(),
  per_million: tokens.describe(`what a million tokens cost us: ${TOKEN_KINDS.join(', ')}`).optional(),
  per_unit: pieces.describe(`what a piece costs us: ${COUNTED_KINDS.join(', ')}`).optional(),
  charge: z
    .strictObject({
      per_million: tokens.describe('what the customer pays for a million tokens, by kind').optional(),
      per_unit: pieces.describe('what the customer pays for a piece, by kind').optional(),
      markup: factor().describe('charge ÷ cost of the kinds left out; left out: the price book’s').optional(),
    })
    .describe('what the customer pays; a kind left out, or all: cost × markup')
    .optional(),
  context_window: integer(1, 1_000_000_000).describe('most input tokens of the model').optional(),
  max_output_tokens: integer(1, 1_000_000_000).describe('most output tokens of the model').optional(),
  source: text().describe('where the price is from, and when it was checked').optional(),
  like: glob()
    .describe(
      'a model whose prices, limits and tiers count where the entry has none of its own; PROVIDER/MODEL of the catalog too',
    )
    .optional(),
  tiers: tiersSchema
    .describe('what service tiers, batches and long contexts change; what is left out: the catalog’s for that model')
    .optional(),
})

export const priceBookSchema = z
  .strictObject({
    version: integer(1, 1).describe('version of this file’s form').prefault(1),
    unit: unitName().describe('unit of the prices').prefault('USD'),
    catalog: oneOf(['none', 'genai-prices'])
      .describe('public prices, in USD, for what no entry prices (config/catalog/); entries win over it')
      .prefault('none'),
    markup: factor().describe('charge ÷ cost').prefault('1.00'),
    entries: z.array(entry).describe('the first that fits counts; of equal match the latest `from`').prefault([]),
  })
  .meta({
    title: 'price-book.yaml',
    description: 'What calls cost and what customers pay; in force at once when saved.',
  })

export type PriceBookFile = z.output<typeof priceBookSchema>
