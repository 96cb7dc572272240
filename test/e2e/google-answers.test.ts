/** Answers of Google that fail, that are odd, and that come as one JSON array: what is charged, and what a caller sees. */
import { ApiError, type GenerateContentResponse } from '@google/genai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, expectCharge, nonZero } from './charged-call.ts'
import {
  CLIENTS,
  chargesOf,
  failureOf,
  gathered,
  geminiClient,
  MODEL,
  startGoogleGateway,
  tokensOf,
} from './google-gateway.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let charges: Charges

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startGoogleGateway()
  charges = await chargesOf(gateway, 'acme')
}, 180_000)
afterAll(() => gateway?.close())

describe('what goes wrong at the provider, and what is odd', () => {
  run('a provider that fails in the middle of a stream is an error to the client, never a silent end', async () => {
    for (const fault of ['reset_mid', 'truncate']) {
      const stream = geminiClient(gateway, 'acme').models.generateContentStream({
        model: MODEL,
        contents: `Break. [simulate: fault=${fault}, output=60]`,
      })
      const { error, body } = await failureOf(stream.then(gathered))
      expect(error).toBeInstanceOf(ApiError)
      expect(body.error.tollgate).toMatchObject({ code: 'upstream_unreachable' })
      expect((await charges.next()).source).toBe('estimate')
    }
  })

  run('an error inside a stream is the provider’s own, and costs what it stated', async () => {
    const question = { model: MODEL, contents: 'Break. [simulate: fault=error_mid, output=60]' }
    const through = await failureOf(geminiClient(gateway, 'acme').models.generateContentStream(question).then(gathered))
    expect(through.error).toBeInstanceOf(ApiError)
    expect(through.body.error).toMatchObject({ code: 500, status: 'INTERNAL' })
    expect(through.body.error).not.toHaveProperty('tollgate')
    const charge = await charges.next()
    expect(charge.source).toBe('provider')
    expect(charge.tokens['output']).toBe(30)
  })

  run('so is one that comes as bare JSON, and nothing of ours follows it', async () => {
    const answer = await fetch(`${gateway.url}/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'key-acme' },
      body: JSON.stringify({ contents: [{ parts: [{ text: 'Break. [simulate: fault=error_bare, output=60]' }] }] }),
    })
    const text = await answer.text()
    expect(JSON.parse(text.slice(text.lastIndexOf('\r\n\r\n')))).toMatchObject({
      error: { code: 500, status: 'INTERNAL' },
    })
    expect(text).not.toContain('tollgate')
    const charge = await charges.next()
    expect(charge.source).toBe('provider')
    expect(charge.tokens['output']).toBe(30)
  })

  run('an error in place of an answer costs nothing, though its status is 200', async () => {
    const answer = await geminiClient(gateway, 'acme').models.generateContent({
      model: MODEL,
      contents: 'Break. [simulate: error_mid]',
    })
    expect(answer.candidates).toBeUndefined()
    await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
    expect(await charges.none()).toBe(true)
  })

  run('a prompt that is refused is charged as stated', async () => {
    const { last } = await gathered(
      await geminiClient(gateway, 'acme').models.generateContentStream({
        model: MODEL,
        contents: 'Bad. [simulate: blocked]',
      }),
    )
    expect(last.promptFeedback?.blockReason).toBe('SAFETY')
    const charge = await charges.next()
    expectCharge(charge, nonZero({ input: last.usageMetadata?.promptTokenCount ?? 0 }))
  })

  run.each([
    ['usage_shrinks', (usage: Record<string, number>) => usage],
    ['usage_late', (usage: Record<string, number>) => usage],
    ['output_count_absent', ({ input = 0 }: Record<string, number>) => ({ input })],
    ['input_count_absent', ({ output = 0 }: Record<string, number>) => ({ output })],
    ['total_off', (usage: Record<string, number>) => usage],
  ])('usage as odd as it comes is read as it is billed (%s)', async (oddity, billed) => {
    const { direct } = (CLIENTS['the Gemini API'] as (typeof CLIENTS)[string])(gateway, 'acme')
    const asked = `Odd. [simulate: output=30, input=12`
    const plain = tokensOf(await direct.models.generateContent({ model: MODEL, contents: `${asked}]` }))
    expect(plain).toEqual({ input: 12, output: 30 })
    await gathered(
      await geminiClient(gateway, 'acme').models.generateContentStream({
        model: MODEL,
        contents: `${asked}, ${oddity}]`,
      }),
    )
    expectCharge(await charges.next(), billed(plain))
  })

  run('a stream that has no terminal event says at its end what it cost, where that was asked for', async () => {
    const ask = (alt: string): Promise<Response> =>
      fetch(`${gateway.url}/v1beta/models/${MODEL}:streamGenerateContent${alt}`, {
        method: 'POST',
        headers: { 'x-goog-api-key': 'key-acme', 'x-tollgate-cost': 'stream' },
        body: JSON.stringify({ contents: [{ parts: [{ text: 'Short. [simulate: output=5, input=10]' }] }] }),
      })
    const events = (await (await ask('?alt=sse')).text()).split('\r\n\r\n')
    expect(events.at(-1)).toMatch(/^: tollgate cost=0.00006 unit=USD input=10 output=5 /)
    expect(await (await ask('')).json()).toHaveLength(6)
    for (let i = 0; i < 2; i++) expectCharge(await charges.next(), { input: 10, output: 5 })
  })

  run('several answers are all charged', async () => {
    const config = { candidateCount: 3 }
    const { last } = await gathered(
      await geminiClient(gateway, 'acme').models.generateContentStream({
        model: MODEL,
        contents: 'Three. [simulate: output=10]',
        config,
      }),
    )
    expect(last.usageMetadata?.candidatesTokenCount).toBe(30)
    expectCharge(await charges.next(), tokensOf(last))
  })

  run('searches are charged as Google bills them', async () => {
    await gateway.grant('20', 'searching')
    const mine = new Charges(gateway, 'searching')
    const ask = (model: string) =>
      geminiClient(gateway, 'searching').models.generateContent({
        model,
        contents: 'News? [simulate: searches=3, output=10]',
        config: { tools: [{ googleSearch: {} }] },
      })
    await ask(MODEL)
    expect((await mine.next()).entry.fields['units']).toEqual({ web_search: 1 })
    await ask('gemini-3-flash-preview')
    expect((await mine.next()).entry.fields['units']).toEqual({ web_search: 3 })
  })
})

describe('a stream without alt=sse is one JSON array', () => {
  const ask = (account: string, text: string, more: object = {}): Promise<Response> =>
    fetch(`${gateway.url}/v1beta/models/${MODEL}:streamGenerateContent`, {
      method: 'POST',
      headers: { 'x-goog-api-key': `key-${account}`, 'content-type': 'application/json' },
      body: JSON.stringify({ contents: [{ parts: [{ text }] }], ...more }),
    })

  run('that is charged by its last element', async () => {
    const charges = new Charges(gateway, 'other')
    await gateway.grant('5', 'other')
    const answer = await ask('other', 'A story. [simulate: output=25]')
    const chunks = (await answer.json()) as GenerateContentResponse[]
    expect(chunks).toHaveLength(26)
    expectCharge(await charges.next(), tokensOf(chunks.at(-1) as GenerateContentResponse))
  })

  run('whose refusals are arrays too', async () => {
    const refused = await ask('poor', 'Hi')
    expect(refused.status).toBe(402)
    expect(refused.headers.get('x-tollgate-error')).toBe('insufficient_funds')
    expect(await refused.json()).toMatchObject([{ error: { code: 402, tollgate: { code: 'insufficient_funds' } } }])
  })

  run('that ends as an array when the money does', async () => {
    await gateway.grant('0.008', 'sliced')
    const answer = await ask('sliced', 'For ever. [simulate: endless, tps=3000]', {
      generationConfig: { maxOutputTokens: 4000 },
    })
    const chunks = (await answer.json()) as GenerateContentResponse[]
    expect(chunks.length).toBeGreaterThan(100)
    expect(chunks.at(-1)?.candidates?.[0]?.finishReason).toBe('MAX_TOKENS')
  })

  run('that ends with an error of ours where the provider breaks off, and its own where it says so', async () => {
    const broken = (await (await ask('other', 'Break. [simulate: fault=reset_mid, output=40]')).json()) as object[]
    expect(broken.at(-1)).toMatchObject({ error: { code: 502, tollgate: { code: 'upstream_unreachable' } } })
    const failed = (await (await ask('other', 'Break. [simulate: fault=error_mid, output=40]')).json()) as object[]
    expect(failed.at(-1)).toMatchObject({ error: { code: 500, status: 'INTERNAL' } })
  })
})
