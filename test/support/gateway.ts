/** A whole gateway for a test: private Redis, simulator, config files of its own, all in this process, on free ports. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { parseAmount } from '../../src/core/money.ts'
import { type Gateway, startGateway } from '../../src/gateway.ts'
import { SILENT_LOG } from '../../src/log.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import { creditRequest } from './credit-request.ts'
import { startRedis, type TestRedis } from './redis.ts'

export const TEST_KEY = 'tg-test-key'

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export interface TestGatewayOptions {
  /** YAML of the plan `main` (flow mapping content), e.g. `trim: { enabled: false }`. */
  readonly plan?: string
  /** Whole entitlements.yaml in place of the one with plan `main`, account `acme` and TEST_KEY. */
  readonly entitlements?: string
  /** YAML list items of price entries, in place of a flat price for every model. */
  readonly prices?: string
  /** Further lines of tollgate.yaml. */
  readonly settings?: string
  /** Upstreams in place of the simulator's two; `{simulator}` is its URL. */
  readonly upstreams?: string
  readonly workers?: number
  /** A Redis that the test started. */
  readonly redis?: TestRedis
  readonly dataDir?: string
  readonly seed?: number
}

export interface TestGateway {
  readonly gateway: Gateway
  readonly url: string
  readonly adminUrl: string
  readonly adminToken: string
  readonly simulator: Simulator
  readonly redis: TestRedis
  readonly wallet: Wallet
  readonly dir: string
  readonly files: { readonly tollgate: string; readonly entitlements: string; readonly prices: string }
  grant(amount: string, account?: string, unit?: string): Promise<void>
  /** Balance of an account's wallet in decimal strings, as the admin API gives it. */
  balance(account?: string): Promise<Record<string, string>>
  /** POST of a JSON body with TEST_KEY. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>
  admin(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
  close(): Promise<void>
}

/** 1 token of output costs 0.001 USD, input nothing: amounts in tests can be read off. */
export const FLAT_PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "0", output: "1000" }
    context_window: 128000
    max_output_tokens: 16384
`

export function entitlementsFor(plan: string): string {
  return `version: 1
plans:
  main:
    unit: USD
${plan
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
accounts:
  acme:
    plan: main
    keys:
      - { id: test, sha256: "${sha256(TEST_KEY)}" }
`
}

/** A busy machine is not a Redis that is away: a test that is about that says how long one is waited for. */
function patient(settings: string): string {
  if (settings.includes('redis_command_timeout')) return settings
  const patience = 'redis_command_timeout: 5s'
  if (!settings.includes('limits: {')) return `${settings}\nlimits: { ${patience} }`
  return settings.replace('limits: {', `limits: { ${patience},`)
}

export function writeConfig(
  dir: string,
  simulatorUrl: string,
  redisUrl: string,
  options: TestGatewayOptions,
): TestGateway['files'] {
  const files = {
    tollgate: join(dir, 'tollgate.yaml'),
    entitlements: join(dir, 'entitlements.yaml'),
    prices: join(dir, 'price-book.yaml'),
  }
  const upstreams =
    options.upstreams?.replaceAll('{simulator}', simulatorUrl) ??
    `  openai: { format: openai, base_url: "${simulatorUrl}/v1", api_key: sk-upstream-secret, models: ["gpt-*", "o*", "text-embedding-*"] }
  anthropic: { format: anthropic, base_url: "${simulatorUrl}", api_key: sk-ant-upstream-secret, models: ["claude-*"] }`
  writeFileSync(
    files.tollgate,
    `version: 1
gateway: { host: 127.0.0.1, port: 0, workers: ${options.workers ?? 1} }
admin: { host: 127.0.0.1, port: 0 }
redis: { url: "${redisUrl}" }
data_dir: ${options.dataDir ?? join(dir, 'data')}
prices: price-book.yaml
entitlements: entitlements.yaml
upstreams:
${upstreams}
${patient(options.settings ?? '')}
`,
  )
  writeFileSync(files.entitlements, options.entitlements ?? entitlementsFor(options.plan ?? 'enforcement: enforce'))
  writeFileSync(files.prices, `version: 1\nunit: USD\nentries:${options.prices ?? FLAT_PRICES}`)
  return files
}

export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-test-'))
  const redis = options.redis ?? (await startRedis())
  const simulator = await startSimulator({ seed: options.seed ?? 1 })
  const files = writeConfig(dir, simulator.url, redis.url, options)
  const gateway = await startGateway({ configFile: files.tollgate, env: process.env, log: SILENT_LOG })
  const connection = new Redis(redis.url)
  // Tests take Redis away; that this connection notices is no news.
  connection.on('error', () => {})
  const wallet = createWallet(connection)
  const admin: TestGateway['admin'] = (method, path, body, headers = {}) =>
    fetch(`${gateway.adminUrl}/admin/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  return {
    gateway,
    url: gateway.url,
    adminUrl: gateway.adminUrl,
    adminToken: gateway.adminToken as string,
    simulator,
    redis,
    wallet,
    dir,
    files,
    async grant(amount, account = 'acme', unit = 'USD') {
      const result = await wallet.grant(creditRequest(parseAmount(amount), { account, unit }))
      if (result.status !== 'done') throw new Error(`grant: ${result.status}`)
    },
    async balance(account = 'acme') {
      const answer = await admin('GET', `accounts/${account}`)
      const body = (await answer.json()) as { balances: Record<string, string>[] }
      return body.balances[0] as Record<string, string>
    },
    post: (path, body, headers = {}) =>
      fetch(`${gateway.url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    admin,
    async close() {
      await gateway.stop()
      connection.disconnect()
      await simulator.close()
      if (options.redis === undefined) await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Closed whatever happens in `use`. */
export async function withGateway(
  options: TestGatewayOptions,
  use: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const gateway = await startTestGateway(options)
  try {
    await use(gateway)
  } finally {
    await gateway.close()
  }
}
