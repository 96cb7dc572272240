/**
 * Usage of a transcription, as it is stated in one of four ways: tokens with `input_token_details` (singular), a
 * duration, the names of chat completions with `prompt_audio_seconds` (Mistral), or no usage but how long the audio was
 * (verbose_json, xAI, Deepgram). OpenRouter has tokens or seconds without a type.
 * Sources: openai-node src/resources/audio/transcriptions.ts, Transcription.Tokens and .Duration; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, memberObject, readCount } from '../counts.ts'
import { asObject } from '../read-fields.ts'
import { readChatUsage, takeApartInput } from './chat-usage.ts'

/** `CallRequest.parsed` of transcriptions. */
export interface TranscriptionParsed {
  /** Of the audio that was sent, as its headers say. */
  readonly seconds: number
  readonly promptTokens: number
}

/** OpenAI's rate; about three words a second. */
const AUDIO_TOKENS_PER_SECOND = 10
const TEXT_TOKENS_PER_SECOND = 4
/** A year: what is beyond is no duration. */
const SECONDS_MAX = 366 * 24 * 3600

/** `duration`: the member beside `usage`. undefined where neither states anything. */
export function readTranscriptUsage(value: unknown, duration: unknown): Usage | undefined {
  const usage = asObject(value)
  const tokens = usage && readTokens(usage)
  const seconds = readSeconds(usage?.['seconds']) ?? readSeconds(usage?.['prompt_audio_seconds'])
  if (tokens) return seconds === undefined ? tokens : { ...tokens, units: { ...tokens.units, seconds } }
  const stated = seconds ?? readSeconds(duration)
  return stated === undefined ? undefined : { tokens: {}, units: { seconds: stated }, raw: value ?? { duration } }
}

function readTokens(usage: Readonly<Record<string, unknown>>): Usage | undefined {
  const input = readCount(usage, 'input_tokens')
  const output = readCount(usage, 'output_tokens')
  if (input === undefined && output === undefined) return readChatUsage(usage)
  const flags: string[] =
    isBadCount(usage, 'input_tokens') || isBadCount(usage, 'output_tokens') ? ['unreadable_count'] : []
  const details = memberObject(usage, 'input_token_details') ?? memberObject(usage, 'input_tokens_details')
  const tokens = takeApartInput({
    prompt: input ?? 0,
    cached: readCount(details, 'cached_tokens') ?? 0,
    cachedAudio: readCount(memberObject(details, 'cached_tokens_details'), 'audio_tokens') ?? 0,
    written: 0,
    audio: readCount(details, 'audio_tokens') ?? 0,
    image: 0,
    video: 0,
    flags,
  })
  return {
    tokens: { ...tokens, output: output ?? 0 },
    raw: usage,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/** A number, or text as older servers write it. */
function readSeconds(value: unknown): number | undefined {
  const seconds = typeof value === 'string' && /^\d{1,9}(?:\.\d{1,9})?$/.test(value) ? Number(value) : value
  return typeof seconds === 'number' && seconds >= 0 && seconds <= SECONDS_MAX ? seconds : undefined
}

/** What an answer comes to that states nothing. `textTokens`: of the transcript, where it is known. */
export function countedTranscript(
  { seconds, promptTokens }: TranscriptionParsed,
  textTokens: number | undefined,
): Usage {
  return {
    tokens: {
      input: promptTokens,
      audio_input: Math.ceil(seconds * AUDIO_TOKENS_PER_SECOND),
      output: textTokens ?? Math.ceil(seconds * TEXT_TOKENS_PER_SECOND),
    },
    units: { seconds },
    raw: null,
  }
}
