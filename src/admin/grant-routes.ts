import { idTimeMs, newId } from '../core/ids.ts'
import type { AppliesTo, Grant } from '../wallet/wallet-types.ts'
import { amountOf, mustExist, scaleOf } from './account-routes.ts'
import { refusalError, unknown, wrongField } from './admin-error.ts'
import { grantJson, holdJson } from './render-wallet.ts'
import { type AdminDependencies, type Answer, type Route, route } from './route.ts'
import {
  clawbackBody,
  type GrantBody,
  grantAnswer,
  grantBody,
  holdAnswer,
  pageOf,
  pageQuery,
  paymentBody,
  reasonBody,
} from './schemas.ts'

/** One page of a list that is read whole: at most 10,000 grants or holds an account. */
function page<Item extends { readonly id: string }>(
  items: readonly Item[],
  query: { readonly after?: string | undefined; readonly limit: number },
  show: (item: Item) => unknown,
): Answer {
  const start = query.after === undefined ? 0 : items.findIndex((item) => item.id > (query.after as string))
  const some = start < 0 ? [] : items.slice(start, start + query.limit)
  const more = start >= 0 && start + some.length < items.length
  return { status: 200, body: { items: some.map(show), next: more ? (some.at(-1)?.id ?? null) : null } }
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1
}

function millis(field: string, text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined
  const atMs = Date.parse(text)
  if (Number.isNaN(atMs)) throw wrongField(field, 'there is no such time')
  if (atMs < 0) throw wrongField(field, 'is before 1970')
  return atMs
}

/** Without empty lists: a scope that names nothing is no scope. */
function scopeOf(body: GrantBody): AppliesTo | undefined {
  const entries = Object.entries(body.applies_to ?? {}).filter(([, value]) => Object.keys(value ?? {}).length > 0)
  return entries.length > 0 ? (Object.fromEntries(entries) as AppliesTo) : undefined
}

/** Throws 422 for a grant that would wait for ever. */
function paymentOf({ payment, availability }: GrantBody): NonNullable<GrantBody['payment']> {
  if (availability === 'on_creation') return payment ?? 'none'
  if (payment === 'none')
    throw wrongField('payment', `"none" never comes, and the grant waits for it (${availability})`)
  return payment ?? 'pending'
}

const list = route({
  method: 'GET',
  path: '/accounts/:account/grants',
  role: 'viewer',
  summary: 'Grants of an account, oldest first, used up and expired ones too',
  query: pageQuery,
  answer: pageOf(grantAnswer),
  async handle({ admin, path, query }) {
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    return page([...(await admin.wallet.grants(account))].sort(byId), query, grantJson)
  },
})

const create = route({
  method: 'POST',
  path: '/accounts/:account/grants',
  role: 'finance',
  summary: 'Add a credit grant',
  body: grantBody,
  status: 201,
  answer: grantAnswer,
  async handle({ admin, path, body, actor, operationId, nowMs }) {
    const account = path['account'] ?? ''
    const scale = scaleOf(admin, body.unit)
    const amountAtoms = amountOf(body.amount, scale)
    if (amountAtoms <= 0n) throw wrongField('amount', 'must be more than 0; "adjust" takes away')
    const payment = paymentOf(body)
    await mustExist(admin, account)
    const result = await admin.wallet.grant({
      account,
      operationId,
      id: newId(nowMs),
      key: body.key ?? undefined,
      unit: body.unit,
      scale,
      amountAtoms,
      funding: body.funding,
      priority: body.priority,
      effectiveAtMs: millis('effective_at', body.effective_at),
      expiresAtMs: millis('expires_at', body.expires_at),
      appliesTo: scopeOf(body),
      costBasis: body.cost_basis ?? undefined,
      repaysDebt: body.repays_debt ?? undefined,
      labels: body.labels,
      actor: actor.name,
      payment,
      availability: body.availability,
    })
    if (result.status !== 'done') throw refusalError(result.status)
    const { effectiveAtMs, expiresAtMs } = result.value
    if (effectiveAtMs > nowMs) admin.touch(account, effectiveAtMs)
    if (expiresAtMs !== undefined) admin.touch(account, expiresAtMs)
    return { status: result.replay ? 200 : 201, body: grantJson(result.value) }
  },
})

const voidGrant = route({
  method: 'POST',
  path: '/accounts/:account/grants/:grant/void',
  role: 'finance',
  summary: 'Forfeit what is free of a grant; open holds on it end as they would',
  body: reasonBody,
  answer: grantAnswer,
  async handle({ admin, path, body, actor, operationId }) {
    const { account = '', grant = '' } = path
    await mustExist(admin, account)
    if (idTimeMs(grant) === undefined) throw unknown('grant', grant)
    const request = { account, operationId, grant, reason: body.reason, actor: actor.name }
    const result = await admin.wallet.voidGrant(request)
    if (result.status !== 'done') throw refusalError(result.status)
    return { status: 200, body: grantJson(result.value satisfies Grant) }
  },
})

const clawback = route({
  method: 'POST',
  path: '/accounts/:account/grants/:grant/clawback',
  role: 'finance',
  summary: 'Take a grant back whose money was taken back: what is free is voided, what was spent becomes debt',
  body: clawbackBody,
  answer: grantAnswer,
  async handle({ admin, path, body, actor, operationId }) {
    const { account = '', grant = '' } = path
    const found = await findGrant(admin, account, grant)
    const amountAtoms = body.amount === undefined ? undefined : amountOf(body.amount, found.scale)
    if (amountAtoms !== undefined && amountAtoms <= 0n) throw wrongField('amount', 'must be more than 0')
    const { freeze, reason } = body
    const request = { account, operationId, grant, amountAtoms, freeze, reason, actor: actor.name }
    const result = await admin.wallet.clawback(request)
    if (result.status === 'out_of_range')
      throw wrongField(
        'amount',
        'more than is free and spent of it; leave it out to take all of it back',
        'out_of_range',
      )
    if (result.status !== 'done') throw refusalError(result.status)
    return { status: 200, body: grantJson(result.value) }
  },
})

const payment = route({
  method: 'POST',
  path: '/accounts/:account/grants/:grant/payment',
  role: 'finance',
  summary: 'Say how far the payment of a grant is; one that failed takes the grant back',
  body: paymentBody,
  answer: grantAnswer,
  async handle({ admin, path, body, actor, operationId }) {
    const { account = '', grant = '' } = path
    await findGrant(admin, account, grant)
    const request = { account, operationId, grant, payment: body.state, reason: body.reason, actor: actor.name }
    const result = await admin.wallet.payment(request)
    if (result.status !== 'done') throw refusalError(result.status)
    return { status: 200, body: grantJson(result.value) }
  },
})

/** Throws 404. */
async function findGrant(admin: AdminDependencies, account: string, id: string): Promise<Grant> {
  await mustExist(admin, account)
  const grant = (await admin.wallet.grants(account)).find((candidate) => candidate.id === id)
  if (!grant) throw unknown('grant', id)
  return grant
}

const holds = route({
  method: 'GET',
  path: '/accounts/:account/holds',
  role: 'viewer',
  summary: 'Open holds of an account, oldest first',
  query: pageQuery,
  answer: pageOf(holdAnswer),
  async handle({ admin, path, query }) {
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    return page([...(await admin.wallet.holds(account))].sort(byId), query, holdJson)
  },
})

export const GRANT_ROUTES: readonly Route[] = [list, create, voidGrant, clawback, payment, holds]
