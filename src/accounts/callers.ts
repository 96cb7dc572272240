/**
 * Who calls, as one process of the gateway knows it: keys of the files by a look into a map, those of Redis from memory
 * for five seconds, else by one read. A change is told by a message and counts at once; without messages (the
 * connection that hears them is lost) nothing is remembered for longer than a second.
 */
import type { Account, Snapshot, VirtualKey } from '../config/snapshot.ts'
import { NAME } from '../core/name-or-hash.ts'
import type { AccountStore } from './account-store.ts'
import { ABSENT, LookupBound, RecordCache } from './record-cache.ts'
import { type AccountRecord, type KeyRecord, readAccount, readKey } from './records.ts'
import { type Resolved, resolveAccount, resolveKey } from './resolve.ts'

const KEPT_MS = 5_000
const KEPT_UNHEARD_MS = 1_000
const KEYS_MAX = 20_000
const ACCOUNTS_MAX = 20_000
const ABSENT_MAX = 20_000
const LOOKUPS_MAX = 256

/** Keys that we make: any other that no file has is none, without asking. */
export const MADE_KEY = /^tgk_[A-Za-z0-9_-]{43}$/

export type CallerProblem =
  | 'unknown'
  | 'expired'
  | 'no_account'
  | 'closed'
  /** What stands in Redis cannot be read. */
  | 'unreadable'
  /** Too many are being looked for. */
  | 'busy'

export type Found<T> = Resolved<T> | { readonly value?: undefined; readonly problem: CallerProblem }

/** A record with what it comes to under the config that it was last asked for under. */
interface Kept<Record, Value> {
  readonly record: Record | undefined
  readonly text: string
  /** Of that config: the whole of it would stay in memory for as long as nobody asks for this. */
  plans: Snapshot['plans'] | undefined
  account: Account | undefined
  resolved: Resolved<Value> | undefined
}
type KeptKey = Kept<KeyRecord, VirtualKey>
type KeptAccount = Kept<AccountRecord, Account>

export interface CallersOptions {
  readonly store: Pick<AccountStore, 'findKey' | 'accountText'>
  /** Whether messages of changes are heard at this moment. */
  readonly heard: () => boolean
  readonly nowMs?: () => number
}

export class Callers {
  readonly #nowMs: () => number
  readonly #keys: RecordCache<KeptKey>
  readonly #accounts: RecordCache<KeptAccount>
  /** Rises with every message about an account. */
  #accountChanges = 0

  constructor({ store, heard, nowMs = Date.now }: CallersOptions) {
    this.#nowMs = nowMs
    const keptMs = (): number => (heard() ? KEPT_MS : KEPT_UNHEARD_MS)
    const common = { absentMax: ABSENT_MAX, bound: new LookupBound(LOOKUPS_MAX), keptMs, nowMs }
    this.#keys = new RecordCache<KeptKey>({
      ...common,
      sizeMax: KEYS_MAX,
      read: async (sha256, before) => {
        const changes = this.#accountChanges
        const found = await store.findKey(sha256)
        if (found === undefined) return undefined
        const kept = keep(found.key, before, readKey)
        const account = found.key.slice(0, found.key.indexOf(' '))
        if (changes === this.#accountChanges) this.#takeAccount(account, found.account)
        return kept
      },
    })
    this.#accounts = new RecordCache<KeptAccount>({
      ...common,
      sizeMax: ACCOUNTS_MAX,
      read: async (id, before) => {
        const text = await store.accountText(id)
        return text === undefined ? undefined : keep(text, before, readAccount)
      },
    })
  }

  /** A key that no file has. Throws WalletUnavailable. */
  findKey(sha256: string, snapshot: Snapshot): Found<VirtualKey> | Promise<Found<VirtualKey>> {
    const kept = this.#keys.get(sha256)
    if (kept === ABSENT) return { problem: 'unknown' }
    if (kept === undefined) return this.#lookForKey(sha256, snapshot)
    const account = this.findAccount(accountOf(kept), snapshot)
    if (account instanceof Promise) return account.then((found) => this.#keyOf(sha256, kept, found, snapshot))
    return this.#keyOf(sha256, kept, account, snapshot)
  }

  /** Of the files, or of Redis. Throws WalletUnavailable. */
  findAccount(id: string, snapshot: Snapshot): Found<Account> | Promise<Found<Account>> {
    const ofFiles = snapshot.accounts.get(id)
    if (ofFiles) return { value: ofFiles }
    const kept = this.#accounts.get(id)
    // What is no name is nobody's; remembering it would cost as much as a caller can send.
    if (kept === ABSENT || (kept === undefined && !NAME.test(id))) return { problem: 'no_account' }
    return kept === undefined ? this.#lookForAccount(id, snapshot) : accountUnder(snapshot, id, kept)
  }

  /** Somebody changed it. */
  drop(kind: 'account' | 'key', id: string): void {
    if (kind === 'key') {
      this.#keys.drop(id)
    } else {
      this.#accountChanges++
      this.#accounts.drop(id)
    }
  }

  /** Messages may have been lost. */
  dropAll(): void {
    this.#accountChanges++
    this.#keys.clear()
    this.#accounts.clear()
  }

  async #lookForKey(sha256: string, snapshot: Snapshot): Promise<Found<VirtualKey>> {
    const look = this.#keys.look(sha256)
    if (look === undefined) return { problem: 'busy' }
    const kept = await look
    if (kept === undefined) return { problem: 'unknown' }
    return this.#keyOf(sha256, kept, await this.findAccount(accountOf(kept), snapshot), snapshot)
  }

  async #lookForAccount(id: string, snapshot: Snapshot): Promise<Found<Account>> {
    const look = this.#accounts.look(id)
    if (look === undefined) return { problem: 'busy' }
    const kept = await look
    return kept === undefined ? { problem: 'no_account' } : accountUnder(snapshot, id, kept)
  }

  #keyOf(sha256: string, kept: KeptKey, account: Found<Account>, snapshot: Snapshot): Found<VirtualKey> {
    const { record } = kept
    if (record === undefined) return { problem: 'unreadable' }
    if (record.expiresAtMs !== undefined && this.#nowMs() >= record.expiresAtMs) return { problem: 'expired' }
    if (account.value === undefined) return account
    if (kept.resolved === undefined || kept.plans !== snapshot.plans || kept.account !== account.value) {
      kept.resolved = resolveKey(snapshot, sha256, record, account.value)
      kept.plans = snapshot.plans
      kept.account = account.value
    }
    return kept.resolved
  }

  /** Came with its key, so that a caller that nobody remembers costs one round trip. */
  #takeAccount(id: string, text: string | undefined): void {
    this.#accounts.put(id, text === undefined ? undefined : keep(text, this.#accounts.last(id), readAccount))
  }
}

function accountOf({ text }: KeptKey): string {
  return text.slice(0, text.indexOf(' '))
}

function keep<Record, Value>(
  text: string,
  before: Kept<Record, Value> | undefined,
  read: (text: string) => Record | undefined,
): Kept<Record, Value> {
  if (before?.text === text) return before
  return { record: read(text), text, plans: undefined, account: undefined, resolved: undefined }
}

function accountUnder(snapshot: Snapshot, id: string, kept: KeptAccount): Found<Account> {
  const { record } = kept
  if (record === undefined) return { problem: 'unreadable' }
  if (record.closedAtMs !== undefined) return { problem: 'closed' }
  if (kept.resolved === undefined || kept.plans !== snapshot.plans) {
    kept.resolved = resolveAccount(snapshot, id, record)
    kept.plans = snapshot.plans
  }
  return kept.resolved
}
