import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { AccountStore } from '../../../src/accounts/account-store.ts'
import { AccountDirectory } from '../../../src/accounts/directory.ts'
import { RequestClaims } from '../../../src/admin/request-claims.ts'
import type { AdminDependencies } from '../../../src/admin/route.ts'
import { createAdminServer } from '../../../src/admin/server.ts'
import { BooksHeads } from '../../../src/books/books-heads.ts'
import type { AdminRole, OnExhausted, Plan, Snapshot } from '../../../src/config/snapshot.ts'
import { connectRedis, type RedisClient } from '../../../src/redis/client.ts'
import { createWallet } from '../../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../../src/wallet/wallet-types.ts'
import { startRedis } from '../../support/redis.ts'
import { memoryLog } from '../outbox/fake-wallet.ts'

export const TOKENS: Record<AdminRole, string> = { viewer: 'view-me', finance: 'money', operator: 'everything-token' }

export function plan(name: string, onExhausted: OnExhausted = { mode: 'block' }): Plan {
  return {
    name,
    unit: 'USD',
    scale: 9,
    timezone: 'UTC',
    onExhausted,
    enforcement: 'enforce',
    models: ['*'],
    endpoints: undefined,
    maxCostPerCallAtoms: undefined,
    maxCostPerBatchAtoms: undefined,
    maxOutputTokens: undefined,
    batchOutputTokens: 1024,
    trim: { enabled: true, minOutputTokens: 256, minReasoningTokens: 4096, structured: false, tools: true },
    streaming: undefined,
    hold: { input: 'worst', output: 'ceiling', tokenizer: 'estimate' },
    require: [],
    topUpUrl: undefined,
  }
}

/** As far as the admin API reads it. */
export function snapshot(): Snapshot {
  const pro = plan('pro')
  const tokens = (Object.keys(TOKENS) as AdminRole[]).map((role) => ({
    name: role,
    role,
    sha256: createHash('sha256').update(TOKENS[role]).digest('hex'),
  }))
  const accounts = [
    { id: 'acme', plan: pro, labels: { segment: 'enterprise' } },
    { id: 'team/a:b', plan: pro, labels: {} },
    { id: 'floor', plan: plan('floor', { mode: 'negative', floorAtoms: -5_000_000_000n }), labels: {} },
    {
      id: 'over',
      plan: plan('over', { mode: 'overflow', capAtoms: 7_000_000_000n, period: 'month', multiplier: '1' }),
      labels: {},
    },
    { id: 'post', plan: plan('post', { mode: 'postpaid' }), labels: {} },
  ]
  const key = { id: 'ci-bot', sha256: 'c0ffee'.repeat(10).padEnd(64, '0'), account: accounts[0], labels: {}, plan: pro }
  const upstream = {
    name: 'openai',
    format: 'openai',
    baseUrl: new URL('https://user:basepassword@api.openai.com/v1'),
    apiKey: 'sk-upstreamsecret',
    auth: 'bearer',
    models: ['gpt-*'],
    headers: { 'x-org': 'headersecret' },
    shared: false,
    onDisconnect: { mode: 'drain', maxMs: 30_000 },
    onNoAnswer: 'void',
  }
  return {
    version: 'abcdef012345',
    generation: 1,
    loadedAtMs: Date.UTC(2026, 10, 1),
    settings: {
      file: '/etc/tollgate/tollgate.yaml',
      gateway: { host: '127.0.0.1', port: 8080, workers: 1 },
      admin: { host: '127.0.0.1', port: 9090, tokens, insecure: false },
      redis: { url: 'redis://default:redispassword@redis:6379', expectExisting: false },
      dataDir: '/var/lib/tollgate',
      pricesFile: '/etc/tollgate/price-book.yaml',
      entitlementsFile: '/etc/tollgate/entitlements.yaml',
      unitScales: new Map([['credits', 0]]),
      upstreams: [upstream],
      jwt: [
        {
          issuer: 'https://login.example',
          audience: 'tollgate',
          jwksUrl: 'https://keys:jwkspassword@login.example/keys?code=jwkscode',
          algorithms: ['RS256'],
          accountClaim: 'org_id',
          account: undefined,
          keyClaim: 'sub',
          labels: { team: 'groups' },
        },
      ],
    },
    defaultPlan: pro,
    plans: new Map(accounts.map((account) => [account.plan.name, account.plan])),
    planFields: new Map(),
    accounts: new Map(accounts.map((account) => [account.id, account])),
    keys: new Map([[key.sha256, key]]),
    webhooks: [
      {
        id: 'hook',
        fingerprint: 'f1',
        url: 'https://ops.example/hook?token=hooktoken',
        secrets: ['whsec_hooksecret'],
        events: ['wallet.*'],
        accounts: ['*'],
      },
    ],
    priceBook: {},
    warnings: [],
  } as unknown as Snapshot
}

/** Receivers of whom nothing is known, and who take every test. */
export const QUIET_WEBHOOKS: AdminDependencies['webhooks'] = {
  async report() {
    return snapshot().webhooks.map((receiver) => ({
      receiver,
      gone: false,
      pending: 0,
      oldestAtMs: undefined,
      lastSuccessMs: undefined,
      failingSinceMs: undefined,
      error: undefined,
      goneFingerprint: undefined,
    }))
  },
  async test(receiver) {
    return { receiver, result: { kind: 'delivered', status: 204 }, durationMs: 12 }
  },
}

// Taken apart by assertions, which say what they expect of it.
type Json = ReturnType<typeof JSON.parse>

export interface AdminHarness {
  readonly url: string
  readonly wallet: Wallet
  readonly redis: RedisClient
  readonly kept: AccountStore
  readonly accounts: AccountDirectory
  readonly claims: RequestClaims
  readonly log: ReturnType<typeof memoryLog>
  call(method: string, path: string, options?: CallOptions): Promise<{ status: number; body: Json; headers: Headers }>
  stop(): Promise<void>
}

export interface CallOptions {
  readonly role?: AdminRole | undefined
  readonly token?: string
  readonly body?: unknown
  readonly raw?: string
  readonly headers?: Record<string, string>
}

export async function startAdmin(more: Partial<AdminDependencies> = {}): Promise<AdminHarness> {
  const server = await startRedis()
  const redis = connectRedis({
    url: server.url,
    commandMs: 5_000,
    connectMs: 1000,
    breakerFailures: 5,
    breakerWindowMs: 1000,
    probeMs: 100,
  })
  await redis.whenUp(2000)
  const wallet = createWallet(redis)
  const log = memoryLog()
  const inForce = snapshot()
  const kept = new AccountStore(redis)
  const accounts = new AccountDirectory({ snapshot: () => inForce, store: kept })
  const claims = new RequestClaims(redis)
  const { server: http } = createAdminServer({
    store: { current: () => inForce, validateTexts: async () => ({ problems: [], warnings: ['w'] }) },
    wallet,
    kept,
    accounts,
    claims,
    books: new BooksHeads(redis, () => inForce.accounts.keys()),
    accountChanged: async () => {},
    log,
    reload: async () => ({ result: 'unchanged', version: inForce.version, problems: [], notes: [] }),
    cut: async () => {},
    touch: () => undefined,
    webhooks: QUIET_WEBHOOKS,
    metrics: async () => 'tollgate_redis_up 1\n',
    ready: async () => ({ ready: true, checks: { redis: { ok: true, detail: 'reachable' } } }),
    ...more,
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  return {
    url,
    wallet,
    redis,
    kept,
    accounts,
    claims,
    log,
    async call(method, path, { role = 'operator', token = TOKENS[role], body, raw, headers = {} } = {}) {
      const text = raw ?? (body === undefined ? undefined : JSON.stringify(body))
      const response = await fetch(url + (path.startsWith('/') ? path : `/admin/v1/${path}`), {
        method,
        headers: {
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
          ...(text === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(text === undefined ? {} : { body: text }),
      })
      const received = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json')
      return { status: response.status, body: isJson ? JSON.parse(received) : received, headers: response.headers }
    },
    async stop() {
      http.close()
      http.closeAllConnections()
      redis.close()
      await server.stop()
    },
  }
}
