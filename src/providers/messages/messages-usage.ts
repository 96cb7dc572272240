/**
 * Reads `usage` of a message: of the whole JSON body, or of a stream's `message_start` with each `message_delta` over
 * it (running totals, never summed; a delta may restate the input upward: the last value of each field wins).
 *
 * `input_tokens` excludes cache reads and writes. Of `cache_creation_input_tokens` the 5m and 1h parts may state less
 * than the whole: the rest is 5m. Where `iterations` has passes of another type than `message` (compaction, advisor),
 * the counts at the top cover only some of them: each pass is billed, an adviser's at the price of its own model.
 * Source: anthropic-sdk-typescript src/resources/messages/messages.ts, Usage and MessageDeltaUsage; beta BetaUsage.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, memberObject, readCount } from '../counts.ts'
import { asArray, asObject, asText } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const COUNTS = ['input_tokens', 'output_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens']

/** undefined where `value` is no usage object or states no count. `askedForAnHour`: the call's writes are 1h ones. */
export function readMessagesUsage(value: unknown, askedForAnHour: boolean): Usage | undefined {
  const usage = asObject(value)
  if (!usage || COUNTS.every((name) => readCount(usage, name) === undefined)) return undefined
  const flags: string[] = COUNTS.some((name) => isBadCount(usage, name)) ? ['unreadable_count'] : []
  const runs = passes(usage).map((pass) => ({
    model: asText(pass['model']),
    tokens: readPass(pass, askedForAnHour, flags),
  }))
  const sums = addUp(runs.map(({ tokens }) => tokens))
  const reasoning = readCount(memberObject(usage, 'output_tokens_details'), 'thinking_tokens')
  if (reasoning !== undefined && reasoning > sums.output) flags.push('reasoning_beyond_output')
  const searches = readCount(memberObject(usage, 'server_tool_use'), 'web_search_requests') ?? 0
  return {
    tokens: sums,
    ...(runs.length > 1 ? { passes: runs } : {}),
    ...(reasoning === undefined ? {} : { reasoning: Math.min(reasoning, sums.output) }),
    ...(searches > 0 ? { units: { web_search: searches } } : {}),
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/** A later usage object over an earlier one: fields that it states (not null) win. */
export function mergeUsage(earlier: Fields | undefined, later: Fields | undefined): Fields | undefined {
  if (!earlier || !later) return later ?? earlier
  const merged: Record<string, unknown> = { ...earlier }
  for (const [name, value] of Object.entries(later)) if (value !== null) merged[name] = value
  return merged
}

interface PassTokens {
  readonly input: number
  readonly output: number
  readonly cached_input: number
  readonly cache_write_5m: number
  readonly cache_write_1h: number
}

function passes(usage: Fields): readonly Fields[] {
  const iterations = asArray(usage['iterations']).map(asObject)
  const others = iterations.some((pass) => pass && pass['type'] !== 'message')
  return others ? iterations.filter((pass) => pass !== undefined) : [usage]
}

function readPass(pass: Fields, askedForAnHour: boolean, flags: string[]): PassTokens {
  const split = memberObject(pass, 'cache_creation')
  const minutes = readCount(split, 'ephemeral_5m_input_tokens')
  const hour = readCount(split, 'ephemeral_1h_input_tokens')
  const parts = (minutes ?? 0) + (hour ?? 0)
  const written = readCount(pass, 'cache_creation_input_tokens') ?? parts
  if (parts > written) flags.push('cache_write_parts_beyond_whole')
  const unsplit = minutes === undefined && hour === undefined
  const hourTokens = unsplit && askedForAnHour ? written : Math.min(hour ?? 0, written)
  return {
    input: readCount(pass, 'input_tokens') ?? 0,
    output: readCount(pass, 'output_tokens') ?? 0,
    cached_input: readCount(pass, 'cache_read_input_tokens') ?? 0,
    cache_write_5m: written - hourTokens,
    cache_write_1h: hourTokens,
  }
}

function addUp(all: readonly PassTokens[]): PassTokens {
  return all.reduce((sum, pass) => ({
    input: sum.input + pass.input,
    output: sum.output + pass.output,
    cached_input: sum.cached_input + pass.cached_input,
    cache_write_5m: sum.cache_write_5m + pass.cache_write_5m,
    cache_write_1h: sum.cache_write_1h + pass.cache_write_1h,
  }))
}
