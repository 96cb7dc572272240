/** The Redis of the benchmark: private, in memory, on the core of what measures. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from '../test/support/free-port.ts'
import { endWithin, MEASURING_CORE, onPath, pinned } from './processes.ts'

export interface BenchRedis {
  readonly url: string
  readonly pid: number
  readonly version: string
  usedBytes(): Promise<number>
  stop(): Promise<void>
}

export async function startBenchRedis(): Promise<BenchRedis> {
  const program = ['redis-server', 'valkey-server'].find((name) => onPath(name, '--version'))
  if (program === undefined) throw new Error('the benchmark needs redis-server or valkey-server on PATH')
  const port = await freePort()
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const [command, args] = pinned(MEASURING_CORE, program, settings)
  const child = spawn(command, args, { stdio: 'ignore' })
  const gone = once(child, 'exit')
  await sleep(100)
  const client = new Redis({ port, host: '127.0.0.1' })
  client.on('error', () => undefined)
  const info = async (section: string, field: string) =>
    new RegExp(`^${field}:(.*)$`, 'm').exec(await client.info(section))?.[1]?.trim() ?? ''
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid as number,
    version: `${program} ${await info('server', 'redis_version')}`,
    usedBytes: async () => Number(await info('memory', 'used_memory')),
    async stop() {
      client.disconnect()
      child.kill('SIGTERM')
      await endWithin(child, gone, 5_000)
    },
  }
}
