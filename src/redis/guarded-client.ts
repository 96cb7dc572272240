/**
 * A client that lets nothing through until the Redis behind it has passed the start checks (guard.ts). Redis away at
 * the start is no reason to stop: calls are answered 503 until it comes and passes. One that must not be used refuses
 * the start, or, where it came later, everything from then on.
 */
import type { Log } from '../log.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import type { RedisArgument, RedisClient } from './client.ts'
import { guardRedis, RedisRefused } from './guard.ts'

export interface GuardedRedis extends RedisClient {
  /** Why this Redis is not used; undefined where it is, or is not known yet. */
  readonly refusal: string | undefined
}

export type GuardOptions = Parameters<typeof guardRedis>[1] & { readonly log: Log }

class GuardedClient implements GuardedRedis {
  readonly #client: RedisClient
  #passed = false
  refusal: string | undefined

  constructor(client: RedisClient) {
    this.#client = client
  }

  get up(): boolean {
    return this.#client.up && this.#passed
  }

  get reason(): string | undefined {
    return (
      this.refusal ?? (this.#passed ? this.#client.reason : (this.#client.reason ?? 'Redis has not been checked yet'))
    )
  }

  pass(): void {
    this.#passed = true
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

  whenUp(withinMs: number): Promise<void> {
    return this.#client.whenUp(withinMs)
  }

  close(): void {
    this.#client.close()
  }

  #notYet(): Promise<never> {
    return Promise.reject(new WalletUnavailable(this.reason ?? 'Redis has not been checked yet', false))
  }
}

/** Throws RedisRefused where the Redis answers now and must not be used. */
export async function guardWhenUp(client: RedisClient, options: GuardOptions): Promise<GuardedRedis> {
  const guarded = new GuardedClient(client)
  try {
    await client.whenUp(2_000)
  } catch {
    options.log.warn({ reason: client.reason }, 'Redis is not there yet; calls are refused until it is')
    void checkLater(client, guarded, options)
    return guarded
  }
  await guardRedis(client, options)
  guarded.pass()
  return guarded
}

async function checkLater(client: RedisClient, guarded: GuardedClient, options: GuardOptions): Promise<void> {
  for (;;) {
    try {
      await client.whenUp(3_600_000)
      await guardRedis(client, options)
      guarded.pass()
      return
    } catch (error) {
      if (!(error instanceof RedisRefused)) continue
      guarded.refusal = error.message
      options.log.error({ reason: error.message }, 'this Redis is not used')
      return
    }
  }
}
