/**
 * Web searches that a call is held for: `max_uses` of the tool, else a few.
 * Source: platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool.
 */
import type { UnitCounts } from '../../core/usage.ts'
import { asArray, asObject, asText } from '../read-fields.ts'

const SEARCHES_HELD = 5
const SEARCHES_MOST = 128

/** Empty where the tool is not there. */
export function heldSearches(fields: Readonly<Record<string, unknown>>): { readonly units?: UnitCounts } {
  let searches = 0
  for (const item of asArray(fields['tools'])) {
    const tool = asObject(item)
    if (!asText(tool?.['type'])?.startsWith('web_search')) continue
    const most = tool?.['max_uses']
    searches +=
      typeof most === 'number' && Number.isSafeInteger(most) && most > 0 ? Math.min(most, SEARCHES_MOST) : SEARCHES_HELD
  }
  return searches > 0 ? { units: { web_search: searches } } : {}
}
