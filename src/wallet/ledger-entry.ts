/** A ledger entry taken apart. How it is packed: redis-scripts/README.md. */
import { type Atoms, formatAmount } from '../core/money.ts'
import { readExceeded, readValues } from './budget-events.ts'
import { readPayment, readSlices } from './packed.ts'
import { unpackInfo } from './packed-info.ts'
import { field } from './script-caller.ts'
import type { LedgerEntry } from './wallet-types.ts'

type Leg = LedgerEntry['legs'][number]

const BALANCE_NAMES = ['available', 'held', 'balance', 'scoped', 'pending', 'debt', 'overflow', 'flagged', 'postpaid']

/** type|at|operation|actor|unit|scale|transfers|balances|extra, and the JSON that came with the operation. */
export function decodeEntry(seq: number, packed: string, info: string): LedgerEntry {
  const parts = packed.split('|')
  const type = field(parts, 0)
  const scale = Number(field(parts, 5))
  const legs = readLegs(field(parts, 6))
  return {
    seq,
    atMs: Number(field(parts, 1)),
    type,
    op: decodeURIComponent(field(parts, 2)),
    actor: decodeURIComponent(field(parts, 3)) || 'gateway',
    unit: field(parts, 4),
    scale,
    legs,
    balanceAfter: readBalances(field(parts, 7)),
    fields: {
      ...readInfo(info),
      ...readExtra(type, field(parts, 4), scale, field(parts, 8)),
      ...chargeOf(type, scale, legs, field(parts, 8)),
      ...heldOf(type, scale, field(parts, 8)),
      ...(type === 'event' && { event: decodeURIComponent(field(parts, 2)) }),
    },
  }
}

/** from>to=amount,…: two legs each, one below and one above zero, in this order. */
function readLegs(text: string): readonly Leg[] {
  if (text === '') return []
  return text.split(',').flatMap((transfer) => {
    const match = /^([^>]+)>([^=]+)=(\d+)$/.exec(transfer)
    if (!match) throw new TypeError(`unknown transfer ${transfer}`)
    const atoms = BigInt(match[3] as string)
    return [
      { account: match[1] as string, atoms: -atoms },
      { account: match[2] as string, atoms },
    ]
  })
}

/** available,held of a wallet that has nothing else (then the balance is the two together); otherwise all nine. */
function readBalances(text: string): Readonly<Record<string, Atoms>> {
  if (text === '') return {}
  const values = text.split(',').map(BigInt)
  if (values.length === 2) values.push((values[0] ?? 0n) + (values[1] ?? 0n))
  return Object.fromEntries(BALANCE_NAMES.map((name, index) => [name, values[index] ?? 0n]))
}

function readInfo(info: string): Readonly<Record<string, unknown>> {
  return info === '' ? {} : (JSON.parse(unpackInfo(info)) as Record<string, unknown>)
}

type ReadValue = (value: string, scale: number) => unknown

const amount: ReadValue = (value, scale) => formatAmount(BigInt(value), scale)
const flag: ReadValue = (value) => value === '1'
const number: ReadValue = (value) => Number(value)
const text: ReadValue = (value) => decodeURIComponent(value)

const EXTRA: Readonly<Record<string, ReadValue>> = {
  hold: amount,
  released: amount,
  overrun: amount,
  known: amount,
  final: amount,
  late: flag,
  whole: flag,
  awaits: flag,
  in_force: flag,
  rollover: flag,
  charge: number,
  unmatched: number,
  timed_out: flag,
  dismissed: flag,
  at_price: amount,
  payment: readPayment,
  policy: (value) => value,
  /** Of the call, as the scripts have them, but with & for ; */
  facts: (value) => value,
  amount,
  orphan: flag,
  activated: flag,
  frozen: flag,
  tokens: number,
  payable: number,
  number,
  effective: number,
  expires: (value) => (value === '' ? null : Number(value)),
  budgets: (value) => (value === '' ? [] : value.split(',').map(readCount)),
  /** ID=FIELD,… of counters that came to be with this entry. */
  counters: (value) => Object.fromEntries(value.split(',').map((part) => splitAt(part, '='))),
  counter: (value) => Object.fromEntries([splitAt(value, '=')]),
  exceeded: (value) => value.split(',').map(decodeURIComponent),
  spent: number,
  needed: amount,
  at: (value) => `${Number(value) / 10_000}%`,
  threshold: amount,
  below: amount,
  balance: amount,
  hours_left: number,
  per_minute: amount,
  left: amount,
  requested: amount,
  at_most: amount,
  slices: (value, scale) =>
    readSlices(value).map(({ grant, atoms }) => ({ grant, amount: formatAmount(atoms, scale) })),
  over: (value, scale) => {
    const at = value.lastIndexOf('=')
    return { account: value.slice(0, at), amount: amount(value.slice(at + 1), scale) }
  },
}

/** ID@start:amount */
function readCount(text: string): { readonly id: string; readonly start: number; readonly amount: string } {
  const match = /^(\d+)@(\d+):(\d+)$/.exec(text)
  if (!match) throw new TypeError(`unknown count ${text}`)
  return { id: match[1] as string, start: Number(match[2]), amount: match[3] as string }
}

function splitAt(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** An entry's own `at` is its time. */
const RENAMED: Readonly<Record<string, string>> = { price: 'price_version', at: 'share' }

/** name=value;…: amounts become decimal strings, flags booleans. */
function readExtra(type: string, unit: string, scale: number, packed: string): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = type === 'timeout' ? { unreconciled: true } : {}
  for (const part of packed.split(';')) {
    const at = part.indexOf('=')
    if (at <= 0) continue
    const name = part.slice(0, at)
    if (name === 'exceeds') Object.assign(fields, readExceeded(part.slice(at + 1), unit, scale))
    else if (name === 'values') Object.assign(fields, readValues(part.slice(at + 1)))
    else fields[RENAMED[name] ?? name] = (EXTRA[name] ?? text)(part.slice(at + 1), scale)
  }
  return fields
}

/** What a hold holds: its parts of grants and its overage. */
function heldOf(type: string, scale: number, extra: string): Readonly<Record<string, unknown>> {
  if (type !== 'hold') return {}
  const slices = readSlices(/(?:^|;)slices=([^;]*)/.exec(extra)?.[1] ?? '')
  const over = BigInt(/(?:^|;)over=[^;]*=(\d+)/.exec(extra)?.[1] ?? '0')
  return {
    held: formatAmount(
      slices.reduce((sum, slice) => sum + slice.atoms, over),
      scale,
    ),
  }
}

const OVERAGE_MODES: Readonly<Record<string, string>> = { debt: 'negative', flagged: 'flag', postpaid: 'postpaid' }
const CHARGES = ['settle', 'timeout', 'late_settle']

/** What a charge took, read from its legs: `charged` is net, below zero where a late settle gave back. */
function chargeOf(type: string, scale: number, legs: readonly Leg[], extra: string): Readonly<Record<string, unknown>> {
  if (!CHARGES.includes(type)) return {}
  const overrun = BigInt(/(?:^|;)overrun=(\d+)/.exec(extra)?.[1] ?? '0')
  const taken = new Map<string, Atoms>()
  for (let i = 0; i + 1 < legs.length; i += 2) {
    const [from, to] = [legs[i] as Leg, legs[i + 1] as Leg]
    if (to.account === 'consumed') taken.set(from.account, (taken.get(from.account) ?? 0n) + to.atoms)
    if (from.account === 'consumed') taken.set(to.account, (taken.get(to.account) ?? 0n) - to.atoms)
  }
  const charged = [...taken.values()].reduce((sum, atoms) => sum + atoms, 0n)
  const drawn = [...taken].filter(([account]) => account.startsWith('grant:'))
  const others = [...taken].filter(([account]) => !account.startsWith('grant:') && !account.startsWith('fund:'))
  return {
    charged: formatAmount(charged, scale),
    drawn: drawn.map(([account, atoms]) => ({ grant: account.slice(6), amount: formatAmount(atoms, scale) })),
    overage: overageOf(others, overrun, scale),
    late: type === 'late_settle',
  }
}

function overageOf(others: readonly (readonly [string, Atoms])[], overrun: Atoms, scale: number): object | null {
  for (const [account, atoms] of others) {
    const amount = account === 'debt' ? atoms - overrun : atoms
    if (amount !== 0n) return { mode: OVERAGE_MODES[account] ?? 'overflow', amount: formatAmount(amount, scale) }
  }
  return null
}
