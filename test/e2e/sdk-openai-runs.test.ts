/** Runs of assistants by the official client: held whole, asked for by the gateway itself, charged once for each run. */
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const OTHER_KEY = 'tg-other-key'
const POOR_KEY = 'tg-poor-key'
const NARROW_KEY = 'tg-narrow-key'

/** USD an output token: gpt-5-mini 0.001, an assistant of unknown model 0.1. */
const PRICES = `
  - { match: { model: "gpt-5-mini*" }, from: 2020-01-01, per_million: { input: "0", output: "1000" }, context_window: 128000, max_output_tokens: 1000 }
  - { match: { model: "asst_*" }, from: 2020-01-01, per_million: { input: "0", output: "100000" }, context_window: 128000, max_output_tokens: 1000 }
`
const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD, enforcement: enforce }
  narrow: { unit: USD, enforcement: enforce, models: ["gpt-*"] }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(TEST_KEY)}" }] }
  other: { plan: main, keys: [{ id: other, sha256: "${sha256(OTHER_KEY)}" }] }
  poor: { plan: main, keys: [{ id: poor, sha256: "${sha256(POOR_KEY)}" }] }
  narrow: { plan: narrow, keys: [{ id: narrow, sha256: "${sha256(NARROW_KEY)}" }] }
`
const TOOL = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: {} } },
} as const

let gateway: TestGateway
let client: OpenAI
let assistant: string

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    prices: PRICES,
    entitlements: ENTITLEMENTS,
    settings: 'limits: { poll_first: 100ms, poll_most: 200ms }',
    upstreams: `  openai: { format: openai, base_url: "{simulator}/v1", api_key: k, models: ["*"] }`,
  })
  client = clientOf(TEST_KEY)
  for (const account of ['acme', 'other', 'narrow']) await gateway.grant('10000', account)
  assistant = (await client.beta.assistants.create({ model: 'gpt-5-mini', instructions: 'Be brief.' })).id
}, 180_000)
afterAll(() => gateway?.close())

function clientOf(apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
}

const simulate = (controls: string) => ({ headers: { 'x-simulate': controls } })

async function newThread(content = 'hello', from = client): Promise<string> {
  return (await from.beta.threads.create({ messages: [{ role: 'user', content }] })).id
}

type Entry = Record<string, unknown>

async function entries(account = 'acme'): Promise<Entry[]> {
  const answer = await gateway.admin('GET', `accounts/${account}/ledger?limit=500`)
  return ((await answer.json()) as { items: Entry[] }).items
}

/** The entry that ends the run's hold, whoever saw its end. */
async function endOf(runId: string, account = 'acme'): Promise<Entry> {
  let found: Entry | undefined
  await waitFor('the end of the run in the ledger', async () => {
    found = (await entries(account)).find((entry) => entry['provider_request_id'] === runId)
    return found !== undefined
  })
  return found as Entry
}

async function nothingHeld(account = 'acme'): Promise<void> {
  await waitFor('nothing held', async () => (await gateway.balance(account))['held'] === '0')
}

run('a run is answered at once, held whole, and charged once however often its caller looks', async () => {
  const thread = await newThread()
  const started = await client.beta.threads.runs
    .create(
      thread,
      { assistant_id: assistant, model: 'gpt-5-mini', max_completion_tokens: 300 },
      simulate('output=40,looks=3'),
    )
    .withResponse()
  expect(started.data.status).toBe('queued')
  expect(started.response.headers.get('x-tollgate-hold')).toBe('0.3')
  const whole = await client.beta.threads.runs.poll(started.data.id, { thread_id: thread }, { pollIntervalMs: 20 })
  expect(whole).toMatchObject({ status: 'completed', usage: { completion_tokens: 40 } })
  expect(await endOf(whole.id)).toMatchObject({
    type: 'settle',
    endpoint: 'responses',
    model: 'gpt-5-mini',
    charged: '0.04',
    usage_source: 'provider',
    tokens: { input: whole.usage?.prompt_tokens, output: 40 },
  })
  await client.beta.threads.runs.retrieve(whole.id, { thread_id: thread })
  await nothingHeld()
  expect((await entries()).filter((entry) => entry['provider_request_id'] === whole.id)).toHaveLength(1)
  const messages = await client.beta.threads.messages.list(thread)
  expect(messages.data[0]).toMatchObject({ role: 'assistant', run_id: whole.id })
})

run('a stream is settled by its end, before the caller sees it', async () => {
  const thread = await newThread()
  const stream = client.beta.threads.runs.stream(
    thread,
    { assistant_id: assistant, model: 'gpt-5-mini' },
    simulate('output=30'),
  )
  let text = ''
  stream.on('textDelta', (delta) => {
    text += delta.value ?? ''
  })
  const whole = await stream.finalRun()
  expect(whole.usage?.completion_tokens).toBe(30)
  expect(text.length).toBeGreaterThan(0)
  expect(await endOf(whole.id)).toMatchObject({ charged: '0.03', usage_source: 'provider' })
  await nothingHeld()
})

run('a thread that is made with its run belongs to the caller, by JSON and by stream', async () => {
  const body = {
    assistant_id: assistant,
    model: 'gpt-5-mini',
    thread: { messages: [{ role: 'user' as const, content: 'hello' }] },
  }
  const whole = await client.beta.threads.createAndRunPoll(body, { ...simulate('output=20'), pollIntervalMs: 20 })
  expect(await endOf(whole.id)).toMatchObject({ charged: '0.02' })
  const streamed = await client.beta.threads.createAndRunStream(body, simulate('output=25')).finalRun()
  expect(await endOf(streamed.id)).toMatchObject({ charged: '0.025' })
  for (const thread of [whole.thread_id, streamed.thread_id]) {
    expect((await client.beta.threads.messages.list(thread)).data).toHaveLength(2)
    await expect(clientOf(OTHER_KEY).beta.threads.messages.list(thread)).rejects.toThrow(OpenAI.NotFoundError)
  }
})

run('tools of the caller’s and what follows them are one run: charged once, for both passes', async () => {
  const thread = await newThread()
  const wish = { assistant_id: assistant, model: 'gpt-5-mini', tools: [TOOL] }
  const first = client.beta.threads.runs.stream(thread, wish)
  const waiting = await first.finalRun()
  expect(waiting.status).toBe('requires_action')
  expect(Number((await gateway.balance())['held'])).toBeGreaterThan(0)
  const calls = waiting.required_action?.submit_tool_outputs.tool_calls ?? []
  const outputs = calls.map((call) => ({ tool_call_id: call.id, output: 'sunny' }))
  const second = await client.beta.threads.runs
    .submitToolOutputsStream(waiting.id, { thread_id: thread, tool_outputs: outputs }, simulate('output=40,tools=0'))
    .finalRun()
  expect(second.status).toBe('completed')
  const spent = second.usage?.completion_tokens as number
  expect(spent).toBeGreaterThan(40)
  const end = await endOf(second.id)
  expect(end).toMatchObject({ type: 'settle', usage_source: 'provider', tokens: { output: spent } })
  expect(Number(end['charged'])).toBeCloseTo(spent / 1000, 9)
  await nothingHeld()
  expect((await entries()).filter((entry) => entry['provider_request_id'] === second.id)).toHaveLength(1)
})

run('the same without a stream', async () => {
  const thread = await newThread()
  const wish = { assistant_id: assistant, model: 'gpt-5-mini', tools: [TOOL] }
  const waiting = await client.beta.threads.runs.createAndPoll(thread, wish, { pollIntervalMs: 20 })
  expect(waiting.status).toBe('requires_action')
  const calls = waiting.required_action?.submit_tool_outputs.tool_calls ?? []
  const done = await client.beta.threads.runs.submitToolOutputsAndPoll(
    waiting.id,
    { thread_id: thread, tool_outputs: calls.map((call) => ({ tool_call_id: call.id, output: 'sunny' })) },
    { ...simulate('output=40,tools=0'), pollIntervalMs: 20 },
  )
  expect(done.status).toBe('completed')
  expect(await endOf(done.id)).toMatchObject({ tokens: { output: done.usage?.completion_tokens } })
})

run.each([
  ['by JSON', false],
  ['by stream', true],
])('a run that names no model is held by its assistant’s id and charged by its model, %s', async (_name, streams) => {
  const thread = await newThread()
  const runs = client.beta.threads.runs
  const body = { assistant_id: assistant, max_completion_tokens: 300 }
  const whole = streams
    ? await runs.stream(thread, body, simulate('output=30')).finalRun()
    : await runs.createAndPoll(thread, body, { ...simulate('output=30'), pollIntervalMs: 20 })
  const end = await endOf(whole.id)
  expect(end).toMatchObject({
    model: assistant,
    answered_model: 'gpt-5-mini',
    priced_model: 'gpt-5-mini',
    charged: '0.03',
  })
  const hold = (await entries()).find((entry) => entry['op'] === end['op'] && entry['type'] === 'hold')
  expect(hold).toMatchObject({ held: '30', model: assistant })
})

run('a plan that names its models covers no run of an assistant whose model is unknown', async () => {
  const narrow = clientOf(NARROW_KEY)
  const own = (await narrow.beta.assistants.create({ model: 'gpt-5-mini' })).id
  const thread = await newThread('hello', narrow)
  await expect(narrow.beta.threads.runs.create(thread, { assistant_id: own })).rejects.toMatchObject({
    status: 403,
    error: { tollgate: { rule: 'plan.models' } },
  })
  const named = await narrow.beta.threads.runs.create(thread, { assistant_id: own, model: 'gpt-5-mini' })
  expect(await endOf(named.id, 'narrow')).toMatchObject({ type: 'settle' })
})

run('neither another’s thread nor another’s assistant runs', async () => {
  const other = clientOf(OTHER_KEY)
  const thread = await newThread()
  const own = await newThread('hello', other)
  const before = gateway.simulator.stats.requests
  for (const of of [thread, own])
    await expect(other.beta.threads.runs.create(of, { assistant_id: assistant, model: 'gpt-5-mini' })).rejects.toThrow(
      OpenAI.NotFoundError,
    )
  expect(gateway.simulator.stats.requests).toBe(before)
  expect((await gateway.balance('other'))['held']).toBe('0')
})

run.each([
  ['failed with its usage', 'outcome=failed,output=30', { type: 'settle', charged: '0.03' }],
  ['expired without usage', 'outcome=expired,no_usage', { type: 'void' }],
  ['cut at its limit', 'output=5000', { type: 'settle', charged: '0.2' }],
])('a run that ends %s has its end in the ledger', async (_name, controls, expected) => {
  const thread = await newThread()
  const { data, response } = await client.beta.threads.runs
    .create(thread, { assistant_id: assistant, model: 'gpt-5-mini', max_completion_tokens: 200 }, simulate(controls))
    .withResponse()
  await nothingHeld()
  const id = response.headers.get('x-tollgate-request-id')
  const end = (await entries()).find((entry) => entry['op'] === id && entry['type'] !== 'hold')
  expect(end).toMatchObject(expected)
  expect(data.status).toBe('queued')
})

run('a thread that is deleted as soon as its run has ended is charged what the run used, not its hold', async () => {
  // Not asked for by itself within this test: its caller sees the end first.
  const quiet = await startTestGateway({
    prices: PRICES,
    settings: 'limits: { poll_first: 1h, poll_most: 1h }',
    upstreams: `  openai: { format: openai, base_url: "{simulator}/v1", api_key: k, models: ["*"] }`,
  })
  try {
    await quiet.grant('100')
    const { beta } = new OpenAI({ apiKey: TEST_KEY, baseURL: `${quiet.url}/v1`, maxRetries: 0 })
    const own = (await beta.assistants.create({ model: 'gpt-5-mini' })).id
    const body = { assistant_id: own, model: 'gpt-5-mini' }
    for (const [output, charged] of [
      [40, '0.04'],
      [30, '0.07'],
    ] as const) {
      const thread = (await beta.threads.create({ messages: [{ role: 'user', content: 'hello' }] })).id
      const controls = { ...simulate(`output=${output}`), pollIntervalMs: 20 }
      expect((await beta.threads.runs.createAndPoll(thread, body, controls)).status).toBe('completed')
      expect((await quiet.balance())['held']).toBe('1')
      expect((await beta.threads.delete(thread)).deleted).toBe(true)
      expect(await quiet.balance()).toMatchObject({ held: '0', posted: charged })
    }
  } finally {
    await quiet.close()
  }
})

run('a run that is cancelled ends with what it had used', async () => {
  const thread = await newThread()
  const begun = await client.beta.threads.runs.create(
    thread,
    { assistant_id: assistant, model: 'gpt-5-mini' },
    simulate('output=40,looks=1000'),
  )
  expect((await client.beta.threads.runs.cancel(begun.id, { thread_id: thread })).status).toBe('cancelled')
  expect(await endOf(begun.id)).toMatchObject({ charged: '0.04', usage_source: 'provider' })
})

run.each([
  ['its caller leaves', 'output=80,tps=100', true],
  ['breaks off', 'output=80,fault=reset_mid', false],
])('a stream that %s goes on as a run, and is charged what it came to', async (_name, controls, leaves) => {
  const thread = await newThread()
  const stream = client.beta.threads.runs.stream(
    thread,
    { assistant_id: assistant, model: 'gpt-5-mini' },
    simulate(controls),
  )
  let id = ''
  const read = async () => {
    for await (const event of stream) {
      if (event.event === 'thread.run.created') id = event.data.id
      if (leaves && event.event === 'thread.message.delta') break
    }
  }
  if (leaves) await read()
  else await expect(read()).rejects.toThrow('broke off')
  // The poller leaves streams alone for a minute: they tell their own end. Here it is told to look at once.
  expect(await endOf(id)).toMatchObject({ charged: '0.08', usage_source: 'provider' })
})

run('a short wallet lowers the run’s own limit', async () => {
  await gateway.grant('0.4', 'poor')
  const poor = clientOf(POOR_KEY)
  const own = (await poor.beta.assistants.create({ model: 'gpt-5-mini' })).id
  const thread = await newThread('hello', poor)
  const { data, response } = await poor.beta.threads.runs
    .create(thread, { assistant_id: own, model: 'gpt-5-mini' }, simulate('output=900'))
    .withResponse()
  expect(response.headers.get('x-tollgate-trimmed')).toContain('max_completion_tokens')
  expect(data.max_completion_tokens).toBe(400)
  expect(await endOf(data.id, 'poor')).toMatchObject({ charged: '0.4' })
})

run('what cannot be read is refused with its field', async () => {
  const thread = await newThread()
  for (const [body, field] of [
    [{ model: 'gpt-5-mini' }, 'assistant_id'],
    [{ assistant_id: '../files', model: 'gpt-5-mini' }, 'assistant_id'],
    [{ assistant_id: assistant, model: 7 }, 'model'],
    [{ assistant_id: assistant, max_completion_tokens: '300' }, 'max_completion_tokens'],
    [{ assistant_id: assistant, Assistant_ID: 'x' }, 'assistant_id'],
  ] as const) {
    const answer = await gateway.post(`/v1/threads/${thread}/runs`, body)
    expect([answer.status, ((await answer.json()) as { error: { message: string } }).error.message]).toEqual([
      400,
      expect.stringContaining(field),
    ])
  }
})
