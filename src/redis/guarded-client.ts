/**
 * A client that lets nothing through until the Redis behind it has passed the checks of guard.ts, at the start and after
 * each time it was away: it may come back emptied, exchanged, or as another master. Redis away at the start is no reason
 * to stop: calls are answered 503 until it comes and passes.
 */

import { WalletUnavailable } from '../errors.ts'
import type { Log } from '../log.ts'
import { type ConnectOptions, connectRedis, type RedisArgument, type RedisClient } from './client.ts'
import { checkEviction, guardRedis, RedisRefused, readRunId } from './guard.ts'

export interface GuardedRedis extends RedisClient {
  /** Why this Redis is not used; undefined where it is, or is not known yet. */
  readonly refusal: string | undefined
}

export type GuardOptions = Parameters<typeof guardRedis>[1] & {
  readonly log: Log
  /** Another server process answers now (a restart, a failover): it may lack what was acknowledged before. */
  readonly onOtherServer: () => void
}

/** How long a start waits for Redis before it goes on without. */
const START_WAIT_MS = 2_000
const CHECK_AGAIN_MS = 500
const LOOK_EVERY_MS = 60_000

class GuardedClient implements GuardedRedis {
  refusal: string | undefined
  readonly #client: RedisClient
  readonly #options: GuardOptions
  readonly #onState: ConnectOptions['onState']
  readonly #look: NodeJS.Timeout
  readonly #waiting = new Set<() => void>()
  #passed = false
  #checking = false
  #closed = false
  #runId: string | undefined

  constructor(connect: ConnectOptions, options: GuardOptions) {
    this.#options = options
    this.#onState = connect.onState
    this.#client = connectRedis({ ...connect, onState: (up, reason) => this.#changed(up, reason) })
    this.#look = setInterval(() => void this.#lookAgain(), LOOK_EVERY_MS).unref()
  }

  get up(): boolean {
    return this.#passed && this.#client.up
  }

  get reason(): string | undefined {
    if (this.refusal !== undefined) return this.refusal
    return this.#client.reason ?? (this.#passed ? undefined : 'Redis has not been checked yet')
  }

  evalsha(sha: string, numberOfKeys: number, ...rest: RedisArgument[]): Promise<unknown> {
    return this.#passed ? this.#client.evalsha(sha, numberOfKeys, ...rest) : this.#notYet()
  }

  eval(script: string, numberOfKeys: number, ...rest: RedisArgument[]): Promise<unknown> {
    return this.#passed ? this.#client.eval(script, numberOfKeys, ...rest) : this.#notYet()
  }

  call(command: string, ...args: RedisArgument[]): Promise<unknown> {
    return this.#passed ? this.#client.call(command, ...args) : this.#notYet()
  }

  ping(): Promise<boolean> {
    return this.#client.ping()
  }

  /** Passed or refused: rejects with WalletUnavailable when the time is over before either. */
  async whenUp(withinMs: number): Promise<void> {
    if (this.#passed || this.refusal !== undefined) return
    await new Promise<void>((resolve, reject) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(wake)
        reject(new WalletUnavailable(this.reason ?? 'Redis has not been checked yet', false))
      }, withinMs)
      this.#waiting.add(wake)
    })
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#look)
    this.#client.close()
  }

  #notYet(): Promise<never> {
    return Promise.reject(new WalletUnavailable(this.reason ?? 'Redis has not been checked yet', false))
  }

  #changed(up: boolean, reason: string): void {
    if (up) {
      void this.#check()
    } else if (this.#passed) {
      this.#passed = false
      this.#onState?.(false, reason)
    }
  }

  async #check(): Promise<void> {
    if (this.#checking || this.#closed) return
    this.#checking = true
    try {
      await guardRedis(this.#client, this.#options)
      const runId = await readRunId(this.#client)
      this.#pass(runId)
    } catch (error) {
      if (error instanceof RedisRefused) this.#refuse(error.message)
      else setTimeout(() => this.#client.up && void this.#check(), CHECK_AGAIN_MS).unref()
    } finally {
      this.#checking = false
    }
  }

  #pass(runId: string | undefined): void {
    const other = this.#runId !== undefined && this.#runId !== runId
    this.#runId = runId
    this.#passed = true
    this.refusal = undefined
    for (const wake of this.#waiting) wake()
    this.#onState?.(true, '')
    if (other) this.#options.onOtherServer()
  }

  #refuse(message: string): void {
    this.refusal = message
    this.#options.log.error({ reason: message }, 'this Redis is not used')
    if (this.#passed) this.#onState?.(false, message)
    this.#passed = false
    for (const wake of this.#waiting) wake()
  }

  /** An operator may change a running server; one that was refused may have been put right. */
  async #lookAgain(): Promise<void> {
    if (!this.#client.up) return
    if (this.refusal !== undefined) return this.#check()
    if (this.#options.embeddedJs) return
    try {
      await checkEviction(this.#client)
    } catch (error) {
      if (error instanceof RedisRefused) this.#refuse(error.message)
    }
  }
}

/** Throws RedisRefused where the Redis answers now and must not be used. */
export async function connectGuarded(connect: ConnectOptions, options: GuardOptions): Promise<GuardedRedis> {
  const guarded = new GuardedClient(connect, options)
  try {
    await guarded.whenUp(START_WAIT_MS)
  } catch {
    options.log.warn({ reason: guarded.reason }, 'Redis is not there yet; calls are refused until it is')
    return guarded
  }
  if (guarded.refusal === undefined) return guarded
  guarded.close()
  throw new RedisRefused(guarded.refusal)
}
