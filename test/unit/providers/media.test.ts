/** Images and audio: what a call may come to, and what its answer says that it came to. */
import { describe, expect, test } from 'vitest'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import { imageOutputTokens } from '../../../src/providers/openai/image-output.ts'
import { imagesMetering } from '../../../src/providers/openai/images.ts'
import { readImagesUsage } from '../../../src/providers/openai/images-usage.ts'
import { speechMetering } from '../../../src/providers/openai/speech.ts'
import { readTranscriptUsage } from '../../../src/providers/openai/transcription-usage.ts'
import { transcriptionsMetering } from '../../../src/providers/openai/transcriptions.ts'
import { type CallRequest, InvalidCall, type Metering } from '../../../src/providers/provider.ts'
import { readStatedCost } from '../../../src/providers/stated-cost.ts'
import { mp3File, wavFile } from '../../support/audio-files.ts'
import { NO_HEADERS, SOURCE } from '../../support/call-source.ts'
import { type Field, formBody, formSource } from '../../support/form.ts'

function json(metering: Metering, body: unknown, more: object = {}): CallRequest {
  return metering.readCall(Buffer.from(JSON.stringify(body)), { ...SOURCE, ...more })
}

async function form(metering: Metering, fields: readonly Field[]): Promise<CallRequest> {
  const body = formBody(fields)
  return metering.readCall(body, await formSource(body))
}

describe('images: what they may come to', () => {
  test.each([
    ['gpt-image-1', 'low', '1024x1024', 272],
    ['gpt-image-1', 'high', '1024x1536', 6240],
    ['gpt-image-1.5', 'medium', '1536x1024', 1568],
    ['gpt-image-1', undefined, undefined, 6240],
    ['gpt-image-1', 'auto', 'auto', 6240],
    // The calculator of OpenAI's guide.
    ['gpt-image-2', 'high', '1024x1024', 7024],
    ['gpt-image-2', 'high', '1536x1024', 5488],
    ['gpt-image-2', 'high', '3584x2048', 12329],
    ['gpt-image-2', undefined, undefined, 7024],
  ] as const)('%s %s %s: %d tokens', (model, quality, size, expected) => {
    expect(imageOutputTokens({ model, quality, size, partialImages: 0, frames: 1 })).toBe(expected)
  })

  test('partial images and frames are more of them', () => {
    const one = { model: 'gpt-image-1', quality: 'low', size: '1024x1024' }
    expect(imageOutputTokens({ ...one, partialImages: 3, frames: 1 })).toBe(572)
    expect(imageOutputTokens({ ...one, partialImages: 0, frames: 4 })).toBe(1088)
  })

  test('those billed by the token are held by tokens of their kinds, those billed by the image by their number', () => {
    const gpt = json(imagesMetering, { model: 'gpt-image-1', prompt: 'a cat', n: 2, quality: 'low', size: '1024x1024' })
    expect(gpt).toMatchObject({ model: 'gpt-image-1', stream: false, generates: false, units: { images: 2 } })
    expect(gpt.input.parts).toMatchObject({ image_output: 544, image_input: 0 })
    expect(gpt.input.highTokens).toBeGreaterThan(544)
    const dalle = json(imagesMetering, { model: 'dall-e-3', prompt: 'a cat', size: '1024x1024', quality: 'hd' })
    expect(dalle).toMatchObject({ units: { images: 1 }, billedBy: ['images'] })
    expect(dalle.input.parts).toEqual({})
    expect(dalle.input.highTokens).toBeLessThan(20)
  })

  test('images that go in are counted, of a form and of JSON, and base64 is no text', async () => {
    const edit = await form(imagesMetering, [
      ['image[]', Buffer.alloc(100_000, 1), 'a.png'],
      ['image[]', Buffer.alloc(100_000, 1), 'b.png'],
      ['mask', Buffer.alloc(1000, 1), 'm.png'],
      ['model', 'gpt-image-1.5'],
      ['prompt', 'A cute baby sea otter'],
      ['n', '3'],
      ['quality', 'low'],
      ['size', '1024x1024'],
    ])
    expect(edit).toMatchObject({ model: 'gpt-image-1.5', units: { images: 3 } })
    expect(edit.input.parts).toMatchObject({ image_input: 3 * 7340, image_output: 3 * 272 })
    const data = `data:image/png;base64,${'A'.repeat(100_000)}`
    const xai = json(imagesMetering, { model: 'gpt-image-2', prompt: 'x', images: [{ url: data }, { url: data }] })
    expect(xai.input.parts).toMatchObject({ image_input: 2 * 7340 })
    expect(xai.input.highTokens).toBeLessThan(30_000)
    const openRouter = json(imagesMetering, { model: 'google/gemini-3-image', prompt: 'x', input_references: [{}] })
    expect(openRouter.input.parts).toMatchObject({ image_input: 7340 })
  })

  test('without a model it is the one that the API takes; Hyperbolic has another name for it', () => {
    expect(json(imagesMetering, { prompt: 'x' }).model).toBe('dall-e-2')
    expect(json(imagesMetering, { prompt: 'x', background: 'opaque' }).model).toBe('gpt-image-1')
    expect(json(imagesMetering, { prompt: 'x', model_name: 'SD2' }).model).toBe('SD2')
  })

  test.each([
    ['"n"', { model: 'dall-e-2', prompt: 'x', n: '2' }],
    ['"n"', { model: 'dall-e-2', prompt: 'x', n: 0 }],
    ['"n"', { model: 'dall-e-2', prompt: 'x', n: 1.5 }],
    ['"stream"', { model: 'gpt-image-1', prompt: 'x', stream: 'true' }],
    ['"model"', { model: 7, prompt: 'x' }],
    ['did you mean "n"', { model: 'dall-e-2', prompt: 'x', N: 9 }],
  ])('a bad %s is refused', (message, body) => {
    expect(() => json(imagesMetering, body)).toThrow(message)
  })

  test.each([
    [
      '"model" is given twice',
      [
        ['model', 'a'],
        ['model', 'b'],
      ],
    ],
    ['did you mean "model"', [['model[]', 'a']]],
    ['did you mean "n"', [['N', '9']]],
    ['must be a field, not a file', [['model', 'a', 'a.txt']]],
    ['"n" must be a whole number', [['n', '1e3']]],
    ['"stream" must be true or false', [['stream', '1']]],
  ] as [string, Field[]][])('of a form: %s', async (message, fields) => {
    await expect(form(imagesMetering, fields)).rejects.toThrow(message)
  })
})

describe('images: what they came to', () => {
  const call = json(imagesMetering, { model: 'gpt-image-1', prompt: 'x', quality: 'low', size: '1024x1024' })

  test.each([
    [
      'all output is image where nothing else is said',
      { input_tokens: 50, output_tokens: 272, input_tokens_details: { text_tokens: 10, image_tokens: 40 } },
      { input: 10, image_input: 40, output: 0, image_output: 272 },
    ],
    [
      'text in which the model planned',
      {
        input_tokens: 221,
        output_tokens: 415,
        input_tokens_details: { image_tokens: 194 },
        output_tokens_details: { image_tokens: 272, text_tokens: 143 },
      },
      { input: 27, image_input: 194, output: 143, image_output: 272 },
    ],
    [
      'cached input',
      { input_tokens: 50, output_tokens: 1, input_tokens_details: { cached_tokens: 20, image_tokens: 10 } },
      { input: 20, cached_input: 20, image_input: 10, output: 0, image_output: 1 },
    ],
    [
      'the names of chat completions (OpenRouter)',
      { prompt_tokens: 5, completion_tokens: 1120, completion_tokens_details: { image_tokens: 1120 } },
      { input: 5, output: 0, image_output: 1120 },
    ],
    ['only a cost (xAI)', { cost_in_usd_ticks: 200000000 }, undefined],
  ])('%s', (_name, usage, expected) => {
    expect(readImagesUsage(usage)?.tokens).toEqual(expected)
  })

  test('parts beyond their whole are clamped and flagged', () => {
    const usage = readImagesUsage({ input_tokens: 1, output_tokens: 5, output_tokens_details: { text_tokens: 9 } })
    expect(usage?.tokens).toEqual({ input: 1, output: 5, image_output: 0 })
    expect(usage?.flags).toEqual(['text_beyond_output'])
  })

  test('where nothing is stated the images are counted', () => {
    const facts = imagesMetering.readJson({ 'data.#': 2 }, call, NO_HEADERS)
    expect(facts.usage).toBeUndefined()
    expect(facts.counted).toMatchObject({ tokens: { image_output: 544 }, units: { images: 2 } })
    const dalle = json(imagesMetering, { model: 'dall-e-2', prompt: 'x' })
    expect(imagesMetering.readJson({ 'images.#': 1 }, dalle, NO_HEADERS).counted).toEqual({
      tokens: {},
      units: { images: 1 },
      raw: null,
    })
    expect(imagesMetering.readJson({}, dalle, NO_HEADERS).counted).toEqual({
      tokens: {},
      units: { images: 0 },
      raw: null,
    })
  })

  test('the author of an SVG is a pass of its own model', () => {
    const facts = imagesMetering.readJson(
      {
        'data.#': 1,
        usage: { input_tokens: 3, output_tokens: 5 },
        svg_usage: { model: 'gpt-5', input_tokens: 100, output_tokens: 900 },
      },
      call,
      NO_HEADERS,
    )
    expect(facts.usage?.tokens).toMatchObject({ input: 103, output: 900, image_output: 5 })
    expect(facts.usage?.passes).toEqual([
      { model: undefined, tokens: { input: 3, output: 0, image_output: 5 } },
      { model: 'gpt-5', tokens: { input: 100, output: 900 } },
    ])
    expect(facts.usage?.units).toEqual({ images: 1 })
  })
})

describe('transcriptions: what they may come to', () => {
  test('the length of the file and not its bytes is what is held', async () => {
    const call = await form(transcriptionsMetering, [
      ['file', mp3File(60), 'a.mp3'],
      ['model', 'whisper-1'],
      ['response_format', 'srt'],
    ])
    expect(call).toMatchObject({ model: 'whisper-1', stream: false, generates: false, billedBy: ['seconds'] })
    expect(call.units?.seconds).toBeGreaterThanOrEqual(60)
    expect(call.units?.seconds).toBeLessThan(64)
    expect(call.input.parts?.audio_input).toBeGreaterThan(600)
    expect(call.input.highTokens).toBeLessThan(3000)
  })

  test('streams, prompts, base64 in JSON and raw audio', async () => {
    const stream = await form(transcriptionsMetering, [
      ['stream', 'true'],
      ['model', 'gpt-4o-transcribe'],
      ['file', wavFile(1), 'a.wav'],
    ])
    expect(stream.stream).toBe(true)
    const openRouter = json(transcriptionsMetering, {
      model: 'openai/whisper-1',
      input_audio: { data: wavFile(10).toString('base64'), format: 'wav' },
    })
    expect(openRouter.units?.seconds).toBe(12)
    const deepgram = transcriptionsMetering.readCall(wavFile(10), {
      ...SOURCE,
      query: '?model=nova-3&language=en',
      headers: { 'content-type': 'audio/wav' },
    })
    expect(deepgram).toMatchObject({ model: 'nova-3', units: { seconds: 12 } })
    const url = json(transcriptionsMetering, { url: 'https://example.com/a.wav' }, { query: '?model=nova-3' })
    expect(url.units?.seconds).toBe(3600)
  })

  test('a field that decides may be there once', async () => {
    const twice: Field[] = [
      ['model', 'a'],
      ['file', wavFile(1), 'a.wav'],
      ['model', 'b'],
    ]
    await expect(form(transcriptionsMetering, twice)).rejects.toThrow(InvalidCall)
    const formats: Field[] = [
      ['response_format', 'json'],
      ['response_format', 'text'],
    ]
    await expect(form(transcriptionsMetering, formats)).rejects.toThrow('"response_format" is given twice')
    const lists = await form(transcriptionsMetering, [
      ['timestamp_granularities[]', 'word'],
      ['timestamp_granularities[]', 'segment'],
      ['file', wavFile(1), 'a.wav'],
    ])
    expect(lists.units?.seconds).toBe(3)
  })
})

describe('transcriptions: what they came to', () => {
  test.each([
    [
      'tokens, their details in the singular',
      {
        type: 'tokens',
        input_tokens: 37,
        output_tokens: 12,
        input_token_details: { text_tokens: 3, audio_tokens: 34 },
      },
      3.7,
      { input: 3, audio_input: 34, output: 12 },
      undefined,
    ],
    ['a duration', { type: 'duration', seconds: 7 }, undefined, {}, { seconds: 7 }],
    ['no usage, but how long it was', undefined, 3.7, {}, { seconds: 3.7 }],
    ['the same as text, as servers wrote it before', undefined, '25.93', {}, { seconds: 25.93 }],
    ['a duration of nothing', { type: 'duration', seconds: 0 }, undefined, {}, { seconds: 0 }],
    [
      'Mistral: tokens and seconds',
      {
        prompt_audio_seconds: 3,
        prompt_tokens: 3,
        total_tokens: 389,
        completion_tokens: 11,
        prompt_tokens_details: { audio_tokens: 375 },
      },
      undefined,
      { input: 3, audio_input: 375, output: 11 },
      { seconds: 3 },
    ],
    [
      'OpenRouter',
      { input_tokens: 37, output_tokens: 12, cost: 0.0001 },
      undefined,
      { input: 37, output: 12 },
      undefined,
    ],
  ])('%s', (_name, usage, duration, tokens, units) => {
    const read = readTranscriptUsage(usage, duration)
    expect(read?.tokens).toEqual(tokens)
    expect(read?.units).toEqual(units)
  })

  test.each([
    undefined,
    null,
    {},
    { type: 'duration', seconds: -1 },
    { type: 'duration', seconds: 1e300 },
    { type: 'duration', seconds: 'long' },
  ])('nothing is made of %j', (usage) => {
    expect(readTranscriptUsage(usage, undefined)).toBeUndefined()
  })

  test('a plain text is charged by the length of the audio, or by tokens', async () => {
    const call = await form(transcriptionsMetering, [
      ['file', wavFile(60), 'a.wav'],
      ['model', 'whisper-1'],
    ])
    const answer = { contentType: 'text/plain', bytes: 400, head: Buffer.alloc(0), tail: Buffer.alloc(0) }
    const facts = transcriptionsMetering.readOther?.(answer, call, NO_HEADERS)
    expect(facts?.usage).toBeUndefined()
    expect(facts?.counted).toMatchObject({ units: { seconds: 60 }, tokens: { audio_input: 600, output: 100 } })
  })
})

describe('speech', () => {
  test('is held and charged by its characters, as code points, and by the length of the audio', () => {
    const call = json(speechMetering, { model: 'tts-1', input: 'Grüße 👋🏽', voice: 'alloy', response_format: 'wav' })
    expect(call).toMatchObject({
      model: 'tts-1',
      stream: false,
      generates: false,
      audioOutput: true,
      units: { characters: 8 },
      billedBy: ['characters'],
    })
    const wav = wavFile(6)
    const answer = {
      contentType: 'audio/wav',
      bytes: wav.length,
      head: wav.subarray(0, 65536),
      tail: wav.subarray(-16384),
    }
    expect(speechMetering.readOther?.(answer, call, NO_HEADERS).counted).toMatchObject({
      tokens: { audio_output: 125 },
      units: { characters: 8 },
    })
  })

  test('names of others: xAI, Deepgram', () => {
    expect(json(speechMetering, { text: 'Hello.', voice_id: 'eve' })).toMatchObject({
      model: '',
      units: { characters: 6 },
    })
    expect(json(speechMetering, { text: 'Hello.' }, { query: '?model=aura-2-zeus-en' }).model).toBe('aura-2-zeus-en')
  })

  test('nothing to be spoken is refused', () => {
    expect(() => json(speechMetering, { model: 'tts-1' })).toThrow('"input" is missing')
    expect(() => json(speechMetering, { model: 'tts-1', input: ['a'] })).toThrow('"input" must be a string')
  })
})

test.each([
  [{ cost: 0.03388125 }, '0.03388125'],
  [{ cost: 1.5e-7 }, '0.00000015'],
  [{ cost: 0 }, '0'],
  [{ cost: { total_cost: 0.006 } }, '0.006'],
  [{ cost_in_usd_ticks: 200000000 }, '0.02'],
  [{ cost_in_usd_ticks: 12345678901 }, '1.2345678901'],
  [{ cost_in_usd_ticks: 0 }, undefined],
  [{ cost: '0.002565', market_cost: '0.003' }, '0.002565'],
  [{ cost: 0, is_byok: true, cost_details: { upstream_inference_cost: 0.0000036 } }, '0.0000036'],
  [{ cost: 0.0001, is_byok: true, cost_details: { upstream_inference_cost: null }, market_cost: 0.002 }, '0.0021'],
  [{ cost: 0, is_byok: true, cost_details: { upstream_inference_cost: null } }, undefined],
  [{ cost: 0.5, is_byok: false, cost_details: { upstream_inference_cost: 0.1 } }, '0.5'],
  [{ cost: { currency: 'EUR', total_cost: 1 } }, undefined],
  [{ estimated_cost: 0.000012 }, '0.000012'],
  // What is absurd is told, so that it can be flagged.
  [{ cost: -1 }, '-1'],
  [{ cost: Number.POSITIVE_INFINITY }, 'Infinity'],
  [{ cost: [1] }, undefined],
  [{ cost: 'free' }, undefined],
  [undefined, undefined],
])('a provider’s own cost: %j is %s', (usage, expected) => {
  expect(readStatedCost(usage)).toBe(expected)
})

describe('streams whose last event is too large to be kept', () => {
  const big = 'A'.repeat(3_000_000)
  const image = (usage: object): string =>
    `event: image_generation.completed\ndata: ${JSON.stringify({ type: 'image_generation.completed', b64_json: big, usage })}\n\n`
  const imageUsage = { input_tokens: 3, output_tokens: 272, total_tokens: 275 }
  const transcript = `data: ${JSON.stringify({ type: 'transcript.text.done', text: big, usage: { type: 'duration', seconds: 7 } })}\n\n`
  const images = json(imagesMetering, { model: 'gpt-image-1', prompt: 'x', n: 2, stream: true })
  const words = json(transcriptionsMetering, { model: 'gpt-4o-transcribe', input_audio: { data: '', format: 'wav' } })

  test.each([
    ['images', imagesMetering, images, image(imageUsage) + image(imageUsage), { tokens: { image_output: 544 } }],
    ['a transcript', transcriptionsMetering, words, transcript, { units: { seconds: 7 } }],
  ] as const)('%s: its end is kept back all the same, and every byte passes', (_name, metering, call, text, usage) => {
    const bytes = Buffer.from(`${text}: after\n\n`)
    const whole = bytes.length - ': after\n\n'.length
    for (const end of [whole, whole - 1, whole - 5, bytes.length]) {
      const meter = new StreamMeter(metering.createStreamReader(call, 'sse', NO_HEADERS))
      const out: Buffer[] = []
      for (let at = 0; at < end; at += 65_536) out.push(...meter.push(bytes.subarray(at, Math.min(at + 65_536, end))))
      if (end < whole) expect(meter.terminal).toBeUndefined()
      if (end < bytes.length) out.push(...meter.push(bytes.subarray(end)))
      expect(meter.terminal?.length).toBeGreaterThan(0)
      expect(meter.terminal?.toString()).toMatch(/\n$/)
      expect(meter.facts.usage).toMatchObject(usage)
      const passed = Buffer.concat([...out, meter.terminal as Buffer, ...meter.takeAfterTerminal()])
      expect(passed.equals(bytes)).toBe(true)
      expect(Buffer.concat(out).length).toBeLessThan(whole)
    }
  })
})
