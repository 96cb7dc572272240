import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { SECRET } from '../support/webhook-receiver.ts'
import { type PrometheusServer, startPrometheus, waitFor } from './prometheus-server.ts'
import { missing } from './prometheus-tools.ts'
import { watchedExpressions, withoutFilters } from './watched-expressions.ts'

/** An account for each thing that can happen to a call; its key is `key-NAME`. */
const ACCOUNTS = {
  plain: '{ unit: USD }',
  dear: '{ unit: USD, max_cost_per_call: "0.30" }',
  sliced: '{ unit: USD, streaming: { slice_tokens: 100 } }',
  flagged: '{ unit: USD, on_exhausted: { mode: flag } }',
  observed: '{ unit: USD, enforcement: observe }',
}

const entitlements = `version: 1
plans:
${Object.entries(ACCOUNTS)
  .map(([name, plan]) => `  ${name}: ${plan}`)
  .join('\n')}
accounts:
${Object.keys(ACCOUNTS)
  .map((name) => `  ${name}: { plan: ${name}, keys: [ { id: ${name}, sha256: "${sha256(`key-${name}`)}" } ] }`)
  .join('\n')}
webhooks: [ { url: "http://127.0.0.1:9/hook", secret: ${SECRET} } ]
budgets:
  - { name: daily, match: { account: plain }, limit: "900", unit: USD, window: day }
`
/** Neither a cached rate nor limits: what is missing is counted. */
const prices = `
  - { match: { model: "*" }, from: 2020-01-01, per_million: { input: "1", output: "1000" } }
`

/** An issuer of whom nobody has a token: its keys are not asked for, and its series are there. */
const settings = `auth: { jwt: [ { issuer: "https://login.example", audience: tollgate, jwks_url: "https://login.example/keys", account_claim: org } ] }`

type Account = keyof typeof ACCOUNTS

describe.skipIf(missing('prometheus') || !redisAvailable)('a real Prometheus that scraped a running gateway', () => {
  let gateway: TestGateway
  let prometheus: PrometheusServer
  let traffic: NodeJS.Timeout

  async function chat(
    account: Account,
    directives: string,
    more: Record<string, unknown> = { max_tokens: 100 },
  ): Promise<void> {
    const body = { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'hello' }], ...more }
    const answer = await gateway.post('/v1/chat/completions', body, {
      authorization: `Bearer key-${account}`,
      'x-simulate': directives,
    })
    await answer.text()
  }

  beforeAll(async () => {
    gateway = await startTestGateway({ entitlements, prices, settings })
    await Promise.all([gateway.grant('1000', 'plain'), gateway.grant('1000', 'dear'), gateway.grant('0.5', 'sliced')])
    prometheus = await startPrometheus(new URL(gateway.adminUrl).host)
    await Promise.all([
      chat('plain', 'output=10,input=50,cached=20,reasoning=5', {}),
      chat('plain', 'output=10,fault=no_usage'),
      chat('dear', 'output=10', { max_tokens: 4000 }),
      chat('sliced', 'fault=endless,tps=2000', { max_tokens: 4000, stream: true }),
      chat('flagged', 'output=10'),
      chat('observed', 'output=10'),
      fetch(`${gateway.url}/v1/models`, { headers: { authorization: 'Bearer key-plain' } }).then((answer) =>
        answer.text(),
      ),
    ])
    await chat('sliced', 'output=10')
    // Balances are read each 15 s: the second reading tells when a wallet that spends is empty.
    traffic = setInterval(() => void chat('plain', 'output=10'), 250)
    const last = 'account_unit:tollgate_wallet_seconds_to_empty:min and on() stage:tollgate_overhead_seconds:p99_5m'
    await waitFor(
      async () => (await prometheus.query(last)).length > 0,
      () => 'no time to empty was recorded',
      180_000,
    )
  }, 180_000)

  afterAll(async () => {
    clearInterval(traffic)
    await prometheus?.stop()
    await gateway?.close()
  }, 180_000)

  // An account has no series of a drift until its books drift: filled-metrics.ts has one.
  const seen = watchedExpressions().filter(({ expression }) => !expression.includes('tollgate_drift'))
  test.each(seen)('$name returns series', async ({ expression }) => {
    // Rules and scrapes come in their own time, on a busy machine later.
    await waitFor(
      async () => (await prometheus.query(withoutFilters(expression))).length > 0,
      () => `no series of ${expression}`,
    )
  })

  test.each([
    ['tollgate_trimmed_total{account="dear"}', 1],
    ['tollgate_cut_total{account="sliced"}', 1],
    ['tollgate_overage_total{account="flagged", mode="flag"}', 0.01],
    ['tollgate_would_refuse_total{account="observed", code="insufficient_funds"}', 1],
    ['tollgate_refused_total{account="sliced"}', 1],
    [
      'tollgate_requests_total{account="dear", outcome="trimmed", upstream="openai", endpoint="chat", model="gpt-5-mini"}',
      1,
    ],
    ['tollgate_usage_missing_total{upstream="openai"}', 1],
    ['tollgate_redis_up', 1],
    ['tollgate_redis_embedded_in_memory', 0],
  ])('what happened is what is counted: %s is %d', async (expression, value) => {
    const [series] = await prometheus.query(expression)
    expect(Number(series?.value[1])).toBeCloseTo(value, 2)
  })
})
