/**
 * Holds, settles and the plainest command of the same server, a second each: one run a message, on an account of its own.
 *
 *   rates-process.ts REDIS_URL
 */
import { Redis } from 'ioredis'
import { newId } from '../src/core/ids.ts'
import { createWallet } from '../src/wallet/redis-wallet.ts'
import type { HoldRequest, Wallet } from '../src/wallet/wallet-types.ts'
import { cpuMs } from './processes.ts'
import { sampleBudgets, sampleGrant, sampleHold, sampleSettle } from './sample-calls.ts'

export interface RatesJob {
  /** Of which the first pays, or the last: those before it are then looked at by each hold, and held by an open call. */
  readonly grants: number
  readonly pays: 'first' | 'last'
  readonly budgets: number
  /** That are open beside. */
  readonly openHolds: number
  readonly calls: number
  readonly redisPid: number
  /** Each with one command at a time; or all commands on one connection. */
  readonly connections: 'one' | 'each'
}

export interface Rate {
  readonly perSecond: number
  /** CPU of the server, of one. */
  readonly redisMicros: number
}

export interface Rates {
  readonly hold: Rate
  readonly settle: Rate
  /** A script that does nothing, with the keys and arguments of the hold. */
  readonly empty: Rate
  readonly plain: Rate
}

const [url] = process.argv.slice(2)
if (url === undefined) throw new Error('usage: rates-process.ts REDIS_URL')

export const AT_ONCE = 50
const ENOUGH = 1_000_000_000_000_000n
const SMALL = 1_000n
const connections = Array.from({ length: AT_ONCE }, () => new Redis(url))
const [first] = connections as [Redis]
let lastArguments: readonly string[] = []
const wallets = connections.map((redis) =>
  createWallet({
    evalsha: (sha1, keyCount, ...rest) => {
      lastArguments = rest
      return redis.evalsha(sha1, keyCount, ...rest)
    },
    eval: (source, keyCount, ...rest) => redis.eval(source, keyCount, ...rest),
  }),
)
const emptyScript = String(await first.script('LOAD', '#!lua\nreturn {}'))
// Of hold.lua.
const KEYS = 11

/** Runs `act` on each item, 50 at a time. */
async function rateOf<Item>(
  redisPid: number,
  items: readonly Item[],
  act: (item: Item, lane: number) => Promise<unknown>,
): Promise<Rate> {
  let next = 0
  const [startedMs, cpuBeforeMs] = [performance.now(), cpuMs(redisPid)]
  const lane = async (number: number): Promise<void> => {
    while (next < items.length) await act(items[next++] as Item, number)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => lane(number)))
  const seconds = (performance.now() - startedMs) / 1000
  return { perSecond: items.length / seconds, redisMicros: ((cpuMs(redisPid) - cpuBeforeMs) * 1000) / items.length }
}

async function hold(wallet: Wallet, terms: HoldRequest): Promise<void> {
  const { status } = await wallet.hold(terms)
  if (status !== 'held') throw new Error(`a hold was answered ${status}`)
}

async function settle(wallet: Wallet, terms: HoldRequest): Promise<void> {
  const { status } = await wallet.settle(sampleSettle(terms))
  if (status !== 'settled') throw new Error(`a settle was answered ${status}`)
}

async function newAccount({ grants, pays }: RatesJob): Promise<string> {
  const [wallet] = wallets as [Wallet]
  const account = `rates-${newId(Date.now()).toLowerCase()}`
  const small = pays === 'first' ? 0 : grants - 1
  for (let i = 0; i < grants; i++) await wallet.grant(sampleGrant(account, i < small ? SMALL : ENOUGH, i))
  if (small > 0)
    await hold(wallet, { ...sampleHold(account, []), fixedAtoms: SMALL * BigInt(small), perTokenAtoms: 0n })
  return account
}

async function run(job: RatesJob): Promise<Rates> {
  const account = await newAccount(job)
  const budgets = sampleBudgets(job.budgets)
  const some = (count: number) => Array.from({ length: count }, () => sampleHold(account, budgets))
  const of = (lane: number): number => (job.connections === 'one' ? 0 : lane)
  const walletOf = (lane: number): Wallet => wallets[of(lane)] as Wallet
  await rateOf(job.redisPid, some(job.openHolds), (terms, lane) => hold(walletOf(lane), terms))
  const calls = some(job.calls)
  const held = await rateOf(job.redisPid, calls, (terms, lane) => hold(walletOf(lane), terms))
  const ofHold = [...lastArguments]
  const connectionOf = (lane: number): Redis => connections[of(lane)] ?? first
  return {
    hold: held,
    settle: await rateOf(job.redisPid, calls, (terms, lane) => settle(walletOf(lane), terms)),
    empty: await rateOf(job.redisPid, calls, (_, lane) => connectionOf(lane).evalsha(emptyScript, KEYS, ...ofHold)),
    plain: await rateOf(job.redisPid, calls, (_, lane) => connectionOf(lane).hincrby('plain', 'n', 1)),
  }
}

process.on('message', async (job: RatesJob) => {
  process.send?.(await run(job))
})
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
