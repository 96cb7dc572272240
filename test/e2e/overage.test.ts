/** What happens when credit ends, per account and per key: where it shows, and that a later edit changes no open call. */
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { tollgate } from '../support/cli.ts'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { metricOf } from '../support/metrics.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
// biome-ignore lint/suspicious/noExplicitAny: taken apart by assertions, which say what they expect of it
type Json = any

const URL_OF_MONEY = 'https://example.com/billing'
const ENTITLEMENTS = `version: 1
plans:
  main:
    unit: USD
    trim: { enabled: false }
    top_up_url: "${URL_OF_MONEY}"
accounts:
  acme:
    plan: main
    keys:
      - { id: strict, sha256: "${sha256('key-strict')}" }
      - { id: loose, sha256: "${sha256('key-loose')}", plan_overrides: { on_exhausted: { mode: negative, floor: "-0.15" } } }
      - { id: dear, sha256: "${sha256('key-dear')}", plan_overrides: { on_exhausted: { mode: overflow, cap: "0.5", period: month, multiplier: "2" } } }
  globex:
    plan: main
    plan_overrides: { on_exhausted: { mode: flag } }
    keys: [ { id: g, sha256: "${sha256('key-globex')}" } ]
`
const UPSTREAMS = ['openai', 'anthropic', 'gemini', 'cohere', 'ollama', 'bedrock']
  .map((format) => {
    const path = format === 'openai' ? '/v1' : ''
    const auth = format === 'bedrock' ? ', auth: bearer' : ''
    return `  ${format}: { format: ${format}, base_url: "{simulator}${path}", api_key: k${auth}, models: ["*"] }`
  })
  .join('\n')

async function withGateway(use: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const gateway = await startTestGateway({ entitlements: ENTITLEMENTS, upstreams: UPSTREAMS })
  try {
    await use(gateway)
  } finally {
    await gateway.close()
  }
}

/** 0.001 a token; answered with 100. */
function call(gateway: TestGateway, key: string, simulate = 'output=100'): Promise<Response> {
  const body = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }
  return gateway.post('/v1/chat/completions', body, { authorization: `Bearer key-${key}`, 'x-simulate': simulate })
}

function settle(gateway: TestGateway, answer: Response, account = 'acme') {
  const id = answer.headers.get('x-tollgate-request-id')
  return waitFor('the settle', async () =>
    (await gateway.wallet.ledger(account, { afterSeq: 0, limit: 1000, type: 'settle' })).find(({ op }) => op === id),
  )
}

run('each key goes as far as its own policy, and the overage shows in header, ledger and metric', async () => {
  await withGateway(async (gateway) => {
    await gateway.grant('0.05')
    expect((await call(gateway, 'strict')).status).toBe(402)
    const loose = await call(gateway, 'loose')
    expect([loose.status, loose.headers.get('x-tollgate-overage')]).toEqual([200, 'negative'])
    expect((await settle(gateway, loose)).fields).toMatchObject({ overage: { mode: 'negative', amount: '0.05' } })
    const dear = await call(gateway, 'dear')
    expect([dear.status, dear.headers.get('x-tollgate-overage')]).toEqual([200, 'overflow'])
    expect((await settle(gateway, dear)).fields).toMatchObject({
      charged: '0.2',
      overage: { mode: 'overflow', amount: '0.2' },
    })
    const again = await call(gateway, 'loose')
    expect(again.status).toBe(200)
    await settle(gateway, again)
    // At its floor, as block; the other key's cap is not touched by it.
    expect((await call(gateway, 'loose')).status).toBe(402)
    const last = await call(gateway, 'dear')
    expect(last.status).toBe(200)
    await settle(gateway, last)
    expect((await call(gateway, 'dear')).status).toBe(402)
    expect(await gateway.balance()).toMatchObject({ debt: '0.15', overflow: '0.4' })
    const flagged = await call(gateway, 'globex')
    expect(flagged.headers.get('x-tollgate-overage')).toBe('flag')
    await settle(gateway, flagged, 'globex')
    expect(await metricOf(gateway, 'overage_total', { account: 'acme', mode: 'negative' })).toBeCloseTo(0.15)
    expect(await metricOf(gateway, 'overage_total', { account: 'acme', mode: 'overflow' })).toBeCloseTo(0.4)
    expect(await metricOf(gateway, 'overage_total', { account: 'globex', mode: 'flag' })).toBeCloseTo(0.1)
  })
})

const CHAT = { messages: [{ role: 'user', content: 'hello' }] }
const CONVERSE = { messages: [{ role: 'user', content: [{ text: 'hello' }] }] }

run.each([
  ['openai', '/v1/chat/completions', { model: 'gpt-5-mini', ...CHAT }],
  ['anthropic', '/v1/messages', { model: 'claude-sonnet-4-5', max_tokens: 100, ...CHAT }],
  ['gemini', '/v1beta/models/gemini-2.5-flash:generateContent', { contents: [{ parts: [{ text: 'hello' }] }] }],
  ['cohere', '/v2/chat', { model: 'command-r', ...CHAT }],
  ['ollama', '/api/chat', { model: 'llama3', stream: false, ...CHAT }],
  ['bedrock', '/model/amazon.nova-lite-v1:0/converse', CONVERSE],
])('a refusal for money names where to add credit in the shape of %s', async (upstream, path, body) => {
  await withGateway(async (gateway) => {
    const answer = await gateway.post(`/u/${upstream}${path}`, body, { authorization: 'Bearer key-strict' })
    const refused: Json = await answer.json()
    expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([402, 'insufficient_funds'])
    const { tollgate } = typeof refused.error === 'object' ? refused.error : refused
    expect(tollgate).toMatchObject({ code: 'insufficient_funds', unit: 'USD', top_up_url: URL_OF_MONEY })
  })
})

run('a policy that is edited counts from the next hold: an open call ends as it was admitted', async () => {
  await withGateway(async (gateway) => {
    const open = call(gateway, 'loose', 'output=100,latency=1500')
    await waitFor('the hold', async () => (await gateway.wallet.holds('acme'))[0])
    const text = readFileSync(gateway.files.entitlements, 'utf8')
    const edited = text.replace('mode: negative, floor: "-0.15"', 'mode: block')
    expect(edited).not.toBe(text)
    writeFileSync(gateway.files.entitlements, edited)
    expect((await gateway.admin('POST', 'config/reload', {})).status).toBe(200)
    expect((await call(gateway, 'loose')).status).toBe(402)
    const answer = await open
    expect([answer.status, answer.headers.get('x-tollgate-overage')]).toEqual([200, 'negative'])
    const { fields } = await settle(gateway, answer)
    expect(fields).toMatchObject({ charged: '0.1', overage: { mode: 'negative', amount: '0.1' } })
    expect(fields['overrun']).toBeUndefined()
  })
})

run(
  'an overflow period is an invoice item when it is closed: its lines add up, and a refund is a credit note',
  async () => {
    await withGateway(async (gateway) => {
      const settled = async (atoms: bigint) => {
        const terms = pastTerms()
        const onePiece = { fixedAtoms: atoms, perTokenAtoms: 0n, leastTokens: 0, wantTokens: 0, totalTokens: 0 }
        const held = await gateway.wallet.hold({ ...terms, ...onePiece, deadlineMs: 60_000, dryRun: false, info: '{}' })
        expect(held.status).toBe('held')
        return gateway.wallet.settle({ terms, finalAtoms: atoms, info: '{"model":"gpt-5"}' })
      }
      const { seq } = await settled(100_000_000n)
      await settled(50_000_000n)
      const path = 'accounts/acme/overflow/2020-01'
      const open: Json = await (await gateway.admin('GET', path)).json()
      expect(open).toMatchObject({ state: 'open', amount: '0.3', closed_at: null, unit: 'USD', period: '2020-01' })
      expect(open.lines).toMatchObject([
        { charge: `acme:${seq}`, amount: '0.2', model: 'gpt-5' },
        { amount: '0.1', model: 'gpt-5' },
      ])
      const closed = await tollgate(gateway, 'close-period', 'acme', '2020-01', '--json')
      expect(closed.code).toBe(0)
      const invoice = JSON.parse(closed.out)
      expect(invoice).toEqual({ ...open, state: 'closed', closed_at: expect.stringMatching(/^2\d{3}-/) })
      expect(await tollgate(gateway, 'close-period', 'acme', '2020-01')).toMatchObject({ code: 1 })
      expect(await tollgate(gateway, 'refund', `acme:${seq}`, '--reason', 'late')).toMatchObject({ code: 0 })
      expect(await (await gateway.admin('GET', path)).json()).toEqual(invoice)
      const grants = await gateway.wallet.grants('acme')
      expect(grants).toMatchObject([
        { funding: 'invoiced', amountAtoms: 200_000_000n, labels: { credit_note: '2020-01' } },
      ])
      // What comes for the period afterwards goes to the one that is open now.
      await settled(300_000_000n)
      expect(await (await gateway.admin('GET', path)).json()).toEqual(invoice)
      expect((await gateway.balance())['overflow']).toBe('0.5')
    })
  },
)

function pastTerms() {
  const facts = {
    model: 'gpt-5',
    upstream: 'openai',
    endpoint: 'chat',
    key: 'dear',
    run: undefined,
    user: undefined,
    labels: {},
  }
  const onExhausted = { mode: 'overflow', capAtoms: 10_000_000_000n, period: 'month', multiplier: '2' } as const
  return {
    ...{ id: newId(Date.now()), account: 'acme', unit: 'USD', scale: 9, onExhausted, overflowPeriod: '2020-01' },
    ...{ observe: false, facts, floorAtoms: 0n, priceVersion: 'v1', onTimeout: 'known' as const },
  }
}
