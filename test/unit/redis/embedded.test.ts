import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SILENT_LOG } from '../../../src/log.ts'
import { type EmbeddedRedis, startEmbeddedRedis } from '../../../src/redis/embedded.ts'
import { killedGateway } from '../../support/embedded-redis.ts'
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

async function start(options: { dataDir?: string } = {}): Promise<EmbeddedRedis> {
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
    await killedGateway(dataDir, '42')
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
