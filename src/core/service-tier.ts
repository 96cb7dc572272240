/** Names of the classes of service that change a price, and how providers spell them. */

/**
 * batch, flex, priority: OpenAI, Google, AWS and others. scale, reserved: capacity that was bought ahead. fast: Anthropic,
 * and OpenAI's newer name of priority; us, fast_us: Anthropic's default one and its fast one, kept within the United
 * States. performance: Groq. optimized: AWS's inference of low latency. search_…: how much Perplexity's models read of the
 * web, which sets their request fee.
 */
export const SERVICE_TIERS = [
  'batch',
  'flex',
  'priority',
  'scale',
  'reserved',
  'fast',
  'us',
  'fast_us',
  'performance',
  'optimized',
  'search_low',
  'search_medium',
  'search_high',
] as const
export type ServiceTier = (typeof SERVICE_TIERS)[number]

/** Spellings other than the name itself. Vertex: usageMetadata.trafficType. */
const SPELLINGS: readonly (readonly [string, ServiceTier])[] = [
  ['on_demand_priority', 'priority'],
  ['on_demand_flex', 'flex'],
  ['provisioned_throughput', 'reserved'],
]

const BY_SPELLING: ReadonlyMap<string, ServiceTier> = new Map([
  ...SERVICE_TIERS.map((tier) => [tier, tier] as const),
  ...SPELLINGS,
])
/** Says that the provider chooses, and nothing of what it chose. */
const OPEN = 'auto'

/** The tier that a provider's word stands for; undefined: the default one (default, standard, on_demand, unknown words). */
export function serviceTier(word: string | undefined): ServiceTier | undefined {
  if (word === undefined) return undefined
  return BY_SPELLING.get(word) ?? (word.length <= 32 ? BY_SPELLING.get(word.toLowerCase()) : undefined)
}

/** The word that counts: the one that the answer states, else the one that was asked for. */
export function billedTier(answered: string | undefined, asked: string | undefined): ServiceTier | undefined {
  return serviceTier(answered === undefined || answered === OPEN ? asked : answered)
}
