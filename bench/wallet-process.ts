/**
 * The wallet's own share: hold and settle by its typed functions, without HTTP.
 *
 *   wallet-process.ts REDIS_URL [ROOT]
 *
 * Each message is one run on an account of its own, answered by what it came to: a WalletJob pairs of hold and settle,
 * 32 at a time; a ScriptJob holds and settles apart, and the plainest command of the same server beside them.
 * ROOT: another checkout of this project, whose wallet it is then.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Redis } from 'ioredis'
import { newId } from '../src/core/ids.ts'
import type { HoldRequest } from '../src/wallet/wallet-types.ts'
import { median } from './figures.ts'
import { cpuMs } from './processes.ts'
import { sampleBudgets, sampleGrant, sampleHold, sampleSettle } from './sample-calls.ts'
import { CONNECTIONS } from './saturate.ts'

export interface WalletJob {
  readonly kind: 'pairs'
  readonly seconds: number
  readonly grants: number
}

export interface ScriptJob {
  readonly kind: 'scripts'
  readonly seconds: number
  readonly grants: number
  /** 0 to 4. */
  readonly budgets: number
  readonly redisPid: number
}

/**
 * Of one call, in microseconds. `cpu`: all that the server does for it. `script`: what INFO commandstats says of it, by
 * the clock, which other work on the core can only make longer: the least of all batches.
 */
export interface CommandCost {
  readonly cpu: number | null
  readonly script: number | null
}

export interface ScriptCosts {
  readonly hold: CommandCost
  readonly settle: CommandCost
  /** HINCRBY of one field. */
  readonly plain: CommandCost
}

const [url, root = new URL('..', import.meta.url).pathname] = process.argv.slice(2)
if (url === undefined) throw new Error('usage: wallet-process.ts REDIS_URL [ROOT]')
const from = async <Module>(file: string): Promise<Module> => await import(pathToFileURL(join(root, file)).href)
const { connectRedis } = await from<typeof import('../src/redis/client.ts')>('src/redis/client.ts')
const { createWallet } = await from<typeof import('../src/wallet/redis-wallet.ts')>('src/wallet/redis-wallet.ts')

const client = connectRedis({
  url,
  commandMs: 2_000,
  connectMs: 1_000,
  breakerFailures: 1_000,
  breakerWindowMs: 1_000,
  probeMs: 500,
})
await client.whenUp(2_000)
const wallet = createWallet(client)
const plainClient = new Redis(url)

async function newAccount(grants: number): Promise<string> {
  const account = `wallet-${newId(Date.now()).toLowerCase()}`
  for (let i = 0; i < grants; i++) {
    // Each grant a little later in the order than the one before, so that a hold looks at all but draws on the first.
    const { status } = await wallet.grant(sampleGrant(account, 1_000_000_000_000_000n, i))
    if (status !== 'done') throw new Error(`a grant was answered ${status}`)
  }
  return account
}

async function hold(terms: HoldRequest): Promise<void> {
  const { status } = await wallet.hold(terms)
  if (status !== 'held') throw new Error(`a hold was answered ${status}`)
}

async function settle(terms: HoldRequest): Promise<void> {
  const { status } = await wallet.settle(sampleSettle(terms))
  if (status !== 'settled') throw new Error(`a settle was answered ${status}`)
}

async function pairsUntil(account: string, endMs: number): Promise<number> {
  let pairs = 0
  for (; performance.now() < endMs; pairs++) {
    const terms = sampleHold(account, [])
    await hold(terms)
    await settle(terms)
  }
  return pairs
}

async function runPairs({ seconds, grants }: WalletJob): Promise<{ pairs: number; seconds: number }> {
  const account = await newAccount(grants)
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1000
  const counts = await Promise.all(Array.from({ length: CONNECTIONS }, () => pairsUntil(account, endMs)))
  return { pairs: counts.reduce((sum, count) => sum + count, 0), seconds: (performance.now() - startedMs) / 1000 }
}

/** Calls of one kind between two looks at the server's figures. */
const BATCH = 480

async function runScripts({ seconds, grants, budgets, redisPid }: ScriptJob): Promise<ScriptCosts> {
  const account = await newAccount(grants)
  const counts = sampleBudgets(budgets)
  const samples = { hold: new Samples(), settle: new Samples(), plain: new Samples() }
  const endMs = performance.now() + seconds * 1000
  while (performance.now() < endMs) {
    const terms = Array.from({ length: BATCH }, () => sampleHold(account, counts))
    await samples.hold.take(redisPid, 'evalsha', () => each(terms, hold))
    await samples.settle.take(redisPid, 'evalsha', () => each(terms, settle))
    await samples.plain.take(redisPid, 'hincrby', () => each(terms, () => plainClient.hincrby(account, 'n', 1)))
  }
  return { hold: samples.hold.cost(), settle: samples.settle.cost(), plain: samples.plain.cost() }
}

async function each<Item>(items: readonly Item[], act: (item: Item) => Promise<unknown>): Promise<void> {
  let next = 0
  const one = async (): Promise<void> => {
    while (next < items.length) await act(items[next++] as Item)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, one))
}

class Samples {
  readonly #cpu: number[] = []
  readonly #script: number[] = []

  async take(pid: number, command: string, act: () => Promise<void>): Promise<void> {
    const scriptBefore = await scriptMicros(command)
    const cpuBefore = cpuMs(pid)
    await act()
    this.#cpu.push(((cpuMs(pid) - cpuBefore) * 1000) / BATCH)
    this.#script.push(((await scriptMicros(command)) - scriptBefore) / BATCH)
  }

  cost(): CommandCost {
    return { cpu: median(this.#cpu), script: Math.min(...this.#script) }
  }
}

/** So far, of all calls of the command. */
async function scriptMicros(command: string): Promise<number> {
  const info = await plainClient.info('commandstats')
  return Number(new RegExp(`^cmdstat_${command}:calls=\\d+,usec=(\\d+)`, 'm').exec(info)?.[1] ?? 0)
}

process.on('message', async (job: WalletJob | ScriptJob) => {
  process.send?.(job.kind === 'pairs' ? await runPairs(job) : await runScripts(job))
})
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
