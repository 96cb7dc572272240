/**
 * POST to a model's root: it takes whatever its model takes. Text is text generation (tgi.ts); the bytes of a picture or
 * of sound are counted as what they are, and so is a picture that is the answer. Nothing of it is ever stated.
 * Source: huggingface.co/docs/inference-providers, "Tasks"; recorded traffic.
 */
import type { UnitCounts, Usage } from '../../core/usage.ts'
import { audioLength } from '../audio/audio-length.ts'
import { likelyInput } from '../likely-input.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, OtherAnswer } from '../provider.ts'
import { hostedModel } from './hosted-model.ts'
import { readTgiCall, tgiMetering } from './tgi.ts'

const IMAGE_TOKENS = 4096
const AUDIO_TOKENS_PER_SECOND = 12.5

/** `CallRequest.parsed` of a call whose body is a picture or sound. */
interface SentMedia {
  readonly sent: Usage
}

export const modelRootMetering: Metering = {
  ...tgiMetering,
  readCall: (raw, source) => readMediaCall(raw, source) ?? readTgiCall(raw, source),
  prepare: (raw, call, edits) => (isMedia(call) ? raw : tgiMetering.prepare(raw, call, edits)),
  readJson: (members, call, headers) =>
    isMedia(call) ? { ...NOTHING, counted: call.parsed.sent } : tgiMetering.readJson(members, call, headers),
  readOther,
}

const NOTHING: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

function isMedia(call: CallRequest): call is CallRequest & { readonly parsed: SentMedia } {
  return typeof call.parsed === 'object' && call.parsed !== null && 'sent' in call.parsed
}

/** undefined where the body is no media by its type. */
function readMediaCall(raw: Buffer, source: CallSource): CallRequest | undefined {
  const type = source.headers['content-type']?.trim().toLowerCase() ?? ''
  if (type.startsWith('audio/')) {
    const { seconds, highSeconds } = audioLength(raw)
    const exact = Math.round(seconds * 1000) / 1000
    return mediaCall(source, { seconds: Math.ceil(highSeconds) }, { seconds: exact }, audioTokens)
  }
  return type.startsWith('image/') ? mediaCall(source, { images: 1 }, { images: 1 }, () => IMAGE_TOKENS) : undefined
}

const audioTokens = ({ seconds = 0 }: UnitCounts): number => Math.ceil(seconds * AUDIO_TOKENS_PER_SECOND)

/** Held at `units`, charged at `counted`: things where they have a price, else the tokens that they come to. */
function mediaCall(
  source: CallSource,
  units: UnitCounts,
  counted: UnitCounts,
  tokensOf: (units: UnitCounts) => number,
): CallRequest {
  const parsed: SentMedia = { sent: { tokens: { input: tokensOf(counted) }, units: counted, raw: null } }
  return {
    ...PLAIN_CALL,
    model: hostedModel({}, source.path),
    input: { highTokens: tokensOf(units), lowTokens: 1, cacheWriteTokens: 0, cacheWriteKind: 'cache_write_5m' },
    units,
    billedBy: ['seconds', 'images'],
    parsed,
  }
}

/** Bytes that are no JSON: a picture or sound that was made, or a text. */
function readOther(answer: OtherAnswer, call: CallRequest): AnswerFacts {
  if (isMedia(call)) return { ...NOTHING, counted: call.parsed.sent }
  const isText = !/^(image|audio|video)\//.test(answer.contentType)
  const counted: Usage = {
    tokens: {
      input: likelyInput(call.input),
      ...(isText && call.generates ? { output: Math.ceil(answer.bytes / 4) } : {}),
    },
    ...(answer.contentType.startsWith('image/') ? { units: { images: 1 } } : {}),
    raw: null,
  }
  return { ...NOTHING, counted }
}
