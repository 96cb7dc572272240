/**
 * Very many accounts in Redis: what they take there, and what it costs to list them, to know a caller, and to start a
 * gateway. `node src/bootstrap.js bench/accounts.ts [--accounts 100000] [--stream-node-bytes 4096]`.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { AccountStore } from '../src/accounts/account-store.ts'
import { Callers } from '../src/accounts/callers.ts'
import { startGateway } from '../src/gateway.ts'
import { SILENT_LOG } from '../src/log.ts'
import { connectRedis } from '../src/redis/client.ts'
import { createWallet } from '../src/wallet/redis-wallet.ts'
import { creditRequest } from '../test/support/credit-request.ts'
import { sha256, writeConfig } from '../test/support/gateway.ts'
import { type BenchRedis, startBenchRedis } from './redis.ts'

const { values } = parseArgs({
  options: {
    accounts: { type: 'string', default: '100000' },
    // Redis's own default; a ledger begins with so much memory, however short it is.
    'stream-node-bytes': { type: 'string', default: '4096' },
  },
})
const COUNT = Number(values.accounts)
const IN_FLIGHT = 256
const PAGES = 200
const LOOKUPS = 5_000
const WATCHED_SECONDS = 20

const idOf = (i: number): string => `cust-${String(i).padStart(7, '0')}`
const hashOf = (i: number): string => createHash('sha256').update(`key ${i}`).digest('hex')

/** Runs it for each account, 256 at a time, and answers the seconds that all took. */
async function forAll(act: (i: number) => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  let next = 0
  const work = async (): Promise<void> => {
    while (next < COUNT) await act(next++)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  return (performance.now() - startedMs) / 1000
}

function percentiles(samples: number[]): string {
  samples.sort((a, b) => a - b)
  const at = (share: number): string =>
    (samples[Math.min(samples.length - 1, Math.floor(samples.length * share))] as number).toFixed(3)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`
}

async function timed(times: number, act: (i: number) => unknown): Promise<string> {
  const samples: number[] = []
  for (let i = 0; i < times; i++) {
    const startedMs = performance.now()
    await act(i)
    samples.push(performance.now() - startedMs)
  }
  return percentiles(samples)
}

async function load(redis: BenchRedis, store: AccountStore, wallet: ReturnType<typeof createWallet>): Promise<void> {
  let before = await redis.usedBytes()
  const step = async (what: string, act: (i: number) => Promise<unknown>): Promise<void> => {
    const seconds = await forAll(act)
    const after = await redis.usedBytes()
    const each = Math.round((after - before) / COUNT)
    console.log(
      `${what}: ${seconds.toFixed(1)} s, ${Math.round(COUNT / seconds)} a second, ${each} bytes each in Redis`,
    )
    before = after
  }
  const nothing = { givenOverrides: {}, createdAtMs: Date.now() }
  await step('accounts (one label)', (i) => {
    const labels = { segment: i % 2 === 0 ? 'smb' : 'trial' }
    return store.createAccount(idOf(i), { ...nothing, plan: 'main', labels, closedAtMs: undefined }, undefined)
  })
  await step('keys, one an account', (i) => {
    const fields = {
      ...nothing,
      id: `${idOf(i)}-web`,
      account: idOf(i),
      labels: {},
      actsFor: [],
      expiresAtMs: undefined,
    }
    return store.createKey(hashOf(i), fields, false, undefined)
  })
  await step('wallets with one grant and its ledger entry', (i) =>
    wallet.grant(creditRequest(10_000_000_000n, { account: idOf(i) })),
  )
}

async function lookUp(store: AccountStore, snapshot: Parameters<Callers['findKey']>[1]): Promise<void> {
  const callers = new Callers({ store, heard: () => true })
  const spread = Math.max(1, Math.floor(COUNT / LOOKUPS))
  const cold = await timed(Math.min(LOOKUPS, COUNT), (i) => callers.findKey(hashOf(i * spread), snapshot))
  console.log(`a key that nobody remembers, one after the other: ${cold}`)
  const hash = hashOf(0)
  const startedMs = performance.now()
  const times = 200_000
  // Once more each second, as its five seconds end.
  for (let i = 0; i < times; i++)
    if (callers.findKey(hash, snapshot) instanceof Promise) await callers.findKey(hash, snapshot)
  console.log(`a key that is remembered: ${(((performance.now() - startedMs) * 1e6) / times).toFixed(0)} ns`)
}

async function listPages(adminUrl: string, token: string): Promise<void> {
  for (const [what, start] of [
    ['the beginning', 0],
    ['the middle', Math.floor(COUNT / 2)],
    ['the end', Math.max(0, COUNT - 101)],
  ] as const) {
    const page = async (i: number): Promise<void> => {
      const answer = await fetch(
        `${adminUrl}/admin/v1/accounts?limit=100&after=${idOf(Math.max(0, start - (i % 50)))}`,
        {
          headers: { authorization: `Bearer ${token}` },
        },
      )
      const { items } = (await answer.json()) as { items: unknown[] }
      if (answer.status !== 200 || items.length !== 100) throw new Error(`a page of ${items?.length} accounts`)
    }
    console.log(`a page of 100 accounts with their balances, at ${what}: ${await timed(PAGES, page)}`)
  }
}

/** A whole gateway on it: how long its event loop stands still while it looks through all accounts. */
async function serve(redis: BenchRedis, store: AccountStore): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-accounts-'))
  const entitlements = `version: 1\nplans:\n  main: { unit: USD }\naccounts:\n  filed: { plan: main, keys: [ { id: k, sha256: "${sha256('k')}" } ] }\n`
  const config = writeConfig(dir, 'http://127.0.0.1:9', redis.url, { entitlements }).tollgate
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const startedMs = performance.now()
  const gateway = await startGateway({ configFile: config, env: process.env, log: SILENT_LOG })
  console.log(`a gateway serves after ${((performance.now() - startedMs) / 1000).toFixed(2)} s`)
  try {
    delay.enable()
    await sleep(WATCHED_SECONDS * 1000)
    delay.disable()
    const ms = (nanoseconds: number): string => (nanoseconds / 1e6).toFixed(1)
    console.log(
      `its event loop in the first ${WATCHED_SECONDS} s, while it sweeps and looks after allowances: p99 ${ms(delay.percentile(99))} ms late, at most ${ms(delay.max)}`,
    )
    await listPages(gateway.adminUrl, gateway.adminToken as string)
    await lookUp(store, gateway.store.current())
  } finally {
    await gateway.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

const redis = await startBenchRedis()
const times = { commandMs: 5_000, connectMs: 5_000, breakerFailures: 100, breakerWindowMs: 1_000, probeMs: 500 }
const client = connectRedis({ url: redis.url, ...times })
await client.whenUp(5_000)
await client.call('CONFIG', 'SET', 'stream-node-max-bytes', values['stream-node-bytes'])
const store = new AccountStore(client)
console.log(`${COUNT} accounts, ${redis.version}`)
await load(redis, store, createWallet(client))
await serve(redis, store)
client.close()
await redis.stop()
