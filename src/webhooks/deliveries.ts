/**
 * Delivers the wallet's events to the receivers of the config. One process of each gateway does; any number of gateways
 * share the work by leases in Redis (delivery-list.ts), and go on where one died.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Receiver, Snapshot } from '../config/snapshot.ts'
import { newId } from '../core/ids.ts'
import type { Log } from '../log.ts'
import type { WaitingReceiver } from '../metrics/metric-events.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { RedisClient } from '../redis/client.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import { DeliveryList } from './delivery-list.ts'
import { testMessage } from './event-body.ts'
import type { EventMarks } from './event-marks.ts'
import type { EventSource } from './hand-over.ts'
import { Poster, type PostResult } from './post.ts'
import { type QueueContext, ReceiverQueue } from './receiver-queue.ts'
import { type ReceiverState, ReceiverStates } from './receiver-state.ts'
import { takeOver } from './take-over.ts'

export interface DeliveriesOptions {
  readonly redis: Pick<RedisClient, 'call'>
  readonly wallet: EventSource
  readonly snapshot: () => Snapshot
  readonly metrics: Pick<Metrics, 'webhookDelivered' | 'webhooksWaiting'>
  readonly log: Log
  readonly now: () => number
  readonly random?: () => number
}

export interface ReceiverReport extends ReceiverState {
  readonly receiver: Receiver
  readonly gone: boolean
  /** Accounts whose events it waits for. */
  readonly pending: number
  readonly oldestAtMs: number | undefined
}

export interface TestReport {
  readonly receiver: Receiver
  readonly result: PostResult
  readonly durationMs: number
}

const LOOK_EVERY_MS = 1_000
const COUNT_EVERY_MS = 15_000
const STOP_MS = 2_000

export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #context: QueueContext
  readonly #poster: Poster
  #queues: readonly ReceiverQueue[] = []
  #ticker: NodeJS.Timeout | undefined
  #ticking: Promise<void> | undefined
  /** The config whose receivers have taken over; undefined: it is to be done at the next tick. */
  #tookOver: Snapshot['webhooks'] | undefined
  #countAtMs = 0
  #stopped = false

  constructor(options: DeliveriesOptions) {
    const { redis, wallet, snapshot, metrics, log, now, random = Math.random } = options
    const { limits } = snapshot().settings
    this.#options = options
    this.#poster = new Poster({ timeoutMs: limits.webhookTimeoutMs, connections: limits.webhookConnections, now })
    this.#context = {
      list: new DeliveryList(redis),
      states: new ReceiverStates(redis),
      wallet,
      snapshot,
      poster: this.#poster,
      policy: {
        firstMs: limits.webhookRetryFirstMs,
        mostMs: limits.webhookRetryMostMs,
        forMs: limits.webhookRetryForMs,
      },
      owner: randomUUID(),
      leaseMs: limits.webhookLeaseMs,
      connections: limits.webhookConnections,
      log,
      metrics,
      now,
      random,
      stopping: () => this.#stopped,
    }
  }

  start(): void {
    const everyMs = Math.min(LOOK_EVERY_MS, this.#context.policy.firstMs, this.#context.leaseMs)
    this.#ticker = setInterval(() => void this.tick(), everyMs).unref()
    void this.tick()
  }

  /** Posts under way have two seconds, then they are broken off, and made again by whoever goes on. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#ticker)
    const ended = Promise.all([this.#ticking, ...this.#queues.map((queue) => queue.stop())])
    await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })])
    await this.#poster.close()
    await ended
  }

  /** Looks at each receiver's list, and after an edit of the config at whose it is. Never rejects. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick()
      .catch((error: unknown) => this.#report(error))
      .finally(() => {
        this.#ticking = undefined
      })
    return this.#ticking
  }

  async report(): Promise<readonly ReceiverReport[]> {
    const { list, states, now } = this.#context
    for (const queue of this.#queues) await queue.writeState()
    const reports: ReceiverReport[] = []
    for (const receiver of this.#options.snapshot().webhooks) {
      const state = await states.read(receiver)
      const waiting = await list.waiting(receiver.id, now())
      reports.push({ ...state, ...waiting, receiver, gone: state.goneFingerprint === receiver.fingerprint })
    }
    return reports
  }

  /** Posts a `webhook.test`. A receiver that takes it is asked again whatever it answered before. */
  async test(receiver: Receiver): Promise<TestReport> {
    const startedMs = performance.now()
    const nowMs = this.#context.now()
    const result = await this.#poster.post(receiver, testMessage(newId(nowMs), nowMs))
    const durationMs = Math.round(performance.now() - startedMs)
    this.#context.metrics.webhookDelivered('webhook.test', result.kind === 'stopped' ? 'failed' : result.kind)
    if (result.kind === 'delivered') await this.#asGoodAsNew(receiver)
    return { receiver, result, durationMs }
  }

  async #asGoodAsNew(receiver: Receiver): Promise<void> {
    const { list, states, now } = this.#context
    this.#queues.find((queue) => queue.receiver.fingerprint === receiver.fingerprint)?.health.forget()
    await states.recovered(receiver, now())
    for await (const accounts of list.accounts(receiver.id)) await list.hurry(receiver.id, accounts, now())
    void this.tick()
  }

  async #tick(): Promise<void> {
    const { webhooks } = this.#options.snapshot()
    if (this.#tookOver !== webhooks) {
      await this.#changeQueues(webhooks)
      await takeOver(this.#context, webhooks)
      this.#tookOver = webhooks
    }
    await Promise.all(this.#queues.map((queue) => queue.look()))
    await this.#count()
  }

  async #changeQueues(webhooks: readonly Receiver[]): Promise<void> {
    if (this.#stopped) return
    const before = this.#queues
    const keeps = (receiver: Receiver) => (queue: ReceiverQueue) => queue.receiver.fingerprint === receiver.fingerprint
    this.#queues = webhooks.map(
      (receiver) => before.find(keeps(receiver)) ?? new ReceiverQueue(receiver, this.#context),
    )
    const left = before.filter((queue) => !this.#queues.includes(queue))
    this.#poster.keepOnly(webhooks)
    await Promise.all(left.map((queue) => queue.stop()))
  }

  async #count(): Promise<void> {
    const { list, now } = this.#context
    if (now() < this.#countAtMs) return
    this.#countAtMs = now() + COUNT_EVERY_MS
    const byHost = new Map<string, WaitingReceiver>()
    for (const { receiver, health } of this.#queues) {
      const { pending, oldestAtMs } = await list.waiting(receiver.id, now())
      const oldestSeconds = oldestAtMs === undefined ? 0 : Math.max(0, now() - oldestAtMs) / 1000
      const other = byHost.get(health.name)
      byHost.set(health.name, {
        receiver: health.name,
        pending: pending + (other?.pending ?? 0),
        oldestSeconds: Math.max(oldestSeconds, other?.oldestSeconds ?? 0),
      })
    }
    this.#options.metrics.webhooksWaiting(byHost.values())
  }

  #report(error: unknown): void {
    // Redis being away is said once, where the connection is watched.
    if (error instanceof WalletUnavailable) return
    this.#options.log.error({ error }, 'the lists of events were not read; they are again in a second')
  }
}

/** Begins to deliver what all processes of the gateway mark; what this one marks, at once. */
export function deliverEvents(options: DeliveriesOptions & { readonly eventMarks: EventMarks }): Deliveries {
  const deliveries = new Deliveries(options)
  options.eventMarks.onMarked = () => void deliveries.tick()
  deliveries.start()
  return deliveries
}
