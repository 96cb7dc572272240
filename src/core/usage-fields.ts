/** A usage as the ledger and the admin API show it. */
import type { Usage } from './usage.ts'

/** The provider's own usage object is kept up to this size; a longer one says only that it was longer. */
const RAW_BYTES_MAX = 4096

/** Counts above zero by kind, and `reasoning` beside them. */
export function countsOf(usage: Pick<Usage, 'tokens' | 'reasoning'>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [kind, count] of Object.entries(usage.tokens)) if (count) counts[kind] = count
  if (usage.reasoning) counts['reasoning'] = usage.reasoning
  return counts
}

export function boundedRaw(raw: unknown): unknown {
  if (raw === null || raw === undefined) return undefined
  try {
    const text = JSON.stringify(raw)
    return text.length <= RAW_BYTES_MAX ? withoutZeroDetails(raw) : { truncated: true, bytes: text.length }
  } catch {
    // Nested deeper than can be written out again.
    return { truncated: true }
  }
}

/**
 * The object with its own counts as they are, and its parts (`prompt_tokens_details` and the like) without counts of zero:
 * they say nothing, and of a usual call they were a sixth of all that it leaves in Redis.
 */
function withoutZeroDetails(raw: unknown): unknown {
  if (!isPlainObject(raw)) return raw
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(raw)) {
    if (!isPlainObject(value)) kept[name] = value
    else {
      const counts = Object.entries(value).filter(([, count]) => count !== 0)
      if (counts.length > 0) kept[name] = Object.fromEntries(counts)
    }
  }
  return kept
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
