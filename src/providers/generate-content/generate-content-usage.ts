/**
 * Reads `usageMetadata` of a generated answer, of one chunk of a stream, or of an embedding.
 *
 * `promptTokenCount` includes `cachedContentTokenCount` and excludes `toolUsePromptTokenCount`, which is input as well;
 * `candidatesTokenCount` excludes `thoughtsTokenCount`, which is output as well. Each may be left out; zero is zero. The
 * details split a count by modality: documents are billed as text. With `enum-encoding=int` a modality is a number.
 * Source: googleapis google/ai/generativelanguage/v1beta/generative_service.proto, GenerateContentResponse.UsageMetadata;
 * google/cloud/aiplatform/v1/content.proto, Modality; recorded traffic.
 */
import type { TokenKind, Usage } from '../../core/usage.ts'
import { firstCount, isBadCount, readCount } from '../counts.ts'
import { asArray, asObject, asText } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>
type Modality = 'TEXT' | 'IMAGE' | 'VIDEO' | 'AUDIO' | 'DOCUMENT'
type ByModality = { readonly [modality in Modality]?: number }
export type WritableTokens = { [kind in TokenKind]?: number }

const COUNTS = [
  'promptTokenCount',
  'toolUsePromptTokenCount',
  'cachedContentTokenCount',
  'candidatesTokenCount',
  'responseTokenCount',
  'thoughtsTokenCount',
]
/** By the number that stands for it. */
const MODALITIES: readonly (Modality | undefined)[] = [undefined, 'TEXT', 'IMAGE', 'VIDEO', 'AUDIO', 'DOCUMENT']

/** undefined where `value` is no usage object or states no count. */
export function readGenerateUsage(value: unknown): Usage | undefined {
  const usage = asObject(value)
  if (!usage || COUNTS.every((name) => readCount(usage, name) === undefined)) return undefined
  const flags: string[] = COUNTS.some((name) => isBadCount(usage, name)) ? ['unreadable_count'] : []
  const thoughts = readCount(usage, 'thoughtsTokenCount')
  const tokens: WritableTokens = {}
  const prompt = sumOf(readCount(usage, 'promptTokenCount'), readCount(usage, 'toolUsePromptTokenCount'))
  const cached = readCount(usage, 'cachedContentTokenCount')
  if (prompt !== undefined || cached !== undefined)
    splitInput(
      tokens,
      {
        total: prompt ?? cached ?? 0,
        cached: cached ?? 0,
        details: inputDetails(usage),
        cachedDetails: byModality(usage['cacheTokensDetails']),
      },
      flags,
    )
  const answer = firstCount(usage, ['candidatesTokenCount', 'responseTokenCount'])
  if (answer !== undefined || thoughts !== undefined)
    splitOutput(
      tokens,
      {
        answer: answer ?? 0,
        thoughts: thoughts ?? 0,
        details: byModality(usage['candidatesTokensDetails'] ?? usage['responseTokensDetails']),
      },
      flags,
    )
  const total = readCount(usage, 'totalTokenCount')
  if (total !== undefined && total !== (prompt ?? 0) + (answer ?? 0) + (thoughts ?? 0)) flags.push('total_differs')
  return {
    tokens,
    ...(thoughts === undefined ? {} : { reasoning: thoughts }),
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/** The tier that served the call: Gemini's `serviceTier`, Vertex's `trafficType`; as it came. */
export function readTier(value: unknown): string | undefined {
  const usage = asObject(value)
  const tier = usage?.['serviceTier'] ?? usage?.['trafficType']
  return typeof tier === 'number' ? String(tier) : asText(tier)
}

export interface InputCounts {
  /** Cached tokens are a part of it. */
  readonly total: number
  readonly cached: number
  readonly details: ByModality
  readonly cachedDetails: ByModality
}

/** Disjoint kinds that add up to `total`: a part that is beyond its whole is cut, and flagged. */
export function splitInput(tokens: WritableTokens, counts: InputCounts, flags: string[]): void {
  const { details, cachedDetails } = counts
  const cached = Math.min(counts.cached, counts.total)
  if (counts.cached > counts.total) flags.push('cached_beyond_input')
  const cachedAudio = Math.min(cachedDetails.AUDIO ?? 0, cached)
  let rest = counts.total - cached
  const fresh = (modality: Modality): number => {
    const count = Math.min(Math.max(0, (details[modality] ?? 0) - (cachedDetails[modality] ?? 0)), rest)
    rest -= count
    return count
  }
  const audio = fresh('AUDIO')
  const image = fresh('IMAGE')
  const video = fresh('VIDEO')
  tokens.input = rest
  put(tokens, 'cached_input', cached - cachedAudio)
  put(tokens, 'cached_audio_input', cachedAudio)
  put(tokens, 'audio_input', audio)
  put(tokens, 'image_input', image)
  put(tokens, 'video_input', video)
}

/** `details` are of `answer` alone. */
export function splitOutput(
  tokens: WritableTokens,
  counts: { readonly answer: number; readonly thoughts: number; readonly details: ByModality },
  flags: string[],
): void {
  const audio = counts.details.AUDIO ?? 0
  const image = counts.details.IMAGE ?? 0
  if (audio + image > counts.answer) flags.push('modality_beyond_output')
  const audioTokens = Math.min(audio, counts.answer)
  const imageTokens = Math.min(image, counts.answer - audioTokens)
  tokens.output = counts.answer - audioTokens - imageTokens + counts.thoughts
  put(tokens, 'audio_output', audioTokens)
  put(tokens, 'image_output', imageTokens)
}

/** `names`: of the member that says the modality and of the one that counts. */
export function byModality(value: unknown, names = { modality: 'modality', count: 'tokenCount' }): ByModality {
  const sums: { [modality in Modality]?: number } = {}
  for (const item of asArray(value)) {
    const detail = asObject(item)
    const modality = modalityOf(detail?.[names.modality])
    const count = readCount(detail, names.count)
    if (modality !== undefined && count !== undefined) sums[modality] = (sums[modality] ?? 0) + count
  }
  return sums
}

function modalityOf(value: unknown): Modality | undefined {
  if (typeof value === 'number') return MODALITIES[value]
  const name = asText(value)?.toUpperCase()
  return MODALITIES.find((modality) => modality === name)
}

/** Embeddings spell it `promptTokenDetails`. */
function inputDetails(usage: Fields): ByModality {
  return sumModalities(
    byModality(usage['promptTokensDetails'] ?? usage['promptTokenDetails']),
    byModality(usage['toolUsePromptTokensDetails']),
  )
}

export function sumModalities(a: ByModality, b: ByModality): ByModality {
  const sums: { [modality in Modality]?: number } = { ...a }
  for (const modality of MODALITIES) {
    const more = modality && b[modality]
    if (modality && more) sums[modality] = (sums[modality] ?? 0) + more
  }
  return sums
}

function sumOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0)
}

function put(tokens: WritableTokens, kind: TokenKind, count: number): void {
  if (count > 0) tokens[kind] = count
}
