/**
 * Providers that speak OpenAI's format with oddities of their own, as upstreams in YAML alone: whatever a stream looks
 * like, the client reads it, and it is charged to the token.
 */
import OpenAI, { AzureOpenAI } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { Charges, expectCharge } from './charged-call.ts'
import { NATIVE_ENTITLEMENTS, NATIVE_PRICES } from './native-accounts.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
let charges: Charges
let client: OpenAI

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({
    upstreams: `  usual: { format: openai, base_url: "{simulator}/v1", api_key: k, models: ["llama-*", "rerank-*"] }
  strict: { format: openai, base_url: "{simulator}/v1", api_key: k, models: ["strict-*"], ask_for_usage: false }
  azure: { format: openai, base_url: "{simulator}", api_key: k, auth: api-key, models: ["prod-*"] }`,
    entitlements: NATIVE_ENTITLEMENTS,
    prices: NATIVE_PRICES.replace('per_unit: { searches: "0.002" }', 'per_million: { input: "2.00" }'),
  })
  charges = new Charges(gateway, 'acme')
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'key-acme', maxRetries: 0 })
  await gateway.grant('5')
}, 180_000)

afterAll(() => gateway?.close())

const ask = (model: string, controls: string) => ({
  model,
  messages: [{ role: 'user' as const, content: `Go on. [simulate: input=90, output=40, ${controls}]` }],
  stream: true as const,
})

async function readText(body: ReturnType<typeof ask>): Promise<{ readonly text: string; readonly finish: unknown }> {
  let text = ''
  let finish: unknown
  for await (const chunk of await client.chat.completions.create(body)) {
    text += chunk.choices[0]?.delta.content ?? ''
    finish = chunk.choices[0]?.finish_reason ?? finish
  }
  return { text, finish }
}

describe('where usage stands, and how a stream is written', () => {
  run.each([
    'tps=0',
    'usage_beside',
    'usage_each',
    'usage_groq',
    'no_terminal',
    'crlf',
    'comments',
    'bom',
    'tight',
    'usage_each, no_terminal, crlf, comments, bom, tight',
    'usage_beside, encoding=gzip',
  ])('%s', async (controls) => {
    const { text, finish } = await readText(ask('llama-4', controls))
    expect([text.length > 0, finish]).toEqual([true, 'stop'])
    expectCharge(await charges.next(), { input: 90, output: 40 })
  })
})

describe('the option that asks for usage', () => {
  run('is not sent to who would refuse it', async () => {
    const { finish } = await readText(ask('strict-1', 'strict, usage_beside'))
    expect(finish).toBe('stop')
    expectCharge(await charges.next(), { input: 90, output: 40 })
  })

  run('is what makes such an upstream fail where nobody says so', async () => {
    await expect(readText(ask('llama-4', 'strict, usage_beside'))).rejects.toThrow('stream_options')
    expect(await charges.none()).toBe(true)
  })
})

run('a deployment of Azure’s is priced by its name in the path', async () => {
  const azure = new AzureOpenAI({
    endpoint: gateway.url,
    apiKey: 'key-acme',
    apiVersion: '2024-10-21',
    deployment: 'prod-chat',
    maxRetries: 0,
  })
  const answer = await azure.chat.completions.create({
    model: '',
    messages: [{ role: 'user', content: 'Hi [simulate: input=12, output=9]' }],
  })
  expect(answer.choices[0]?.finish_reason).toBe('stop')
  const charge = await charges.next()
  expectCharge(charge, { input: 12, output: 9 })
  expect([charge.entry.fields['model'], charge.entry.fields['upstream']]).toEqual(['prod-chat', 'azure'])
  const plain = await fetch(`${gateway.url}/openai/deployments/prod-chat/chat/completions?api-version=2024-10-21`, {
    method: 'POST',
    headers: { 'api-key': 'key-acme' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi [simulate: input=12, output=9]' }] }),
  })
  expect(plain.status).toBe(200)
  expectCharge(await charges.next(), { input: 12, output: 9 })
})

run('a reranker that bills tokens is charged by the token', async () => {
  const answer = await fetch(`${gateway.url}/v1/rerank`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-acme', 'x-simulate': 'usage_total, input=43' },
    body: JSON.stringify({ model: 'rerank-2-lite', query: 'q', documents: ['a', 'b'] }),
  })
  expect(await answer.json()).toMatchObject({ usage: { total_tokens: 43 } })
  expectCharge(await charges.next(), { input: 43 })
})
