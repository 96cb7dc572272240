import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startGateway } from '../../../src/gateway.ts'
import { SILENT_LOG } from '../../../src/log.ts'
import { startEmbeddedRedis } from '../../../src/redis/embedded.ts'
import { readVersion } from '../../../src/redis/find-redis-binary.ts'
import { connectTo, killedGateway } from '../../support/embedded-redis.ts'
import { waitFor } from '../../support/wait-for.ts'

/** Holds no redis-server, and serves as a PATH without one. */
let dataDir: string

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'embedded-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

test('js-redis-server keeps balances in memory, on loopback alone', async () => {
  const redis = await startEmbeddedRedis({ dataDir, log: SILENT_LOG, searchPath: dataDir })
  expect(redis).toMatchObject({ kind: 'js-redis-server', inMemory: true })
  const client = new Redis(redis.url)
  expect(await client.eval("return redis.call('INCRBY', KEYS[1], 5)", 1, 'balance')).toBe(5)
  client.disconnect()
  await expect(connectTo(redis.url.replace('127.0.0.1', '127.0.0.2'))).rejects.toThrow()
  await redis.stop()
})

test('its process ends with the gateway’s, stopped or killed', async () => {
  const redis = await startEmbeddedRedis({ dataDir, log: SILENT_LOG, searchPath: dataDir })
  await redis.stop()
  await expect(connectTo(redis.url)).rejects.toThrow()
  const url = await killedGateway(dataDir, '42', dataDir)
  const refused = () =>
    connectTo(url).then(
      () => false,
      () => true,
    )
  await waitFor('the in-memory server to end', refused)
})

test('a gateway waits for what js-redis-server takes to compile a script', async () => {
  vi.stubEnv('PATH', dataDir)
  const configFile = join(dataDir, 'tollgate.yaml')
  const settings = 'gateway: { port: 0 }\nadmin: { port: 0 }\nlimits: { redis_command_timeout: 10ms }\n'
  writeFileSync(configFile, `version: 1\n${settings}prices: p.yaml\nentitlements: e.yaml\nupstreams: {}\n`)
  writeFileSync(join(dataDir, 'p.yaml'), 'version: 1\n')
  writeFileSync(
    join(dataDir, 'e.yaml'),
    'version: 1\nplans: { main: { unit: USD } }\naccounts: { acme: { plan: main } }\n',
  )
  const gateway = await startGateway({ configFile, env: {}, log: SILENT_LOG })
  try {
    expect(gateway.redis).toMatchObject({ inMemory: true })
    const granted = await fetch(`${gateway.adminUrl}/admin/v1/accounts/acme/grants`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ amount: '5', unit: 'USD', funding: 'promotional' }),
    })
    expect(granted.status).toBe(201)
  } finally {
    await gateway.stop()
    vi.unstubAllEnvs()
  }
})

test('a redis-server that is too old is passed over, and the warning says which', async () => {
  const path = join(dataDir, 'redis-server')
  writeFileSync(path, '#!/bin/sh\necho "Redis server v=6.2.14 sha=0"\n')
  chmodSync(path, 0o755)
  const warnings: unknown[] = []
  const log = { ...SILENT_LOG, warn: (fields: unknown) => void warnings.push(fields) }
  const redis = await startEmbeddedRedis({ dataDir, log, searchPath: dataDir })
  expect(redis.kind).toBe('js-redis-server')
  expect(JSON.stringify(warnings)).toContain('6.2.14')
  await redis.stop()
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
