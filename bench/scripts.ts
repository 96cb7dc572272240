/**
 * Holds and settles a second, and how many times slower than a plain HINCRBY of the same client in the same run.
 *
 *   node bench/scripts.ts [--rounds N] [--calls N]
 *
 * 50 at a time, in two ways: 50 connections with one command each, as redis-benchmark does, and one connection, whose
 * commands ioredis writes as they come. `empty`: a script that does
 * nothing, with the keys and arguments of the hold. The last columns are the CPU of the server, of one.
 */
import { parseArgs } from 'node:util'
import { median } from './figures.ts'
import { printTable } from './print.ts'
import { MEASURED_CORE, type Peer, startPeer } from './processes.ts'
import type { Rates, RatesJob } from './rates-process.ts'
import { startBenchRedis } from './redis.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, calls: { type: 'string', default: '1000' } },
})
const CALLS = Number(options.calls)

type Row = Pick<RatesJob, 'grants' | 'pays' | 'budgets' | 'openHolds'>
const ROWS: readonly Row[] = [
  ...[1, 5, 20, 64].flatMap((grants) =>
    [0, 4, 16].map((budgets) => ({ grants, pays: 'first', budgets, openHolds: 0 }) as const),
  ),
  ...[5, 64].map((grants) => ({ grants, pays: 'last', budgets: 4, openHolds: 0 }) as const),
  { grants: 5, pays: 'first', budgets: 4, openHolds: 10_000 - CALLS },
]

function nameOf({ grants, pays, budgets, openHolds }: Row): string {
  const open = openHolds > 0 ? `, ${openHolds + CALLS} open holds` : ''
  return `${grants} grants${pays === 'last' ? ' (the last pays)' : ''}, ${budgets} budgets${open}`
}

async function measure(peer: Peer, connections: RatesJob['connections']): Promise<readonly string[][]> {
  const samples = new Map<Row, Rates[]>(ROWS.map((row) => [row, []]))
  await peer.ask({ ...(ROWS[0] as Row), calls: CALLS, connections, redisPid: redis.pid } satisfies RatesJob)
  for (let round = 0; round < Number(options.rounds); round++)
    for (const row of ROWS) {
      const job: RatesJob = { ...row, calls: CALLS, connections, redisPid: redis.pid }
      samples.get(row)?.push((await peer.ask(job)) as Rates)
    }
  return ROWS.map((row) => [nameOf(row), ...lineOf(samples.get(row) ?? [])])
}

/** Medians; ratios are formed within a run, then the median is taken. */
function lineOf(rates: readonly Rates[]): string[] {
  const of = (pick: (rate: Rates) => number, decimals: number) =>
    (median(rates.map(pick)) ?? Number.NaN).toFixed(decimals)
  const kinds = ['hold', 'settle', 'empty', 'plain'] as const
  return [
    ...kinds.map((kind) => of((rate) => rate[kind].perSecond, 0)),
    of((rate) => rate.plain.perSecond / rate.hold.perSecond, 1),
    of((rate) => rate.plain.perSecond / rate.settle.perSecond, 1),
    ...kinds.map((kind) => of((rate) => rate[kind].redisMicros, 1)),
  ]
}

const redis = await startBenchRedis()
const peer = startPeer(MEASURED_CORE, './rates-process.ts', [redis.url])
try {
  await peer.next()
  for (const connections of ['each', 'one'] as const) {
    printTable(
      `A second, ${connections === 'each' ? '50 connections' : 'one connection'}: medians of ${options.rounds} rounds of ${CALLS} calls`,
      ['', 'hold', 'settle', 'empty', 'HINCRBY', '/ hold', '/ settle', 'µs: hold', 'settle', 'empty', 'HINCRBY'],
      await measure(peer, connections),
    )
  }
} finally {
  await peer.stop()
  await redis.stop()
}
