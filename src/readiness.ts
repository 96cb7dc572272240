/** What /readyz says: whether calls can be taken now, and by what that was judged. */
import type { ConfigStore } from './config/config-store.ts'
import type { EmbeddedRedis } from './redis/embedded.ts'
import type { GuardedRedis } from './redis/guarded-client.ts'
import type { Outbox } from './wallet/outbox.ts'

export interface Check {
  readonly ok: boolean
  readonly detail: string
}

export interface Readiness {
  readonly ready: boolean
  readonly checks: Readonly<Record<string, Check>>
}

export interface ReadinessParts {
  readonly store: Pick<ConfigStore, 'current'>
  readonly redis: Pick<GuardedRedis, 'ping' | 'refusal' | 'reason'>
  readonly embedded: Pick<EmbeddedRedis, 'kind' | 'inMemory'> | undefined
  readonly outbox: OutboxFigures
  /** Of each worker, undefined where it does not answer; left out: the process serves calls itself. */
  readonly workers?: () => Promise<readonly (OutboxFigures | undefined)[]>
}

/** A process tells the one with the admin port so much of its outbox. */
export type OutboxFigures = Pick<Outbox, 'accepting' | 'depth' | 'oldestSeconds' | 'failing' | 'diskProblem'>

export function outboxFigures({ accepting, depth, oldestSeconds, failing, diskProblem }: Outbox): OutboxFigures {
  return { accepting, depth, oldestSeconds, failing, diskProblem }
}

export async function readiness(parts: ReadinessParts): Promise<Readiness> {
  const { store, redis, embedded, outbox } = parts
  const [up, workers] = await Promise.all([redis.ping(), parts.workers?.()])
  const answering = workers?.filter((figures) => figures !== undefined)
  const checks = {
    config: { ok: true, detail: `version ${store.current().version}` },
    redis: {
      ok: up && redis.refusal === undefined,
      detail: redis.refusal ?? (up ? 'reachable' : (redis.reason ?? 'not reachable')),
    },
    durability: {
      ok: true,
      detail: embedded?.inMemory
        ? 'warning: balances live in memory only and are lost at a restart'
        : embedded
          ? `embedded ${embedded.kind} with AOF everysec`
          : 'as the Redis is set up',
    },
    // Where workers serve the calls, theirs are the outboxes that fill.
    outbox: outboxCheck([outbox, ...(answering ?? [])]),
    // One that died is started again, and the others go on meanwhile.
    ...(workers && answering
      ? { workers: { ok: answering.length > 0, detail: `${answering.length} of ${workers.length} answer` } }
      : {}),
  }
  return { ready: Object.values(checks).every((check) => check.ok), checks }
}

/** Of all outboxes of a gateway together. */
export function outboxCheck(outboxes: readonly OutboxFigures[]): Check {
  let [depth, oldest, failing] = [0, 0, 0]
  let diskProblem: string | undefined
  for (const outbox of outboxes) {
    depth += outbox.depth
    oldest = Math.max(oldest, outbox.oldestSeconds)
    failing += outbox.failing
    diskProblem ??= outbox.diskProblem
  }
  const disk = diskProblem === undefined ? '' : `no new calls are taken: data_dir cannot be written (${diskProblem}); `
  const failed = failing > 0 ? `, ${failing} that cannot be posted (see the log)` : ''
  return {
    ok: outboxes.every(({ accepting }) => accepting),
    detail: `${disk}${depth} entries, oldest ${oldest.toFixed(1)} s${failed}`,
  }
}
