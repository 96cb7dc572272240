/**
 * Sees to it that every account with an allowance has the grants of the running and of the next period: in the
 * background, well before a period begins, and before the first call of an account that was not looked at yet. The keys
 * of the grants make it idempotent: whichever process asks, and however often, there is one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Allowance, allowanceChanges, allowancePeriods, type WantedGrant } from '../core/allowance.ts'
import { newId } from '../core/ids.ts'
import { RecentMap } from '../core/recent-map.ts'
import type { Log } from '../log.ts'
import type { RedisClient } from '../redis/client.ts'
import { type AdminResult, type Grant, type Wallet, WalletUnavailable } from './wallet-types.ts'

/** A set: accounts that were given an allowance, so that one taken away while no gateway ran is noticed. */
export const ALLOWANCES_KEY = 'tg:allowances'

const TICK_MS = 10_000
/** Accounts looked at side by side, so that calls find their turn in Redis. */
const AT_ONCE = 8
const HOUR_MS = 3_600_000
/** After a refusal that an operator has to see to. */
const AGAIN_MS = 60_000
// Another process may change the same account meanwhile: what it left is read again.
const ROUNDS_MAX = 5
const NAMES_AT_ONCE = 500
/**
 * Accounts of which it is known what they have: some 60 MB where there are so many. Those that each round looks at stay
 * up to half of them; an issuer's tokens may name ever new accounts, and what is forgotten costs a look when it is due.
 */
const KNOWN_MAX = 500_000
/** Between two rounds over the other accounts, and between two pages of one: very many cost a hundredth of a core. */
const OTHERS_EVERY_MS = 60_000
const PAGE_PAUSE_MS = 50

export interface AllowanceKeeperOptions {
  readonly wallet: Pick<Wallet, 'grants' | 'grant' | 'voidGrant'>
  readonly redis: Pick<RedisClient, 'call'>
  /** Configured accounts; those that are not there, nor in `others`, are another gateway's to see to. */
  readonly accounts: () => ReadonlyMap<string, { readonly plan: { readonly allowance?: Allowance | undefined } }>
  /** Accounts that no file has. */
  readonly others?: OtherAccounts
  readonly log: Log
  readonly intervalMs?: number
  readonly nowMs?: () => number
  /** Accounts that are remembered, at most. */
  readonly knownMax?: number
}

/** Of a closed account the allowance is undefined: what runs ends, and none follows. Both throw WalletUnavailable. */
export interface OtherAccounts {
  /** Undefined: it is not there, or what its plan is cannot be told. */
  find(account: string): Promise<AccountAllowance | undefined>
  /** All, in pages. */
  pages(): AsyncIterable<readonly (AccountAllowance & { readonly id: string })[]>
}

interface AccountAllowance {
  readonly allowance: Allowance | undefined
}

interface Covered {
  readonly terms: string
  /** End of the last period that has its grant. */
  readonly untilMs: number
  /** When the one after it is made. */
  readonly dueMs: number
}

/** Of an account without an allowance that was never given one, or has none of it any more. */
const NOTHING: Covered = { terms: '', untilMs: Number.NEGATIVE_INFINITY, dueMs: Number.POSITIVE_INFINITY }

export class AllowanceKeeper {
  readonly #options: AllowanceKeeperOptions
  readonly #nowMs: () => number
  readonly #covered: RecentMap<Covered>
  readonly #running = new Map<string, Promise<void>>()
  #ticker: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined
  #othersRound: Promise<void> | undefined
  #othersAtMs = Number.NEGATIVE_INFINITY
  #again = false
  #stopped = false

  constructor(options: AllowanceKeeperOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    this.#covered = new RecentMap(options.knownMax ?? KNOWN_MAX)
  }

  /** In one process of a gateway; the others look after the accounts whose calls they get. */
  start(): void {
    const tick = (): void => {
      void this.tick()
      if (this.#nowMs() - this.#othersAtMs >= OTHERS_EVERY_MS) void this.tickOthers()
    }
    this.#ticker = setInterval(tick, this.#options.intervalMs ?? TICK_MS).unref()
    tick()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#ticker)
    await this.#round
    await this.#othersRound
  }

  /** Whether this process knows that the account has its grant of the running period. No await: every call asks. */
  covers(account: string, allowance: Allowance): boolean {
    const covered = this.#covered.get(account)
    return covered !== undefined && covered.terms === allowance.terms && this.#nowMs() < covered.untilMs
  }

  /** Makes what the account lacks; calls at the same time share the work. Never throws: Redis away, the hold will say so. */
  async ensure(account: string): Promise<void> {
    await this.#tried(account)
  }

  /** Another Redis answers: what was made is not known to be there. */
  forget(): void {
    this.#covered.clear()
  }

  /** One round over all accounts that are due; asked for meanwhile, another follows. */
  tick(): Promise<void> {
    if (this.#round) this.#again = true
    this.#round ??= this.#rounds().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  /** One round over the other accounts that are due, page by page. */
  tickOthers(): Promise<void> {
    this.#othersRound ??= this.#lookAtOthers()
      .catch((error: unknown) => this.#report(error))
      .finally(() => {
        this.#othersRound = undefined
        this.#othersAtMs = this.#nowMs()
      })
    return this.#othersRound
  }

  async #lookAtOthers(): Promise<void> {
    for await (const page of this.#options.others?.pages() ?? []) {
      if (this.#stopped) return
      if (!(await this.#seeAll(await this.#dueOf(page)))) return
      await sleep(PAGE_PAUSE_MS, undefined, { ref: false })
    }
  }

  #report(error: unknown): void {
    // The next round finds the same accounts due.
    if (!(error instanceof WalletUnavailable)) this.#options.log.error({ error }, 'looking after allowances failed')
  }

  async #rounds(): Promise<void> {
    do {
      this.#again = false
      try {
        await this.#look()
      } catch (error) {
        this.#report(error)
      }
    } while (this.#again && !this.#stopped)
  }

  async #look(): Promise<void> {
    await this.#seeAll(await this.#dueOf(this.#configured()))
  }

  *#configured(): Generator<AccountAllowance & { readonly id: string }> {
    for (const [id, { plan }] of this.#options.accounts()) yield { id, allowance: plan.allowance }
  }

  async #dueOf(accounts: Iterable<AccountAllowance & { readonly id: string }>): Promise<readonly string[]> {
    const nowMs = this.#nowMs()
    const due: string[] = []
    const unknown: string[] = []
    for (const { id, allowance } of accounts) {
      const covered = this.#covered.get(id)
      if (allowance) {
        if (covered === undefined || covered.terms !== allowance.terms || covered.dueMs <= nowMs) due.push(id)
      } else if (covered === undefined) unknown.push(id)
      else if (covered !== NOTHING) due.push(id)
    }
    // An allowance may have been taken away while no gateway ran.
    const listed = await this.#listedAmong(unknown)
    for (const id of unknown) {
      if (listed.has(id)) due.push(id)
      else if (this.#covered.get(id) === undefined) this.#covered.set(id, NOTHING)
    }
    return due
  }

  /** False where Redis is away. */
  async #seeAll(due: readonly string[]): Promise<boolean> {
    await this.#list(due)
    const waiting = due.values()
    let away = false
    const work = async (): Promise<void> => {
      for (const account of waiting) {
        if (this.#stopped || away) return
        away = !(await this.#tried(account))
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    return !away
  }

  async #allowanceOf(account: string): Promise<AccountAllowance | undefined> {
    const configured = this.#options.accounts().get(account)
    return configured ? { allowance: configured.plan.allowance } : this.#options.others?.find(account)
  }

  /** False where Redis is away. An account that fails for another reason is tried again later, and the others go on. */
  async #tried(account: string): Promise<boolean> {
    try {
      await this.#see(account)
    } catch (error) {
      if (error instanceof WalletUnavailable) return false
      const nowMs = this.#nowMs()
      const terms = (await this.#allowanceOf(account).catch(() => undefined))?.allowance?.terms ?? ''
      // Each of its calls comes by here.
      const known = this.#covered.get(account)
      if (known !== NOTHING && known?.terms === terms && nowMs < known.dueMs) return true
      this.#options.log.error({ error, account }, 'an allowance failed')
      this.#covered.set(account, { terms, untilMs: nowMs, dueMs: nowMs + AGAIN_MS })
    }
    return true
  }

  #see(account: string): Promise<void> {
    let running = this.#running.get(account)
    if (running === undefined) {
      running = this.#reconcile(account).finally(() => this.#running.delete(account))
      this.#running.set(account, running)
    }
    return running
  }

  async #reconcile(account: string): Promise<void> {
    const found = await this.#allowanceOf(account)
    if (!found) return
    const { allowance } = found
    const nowMs = this.#nowMs()
    const changed = new Set<string>()
    let refused: string | undefined
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const grants = await this.#options.wallet.grants(account)
      const changes = allowanceChanges(account, allowance, grants, nowMs, changed)
      if (changes.makes.length > 0) await this.#list([account])
      for (const grant of changes.voids) await this.#void(account, grant)
      let again = false
      for (const grant of changes.doubts) {
        if (!(await this.#wasOurs(account, grant))) continue
        changed.add(grant)
        again = true
      }
      refused = undefined
      for (const wanted of allowance ? changes.makes : []) {
        const { status } = await this.#make(account, allowance as Allowance, wanted)
        if (status === 'done') continue
        refused = status
        if (status === 'conflict' || status === 'expired') again = true
      }
      if (!again) break
    }
    if (refused !== undefined)
      this.#options.log.error({ account, status: refused }, 'an allowance cannot be granted; it is tried again')
    if (allowance) this.#remember(account, allowance, nowMs, refused === undefined)
    else await this.#forget(account)
  }

  #remember(account: string, allowance: Allowance, nowMs: number, done: boolean): void {
    const [current, next] = allowancePeriods(allowance, nowMs)
    // Not all accounts at the boundary: it is the time when their calls need Redis too.
    const spreadMs = Math.min(HOUR_MS, (next.endMs - next.startMs) / 2)
    const dueMs = done ? current.endMs + Math.random() * spreadMs : nowMs + AGAIN_MS
    this.#covered.set(account, { terms: allowance.terms, untilMs: next.endMs, dueMs })
  }

  async #forget(account: string): Promise<void> {
    await this.#options.redis.call('SREM', ALLOWANCES_KEY, account)
    this.#covered.set(account, NOTHING)
  }

  #make(account: string, allowance: Allowance, wanted: WantedGrant): Promise<AdminResult<Grant>> {
    const nowMs = this.#nowMs()
    return this.#options.wallet.grant({
      account,
      operationId: newId(nowMs),
      id: newId(nowMs),
      key: wanted.key,
      unit: allowance.unit,
      scale: allowance.scale,
      amountAtoms: wanted.amountAtoms,
      funding: allowance.funding,
      priority: wanted.priority,
      effectiveAtMs: wanted.effectiveAtMs,
      expiresAtMs: wanted.expiresAtMs,
      appliesTo: undefined,
      costBasis: undefined,
      repaysDebt: undefined,
      labels: wanted.labels,
      actor: 'allowance',
      ...(wanted.rollover === undefined ? {} : { rollover: wanted.rollover }),
    })
  }

  /** Once for each grant: sent again it is a replay, unless somebody else has voided the grant. */
  #void(account: string, grant: string): Promise<AdminResult<Grant>> {
    return this.#options.wallet.voidGrant({
      account,
      operationId: `allowance-change:${grant}`,
      grant,
      reason: 'change of the allowance',
      actor: 'allowance',
    })
  }

  /** Of a voided grant: whether a change of the plan voided it (in the last 35 days). What a person voids stays void. */
  async #wasOurs(account: string, grant: string): Promise<boolean> {
    return (await this.#void(account, grant)).status === 'done'
  }

  /** Those of them that were given an allowance. */
  async #listedAmong(accounts: readonly string[]): Promise<ReadonlySet<string>> {
    const listed = new Set<string>()
    for (let i = 0; i < accounts.length; i += NAMES_AT_ONCE) {
      const names = accounts.slice(i, i + NAMES_AT_ONCE)
      const reply = (await this.#options.redis.call('SMISMEMBER', ALLOWANCES_KEY, ...names)) as readonly unknown[]
      for (const [at, is] of reply.entries()) if (Number(is) === 1) listed.add(names[at] as string)
    }
    return listed
  }

  /** Before the first grant is made: one that nobody knows of could not be taken away. */
  async #list(accounts: readonly string[]): Promise<void> {
    for (let i = 0; i < accounts.length; i += NAMES_AT_ONCE)
      await this.#options.redis.call('SADD', ALLOWANCES_KEY, ...accounts.slice(i, i + NAMES_AT_ONCE))
  }
}
