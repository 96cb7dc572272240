/** Gateways that deliver the events of a wallet in memory, by a real Redis. */
import type { Snapshot } from '../../../src/config/snapshot.ts'
import { createLog } from '../../../src/log.ts'
import { Metrics } from '../../../src/metrics/metrics.ts'
import { connectRedis } from '../../../src/redis/client.ts'
import type { LedgerEntry, PendingEvent } from '../../../src/wallet/wallet-types.ts'
import { deliverEvents } from '../../../src/webhooks/deliveries.ts'
import { DeliveryList } from '../../../src/webhooks/delivery-list.ts'
import { EventMarks } from '../../../src/webhooks/event-marks.ts'
import type { EventSource } from '../../../src/webhooks/hand-over.ts'
import { SECRET } from '../../support/webhook-receiver.ts'
import { snapshotOf } from '../config/config-texts.ts'

/** Events as the wallet has them, and how many are still at hand. */
export class Events implements EventSource {
  readonly #pending = new Map<string, LedgerEntry[]>()
  #seq = 0

  add(account: string, type = 'wallet.low', atMs = Date.now()): number {
    const seq = ++this.#seq
    const entry = {
      seq,
      atMs,
      type: 'event',
      op: type,
      actor: 'gateway',
      unit: 'USD',
      scale: 9,
      legs: [],
      balanceAfter: {},
      fields: { available: '0.5', below: '1' },
    }
    this.#pending.set(account, [...(this.#pending.get(account) ?? []), entry])
    return seq
  }

  pending(account: string): number[] {
    return (this.#pending.get(account) ?? []).map(({ seq }) => seq)
  }

  async pendingEvents(account: string, limit: number, afterSeq = 0): Promise<readonly PendingEvent[]> {
    const after = (this.#pending.get(account) ?? []).filter(({ seq }) => seq > afterSeq)
    return after.slice(0, limit).map((entry) => ({ seq: entry.seq, entry }))
  }

  async eventsHandedOver(account: string, upToSeq: number): Promise<number> {
    const left = (this.#pending.get(account) ?? []).filter(({ seq }) => seq > upToSeq)
    if (left.length > 0) this.#pending.set(account, left)
    else this.#pending.delete(account)
    return left.length
  }
}

export interface Hook {
  readonly url: string
  readonly events?: readonly string[]
  readonly accounts?: readonly string[]
  readonly secret?: string | readonly string[]
}

export function hookSnapshot(hooks: readonly Hook[], limits = ''): Snapshot {
  const receivers = hooks.map((hook) => JSON.stringify({ secret: SECRET, ...hook }))
  const retries = limits.includes('webhook_retry_first')
    ? []
    : ['webhook_retry_first: 20ms', 'webhook_retry_most: 200ms']
  return snapshotOf({
    tollgate: `version: 1\nlimits: { ${[...retries, limits].join(', ')} }\n`,
    entitlements: `version: 1\nwebhooks: [${receivers.join(', ')}]\n`,
  })
}

/** The messages, and whole lines as they are written. */
function writtenLog() {
  const written: string[] = []
  const log = createLog('debug', { write: (line: string) => void written.push(line) })
  return {
    ...log,
    debug: log.debug.bind(log),
    info: log.info.bind(log),
    warn: log.warn.bind(log),
    error: log.error.bind(log),
    written,
    get lines(): string[] {
      return written
        .map((line) => JSON.parse(line) as { level: string; msg: string })
        .map(({ level, msg }) => `${level}: ${msg}`)
    },
  }
}

/** What one gateway has of it. */
export async function startGateway(redisUrl: string, events: Events, snapshot: Snapshot) {
  const redis = connectRedis({
    url: redisUrl,
    commandMs: 1000,
    connectMs: 1000,
    breakerFailures: 5,
    breakerWindowMs: 1000,
    probeMs: 50,
  })
  await redis.whenUp(2000)
  const log = writtenLog()
  const metrics = new Metrics({ maxSeries: 10 })
  const current = { snapshot, nowMs: undefined as number | undefined }
  const now = (): number => current.nowMs ?? Date.now()
  const common = { wallet: events, snapshot: () => current.snapshot, log, now }
  const marks = new EventMarks({
    ...common,
    list: new DeliveryList(redis),
  })
  const deliveries = deliverEvents({ ...common, redis, metrics, eventMarks: marks })
  return {
    deliveries,
    marks,
    log,
    metrics,
    redis,
    current,
    /** An event comes to be, as an answer of a script says. */
    event(account: string, type?: string, atMs?: number): number {
      const seq = events.add(account, type, atMs)
      marks.add(account)
      return seq
    },
    /** As if the process were killed: nothing is let go of. */
    async stop() {
      await deliveries.stop()
      await marks.stop()
      redis.close()
    },
  }
}

export type TestGateway = Awaited<ReturnType<typeof startGateway>>
