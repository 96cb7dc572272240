/** What finance and operators put right: refunds, flagged spend, overflow periods, stops. */
import { ATOMS_MAX, type Atoms } from '../core/money.ts'
import { operationKey } from '../redis/keys.ts'
import { operation } from './grants.ts'
import { readLedger, readPage, readRawEntry } from './ledger.ts'
import { field, type Reply, type ScriptCaller, statusOf } from './script-caller.ts'
import type { AdminRefusal, AdminResult, Stop, Wallet } from './wallet-types.ts'

const STATUSES = [
  'done',
  'conflict',
  'id_too_old',
  'out_of_range',
  'too_many_grants',
  'insufficient_funds',
  'unknown_charge',
  'charge_open',
  'refund_too_large',
  'unknown_period',
  'already_closed',
  'open_holds',
  'unknown_stop',
  'too_many_stops',
] as const satisfies readonly ('done' | AdminRefusal)[]

type Request<Name extends keyof Wallet> = Wallet[Name] extends (request: infer R) => unknown ? R : never

/** Reason and actor, as every entry of an operation has them. */
function by({ reason, actor }: { readonly reason: string; readonly actor: string }): [string, string] {
  return [JSON.stringify({ reason }), encodeURIComponent(actor)]
}

function resultOf<T>(reply: Reply, value: () => T): AdminResult<T> {
  const status = statusOf(reply, STATUSES)
  return status === 'done' ? { status, replay: reply[1] === '1', value: value() } : { status }
}

function inRange(atoms: Atoms | undefined): boolean {
  return atoms === undefined || (atoms > 0n && atoms <= ATOMS_MAX)
}

/** What the call's late settle gave back of a timeout, which left the rest of it; undefined: none came, or it is none. */
async function givenBack(scripts: ScriptCaller, { account, chargeSeq }: Request<'refund'>): Promise<Atoms | undefined> {
  const [charge] = await readLedger(scripts, account, { afterSeq: chargeSeq - 1, limit: 1, type: undefined })
  if (charge?.seq !== chargeSeq || charge.type !== 'timeout') return undefined
  for (let afterSeq = chargeSeq; ; ) {
    const { entries, lastSeq } = await readPage(scripts, account, afterSeq + 1, 1000, 'late_settle')
    // An operator's charge stands beside the timeout.
    const late = entries.find((entry) => entry.op === charge.op && entry.fields['unmatched'] === undefined)
    if (late)
      return late.legs.reduce((sum, leg) => (leg.account === 'consumed' && leg.atoms < 0n ? sum - leg.atoms : sum), 0n)
    if (lastSeq === undefined) return undefined
    afterSeq = lastSeq
  }
}

export async function refund(
  scripts: ScriptCaller,
  request: Request<'refund'>,
): Promise<AdminResult<{ refundedAtoms: Atoms; ofAtoms: Atoms }>> {
  if (!inRange(request.amountAtoms)) return { status: 'refund_too_large' }
  if (!Number.isSafeInteger(request.chargeSeq) || request.chargeSeq < 1) return { status: 'unknown_charge' }
  const back = await givenBack(scripts, request)
  // Handed over whether or not Redis still has it: it may be trimmed before the script runs.
  const charge = await readRawEntry(scripts, request.account, request.chargeSeq)
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'refund',
    [...keys.wallet, operationKey(keys, request.operationId), keys.refunds],
    [
      ...operation(request.operationId),
      String(request.chargeSeq),
      charge?.packed ?? '',
      String(request.amountAtoms ?? ''),
      request.mode,
      request.grantId,
      request.noteId,
      ...by(request),
      String(back ?? ''),
    ],
  )
  return resultOf(reply, () => ({ refundedAtoms: BigInt(field(reply, 2)), ofAtoms: BigInt(field(reply, 3)) }))
}

export async function resolveFlagged(
  scripts: ScriptCaller,
  request: Request<'resolveFlagged'>,
): Promise<AdminResult<null>> {
  if (!inRange(request.amountAtoms)) return { status: 'insufficient_funds' }
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'resolve_flagged',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      request.unit,
      String(request.amountAtoms ?? ''),
      request.to,
      request.period,
      ...by(request),
    ],
  )
  return resultOf(reply, () => null)
}

/** Throws RangeError where the heir does not come after the period: charges would go in a circle. */
export async function closePeriod(
  scripts: ScriptCaller,
  request: Request<'closePeriod'>,
): Promise<AdminResult<{ amountAtoms: Atoms; closedAtMs: number }>> {
  const { account, unit, period, heir, force, operationId } = request
  if (heir <= period) throw new RangeError(`${heir} does not come after ${period}`)
  const keys = scripts.keysOf(account)
  const reply = await scripts.call(
    'close_period',
    [...keys.wallet, operationKey(keys, operationId)],
    [...operation(operationId), unit, period, heir, force ? '1' : '0', ...by(request)],
  )
  return resultOf(reply, () => ({ amountAtoms: BigInt(field(reply, 2)), closedAtMs: Number(field(reply, 3)) }))
}

export async function setStop(scripts: ScriptCaller, request: Request<'setStop'>): Promise<AdminResult<null>> {
  const keys = scripts.keysOf(request.account)
  const reply = await scripts.call(
    'stop',
    [...keys.wallet, operationKey(keys, request.operationId)],
    [
      ...operation(request.operationId),
      `${request.kind}:${encodeURIComponent(request.value)}`,
      request.stop ? JSON.stringify(request.stop) : '',
      ...by(request),
    ],
  )
  return resultOf(reply, () => null)
}

export async function stops(scripts: ScriptCaller, account: string): Promise<readonly Stop[]> {
  const reply = await scripts.call('stops', [scripts.keysOf(account).account], [])
  const found: Stop[] = []
  for (let i = 1; i < reply.length; i += 2) found.push(JSON.parse(field(reply, i)) as Stop)
  return found.sort((a, b) => (a.id < b.id ? -1 : 1))
}
