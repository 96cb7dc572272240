/** Images, speech and transcriptions through the official `openai` client, with its base URL and key changed. */
import OpenAI, { APIError, toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { wavFile } from '../support/audio-files.ts'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Charge, Charges } from './charged-call.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let simulator: Simulator
let charges: Charges
let client: OpenAI
let provider: OpenAI

/** USD a million tokens, each kind with a price of its own; a piece has one where the model is billed by it. */
const PRICES = `
  - match: { model: "dall-e-*" }
    from: 2020-01-01
    per_unit: { images: "0.02" }
  - match: { model: "tts-1" }
    from: 2020-01-01
    per_unit: { characters: "0.000015" }
  - match: { model: "whisper-1" }
    from: 2020-01-01
    per_unit: { seconds: "0.0001" }
  - match: { model: "gpt-*" }
    from: 2020-01-01
    per_million: { input: "2", image_input: "4", audio_input: "3", output: "8", image_output: "40", audio_output: "12" }
`
const ATOMS: Readonly<Record<string, number>> = {
  input: 2_000,
  image_input: 4_000,
  audio_input: 3_000,
  output: 8_000,
  image_output: 40_000,
  audio_output: 12_000,
}

beforeAll(async () => {
  if (!redisAvailable) return
  simulator = await startSimulator({ seed: 1 })
  const target = `format: openai, base_url: "${simulator.url}/v1", api_key: sk-upstream-secret`
  gateway = await startTestGateway({
    entitlements: `version: 1
plans:
  main: { unit: USD }
accounts:
  acme: { plan: main, keys: [ { id: k, sha256: "${sha256('key-acme')}" } ] }
  poor: { plan: main, keys: [ { id: k, sha256: "${sha256('key-poor')}" } ] }
`,
    prices: PRICES,
    upstreams: `  openai: { ${target}, models: ["*"] }
  hasty: { ${target}, models: [], on_disconnect: { mode: cancel } }`,
  })
  charges = new Charges(gateway, 'acme')
  client = clientOf('acme')
  provider = new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: 'sk-direct', maxRetries: 0 })
  await gateway.grant('50')
}, 180_000)

afterAll(async () => {
  await gateway?.close()
  await simulator?.close()
})

function clientOf(account: string, path = ''): OpenAI {
  return new OpenAI({ baseURL: `${gateway.url}${path}/v1`, apiKey: `key-${account}`, maxRetries: 0 })
}

/** Tokens as the provider stated them, priced one kind at a time. */
function expectTokens(charge: Charge, tokens: Readonly<Record<string, number>>): void {
  expect(charge.tokens).toEqual(Object.fromEntries(Object.entries(tokens).filter(([, count]) => count > 0)))
  const atoms = Object.entries(tokens).reduce((sum, [kind, count]) => sum + count * (ATOMS[kind] as number), 0)
  expect(Number(charge.charged)).toBeCloseTo(atoms / 1e9, 9)
  expect(charge.source).toBe('provider')
}

function expectUnits(charge: Charge, units: Readonly<Record<string, number>>, charged: string, source: string): void {
  expect(charge.entry.fields['units']).toEqual(units)
  expect(charge.charged).toBe(charged)
  expect(charge.source).toBe(source)
}

function speechFile() {
  return toFile(wavFile(4), 'speech.wav', { type: 'audio/wav' })
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

// ---- images

run('an image of a GPT model is charged by the tokens that it states', async () => {
  const order = { model: 'gpt-image-1', prompt: 'A baby sea otter', quality: 'low' as const, n: 2 }
  const { data, response } = await client.images.generate(order).withResponse()
  expect(data.data).toEqual((await provider.images.generate(order)).data)
  const charge = await charges.next()
  expectTokens(charge, { input: data.usage?.input_tokens ?? 0, image_output: 544 })
  expect(charge.entry.fields).toMatchObject({ endpoint: 'images', model: 'gpt-image-1', units: { images: 2 } })
  expect(response.headers.get('x-tollgate-cost')).toBe(charge.charged)
})

run('an image that is larger than what is buffered is charged and comes whole', async () => {
  const order = { model: 'gpt-image-1', prompt: 'Large. [simulate: bytes=1500000]', quality: 'low' as const }
  const image = await client.images.generate(order)
  expect(image.data?.[0]?.b64_json).toHaveLength(2_000_000)
  expectTokens(await charges.next(), { input: image.usage?.input_tokens ?? 0, image_output: 272 })
})

run('images of a model that states nothing are counted and charged by the piece, as an estimate', async () => {
  const images = await client.images.generate({ model: 'dall-e-2', prompt: 'A white siamese cat', n: 3 })
  expect(images.data).toHaveLength(3)
  expectUnits(await charges.next(), { images: 3 }, '0.06', 'estimate')
})

run('a GPT image without usage is charged by its size and quality, as an estimate', async () => {
  await client.images.generate({
    model: 'gpt-image-1',
    prompt: 'x [simulate: no_usage]',
    quality: 'low',
    size: '1024x1024',
  })
  const charge = await charges.next()
  expect(charge.source).toBe('estimate')
  expect(charge.tokens['image_output']).toBe(272)
})

run('an edit is uploaded as a form, byte for byte', async () => {
  const files = () => [
    toFile(Buffer.alloc(50_000, 7), 'a.png', { type: 'image/png' }),
    toFile(Buffer.from('b'), 'b.png'),
  ]
  const order = async () => ({
    model: 'gpt-image-1',
    image: await Promise.all(files()),
    prompt: 'Make it green.',
    quality: 'low' as const,
  })
  const edited = await client.images.edit(await order())
  expect(edited.data).toEqual((await provider.images.edit(await order())).data)
  expectTokens(await charges.next(), {
    input: edited.usage?.input_tokens_details.text_tokens ?? 0,
    image_input: 388,
    image_output: 272,
  })
})

run.each([
  ['small events', ''],
  ['events too large to be kept', ', bytes=1200000'],
])('a stream of partial images ends with the usage that is charged: %s', async (_name, size) => {
  const events = await collect(
    await client.images.generate({
      model: 'gpt-image-1',
      prompt: `Grow. [simulate: output=300${size}]`,
      stream: true,
      partial_images: 2,
    }),
  )
  expect(events.map((event) => event.type)).toEqual([
    'image_generation.partial_image',
    'image_generation.partial_image',
    'image_generation.completed',
  ])
  const last = events.at(-1)
  const usage = last?.type === 'image_generation.completed' ? last.usage : undefined
  expectTokens(await charges.next(), { input: usage?.input_tokens ?? 0, image_output: 500 })
})

run('a stream that breaks off in the middle ends with an error, and is no complete image', async () => {
  const stream = await client.images.generate({
    model: 'gpt-image-1',
    prompt: 'Break. [simulate: reset_mid, at=1]',
    stream: true,
    partial_images: 2,
  })
  await expect(collect(stream)).rejects.toThrow(/broke off/)
  expect((await charges.next()).source).toBe('estimate')
})

// ---- speech

run('speech is charged by its characters, as an estimate, and its bytes come as they are', async () => {
  const order = {
    model: 'tts-1',
    voice: 'alloy' as const,
    input: 'Ruby is a language.',
    response_format: 'wav' as const,
  }
  const spoken = Buffer.from(await (await client.audio.speech.create(order)).arrayBuffer())
  expect(spoken.equals(Buffer.from(await (await provider.audio.speech.create(order)).arrayBuffer()))).toBe(true)
  expectUnits(await charges.next(), { characters: 19 }, '0.000285', 'estimate')
})

run('speech of a model that is billed by the token is charged by the length of the audio', async () => {
  const order = {
    model: 'gpt-4o-mini-tts',
    voice: 'alloy' as const,
    input: 'x'.repeat(150),
    response_format: 'wav' as const,
  }
  await (await client.audio.speech.create(order)).arrayBuffer()
  const charge = await charges.next()
  expect(charge.source).toBe('estimate')
  expect(charge.tokens['audio_output']).toBe(209)
})

run('a stream of speech ends with the usage that is charged', async () => {
  const answer = await client.audio.speech.create({
    model: 'gpt-4o-mini-tts',
    voice: 'alloy',
    input: 'Speak. [simulate: output=123]',
    stream_format: 'sse',
  })
  const text = await answer.text()
  const done = JSON.parse(text.trim().split('\n').at(-1)?.slice(6) ?? '{}')
  expect(done).toMatchObject({ type: 'speech.audio.done', usage: { output_tokens: 123 } })
  expectTokens(await charges.next(), { input: done.usage.input_tokens, audio_output: 123 })
})

// ---- transcriptions

run('a transcription is charged by the tokens that it states', async () => {
  const data = await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await speechFile() })
  expect(data.text).not.toBe('')
  const usage = data.usage as OpenAI.Audio.Transcription.Tokens
  expectTokens(await charges.next(), { audio_input: usage.input_tokens, output: usage.output_tokens })
})

run('Whisper is charged by the seconds that it states', async () => {
  const data = await client.audio.transcriptions.create({ model: 'whisper-1', file: await speechFile() })
  expect(data.usage).toEqual({ type: 'duration', seconds: 5 })
  expectUnits(await charges.next(), { seconds: 5 }, '0.0005', 'provider')
  const verbose = await client.audio.translations.create({
    model: 'whisper-1',
    file: await speechFile(),
    response_format: 'verbose_json',
  })
  expect(verbose).toMatchObject({ duration: 5 })
  expectUnits(await charges.next(), { seconds: 5 }, '0.0005', 'provider')
})

run.each(['text', 'srt', 'vtt'] as const)('a transcript as %s is charged by the length of the file', async (format) => {
  const file = await speechFile()
  const data = await client.audio.transcriptions.create({ model: 'whisper-1', file, response_format: format })
  expect(typeof data).toBe('string')
  expectUnits(await charges.next(), { seconds: 4 }, '0.0004', 'estimate')
})

run('a stream of a transcript ends with the usage that is charged', async () => {
  const events = await collect(
    await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await speechFile(), stream: true }),
  )
  const last = events.at(-1)
  expect(last?.type).toBe('transcript.text.done')
  const usage = last?.type === 'transcript.text.done' ? last.usage : undefined
  expect(events.flatMap((event) => (event.type === 'transcript.text.delta' ? [event.delta] : [])).join('')).toBe(
    last?.type === 'transcript.text.done' ? last.text : undefined,
  )
  expectTokens(await charges.next(), { audio_input: usage?.input_tokens ?? 0, output: usage?.output_tokens ?? 0 })
})

run('a stream of a transcript that the provider lets fail costs what it had said', async () => {
  const hasty = clientOf('acme', '/u/hasty')
  const stream = await hasty.audio.transcriptions.create({
    model: 'gpt-4o-transcribe',
    file: await speechFile(),
    stream: true,
    prompt: '[simulate: error_mid, output=40, at=10]',
  })
  await expect(collect(stream)).rejects.toThrow(APIError)
  const charge = await charges.next()
  expect(charge.source).toBe('estimate')
  expect(charge.tokens['output']).toBe(10)
})

// ---- what is refused, what is free

run('a form whose model is there twice is refused before anything is sent', async () => {
  const form = new FormData()
  form.append('model', 'whisper-1')
  form.append('file', new Blob([new Uint8Array(wavFile(1))]), 'a.wav')
  form.append('model', 'gpt-4o-transcribe')
  const before = simulator.stats.requests
  const answer = await fetch(`${gateway.url}/v1/audio/transcriptions`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-acme' },
    body: form,
  })
  expect(answer.status).toBe(400)
  expect(await answer.json()).toMatchObject({ error: { param: 'model', code: 'invalid_request' } })
  const broken = await fetch(`${gateway.url}/v1/audio/transcriptions`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-acme', 'content-type': 'multipart/form-data; boundary=other' },
    body: 'no form',
  })
  expect(broken.status).toBe(400)
  expect(simulator.stats.requests).toBe(before)
})

run('an empty wallet is 402 for pictures and sound too', async () => {
  const poor = clientOf('poor')
  const file = await speechFile()
  const calls = [
    () => poor.images.generate({ model: 'gpt-image-1', prompt: 'x' }),
    () => poor.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file }),
    () => poor.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'x' }),
  ]
  for (const call of calls) await expect(call()).rejects.toMatchObject({ status: 402, code: 'insufficient_funds' })
})

run('an error of the provider passes as it came and costs nothing', async () => {
  const order = { model: 'gpt-image-1', prompt: 'x [simulate: status=429]' }
  const failure = await client.images.generate(order).catch((error: unknown) => error)
  const direct = await provider.images.generate(order).catch((error: unknown) => error)
  expect(failure).toMatchObject({ status: 429, error: (direct as APIError).error })
  const usedUp = await waitFor('no open holds', async () => {
    const balance = await gateway.balance()
    return balance['held'] === '0' && balance
  })
  expect(usedUp['debt']).toBe('0')
})

run('moderations are free: a key is needed, and the ledger has nothing of them', async () => {
  const before = await gateway.balance()
  const moderation = await client.moderations.create({ input: 'This is a test message' })
  expect(moderation.results[0]?.flagged).toBe(false)
  await expect(clientOf('nobody').moderations.create({ input: 'x' })).rejects.toMatchObject({ status: 401 })
  expect(await gateway.balance()).toEqual(before)
})
