/**
 * Usage of spoken text. `speech.audio.done` states `input_tokens`, which are text, and `output_tokens`, which are audio.
 * Source: developers.openai.com/api/reference, audio speech streaming events.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, readCount } from '../counts.ts'
import { asObject } from '../read-fields.ts'
import { readChatUsage } from './chat-usage.ts'

/** `CallRequest.parsed` of speech. */
export interface SpeechParsed {
  readonly characters: number
  readonly promptTokens: number
  readonly pcm: boolean
}

/** OpenAI: 0.015 USD a minute at 12 USD a million tokens. */
const AUDIO_TOKENS_PER_SECOND = 1250 / 60
/** Of English as it is usually spoken. */
const CHARACTERS_PER_SECOND = 15

/** undefined where `value` is no usage object or states no count at all. */
export function readSpeechUsage(value: unknown): Usage | undefined {
  const usage = asObject(value)
  if (!usage) return undefined
  const input = readCount(usage, 'input_tokens')
  const output = readCount(usage, 'output_tokens')
  if (input === undefined && output === undefined) return readChatUsage(value)
  const bad = isBadCount(usage, 'input_tokens') || isBadCount(usage, 'output_tokens')
  return {
    tokens: { input: input ?? 0, audio_output: output ?? 0 },
    raw: value,
    ...(bad ? { flags: ['unreadable_count'] } : {}),
  }
}

/** What an answer comes to that states nothing. `seconds`: of the audio, where that could be read. */
export function countedSpeech({ characters, promptTokens }: SpeechParsed, seconds: number | undefined): Usage {
  const spoken = seconds ?? characters / CHARACTERS_PER_SECOND
  return {
    tokens: { input: promptTokens, audio_output: Math.ceil(spoken * AUDIO_TOKENS_PER_SECOND) },
    units: { characters },
    raw: null,
  }
}
