/**
 * Rebuilds an account from its ledger alone. Pure: entries in, balances and grants out. What it answers must be what
 * the scripts keep, as far as the ledger goes: what time has decided since is not in it until it is swept.
 */
import { EVENTS } from '../core/event-names.ts'
import { type Atoms, parseAmount } from '../core/money.ts'
import { latchOf } from './budget-events.ts'
import type { GrantFacts, Slice } from './packed.ts'
import { type ReplayedCounters, replayCounters } from './replay-counters.ts'
import type { Balance, Funding, LedgerEntry } from './wallet-types.ts'

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

/** What the ledger says of a grant. What an entry of its making does not say is undefined. */
export interface MutableGrant {
  readonly id: string
  readonly unit: string
  readonly scoped: boolean
  readonly effectiveAtMs: number
  /** Of the entry that made it. */
  readonly seq: number
  readonly createdAtMs: number | undefined
  readonly expiresAtMs: number | undefined
  /** When it is told to expire. */
  readonly noticeAtMs: number | undefined
  readonly funding: Funding
  readonly facts: Partial<GrantFacts>
  /** Why it is not usable any more: e`x`pired, `v`oided, `c`lawed back. */
  ended: '' | 'x' | 'v' | 'c'
  voidedAtMs: number | undefined
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
export interface MutableHold {
  readonly unit: string
  readonly seq: number
  readonly createdAtMs: number
  /** open; timed out: slices and over are what was posted; late: settled after that. */
  state: 'o' | 't' | 'l'
  slices: Slice[]
  over: Atoms
  overAccount: string
  known: Atoms
}
export interface MutableWallet {
  readonly unit: string
  readonly scale: number
  granted: Atoms
  posted: Atoms
  expired: Atoms
  /** Accounts of what is owed: below zero. */
  readonly owed: Map<string, Atoms>
  readonly closed: Map<string, number>
  readonly heirs: Map<string, string>
  /** What is watched of it, as e:UNIT has it; undefined: nothing. */
  watch: string | undefined
}
export interface ReplayState {
  readonly wallets: Map<string, MutableWallet>
  readonly grants: Map<string, MutableGrant>
  readonly holds: Map<string, MutableHold>
  /** Timed out, for as long as the call's own end may come: by id. */
  readonly ended: Map<string, MutableHold>
  /** KIND:VALUE in force. */
  readonly stops: Set<string>
  /** What was given back of a charge, by its sequence. */
  readonly refunds: Map<string, Atoms>
  /** Settles that wait for an operator's word: the record of each, by its sequence. */
  readonly unmatched: Map<number, string>
  readonly counters: ReplayedCounters
  /** Sequences of the latest events that are handed over: as many as may wait, at least. */
  readonly events: number[]
  /** What was told of budgets, as the budgets hash has it: by e:ID and x:GROUP. */
  readonly told: Map<string, string>
  timeouts: number
  frozen: boolean
  lastMs: number
  seq: number
}
type State = ReplayState

/** A replay that goes on entry by entry, so that a ledger of any length is never in memory as a whole. */
export interface Replay {
  readonly state: ReplayState
  /**
   * Throws where the entry does not follow from those before it.
   * `charge`: of a refund, the entry that it gives back; without it what it takes off budgets is not known.
   */
  apply(entry: LedgerEntry, charge?: LedgerEntry): void
  at(nowMs?: number): Replayed
}

const ENDS = ['settle', 'void', 'timeout']

/**
 * `entries`: all of one account, in order. Throws where one does not follow from those before it.
 * `nowMs`: when grants are judged to be effective; default: the date of the last entry.
 */
export function replayLedger(entries: readonly LedgerEntry[], nowMs?: number): Replayed {
  const replay = createReplay()
  for (const [index, entry] of entries.entries()) {
    // A ledger may be given from the middle on, but without a gap.
    if (index === 0) replay.state.seq = entry.seq - 1
    replay.apply(entry)
  }
  return replay.at(nowMs)
}

/** `from`: a state to go on with; it is changed. */
export function createReplay(from?: ReplayState): Replay {
  const state: State = from ?? {
    wallets: new Map(),
    grants: new Map(),
    holds: new Map(),
    ended: new Map(),
    stops: new Set(),
    refunds: new Map(),
    unmatched: new Map(),
    counters: replayCounters(),
    events: [],
    told: new Map(),
    timeouts: 0,
    frozen: false,
    lastMs: 0,
    seq: 0,
  }
  return {
    state,
    apply(entry, charge) {
      if (entry.seq !== state.seq + 1) throw new Error(`ledger: ${entry.seq} follows ${state.seq}`)
      apply(state, entry)
      state.counters.apply(entry, charge)
      state.seq = entry.seq
    },
    at(nowMs = state.lastMs) {
      const wallets = [...state.wallets.values()].sort((a, b) => (a.unit < b.unit ? -1 : 1))
      return {
        balances: wallets.map((wallet) => balanceOf(state, wallet, nowMs)),
        grants: [...state.grants.values()].map(grantOf),
        openHolds: [...state.holds.keys()],
      }
    },
  }
}

function apply(state: State, entry: LedgerEntry): void {
  state.lastMs = Math.max(state.lastMs, entry.atMs)
  if (entry.type === 'freeze') state.frozen = entry.fields['frozen'] === true
  if (entry.type === 'clawback' && entry.fields['frozen'] === true) state.frozen = true
  if (entry.type === 'stop') stop(state, entry)
  if (isEvent(entry)) event(state, entry)
  if (entry.unit === '') return
  const wallet = walletOf(state, entry)
  const { watch } = entry.fields
  if (typeof watch === 'string') wallet.watch = watch === '' ? undefined : watch
  createEmptyGrant(state, wallet, entry)
  if (entry.type === 'hold' || entry.type === 'checkpoint') pin(state, entry)
  if (ENDS.includes(entry.type)) release(state, entry)
  const isLate = entry.type === 'late_settle' && entry.fields['unmatched'] === undefined
  const late = isLate ? state.ended.get(entry.op) : undefined
  if (late) late.state = 'l'
  for (let i = 0; i + 1 < entry.legs.length; i += 2) {
    const [from, to] = [entry.legs[i], entry.legs[i + 1]]
    if (!from || !to || from.atoms + to.atoms !== 0n) throw new Error(`ledger: legs of ${entry.seq} do not balance`)
    move(state, wallet, entry, from.account, to.account, to.atoms)
  }
  const { grant, whole, awaits, period, heir } = entry.fields
  if (entry.type === 'expire') end(known(state.grants, grant, entry), 'x')
  else if (entry.type === 'grant_void') end(known(state.grants, grant, entry), 'v', entry.atMs)
  else if (whole === true) end(known(state.grants, grant, entry), 'c', entry.atMs)
  if (entry.type === 'payment' && awaits === false) known(state.grants, grant, entry).awaits = false
  if (entry.type === 'overflow_close') {
    wallet.closed.set(String(period), entry.atMs)
    wallet.heirs.set(String(period), String(heir))
  }
  if (entry.type === 'refund') refunded(state, entry)
  waitForWord(state, entry)
}

/** An unmatched entry waits until another names it. */
function waitForWord(state: State, { type, seq, op, unit, scale, fields }: LedgerEntry): void {
  const { unmatched, final, timed_out: timedOut, policy, facts } = fields
  if (typeof unmatched === 'number') {
    if (!state.unmatched.delete(unmatched))
      throw new Error(`ledger: ${seq} decides on ${unmatched}, which does not wait`)
  } else if (type === 'unmatched') {
    const atoms = parseAmount(String(final), scale)
    const terms = [timedOut === true ? '1' : '0', policy, String(facts).replaceAll('&', ';')]
    state.unmatched.set(seq, [op, `${atoms}${unit}`, ...terms].join('|'))
  }
}

/** redis-scripts/lib/events.lua has the same. */
export const EVENTS_MAX = 10_000

/** Whether it is an event that is handed over to whoever asked. */
function isEvent({ type, fields }: LedgerEntry): boolean {
  return type === 'event' && EVENTS.some((name) => name === fields['event'])
}

function event({ events, told }: State, entry: LedgerEntry): void {
  const latch = latchOf(entry)
  if (latch) told.set(...latch)
  events.push(entry.seq)
  if (events.length > 2 * EVENTS_MAX) events.splice(0, EVENTS_MAX)
}

function stop(state: State, { fields }: LedgerEntry): void {
  if (fields['in_force'] === true) state.stops.add(String(fields['stopped']))
  else state.stops.delete(String(fields['stopped']))
}

function refunded(state: State, { fields, scale }: LedgerEntry): void {
  const charge = String(fields['charge'])
  state.refunds.set(charge, (state.refunds.get(charge) ?? 0n) + parseAmount(String(fields['amount']), scale))
}

function end(grant: MutableGrant, how: 'x' | 'v' | 'c', voidedAtMs?: number): void {
  grant.ended = how
  grant.usable = false
  grant.voidedAtMs ??= voidedAtMs
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
    heirs: new Map<string, string>(),
    watch: undefined,
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
  const {
    slices = [],
    over,
    known: used,
  } = entry.fields as {
    slices?: readonly { grant: string; amount: string }[]
    over?: { account: string; amount: string }
    known?: string
  }
  const hold = state.holds.get(entry.op) ?? newHold(entry)
  if (entry.type === 'hold') state.holds.set(entry.op, hold)
  for (const slice of slices) {
    const atoms = parseAmount(slice.amount, entry.scale)
    const grant = known(state.grants, slice.grant, entry)
    grant.free -= atoms
    grant.held += atoms
    addSlice(hold.slices, { grant: slice.grant, atoms }, entry.type === 'checkpoint')
  }
  if (over) {
    hold.over += parseAmount(over.amount, entry.scale)
    hold.overAccount = over.account
  }
  if (used !== undefined && entry.type === 'checkpoint') hold.known = parseAmount(used, entry.scale)
}

function newHold({ unit, seq, atMs }: LedgerEntry): MutableHold {
  return { unit, seq, createdAtMs: atMs, state: 'o', slices: [], over: 0n, overAccount: '', known: 0n }
}

/** Slices of a stream that follow each other in one grant are one. */
function addSlice(slices: Slice[], slice: Slice, joins: boolean): void {
  const last = slices.at(-1)
  if (joins && last?.grant === slice.grant)
    slices[slices.length - 1] = { grant: last.grant, atoms: last.atoms + slice.atoms }
  else slices.push(slice)
}

/** An end releases all; what it posts and forfeits is in its legs. */
function release(state: State, entry: LedgerEntry): void {
  const hold = state.holds.get(entry.op)
  // A settle without a hold is charged from the copy of its terms: there is nothing to release.
  for (const slice of hold?.slices ?? []) {
    const grant = state.grants.get(slice.grant)
    if (!grant) continue
    grant.held -= slice.atoms
    grant.free += slice.atoms
  }
  state.holds.delete(entry.op)
  if (!hold || entry.type !== 'timeout') return
  state.timeouts += 1
  hold.state = 't'
  hold.slices = []
  hold.over = 0n
  for (let i = 0; i + 1 < entry.legs.length; i += 2) {
    const [from, to] = [entry.legs[i], entry.legs[i + 1]]
    if (!from || to?.account !== 'consumed') continue
    if (from.account.startsWith('grant:')) addDrawn(hold.slices, from.account.slice(6), to.atoms)
    else hold.over += to.atoms
  }
  state.ended.set(entry.op, hold)
}

/** A grant stands once in what a timeout drew, where it was first drawn on. */
function addDrawn(slices: Slice[], grant: string, atoms: Atoms): void {
  const at = slices.findIndex((slice) => slice.grant === grant)
  if (at < 0) slices.push({ grant, atoms })
  else slices[at] = { grant, atoms: atoms + (slices[at]?.atoms ?? 0n) }
}

function move(state: State, wallet: MutableWallet, entry: LedgerEntry, from: string, to: string, atoms: Atoms): void {
  const source = from.startsWith('fund:') || from === 'adjust'
  if (source && to.startsWith('grant:')) {
    createGrant(state, wallet, entry, to.slice(6), atoms, from)
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

const CREATES = ['grant', 'allowance']

/** A grant of nothing has no legs. */
function createEmptyGrant(state: State, wallet: MutableWallet, entry: LedgerEntry): void {
  const { grant, activated } = entry.fields
  if (!CREATES.includes(entry.type) || activated === true || entry.legs.length > 0) return
  if (typeof grant === 'string') createGrant(state, wallet, entry, grant, 0n, 'fund:')
}

function createGrant(
  state: State,
  wallet: MutableWallet,
  entry: LedgerEntry,
  id: string,
  amount: Atoms,
  from: string,
): void {
  const { effective, expires, scope, awaits, rollover } = entry.fields
  const effectiveAtMs = typeof effective === 'number' ? effective : entry.atMs
  const expiresAtMs = typeof expires === 'number' ? expires : undefined
  state.grants.set(id, {
    id,
    unit: entry.unit,
    scoped: scope === 's',
    effectiveAtMs,
    seq: entry.seq,
    // What an allowance left behind is dated by its beginning, whenever the sweep came.
    createdAtMs: rollover === true ? undefined : entry.atMs,
    expiresAtMs,
    noticeAtMs: noticeAt(wallet, effectiveAtMs, expiresAtMs),
    funding: (from === 'adjust' ? 'promotional' : from.slice('fund:'.length)) as Funding,
    facts: CREATES.includes(entry.type) ? entry.fields : {},
    ended: '',
    voidedAtMs: undefined,
    amount,
    free: amount,
    held: 0n,
    consumed: 0n,
    expired: 0n,
    voided: 0n,
    usable: true,
    awaits: awaits === true,
  })
  wallet.granted += amount
}

const EXPIRES_IN_MS = 259_200_000

/** redis-scripts/lib/new_grant.lua has the same; undefined: it goes as it came. */
function noticeAt(
  { watch }: MutableWallet,
  effectiveAtMs: number,
  expiresAtMs: number | undefined,
): number | undefined {
  const noticeMs = Number(/^1 (?:\S*\/)?x(\d+)/.exec(watch ?? '')?.[1] ?? EXPIRES_IN_MS)
  const lives = expiresAtMs !== undefined && expiresAtMs - effectiveAtMs >= 2 * noticeMs
  return lives ? expiresAtMs - noticeMs : undefined
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
