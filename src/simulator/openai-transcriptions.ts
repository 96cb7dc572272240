import { type Call, type JsonObject, jsonReply, otherReply, type Reply } from './call.ts'
import { textTokens } from './generate-text.ts'
import { isTrue } from './openai-images.ts'
import { MID_STREAM_ERROR, openaiErrorBody, ProviderError } from './provider-errors.ts'
import { createRandom } from './random.ts'

/** 16 kHz, 16 bits, one channel: whatever was sent is taken for that. */
const BYTES_PER_SECOND = 32_000
const TOKENS_PER_SECOND = 10

/**
 * `POST …/audio/transcriptions|translations`: what a model would have heard. Whisper states a duration, or with
 * verbose_json how long the audio was, the others tokens; text, srt and vtt state nothing.
 */
export function transcriptions(call: Call): Reply {
  const { body, model } = call
  const file = body['file']
  if (!Buffer.isBuffer(file))
    throw new ProviderError(400, "Missing required parameter: 'file'.", 'missing_required_parameter', 'file')
  const seconds = Math.ceil(file.length / BYTES_PER_SECOND)
  const tokens = textTokens(createRandom(call.seed), call.controls.output ?? Math.max(1, 3 * seconds))
  const text = tokens.join('')
  const whisper = model.startsWith('whisper')
  const usage = whisper ? { type: 'duration', seconds } : usageOf(call, seconds, tokens.length)
  if (isTrue(body['stream']) && !whisper) return transcriptStream(call, tokens, usage)
  const stated = call.controls.faults.has('no_usage') ? {} : { usage }
  switch (body['response_format'] ?? 'json') {
    case 'text':
      return otherReply(`${text}\n`, 'text/plain; charset=utf-8', tokens.length)
    case 'srt':
      return otherReply(`1\n00:00:00,000 --> 00:00:${two(seconds)},000\n${text}\n\n`, 'text/plain; charset=utf-8')
    case 'vtt':
      return otherReply(`WEBVTT\n\n00:00.000 --> 00:${two(seconds)}.000\n${text}\n\n`, 'text/plain; charset=utf-8')
    case 'verbose_json':
      return jsonReply({ task: 'transcribe', language: 'english', duration: seconds, text, segments: [], ...stated })
    default:
      return jsonReply({ text, ...stated }, tokens.length, text)
  }
}

function usageOf(call: Call, seconds: number, output: number): JsonObject {
  const audio = call.controls.input ?? seconds * TOKENS_PER_SECOND
  return {
    type: 'tokens',
    total_tokens: audio + output,
    input_tokens: audio,
    input_token_details: { text_tokens: 0, audio_tokens: audio },
    output_tokens: output,
  }
}

function two(seconds: number): string {
  return String(Math.min(59, seconds)).padStart(2, '0')
}

function transcriptStream(call: Call, tokens: readonly string[], usage: JsonObject): Reply {
  const error = `data: ${openaiErrorBody(MID_STREAM_ERROR)}\r\n\r\n`
  return {
    kind: 'stream',
    steps: steps(call, tokens, usage),
    tokens: tokens.length,
    errorEvent: error,
    failedEvent: error,
  }
}

function* steps(call: Call, tokens: readonly string[], usage: JsonObject): Generator<string> {
  // The real one ends its lines like this.
  const event = (value: JsonObject) => `data: ${JSON.stringify(value)}\r\n\r\n`
  yield ''
  for (const delta of tokens) yield event({ type: 'transcript.text.delta', delta })
  const { faults } = call.controls
  const done = { type: 'transcript.text.done', text: tokens.join(''), ...(faults.has('no_usage') ? {} : { usage }) }
  yield faults.has('no_terminal') ? '' : `${event(done)}data: [DONE]\r\n\r\n`
}
