/**
 * POST …/audio/speech, xAI’s …/tts and Deepgram’s …/speak: text in, audio out. Billed by the character, which no answer
 * states, or by the token, which only a stream of events does: then the characters of the call and the length of the
 * audio are counted. Source: openai-node src/resources/audio/speech.ts; recorded traffic of those who copy it.
 */
import { audioLength } from '../audio/audio-length.ts'
import { InputCounter } from '../input-counter.ts'
import { likelyInput } from '../likely-input.ts'
import { MediaFields } from '../multipart/media-fields.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type OtherAnswer,
  type StreamReader,
} from '../provider.ts'
import { asText } from '../read-fields.ts'
import { statedCostOf } from '../stated-cost.ts'
import { mediaCall } from './media-call.ts'
import { audioModel } from './path-model.ts'
import { SpeechStream } from './speech-stream.ts'
import { countedSpeech, readSpeechUsage, type SpeechParsed } from './speech-usage.ts'

const DECISIVE = new Set(['model', 'input', 'text', 'instructions', 'stream', 'stream_format', 'response_format'])
/** 24 kHz, 16 bits: what OpenAI calls pcm, and what an answer without a header is taken for. */
const PCM_BYTES_PER_SECOND = 48_000

export const speechMetering: Metering = {
  readCall: readSpeechCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (call): StreamReader => new SpeechStream(call),
  jsonMembers: ['id', 'model', 'usage'],
  readJson: readSpeechJson,
  readOther: readSpeech,
}

function readSpeechCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = new MediaFields(raw, source, DECISIVE)
  const text = fields.text('input') ?? fields.text('text')
  if (text === undefined) throw new InvalidCall('"input" is missing; send the text to be spoken.', 'input')
  const counter = new InputCounter({ image: () => 0 })
  counter.addText(text)
  counter.addText(fields.text('instructions') ?? '')
  const characters = charactersOf(text)
  const parsed: SpeechParsed = {
    characters,
    promptTokens: likelyInput(counter.estimate()),
    pcm: fields.value('response_format') === 'pcm',
  }
  return mediaCall({
    model: audioModel(source, fields.text('model')),
    stream: fields.value('stream_format') === 'sse' || fields.value('stream') === true,
    counter,
    parts: { audio_output: highAudioTokens(characters, fields.value('speed')) },
    units: { characters },
    certainUnits: { characters },
    billedBy: ['characters'],
    audioOutput: true,
    parsed,
  })
}

/** Code points, as Python counts them. */
function charactersOf(text: string): number {
  let characters = text.length
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) === 0xdc00) characters--
  return characters
}

/**
 * Slow speech is five characters of English a second, of Chinese three; 21 tokens a second. A `speed` below 1 draws it
 * out.
 */
function highAudioTokens(characters: number, speed: unknown): number {
  const slow = typeof speed === 'number' && speed > 0 && speed < 1 ? 1 / Math.max(speed, 0.25) : 1
  return Math.ceil((characters / 3 + 2) * 21 * slow)
}

function readSpeech(answer: OtherAnswer, call: CallRequest): AnswerFacts {
  const parsed = call.parsed as SpeechParsed
  const pcm = parsed.pcm || answer.contentType.includes('pcm') || answer.contentType.includes('audio/l16')
  const seconds = pcm
    ? answer.bytes / PCM_BYTES_PER_SECOND
    : audioLength(answer.head, answer.bytes, answer.tail).seconds
  return { ...NO_FACTS, counted: countedSpeech(parsed, seconds) }
}

const NO_FACTS: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

/** Mistral answers JSON with the audio in base64. */
function readSpeechJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  return {
    ...NO_FACTS,
    usage: readSpeechUsage(members['usage']),
    counted: countedSpeech(call.parsed as SpeechParsed, undefined),
    ...statedCostOf(members['usage']),
    model: asText(members['model']),
    providerId: asText(members['id']),
  }
}
