/** What Google keeps (files, caches, interactions) answers to the account that made it, through the official client. */
import type { GoogleGenAI } from '@google/genai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { type Charges, expectCharge } from './charged-call.ts'
import { chargesOf, geminiClient, MODEL, startGoogleGateway, tokensOf } from './google-gateway.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let charges: Charges

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startGoogleGateway()
  charges = await chargesOf(gateway, 'acme')
}, 180_000)
afterAll(() => gateway?.close())

describe('interactions', () => {
  run('are charged as stated, as a whole and in events, and answer to who made them', async () => {
    const ai = geminiClient(gateway, 'acme')
    const first = await ai.interactions.create({ model: MODEL, input: 'A joke? [simulate: output=20]' })
    expect(first.status).toBe('completed')
    expectCharge(await charges.next(), { input: first.usage?.total_input_tokens ?? 0, output: 20 })
    const stream = await ai.interactions.create({
      model: MODEL,
      input: 'And another? [simulate: output=30]',
      previous_interaction_id: first.id as string,
      stream: true,
    })
    const types: string[] = []
    for await (const event of stream) types.push(event.event_type)
    expect(types.at(-1)).toBe('interaction.completed')
    expect(types.filter((type) => type === 'step.delta')).toHaveLength(30)
    expect(await charges.next()).toMatchObject({ source: 'provider', tokens: { output: 30 } })
    await gateway.grant('5', 'other')
    await expect(
      geminiClient(gateway, 'other').interactions.create({
        model: MODEL,
        input: 'Go on.',
        previous_interaction_id: first.id as string,
      }),
    ).rejects.toMatchObject({ status: 404 })
  })
})

describe('files and caches', () => {
  run('are made, used, read and deleted by who made them, and by nobody else', async () => {
    const [mine, others] = [geminiClient(gateway, 'acme'), geminiClient(gateway, 'other')]
    const file = await mine.files.upload({ file: new Blob(['A long text.']), config: { mimeType: 'text/plain' } })
    const name = file.name as string
    expect((await mine.files.get({ name })).uri).toBe(file.uri)
    await expect(others.files.get({ name })).rejects.toMatchObject({ status: 404 })
    const fileData = { fileUri: file.uri as string, mimeType: 'text/plain' }
    const question = {
      model: MODEL,
      contents: [{ role: 'user', parts: [{ text: 'What is it? [simulate: output=5]' }, { fileData }] }],
    }
    await mine.models.generateContent(question)
    expect((await charges.next()).tokens['output']).toBe(5)
    await expect(others.models.generateContent(question)).rejects.toMatchObject({ status: 404 })
    const cacheOf = (ai: GoogleGenAI) =>
      ai.caches.create({ model: MODEL, config: { contents: [{ role: 'user', parts: [{ fileData }] }] } })
    await expect(cacheOf(others)).rejects.toMatchObject({ status: 404 })
    const cache = await cacheOf(mine)
    const cached = {
      model: MODEL,
      contents: 'And now? [simulate: output=5]',
      config: { cachedContent: cache.name as string },
    }
    const answer = await mine.models.generateContent(cached)
    expect(answer.usageMetadata?.cachedContentTokenCount).toBe(cache.usageMetadata?.totalTokenCount)
    expectCharge(await charges.next(), tokensOf(answer))
    await expect(others.models.generateContent(cached)).rejects.toMatchObject({ status: 404 })
    await mine.caches.delete({ name: cache.name as string })
    await mine.files.delete({ name })
    await expect(mine.files.get({ name })).rejects.toMatchObject({ status: 404 })
    expect(await charges.none()).toBe(true)
  })

  run('a call is held at what its cache is known to hold', async () => {
    const ai = geminiClient(gateway, 'acme')
    const text = `${'word '.repeat(2000)}[simulate: output=5]`
    const cache = await ai.caches.create({ model: MODEL, config: { contents: [{ role: 'user', parts: [{ text }] }] } })
    const { sdkHttpResponse } = await ai.models.generateContent({
      model: MODEL,
      contents: 'Hi [simulate: output=5]',
      config: { cachedContent: cache.name as string, maxOutputTokens: 10 },
    })
    const tokens = cache.usageMetadata?.totalTokenCount as number
    const held = Number(sdkHttpResponse?.headers?.['x-tollgate-hold'])
    expect(held).toBeGreaterThanOrEqual((tokens * 2) / 1e6)
    expect(held).toBeLessThan((tokens * 2) / 1e6 + 0.001)
    await charges.next()
  })

  run('the bytes of a file may come without the key that its start had', async () => {
    const start = await fetch(`${gateway.url}/u/gemini/upload/v1beta/files`, {
      method: 'POST',
      headers: {
        'x-goog-api-key': 'key-acme',
        'x-goog-upload-command': 'start',
        'x-goog-upload-protocol': 'resumable',
      },
      body: JSON.stringify({ file: { displayName: 'x' } }),
    })
    const address = start.headers.get('x-goog-upload-url') as string
    expect(address.startsWith(`${gateway.url}/u/gemini/upload/v1beta/files?upload_id=`)).toBe(true)
    const done = await fetch(address, {
      method: 'PUT',
      headers: { 'x-goog-upload-command': 'upload, finalize', 'x-goog-upload-offset': '0' },
      body: new Uint8Array([0xff, 0xfe, 0x00]),
    })
    const { file } = (await done.json()) as { file: { name: string } }
    expect((await geminiClient(gateway, 'acme').files.get({ name: file.name })).name).toBe(file.name)
  })
})

describe('interactions in the background', () => {
  run('are held whole, asked for by the gateway, and charged once for what they used', async () => {
    const ai = geminiClient(gateway, 'acme')
    const begun = await ai.interactions.create({
      model: MODEL,
      input: 'Research. [simulate: output=40, looks=3]',
      background: true,
      generation_config: { max_output_tokens: 100 },
    })
    expect(begun.status).toBe('in_progress')
    const id = begun.id as string
    const charge = await charges.next()
    expect(charge).toMatchObject({ source: 'provider', tokens: { output: 40 } })
    expect(charge.entry.fields).toMatchObject({ provider_request_id: id })
    for (let i = 0; i < 2; i++) expect((await ai.interactions.get(id)).status).toBe('completed')
    expect(await charges.none()).toBe(true)
    await expect(geminiClient(gateway, 'other').interactions.get(id)).rejects.toMatchObject({ status: 404 })
  })

  run('that fail or are cancelled cost what they state', async () => {
    const ai = geminiClient(gateway, 'acme')
    const ask = (controls: string) =>
      ai.interactions.create({ model: MODEL, input: `Research. [simulate: ${controls}]`, background: true })
    await ask('outcome=failed, output=30')
    expect(await charges.next()).toMatchObject({ source: 'provider', tokens: { output: 30 } })
    const under = await ask('output=30, looks=1000')
    expect((await ai.interactions.cancel(under.id as string)).status).toBe('cancelled')
    await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
    expect(await charges.none()).toBe(true)
  })
})

run(
  'a cache, whose storage is billed by the hour, is neither made nor prolonged where the config does not say so',
  async () => {
    const strict = await startGoogleGateway(['GET /v1/models*'])
    try {
      const ai = geminiClient(strict, 'acme')
      const refused = { status: 403, message: expect.stringContaining('unmetered_paths') }
      const ttl = '315360000s'
      await expect(ai.caches.create({ model: MODEL, config: { contents: 'x', ttl } })).rejects.toMatchObject(refused)
      await expect(ai.caches.update({ name: 'cachedContents/c', config: { ttl } })).rejects.toMatchObject(refused)
      expect(strict.simulator.stats.requests).toBe(0)
    } finally {
      await strict.close()
    }
  },
)
