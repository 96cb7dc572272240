/**
 * All accounts, of the files and of Redis, for whoever looks at them beside the calls: the admin API, the sweep, gauges,
 * allowances. Where both have an id the files' counts. Nothing here holds more than a page of those in Redis.
 */
import type { Account, Plan, Snapshot } from '../config/snapshot.ts'
import type { AccountStore, Listed } from './account-store.ts'
import { type AccountRecord, readAccount } from './records.ts'
import { type PlanProblem, resolveAccount } from './resolve.ts'

export interface KnownAccount {
  readonly id: string
  readonly source: 'files' | 'redis'
  /** Its plan's name; undefined: its record cannot be read. */
  readonly planName: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly overrides: object
  readonly closed: boolean
  /** Undefined where there is a problem. A closed one has its plan all the same: its wallet is in the plan's unit. */
  readonly plan: Plan | undefined
  /** `shadowed`: Redis has the id too, and the files count. */
  readonly problem: PlanProblem | 'unreadable' | 'shadowed' | undefined
  /** Of one in Redis. */
  readonly record?: AccountRecord | undefined
}

export interface AccountPage {
  readonly items: readonly KnownAccount[]
  /** Whether there are more. */
  readonly more: boolean
}

export interface AccountDirectoryOptions {
  readonly snapshot: () => Snapshot
  readonly store: Pick<AccountStore, 'accountText' | 'accountsAfter' | 'everyAccount'>
}

/** Everything throws WalletUnavailable where Redis has to be asked. */
export class AccountDirectory {
  readonly #options: AccountDirectoryOptions

  constructor(options: AccountDirectoryOptions) {
    this.#options = options
  }

  /** Undefined: neither the files nor Redis have it. */
  async find(id: string): Promise<KnownAccount | undefined> {
    const { store, snapshot } = this.#options
    const ofFiles = snapshot().accounts.get(id)
    if (ofFiles) return fromFiles(ofFiles, false)
    const text = await store.accountText(id)
    return text === undefined ? undefined : fromRedis(snapshot(), { id, record: readAccount(text) })
  }

  /** As `find`, and says of one of the files whether Redis has it too. */
  async look(id: string): Promise<KnownAccount | undefined> {
    const { store, snapshot } = this.#options
    const ofFiles = snapshot().accounts.get(id)
    return ofFiles ? fromFiles(ofFiles, (await store.accountText(id)) !== undefined) : this.find(id)
  }

  /** In the order of their ids; as fast at the end as at the beginning. */
  async page(after: string | undefined, limit: number): Promise<AccountPage> {
    const { store, snapshot } = this.#options
    const config = snapshot()
    const inRedis = await store.accountsAfter(after, limit + 1)
    const ids = idsAfter(config, after, limit + 1)
    const items: KnownAccount[] = []
    let [f, r] = [0, 0]
    while (items.length <= limit) {
      const ofFiles = ids[f]
      const listed = inRedis[r]
      if (ofFiles === undefined && listed === undefined) break
      if (listed !== undefined && (ofFiles === undefined || listed.id < ofFiles)) {
        items.push(fromRedis(config, listed))
        r++
        continue
      }
      const both = listed?.id === ofFiles
      items.push(fromFiles(config.accounts.get(ofFiles as string) as Account, both))
      f++
      if (both) r++
    }
    return { items: items.slice(0, limit), more: items.length > limit }
  }

  /** Every account of the files, then every one of Redis. */
  async *pages(): AsyncGenerator<readonly KnownAccount[]> {
    yield [...this.#options.snapshot().accounts.values()].map((account) => fromFiles(account, false))
    yield* this.inRedis()
  }

  /** Those that the files do not have, in no order, in pages of some hundreds. */
  async *inRedis(): AsyncGenerator<readonly KnownAccount[]> {
    const { store, snapshot } = this.#options
    for await (const page of store.everyAccount()) {
      const config = snapshot()
      yield page.filter(({ id }) => !config.accounts.has(id)).map((listed) => fromRedis(config, listed))
    }
  }
}

function fromFiles({ id, plan, labels, overrides = {} }: Account, shadows: boolean): KnownAccount {
  const problem = shadows ? 'shadowed' : undefined
  return { id, source: 'files', planName: plan.name, labels, overrides, closed: false, plan, problem }
}

function fromRedis(config: Snapshot, { id, record }: Listed<AccountRecord>): KnownAccount {
  if (record === undefined) {
    const nothing = { planName: undefined, labels: {}, overrides: {}, closed: false, plan: undefined }
    return { id, source: 'redis', ...nothing, problem: 'unreadable' }
  }
  const { value, problem } = resolveAccount(config, id, record)
  return {
    id,
    source: 'redis',
    planName: record.plan,
    labels: record.labels,
    overrides: record.givenOverrides,
    closed: record.closedAtMs !== undefined,
    plan: value?.plan,
    problem,
    record,
  }
}

/** Sorted once for each config. */
const sorted = new WeakMap<Snapshot, readonly string[]>()

function idsAfter(config: Snapshot, after: string | undefined, limit: number): readonly string[] {
  let ids = sorted.get(config)
  if (ids === undefined) {
    ids = [...config.accounts.keys()].sort()
    sorted.set(config, ids)
  }
  const start = after === undefined ? 0 : firstAbove(ids, after)
  return ids.slice(start, start + limit)
}

function firstAbove(ids: readonly string[], after: string): number {
  let [low, high] = [0, ids.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ids[middle] as string) <= after) low = middle + 1
    else high = middle
  }
  return low
}
