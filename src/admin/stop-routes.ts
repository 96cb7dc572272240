/** Stops of runaways, and what budgets have counted. */
import { budgetOfCounter, counterUse } from '../core/budget-use.ts'
import { shownWindow } from '../core/budget-window.ts'
import { scaleOfMeasure } from '../core/budgets.ts'
import { newId } from '../core/ids.ts'
import { formatAmount } from '../core/money.ts'
import type { BudgetCounter, Stop, StopKind } from '../wallet/wallet-types.ts'
import { firstBody, mustExist } from './account-routes.ts'
import { refusalError, unknown } from './admin-error.ts'
import { timeText } from './render-wallet.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { budgetAnswer, budgetQuery, pageOf, stopAnswer, stopBody } from './schemas.ts'

function stopJson({ id, kind, value, cut, reason, atMs, actor }: Stop) {
  return { id, [kind === 'request' ? 'request_id' : kind]: value, cut, reason, at: timeText(atMs), actor }
}

const list = route({
  method: 'GET',
  path: '/accounts/:account/stops',
  role: 'viewer',
  summary: 'Stops in force',
  answer: pageOf(stopAnswer),
  async handle({ admin, path }) {
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    return { status: 200, body: { items: (await admin.wallet.stops(account)).map(stopJson), next: null } }
  },
})

const create = route({
  method: 'POST',
  path: '/accounts/:account/stops',
  role: 'operator',
  summary:
    'Refuse new calls of a run, a user, a key or a request at once; cut: end its open ones too, on every gateway',
  body: stopBody,
  status: 201,
  answer: stopAnswer,
  async handle({ admin, path, body: asked, actor, operationId, nowMs }) {
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    const named: readonly (readonly [StopKind, string | undefined])[] = [
      ['run', asked.run],
      ['user', asked.user],
      ['key', asked.key],
      ['request', asked.request_id],
    ]
    const [kind, value] = named.find(([, name]) => name !== undefined) as readonly [StopKind, string]
    const { cut, reason } = asked
    const stop: Stop = { id: newId(nowMs), kind, value, reason, cut, atMs: nowMs, actor: actor.name }
    const result = await admin.wallet.setStop({ account, operationId, kind, value, stop, reason, actor: actor.name })
    if (result.status !== 'done') throw refusalError(result.status)
    if (cut && !result.replay) await admin.cut({ account, kind, value })
    const made = await firstBody(admin, account, operationId, stopJson(stop))
    return { status: result.replay ? 200 : 201, body: made }
  },
})

const lift = route({
  method: 'DELETE',
  path: '/accounts/:account/stops/:stop',
  role: 'operator',
  summary: 'Allow its calls again',
  answer: stopAnswer,
  async handle({ admin, path, actor, operationId }) {
    const { account = '', stop: id = '' } = path
    await mustExist(admin, account)
    const stop = (await admin.wallet.stops(account)).find((candidate) => candidate.id === id)
    if (!stop) throw unknown('stop', id)
    const { kind, value } = stop
    const request = { account, operationId, kind, value, stop: undefined, reason: 'lifted', actor: actor.name }
    const result = await admin.wallet.setStop(request)
    if (result.status !== 'done') throw refusalError(result.status)
    return { status: 200, body: stopJson(stop) }
  },
})

const budgets = route({
  method: 'GET',
  path: '/budgets',
  role: 'viewer',
  summary: 'What the budgets of an account have counted, in no order',
  query: budgetQuery,
  answer: pageOf(budgetAnswer),
  async handle({ admin, query }) {
    await mustExist(admin, query.account)
    const page = await admin.wallet.counters(query.account, query.after ?? '0', query.limit)
    const items = page.counters.map((counter) => budgetJson(admin, query.account, counter, page.nowMs))
    return { status: 200, body: { items, next: page.next === '0' ? null : page.next } }
  },
})

function budgetJson(admin: AdminDependencies, account: string, counter: BudgetCounter, nowMs: number) {
  const { name, measure, window, values, spent, held, startAtMs, endsAtMs } = counterUse(counter, nowMs)
  const { budgets, settings } = admin.store.current()
  const budget = budgetOfCounter(budgets, account, counter.field, values)
  const scale = scaleOfMeasure(measure, settings.unitScales)
  const text = (amount: bigint): string => formatAmount(amount, scale)
  return {
    name,
    account,
    values,
    unit: measure,
    limit: budget ? text(budget.limit) : null,
    spent: text(spent),
    held: text(held),
    ...shownWindow(window),
    starts_at: startAtMs === undefined ? null : timeText(startAtMs),
    resets_at: endsAtMs === undefined ? null : timeText(endsAtMs),
  }
}

export const STOP_ROUTES: readonly Route[] = [list, create, lift, budgets]
