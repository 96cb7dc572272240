/**
 * The official `@aws-sdk/client-bedrock-runtime` client with its endpoint and token changed. Its request handler is the
 * HTTP/1.1 one of the SDK: by default it speaks HTTP/2, which the gateway does not.
 */
import {
  AccessDeniedException,
  ApplyGuardrailCommand,
  BedrockRuntimeClient,
  BedrockRuntimeServiceException,
  type ContentBlock,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  ServiceQuotaExceededException,
  StartAsyncInvokeCommand,
  ThrottlingException,
  type TokenUsage,
  ValidationException,
} from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, expectCharge, nonZero, PRICES } from './charged-call.ts'

const run = test.skipIf(!redisAvailable)
const MODEL = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'
const ARN = 'arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0'
const MODELS = '"*anthropic.*", "*amazon.*", "*meta.*", "*mistral.*", "*cohere.*", "*openai.*", "stability.*"'
const UPSTREAMS = `  aws: { format: bedrock, base_url: "{simulator}", models: [${MODELS}], api_key: "AKIASIMULATED:secret", auth: { sigv4: { region: us-east-1 } } }
  other: { format: bedrock, base_url: "http://127.0.0.1:9", api_key: k, models: ["*"] }`
const ACCOUNTS = ['acme', 'poor', 'sliced', 'cuterror', 'small', 'capped', 'waiting']
const PLANS: Readonly<Record<string, string>> = { sliced: 'sliced', cuterror: 'cuterror', capped: 'capped' }
const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD, models: [${MODELS}] }
  capped: { unit: USD, max_output_tokens: 20 }
  sliced: { unit: USD, streaming: { slice_tokens: 200, on_cut: finish } }
  cuterror: { unit: USD, streaming: { slice_tokens: 200, on_cut: error } }
accounts:
${ACCOUNTS.map((name) => `  ${name}: { plan: ${PLANS[name] ?? 'main'}, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }`).join('\n')}
`
let gateway: TestGateway
let charges: Charges
let client: BedrockRuntimeClient
/** Straight to the provider: what it says there it must say through the gateway. */
let provider: BedrockRuntimeClient

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    entitlements: ENTITLEMENTS,
    upstreams: UPSTREAMS,
    settings: `metering: { unmetered_paths: ["POST /guardrail/abc/*"] }`,
    prices: `
  - { match: { model: "stability.*" }, from: 2020-01-01, per_unit: { images: "0.04" } }
${PRICES}`,
  })
  charges = new Charges(gateway, 'acme')
  client = clientOf('acme')
  provider = clientAt(gateway.simulator.url, 'direct')
  await gateway.grant('20')
}, 180_000)

afterAll(() => gateway?.close())

function clientAt(endpoint: string, token: string, maxAttempts = 1): BedrockRuntimeClient {
  return new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint,
    token: { token },
    authSchemePreference: ['httpBearerAuth'],
    maxAttempts,
    requestHandler: new NodeHttpHandler(),
  })
}

function clientOf(account: string, maxAttempts = 1): BedrockRuntimeClient {
  return clientAt(gateway.url, `key-${account}`, maxAttempts)
}

function ask(text: string, maxTokens = 500, more: Partial<ConverseCommandInput> = {}): ConverseCommandInput {
  return {
    modelId: MODEL,
    messages: [{ role: 'user', content: [{ text }] }],
    inferenceConfig: { maxTokens },
    ...more,
  }
}

function tokensOf(usage: TokenUsage | undefined): Record<string, number> {
  const hour = usage?.cacheDetails?.find((detail) => detail.ttl === '1h')?.inputTokens ?? 0
  return nonZero({
    input: usage?.inputTokens ?? 0,
    cached_input: usage?.cacheReadInputTokens ?? 0,
    cache_write_5m: (usage?.cacheWriteInputTokens ?? 0) - hour,
    cache_write_1h: hour,
    output: usage?.outputTokens ?? 0,
  })
}

interface Gathered {
  readonly text: string
  readonly deltas: number
  readonly stopReason: string | undefined
  readonly usage: TokenUsage | undefined
  readonly openBlocks: number
  readonly error: unknown
}

async function gather(stream: AsyncIterable<ConverseStreamOutput> | undefined): Promise<Gathered> {
  let text = ''
  let deltas = 0
  let stopReason: string | undefined
  let usage: TokenUsage | undefined
  let error: unknown
  const open = new Set<number | undefined>()
  try {
    for await (const event of stream ?? []) {
      if (event.contentBlockDelta) {
        open.add(event.contentBlockDelta.contentBlockIndex)
        text += event.contentBlockDelta.delta?.text ?? ''
        deltas++
      }
      if (event.contentBlockStop) open.delete(event.contentBlockStop.contentBlockIndex)
      stopReason ??= event.messageStop?.stopReason
      usage ??= event.metadata?.usage
    }
  } catch (caught) {
    error = caught
  }
  return { text, deltas, stopReason, usage, openBlocks: open.size, error }
}

const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

const TOOLS: ConverseCommandInput['toolConfig'] = {
  tools: [
    {
      toolSpec: {
        name: 'weather',
        inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
      },
    },
  ],
}

// ---- converse

run('an answer is the provider’s and charged to the token', async () => {
  const question = ask('What is a toll? [simulate: output=40]')
  const answer = await client.send(new ConverseCommand(question))
  const direct = await provider.send(new ConverseCommand(question))
  expect(answer.output).toEqual(direct.output)
  expect(answer.usage).toEqual(direct.usage)
  expect(answer.usage?.outputTokens).toBe(40)
  const charge = await charges.next()
  expectCharge(charge, tokensOf(direct.usage))
  expect(charge.entry.fields).toMatchObject({ model: MODEL, endpoint: 'converse', upstream: 'aws' })
})

run('cache reads and writes of both lifetimes are charged at their own prices', async () => {
  const controls = '[simulate: input=4000, cached=1500, cache_write=1000, cache_write_1h=500, output=30]'
  const { usage } = await client.send(new ConverseCommand(ask(`Remember. ${controls}`)))
  expect(tokensOf(usage)).toEqual({
    input: 1000,
    cached_input: 1500,
    cache_write_5m: 1000,
    cache_write_1h: 500,
    output: 30,
  })
  expectCharge(await charges.next(), tokensOf(usage))
})

run('a stream comes event by event, and is charged by its metadata', async () => {
  const question = ask('Tell me a story. [simulate: output=60]')
  const { stream } = await client.send(new ConverseStreamCommand(question))
  const gathered = await gather(stream)
  const direct = await gather((await provider.send(new ConverseStreamCommand(question))).stream)
  expect(gathered).toEqual(direct)
  expect(gathered).toMatchObject({ deltas: 60, stopReason: 'end_turn', openBlocks: 0 })
  expectCharge(await charges.next(), tokensOf(direct.usage))
})

run('thinking is charged as output, in a stream too', async () => {
  const question = ask('Think.', 2000, {
    additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 1024 } },
  })
  const { output, usage } = await client.send(new ConverseCommand(question))
  expect(output?.message?.content?.[0]?.reasoningContent?.reasoningText?.text).toContain('hmm')
  expectCharge(await charges.next(), tokensOf(usage))
  const gathered = await gather((await client.send(new ConverseStreamCommand(question))).stream)
  expectCharge(await charges.next(), tokensOf(gathered.usage))
})

run('a tool is called, its result sent back, both calls are charged', async () => {
  const first = await client.send(new ConverseCommand(ask('How is the weather in Paris?', 500, { toolConfig: TOOLS })))
  const content = first.output?.message?.content as ContentBlock[]
  const use = content.find((block) => block.toolUse)?.toolUse
  expect(first.stopReason).toBe('tool_use')
  expect(use).toMatchObject({ name: 'weather', input: { city: expect.any(String) } })
  expectCharge(await charges.next(), tokensOf(first.usage))
  const second = await client.send(
    new ConverseCommand({
      ...ask('', 500, { toolConfig: TOOLS }),
      messages: [
        { role: 'user', content: [{ text: 'How is the weather in Paris?' }] },
        { role: 'assistant', content },
        { role: 'user', content: [{ toolResult: { toolUseId: use?.toolUseId, content: [{ text: 'Sunny.' }] } }] },
      ],
    }),
  )
  expect(second.stopReason).toBe('end_turn')
  expectCharge(await charges.next(), tokensOf(second.usage))
})

run('a streamed tool call passes whole', async () => {
  const { stream } = await client.send(new ConverseStreamCommand(ask('Weather in Rome?', 500, { toolConfig: TOOLS })))
  let input = ''
  let name: string | undefined
  for await (const event of stream ?? []) {
    name ??= event.contentBlockStart?.start?.toolUse?.name
    input += event.contentBlockDelta?.delta?.toolUse?.input ?? ''
  }
  expect([name, JSON.parse(input)]).toEqual(['weather', { city: expect.any(String) }])
  expect((await charges.next()).source).toBe('provider')
})

run('an ARN reaches the provider as the SDK wrote it, and is the model in the ledger', async () => {
  const { usage } = await client.send(new ConverseCommand({ ...ask('By ARN.'), modelId: ARN }))
  const charge = await charges.next()
  expectCharge(charge, tokensOf(usage))
  expect(charge.entry.fields).toMatchObject({ model: ARN })
  expect(gateway.simulator.stats.seen.at(-1)?.path).toBe(`/model/${encodeURIComponent(ARN)}/converse`)
})

// ---- invoke

interface Maker {
  readonly model: string
  readonly body: object
}

const SAY = 'Say something. [simulate: input=50, output=30]'
const MAKERS: Readonly<Record<string, Maker>> = {
  Anthropic: {
    model: MODEL,
    body: { anthropic_version: 'bedrock-2023-05-31', max_tokens: 500, messages: [{ role: 'user', content: SAY }] },
  },
  Nova: {
    model: 'amazon.nova-lite-v1:0',
    body: { messages: [{ role: 'user', content: [{ text: SAY }] }], inferenceConfig: { maxTokens: 500 } },
  },
  Titan: {
    model: 'amazon.titan-text-lite-v1',
    body: { inputText: SAY, textGenerationConfig: { maxTokenCount: 500 } },
  },
  Llama: { model: 'meta.llama3-70b-instruct-v1:0', body: { prompt: SAY, max_gen_len: 500 } },
  Mistral: { model: 'mistral.mistral-7b-instruct-v0:2', body: { prompt: SAY, max_tokens: 500 } },
  Cohere: { model: 'cohere.command-r-v1:0', body: { message: SAY, max_tokens: 500 } },
  OpenAI: {
    model: 'openai.gpt-oss-20b-1:0',
    body: { messages: [{ role: 'user', content: SAY }], max_completion_tokens: 500 },
  },
}

describe.each(Object.entries(MAKERS))('a body in the words of %s', (_name, maker) => {
  const input = { modelId: maker.model, body: JSON.stringify(maker.body), contentType: 'application/json' }

  run('whole', async () => {
    const answer = await client.send(new InvokeModelCommand(input))
    const text = Buffer.from(answer.body).toString()
    const direct = await provider.send(new InvokeModelCommand(input))
    // Only Anthropic's answers have an id, another for each call.
    expect(text.replace(/msg_bdrk_\w+/, '')).toBe(
      Buffer.from(direct.body)
        .toString()
        .replace(/msg_bdrk_\w+/, ''),
    )
    expectCharge(await charges.next(), { input: 50, output: 30 })
  })

  run('in chunks', async () => {
    const { body } = await client.send(new InvokeModelWithResponseStreamCommand(input))
    const chunks = await chunksOf(body)
    expect(chunks.at(-1)).toHaveProperty(
      'amazon-bedrock-invocationMetrics',
      expect.objectContaining({ outputTokenCount: 30 }),
    )
    expectCharge(await charges.next(), { input: 50, output: 30 })
  })

  run('whose counts stand in the headers alone', async () => {
    const body = JSON.stringify(maker.body).replace('output=30', 'output=30, usage_in_headers')
    await client.send(new InvokeModelCommand({ ...input, body }))
    expectCharge(await charges.next(), { input: 50, output: 30 })
  })

  run('is estimated where nothing is stated', async () => {
    const body = JSON.stringify(maker.body).replace('output=30', 'output=30, no_usage')
    await client.send(new InvokeModelCommand({ ...input, body }))
    expect((await charges.next()).source).toBe('estimate')
  })

  run('a limit of the plan is written into it', async () => {
    await gateway.grant('1', 'capped')
    await clientOf('capped').send(new InvokeModelCommand(input))
    expect((await new Charges(gateway, 'capped').next()).tokens['output']).toBeLessThanOrEqual(20)
    expect(gateway.simulator.stats.bodies.at(-1)).toBe(JSON.stringify(maker.body).replace('500', '20'))
  })
})

async function chunksOf(
  body: AsyncIterable<{ readonly chunk?: { readonly bytes?: Uint8Array | undefined } | undefined }> | undefined,
): Promise<Record<string, unknown>[]> {
  const chunks: Record<string, unknown>[] = []
  for await (const event of body ?? [])
    if (event.chunk?.bytes) chunks.push(JSON.parse(Buffer.from(event.chunk.bytes).toString()))
  return chunks
}

run('where the metrics differ the message counts, and the entry says so', async () => {
  const body = JSON.stringify(MAKERS['Anthropic']?.body).replace('output=30', 'output=30, metrics_differ')
  const answer = await client.send(new InvokeModelWithResponseStreamCommand({ modelId: MODEL, body }))
  const last = (await chunksOf(answer.body)).at(-1)
  expect(last?.['amazon-bedrock-invocationMetrics']).toMatchObject({ outputTokenCount: 14 })
  const charge = await charges.next()
  expectCharge(charge, { input: 50, output: 30 })
  expect(charge.entry.fields['usage_flags']).toEqual(['counts_differ'])
})

run.each([
  ['amazon.titan-embed-text-v2:0', { inputText: 'one two three four' }],
  ['cohere.embed-v4:0', { input_type: 'search_document', texts: ['one two three four'] }],
])('an embedding by %s has no output', async (modelId, body) => {
  const answer = await client.send(new InvokeModelCommand({ modelId, body: JSON.stringify(body) }))
  expect(JSON.parse(Buffer.from(answer.body).toString())).toBeTruthy()
  const charge = await charges.next()
  expect([charge.source, Object.keys(charge.tokens)]).toEqual(['provider', ['input']])
})

run('images are charged by the piece', async () => {
  await client.send(
    new InvokeModelCommand({ modelId: 'stability.stable-image-core-v1:1', body: JSON.stringify({ prompt: 'A cat.' }) }),
  )
  const charge = await charges.next()
  expect([charge.charged, charge.entry.fields['units']]).toEqual(['0.04', { images: 1 }])
})

run('counting tokens is free, and a guardrail is applied only where the config names it', async () => {
  const { messages } = ask('How long is this?')
  const poor = clientOf('poor')
  const counted = await poor.send(new CountTokensCommand({ modelId: MODEL, input: { converse: { messages } } }))
  expect(counted.inputTokens).toBeGreaterThan(0)
  const judge = (guardrailIdentifier: string) =>
    poor.send(
      new ApplyGuardrailCommand({
        guardrailIdentifier,
        guardrailVersion: '1',
        source: 'INPUT',
        content: [{ text: { text: 'Hi' } }],
      }),
    )
  expect((await judge('abc')).action).toBe('NONE')
  expect(await caught(judge('other'))).toMatchObject({ $metadata: { httpStatusCode: 403 } })
  expect(await new Charges(gateway, 'poor').none()).toBe(true)
  const elsewhere = await caught(
    poor.send(new CountTokensCommand({ modelId: 'elsewhere.x', input: { converse: { messages } } })),
  )
  expect(elsewhere).toMatchObject({ $metadata: { httpStatusCode: 502 } })
})

// ---- errors

run('errors are the client’s own classes, with our code', async () => {
  const unknown = await caught(clientOf('nobody').send(new ConverseCommand(ask('Hi'))))
  expect(unknown).toBeInstanceOf(AccessDeniedException)
  expect(unknown).toMatchObject({ $metadata: { httpStatusCode: 401 }, message: expect.stringContaining('key') })
  const forbidden = await caught(client.send(new ConverseCommand({ ...ask('Hi'), modelId: 'other.model' })))
  expect(forbidden).toBeInstanceOf(AccessDeniedException)
  expect(forbidden).toMatchObject({
    $metadata: { httpStatusCode: 403 },
    $response: { headers: expect.objectContaining({ 'x-tollgate-error': 'not_entitled' }) },
  })
  const malformed = await caught(client.send(new ConverseCommand(ask('Hi', -5))))
  expect(malformed).toBeInstanceOf(ValidationException)
  const refused = await caught(
    client.send(
      new StartAsyncInvokeCommand({
        modelId: 'amazon.nova-reel-v1:0',
        modelInput: {},
        outputDataConfig: { s3OutputDataConfig: { s3Uri: 's3://b' } },
      }),
    ),
  )
  expect(refused).toBeInstanceOf(AccessDeniedException)
  expect(refused).toMatchObject({
    $response: { headers: expect.objectContaining({ 'x-tollgate-error': 'endpoint_not_metered' }) },
  })
  expect(await charges.none()).toBe(true)
})

run('a client that signs is told to send a bearer key', async () => {
  const signing = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: gateway.url,
    credentials: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret' },
    authSchemePreference: ['sigv4'],
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(),
  })
  const error = await caught(signing.send(new ConverseCommand(ask('Hi'))))
  expect(error).toBeInstanceOf(AccessDeniedException)
  expect(error).toMatchObject({ $metadata: { httpStatusCode: 401 }, message: expect.stringContaining('Bearer') })
})

run('402 is a quota that is exceeded, and the client does not try again', async () => {
  const before = gateway.simulator.stats.requests
  const error = await caught(clientOf('poor', 4).send(new ConverseCommand(ask('Hi', 100))))
  expect(error).toBeInstanceOf(ServiceQuotaExceededException)
  expect(error).toMatchObject({
    $metadata: { httpStatusCode: 402, attempts: 1 },
    message: expect.stringContaining('0 USD is available'),
    tollgate: { code: 'insufficient_funds', rule: 'funds', available: '0', unit: 'USD' },
  })
  expect(gateway.simulator.stats.requests).toBe(before)
})

run('429 is throttling; a client with retries gets its answer when the open call has ended', async () => {
  // Pays for one call of 256 tokens (0.002048 and its input) at a time.
  await gateway.grant('0.003', 'waiting')
  const waiting = new Charges(gateway, 'waiting')
  const question = ask('Wait. [simulate: latency=700, output=10]', 256)
  const before = gateway.simulator.stats.requests
  const first = clientOf('waiting').send(new ConverseCommand(question))
  await waitFor('the first call to be sent', () => gateway.simulator.stats.requests > before)
  const refused = await caught(clientOf('waiting').send(new ConverseCommand(question)))
  expect(refused).toBeInstanceOf(ThrottlingException)
  const patient = await clientOf('waiting', 8).send(new ConverseCommand(question))
  expect(patient.stopReason).toBe('end_turn')
  expectCharge(await waiting.next(), tokensOf((await first).usage))
  expectCharge(await waiting.next(), tokensOf(patient.usage))
})

run.each([
  ['status=429', 'ThrottlingException', 429],
  ['status=424', 'ModelErrorException', 424],
  ['status=400', 'ValidationException', 400],
  ['status=500', 'InternalServerException', 500],
])('the provider’s own error passes as it came and costs nothing (%s)', async (fault, name, status) => {
  for (const Command of [ConverseCommand, ConverseStreamCommand] as const) {
    const question = ask(`Fail. [simulate: ${fault}]`)
    const [through, direct] = await Promise.all([
      caught(client.send(new Command(question) as ConverseCommand)),
      caught(provider.send(new Command(question) as ConverseCommand)),
    ])
    expect(through).toMatchObject({ name, message: (direct as Error).message, $metadata: { httpStatusCode: status } })
  }
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
  expect(await charges.none()).toBe(true)
})

run.each([
  ['an exception in the middle of a stream', 'error_mid', 'ModelStreamErrorException'],
  ['another one', 'failed_mid', 'ThrottlingException'],
])('%s reaches the client as its own class, and what was delivered is charged', async (_name, fault, name) => {
  const { stream } = await client.send(new ConverseStreamCommand(ask(`Break. [simulate: fault=${fault}, output=60]`)))
  const gathered = await gather(stream)
  expect(gathered.error).toMatchObject({ name })
  const charge = await charges.next()
  expect([charge.source, charge.tokens['output']]).toEqual(['estimate', gathered.deltas])
})

run.each(['reset_mid', 'truncate'])(
  'a provider that breaks off (%s) is an error to the client, never a silent end',
  async (fault) => {
    const { stream } = await client.send(new ConverseStreamCommand(ask(`Break. [simulate: fault=${fault}, output=60]`)))
    expect((await gather(stream)).error).toBeInstanceOf(BedrockRuntimeServiceException)
    expect((await charges.next()).source).toBe('estimate')
    const body = JSON.stringify(MAKERS['Llama']?.body).replace('output=30', `output=60, ${fault}`)
    const invoked = await client.send(new InvokeModelWithResponseStreamCommand({ modelId: 'meta.llama3', body }))
    expect(await caught(chunksOf(invoked.body))).toBeInstanceOf(BedrockRuntimeServiceException)
    expect((await charges.next()).source).toBe('estimate')
  },
)

// ---- clients that hang up, limits that the money sets

run('a client that aborts pays for what the provider produced for it', async () => {
  const control = new AbortController()
  const question = ask('Never mind. [simulate: output=400, tps=1000]')
  const { stream } = await client.send(new ConverseStreamCommand(question), { abortSignal: control.signal })
  let seen = 0
  await caught(
    (async () => {
      for await (const event of stream ?? []) if (event.contentBlockDelta && ++seen === 20) control.abort()
    })(),
  )
  expect(seen).toBeLessThan(400)
  const charge = await charges.next()
  expect([charge.source, charge.tokens['output']]).toEqual(['provider', 400])
})

run('a trimmed answer says "max_tokens", and costs no more than the wallet had', async () => {
  await gateway.grant('0.003', 'small')
  const { stopReason, usage } = await clientOf('small').send(
    new ConverseCommand(ask('Write a book. [simulate: output=4000]', 4000)),
  )
  expect(stopReason).toBe('max_tokens')
  const sent = JSON.parse(gateway.simulator.stats.bodies.at(-1) ?? '') as { inferenceConfig: { maxTokens: number } }
  expect(sent.inferenceConfig.maxTokens).toBe(usage?.outputTokens)
  expectCharge(await new Charges(gateway, 'small').next(), tokensOf(usage))
  expect(await gateway.balance('small')).toMatchObject({ debt: '0', held: '0' })
})

run('a converse stream that runs dry ends normally, and the charge is what was delivered', async () => {
  await gateway.grant('0.008', 'sliced')
  const { stream } = await clientOf('sliced').send(
    new ConverseStreamCommand(ask('For ever. [simulate: endless, tps=3000]', 4000)),
  )
  const gathered = await gather(stream)
  expect(gathered).toMatchObject({ stopReason: 'max_tokens', openBlocks: 0, error: undefined })
  const charge = await new Charges(gateway, 'sliced').next()
  expect(charge.entry.fields['cut']).toBe(true)
  expect(charge.source).toBe('estimate')
  expect(gathered.usage?.outputTokens).toBe(charge.tokens['output'])
  expect(gathered.usage?.inputTokens).toBeGreaterThan(0)
  expect(Math.abs(gathered.deltas - (charge.tokens['output'] ?? 0))).toBeLessThanOrEqual(200)
  expect(gathered.deltas).toBeGreaterThan(200)
  expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
})

run.each(['Anthropic', 'Llama', 'Nova'])('so does an invoke stream in the words of %s', async (name) => {
  await gateway.grant('0.004', 'sliced')
  const maker = MAKERS[name] as Maker
  const body = JSON.stringify(maker.body).replace('input=50, output=30', 'endless, tps=3000').replace('500', '4000')
  const sliced = new Charges(gateway, 'sliced')
  await sliced.skip()
  const { body: stream } = await clientOf('sliced').send(
    new InvokeModelWithResponseStreamCommand({ modelId: maker.model, body }),
  )
  const chunks = await chunksOf(stream)
  const charge = await sliced.next()
  expect(charge.entry.fields['cut']).toBe(true)
  expect(JSON.stringify(chunks)).toMatch(/"(max_tokens|length)"/)
  expect(chunks.at(-1)?.['amazon-bedrock-invocationMetrics']).toMatchObject({
    outputTokenCount: charge.tokens['output'],
  })
  expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
})

run('with on_cut: error a stream that runs dry ends with an exception', async () => {
  await gateway.grant('0.008', 'cuterror')
  const { stream } = await clientOf('cuterror').send(
    new ConverseStreamCommand(ask('For ever. [simulate: endless, tps=3000]', 4000)),
  )
  const gathered = await gather(stream)
  expect(gathered.error).toBeInstanceOf(ValidationException)
  expect(gathered.error).toMatchObject({ message: expect.stringContaining('The answer was cut') })
  expect((await new Charges(gateway, 'cuterror').next()).entry.fields['cut']).toBe(true)
})
