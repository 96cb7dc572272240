/** What each step wrote into the ledger: one entry that is its own, besides what time and events made. */
import { deepStrictEqual } from 'node:assert'
import { formatAmount } from '../../src/core/money.ts'
import type { Balance, LedgerEntry } from '../../src/wallet/wallet-types.ts'
import type { Kind, Requests, Step } from './steps.ts'
import type { WalletModel } from './wallet-model.ts'

/** A step that changed something, and what the model had come to by it. */
export interface Written {
  readonly step: Step
  /** Its entries are those after `fromSeq` up to `toSeq`. */
  readonly fromSeq: number
  readonly toSeq: number
  readonly atMs: number
  readonly balances: readonly Balance[]
  readonly fields: Readonly<Record<string, unknown>>
}

type Own<R> = (
  request: R,
  model: WalletModel,
  scaleOf: (unit: string) => number,
) => Readonly<Record<string, unknown>> & { readonly op: string }

const admin = ({ operationId, reason }: { readonly operationId: string; readonly reason: string }) => ({
  op: operationId,
  actor: 'test',
  reason,
})
const ofGrant = (request: Requests['payment' | 'voidGrant' | 'clawback']) => ({
  ...admin(request),
  grant: request.grant,
})

/** By the status that says that it was done: type, operation, actor and what else the entry has to say. */
const OWN: { readonly [K in Kind]?: readonly [statuses: Readonly<Record<string, string>>, own: Own<Requests[K]>] } = {
  hold: [{ held: 'hold' }, ({ id, info: _ }) => ({ op: id, actor: 'gateway', price_version: 'v1' })],
  settle: [
    { settled: 'settle', orphan_settled: 'settle', late_settled: 'late_settle', unmatched: 'unmatched' },
    ({ terms }) => ({ op: terms.id, actor: 'gateway' }),
  ],
  checkpoint: [{ checkpointed: 'checkpoint' }, ({ id, number }) => ({ op: id, actor: 'gateway', number })],
  void: [{ voided: 'void' }, ({ id, reason }) => ({ op: id, actor: 'gateway', reason })],
  grant: [
    { done: 'grant' },
    ({ id, operationId, funding, priority }) => ({ op: operationId, actor: 'test', grant: id, funding, priority }),
  ],
  voidGrant: [{ done: 'grant_void' }, ofGrant],
  clawback: [{ done: 'clawback' }, ofGrant],
  payment: [{ done: 'payment' }, (request) => ({ ...ofGrant(request), payment: request.payment })],
  adjust: [
    { done: 'adjust' },
    (request, model) => ({
      ...admin(request),
      grant: model.grantIds.includes(request.grantId) ? request.grantId : undefined,
    }),
  ],
  refund: [
    { done: 'refund' },
    (request, model) => ({
      ...admin(request),
      charge: request.chargeSeq,
      grant: model.grantIds.includes(request.grantId) ? request.grantId : undefined,
      note: model.grantIds.includes(request.noteId) ? request.noteId : undefined,
    }),
  ],
  resolveFlagged: [{ done: 'flagged_resolve' }, (request) => ({ ...admin(request), to: request.to })],
  closePeriod: [
    { done: 'overflow_close' },
    (request, model, scaleOf) => ({
      ...admin(request),
      period: request.period,
      heir: request.heir,
      amount: formatAmount(model.overflowOf(request.unit, request.period), scaleOf(request.unit)),
    }),
  ],
  stop: [{ done: 'stop' }, admin],
  freeze: [{ done: 'freeze' }, (request) => ({ ...admin(request), frozen: request.frozen })],
}

/** undefined: a step that wrote nothing of its own. */
export function writtenBy(step: Step, answer: unknown, model: WalletModel, fromSeq: number): Written | undefined {
  const known = OWN[step.kind] as (typeof OWN)['hold']
  if (!known || typeof answer !== 'object' || answer === null || model.seq === fromSeq) return undefined
  const { status, replay, seq } = answer as { status: string; replay?: boolean; seq?: number }
  const type = known[0][status]
  // A dry run is held at 0.
  if (type === undefined || replay === true || seq === 0) return undefined
  const balances = model.balancesAsTheyAre
  const scaleOf = (unit: string): number => balances.find((balance) => balance.unit === unit)?.scale ?? 0
  const fields = { type, ...known[1](step.request as Requests['hold'], model, scaleOf) }
  return { step, fromSeq, toSeq: model.seq, atMs: model.lastMs(0), balances, fields }
}

/** Throws AssertionError at the first whose entry is not there once, or says something else. `entries` from 1 on. */
export function compareWritten(written: readonly Written[], entries: readonly LedgerEntry[]): void {
  for (const { step, fromSeq, toSeq, atMs, balances, fields } of written) {
    const { op, type, ...expected } = fields
    const own = entries.slice(fromSeq, toSeq).filter((entry) => entry.op === op && entry.type === type)
    if (own.length !== 1) deepStrictEqual(entries.slice(fromSeq, toSeq), [fields], `${step.kind} writes one entry`)
    const entry = own[0] as LedgerEntry
    const said: Record<string, unknown> = { ...entry.fields, actor: entry.actor }
    for (const [name, value] of Object.entries(expected)) {
      if (said[name] !== value) deepStrictEqual(said[name], value, `${name} of entry ${entry.seq}, a ${String(type)}`)
    }
    if (entry.atMs !== atMs) deepStrictEqual(entry.atMs, atMs, `the time of entry ${entry.seq}`)
    compareBalance(entry, balances)
  }
}

function compareBalance({ seq, unit, balanceAfter }: LedgerEntry, balances: readonly Balance[]): void {
  const balance = balances.find((other) => other.unit === unit)
  if (!balance) return
  const { availableAtoms, heldAtoms, balanceAtoms, scopedAtoms, pendingAtoms } = balance
  const { debtAtoms, overflowAtoms, flaggedAtoms, postpaidAtoms } = balance
  const expected: Readonly<Record<string, bigint>> = {
    available: availableAtoms,
    held: heldAtoms,
    balance: balanceAtoms,
    scoped: scopedAtoms,
    pending: pendingAtoms,
    debt: debtAtoms,
    overflow: overflowAtoms,
    flagged: flaggedAtoms,
    postpaid: postpaidAtoms,
  }
  for (const [name, atoms] of Object.entries(expected)) {
    const said = balanceAfter[name] ?? 0n
    if (said !== atoms) deepStrictEqual(said, atoms, `${name} after entry ${seq}`)
  }
}
