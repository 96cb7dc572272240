/** Settles that came too late to be charged: those that wait, and an operator's word on one. */

import { idTimeMs } from '../core/ids.ts'
import { type Atoms, parseAmount } from '../core/money.ts'
import { operationKey } from '../redis/keys.ts'
import { findTimeout } from './find-end.ts'
import { operation } from './grants.ts'
import { readPage } from './ledger.ts'
import { field, type ScriptCaller, statusOf } from './script-caller.ts'
import type { AdminRefusal, AdminResult, LedgerEntry, Unmatched, Wallet } from './wallet-types.ts'

const STATUSES = [
  'done',
  'conflict',
  'id_too_old',
  'already_resolved',
  'nothing_to_charge',
  'out_of_range',
] as const satisfies readonly ('done' | AdminRefusal)[]

/** In the entry for the script, and not for whoever reads the charge. */
const TERMS = ['final', 'timed_out', 'policy', 'facts']

export async function listUnmatched(
  scripts: ScriptCaller,
  account: string,
  { afterSeq, limit }: { readonly afterSeq: number; readonly limit: number },
): Promise<readonly Unmatched[]> {
  const reply = await scripts.call('unmatched', [scripts.keysOf(account).account], [])
  const page = reply
    .map(Number)
    .filter((seq) => seq > afterSeq)
    .sort((a, b) => a - b)
  const found: Unmatched[] = []
  for (const seq of page.slice(0, limit)) {
    const entry = await entryAt(scripts, account, seq)
    if (!entry) throw new Error(`unmatched ${seq} of ${account} has no entry in the ledger`)
    found.push(await unmatchedOf(scripts, account, entry))
  }
  return found
}

async function unmatchedOf(scripts: ScriptCaller, account: string, entry: LedgerEntry): Promise<Unmatched> {
  const { op, seq, unit, scale, fields } = entry
  const [mode = 'block'] = String(fields['policy']).split(',') as [Unmatched['onExhausted']]
  return {
    seq,
    call: op,
    unit,
    finalAtoms: parseAmount(String(fields['final']), scale),
    postedAtoms: await postedBefore(scripts, account, entry),
    onExhausted: mode,
    entry,
  }
}

/** What the call's timeout posted, at price. */
async function postedBefore(scripts: ScriptCaller, account: string, entry: LedgerEntry): Promise<Atoms> {
  const idMs = idTimeMs(entry.op)
  if (entry.fields['timed_out'] !== true || idMs === undefined) return 0n
  const timeout = await findTimeout(scripts, account, entry.op, idMs)
  if (!timeout) throw new Error(`the timeout of ${entry.op} is not in the ledger of ${account}`)
  const { at_price: atPrice, charged } = timeout.fields
  return parseAmount(String(atPrice ?? charged), timeout.scale)
}

async function entryAt(scripts: ScriptCaller, account: string, seq: number): Promise<LedgerEntry | undefined> {
  const { entries } = await readPage(scripts, account, seq, 1, undefined)
  return entries[0]?.seq === seq ? entries[0] : undefined
}

type Request = Parameters<Wallet['resolveUnmatched']>[0]

export async function resolveUnmatched(
  scripts: ScriptCaller,
  request: Request,
): Promise<AdminResult<{ seq: number; chargedAtoms: Atoms }>> {
  const { account, operationId, seq, decision, reason, actor } = request
  const entry = Number.isSafeInteger(seq) && seq > 0 ? await entryAt(scripts, account, seq) : undefined
  if (entry?.type !== 'unmatched' || entry.fields['final'] === undefined) return { status: 'unknown_unmatched' }
  const posted = decision === 'charge' ? await postedBefore(scripts, account, entry) : 0n
  const keys = scripts.keysOf(account)
  const reply = await scripts.call(
    'resolve_unmatched',
    [...keys.wallet, operationKey(keys, operationId)],
    [
      ...operation(operationId),
      String(seq),
      decision,
      String(posted),
      JSON.stringify({ reason }),
      JSON.stringify(decision === 'charge' ? { ...callOf(entry), reason } : { reason }),
      encodeURIComponent(actor),
    ],
  )
  const status = statusOf(reply, STATUSES)
  if (status !== 'done') return { status }
  return {
    status,
    replay: reply[1] === '1',
    value: { seq: Number(field(reply, 2)), chargedAtoms: BigInt(field(reply, 3)) },
  }
}

/** What the settle said of the call: its charge says it again. */
function callOf({ fields }: LedgerEntry): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !TERMS.includes(name)))
}
