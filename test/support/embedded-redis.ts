import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { expect } from 'vitest'

/** Rejects where nothing listens. */
export async function connectTo(url: string): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => null, lazyConnect: true, connectTimeout: 1_000 })
  client.on('error', () => {})
  try {
    await client.connect()
  } finally {
    client.disconnect()
  }
}

/** A gateway that starts its Redis, writes, and is killed before it can stop it. Answers the server's URL. */
export async function killedGateway(dataDir: string, value: string, searchPath = process.env['PATH']): Promise<string> {
  const module = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href)
  const options = JSON.stringify({ dataDir, searchPath })
  const program = `
    const { startEmbeddedRedis } = await import(${module('src/redis/embedded.ts')})
    const { Redis } = await import('ioredis')
    const log = { info() {}, warn() {}, error() {} }
    const redis = await startEmbeddedRedis({ ...${options}, log })
    const client = new Redis(redis.url)
    await client.set('balance', ${JSON.stringify(value)});
    (await import('node:fs')).writeSync(1, redis.url)
    process.kill(process.pid, 'SIGKILL')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let url = ''
  child.stdout.on('data', (chunk) => {
    url += chunk
  })
  expect(await once(child, 'close')).toEqual([null, 'SIGKILL'])
  return url
}
