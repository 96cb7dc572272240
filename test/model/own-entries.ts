/** What each step wrote into the ledger: one entry that is its own, besides what time and events made. */
import { deepStrictEqual } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import { formatAmount, parseAmount } from '../../src/core/money.ts'
import type { Balance, CheckpointResult, Held, LedgerEntry, SettleResult } from '../../src/wallet/wallet-types.ts'
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

/** Of the account before a step: its last entry, and what the call of the step had held. */
export interface Before {
  readonly seq: number
  readonly heldAtoms: bigint | undefined
}
/** What the entry says; undefined: it says nothing of it. */
type Own<R> = (
  request: R,
  model: WalletModel,
  more: { readonly scaleOf: (unit: string) => number; readonly answer: unknown; readonly before: Before },
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
  hold: [
    { held: 'hold' },
    ({ id, scale }, _, { answer }) => {
      const { tokens, payableTokens, heldAtoms, would, wouldRule } = answer as Held
      return {
        op: id,
        actor: 'gateway',
        price_version: 'v1',
        tokens,
        payable: payableTokens === tokens ? undefined : payableTokens,
        held: formatAmount(heldAtoms, scale),
        would: wouldRule === undefined ? would : `${would}:${wouldRule}`,
      }
    },
  ],
  settle: [
    { settled: 'settle', orphan_settled: 'settle', late_settled: 'late_settle', unmatched: 'unmatched' },
    ({ terms, finalAtoms }, _, { answer, before: { heldAtoms = 0n } }) => {
      const { status, overrunAtoms } = answer as SettleResult
      return {
        op: terms.id,
        actor: 'gateway',
        hold: status === 'settled' ? formatAmount(heldAtoms, terms.scale) : undefined,
        overrun: overrunAtoms > 0n ? formatAmount(overrunAtoms, terms.scale) : undefined,
        orphan: status === 'orphan_settled' ? true : undefined,
        final: status === 'unmatched' ? formatAmount(finalAtoms, terms.scale) : undefined,
      }
    },
  ],
  checkpoint: [
    { checkpointed: 'checkpoint' },
    ({ id, number }, model, { answer, before: { heldAtoms = 0n } }) => {
      const { unit, scale, knownAtoms } = model.callOf(id)
      const { tokens: _, heldAtoms: held } = answer as CheckpointResult & { readonly status: 'checkpointed' }
      return {
        op: id,
        actor: 'gateway',
        number,
        unit,
        known: formatAmount(knownAtoms, scale),
        more: formatAmount(held - heldAtoms, scale),
      }
    },
  ],
  void: [{ voided: 'void' }, ({ id, reason }) => ({ op: id, actor: 'gateway', reason })],
  grant: [
    { done: 'grant' },
    ({ id, operationId, funding, priority, appliesTo, expiresAtMs, effectiveAtMs }, model) => ({
      op: operationId,
      actor: 'test',
      grant: id,
      funding,
      priority,
      scope: appliesTo === undefined ? 'g' : 's',
      expires: expiresAtMs ?? null,
      effective: effectiveAtMs ?? model.lastMs(0),
      awaits: model.awaits(id) ? true : undefined,
    }),
  ],
  voidGrant: [{ done: 'grant_void' }, ofGrant],
  clawback: [
    { done: 'clawback' },
    (request, model) => ({
      ...ofGrant(request),
      whole: model.isClawedBack(request.grant) ? true : undefined,
      frozen: request.freeze ? true : undefined,
    }),
  ],
  payment: [
    { done: 'payment' },
    (request, model) => ({
      ...ofGrant(request),
      payment: request.payment,
      whole: request.payment === 'failed' ? true : undefined,
      awaits: request.payment === 'failed' || model.awaits(request.grant) ? undefined : false,
    }),
  ],
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
      mode: request.mode,
      grant: model.grantIds.includes(request.grantId) ? request.grantId : undefined,
      note: model.grantIds.includes(request.noteId) ? request.noteId : undefined,
    }),
  ],
  resolveUnmatched: [
    { done: 'late_settle' },
    (request, model, { scaleOf, answer }) => {
      const { terms, timedOut, overrun = 0n } = model.tooLate(request.seq)
      const said = { actor: 'test', reason: 'test', unmatched: request.seq, unit: terms.unit }
      if (request.decision === 'dismiss')
        return { ...said, type: 'unmatched', op: request.operationId, dismissed: true, final: undefined }
      const { value } = answer as { readonly value: { readonly chargedAtoms: bigint } }
      return {
        ...said,
        op: terms.id,
        timed_out: timedOut,
        charged: formatAmount(value.chargedAtoms, scaleOf(terms.unit)),
        overrun: overrun > 0n ? formatAmount(overrun, scaleOf(terms.unit)) : undefined,
      }
    },
  ],
  resolveFlagged: [{ done: 'flagged_resolve' }, (request) => ({ ...admin(request), to: request.to })],
  closePeriod: [
    { done: 'overflow_close' },
    (request, model, { scaleOf }) => ({
      ...admin(request),
      period: request.period,
      heir: request.heir,
      amount: formatAmount(model.overflowOf(request.unit, request.period), scaleOf(request.unit)),
    }),
  ],
  stop: [
    { done: 'stop' },
    (request) => ({
      ...admin(request),
      stopped: `${request.kind}:${request.value}`,
      in_force: request.stop !== undefined,
    }),
  ],
  freeze: [{ done: 'freeze' }, (request) => ({ ...admin(request), frozen: request.frozen })],
}

/** undefined: a step that wrote nothing of its own. */
export function writtenBy(step: Step, answer: unknown, model: WalletModel, before: Before): Written | undefined {
  const known = OWN[step.kind] as (typeof OWN)['hold']
  if (!known || typeof answer !== 'object' || answer === null || model.seq === before.seq) return undefined
  const { status, replay, seq } = answer as { status: string; replay?: boolean; seq?: number }
  const type = known[0][status]
  // A dry run is held at 0.
  if (type === undefined || replay === true || seq === 0) return undefined
  const balances = model.balancesAsTheyAre
  const scaleOf = (unit: string): number => balances.find((balance) => balance.unit === unit)?.scale ?? 0
  const fields = { type, ...known[1](step.request as Requests['hold'], model, { scaleOf, answer, before }) }
  return { step, fromSeq: before.seq, toSeq: model.seq, atMs: model.lastMs(0), balances, fields }
}

/** Throws AssertionError at the first whose entry is not there once, or says something else. `entries` from 1 on. */
export function compareWritten(written: readonly Written[], entries: readonly LedgerEntry[]): void {
  for (const { step, fromSeq, toSeq, atMs, balances, fields } of written) {
    const { op, type, ...expected } = fields
    const own = entries.slice(fromSeq, toSeq).filter((entry) => entry.op === op && entry.type === type)
    if (own.length !== 1) deepStrictEqual(entries.slice(fromSeq, toSeq), [fields], `${step.kind} writes one entry`)
    const entry = own[0] as LedgerEntry
    const said: Record<string, unknown> = { ...entry.fields, actor: entry.actor, unit: entry.unit, more: moreOf(entry) }
    for (const [name, value] of Object.entries(expected)) {
      if (!isDeepStrictEqual(said[name], value))
        deepStrictEqual(said[name], value, `${name} of entry ${entry.seq}, a ${String(type)}`)
    }
    if (entry.atMs !== atMs) deepStrictEqual(entry.atMs, atMs, `the time of entry ${entry.seq}`)
    compareBalance(entry, balances)
  }
}

/** What a checkpoint holds beside what was held: its slices and overage. */
function moreOf({ type, scale, fields }: LedgerEntry): string | undefined {
  if (type !== 'checkpoint') return undefined
  const { slices = [], over } = fields as {
    readonly slices?: readonly { readonly amount: string }[]
    readonly over?: { readonly amount: string }
  }
  const parts = [...slices, ...(over ? [over] : [])].map(({ amount }) => parseAmount(amount, scale))
  return formatAmount(
    parts.reduce((sum, atoms) => sum + atoms, 0n),
    scale,
  )
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
