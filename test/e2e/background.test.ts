/** Responses in the background, by the official client: held whole, asked for by the gateway itself, charged once. */
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let client: OpenAI

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({ settings: 'limits: { poll_first: 100ms, poll_most: 200ms }' })
  client = new OpenAI({ apiKey: TEST_KEY, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
  await gateway.grant('1000')
}, 180_000)
afterAll(() => gateway?.close())

const simulate = (controls: string) => ({ headers: { 'x-simulate': controls } })

function background(controls: string, more: object = {}) {
  const body = { model: 'gpt-5-mini', input: 'hello', background: true, max_output_tokens: 100, ...more } as const
  return client.responses.create(body, simulate(controls)).withResponse()
}

async function posted(): Promise<string> {
  return (await gateway.balance())['posted'] as string
}

async function entriesOf(id: string): Promise<Record<string, unknown>[]> {
  const answer = await gateway.admin('GET', 'accounts/acme/ledger?limit=500')
  const { items } = (await answer.json()) as { items: Record<string, unknown>[] }
  return items.filter((entry) => entry['op'] === id)
}

function idOf(response: Response): string {
  return response.headers.get('x-tollgate-request-id') as string
}

async function ended(id: string): Promise<Record<string, unknown>> {
  let end: Record<string, unknown> | undefined
  await waitFor('its end in the ledger', async () => {
    end = (await entriesOf(id)).find((entry) => ['settle', 'void', 'timeout'].includes(entry['type'] as string))
    return end !== undefined
  })
  return end as Record<string, unknown>
}

run(
  'it is answered at once, held whole, and charged once for what it used however often the caller looks',
  async () => {
    const before = Number(await posted())
    const { data, response } = await background('output=40,looks=4')
    expect(data.status).toBe('queued')
    expect(response.headers.get('x-tollgate-hold')).toBe('0.1')
    const holds = (await (await gateway.admin('GET', 'accounts/acme/holds')).json()) as {
      items: { deadline: string }[]
    }
    expect(holds.items).toHaveLength(1)
    const hours =
      (Date.parse((holds.items[0] as Record<string, string>)['deadline_at'] as string) - Date.now()) / 3_600_000
    expect(hours).toBeGreaterThan(25.9)
    expect(hours).toBeLessThan(26.1)
    for (;;) if ((await client.responses.retrieve(data.id)).status === 'completed') break
    const end = await ended(idOf(response))
    expect(end).toMatchObject({
      type: 'settle',
      endpoint: 'responses',
      charged: '0.04',
      usage_source: 'provider',
      provider_request_id: data.id,
      tokens: { output: 40 },
    })
    for (let look = 0; look < 3; look++) await client.responses.retrieve(data.id)
    expect(Number(await posted()) - before).toBeCloseTo(0.04, 9)
    expect((await entriesOf(idOf(response))).map((entry) => entry['type'])).toEqual(['hold', 'settle'])
    expect((await gateway.balance())['held']).toBe('0')
  },
)

run.each([
  ['failed with its usage', 'outcome=failed,output=30', { type: 'settle', charged: '0.03', usage_source: 'provider' }],
  ['cancelled before it produced anything', 'outcome=cancelled', { type: 'void' }],
  ['without usage', 'no_usage,output=20', { type: 'settle', usage_source: 'estimate' }],
])('one that ends %s has its end in the ledger', async (_name, controls, expected) => {
  const { response } = await background(controls)
  expect(await ended(idOf(response))).toMatchObject(expected)
  expect((await gateway.balance())['held']).toBe('0')
})

run('cancelling it passes, and ends it with what it states', async () => {
  const { data, response } = await background('output=40,looks=1000')
  expect((await client.responses.cancel(data.id)).status).toBe('cancelled')
  expect(await ended(idOf(response))).toMatchObject({ type: 'void' })
})

run('a stream in the background that its caller leaves is asked for, and charged what it came to', async () => {
  const answer = await client.responses
    .create(
      { model: 'gpt-5-mini', input: 'hello', background: true, stream: true, max_output_tokens: 100 },
      simulate('output=80,tps=100,job_ms=1000'),
    )
    .withResponse()
  let events = 0
  for await (const event of answer.data) {
    if (event.type.endsWith('.delta') && ++events === 3) break
  }
  answer.data.controller.abort()
  const end = await ended(idOf(answer.response))
  expect(end).toMatchObject({ type: 'settle', charged: '0.08', usage_source: 'provider' })
})

run('a stream in the background that is read to its end is settled by it, and asked for no more', async () => {
  const answer = await client.responses
    .create(
      { model: 'gpt-5-mini', input: 'hello', background: true, stream: true, max_output_tokens: 100 },
      simulate('output=50'),
    )
    .withResponse()
  for await (const _event of answer.data);
  expect(await ended(idOf(answer.response))).toMatchObject({
    type: 'settle',
    charged: '0.05',
    usage_source: 'provider',
  })
  expect(await entriesOf(idOf(answer.response))).toHaveLength(2)
})

run('what the provider refuses holds nothing', async () => {
  await expect(background('status=429', { store: true })).rejects.toThrow()
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
})
