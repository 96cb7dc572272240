/**
 * What is done with ledgers beside their export, on the gateway that has the books: each account is compared with its
 * ledger, a snapshot is written where both are the same, and entries leave Redis that are old enough, exported, and
 * covered by the snapshot. Where they differ (a foreign write, a defect) the account is frozen and nothing leaves Redis.
 *
 * One account at a time, with rests between them: calls come first.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { newId } from '../core/ids.ts'
import { WalletUnavailable } from '../errors.ts'
import type { Log } from '../log.ts'
import { type Checked, checkAccount } from '../wallet/check-account.ts'
import { ACCOUNT } from '../wallet/compare-wallets.ts'
import { readRedisPage } from '../wallet/ledger.ts'
import { forgetEnded, writeReplay } from '../wallet/replay-snapshot.ts'
import { field, type ScriptCaller } from '../wallet/script-caller.ts'
import type { Wallet } from '../wallet/wallet-types.ts'
import { accountDirectory } from './account-files.ts'
import type { BooksRedis, BooksTarget } from './books-target.ts'
import { writeSnapshot } from './snapshot-file.ts'

export interface KeeperOptions {
  /** All directories of books; the snapshots are in the first. */
  readonly targets: readonly BooksTarget[]
  readonly redis: BooksRedis
  readonly scripts: ScriptCaller
  readonly wallet: Pick<Wallet, 'setFrozen'>
  readonly accounts: () => Promise<Iterable<string>>
  readonly keepMs: number
  readonly freezeOnDrift: boolean
  /** How many fields of an account differ. */
  readonly onDrift: (account: string, differences: number) => void
  readonly log: Log
  readonly nowMs?: () => number
}

const ROUND_MS = 30_000
/** An account with new entries is looked at so often, one without so rarely. */
const CHECK_MS = 3_600_000
const CHECK_QUIET_MS = 24 * CHECK_MS
const TRIMMED_AT_ONCE = 1000
const STOP_MS = 2_000
/** Of the time: what checking takes at most. */
const RESTS = 4

interface Looked {
  readonly atMs: number
  readonly seq: number
}

export class BooksKeeper {
  readonly #options: KeeperOptions
  readonly #nowMs: () => number
  readonly #looked = new Map<string, Looked>()
  readonly #drifting = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #stopped = false
  readonly #rest = new AbortController()

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
  }

  start(): void {
    const next = async (): Promise<void> => {
      await this.round()
      if (!this.#stopped) this.#timer = setTimeout(() => void next(), ROUND_MS).unref()
    }
    void next()
  }

  /** What it writes is whole or not there: a long comparison is not waited for. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#rest.abort()
    await Promise.race([this.#running, sleep(STOP_MS, undefined, { ref: false })])
  }

  /** Every account that is due, one round at a time; never rejects. */
  round(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #round(): Promise<void> {
    const [first] = this.#options.targets
    try {
      if (first === undefined || (await first.take()) !== 'ours') return
      for (const account of await this.#options.accounts()) {
        if (this.#stopped || !(await first.renew(this.#nowMs()))) return
        const startedMs = performance.now()
        if (!(await this.#visit(account))) continue
        await sleep(RESTS * (performance.now() - startedMs), undefined, { signal: this.#rest.signal }).catch(() => {})
      }
    } catch (error) {
      if (!(error instanceof WalletUnavailable)) this.#options.log.error({ error }, 'the books were not kept')
    }
  }

  /** True where something was done. */
  async #visit(account: string): Promise<boolean> {
    const nowMs = this.#nowMs()
    const before = this.#looked.get(account)
    if (before !== undefined && nowMs - before.atMs < CHECK_MS) return false
    let seq = 0
    try {
      seq = await this.#lastSeq(account)
      if (seq === 0) return false
      if (before !== undefined && before.seq === seq && nowMs - before.atMs < CHECK_QUIET_MS) return false
      await this.keep(account)
    } catch (error) {
      if (error instanceof WalletUnavailable) throw error
      this.#options.log.error({ account, error }, 'the books of an account were not kept')
    }
    this.#looked.set(account, { atMs: nowMs, seq })
    return true
  }

  async #lastSeq(account: string): Promise<number> {
    const { redis, scripts } = this.#options
    const record = await redis.call('HGET', scripts.keysOf(account).account, 'account')
    return Number(/^\d+\|(\d+)\|/.exec(typeof record === 'string' ? record : '')?.[1] ?? 0)
  }

  /** Compares, keeps a snapshot, trims. */
  async keep(account: string): Promise<void> {
    const { scripts, onDrift } = this.#options
    let checked = await checkAccount(scripts, account, 'snapshot')
    // Seen twice, each time of a state read at one moment, and by the whole ledger.
    if (checked.differences.length > 0) checked = await checkAccount(scripts, account, 'first')
    if (checked.differences.length > 0) {
      this.#drifting.add(account)
      onDrift(account, checked.differences.length)
      await this.#freeze(account, checked)
      return
    }
    if (this.#drifting.delete(account)) onDrift(account, 0)
    await this.#snapshot(account, checked)
    await this.#trim(account)
  }

  async #freeze(account: string, { differences, kept, seq }: Checked): Promise<void> {
    const { freezeOnDrift, wallet, log } = this.#options
    const [first] = differences
    log.error(
      { account, seq, differences: differences.slice(0, 10), count: differences.length },
      'what Redis keeps is not what the ledger says',
    )
    const isFrozen = ACCOUNT.exec(kept?.account.get('account') ?? '')?.[5] === '1'
    if (!freezeOnDrift || isFrozen || first === undefined) return
    const reason = `state and ledger differ in ${differences.length} fields, ${first.field} (kept ${first.kept}, ledger ${first.ledger}) first: "tollgate doctor ${account}" names them`
    await wallet.setFrozen({ account, operationId: newId(this.#nowMs()), frozen: true, reason, actor: 'books' })
  }

  async #snapshot(account: string, { kept, state, seq }: Checked): Promise<void> {
    const { targets, redis, scripts } = this.#options
    const [first] = targets
    if (first === undefined || kept === undefined || state === undefined || seq === 0) return
    forgetEnded(state, kept)
    await writeSnapshot(accountDirectory(first.path, account), account, { seq, state: writeReplay(state) })
    await redis.call('HSET', scripts.keysOf(account).exported, 'snapshot', seq)
  }

  async #trim(account: string): Promise<void> {
    const { scripts, targets, keepMs } = this.#options
    const ids = await Promise.all(targets.map((target) => target.knownId()))
    if (ids.includes(undefined)) return
    const keys = scripts.keysOf(account)
    for (let from = 0; !this.#stopped; ) {
      const upTo = await this.#oldUpTo(account, from, this.#nowMs() - keepMs)
      if (upTo === undefined) return
      const args = [String(upTo), String(TRIMMED_AT_ONCE), ids.join(' ')]
      const reply = await scripts.call('trim', [keys.ledger, keys.exported], args)
      if (reply[0] !== 'trimmed') return
      from = Number(field(reply, 1)) + 1
    }
  }

  /** The last of the oldest entries, all of which are dated before `beforeMs`. */
  async #oldUpTo(account: string, from: number, beforeMs: number): Promise<number | undefined> {
    const { entries } = await readRedisPage(this.#options.scripts, account, from, TRIMMED_AT_ONCE)
    const young = entries.findIndex(({ packed }) => !(Number(packed.split('|', 2)[1]) < beforeMs))
    return entries[(young < 0 ? entries.length : young) - 1]?.seq
  }
}
