import { parseAmount } from '../core/money.ts'
import { readPage } from './ledger.ts'
import type { ScriptCaller } from './script-caller.ts'
import type { LedgerEntry, SettleResult } from './wallet-types.ts'

// Clocks of gateways and of Redis may differ by this much: entries are dated by the one, ids by the other.
const CLOCK_DIFFERENCE_MS = 300_000
const PAGE = 1000

/**
 * Looks in the ledger for how a call ended whose records are gone: its settle, late settle, unmatched entry or void.
 * Undefined where it has none. Reads on from the time in the id: pages of 1,000, for ids older than an hour alone.
 */
export async function findEnd(
  scripts: ScriptCaller,
  account: string,
  id: string,
  idMs: number,
): Promise<SettleResult | undefined> {
  let from = await firstSeqAt(scripts, account, idMs - CLOCK_DIFFERENCE_MS)
  let end: LedgerEntry | undefined
  for (;;) {
    const page = await readPage(scripts, account, from, PAGE, undefined)
    // A timeout is no end for this purpose: a late settle may have followed it.
    end = page.entries.find((entry) => entry.op === id && STATUS[entry.type] !== undefined) ?? end
    if (end !== undefined || page.lastSeq === undefined) return end && resultOf(end)
    from = page.lastSeq + 1
  }
}

const STATUS: Readonly<Record<string, SettleResult['status']>> = {
  settle: 'settled',
  late_settle: 'late_settled',
  unmatched: 'unmatched',
  void: 'hold_not_open',
}

/** The answer as far as the entry has it; a late settle's figures are those of the entry, not the net of the call. */
function resultOf(entry: LedgerEntry): SettleResult {
  const { charged, drawn, overrun } = entry.fields as {
    charged?: string
    drawn?: readonly { grant: string; amount: string }[]
    overrun?: string
  }
  const atoms = (text: string | undefined): bigint => parseAmount(text ?? '0', entry.scale)
  return {
    status: entry.fields['orphan'] === true ? 'orphan_settled' : (STATUS[entry.type] as SettleResult['status']),
    replay: entry.type !== 'void',
    seq: entry.seq,
    chargedAtoms: atoms(charged),
    drawn: (drawn ?? []).map((part) => ({ grant: part.grant, atoms: atoms(part.amount) })),
    overage: overageOf(entry),
    overrunAtoms: atoms(overrun),
    availableAtoms: entry.balanceAfter['available'] ?? 0n,
  }
}

function overageOf(entry: LedgerEntry): SettleResult['overage'] {
  const overage = entry.fields['overage'] as { mode: string; amount: string } | null | undefined
  if (!overage) return undefined
  const mode = overage.mode as NonNullable<SettleResult['overage']>['mode']
  return { mode, atoms: parseAmount(overage.amount, entry.scale) }
}

/** The first entry dated at or after `atMs`, by halving; entries dated by a due time may be a little out of order. */
async function firstSeqAt(scripts: ScriptCaller, account: string, atMs: number): Promise<number> {
  const first = await readPage(scripts, account, 0, 1, undefined)
  let low = first.entries[0]?.seq ?? 1
  let high = low
  const dateAt = async (seq: number): Promise<number | undefined> =>
    (await readPage(scripts, account, seq, 1, undefined)).entries[0]?.atMs
  while (((await dateAt(high)) ?? Number.POSITIVE_INFINITY) < atMs) high *= 2
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (((await dateAt(middle)) ?? Number.POSITIVE_INFINITY) < atMs) low = middle + 1
    else high = middle
  }
  return low
}
