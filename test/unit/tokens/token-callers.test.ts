import { generateKeyPairSync, sign } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JwtIssuer } from '../../../src/config/snapshot.ts'
import type { Log } from '../../../src/log.ts'
import { createMetrics, type Metrics } from '../../../src/metrics/metrics.ts'
import { looksLikeToken } from '../../../src/tokens/token.ts'
import { TokenCallers } from '../../../src/tokens/token-callers.ts'
import { sha256 } from '../../support/gateway.ts'
import { startTokenIssuer, type TokenIssuer } from '../../support/token-issuer.ts'
import { waitFor } from '../../support/wait-for.ts'

let issuer: TokenIssuer
let nowMs: number
let tokens: TokenCallers
let log: ReturnType<typeof linesLog>
let metrics: Metrics

function linesLog(): Log & { readonly lines: string[] } {
  const lines: string[] = []
  const write = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push(`${level} ${fields['issuer']}: ${message}; ${(fields['error'] as Error | undefined)?.message}`)
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

function callers(more: Partial<JwtIssuer> = {}): TokenCallers {
  const config = {
    issuer: issuer.url,
    audience: 'tollgate',
    jwksUrl: issuer.jwksUrl,
    algorithms: ['ES256'],
    account: undefined,
    accountClaim: 'org',
    keyClaim: 'sub',
    labels: { team: 'team', admin: 'admin' },
    ...more,
  }
  return new TokenCallers([config], { log, metrics, nowMs: () => nowMs })
}
const check = (token: string, by = tokens) => by.check(token, sha256(token))

beforeEach(async () => {
  issuer = await startTokenIssuer()
  nowMs = Date.now()
  metrics = createMetrics({ maxSeries: 10 })
  log = linesLog()
  tokens = callers()
})
afterEach(() => issuer.close())

test('a token of the issuer: account, key and labels by its claims; names that are none by their hash', async () => {
  expect(await check(await issuer.sign({ org: 'cust-1', sub: 'anna', team: 'a b', admin: true }))).toMatchObject({
    account: 'cust-1',
    key: 'anna',
    labels: { team: expect.stringMatching(/^sha256:[0-9a-f]{32}$/), admin: 'true' },
  })
  expect(await check(await issuer.sign({ org: 'cust-1', team: ['x'] }))).toMatchObject({ key: 'jwt', labels: {} })
})

test.each([
  ['another audience', { aud: 'someone' }, {}, 'its claim "aud" is missing or wrong'],
  ['another issuer', { iss: 'https://evil.example' }, {}, 'no issuer of the config made it'],
  ['a key that is not published', {}, { kid: 'other' }, 'its signature is not by a key of its issuer'],
  ['it expired more than a minute ago', {}, { expiresIn: '-61s' }, 'it has expired'],
])('%s: refused', async (_name, payload, options, reason) => {
  const token = await issuer.sign({ org: 'cust-1', ...payload }, options)
  expect(await check(token)).toEqual({ problem: 'invalid_token', reason })
})

test('a minute of skew is allowed', async () => {
  expect(await check(await issuer.sign({ org: 'cust-1' }, { expiresIn: '-50s' }))).toMatchObject({ account: 'cust-1' })
})

test('no signature, a signature by the public key as a secret, an altered payload, no end: refused', async () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: issuer.url, aud: 'tollgate', org: 'cust-1', exp: Math.floor(nowMs / 1000) + 60 }
  const none = `${part({ alg: 'none' })}.${part(claims)}.x`
  const keys = (await (await fetch(issuer.jwksUrl)).json()) as { keys: object[] }
  const secret = new TextEncoder().encode(JSON.stringify(keys.keys[0]))
  const confused = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(secret)
  const [head, , signature] = (await issuer.sign({ org: 'cust-1' })).split('.')
  const altered = `${head}.${part({ ...claims, org: 'cust-2' })}.${signature}`
  for (const token of [none, confused, altered, 'eyJ.x.y', 'eyJhIjoxfQ.e30.x'])
    expect(await check(token)).toMatchObject({ problem: 'invalid_token' })
  expect(await check(await issuer.sign({ org: 'cust-1', exp: undefined as never }, { expiresIn: '5m' }))).toMatchObject(
    {
      account: 'cust-1',
    },
  )
  const rsOnly = callers({ algorithms: ['RS256'] })
  expect(await check(await issuer.sign({ org: 'cust-1' }), rsOnly)).toMatchObject({
    reason: 'its algorithm is not one of the config',
  })
})

test('a token without an end is refused', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'own', alg: 'ES256' }
  issuer.answer = (_request, response) => response.end(JSON.stringify({ keys: [jwk] }))
  const endless = await new SignJWT({ iss: issuer.url, aud: 'tollgate', org: 'cust-1' })
    .setProtectedHeader({ alg: 'ES256', kid: 'own' })
    .sign(privateKey)
  expect(await check(endless)).toEqual({ problem: 'invalid_token', reason: 'its claim "exp" is missing or wrong' })
})

test.each([[undefined], [''], ['a b'], [5], [['cust-1']]])('an account claim that is %j names none', async (org) => {
  expect(await check(await issuer.sign({ org: org as never }))).toEqual({ problem: 'no_account_claim' })
})

test('a fixed account is that of tokens without the claim alone', async () => {
  const fixed = callers({ account: 'shared' })
  expect(await check(await issuer.sign({}), fixed)).toMatchObject({ account: 'shared' })
  expect(await check(await issuer.sign({ org: 'cust-1' }), fixed)).toMatchObject({ account: 'cust-1' })
  expect(await check(await issuer.sign({ org: 'a b' }), fixed)).toEqual({ problem: 'no_account_claim' })
})

test('of an issuer with an account and no claim every token is of that account, whatever it says', async () => {
  const own = callers({ account: 'theirs', accountClaim: undefined })
  for (const org of ['cust-1', 'theirs', 'a b', undefined])
    expect(await check(await issuer.sign({ org, account: 'cust-1' } as never), own)).toMatchObject({
      account: 'theirs',
    })
})

test('keys are fetched once, and again for a key that is not among them, at most each half minute', async () => {
  await Promise.all(['a', 'b', 'c'].map(async (sub) => check(await issuer.sign({ org: 'cust-1', sub }))))
  expect(issuer.fetches).toBe(1)
  for (let i = 0; i < 20; i++) await check(await issuer.sign({ org: 'cust-1' }, { kid: `made-up-${i}` }))
  expect(issuer.fetches).toBe(1)
  await issuer.rotate('k2')
  nowMs += 31_000
  expect(await check(await issuer.sign({ org: 'cust-1', sub: 'new' }, { kid: 'k2' }))).toMatchObject({ key: 'new' })
  expect(issuer.fetches).toBe(2)
})

test('a verified token is remembered, until it expires and for five minutes at most', async () => {
  const [short, long] = [
    await issuer.sign({ org: 'cust-1' }, { expiresIn: '30s' }),
    await issuer.sign({ org: 'cust-1' }, { expiresIn: '1h' }),
  ]
  await check(short)
  await check(long)
  await issuer.rotate('k2')
  nowMs += 91_000
  expect(await check(short)).toMatchObject({ problem: 'invalid_token', reason: 'it has expired' })
  expect(await check(long)).toMatchObject({ account: 'cust-1' })
  nowMs += 210_000
  // The key that signed it is gone: found out by the fetch for a key that is not among them.
  await check(await issuer.sign({ org: 'cust-1' }, { kid: 'k2', expiresIn: '1h' }))
  expect(await check(long)).toMatchObject({ problem: 'invalid_token' })
})

test.each<[string, NonNullable<TokenIssuer['answer']>]>([
  ['answers 500', (_request, response) => response.writeHead(500).end()],
  ['answers no JSON', (_request, response) => response.end('<html>')],
  ['answers no keys', (_request, response) => response.end('{"keys":5}')],
  ['answers too much', (_request, response) => response.end(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
  ['sends elsewhere', (_request, response) => response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end()],
])('an issuer that %s is away: nothing is said of the token, and it is not asked for each', async (_name, answer) => {
  issuer.answer = answer
  const token = await issuer.sign({ org: 'cust-1' })
  for (let i = 0; i < 5; i++) expect(await check(token)).toEqual({ problem: 'issuer_away' })
  expect(issuer.fetches).toBe(1)
  issuer.answer = undefined
  nowMs += 1_000
  expect(await check(token)).toMatchObject({ account: 'cust-1' })
  // Away again: the keys of the last hour still count.
  issuer.answer = answer
  nowMs += 3_500_000
  expect(await check(await issuer.sign({ org: 'cust-1' }, { expiresIn: '3h' }))).toMatchObject({ account: 'cust-1' })
})

const fetched = async (): Promise<Record<string, number>> => {
  const families = await metrics.export()
  const values = families.find(({ name }) => name === 'tollgate_issuer_fetches_total')?.values ?? []
  return Object.fromEntries(values.map(({ labels, value }) => [`${labels['issuer']} ${labels['result']}`, value]))
}

test('an issuer that is away is told of once an outage with the cause, and each fetch is counted', async () => {
  expect(await fetched()).toEqual({ [`${issuer.url} fetched`]: 0, [`${issuer.url} failed`]: 0 })
  const long = await issuer.sign({ org: 'cust-1' }, { expiresIn: '6h' })
  let failed = 0
  const failing = async (times: number, stepMs: number): Promise<void> => {
    for (let i = 0; i < times; i++) {
      await tokens.check(long, `failing-${nowMs}`)
      failed++
      await waitFor('the fetch', async () => (await fetched())[`${issuer.url} failed`] === failed)
      nowMs += stepMs
    }
  }
  issuer.answer = (_request, response) => response.writeHead(500).end()
  await failing(3, 1_000)
  const refused = `error ${issuer.url}: the keys of an issuer of tokens cannot be fetched; its callers are answered 503; it answered 500`
  expect(log.lines).toEqual([refused])
  issuer.answer = undefined
  await check(long)
  const back = `info ${issuer.url}: the keys of an issuer of tokens can be fetched again; undefined`
  expect(log.lines).toEqual([refused, back])
  // Away while its keys are still kept, and beyond that.
  issuer.answer = (_request, response) => response.end('<html>')
  nowMs += 600_000
  await failing(3, 60_000)
  nowMs += 3_600_000
  await failing(3, 1_000)
  expect(log.lines.slice(2)).toEqual([
    expect.stringMatching(/^error .*; those of the last hour still count; Unexpected token/),
    expect.stringMatching(/^error .*; its callers are answered 503; Unexpected token/),
  ])
  expect(await fetched()).toEqual({ [`${issuer.url} fetched`]: 1, [`${issuer.url} failed`]: 9 })
})

test('a token that names no key is tried with each that its algorithm fits', async () => {
  const [first, second, other] = await Promise.all([0, 1, 2].map(() => generateKeyPair('ES256')))
  const published = await Promise.all(
    [first, second].map(async (pair, i) => ({ ...(await exportJWK(pair?.publicKey as CryptoKey)), kid: `n${i}` })),
  )
  issuer.answer = (_request, response) => response.end(JSON.stringify({ keys: published }))
  const by = (pair: typeof first): Promise<string> =>
    new SignJWT({ iss: issuer.url, aud: 'tollgate', org: 'cust-1' })
      .setProtectedHeader({ alg: 'ES256' })
      .setExpirationTime('5m')
      .sign(pair?.privateKey as CryptoKey)
  expect(await check(await by(first))).toMatchObject({ account: 'cust-1' })
  expect(await check(await by(second))).toMatchObject({ account: 'cust-1' })
  expect(await check(await by(other))).toMatchObject({ problem: 'invalid_token' })
})

test('tokens by a new key that come while it is being fetched wait for it', async () => {
  await check(await issuer.sign({ org: 'cust-1' }))
  await issuer.rotate('k2')
  nowMs += 31_000
  const found = await Promise.all(
    ['a', 'b', 'c'].map(async (sub) => check(await issuer.sign({ org: 'cust-1', sub }, { kid: 'k2' }))),
  )
  expect(found).toMatchObject([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
  expect(issuer.fetches).toBe(2)
})

test('a published key that no signature may be by makes its tokens invalid, not the gateway fail', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'short', alg: 'RS256' }
  issuer.answer = (_request, response) => response.end(JSON.stringify({ keys: [jwk] }))
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: issuer.url, aud: 'tollgate', org: 'cust-1', exp: Math.floor(nowMs / 1000) + 60 }
  const signed = `${part({ alg: 'RS256', kid: 'short' })}.${part(claims)}`
  const token = `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
  expect(await check(token, callers({ algorithms: ['RS256'] }))).toEqual({
    problem: 'invalid_token',
    reason: 'the key of its issuer that signed it cannot be used',
  })
})

test('an issuer whose keys are slow to come holds up no token of another', async () => {
  const slow = await startTokenIssuer()
  try {
    const config = { audience: 'tollgate', algorithms: ['ES256'], account: undefined, accountClaim: 'org' }
    const both = new TokenCallers(
      [slow, issuer].map(({ url, jwksUrl }) => ({ ...config, issuer: url, jwksUrl, keyClaim: 'sub', labels: {} })),
      { log, metrics, nowMs: () => nowMs },
    )
    let answer = (): void => {}
    slow.answer = (_request, response) => {
      answer = () => response.end('{"keys":[]}')
    }
    const token = await slow.sign({ org: 'cust-1' })
    const waiting = Array.from({ length: 256 }, (_, i) => both.check(token, `${i}`))
    expect(await check(token, both)).toEqual({ problem: 'busy' })
    expect(await check(await issuer.sign({ org: 'cust-1' }), both)).toMatchObject({ account: 'cust-1' })
    await waitFor('the fetch', async () => slow.fetches === 1)
    answer()
    expect(new Set((await Promise.all(waiting)).map(({ problem }) => problem))).toEqual(new Set(['invalid_token']))
  } finally {
    await slow.close()
  }
})

test('what a token looks like', () => {
  expect(['eyJhIjoxfQ.eyJiIjoyfQ.c2ln', 'tgk_x', 'sk-1', 'a.b.c', 'eyJ.x'].map(looksLikeToken)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})
