/**
 * Reads `usage` of a response: of the whole JSON body, or of `response.completed`, `.incomplete`, `.failed`.
 *
 * `input_tokens` includes cached and cache-written ones, `output_tokens` includes reasoning (at xAI too). Hosted tools
 * are billed by the call and stand in no count of tokens: each `web_search_call` and `file_search_call` item is one,
 * unless the usage itself says how many were billed. xAI lists attempts, and bills those that succeeded
 * (`server_side_tool_usage_details`), a search of X as one of the web; Perplexity lists no calls at all
 * (`tool_calls_details`).
 * Sources: openai-node src/resources/responses/responses.ts, ResponseUsage and ResponseOutputItem;
 * docs.x.ai/developers/tools/tool-usage-details and /pricing; docs.perplexity.ai/guides/pricing, "Tool Pricing".
 */
import type { UnitCounts, Usage } from '../../core/usage.ts'
import { firstCount, isBadCount, memberObject, readCount } from '../counts.ts'
import { asArray, asObject } from '../read-fields.ts'
import { takeApartInput } from './chat-usage.ts'
import { imageToolUsage } from './image-tool.ts'

/** Hosted tool calls of one response. */
export interface ToolCalls {
  readonly webSearches: number
  readonly fileSearches: number
  /** What the image tool's model used. */
  readonly images?: Pick<Usage, 'beside' | 'flags'>
}

/** undefined where `value` is no usage object or states no count at all. */
export function readResponsesUsage(value: unknown, calls: ToolCalls): Usage | undefined {
  const usage = asObject(value)
  if (!usage) return undefined
  const inputTotal = readCount(usage, 'input_tokens')
  const outputTotal = readCount(usage, 'output_tokens')
  if (inputTotal === undefined && outputTotal === undefined) return undefined
  const flags: string[] =
    isBadCount(usage, 'input_tokens') || isBadCount(usage, 'output_tokens') ? ['unreadable_count'] : []
  const output = outputTotal ?? 0
  const stated = readCount(memberObject(usage, 'output_tokens_details'), 'reasoning_tokens')
  if (stated !== undefined && stated > output) flags.push('reasoning_beyond_output')
  flags.push(...(calls.images?.flags ?? []))
  const units = unitCounts(billedCalls(usage) ?? calls)
  return {
    tokens: { ...inputTokens(usage, inputTotal ?? 0, flags), output },
    ...(stated === undefined ? {} : { reasoning: Math.min(stated, output) }),
    ...(units ? { units } : {}),
    ...(calls.images?.beside ? { beside: calls.images.beside } : {}),
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/** Calls in a response's `output`; where it has none, what `tool_usage` states. `imageModel`: of the call's image tool. */
export function countToolCalls(output: unknown, toolUsage: unknown, imageModel: string | undefined): ToolCalls {
  const items = asArray(output).map((item) => asObject(item)?.['type'])
  const searches = items.filter((type) => type === 'web_search_call').length
  const stated = readCount(memberObject(asObject(toolUsage), 'web_search'), 'num_requests') ?? 0
  return {
    webSearches: items.length > 0 ? searches : stated,
    fileSearches: items.filter((type) => type === 'file_search_call').length,
    images: imageToolUsage(toolUsage, output, imageModel),
  }
}

function inputTokens(usage: Readonly<Record<string, unknown>>, prompt: number, flags: string[]): Usage['tokens'] {
  const details = memberObject(usage, 'input_tokens_details')
  return takeApartInput({
    prompt,
    cached: firstCount(details, ['cached_tokens', 'cache_read_input_tokens']) ?? readCount(usage, 'cached_tokens') ?? 0,
    cachedAudio: 0,
    written: firstCount(details, ['cache_write_tokens', 'cache_creation_input_tokens']) ?? 0,
    audio: readCount(details, 'audio_tokens') ?? 0,
    image: readCount(details, 'image_tokens') ?? 0,
    video: 0,
    flags,
  })
}

/** What the usage itself states; undefined: nothing. */
function billedCalls(usage: Readonly<Record<string, unknown>>): ToolCalls | undefined {
  const xai = memberObject(usage, 'server_side_tool_usage_details')
  if (xai)
    return {
      webSearches: (readCount(xai, 'web_search_calls') ?? 0) + (readCount(xai, 'x_search_calls') ?? 0),
      fileSearches: readCount(xai, 'file_search_calls') ?? 0,
    }
  const perplexity = memberObject(usage, 'tool_calls_details')
  if (!perplexity) return undefined
  const searches = Object.keys(perplexity).filter((name) => name.includes('search'))
  const invocations = searches.map((name) => readCount(memberObject(perplexity, name), 'invocation') ?? 0)
  return { webSearches: invocations.reduce((sum, count) => sum + count, 0), fileSearches: 0 }
}

function unitCounts(calls: ToolCalls): UnitCounts | undefined {
  if (calls.webSearches === 0 && calls.fileSearches === 0) return undefined
  return {
    ...(calls.webSearches > 0 ? { web_search: calls.webSearches } : {}),
    ...(calls.fileSearches > 0 ? { file_search: calls.fileSearches } : {}),
  }
}
