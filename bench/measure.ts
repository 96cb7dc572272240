/** One measurement of one row: at saturation, or at a fixed rate. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadJob, LoadResult, Spread } from './load-types.ts'
import { type CpuTimes, cpuMs, cpuTimes, type Peer } from './processes.ts'
import { CONNECTIONS, saturate } from './saturate.ts'
import { benchPost, type Traffic, wireRequest } from './traffic.ts'

/** What calls go through. */
export interface Row {
  readonly name: string
  readonly port: number
  /** The process that is measured; undefined: nothing lies between load and origin. */
  readonly pid: number | undefined
  /** Asks Redis for each call. */
  readonly metered: boolean
  path(traffic: Traffic): string
}

export interface Bench {
  readonly dir: string
  readonly load: Peer
  readonly redisPid: number
}

export interface SaturationSample {
  readonly callsPerSecond: number
  /** CPU of the measured process for one call, in microseconds; NaN where there is none. */
  readonly cpuMicros: number
  /** How much of its core it used, 0 to 1: below about 0.95 the other core was the bottleneck. */
  readonly coreShare: number
  readonly redisCpuMicros: number
  /** How much of the time another process had its core, 0 to 1. */
  readonly disturbed: number
  readonly failed: number
}

/** After the load: settlements that are still on their way belong to the calls. */
const AFTERWARDS_MS = 200

export async function measureSaturation(
  bench: Bench,
  row: Row,
  traffic: Traffic,
  seconds: number,
): Promise<SaturationSample> {
  const before = { row: cpuOf(row.pid), redis: cpuMs(bench.redisPid) }
  const result = await saturate(bench.load, bench.dir, row.port, benchPost(row.path(traffic), traffic), seconds)
  const loaded = cpuOf(row.pid)
  await sleep(AFTERWARDS_MS)
  return {
    callsPerSecond: result.calls / result.seconds,
    cpuMicros: ((cpuOf(row.pid).usedMs - before.row.usedMs) * 1000) / result.calls,
    coreShare: (loaded.usedMs - before.row.usedMs) / (result.seconds * 1000),
    disturbed: (loaded.waitedMs - before.row.waitedMs) / (result.seconds * 1000),
    redisCpuMicros: row.metered ? ((cpuMs(bench.redisPid) - before.redis) * 1000) / result.calls : Number.NaN,
    failed: result.failed,
  }
}

function cpuOf(pid: number | undefined): CpuTimes {
  return pid === undefined ? { usedMs: Number.NaN, waitedMs: Number.NaN } : cpuTimes(pid)
}

export interface RateSample {
  readonly total: Spread
  readonly first: Spread
  readonly eventDelay: Spread
  readonly disturbed: number
  readonly failed: number
}

/** Calls a second at which nothing is near its limit, on a slow machine too. */
export const RATE = { json: 200, paced: 20 } as const

export async function measureRate(
  bench: Bench,
  row: Row,
  traffic: 'json' | 'paced',
  seconds: number,
): Promise<RateSample> {
  const job: LoadJob = {
    port: row.port,
    request: wireRequest(benchPost(row.path(traffic), traffic), row.port).toString(),
    connections: CONNECTIONS * 4,
    ratePerSecond: RATE[traffic],
    warmSeconds: 0.5,
    seconds,
    stamped: traffic === 'paced',
  }
  const before = { row: cpuOf(row.pid), atMs: performance.now() }
  const result = (await bench.load.ask(job)) as LoadResult
  const disturbed = (cpuOf(row.pid).waitedMs - before.row.waitedMs) / (performance.now() - before.atMs)
  return { ...result, disturbed }
}
