/** The account's own record, its wallets, its overflow periods and its stops, against the replay of its ledger. Pure. */
import { type Atoms, formatAmount } from '../core/money.ts'
import { type Differences, readRecord } from './differences.ts'
import type { KeptState } from './kept-state.ts'
import type { MutableGrant, MutableWallet, ReplayState } from './replay.ts'

export const ACCOUNT = /^1\|(\d+)\|(\d+)\|(\d+)\|(\d+)(?:\|([01])\|(\d+)\|(\d+))?$/
const WALLET = /^1\|(\d+)\|(\d+)\|(\d+)\|(\d+)(?:\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\d+))?$/
const TOTALS = /^(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\d+)$/
const PERIOD = /^(\d+)\|(\d+)\|(\d*)\|([^|]*)$/
export const TOTAL_PART = 1_000_000_000_000_000n
export const LIVE = ['available', 'pinned', 'held']
/** Left out of the record where all are 0. */
export const LIVE_RARE = ['scoped', 'pending', 'debt', 'debt_held', 'overflow', 'flagged', 'postpaid']

/** The ledger's reader decodes names too. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** The latest time that the account has seen; undefined where there is none. */
export function accountTime(kept: KeptState): number | undefined {
  const match = ACCOUNT.exec(kept.account.get('account') ?? '')
  return match ? Number(match[2]) : undefined
}

export function compareAccount(differences: Differences, kept: KeptState, state: ReplayState): void {
  const { same } = differences
  const record = kept.account.get('account')
  if (record === undefined) {
    if (state.seq > 0) same('account', undefined, 'a record')
  } else {
    const parts = readRecord(differences, 'account', ACCOUNT, record)
    if (parts) {
      same('account.seq', parts[0], state.seq)
      same('account.open_holds', parts[2], state.holds.size)
      same('account.grants', parts[3], state.grants.size)
      same('account.frozen', parts[4] || 0, state.frozen ? 1 : 0)
      same('account.stops', parts[5] || 0, state.stops.size)
      same('account.events', parts[6] || 0, kept.events.length)
      compareEvents(differences, kept.events, state)
      // Sweeps without an entry move it on; it never falls below what was written under it.
      if (Number(parts[1]) < state.lastMs) same('account.last_ms', parts[1], `at least ${state.lastMs}`)
    }
  }
  same('account.unmatched', kept.account.get('unmatched') ?? 0, state.unmatched.size)
  const waiting = [...kept.account.keys()].flatMap((name) => (/^u:\d+$/.test(name) ? [Number(name.slice(2))] : []))
  for (const seq of new Set([...waiting, ...state.unmatched.keys()]))
    same(`unmatched ${seq}`, kept.account.get(`u:${seq}`), state.unmatched.get(seq))
  same('account.timeouts', kept.account.get('timeouts') ?? 0, state.timeouts)
  const stops = [...kept.account.keys()].filter((name) => name.startsWith('s:')).map((name) => decoded(name.slice(2)))
  for (const stop of new Set([...stops, ...state.stops])) {
    const here = (there: boolean) => (there ? 'in force' : undefined)
    same(`stop ${stop}`, here(stops.includes(stop)), here(state.stops.has(stop)))
  }
}

/** What waits is the latest that there were: the oldest are handed over first, or dropped. */
function compareEvents({ same }: Differences, events: readonly string[], state: ReplayState): void {
  const latest = events.length === 0 ? [] : state.events.slice(-events.length)
  for (const [i, seq] of events.entries()) same(`account.events ${i + 1}`, seq, latest[i])
}

export function compareWallets(differences: Differences, kept: KeptState, state: ReplayState, nowMs: number): void {
  const units = [...kept.account.keys()].flatMap((name) => (/^[wte]:/.test(name) ? [name.slice(2)] : []))
  for (const unit of new Set([...units, ...state.wallets.keys()])) {
    const wallet = state.wallets.get(unit)
    const record = kept.account.get(`w:${unit}`)
    if (wallet === undefined || record === undefined) {
      differences.same(unit, record, wallet && 'a wallet')
      continue
    }
    compareWallet(differences, record, wallet, expectedWallet(state, wallet, nowMs))
    compareTotals(differences, kept.account.get(`t:${unit}`), wallet)
    differences.same(`${unit}.watch`, kept.account.get(`e:${unit}`), wallet.watch)
  }
  comparePeriods(differences, kept, state)
}

function compareWallet(
  differences: Differences,
  record: string,
  { unit, scale }: MutableWallet,
  expected: Readonly<Record<string, Atoms>>,
): void {
  const parts = readRecord(differences, unit, WALLET, record)
  if (!parts) return
  const same = (name: string, kept: string | undefined): void =>
    differences.same(`${unit}.${name}`, money(kept || '0', scale), money(expected[name], scale))
  for (const [i, name] of LIVE.entries()) same(name, parts[i])
  differences.same(`${unit}.scale`, parts[3], scale)
  for (const [i, name] of LIVE_RARE.entries()) same(name, parts[i + 4])
}

function compareTotals(differences: Differences, record: string | undefined, wallet: MutableWallet): void {
  const { unit, scale } = wallet
  const parts = readRecord(differences, `${unit} totals`, TOTALS, record ?? '0|0|0|0|0|0')
  if (!parts) return
  for (const [i, name] of (['granted', 'posted', 'expired'] as const).entries()) {
    const total = BigInt(parts[2 * i] ?? '0') * TOTAL_PART + BigInt(parts[2 * i + 1] ?? '0')
    differences.same(`${unit}.${name}`, money(total, scale), money(wallet[name], scale))
  }
}

/** Usable grants are those that are neither over nor waiting, at the account's own time. */
export function stateOfGrant(grant: MutableGrant, nowMs: number): 'p' | 'u' | 'x' | 'v' | 'c' {
  if (grant.ended !== '') return grant.ended
  // One with nothing in it expires without an entry.
  if (grant.expiresAtMs !== undefined && grant.expiresAtMs <= nowMs) return 'x'
  return grant.awaits || grant.effectiveAtMs > nowMs ? 'p' : 'u'
}

export function expectedWallet(
  state: ReplayState,
  { unit, owed }: MutableWallet,
  nowMs: number,
): Record<string, Atoms> {
  const sums = { available: 0n, scoped: 0n, pinned: 0n, pending: 0n, held: 0n, debt_held: 0n }
  for (const grant of state.grants.values()) {
    if (grant.unit !== unit) continue
    const at = stateOfGrant(grant, nowMs)
    if (at === 'p') sums.pending += grant.free
    if (at !== 'u') continue
    sums[grant.scoped ? 'scoped' : 'available'] += grant.free
    sums.pinned += grant.held
  }
  for (const hold of state.holds.values()) {
    if (hold.unit !== unit) continue
    sums.held += hold.slices.reduce((total, slice) => total + slice.atoms, hold.over)
    if (hold.overAccount === 'debt') sums.debt_held += hold.over
  }
  const overflow = [...owed].reduce(
    (total, [name, atoms]) => (name.startsWith('overflow:') ? total + atoms : total),
    0n,
  )
  const [debt = 0n, flagged = 0n, postpaid = 0n] = ['debt', 'flagged', 'postpaid'].map((name) => owed.get(name) ?? 0n)
  return { ...sums, debt, overflow, flagged, postpaid }
}

interface Period {
  posted: Atoms
  held: Atoms
  closedAt: string
  heir: string
  readonly scale: number
}

/** UNIT:PERIOD -> what its overflow record says. */
export function expectedPeriods(state: ReplayState): ReadonlyMap<string, Period> {
  const expected = new Map<string, Period>()
  const periodOf = (wallet: MutableWallet, name: string) => {
    const field = `${wallet.unit}:${name}`
    const period = expected.get(field) ?? { posted: 0n, held: 0n, closedAt: '', heir: '', scale: wallet.scale }
    expected.set(field, period)
    return period
  }
  for (const wallet of state.wallets.values()) {
    for (const [name, atoms] of wallet.owed) {
      if (name.startsWith('overflow:')) periodOf(wallet, name.slice('overflow:'.length)).posted += atoms
    }
    for (const [name, atMs] of wallet.closed) {
      Object.assign(periodOf(wallet, name), { closedAt: String(atMs), heir: wallet.heirs.get(name) ?? '' })
    }
  }
  for (const { unit, overAccount, over } of state.holds.values()) {
    const wallet = state.wallets.get(unit)
    if (!wallet || !overAccount.startsWith('overflow:')) continue
    periodOf(wallet, overAccount.slice('overflow:'.length)).held += over
  }
  return expected
}

function comparePeriods(differences: Differences, kept: KeptState, state: ReplayState): void {
  const expected = expectedPeriods(state)
  const names = [...kept.account.keys()].flatMap((name) => (name.startsWith('o:') ? [name.slice(2)] : []))
  for (const name of new Set([...names, ...expected.keys()])) {
    const field = `${name.slice(0, name.indexOf(':'))}.overflow ${name.slice(name.indexOf(':') + 1)}`
    const period = expected.get(name) ?? { posted: 0n, held: 0n, closedAt: '', heir: '', scale: 0 }
    const parts = readRecord(differences, field, PERIOD, kept.account.get(`o:${name}`) ?? '0|0||')
    if (!parts) continue
    differences.same(`${field}.posted`, money(parts[0], period.scale), money(period.posted, period.scale))
    differences.same(`${field}.held`, money(parts[1], period.scale), money(period.held, period.scale))
    differences.same(`${field}.closed_at`, parts[2], period.closedAt)
    differences.same(`${field}.heir`, parts[3], period.heir)
  }
}

export function money(atoms: string | Atoms | undefined, scale: number): string {
  return formatAmount(BigInt(atoms ?? 0n), scale)
}
