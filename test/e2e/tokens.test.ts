/** Callers known by a token of an issuer, through a whole gateway. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { startTokenIssuer, type TokenIssuer } from '../support/token-issuer.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let issuer: TokenIssuer
let gateway: TestGateway

function entitlements(fallback: string): string {
  return `version: 1
plans:
  main: { unit: USD }
  trial: { unit: USD, allowance: { amount: "1.00", every: month } }
${fallback}
accounts:
  acme: { plan: main, labels: { tier: gold } }
`
}

beforeAll(async () => {
  if (!redisAvailable) return
  issuer = await startTokenIssuer()
  gateway = await startTestGateway({
    settings: `auth: { jwt: [ { issuer: "${issuer.url}", audience: tollgate, jwks_url: "${issuer.jwksUrl}", algorithms: [ES256], account_claim: org, labels: { team: team } } ] }`,
    entitlements: entitlements('defaults: { plan: trial }'),
  })
  await gateway.grant('100')
}, 30_000)
afterAll(async () => {
  await gateway?.close()
  await issuer?.close()
})

function call(token: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify({ model: 'gpt-5-mini', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] }),
  })
}

const outcome = async (answer: Promise<Response>): Promise<string> => {
  const { status, headers } = await answer
  return `${status} ${headers.get('x-tollgate-error')}`
}

run(
  'an account of the files, by a claim: charged under the claim that stands for the key, with its labels',
  async () => {
    const answer = await call(await issuer.sign({ org: 'acme', sub: 'anna', team: 'search' }))
    expect([answer.status, answer.headers.get('x-tollgate-account')]).toEqual([200, 'acme'])
    const entry = await waitFor('the settle', async () => {
      const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 10, type: 'settle' })
      return entries.at(-1)?.fields
    })
    expect(entry).toMatchObject({ key: 'anna', labels: { tier: 'gold', team: 'search' } })
  },
)

run('an account that nobody knows has the default plan and its allowance', async () => {
  expect(await outcome(call(await issuer.sign({ org: 'newcomer' })))).toBe('200 null')
  // That of the next period is there too.
  expect(await gateway.balance('newcomer')).toMatchObject({ granted: '2', pending: '1' })
})

run('an account in Redis; closed: 401', async () => {
  await gateway.admin('POST', 'accounts', { id: 'kept', plan: 'trial' })
  const token = await issuer.sign({ org: 'kept' })
  expect(await outcome(call(token))).toBe('200 null')
  await gateway.admin('DELETE', 'accounts/kept')
  await waitFor('the refusal', async () => (await outcome(call(token))) === '401 invalid_key', { withinMs: 1_000 })
})

run('what is refused: no claim, another’s audience, a made-up token, an account named beside it', async () => {
  expect(await outcome(call(await issuer.sign({})))).toBe('403 not_entitled')
  expect(await outcome(call(await issuer.sign({ org: 'acme', aud: 'other' })))).toBe('401 invalid_key')
  expect(await outcome(call(await issuer.sign({ org: 'acme' }, { kid: 'made-up' })))).toBe('401 invalid_key')
  expect(await outcome(call(await issuer.sign({ org: 'acme' }), { 'x-tollgate-account': 'acme' }))).toBe(
    '400 invalid_request',
  )
})

run('without a default plan an account that nobody knows is 403, at once after the edit', async () => {
  const { writeFileSync } = await import('node:fs')
  writeFileSync(gateway.files.entitlements, entitlements(''))
  await gateway.gateway.reload()
  expect(await outcome(call(await issuer.sign({ org: 'newcomer' })))).toBe('403 not_entitled')
  expect(await outcome(call(await issuer.sign({ org: 'acme' })))).toBe('200 null')
})

run('the token goes nowhere but into the check', async () => {
  const token = await issuer.sign({ org: 'acme' })
  await (await call(token)).text()
  expect(JSON.stringify(gateway.simulator.stats)).not.toContain(token)
  const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: undefined })
  expect(JSON.stringify(entries, (_key, value) => (typeof value === 'bigint' ? String(value) : value))).not.toContain(
    token.split('.')[2],
  )
})
