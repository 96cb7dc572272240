/** Canaries for keys, tokens, prompts and completions: after calls of every kind, none is where it does not belong. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { CHAT_ANSWER, startCountingUpstream } from '../support/counting-upstream.ts'
import { sha256, writeConfig } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const CANARY = {
  virtualKey: 'tg-canary-virtual-81c1',
  unknownKey: 'tg-canary-unknown-93b2',
  upstreamKey: 'sk-canary-upstream-5b1f',
  prompt: 'canary-prompt-of-the-caller-77aa',
  completion: 'canary-completion-of-the-model-66dd',
  printedToken: 'canary-printed-token-of-a-program-31c4',
  awsSecret: 'canary/aws+secret-access-key-90ce',
  redisPassword: 'canary-redis-password-12ef',
}

const STREAM = [
  `data: {"id":"c1","object":"chat.completion.chunk","model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"${CANARY.completion}"}}]}`,
  'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
  'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}',
  'data: [DONE]',
  '',
].join('\n\n')

test.skipIf(!redisAvailable)(
  'no secret, prompt or completion is in logs, metrics, ledger, outbox, Redis or our own errors',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-secrets-'))
    const redis = await startRedis({ args: ['--requirepass', CANARY.redisPassword] })
    const redisUrl = redis.url.replace('redis://', `redis://:${CANARY.redisPassword}@`)
    const connection = new Redis(redisUrl)
    const upstream = await startCountingUpstream((request, response) => {
      const mode = request.rawHeaders[request.rawHeaders.indexOf('x-mode') + 1]
      response.setHeader('content-type', mode === 'stream' || mode === 'cut' ? 'text/event-stream' : 'application/json')
      if (mode === 'stream') response.end(STREAM)
      else if (mode === 'cut') response.write(`${STREAM.slice(0, 200)}\n`, () => response.destroy())
      else if (mode === 'error')
        response.writeHead(401).end(`{"error":{"message":"bad key ${CANARY.upstreamKey} for ${CANARY.prompt}"}}`)
      else if (mode === 'malformed') response.end(`{"choices":[{"message":{"content":"${CANARY.completion}`)
      else if (mode === 'reset') response.destroy()
      else if (mode === 'usage')
        response.end(JSON.stringify({ ...CHAT_ANSWER, usage: { prompt_tokens: CANARY.completion } }))
      else
        response.end(
          JSON.stringify({ ...CHAT_ANSWER, choices: [{ index: 0, message: { content: CANARY.completion } }] }),
        )
    })
    const files = writeConfig(dir, '', redisUrl, {
      upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: "\${CANARY_KEY}", models: ["gpt-*"] }
  down: { format: openai, base_url: "http://127.0.0.1:9/v1", api_key: "\${CANARY_KEY}", models: ["down-*"] }
  printed: { format: openai, base_url: "${upstream.url}/v1", models: ["printed-*"], auth: { command: [echo, ${CANARY.printedToken}] } }
  broken: { format: openai, base_url: "${upstream.url}/v1", models: ["broken-*"], auth: { command: [sh, -c, "echo $CANARY_TOKEN twice; echo $CANARY_TOKEN >&2; exit 0"] } }
  signed: { format: openai, base_url: "${upstream.url}/v1", api_key: "AKIA:\${CANARY_SECRET}", models: ["signed-*"], auth: { sigv4: { region: us-east-1 } } }
  anthropic: { format: anthropic, base_url: "${upstream.url}", api_key: "\${CANARY_KEY}", models: ["claude-*"] }`,
      entitlements: `version: 1
plans: { main: { unit: USD } }
accounts:
  acme: { plan: main, keys: [{ id: test, sha256: "${sha256(CANARY.virtualKey)}" }] }
`,
    })
    const gateway = await startGatewayProcess(files.tollgate, {
      TOLLGATE_LOG_LEVEL: 'debug',
      CANARY_KEY: CANARY.upstreamKey,
      CANARY_TOKEN: CANARY.printedToken,
      CANARY_SECRET: CANARY.awsSecret,
    })
    const ownErrors: string[] = []
    const admin = async (method: string, path: string, body?: unknown, token = gateway.adminToken): Promise<string> => {
      const answer = await fetch(`${gateway.adminUrl}/${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return answer.text()
    }
    const call = async (path: string, body: string, headers: Record<string, string>): Promise<void> => {
      const answer = await fetch(gateway.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      }).catch(() => undefined)
      const text = await answer?.text().catch(() => '')
      if (answer?.headers.get('x-tollgate-error')) ownErrors.push(JSON.stringify([...answer.headers]) + text)
    }
    const chat = (more: object = {}): string =>
      JSON.stringify({
        model: 'gpt-5-mini',
        max_tokens: 50,
        messages: [{ role: 'user', content: CANARY.prompt }],
        ...more,
      })
    const key = { authorization: `Bearer ${CANARY.virtualKey}` }
    try {
      await admin('POST', 'admin/v1/accounts/acme/grants', { amount: '100', unit: 'USD', funding: 'invoiced' })
      const path = '/v1/chat/completions'
      for (const mode of ['json', 'error', 'malformed', 'reset', 'usage'])
        await call(path, chat(), { ...key, 'x-mode': mode })
      for (const mode of ['stream', 'cut', 'json']) await call(path, chat({ stream: true }), { ...key, 'x-mode': mode })
      await call(path, chat(), { 'x-api-key': CANARY.unknownKey })
      await call(`${path}?key=${CANARY.unknownKey}`, chat(), {})
      await call(`${path}?key=${CANARY.virtualKey}`, chat(), {})
      await call(`${path}?key=${CANARY.virtualKey}`, chat(), { 'x-api-key': CANARY.unknownKey })
      await call(path, chat({ model: 'nothing-serves-this' }), key)
      for (const model of ['down-1', 'printed-1', 'broken-1', 'signed-1']) await call(path, chat({ model }), key)
      await call(path, chat({ max_tokens: 1_000_000_000 }), key)
      await call(path, `${chat().slice(0, -5)}`, key)
      await call(path, `{"model":"gpt-5-mini","model":"x","messages":"${CANARY.prompt}"}`, key)
      await call(path, chat(), { ...key, 'x-tollgate-tags': 'not tags' })
      await call('/v1/messages', JSON.stringify({ model: 'claude-x', max_tokens: 5, messages: CANARY.prompt }), key)
      await call('/v1/embeddings', JSON.stringify({ model: 'gpt-5-mini', input: CANARY.prompt }), key)
      await call(
        '/v1/responses',
        JSON.stringify({ model: 'gpt-5-mini', input: CANARY.prompt, previous_response_id: 'resp_of_nobody' }),
        key,
      )
      await call('/v1/audio/speech', chat(), key)
      await fetch(`${gateway.url}/v1/models?key=${CANARY.virtualKey}`).then((answer) => answer.text())
      await fetch(`${gateway.url}/u/down/v1/models?key=${CANARY.virtualKey}`).then((answer) => answer.text())
      await admin('GET', 'admin/v1/accounts/acme', undefined, CANARY.unknownKey)
      await admin(
        'GET',
        `admin/v1/accounts/${CANARY.unknownKey}/ledger?token=${CANARY.unknownKey}`,
        undefined,
        CANARY.unknownKey,
      )
      const whole = await waitFor('all settled', async () => {
        const text = await admin('GET', 'admin/v1/accounts/acme')
        return text.includes('"held":"0"') && text
      })
      const places: Record<string, string> = {
        log: gateway.output().replace(/^token\s+\S+$/m, ''),
        account: whole,
        metrics: await admin('GET', 'metrics'),
        ready: await admin('GET', 'readyz'),
        ledger: await admin('GET', 'admin/v1/accounts/acme/ledger?limit=1000'),
        holds: await admin('GET', 'admin/v1/accounts/acme/holds'),
        config: await admin('GET', 'admin/v1/config'),
        reload: await admin('POST', 'admin/v1/config/reload'),
        redis: await everythingIn(connection),
        files: textOfFiles(join(dir, 'data')),
        errors: ownErrors.join('\n'),
      }
      expect(await gateway.kill('SIGTERM')).toBe(0)
      places['last log'] = gateway.output().replace(/^token\s+\S+$/m, '')
      const found: string[] = []
      for (const [place, text] of Object.entries(places)) {
        for (const [name, secret] of Object.entries({ ...CANARY, adminToken: gateway.adminToken })) {
          if (text.includes(secret)) found.push(`${name} in ${place}`)
        }
      }
      expect(found).toEqual([])
      // The canaries were there to be found.
      expect(JSON.stringify(upstream.requests)).toContain(CANARY.prompt)
      expect(JSON.stringify(upstream.requests)).toContain(`Bearer ${CANARY.printedToken}`)
      expect(places['log']).toContain('sh printed something else than one token')
      expect(ownErrors.length).toBeGreaterThanOrEqual(10)
      expect(places['ledger']).toContain('"settle"')
      expect(places['files']?.length).toBeGreaterThan(100)
    } finally {
      if (gateway.child.exitCode === null) await gateway.kill('SIGKILL')
      connection.disconnect()
      await upstream.close()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  },
  180_000,
)

async function everythingIn(connection: Redis): Promise<string> {
  const keys = await connection.keys('*')
  const dumps = await Promise.all(
    keys.map(async (key) => {
      const type = await connection.type(key)
      if (type === 'hash') return JSON.stringify(await connection.hgetall(key))
      if (type === 'zset') return JSON.stringify(await connection.zrange(key, 0, -1))
      if (type === 'stream') return JSON.stringify(await connection.xrange(key, '-', '+'))
      if (type === 'list') return JSON.stringify(await connection.lrange(key, 0, -1))
      if (type === 'set') return JSON.stringify(await connection.smembers(key))
      return (await connection.get(key)) ?? ''
    }),
  )
  return [...keys, ...dumps].join('\n')
}

function textOfFiles(dir: string): string {
  return readdirSync(dir, { recursive: true })
    .map((name) => join(dir, String(name)))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, 'latin1'))
    .join('\n')
}
