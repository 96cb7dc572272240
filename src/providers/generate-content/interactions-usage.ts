/**
 * Reads `usage` of an interaction: of the whole object, or of an event's `metadata`. `total_input_tokens` includes cached
 * ones and excludes those of tools, which are input as well; `total_output_tokens` excludes thoughts, which are output.
 * Source: googleapis/js-genai, the Interactions API's Usage; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, readCount } from '../counts.ts'
import { asArray, asObject } from '../read-fields.ts'
import { byModality, splitInput, splitOutput, sumModalities, type WritableTokens } from './generate-content-usage.ts'
import { billsQueries } from './grounding.ts'

const COUNTS = [
  'total_input_tokens',
  'total_tool_use_tokens',
  'total_cached_tokens',
  'total_output_tokens',
  'total_thought_tokens',
]
const NAMES = { modality: 'modality', count: 'tokens' }

/** undefined where `value` is no usage object or states no count. */
export function readInteractionUsage(value: unknown, model: string): Usage | undefined {
  const usage = asObject(value)
  if (!usage || COUNTS.every((name) => readCount(usage, name) === undefined)) return undefined
  const flags: string[] = COUNTS.some((name) => isBadCount(usage, name)) ? ['unreadable_count'] : []
  const tokens: WritableTokens = {}
  const cached = readCount(usage, 'total_cached_tokens') ?? 0
  const input = readCount(usage, 'total_input_tokens')
  splitInput(
    tokens,
    {
      total: (input ?? cached) + (readCount(usage, 'total_tool_use_tokens') ?? 0),
      cached,
      details: sumModalities(
        byModality(usage['input_tokens_by_modality'], NAMES),
        byModality(usage['tool_use_tokens_by_modality'], NAMES),
      ),
      cachedDetails: byModality(usage['cached_tokens_by_modality'], NAMES),
    },
    flags,
  )
  const thoughts = readCount(usage, 'total_thought_tokens')
  splitOutput(
    tokens,
    {
      answer: readCount(usage, 'total_output_tokens') ?? 0,
      thoughts: thoughts ?? 0,
      details: byModality(usage['output_tokens_by_modality'], NAMES),
    },
    flags,
  )
  const searches = searchesOf(usage['grounding_tool_count'], model)
  return {
    tokens,
    ...(thoughts === undefined ? {} : { reasoning: thoughts }),
    ...(searches > 0 ? { units: { web_search: searches } } : {}),
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/** Searches of the web and of the map; of a model that bills prompts, one at the most. */
function searchesOf(value: unknown, model: string): number {
  let count = 0
  for (const item of asArray(value)) {
    const tool = asObject(item)
    if (/search|maps/.test(String(tool?.['type'])) && !/file/.test(String(tool?.['type'])))
      count += readCount(tool, 'count') ?? 0
  }
  return billsQueries(model) ? count : Math.min(count, 1)
}
