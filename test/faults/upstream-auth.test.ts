/** Our credential for an upstream in every form: what the upstream gets, and what a call costs whose credential cannot be had. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type CountingUpstream, type ReceivedRequest, startCountingUpstream } from '../support/counting-upstream.ts'
import { entitlementsFor, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { headerValues, verifySignature } from '../support/verify-signature.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const SECRETS = { fixed: 'fixed/secret+key', chained: 'chained/secret' }
const SESSION = 'session-token-of-the-chain'
const GOOGLE_TOKEN = 'ya29.metadata-token'

let gateway: TestGateway
let upstream: CountingUpstream
let cloud: Server
let dir: string
/** What the clouds' metadata servers were asked for. */
const asked: string[] = []
let awsAway = false

const CLOUD_ENV = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'CLOUDSDK_CONFIG',
  'GCE_METADATA_HOST',
]
const env: Record<string, string | undefined> = Object.fromEntries(CLOUD_ENV.map((name) => [name, process.env[name]]))

beforeAll(async () => {
  if (!redisAvailable) return
  dir = mkdtempSync(join(tmpdir(), 'tollgate-auth-'))
  cloud = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    const path = request.url as string
    asked.push(path)
    response.setHeader('metadata-flavor', 'Google')
    response.setHeader('content-type', 'application/json')
    if (path === '/aws' && awsAway) response.writeHead(404).end()
    else if (path === '/aws')
      response.end(
        JSON.stringify({
          AccessKeyId: 'AKCHAIN',
          SecretAccessKey: SECRETS.chained,
          Token: SESSION,
          Expiration: new Date(Date.now() + 3_600_000).toISOString(),
        }),
      )
    else if (path.includes('/token'))
      response.end(JSON.stringify({ access_token: GOOGLE_TOKEN, expires_in: 3600, token_type: 'Bearer' }))
    else response.end('"test"')
  })
  await new Promise<void>((resolve) => cloud.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(cloud.address() as AddressInfo).port}`
  for (const name of CLOUD_ENV) delete process.env[name]
  process.env['AWS_CONFIG_FILE'] = join(dir, 'none')
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(dir, 'none')
  process.env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = `http://${host}/aws`
  process.env['CLOUDSDK_CONFIG'] = dir
  process.env['GCE_METADATA_HOST'] = host
  upstream = await startCountingUpstream()
  const slow = join(dir, 'started')
  const of = (name: string, auth: string, more = ''): string =>
    `  ${name}: { format: openai, base_url: "${upstream.url}/v1", models: ["${name}-*"], auth: ${auth}, shared: true${more} }`
  gateway = await startTestGateway({
    upstreams: [
      of('fixed', '{ sigv4: { region: eu-west-1 } }', `, api_key: "AKFIXED:${SECRETS.fixed}"`),
      `  aws: { format: bedrock, base_url: "${upstream.url}/prefix", auth: { sigv4: { region: us-east-1 } }, api_key: "AKFIXED:${SECRETS.fixed}" }`,
      of('chain', '{ sigv4: { region: us-east-1, service: other } }'),
      of('google', '{ gcp: adc }'),
      of('printed', `{ command: ["${process.execPath}", "-p", "'printed-' + 'token'"] }`),
      of('broken', '{ command: ["false"] }'),
      of('slow', `{ command: ["sh", "-c", "touch ${slow}; sleep 60"] }`),
    ].join('\n'),
    entitlements: entitlementsFor('on_exhausted: { mode: block }\nmax_output_tokens: 90'),
    settings: 'metering: { unmetered_paths: ["* /v1/things", "* /v1/things/*"] }\nlimits: { body_bytes: 64KiB }',
  })
  await gateway.grant('100')
}, 180_000)

afterAll(async () => {
  if (!redisAvailable) return
  await gateway.close()
  await upstream.close()
  cloud.close()
  rmSync(dir, { recursive: true })
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
})

beforeEach(() => {
  if (redisAvailable) upstream.requests.length = 0
})

function chat(model: string, more: { headers?: Record<string, string>; signal?: AbortSignal } = {}): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...more.headers },
    body: JSON.stringify({ model, max_tokens: 50, messages: [{ role: 'user', content: 'Grüße' }] }),
    ...(more.signal ? { signal: more.signal } : {}),
  })
}

async function endOf(answer: Response): Promise<string> {
  const id = answer.headers.get('x-tollgate-request-id')
  return waitFor('the end of the call', async () => {
    const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 10_000, type: undefined })
    return entries.find((entry) => entry.op === id && ['settle', 'void'].includes(entry.type))?.type
  })
}

run('a metered call is signed over what is sent, and carries nothing of the caller', async () => {
  const headers = {
    'x-amz-security-token': 'of-the-caller',
    'x-amz-date': '20200101T000000Z',
    'x-amz-content-sha256': '0'.repeat(64),
    'x-amzn-trace': 'kept',
  }
  const answer = await chat('fixed-1', { headers })
  expect(answer.status).toBe(200)
  const [seen] = upstream.requests
  expect(verifySignature(seen as ReceivedRequest, SECRETS.fixed)).toEqual({
    valid: true,
    accessKeyId: 'AKFIXED',
    region: 'eu-west-1',
    service: 'bedrock',
    signedNames: ['content-type', 'host', 'x-amz-date', 'x-amzn-trace'],
  })
  const text = JSON.stringify(seen)
  for (const secret of [TEST_KEY, 'of-the-caller', '20200101', SECRETS.fixed]) expect(text).not.toContain(secret)
  expect(await endOf(answer)).toBe('settle')
})

run.each([
  'arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-v1%3A0',
  'us.anthropic.claude-v1:0',
  'amazon.nova-lite-v1%3A0',
])(
  'a model in the path is signed as it is on the wire, with the limit that was written into the body: %s',
  async (model) => {
    const answer = await fetch(`${gateway.url}/model/${model}/converse`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: '{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}',
    })
    expect(answer.status).toBe(200)
    const [seen] = upstream.requests
    expect(seen?.path).toBe(`/prefix/model/${model}/converse`)
    expect(seen?.body).toBe(
      '{"inferenceConfig":{"maxTokens":90},"messages":[{"role":"user","content":[{"text":"Hi"}]}]}',
    )
    expect(verifySignature(seen as ReceivedRequest, SECRETS.fixed)).toMatchObject({ valid: true, service: 'bedrock' })
  },
)

run('keys of AWS’s chain sign with their session token, and are fetched once for many calls', async () => {
  const answers = await Promise.all(Array.from({ length: 12 }, () => chat('chain-1')))
  for (const seen of upstream.requests) {
    expect(verifySignature(seen, SECRETS.chained)).toMatchObject({
      valid: true,
      accessKeyId: 'AKCHAIN',
      service: 'other',
    })
    expect(headerValues(seen, 'x-amz-security-token')).toEqual([SESSION])
  }
  expect(upstream.requests).toHaveLength(12)
  expect(asked.filter((path) => path === '/aws')).toHaveLength(1)
  for (const answer of answers) expect(await endOf(answer)).toBe('settle')
  awsAway = true
  expect((await chat('chain-1')).status).toBe(200)
})

run.each([
  ['google', GOOGLE_TOKEN],
  ['printed', 'printed-token'],
])('a token is the bearer of every call: %s', async (name, token) => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => chat(`${name}-1`)))
  for (const answer of answers) expect(await endOf(answer)).toBe('settle')
  expect(upstream.requests.map((seen) => headerValues(seen, 'authorization'))).toEqual(
    Array.from({ length: 8 }, () => [`Bearer ${token}`]),
  )
  if (name === 'google') expect(asked.filter((path) => path.includes('/token'))).toHaveLength(1)
})

run.each(['fixed', 'google', 'printed'])('an unmetered path carries it too: %s', async (name) => {
  const body = 'x'.repeat(30_000)
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from(body.slice(0, 100)))
      controller.enqueue(Buffer.from(body.slice(100)))
      controller.close()
    },
  })
  const send = (method: string, path: string, content?: string | ReadableStream): Promise<Response> =>
    fetch(`${gateway.url}/u/${name}${path}`, {
      method,
      headers: { authorization: `Bearer ${TEST_KEY}` },
      ...(content === undefined ? {} : { body: content, duplex: 'half' }),
    } as RequestInit)
  const answers = [
    await send('GET', '/v1/things?b=2&a=%3A'),
    await send('POST', '/v1/things', body),
    await send('PUT', '/v1/things/1', stream),
    await send('DELETE', '/v1/things/1'),
  ]
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200])
  expect(upstream.requests.map((seen) => seen.body.length)).toEqual([0, 30_000, 30_000, 0])
  for (const seen of upstream.requests) {
    if (name === 'fixed') expect(verifySignature(seen, SECRETS.fixed).valid).toBe(true)
    else
      expect(headerValues(seen, 'authorization')).toEqual([
        `Bearer ${name === 'google' ? GOOGLE_TOKEN : 'printed-token'}`,
      ])
  }
  if (name !== 'fixed') return
  const large = await send('POST', '/v1/things', 'x'.repeat(70_000))
  expect([large.status, large.headers.get('x-tollgate-error')]).toEqual([413, 'body_too_large'])
})

run('without a credential nothing is sent, the hold goes back, and the caller is told: 502', async () => {
  const before = await gateway.balance()
  const metered = await chat('broken-1')
  const unmetered = await fetch(`${gateway.url}/u/broken/v1/things`, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  })
  for (const answer of [metered, unmetered]) {
    expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([502, 'upstream_unreachable'])
    const { error } = (await answer.json()) as { error: { message: string } }
    expect(error.message).toContain('No credential for the upstream "broken" could be had (auth: command)')
  }
  expect(await endOf(metered)).toBe('void')
  expect(await gateway.balance()).toMatchObject({ held: '0', posted: before['posted'], debt: '0' })
  expect(upstream.requests).toEqual([])
})

run('a caller who hangs up while the credential is fetched pays nothing, and nothing is sent', async () => {
  const before = await gateway.balance()
  const control = new AbortController()
  const answer = chat('slow-1', { signal: control.signal }).catch((error: Error) => error.name)
  await waitFor('the program to run', async () => existsSync(join(dir, 'started')))
  expect((await gateway.balance())['held']).not.toBe('0')
  control.abort()
  expect(await answer).toBe('AbortError')
  await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
  expect((await gateway.balance())['posted']).toBe(before['posted'])
  expect(upstream.requests).toEqual([])
})
