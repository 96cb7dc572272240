/**
 * Whatever a realtime session's frames come to, both ways, its reader throws nothing but InvalidCall on the caller's, and
 * its counts are whole and not negative. Sessions as they are, with values exchanged, members left out, bytes overwritten
 * and frames in any order.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { UnitCounts, Usage } from '../../../src/core/usage.ts'
import { realtimeMetering } from '../../../src/providers/openai/realtime.ts'
import { InvalidCall, type SessionReader } from '../../../src/providers/provider.ts'
import { SOURCE } from '../../support/call-source.ts'
import { changed, ODD } from '../../support/odd-values.ts'

const SEED = 20261126
const RUNS = 1_500

const USAGE = {
  total_tokens: 90,
  input_tokens: 60,
  output_tokens: 30,
  input_token_details: {
    text_tokens: 20,
    audio_tokens: 30,
    image_tokens: 10,
    cached_tokens: 15,
    cached_tokens_details: { text_tokens: 5, audio_tokens: 10, image_tokens: 0 },
  },
  output_token_details: { text_tokens: 10, audio_tokens: 20 },
}
const TRANSCRIBED = { model: 'gpt-4o-mini-transcribe', language: 'en' }
const SESSION = {
  id: 'sess_1',
  type: 'realtime',
  model: 'gpt-realtime',
  instructions: 'Be brief.',
  output_modalities: ['audio'],
  max_output_tokens: 'inf',
  tools: [{ type: 'function', name: 'f', parameters: { type: 'object' } }],
  audio: {
    input: {
      format: { type: 'audio/pcm', rate: 24_000 },
      transcription: TRANSCRIBED,
      turn_detection: { type: 'server_vad', create_response: true },
    },
    output: { format: { type: 'audio/pcm', rate: 24_000 }, voice: 'marin' },
  },
}
/** The first form of the API. */
const BETA = {
  id: 'sess_2',
  modalities: ['text', 'audio'],
  input_audio_format: 'g711_ulaw',
  input_audio_transcription: { model: 'whisper-1' },
  turn_detection: null,
  max_response_output_tokens: 400,
}
const ITEM = {
  type: 'message',
  role: 'user',
  content: [
    { type: 'input_text', text: 'Hello' },
    { type: 'input_audio', audio: 'AAAA' },
    { type: 'input_image', image_url: 'data:image/png;base64,AAAA' },
  ],
}

const FROM_CALLER: readonly object[] = [
  { type: 'session.update', event_id: 'e', session: SESSION },
  { type: 'session.update', session: BETA },
  { type: 'transcription_session.update', session: { input_audio_transcription: TRANSCRIBED } },
  { type: 'input_audio_buffer.append', audio: 'AAAAAAAA' },
  { type: 'input_audio_buffer.commit' },
  { type: 'conversation.item.create', item: ITEM },
  { type: 'response.create' },
  {
    type: 'response.create',
    response: { max_output_tokens: 40, instructions: 'Sing.', input: [ITEM], conversation: 'none' },
  },
]
const FROM_UPSTREAM: readonly object[] = [
  { type: 'session.created', session: SESSION },
  { type: 'session.created', session: BETA },
  { type: 'session.updated', session: SESSION },
  { type: 'input_audio_buffer.committed', item_id: 'i' },
  { type: 'conversation.item.added', item: ITEM },
  { type: 'response.created', response: { id: 'resp_1', conversation_id: 'conv_1', status: 'in_progress' } },
  { type: 'response.output_text.delta', response_id: 'resp_1', delta: 'one two three' },
  { type: 'response.output_audio.delta', response_id: 'resp_1', delta: 'A'.repeat(6_400) },
  { type: 'response.done', response: { id: 'resp_1', conversation_id: 'conv_1', status: 'completed', usage: USAGE } },
  {
    type: 'conversation.item.input_audio_transcription.completed',
    item_id: 'i',
    transcript: 'x',
    usage: {
      type: 'tokens',
      input_tokens: 9,
      output_tokens: 3,
      total_tokens: 12,
      input_token_details: { text_tokens: 1, audio_tokens: 8 },
    },
  },
  { type: 'conversation.item.input_audio_transcription.completed', usage: { type: 'duration', seconds: 2.5 } },
  { type: 'conversation.item.input_audio_transcription.failed', item_id: 'i', error: { code: 'x' } },
  { type: 'error', error: { type: 'invalid_request_error', code: 'x', event_id: 'e' } },
]

function openReader(): SessionReader {
  const call = realtimeMetering.readCall(Buffer.alloc(0), {
    ...SOURCE,
    path: '/v1/realtime',
    query: '?model=gpt-realtime',
  })
  return realtimeMetering.socket?.createReader(call, 128) as SessionReader
}

function expectSound(
  usage: Pick<Usage, 'tokens'> & { readonly units?: UnitCounts; readonly reasoning?: number },
): void {
  for (const count of Object.values(usage.tokens)) expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
  for (const count of Object.values(usage.units ?? {})) expect(Number.isFinite(count) && count >= 0).toBe(true)
  expect(usage.reasoning ?? 0).toBeLessThanOrEqual(usage.tokens.output ?? 0)
}

function expectSoundReader(reader: SessionReader): void {
  expect(Number.isSafeInteger(reader.running) && reader.running >= 0).toBe(true)
  expectSound({ tokens: reader.nextInput })
  if (reader.counted) expectSound(reader.counted)
  for (const usage of reader.usages.values()) expectSound(usage)
  const { ownLimit } = reader
  expect(ownLimit === undefined || (Number.isSafeInteger(ownLimit) && ownLimit >= 0)).toBe(true)
  JSON.stringify(reader.summary)
}

/** Undefined: the frame is refused, which the caller is told. */
function readCaller(reader: SessionReader, bytes: Buffer): void {
  try {
    const read = reader.readCaller(bytes)
    expect(read.outputLimit === undefined || (Number.isSafeInteger(read.outputLimit) && read.outputLimit >= 0)).toBe(
      true,
    )
    if (read.starts) reader.asked()
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidCall)
  }
}

test(`a session of any frames is read without a throw, and its counts are whole (seed ${SEED})`, () => {
  const step = fc.record({
    fromCaller: fc.boolean(),
    event: fc.nat(100),
    at: fc.nat(60),
    odd: fc.nat(ODD.length),
    untouched: fc.boolean(),
    byte: fc.option(fc.record({ at: fc.nat(600), value: fc.nat(255) }), { nil: undefined, freq: 5 }),
    limit: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 24 }), (steps) => {
      const reader = openReader()
      for (const { fromCaller, event, at, odd, untouched, byte, limit } of steps) {
        const events = fromCaller ? FROM_CALLER : FROM_UPSTREAM
        const sent = events[event % events.length]
        const bytes = Buffer.from(JSON.stringify(untouched ? sent : changed(sent, at, odd)))
        if (byte) bytes[byte.at % bytes.length] = byte.value
        if (fromCaller) readCaller(reader, bytes)
        else expect(['pass', 'money', 'drop']).toContain(reader.readUpstream(bytes))
        if (limit && reader.ready) JSON.parse(reader.limitFrame(100).toString())
        expectSoundReader(reader)
      }
    }),
    { seed: SEED, numRuns: RUNS },
  )
})
