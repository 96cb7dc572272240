/** `tiers` of a price entry: what service tiers, batches and long contexts change. */
import * as z from 'zod'
import { SERVICE_TIERS, type ServiceTier } from '../core/service-tier.ts'
import { COUNTED_KINDS, TOKEN_KINDS } from '../core/usage.ts'
import { DECIMAL_JSON, factor, integer, rates } from './fields.ts'

const terms = z.strictObject({
  factor: factor().describe('tier’s price ÷ the default tier’s, of what has no rate here').prefault('1'),
  per_million: rates(TOKEN_KINDS).describe('what a million tokens cost us at this tier').optional(),
  per_unit: rates(COUNTED_KINDS).describe('what a piece costs us at this tier').optional(),
})
type Terms = z.output<typeof terms>

const factorAlone = factor()

/** A factor, or a map with rates of the tier's own. */
const tier = z
  .unknown()
  .transform((value, context): Terms => {
    const isMap = typeof value === 'object' && value !== null
    const result = isMap ? terms.safeParse(value) : factorAlone.safeParse(value)
    if (result.success) return typeof result.data === 'string' ? { factor: result.data } : result.data
    for (const issue of result.error.issues) context.addIssue({ ...issue, path: [...issue.path] } as never)
    return z.NEVER
  })
  .meta({ anyOf: [DECIMAL_JSON, z.toJSONSchema(terms, { io: 'input' })].map(({ $schema: _, ...json }) => json) })

const MEANING: Readonly<Record<ServiceTier, string>> = {
  batch: 'calls of a batch: price ÷ the usual one, or rates of their own',
  flex: 'calls that the provider serves when it has room',
  priority: 'calls that the provider serves first',
  scale: 'calls served from OpenAI’s scale tier',
  reserved: 'calls served from capacity that was bought ahead (Bedrock, Vertex)',
  fast: 'calls with Anthropic’s `speed: fast` or OpenAI’s `service_tier: fast`',
  us: 'calls that Anthropic ran within the United States alone (`inference_geo: us`)',
  fast_us: 'the same with `speed: fast`',
  performance: 'calls at Groq’s performance tier',
  optimized: 'calls of Bedrock’s latency-optimized inference',
  search_low: 'calls of Perplexity’s models with search_context_size low',
  search_medium: 'the same with medium',
  search_high: 'the same with high',
}

export const tiersSchema = z.strictObject({
  ...(Object.fromEntries(SERVICE_TIERS.map((name) => [name, tier.describe(MEANING[name]).optional()])) as {
    [name in ServiceTier]: z.ZodOptional<typeof tier>
  }),
  long_context: z
    .array(
      z.strictObject({
        above: integer(1, 1_000_000_000).describe('input tokens that a call has more than'),
        per_million: rates(TOKEN_KINDS).describe(
          'what a million tokens of such a call cost us; a kind left out: as ever',
        ),
      }),
    )
    .describe('rates of all tokens of a call with a long input; `above` rising; [] for none')
    .optional(),
})

export type TiersFile = z.output<typeof tiersSchema>
