/** A batch goes on whatever becomes of the gateways and of Redis meanwhile, and is charged once. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseAmount } from '../../src/core/money.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import { creditRequest } from '../support/credit-request.ts'
import { TEST_KEY, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const SETTINGS =
  'limits: { poll_first: 200ms, poll_most: 400ms, redis_command_timeout: 500ms, redis_probe_interval: 100ms }'
let redis: TestRedis
let connection: Redis
let wallet: Wallet
let simulator: Simulator
let dir: string
let gateways: GatewayProcess[]

beforeEach(async () => {
  if (!redisAvailable) return
  gateways = []
  dir = mkdtempSync(join(tmpdir(), 'tollgate-long-'))
  redis = await startRedis({ aof: true, dir })
  connection = new Redis(redis.url)
  connection.on('error', () => {})
  wallet = createWallet(connection)
  simulator = await startSimulator({ seed: 1 })
  await wallet.grant(creditRequest(parseAmount('100'), { funding: 'external' }))
})
afterEach(async () => {
  if (!redisAvailable) return
  for (const gateway of gateways) if (gateway.child.exitCode === null) await gateway.kill('SIGKILL')
  connection.disconnect()
  await simulator.close()
  await redis.stop('kill')
  rmSync(dir, { recursive: true, force: true })
})

/** `name`: each has its own data. */
async function start(name = 'a'): Promise<GatewayProcess> {
  const files = writeConfig(dir, simulator.url, redis.url, { settings: SETTINGS, dataDir: join(dir, name) })
  const gateway = await startGatewayProcess(files.tollgate)
  gateways.push(gateway)
  return gateway
}

/** Two requests of 30 tokens of output together. */
async function create(gateway: GatewayProcess, controls: string): Promise<Response> {
  const request = (number: number): object => ({
    custom_id: `r${number}`,
    params: {
      model: 'claude-haiku-4-5',
      max_tokens: 100,
      messages: [{ role: 'user', content: `Say something. [simulate: output=${10 * number}]` }],
    },
  })
  const answer = await fetch(`${gateway.url}/v1/messages/batches`, {
    method: 'POST',
    headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/json', 'x-simulate': controls },
    body: JSON.stringify({ requests: [request(1), request(2)] }),
  })
  expect(answer.status).toBe(200)
  return answer
}

async function ends(): Promise<string[]> {
  const entries = await wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: undefined })
  return entries.map(({ type }) => type).filter((type) => type !== 'grant')
}

async function expectOneCharge(count = 1): Promise<void> {
  await waitFor('the charge', async () => (await ends()).filter((type) => type === 'settle').length === count, {
    // Who was killed in the middle of a question leaves its lease, for 15 s.
    withinMs: 30_000,
  })
  expect((await wallet.balances('acme'))[0]).toMatchObject({
    heldAtoms: 0n,
    postedAtoms: parseAmount('0.03') * BigInt(count),
  })
}

const polls = () => simulator.stats.requests

run('killed when it is listed: another gateway charges it, and the first, started again, does not', async () => {
  const [first, second] = [await start('a'), await start('b')]
  await (await create(first, 'job_ms=1500')).json()
  await waitFor('the list', async () => (await connection.zcard('tg:jobs')) === 1)
  await first.kill('SIGKILL')
  await expectOneCharge()
  const again = await start('a')
  await (await create(second, 'job_ms=300')).json()
  await expectOneCharge(2)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect(await ends()).toEqual(['hold', 'settle', 'hold', 'settle'])
  expect(again.output()).not.toMatch(/"level":"error"/)
})

run.each(['SIGKILL', 'SIGTERM'] as const)('the only gateway ended by %s and started again goes on', async (signal) => {
  const gateway = await start()
  await (await create(gateway, 'job_ms=3000')).json()
  await waitFor('a poll', () => polls() >= 2)
  const began = performance.now()
  const code = await gateway.kill(signal)
  if (signal === 'SIGTERM') expect([code, performance.now() - began < 20_000]).toEqual([0, true])
  expect((await wallet.holds('acme')).length).toBe(1)
  await start()
  await expectOneCharge()
})

run('asked for by two gateways at once it is charged once', async () => {
  const [first, second] = [await start('a'), await start('b')]
  await Promise.all(
    [first, second, first, second].map(async (gateway) => (await create(gateway, 'job_ms=1200')).json()),
  )
  await expectOneCharge(4)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect((await ends()).filter((type) => type === 'settle')).toHaveLength(4)
})

run('Redis away: nobody asks, and nothing is lost', async () => {
  const gateway = await start()
  await (await create(gateway, 'job_ms=1000')).json()
  await redis.stop('kill')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const before = polls()
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(polls()).toBe(before)
  redis = await startRedis({ aof: true, dir, port: redis.port })
  await expectOneCharge()
})

run('an answer that comes while Redis is away is listed when it is back, even by a gateway started since', async () => {
  const gateway = await start()
  const answer = create(gateway, 'latency=1500,job_ms=500')
  await waitFor('the call at the provider', () => polls() === 1)
  await redis.stop('kill')
  await (await answer).json()
  await gateway.kill('SIGKILL')
  redis = await startRedis({ aof: true, dir, port: redis.port })
  await start()
  await expectOneCharge()
})
