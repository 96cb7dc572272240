/**
 * Copies the ledgers of all accounts to a directory of books, in the background, on one gateway at a time.
 *
 * A visit costs an account that has nothing new two reads in Redis. What is new is written, synced to disk, and only then
 * acknowledged in Redis (`tg:{ACCOUNT}:exported`); after a crash the files say how far they go. A failing disk stops an
 * account where it is: Redis keeps what is not acknowledged, and the next round tries again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { WalletUnavailable } from '../errors.ts'
import type { Log } from '../log.ts'
import { readRedisPage } from '../wallet/ledger.ts'
import { unpackInfo } from '../wallet/packed-info.ts'
import type { ScriptCaller } from '../wallet/script-caller.ts'
import {
  accountDirectory,
  BooksDamaged,
  type BooksEnd,
  type OpenFile,
  openEnd,
  readEntries,
  setAside,
  syncFiles,
  writeEntries,
} from './account-files.ts'
import { type Acknowledged, readAcknowledged } from './books-heads.ts'
import type { BooksRedis, BooksTarget } from './books-target.ts'

export interface ExporterOptions {
  readonly target: BooksTarget
  readonly redis: BooksRedis
  readonly scripts: ScriptCaller
  /** All that there are: those of the files, and those that have a wallet. */
  readonly accounts: () => Promise<Iterable<string>>
  readonly log: Log
  readonly everyMs?: number
  readonly nowMs?: () => number
  readonly openFile?: OpenFile
}

export interface Round {
  readonly exported: number
  readonly failed: number
}

const EVERY_MS = 10_000
const HEADS_AT_ONCE = 50
const FILES_AT_ONCE = 4
const PAGE = 1000
// Of one account in one visit: others are waiting.
const PAGES_A_VISIT = 50
const ENDS_KEPT = 20_000

interface Head {
  readonly account: string
  readonly seq: number
  readonly acknowledged: Acknowledged
}

export class Exporter {
  readonly #options: ExporterOptions
  readonly #nowMs: () => number
  /** Where the books of accounts end that were written lately. */
  readonly #ends = new Map<string, BooksEnd>()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<Round> | undefined
  #stopped = false
  #said = ''

  constructor(options: ExporterOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
  }

  start(): void {
    const next = async (): Promise<void> => {
      const startedMs = performance.now()
      await this.round()
      if (this.#stopped) return
      // Looking for what is new takes at most a fifth of the time, however many accounts there are.
      const pauseMs = Math.max(this.#options.everyMs ?? EVERY_MS, 4 * (performance.now() - startedMs))
      this.#timer = setTimeout(() => void next(), pauseMs).unref()
    }
    void next()
  }

  /** Waits for the round that is under way to come to a good place. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
    await this.#options.target.release().catch(() => {})
  }

  /** One round at a time; never rejects. */
  round(): Promise<Round> {
    this.#running ??= this.#guardedRound().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #guardedRound(): Promise<Round> {
    try {
      return await this.#round()
    } catch (error) {
      if (!(error instanceof WalletUnavailable)) this.#say(error, 'the ledger export stopped')
      return { exported: 0, failed: 1 }
    }
  }

  async #round(): Promise<Round> {
    const { target, accounts } = this.#options
    const startedMs = this.#nowMs()
    const taken = await target.take()
    if (taken === 'other') this.#say(new Error(otherBooks(target)), 'this gateway does not export the ledger')
    if (taken !== 'ours') return { exported: 0, failed: 0 }
    const round = { exported: 0, failed: 0 }
    let batch: string[] = []
    const visit = async (): Promise<boolean> => {
      const visited = batch
      batch = []
      if (this.#stopped || !(await target.renew(this.#nowMs()))) return false
      await this.#visit(visited, round)
      return true
    }
    for (const account of await accounts()) {
      if (batch.push(account) >= HEADS_AT_ONCE && !(await visit())) return round
    }
    if (!(await visit())) return round
    if (round.failed === 0) {
      await target.clean(startedMs)
      this.#said = ''
    }
    return round
  }

  async #visit(accounts: readonly string[], round: { exported: number; failed: number }): Promise<void> {
    // All asked for in one turn, and each waited for by itself: an account whose keys are broken stops no other.
    const left = accounts.map((account) => ({ account, head: this.#head(account) }))
    for (const { head } of left) head.catch(() => {})
    const work = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const { account } = next
        try {
          const head = await next.head
          const written = head.seq === head.acknowledged.seq ? 0 : await this.#export(head)
          round.exported += written
        } catch (error) {
          if (error instanceof WalletUnavailable) throw error
          round.failed++
          this.#ends.delete(account)
          this.#say(error, `the ledger of ${account} could not be exported`)
        }
      }
    }
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, work))
  }

  /** Once for each cause, until all goes well again: a full disk fails for every account, in each round. */
  #say(error: unknown, message: string): void {
    const cause = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    if (cause === this.#said) return
    this.#said = cause
    this.#options.log.error({ error }, message)
  }

  async #head(account: string): Promise<Head> {
    const { redis, scripts, target } = this.#options
    const keys = scripts.keysOf(account)
    const id = await target.id()
    const [record, acknowledged] = await Promise.all([
      redis.call('HGET', keys.account, 'account'),
      redis.call('HGET', keys.exported, id),
    ])
    const seq = /^\d+\|(\d+)\|/.exec(typeof record === 'string' ? record : '')?.[1]
    return { account, seq: Number(seq ?? 0), acknowledged: readAcknowledged(acknowledged) }
  }

  /** How many entries were written. */
  async #export(head: Head): Promise<number> {
    const { target, scripts, redis, openFile } = this.#options
    const { account, acknowledged } = head
    const directory = accountDirectory(target.path, account)
    let end = await this.#openEnd(head, directory)
    let written = 0
    for (let pages = 0; pages < PAGES_A_VISIT && !this.#stopped; pages++) {
      // Where files were lost (an older copy of them came back), they are written again up to what was acknowledged.
      const count = end.seq < acknowledged.seq ? Math.min(PAGE, acknowledged.seq - end.seq) : PAGE
      const page = await readRedisPage(scripts, account, end.seq + 1, count)
      if (page.firstSeq === undefined && end.seq === acknowledged.seq) break
      if (page.firstSeq !== undefined && page.firstSeq !== end.seq + 1) {
        throw new BooksDamaged(
          `${directory}: the books end with entry ${end.seq}, and Redis has no more than from ${page.firstSeq} on: bring back the files up to ${page.firstSeq - 1}`,
        )
      }
      end = await writeEntries(directory, account, end, page.entries, openFile)
      if (end.seq === acknowledged.seq && end.hash !== acknowledged.hash)
        throw new BooksDamaged(`${directory}: entry ${end.seq} is not the one that was exported`)
      if (written === 0 || page.entries.length > 0)
        await redis.call('HSET', scripts.keysOf(account).exported, await target.id(), `${end.seq} ${end.hash}`)
      written += page.entries.length
      if (page.entries.length < count) break
      await sleep(0)
    }
    this.#keepEnd(account, end)
    return written
  }

  #keepEnd(account: string, end: BooksEnd): void {
    this.#ends.delete(account)
    this.#ends.set(account, end)
    const [oldest] = this.#ends.keys()
    if (this.#ends.size > ENDS_KEPT && oldest !== undefined) this.#ends.delete(oldest)
  }

  /** Where the books go on: the files say it. What Redis acknowledged must be in them as it was. */
  async #openEnd({ account, seq, acknowledged }: Head, directory: string): Promise<BooksEnd> {
    const known = this.#ends.get(account)
    if (known?.seq === acknowledged.seq && known.hash === acknowledged.hash && seq > known.seq) return known
    const end = await openEnd(directory, account, acknowledged.seq)
    if (acknowledged.seq > 0 && end.seq >= acknowledged.seq) {
      const [line] = await readEntries(directory, account, acknowledged.seq, acknowledged.seq + 1, 1)
      if (line?.hash !== acknowledged.hash) {
        throw new BooksDamaged(`${directory}: entry ${acknowledged.seq} is not the one that was exported`)
      }
    }
    if (end.seq <= acknowledged.seq) return end
    await syncFiles(directory, acknowledged.seq + 1)
    const common = await this.#lastCommon(account, directory, acknowledged.seq, end.seq)
    if (common === end.seq) return end
    const aside = await setAside(directory, common)
    this.#options.log.error(
      { account, after: common, upTo: end.seq, aside },
      'Redis has lost entries that were exported (a failover); they are set aside, and the export goes on with what Redis has',
    )
    return openEnd(directory, account, acknowledged.seq)
  }

  /** The last entry up to which the books have what Redis has. */
  async #lastCommon(account: string, directory: string, fromSeq: number, endSeq: number): Promise<number> {
    let common = fromSeq
    while (common < endSeq) {
      const page = await readRedisPage(this.#options.scripts, account, common + 1, PAGE)
      if (page.firstSeq === undefined) return common
      // What was trimmed had been acknowledged, whatever became of the acknowledgement.
      common = Math.max(common, page.firstSeq - 1)
      const lines = await readEntries(directory, account, common + 1, endSeq + 1, page.entries.length)
      const same = lines.findIndex(
        (line, i) => line.packed !== page.entries[i]?.packed || unpackInfo(line.info) !== page.entries[i]?.info,
      )
      if (same >= 0) return common + same
      if (lines.length === 0) return common
      common += lines.length
    }
    return common
  }
}

function otherBooks({ name, path }: BooksTarget): string {
  return `the books of this deployment are in another directory than ${path}: take export out of this gateway's config, or share the directory; where that one is lost, delete the key tg:books:${name}`
}
