/** Settlements that came too late to be charged: what they are, and an operator's word on them. */
import { type Atoms, formatAmount } from '../core/money.ts'
import type { Unmatched } from '../wallet/wallet-types.ts'
import { mustExist } from './account-routes.ts'
import { refusalError, unknown } from './admin-error.ts'
import { timeText } from './render-wallet.ts'
import { type Route, route } from './route.ts'
import { pageOf, resolvedAnswer, resolveUnmatchedBody, unmatchedAnswer, unmatchedQuery } from './schemas.ts'

const list = route({
  method: 'GET',
  path: '/accounts/:account/unmatched',
  role: 'viewer',
  summary:
    'Settlements that came later than their window and wait for an operator to charge or dismiss them, oldest first',
  query: unmatchedQuery,
  answer: pageOf(unmatchedAnswer),
  async handle({ admin, path, query }) {
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    // One more than asked for tells whether there is a next page.
    const found = await admin.wallet.unmatched(account, { afterSeq: query.after, limit: query.limit + 1 })
    const items = found.slice(0, query.limit)
    const next = found.length > items.length ? String(items.at(-1)?.seq) : null
    return { status: 200, body: { items: items.map((item) => unmatchedJson(account, item)), next } }
  },
})

function unmatchedJson(account: string, { seq, call, unit, finalAtoms, postedAtoms, onExhausted, entry }: Unmatched) {
  const text = (atoms: Atoms): string => formatAmount(atoms, entry.scale)
  const excess = finalAtoms - postedAtoms
  const { key, run, user, upstream, model, endpoint, tokens, usage_source, cost, cost_unit } = entry.fields
  const facts = { key, run, user, upstream, model, endpoint, usage_source, cost, cost_unit }
  return {
    seq,
    at: timeText(entry.atMs),
    account,
    request_id: call,
    unit,
    final: text(finalAtoms),
    charged_before: text(postedAtoms),
    would_charge: text(excess > 0n ? excess : 0n),
    on_exhausted: onExhausted,
    ...Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, value ?? null])),
    tokens: tokens ?? {},
  }
}

const resolve = route({
  method: 'POST',
  path: '/accounts/:account/unmatched/:seq/resolve',
  role: 'finance',
  summary: 'Charge it after all, forced as a late settlement is, or dismiss it: once',
  body: resolveUnmatchedBody,
  answer: resolvedAnswer,
  async handle({ admin, path, body, actor, operationId }) {
    const { account = '', seq = '' } = path
    await mustExist(admin, account)
    if (!/^[1-9]\d{0,15}$/.test(seq)) throw unknown('unmatched', seq)
    const { decision, reason } = body
    const request = { account, operationId, seq: Number(seq), decision, reason, actor: actor.name }
    const result = await admin.wallet.resolveUnmatched(request)
    if (result.status !== 'done') throw refusalError(result.status)
    const [entry] = await admin.wallet.ledger(account, { afterSeq: Number(seq) - 1, limit: 1, type: undefined })
    const { seq: chargeSeq, chargedAtoms } = result.value
    return {
      status: 200,
      body: {
        account,
        unmatched: Number(seq),
        decision,
        unit: entry?.unit ?? '',
        charged: formatAmount(chargedAtoms, entry?.scale),
        charge: decision === 'charge' ? `${account}:${chargeSeq}` : null,
      },
    }
  },
})

export const UNMATCHED_ROUTES: readonly Route[] = [list, resolve]
