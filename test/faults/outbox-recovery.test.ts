import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { Outbox } from '../../src/wallet/outbox.ts'
import { encodeRecord, listSegments, type OutboxRecord, readRecords } from '../../src/wallet/outbox-file.ts'
import { foldRecords, recoverOutbox } from '../../src/wallet/recover-outbox.ts'
import { away, FakeWallet, memoryLog, settlement, until } from '../unit/outbox/fake-wallet.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-recover-'))
  mkdirSync(join(dir, 'outbox'))
  return () => rmSync(dir, { recursive: true, force: true })
})

const intent = (id: string): OutboxRecord => ({ type: 'intent', id, account: 'acme' })
const dispatched = (id: string): OutboxRecord => ({ type: 'dispatched', id, account: 'acme' })
const progress = (id: string, cumulativeAtoms: bigint): OutboxRecord => ({ type: 'progress', id, cumulativeAtoms })
const settle = (id: string): OutboxRecord => ({ type: 'settle', id, request: settlement(id) })
const voided = (id: string): OutboxRecord => ({
  type: 'void',
  id,
  request: { id, account: 'acme', reason: 'no_answer' },
})
const acknowledged = (id: string): OutboxRecord => ({ type: 'acknowledged', id })
const dropped = (id: string): OutboxRecord => ({ type: 'dropped', id })

function leave(records: readonly OutboxRecord[], name = '00000001000000-w0-000001.log'): void {
  writeFileSync(join(dir, 'outbox', name), records.map(encodeRecord).join(''))
}

/** Starts a new process's outbox on the folder and lets it resolve what is there. */
async function restart(wallet: FakeWallet = new FakeWallet(), worker: string | undefined = undefined) {
  const outbox = new Outbox({ dataDir: dir, worker: 'w0', wallet, log: memoryLog() })
  const recovery = recoverOutbox({ dataDir: dir, worker, outbox, wallet, log: memoryLog() })
  return { wallet, recovery, outbox }
}

async function resolved(worker?: string): Promise<readonly string[]> {
  const { wallet, recovery, outbox } = await restart(new FakeWallet(), worker)
  await recovery.done
  await outbox.close(1000)
  return wallet.acknowledged
}

test.each<[string, OutboxRecord[], string[]]>([
  ['nothing but the intent', [intent('a')], ['void a crashed_before_send']],
  ['the hold was refused', [intent('a'), dropped('a')], []],
  ['dispatched', [intent('a'), dispatched('a')], []],
  [
    'mid-stream',
    [intent('a'), dispatched('a'), progress('a', 3n), progress('a', 9n), progress('a', 8n)],
    ['checkpoint a 9'],
  ],
  ['settle recorded', [intent('a'), dispatched('a'), progress('a', 3n), settle('a')], ['settle a 100']],
  ['void recorded', [intent('a'), dispatched('a'), voided('a')], ['void a no_answer']],
  ['acknowledged', [intent('a'), dispatched('a'), settle('a'), acknowledged('a')], []],
  ['the intent lost, the dispatch kept', [dispatched('a'), progress('a', 3n)], ['checkpoint a 3']],
  ['the intent and the dispatch lost', [progress('a', 3n)], []],
])('killed with %s', async (_, records, expected) => {
  leave(records)
  expect(await resolved()).toEqual(expected)
})

test('a second restart sends nothing twice', async () => {
  leave([intent('a'), intent('b'), dispatched('b'), progress('b', 3n), intent('c'), dispatched('c'), settle('c')])
  expect(await resolved()).toHaveLength(3)
  expect(await resolved()).toEqual([])
})

test('what Redis could not be told before the next crash is told after it', async () => {
  leave([intent('a'), intent('c'), dispatched('c'), settle('c')])
  const wallet = new FakeWallet()
  wallet.fail = () => away
  const first = await restart(wallet)
  await first.outbox.close(10)
  expect([...(await resolved())].sort()).toEqual(['settle c 100', 'void a crashed_before_send'])
})

test('a checkpoint waits for a Redis that is away', async () => {
  leave([intent('a'), dispatched('a'), progress('a', 3n)])
  const wallet = new FakeWallet()
  let failures = 2
  wallet.fail = () => (failures-- > 0 ? away : undefined)
  const { outbox } = await restart(wallet)
  await until(() => wallet.acknowledged.length === 1)
  expect(wallet.checkpoints[0]).toMatchObject({ number: 1_000_000, cumulativeAtoms: 3n })
  await outbox.close(100)
})

test('a worker that died alone is recovered alone', async () => {
  leave([intent('a')], '00000001000000-w0-000001.log')
  leave([intent('b')], '00000001000000-w1-000001.log')
  expect(await resolved('w1')).toEqual(['void b crashed_before_send'])
})

// Twelve calls in every phase, side by side, as a gateway writes them.
const history: OutboxRecord[] = [
  intent('a'),
  intent('b'),
  dispatched('a'),
  progress('a', 3n),
  intent('c'),
  dispatched('b'),
  settle('a'),
  intent('d'),
  acknowledged('a'),
  dropped('d'),
  dispatched('c'),
  voided('b'),
  progress('c', 5n),
  acknowledged('b'),
  progress('c', 6n),
  settle('c'),
]

function verdicts(calls: ReturnType<typeof foldRecords>['calls']): string[] {
  return calls.map((call) => {
    if (call.end) return `${call.end.type} ${call.id}`
    if (!call.dispatched) return `never sent ${call.id}`
    return `sent ${call.id} ${call.progressAtoms ?? ''}`
  })
}

test('cut at every byte: exactly the records that are whole count', () => {
  const lines = history.map(encodeRecord)
  const bytes = Buffer.from(lines.join(''))
  let whole = 0
  let end = 0
  for (let cut = 0; cut <= bytes.length; cut++) {
    if (whole < lines.length && cut >= end + (lines[whole] as string).length) {
      end += (lines[whole] as string).length
      whole++
    }
    const { calls, damagedLines } = foldRecords([readRecords(bytes.subarray(0, cut))])
    const expected = foldRecords([history.slice(0, whole)])
    expect(verdicts(calls)).toEqual(verdicts(expected.calls))
    expect(damagedLines).toBe(cut === end ? 0 : 1)
  }
})

test('a bit flipped at every byte: noticed, never another amount, never a call voided that may have been sent', () => {
  const lines = history.map(encodeRecord)
  const clean = Buffer.from(lines.join(''))
  const sent = new Set(['a', 'b', 'c'])
  for (let position = 0; position < clean.length; position++) {
    const bytes = Buffer.from(clean)
    bytes[position] = (bytes[position] as number) ^ (1 << (position % 8))
    const { calls, damagedLines } = foldRecords([readRecords(bytes)])
    expect(damagedLines).toBeGreaterThan(0)
    for (const call of calls) {
      // d was refused before it was sent; everything else had gone out by the end of the file.
      if (sent.has(call.id)) expect(call.dispatched || call.end !== undefined).toBe(true)
      if (call.end?.type === 'settle') expect(call.end.request).toEqual(settlement(call.id))
      if (call.progressAtoms !== undefined) expect([3n, 5n, 6n]).toContain(call.progressAtoms)
    }
  }
})

test('a process killed with SIGKILL in the middle of writing leaves every record it had returned from', async () => {
  const program = `
    import { Outbox } from '${join(import.meta.dirname, '../../src/wallet/outbox.ts')}'
    const never = { settle: () => new Promise(() => {}), void: () => new Promise(() => {}) }
    const log = { debug() {}, info() {}, warn() {}, error() {} }
    const outbox = new Outbox({ dataDir: ${JSON.stringify(dir)}, worker: 'w0', wallet: never, log, segmentBytes: 20000 })
    for (let i = 0; ; i++) {
      outbox.intent('call' + i, 'acme')
      process.stdout.write(i + '\\n')
      if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
    }`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk
  })
  await until(() => printed.length > 20_000, 15_000)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('close', resolve))
  const last = Number(printed.slice(0, printed.lastIndexOf('\n')).split('\n').at(-1))
  const segments = listSegments(join(dir, 'outbox'))
  expect(segments.length).toBeGreaterThan(1)
  const records = segments.flatMap((segment) => [...readRecords(readFileSync(segment.path))])
  expect(records.length).toBeGreaterThan(last)
  expect(foldRecords([records]).calls).toHaveLength(records.filter((record) => record.type === 'intent').length)
}, 180_000)
