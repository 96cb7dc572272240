/** What enforcement would have refused of the calls that observe let pass: by account, code and rule. */
import { exactOf } from '../core/decimal-sum.ts'
import type { LedgerEntry, Wallet } from '../wallet/wallet-types.ts'
import { ledgerBetween } from './ledger-scan.ts'
import { TooManyGroups } from './usage-report.ts'

/** Amounts in parts of 10^-24 of a unit. */
export interface ShadowGroup {
  readonly account: string
  readonly unit: string
  readonly code: string
  readonly rule: string | null
  calls: number
  /** What these calls were charged; of it what no grant covered. */
  charged: bigint
  flagged: bigint
}

interface ShadowOptions {
  readonly sinceMs: number
  readonly untilMs: number
  readonly groupsMax: number
}

interface ShadowFields {
  readonly would?: { readonly code?: string; readonly rule?: string | null } | string
  readonly charged?: string
  readonly overage?: { readonly mode: string; readonly amount: string } | null
}

/** Sorted by account, and what would have been refused most of first. Throws TooManyGroups. */
export async function readShadow(
  wallet: Pick<Wallet, 'ledgerPage'>,
  accounts: Iterable<string>,
  { sinceMs, untilMs, groupsMax }: ShadowOptions,
  signal?: AbortSignal,
): Promise<readonly ShadowGroup[]> {
  const groups = new Map<string, ShadowGroup>()
  for (const account of accounts) {
    for await (const entries of ledgerBetween(wallet, account, sinceMs, untilMs)) {
      signal?.throwIfAborted()
      for (const entry of entries)
        if (entry.atMs >= sinceMs && entry.atMs < untilMs) add(groups, groupsMax, account, entry)
    }
  }
  return [...groups.values()].sort((a, b) =>
    a.account === b.account ? b.calls - a.calls : a.account < b.account ? -1 : 1,
  )
}

function add(groups: Map<string, ShadowGroup>, groupsMax: number, account: string, entry: LedgerEntry): void {
  const { would, charged = '0', overage } = entry.fields as ShadowFields
  const isCharge = entry.type === 'settle' || entry.type === 'late_settle'
  if (!isCharge || typeof would !== 'object' || would === null || would.code === undefined) return
  const { code, rule = null } = would
  const key = JSON.stringify([account, entry.unit, code, rule])
  const group = groups.get(key) ?? { account, unit: entry.unit, code, rule, calls: 0, charged: 0n, flagged: 0n }
  groups.set(key, group)
  if (groups.size > groupsMax) throw new TooManyGroups(groupsMax)
  group.calls += 1
  group.charged += exactOf(charged)
  if (overage?.mode === 'flag') group.flagged += exactOf(overage.amount)
}
