/** Accounts that are kept in Redis beside those of the files. */
import type { AccountFields } from '../accounts/records.ts'
import { writeAccount } from '../accounts/records.ts'
import type { Plan } from '../config/snapshot.ts'
import { accountJson } from './account-routes.ts'
import { AdminError, unknown, wrongField } from './admin-error.ts'
import { repeatableBy } from './first-answers.ts'
import { checkLabels, checkOverrides, checkSize } from './kept-fields.ts'
import { accountBody, accountPatch } from './kept-schemas.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { accountAnswer } from './schemas.ts'

/** Throws 422. */
function planOf(admin: AdminDependencies, name: string): Plan {
  const { plans } = admin.store.current()
  const plan = plans.get(name)
  if (plan) return plan
  const names = [...plans.keys()].slice(0, 20).join(', ')
  throw wrongField('plan', `"${name}" is no plan of the files; there are ${names === '' ? 'none' : names}`)
}

export function conflict(message: string): AdminError {
  return new AdminError(409, 'conflict', message)
}

export function otherArguments(): AdminError {
  return conflict('This Idempotency-Key was used before with other arguments.')
}

function ofFiles(id: string): AdminError {
  return conflict(`The account "${id}" is in entitlements.yaml, and counts as it stands there: change it in the file.`)
}

const create = route({
  method: 'POST',
  path: '/accounts',
  role: 'finance',
  summary: 'Make an account that is kept in Redis; its wallet is empty until a grant',
  body: accountBody,
  status: 201,
  answer: accountAnswer,
  async handle({ admin, body, operationId, fingerprint, nowMs }) {
    const { id, plan } = body
    const repeat = repeatableBy(operationId, fingerprint)
    let status = repeat && (await admin.kept.madeBefore(repeat))
    if (status === undefined) {
      if (admin.store.current().accounts.has(id)) throw ofFiles(id)
      const { unit } = planOf(admin, plan)
      const labels = checkLabels(body.labels)
      const givenOverrides = checkOverrides(admin.store.current(), body.plan_overrides, unit, false)
      const fields = { plan, labels, givenOverrides, createdAtMs: nowMs, closedAtMs: undefined }
      checkSize(writeAccount(fields))
      const made = await admin.kept.createAccount(id, fields, repeat)
      if (made === 'exists')
        throw conflict(`There is an account "${id}" already; PATCH changes it, and opens it again where it is closed.`)
      if (made === 'created') await admin.accountChanged(id)
      else status = made
    }
    if (status === 'conflict') throw otherArguments()
    const made = await accountJson(admin, id, nowMs)
    if (!repeat) return { status: 201, body: made }
    const first = JSON.parse(await admin.wallet.firstAnswer(id, repeat.operationId, JSON.stringify(made)))
    return { status: status === 'replay' ? 200 : 201, body: first }
  },
})

const patch = route({
  method: 'PATCH',
  path: '/accounts/:account',
  role: 'finance',
  summary: 'Change an account in Redis, each field as a whole; status: active opens a closed one again',
  body: accountPatch,
  answer: accountAnswer,
  async handle({ admin, path, body, nowMs }) {
    const id = path['account'] ?? ''
    if (body.id !== undefined && body.id !== id) throw wrongField('id', `an account keeps its id, which is "${id}"`)
    const config = admin.store.current()
    if (config.accounts.has(id)) throw ofFiles(id)
    if (body.plan !== undefined) planOf(admin, body.plan)
    const labels = body.labels && checkLabels(body.labels)
    const changed = await admin.kept.updateAccount(id, (kept): AccountFields => {
      const plan = body.plan ?? kept.plan
      const givenOverrides = body.plan_overrides ?? kept.givenOverrides
      // Those that stay must fit another plan too.
      const unit = config.plans.get(plan)?.unit
      if (unit !== undefined || body.plan_overrides !== undefined)
        checkOverrides(config, givenOverrides, unit ?? 'USD', false)
      const closedAtMs = body.status === 'active' ? undefined : kept.closedAtMs
      const fields = { ...kept, plan, givenOverrides, labels: labels ?? kept.labels, closedAtMs }
      checkSize(writeAccount(fields))
      return fields
    })
    if (changed === undefined) throw unknown('account', id)
    await admin.accountChanged(id)
    return { status: 200, body: await accountJson(admin, id, nowMs) }
  },
})

const close = route({
  method: 'DELETE',
  path: '/accounts/:account',
  role: 'finance',
  summary: 'Close an account in Redis: its keys are refused at once, open calls end as they would, its wallet stays',
  answer: accountAnswer,
  async handle({ admin, path, nowMs }) {
    const id = path['account'] ?? ''
    if (admin.store.current().accounts.has(id)) throw ofFiles(id)
    const closed = await admin.kept.updateAccount(id, (kept) => ({ ...kept, closedAtMs: kept.closedAtMs ?? nowMs }))
    if (closed === undefined) throw unknown('account', id)
    await admin.accountChanged(id)
    return { status: 200, body: await accountJson(admin, id, nowMs) }
  },
})

export const KEPT_ACCOUNT_ROUTES: readonly Route[] = [create, patch, close]
