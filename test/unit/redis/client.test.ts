import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connectRedis, type RedisClient, readRedisError } from '../../../src/redis/client.ts'
import { WalletUnavailable } from '../../../src/wallet/wallet-types.ts'
import { redisAvailable, startRedis } from '../../support/redis.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

function client(url: string, states: string[] = []): RedisClient {
  const made = connectRedis({
    url,
    commandMs: 300,
    connectMs: 1000,
    breakerFailures: 5,
    breakerWindowMs: 1000,
    probeMs: 100,
    onState: (up, reason) => states.push(up ? 'up' : `down: ${reason}`),
  })
  stops.push(() => made.close())
  return made
}

/** Forwards bytes to a port until told to swallow what the server answers, or to cut every connection. */
async function faultyProxy(port: number) {
  let swallow = false
  const sockets = new Set<Socket>()
  const server: Server = createServer((down) => {
    const up = connect(port, '127.0.0.1')
    for (const socket of [down, up]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        down.destroy()
        up.destroy()
      })
    }
    down.pipe(up)
    up.on('data', (chunk) => {
      if (!swallow) down.write(chunk)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => server.close())
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  stops.push(cut)
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    swallow: (on: boolean) => {
      swallow = on
    },
  }
}

async function failure(promise: Promise<unknown>): Promise<WalletUnavailable> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(WalletUnavailable)
  return error as WalletUnavailable
}

async function until(condition: () => boolean, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!condition()) {
    if (Date.now() > end) throw new Error('the condition did not come true')
    await sleep(10)
  }
}

test.each([
  ['LOADING Redis is loading the dataset in memory', true],
  ['BUSY Redis is busy running a script', true],
  ['MASTERDOWN Link with MASTER is down', true],
  ['CLUSTERDOWN Hash slot not served', true],
  ["READONLY You can't write against a read only replica.", true],
  ['MISCONF Errors writing to the AOF file', false],
  ['NOREPLICAS Not enough good replicas to write.', false],
  ["OOM command not allowed when used memory > 'maxmemory'.", false],
  ['NOAUTH Authentication required.', true],
  ['NOPERM this user has no permissions', false],
])('%s: unavailable, surely not run, named', (message, trips) => {
  const read = readRedisError(Object.assign(new Error(message), { name: 'ReplyError' }))
  expect(read.error).toMatchObject({ name: 'WalletUnavailable', unknown: false })
  expect(read.error.message).toContain(message.split(' ')[0])
  expect(read.trips).toBe(trips)
})

test.each(['NOSCRIPT No matching script.', 'ERR wrong number of arguments'])('%s passes as it came', (message) => {
  const error = Object.assign(new Error(message), { name: 'ReplyError', command: { args: ['secret'] } })
  const read = readRedisError(error)
  expect(read.error).toBe(error)
  expect(read.trips).toBe(false)
  expect(error).not.toHaveProperty('command')
})

test.each([
  ['Command timed out', true],
  ['Connection is closed.', false],
  ["Stream isn't writeable and enableOfflineQueue options is false", false],
  ['Reached the max retries per request limit (which is 0).', true],
  ['read ECONNRESET', true],
])('%s: unknown is %s', (message, unknown) => {
  expect(readRedisError(new Error(message)).error).toMatchObject({ name: 'WalletUnavailable', unknown })
})

test.skipIf(!redisAvailable)(
  'with no Redis from the start it refuses at once and goes up by itself when one comes',
  async () => {
    const redis = await startRedis()
    await redis.stop()
    const states: string[] = []
    const redisClient = client(redis.url, states)
    const beganMs = performance.now()
    expect((await failure(redisClient.call('GET', 'a'))).unknown).toBe(false)
    expect(performance.now() - beganMs).toBeLessThan(100)
    await expect(redisClient.whenUp(150)).rejects.toThrow(/not connected/)
    const again = await startRedis({ port: redis.port })
    stops.push(() => again.stop())
    await redisClient.whenUp(60_000)
    expect(await redisClient.call('SET', 'a', '1')).toBe('OK')
    expect(states).toEqual(['up'])
  },
)

describe.skipIf(!redisAvailable)('on a real server', () => {
  async function ready() {
    const redis = await startRedis()
    stops.push(() => redis.stop())
    const proxy = await faultyProxy(redis.port)
    const states: string[] = []
    const redisClient = client(proxy.url, states)
    await redisClient.whenUp(60_000)
    return { redis, proxy, states, redisClient }
  }

  test('scripts run, NOSCRIPT comes through', async () => {
    const { redisClient } = await ready()
    expect(await redisClient.eval('return {KEYS[1], ARGV[1]}', 1, 'k', 'v')).toEqual(['k', 'v'])
    await expect(redisClient.evalsha('0'.repeat(40), 0)).rejects.toThrow(/^NOSCRIPT/)
  })

  test('what is sent in one turn of the event loop leaves in one write, and each is answered', async () => {
    const { redisClient } = await ready()
    const writes = vi.spyOn(Socket.prototype, '_writev')
    stops.push(() => writes.mockRestore())
    const answers = await Promise.all([1, 2, 3].map((n) => redisClient.call('ECHO', `echo-${n}`)))
    expect(answers).toEqual(['echo-1', 'echo-2', 'echo-3'])
    const sent = writes.mock.calls.map(([chunks]) => chunks.map(({ chunk }) => String(chunk)).join(''))
    expect(sent.filter((text) => [1, 2, 3].every((n) => text.includes(`echo-${n}`)))).toHaveLength(1)
  })

  test('connections that are lost as soon as they are made do not stop it from trying', async () => {
    const redis = await startRedis()
    stops.push(() => redis.stop())
    let made = 0
    const server = createServer((down) => {
      made++
      down.on('error', () => {})
      if (made <= 4) return void setTimeout(() => down.destroy(), 20)
      const up = connect(redis.port, '127.0.0.1')
      up.on('error', () => {})
      up.pipe(down).pipe(up)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    stops.push(() => server.close())
    const redisClient = client(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await redisClient.whenUp(60_000)
    expect(made).toBe(5)
  })

  test('a cut while a command is under way is unknown, and it comes back by itself', async () => {
    const { redisClient, proxy } = await ready()
    proxy.swallow(true)
    const lost = failure(redisClient.call('INCR', 'n'))
    await sleep(30)
    proxy.cut()
    expect((await lost).unknown).toBe(true)
    proxy.swallow(false)
    await until(() => redisClient.up)
    // Sent once, never again by the client itself.
    expect(await redisClient.call('GET', 'n')).toBe('1')
  })

  test('replies swallowed: unknown within 600 ms, then the breaker answers at once, then it recovers', async () => {
    const { redisClient, proxy, states } = await ready()
    proxy.swallow(true)
    const tookMs: number[] = []
    for (let i = 0; i < 50; i++) {
      const beganMs = performance.now()
      await failure(redisClient.call('PING'))
      tookMs.push(performance.now() - beganMs)
    }
    // The least of each kind shows what the client takes; the machine may add to any.
    expect(Math.min(...tookMs.filter((ms) => ms > 150))).toBeLessThan(600)
    expect(tookMs.filter((ms) => ms < 5).length).toBeGreaterThan(20)
    expect(redisClient.up).toBe(false)
    expect((await failure(redisClient.call('GET', 'a'))).unknown).toBe(false)
    await sleep(2500)
    proxy.swallow(false)
    await until(() => redisClient.up)
    expect(await redisClient.call('PING')).toBe('PONG')
    expect(states[0]).toBe('up')
    expect(states[1]).toMatch(/^down/)
    expect(states.at(-1)).toBe('up')
  })

  test('a killed server is refused at once and found again', async () => {
    const { redisClient, redis } = await ready()
    await redis.stop('kill')
    await until(() => !redisClient.up)
    const tookMs: number[] = []
    for (let i = 0; i < 5; i++) {
      const beganMs = performance.now()
      expect((await failure(redisClient.call('GET', 'a'))).unknown).toBe(false)
      tookMs.push(performance.now() - beganMs)
    }
    expect(Math.min(...tookMs)).toBeLessThan(50)
    const again = await startRedis({ port: redis.port })
    stops.push(() => again.stop())
    await redisClient.whenUp(60_000)
  })

  test('at maxmemory writes are refused by name, and the connection stays up', async () => {
    const redis = await startRedis({ args: ['--maxmemory', '2mb'] })
    stops.push(() => redis.stop())
    const redisClient = client(redis.url)
    await redisClient.whenUp(60_000)
    const error = await failure(
      (async () => {
        for (let i = 0; i < 100; i++) await redisClient.call('SET', `k${i}`, 'x'.repeat(100_000))
      })(),
    )
    expect(error.message).toMatch(/OOM/)
    expect(error.unknown).toBe(false)
    expect(redisClient.up).toBe(true)
  })

  test('a unix socket is reached by its path', async () => {
    const path = `/tmp/tollgate-test-${process.pid}.sock`
    const redis = await startRedis({ args: ['--unixsocket', path] })
    stops.push(() => redis.stop())
    for (const url of [path, `unix://${path}`]) {
      const redisClient = client(url)
      await redisClient.whenUp(60_000)
      expect(await redisClient.call('PING')).toBe('PONG')
    }
  })
})
