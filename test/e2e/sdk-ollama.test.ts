/** The official `ollama` client with its host changed and a key in its headers, and nothing else. */
import { type ChatResponse, type GenerateResponse, Ollama } from 'ollama'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { Charges, expectCharge } from './charged-call.ts'
import { countingFetch, NATIVE_ENTITLEMENTS, NATIVE_PRICES, SLICE_TOKENS } from './native-accounts.ts'

const run = test.skipIf(!redisAvailable)
const MODEL = 'llama3'
let gateway: TestGateway
let charges: Charges
let client: Ollama
/** Straight to the provider: what it says there it must say through the gateway. */
let provider: Ollama

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    upstreams: '  ollama: { format: ollama, base_url: "{simulator}" }',
    entitlements: NATIVE_ENTITLEMENTS,
    prices: NATIVE_PRICES,
  })
  charges = new Charges(gateway, 'acme')
  client = clientOf('acme')
  provider = new Ollama({ host: gateway.simulator.url })
  await gateway.grant('5')
}, 180_000)

afterAll(() => gateway?.close())

function clientOf(account: string, send: typeof fetch = fetch): Ollama {
  return new Ollama({ host: gateway.url, headers: { authorization: `Bearer key-${account}` }, fetch: send })
}

function ask(content: string, numPredict = 500) {
  return { model: MODEL, messages: [{ role: 'user', content }], options: { num_predict: numPredict } }
}

function caught(promise: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  )
}

async function collect<Part extends ChatResponse | GenerateResponse>(
  stream: AsyncIterable<Part>,
): Promise<{ readonly text: string; readonly pieces: number; readonly last: Part | undefined }> {
  let text = ''
  let pieces = 0
  let last: Part | undefined
  for await (const part of stream) {
    const piece = 'message' in part ? part.message.content : part.response
    text += piece
    if (piece !== '') pieces++
    last = part
  }
  return { text, pieces, last }
}

// ---- chat and generate

run('a chat is answered and charged to the token', async () => {
  const question = ask('What is a toll? [simulate: output=40]')
  const answer = await client.chat(question)
  const direct = await provider.chat(question)
  expect(answer.message).toEqual(direct.message)
  expectCharge(await charges.next(), { input: direct.prompt_eval_count, output: 40 })
})

run('a stream comes line by line, and is charged by its last', async () => {
  const question = { ...ask('Tell me a story. [simulate: output=60]'), stream: true as const }
  const { text, pieces, last } = await collect(await client.chat(question))
  const direct = await collect(await provider.chat(question))
  expect([text, pieces, last?.done_reason]).toEqual([direct.text, 60, 'stop'])
  expectCharge(await charges.next(), { input: direct.last?.prompt_eval_count ?? -1, output: 60 })
})

run('a call that says nothing of streaming gets a stream, as Ollama has it', async () => {
  const response = await fetch(`${gateway.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-acme' },
    body: JSON.stringify(ask('Hi [simulate: output=5]')),
  })
  const lines = (await response.text()).trim().split('\n')
  expect(lines).toHaveLength(6)
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ done: true, eval_count: 5 })
  expect((await charges.next()).tokens['output']).toBe(5)
})

run('generate: whole and streamed, thinking charged as output', async () => {
  const question = { model: MODEL, prompt: 'Once upon a time [simulate: output=30]', think: true }
  const whole = await client.generate(question)
  expect([whole.eval_count, (whole.thinking ?? '').length > 0]).toEqual([46, true])
  expectCharge(await charges.next(), { input: whole.prompt_eval_count, output: 46 })
  const { last } = await collect(await client.generate({ ...question, stream: true }))
  expect(last?.eval_count).toBe(46)
  expectCharge(await charges.next(), { input: whole.prompt_eval_count, output: 46 })
})

run('tools and schemas pass', async () => {
  const tools = [
    {
      type: 'function',
      function: {
        name: 'weather',
        description: 'w',
        parameters: { type: 'object', properties: { city: { type: 'string' } } },
      },
    },
  ]
  const called = await client.chat({ ...ask('Weather in Rome?'), tools })
  expect(called.message.tool_calls?.[0]?.function.name).toBe('weather')
  expect((await charges.next()).source).toBe('provider')
  const format = { type: 'object', properties: { title: { type: 'string' } }, required: ['title'] }
  const structured = await client.chat({ ...ask('Judge this.'), format })
  expect(JSON.parse(structured.message.content)).toHaveProperty('title')
  expect((await charges.next()).source).toBe('provider')
})

run('a prompt that came from the cache is not counted, and the entry says so', async () => {
  await client.chat(ask('Again. [simulate: output=7, fault=input_count_absent]'))
  const charge = await charges.next()
  expect([charge.tokens, charge.source, charge.charged]).toEqual([{ output: 7 }, 'provider', '0.000056'])
  expect(charge.entry.fields['usage_flags']).toEqual(['input_not_stated'])
})

run('embeddings are charged by their input; the older endpoint by an estimate', async () => {
  const { prompt_eval_count } = await client.embed({ model: MODEL, input: ['Ruby', 'Python'] })
  expectCharge(await charges.next(), { input: prompt_eval_count })
  const { embedding } = await client.embeddings({ model: MODEL, prompt: 'Ruby' })
  expect(embedding.length).toBeGreaterThan(0)
  expect((await charges.next()).source).toBe('estimate')
})

run('loading a model and looking at models cost nothing; pulling one is refused', async () => {
  const loaded = await client.generate({ model: MODEL, prompt: '' })
  expect(loaded.done_reason).toBe('load')
  expect((await charges.next()).charged).toBe('0')
  const poor = clientOf('poor')
  expect((await poor.list()).models.length).toBeGreaterThan(0)
  expect((await poor.show({ model: MODEL })).capabilities).toContain('completion')
  expect((await poor.ps()).models.length).toBeGreaterThan(0)
  expect(await new Charges(gateway, 'poor').none()).toBe(true)
  await expect(client.pull({ model: MODEL })).rejects.toThrow('unmetered_paths')
})

// ---- refusals

run('a refusal has a shape that the client understands', async () => {
  const counter = countingFetch()
  const error = await caught(clientOf('poor', counter.fetch).chat(ask('Hi', 100)))
  expect(error).toMatchObject({
    name: 'ResponseError',
    status_code: 402,
    error: expect.stringContaining('This call may cost'),
  })
  const streamed = await caught(clientOf('poor', counter.fetch).chat({ ...ask('Hi', 100), stream: true }))
  expect(streamed).toMatchObject({ name: 'ResponseError', status_code: 402 })
  expect(counter.sent).toBe(2)
  expect(await caught(clientOf('nobody').chat(ask('Hi')))).toMatchObject({ status_code: 401 })
  expect(await caught(client.chat({ ...ask('Hi'), options: { num_predict: 1.5 } }))).toMatchObject({ status_code: 400 })
  const body = await fetch(`${gateway.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-poor' },
    body: JSON.stringify(ask('Hi')),
  })
  expect(await body.json()).toMatchObject({
    error: expect.any(String),
    tollgate: { code: 'insufficient_funds', available: '0' },
  })
  expect(await charges.none()).toBe(true)
})

run('the provider’s own error passes as it came and costs nothing', async () => {
  const through = await caught(client.chat({ ...ask('Hi'), model: 'unknown-model' }))
  const direct = await caught(provider.chat({ ...ask('Hi'), model: 'unknown-model' }))
  expect(through).toEqual(direct)
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
  expect(await charges.none()).toBe(true)
})

run.each(['reset_mid', 'error_mid', 'truncate', 'no_terminal'])(
  'a provider that fails in the middle is an error to the client: %s',
  async (fault) => {
    const stream = await client.chat({ ...ask(`Break. [simulate: fault=${fault}, output=60]`), stream: true })
    await expect(collect(stream)).rejects.toThrow(fault === 'error_mid' ? 'had an error' : 'broke off')
    expect((await charges.next()).source).toBe('estimate')
  },
)

// ---- clients that hang up, limits that the money sets

run('a client that aborts pays for what the provider produced for it', async () => {
  await gateway.grant('1', 'leaving')
  const leaving = clientOf('leaving')
  const stream = await leaving.chat({ ...ask('Never mind. [simulate: output=400, tps=1000]'), stream: true })
  let seen = 0
  const read = async (): Promise<void> => {
    for await (const _part of stream) if (++seen === 20) stream.abort()
  }
  await expect(read()).rejects.toThrow(/abort/i)
  expect(seen).toBeLessThan(400)
  const charge = await new Charges(gateway, 'leaving').next()
  expect([charge.tokens['output'], charge.source]).toEqual([400, 'provider'])
})

run('a trimmed answer says "length", and a plan’s limit is written into options', async () => {
  await gateway.grant('0.003', 'small')
  const trimmed = await clientOf('small').chat(ask('Write a book. [simulate: output=4000]', 4000))
  expect(trimmed.done_reason).toBe('length')
  const charge = await new Charges(gateway, 'small').next()
  expect(charge.entry.fields['trimmed']).toBe(trimmed.eval_count)
  expect(await gateway.balance('small')).toMatchObject({ debt: '0', held: '0' })
  await gateway.grant('1', 'capped')
  const capped = await clientOf('capped').chat({
    model: MODEL,
    messages: [{ role: 'user', content: 'Hi [simulate: output=90]' }],
  })
  expect([capped.eval_count, capped.done_reason]).toEqual([20, 'length'])
})

run.each(['chat', 'generate'])(
  'a stream that the money ends is a normal answer that stopped for its length: %s',
  async (endpoint) => {
    const sliced = new Charges(gateway, 'sliced')
    while (!(await sliced.none())) await sliced.next()
    await gateway.grant('0.008', 'sliced')
    const text = 'For ever. [simulate: endless, tps=3000]'
    const options = { num_predict: 4000 }
    const { pieces, last } =
      endpoint === 'chat'
        ? await collect(await clientOf('sliced').chat({ ...ask(text, 4000), stream: true }))
        : await collect(await clientOf('sliced').generate({ model: MODEL, prompt: text, options, stream: true }))
    expect([last?.done, last?.done_reason]).toEqual([true, 'length'])
    expect(pieces).toBeGreaterThan(100)
    const charge = await sliced.next()
    expect(charge.entry.fields['cut']).toBe(true)
    expect(Math.abs((charge.tokens['output'] ?? 0) - pieces)).toBeLessThanOrEqual(SLICE_TOKENS)
    expect(last?.eval_count).toBe(charge.tokens['output'])
    expect(await gateway.balance('sliced')).toMatchObject({ debt: '0', held: '0' })
  },
)

run('where the plan says so, a cut is told as an error', async () => {
  await gateway.grant('0.008', 'cuterror')
  const stream = await clientOf('cuterror').chat({
    ...ask('For ever. [simulate: endless, tps=3000]', 4000),
    stream: true,
  })
  await expect(collect(stream)).rejects.toThrow('wallet')
})
