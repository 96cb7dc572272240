/** The answers to a retry: what a hold or settle was answered, as its ledger entry has it. */
import { type Atoms, parseAmount } from '../core/money.ts'
import { readOverage } from './packed.ts'
import {
  type Held,
  HOLD_REFUSALS,
  type HoldRefusalStatus,
  type LedgerEntry,
  type Overage,
  type SettleResult,
} from './wallet-types.ts'

interface Part {
  readonly grant: string
  readonly amount: string
}

const MODES: Readonly<Record<string, string>> = { debt: 'negative', flagged: 'flag', postpaid: 'postpaid' }

export function heldOf(entry: LedgerEntry): Held {
  const { tokens, payable, slices, over, would, exceeded } = entry.fields as {
    tokens: number
    payable?: number
    slices: readonly Part[]
    over?: { readonly account: string; readonly amount: string }
    would?: string
    exceeded?: readonly string[]
  }
  const overage = over && readOverage(MODES[over.account] ?? 'overflow', String(parseAmount(over.amount, entry.scale)))
  return {
    status: 'held',
    replay: true,
    seq: entry.seq,
    tokens,
    payableTokens: payable ?? tokens,
    heldAtoms: slices.reduce((sum, slice) => sum + parseAmount(slice.amount, entry.scale), overage?.atoms ?? 0n),
    overage,
    availableAtoms: entry.balanceAfter['available'] ?? 0n,
    ...readWould(would ?? ''),
    exceeded: exceeded ?? [],
  }
}

/** STATUS, or STATUS:FIELD of the budget that said so. */
export function readWould(text: string): Pick<Held, 'would' | 'wouldRule'> {
  const colon = text.indexOf(':')
  const status = colon < 0 ? text : text.slice(0, colon)
  const would = HOLD_REFUSALS.find((known: HoldRefusalStatus) => known === status)
  if (text !== '' && would === undefined) throw new TypeError(`unknown status ${status}`)
  return { would, wouldRule: colon < 0 ? undefined : text.slice(colon + 1) }
}

const STATUS: Readonly<Record<string, SettleResult['status']>> = {
  settle: 'settled',
  late_settle: 'late_settled',
  unmatched: 'unmatched',
  void: 'hold_not_open',
}

/** Whether an entry ends the call it is about for good. A timeout does not: a late settle may follow it. */
export function isEnd(entry: LedgerEntry): boolean {
  return STATUS[entry.type] !== undefined
}

/** Of a settle, void or unmatched entry. A late settle's figures are those of its entry, not the net of the call. */
export function settledOf(entry: LedgerEntry): SettleResult {
  const { charged, drawn, overrun, overage, orphan } = entry.fields as {
    charged?: string
    drawn?: readonly Part[]
    overrun?: string
    overage?: { readonly mode: Overage['mode']; readonly amount: string } | null
    orphan?: boolean
  }
  const atoms = (text: string | undefined): Atoms => parseAmount(text ?? '0', entry.scale)
  return {
    status: orphan === true ? 'orphan_settled' : (STATUS[entry.type] ?? 'hold_not_open'),
    replay: entry.type !== 'void',
    seq: entry.seq,
    chargedAtoms: atoms(charged),
    drawn: (drawn ?? []).map((part) => ({ grant: part.grant, atoms: atoms(part.amount) })),
    overage: overage ? { mode: overage.mode, atoms: atoms(overage.amount) } : undefined,
    overrunAtoms: atoms(overrun),
    availableAtoms: entry.balanceAfter['available'] ?? 0n,
  }
}
