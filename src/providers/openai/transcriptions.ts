/**
 * POST …/audio/transcriptions and …/audio/translations (a form, at OpenRouter JSON too), xAI’s …/stt and Deepgram’s
 * …/listen: audio in, text out, billed by the token or by the second.
 * Source: openai-node src/resources/audio/transcriptions.ts; recorded traffic of those who copy it.
 */
import { type AudioLength, audioLength } from '../audio/audio-length.ts'
import { InputCounter } from '../input-counter.ts'
import { likelyInput } from '../likely-input.ts'
import { MediaFields } from '../multipart/media-fields.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { statedCostOf } from '../stated-cost.ts'
import { mediaCall } from './media-call.ts'
import { audioModel } from './path-model.ts'
import { TranscriptStream } from './transcript-stream.ts'
import { countedTranscript, readTranscriptUsage, type TranscriptionParsed } from './transcription-usage.ts'

const DECISIVE = new Set(['model', 'prompt', 'stream', 'response_format', 'url', 'input_audio', 'audio_url'])
/** 10 tokens a second at OpenAI, 12.5 and at least those of 30 seconds at Mistral. */
const AUDIO_TOKENS = { perSecond: 12.5, least: 400 }
/** Of speech hardly more than five; speakers, times and words of a diarized one came to 40. */
const TEXT_TOKENS = { perSecond: 8, diarizedPerSecond: 60, least: 256 }
/** An address says nothing of what is there: an hour is more than most. */
const UNSEEN: AudioLength = { seconds: 600, highSeconds: 3600 }

export const transcriptionsMetering: Metering = {
  takesForms: true,
  readCall: readTranscriptionCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (call): StreamReader => new TranscriptStream(call),
  jsonMembers: ['id', 'request_id', 'model', 'usage', 'duration', 'metadata'],
  readJson: readTranscriptJson,
  readOther: (answer, call) => ({
    ...NO_FACTS,
    counted: countedTranscript(call.parsed as TranscriptionParsed, textTokens(answer.bytes)),
  }),
}

const NO_FACTS: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

function readTranscriptionCall(raw: Buffer, source: CallSource): CallRequest {
  // Deepgram: the body is the audio itself.
  if (/^\s*(?:audio|video)\//i.test(source.headers['content-type'] ?? ''))
    return transcriptionCall(audioModel(source, undefined), new InputCounter(NO_IMAGES), audioLength(raw), false, false)
  const fields = new MediaFields(raw, source, DECISIVE)
  const counter = new InputCounter(NO_IMAGES)
  counter.addText(fields.text('prompt') ?? '')
  return transcriptionCall(
    audioModel(source, fields.text('model')),
    counter,
    lengthOf(fields),
    fields.flag('stream') === true,
    asText(fields.value('response_format'))?.includes('diarized') === true ||
      /diari[sz]e/.test(fields.text('model') ?? ''),
  )
}

const NO_IMAGES = { image: () => 0 }

function transcriptionCall(
  model: string,
  counter: InputCounter,
  length: AudioLength,
  stream: boolean,
  diarized: boolean,
): CallRequest {
  const { seconds, highSeconds } = length
  const perSecond = diarized ? TEXT_TOKENS.diarizedPerSecond : TEXT_TOKENS.perSecond
  const parsed: TranscriptionParsed = {
    seconds: Math.round(seconds * 1000) / 1000,
    promptTokens: likelyInput(counter.estimate()),
  }
  return mediaCall({
    model,
    stream,
    counter,
    parts: {
      audio_input: Math.max(AUDIO_TOKENS.least, Math.ceil(highSeconds * AUDIO_TOKENS.perSecond)),
      output: TEXT_TOKENS.least + Math.ceil(highSeconds * perSecond),
    },
    units: { seconds: Math.ceil(highSeconds) },
    billedBy: ['seconds'],
    parsed,
  })
}

/** All files together: a form may have more than one where samples of speakers come with it. */
function lengthOf(fields: MediaFields): AudioLength {
  const files = [...fields.files('file'), ...fields.files('audio')]
  if (files.length > 0) return sumOf(files.map((file) => audioLength(file.content)))
  const base64 = asText(asObject(fields.value('input_audio'))?.['data']) ?? asText(fields.value('file'))
  return base64 === undefined ? UNSEEN : audioLength(Buffer.from(base64.replace(/^data:[^,]*,/, ''), 'base64'))
}

function sumOf(lengths: readonly AudioLength[]): AudioLength {
  return {
    seconds: lengths.reduce((sum, length) => sum + length.seconds, 0),
    highSeconds: lengths.reduce((sum, length) => sum + length.highSeconds, 0),
  }
}

function readTranscriptJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  const metadata = asObject(members['metadata'])
  return {
    usage: readTranscriptUsage(members['usage'], members['duration'] ?? metadata?.['duration']),
    counted: countedTranscript(call.parsed as TranscriptionParsed, undefined),
    ...statedCostOf(members['usage']),
    model: asText(members['model']),
    providerId: asText(members['id']) ?? asText(members['request_id']) ?? asText(metadata?.['request_id']),
    serviceTier: asText(asObject(members['usage'])?.['service_tier']),
    storedId: undefined,
  }
}

/** Of a plain transcript. */
function textTokens(bytes: number): number {
  return Math.ceil(bytes / 4)
}
