/** Whether what Redis keeps is what the ledgers say, and the repair of what is not. */
import { NAME } from '../config/fields.ts'
import { refusalError, unknown } from './admin-error.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { doctorAnswer, doctorQuery, pageOf, repairAnswer, repairBody } from './schemas.ts'

async function doctorJson(admin: AdminDependencies, account: string) {
  const { seq, differences, notChecked } = await admin.wallet.check(account)
  return { account, seq, differences, not_checked: notChecked }
}

const all = route({
  method: 'GET',
  path: '/doctor',
  role: 'viewer',
  summary: 'Recompute every account from its ledger and compare, by id; calls go on meanwhile',
  query: doctorQuery,
  answer: pageOf(doctorAnswer),
  async handle({ admin, query }) {
    const page = await admin.accounts.page(query.after, query.limit)
    const items: unknown[] = []
    // One after the other: calls come first.
    for (const { id } of page.items) items.push(await doctorJson(admin, id))
    return { status: 200, body: { items, next: page.more ? (page.items.at(-1)?.id ?? null) : null } }
  },
})

const one = route({
  method: 'GET',
  path: '/accounts/:account/doctor',
  role: 'viewer',
  summary: 'Recompute one account from its ledger and compare; one that was taken out of the files too',
  answer: doctorAnswer,
  async handle({ admin, path }) {
    const id = path['account'] ?? ''
    if (!NAME.test(id)) throw unknown('account', id)
    const body = await doctorJson(admin, id)
    const hasBooks = body.seq > 0 || body.differences.length > 0
    if (!hasBooks && !(await admin.accounts.find(id))) throw unknown('account', id)
    return { status: 200, body }
  },
})

const repair = route({
  method: 'POST',
  path: '/accounts/:account/repair',
  role: 'operator',
  summary: 'Write what the ledger proves in place of what differs from it: all of it or nothing',
  body: repairBody,
  answer: repairAnswer,
  async handle({ admin, path, body, actor, operationId }) {
    const account = path['account'] ?? ''
    if (!NAME.test(account)) throw unknown('account', account)
    const by = { account, reason: body.reason, actor: actor.name }
    if (body.freeze && !body.dry_run) {
      const { status } = await admin.wallet.setFrozen({ ...by, operationId, frozen: true })
      if (status !== 'done') throw refusalError(status)
    }
    const result = await admin.wallet.repair({ ...by, dryRun: body.dry_run })
    if (result.seq === 0 && result.status === 'whole' && !(await admin.accounts.find(account)))
      throw unknown('account', account)
    return { status: 200, body: { account, ...result } }
  },
})

export const DOCTOR_ROUTES: readonly Route[] = [all, one, repair]
