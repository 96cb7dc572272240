/** Money in and its corrections: grant, void of a grant, adjust, freeze; and the list of grants. */

import { idTimeMs } from '../core/ids.ts'
import { ATOMS_MAX } from '../core/money.ts'
import { operationKey } from '../redis/keys.ts'
import { encodeFilter, encodeOrderHead, encodeTerms } from './encode.ts'
import { type GrantFacts, readGrant } from './packed.ts'
import { field, type Reply, type ScriptCaller, statusOf } from './script-caller.ts'
import type { AdminRefusal, AdminResult, Grant, GrantRequest, Wallet } from './wallet-types.ts'

const STATUSES = [
  'done',
  'conflict',
  'id_too_old',
  'out_of_range',
  'unit_scale_mismatch',
  'too_many_grants',
  'unknown_grant',
  'already_voided',
  'insufficient_funds',
  'expired',
  'already_clawed_back',
  'no_payment',
  'payment_order',
] as const satisfies readonly ('done' | AdminRefusal)[]

// No `|` or `:` in a unit: it begins a member of the order and ends a field of a record.
const UNIT = /^[A-Za-z][A-Za-z0-9_.-]{0,31}$/

/** Throws RangeError for a unit or amount that the admin API must have refused before. */
function checkUnit(unit: string): void {
  if (!UNIT.test(unit)) throw new RangeError(`${JSON.stringify(unit.slice(0, 40))} is not a unit`)
}

/** The order and the records have 16 digits for a time, and no sign. */
function checkTime(atMs: number | undefined): void {
  if (atMs !== undefined && !(Number.isSafeInteger(atMs) && atMs >= 0)) throw new RangeError(`${atMs} is no time`)
}

export async function grant(scripts: ScriptCaller, request: GrantRequest): Promise<AdminResult<Grant>> {
  checkUnit(request.unit)
  if (request.amountAtoms <= 0n) throw new RangeError('a grant has an amount above 0')
  if (request.amountAtoms > ATOMS_MAX) return { status: 'out_of_range' }
  checkTime(request.effectiveAtMs)
  checkTime(request.expiresAtMs)
  const keys = scripts.keysOf(request.account)
  const facts = factsOf(request)
  const reply = await scripts.call(
    'grant',
    [...keys.wallet, operationKey(keys, request.operationId), keys.grantKeys],
    [
      ...operation(request.operationId),
      request.id,
      request.key ?? '',
      request.unit,
      String(request.scale),
      String(request.amountAtoms),
      request.funding,
      encodeOrderHead(request),
      String(request.effectiveAtMs ?? ''),
      String(request.expiresAtMs ?? ''),
      encodeFilter(request.appliesTo),
      facts.repaysDebt ? '1' : '0',
      JSON.stringify(facts),
      encodeURIComponent(request.actor),
      encodeTerms(request),
    ],
  )
  return grantResult(request.account, reply)
}

/** New money repays debt first: paid grants by default, never promotional or scoped ones unless they say so. */
function factsOf(request: GrantRequest): GrantFacts {
  const scoped = encodeFilter(request.appliesTo) !== ''
  return {
    ...(request.key === undefined ? {} : { key: request.key }),
    scale: request.scale,
    funding: request.funding,
    priority: request.priority,
    ...(request.appliesTo === undefined ? {} : { appliesTo: request.appliesTo }),
    ...(request.costBasis === undefined ? {} : { costBasis: request.costBasis }),
    repaysDebt: request.repaysDebt ?? (request.funding !== 'promotional' && !scoped),
    labels: request.labels,
  }
}

export async function voidGrant(
  scripts: ScriptCaller,
  request: Parameters<Wallet['voidGrant']>[0],
): Promise<AdminResult<Grant>> {
  // In the hash of grants other fields have other names.
  if (idTimeMs(request.grant) === undefined) return { status: 'unknown_grant' }
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'grant_void',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      request.grant,
      JSON.stringify({ reason: request.reason }),
      encodeURIComponent(request.actor),
    ],
  )
  return grantResult(request.account, reply)
}

export async function adjust(
  scripts: ScriptCaller,
  request: Parameters<Wallet['adjust']>[0],
): Promise<AdminResult<null>> {
  checkUnit(request.unit)
  if (request.amountAtoms === 0n) throw new RangeError('an adjustment is above or below 0')
  if (request.amountAtoms > ATOMS_MAX || request.amountAtoms < -ATOMS_MAX) return { status: 'out_of_range' }
  const keys = scripts.keysOf(request.account)
  const facts: GrantFacts = {
    scale: request.scale,
    funding: 'promotional',
    priority: 10,
    repaysDebt: false,
    labels: {},
  }
  const reply = await scripts.call(
    'adjust',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      request.grantId,
      request.unit,
      String(request.scale),
      String(request.amountAtoms),
      JSON.stringify({ reason: request.reason }),
      JSON.stringify(facts),
      encodeURIComponent(request.actor),
    ],
  )
  return emptyResult(reply)
}

export async function setFrozen(
  scripts: ScriptCaller,
  request: Parameters<Wallet['setFrozen']>[0],
): Promise<AdminResult<null>> {
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'freeze',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      request.frozen ? '1' : '0',
      JSON.stringify({ reason: request.reason }),
      encodeURIComponent(request.actor),
    ],
  )
  return emptyResult(reply)
}

export async function clawback(
  scripts: ScriptCaller,
  request: Parameters<Wallet['clawback']>[0],
): Promise<AdminResult<Grant>> {
  if (idTimeMs(request.grant) === undefined) return { status: 'unknown_grant' }
  const { amountAtoms } = request
  if (amountAtoms !== undefined && (amountAtoms <= 0n || amountAtoms > ATOMS_MAX)) return { status: 'out_of_range' }
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'clawback',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      request.grant,
      String(amountAtoms ?? ''),
      request.freeze ? '1' : '0',
      JSON.stringify({ reason: request.reason }),
      encodeURIComponent(request.actor),
    ],
  )
  return grantResult(request.account, reply)
}

export async function payment(
  scripts: ScriptCaller,
  request: Parameters<Wallet['payment']>[0],
): Promise<AdminResult<Grant>> {
  if (idTimeMs(request.grant) === undefined) return { status: 'unknown_grant' }
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'payment',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      request.grant,
      request.payment.slice(0, 1),
      JSON.stringify({ reason: request.reason }),
      encodeURIComponent(request.actor),
    ],
  )
  return grantResult(request.account, reply)
}

export async function listGrants(scripts: ScriptCaller, account: string): Promise<readonly Grant[]> {
  const reply = await scripts.call('grants', scripts.keysOf(account).wallet, [])
  const found: Grant[] = []
  for (let i = 0; i < reply.length; i += 3) {
    found.push(readGrant(account, field(reply, i), field(reply, i + 1), field(reply, i + 2)))
  }
  // Two of one entry: a refund that is credit and a credit note.
  return found.sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1))
}

/** The operation id as the ledger has it, and its time where it carries one. */
export function operation(id: string): [string, string] {
  return [encodeURIComponent(id), String(idTimeMs(id) ?? '')]
}

function grantResult(account: string, reply: Reply): AdminResult<Grant> {
  const status = statusOf(reply, STATUSES)
  if (status !== 'done') return { status }
  const value = readGrant(account, field(reply, 2), field(reply, 3), field(reply, 4))
  return { status, replay: reply[1] === '1', value }
}

function emptyResult(reply: Reply): AdminResult<null> {
  const status = statusOf(reply, STATUSES)
  return status === 'done' ? { status, replay: reply[1] === '1', value: null } : { status }
}
