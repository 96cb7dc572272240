import type { Budget } from '../core/budgets.ts'
import type { Atoms } from '../core/money.ts'
import { BudgetGauges, type CounterReader } from './budget-gauges.ts'
import type { AccountGauge, WalletGauge } from './metric-events.ts'
import type { Metrics } from './metrics.ts'
import { units } from './units.ts'

/** The reads of a wallet that the gauges need; a Wallet has them. */
export interface WalletReader extends CounterReader {
  balances(account: string): Promise<readonly WalletBalance[]>
  counts(account: string): Promise<{
    readonly openHolds: number
    readonly timeouts: number
    readonly unmatched: number
    readonly eventsDropped: number
  }>
}

interface WalletBalance {
  readonly unit: string
  readonly scale: number
  readonly grantedAtoms: Atoms
  readonly postedAtoms: Atoms
  readonly heldAtoms: Atoms
  readonly availableAtoms: Atoms
  readonly debtAtoms: Atoms
}

export interface WalletGaugesOptions {
  readonly wallet: WalletReader
  /** Ids of the accounts, asked for at the start of each round. At most `metrics.maxSeries` of them have gauges. */
  readonly accounts: () => Iterable<string>
  /** At most so many further ones, where there is room. */
  readonly others?: (most: number) => Promise<readonly string[]>
  /** Those in force. */
  readonly budgets: () => readonly Budget[]
  readonly metrics: Pick<Metrics, 'wallets' | 'maxSeries' | 'holdsExpired' | 'eventsDropped'>
  /** Told of reads that failed; the gauges keep what was read before. */
  readonly log: { warn(fields: { readonly error: unknown }, message: string): void }
  /** Accounts read in one tick; a longer list takes several, in turn. */
  readonly accountsPerTick?: number
  readonly everyMs?: number
  readonly now?: () => number
}

const EVERY_MS = 15_000
const ACCOUNTS_PER_TICK = 500
/** Reads under way at once, so that calls need not queue behind them. */
const READS_AT_ONCE = 8
/** Spending is judged by this much of the past. */
const WINDOW_MS = 15 * 60_000
const SAMPLE_EVERY_MS = 60_000

interface Sample {
  readonly atMs: number
  readonly postedAtoms: Atoms
}

interface AccountReading extends AccountGauge {
  readonly wallets: readonly WalletGauge[]
  /** Holds that ever timed out. */
  readonly timeouts: number
  readonly eventsDropped: number
}

/** Reads balances from Redis into gauges, a bounded number of accounts at a time. One process of a gateway runs it. */
export class WalletGauges {
  readonly #options: WalletGaugesOptions
  readonly #readings = new Map<string, AccountReading>()
  readonly #samples = new Map<string, Sample[]>()
  readonly #budgets: BudgetGauges
  #queue: string[] = []
  #timer: NodeJS.Timeout | undefined
  #ticking: Promise<void> | undefined

  constructor(options: WalletGaugesOptions) {
    this.#options = options
    this.#budgets = new BudgetGauges(options.wallet, options.budgets)
  }

  /** Ticks at once, and then at its interval until `stop`. */
  start(): void {
    this.#timer = setInterval(() => void this.tick(), this.#options.everyMs ?? EVERY_MS)
    this.#timer.unref()
    void this.tick()
  }

  /** Resolves when no read is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#ticking
  }

  /** Reads the next accounts. Never rejects; does nothing while the tick before is still reading. */
  tick(): Promise<void> {
    this.#ticking ??= this.#readNext().finally(() => {
      this.#ticking = undefined
    })
    return this.#ticking
  }

  async #readNext(): Promise<void> {
    if (this.#queue.length === 0) {
      this.#queueConfigured()
      if (this.#options.others) await this.#queueOthers(this.#options.others)
      this.#forgetGone()
    }
    const batch = this.#queue.splice(0, this.#options.accountsPerTick ?? ACCOUNTS_PER_TICK)
    const failures: unknown[] = []
    const reading = async (): Promise<void> => {
      // With Redis away every read fails: the rest of the batch waits for the next round.
      while (batch.length > 0 && failures.length < READS_AT_ONCE) {
        await this.#read(batch.pop() as string).catch((error: unknown) => failures.push(error))
      }
    }
    await Promise.all(Array.from({ length: READS_AT_ONCE }, reading))
    if (failures.length > 0) {
      this.#options.log.warn({ error: failures[0] }, 'balances could not be read for the metrics')
    }
    this.#publish()
  }

  #queueConfigured(): void {
    for (const account of this.#options.accounts()) {
      if (this.#queue.length >= this.#options.metrics.maxSeries) break
      this.#queue.push(account)
    }
  }

  async #queueOthers(others: (most: number) => Promise<readonly string[]>): Promise<void> {
    const room = this.#options.metrics.maxSeries - this.#queue.length
    if (room <= 0) return
    this.#queue.push(...(await others(room).catch((error: unknown) => this.#keepOthers(error))))
  }

  #forgetGone(): void {
    const named = new Set(this.#queue)
    for (const account of this.#readings.keys()) {
      if (!named.has(account)) this.#forget(account)
    }
  }

  /** Redis away: those that were read before stay. */
  #keepOthers(error: unknown): readonly string[] {
    this.#options.log.warn({ error }, 'accounts could not be listed for the metrics')
    const queued = new Set(this.#queue)
    return [...this.#readings.keys()].filter((account) => !queued.has(account))
  }

  #forget(account: string): void {
    for (const { unit } of this.#readings.get(account)?.wallets ?? []) this.#samples.delete(`${account}\n${unit}`)
    this.#readings.delete(account)
    this.#budgets.forget(account)
  }

  async #read(account: string): Promise<void> {
    const { wallet, now = Date.now } = this.#options
    const [balances, { openHolds, timeouts, unmatched, eventsDropped }, budgets] = await Promise.all([
      wallet.balances(account),
      wallet.counts(account),
      this.#budgets.read(account),
    ])
    const before = this.#readings.get(account)
    // Any script that writes may have ended a hold by its deadline, on any gateway: Redis has the count.
    if (before !== undefined && timeouts > before.timeouts) {
      this.#options.metrics.holdsExpired(account, timeouts - before.timeouts)
    }
    if (before !== undefined && eventsDropped > before.eventsDropped) {
      this.#options.metrics.eventsDropped(account, eventsDropped - before.eventsDropped)
    }
    this.#readings.set(account, {
      account,
      wallets: balances.map((balance) => this.#gauge(account, balance, now())),
      holdsOpen: openHolds,
      unmatched,
      budgets,
      timeouts,
      eventsDropped,
    })
  }

  #gauge(account: string, balance: WalletBalance, nowMs: number): WalletGauge {
    const key = `${account}\n${balance.unit}`
    const samples = this.#samples.get(key) ?? []
    this.#samples.set(key, samples)
    const secondsToEmpty = estimateSecondsToEmpty(samples, balance, nowMs)
    keepSample(samples, { atMs: nowMs, postedAtoms: balance.postedAtoms })
    return {
      account,
      unit: balance.unit,
      available: units(balance.availableAtoms, balance.scale),
      held: units(balance.heldAtoms, balance.scale),
      debt: units(balance.debtAtoms, balance.scale),
      secondsToEmpty,
    }
  }

  #publish(): void {
    const readings = [...this.#readings.values()]
    this.#options.metrics.wallets(
      readings.flatMap((reading) => reading.wallets),
      readings,
    )
  }
}

/** Starts to read balances into gauges: at once, and each 15 s until `stop`. */
export function createWalletGauges(options: WalletGaugesOptions): WalletGauges {
  const gauges = new WalletGauges(options)
  gauges.start()
  return gauges
}

/** Spending since the oldest sample of the window; undefined where nothing was spent, or nothing was ever granted. */
function estimateSecondsToEmpty(samples: readonly Sample[], balance: WalletBalance, nowMs: number): number | undefined {
  const oldest = samples[0]
  if (oldest === undefined || balance.grantedAtoms === 0n || nowMs <= oldest.atMs) return undefined
  const spent = Number(balance.postedAtoms - oldest.postedAtoms)
  if (spent <= 0) return undefined
  const perSecond = (spent / (nowMs - oldest.atMs)) * 1000
  return Math.max(0, Number(balance.availableAtoms)) / perSecond
}

function keepSample(samples: Sample[], sample: Sample): void {
  while (samples[0] !== undefined && samples[0].atMs < sample.atMs - WINDOW_MS) samples.shift()
  const newest = samples.at(-1)
  if (newest === undefined || sample.atMs - newest.atMs >= SAMPLE_EVERY_MS) samples.push(sample)
}
