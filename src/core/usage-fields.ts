/** A usage as the ledger and the admin API show it. */
import type { Usage } from './usage.ts'

const RAW_BYTES_MAX = 4096

/** Counts above zero by kind, and `reasoning` beside them. */
export function countsOf(usage: Pick<Usage, 'tokens' | 'reasoning'>): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [kind, count] of Object.entries(usage.tokens)) if (count) counts[kind] = count
  if (usage.reasoning) counts['reasoning'] = usage.reasoning
  return counts
}

/** The provider's own object, word for word, or how long it was. */
export function boundedRaw(raw: unknown): unknown {
  if (raw === null || raw === undefined) return undefined
  try {
    const text = JSON.stringify(raw)
    return text.length <= RAW_BYTES_MAX ? raw : { truncated: true, bytes: text.length }
  } catch {
    // Nested deeper than can be written out again.
    return { truncated: true }
  }
}
