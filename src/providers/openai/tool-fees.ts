/**
 * Tools of the provider's that are billed by the call: how many a call is held for. Its own bound on tool calls counts;
 * nothing else bounds how often a model searches.
 * Sources: platform.openai.com/docs/guides/tools-web-search and /tools-file-search, `max_tool_calls`;
 * openrouter.ai/docs/features/web-search.
 */
import type { UnitCounts } from '../../core/usage.ts'
import { asArray, asObject, asText } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const CALLS_HELD = 5
const CALLS_MOST = 128

/** Empty where no such tool is there. */
export function heldToolCalls(fields: Fields): { readonly units?: UnitCounts } {
  const types = [...asArray(fields['tools']), ...asArray(fields['plugins'])].map((tool) => {
    const { type, id } = asObject(tool) ?? {}
    return asText(type) ?? asText(id) ?? ''
  })
  const most = fields['max_tool_calls']
  const calls =
    typeof most === 'number' && Number.isSafeInteger(most) && most > 0 ? Math.min(most, CALLS_MOST) : CALLS_HELD
  const web = types.some((type) => type === 'web' || type.includes('web_search'))
  const files = types.includes('file_search')
  if (!web && !files) return {}
  return { units: { ...(web ? { web_search: calls } : {}), ...(files ? { file_search: calls } : {}) } }
}
