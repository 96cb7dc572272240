/**
 * This checkout beside another one, in one run: what changes between them cost. On a machine with other work only the
 * ratios say something: of the medians, and of the least of many short rounds, to which other work adds little.
 *
 *   node bench/against.ts DIR [--rounds N] [--seconds S] [--only gateway|scripts]
 *
 * DIR: a checkout with its dependencies (`git worktree add DIR COMMIT`, and a link to node_modules in it).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { median } from './figures.ts'
import { METERED_PATH, startBenchGateway } from './gateway.ts'
import { type Bench, measureSaturation, type Row } from './measure.ts'
import { printTable } from './print.ts'
import { MEASURED_CORE, MEASURING_CORE, type Peer, startPeer } from './processes.ts'
import { type BenchRedis, startBenchRedis } from './redis.ts'
import type { ScriptCosts, ScriptJob } from './wallet-process.ts'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '0.5' },
    only: { type: 'string' },
  },
})
const [other] = positionals
if (other === undefined) throw new Error('usage: against.ts DIR')
const ROOTS = { here: new URL('..', import.meta.url).pathname, there: resolve(other) } as const
type Side = keyof typeof ROOTS
const SIDES: readonly Side[] = ['here', 'there']
const SECONDS = Number(options.seconds)

const undo: (() => Promise<unknown> | unknown)[] = []

/** Of one figure, the samples of each side round by round. */
class Pairs {
  readonly #samples: Record<Side, number[]> = { here: [], there: [] }

  add(side: Side, value: number | null): void {
    this.#samples[side].push(value ?? Number.NaN)
  }

  line(name: string): string[] {
    const { here, there } = this.#samples
    const show = (value: number | null, decimals: number) => (value === null ? '–' : value.toFixed(decimals))
    const ratios = here.map((value, i) => value / (there[i] ?? Number.NaN)).sort((a, b) => a - b)
    const [leastThere, leastHere] = [least(there), least(here)]
    const leasts = [show(leastThere, 1), show(leastHere, 1), show(leastHere / leastThere, 2)]
    return [name, show(median(there), 1), show(median(here), 1), show(median(ratios), 2), ...leasts]
  }
}

function least(values: readonly number[]): number {
  return Math.min(...values.filter(Number.isFinite))
}

const figures = new Map<string, Pairs>()

function note(name: string, side: Side, value: number | null): void {
  const pairs = figures.get(name) ?? new Pairs()
  pairs.add(side, value)
  figures.set(name, pairs)
}

interface GatewaySide {
  readonly bench: Bench
  readonly row: Row
}

async function startGateways(redis: Record<Side, BenchRedis>): Promise<Record<Side, GatewaySide>> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-against-'))
  undo.push(() => rmSync(dir, { recursive: true, force: true }))
  const origin = startPeer(MEASURING_CORE, './origin.ts')
  undo.push(() => origin.stop())
  const { port: originPort } = (await origin.next()) as { port: number }
  const load = startPeer(MEASURING_CORE, './load.ts')
  undo.push(() => load.stop())
  await load.next()
  const start = async (side: Side): Promise<GatewaySide> => {
    const gateway = await startBenchGateway({
      dir: join(dir, side),
      originPort,
      redisUrl: redis[side].url,
      root: ROOTS[side],
    })
    undo.push(() => gateway.stop())
    const row: Row = { name: side, port: gateway.port, pid: gateway.pid, metered: true, path: () => METERED_PATH }
    return { bench: { dir, load, redisPid: redis[side].pid }, row }
  }
  return { here: await start('here'), there: await start('there') }
}

async function measureGateway(side: Side, { bench, row }: GatewaySide, seconds: number): Promise<void> {
  for (const traffic of ['json', 'stream'] as const) {
    const { cpuMicros, redisCpuMicros, failed } = await measureSaturation(bench, row, traffic, seconds)
    // What is refused costs little: such a round says nothing of a call.
    const cost = failed > 0 ? Number.NaN : 1
    if (failed > 0) console.log(`${side}: ${failed} calls failed; the round does not count`)
    note(`${traffic}: CPU a call`, side, cost * cpuMicros)
    note(`${traffic}: CPU of Redis a call`, side, cost * redisCpuMicros)
  }
}

const SCRIPT_ROWS = [
  { grants: 1, budgets: 0 },
  { grants: 5, budgets: 0 },
  { grants: 5, budgets: 4 },
] as const

async function measureScripts(side: Side, wallet: Peer, redis: BenchRedis): Promise<void> {
  for (const row of SCRIPT_ROWS) {
    const job: ScriptJob = { kind: 'scripts', seconds: SECONDS, redisPid: redis.pid, ...row }
    const { hold, settle, plain } = (await wallet.ask(job)) as ScriptCosts
    const name = `${row.grants} grants, ${row.budgets} budgets`
    note(`${name}: hold, script`, side, hold.script)
    note(`${name}: hold, CPU of Redis`, side, hold.cpu)
    note(`${name}: settle, script`, side, settle.script)
    note(`${name}: settle, CPU of Redis`, side, settle.cpu)
    note('HINCRBY: command', side, plain.script)
    note('HINCRBY: CPU of Redis', side, plain.cpu)
  }
}

async function rounds(measure: (side: Side) => Promise<void>): Promise<void> {
  // Each round begins with the other side, so that neither always has the warmer machine.
  for (let i = 0; i < Number(options.rounds); i++)
    for (const side of i % 2 === 0 ? SIDES : [...SIDES].reverse()) await measure(side)
}

async function start(): Promise<Record<Side, BenchRedis>> {
  const one = async (): Promise<BenchRedis> => {
    const redis = await startBenchRedis()
    undo.push(() => redis.stop())
    return redis
  }
  return { here: await one(), there: await one() }
}

async function startWallet(side: Side, redis: BenchRedis): Promise<Peer> {
  const peer = startPeer(MEASURED_CORE, './wallet-process.ts', [redis.url, ROOTS[side]])
  undo.push(() => peer.stop())
  await peer.next()
  return peer
}

async function run(): Promise<void> {
  const redis = await start()
  if (options.only !== 'scripts') {
    const gateways = await startGateways(redis)
    for (const side of SIDES) await measureGateway(side, gateways[side], 4)
    figures.clear()
    await rounds((side) => measureGateway(side, gateways[side], SECONDS))
  }
  if (options.only !== 'gateway') {
    const wallets = { here: await startWallet('here', redis.here), there: await startWallet('there', redis.there) }
    await rounds((side) => measureScripts(side, wallets[side], redis[side]))
  }
  printTable(
    `Microseconds a call: medians of ${options.rounds} rounds (the ratio: of each round), and the least of all`,
    ['', 'there', 'here', 'ratio', 'least', 'least', 'ratio'],
    [...figures].map(([name, pairs]) => pairs.line(name)),
  )
}

try {
  await run()
} finally {
  for (const step of undo.reverse()) await step()
}
