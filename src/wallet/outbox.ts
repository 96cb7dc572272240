/**
 * What this gateway still owes Redis, on local disk before it is due (contract: outbox-types.ts). Each record is in
 * the file when the call returns; a settlement is sent, and sent again, until Redis has answered. Nothing here throws
 * or waits on the way of a call: a disk or a Redis that refuses shows in `accepting`, `depth` and `oldestSeconds`.
 */
import { join } from 'node:path'
import type { Atoms } from '../core/money.ts'
import type { Log } from '../log.ts'
import { type DiskCalls, SegmentWriter } from './outbox-file.ts'
import { OutboxSender } from './outbox-sender.ts'
import type { OutboxShape } from './outbox-types.ts'
import type { HoldTerms, SettleRequest, SettleResult, VoidRequest, VoidResult, Wallet } from './wallet-types.ts'

export interface OutboxOptions {
  readonly dataDir: string
  /** Part of the file names: one writer for each worker process of a gateway. Letters, digits and `_`. */
  readonly worker: string
  readonly wallet: Pick<Wallet, 'settle' | 'void'>
  /** Lists a call that goes on; throws WalletUnavailable where it could not be. */
  readonly listJob?: (call: string) => Promise<void>
  readonly log: Log
  /** Records not acknowledged, beyond which no new hold is taken. */
  readonly bound?: number
  /** How long acknowledged records are kept, for a Redis that turns out to have lost them. */
  readonly keepMs?: number
  readonly segmentBytes?: number
  readonly diskRetryMs?: number
  readonly nowMs?: () => number
  readonly disk?: DiskCalls
}

export function outboxDir(dataDir: string): string {
  return join(dataDir, 'outbox')
}

export class Outbox implements OutboxShape {
  /** Prefix of this outbox's own files: recovery leaves them alone. */
  readonly run: string
  readonly #wallet: Pick<Wallet, 'settle' | 'void'>
  readonly #listJob: (call: string) => Promise<void>
  readonly #log: Log
  readonly #bound: number
  readonly #nowMs: () => number
  readonly #file: SegmentWriter
  readonly #sender: OutboxSender
  readonly #timers: readonly NodeJS.Timeout[]
  #diskProblem: string | undefined

  constructor(options: OutboxOptions) {
    const { log, nowMs = Date.now } = options
    this.#wallet = options.wallet
    this.#listJob = options.listJob ?? (() => Promise.reject(new Error('there is no list of calls that go on')))
    this.#log = log
    this.#bound = options.bound ?? 100_000
    this.#nowMs = nowMs
    this.#sender = new OutboxSender(log, nowMs)
    this.#file = new SegmentWriter({
      dir: outboxDir(options.dataDir),
      worker: options.worker,
      segmentBytes: options.segmentBytes ?? 8 * 1024 * 1024,
      keepMs: options.keepMs ?? 600_000,
      nowMs,
      onDisk: (healthy, reason) => {
        this.#diskProblem = healthy ? undefined : reason
        if (healthy) log.info({}, 'the outbox is writable again')
        else log.error({ reason }, 'the outbox cannot be written: no new calls are taken')
      },
      ...(options.disk ? { disk: options.disk } : {}),
    })
    this.run = this.#file.run
    this.#timers = [
      setInterval(() => this.#tidy(), options.diskRetryMs ?? 1_000).unref(),
      setInterval(() => this.#deleteOld(), 30_000).unref(),
    ]
  }

  get depth(): number {
    return this.#sender.depth
  }

  get oldestSeconds(): number {
    const oldestMs = this.#sender.oldestMs
    return oldestMs === undefined ? 0 : Math.max(0, this.#nowMs() - oldestMs) / 1000
  }

  /** Settlements that Redis answers with an error: kept, and tried again every few minutes. */
  get failing(): number {
    return this.#sender.failing
  }

  /** Why the disk takes no record at this moment; undefined: it does. */
  get diskProblem(): string | undefined {
    return this.#diskProblem
  }

  get accepting(): boolean {
    return this.#file.healthy && this.#sender.depth < this.#bound
  }

  intent(id: string, account: string): void {
    this.#file.append({ type: 'intent', id, account })
  }

  drop(id: string): void {
    this.#file.append({ type: 'dropped', id })
  }

  dispatched(terms: HoldTerms): void {
    this.#file.append({ type: 'dispatched', id: terms.id, account: terms.account })
  }

  progress(id: string, cumulativeAtoms: Atoms): void {
    this.#file.append({ type: 'progress', id, cumulativeAtoms })
  }

  settle(request: SettleRequest): Promise<SettleResult> {
    const { id, account } = request.terms
    this.#file.append({ type: 'settle', id, request })
    return this.#owe(id, account, () => this.#wallet.settle(request))
  }

  void(request: VoidRequest): Promise<VoidResult> {
    const { id, account } = request
    this.#file.append({ type: 'void', id, request })
    return this.#owe(id, account, () => this.#wallet.void(request))
  }

  job(id: string, account: string, call: string): Promise<unknown> {
    this.#file.append({ type: 'job', id, account, call })
    return this.#oweJob(id, account, call)
  }

  #oweJob(id: string, account: string, call: string): Promise<unknown> {
    return this.#owe(id, account, async () => {
      await this.#listJob(call)
      return { status: 'listed' }
    })
  }

  /** Redis is reachable again: what is owed goes out now instead of after the back-off. */
  nudge(): void {
    this.#sender.nudge()
  }

  /**
   * Sends again what was acknowledged within the time it is kept: for a Redis that turns out to be another master,
   * which may have lost it. Where it was not lost, each is a replay and changes nothing. Answers how many there were.
   */
  resendKept(): number {
    let count = 0
    for (const record of this.#file.kept()) {
      if (record.type !== 'settle' && record.type !== 'void' && record.type !== 'job') continue
      if (this.#sender.owes(record.id)) continue
      count++
      const { id } = record
      if (record.type === 'job') {
        void this.#oweJob(id, record.account, record.call)
      } else if (record.type === 'settle') {
        void this.#owe(id, record.request.terms.account, () => this.#wallet.settle(record.request))
      } else {
        void this.#owe(id, record.request.account, () => this.#wallet.void(record.request))
      }
    }
    return count
  }

  async close(withinMs: number): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    const empty = await this.#sender.close(withinMs)
    if (!empty) this.#log.warn({ entries: this.depth }, 'settlements wait in the outbox for the next start')
    this.#file.retry()
    this.#file.close()
  }

  #owe<Result extends { readonly status: string }>(
    id: string,
    account: string,
    send: () => Promise<Result>,
  ): Promise<Result> {
    return new Promise((resolve) => {
      this.#sender.add({
        id,
        account,
        recordedAtMs: this.#nowMs(),
        send: async () => {
          const result = await send()
          this.#file.append({ type: 'acknowledged', id })
          if (result.status === 'conflict' || result.status === 'unmatched') {
            this.#log.error({ id, account, status: result.status }, 'a settlement was not charged')
          }
          return () => resolve(result)
        },
      })
    })
  }

  #tidy(): void {
    this.#file.retry()
    this.#file.flush()
  }

  #deleteOld(): void {
    try {
      this.#file.deleteOld()
    } catch (error) {
      this.#log.warn({ error }, 'old outbox files could not be deleted')
    }
  }
}
