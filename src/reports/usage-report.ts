/** Usage in groups: tokens, calls, what was charged and from where, what it cost, what was refunded. Sums are exact. */
import { exactOf, exactOfAtoms } from '../core/decimal-sum.ts'
import type { LedgerEntry } from '../wallet/wallet-types.ts'
import { type CallFacts, type Dimension, dimensionValue } from './dimensions.ts'

/** Where the money of a charge came from: grants by their funding, and what none covered by where it is owed. */
const SOURCES = ['promotional', 'invoiced', 'external', 'debt', 'overflow', 'flagged', 'postpaid'] as const
type Source = (typeof SOURCES)[number]

/** Amounts in parts of 10^-24 of a unit. */
export interface UsageGroup {
  /** In the order of the dimensions; null: no such value. */
  readonly values: readonly (string | null)[]
  readonly unit: string
  calls: number
  /** Charged by an estimate. */
  estimates: number
  /** Charged by their deadline. */
  timeouts: number
  /** Said later, after a timeout, what they came to. */
  lateSettles: number
  /** Charges that do not say what they cost us. */
  withoutCost: number
  readonly tokens: Map<string, number>
  readonly units: Map<string, bigint>
  promotional: bigint
  paid: bigint
  overage: bigint
  refunded: bigint
  /** By the unit of the cost. */
  readonly cost: Map<string, bigint>
}

export function chargedOf({ promotional, paid, overage }: UsageGroup): bigint {
  return promotional + paid + overage
}

/** What is left of what was charged, less the cost; undefined where the cost is not known, or in another unit. */
export function marginOf(group: UsageGroup): bigint | undefined {
  const units = [...group.cost.keys()]
  if (units.some((unit) => unit !== group.unit)) return undefined
  if (units.length === 0 && group.withoutCost > 0) return undefined
  return chargedOf(group) - group.refunded - (group.cost.get(group.unit) ?? 0n)
}

export class TooManyGroups extends Error {
  constructor(most: number) {
    super(`comes to more than ${most} groups; name fewer dimensions, one account, or a shorter time`)
    this.name = 'TooManyGroups'
  }
}

export interface UsageOptions {
  readonly by: readonly Dimension[]
  /** Inclusive and exclusive. */
  readonly sinceMs: number
  readonly untilMs: number
  /** Of day and month. */
  readonly timezone: string
  readonly groupsMax: number
}

interface Part {
  readonly source: Source
  readonly amount: bigint
}

/**
 * Takes ledger entries of any number of accounts. A charge (settle, timeout, late settle) counts when it is dated, a late
 * settle with what it changed; a refund counts when it was made, in the group of the charge that it gives back.
 */
export class UsageReport {
  readonly #options: UsageOptions
  readonly #groups = new Map<string, UsageGroup>()
  readonly #totals = new Map<string, UsageGroup>()

  constructor(options: UsageOptions) {
    this.#options = options
  }

  /** `facts`: of the call; of a refund, of the call that was charged. `fundingOf` a grant's id. Throws TooManyGroups. */
  add(entry: LedgerEntry, facts: CallFacts, fundingOf: (grant: string) => Source): void {
    if (entry.atMs < this.#options.sinceMs || entry.atMs >= this.#options.untilMs) return
    const parts = partsOf(entry, fundingOf)
    const isRefund = entry.type === 'refund'
    if (!isRefund && !isCharge(entry)) {
      if (parts.length > 0) throw new Error(`ledger: ${entry.seq} (${entry.type}) charges, which no usage shows`)
      return
    }
    for (const part of parts)
      for (const group of this.#groupsOf(entry, facts, part.source)) (isRefund ? addRefund : addCharge)(group, part)
    if (isRefund) return
    // A call stands once: with the first that paid for it.
    const source = parts.find(({ amount }) => amount > 0n)?.source ?? 'promotional'
    for (const group of this.#groupsOf(entry, facts, source)) addCall(group, entry)
  }

  #groupsOf(entry: LedgerEntry, facts: CallFacts, source: Source): readonly UsageGroup[] {
    const { by, timezone, groupsMax } = this.#options
    const total = this.#totals.get(entry.unit) ?? emptyGroup([], entry.unit)
    this.#totals.set(entry.unit, total)
    if (by.length === 0) return [total]
    const values = by.map((dimension) => dimensionValue(dimension, facts, entry.atMs, timezone, source))
    const key = JSON.stringify([entry.unit, ...values])
    const group = this.#groups.get(key) ?? emptyGroup(values, entry.unit)
    this.#groups.set(key, group)
    if (this.#groups.size > groupsMax) throw new TooManyGroups(groupsMax)
    return [total, group]
  }

  /** Sorted by their values; without dimensions the totals. */
  groups(): readonly UsageGroup[] {
    return this.#options.by.length === 0 ? this.totals() : [...this.#groups.values()].sort(byValues)
  }

  /** One for each unit. */
  totals(): readonly UsageGroup[] {
    return [...this.#totals.values()].sort(byValues)
  }
}

function emptyGroup(values: readonly (string | null)[], unit: string): UsageGroup {
  const counts = { calls: 0, estimates: 0, timeouts: 0, lateSettles: 0, withoutCost: 0 }
  const amounts = { promotional: 0n, paid: 0n, overage: 0n, refunded: 0n }
  return { values, unit, ...counts, ...amounts, tokens: new Map(), units: new Map(), cost: new Map() }
}

export function isCharge({ type }: LedgerEntry): boolean {
  return type === 'settle' || type === 'timeout' || type === 'late_settle'
}

/** What went to and came from `consumed`, and at which source; of a refund what came back is above zero. */
function partsOf(entry: LedgerEntry, fundingOf: (grant: string) => Source): readonly Part[] {
  const parts: Part[] = []
  const sign = entry.type === 'refund' ? -1n : 1n
  for (let i = 0; i + 1 < entry.legs.length; i += 2) {
    const [from, to] = [entry.legs[i], entry.legs[i + 1]]
    if (!from || !to) continue
    const amount = sign * exactOfAtoms(to.atoms, entry.scale)
    if (to.account === 'consumed') parts.push({ source: sourceOf(from.account, fundingOf), amount })
    else if (from.account === 'consumed') parts.push({ source: sourceOf(to.account, fundingOf), amount: -amount })
  }
  return parts
}

function sourceOf(account: string, fundingOf: (grant: string) => Source): Source {
  if (account.startsWith('grant:')) return fundingOf(account.slice('grant:'.length))
  const name = account.startsWith('overflow:') ? 'overflow' : account.replace(/^fund:/, '')
  const source = SOURCES.find((known) => known === name)
  if (!source) throw new Error(`ledger: a charge from ${account}, which no usage shows`)
  return source
}

function addCharge(group: UsageGroup, { source, amount }: Part): void {
  if (source === 'promotional') group.promotional += amount
  else if (source === 'invoiced' || source === 'external') group.paid += amount
  else group.overage += amount
}

function addRefund(group: UsageGroup, { amount }: Part): void {
  group.refunded += amount
}

interface CallFields {
  readonly tokens?: Readonly<Record<string, number>>
  readonly units?: Readonly<Record<string, number>>
  readonly beside?: readonly { readonly tokens: Readonly<Record<string, number>> }[]
  readonly usage_source?: string
  readonly cost?: string
  readonly cost_unit?: string
}

function addCall(group: UsageGroup, entry: LedgerEntry): void {
  const { tokens = {}, units = {}, beside = [], usage_source, cost, cost_unit } = entry.fields as CallFields
  // A late one was counted as a call when it timed out; what an operator charged may have left nothing before.
  const isFirst = entry.type !== 'late_settle' || entry.fields['timed_out'] === false
  if (!isFirst) group.lateSettles += 1
  else group.calls += 1
  if (entry.type === 'timeout') group.timeouts += 1
  if (usage_source === 'estimate') group.estimates += 1
  for (const counts of [tokens, ...beside.map((other) => other.tokens)])
    for (const [kind, count] of Object.entries(counts)) group.tokens.set(kind, (group.tokens.get(kind) ?? 0) + count)
  for (const [kind, count] of Object.entries(units))
    group.units.set(kind, (group.units.get(kind) ?? 0n) + exactOf(count.toFixed(9)))
  if (cost !== undefined && cost_unit !== undefined)
    group.cost.set(cost_unit, (group.cost.get(cost_unit) ?? 0n) + exactOf(cost))
  else if (entry.type !== 'timeout') group.withoutCost += 1
}

function byValues(a: UsageGroup, b: UsageGroup): number {
  for (const [i, value] of [...a.values, a.unit].entries()) {
    const other = [...b.values, b.unit][i] ?? null
    if (value !== other) return value === null || (other !== null && value < other) ? -1 : 1
  }
  return 0
}
