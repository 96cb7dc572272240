/**
 * Reads what earlier processes left in the outbox folder and resolves each call in it (GUARANTEES section 3):
 *
 *   intent alone                           the request was never sent: void
 *   dispatched, no settle                  a checkpoint of what is known to be used, then the hold's own timeout
 *   settle or void, not acknowledged       sent again
 *   job, not acknowledged                  listed again: whoever polls goes on with it
 *
 * A torn or damaged line is dropped and counted, what is whole before and after it is used. An intent with nothing but
 * damage after it may have been sent: it is left to its timeout too.
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Atoms } from '../core/money.ts'
import type { Log } from '../log.ts'
import type { Outbox } from './outbox.ts'
import { outboxDir } from './outbox.ts'
import { listSegments, type OutboxRecord, readRecords, type SegmentName } from './outbox-file.ts'
import type { SettleRequest, VoidRequest, Wallet } from './wallet-types.ts'

export interface RecoverOptions {
  readonly dataDir: string
  /** Only files of this worker (one that died alone); undefined: of all, at the start of a gateway. */
  readonly worker: string | undefined
  /** The running outbox: takes over what is owed. Its own files are not read. */
  readonly outbox: Outbox
  readonly wallet: Pick<Wallet, 'checkpoint'>
  readonly log: Log
  /** Told of the new deadlines, so that the timeouts are written down soon after them. */
  readonly sweeper?: { touch(account: string, deadlineAtMs: number): void }
  /** How far from now the deadline of a hold is set whose call died: nobody renews it any more. */
  readonly deadlineMs?: number
  readonly keepMs?: number
}

export interface Recovery {
  readonly voided: number
  readonly resent: number
  readonly checkpointed: number
  /** Holds with nothing known beyond their floor, left to their timeout. */
  readonly left: number
  /** Lines that could not be read, the torn last ones among them. */
  readonly damagedLines: number
  /** Resolves when Redis has acknowledged all of it. */
  readonly done: Promise<void>
}

/** One call as the records tell it. */
export interface LeftCall {
  readonly id: string
  account: string | undefined
  dispatched: boolean
  progressAtoms: Atoms | undefined
  end:
    | { readonly type: 'settle'; readonly request: SettleRequest }
    | { readonly type: 'void'; readonly request: VoidRequest }
    | { readonly type: 'job'; readonly account: string; readonly call: string }
    | undefined
}

// Checkpoint numbers of the living process count from 1; this one must be none of them.
const RECOVERY_CHECKPOINT = 1_000_000

/** Folds the records of one or several runs, oldest first, into the calls that have no acknowledged end. */
export function foldRecords(
  runs: Iterable<Iterable<OutboxRecord | { readonly type: 'damage'; readonly torn: boolean }>>,
): {
  readonly calls: readonly LeftCall[]
  readonly damagedLines: number
} {
  const open = new Map<string, LeftCall>()
  let damagedLines = 0
  for (const records of runs) {
    // Within one run's files alone: another writer's damage says nothing about these calls.
    const onlyIntent = new Set<LeftCall>()
    for (const record of records) {
      if (record.type !== 'damage') fold(open, onlyIntent, record)
      else {
        damagedLines++
        // A torn last line was never followed by what it announces; a damaged one in between may have been a dispatch.
        if (record.torn) continue
        for (const call of onlyIntent) call.dispatched = true
        onlyIntent.clear()
      }
    }
  }
  return { calls: [...open.values()], damagedLines }
}

function fold(open: Map<string, LeftCall>, onlyIntent: Set<LeftCall>, record: OutboxRecord): void {
  const known = open.get(record.id)
  if (known) onlyIntent.delete(known)
  if (record.type === 'dropped' || record.type === 'acknowledged') {
    open.delete(record.id)
    return
  }
  const call = known ?? {
    id: record.id,
    account: undefined,
    dispatched: false,
    progressAtoms: undefined,
    end: undefined,
  }
  open.set(record.id, call)
  switch (record.type) {
    case 'intent':
      call.account = record.account
      if (!known) onlyIntent.add(call)
      break
    case 'dispatched':
      call.account = record.account
      call.dispatched = true
      break
    case 'progress':
      call.dispatched = true
      if (call.progressAtoms === undefined || record.cumulativeAtoms > call.progressAtoms) {
        call.progressAtoms = record.cumulativeAtoms
      }
      break
    case 'settle':
      // A charge that is known counts more than a void, whichever was written first.
      call.end = { type: 'settle', request: record.request }
      break
    case 'void':
      call.end ??= { type: 'void', request: record.request }
      break
    case 'job':
      call.account = record.account
      call.end ??= { type: 'job', account: record.account, call: record.call }
      break
  }
}

/** Segments of one run, read one file at a time. */
function* recordsOf(segments: readonly SegmentName[]) {
  for (const segment of segments) yield* readRecords(readFileSync(segment.path))
}

/** Reads, and hands on what is owed; returns as soon as that is recorded in the running outbox. */
export function recoverOutbox(options: RecoverOptions): Recovery {
  const { outbox } = options
  const segments = listSegments(outboxDir(options.dataDir)).filter(
    (segment) => segment.run !== outbox.run && (options.worker ?? segment.worker) === segment.worker,
  )
  const { calls, damagedLines } = foldRecords(
    [...Map.groupBy(segments, (segment) => segment.run).values()].map(recordsOf),
  )
  const count = { voided: 0, resent: 0, checkpointed: 0, left: 0 }
  const waits: Promise<unknown>[] = []
  for (const call of calls) {
    if (call.end) {
      count.resent++
      waits.push(resend(outbox, call.id, call.end))
    } else if (call.account === undefined) {
      // Its intent is in a damaged line: the hold ends by its timeout without us.
      count.left++
    } else if (!call.dispatched) {
      count.voided++
      waits.push(outbox.void({ id: call.id, account: call.account, reason: 'crashed_before_send' }))
    } else if (call.progressAtoms === undefined) {
      count.left++
      outbox.drop(call.id)
    } else {
      count.checkpointed++
      waits.push(checkpoint(options, call.id, call.account, call.progressAtoms))
    }
  }
  if (calls.length > 0 || damagedLines > 0) options.log.info({ ...count, damagedLines }, 'calls of an earlier process')
  const done = Promise.all(waits).then(() => deleteResolved(segments, options.keepMs ?? 600_000))
  return { ...count, damagedLines, done }
}

function resend(outbox: Outbox, id: string, end: NonNullable<LeftCall['end']>): Promise<unknown> {
  if (end.type === 'settle') return outbox.settle(end.request)
  if (end.type === 'void') return outbox.void(end.request)
  return outbox.job(id, end.account, end.call)
}

/** Until Redis answers: what it answers (the hold may have ended by now) does not matter. */
async function checkpoint(options: RecoverOptions, id: string, account: string, cumulativeAtoms: Atoms): Promise<void> {
  const deadlineMs = options.deadlineMs ?? 1_000
  for (let attempt = 1; ; attempt++) {
    try {
      await options.wallet.checkpoint({
        id,
        account,
        number: RECOVERY_CHECKPOINT,
        cumulativeAtoms,
        deadlineMs,
        extend: undefined,
      })
      options.outbox.drop(id)
      options.sweeper?.touch(account, Date.now() + deadlineMs)
      return
    } catch (error) {
      if (attempt % 20 === 1) options.log.warn({ id, error }, 'a checkpoint of an earlier process waits')
      await sleep(Math.min(5_000, 100 * 2 ** Math.min(attempt, 6)), undefined, { ref: false })
    }
  }
}

/** Read files go when they are past the time that acknowledged records are kept; until then they do no harm. */
async function deleteResolved(segments: readonly SegmentName[], keepMs: number): Promise<void> {
  if (segments.length === 0) return
  const remove = () => {
    for (const segment of segments) rmSync(segment.path, { force: true })
  }
  setTimeout(remove, keepMs).unref()
}
