/** The records of the scripts, taken apart. Their form is in redis-scripts/README.md. */
import type { Atoms } from '../core/money.ts'
import { decodeFacts } from './encode.ts'
import { field } from './script-caller.ts'
import type { AppliesTo, Balance, BudgetCounter, Funding, Grant, OpenHold, Overage } from './wallet-types.ts'

export interface Slice {
  readonly grant: string
  readonly atoms: Atoms
}

/** "GRANT:AMOUNT,…" in the order of drawing. */
export function readSlices(text: string): readonly Slice[] {
  if (text === '') return []
  return text.split(',').map((part) => {
    const [grant, amount] = part.split(':')
    return { grant: grant as string, atoms: BigInt(amount as string) }
  })
}

export function readOverage(mode: string, amount: string): Overage | undefined {
  if (mode === 'negative' || mode === 'overflow' || mode === 'flag' || mode === 'postpaid') {
    return { mode, atoms: BigInt(amount) }
  }
  if (mode === '') return undefined
  throw new TypeError(`unknown overage ${mode}`)
}

/** What the scripts keep of a grant without reading it: the JSON of `i:ID`. */
export interface GrantFacts {
  readonly key?: string
  readonly scale: number
  readonly funding: Funding
  readonly priority: number
  readonly appliesTo?: AppliesTo
  readonly costBasis?: string
  readonly repaysDebt: boolean
  readonly labels: Readonly<Record<string, string>>
}

const STATES: Readonly<Record<string, Grant['state']>> = {
  p: 'pending',
  u: 'usable',
  x: 'expired',
  v: 'voided',
  c: 'clawed_back',
}
const PAYMENTS: readonly Grant['payment'][] = ['none', 'pending', 'authorized', 'settled', 'failed']
const AVAILABILITIES: readonly Grant['availability'][] = ['on_creation', 'on_authorized', 'on_settled']

/** By its letter. */
export function readPayment(letter: string): Grant['payment'] {
  return PAYMENTS.find((word) => word.startsWith(letter || 'n')) ?? 'none'
}

/** payment,availability,rollover, each by its letter. */
function readTerms(text: string): Pick<Grant, 'payment' | 'availability'> {
  const [payment = 'n', availability = 'c'] = text.split(',')
  return {
    payment: readPayment(payment),
    availability: AVAILABILITIES.find((word) => word.charAt(3) === availability) ?? 'on_creation',
  }
}

export function readGrant(account: string, id: string, record: string, facts: string): Grant {
  const parts = record.split('|')
  const atoms = (index: number): Atoms => BigInt(field(parts, index))
  const time = (index: number): number | undefined => (parts[index] ? Number(parts[index]) : undefined)
  const [free, held, consumed, expired, voided] = [atoms(1), atoms(2), atoms(3), atoms(6), atoms(7)] as const
  const { key, appliesTo, costBasis, scale, funding, priority, repaysDebt, labels } = JSON.parse(facts) as GrantFacts
  return {
    id,
    account,
    key,
    ...readTerms(field(parts, 13)),
    state: STATES[field(parts, 4)] ?? 'voided',
    unit: field(parts, 14),
    scale,
    amountAtoms: free + held + consumed + expired + voided,
    freeAtoms: free,
    heldAtoms: held,
    consumedAtoms: consumed,
    expiredAtoms: expired,
    voidedAtoms: voided,
    funding,
    priority,
    createdAtMs: Number(field(parts, 9)),
    effectiveAtMs: Number(field(parts, 10)),
    expiresAtMs: time(11),
    voidedAtMs: time(8),
    appliesTo,
    costBasis,
    repaysDebt,
    labels,
    seq: Number(field(parts, 15).slice(-42, -26)),
  }
}

export function readOpenHold(account: string, id: string, record: string, scale: number): OpenHold {
  const parts = record.split('|')
  const slices = readSlices(field(parts, 8))
  const overageAtoms = BigInt(field(parts, 4))
  return {
    id,
    account,
    unit: field(parts, 2),
    scale,
    heldAtoms: slices.reduce((sum, slice) => sum + slice.atoms, overageAtoms),
    overageAtoms,
    floorAtoms: BigInt(field(parts, 10)),
    checkpointAtoms: BigInt(field(parts, 11)),
    createdAtMs: Number(field(parts, 13)),
    deadlineAtMs: Number(field(parts, 14)),
    slices,
    ...decodeFacts(field(parts, 18)),
  }
}

const TOTAL_PART = 1_000_000_000_000_000n

/** A wallet of `balances.lua`: the live record, lifetime totals in two parts each, overflow as PERIOD=posted,held;… */
export function readBalance(unit: string, frozen: boolean, wallet: string, totals: string, periods: string): Balance {
  const live = wallet.split('|')
  const lifetime = totals.split('|').map(BigInt)
  // What is rare is left out where there is nothing of it.
  const atoms = (index: number): Atoms => BigInt(live[index] ?? '0')
  const total = (index: number): Atoms => (lifetime[index] ?? 0n) * TOTAL_PART + (lifetime[index + 1] ?? 0n)
  return {
    unit,
    scale: Number(field(live, 4)),
    grantedAtoms: total(0),
    postedAtoms: total(2),
    expiredAtoms: total(4),
    balanceAtoms: atoms(1) + atoms(5) + atoms(2),
    heldAtoms: atoms(3),
    availableAtoms: atoms(1),
    scopedAtoms: atoms(5),
    pendingAtoms: atoms(6),
    debtAtoms: atoms(7),
    overflowAtoms: atoms(9),
    overflowPeriods: readPeriods(periods),
    closedPeriods: readClosed(periods),
    flaggedAtoms: atoms(10),
    postpaidAtoms: atoms(11),
    frozen,
  }
}

type PeriodParts = readonly [name: string, posted: string, held: string, closedAt: string]

function periodParts(text: string): readonly PeriodParts[] {
  return text === '' ? [] : text.split(';').map((part) => part.split(/[=,]/) as unknown as PeriodParts)
}

/** Periods in which something was posted, in order of their names. */
function readPeriods(text: string): Readonly<Record<string, Atoms>> {
  const posted = periodParts(text).filter(([, amount]) => amount !== '0')
  return Object.fromEntries(posted.sort(byName).map(([name, amount]) => [name, BigInt(amount)]))
}

function readClosed(text: string): Readonly<Record<string, number>> {
  const closed = periodParts(text).filter(([, , , closedAt]) => closedAt !== '')
  return Object.fromEntries(closed.sort(byName).map(([name, , , closedAt]) => [name, Number(closedAt)]))
}

function byName(a: PeriodParts, b: PeriodParts): number {
  return a[0] < b[0] ? -1 : 1
}

/** 1|touched|spent|held|start|until|older_spent|older_held|id|life|group|rolling|end|older */
export function readCounter(name: string, record: string): BudgetCounter {
  const parts = record.split('|')
  return {
    field: name,
    id: field(parts, 8),
    touchedAtMs: Number(field(parts, 1)),
    slots: slotsOfCounter(parts).map(readSlot),
  }
}

/** start:spent:held:end of each window that a counter keeps, the newest last. */
export function slotsOfCounter(parts: readonly string[]): readonly string[] {
  const [, , spent = '', held = '', start = '', , , , , , , , ends = '', older = ''] = parts
  const newest = start === '' ? [] : [`${start}:${spent}:${held}:${ends}`]
  return older === '' ? newest : [...older.split(','), ...newest]
}

function readSlot(text: string): BudgetCounter['slots'][number] {
  const [start = '', spent = '', held = '', ends = ''] = text.split(':')
  return {
    startAtMs: Number(start),
    endsAtMs: ends === '' ? undefined : Number(ends),
    spent: BigInt(spent),
    held: BigInt(held),
  }
}
