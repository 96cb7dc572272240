/** Frames of realtime sessions, both ways: what starts a response, what it may read, what it came to. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { realtimeMetering } from '../../../src/providers/openai/realtime.ts'
import { readRealtimeUsage } from '../../../src/providers/openai/realtime-usage.ts'
import { type CallRequest, InvalidCall, type SessionReader } from '../../../src/providers/provider.ts'
import { SOURCE } from '../../support/call-source.ts'

const SEED = 20261126

function call(query: string, path = '/v1/realtime'): CallRequest {
  return realtimeMetering.readCall(Buffer.alloc(0), { ...SOURCE, path, query })
}

function reader(): SessionReader {
  return realtimeMetering.socket?.createReader(call('?model=gpt-realtime'), 128) as SessionReader
}

const frame = (event: object): Buffer => Buffer.from(JSON.stringify(event))
const done = (usage: object, more: object = {}): Buffer =>
  frame({ type: 'response.done', response: { id: 'resp_1', conversation_id: 'conv_1', usage, ...more } })

describe('the model of a session', () => {
  test.each([
    ['?model=gpt-realtime', '/v1/realtime', 'gpt-realtime'],
    ['?api-version=1&deployment=mine', '/openai/realtime', 'mine'],
    ['?api-version=1', '/openai/deployments/my%20own/realtime', 'my own'],
    ['?intent=transcription', '/v1/realtime', ''],
  ])('%s %s', (query, path, model) => {
    expect(call(query, path)).toMatchObject({ model, stream: false, generates: true, audioOutput: true })
  })

  test.each([
    ['', '/v1/realtime'],
    ['?model=', '/v1/realtime'],
    ['?model=a&model=a', '/v1/realtime'],
    ['?model=a&deployment=b', '/v1/realtime'],
    ['?model=a', '/openai/deployments/b/realtime'],
    ['?call_id=rtc_1', '/v1/realtime'],
    [`?model=${'x'.repeat(300)}`, '/v1/realtime'],
  ])('%s %s is refused', (query, path) => {
    expect(() => call(query, path)).toThrow(InvalidCall)
  })

  test('subprotocols: the key is taken out, and so is whose account the caller thinks it is', () => {
    const offered = ['realtime', 'openai-insecure-api-key.sk-1', 'openai-beta.realtime-v1', 'openai-organization.org-1']
    expect(realtimeMetering.socket?.readProtocols(offered)).toEqual({
      key: 'sk-1',
      forwarded: ['realtime', 'openai-beta.realtime-v1'],
    })
    expect(realtimeMetering.socket?.readProtocols([])).toEqual({ key: undefined, forwarded: [] })
  })
})

describe('usage of a response', () => {
  test.each([
    [
      'text, audio, images, each cached in part',
      {
        input_tokens: 100,
        output_tokens: 30,
        input_token_details: {
          text_tokens: 20,
          audio_tokens: 50,
          image_tokens: 30,
          cached_tokens: 60,
          cached_tokens_details: { text_tokens: 10, audio_tokens: 30, image_tokens: 20 },
        },
        output_token_details: { text_tokens: 8, audio_tokens: 22 },
      },
      {
        input: 10,
        cached_input: 30,
        audio_input: 20,
        cached_audio_input: 30,
        image_input: 10,
        output: 8,
        audio_output: 22,
      },
    ],
    ['no details', { input_tokens: 5, output_tokens: 3 }, { input: 5, output: 3 }],
    ['nothing at all', { input_tokens: 0, output_tokens: 0 }, { input: 0, output: 0 }],
  ])('%s', (_name, usage, tokens) => {
    const read = readRealtimeUsage(usage)
    expect(read?.tokens).toEqual(tokens)
    expect(read?.flags).toBeUndefined()
  })

  test('contradictions are clamped and flagged', () => {
    const usage = {
      input_tokens: 5,
      output_tokens: 3,
      input_token_details: { audio_tokens: 9 },
      output_token_details: { audio_tokens: 7 },
    }
    expect(readRealtimeUsage(usage)).toMatchObject({
      tokens: { input: 0, audio_input: 5, output: 0, audio_output: 3 },
      flags: ['audio_beyond_input', 'audio_beyond_output'],
    })
    expect(readRealtimeUsage({ input_tokens: -1 })).toBeUndefined()
    expect(readRealtimeUsage(null)).toBeUndefined()
  })
})

describe('the caller’s frames', () => {
  test('only response.create starts a response; its limit is found where it stands', () => {
    const session = reader()
    expect(session.readCaller(frame({ type: 'input_audio_buffer.commit' })).starts).toBe(false)
    const create = frame({ type: 'response.create', event_id: 'e1', response: { max_output_tokens: 50 } })
    const read = session.readCaller(create)
    expect(read).toMatchObject({ starts: true, outputLimit: 50, eventId: 'e1' })
    expect(create.subarray(read.limitSpan?.valueStart, read.limitSpan?.valueEnd).toString()).toBe('50')
    const beta = session.readCaller(frame({ type: 'response.create', response: { max_response_output_tokens: 'inf' } }))
    expect(beta).toMatchObject({ starts: true, outputLimit: undefined, limitSpan: expect.anything() })
    expect(session.readCaller(frame({ type: 'response.create' }))).toMatchObject({ starts: true, limitSpan: undefined })
  })

  test('a session’s own limit and its transcriber', () => {
    const session = reader()
    session.readCaller(frame({ type: 'session.update', session: { type: 'realtime', max_output_tokens: 200 } }))
    expect(session.ownLimit).toBe(200)
    const update = { audio: { input: { transcription: { model: 'gpt-4o-transcribe' } } } }
    expect(session.readCaller(frame({ type: 'session.update', session: update })).model).toBe('gpt-4o-transcribe')
    const beta = { input_audio_transcription: { model: 'whisper-1' }, max_response_output_tokens: 'inf' }
    expect(session.readCaller(frame({ type: 'session.update', session: beta })).model).toBe('whisper-1')
    expect(session.ownLimit).toBeUndefined()
    expect(
      session.readCaller(frame({ type: 'session.update', session: { input_audio_transcription: null } })).model,
    ).toBeUndefined()
  })

  test.each([
    '{"type":"a","type":"response.create"}',
    '{"t\\u0079pe":"a","type":"response.create"}',
    '{"TYPE":"response.create","type":"a"}',
    '{"type":"response.create","response":{"max_output_tokens":1,"max_output_tokens":9}}',
    '{"type":"response.create","response":{"max_output_tokens":1,"max_response_output_tokens":9}}',
    '{"type":"response.create","response":{"max_output_tokens":0}}',
    '{"type":"response.create","response":{"max_output_tokens":"50"}}',
    '{"type":7}',
    '{}',
    '[]',
    'hello',
    '',
  ])('%s is refused', (text) => {
    expect(() => reader().readCaller(Buffer.from(text))).toThrow(InvalidCall)
  })

  test('what the next response will read grows with what is said, and starts anew from what the last one read', () => {
    const session = reader()
    const before = session.nextInput
    session.readCaller(frame({ type: 'input_audio_buffer.append', audio: 'A'.repeat(64_000) }))
    expect(session.nextInput.audio_input).toBe((before.audio_input ?? 0) + 10)
    const content = [
      { type: 'input_text', text: 'x'.repeat(1000) },
      { type: 'input_image', image_url: 'data:…' },
    ]
    session.readCaller(frame({ type: 'conversation.item.create', item: { type: 'message', content } }))
    expect(session.nextInput.input).toBeGreaterThan(500)
    expect(session.nextInput.image_input).toBeGreaterThan(600)
    session.readUpstream(done({ input_tokens: 90, output_tokens: 10, input_token_details: { audio_tokens: 20 } }))
    expect(session.nextInput).toEqual({ input: 80, audio_input: 20, image_input: 0 })
    const apart = { input_tokens: 1, output_tokens: 1 }
    session.readUpstream(done(apart, { id: 'resp_2', conversation_id: null }))
    expect(session.nextInput).toEqual({ input: 80, audio_input: 20, image_input: 0 })
  })
})

describe('the upstream’s frames', () => {
  test('responses run from their beginning to their end, and sum up', () => {
    const session = reader()
    session.asked()
    expect(session.running).toBe(1)
    expect(session.readUpstream(frame({ type: 'response.created', response: { id: 'resp_1' } }))).toBe('money')
    expect([session.running, session.unfinished]).toEqual([1, true])
    const second = Buffer.alloc(48_000).toString('base64')
    expect(session.readUpstream(frame({ type: 'response.output_audio.delta', delta: second }))).toBe('pass')
    session.readUpstream(frame({ type: 'response.output_text.delta', delta: 'word' }))
    session.readUpstream(frame({ type: 'response.output_audio_transcript.delta', delta: ' two' }))
    expect(session.counted?.tokens).toEqual({ output: 2, audio_output: 20 })
    expect(session.readUpstream(done({ input_tokens: 10, output_tokens: 5 }))).toBe('money')
    expect([session.running, session.unfinished, session.counted]).toEqual([0, false, undefined])
    session.readUpstream(frame({ type: 'response.created', response: { id: 'resp_2' } }))
    session.readUpstream(done({ input_tokens: 20, output_tokens: 7 }, { id: 'resp_2' }))
    expect(session.usages.get('gpt-realtime')?.tokens).toEqual({ input: 30, output: 12 })
    expect(session.summary).toMatchObject({ responses: 2 })
  })

  test('a response that was refused runs no longer', () => {
    const session = reader()
    session.asked()
    expect(session.readUpstream(frame({ type: 'error', error: { type: 'invalid_request_error' } }))).toBe('money')
    expect(session.running).toBe(0)
  })

  test('a transcriber has usage of its own', () => {
    const session = reader()
    const input = { transcription: { model: 'gpt-4o-mini-transcribe' }, turn_detection: { type: 'server_vad' } }
    session.readUpstream(frame({ type: 'session.updated', session: { id: 'sess_1', audio: { input } } }))
    expect([session.answersByItself, session.sessionId]).toEqual([true, 'sess_1'])
    session.readUpstream(frame({ type: 'input_audio_buffer.committed' }))
    expect(session.unfinished).toBe(true)
    const usage = { type: 'tokens', input_tokens: 12, output_tokens: 4, input_token_details: { audio_tokens: 12 } }
    const type = 'conversation.item.input_audio_transcription.completed'
    expect(session.readUpstream(frame({ type, usage }))).toBe('money')
    expect(session.unfinished).toBe(false)
    expect(session.usages.get('gpt-4o-mini-transcribe')?.tokens).toEqual({ input: 0, audio_input: 12, output: 4 })
  })

  test.each([
    ['beta', { max_response_output_tokens: 'inf', turn_detection: null }, { max_response_output_tokens: 9 }],
    ['current', { type: 'realtime', max_output_tokens: 'inf' }, { type: 'realtime', max_output_tokens: 9 }],
  ])('a limit of ours is set in the words of the %s form, and its answer is dropped', (_name, created, expected) => {
    const session = reader()
    expect(session.ready).toBe(false)
    expect(session.readUpstream(frame({ type: 'session.created', session: created }))).toBe('money')
    expect([session.ready, session.answersByItself]).toEqual([true, false])
    const limit = JSON.parse(session.limitFrame(9).toString())
    expect(limit).toMatchObject({ type: 'session.update', session: expected })
    expect(session.readUpstream(frame({ type: 'session.updated', session: created }))).toBe('drop')
    expect(session.readUpstream(frame({ type: 'session.updated', session: created }))).toBe('pass')
    const failed = JSON.parse(session.limitFrame(8).toString())
    expect(session.readUpstream(frame({ type: 'error', error: { event_id: failed.event_id } }))).toBe('drop')
  })

  test(`whatever comes, nothing is thrown and no count is absurd (seed ${SEED})`, () => {
    const types = [
      'response.created',
      'response.done',
      'session.updated',
      'session.created',
      'error',
      'response.output_audio.delta',
      'conversation.item.input_audio_transcription.completed',
      'input_audio_buffer.committed',
    ]
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc
              .record({
                type: fc.constantFrom(...types),
                response: fc.jsonValue(),
                session: fc.jsonValue(),
                error: fc.jsonValue(),
                usage: fc.jsonValue(),
                delta: fc.jsonValue(),
              })
              .map((event) => JSON.stringify(event)),
            fc.string(),
          ),
          { maxLength: 12 },
        ),
        (frames) => {
          const session = reader()
          for (const text of frames) session.readUpstream(Buffer.from(text))
          expect(session.running).toBeGreaterThanOrEqual(0)
          const counts = [
            session.nextInput,
            session.counted?.tokens ?? {},
            ...[...session.usages.values()].map((usage) => usage.tokens),
          ]
          for (const tokens of counts)
            for (const count of Object.values(tokens)) expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
        },
      ),
      { seed: SEED, numRuns: 2000 },
    )
  })
})
