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
import type { BudgetCount, HoldRequest } from '../src/wallet/wallet-types.ts'
import { median } from './figures.ts'
import { cpuMs } from './processes.ts'
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

const INFO = JSON.stringify({ key: 'bench', upstream: 'openai', model: 'gpt-bench', endpoint: 'chat' })
const SETTLE_INFO = JSON.stringify({
  key: 'bench',
  upstream: 'openai',
  model: 'gpt-bench',
  endpoint: 'chat',
  provider_request_id: 'req_bench',
  tokens: { input: 192, output: 160 },
  usage_source: 'provider',
  usage: { prompt_tokens: 192, completion_tokens: 160, total_tokens: 352 },
  price_version: '2026-01-01',
  cost: '0.000368',
  cost_unit: 'USD',
  status: 200,
  duration_ms: 900,
  ttfb_ms: 300,
})

const DAY_MS = 86_400_000
const day = Math.floor(Date.now() / DAY_MS) * DAY_MS

/** A lifetime of money, a day of money, an hour of tokens, calls at once: one of each kind of window. */
const BUDGETS: readonly BudgetCount[] = [
  budget('all', 'USD', 'lifetime', { kind: 'lifetime' }),
  budget('daily', 'USD', 'day', {
    kind: 'calendar',
    bounds: [day - DAY_MS, day, day + DAY_MS, day + 2 * DAY_MS],
  }),
  budget('hourly', 'tokens', 'rolling-3600000', { kind: 'rolling', lengthMs: 3_600_000, partMs: 60_000 }),
  budget('at-once', 'concurrent', 'lifetime', { kind: 'lifetime' }),
]

function budget(name: string, measure: string, window: string, around: BudgetCount['window']): BudgetCount {
  return {
    name,
    field: `${name}~${measure}~${window}~account=bench`,
    measure,
    limit: 1_000_000_000_000_000n,
    action: 'block',
    lifeMs: 35 * DAY_MS,
    group: '',
    valuesMax: 0,
    window: around,
  }
}

function holdRequest(account: string, budgets: number): HoldRequest {
  return {
    id: newId(Date.now()),
    account,
    unit: 'USD',
    scale: 9,
    onExhausted: { mode: 'block' },
    overflowPeriod: '',
    observe: false,
    ...(budgets > 0 && {
      budgets: BUDGETS.slice(0, budgets),
      amounts: [{ measure: 'tokens', fixed: 192n, perToken: 1n, floor: 100n }],
    }),
    facts: {
      model: 'gpt-bench',
      upstream: 'openai',
      endpoint: 'chat',
      key: 'bench',
      run: undefined,
      user: undefined,
      labels: {},
    },
    floorAtoms: 40_000n,
    priceVersion: '2026-01-01',
    onTimeout: 'known',
    fixedAtoms: 100_000n,
    perTokenAtoms: 2_000n,
    leastTokens: 256,
    wantTokens: 256,
    totalTokens: 256,
    deadlineMs: 120_000,
    dryRun: false,
    info: INFO,
  }
}

/** Each grant is a little smaller in priority than the next, so that a hold looks at all but draws on the first. */
async function grant(account: string, priority: number): Promise<void> {
  const id = newId(Date.now())
  const result = await wallet.grant({
    account,
    operationId: id,
    id,
    key: undefined,
    unit: 'USD',
    scale: 9,
    amountAtoms: 1_000_000_000_000_000n,
    funding: 'invoiced',
    priority,
    effectiveAtMs: undefined,
    expiresAtMs: undefined,
    appliesTo: undefined,
    costBasis: undefined,
    repaysDebt: undefined,
    labels: {},
    actor: 'bench',
  })
  if (result.status !== 'done') throw new Error(`a grant was answered ${result.status}`)
}

async function newAccount(grants: number): Promise<string> {
  const account = `wallet-${newId(Date.now()).toLowerCase()}`
  for (let i = 0; i < grants; i++) await grant(account, i)
  return account
}

async function hold(terms: HoldRequest): Promise<void> {
  const { status } = await wallet.hold(terms)
  if (status !== 'held') throw new Error(`a hold was answered ${status}`)
}

async function settle(terms: HoldRequest): Promise<void> {
  const finals = terms.budgets && { tokens: 352n }
  const { status } = await wallet.settle({ terms, finalAtoms: 368_000n, info: SETTLE_INFO, ...(finals && { finals }) })
  if (status !== 'settled') throw new Error(`a settle was answered ${status}`)
}

async function pairsUntil(account: string, endMs: number): Promise<number> {
  let pairs = 0
  for (; performance.now() < endMs; pairs++) {
    const terms = holdRequest(account, 0)
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
  const samples = { hold: new Samples(), settle: new Samples(), plain: new Samples() }
  const endMs = performance.now() + seconds * 1000
  while (performance.now() < endMs) {
    const terms = Array.from({ length: BATCH }, () => holdRequest(account, budgets))
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
