import { expect, test } from 'vitest'
import { type OutboxFigures, readiness } from '../../src/readiness.ts'

const QUIET: OutboxFigures = { accepting: true, depth: 0, oldestSeconds: 0, failing: 0, diskProblem: undefined }
const PARTS = {
  store: { current: () => ({ version: 'v1' }) },
  redis: { ping: async () => true, refusal: undefined, reason: undefined },
  embedded: undefined,
  outbox: QUIET,
} as unknown as Parameters<typeof readiness>[0]

const withWorkers = (...workers: (OutboxFigures | undefined)[]) => readiness({ ...PARTS, workers: async () => workers })

test('a process that serves calls itself says nothing of workers', async () => {
  expect(await readiness(PARTS)).toEqual({
    ready: true,
    checks: {
      config: { ok: true, detail: 'version v1' },
      redis: { ok: true, detail: 'reachable' },
      durability: { ok: true, detail: 'as the Redis is set up' },
      outbox: { ok: true, detail: '0 entries, oldest 0.0 s' },
    },
  })
})

test('the outboxes of all workers are counted together', async () => {
  const { ready, checks } = await withWorkers(
    { ...QUIET, depth: 3, oldestSeconds: 2.5, failing: 1 },
    { ...QUIET, depth: 4, oldestSeconds: 7.25 },
  )
  expect([ready, checks['outbox'], checks['workers']]).toEqual([
    true,
    { ok: true, detail: '7 entries, oldest 7.3 s, 1 that cannot be posted (see the log)' },
    { ok: true, detail: '2 of 2 answer' },
  ])
})

test('a worker whose outbox is full, or cannot be written, is not ready', async () => {
  expect((await withWorkers(QUIET, { ...QUIET, accepting: false, depth: 100_000 })).ready).toBe(false)
  const disk = await withWorkers(QUIET, { ...QUIET, accepting: false, diskProblem: 'ENOSPC' })
  expect([disk.ready, disk.checks['outbox']?.detail]).toEqual([
    false,
    'no new calls are taken: data_dir cannot be written (ENOSPC); 0 entries, oldest 0.0 s',
  ])
})

test('one worker that does not answer is told, none that does is not ready', async () => {
  expect((await withWorkers(QUIET, undefined)).checks['workers']).toEqual({ ok: true, detail: '1 of 2 answer' })
  expect((await withWorkers(undefined, undefined)).ready).toBe(false)
})

test('a Redis that must not be used, or is away, is not ready', async () => {
  const refused = { ...PARTS.redis, refusal: 'it was emptied' }
  expect((await readiness({ ...PARTS, redis: refused })).checks['redis']).toEqual({
    ok: false,
    detail: 'it was emptied',
  })
  const away = { ...PARTS.redis, ping: async () => false, reason: 'ECONNREFUSED' }
  expect((await readiness({ ...PARTS, redis: away })).checks['redis']).toEqual({ ok: false, detail: 'ECONNREFUSED' })
})
