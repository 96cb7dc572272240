/**
 * The class of service that a call asks for, and that an answer states: `service_tier` of the body, at some inside
 * `usage`. Perplexity has none: there the request fee goes by how much of the web is read (`search_context_size`), low
 * unless more is asked for.
 * Sources: platform.openai.com/docs/guides/priority-processing, docs.perplexity.ai/getting-started/pricing.
 */
import { memberObject } from '../counts.ts'
import { asObject, asText, readTier } from '../read-fields.ts'

const SIZES = new Set(['low', 'medium', 'high'])

export function askedTier(fields: Readonly<Record<string, unknown>>): { readonly serviceTier?: string } {
  if (asText(fields['service_tier']) !== undefined) return readTier(fields)
  const tier = searchTier(memberObject(fields, 'web_search_options')?.['search_context_size'])
  return tier === undefined ? {} : { serviceTier: tier }
}

/** `tier`: the member beside `usage`. */
export function answeredTier(tier: unknown, usage: unknown): string | undefined {
  const fields = asObject(usage)
  return asText(tier) ?? asText(fields?.['service_tier']) ?? searchTier(fields?.['search_context_size'])
}

function searchTier(size: unknown): string | undefined {
  return typeof size === 'string' && SIZES.has(size) ? `search_${size}` : undefined
}
