/**
 * Usage of one response of a realtime session, as `response.done` states it. Cached tokens stand inside the input of
 * their modality; the transcript of spoken output is text.
 * Source: openai-node src/resources/realtime/realtime.ts, RealtimeResponseUsage.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, memberObject, readCount } from '../counts.ts'
import { asObject } from '../read-fields.ts'
import { takeApartInput } from './chat-usage.ts'

/** undefined where `value` is no usage object or states no count at all. */
export function readRealtimeUsage(value: unknown): Usage | undefined {
  const usage = asObject(value)
  const input = readCount(usage, 'input_tokens')
  const output = readCount(usage, 'output_tokens')
  if (!usage || (input === undefined && output === undefined)) return undefined
  const flags: string[] =
    isBadCount(usage, 'input_tokens') || isBadCount(usage, 'output_tokens') ? ['unreadable_count'] : []
  const details = memberObject(usage, 'input_token_details')
  const cached = memberObject(details, 'cached_tokens_details')
  const tokens = takeApartInput({
    prompt: input ?? 0,
    cached: readCount(details, 'cached_tokens') ?? 0,
    cachedAudio: readCount(cached, 'audio_tokens') ?? 0,
    written: 0,
    audio: readCount(details, 'audio_tokens') ?? 0,
    // A cached image is cached input.
    image: Math.max(0, (readCount(details, 'image_tokens') ?? 0) - (readCount(cached, 'image_tokens') ?? 0)),
    video: 0,
    flags,
  })
  const stated = readCount(memberObject(usage, 'output_token_details'), 'audio_tokens') ?? 0
  const audio = Math.min(stated, output ?? 0)
  if (audio < stated) flags.push('audio_beyond_output')
  return {
    tokens: { ...tokens, output: (output ?? 0) - audio, ...(audio > 0 ? { audio_output: audio } : {}) },
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}
