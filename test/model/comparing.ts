/** What scripts and model are compared by: answers, what is kept of the account, and its ledger. */
import { deepStrictEqual } from 'node:assert'
import { exactOfAtoms } from '../../src/core/decimal-sum.ts'
import { formatAmount } from '../../src/core/money.ts'
import { type Dimension, parseDimensions } from '../../src/reports/dimensions.ts'
import { readUsage, type UsageWallet } from '../../src/reports/read-usage.ts'
import { chargedOf } from '../../src/reports/usage-report.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import { StatementBuilder } from '../../src/wallet/statement.ts'
import type { LedgerEntry, Refusal, Wallet } from '../../src/wallet/wallet-types.ts'
import { compareWritten, type Written } from './own-entries.ts'
import type { WalletModel } from './wallet-model.ts'

/** Throws AssertionError where the values differ, however deep. */
function same(is: unknown, expected: unknown): void {
  // deepStrictEqual is slow where nothing differs; it says what does.
  if (!isSame(is, expected)) deepStrictEqual(is, expected)
}

function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((value, index) => isSame(value, b[index]))
  }
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => key in b && isSame(a[key as keyof typeof a], b[key as keyof typeof b]))
  )
}

/** What the ledger alone remembers of a late settle has other figures: those of its entry. */
export function compareAnswers(answer: unknown, expected: unknown): void {
  if (typeof expected === 'object' && expected !== null && Object.keys(expected).length === 3 && 'seq' in expected) {
    const { status, replay, seq } = answer as { status: unknown; replay: unknown; seq: unknown }
    same({ status, replay, seq }, expected)
  } else same(answer, expected)
}

/** Balances, grants, holds and counters; changes nothing on either side. */
export async function compareReads(wallet: Wallet, model: WalletModel, nowMs: number): Promise<void> {
  const [balances, grants, holds, { counters }, waiting] = await Promise.all([
    wallet.balances(model.account),
    wallet.grants(model.account),
    wallet.holds(model.account),
    wallet.counters(model.account, '0', 10_000),
    wallet.unmatched(model.account, { afterSeq: 0, limit: 1000 }),
  ])
  same(
    waiting.map(({ entry: _, ...rest }) => rest),
    model.waiting,
  )
  const expected = model.read(nowMs)
  same(balances, expected.balances)
  same(grants, expected.grants)
  same(holds, expected.holds)
  same(
    [...counters].sort((a, b) => Number(a.id) - Number(b.id)),
    expected.counters,
  )
}

/**
 * What the metrics, operators and those who take events over read of the account; nothing may be due. `refused`: what the
 * history was refused.
 */
export async function compareLists(wallet: Wallet, model: WalletModel, refused: readonly Refusal[]): Promise<void> {
  const { account, pending, events } = model
  const afterSeq = model.seq >> 1
  const [counts, stops, refusals, waiting, entries, settles] = await Promise.all([
    wallet.counts(account),
    wallet.stops(account),
    wallet.refusals(account),
    wallet.pendingEvents(account, 5, pending[1] ?? model.seq),
    pagesAfter(wallet, account, afterSeq, undefined),
    pagesAfter(wallet, account, afterSeq, 'settle'),
  ])
  same(counts, {
    openHolds: model.openCalls.length,
    timeouts: model.timedOut,
    unmatched: model.waiting.length,
    eventsDropped: 0,
  })
  same(stops.map(({ kind, value }) => `${kind}:${encodeURIComponent(value)}`).sort(), model.stops)
  // Their times are Redis's own.
  same(
    refusals.map((refusal) => ({ ...refusal, atMs: 0 })),
    refused,
  )
  same(
    waiting.map(({ seq, entry }) => ({ seq, event: entry.op })),
    pending.slice(2, 7).map((seq) => ({ seq, event: events.find((event) => event.seq === seq)?.event })),
  )
  same(
    entries.map(({ seq }) => seq),
    Array.from({ length: model.seq - afterSeq }, (_, i) => afterSeq + 1 + i),
  )
  same(
    settles,
    entries.filter(({ type }) => type === 'settle'),
  )
}

/** To the end of the ledger, one page after the other. */
async function pagesAfter(
  wallet: Wallet,
  account: string,
  afterSeq: number,
  type: string | undefined,
): Promise<readonly LedgerEntry[]> {
  const found: LedgerEntry[] = []
  for (let from: number | undefined = afterSeq; from !== undefined; ) {
    const page = await wallet.ledgerPage(account, { afterSeq: from, limit: 40, type })
    found.push(...page.entries)
    from = page.lastSeq
  }
  return found
}

/** The account in Redis is what its ledger says, field by field. Sweeps what is due. */
export async function checkBooks(wallet: Wallet, model: WalletModel): Promise<void> {
  same((await wallet.check(model.account)).differences, [])
}

/** Gapless, as many entries as the model made, legs zero, and from it alone the same balances; nothing may be due. */
export async function compareLedger(
  wallet: Wallet,
  model: WalletModel,
  nowMs: number,
  written: readonly Written[],
): Promise<void> {
  const entries = await wholeLedger(wallet, model.account)
  same(
    entries.map((entry) => entry.seq),
    Array.from({ length: model.seq }, (_, i) => i + 1),
  )
  for (const entry of entries) {
    const total = entry.legs.reduce((rest, leg) => rest + leg.atoms, 0n)
    if (total !== 0n) deepStrictEqual(total, 0n, `legs of ${entry.seq}`)
  }
  compareWritten(written, entries)
  compareTimeouts(entries, model)
  compareCounts(entries, model)
  same(eventsOf(entries), model.events)
  same(Object.fromEntries(watchesOf(entries)), Object.fromEntries(model.watches))
  const read = model.read(nowMs)
  const replayed = replayLedger(entries, model.lastMs(nowMs))
  const frozen = read.balances[0]?.frozen ?? false
  same(
    replayed.balances.map((balance) => ({ ...balance, frozen })),
    read.balances,
  )
  same(
    [...replayed.openHolds].sort(),
    read.holds.map((hold) => hold.id),
  )
  compareStatement(entries, read)
  await compareUsage(model.account, entries, read)
}

function compareTimeouts(entries: readonly LedgerEntry[], model: WalletModel): void {
  for (const { type, op, scale, fields } of entries) {
    if (type !== 'timeout') continue
    const { held = 0n, posted = 0n, charged = 0n } = model.timeoutOf(op) ?? {}
    same(
      { hold: fields['hold'], charged: fields['charged'], at_price: fields['at_price'] },
      {
        hold: formatAmount(held, scale),
        charged: formatAmount(charged, scale),
        at_price: posted === charged ? undefined : formatAmount(posted, scale),
      },
    )
  }
}

/** What the entries say of budgets: what they count, the counters that came to be and that ended, and those that flagged. */
function compareCounts(entries: readonly LedgerEntry[], model: WalletModel): void {
  const { made, counted, exceeded, closed } = model.saidOfBudgets
  same(
    entries.flatMap(({ fields: { event, counter, spent } }) => (event === 'budget.closed' ? [{ counter, spent }] : [])),
    closed,
  )
  same(
    entries.filter(({ fields }) => (fields['budgets'] as readonly unknown[] | undefined)?.length === 0),
    [],
  )
  same(
    entries.flatMap(({ fields }) => Object.entries(fields['counters'] ?? {})),
    made,
  )
  same(
    entries.flatMap(({ fields }) => fields['budgets'] ?? []),
    counted,
  )
  same(
    entries.flatMap(({ fields }) => fields['exceeded'] ?? []),
    exceeded,
  )
}

function eventsOf(entries: readonly LedgerEntry[]): WalletModel['events'] {
  return entries.flatMap(({ type, seq, unit, fields: { event, watch: _, ...fields } }) =>
    type === 'event' && event !== 'budget.closed' && event !== 'wallet.watched'
      ? [{ seq, unit, event: String(event), fields }]
      : [],
  )
}

/** What is watched of each unit, as the last entry says that says something of it. */
function watchesOf(entries: readonly LedgerEntry[]): ReadonlyMap<string, unknown> {
  const watches = new Map<string, unknown>()
  for (const { unit, fields } of entries) {
    if (fields['watch'] !== undefined) watches.set(unit, fields['watch'])
    if (fields['watch'] === '') watches.delete(unit)
  }
  return watches
}

async function wholeLedger(wallet: Wallet, account: string): Promise<readonly LedgerEntry[]> {
  const entries: LedgerEntry[] = []
  for (let more = true; more; ) {
    const page = await wallet.ledger(account, { afterSeq: entries.at(-1)?.seq ?? 0, limit: 1000, type: undefined })
    entries.push(...page)
    more = page.length === 1000
  }
  return entries
}

/** Cut in two at any time, the second begins with what the first ends with, and ends with what there is. */
function compareStatement(entries: readonly LedgerEntry[], read: ReturnType<WalletModel['read']>): void {
  const cutMs = (entries[entries.length >> 1]?.atMs ?? 0) + (entries.length % 2)
  const [before, after] = [new StatementBuilder(-Infinity, cutMs), new StatementBuilder(cutMs, Infinity)]
  for (const entry of entries) {
    before.add(entry)
    after.add(entry)
  }
  const first = before.build()
  for (const { unit, opening, closing } of after.build()) {
    const balance = read.balances.find((other) => other.unit === unit)
    const { debtAtoms = 0n, overflowAtoms = 0n, flaggedAtoms = 0n, postpaidAtoms = 0n } = balance ?? {}
    const credit = read.grants
      .filter((grant) => grant.unit === unit)
      .reduce((total, grant) => total + grant.freeAtoms + grant.heldAtoms, 0n)
    same(closing, { credit, owed: debtAtoms + overflowAtoms + flaggedAtoms + postpaidAtoms })
    same(opening, first.find((other) => other.unit === unit)?.closing ?? { credit: 0n, owed: 0n })
  }
}

/** What usage shows as charged, less what it shows as refunded, is what the wallets posted: in all, and cut at any time. */
async function compareUsage(
  account: string,
  entries: readonly LedgerEntry[],
  read: ReturnType<WalletModel['read']>,
): Promise<void> {
  const wallet: UsageWallet = {
    grants: async () => read.grants,
    async ledgerPage(_, { afterSeq, limit }) {
      const page = entries.slice(afterSeq, afterSeq + limit)
      return { entries: page, lastSeq: page.at(-1)?.seq }
    },
  }
  const cutMs = (entries[Math.floor(entries.length / 3)]?.atMs ?? 0) + (entries.length % 2)
  const by = parseDimensions('account,funding,model,day') as readonly Dimension[]
  const posted = new Map<string, bigint>()
  const ranges = [
    [Number.NEGATIVE_INFINITY, cutMs],
    [cutMs, Number.POSITIVE_INFINITY],
  ] as const
  for (const [sinceMs, untilMs] of ranges) {
    const report = await readUsage(wallet, [account], { by, sinceMs, untilMs, timezone: 'UTC', groupsMax: 10_000 })
    for (const group of report.groups())
      posted.set(group.unit, (posted.get(group.unit) ?? 0n) + chargedOf(group) - group.refunded)
    const whole = report.groups().reduce((sum, group) => sum + group.calls, 0)
    const inAll = report.totals().reduce((sum, group) => sum + group.calls, 0)
    same(whole, inAll)
  }
  for (const { unit, scale, postedAtoms } of read.balances)
    deepStrictEqual(posted.get(unit) ?? 0n, exactOfAtoms(postedAtoms, scale), `usage of ${unit}`)
}
