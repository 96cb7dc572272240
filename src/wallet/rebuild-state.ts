/**
 * What Redis keeps of an account as its ledger proves it: every balance, total, grant, order, deadline and count anew, and
 * from the records that are there what no entry says. Pure. Whether the result is whole, the comparison says.
 */
import { COUNTER } from './compare-budgets.ts'
import { eventsDue, HOLD, LATE_WINDOW_MS, memberOf } from './compare-grants.ts'
import {
  ACCOUNT,
  accountTime,
  expectedPeriods,
  expectedWallet,
  LIVE,
  LIVE_RARE,
  stateOfGrant,
  TOTAL_PART,
} from './compare-wallets.ts'
import type { KeptState } from './kept-state.ts'
import { rebuiltBudgets, rebuiltGrants, rebuiltHolds } from './rebuild-records.ts'
import type { MutableWallet, ReplayState } from './replay.ts'

export function rebuildState(kept: KeptState, state: ReplayState): KeptState {
  const nowMs = accountTime(kept) ?? state.lastMs
  const events = rebuiltEvents(kept, state)
  const holds = rebuiltHolds(kept, state)
  const budgets = rebuiltBudgets(kept, state, nowMs)
  const rebuilt: KeptState = {
    ...kept,
    grants: rebuiltGrants(kept, state, nowMs),
    order: rebuiltOrder(state, nowMs),
    holds,
    budgets: budgets ?? kept.budgets,
    refunds: kept.refunds && new Map([...state.refunds].map(([charge, atoms]) => [charge, String(atoms)])),
    events,
    account: new Map(),
    due: new Map(),
  }
  return {
    ...rebuilt,
    due: rebuiltDue({ ...rebuilt, due: kept.due }, state, nowMs),
    account: rebuiltAccount(kept, state, nowMs, events.length),
  }
}

function rebuiltAccount(kept: KeptState, state: ReplayState, nowMs: number, events: number): Map<string, string> {
  const account = new Map<string, string>()
  const lastMs = Math.max(Number(ACCOUNT.exec(kept.account.get('account') ?? '')?.[2] ?? 0), state.lastMs)
  const rare = [state.frozen ? 1 : 0, state.stops.size, events]
  const counts = [state.holds.size, state.grants.size, ...(rare.some((count) => count > 0) ? rare : [])]
  account.set('account', ['1', state.seq, lastMs, ...counts].join('|'))
  if (state.timeouts > 0) account.set('timeouts', String(state.timeouts))
  for (const [name, value] of kept.account) {
    if (name === 'timeouts' && value === String(state.timeouts)) account.set(name, value)
    // What a stop says beside its name is in no entry: one that is not there cannot be made.
    if (name.startsWith('s:') && state.stops.has(decodeURIComponent(name.slice(2)))) account.set(name, value)
    if (!/^(?:account$|timeouts$|[wtesou]:)/.test(name)) account.set(name, value)
  }
  for (const [seq, record] of state.unmatched) account.set(`u:${seq}`, record)
  for (const wallet of state.wallets.values()) setWallet(account, wallet, state, nowMs)
  for (const [name, { posted, held, closedAt, heir }] of expectedPeriods(state)) {
    account.set(`o:${name}`, [posted, held, closedAt, heir].join('|'))
  }
  for (const [name, value] of kept.account) {
    // A period of nothing may be there or not.
    if (name.startsWith('o:') && !account.has(name) && value === '0|0||') account.set(name, value)
  }
  return account
}

function setWallet(account: Map<string, string>, wallet: MutableWallet, state: ReplayState, nowMs: number): void {
  const { unit, scale, granted, posted, expired, watch } = wallet
  const live = expectedWallet(state, wallet, nowMs)
  const rare = LIVE_RARE.map((name) => live[name] ?? 0n)
  const usual = ['1', ...LIVE.map((name) => live[name]), scale]
  account.set(`w:${unit}`, [...usual, ...(rare.some((atoms) => atoms > 0n) ? rare : [])].join('|'))
  const totals = [granted, posted, expired].flatMap((total) => [total / TOTAL_PART, total % TOTAL_PART])
  account.set(`t:${unit}`, totals.join('|'))
  if (watch !== undefined) account.set(`e:${unit}`, watch)
}

function rebuiltOrder(state: ReplayState, nowMs: number): readonly string[] {
  const usable = [...state.grants.values()].filter((grant) => stateOfGrant(grant, nowMs) === 'u')
  return usable
    .filter((grant) => grant.free + grant.held > 0n)
    .map(memberOf)
    .sort()
}

/** How many wait is not in the ledger: as many as there are, the latest of those that it has. */
function rebuiltEvents({ events }: KeptState, state: ReplayState): readonly string[] {
  return events.length === 0 ? [] : state.events.slice(-events.length).map(String)
}

function rebuiltDue({ holds, budgets, due }: KeptState, state: ReplayState, nowMs: number): Map<string, string> {
  const rebuilt = new Map<string, string>()
  for (const grant of state.grants.values()) {
    const at = stateOfGrant(grant, nowMs)
    const edge = at === 'p' && !grant.awaits ? grant.effectiveAtMs : grant.expiresAtMs
    if ((at === 'p' || at === 'u') && edge !== undefined) rebuilt.set(`g${grant.id}`, String(edge))
  }
  for (const [member, atMs] of eventsDue(state, nowMs)) rebuilt.set(member, String(atMs))
  for (const [id, record] of holds) {
    const parts = HOLD.exec(record)
    if (!parts) continue
    const lateMs = parts[1] === 'o' ? 0 : Number(parts[13] ?? LATE_WINDOW_MS)
    // Deadline and edge say the same; which of two that do not is right no entry says.
    rebuilt.set(`h${id}`, due.get(`h${id}`) ?? String(Number(parts[15]) + lateMs))
  }
  // An edge of a hold whose record is gone: what the call's own end may still say of it no entry can.
  for (const [member, atMs] of due) {
    const id = member.slice(1)
    if (member.startsWith('h') && !holds.has(id) && (state.ended.has(id) || state.holds.has(id)))
      rebuilt.set(member, atMs)
  }
  for (const [name, record] of budgets ?? []) {
    const [, touched = '', , , , , , , id = '', life = ''] = (name.startsWith('c:') && COUNTER.exec(record)) || []
    if (Number(life) > 0) rebuilt.set(`b${id}`, due.get(`b${id}`) ?? String(Number(touched) + Number(life)))
  }
  return rebuilt
}
