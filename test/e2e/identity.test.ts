/** Who calls: every way to send a key, what is refused, and that no key goes where it does not belong. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { answerChat, type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const UPSTREAM_KEY = 'sk-upstream-canary-5b1f'
const OTHER_KEY = 'tg-other-key'
const STRICT_KEY = 'tg-strict-key'
const NARROW_KEY = 'tg-narrow-key'
let upstream: CountingUpstream
let gateway: TestGateway

beforeAll(async () => {
  if (!redisAvailable) return
  upstream = await startCountingUpstream((request, response) => {
    // An upstream that echoes what it got, and claims to be us.
    response.setHeader('x-tollgate-cost', '0')
    response.setHeader('x-tollgate-account', 'someone-else')
    response.setHeader('authorization', `Bearer ${UPSTREAM_KEY}`)
    response.setHeader('connection', 'keep-alive, x-hop')
    response.setHeader('x-hop', '1')
    answerChat(request, response)
  })
  gateway = await startTestGateway({
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: ${UPSTREAM_KEY}, models: ["gpt-*"] }
  anthropic: { format: anthropic, base_url: "${upstream.url}", api_key: ${UPSTREAM_KEY}, models: ["claude-*"] }`,
    settings: 'run_headers: [x-claude-code-session-id]',
    entitlements: `version: 1
plans:
  main:
    unit: USD
accounts:
  acme:
    plan: main
    labels: { team: search, tier: gold }
    plan_overrides: { max_output_tokens: 300 }
    keys:
      - { id: test, sha256: "${sha256(TEST_KEY)}", labels: { team: chat }, plan_overrides: { models: ["gpt-*", "claude-*"] } }
      - { id: strict, sha256: "${sha256(STRICT_KEY)}", plan_overrides: { require: [run, user, cost_center], models: ["gpt-5-mini"], max_output_tokens: 7 } }
      - { id: narrow, sha256: "${sha256(NARROW_KEY)}", plan_overrides: { models: ["gpt-5-nano"] } }
  other:
    plan: main
    keys:
      - { id: other, sha256: "${sha256(OTHER_KEY)}" }
`,
  })
  await gateway.grant('1000')
}, 180_000)
afterAll(async () => {
  await gateway?.close()
  await upstream?.close()
})
beforeEach(() => {
  if (upstream) upstream.requests.length = 0
})

const CHAT = { model: 'gpt-5-mini', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] }

function call(headers: Record<string, string>, query = '', path = '/v1/chat/completions'): Promise<Response> {
  return fetch(`${gateway.url}${path}${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(CHAT),
  })
}

/** All that the upstream got, as one text. */
const received = (): string => JSON.stringify(upstream.requests)

async function entryOf(answer: Response): Promise<Record<string, unknown>> {
  const id = answer.headers.get('x-tollgate-request-id')
  return waitFor('the ledger entry', async () => {
    const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: 'settle' })
    return entries.find((entry) => entry.op === id)?.fields as Record<string, unknown> | undefined
  })
}

run.each([
  ['Bearer', { authorization: `Bearer ${TEST_KEY}` }, ''],
  ['bearer in small letters', { authorization: `bearer ${TEST_KEY}` }, ''],
  ['BEARER and spaces', { authorization: `BEARER   ${TEST_KEY}` }, ''],
  ['x-api-key', { 'x-api-key': TEST_KEY }, ''],
  ['api-key', { 'api-key': TEST_KEY }, ''],
  ['x-goog-api-key', { 'x-goog-api-key': TEST_KEY }, ''],
  ['?key=', {}, `?key=${TEST_KEY}`],
  ['?key= among others', {}, `?a=1&key=${TEST_KEY}&b=2`],
  ['?key= with an escaped name', {}, `?k%65y=${TEST_KEY}`],
  ['?key= with an escaped value', {}, `?key=${TEST_KEY.replace('t', '%74')}`],
  ['the same key in two forms', { authorization: `Bearer ${TEST_KEY}`, 'x-api-key': TEST_KEY }, `?key=${TEST_KEY}`],
])('%s: passes, and neither key goes where it does not belong', async (_name, headers, query) => {
  const answer = await call(headers as Record<string, string>, query)
  expect(answer.status).toBe(200)
  expect(upstream.requests).toHaveLength(1)
  expect(received()).not.toContain(TEST_KEY)
  expect(upstream.requests[0]?.path).not.toMatch(/k(e|%65)y/i)
  expect(upstream.requests[0]?.rawHeaders).toContain(`Bearer ${UPSTREAM_KEY}`)
  expect(JSON.stringify([...answer.headers]) + (await answer.text())).not.toContain(UPSTREAM_KEY)
})

run('the rest of a query goes on as it came', async () => {
  await call({}, `?api-version=2024-02%2D01&key=${TEST_KEY}&x=%20y`)
  expect(upstream.requests[0]?.path).toBe('/v1/chat/completions?api-version=2024-02%2D01&x=%20y')
})

run.each([
  [
    'two keys in two headers',
    { authorization: `Bearer ${TEST_KEY}`, 'x-api-key': OTHER_KEY },
    '',
    400,
    'invalid_request',
  ],
  ['a header and a query', { 'api-key': TEST_KEY }, `?key=${OTHER_KEY}`, 400, 'invalid_request'],
  ['two in the query', {}, `?key=${TEST_KEY}&key=${OTHER_KEY}`, 400, 'invalid_request'],
  ['none', {}, '', 401, 'invalid_key'],
  ['an unknown one', { authorization: 'Bearer nobody' }, '', 401, 'invalid_key'],
  ['Basic', { authorization: `Basic ${Buffer.from(`x:${TEST_KEY}`).toString('base64')}` }, '', 401, 'invalid_key'],
  ['an empty one', { authorization: 'Bearer ' }, '', 401, 'invalid_key'],
  ['one of 10 kB', { 'x-api-key': 'k'.repeat(10_000) }, '', 401, 'invalid_key'],
  ['a name of the language', { 'x-api-key': '__proto__' }, '', 401, 'invalid_key'],
  ['a hash in place of its key', { 'x-api-key': sha256(TEST_KEY) }, '', 401, 'invalid_key'],
  [
    'an account named by a key that acts for none',
    { 'x-api-key': TEST_KEY, 'x-tollgate-account': 'other' },
    '',
    400,
    'invalid_request',
  ],
])('%s is refused: nothing is sent', async (_name, headers, query, status, code) => {
  const answer = await call(headers as unknown as Record<string, string>, query)
  expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([status, code])
  expect(answer.headers.get('x-should-retry')).toBe('false')
  expect(await answer.json()).toMatchObject({ error: { code, message: expect.any(String) } })
  expect(upstream.requests).toHaveLength(0)
})

run('an AWS signature is refused with a hint', async () => {
  const answer = await call({
    authorization: 'AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/bedrock/aws4_request',
  })
  expect(answer.status).toBe(401)
  expect(await answer.text()).toContain('Authorization: Bearer KEY')
})

run("a refusal has the shape of the caller's own API", async () => {
  const openai = await call({})
  expect(await openai.json()).toMatchObject({
    error: { type: 'authentication_error', code: 'invalid_key', param: null },
  })
  const anthropic = await call({ 'anthropic-version': '2023-06-01' }, '', '/v1/messages')
  expect(anthropic.status).toBe(401)
  expect(await anthropic.json()).toMatchObject({ type: 'error', error: { type: 'authentication_error' } })
})

run('what an upstream says in our name, or of its key, does not reach the caller', async () => {
  const answer = await call({ 'x-api-key': TEST_KEY })
  expect(answer.headers.get('x-tollgate-account')).toBe('acme')
  expect(answer.headers.get('x-tollgate-cost')).toBe('0.002')
  expect(answer.headers.get('authorization')).toBeNull()
  expect(answer.headers.get('x-hop')).toBeNull()
})

run('run, user, tags and labels are in the ledger, and not at the upstream', async () => {
  const answer = await call({
    'x-api-key': TEST_KEY,
    'x-tollgate-run': 'run-1',
    'x-tollgate-user': 'user@example.org',
    'x-tollgate-tags': 'feature=chat, ab=B',
  })
  expect(await entryOf(answer)).toMatchObject({
    run: 'run-1',
    user: 'user@example.org',
    tags: { feature: 'chat', ab: 'B' },
    labels: { team: 'chat', tier: 'gold' },
    key: 'test',
  })
  expect(received()).not.toMatch(/tollgate|run-1|user@example/)
})

run('a run may come in a header that the config names; ours comes first', async () => {
  const session = { 'x-api-key': TEST_KEY, 'x-claude-code-session-id': 'session-1' }
  expect(await entryOf(await call(session))).toMatchObject({ run: 'session-1' })
  expect(await entryOf(await call({ ...session, 'x-tollgate-run': 'mine' }))).toMatchObject({ run: 'mine' })
})

run.each(['a b', 'x'.repeat(129), "'; DROP", '{acme}', 'é', '../../x', '%0d%0a'])(
  'a run or user %j that is no name is kept as its hash',
  async (value) => {
    const answer = await call({ 'x-api-key': TEST_KEY, 'x-tollgate-run': value, 'x-tollgate-user': value })
    const entry = await entryOf(answer)
    if (value === '../../x') expect(entry['run']).toBe(value)
    else expect(entry['run']).toMatch(/^sha256:[0-9a-f]{32}$/)
    expect(entry['user']).toBe(entry['run'])
  },
)

run.each([
  'a',
  '=b',
  'a=',
  'a=b=c',
  'a=b,,',
  'a b=c',
  'é=1',
  Array.from({ length: 17 }, (_, i) => `a${i}=1`).join(','),
])('tags %j are refused', async (tags) => {
  const answer = await call({ 'x-api-key': TEST_KEY, 'x-tollgate-tags': tags })
  expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([400, 'invalid_request'])
  expect(upstream.requests).toHaveLength(0)
})

run('a tag with a name of the language is a tag like any other', async () => {
  const answer = await call({ 'x-api-key': TEST_KEY, 'x-tollgate-tags': '__proto__=x,constructor=y' })
  expect(JSON.stringify((await entryOf(answer))['tags'])).toBe('{"__proto__":"x","constructor":"y"}')
})

run('what a plan requires is asked for by name', async () => {
  const missing = async (headers: Record<string, string>): Promise<unknown> => {
    const answer = await call({ 'x-api-key': STRICT_KEY, ...headers })
    const { error } = (await answer.json()) as { error: { param: string; tollgate: { rule: string } } }
    return [answer.status, error.tollgate.rule, error.param]
  }
  expect(await missing({})).toEqual([400, 'plan.require', 'run'])
  expect(await missing({ 'x-tollgate-run': 'r' })).toEqual([400, 'plan.require', 'user'])
  expect(await missing({ 'x-tollgate-run': 'r', 'x-tollgate-user': 'u' })).toEqual([400, 'plan.require', 'cost_center'])
  expect(upstream.requests).toHaveLength(0)
})

run("the account's and the key's overrides are the plan of the call", async () => {
  await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': TEST_KEY },
    body: JSON.stringify({ ...CHAT, max_tokens: 5000 }),
  })
  expect(JSON.parse(upstream.requests[0]?.body as string)).toMatchObject({ max_tokens: 300 })
  const denied = await call({ 'x-api-key': NARROW_KEY })
  expect([denied.status, denied.headers.get('x-tollgate-error')]).toEqual([403, 'not_entitled'])
})
