/** Keys in Redis on a fleet: two gateways of two workers each. What one is told counts on all, at once. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { entitlementsFor, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const dirs: string[] = []
let redis: TestRedis
let connection: Redis
let simulator: Simulator
let gateways: GatewayProcess[] = []

beforeAll(async () => {
  if (!redisAvailable) return
  redis = await startRedis()
  connection = new Redis(redis.url)
  simulator = await startSimulator({ seed: 1 })
  const entitlements = entitlementsFor('trim: { enabled: false }')
  const config = (): string => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-fleet-'))
    dirs.push(dir)
    return writeConfig(dir, simulator.url, redis.url, { entitlements, workers: 2 }).tollgate
  }
  gateways = await Promise.all([startGatewayProcess(config()), startGatewayProcess(config())])
}, 60_000)
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.kill('SIGTERM')))
  connection?.disconnect()
  await simulator?.close()
  await redis?.stop()
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
})

const at = (index: number): GatewayProcess => gateways[index] as GatewayProcess

// Taken apart by assertions, which say what they expect of it.
type Json = ReturnType<typeof JSON.parse>

async function ask(index: number, method: string, path: string, body?: object): Promise<Json> {
  const answer = await fetch(`${at(index).adminUrl}/admin/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${at(index).adminToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return answer.json()
}

let count = 0

async function funded(): Promise<{ account: string; id: string; key: string }> {
  const account = `cust-${++count}`
  await ask(0, 'POST', 'accounts', { id: account, plan: 'main' })
  await ask(0, 'POST', `accounts/${account}/grants`, { amount: '100', unit: 'USD', funding: 'invoiced' })
  return { ...(await ask(1, 'POST', 'keys', { account, id: `key-${account}` })), account }
}

function call(index: number, key: string, more: { stream?: boolean; simulate?: string } = {}): Promise<Response> {
  return fetch(`${at(index).url}/v1/chat/completions`, {
    method: 'POST',
    // A connection of its own, so that the workers take turns.
    headers: {
      'x-api-key': key,
      'content-type': 'application/json',
      connection: 'close',
      'x-simulate': more.simulate ?? 'output=5',
    },
    body: JSON.stringify({
      model: 'gpt-5-mini',
      max_tokens: 50,
      stream: more.stream ?? false,
      messages: [{ role: 'user', content: 'hi' }],
    }),
  })
}

/** Of 16 calls to each gateway: enough for each of the workers to get some. */
async function outcomes(key: string): Promise<Set<string>> {
  const answers = await Promise.all(
    Array.from({ length: 32 }, (_, i) =>
      call(i % 2, key).then(async (answer) => {
        await answer.arrayBuffer()
        return `${answer.status} ${answer.headers.get('x-tollgate-error')}`
      }),
    ),
  )
  return new Set(answers)
}

const only = (seen: Set<string>, outcome: string): boolean => seen.size === 1 && seen.has(outcome)

run(
  'a revoked key is refused by every worker of every gateway within a second; an open stream goes on',
  async () => {
    const { id, key } = await funded()
    expect(await outcomes(key)).toEqual(new Set(['200 null']))
    const stream = await call(1, key, { stream: true, simulate: 'output=40,tps=20' })
    expect(stream.status).toBe(200)
    await ask(0, 'DELETE', `keys/${id}`)
    await waitFor('the refusals', async () => only(await outcomes(key), '401 invalid_key'), { withinMs: 1_000 })
    const text = await stream.text()
    expect(text).toContain('data: [DONE]')
    expect(text).not.toContain('"error"')
  },
  30_000,
)

run(
  'a key that was unknown a moment ago is known at once',
  async () => {
    const { account, id, key } = await funded()
    await ask(0, 'DELETE', `keys/${id}`)
    await waitFor('the refusals', async () => only(await outcomes(key), '401 invalid_key'), { withinMs: 1_000 })
    const made = await ask(0, 'POST', 'keys', { account, id: `again-${id}` })
    expect(await outcomes(made.key)).toEqual(new Set(['200 null']))
  },
  30_000,
)

run(
  'closing and opening an account counts for its keys on all gateways',
  async () => {
    const { account, key } = await funded()
    expect(await outcomes(key)).toEqual(new Set(['200 null']))
    await ask(1, 'DELETE', `accounts/${account}`)
    await waitFor('the refusals', async () => only(await outcomes(key), '401 invalid_key'), { withinMs: 1_000 })
    await ask(1, 'PATCH', `accounts/${account}`, { status: 'active' })
    await waitFor('the calls', async () => only(await outcomes(key), '200 null'), { withinMs: 1_000 })
  },
  30_000,
)

run(
  'where no message comes through, a revoked key is refused all the same',
  async () => {
    const { id, key } = await funded()
    expect(await outcomes(key)).toEqual(new Set(['200 null']))
    // Whoever listens is thrown out for as long as it takes.
    const thrower = setInterval(() => void connection.call('CLIENT', 'KILL', 'TYPE', 'pubsub').catch(() => {}), 5)
    try {
      await connection.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      await ask(0, 'DELETE', `keys/${id}`)
      await waitFor('the refusals', async () => only(await outcomes(key), '401 invalid_key'), { withinMs: 5_000 })
    } finally {
      clearInterval(thrower)
    }
    const other = await funded()
    expect(await outcomes(other.key)).toEqual(new Set(['200 null']))
    await waitFor('four listeners and two primaries', async () => {
      const clients = String(await connection.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
      return clients.trim().split('\n').length === 6
    })
    await ask(0, 'DELETE', `keys/${other.id}`)
    await waitFor('the refusals', async () => only(await outcomes(other.key), '401 invalid_key'), { withinMs: 1_000 })
  },
  30_000,
)
