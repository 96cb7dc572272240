/**
 * Ends open calls on every gateway: a stop with `cut` is one entry of a short stream in Redis, that each process looks at
 * each second. It is told here and not by the wallet's scripts: money does not hang on it, the stop itself does.
 */
import type { Log } from '../log.ts'
import type { RedisClient } from '../redis/client.ts'
import { type HoldTerms, type StopKind, WalletUnavailable } from './wallet-types.ts'

const CUTS_KEY = 'tg:cuts'
const KEPT = 1000
const EVERY_MS = 1_000

export interface Cut {
  readonly account: string
  readonly kind: StopKind
  readonly value: string
}

/** Whether a call of these terms is meant. */
export function isCut({ id, account, facts }: Pick<HoldTerms, 'id' | 'account' | 'facts'>, cut: Cut): boolean {
  if (account !== cut.account) return false
  return cut.value === (cut.kind === 'request' ? id : facts[cut.kind])
}

/** Told to every gateway that shares this Redis. Throws WalletUnavailable. */
export async function tellCut(redis: Pick<RedisClient, 'call'>, cut: Cut): Promise<void> {
  await redis.call(
    'XADD',
    CUTS_KEY,
    'MAXLEN',
    '~',
    KEPT,
    '*',
    'account',
    cut.account,
    'kind',
    cut.kind,
    'value',
    cut.value,
  )
}

export class CutWatch {
  readonly #redis: Pick<RedisClient, 'call'>
  readonly #log: Log
  readonly #onCut: (cut: Cut) => void
  #timer: NodeJS.Timeout | undefined
  #lastId: string | undefined
  #asking = false

  constructor(redis: Pick<RedisClient, 'call'>, log: Log, onCut: (cut: Cut) => void) {
    this.#redis = redis
    this.#log = log
    this.#onCut = onCut
  }

  start(): void {
    void this.#look()
    this.#timer = setInterval(() => void this.#look(), EVERY_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    try {
      if (this.#lastId === undefined) this.#lastId = await this.#newestId()
      else await this.#takeNew(this.#lastId)
    } catch (error) {
      // Redis being away is said where the connection is watched; what was told meanwhile is found afterwards.
      if (!(error instanceof WalletUnavailable)) this.#log.error({ error }, 'stops could not be looked for')
    } finally {
      this.#asking = false
    }
  }

  /** What came before this process has no call of it open. */
  async #newestId(): Promise<string> {
    const newest = entriesOf(await this.#redis.call('XREVRANGE', CUTS_KEY, '+', '-', 'COUNT', 1))
    return newest[0]?.id ?? '0-0'
  }

  async #takeNew(after: string): Promise<void> {
    for (const { id, fields } of entriesOf(await this.#redis.call('XRANGE', CUTS_KEY, `(${after}`, '+'))) {
      this.#lastId = id
      const { account = '', kind = '', value = '' } = fields
      this.#onCut({ account, kind: kind as StopKind, value })
    }
  }
}

function entriesOf(reply: unknown): { readonly id: string; readonly fields: Readonly<Record<string, string>> }[] {
  if (!Array.isArray(reply)) return []
  return reply.map((entry: unknown) => {
    const [id, list] = entry as [string, readonly string[]]
    const fields: Record<string, string> = {}
    for (let i = 0; i + 1 < list.length; i += 2) fields[String(list[i])] = String(list[i + 1])
    return { id: String(id), fields }
  })
}
