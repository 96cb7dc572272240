import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SILENT_LOG } from '../../../src/log.ts'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../../src/redis/embedded.ts'
import { readVersion } from '../../../src/redis/find-redis-binary.ts'
import { redisAvailable } from '../../support/redis.ts'
import { waitFor } from '../../support/wait-for.ts'

let dataDir: string
const running: EmbeddedRedis[] = []

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'embedded-'))
})
afterEach(async () => {
  for (const redis of running.splice(0)) await redis.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function start(options: { dataDir?: string; searchPath?: string } = {}): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({ dataDir, log: SILENT_LOG, ...options })
  running.push(redis)
  return redis
}

async function stop(redis: EmbeddedRedis): Promise<void> {
  running.splice(running.indexOf(redis), 1)
  await redis.stop()
}

async function ask<T>(redis: EmbeddedRedis, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(redis.url)
  try {
    return await question(client)
  } finally {
    client.disconnect()
  }
}

async function processId(redis: EmbeddedRedis): Promise<number> {
  return ask(redis, async (client) => Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1]))
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Rejects where nothing listens. */
async function connectTo(url: string): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => null, lazyConnect: true, connectTimeout: 1_000 })
  client.on('error', () => {})
  try {
    await client.connect()
  } finally {
    client.disconnect()
  }
}

/** A gateway that starts its Redis, writes, and is killed before it can stop it. Answers the server's URL. */
async function killedGateway(value: string, searchPath = process.env['PATH']): Promise<string> {
  const module = (path: string) => JSON.stringify(new URL(`../../../${path}`, import.meta.url).href)
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

describe.skipIf(!redisAvailable)('with redis-server or valkey-server on PATH', () => {
  test('balances survive a stop and a start', async () => {
    const first = await start()
    expect(first.inMemory).toBe(false)
    await ask(first, (client) => client.set('balance', '105'))
    await stop(first)
    expect(await ask(await start(), (client) => client.get('balance'))).toBe('105')
  })

  test('nothing is left running after a stop', async () => {
    const redis = await start()
    const pid = await processId(redis)
    await stop(redis)
    expect(isAlive(pid)).toBe(false)
  })

  test('it writes an AOF each second and evicts nothing', async () => {
    const redis = await start()
    const settings = await ask(redis, (client) => client.config('GET', 'append*', 'maxmemory-policy', 'save'))
    expect(settings).toEqual(expect.arrayContaining(['appendonly', 'yes', 'appendfsync', 'everysec', 'noeviction']))
  })

  test('a killed gateway’s server is taken over with its data, not started a second time', async () => {
    await killedGateway('42')
    const left = Number(readFileSync(join(dataDir, 'redis', 'redis.pid'), 'utf8'))
    expect(isAlive(left)).toBe(true)
    const redis = await start()
    expect(await processId(redis)).toBe(left)
    expect(await ask(redis, (client) => client.get('balance'))).toBe('42')
    await stop(redis)
    expect(isAlive(left)).toBe(false)
  })

  test('a server that was killed comes back with what it had written', async () => {
    const redis = await start()
    await ask(redis, (client) => client.set('balance', '7'))
    // everysec: what was written is on disk within a second, and a killed process loses nothing the kernel has.
    const pid = await processId(redis)
    process.kill(pid, 'SIGKILL')
    const value = await waitFor('the server to come back', async () => {
      const client = new Redis(redis.url, { retryStrategy: () => null, lazyConnect: true })
      client.on('error', () => {})
      try {
        await client.connect()
        return await client.get('balance')
      } finally {
        client.disconnect()
      }
    })
    expect(value).toBe('7')
    expect(await processId(redis)).not.toBe(pid)
  })

  test('a process id in the pid file that is another program’s now is left alone', async () => {
    const bystander = spawn('sleep', ['60'])
    mkdirSync(join(dataDir, 'redis'))
    writeFileSync(join(dataDir, 'redis', 'redis.pid'), String(bystander.pid))
    await start()
    expect(bystander.exitCode).toBeNull()
    expect(isAlive(bystander.pid as number)).toBe(true)
    bystander.kill()
  })

  test('a path too long for a unix socket gets a loopback port with a password', async () => {
    const long = join(dataDir, 'x'.repeat(110))
    const redis = await start({ dataDir: long })
    expect(redis.url).toMatch(/^redis:\/\/:[0-9a-f]{48}@127\.0\.0\.1:\d+$/)
    const stranger = new Redis(redis.url.replace(/:[0-9a-f]+@/, ''), { retryStrategy: () => null })
    stranger.on('error', () => {})
    await expect(stranger.get('balance')).rejects.toThrow(/NOAUTH/)
    stranger.disconnect()
  })

  test('other users of the machine cannot read its files or reach its socket', async () => {
    const redis = await start()
    expect(statSync(join(dataDir, 'redis')).mode & 0o077).toBe(0)
    expect(statSync(redis.url).mode & 0o077).toBe(0)
    expect(statSync(join(dataDir, 'redis', 'redis.conf')).mode & 0o077).toBe(0)
  })

  test('Ctrl-C for the gateway’s process group does not reach it', async () => {
    const pid = await processId(await start())
    // A signal can be sent to a group of this number only where the process leads one of its own.
    expect(() => process.kill(-pid, 0)).not.toThrow()
  })

  test('a server that cannot start is reported with the last lines of its log', async () => {
    mkdirSync(join(dataDir, 'redis', 'appendonlydir'), { recursive: true })
    writeFileSync(join(dataDir, 'redis', 'appendonlydir', 'appendonly.aof.manifest'), 'no manifest\n')
    await expect(start()).rejects.toThrow(/did not start[\s\S]*[Mm]anifest/)
  })
})

describe('without a server that serves', () => {
  test('js-redis-server keeps balances in memory, on loopback alone', async () => {
    const redis = await start({ searchPath: dataDir })
    expect(redis).toMatchObject({ kind: 'js-redis-server', inMemory: true })
    expect(await ask(redis, (client) => client.eval("return redis.call('INCRBY', KEYS[1], 5)", 1, 'balance'))).toBe(5)
    await expect(connectTo(redis.url.replace('127.0.0.1', '127.0.0.2'))).rejects.toThrow()
  })

  test('its process ends with the gateway’s, stopped or killed', async () => {
    const redis = await start({ searchPath: dataDir })
    await stop(redis)
    await expect(connectTo(redis.url)).rejects.toThrow()
    const url = await killedGateway('42', dataDir)
    await waitFor('the in-memory server to end', () =>
      connectTo(url).then(
        () => false,
        () => true,
      ),
    )
  })

  test('a redis-server that is too old is passed over, and the warning says which', async () => {
    const path = join(dataDir, 'redis-server')
    writeFileSync(path, '#!/bin/sh\necho "Redis server v=6.2.14 sha=0"\n')
    chmodSync(path, 0o755)
    const warnings: unknown[] = []
    const log = { ...SILENT_LOG, warn: (fields: unknown) => void warnings.push(fields) }
    const redis = await startEmbeddedRedis({ dataDir, log, searchPath: dataDir })
    running.push(redis)
    expect(redis.kind).toBe('js-redis-server')
    expect(JSON.stringify(warnings)).toContain('6.2.14')
  })
})

test.each([
  ['Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc', 'redis-server'],
  ['Redis server v=8.2.1 sha=00000000:0', 'redis-server'],
  ['Redis server v=6.2.14 sha=00000000:0', undefined],
  ['Valkey server v=8.1.1 sha=00000000:0', 'valkey-server'],
  ['Valkey server v=7.2.5 sha=00000000:0', 'valkey-server'],
  ['Valkey server v=7.0.0 sha=00000000:0', undefined],
  ['something else', undefined],
])('%s serves as %s', (text, kind) => {
  expect(readVersion('/usr/bin/redis-server', text)?.kind).toBe(kind)
})
