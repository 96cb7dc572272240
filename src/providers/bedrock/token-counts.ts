/**
 * One usage out of the several places where Bedrock states counts: the message's own usage first, then the metrics of a
 * stream's last chunk, then the answer's headers. Each count is taken from the first place that has it; where a later one
 * says something else the usage is flagged. In all of them input leaves out what was read from cache or written to it.
 * Source: docs.aws.amazon.com, API_runtime_TokenUsage; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { firstCount, isBadCount, readCount } from '../counts.ts'
import { asArray, asObject } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

export interface TokenCounts {
  readonly input?: number | undefined
  readonly output?: number | undefined
  /** Of everything, cached parts too. */
  readonly total?: number | undefined
  readonly cacheRead?: number | undefined
  readonly cacheWrite?: number | undefined
  /** Part of cacheWrite. */
  readonly cacheWriteHour?: number | undefined
  readonly reasoning?: number | undefined
  /** A count was there that is none. */
  readonly bad?: boolean
}

/** One place, and what it said. */
export interface Stated {
  readonly counts: TokenCounts
  readonly raw: Readonly<Record<string, unknown>>
}

export interface UsageRules {
  /** The call asked for its writes to be kept for an hour. */
  readonly forAnHour: boolean
  /** False: an embedding, whose output is none. */
  readonly generates: boolean
}

/** undefined where no place states input, output or a total. */
export function mergeCounts(places: readonly Stated[], rules: UsageRules): Usage | undefined {
  const first = (name: keyof TokenCounts): number | undefined => {
    for (const { counts } of places) if (typeof counts[name] === 'number') return counts[name]
    return undefined
  }
  const cacheRead = first('cacheRead') ?? 0
  const written = first('cacheWrite') ?? 0
  const total = first('total')
  const stated = { input: first('input'), output: first('output') ?? (rules.generates ? undefined : 0) }
  if (stated.input === undefined && first('output') === undefined && total === undefined) return undefined
  const output = stated.output ?? Math.max(0, (total ?? 0) - (stated.input ?? 0) - cacheRead - written)
  const input = stated.input ?? Math.max(0, (total ?? 0) - output - cacheRead - written)
  const hour = first('cacheWriteHour') ?? (rules.forAnHour ? written : 0)
  const reasoning = first('reasoning')
  const flags = [
    ...(places.some(({ counts }) => counts.bad) ? ['unreadable_count'] : []),
    ...(differ(places, 'input') || differ(places, 'output') ? ['counts_differ'] : []),
    ...(hour > written ? ['cache_write_parts_beyond_whole'] : []),
    ...(reasoning !== undefined && reasoning > output ? ['reasoning_beyond_output'] : []),
  ]
  return {
    tokens: {
      input,
      output,
      cached_input: cacheRead,
      cache_write_5m: written - Math.min(hour, written),
      cache_write_1h: Math.min(hour, written),
    },
    ...(reasoning === undefined ? {} : { reasoning: Math.min(reasoning, output) }),
    raw: Object.assign({}, ...places.map(({ raw }) => raw)),
    ...(flags.length > 0 ? { flags } : {}),
  }
}

function differ(places: readonly Stated[], name: 'input' | 'output'): boolean {
  const counts = places.map(({ counts }) => counts[name]).filter((count) => count !== undefined)
  return counts.some((count) => count !== counts[0])
}

/** A place that states any count. */
export function hasCounts(counts: TokenCounts): boolean {
  return Object.values(counts).some((value) => value !== undefined)
}

const CONVERSE_NAMES = ['inputTokens', 'outputTokens', 'totalTokens']
const CACHE_READ = ['cacheReadInputTokens', 'cacheReadInputTokenCount']
const CACHE_WRITE = ['cacheWriteInputTokens', 'cacheWriteInputTokenCount']

/** `usage` as Converse and Nova's own body have it: `inputTokens`, `cacheDetails` by lifetime. */
export function converseCounts(value: unknown): TokenCounts | undefined {
  const usage = asObject(value)
  if (!usage) return undefined
  const details = asArray(usage['cacheDetails']).map(asObject)
  const hours = details.filter((detail) => detail?.['ttl'] === '1h')
  return counted(usage, CONVERSE_NAMES, {
    input: readCount(usage, 'inputTokens'),
    output: readCount(usage, 'outputTokens'),
    total: readCount(usage, 'totalTokens'),
    cacheRead: firstCount(usage, CACHE_READ),
    cacheWrite: firstCount(usage, CACHE_WRITE),
    ...(details.length > 0
      ? { cacheWriteHour: hours.reduce((sum, detail) => sum + (readCount(detail, 'inputTokens') ?? 0), 0) }
      : {}),
  })
}

/** `amazon-bedrock-invocationMetrics` of a stream's last chunk. */
export function metricsCounts(value: unknown): TokenCounts | undefined {
  const metrics = asObject(value)
  return (
    metrics &&
    counted(metrics, ['inputTokenCount', 'outputTokenCount'], {
      input: readCount(metrics, 'inputTokenCount'),
      output: readCount(metrics, 'outputTokenCount'),
      cacheRead: readCount(metrics, 'cacheReadInputTokenCount'),
      cacheWrite: readCount(metrics, 'cacheWriteInputTokenCount'),
    })
  )
}

/** `usage` in OpenAI's words (gpt-oss, Mistral, Jamba, imported models): cached tokens stand inside the prompt's. */
export function chatCounts(value: unknown): TokenCounts | undefined {
  const usage = asObject(value)
  if (!usage) return undefined
  const prompt = firstCount(usage, ['prompt_tokens', 'input_tokens'])
  const cached = readCount(asObject(usage['prompt_tokens_details']), 'cached_tokens')
  return counted(usage, ['prompt_tokens', 'completion_tokens', 'total_tokens'], {
    input: prompt === undefined ? undefined : Math.max(0, prompt - (cached ?? 0)),
    output: firstCount(usage, ['completion_tokens', 'output_tokens']),
    total: readCount(usage, 'total_tokens'),
    cacheRead: cached === undefined || prompt === undefined ? cached : Math.min(cached, prompt),
    reasoning: readCount(asObject(usage['completion_tokens_details']), 'reasoning_tokens'),
  })
}

/** Counts that stand at the top of a body: Llama's and Titan's. `results`: Titan's `tokenCount` of each result. */
export function topLevelCounts(members: Fields, results: unknown): TokenCounts {
  const texts = asArray(results).filter((count): count is number => readCount({ count }, 'count') !== undefined)
  const output = firstCount(members, ['generation_token_count', 'totalOutputTextTokenCount'])
  return {
    input: firstCount(members, ['prompt_token_count', 'inputTextTokenCount']),
    output: output ?? (texts.length > 0 ? texts.reduce((sum, count) => sum + count, 0) : undefined),
  }
}

function counted(fields: Fields, names: readonly string[], counts: TokenCounts): TokenCounts | undefined {
  const bad = names.some((name) => isBadCount(fields, name))
  return hasCounts(counts) || bad ? { ...counts, ...(bad ? { bad } : {}) } : undefined
}
