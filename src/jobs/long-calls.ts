/**
 * Calls that go on at a provider after their answer (background responses, runs, batches). The gateway asks how each
 * stands until it has its end, and charges once: the end of the hold is the hold's own id, whoever asks and however often.
 *
 * The list is in Redis (job-list.ts): a gateway that dies leaves nothing behind, and any other goes on. Redis away: nobody
 * asks, nothing is lost. A job without an end at its deadline is charged whole by the wallet; it is asked for on until its
 * late window is over, and what it came to then gives back the rest.
 */
import { randomUUID } from 'node:crypto'
import type { Log } from '../log.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import type { JobList } from './job-list.ts'
import { encodeLongCall, jobKey, type LongCall } from './long-call.ts'
import { type PollContext, pollJob } from './poll-job.ts'

export interface LongCallsOptions extends PollContext {
  readonly list: JobList
  readonly log: Log
}

/** Renewed while results are read; one who died is no longer waited for after it. */
const LEASE_MS = 15_000
const RENEW_EVERY_MS = 5_000
const DUE_AT_ONCE = 100
const LOOK_EVERY_MS = 1_000
const COUNT_EVERY_MS = 15_000

export class LongCalls {
  readonly #options: LongCallsOptions
  readonly #owner = randomUUID()
  /** Jobs that this process asks for at this moment, by upstream. */
  readonly #asking = new Map<string, Set<string>>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  readonly #polls = new Set<Promise<unknown>>()
  /** Those on their way to the list, by key. */
  readonly #listing = new Map<string, Promise<unknown>>()
  #countAtMs = 0
  #stopped = false

  constructor(options: LongCallsOptions) {
    this.#options = options
  }

  /**
   * The call goes on. On local disk when this returns; listed as soon as Redis answers. Where the same job is charged by
   * another hold already (a retry under one idempotency key), this hold is returned.
   */
  register(call: LongCall): void {
    const key = jobKey(call.upstream, call.job.id)
    const listed = this.#options.outbox.job(call.terms.id, call.terms.account, encodeLongCall(call))
    this.#listing.set(key, listed)
    const done = () => {
      if (this.#listing.get(key) === listed) this.#listing.delete(key)
    }
    listed.then(done, done)
  }

  /** It had its end otherwise (its own stream came to it): nobody need ask. */
  ended(upstream: string, jobId: string): void {
    const key = jobKey(upstream, jobId)
    this.#whenListed(key, () => this.#options.list.remove(key)).catch(() => {
      // It is asked for once more, and answered as before.
    })
  }

  /** Its own stream is over, or someone saw that it has ended: asked for at the next look, with all that runs in it. */
  hurry(upstream: string, jobId: string): void {
    const { list, now } = this.#options
    const key = jobKey(upstream, jobId)
    const hurryAll = async () => {
      for (const each of [key, ...(await list.within(key))]) await list.hurry(each, now())
    }
    this.#whenListed(key, hurryAll).catch(() => {
      // Then it is asked for in its turn.
    })
  }

  async #whenListed(key: string, run: () => Promise<void>): Promise<void> {
    await this.#listing.get(key)
    await run()
  }

  /** Whether a job of this id is asked for. Throws WalletUnavailable. */
  async goesOn(upstream: string, jobId: string): Promise<boolean> {
    const key = jobKey(upstream, jobId)
    await this.#listing.get(key)
    return (await this.#options.list.read(key)) !== undefined
  }

  /**
   * Asks now, before the job, or what runs in the object, can no longer be asked for (its owner deletes it). Resolves when
   * it is done, whatever came.
   */
  async askNow(upstream: string, id: string): Promise<void> {
    const { list } = this.#options
    const key = jobKey(upstream, id)
    try {
      for (const each of [key, ...(await list.within(key))])
        if ((await list.read(each)) !== undefined) await this.#ask(each)
    } catch (error) {
      this.#report(error, key)
    }
  }

  start(): void {
    const { pollFirstMs } = this.#options.snapshot().settings.limits
    this.#timer = setInterval(() => void this.look(), Math.min(LOOK_EVERY_MS, pollFirstMs)).unref()
    void this.look()
  }

  /** Jobs that are being asked for are let go: whoever starts next goes on. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#looking
    await Promise.race([Promise.all(this.#polls), new Promise((resolve) => setTimeout(resolve, 1_000).unref())])
  }

  /** One look at the list: asks for what is due, as far as each upstream has room. Resolves when the list was read. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#report(error))
      .finally(() => {
        this.#looking = undefined
      })
    return this.#looking
  }

  /** Resolves when nothing that was begun is still on its way: for tests. */
  async settled(): Promise<void> {
    await this.#looking
    while (this.#polls.size > 0) await Promise.all(this.#polls)
  }

  async #look(): Promise<void> {
    const { list, now, metrics } = this.#options
    if (now() >= this.#countAtMs) {
      this.#countAtMs = now() + COUNT_EVERY_MS
      metrics.jobsOpen(await list.count())
    }
    for (const key of await list.due(now(), DUE_AT_ONCE)) {
      if (this.#stopped) return
      const poll = this.#ask(key).catch((error: unknown) => this.#report(error, key))
      this.#polls.add(poll)
      void poll.finally(() => this.#polls.delete(poll))
    }
  }

  async #ask(key: string): Promise<void> {
    const upstream = key.slice(0, key.indexOf(' '))
    const asking = this.#asking.get(upstream) ?? new Set()
    this.#asking.set(upstream, asking)
    if (asking.has(key) || asking.size >= this.#options.snapshot().settings.limits.pollsPerUpstream) return
    asking.add(key)
    try {
      await this.#askAlone(key)
    } finally {
      asking.delete(key)
    }
  }

  async #askAlone(key: string): Promise<void> {
    const { list } = this.#options
    if (!(await list.claim(key, this.#owner, LEASE_MS))) return
    const renew = setInterval(() => void list.renew(key, LEASE_MS).catch(() => {}), RENEW_EVERY_MS).unref()
    try {
      const listed = await list.read(key)
      if (listed === undefined) return await list.remove(key)
      const next = await pollJob(this.#options, listed)
      if (next === undefined) await list.remove(key)
      else await list.postpone(key, next.state, next.dueAtMs)
    } finally {
      clearInterval(renew)
      await list.release(key).catch(() => {})
    }
  }

  #report(error: unknown, key?: string): void {
    // Redis being away is said once, where the connection is watched.
    if (error instanceof WalletUnavailable) return
    this.#options.log.error(
      { error, ...(key === undefined ? {} : { job: key }) },
      'a call that goes on was not asked for',
    )
  }
}
