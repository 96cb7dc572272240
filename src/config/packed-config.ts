/**
 * A snapshot on its way out of the parsing thread: plain rows in portions, so that taking over 60,000 accounts never
 * holds up the event loop. Shared plans stay shared.
 */
import type { PriceBook } from '../core/price-book.ts'
import { loadCatalog } from './load-catalog.ts'
import type { ParsedConfig } from './parse-config.ts'
import type { Problem } from './problem.ts'
import type { Account, Plan, Settings, Snapshot, VirtualKey } from './snapshot.ts'

type Labels = Readonly<Record<string, string>>
type AccountRow = readonly [id: string, plan: number, labels: Labels, overrides: Account['overrides']]
type KeyRow = readonly [
  sha256: string,
  id: string,
  account: string,
  plan: number,
  labels: Labels,
  own: VirtualKey['own'],
  actsFor: VirtualKey['actsFor'],
]
type PackedSettings = Omit<Settings, 'upstreams'> & {
  readonly upstreams: readonly (Omit<Settings['upstreams'][number], 'baseUrl'> & { readonly baseUrl: string })[]
}

export type Portion =
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] }
  | {
      readonly kind: 'head'
      readonly version: string
      readonly generation: number
      readonly loadedAtMs: number
      readonly settings: PackedSettings
      /** Names in `plans`, and where each stands in the plan rows. */
      readonly planNames: readonly (readonly [string, number])[]
      readonly planFields: Snapshot['planFields']
      readonly defaultPlan: number | undefined
      readonly warnings: readonly string[]
      readonly budgets: Snapshot['budgets']
      readonly rates: Snapshot['rates']
      readonly webhooks: Snapshot['webhooks']
      readonly prices: Omit<PriceBook, 'entries' | 'catalog'>
      /** Upstream → provider of the catalog, which every process loads for itself; undefined: the book has none. */
      readonly catalog: readonly (readonly [string, string])[] | undefined
    }
  | { readonly kind: 'plans'; readonly rows: readonly Plan[] }
  | { readonly kind: 'accounts'; readonly rows: readonly AccountRow[] }
  | { readonly kind: 'keys'; readonly rows: readonly KeyRow[] }
  | { readonly kind: 'prices'; readonly rows: PriceBook['entries'] }
  | { readonly kind: 'end' }

/** Taking over this many rows is a few milliseconds. */
const ROWS = 1000

export function* packConfig(parsed: ParsedConfig): Generator<Portion> {
  if (!parsed.snapshot) {
    yield { kind: 'problems', problems: parsed.problems }
    return
  }
  const { plans, defaultPlan, accounts, keys, priceBook, settings, ...head } = parsed.snapshot
  const numbers = new Map<Plan, number>()
  const numberOf = (plan: Plan): number => {
    const number = numbers.get(plan) ?? numbers.size
    numbers.set(plan, number)
    return number
  }
  const planNames = [...plans].map(([name, plan]) => [name, numberOf(plan)] as const)
  const accountRows = [...accounts.values()].map((a): AccountRow => [a.id, numberOf(a.plan), a.labels, a.overrides])
  const keyRow = (k: VirtualKey): KeyRow => [
    ...([k.sha256, k.id, k.account.id, numberOf(k.plan)] as const),
    ...([k.labels, k.own, k.actsFor] as const),
  ]
  const keyRows = [...keys.values()].map(keyRow)
  const { entries, catalog, ...prices } = priceBook
  const upstreams = settings.upstreams.map((upstream) => ({ ...upstream, baseUrl: upstream.baseUrl.href }))
  const providers = catalog && [...catalog.providers]
  const ofTokens = defaultPlan && numberOf(defaultPlan)
  yield {
    kind: 'head',
    ...head,
    defaultPlan: ofTokens,
    settings: { ...settings, upstreams },
    planNames,
    prices,
    catalog: providers,
  }
  for (const rows of portions([...numbers.keys()])) yield { kind: 'plans', rows }
  for (const rows of portions(accountRows)) yield { kind: 'accounts', rows }
  for (const rows of portions(keyRows)) yield { kind: 'keys', rows }
  for (const rows of portions(entries)) yield { kind: 'prices', rows }
  yield { kind: 'end' }
}

function* portions<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < rows.length; i += ROWS) yield rows.slice(i, i + ROWS)
}

/** Puts portions together again; `add` answers the config with the last one. */
export class ConfigUnpacker {
  private head: Extract<Portion, { kind: 'head' }> | undefined
  private readonly plans: Plan[] = []
  private readonly accounts = new Map<string, Account>()
  private readonly keys = new Map<string, VirtualKey>()
  private readonly entries: PriceBook['entries'][number][] = []

  add(portion: Portion): ParsedConfig | undefined {
    switch (portion.kind) {
      case 'problems':
        return { problems: portion.problems }
      case 'head':
        this.head = portion
        return undefined
      case 'plans':
        for (const plan of portion.rows) this.plans.push(Object.freeze(plan))
        return undefined
      case 'accounts':
        for (const [id, plan, labels, overrides] of portion.rows) {
          this.accounts.set(id, Object.freeze({ id, plan: this.plan(plan), labels, overrides }))
        }
        return undefined
      case 'keys':
        for (const row of portion.rows) this.addKey(row)
        return undefined
      case 'prices':
        for (const entry of portion.rows) this.entries.push(Object.freeze(entry))
        return undefined
      case 'end':
        return { snapshot: this.finish() }
    }
  }

  private addKey([sha256, id, accountId, plan, labels, own, actsFor]: KeyRow): void {
    const account = this.accounts.get(accountId)
    if (!account) throw new Error(`key ${id} came before its account`)
    this.keys.set(sha256, Object.freeze({ id, sha256, account, labels, plan: this.plan(plan), own, actsFor }))
  }

  private plan(number: number): Plan {
    const plan = this.plans[number]
    if (!plan) throw new Error(`plan ${number} is not among those that came`)
    return plan
  }

  private finish(): Snapshot {
    if (!this.head) throw new Error('the end came before the head')
    const { kind: _, settings, planNames, defaultPlan, prices, catalog, ...head } = this.head
    const upstreams = settings.upstreams.map((upstream) =>
      Object.freeze({ ...upstream, baseUrl: new URL(upstream.baseUrl) }),
    )
    return Object.freeze({
      ...head,
      settings: Object.freeze({ ...settings, upstreams }),
      plans: new Map(planNames.map(([name, number]) => [name, this.plan(number)])),
      defaultPlan: defaultPlan === undefined ? undefined : this.plan(defaultPlan),
      accounts: this.accounts,
      keys: this.keys,
      priceBook: Object.freeze({
        ...prices,
        entries: this.entries,
        ...(catalog && { catalog: { data: loadCatalog(), providers: new Map(catalog) } }),
      }),
    })
  }
}
