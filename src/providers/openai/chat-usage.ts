/**
 * Reads `usage` of chat completions, completions and embeddings: of the whole JSON body, or of one SSE chunk, at
 * OpenAI and at those who copy it.
 *
 * OpenAI counts cached tokens and audio inside `prompt_tokens`, reasoning and audio inside `completion_tokens`; they
 * are taken apart here so that each token stands in one kind. The copies differ:
 * - cached tokens under five names; llama.cpp has them in `timings.cache_n`;
 * - Reka and others name the counts as the Responses API does (`input_tokens`, `output_tokens`);
 * - xAI leaves reasoning out of `completion_tokens` (total = prompt + completion + reasoning); Vercel's gateway leaves
 *   it out of the total too (known by its `market_cost`); Gemini's compatible API shows it in the total alone;
 * - Mistral leaves audio out of `prompt_tokens`, and what its connectors read: both show in the total;
 * - Perplexity's deep research leaves cited pages and reasoning out of everything, and bills them where its cost says so.
 * Sources: openai-node src/resources/completions.ts, CompletionUsage; recorded traffic of each of them.
 */
import type { Usage, UsagePass } from '../../core/usage.ts'
import { firstCount, isBadCount, memberObject, readCount } from '../counts.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'

type Fields = Readonly<Record<string, unknown>>

const CACHED_NAMES = [
  'prompt_cache_hit_tokens',
  'cached_tokens',
  'num_cached_tokens',
  'cache_read_input_tokens',
  'cached_prompt_tokens',
]
const WRITTEN_NAMES = ['cache_write_tokens', 'cache_creation_input_tokens', 'cache_creation_tokens']
const PROMPT_NAMES = ['prompt_tokens', 'input_tokens']
const COMPLETION_NAMES = ['completion_tokens', 'output_tokens']
const TOTALS = [...PROMPT_NAMES, ...COMPLETION_NAMES, 'total_tokens']
/** A total may be off by one; what is more was billed. */
const ROUNDING = 1
/** Gateways that put a total together from parts of their own are off by up to two. */
const MISCOUNT = 2

/** undefined where `value` is no usage object or states no count at all. `timings`: llama.cpp's member beside it. */
export function readChatUsage(value: unknown, timings?: unknown): Usage | undefined {
  const usage = asObject(value)
  if (!usage) return undefined
  const stated = firstCount(usage, TOTALS)
  if (stated === undefined) return undefined
  const flags: string[] = TOTALS.some((name) => isBadCount(usage, name)) ? ['unreadable_count'] : []
  const whole = readWhole(usage)
  const input = splitInput(usage, whole.prompt, timings, flags)
  const output = splitOutput(usage, whole, flags)
  return {
    tokens: { ...input, ...output.tokens },
    ...(output.reasoning === undefined ? {} : { reasoning: output.reasoning }),
    ...searches(usage),
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/**
 * The same with the runs that a system of several models (Groq's Compound) says it was made of, each on its own model, as
 * it bills them; `breakdown`: the member `usage_breakdown` beside the usage. Runs that are not the whole of it are left out.
 */
export function withBreakdown(usage: Usage | undefined, breakdown: unknown): Usage | undefined {
  if (!usage || breakdown === undefined) return usage
  const models = asArray(asObject(breakdown)?.['models']).map(asObject)
  const runs = models.map((run) => readChatUsage(run?.['usage']))
  if (runs.length === 0 || runs.includes(undefined)) return usage
  const sum = (total: (one: Usage) => number): number => runs.reduce((all, run) => all + total(run as Usage), 0)
  if (sum(totalInput) !== totalInput(usage) || sum(totalOutput) !== totalOutput(usage)) return usage
  const passes = models.map(
    (run, index): UsagePass => ({ model: asText(run?.['model']), tokens: (runs[index] as Usage).tokens }),
  )
  return { ...usage, passes }
}

interface Whole {
  /** Billed tokens of the prompt. */
  readonly prompt: number
  /** Billed tokens of the answer, reasoning included. */
  readonly completion: number
  readonly reasoning: number | undefined
}

function readWhole(usage: Fields): Whole {
  const total = readCount(usage, 'total_tokens')
  const completion = firstCount(usage, COMPLETION_NAMES) ?? 0
  const prompt = firstCount(usage, PROMPT_NAMES) ?? Math.max(0, (total ?? 0) - completion)
  const reasoning = readReasoning(usage)
  const beyond = total === undefined ? 0 : total - prompt - completion
  const unseen = missingAudio(usage, beyond) || missingConnectors(usage, beyond)
  if (unseen > 0) return { prompt: prompt + unseen, completion, reasoning }
  const apart = billedApart(usage)
  if (apart) return { prompt: prompt + apart.citations, completion: completion + apart.reasoning, reasoning }
  if (reasoning !== undefined && (isBeyond(reasoning, beyond) || usage['market_cost'] !== undefined))
    return { prompt, completion: completion + reasoning, reasoning }
  if (reasoning === undefined && beyond > ROUNDING)
    return { prompt, completion: completion + beyond, reasoning: beyond }
  return { prompt, completion, reasoning }
}

/** Reasoning is what the total has beyond prompt and completion. */
function isBeyond(reasoning: number, beyond: number): boolean {
  return beyond === reasoning || (beyond > MISCOUNT && Math.abs(beyond - reasoning) <= MISCOUNT)
}

function readReasoning(usage: Fields): number | undefined {
  return readCount(completionDetails(usage), 'reasoning_tokens') ?? readCount(usage, 'reasoning_tokens')
}

/** Perplexity's deep research bills pages that it cites and its reasoning on top of prompt and completion. */
function billedApart(usage: Fields): { readonly citations: number; readonly reasoning: number } | undefined {
  const cost = memberObject(usage, 'cost')
  const isBilled = (name: string): boolean => typeof cost?.[name] === 'number' && cost[name] > 0
  const citations = isBilled('citation_tokens_cost') ? (readCount(usage, 'citation_tokens') ?? 0) : 0
  const reasoning = isBilled('reasoning_tokens_cost') ? (readCount(usage, 'reasoning_tokens') ?? 0) : 0
  return citations + reasoning > 0 ? { citations, reasoning } : undefined
}

/** Audio tokens that only the total counts. */
function missingAudio(usage: Fields, beyond: number): number {
  if (beyond <= ROUNDING) return 0
  const audio = readCount(promptDetails(usage), 'audio_tokens') ?? 0
  if (audio > 0) return beyond === audio ? audio : 0
  return (readCount(usage, 'prompt_audio_seconds') ?? 0) > 0 ? beyond : 0
}

/** What the provider's tools put into the prompt, where only the total counts it. */
function missingConnectors(usage: Fields, beyond: number): number {
  const read = readCount(usage, 'connector_tokens') ?? 0
  return beyond > ROUNDING && beyond >= read ? read : 0
}

function promptDetails(usage: Fields): Fields | undefined {
  return firstObject(usage, ['prompt_tokens_details', 'prompt_token_details', 'input_tokens_details'])
}

function completionDetails(usage: Fields): Fields | undefined {
  return firstObject(usage, ['completion_tokens_details', 'output_tokens_details'])
}

function firstObject(usage: Fields, names: readonly string[]): Fields | undefined {
  for (const name of names) {
    const object = memberObject(usage, name)
    if (object) return object
  }
  return undefined
}

function splitInput(usage: Fields, prompt: number, timings: unknown, flags: string[]): Usage['tokens'] {
  const details = promptDetails(usage)
  const cached =
    readCount(details, 'cached_tokens') ??
    firstCount(usage, CACHED_NAMES) ??
    readCount(asObject(timings), 'cache_n') ??
    0
  const written = firstCount(details, WRITTEN_NAMES) ?? firstCount(usage, WRITTEN_NAMES) ?? 0
  const audio =
    readCount(details, 'audio_tokens') ??
    ((readCount(usage, 'prompt_audio_seconds') ?? 0) > 0 ? missingAudioPart(usage) : 0)
  return takeApartInput({
    prompt,
    cached,
    cachedAudio: readCount(memberObject(details, 'cached_tokens_details'), 'audio_tokens') ?? 0,
    written,
    audio,
    image: readCount(details, 'image_tokens') ?? 0,
    video: readCount(details, 'video_tokens') ?? 0,
    flags,
  })
}

function missingAudioPart(usage: Fields): number {
  const total = readCount(usage, 'total_tokens') ?? 0
  return missingAudio(
    usage,
    total - (firstCount(usage, PROMPT_NAMES) ?? 0) - (firstCount(usage, COMPLETION_NAMES) ?? 0),
  )
}

interface InputParts {
  readonly prompt: number
  readonly cached: number
  readonly cachedAudio: number
  readonly written: number
  readonly audio: number
  readonly image: number
  readonly video: number
  readonly flags: string[]
}

/** Parts within their whole, each token in one kind; a part that does not fit is clamped and flagged. */
export function takeApartInput(parts: InputParts): Usage['tokens'] {
  let left = parts.prompt
  const takeUpTo = (count: number): number => {
    const taken = Math.min(count, left)
    left -= taken
    return taken
  }
  const take = (count: number, flag: string): number => {
    const taken = takeUpTo(count)
    if (taken < count) parts.flags.push(flag)
    return taken
  }
  const cachedAll = take(parts.cached, 'cached_beyond_input')
  const written = take(parts.written, 'cache_write_beyond_input')
  // Audio may be cached too: what does not fit beside the cached part stands inside it.
  const overlap = Math.min(cachedAll, Math.max(0, parts.audio - left))
  const cachedAudio = Math.min(parts.audio, cachedAll, Math.max(parts.cachedAudio, overlap))
  const audio = take(parts.audio - cachedAudio, 'audio_beyond_input')
  // A cached image has no kind of its own: it stands under cached input.
  const image = takeUpTo(parts.image)
  const video = takeUpTo(parts.video)
  if (parts.image + parts.video > image + video + cachedAll) parts.flags.push('media_beyond_input')
  return {
    input: left,
    ...nonZero('cached_input', cachedAll - cachedAudio),
    ...nonZero('cache_write_5m', written),
    ...nonZero('audio_input', audio),
    ...nonZero('cached_audio_input', cachedAudio),
    ...nonZero('image_input', image),
    ...nonZero('video_input', video),
  }
}

function splitOutput(usage: Fields, whole: Whole, flags: string[]): { tokens: Usage['tokens']; reasoning?: number } {
  const details = completionDetails(usage)
  const audio = Math.min(readCount(details, 'audio_tokens') ?? 0, whole.completion)
  const image = Math.min(readCount(details, 'image_tokens') ?? 0, whole.completion - audio)
  const output = whole.completion - audio - image
  const tokens = { output, ...nonZero('audio_output', audio), ...nonZero('image_output', image) }
  if (whole.reasoning === undefined) return { tokens }
  if (whole.reasoning > output) flags.push('reasoning_beyond_output')
  return { tokens, reasoning: Math.min(whole.reasoning, output) }
}

function searches(usage: Fields): Pick<Usage, 'units'> {
  const tools = memberObject(usage, 'server_tool_use_details') ?? memberObject(usage, 'server_tool_use')
  const connectors = memberObject(usage, 'connectors')
  const count =
    readCount(tools, 'web_search_requests') ??
    readCount(usage, 'num_search_queries') ??
    (readCount(connectors, 'web_search') ?? 0) + (readCount(connectors, 'web_search_premium') ?? 0)
  return count > 0 ? { units: { web_search: count } } : {}
}

function nonZero<Kind extends string>(kind: Kind, count: number): { [kind in Kind]?: number } {
  return (count > 0 ? { [kind]: count } : {}) as { [kind in Kind]?: number }
}
