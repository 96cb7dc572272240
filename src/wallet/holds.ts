/** A call's money: hold, checkpoint, settle, void, and the sweep of what nobody ended. */

import { hash } from 'node:crypto'
import { idTimeMs } from '../core/ids.ts'
import { ATOMS_MAX } from '../core/money.ts'
import { denialsKey, operationsKey } from '../redis/keys.ts'
import { heldOf, readWould, settledOf } from './answers.ts'
import { encodeAlerts, encodeAmounts, encodeBudgets, encodeFacts, encodeFinals, encodePolicy } from './encode.ts'
import { findEnd } from './find-end.ts'
import { readRawEntry } from './ledger.ts'
import { decodeEntry } from './ledger-entry.ts'
import { readOpenHold, readOverage, readSlices } from './packed.ts'
import { packInfo } from './packed-info.ts'
import { field, type Reply, type ScriptCaller, statusOf } from './script-caller.ts'
import {
  type CheckpointRequest,
  type CheckpointResult,
  EntriesMissing,
  type Held,
  HOLD_REFUSALS,
  type HoldRefused,
  type HoldRequest,
  type HoldTerms,
  type LedgerEntry,
  type OpenHold,
  type SettleRequest,
  type SettleResult,
  type VoidRequest,
  type VoidResult,
} from './wallet-types.ts'

const SETTLED = ['settled', 'late_settled', 'orphan_settled', 'unmatched', 'hold_not_open', 'conflict'] as const
const CHECKPOINTED = [
  'conflict',
  'hold_not_open',
  'out_of_range',
  'held_by_open_calls',
  'insufficient_funds',
  'budget_exceeded',
] as const
const NOTHING = {
  seq: 0,
  chargedAtoms: 0n,
  drawn: [],
  overage: undefined,
  overrunAtoms: 0n,
  availableAtoms: 0n,
} as const

/** Throws RangeError where the id was not made by newId: its time tells how long its records must be kept. */
export function timeOfId(id: string): number {
  const idMs = idTimeMs(id)
  if (idMs === undefined) throw new RangeError(`${JSON.stringify(id.slice(0, 40))} is no id of ours`)
  return idMs
}

export async function hold(scripts: ScriptCaller, request: HoldRequest): Promise<Held | HoldRefused> {
  const keys = scripts.keysOf(request.account)
  const idMs = timeOfId(request.id)
  const largest = request.fixedAtoms > request.perTokenAtoms ? request.fixedAtoms : request.perTokenAtoms
  if (largest > ATOMS_MAX) return outOfRange(largest)
  for (const { fixed, perToken } of request.amounts ?? [])
    if (fixed > ATOMS_MAX || perToken > ATOMS_MAX) return outOfRange(fixed > perToken ? fixed : perToken)
  const allKeys = [...keys.wallet, operationsKey(keys, idMs), keys.refusals, denialsKey(keys, idMs)]
  let reply = await scripts.call('hold', allKeys, holdArguments(request, idMs))
  while (reply[0] === 'sweep_first') {
    // A dry run writes nothing: what time has decided is written by the sweep, then the question is asked again.
    await sweep(scripts, request.account)
    reply = await scripts.call('hold', allKeys, holdArguments(request, idMs))
  }
  if (reply[0] === 'from_ledger') return heldOf(await entryOf(scripts, request.account, reply))
  return reply[0] === 'held' ? readHeld(reply) : readRefused(reply)
}

function holdArguments(request: HoldRequest, idMs: number): string[] {
  const { scale, fixedAtoms, perTokenAtoms, leastTokens, wantTokens, totalTokens, deadlineMs } = request
  const numbers = `${idMs},${scale},${fixedAtoms},${perTokenAtoms},${leastTokens},${wantTokens},${totalTokens},${deadlineMs}`
  const terms = [request.unit, encodePolicy(request), encodeFacts(request.facts), encodeTimeout(request)]
  const price = encodeURIComponent(request.priceVersion)
  const budgets = encodeBudgets(request)
  const amounts = encodeAmounts(request)
  const fingerprint = fingerprintOf([numbers, ...terms, price, budgets, amounts])
  const dryRun = request.dryRun ? '1' : '0'
  return [
    request.id,
    fingerprint,
    numbers,
    ...terms,
    price,
    dryRun,
    packInfo(request.info),
    budgets,
    amounts,
    encodeAlerts(request.alerts),
  ]
}

// Made here and not in the script: Redis has one core for all gateways. 64 bits tell two uses of one id apart.
function fingerprintOf(parts: readonly string[]): string {
  return hash('sha1', parts.join('\t')).slice(0, 16)
}

// redis-scripts/lib/hold_details.lua has the same.
const LATE_WINDOW_MS = 86_400_000

function lateWindow(terms: HoldTerms): string {
  return String(terms.lateWindowMs ?? LATE_WINDOW_MS)
}

/** floor|known|on_timeout,late_window as a hold's record has them: nothing is known yet, and most have the usual window. */
function encodeTimeout(request: HoldRequest): string {
  const late = lateWindow(request) === String(LATE_WINDOW_MS) ? '' : `,${lateWindow(request)}`
  return `${request.floorAtoms}|0|${request.onTimeout}${late}`
}

function outOfRange(neededAtoms: bigint): HoldRefused {
  return {
    status: 'out_of_range',
    replay: false,
    neededAtoms,
    availableAtoms: 0n,
    rule: undefined,
    resetsAtMs: undefined,
  }
}

/** {from_ledger, seq, packed, info}, or {from_ledger, seq} of an entry that was trimmed. */
async function entryOf(scripts: ScriptCaller, account: string, reply: Reply): Promise<LedgerEntry> {
  const seq = Number(field(reply, 1))
  if (reply.length > 2) return decodeEntry(seq, field(reply, 2), field(reply, 3))
  const found = await readRawEntry(scripts, account, seq)
  if (found === undefined) throw new EntriesMissing(account, seq, seq)
  return decodeEntry(seq, found.packed, found.info)
}

function readHeld(reply: Reply): Held {
  const [seq, tokens, payable, held, mode, over, available, would, exceeded] = field(reply, 2).split(';') as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ]
  return {
    status: 'held',
    replay: reply[1] === '1',
    seq: Number(seq),
    tokens: Number(tokens),
    payableTokens: Number(payable),
    heldAtoms: BigInt(held),
    overage: readOverage(mode, over),
    availableAtoms: BigInt(available),
    ...readWould(would),
    exceeded: exceeded === '' ? [] : exceeded.split(',').map(decodeURIComponent),
  }
}

function readRefused(reply: Reply): HoldRefused {
  return {
    status: statusOf(reply, HOLD_REFUSALS),
    replay: reply[1] === '1',
    neededAtoms: BigInt(field(reply, 2)),
    availableAtoms: BigInt(field(reply, 3)),
    rule: reply[4] ? reply[4] : undefined,
    resetsAtMs: reply[5] ? Number(reply[5]) : undefined,
  }
}

export async function checkpoint(scripts: ScriptCaller, request: CheckpointRequest): Promise<CheckpointResult> {
  const keys = scripts.keysOf(request.account)
  const { extend } = request
  const reply = await scripts.call(
    'checkpoint',
    [...keys.wallet, keys.refusals],
    [
      request.id,
      String(request.number),
      String(request.cumulativeAtoms),
      String(request.deadlineMs),
      extend ? '1' : '0',
      String(extend?.perTokenAtoms ?? 0),
      String(extend?.leastTokens ?? 0),
      String(extend?.wantTokens ?? 0),
      (request.amounts ?? []).map(({ measure, known, perToken }) => `${measure}=${known},${perToken}`).join(';'),
    ],
  )
  if (reply[0] === 'checkpointed') {
    const [tokens, held, available] = [field(reply, 1), field(reply, 2), field(reply, 3)]
    return {
      status: 'checkpointed',
      tokens: Number(tokens),
      heldAtoms: BigInt(held),
      availableAtoms: BigInt(available),
    }
  }
  const [needed, available] = [field(reply, 1), field(reply, 2)]
  return {
    status: statusOf(reply, CHECKPOINTED),
    neededAtoms: BigInt(needed),
    availableAtoms: BigInt(available),
    rule: reply[3] ? reply[3] : undefined,
  }
}

export async function settle(scripts: ScriptCaller, request: SettleRequest): Promise<SettleResult> {
  const { terms } = request
  const idMs = timeOfId(terms.id)
  const reply = await callSettle(scripts, request, idMs, '0')
  if (reply[0] !== 'look_up') return readSettled(scripts, terms.account, reply)
  // Older than its records: only the ledger can tell whether it was settled before.
  const end = await findEnd(scripts, terms.account, terms.id, idMs)
  if (end !== undefined && end !== 'timed_out') return end
  const looked = await callSettle(scripts, request, idMs, end === 'timed_out' ? '2' : '1')
  return readSettled(scripts, terms.account, looked)
}

function callSettle(scripts: ScriptCaller, request: SettleRequest, idMs: number, lookedUp: string): Promise<Reply> {
  const { terms } = request
  const keys = scripts.keysOf(terms.account)
  return scripts.call(
    'settle',
    [...keys.wallet, operationsKey(keys, idMs)],
    [
      terms.id,
      `${idMs},${terms.scale},${request.finalAtoms},${lookedUp}`,
      terms.unit,
      packInfo(request.info),
      encodeFinals(request.finals),
      encodePolicy(terms),
      encodeFacts(terms.facts),
      lateWindow(terms),
      encodeBudgets(terms),
    ],
  )
}

async function readSettled(scripts: ScriptCaller, account: string, reply: Reply): Promise<SettleResult> {
  if (reply[0] === 'from_ledger') return settledOf(await entryOf(scripts, account, reply))
  const status = statusOf(reply, SETTLED)
  const replay = reply[1] === '1'
  if (reply[2] === undefined) return { status, replay, ...NOTHING }
  const [seq, charged, mode, over, overrun, available, drawn] = reply[2].split(';') as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ]
  return {
    status,
    replay,
    seq: Number(seq),
    chargedAtoms: BigInt(charged),
    drawn: readSlices(drawn),
    overage: readOverage(mode, over),
    overrunAtoms: BigInt(overrun),
    availableAtoms: BigInt(available),
  }
}

export async function voidHold(scripts: ScriptCaller, request: VoidRequest): Promise<VoidResult> {
  const keys = scripts.keysOf(request.account)
  const idMs = timeOfId(request.id)
  const info = JSON.stringify({ reason: request.reason })
  const reply = await scripts.call(
    'void',
    [...keys.wallet, operationsKey(keys, idMs)],
    [request.id, String(idMs), info],
  )
  const status = statusOf(reply, ['voided', 'absent', 'hold_not_open'])
  return { status, replay: reply[1] === '1', releasedAtoms: BigInt(field(reply, 2)) }
}

export async function sweep(
  scripts: ScriptCaller,
  account: string,
): Promise<{ readonly swept: number; readonly nextDueMs: number | undefined }> {
  const reply = await scripts.call('sweep', scripts.keysOf(account).wallet, [])
  return { swept: Number(reply[0]), nextDueMs: reply[1] ? Number(reply[1]) : undefined }
}

export async function openHolds(scripts: ScriptCaller, account: string): Promise<readonly OpenHold[]> {
  const reply = await scripts.call('holds', scripts.keysOf(account).wallet, [])
  const found: OpenHold[] = []
  for (let i = 0; i < reply.length; i += 3) {
    found.push(readOpenHold(account, field(reply, i), field(reply, i + 1), Number(field(reply, i + 2))))
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : 1))
}
