/** Accounts and keys that no file has: made, used, changed, revoked by the admin API, on a real Redis. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const BACKEND_KEY = 'tg-backend-key'
const ALL_KEY = 'tg-all-key'
let gateway: TestGateway

const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD }
  small: { unit: USD, max_output_tokens: 20, models: ["gpt-5-mini"] }
  yen: { unit: JPY }
  monthly: { unit: USD, allowance: { amount: "2.00", every: month } }
accounts:
  acme:
    plan: main
    labels: { tier: gold }
    plan_overrides: { max_output_tokens: 30 }
    keys:
      - { id: test, sha256: "${sha256(TEST_KEY)}" }
      - { id: backend, sha256: "${sha256(BACKEND_KEY)}", acts_for: ["cust-*", "acme"], labels: { via: backend }, plan_overrides: { max_output_tokens: 7 } }
      - { id: all, sha256: "${sha256(ALL_KEY)}", acts_for: ["*"] }
`

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({ settings: 'units: { JPY: { scale: 4 } }', entitlements: ENTITLEMENTS })
  await gateway.grant('1000')
}, 30_000)
afterAll(async () => {
  await gateway?.close()
})
let count = 0
const fresh = (name = 'cust'): string => `${name}-${++count}`

// Taken apart by assertions, which say what they expect of it.
type Json = ReturnType<typeof JSON.parse>

async function ask(
  method: string,
  path: string,
  body?: unknown,
  headers = {},
): Promise<{ status: number; body: Json }> {
  const answer = await gateway.admin(method, path, body, headers)
  return { status: answer.status, body: await answer.json() }
}

async function account(more: object = {}): Promise<string> {
  const id = fresh()
  expect((await ask('POST', 'accounts', { id, plan: 'main', ...more })).status).toBe(201)
  return id
}

async function key(of: string, more: object = {}): Promise<{ id: string; key: string }> {
  const { status, body } = await ask('POST', 'keys', { account: of, id: fresh('key'), ...more })
  expect([status, body.key]).toEqual([201, expect.stringMatching(/^tgk_[A-Za-z0-9_-]{43}$/)])
  return body
}

async function funded(more: object = {}, keyMore: object = {}): Promise<{ id: string; key: string; account: string }> {
  const of = await account(more)
  await gateway.grant('10', of)
  return { ...(await key(of, keyMore)), account: of }
}

const CHAT = { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'hi' }] }

function call(headers: Record<string, string>, query = '', body: object = CHAT): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

const outcome = async (answer: Response | Promise<Response>): Promise<string> => {
  const { status, headers } = await answer
  return `${status} ${headers.get('x-tollgate-error')}`
}

async function settled(of: string): Promise<Json> {
  return waitFor('the settle', async () => {
    const entries = await gateway.wallet.ledger(of, { afterSeq: 0, limit: 1000, type: 'settle' })
    return entries.at(-1)?.fields
  })
}

run('an account and its key: made, funded, used in every form of an official client, charged', async () => {
  const made = await funded({ labels: { segment: 'smb', team: 'a' } }, { labels: { team: 'b' } })
  for (const [headers, query] of [
    [{ authorization: `Bearer ${made.key}` }, ''],
    [{ 'x-api-key': made.key }, ''],
    [{ 'api-key': made.key }, ''],
    [{ 'x-goog-api-key': made.key }, ''],
    [{}, `?key=${made.key}`],
  ] as const) {
    const answer = await call(headers, query)
    expect([answer.status, answer.headers.get('x-tollgate-account')]).toEqual([200, made.account])
    await answer.text()
  }
  expect(await settled(made.account)).toMatchObject({ key: made.id, labels: { segment: 'smb', team: 'b' } })
  expect(Number((await gateway.balance(made.account))['posted'])).toBeGreaterThan(0)
})

run('overrides of the account and of the key are the plan of the call: key, account, plan', async () => {
  const tokens = async (headers: Record<string, string>) => {
    const answer = await call({ ...headers, 'x-tollgate-dry-run': '1' })
    return ((await answer.json()) as Json).output_limit
  }
  const made = await funded({ plan_overrides: { max_output_tokens: 50, models: ['gpt-*'] } })
  const strict = await key(made.account, { plan_overrides: { max_output_tokens: 9 } })
  expect(await tokens({ 'x-api-key': made.key })).toBe(50)
  expect(await tokens({ 'x-api-key': strict.key })).toBe(9)
  await ask('PATCH', `accounts/${made.account}`, { plan: 'small', plan_overrides: {} })
  expect(await tokens({ 'x-api-key': made.key })).toBe(20)
  await ask('PATCH', `keys/${strict.id}`, { plan_overrides: {} })
  expect(await tokens({ 'x-api-key': strict.key })).toBe(20)
})

run('a key of Redis may belong to an account of the files', async () => {
  const made = await key('acme', { labels: { via: 'redis' } })
  const answer = await call({ 'x-api-key': made.key, 'x-tollgate-dry-run': '1' })
  expect(((await answer.json()) as Json).output_limit).toBe(30)
})

run('a revoked key is refused at once, also where it was just used; its repeat and its id are known', async () => {
  const made = await funded()
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
  expect((await ask('DELETE', `keys/${made.id}`)).body).toMatchObject({ id: made.id, status: 'revoked' })
  await waitFor('the refusal', async () => (await outcome(call({ 'x-api-key': made.key }))) === '401 invalid_key', {
    withinMs: 1_000,
  })
  expect((await ask('DELETE', `keys/${made.id}`)).body).toMatchObject({ id: made.id, status: 'revoked' })
  const again = await ask('POST', 'keys', { account: made.account, id: made.id })
  expect([again.status, again.body.error.code]).toEqual([409, 'conflict'])
  expect((await ask('PATCH', `keys/${made.id}`, { labels: {} })).status).toBe(404)
})

run(
  'a record that cannot be read: its change is refused with the place and the remedy, and the key revoked',
  async () => {
    const made = await funded()
    const connection = new Redis(gateway.redis.url)
    try {
      await connection.hset('tg:{#accounts}:keys', sha256(made.key), `${made.account} {"v":2}`)
      const patched = await ask('PATCH', `keys/${made.id}`, { labels: {} })
      expect([patched.status, patched.body.error]).toEqual([
        409,
        {
          code: 'conflict',
          message: `The record of the key "${made.id}" cannot be read: another version of Tollgate, or another program, wrote what Redis has at tg:{#accounts}:keys, field ${sha256(made.key)}. Calls by it are refused. Run the version that wrote it, or revoke the key (DELETE /admin/v1/keys/${made.id}) and make another.`,
          fields: [],
        },
      ])
      const revoked = await ask('DELETE', `keys/${made.id}`)
      expect([revoked.status, revoked.body]).toMatchObject([
        200,
        { id: made.id, account: made.account, status: 'revoked', created_at: null },
      ])
      expect(await outcome(call({ 'x-api-key': made.key }))).toBe('401 invalid_key')

      const other = await key(made.account)
      await connection.hset('tg:{#accounts}:records', made.account, '<html>')
      for (const [method, body] of [
        ['PATCH', { labels: {} }],
        ['DELETE', undefined],
      ] as const) {
        const refused = await ask(method, `accounts/${made.account}`, body)
        expect([refused.status, refused.body.error.code]).toEqual([409, 'conflict'])
        expect(refused.body.error.message).toContain(
          `tg:{#accounts}:records, field ${made.account}. Calls by it are refused.`,
        )
      }
      expect((await ask('GET', `accounts/${made.account}`)).body.problem).toBe('unreadable')
      expect(await outcome(call({ 'x-api-key': other.key }))).toBe('403 not_entitled')
      // What the message says to do.
      const { message } = (await ask('PATCH', `accounts/${made.account}`, {})).body.error
      const [, place, field, text] = /HSET (\S+) (\S+) '(.*)'$/.exec(message) ?? []
      await connection.hset(String(place), String(field), String(text).replace('PLAN', 'main'))
      expect((await ask('PATCH', `accounts/${made.account}`, { labels: { a: 'b' } })).body.labels).toEqual({ a: 'b' })
    } finally {
      connection.disconnect()
    }
  },
)

run('a key ends to the millisecond, and can be given more time', async () => {
  const made = await funded()
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
  const soon = new Date(Date.now() + 300).toISOString()
  expect((await ask('PATCH', `keys/${made.id}`, { expires_at: soon })).body.expires_at).toBe(soon)
  await waitFor('the end', async () => {
    const before = Date.now()
    const answer = await outcome(call({ 'x-api-key': made.key }))
    if (answer === '401 invalid_key') expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(soon))
    else expect(before).toBeLessThan(Date.parse(soon))
    return answer === '401 invalid_key'
  })
  expect((await ask('GET', `keys?account=${made.account}`)).body.items).toMatchObject([{ status: 'expired' }])
  await ask('PATCH', `keys/${made.id}`, { expires_at: null })
  await waitFor('the key', async () => (await outcome(call({ 'x-api-key': made.key }))) === '200 null')
  const past = await ask('POST', 'keys', {
    account: made.account,
    id: fresh('key'),
    expires_at: '2020-01-01T00:00:00Z',
  })
  expect([past.status, past.body.error.fields[0].field]).toEqual([422, 'expires_at'])
})

run('a closed account: its keys are refused, its wallet stays, money can still be booked; PATCH opens it', async () => {
  const made = await funded()
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
  await settled(made.account)
  expect((await ask('DELETE', `accounts/${made.account}`)).body.status).toBe('closed')
  await waitFor('the refusal', async () => (await outcome(call({ 'x-api-key': made.key }))) === '401 invalid_key', {
    withinMs: 1_000,
  })
  expect((await ask('GET', `accounts/${made.account}`)).body).toMatchObject({ status: 'closed', plan: 'main' })
  const grant = { amount: '1', unit: 'USD', funding: 'invoiced' }
  expect((await ask('POST', `accounts/${made.account}/grants`, grant)).status).toBe(201)
  expect((await ask('GET', `accounts/${made.account}/ledger`)).body.items.length).toBeGreaterThan(2)
  const again = await ask('POST', 'accounts', { id: made.account, plan: 'main' })
  expect([again.status, again.body.error.message]).toEqual([409, expect.stringContaining('PATCH')])
  expect((await ask('PATCH', `accounts/${made.account}`, { status: 'active' })).body.status).toBe('active')
  await waitFor('the key', async () => (await outcome(call({ 'x-api-key': made.key }))) === '200 null')
})

run('an allowance of its plan is there at once, before any call, and ends with the account', async () => {
  const of = await account({ plan: 'monthly' })
  expect((await gateway.balance(of))['available']).toBe('2')
  const made = await key(of)
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
  await ask('DELETE', `accounts/${of}`)
  const { items } = (await ask('GET', `accounts/${of}/grants`)).body
  expect(items.map((grant: Json) => grant.state)).toEqual(['usable', 'voided'])
})

run('a plan taken out of the files: 403 that says so, shown by GET, well again when it is back', async () => {
  const { writeFileSync } = await import('node:fs')
  const made = await funded({ plan: 'small' })
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
  writeFileSync(gateway.files.entitlements, ENTITLEMENTS.replace(/ {2}small:.*\n/, ''))
  await gateway.gateway.reload()
  const refused = await call({ 'x-api-key': made.key })
  expect([refused.status, ((await refused.json()) as Json).error.tollgate]).toMatchObject([
    403,
    { code: 'not_entitled', rule: 'plan' },
  ])
  expect((await ask('GET', `accounts/${made.account}`)).body).toMatchObject({ plan: 'small', problem: 'plan_missing' })
  writeFileSync(gateway.files.entitlements, ENTITLEMENTS)
  await gateway.gateway.reload()
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
})

run('an override whose amount no longer fits the plan’s unit: 403, and GET says why', async () => {
  const { writeFileSync } = await import('node:fs')
  const made = await funded({ plan_overrides: { max_cost_per_call: '20.123456' } })
  writeFileSync(gateway.files.entitlements, ENTITLEMENTS.replace('main: { unit: USD }', 'main: { unit: JPY }'))
  await gateway.gateway.reload()
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('403 not_entitled')
  expect((await ask('GET', `accounts/${made.account}`)).body.problem).toBe('plan_overrides')
  writeFileSync(gateway.files.entitlements, ENTITLEMENTS)
  await gateway.gateway.reload()
  expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
})

run(
  'an id of the files is theirs: POST, PATCH and DELETE are conflicts; one that the files take over is shown',
  async () => {
    const { writeFileSync } = await import('node:fs')
    for (const [method, path, body] of [
      ['POST', 'accounts', { id: 'acme', plan: 'main' }],
      ['PATCH', 'accounts/acme', { plan: 'main' }],
      ['DELETE', 'accounts/acme', undefined],
      ['DELETE', 'keys/backend', undefined],
      ['POST', 'keys', { account: 'acme', id: 'backend' }],
    ] as const)
      expect([path, (await ask(method, path, body)).status]).toEqual([path, 409])
    const made = await funded({ plan: 'small' })
    writeFileSync(gateway.files.entitlements, `${ENTITLEMENTS}  ${made.account}: { plan: main }\n`)
    await gateway.gateway.reload()
    expect((await ask('GET', `accounts/${made.account}`)).body).toMatchObject({
      source: 'files',
      problem: 'shadowed',
      plan: 'main',
    })
    const answer = await call({ 'x-api-key': made.key, 'x-tollgate-dry-run': '1' })
    expect(((await answer.json()) as Json).output_limit).toBeGreaterThan(20)
    writeFileSync(gateway.files.entitlements, ENTITLEMENTS)
    await gateway.gateway.reload()
  },
)

run('a POST sent again under its Idempotency-Key makes one, and shows the key once', async () => {
  const id = fresh()
  const again = { 'idempotency-key': `make-${id}` }
  const body = { id, plan: 'main', labels: { a: 'b' } }
  const [first, second] = [await ask('POST', 'accounts', body, again), await ask('POST', 'accounts', body, again)]
  expect([first.status, second.status, second.body]).toEqual([201, 200, first.body])
  expect((await ask('POST', 'accounts', { ...body, plan: 'small' }, again)).status).toBe(409)
  const wanted = { account: id, id: fresh('key') }
  const keyed = { 'idempotency-key': `key-${id}` }
  const made = await ask('POST', 'keys', wanted, keyed)
  expect((await ask('POST', 'keys', wanted, keyed)).body).toEqual({ ...made.body, key: null })
  expect((await ask('POST', 'keys', { ...wanted, labels: { a: 'b' } }, keyed)).status).toBe(409)
  expect((await ask('GET', `keys?account=${id}`)).body.items).toHaveLength(1)
})

run.each([
  ['no account named', BACKEND_KEY, undefined, '400 invalid_request'],
  ['an empty one', BACKEND_KEY, '', '400 invalid_request'],
  ['an account that fits and is there', BACKEND_KEY, 'cust-acting', '200 null'],
  ['an account of the files', BACKEND_KEY, 'acme', '200 null'],
  ['one that fits and is not there', BACKEND_KEY, 'cust-nobody', '403 not_entitled'],
  ['one that fits and is closed', BACKEND_KEY, 'cust-closed', '403 not_entitled'],
  ['one that is there and does not fit', BACKEND_KEY, 'other-acting', '403 not_entitled'],
  ['another key of the account', TEST_KEY, 'acme', '400 invalid_request'],
  ['two accounts', ALL_KEY, 'cust-acting, acme', '403 not_entitled'],
  ['no name', ALL_KEY, 'cust acting', '403 not_entitled'],
  ['a name of the language', ALL_KEY, '__proto__', '403 not_entitled'],
  ['a very long one', ALL_KEY, 'a'.repeat(4000), '403 not_entitled'],
])('acts_for: %s', async (_name, secret, named, expected) => {
  for (const id of ['cust-acting', 'cust-closed', 'other-acting']) {
    const { status } = await ask('POST', 'accounts', { id, plan: 'main' })
    if (status === 201) await gateway.grant('10', id)
  }
  await ask('DELETE', 'accounts/cust-closed')
  const headers = { 'x-api-key': secret, ...(named === undefined ? {} : { 'x-tollgate-account': named }) }
  expect(await outcome(call(headers))).toBe(expected)
})

run(
  'a backend’s key: the named account pays, by its plan with the key’s overrides on top; the ledger names the key',
  async () => {
    const made = await funded({ plan: 'small', labels: { tier: 'free' } })
    const answer = await call({ 'x-api-key': BACKEND_KEY, 'x-tollgate-account': made.account })
    expect(answer.headers.get('x-tollgate-account')).toBe(made.account)
    await answer.text()
    const entry = await settled(made.account)
    expect(entry).toMatchObject({ key: 'backend', labels: { tier: 'free', via: 'backend' } })
    expect(entry.tokens.output).toBeLessThanOrEqual(7)
    const denied = await call({ 'x-api-key': BACKEND_KEY, 'x-tollgate-account': made.account }, '', {
      ...CHAT,
      model: 'gpt-5-nano',
    })
    expect(await outcome(denied)).toBe('403 not_entitled')
    const redisKey = await key('acme', { acts_for: [`${made.account}`] })
    expect(await outcome(call({ 'x-api-key': redisKey.key, 'x-tollgate-account': made.account }))).toBe('200 null')
    expect(await outcome(call({ 'x-api-key': redisKey.key }))).toBe('400 invalid_request')
  },
)

run('keys of one account are its own, whatever they are asked for after', async () => {
  const [first, second] = [await account(), await account()]
  const [other, own] = [await key(first), await key(second)]
  const after = encodeURIComponent(`${first} `)
  const { items } = (await ask('GET', `keys?account=${second}&after=${after}`)).body
  expect(items.map((item: Json) => item.id)).toEqual([own.id])
  expect(items).not.toContainEqual(expect.objectContaining({ id: other.id }))
})

run('overrides are checked also where the plan of the account is out of the files', async () => {
  const { writeFileSync } = await import('node:fs')
  const of = await account({ plan: 'small' })
  writeFileSync(gateway.files.entitlements, ENTITLEMENTS.replace(/ {2}small:.*\n/, ''))
  await gateway.gateway.reload()
  const wrong = await ask('PATCH', `accounts/${of}`, { plan_overrides: { max_tokens: 5 } })
  expect([wrong.status, wrong.body.error.fields?.[0]?.field]).toEqual([422, 'plan_overrides.max_tokens'])
  const right = await ask('PATCH', `accounts/${of}`, { plan_overrides: { max_output_tokens: 5 } })
  expect([right.status, right.body.problem]).toEqual([200, 'plan_missing'])
  writeFileSync(gateway.files.entitlements, ENTITLEMENTS)
  await gateway.gateway.reload()
  expect((await ask('GET', `accounts/${of}`)).body.problem).toBe(null)
})

run('lists merge files and Redis by id, page after page', async () => {
  for (const id of ['aaa', 'acmd', 'acmf', 'zzz']) await ask('POST', 'accounts', { id, plan: 'main' })
  const ids: string[] = []
  let after: string | null = null
  do {
    const path: string = `accounts?limit=3${after === null ? '' : `&after=${encodeURIComponent(after)}`}`
    const { body } = await ask('GET', path)
    ids.push(...body.items.map((item: Json) => item.id))
    after = body.next
  } while (after !== null)
  expect(ids).toEqual([...new Set(ids)].sort())
  expect(ids.slice(0, 4)).toEqual(['aaa', 'acmd', 'acme', 'acmf'])
  expect(ids.at(-1)).toBe('zzz')
  const keys = (await ask('GET', 'keys?account=acme&limit=1000')).body.items
  expect(keys.map((item: Json) => item.id)).toEqual(keys.map((item: Json) => item.id).toSorted())
  expect(keys).toContainEqual(expect.objectContaining({ id: 'backend', source: 'files', acts_for: ['cust-*', 'acme'] }))
  expect(JSON.stringify(keys)).not.toMatch(/tgk_|[0-9a-f]{64}/)
})

run('doctor, statement and a run over all accounts know those in Redis', async () => {
  const made = await funded()
  await (await call({ 'x-api-key': made.key })).text()
  await settled(made.account)
  const found = (await ask('GET', `doctor?limit=100`)).body.items
  expect(found).toContainEqual(expect.objectContaining({ account: made.account, differences: [] }))
})

run.each([
  ['an id with a brace', { id: 'a{b}', plan: 'main' }, 'id'],
  ['an id with a blank', { id: 'a b', plan: 'main' }, 'id'],
  ['an id with a line break', { id: 'a\r\nb', plan: 'main' }, 'id'],
  ['an id of 129 characters', { id: 'a'.repeat(129), plan: 'main' }, 'id'],
  ['no id', { id: '', plan: 'main' }, 'id'],
  ['an id of the language', { id: '__proto__', plan: 'main' }, 'id'],
  ['no such plan', { id: 'x', plan: 'huge' }, 'plan'],
  ['a plan of the language', { id: 'x', plan: 'constructor' }, 'plan'],
  ['a label that is no name', { id: 'x', plan: 'main', labels: { 'a b': 'c' } }, 'labels.a b'],
  ['a label value that is no name', { id: 'x', plan: 'main', labels: { a: 'b c' } }, 'labels.a'],
  ['a label that is a word of match', { id: 'x', plan: 'main', labels: { account: 'y' } }, 'labels.account'],
  ['a label of the language', JSON.parse('{"id":"x","plan":"main","labels":{"__proto__":"y"}}'), '__proto__'],
  [
    '65 labels',
    { id: 'x', plan: 'main', labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, 'v'])) },
    'labels',
  ],
  [
    'labels of 17 kB',
    {
      id: 'x',
      plan: 'main',
      labels: Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`${i}`.padEnd(128, 'x'), 'v'.repeat(128)])),
    },
    'body',
  ],
  ['an unknown override', { id: 'x', plan: 'main', plan_overrides: { max_tokens: 5 } }, 'plan_overrides.max_tokens'],
  [
    'an override of the language',
    JSON.parse('{"id":"x","plan":"main","plan_overrides":{"__proto__":{}}}'),
    '__proto__',
  ],
  [
    'an amount that its unit cannot hold',
    { id: 'x', plan: 'yen', plan_overrides: { max_cost_per_call: '0.00001' } },
    'plan_overrides.max_cost_per_call',
  ],
  [
    'an amount that is a number',
    { id: 'x', plan: 'main', plan_overrides: { max_cost_per_call: 5 } },
    'plan_overrides.max_cost_per_call',
  ],
  [
    'an amount of an allowance that its unit cannot hold',
    { id: 'x', plan: 'main', plan_overrides: { unit: 'JPY', allowance: { amount: '0.00001', every: 'day' } } },
    'plan_overrides.allowance.amount',
  ],
])('an account with %s is refused by the field', async (_name, body, field) => {
  const answer = await ask('POST', 'accounts', body)
  expect([answer.status, answer.body.error.fields[0]?.field]).toEqual([422, field])
  expect((await ask('GET', 'accounts/x')).status).toBe(404)
})

run('a key cannot have an allowance, nor belong to an account that is not there', async () => {
  const of = await account()
  const allowance = await ask('POST', 'keys', {
    account: of,
    id: fresh('key'),
    plan_overrides: { allowance: { amount: '1', every: 'day' } },
  })
  expect([allowance.status, allowance.body.error.fields[0].field]).toEqual([422, 'plan_overrides.allowance'])
  expect((await ask('POST', 'keys', { account: 'nobody', id: fresh('key') })).status).toBe(404)
  const made = await key(of)
  expect((await ask('POST', 'keys', { account: 'acme', id: made.id })).status).toBe(409)
})

run('what a key is never stands in Redis', async () => {
  const made = await funded()
  const dump = await gateway.admin('GET', 'keys?limit=1000')
  expect(await dump.text()).not.toContain(made.key)
  const { Redis } = await import('ioredis')
  const redis = new Redis(gateway.redis.url)
  const values = [await redis.hgetall('tg:{#accounts}:keys'), await redis.hgetall('tg:{#accounts}:key-ids')]
  redis.disconnect()
  expect(JSON.stringify(values)).not.toContain(made.key)
  expect(JSON.stringify(values)).toContain(sha256(made.key))
})

run(
  '10,000 unknown keys at once: all refused, none sent, and a known key passes',
  async () => {
    const made = await funded()
    expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
    const { Redis } = await import('ioredis')
    const redis = new Redis(gateway.redis.url)
    const outcomes = new Map<string, number>()
    const unknown = async (i: number): Promise<void> => {
      const secret = `tgk_${String(i % 9_000).padStart(43, 'x')}`
      const seen = await outcome(call({ 'x-api-key': secret }))
      outcomes.set(seen, (outcomes.get(seen) ?? 0) + 1)
    }
    const sent = gateway.simulator.stats.requests
    for (let start = 0; start < 10_000; start += 1_000)
      await Promise.all(Array.from({ length: 1_000 }, (_, i) => unknown(start + i)))
    redis.disconnect()
    expect([...outcomes.keys()].filter((seen) => !['401 invalid_key', '503 overloaded'].includes(seen))).toEqual([])
    expect(outcomes.get('401 invalid_key')).toBeGreaterThan(5_000)
    expect(gateway.simulator.stats.requests).toBe(sent)
    expect(await outcome(call({ 'x-api-key': made.key }))).toBe('200 null')
  },
  120_000,
)

run(
  'with Redis away a key that nobody remembers is 503, never 401; what can be no key of ours is 401',
  async () => {
    const { Redis } = await import('ioredis')
    const other = await startTestGateway({ settings: 'limits: { redis_command_timeout: 300ms }' })
    const connection = new Redis(other.redis.url)
    try {
      await other.admin('POST', 'accounts', { id: 'cust', plan: 'main' })
      await other.grant('10', 'cust')
      const { key: secret } = (await (await other.admin('POST', 'keys', { account: 'cust', id: 'k' })).json()) as Json
      const ask = async (given: string): Promise<string> =>
        outcome(
          await fetch(`${other.url}/v1/chat/completions`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'x-api-key': given },
            body: JSON.stringify(CHAT),
          }),
        )
      // Its own answer waits for the end of the pause too.
      const paused = connection.call('CLIENT', 'PAUSE', '3000', 'ALL')
      await waitFor('the pause', async () => (await ask(TEST_KEY)) === '503 wallet_unavailable')
      expect(await ask(secret)).toBe('503 wallet_unavailable')
      expect(await ask('sk-of-someone-else')).toBe('401 invalid_key')
      await paused
      await waitFor('Redis', async () => (await ask(secret)) === '200 null')
    } finally {
      connection.disconnect()
      await other.close()
    }
  },
  30_000,
)
