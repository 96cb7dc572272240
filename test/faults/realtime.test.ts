/** Realtime sessions whose gateway dies or stops, whose wallet goes away, whose caller does not read. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'
import { parseAmount } from '../../src/core/money.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import type { LedgerEntry, Wallet } from '../../src/wallet/wallet-types.ts'
import { creditRequest } from '../support/credit-request.ts'
import { TEST_KEY, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let redis: TestRedis
let connection: Redis
let wallet: Wallet
let simulator: Simulator
let dir: string
let gateway: GatewayProcess
let sockets: WebSocket[] = []

beforeAll(async () => {
  if (!redisAvailable) return
  simulator = await startSimulator({ seed: 1 })
})
afterAll(async () => {
  await simulator?.close()
})
beforeEach(async () => {
  if (!redisAvailable) return
  dir = mkdtempSync(join(tmpdir(), 'tollgate-realtime-'))
  redis = await startRedis()
  connection = new Redis(redis.url)
  connection.on('error', () => {})
  wallet = createWallet(connection)
  simulator.reset()
})
afterEach(async () => {
  for (const socket of sockets) socket.terminate()
  sockets = []
  if (gateway?.child.exitCode === null) await gateway.kill('SIGKILL')
  connection?.disconnect()
  await redis?.stop()
  if (dir) rmSync(dir, { recursive: true, force: true })
})

/** One token of output is 0.001 USD here. */
async function start(
  options: { readonly settings?: string; readonly workers?: number; readonly upstreams?: string } = {},
) {
  const files = writeConfig(dir, simulator.url, redis.url, options)
  gateway = await startGatewayProcess(files.tollgate)
  await wallet.grant(creditRequest(parseAmount('1000')))
  return files
}

interface Session {
  readonly socket: WebSocket
  readonly events: { type: string; error?: { code: string }; response?: { usage: { output_tokens: number } } }[]
  readonly closed: Promise<{ code: number; reason: string }>
  ask(text: string): void
  seen(type: string, count?: number): Promise<unknown>
}

function openSession(path = '/v1/realtime?model=gpt-realtime'): Session {
  const socket = new WebSocket(gateway.url.replace('http', 'ws') + path, {
    headers: { authorization: `Bearer ${TEST_KEY}` },
  })
  sockets.push(socket)
  const events: Session['events'] = []
  socket.on('error', () => {})
  socket.on('message', (data) => events.push(JSON.parse(String(data))))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  return {
    socket,
    events,
    closed,
    ask(text) {
      const content = [{ type: 'input_text', text }]
      socket.send(
        JSON.stringify({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } }),
      )
      socket.send(JSON.stringify({ type: 'response.create' }))
    },
    seen: (type, count = 1) =>
      waitFor(`${count} × ${type}`, () => events.filter((event) => event.type === type).length >= count),
  }
}

async function ledger(): Promise<readonly LedgerEntry[]> {
  return wallet.ledger('acme', { afterSeq: 0, limit: 500, type: undefined })
}

async function ends(count: number): Promise<readonly LedgerEntry[]> {
  return waitFor(`${count} ends`, async () => {
    const found = (await ledger()).filter((entry) => ['settle', 'void', 'timeout'].includes(entry.type))
    return found.length === count && found
  })
}

run.each([1, 2])(
  'killed in the middle of sessions and started again (%i worker(s)): what had ended is charged, nothing stays held',
  async (workers) => {
    const files = await start({ workers, settings: 'limits: { hold_deadline: 6s, checkpoint_every: 500ms }' })
    const sessions = Array.from({ length: 6 }, () => openSession())
    for (const session of sessions) {
      await session.seen('session.created')
      session.ask('One. [simulate: output=50]')
    }
    await Promise.all(sessions.map((session) => session.seen('response.done')))
    // A second response runs when the process dies.
    for (const session of sessions) session.ask('Two. [simulate: output=200, tps=20]')
    await Promise.all(sessions.map((session) => session.seen('response.created', 2)))
    await gateway.kill('SIGKILL')
    await Promise.all(sessions.map((session) => session.closed))
    gateway = await startGatewayProcess(files.tollgate)
    const found = await ends(6)
    expect(found.map((entry) => entry.type)).toEqual(Array(6).fill('timeout'))
    const balances = await wallet.balances('acme')
    expect(balances[0]).toMatchObject({ heldAtoms: 0n, debtAtoms: 0n })
    // 50 tokens of each had ended: max(F, K) is not below them.
    expect(balances[0]?.postedAtoms).toBeGreaterThanOrEqual(parseAmount('0.3'))
    expect(balances[0]?.postedAtoms).toBeLessThan(parseAmount('1.5'))
    expect(replayLedger(await ledger()).balances).toEqual(balances)
  },
)

run.each([1, 2])(
  'stopped with sessions open (%i worker(s)): after the grace each is told, closed and charged, and the exit code is 0',
  async (workers) => {
    await start({ workers, settings: 'limits: { grace: 1s }' })
    const session = openSession()
    await session.seen('session.created')
    session.ask('One. [simulate: output=40]')
    await session.seen('response.done')
    const exit = gateway.kill('SIGTERM')
    expect(await session.closed).toMatchObject({ code: 1001 })
    expect(session.events.at(-1)).toMatchObject({ type: 'error', error: { code: 'overloaded' } })
    expect(await exit).toBe(0)
    const [end] = await ends(1)
    expect(end).toMatchObject({ type: 'settle', fields: { charged: '0.04', usage_source: 'provider' } })
  },
)

run('while Redis is away what is held is used up, then the session is closed with the reason', async () => {
  await start({ settings: 'limits: { redis_command_timeout: 300ms }' })
  const session = openSession()
  await session.seen('session.created')
  session.ask('One. [simulate: output=30]')
  await session.seen('response.done')
  await redis.stop()
  for (let i = 0; i < 8 && !session.events.some((event) => event.type === 'error'); i++) {
    const before = session.events.filter((event) => event.type === 'response.done').length
    session.ask('More. [simulate: output=12000]')
    await waitFor(
      'an answer',
      () =>
        session.events.some((event) => event.type === 'error') ||
        session.events.filter((event) => event.type === 'response.done').length > before,
    )
  }
  expect(session.events.at(-1)).toMatchObject({ type: 'error', error: { code: 'wallet_unavailable' } })
  expect((await session.closed).code).toBe(1013)
})

run('a caller that does not read makes the upstream wait, and not the gateway’s memory grow', async () => {
  await start()
  const session = openSession()
  await session.seen('session.created')
  const rss = () => Number(execFileSync('ps', ['-o', 'rss=', '-p', String(gateway.child.pid)]).toString()) / 1024
  session.ask('Warm up. [simulate: output=2000]')
  await session.seen('response.done')
  const before = rss()
  session.socket.pause()
  // 36,000 tokens of sound are 114 MB of frames.
  session.ask('Much. [simulate: output=36000]')
  let most = 0
  for (let i = 0; i < 15; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    most = Math.max(most, rss())
  }
  expect(most - before).toBeLessThan(75)
  session.socket.resume()
  await session.seen('response.done', 2)
})

run('a socket that the config names as unmetered is passed on, with the credentials exchanged', async () => {
  const seen: string[] = []
  const server = createServer()
  const echo = new WebSocketServer({ server })
  echo.on('connection', (socket, request) => {
    seen.push(`${request.url} ${request.headers.authorization}`)
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    await start({
      settings: 'metering: { unmetered_paths: ["GET /v1/live"] }',
      upstreams: `  openai: { format: openai, base_url: "http://127.0.0.1:${port}/v1", api_key: sk-upstream, models: ["gpt-*"] }`,
    })
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/live?a=1`, {
      headers: { authorization: `Bearer ${TEST_KEY}` },
    })
    sockets.push(socket)
    const echoed = new Promise((resolve) => socket.once('message', (data, binary) => resolve([String(data), binary])))
    await new Promise((resolve) => socket.once('open', resolve))
    socket.send(Buffer.from('ping'))
    expect(await echoed).toEqual(['ping', true])
    expect(seen).toEqual(['/v1/live?a=1 Bearer sk-upstream'])
    socket.close()
    expect(await ledger()).toHaveLength(1)
    const other = openSession('/v1/other')
    expect(await other.closed).toMatchObject({ code: 1006 })
    expect(seen).toHaveLength(1)
  } finally {
    for (const client of echo.clients) client.terminate()
    server.close()
  }
})
