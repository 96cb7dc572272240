/** What was used, by whatever finance and support ask for. */
import { exactText } from '../core/decimal-sum.ts'
import { type Dimension, parseDimensions } from '../reports/dimensions.ts'
import { readUsage } from '../reports/read-usage.ts'
import { chargedOf, marginOf, TooManyGroups, type UsageGroup, type UsageReport } from '../reports/usage-report.ts'
import { mustExist } from './account-routes.ts'
import { wrongField } from './admin-error.ts'
import { listAccounts } from './list-accounts.ts'
import { longRead } from './long-reads.ts'
import { needTimezone, spanJson, spanOf } from './report-span.ts'
import { type Route, route } from './route.ts'
import { usageAnswer, usageQuery } from './schemas.ts'

const GROUPS_MAX = 10_000

const usage = route({
  method: 'GET',
  path: '/usage',
  role: 'viewer',
  summary:
    'Tokens, calls, what was charged, refunded and what it cost, from the ledger, in groups (at most 10,000); a timeout has no labels',
  query: usageQuery,
  answer: usageAnswer,
  async handle({ admin, query, response }) {
    const by = dimensionsOf(query.by)
    const span = spanOf(query)
    const timezone = needTimezone(query.timezone)
    if (query.account !== undefined) await mustExist(admin, query.account)
    const accounts = query.account === undefined ? await listAccounts(admin) : [query.account]
    const options = { by, ...span, timezone, groupsMax: GROUPS_MAX }
    const report = await longRead(admin, response, (signal) =>
      readUsage(admin.wallet, accounts, options, signal).catch((error: unknown) => {
        throw error instanceof TooManyGroups ? wrongField('by', error.message, 'out_of_range') : error
      }),
    )
    return {
      status: 200,
      body: { by: by.map(({ name }) => name), ...spanJson(span), timezone, ...reportJson(report, by) },
    }
  },
})

function dimensionsOf(text: string): readonly Dimension[] {
  const by = parseDimensions(text)
  if ('wrong' in by) throw wrongField('by', by.wrong)
  return by
}

function reportJson(report: UsageReport, by: readonly Dimension[]) {
  const items = report.groups().map((group) => ({
    group: Object.fromEntries(by.map(({ name }, i) => [name, group.values[i] ?? null])),
    ...figuresJson(group),
  }))
  return { items, totals: report.totals().map(figuresJson), next: null }
}

function figuresJson(group: UsageGroup) {
  const charged = chargedOf(group)
  const margin = marginOf(group)
  return {
    unit: group.unit,
    calls: group.calls,
    estimates: group.estimates,
    timeouts: group.timeouts,
    late_settles: group.lateSettles,
    tokens: Object.fromEntries(group.tokens),
    units: texts(group.units),
    charged: exactText(charged),
    promotional: exactText(group.promotional),
    paid: exactText(group.paid),
    overage: exactText(group.overage),
    refunded: exactText(group.refunded),
    net: exactText(charged - group.refunded),
    cost: texts(group.cost),
    without_cost: group.withoutCost,
    margin: margin === undefined ? null : exactText(margin),
  }
}

function texts(amounts: ReadonlyMap<string, bigint>): Record<string, string> {
  return Object.fromEntries([...amounts].map(([name, parts]) => [name, exactText(parts)]))
}

export const USAGE_ROUTES: readonly Route[] = [usage]
