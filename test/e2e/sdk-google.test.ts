/** The official `@google/genai` client, of the Gemini API and of Vertex AI, with its base URL and key changed. */
import { ApiError, type GenerateContentResponse, GoogleGenAI } from '@google/genai'
import { OAuth2Client } from 'google-auth-library'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, expectCharge, nonZero, PRICES } from './charged-call.ts'

const run = test.skipIf(!redisAvailable)
const MODEL = 'gemini-2.5-flash'
const UPSTREAMS = `  gemini: { format: gemini, base_url: "{simulator}", api_key: AIza-upstream-secret, models: ["gemini-*", "imagen-*"] }
  vertex: { format: vertex, base_url: "{simulator}", api_key: ya29-upstream-secret, models: ["*"] }`
const ACCOUNTS = ['acme', 'other', 'poor', 'sliced', 'cuterror', 'small', 'capped', 'waiting', 'searching']
const PLANS: Readonly<Record<string, string>> = { sliced: 'sliced', cuterror: 'cuterror', capped: 'capped' }
const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD, models: ["gemini-*", "imagen-*", "text-embedding-*", "claude-*"] }
  capped: { unit: USD, max_output_tokens: 20 }
  sliced: { unit: USD, streaming: { slice_tokens: 200, on_cut: finish } }
  cuterror: { unit: USD, streaming: { slice_tokens: 200, on_cut: error } }
accounts:
${ACCOUNTS.map((name) => `  ${name}: { plan: ${PLANS[name] ?? 'main'}, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }`).join('\n')}
`
let gateway: TestGateway

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    entitlements: ENTITLEMENTS,
    upstreams: UPSTREAMS,
    settings: 'limits: { redis_command_timeout: 5s, poll_first: 100ms, poll_most: 200ms }',
    prices: `
  - { match: { model: "imagen-*" }, from: 2020-01-01, per_unit: { images: "0.04" } }
  - match: { model: "*", account: searching }
    from: 2020-01-01
    per_million: { input: "2.00", output: "8.00" }
    per_unit: { web_search: "0.035" }
    context_window: 128000
${PRICES}`,
  })
  await gateway.grant('20')
}, 60_000)

afterAll(() => gateway?.close())

interface Client {
  readonly ai: GoogleGenAI
  /** Straight to the provider: what it says there it must say through the gateway. */
  readonly direct: GoogleGenAI
}

const CLIENTS: Readonly<Record<string, (account: string) => Client>> = {
  'the Gemini API': (account) => ({
    ai: new GoogleGenAI({ apiKey: `key-${account}`, httpOptions: { baseUrl: gateway.url } }),
    direct: new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: gateway.simulator.url } }),
  }),
  'Vertex AI': (account) => ({
    ai: vertexClient(gateway.url, `key-${account}`),
    direct: vertexClient(gateway.simulator.url, 'k'),
  }),
  'Vertex AI with an API key': (account) => ({
    ai: new GoogleGenAI({ vertexai: true, apiKey: `key-${account}`, httpOptions: { baseUrl: gateway.url } }),
    direct: new GoogleGenAI({ vertexai: true, apiKey: 'k', httpOptions: { baseUrl: gateway.simulator.url } }),
  }),
}

/** As application default credentials do it: a bearer token in place of an API key. */
function vertexClient(baseUrl: string, token: string): GoogleGenAI {
  const authClient = new OAuth2Client()
  authClient.setCredentials({ access_token: token, expiry_date: Date.now() + 3_600_000 })
  return new GoogleGenAI({
    vertexai: true,
    project: 'p',
    location: 'us-central1',
    httpOptions: { baseUrl },
    googleAuthOptions: { authClient: authClient as never },
  })
}

function clientOf(account: string): GoogleGenAI {
  return (CLIENTS['the Gemini API'] as (account: string) => Client)(account).ai
}

function tokensOf({ usageMetadata: usage }: GenerateContentResponse): Record<string, number> {
  return nonZero({
    input:
      (usage?.promptTokenCount ?? 0) - (usage?.cachedContentTokenCount ?? 0) + (usage?.toolUsePromptTokenCount ?? 0),
    cached_input: usage?.cachedContentTokenCount ?? 0,
    output: (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
  })
}

async function gathered(stream: AsyncIterable<GenerateContentResponse>) {
  const chunks: GenerateContentResponse[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return {
    chunks,
    last: chunks.at(-1) as GenerateContentResponse,
    text: chunks.map((chunk) => chunk.text ?? '').join(''),
  }
}

async function failureOf(promise: Promise<unknown>): Promise<{ readonly error: unknown; readonly body: ErrorBody }> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  return { error, body: bodyOf(error) }
}

interface ErrorBody {
  readonly error: {
    readonly code: number
    readonly status: string
    readonly message: string
    readonly details: readonly Record<string, unknown>[]
    readonly tollgate: Record<string, unknown>
  }
}

/** The client puts the body it got into the message. */
function bodyOf(error: unknown): ErrorBody {
  const message = (error as Error).message
  return JSON.parse(message.slice(message.indexOf('{'))) as ErrorBody
}

describe.each(Object.keys(CLIENTS))('%s', (name) => {
  const client = (account = 'acme'): Client => (CLIENTS[name] as (account: string) => Client)(account)
  let charges: Charges
  beforeAll(async () => {
    if (!redisAvailable) return
    charges ??= new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
  })

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
  let charges: Charges
  beforeAll(async () => {
    if (!redisAvailable) return
    charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
  })

  run('a cut may end with an error instead', async () => {
    await gateway.grant('0.008', 'cuterror')
    const asked = clientOf('cuterror')
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
    const answer = await clientOf('small').models.generateContent({
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
    const answer = await clientOf('capped').models.generateContent({
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
    const first = clientOf('waiting').models.generateContent(question)
    await waitFor('the first call to be sent', () => gateway.simulator.stats.requests > before)
    const { error, body } = await failureOf(clientOf('waiting').models.generateContent(question))
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
    const stream = await clientOf('acme').models.generateContentStream({
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

  run('a provider that fails in the middle of a stream is an error to the client, never a silent end', async () => {
    for (const fault of ['reset_mid', 'truncate']) {
      const stream = clientOf('acme').models.generateContentStream({
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
    const through = await failureOf(clientOf('acme').models.generateContentStream(question).then(gathered))
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
    const answer = await clientOf('acme').models.generateContent({
      model: MODEL,
      contents: 'Break. [simulate: error_mid]',
    })
    expect(answer.candidates).toBeUndefined()
    await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
    expect(await charges.none()).toBe(true)
  })

  run('a prompt that is refused is charged as stated', async () => {
    const { last } = await gathered(
      await clientOf('acme').models.generateContentStream({ model: MODEL, contents: 'Bad. [simulate: blocked]' }),
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
    const { direct } = (CLIENTS['the Gemini API'] as (account: string) => Client)('acme')
    const asked = `Odd. [simulate: output=30, input=12`
    const plain = tokensOf(await direct.models.generateContent({ model: MODEL, contents: `${asked}]` }))
    expect(plain).toEqual({ input: 12, output: 30 })
    await gathered(
      await clientOf('acme').models.generateContentStream({ model: MODEL, contents: `${asked}, ${oddity}]` }),
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
      await clientOf('acme').models.generateContentStream({
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
      clientOf('searching').models.generateContent({
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

describe('other methods', () => {
  let charges: Charges
  beforeAll(async () => {
    if (!redisAvailable) return
    charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
  })

  run('embeddings are charged as stated, or estimated where nothing is stated', async () => {
    const stated = await clientOf('acme').models.embedContent({ model: 'gemini-embedding-2', contents: 'one two' })
    expect(stated.embeddings).toHaveLength(1)
    expect(await charges.next()).toMatchObject({ source: 'provider', tokens: { input: expect.any(Number) } })
    await clientOf('acme').models.embedContent({ model: 'gemini-embedding-001', contents: 'one two' })
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
    const ai = clientOf('poor')
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

describe('interactions', () => {
  run('are charged as stated, as a whole and in events, and answer to who made them', async () => {
    const charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
    const ai = clientOf('acme')
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
      clientOf('other').interactions.create({
        model: MODEL,
        input: 'Go on.',
        previous_interaction_id: first.id as string,
      }),
    ).rejects.toMatchObject({ status: 404 })
  })
})

describe('files and caches', () => {
  run('are made, used, read and deleted by who made them, and by nobody else', async () => {
    const charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
    const [mine, others] = [clientOf('acme'), clientOf('other')]
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
    const ai = clientOf('acme')
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
    expect((await clientOf('acme').files.get({ name: file.name })).name).toBe(file.name)
  })
})

describe('interactions in the background', () => {
  run('are held whole, asked for by the gateway, and charged once for what they used', async () => {
    const charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
    const ai = clientOf('acme')
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
    await expect(clientOf('other').interactions.get(id)).rejects.toMatchObject({ status: 404 })
  })

  run('that fail or are cancelled cost what they state', async () => {
    const charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
    const ai = clientOf('acme')
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
    const charges = new Charges(gateway, 'acme')
    while (!(await charges.none())) await charges.next()
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
