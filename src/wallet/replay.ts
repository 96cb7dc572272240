/**
 * Rebuilds an account from its ledger alone. Pure: entries in, balances and grants out. What it answers must be what
 * the scripts keep, as far as the ledger goes: what time has decided since is not in it until it is swept.
 */
import { type Atoms, parseAmount } from '../core/money.ts'
import type { Balance, LedgerEntry } from './wallet-types.ts'

/** Where the amount of a grant is: amount = free + held + consumed + expired + voided. */
export interface ReplayedGrant {
  readonly id: string
  readonly unit: string
  readonly amountAtoms: Atoms
  readonly freeAtoms: Atoms
  readonly heldAtoms: Atoms
  readonly consumedAtoms: Atoms
  readonly expiredAtoms: Atoms
  readonly voidedAtoms: Atoms
}

export interface Replayed {
  /** Sorted by unit. */
  readonly balances: readonly Balance[]
  /** In order of creation. */
  readonly grants: readonly ReplayedGrant[]
  /** Ids of the holds that have no end. */
  readonly openHolds: readonly string[]
}

interface MutableGrant {
  readonly id: string
  readonly unit: string
  readonly scoped: boolean
  readonly effectiveAtMs: number
  amount: Atoms
  free: Atoms
  held: Atoms
  consumed: Atoms
  expired: Atoms
  voided: Atoms
  usable: boolean
  /** Its payment is not as far as its availability asks. */
  awaits: boolean
}
interface MutableHold {
  readonly unit: string
  readonly slices: { readonly grant: string; readonly atoms: Atoms }[]
  over: Atoms
}
interface MutableWallet {
  readonly unit: string
  readonly scale: number
  granted: Atoms
  posted: Atoms
  expired: Atoms
  /** Accounts of what is owed: below zero. */
  readonly owed: Map<string, Atoms>
  readonly closed: Map<string, number>
}
interface State {
  readonly wallets: Map<string, MutableWallet>
  readonly grants: Map<string, MutableGrant>
  readonly holds: Map<string, MutableHold>
  frozen: boolean
  lastMs: number
}

const ENDS = ['settle', 'void', 'timeout']

/**
 * `entries`: all of one account, in order. Throws where one does not follow from those before it.
 * `nowMs`: when grants are judged to be effective; default: the date of the last entry.
 */
export function replayLedger(entries: readonly LedgerEntry[], nowMs?: number): Replayed {
  const state: State = { wallets: new Map(), grants: new Map(), holds: new Map(), frozen: false, lastMs: 0 }
  for (const [index, entry] of entries.entries()) {
    const before = entries[index - 1]
    if (before && entry.seq !== before.seq + 1) throw new Error(`ledger: ${entry.seq} follows ${before.seq}`)
    apply(state, entry)
  }
  const now = nowMs ?? state.lastMs
  const wallets = [...state.wallets.values()].sort((a, b) => (a.unit < b.unit ? -1 : 1))
  return {
    balances: wallets.map((wallet) => balanceOf(state, wallet, now)),
    grants: [...state.grants.values()].map(grantOf),
    openHolds: [...state.holds.keys()],
  }
}

function apply(state: State, entry: LedgerEntry): void {
  state.lastMs = Math.max(state.lastMs, entry.atMs)
  if (entry.type === 'freeze') state.frozen = entry.fields['frozen'] === true
  if (entry.type === 'clawback' && entry.fields['frozen'] === true) state.frozen = true
  if (entry.unit === '') return
  const wallet = walletOf(state, entry)
  if (entry.type === 'hold' || entry.type === 'checkpoint') pin(state, entry)
  if (ENDS.includes(entry.type)) release(state, entry.op)
  for (let i = 0; i + 1 < entry.legs.length; i += 2) {
    const [from, to] = [entry.legs[i], entry.legs[i + 1]]
    if (!from || !to || from.atoms + to.atoms !== 0n) throw new Error(`ledger: legs of ${entry.seq} do not balance`)
    move(state, wallet, entry, from.account, to.account, to.atoms)
  }
  const { grant, whole, awaits, period } = entry.fields
  if (entry.type === 'expire' || entry.type === 'grant_void' || whole === true)
    known(state.grants, grant, entry).usable = false
  if (entry.type === 'payment' && awaits === false) known(state.grants, grant, entry).awaits = false
  if (entry.type === 'overflow_close') wallet.closed.set(String(period), entry.atMs)
}

function walletOf(state: State, entry: LedgerEntry): MutableWallet {
  const { unit, scale } = entry
  const before = state.wallets.get(unit)
  if (before) return before
  const wallet = {
    unit,
    scale,
    granted: 0n,
    posted: 0n,
    expired: 0n,
    owed: new Map<string, Atoms>(),
    closed: new Map<string, number>(),
  }
  state.wallets.set(unit, wallet)
  return wallet
}

function known<T>(map: ReadonlyMap<string, T>, id: unknown, entry: LedgerEntry): T {
  const value = typeof id === 'string' ? map.get(id) : undefined
  if (value === undefined)
    throw new Error(`ledger: ${entry.type} ${entry.seq} is about ${String(id)}, which is not in it`)
  return value
}

/** A hold or the next slice of one: a memo, value stays in the grants. */
function pin(state: State, entry: LedgerEntry): void {
  const { slices = [], over } = entry.fields as {
    slices?: readonly { grant: string; amount: string }[]
    over?: { amount: string }
  }
  const hold = state.holds.get(entry.op) ?? { unit: entry.unit, slices: [], over: 0n }
  if (entry.type === 'hold') state.holds.set(entry.op, hold)
  for (const slice of slices) {
    const atoms = parseAmount(slice.amount, entry.scale)
    const grant = known(state.grants, slice.grant, entry)
    grant.free -= atoms
    grant.held += atoms
    hold.slices.push({ grant: slice.grant, atoms })
  }
  if (over) hold.over += parseAmount(over.amount, entry.scale)
}

/** An end releases all; what it posts and forfeits is in its legs. */
function release(state: State, op: string): void {
  // A settle without a hold is charged from the copy of its terms: there is nothing to release.
  for (const slice of state.holds.get(op)?.slices ?? []) {
    const grant = state.grants.get(slice.grant)
    if (!grant) continue
    grant.held -= slice.atoms
    grant.free += slice.atoms
  }
  state.holds.delete(op)
}

function move(state: State, wallet: MutableWallet, entry: LedgerEntry, from: string, to: string, atoms: Atoms): void {
  const source = from.startsWith('fund:') || from === 'adjust'
  if (source && to.startsWith('grant:')) {
    createGrant(state, wallet, entry, to.slice(6), atoms)
    return
  }
  if (from.startsWith('grant:')) {
    leaveGrant(known(state.grants, from.slice(6), entry), to, atoms)
  } else if (from === 'consumed') {
    wallet.posted -= atoms
  } else if (!source) {
    owe(wallet, from, atoms)
  }
  if (to === 'consumed') wallet.posted += atoms
  else if (to === 'expired' || to === 'voided') wallet.expired += atoms
  else if (to.startsWith('grant:')) returnToGrant(known(state.grants, to.slice(6), entry), atoms)
  else if (!to.startsWith('fund:')) owe(wallet, to, -atoms)
}

function createGrant(state: State, wallet: MutableWallet, entry: LedgerEntry, id: string, amount: Atoms): void {
  const effective = entry.fields['effective']
  state.grants.set(id, {
    id,
    unit: entry.unit,
    scoped: entry.fields['scope'] === 's',
    effectiveAtMs: typeof effective === 'number' ? effective : entry.atMs,
    amount,
    free: amount,
    held: 0n,
    consumed: 0n,
    expired: 0n,
    voided: 0n,
    usable: true,
    awaits: entry.fields['awaits'] === true,
  })
  wallet.granted += amount
}

/** To debt: new money that repays it is consumed of its grant. */
function leaveGrant(grant: MutableGrant, to: string, atoms: Atoms): void {
  grant.free -= atoms
  if (to === 'expired') grant.expired += atoms
  else if (to === 'voided') grant.voided += atoms
  else grant.consumed += atoms
}

function returnToGrant(grant: MutableGrant, atoms: Atoms): void {
  grant.consumed -= atoms
  grant.free += atoms
}

function owe(wallet: MutableWallet, account: string, atoms: Atoms): void {
  wallet.owed.set(account, (wallet.owed.get(account) ?? 0n) + atoms)
}

function balanceOf(state: State, wallet: MutableWallet, nowMs: number): Balance {
  const sum = (pick: (grant: MutableGrant) => Atoms, of: (grant: MutableGrant) => boolean): Atoms =>
    [...state.grants.values()].reduce((total, g) => (g.unit === wallet.unit && of(g) ? total + pick(g) : total), 0n)
  const effective = (grant: MutableGrant): boolean => grant.usable && !grant.awaits && grant.effectiveAtMs <= nowMs
  const free = (grant: MutableGrant): Atoms => grant.free
  const holds = [...state.holds.values()].filter((hold) => hold.unit === wallet.unit)
  const periods = [...wallet.owed].filter(([name, atoms]) => name.startsWith('overflow:') && atoms !== 0n)
  const overflow = periods.map(([name, atoms]) => [name.slice('overflow:'.length), atoms] as const)
  return {
    unit: wallet.unit,
    scale: wallet.scale,
    grantedAtoms: wallet.granted,
    postedAtoms: wallet.posted,
    expiredAtoms: wallet.expired,
    balanceAtoms: sum((grant) => grant.free + grant.held, effective),
    heldAtoms: holds.reduce(
      (total, hold) => hold.slices.reduce((part, slice) => part + slice.atoms, total + hold.over),
      0n,
    ),
    availableAtoms: sum(free, (grant) => effective(grant) && !grant.scoped),
    scopedAtoms: sum(free, (grant) => effective(grant) && grant.scoped),
    pendingAtoms: sum(free, (grant) => grant.usable && !effective(grant)),
    debtAtoms: wallet.owed.get('debt') ?? 0n,
    overflowAtoms: overflow.reduce((total, [, atoms]) => total + atoms, 0n),
    overflowPeriods: Object.fromEntries(overflow.sort(([a], [b]) => (a < b ? -1 : 1))),
    closedPeriods: Object.fromEntries([...wallet.closed].sort(([a], [b]) => (a < b ? -1 : 1))),
    flaggedAtoms: wallet.owed.get('flagged') ?? 0n,
    postpaidAtoms: wallet.owed.get('postpaid') ?? 0n,
    frozen: state.frozen,
  }
}

function grantOf(grant: MutableGrant): ReplayedGrant {
  return {
    id: grant.id,
    unit: grant.unit,
    amountAtoms: grant.amount,
    freeAtoms: grant.free,
    heldAtoms: grant.held,
    consumedAtoms: grant.consumed,
    expiredAtoms: grant.expired,
    voidedAtoms: grant.voided,
  }
}
