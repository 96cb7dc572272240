/** Reports for finance: do the controls work, and what would enforcement refuse. */
import { resolveKey } from '../accounts/resolve.ts'
import type { Plan } from '../config/snapshot.ts'
import { exactText } from '../core/decimal-sum.ts'
import type { OverageLimit } from '../reports/controls.ts'
import { readControls } from '../reports/read-controls.ts'
import { readShadow } from '../reports/shadow.ts'
import { TooManyGroups } from '../reports/usage-report.ts'
import { mustExist } from './account-routes.ts'
import { wrongField } from './admin-error.ts'
import { listAccounts } from './list-accounts.ts'
import { longRead } from './long-reads.ts'
import { spanJson, spanOf } from './report-span.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { controlsAnswer, reportQuery, shadowAnswer } from './schemas.ts'

const GROUPS_MAX = 10_000

async function accountsOf(admin: AdminDependencies, account: string | undefined): Promise<readonly string[]> {
  if (account === undefined) return listAccounts(admin)
  await mustExist(admin, account)
  return [account]
}

const controls = route({
  method: 'GET',
  path: '/reports/controls',
  role: 'viewer',
  summary:
    'Do the controls work: refusals, trims, cuts, overage and expiry against policy, hold accuracy, overruns, unreconciled and unmatched calls; each with a verdict',
  query: reportQuery,
  answer: controlsAnswer,
  async handle({ admin, query, response }) {
    const span = spanOf(query)
    const accounts = await accountsOf(admin, query.account)
    const options = { ...span, limitOf: (account: string) => limitOf(admin, account) }
    const report = await longRead(admin, response, (signal) => readControls(admin.wallet, accounts, options, signal))
    const total = report.total.controls()
    const items = [...report.accounts].map(([account, figures]) => ({ account, controls: figures.controls() }))
    const verdict = total.some((control) => control.verdict === 'look') ? 'look' : 'ok'
    return { status: 200, body: { ...spanJson(span), verdict, total, items, next: null } }
  },
})

/** By the policy of today: of the key, else of the account. */
function limitOf(admin: AdminDependencies, account: string): OverageLimit {
  const plans = new Map<string, Promise<Plan | undefined>>()
  return async (key, owed) => {
    if (owed === 'flagged' || owed === 'postpaid') return 'unlimited'
    const plan = plans.get(key) ?? planOf(admin, account, key)
    plans.set(key, plan)
    const policy = (await plan)?.onExhausted
    if (owed === 'debt' && policy?.mode === 'negative') return { limitAtoms: -policy.floorAtoms }
    if (owed.startsWith('overflow:') && policy?.mode === 'overflow') return { limitAtoms: policy.capAtoms }
    return 'other'
  }
}

async function planOf(admin: AdminDependencies, id: string, key: string): Promise<Plan | undefined> {
  const config = admin.store.current()
  const ofFiles = [...config.keys.values()].find((known) => known.id === key && known.account.id === id)
  if (ofFiles) return ofFiles.plan
  const account = await admin.accounts.find(id)
  if (!account?.plan) return undefined
  const record = key === '' ? undefined : await admin.kept.readKey(key)
  if (!record) return account.plan
  const { labels, plan } = account
  return resolveKey(config, '', record, { id, labels, plan }).value?.plan ?? plan
}

const shadow = route({
  method: 'GET',
  path: '/reports/shadow',
  role: 'viewer',
  summary: 'What enforcement would have refused of the calls that observe let pass, by account, code and rule',
  query: reportQuery,
  answer: shadowAnswer,
  async handle({ admin, query, response }) {
    const span = spanOf(query)
    const accounts = await accountsOf(admin, query.account)
    const options = { ...span, groupsMax: GROUPS_MAX }
    const groups = await longRead(admin, response, (signal) =>
      readShadow(admin.wallet, accounts, options, signal).catch((error: unknown) => {
        throw error instanceof TooManyGroups ? wrongField('account', error.message, 'out_of_range') : error
      }),
    )
    const items = groups.map((group) => ({
      ...group,
      charged: exactText(group.charged),
      flagged: exactText(group.flagged),
    }))
    return { status: 200, body: { ...spanJson(span), items, next: null } }
  },
})

export const REPORT_ROUTES: readonly Route[] = [controls, shadow]
