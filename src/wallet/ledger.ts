/** The ledger as it is read: entries taken apart, a page at a time. How they are packed: redis-scripts/README.md. */
import { type Atoms, formatAmount } from '../core/money.ts'
import { readSlices } from './packed.ts'
import { field, type ScriptCaller } from './script-caller.ts'
import type { LedgerEntry } from './wallet-types.ts'

type Leg = LedgerEntry['legs'][number]

const BALANCE_NAMES = ['balance', 'available', 'scoped', 'held', 'pending', 'debt', 'overflow', 'flagged', 'postpaid']
const SCANNED_MAX = 1000

/** Entries after a sequence, oldest first, at most `limit`, of one type or all. */
export async function readLedger(
  scripts: ScriptCaller,
  account: string,
  page: { readonly afterSeq: number; readonly limit: number; readonly type: string | undefined },
): Promise<readonly LedgerEntry[]> {
  const found: LedgerEntry[] = []
  let from = page.afterSeq + 1
  while (found.length < page.limit) {
    const count = page.type === undefined ? Math.min(SCANNED_MAX, page.limit - found.length) : SCANNED_MAX
    const read = await readPage(scripts, account, from, count, page.type)
    found.push(...read.entries)
    if (read.lastSeq === undefined) break
    from = read.lastSeq + 1
  }
  return found.slice(0, page.limit)
}

/** One read of the stream: `limit` entries looked at, those of the type answered. lastSeq undefined: the end. */
export async function readPage(
  scripts: ScriptCaller,
  account: string,
  fromSeq: number,
  limit: number,
  type: string | undefined,
): Promise<{ readonly entries: readonly LedgerEntry[]; readonly lastSeq: number | undefined }> {
  const keys = scripts.keysOf(account)
  const reply = await scripts.call('ledger', [keys.ledger], [String(fromSeq), String(limit), type ?? ''])
  const entries: LedgerEntry[] = []
  for (let i = 1; i < reply.length; i += 3) {
    entries.push(decodeEntry(Number(reply[i]), field(reply, i + 1), field(reply, i + 2)))
  }
  return { entries, lastSeq: reply[0] ? Number(reply[0]) : undefined }
}

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
      ...readExtra(type, scale, field(parts, 8)),
      ...chargeOf(type, scale, legs, field(parts, 8)),
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

function readBalances(text: string): Readonly<Record<string, Atoms>> {
  if (text === '') return {}
  const values = text.split(',')
  return Object.fromEntries(BALANCE_NAMES.map((name, index) => [name, BigInt(values[index] ?? '0')]))
}

function readInfo(info: string): Readonly<Record<string, unknown>> {
  return info === '' ? {} : (JSON.parse(info) as Record<string, unknown>)
}

/** name=value;…: amounts become decimal strings, flags booleans. */
function readExtra(type: string, scale: number, text: string): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = type === 'timeout' ? { unreconciled: true } : {}
  for (const part of text.split(';')) {
    const at = part.indexOf('=')
    if (at > 0) readExtraField(fields, scale, part.slice(0, at), part.slice(at + 1))
  }
  return fields
}

function readExtraField(fields: Record<string, unknown>, scale: number, name: string, value: string): void {
  const amount = (text: string): string => formatAmount(BigInt(text), scale)
  if (
    name === 'hold' ||
    name === 'held' ||
    name === 'released' ||
    name === 'overrun' ||
    name === 'known' ||
    name === 'final'
  ) {
    fields[name] = amount(value)
  } else if (name === 'slices') {
    fields['slices'] = readSlices(value).map((slice) => ({
      grant: slice.grant,
      amount: formatAmount(slice.atoms, scale),
    }))
  } else if (name === 'over') {
    const at = value.lastIndexOf('=')
    fields['over'] = { account: value.slice(0, at), amount: amount(value.slice(at + 1)) }
  } else if (name === 'late' || name === 'orphan' || name === 'activated' || name === 'frozen') {
    fields[name] = value === '1'
  } else if (name === 'tokens' || name === 'number' || name === 'effective') {
    fields[name] = Number(value)
  } else if (name === 'expires') {
    fields['expires'] = value === '' ? null : Number(value)
  } else {
    fields[name === 'price' ? 'price_version' : name] = decodeURIComponent(value)
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
