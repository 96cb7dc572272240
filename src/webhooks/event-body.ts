/** What a receiver gets: the event as Standard Webhooks asks for it, and the id that a repeat has too. */
import { createHash } from 'node:crypto'
import { formatAmount } from '../core/money.ts'
import { shownFields } from '../wallet/shown-fields.ts'
import type { LedgerEntry } from '../wallet/wallet-types.ts'

/** An event to be posted. */
export interface Message {
  readonly id: string
  readonly body: string
}

/**
 * In `data` account and sequence, and the facts of the event: amounts are decimal strings, in the `unit` beside them, of a
 * budget in its `measure`.
 */
export function eventMessage(
  receiver: string,
  account: string,
  entry: LedgerEntry,
  unitScales: ReadonlyMap<string, number>,
): Message {
  const { event: _, ...facts } = shownFields(entry, unitScales)
  const data = { account, seq: entry.seq, ...moneyOf(entry), ...facts }
  return { id: messageId(receiver, account, entry), body: bodyOf(entry.op, entry.atMs, data) }
}

/** Of an event about a wallet: how it stood right after. */
function moneyOf({ unit, scale, balanceAfter }: LedgerEntry): object {
  if (unit === '') return {}
  const balances = Object.entries(balanceAfter).map(([name, atoms]) => [name, formatAmount(atoms, scale)])
  return balances.length === 0 ? { unit } : { unit, balance_after: Object.fromEntries(balances) }
}

export function testMessage(id: string, nowMs: number): Message {
  return {
    id: `evt_${id}`,
    body: bodyOf('webhook.test', nowMs, { message: 'A test of this receiver by an operator.' }),
  }
}

function bodyOf(type: string, atMs: number, data: object): string {
  return JSON.stringify({ type, timestamp: new Date(atMs).toISOString(), data })
}

/** Of the receiver, the account and the entry: its time too, since a restored Redis may give a sequence twice. */
function messageId(receiver: string, account: string, { seq, atMs }: LedgerEntry): string {
  return `evt_${createHash('sha256').update(`${receiver}\n${account}\n${seq}\n${atMs}`).digest('hex').slice(0, 32)}`
}
