/**
 * POST /v2/audio/transcriptions: a form with the audio. Cohere states no usage; what was sent is counted, in seconds and,
 * for prices by the token, in tokens.
 * Source: docs.cohere.com/reference/create-audio-transcription; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { audioLength } from '../audio/audio-length.ts'
import { MediaFields } from '../multipart/media-fields.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asText, readModel } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { cohereErrorBody } from './cohere-error.ts'

const DECISIVE = new Set(['model', 'language'])
/** Encoders of speech make 12.5 frames a second of audio; people say some three words. */
const AUDIO_TOKENS_PER_SECOND = 12.5
const TEXT_TOKENS_PER_SECOND = 8
const BYTES_PER_TOKEN = 4

export const transcriptionsMetering: Metering = {
  takesForms: true,
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (): StreamReader => new SilentStream(cohereErrorBody),
  jsonMembers: ['text'],
  readJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = new MediaFields(raw, source, DECISIVE)
  const file = fields.files('file')[0]
  if (!file) throw new InvalidCall('"file" is missing; send the audio as a file of a form.', 'file')
  const { seconds, highSeconds } = audioLength(file.content)
  const audio = Math.ceil(highSeconds * AUDIO_TOKENS_PER_SECOND)
  const output = Math.ceil(highSeconds * TEXT_TOKENS_PER_SECOND)
  return {
    ...PLAIN_CALL,
    model: readModel({ model: fields.value('model') }),
    input: {
      highTokens: audio + output,
      lowTokens: 1,
      cacheWriteTokens: 0,
      cacheWriteKind: 'cache_write_5m',
      parts: { audio_input: audio, output },
    },
    units: { seconds: Math.ceil(highSeconds) },
    billedBy: ['seconds'],
    parsed: Math.round(seconds * 1000) / 1000,
  }
}

function readJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  const seconds = call.parsed as number
  const text = asText(members['text']) ?? ''
  const counted: Usage = {
    tokens: {
      audio_input: Math.ceil(seconds * AUDIO_TOKENS_PER_SECOND),
      output: Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN),
    },
    units: { seconds },
    raw: null,
  }
  return {
    usage: undefined,
    counted,
    model: undefined,
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
  }
}
