import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { longRead } from '../../../src/admin/long-reads.ts'
import type { AdminDependencies } from '../../../src/admin/route.ts'
import { redisAvailable } from '../../support/redis.ts'
import { type AdminHarness, startAdmin } from './harness.ts'

const response = () => new EventEmitter() as unknown as ServerResponse

test('four reports are made at once, a fifth is refused, and one more when one has ended or failed', async () => {
  const admin = {} as AdminDependencies
  const ends: (() => void)[] = []
  const start = () => longRead(admin, response(), () => new Promise<void>((resolve) => ends.push(resolve)))
  const running = [start(), start(), start(), start()]
  await expect(start()).rejects.toMatchObject({ status: 503, code: 'overloaded' })
  ends[0]?.()
  await running[0]
  await expect(longRead(admin, response(), () => Promise.reject(new Error('read')))).rejects.toThrow('read')
  const next = start()
  for (const end of ends) end()
  await Promise.all([...running, next])
})

test('a caller that hangs up ends its report, one that waits does not', async () => {
  const admin = {} as AdminDependencies
  const [gone, waiting] = [response(), response()]
  const read = async (signal: AbortSignal) => {
    await new Promise((resolve) => setImmediate(resolve))
    signal.throwIfAborted()
    return 'read'
  }
  const [first, second] = [longRead(admin, gone, read), longRead(admin, waiting, read)]
  gone.emit('close')
  await expect(first).rejects.toMatchObject({ status: 503, message: 'The caller has gone.' })
  expect(await second).toBe('read')
  expect(waiting.listenerCount('close')).toBe(0)
})

let harness: AdminHarness
beforeEach(async () => {
  if (redisAvailable) harness = await startAdmin()
})
afterEach(async () => {
  await harness?.stop()
})

test.skipIf(!redisAvailable)('every report is for viewers, and of an account that is not there a 404', async () => {
  for (const path of ['usage', 'reports/controls', 'reports/shadow']) {
    expect(await harness.call('GET', `${path}?account=acme`, { role: 'viewer' })).toMatchObject({ status: 200 })
    expect(await harness.call('GET', path, { role: 'viewer' })).toMatchObject({ status: 200 })
    expect(await harness.call('GET', `${path}?account=nobody`, { role: 'viewer' })).toMatchObject({ status: 404 })
    expect(await harness.call('GET', path, { token: 'wrong' })).toMatchObject({ status: 401 })
    expect(await harness.call('GET', `${path}?acount=acme`)).toMatchObject({ status: 422 })
  }
  const resolve = { body: { decision: 'charge', reason: 'r' }, role: 'viewer' } as const
  expect(await harness.call('POST', 'accounts/acme/unmatched/1/resolve', resolve)).toMatchObject({ status: 403 })
  expect(await harness.call('GET', 'accounts/acme/unmatched', { role: 'viewer' })).toMatchObject({
    status: 200,
    body: { items: [], next: null },
  })
})
