/**
 * Where the CPU of a metered call goes: a profile of the gateway's main thread under full load, as microseconds a call.
 *
 *   node bench/hot-path.ts [--seconds N] [--traffic json|stream] [--unmetered] [--top N] [--keep DIR]
 *
 * Two tables: functions by their own time, and our functions by time with everything they call. The profiler itself
 * adds some tenths: compare figures of one profile with each other, not with those of overhead.ts.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { METERED_PATH, startBenchGateway, UNMETERED_PATH } from './gateway.ts'
import { MEASURING_CORE, startPeer } from './processes.ts'
import { type CpuProfile, type FunctionTime, functionTimes } from './profile.ts'
import { startBenchRedis } from './redis.ts'
import { saturate } from './saturate.ts'
import { benchPost } from './traffic.ts'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    traffic: { type: 'string', default: 'json' },
    unmetered: { type: 'boolean', default: false },
    top: { type: 'string', default: '40' },
    keep: { type: 'string' },
  },
})

const dir = options.keep ?? mkdtempSync(join(tmpdir(), 'tollgate-profile-'))
mkdirSync(dir, { recursive: true })
const undo: (() => Promise<unknown>)[] = []

async function callsUnderProfile(): Promise<number> {
  const origin = startPeer(MEASURING_CORE, './origin.ts')
  undo.push(origin.stop)
  const { port: originPort } = (await origin.next()) as { port: number }
  const load = startPeer(MEASURING_CORE, './load.ts')
  undo.push(load.stop)
  await load.next()
  const redis = await startBenchRedis()
  undo.push(redis.stop)
  const nodeArgs = ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--cpu-prof-interval', '250']
  const gateway = await startBenchGateway({ dir, originPort, redisUrl: redis.url, nodeArgs })
  const post = benchPost(
    options.unmetered ? UNMETERED_PATH : METERED_PATH,
    options.traffic === 'stream' ? 'stream' : 'json',
  )
  const { calls, failed } = await saturate(load, dir, gateway.port, post, Number(options.seconds))
  if (failed > 0) console.log(`${failed} calls failed`)
  await gateway.stop()
  return calls
}

function readProfile(): CpuProfile {
  const name = readdirSync(dir).find((file) => file.endsWith('.cpuprofile'))
  if (name === undefined) throw new Error(`no profile was written to ${dir}`)
  return JSON.parse(readFileSync(join(dir, name), 'utf8')) as CpuProfile
}

function print(title: string, times: readonly FunctionTime[], calls: number, pick: 'selfMicros' | 'totalMicros'): void {
  console.log(`\n${title}`)
  for (const time of times.slice(0, Number(options.top))) {
    console.log(`  ${(time[pick] / calls).toFixed(2).padStart(8)} µs  ${time.name}  ${time.place}`)
  }
}

try {
  const calls = await callsUnderProfile()
  const times = functionTimes(readProfile(), new URL('..', import.meta.url).href)
  console.log(`${calls} calls in ${options.seconds} s`)
  print(
    'Own time a call',
    [...times].sort((a, b) => b.selfMicros - a.selfMicros),
    calls,
    'selfMicros',
  )
  const ours = times.filter((time) => time.place.startsWith('src/'))
  print(
    'Time a call with everything called, our functions',
    ours.sort((a, b) => b.totalMicros - a.totalMicros),
    calls,
    'totalMicros',
  )
} finally {
  for (const step of undo.reverse()) await step()
  if (options.keep === undefined) rmSync(dir, { recursive: true, force: true })
}
