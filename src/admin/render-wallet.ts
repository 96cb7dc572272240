/** What the wallet says, as the admin API shows it: decimal strings, RFC 3339 times, names of the contract. */
import type { Plan } from '../config/snapshot.ts'
import { type Atoms, formatAmount } from '../core/money.ts'
import { openPeriod, overflowPeriod } from '../core/overflow-period.ts'
import { shownFields } from '../wallet/shown-fields.ts'
import type { Balance, Grant, LedgerEntry, OpenHold } from '../wallet/wallet-types.ts'

export function timeText(atMs: number): string {
  return new Date(atMs).toISOString()
}

export function timeOrNull(atMs: number | undefined): string | null {
  return atMs === undefined ? null : timeText(atMs)
}

export function emptyBalance(unit: string, scale: number, frozen: boolean): Balance {
  return {
    unit,
    scale,
    grantedAtoms: 0n,
    postedAtoms: 0n,
    expiredAtoms: 0n,
    balanceAtoms: 0n,
    heldAtoms: 0n,
    availableAtoms: 0n,
    scopedAtoms: 0n,
    pendingAtoms: 0n,
    debtAtoms: 0n,
    overflowAtoms: 0n,
    overflowPeriods: {},
    closedPeriods: {},
    flaggedAtoms: 0n,
    postpaidAtoms: 0n,
    frozen,
  }
}

/**
 * What overage still allows in a wallet: nothing under block or in a unit that is not the plan's, what is left above
 * the floor or below the cap (open holds' overage counts as used), null for no limit (under observe there is none).
 */
export function headroomAtoms(
  balance: Balance,
  plan: Plan | undefined,
  heldOverageAtoms: Atoms,
  nowMs: number,
): Atoms | null {
  if (!plan || plan.unit !== balance.unit) return 0n
  // Whatever grants do not cover is flagged.
  if (plan.enforcement === 'observe') return null
  const policy = plan.onExhausted
  switch (policy.mode) {
    case 'block':
      return 0n
    case 'flag':
    case 'postpaid':
      return null
    case 'negative':
      return atLeastZero(-policy.floorAtoms - balance.debtAtoms - heldOverageAtoms)
    case 'overflow': {
      const period = openPeriod(overflowPeriod(policy.period, nowMs, plan.timezone), balance.closedPeriods)
      return atLeastZero(policy.capAtoms - (balance.overflowPeriods[period] ?? 0n) - heldOverageAtoms)
    }
  }
}

function atLeastZero(atoms: Atoms): Atoms {
  return atoms > 0n ? atoms : 0n
}

export function balanceJson(balance: Balance, headroom: Atoms | null) {
  const text = (atoms: Atoms) => formatAmount(atoms, balance.scale)
  return {
    unit: balance.unit,
    granted: text(balance.grantedAtoms),
    posted: text(balance.postedAtoms),
    expired: text(balance.expiredAtoms),
    balance: text(balance.balanceAtoms),
    held: text(balance.heldAtoms),
    available: text(balance.availableAtoms),
    scoped: text(balance.scopedAtoms),
    headroom: headroom === null ? null : text(headroom),
    pending: text(balance.pendingAtoms),
    debt: text(balance.debtAtoms),
    overflow: text(balance.overflowAtoms),
    overflow_periods: Object.fromEntries(
      Object.entries(balance.overflowPeriods).map(([period, atoms]) => [period, text(atoms)]),
    ),
    flagged: text(balance.flaggedAtoms),
    postpaid: text(balance.postpaidAtoms),
    frozen: balance.frozen,
  }
}

export function grantJson(grant: Grant) {
  const text = (atoms: Atoms) => formatAmount(atoms, grant.scale)
  return {
    id: grant.id,
    account: grant.account,
    key: grant.key ?? null,
    unit: grant.unit,
    amount: text(grant.amountAtoms),
    free: text(grant.freeAtoms),
    held: text(grant.heldAtoms),
    consumed: text(grant.consumedAtoms),
    expired: text(grant.expiredAtoms),
    voided: text(grant.voidedAtoms),
    funding: grant.funding,
    priority: grant.priority,
    created_at: timeText(grant.createdAtMs),
    effective_at: timeText(grant.effectiveAtMs),
    expires_at: timeOrNull(grant.expiresAtMs),
    voided_at: timeOrNull(grant.voidedAtMs),
    applies_to: grant.appliesTo ?? null,
    cost_basis: grant.costBasis ?? null,
    repays_debt: grant.repaysDebt,
    payment: grant.payment,
    availability: grant.availability,
    state: grant.state,
    labels: grant.labels,
    seq: grant.seq,
  }
}

export function holdJson(hold: OpenHold) {
  const text = (atoms: Atoms) => formatAmount(atoms, hold.scale)
  return {
    id: hold.id,
    account: hold.account,
    unit: hold.unit,
    held: text(hold.heldAtoms),
    overage: text(hold.overageAtoms),
    floor: text(hold.floorAtoms),
    checkpoint: text(hold.checkpointAtoms),
    created_at: timeText(hold.createdAtMs),
    deadline_at: timeText(hold.deadlineAtMs),
    slices: hold.slices.map((slice) => ({ grant: slice.grant, amount: text(slice.atoms) })),
    key: hold.key,
    model: hold.model,
    upstream: hold.upstream,
    endpoint: hold.endpoint,
    run: hold.run ?? null,
    user: hold.user ?? null,
  }
}

/** What every settle entry has (SPEC section 7), so that a reader need not ask whether a field is there. */
const SETTLE_FIELDS: Readonly<Record<string, unknown>> = {
  request_id: null,
  account: null,
  key: null,
  labels: {},
  tags: {},
  run: null,
  user: null,
  upstream: null,
  provider_request_id: null,
  model: null,
  endpoint: null,
  tokens: {},
  units: {},
  usage_source: null,
  usage: null,
  unpriced_kinds: [],
  price_version: null,
  charged: null,
  unit: null,
  cost: null,
  cost_unit: null,
  drawn: [],
  overage: null,
  hold: null,
  trimmed: null,
  cut: false,
  late: false,
  would: null,
  status: null,
  duration_ms: null,
  ttfb_ms: null,
}

/** Ends that charge a call: what a charge's id may name. */
export const CHARGE_TYPES: readonly string[] = ['settle', 'late_settle', 'timeout']

export function ledgerJson(entry: LedgerEntry, account: string, unitScales: ReadonlyMap<string, number>) {
  const text = (atoms: Atoms) => formatAmount(atoms, entry.scale)
  const settles = entry.type === 'settle' || entry.type === 'late_settle'
  const unit = entry.unit === '' ? {} : { unit: entry.unit }
  const settled = settles ? { ...SETTLE_FIELDS, request_id: entry.op, account } : {}
  return {
    seq: entry.seq,
    at: timeText(entry.atMs),
    type: entry.type,
    op: entry.op,
    actor: entry.actor,
    legs: entry.legs.map((leg) => ({ account: leg.account, amount: text(leg.atoms), unit: entry.unit })),
    balance_after: Object.fromEntries(Object.entries(entry.balanceAfter).map(([of, atoms]) => [of, text(atoms)])),
    ...settled,
    ...unit,
    ...shownFields(entry, unitScales),
  }
}
