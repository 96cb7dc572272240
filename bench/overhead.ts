/**
 * What a call through the gateway costs, beside nginx and beside nothing in between. Method: bench/README.md.
 *
 *   node bench/overhead.ts [--quick] [--rounds N] [--variant NAME=PRELOAD] [--patience S] [--out FILE]
 *
 * Loopback only. Everything it starts is its own, and stopped at the end.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Round, type RoundSamples, rowFigures } from './figures.ts'
import { type BenchGateway, METERED_PATH, startBenchGateway, UNMETERED_PATH } from './gateway.ts'
import { type Bench, measureRate, measureSaturation, RATE, type Row } from './measure.ts'
import { startNginx } from './nginx.ts'
import { printFigures } from './print.ts'
import { MEASURED_CORE, MEASURING_CORE, onPath, pinning, startPeer, untilQuiet } from './processes.ts'
import { type BenchRedis, startBenchRedis } from './redis.ts'
import { CONNECTIONS, saturator } from './saturate.ts'
import { measureWallet, type WalletFigures } from './wallet.ts'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    variant: { type: 'string', multiple: true, default: [] },
    patience: { type: 'string', default: '0' },
    out: { type: 'string' },
  },
})

/** Of each measurement; 5 rows × 4 measurements × rounds of these, and what starting and warming takes. */
const SECONDS = options.quick ? { saturation: 1, rate: 1 } : { saturation: 2, rate: 2 }
const ROUNDS = Number(options.rounds ?? (options.quick ? 1 : 3))
const WARM_CALLS = 20_000
const WARM_SECONDS = options.quick ? 1 : 5

const undo: (() => Promise<unknown> | unknown)[] = []

async function startRows(dir: string, originPort: number, redis: BenchRedis): Promise<Row[]> {
  const rows: Row[] = [{ name: 'direct', port: originPort, pid: undefined, metered: false, path: () => METERED_PATH }]
  if (onPath('nginx', '-v')) {
    const nginx = await startNginx(dir, originPort)
    undo.push(() => nginx.stop())
    const path: Row['path'] = (traffic) => (traffic === 'json' ? METERED_PATH : `/stream${METERED_PATH}`)
    rows.push({ name: 'nginx', port: nginx.port, pid: nginx.pid, metered: false, path })
  } else {
    console.log('nginx is not installed: its row and all ratios to it are left out (Debian: apt-get install nginx)')
  }
  const bare = startPeer(MEASURED_CORE, './bare-process.ts', [String(originPort)])
  undo.push(() => bare.stop())
  const { port: barePort } = (await bare.next()) as { port: number }
  rows.push({ name: 'bare node', port: barePort, pid: bare.pid, metered: false, path: () => METERED_PATH })
  const gateway = await start('gateway', [])
  rows.push({ name: 'unmetered', port: gateway.port, pid: gateway.pid, metered: false, path: () => UNMETERED_PATH })
  rows.push({ name: 'metered', port: gateway.port, pid: gateway.pid, metered: true, path: () => METERED_PATH })
  for (const variant of options.variant) {
    const [name = '', preload = ''] = variant.split(/=(.*)/)
    const { port, pid } = await start(name, ['--import', preload])
    rows.push({ name, port, pid, metered: true, path: () => METERED_PATH })
  }
  return rows

  async function start(name: string, nodeArgs: readonly string[]): Promise<BenchGateway> {
    const started = await startBenchGateway({
      dir: join(dir, name),
      originPort,
      redisUrl: redis.url,
      account: `bench-${name}`,
      nodeArgs,
    })
    undo.push(() => started.stop())
    return started
  }
}

const startedMs = performance.now()

function patienceMs(): number {
  return Number(options.patience) * 1000 - (performance.now() - startedMs)
}

/** On a machine with other work: measures in a lull, and again where others came in between, while patience lasts. */
async function calmly<Sample extends { readonly disturbed: number }>(measure: () => Promise<Sample>): Promise<Sample> {
  await untilQuiet(patienceMs())
  const sample = await measure()
  return sample.disturbed > DISTURBED_MAX && patienceMs() > 0 ? await calmly(measure) : sample
}

const DISTURBED_MAX = 0.05

async function measureRow(bench: Bench, row: Row): Promise<RoundSamples> {
  return {
    json: await calmly(() => measureSaturation(bench, row, 'json', SECONDS.saturation)),
    jsonRate: await calmly(() => measureRate(bench, row, 'json', SECONDS.rate)),
    stream: await calmly(() => measureSaturation(bench, row, 'stream', SECONDS.saturation)),
    pacedRate: await calmly(() => measureRate(bench, row, 'paced', SECONDS.rate)),
  }
}

/** Until the engine has compiled what is hot: that takes thousands of calls, however long they take. */
async function warm(bench: Bench, row: Row): Promise<void> {
  for (let calls = 0, seconds = 0; calls < WARM_CALLS && seconds < WARM_SECONDS; seconds++) {
    calls += (await measureSaturation(bench, row, 'json', 1)).callsPerSecond
  }
  await measureSaturation(bench, row, 'stream', 1)
}

async function measureRounds(bench: Bench, rows: readonly Row[]): Promise<Round[]> {
  for (const row of rows) await warm(bench, row)
  const rounds: Round[] = []
  for (let i = 1; i <= ROUNDS; i++) {
    const round = new Map<string, RoundSamples>()
    for (const row of rows) {
      process.stderr.write(`round ${i} of ${ROUNDS}: ${row.name.padEnd(12)}\r`)
      round.set(row.name, await measureRow(bench, row))
    }
    rounds.push(round)
  }
  return rounds
}

async function run(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  undo.push(() => rmSync(dir, { recursive: true, force: true }))
  const origin = startPeer(MEASURING_CORE, './origin.ts')
  undo.push(() => origin.stop())
  const { port: originPort } = (await origin.next()) as { port: number }
  const load = startPeer(MEASURING_CORE, './load.ts')
  undo.push(() => load.stop())
  await load.next()
  const redis = await startBenchRedis()
  undo.push(() => redis.stop())
  const rows = await startRows(dir, originPort, redis)
  const rounds = await measureRounds({ dir, load, redisPid: redis.pid }, rows)
  const wallet: readonly WalletFigures[] = await measureWallet(redis, ROUNDS, SECONDS.saturation)
  const figures = {
    takenAt: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      pinned: pinning,
      node: process.version,
      redis: redis.version,
    },
    method: { rounds: ROUNDS, seconds: SECONDS, connections: CONNECTIONS, saturator, ratePerSecond: RATE },
    rows: rows.map((row) => rowFigures(row.name, rounds)),
    wallet,
  }
  printFigures(figures)
  const file = options.out ?? (options.quick ? undefined : new URL('./figures.json', import.meta.url).pathname)
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(figures, rounded, 2)}\n`)
}

function rounded(_name: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(4)) : value
}

try {
  await run()
} finally {
  for (const step of undo.reverse()) await step()
}
