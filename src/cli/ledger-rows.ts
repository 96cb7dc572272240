/** A ledger entry as one line that finance can read. */
import type { z } from 'zod'
import type { ledgerAnswer } from '../admin/schemas.ts'
import type { Column } from './table.ts'

export type LedgerRow = z.infer<typeof ledgerAnswer>

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** Sum of the legs of accounts that begin so; exact, in the decimals that the legs are written with. */
function sumOfLegs(row: LedgerRow, prefix: string): string {
  const parts = row.legs.filter((leg) => leg.account.startsWith(prefix)).map((leg) => leg.amount)
  const decimals = Math.max(0, ...parts.map((part) => part.split('.')[1]?.length ?? 0))
  const sum = parts.reduce((total, part) => {
    const [whole = '0', fraction = ''] = part.replace('-', '').split('.')
    const atoms = BigInt(whole + fraction.padEnd(decimals, '0'))
    return total + (part.startsWith('-') ? -atoms : atoms)
  }, 0n)
  const digits = String(sum < 0n ? -sum : sum).padStart(decimals + 1, '0')
  const fraction = decimals === 0 ? '' : digits.slice(-decimals).replace(/0+$/, '')
  return `${sum < 0n ? '-' : ''}${digits.slice(0, digits.length - decimals)}${fraction === '' ? '' : `.${fraction}`}`
}

function negated(amount: string): string {
  if (amount === '0' || amount === '') return amount
  return amount.startsWith('-') ? amount.slice(1) : `-${amount}`
}

/** What the entry did to the customer's money: more is positive. Holds reserve and change nothing. */
function changeOf(row: LedgerRow): string {
  switch (row.type) {
    case 'grant':
    case 'allowance':
      return negated(sumOfLegs(row, 'fund:'))
    case 'adjust':
      return negated(sumOfLegs(row, 'adjust') === '0' ? sumOfLegs(row, 'voided') : sumOfLegs(row, 'adjust'))
    case 'expire':
      return negated(sumOfLegs(row, 'expired'))
    case 'refund':
      return text(row['amount'])
    case 'grant_void':
    case 'clawback':
      return negated(sumOfLegs(row, 'voided'))
    case 'settle':
    case 'timeout':
    case 'late_settle':
      return negated(text(row['charged']))
    default:
      return ''
  }
}

function tokensOf(row: LedgerRow): string {
  const tokens = row['tokens']
  if (typeof tokens !== 'object' || tokens === null) return ''
  return Object.entries(tokens)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(', ')
}

// Of events, in the order in which they are read.
const EVENT_FACTS = [
  'budget',
  'balance',
  'below',
  'share',
  'hours_left',
  'needed',
  'mode',
  'period',
  'amount',
  'spent',
  'held',
  'limit',
  'resets_at',
  'count',
  'max_values',
  'left',
  'expires_at',
  'requested',
  'at_most',
]

/** The name of an event, and what it is about: `wallet.low: balance 0.7, below 0.75`. */
function eventOf(row: LedgerRow): string {
  if (row.type !== 'event') return ''
  const facts = EVENT_FACTS.flatMap((name) =>
    text(row[name]) === '' ? [] : [`${name.replaceAll('_', ' ')} ${text(row[name])}`],
  )
  return `${row.op}${facts.length > 0 ? `: ${facts.join(', ')}` : ''}`
}

function detailsOf(row: LedgerRow): string {
  const overage = row['overage'] as { readonly mode?: string; readonly amount?: string } | null | undefined
  const call = [row['model'], row['key'] && `key ${text(row['key'])}`, row['run'] && `run ${text(row['run'])}`]
  const facts = [
    eventOf(row),
    ...call.map(text),
    row.type === 'hold' ? `holds ${text(row['held'] ?? row['hold'])}` : '',
    tokensOf(row),
    row['usage_source'] === 'estimate' ? 'estimated' : '',
    overage?.mode ? `${overage.mode} overage ${overage.amount}` : '',
    row['overrun'] && row['overrun'] !== '0' ? `overrun ${text(row['overrun'])}` : '',
    row['exceeded'] ? `beyond budget ${(row['exceeded'] as readonly string[]).join(', ')}` : '',
    row['cut'] === true ? 'cut' : '',
    row['unreconciled'] === true ? 'unreconciled' : '',
    typeof row['frozen'] === 'boolean' ? (row['frozen'] ? 'frozen' : 'unfrozen') : '',
    text(row['grant']) && `grant ${text(row['grant'])}`,
    text(row['reason']),
    row.actor === 'gateway' ? '' : `by ${row.actor}`,
  ]
  return facts.filter((fact) => fact !== '' && fact !== undefined).join('; ')
}

export const LEDGER_COLUMNS: readonly Column<LedgerRow>[] = [
  { title: 'SEQ', right: true, text: (row) => String(row.seq) },
  { title: 'TIME (UTC)', text: (row) => row.at.replace('T', ' ').replace('Z', '') },
  { title: 'TYPE', text: (row) => row.type },
  { title: 'CHANGE', right: true, text: changeOf },
  { title: 'UNIT', text: (row) => row.legs[0]?.unit ?? text(row['unit']) },
  { title: 'AVAILABLE', right: true, text: (row) => row.balance_after['available'] ?? '' },
  { title: 'DETAILS', text: detailsOf },
]
