/**
 * The events of one account for one receiver, in their order: each is posted until it is taken, or given up, before the
 * next. Whoever has the lease does it; what it has come to is in Redis after each step.
 */
import type { Receiver } from '../config/snapshot.ts'
import { anyGlobMatches } from '../core/glob.ts'
import type { Log } from '../log.ts'
import type { LedgerEntry } from '../wallet/wallet-types.ts'
import { eventMessage } from './event-body.ts'
import { EVENTS_AT_ONCE, type HandOverContext, handOver, wants } from './hand-over.ts'
import type { Poster, PostResult } from './post.ts'
import type { ReceiverHealth } from './receiver-health.ts'
import { isGivenUp, NO_PROGRESS, type Progress, type RetryPolicy, retryDelayMs } from './retry.ts'

export type DeliveryResult = 'delivered' | 'failed' | 'gone' | 'given_up'

export interface DeliveryContext extends HandOverContext {
  readonly poster: Pick<Poster, 'post'>
  readonly policy: RetryPolicy
  /** Of the leases of this process. */
  readonly owner: string
  readonly leaseMs: number
  readonly log: Log
  readonly metrics: { webhookDelivered(event: string, result: DeliveryResult): void }
  readonly random: () => number
  /** No post is begun any more. */
  readonly stopping: () => boolean
}

/**
 * Resolves when the events are delivered, or put off, or are another's to deliver. Throws where Redis does not answer:
 * then the lease runs out, and whoever looks next goes on.
 */
export async function deliverAccount(
  context: DeliveryContext,
  receiver: Receiver,
  health: ReceiverHealth,
  account: string,
): Promise<void> {
  await new Delivery(context, receiver, health, account).run()
}

/** `at`: to be looked at again then. */
type Outcome = { readonly done: true } | { readonly done: false; readonly atMs: number }

class Delivery {
  readonly #context: DeliveryContext
  readonly #receiver: Receiver
  readonly #health: ReceiverHealth
  readonly #account: string
  #progress: Progress = NO_PROGRESS
  #leaseUntilMs = 0

  constructor(context: DeliveryContext, receiver: Receiver, health: ReceiverHealth, account: string) {
    this.#context = context
    this.#receiver = receiver
    this.#health = health
    this.#account = account
  }

  async run(): Promise<void> {
    const { list, leaseMs, owner } = this.#context
    const { id } = this.#receiver
    const untilMs = performance.now() + leaseMs
    if (!(await list.claim(id, this.#account, owner, leaseMs))) return
    this.#leaseUntilMs = untilMs
    await this.#runAlone()
    // One that has run out may be another's by now.
    if (performance.now() < this.#leaseUntilMs) await list.release(id, this.#account)
  }

  async #runAlone(): Promise<void> {
    const { list, leaseMs, now } = this.#context
    const { id } = this.#receiver
    const dueAtMs = await list.dueAt(id, this.#account)
    if (dueAtMs !== undefined && dueAtMs > now()) {
      // It waits for another try; what is new comes after that.
      await list.unmark(id, this.#account)
      return
    }
    await list.postpone(id, this.#account, now() + leaseMs)
    const renew = setInterval(() => this.#renew(), leaseMs / 3).unref()
    try {
      const outcome = await this.#deliver()
      if (outcome.done) await list.remove(id, this.#account)
      else await list.postpone(id, this.#account, outcome.atMs)
    } finally {
      clearInterval(renew)
    }
  }

  /** Another may go on once the lease has run out: this one then stops before its next post. */
  #renew(): void {
    const { list, leaseMs } = this.#context
    const untilMs = performance.now() + leaseMs
    list.renew(this.#receiver.id, this.#account, leaseMs).then(
      () => {
        this.#leaseUntilMs = untilMs
      },
      () => {},
    )
  }

  async #deliver(): Promise<Outcome> {
    const { list, wallet } = this.#context
    if (!anyGlobMatches(this.#receiver.accounts, this.#account)) return this.#notMine()
    const [progress] = await Promise.all([list.progress(this.#account), list.unmark(this.#receiver.id, this.#account)])
    this.#progress = progress.get(this.#receiver.id) ?? NO_PROGRESS
    const before = this.#progress.seq
    const events = await wallet.pendingEvents(this.#account, EVENTS_AT_ONCE, before)
    const outcome = await this.#postAll(events.map(({ entry }) => entry))
    if (this.#progress.seq > before) await handOver(this.#context, this.#account)
    // There may be more: the others have their turn first.
    if (outcome.done && events.length === EVENTS_AT_ONCE) return { done: false, atMs: this.#context.now() }
    return outcome
  }

  /** An edit of the config took the account from this receiver. */
  async #notMine(): Promise<Outcome> {
    await this.#context.list.unmark(this.#receiver.id, this.#account)
    await handOver(this.#context, this.#account)
    return { done: true }
  }

  async #postAll(events: readonly LedgerEntry[]): Promise<Outcome> {
    for (const event of events) {
      if (!wants(this.#receiver, event.op)) {
        this.#progress = { ...this.#progress, seq: event.seq, attempts: 0 }
        continue
      }
      const putOffTo = await this.#postOne(event)
      if (putOffTo !== undefined) return { done: false, atMs: putOffTo }
    }
    const last = events.at(-1)
    if (last !== undefined && !wants(this.#receiver, last.op)) await this.#keep(this.#progress)
    return { done: true }
  }

  /** undefined: the next may follow; else when it is to be tried again. */
  async #postOne(event: LedgerEntry): Promise<number | undefined> {
    const { now, poster, metrics, snapshot, stopping } = this.#context
    if (stopping() || performance.now() >= this.#leaseUntilMs) return now()
    if (this.#health.isPaused(now())) return this.#health.resumesAt(now())
    if (this.#health.gone) return this.#whileGone(event)
    const { unitScales } = snapshot().settings
    const message = eventMessage(this.#receiver.id, this.#account, event, unitScales)
    const result = await poster.post(this.#receiver, message)
    if (result.kind === 'stopped') return now()
    this.#health.saw(result, this.#account)
    if (result.kind === 'delivered') {
      await this.#taken(event)
      metrics.webhookDelivered(event.op, 'delivered')
      return undefined
    }
    metrics.webhookDelivered(event.op, result.kind)
    return result.kind === 'gone' ? this.#whileGone(event) : this.#failed(event, result)
  }

  async #taken({ seq }: LedgerEntry): Promise<void> {
    const wasLate = this.#progress.failingSinceMs > 0
    await this.#keep({ seq, attempts: 0, failingSinceMs: 0 })
    if (wasLate) await this.#context.list.keepLate(this.#receiver.id, this.#account, undefined)
  }

  async #failed(event: LedgerEntry, result: PostResult & { kind: 'failed' }): Promise<number | undefined> {
    const { now, policy, random, list } = this.#context
    const nowMs = now()
    const failingSinceMs = this.#progress.failingSinceMs || nowMs
    if (isGivenUp(event.atMs, failingSinceMs, policy, nowMs)) return this.#giveUp(event, failingSinceMs, result.reason)
    const attempts = this.#progress.attempts + 1
    await list.keepLate(this.#receiver.id, this.#account, event.atMs)
    await this.#keep({ ...this.#progress, attempts, failingSinceMs })
    const asked = Math.min(result.retryAfterMs ?? 0, policy.forMs)
    return nowMs + Math.max(retryDelayMs(attempts, policy, random), asked)
  }

  /** The receiver wants no more until its config changes: an event waits for that as long as for a receiver that fails. */
  async #whileGone(event: LedgerEntry): Promise<number | undefined> {
    const { now, policy, list } = this.#context
    const givenUpAtMs = Math.max(event.atMs, this.#progress.failingSinceMs) + policy.forMs
    if (now() >= givenUpAtMs) return this.#giveUp(event, this.#progress.failingSinceMs, 'it has answered 410 Gone')
    await list.keepLate(this.#receiver.id, this.#account, event.atMs)
    return givenUpAtMs
  }

  async #giveUp(event: LedgerEntry, failingSinceMs: number, reason: string): Promise<undefined> {
    const { metrics, log, list } = this.#context
    await this.#keep({ seq: event.seq, attempts: 0, failingSinceMs })
    await list.keepLate(this.#receiver.id, this.#account, undefined)
    metrics.webhookDelivered(event.op, 'given_up')
    log.error(
      { receiver: this.#health.name, account: this.#account, seq: event.seq, event: event.op, reason },
      'an event was given up: its receiver did not take it; it stays in the ledger',
    )
  }

  async #keep(progress: Progress): Promise<void> {
    this.#progress = progress
    await this.#context.list.keepProgress(this.#receiver.id, this.#account, progress)
  }
}
