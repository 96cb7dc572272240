import { type Call, type JsonObject, otherReply, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { splitInput } from './generate-answer.ts'
import { MID_STREAM_ERROR, openaiErrorBody, ProviderError } from './provider-errors.ts'

const CHARACTERS_PER_SECOND = 15
const PCM_BYTES_PER_SECOND = 48_000
const TOKENS_PER_SECOND = 20
const DELTA_BYTES = 12_000

/** `POST …/audio/speech`: silence of the right length, as wav or pcm whatever was asked for, or as a stream of events. */
export function speech(call: Call): Reply {
  const { body } = call
  const input = body['input']
  if (typeof input !== 'string' || input === '')
    throw new ProviderError(400, "Missing required parameter: 'input'.", 'missing_required_parameter', 'input')
  const seconds = Math.max(0.1, input.length / CHARACTERS_PER_SECOND)
  const pcm = Buffer.alloc(2 * Math.round((call.controls.bytes ?? seconds * PCM_BYTES_PER_SECOND) / 2))
  if (body['stream_format'] === 'sse') return speechStream(call, pcm, seconds)
  if (body['response_format'] === 'pcm') return otherReply(pcm, 'audio/pcm')
  return otherReply(Buffer.concat([wavHead(pcm.length), pcm]), 'audio/wav')
}

function speechStream(call: Call, pcm: Buffer, seconds: number): Reply {
  const error = `event: error\ndata: ${openaiErrorBody(MID_STREAM_ERROR)}\n\n`
  const tokens = Math.ceil(pcm.length / DELTA_BYTES)
  return { kind: 'stream', steps: speechSteps(call, pcm, seconds), tokens, errorEvent: error, failedEvent: error }
}

function* speechSteps(call: Call, pcm: Buffer, seconds: number): Generator<string> {
  const event = (value: JsonObject) => `data: ${JSON.stringify(value)}\n\n`
  yield ''
  for (let at = 0; at < pcm.length; at += DELTA_BYTES)
    yield event({ type: 'speech.audio.delta', audio: pcm.toString('base64', at, at + DELTA_BYTES) })
  const input = splitInput(call, Math.max(1, countInput(call.body['input']))).total
  const output = call.controls.output ?? Math.ceil(seconds * TOKENS_PER_SECOND)
  const usage = { input_tokens: input, output_tokens: output, total_tokens: input + output }
  const { faults } = call.controls
  if (faults.has('no_terminal')) yield ''
  else yield event({ type: 'speech.audio.done', ...(faults.has('no_usage') ? {} : { usage }) })
}

function wavHead(bytes: number): Buffer {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + bytes, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(24_000, 24)
  head.writeUInt32LE(PCM_BYTES_PER_SECOND, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36)
  head.writeUInt32LE(bytes, 40)
  return head
}
