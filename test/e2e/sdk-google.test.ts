/** The official `@google/genai` client, of the Gemini API and of Vertex AI, with its base URL and key changed. */
import { ApiError } from '@google/genai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, expectCharge } from './charged-call.ts'
import {
  CLIENTS,
  type Client,
  chargesOf,
  failureOf,
  gathered,
  geminiClient,
  MODEL,
  startGoogleGateway,
  tokensOf,
  vertexClient,
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

describe.each(Object.keys(CLIENTS))('%s', (name) => {
  const client = (account = 'acme'): Client => (CLIENTS[name] as (typeof CLIENTS)[string])(gateway, account)

  run('an answer is the provider’s, and charged to the token', async () => {
    const { ai, direct } = client()
    const question = { model: MODEL, contents: 'What is a toll? [simulate: output=40, cached=5]' }
    const answer = await ai.models.generateContent(question)
    const same = await direct.models.generateContent(question)
    expect(answer.text).toBe(same.text)
    expect(answer.usageMetadata).toEqual(same.usageMetadata)
    const charge = await charges.next()
    expectCharge(charge, tokensOf(same))
    expect(answer.sdkHttpResponse?.headers?.['x-tollgate-cost']).toBe(charge.charged)
    expect(charge.entry.fields).toMatchObject({ model: MODEL, endpoint: 'generate_content' })
  })

  run('thoughts are output', async () => {
    const answer = await client().ai.models.generateContent({
      model: MODEL,
      contents: 'Think. [simulate: output=20, reasoning=30]',
      config: { thinkingConfig: { thinkingBudget: 1024 } },
    })
    expect(answer.usageMetadata).toMatchObject({ candidatesTokenCount: 20, thoughtsTokenCount: 30 })
    const charge = await charges.next()
    expectCharge(charge, tokensOf(answer))
    expect(charge.reasoning).toBe(30)
  })

  run('a stream comes chunk by chunk, and is charged by its last usage', async () => {
    const { ai, direct } = client()
    const question = { model: MODEL, contents: 'A story. [simulate: output=60]' }
    const { chunks, last, text } = await gathered(await ai.models.generateContentStream(question))
    expect(chunks).toHaveLength(61)
    expect(text).toBe((await direct.models.generateContent(question)).text)
    expect(last.candidates?.[0]?.finishReason).toBe('STOP')
    expect(last.usageMetadata?.candidatesTokenCount).toBe(60)
    expectCharge(await charges.next(), tokensOf(last))
  })

  run('a function is called, its result sent back, both calls are charged', async () => {
    const { ai } = client()
    const parameters = {
      type: 'OBJECT' as never,
      properties: { city: { type: 'STRING' as never } },
      required: ['city'],
    }
    const config = { tools: [{ functionDeclarations: [{ name: 'weather', parameters }] }] }
    const first = await ai.models.generateContent({ model: MODEL, contents: 'Weather in Paris?', config })
    const [call] = first.functionCalls ?? []
    expect(call).toMatchObject({ name: 'weather', args: { city: expect.any(String) } })
    expectCharge(await charges.next(), tokensOf(first))
    const second = await ai.models.generateContent({
      model: MODEL,
      contents: [
        { role: 'user', parts: [{ text: 'Weather in Paris?' }] },
        { role: 'model', parts: [{ functionCall: call as never }] },
        { role: 'user', parts: [{ functionResponse: { name: 'weather', response: { result: 'Sunny.' } } }] },
      ],
      config,
    })
    expect(second.text).toBeTruthy()
    expectCharge(await charges.next(), tokensOf(second))
  })

  run('counting tokens is free, also with an empty wallet', async () => {
    const poor = client('poor')
    const counted = await poor.ai.models.countTokens({ model: MODEL, contents: 'How long?' })
    expect(counted.totalTokens).toBe(
      (await poor.direct.models.countTokens({ model: MODEL, contents: 'How long?' })).totalTokens,
    )
    expect(await new Charges(gateway, 'poor').none()).toBe(true)
  })

  run('an unknown key is an ApiError of 401, a model that no plan covers one of 403', async () => {
    const unknown = await failureOf(client('nobody').ai.models.generateContent({ model: MODEL, contents: 'Hi' }))
    expect(unknown.error).toBeInstanceOf(ApiError)
    expect(unknown.error).toMatchObject({ status: 401 })
    expect(unknown.body.error).toMatchObject({
      code: 401,
      status: 'UNAUTHENTICATED',
      tollgate: { code: 'invalid_key' },
    })
    const forbidden = await failureOf(client().ai.models.generateContent({ model: 'other-model', contents: 'Hi' }))
    expect(forbidden.error).toMatchObject({ status: 403 })
    expect(forbidden.body.error).toMatchObject({
      code: 403,
      status: 'PERMISSION_DENIED',
      tollgate: { code: 'not_entitled' },
    })
    expect(await charges.none()).toBe(true)
  })

  run('an empty wallet is an ApiError of 402 that says what is missing; the code stays the number', async () => {
    const { models } = client('poor').ai
    for (const ask of [models.generateContent.bind(models), models.generateContentStream.bind(models)]) {
      const { error, body } = await failureOf(ask({ model: MODEL, contents: 'Hi' }))
      expect(error).toBeInstanceOf(ApiError)
      expect(error).toMatchObject({ status: 402 })
      expect(body.error).toMatchObject({
        code: 402,
        status: 'RESOURCE_EXHAUSTED',
        details: [
          { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'insufficient_funds', domain: 'tollgate' },
        ],
        tollgate: { code: 'insufficient_funds', rule: 'funds', available: '0', unit: 'USD' },
      })
    }
  })

  run('the provider’s own error passes as it came and costs nothing', async () => {
    const { ai, direct } = client()
    for (const fault of ['status=429', 'status=503', 'status=400']) {
      const question = { model: MODEL, contents: `Fail. [simulate: ${fault}]` }
      const through = await failureOf(ai.models.generateContent(question))
      expect(through.error).toBeInstanceOf(ApiError)
      expect((through.error as Error).message).toBe(
        ((await failureOf(direct.models.generateContent(question))).error as Error).message,
      )
    }
    await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
    expect(await charges.none()).toBe(true)
  })

  run('a stream that runs dry ends normally with MAX_TOKENS, at what was delivered', async () => {
    await gateway.grant('0.008', 'sliced')
    const { last, text, chunks } = await gathered(
      await client('sliced').ai.models.generateContentStream({
        model: MODEL,
        contents: 'For ever. [simulate: endless, tps=3000]',
        config: { maxOutputTokens: 4000 },
      }),
    )
    expect(last.candidates?.[0]?.finishReason).toBe('MAX_TOKENS')
    expect(text.length).toBeGreaterThan(100)
    const mine = new Charges(gateway, 'sliced')
    let charge = await mine.next()
    while (!(await mine.none())) charge = await mine.next()
    expect(charge.entry.fields['cut']).toBe(true)
    const delivered = chunks.length - 1
    expect(last.usageMetadata?.candidatesTokenCount).toBe(delivered)
    expect(charge.tokens['output']).toBeGreaterThanOrEqual(delivered)
    expect(charge.tokens['output']).toBeLessThanOrEqual(delivered + 200)
    expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
  })
})

describe('what money changes', () => {
  run('a cut may end with an error instead', async () => {
    await gateway.grant('0.008', 'cuterror')
    const asked = geminiClient(gateway, 'cuterror')
      .models.generateContentStream({
        model: MODEL,
        contents: 'For ever. [simulate: endless, tps=3000]',
        config: { maxOutputTokens: 4000 },
      })
      .then(gathered)
    const { error, body } = await failureOf(asked)
    expect(error).toBeInstanceOf(ApiError)
    expect(body.error).toMatchObject({ code: 402, tollgate: { code: 'insufficient_funds' } })
  })

  run('a call that does not fit whole is trimmed, and says MAX_TOKENS', async () => {
    await gateway.grant('0.003', 'small')
    const answer = await geminiClient(gateway, 'small').models.generateContent({
      model: MODEL,
      contents: 'Write a book. [simulate: output=4000]',
      config: { maxOutputTokens: 4000 },
    })
    expect(answer.candidates?.[0]?.finishReason).toBe('MAX_TOKENS')
    expect(answer.sdkHttpResponse?.headers?.['x-tollgate-trimmed']).toBe(
      `maxOutputTokens=${answer.usageMetadata?.candidatesTokenCount}`,
    )
    expectCharge(await new Charges(gateway, 'small').next(), tokensOf(answer))
    expect(await gateway.balance('small')).toMatchObject({ debt: '0', held: '0' })
  })

  run('a plan’s limit is written into a call that names none', async () => {
    await gateway.grant('1', 'capped')
    const answer = await geminiClient(gateway, 'capped').models.generateContent({
      model: MODEL,
      contents: 'Long. [simulate: output=500]',
    })
    expect(answer.usageMetadata?.candidatesTokenCount).toBe(20)
    expect(answer.candidates?.[0]?.finishReason).toBe('MAX_TOKENS')
    const sent = JSON.parse(gateway.simulator.stats.bodies.at(-1) as string) as object
    expect(sent).toMatchObject({ generationConfig: { maxOutputTokens: 20 } })
  })

  run('what other calls hold is a 429 that says when to try again', async () => {
    await gateway.grant('0.003', 'waiting')
    const question = {
      model: MODEL,
      contents: 'Wait. [simulate: latency=700, output=10]',
      config: { maxOutputTokens: 256 },
    }
    const before = gateway.simulator.stats.requests
    const first = geminiClient(gateway, 'waiting').models.generateContent(question)
    await waitFor('the first call to be sent', () => gateway.simulator.stats.requests > before)
    const { error, body } = await failureOf(geminiClient(gateway, 'waiting').models.generateContent(question))
    expect(error).toMatchObject({ status: 429 })
    expect(body.error.status).toBe('RESOURCE_EXHAUSTED')
    expect(body.error.details[1]).toMatchObject({
      '@type': 'type.googleapis.com/google.rpc.RetryInfo',
      retryDelay: expect.stringMatching(/^\d+s$/),
    })
    expectCharge(await new Charges(gateway, 'waiting').next(), tokensOf(await first))
  })

  run('a client that aborts pays for what the provider produced for it', async () => {
    const aborter = new AbortController()
    const stream = await geminiClient(gateway, 'acme').models.generateContentStream({
      model: MODEL,
      contents: 'Never mind. [simulate: output=400, tps=1000]',
      config: { abortSignal: aborter.signal },
    })
    let seen = 0
    await expect(
      (async () => {
        for await (const _ of stream) if (++seen === 20) aborter.abort()
      })(),
    ).rejects.toThrow()
    const charge = await charges.next()
    expect(charge.tokens['output']).toBe(400)
    expect(charge.source).toBe('provider')
  })
})

describe('other methods', () => {
  run('embeddings are charged as stated, or estimated where nothing is stated', async () => {
    const stated = await geminiClient(gateway, 'acme').models.embedContent({
      model: 'gemini-embedding-2',
      contents: 'one two',
    })
    expect(stated.embeddings).toHaveLength(1)
    expect(await charges.next()).toMatchObject({ source: 'provider', tokens: { input: expect.any(Number) } })
    await geminiClient(gateway, 'acme').models.embedContent({ model: 'gemini-embedding-001', contents: 'one two' })
    expect((await charges.next()).source).toBe('estimate')
  })

  run('text embeddings of Vertex AI are charged by the statistics of each', async () => {
    const { embeddings } = await vertexClient(gateway.url, 'key-acme').models.embedContent({
      model: 'text-embedding-005',
      contents: ['one two three', 'four five six seven'],
    })
    expect(embeddings).toHaveLength(2)
    const charge = await charges.next()
    expect(charge).toMatchObject({ source: 'provider' })
    expect(charge.tokens['input']).toBe(embeddings?.reduce((sum, one) => sum + (one.statistics?.tokenCount ?? 0), 0))
  })

  run('pictures of Imagen are counted', async () => {
    const { generatedImages } = await vertexClient(gateway.url, 'key-acme').models.generateImages({
      model: 'imagen-4.0-generate-001',
      prompt: 'A toll gate.',
      config: { numberOfImages: 2 },
    })
    expect(generatedImages).toHaveLength(2)
    const charge = await charges.next()
    expect(charge.entry.fields).toMatchObject({
      endpoint: 'predict',
      units: { images: 2 },
      usage_source: 'estimate',
      charged: '0.08',
    })
  })

  run('models are listed and read, free', async () => {
    const ai = geminiClient(gateway, 'poor')
    const listed: string[] = []
    for await (const model of await ai.models.list()) listed.push(model.name ?? '')
    expect(listed).toContain('models/gemini-2.5-flash')
    expect((await ai.models.get({ model: MODEL })).name).toBe('models/gemini-2.5-flash')
  })

  run('a key in the query is taken', async () => {
    const answer = await fetch(`${gateway.url}/v1beta/models/${MODEL}:generateContent?key=key-acme`, {
      method: 'POST',
      body: JSON.stringify({ contents: [{ parts: [{ text: 'Hi' }] }] }),
    })
    expect(answer.status).toBe(200)
    expect((await charges.next()).source).toBe('provider')
    const nobody = await fetch(`${gateway.url}/v1beta/models/${MODEL}:unknown?key=key-nobody`, {
      method: 'POST',
      body: '{}',
    })
    expect(nobody.status).toBe(401)
    expect(await nobody.json()).toMatchObject({ error: { code: 401, status: 'UNAUTHENTICATED' } })
  })
})

describe("Anthropic's messages on Vertex AI", () => {
  const PATH = '/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929'
  const ask = (method: string, more: object = {}): Promise<Response> =>
    fetch(`${gateway.url}${PATH}:${method}`, {
      method: 'POST',
      headers: { authorization: 'Bearer key-acme', 'content-type': 'application/json' },
      body: JSON.stringify({
        anthropic_version: 'vertex-2023-10-16',
        max_tokens: 200,
        messages: [{ role: 'user', content: 'Hi [simulate: output=15]' }],
        ...more,
      }),
    })

  run('are charged as their own API charges them', async () => {
    const whole = (await (await ask('rawPredict')).json()) as { usage: { input_tokens: number; output_tokens: number } }
    const charge = await charges.next()
    expectCharge(charge, { input: whole.usage.input_tokens, output: whole.usage.output_tokens })
    expect(charge.entry.fields).toMatchObject({
      endpoint: 'messages',
      upstream: 'vertex',
      model: 'claude-sonnet-4-5@20250929',
    })
    const stream = await (await ask('streamRawPredict', { stream: true })).text()
    expect(stream).toContain('event: message_stop')
    expectCharge(await charges.next(), { input: whole.usage.input_tokens, output: 15 })
  })
})
