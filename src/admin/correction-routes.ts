/** Refunds, flagged spend and overflow periods. */
import type { KnownAccount } from '../accounts/directory.ts'
import { NAME } from '../config/fields.ts'
import { newId } from '../core/ids.ts'
import { formatAmount } from '../core/money.ts'
import { overflowPeriod, periodAfter } from '../core/overflow-period.ts'
import type { LedgerEntry } from '../wallet/wallet-types.ts'
import { accountAfter, amountOf, mustExist, scaleOf } from './account-routes.ts'
import { refusalError, unknown, wrongField } from './admin-error.ts'
import { isCallersKey } from './first-answers.ts'
import { CHARGE_TYPES, timeText } from './render-wallet.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import {
  accountAnswer,
  closeBody,
  pageOf,
  periodAnswer,
  refundAnswer,
  refundBody,
  resolveBody,
  resolveManyBody,
} from './schemas.ts'

/** Throws 404 for what is no charge. */
export async function findCharge(
  admin: AdminDependencies,
  id: string,
): Promise<{ readonly account: string; readonly entry: LedgerEntry }> {
  const match = /^(.+):([1-9]\d{0,15})$/.exec(id)
  if (!match) throw unknown('charge', id)
  const [account, seq] = [match[1] as string, Number(match[2])]
  if (!NAME.test(account)) throw unknown('charge', id)
  const [entry] = await admin.wallet.ledger(account, { afterSeq: seq - 1, limit: 1, type: undefined })
  if (entry?.seq !== seq || !CHARGE_TYPES.includes(entry.type)) throw unknown('charge', id)
  return { account, entry }
}

const refund = route({
  method: 'POST',
  path: '/charges/:charge/refund',
  role: 'finance',
  summary: 'Give a charge back, whole or in part, in reverse order of its drawing; never more than it came to',
  body: refundBody,
  answer: refundAnswer,
  async handle({ admin, path, body, actor, operationId, nowMs }) {
    const id = path['charge'] ?? ''
    const { account, entry } = await findCharge(admin, id)
    const amountAtoms = body.amount === undefined ? undefined : amountOf(body.amount, entry.scale)
    if (amountAtoms !== undefined && amountAtoms <= 0n) throw wrongField('amount', 'must be more than 0')
    const { mode, reason } = body
    const ids = { grantId: newId(nowMs), noteId: newId(nowMs) }
    const request = { account, operationId, chargeSeq: entry.seq, amountAtoms, mode, reason, actor: actor.name, ...ids }
    const result = await admin.wallet.refund(request)
    if (result.status !== 'done') throw refusalError(result.status)
    const text = (atoms: bigint): string => formatAmount(atoms, entry.scale)
    const { refundedAtoms, ofAtoms } = result.value
    return {
      status: 200,
      body: { charge: id, unit: entry.unit, refunded: text(refundedAtoms), charged: text(ofAtoms) },
    }
  },
})

const resolve = route({
  method: 'POST',
  path: '/accounts/:account/flagged/resolve',
  role: 'finance',
  summary: 'Flagged spend becomes debt, goes to the open overflow period, or is written off',
  body: resolveBody,
  answer: accountAnswer,
  async handle(asked) {
    const { admin, path, body, actor, operationId, nowMs } = asked
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    const amountAtoms = body.amount === undefined ? undefined : amountOf(body.amount, scaleOf(admin, body.unit))
    if (amountAtoms !== undefined && amountAtoms <= 0n) throw wrongField('amount', 'must be more than 0')
    const { unit, to, reason } = body
    const period = await currentPeriod(admin, account, nowMs)
    const request = { account, operationId, unit, amountAtoms, to, period, reason, actor: actor.name }
    const result = await admin.wallet.resolveFlagged(request)
    if (result.status === 'insufficient_funds') throw wrongField('amount', 'so much is not flagged', 'out_of_range')
    return accountAfter(asked, account, result)
  },
})

const resolveMany = route({
  method: 'POST',
  path: '/flagged/resolve',
  role: 'finance',
  summary: 'The same for every account of a plan or with a label; without an amount: all that is flagged',
  body: resolveManyBody,
  answer: pageOf(accountAnswer),
  async handle(asked) {
    const { admin, body, actor, operationId, nowMs } = asked
    const { unit, to, reason, where } = body
    if (body.amount !== undefined) throw wrongField('amount', 'has no meaning for many accounts; leave it out')
    if (where.plan === undefined && where.label === undefined) throw wrongField('where', 'name a plan or a label')
    const items: unknown[] = []
    for await (const { id } of wanted(admin, where)) {
      const balance = (await admin.wallet.balances(id)).find((candidate) => candidate.unit === unit)
      // What a caller asks again was flagged the first time: its wallet has the answer.
      if (!balance || (balance.flaggedAtoms === 0n && !isCallersKey(operationId))) continue
      const period = await currentPeriod(admin, id, nowMs)
      const one = { account: id, operationId: `${operationId}:${id}`, unit, amountAtoms: undefined, to, period, reason }
      const result = await admin.wallet.resolveFlagged({ ...one, actor: actor.name })
      // Another's word came first: nothing is flagged any more.
      if (result.status === 'insufficient_funds') continue
      items.push((await accountAfter({ ...asked, operationId: one.operationId }, id, result)).body)
    }
    return { status: 200, body: { items, next: null } }
  },
})

/** Accounts of a plan, or with all of these labels. */
async function* wanted(
  admin: AdminDependencies,
  where: { readonly plan?: string | undefined; readonly label?: Readonly<Record<string, string>> | undefined },
): AsyncGenerator<KnownAccount> {
  for await (const page of admin.accounts.pages()) {
    for (const account of page) {
      const { planName, labels } = account
      const labelled = Object.entries(where.label ?? {}).every(([label, value]) => labels[label] === value)
      if (labelled && (where.plan === undefined || planName === where.plan)) yield account
    }
  }
}

/** The overflow period that is open now, by the account's own plan. */
async function currentPeriod(admin: AdminDependencies, account: string, nowMs: number): Promise<string> {
  const plan = (await admin.accounts.find(account))?.plan
  const period = plan?.onExhausted.mode === 'overflow' ? plan.onExhausted.period : 'month'
  return overflowPeriod(period, nowMs, plan?.timezone ?? 'UTC')
}

async function unitOf(admin: AdminDependencies, account: string, unit: string | undefined): Promise<string> {
  return unit ?? (await admin.accounts.find(account))?.plan?.unit ?? 'USD'
}

const PERIOD = /^\d{4}(-(\d{2}(-\d{2})?|Q[1-4]|W\d{2}))?$/

/** Throws 404 for a period of which nothing is known; the one that runs now is open, with nothing in it so far. */
async function periodJson(admin: AdminDependencies, account: string, period: string, unit: string, current: string) {
  const balance = (await admin.wallet.balances(account)).find((candidate) => candidate.unit === unit)
  const amount = balance?.overflowPeriods[period]
  const closedAtMs = balance?.closedPeriods[period]
  if (amount === undefined && closedAtMs === undefined && period !== current) throw unknown('period', period)
  return {
    period,
    unit,
    state: closedAtMs === undefined ? 'open' : 'closed',
    amount: formatAmount(amount ?? 0n, balance?.scale ?? 0),
    closed_at: closedAtMs === undefined ? null : timeText(closedAtMs),
    lines: await linesOf(admin, account, period, unit),
  }
}

/** What each charge, refund or resolved flag put into the period. */
async function linesOf(admin: AdminDependencies, account: string, period: string, unit: string) {
  const lines: { charge: string; at: string; amount: string; model: string | null }[] = []
  for (let afterSeq = 0; ; ) {
    const page = await admin.wallet.ledgerPage(account, { afterSeq, limit: 1000, type: undefined })
    for (const entry of page.entries) {
      const legs = entry.unit === unit ? entry.legs.filter((leg) => leg.account === `overflow:${period}`) : []
      const atoms = legs.reduce((sum, leg) => sum - leg.atoms, 0n)
      if (atoms === 0n) continue
      const { model } = entry.fields
      lines.push({
        charge: `${account}:${entry.seq}`,
        at: timeText(entry.atMs),
        amount: formatAmount(atoms, entry.scale),
        model: typeof model === 'string' ? model : null,
      })
    }
    if (page.lastSeq === undefined) return lines
    afterSeq = page.lastSeq
  }
}

const readPeriod = route({
  method: 'GET',
  path: '/accounts/:account/overflow/:period',
  role: 'viewer',
  summary: 'An overflow period with its lines: what the invoice says',
  answer: periodAnswer,
  async handle({ admin, path, nowMs }) {
    const { account = '', period = '' } = path
    await mustExist(admin, account)
    const current = await currentPeriod(admin, account, nowMs)
    const unit = await unitOf(admin, account, undefined)
    return { status: 200, body: await periodJson(admin, account, period, unit, current) }
  },
})

const close = route({
  method: 'POST',
  path: '/accounts/:account/overflow/:period/close',
  role: 'finance',
  summary: 'Close an overflow period: from then on it is an invoice item and never changes',
  body: closeBody,
  answer: periodAnswer,
  async handle({ admin, path, body, actor, operationId, nowMs }) {
    const { account = '', period = '' } = path
    await mustExist(admin, account)
    if (!PERIOD.test(period)) throw unknown('period', period)
    const unit = await unitOf(admin, account, body.unit)
    const current = await currentPeriod(admin, account, nowMs)
    // Of a period that still runs, closed early, the rest goes to the next one. An heir is always later in name: no
    // chain of them, whatever periods the plan had, comes back to where it began.
    const heir = current > period ? current : (periodAfter(period) ?? current)
    const { force, reason } = body
    const request = { account, operationId, unit, period, heir, force, reason, actor: actor.name }
    const result = await admin.wallet.closePeriod(request)
    if (result.status !== 'done') throw refusalError(result.status)
    return { status: 200, body: await periodJson(admin, account, period, unit, current) }
  },
})

export const CORRECTION_ROUTES: readonly Route[] = [refund, resolve, resolveMany, readPeriod, close]
