import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { outboxCheck } from '../../../src/readiness.ts'
import { Outbox, type OutboxOptions } from '../../../src/wallet/outbox.ts'
import { listSegments, readRecords } from '../../../src/wallet/outbox-file.ts'
import { away, FakeWallet, memoryLog, settlement, terms, until } from './fake-wallet.ts'

let dir: string
let wallet: FakeWallet
let log: ReturnType<typeof memoryLog>
const open: Outbox[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-outbox-'))
  wallet = new FakeWallet()
  log = memoryLog()
  return async () => {
    for (const outbox of open.splice(0)) await outbox.close(0)
    rmSync(dir, { recursive: true, force: true })
  }
})

function openOutbox(more: Partial<OutboxOptions> = {}): Outbox {
  const outbox = new Outbox({ dataDir: dir, worker: 'w0', wallet, log, ...more })
  open.push(outbox)
  return outbox
}

function onDisk(): string[] {
  return listSegments(join(dir, 'outbox'))
    .flatMap((segment) => [...readRecords(readFileSync(segment.path))])
    .map((record) => (record.type === 'damage' ? 'damage' : `${record.type} ${record.id}`))
}

test('each record of a call is in the file when the call returns, in order', async () => {
  const outbox = openOutbox()
  outbox.intent('a', 'acme')
  expect(onDisk()).toEqual(['intent a'])
  outbox.dispatched(terms('a'))
  outbox.progress('a', 5n)
  let seenBySettle: string[] = []
  wallet.fail = () => {
    seenBySettle = onDisk()
    return undefined
  }
  const settling = outbox.settle(settlement('a'))
  expect(seenBySettle).toEqual(['intent a', 'dispatched a', 'progress a', 'settle a'])
  expect(await settling).toMatchObject({ status: 'settled' })
  // Rides with the next record, or goes by itself within a second.
  await expect.poll(() => onDisk().at(-1), { timeout: 2000 }).toBe('acknowledged a')
  await expect(outbox.settle(settlement('b'))).resolves.toMatchObject({ status: 'settled' })
  outbox.intent('c', 'acme')
  expect(onDisk().slice(-3)).toEqual(['settle b', 'acknowledged b', 'intent c'])
})

test('a settlement is sent again until Redis answers, and its promise never rejects', async () => {
  const outbox = openOutbox()
  let failures = 3
  wallet.fail = () => (failures-- > 0 ? away : undefined)
  const result = outbox.settle(settlement('a'))
  expect(outbox.depth).toBe(1)
  expect((await result).status).toBe('settled')
  expect(outbox.depth).toBe(0)
  expect(wallet.attempts).toBe(4)
  expect(wallet.acknowledged).toEqual(['settle a 100'])
})

test('while Redis is away 1,000 settlements wait on one back-off, and all go out on a nudge', async () => {
  const outbox = openOutbox()
  wallet.fail = () => away
  const results = Array.from({ length: 1000 }, (_, i) => outbox.settle(settlement(`c${i}`)))
  await new Promise((resolve) => setTimeout(resolve, 400))
  expect(outbox.depth).toBe(1000)
  expect(outbox.oldestSeconds).toBeGreaterThan(0.3)
  expect(wallet.attempts).toBeLessThan(1400)
  wallet.fail = () => undefined
  outbox.nudge()
  await Promise.all(results)
  expect(new Set(wallet.acknowledged).size).toBe(1000)
  expect(wallet.acknowledged).toHaveLength(1000)
})

test('a settlement that Redis answers with an error holds up no other', async () => {
  const outbox = openOutbox()
  wallet.fail = (id) => (id === 'bad' ? new Error('ERR user_script: no') : undefined)
  void outbox.settle(settlement('bad'))
  await Promise.all(['a', 'b', 'c'].map((id) => outbox.settle(settlement(id))))
  expect(outbox.depth).toBe(1)
  expect(outbox.failing).toBe(1)
  expect(log.lines).toEqual(['error: a settlement fails: it is kept and tried again'])
  wallet.fail = () => undefined
  await until(() => outbox.depth === 0)
})

test('two acts of one call are sent in the order they were recorded', async () => {
  const outbox = openOutbox()
  let failures = 1
  wallet.fail = () => (failures-- > 0 ? away : undefined)
  const first = outbox.void({ id: 'a', account: 'acme', reason: 'never_sent' })
  const second = outbox.settle(settlement('a'))
  await Promise.all([first, second])
  expect(wallet.acknowledged).toEqual(['void a never_sent', 'settle a 100'])
})

test('at the bound no new hold is taken, below it again', async () => {
  const outbox = openOutbox({ bound: 3 })
  wallet.fail = () => away
  const results = ['a', 'b', 'c'].map((id) => outbox.settle(settlement(id)))
  expect(outbox.accepting).toBe(false)
  wallet.fail = () => undefined
  outbox.nudge()
  await Promise.all(results)
  expect(outbox.accepting).toBe(true)
})

test.each([
  ['refuses at once', 0],
  ['takes half a line and then refuses', 20],
])('a disk that %s stops new holds, loses nothing, and is used again by itself', async (_, bytesTaken) => {
  let full = false
  const disk = {
    open: (path: string) => openSync(path, 'a'),
    close: closeSync,
    write(fd: number, bytes: Buffer, offset: number) {
      if (!full) return writeSync(fd, bytes, offset)
      if (offset === 0 && bytesTaken > 0) return writeSync(fd, bytes, 0, bytesTaken)
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    },
  }
  const outbox = openOutbox({ disk, diskRetryMs: 20 })
  outbox.intent('a', 'acme')
  full = true
  outbox.dispatched(terms('a'))
  expect(outbox.accepting).toBe(false)
  expect(outboxCheck([outbox]).detail).toBe(
    'no new calls are taken: data_dir cannot be written (ENOSPC: no space left on device, write); 0 entries, oldest 0.0 s',
  )
  outbox.progress('a', 1n)
  // Money still goes its way.
  await outbox.settle(settlement('a'))
  expect(wallet.acknowledged).toEqual(['settle a 100'])
  full = false
  await until(() => outbox.accepting)
  expect(outboxCheck([outbox]).detail).toBe('0 entries, oldest 0.0 s')
  expect(onDisk().filter((line) => line !== 'damage')).toEqual([
    'intent a',
    'dispatched a',
    'settle a',
    'acknowledged a',
  ])
  expect(log.lines).toEqual([
    'error: the outbox cannot be written: no new calls are taken',
    'info: the outbox is writable again',
  ])
})

test('a folder that cannot be made at start: not accepting, then it recovers', async () => {
  let readOnly = true
  const disk = {
    open(path: string) {
      if (readOnly) throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' })
      return openSync(path, 'a')
    },
    close: closeSync,
    write: (fd: number, bytes: Buffer, offset: number) => writeSync(fd, bytes, offset),
  }
  const outbox = openOutbox({ disk, diskRetryMs: 20 })
  expect(outbox.accepting).toBe(false)
  readOnly = false
  await until(() => outbox.accepting)
  outbox.intent('a', 'acme')
  expect(onDisk()).toEqual(['intent a'])
})

test('segments go 10 minutes after their last call ended, never while one of them is open', async () => {
  const { SegmentWriter } = await import('../../../src/wallet/outbox-file.ts')
  let nowMs = 1_000_000
  const writer = new SegmentWriter({
    dir: join(dir, 'outbox'),
    worker: 'w0',
    segmentBytes: 200,
    keepMs: 600_000,
    nowMs: () => nowMs,
    onDisk: () => {},
  })
  const files = () => readdirSync(join(dir, 'outbox')).length
  writer.append({ type: 'intent', id: 'long', account: 'acme' })
  for (let i = 0; i < 80; i++) {
    writer.append({ type: 'intent', id: `c${i}`, account: 'acme' })
    writer.append({ type: 'acknowledged', id: `c${i}` })
  }
  const made = files()
  expect(made).toBeGreaterThan(10)
  nowMs += 700_000
  writer.deleteOld()
  expect(files()).toBe(made)
  writer.append({ type: 'acknowledged', id: 'long' })
  writer.deleteOld()
  expect(files()).toBe(made)
  nowMs += 600_001
  writer.deleteOld()
  expect(files()).toBe(1)
  writer.close()
})

test('what was acknowledged is sent again to a Redis that may have lost it', async () => {
  const outbox = openOutbox()
  await outbox.settle(settlement('a'))
  await outbox.void({ id: 'b', account: 'acme', reason: 'no_answer' })
  outbox.intent('c', 'acme')
  expect(outbox.resendKept()).toBe(2)
  await until(() => outbox.depth === 0)
  expect(wallet.acknowledged).toEqual(['settle a 100', 'void b no_answer', 'settle a 100', 'void b no_answer'])
})

test('closing waits for Redis as long as it may, then leaves the rest on disk', async () => {
  const outbox = openOutbox()
  wallet.fail = () => away
  void outbox.settle(settlement('a'))
  const beganMs = performance.now()
  await outbox.close(100)
  expect(performance.now() - beganMs).toBeGreaterThan(80)
  expect(log.lines).toEqual(['warn: settlements wait in the outbox for the next start'])
  expect(onDisk()).toEqual(['settle a'])
})
