/** The books of a gateway: what exports and trims ledgers, and what says how far behind the export is. */
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { RedisClient } from '../redis/client.ts'
import { createScriptCaller } from '../wallet/script-caller.ts'
import type { Wallet } from '../wallet/wallet-types.ts'
import { AllAccounts } from './all-accounts.ts'
import { BooksArchive } from './archive.ts'
import { type BooksPlace, BooksTarget } from './books-target.ts'
import { Exporter } from './exporter.ts'
import { BooksKeeper } from './keeper.ts'

export interface BooksOptions {
  readonly places: readonly BooksPlace[]
  readonly redis: RedisClient
  readonly inMemory: boolean
  readonly wallet: Pick<Wallet, 'setFrozen'>
  readonly keepMs: number
  readonly freezeOnDrift: boolean
  readonly accounts: () => Iterable<string>
  readonly metrics: Pick<Metrics, 'ledgerExportLag' | 'drift'>
  readonly log: Log
}

export interface Books {
  stop(): Promise<void>
}

const LAG_EVERY_MS = 15_000

/** Where readers of the ledger go on; undefined: nowhere. */
export function archiveOf(places: readonly BooksPlace[]): BooksArchive | undefined {
  return places.length === 0 ? undefined : new BooksArchive(places.map(({ path }) => path))
}

/** undefined: the config names no place for them, or balances live in memory alone. */
export function startBooks(options: BooksOptions): Books | undefined {
  const { places, redis, log, metrics } = options
  if (places.length === 0 || options.inMemory) return undefined
  const scripts = createScriptCaller(redis, { archive: archiveOf(places) })
  const all = new AllAccounts(redis, options.accounts)
  const exporters = places.map((place) => {
    const target = new BooksTarget(redis, place)
    return { target, exporter: new Exporter({ target, redis, scripts, accounts: () => all.list(), log }) }
  })
  const keeper = new BooksKeeper({
    ...options,
    targets: exporters.map(({ target }) => target),
    scripts,
    accounts: () => all.list(),
    onDrift: (account, differences) => metrics.drift(account, differences),
  })
  for (const { exporter } of exporters) exporter.start()
  keeper.start()
  const startedMs = Date.now()
  const lag = setInterval(() => void readLag(), LAG_EVERY_MS).unref()
  void readLag()
  return {
    async stop() {
      clearInterval(lag)
      await keeper.stop()
      for (const { exporter } of exporters) await exporter.stop()
    },
  }

  /** Read from Redis: the same on every gateway, and true when no gateway exports any more. */
  async function readLag(): Promise<void> {
    try {
      const clean = await Promise.all(exporters.map(({ target }) => target.cleanMs()))
      const oldest = Math.min(...clean.map((ms) => ms ?? startedMs))
      metrics.ledgerExportLag(Math.max(0, (Date.now() - oldest) / 1000))
    } catch {
      // Redis is away: said where the connection is watched, and the gauge keeps what it had.
    }
  }
}
