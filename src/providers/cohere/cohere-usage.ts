/**
 * Reads what Cohere billed: `billed_units` of v2's `usage`, or of the `meta` that v1 and the other endpoints have.
 *
 * `tokens` beside it counts the prompt with Cohere's own preamble and tool text, which nobody pays for (5 and 206 in
 * one answer); `cached_tokens` is a part of those. They stand in where nothing else is stated, flagged.
 * Source: cohere-typescript src/api/types/{Usage,ApiMeta,ApiMetaBilledUnits}.ts; recorded traffic.
 */
import type { TokenCounts, UnitCounts, Usage } from '../../core/usage.ts'
import { isBadCount, memberObject, readCount } from '../counts.ts'
import { asObject } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const TOKENS = ['input_tokens', 'output_tokens', 'image_tokens']
const UNITS = ['search_units', 'images', 'pages', 'classifications']

/** undefined where `value` is no object or states no count. */
export function readCohereUsage(value: unknown): Usage | undefined {
  const whole = asObject(value)
  const billed = memberObject(whole, 'billed_units')
  if (billed && states(billed, [...TOKENS, ...UNITS])) return usageOf(billed, whole, [])
  const tokens = memberObject(whole, 'tokens')
  return tokens && states(tokens, TOKENS) ? usageOf(tokens, whole, ['billed_units_missing']) : undefined
}

function usageOf(counts: Fields, whole: Fields | undefined, flags: string[]): Usage {
  if ([...TOKENS, ...UNITS].some((name) => isBadCount(counts, name))) flags.push('unreadable_count')
  const output = readCount(counts, 'output_tokens')
  // Counted with the unbilled part of the output: it may be more than what was billed.
  const reasoning = readCount(memberObject(whole, 'tokens'), 'reasoning_tokens')
  const units = unitsOf(counts)
  return {
    tokens: tokensOf(counts, output),
    ...(reasoning === undefined ? {} : { reasoning: Math.min(reasoning, output ?? 0) }),
    ...(units && { units }),
    raw: whole,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

function tokensOf(counts: Fields, output: number | undefined): TokenCounts {
  const input = readCount(counts, 'input_tokens')
  const image = readCount(counts, 'image_tokens') ?? 0
  return {
    ...(input === undefined ? {} : { input }),
    ...(image > 0 ? { image_input: image } : {}),
    ...(output === undefined ? {} : { output }),
  }
}

/** Parsed pages are billed as pictures are; a classification as a request each. */
function unitsOf(counts: Fields): UnitCounts | undefined {
  const searches = readCount(counts, 'search_units') ?? 0
  const images = (readCount(counts, 'images') ?? 0) + (readCount(counts, 'pages') ?? 0)
  const requests = readCount(counts, 'classifications') ?? 0
  if (searches + images + requests === 0) return undefined
  return {
    ...(searches > 0 ? { searches } : {}),
    ...(images > 0 ? { images } : {}),
    ...(requests > 0 ? { requests } : {}),
  }
}

function states(counts: Fields, names: readonly string[]): boolean {
  return names.some((name) => readCount(counts, name) !== undefined)
}
