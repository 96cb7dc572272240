/**
 * The outbox on disk. One writer appends lines to segment files of its own:
 *
 *   <crc32 of the payload, 8 hex digits> <payload>\n
 *
 * A payload is a letter and JSON: I intent, D dispatched, P progress, S settle, V void, J job (the call goes on), X dropped (nothing is owed),
 * A acknowledged. A line is in the file when `append` returns (write(2), no fsync), X and A with the next one or within a
 * second: it outlives the process. Names sort by time: <start of the run in ms>-<worker>-<number>.log.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { OnExhausted } from '../config/snapshot.ts'
import type { Atoms } from '../core/money.ts'
import type { BudgetCount, HoldTerms, SettleRequest, VoidRequest } from './wallet-types.ts'

export type OutboxRecord =
  | { readonly type: 'intent' | 'dispatched'; readonly id: string; readonly account: string }
  | { readonly type: 'progress'; readonly id: string; readonly cumulativeAtoms: Atoms }
  | { readonly type: 'settle'; readonly id: string; readonly request: SettleRequest }
  | { readonly type: 'void'; readonly id: string; readonly request: VoidRequest }
  | JobRecord
  | { readonly type: 'dropped' | 'acknowledged'; readonly id: string }

/** A call that goes on at the provider, to be listed for those who ask how it stands. `call`: JSON. */
export interface JobRecord {
  readonly type: 'job'
  readonly id: string
  readonly account: string
  readonly call: string
}

/** What a damaged place in a file reads as; `torn`: the file ended within a line, as a crash leaves it. */
export interface Damage {
  readonly type: 'damage'
  readonly torn: boolean
}

const LETTERS = {
  intent: 'I',
  dispatched: 'D',
  progress: 'P',
  settle: 'S',
  void: 'V',
  job: 'J',
  dropped: 'X',
  acknowledged: 'A',
} as const

function settleJson({ terms, finalAtoms, finals, info }: SettleRequest): unknown {
  return {
    terms: termsJson(terms),
    finalAtoms: String(finalAtoms),
    ...(finals && { finals: mapAmounts(finals, String) }),
    info,
  }
}

/** Amounts as strings, by name: a replacer could not tell "5n" in a label from an amount. */
export function termsJson(terms: HoldTerms): StoredTerms {
  const { onExhausted: policy, budgets, ...rest } = terms
  const onExhausted =
    policy.mode === 'negative'
      ? { ...policy, floorAtoms: String(policy.floorAtoms) }
      : policy.mode === 'overflow'
        ? { ...policy, capAtoms: String(policy.capAtoms) }
        : policy
  return {
    ...rest,
    floorAtoms: String(terms.floorAtoms),
    onExhausted,
    ...(budgets && { budgets: budgets.map((budget) => ({ ...budget, limit: String(budget.limit) })) }),
  }
}

export interface StoredTerms extends Omit<HoldTerms, 'floorAtoms' | 'onExhausted' | 'budgets'> {
  readonly floorAtoms: string
  readonly onExhausted: { readonly mode: string; readonly floorAtoms?: string; readonly capAtoms?: string }
  readonly budgets?: readonly (Omit<BudgetCount, 'limit'> & { readonly limit: string })[]
}

function readSettle(json: {
  readonly terms: StoredTerms
  readonly finalAtoms: string
  readonly finals?: Readonly<Record<string, string>>
  readonly info: string
}): SettleRequest {
  return {
    terms: readTerms(json.terms),
    finalAtoms: BigInt(json.finalAtoms),
    ...(json.finals && { finals: mapAmounts(json.finals, BigInt) }),
    info: json.info,
  }
}

export function readTerms(json: StoredTerms): HoldTerms {
  const { onExhausted: policy, budgets, ...rest } = json
  const onExhausted = {
    ...policy,
    ...(policy.floorAtoms === undefined ? {} : { floorAtoms: BigInt(policy.floorAtoms) }),
    ...(policy.capAtoms === undefined ? {} : { capAtoms: BigInt(policy.capAtoms) }),
  } as OnExhausted
  // JSON drops members that are undefined; the types have them.
  const facts = { ...json.facts, run: json.facts.run, user: json.facts.user }
  return {
    ...rest,
    facts,
    floorAtoms: BigInt(json.floorAtoms),
    onExhausted,
    ...(budgets && { budgets: budgets.map((budget) => ({ ...budget, limit: BigInt(budget.limit) })) }),
  }
}

function mapAmounts<From, To>(amounts: Readonly<Record<string, From>>, map: (amount: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(amounts).map(([measure, amount]) => [measure, map(amount)]))
}

function payloadOf(record: OutboxRecord): string {
  const letter = LETTERS[record.type]
  switch (record.type) {
    case 'intent':
    case 'dispatched':
      return letter + JSON.stringify([record.id, record.account])
    case 'progress':
      return letter + JSON.stringify([record.id, String(record.cumulativeAtoms)])
    case 'settle':
      return letter + JSON.stringify(settleJson(record.request))
    case 'void':
      return letter + JSON.stringify(record.request)
    case 'job':
      return letter + JSON.stringify([record.id, record.account, record.call])
    case 'dropped':
    case 'acknowledged':
      return letter + JSON.stringify([record.id])
  }
}

export function encodeRecord(record: OutboxRecord): string {
  const payload = payloadOf(record)
  return `${crc32(payload).toString(16).padStart(8, '0')} ${payload}\n`
}

function decodePayload(payload: string): OutboxRecord | undefined {
  const json = JSON.parse(payload.slice(1))
  switch (payload[0]) {
    case LETTERS.intent:
      return { type: 'intent', id: json[0], account: json[1] }
    case LETTERS.dispatched:
      return { type: 'dispatched', id: json[0], account: json[1] }
    case LETTERS.progress:
      return { type: 'progress', id: json[0], cumulativeAtoms: BigInt(json[1]) }
    case LETTERS.settle: {
      const request = readSettle(json)
      return { type: 'settle', id: request.terms.id, request }
    }
    case LETTERS.void:
      return { type: 'void', id: json.id, request: json }
    case LETTERS.job:
      return { type: 'job', id: json[0], account: json[1], call: json[2] }
    case LETTERS.dropped:
      return { type: 'dropped', id: json[0] }
    case LETTERS.acknowledged:
      return { type: 'acknowledged', id: json[0] }
    default:
      return undefined
  }
}

function decodeLine(line: Buffer): OutboxRecord | Damage {
  const payload = line.subarray(9)
  const head = line.toString('latin1', 0, 9)
  const stated = /^[0-9a-f]{8} $/.test(head) ? Number.parseInt(head, 16) : -1
  if (crc32(payload) === stated) {
    try {
      const record = decodePayload(payload.toString())
      if (record) return record
    } catch {
      // A sound checksum over something that is no record of ours: a file of another version. Counted as damage.
    }
  }
  return { type: 'damage', torn: false }
}

/** Reads a segment in order. After a damaged line it goes on at the next one: what is whole is never thrown away. */
export function* readRecords(bytes: Buffer): Generator<OutboxRecord | Damage> {
  let start = 0
  while (start < bytes.length) {
    const end = bytes.indexOf(10, start)
    if (end < 0) return yield { type: 'damage', torn: true }
    // An empty line is where a writer went on after a write that failed halfway.
    if (end > start) yield decodeLine(bytes.subarray(start, end))
    start = end + 1
  }
}

export interface SegmentName {
  readonly path: string
  readonly run: string
  readonly worker: string
}

/** The segment files of a folder, oldest run first, each run's in order. None where there is no folder yet. */
export function listSegments(dir: string): readonly SegmentName[] {
  let names: string[]
  try {
    names = readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return names.sort().flatMap((name) => {
    const match = /^(\d{14}-(.+))-\d{6}\.log$/.exec(name)
    return match ? [{ path: join(dir, name), run: match[1] as string, worker: match[2] as string }] : []
  })
}

interface Segment {
  readonly path: string
  /** Calls that began in it and have not ended. */
  open: number
  lastEndMs: number
}

/** The three calls that can fail on a full or read-only disk: tests hand in ones that do. */
export interface DiskCalls {
  open(path: string): number
  /** Bytes written, which may be fewer than handed over. */
  write(fd: number, bytes: Buffer, offset: number): number
  close(fd: number): void
}

const DISK: DiskCalls = {
  open: (path) => openSync(path, 'a', 0o600),
  write: (fd, bytes, offset) => writeSync(fd, bytes, offset),
  close: closeSync,
}

const RIDING_BYTES_MAX = 16 * 1024

export interface SegmentWriterOptions {
  readonly dir: string
  readonly worker: string
  readonly segmentBytes: number
  readonly keepMs: number
  readonly nowMs: () => number
  readonly onDisk: (healthy: boolean, error: string) => void
  readonly disk?: DiskCalls
}

/**
 * Appends records, begins a new segment when one is full, deletes those that nothing needs. While the disk refuses,
 * records wait in memory and `healthy` is false; `retry` writes them, in order, once it accepts again.
 */
export class SegmentWriter {
  /** Prefix of this writer's own files. */
  readonly run: string
  healthy = true
  readonly #options: SegmentWriterOptions
  readonly #disk: DiskCalls
  readonly #segments: Segment[] = []
  readonly #began = new Map<string, Segment>()
  readonly #refused: string[] = []
  #riding = ''
  #fd: number | undefined
  #segmentNumber = 0
  #segmentBytes = 0
  #torn = false

  constructor(options: SegmentWriterOptions) {
    this.#options = options
    this.#disk = options.disk ?? DISK
    this.run = `${String(options.nowMs()).padStart(14, '0')}-${options.worker}`
    this.#attempt(() => this.#nextSegment())
  }

  /** Never throws: a disk that refuses shows in `healthy`. */
  append(record: OutboxRecord): void {
    // Progress is a hint, and the only record that comes without end: what waits in memory stays bounded.
    if (!this.healthy && record.type === 'progress') return
    const line = encodeRecord(record)
    if (record.type === 'acknowledged' || record.type === 'dropped') {
      // What is lost of these is only asked again, and answered the same: they ride with the next record, which saves
      // a system call of each call's four.
      this.#riding += line
      if (this.#riding.length >= RIDING_BYTES_MAX) this.flush()
    } else {
      const lines = this.#riding + line
      this.#riding = ''
      this.#append(lines)
    }
    this.#account(record)
  }

  /** Writes what waits for the next record. */
  flush(): void {
    const lines = this.#riding
    this.#riding = ''
    if (lines !== '') this.#append(lines)
  }

  #append(lines: string): void {
    if (!this.healthy || !this.#attempt(() => this.#write(lines))) this.#refused.push(lines)
  }

  /** Writes what the disk refused before; `healthy` tells whether it went through. */
  retry(): void {
    if (this.healthy) return
    const recovered = this.#attempt(() => {
      if (this.#fd === undefined) this.#nextSegment()
      // Written even with nothing refused: only a write shows that the disk takes one again.
      this.#write('\n')
      while (this.#refused.length > 0) {
        this.#write(this.#refused[0] as string)
        this.#refused.shift()
      }
    })
    if (recovered) {
      this.healthy = true
      this.#options.onDisk(true, '')
    }
  }

  /** Deletes from the oldest on what holds no open call and ended longer than `keepMs` ago. */
  deleteOld(): void {
    const beforeMs = this.#options.nowMs() - this.#options.keepMs
    while (this.#segments.length > 1) {
      const oldest = this.#segments[0] as Segment
      if (oldest.open > 0 || oldest.lastEndMs > beforeMs) return
      rmSync(oldest.path, { force: true })
      this.#segments.shift()
    }
  }

  /** Records of this run that are still on disk, oldest first. */
  *kept(): Generator<OutboxRecord | Damage> {
    this.flush()
    for (const segment of [...this.#segments]) {
      yield* readRecords(readFileSync(segment.path))
    }
  }

  close(): void {
    this.flush()
    if (this.#fd !== undefined) this.#disk.close(this.#fd)
    this.#fd = undefined
    this.healthy = false
  }

  #account(record: OutboxRecord): void {
    if (record.type === 'dropped' || record.type === 'acknowledged') {
      const segment = this.#began.get(record.id)
      if (!segment) return
      this.#began.delete(record.id)
      segment.open--
      segment.lastEndMs = this.#options.nowMs()
    } else if (!this.#began.has(record.id)) {
      const segment = this.#segments.at(-1)
      if (!segment) return
      this.#began.set(record.id, segment)
      segment.open++
    }
  }

  #attempt(act: () => void): boolean {
    try {
      act()
      return true
    } catch (error) {
      if (this.healthy) this.#options.onDisk(false, (error as Error).message)
      this.healthy = false
      return false
    }
  }

  #write(line: string): void {
    if (this.#fd === undefined || this.#segmentBytes >= this.#options.segmentBytes) this.#nextSegment()
    // After a write that failed halfway the next line must begin on a line of its own.
    const bytes = Buffer.from(this.#torn ? `\n${line}` : line)
    let offset = 0
    while (offset < bytes.length) {
      const written = this.#disk.write(this.#fd as number, bytes, offset)
      offset += written
      this.#torn = offset < bytes.length
    }
    this.#segmentBytes += bytes.length
  }

  #nextSegment(): void {
    mkdirSync(this.#options.dir, { recursive: true })
    const number = String(this.#segmentNumber + 1).padStart(6, '0')
    const path = join(this.#options.dir, `${this.run}-${number}.log`)
    const fd = this.#disk.open(path)
    if (this.#fd !== undefined) this.#disk.close(this.#fd)
    this.#fd = fd
    this.#segmentNumber++
    this.#segmentBytes = 0
    this.#torn = false
    this.#segments.push({ path, open: 0, lastEndMs: this.#options.nowMs() })
  }
}
