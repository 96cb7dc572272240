/** Hold and settle by the wallet's own functions: pairs a second, and what a pair costs on either side. */
import { median } from './figures.ts'
import { cpuMs, MEASURED_CORE, startPeer } from './processes.ts'
import type { BenchRedis } from './redis.ts'

export interface WalletFigures {
  readonly grants: number
  readonly pairsPerSecond: number | null
  /** Of one hold and one settle, in microseconds. */
  readonly clientCpuMicros: number | null
  readonly redisCpuMicros: number | null
  /** What a hold and its settle leave in Redis. */
  readonly redisBytes: number | null
}

interface WalletSample {
  readonly pairsPerSecond: number
  readonly clientCpuMicros: number
  readonly redisCpuMicros: number
  readonly redisBytes: number
}

const GRANTS = [1, 5] as const

export async function measureWallet(redis: BenchRedis, rounds: number, seconds: number): Promise<WalletFigures[]> {
  const peer = startPeer(MEASURED_CORE, './wallet-process.ts', [redis.url])
  await peer.next()
  const measureOne = async (grants: number): Promise<WalletSample> => {
    const before = { client: cpuMs(peer.pid), redis: cpuMs(redis.pid), bytes: await redis.usedBytes() }
    const { pairs, seconds: took } = (await peer.ask({ kind: 'pairs', seconds, grants })) as {
      pairs: number
      seconds: number
    }
    return {
      pairsPerSecond: pairs / took,
      clientCpuMicros: ((cpuMs(peer.pid) - before.client) * 1000) / pairs,
      redisCpuMicros: ((cpuMs(redis.pid) - before.redis) * 1000) / pairs,
      redisBytes: ((await redis.usedBytes()) - before.bytes) / pairs,
    }
  }
  const samples = new Map<number, WalletSample[]>(GRANTS.map((grants) => [grants, []]))
  try {
    await measureOne(1)
    for (let i = 0; i < rounds; i++) for (const grants of GRANTS) samples.get(grants)?.push(await measureOne(grants))
  } finally {
    await peer.stop()
  }
  return GRANTS.map((grants) => figuresOf(grants, samples.get(grants) ?? []))
}

function figuresOf(grants: number, samples: readonly WalletSample[]): WalletFigures {
  const of = (field: keyof WalletSample) => median(samples.map((sample) => sample[field]))
  return {
    grants,
    pairsPerSecond: of('pairsPerSecond'),
    clientCpuMicros: of('clientCpuMicros'),
    redisCpuMicros: of('redisCpuMicros'),
    redisBytes: of('redisBytes'),
  }
}
