/** Commands that read: balance, grants, holds, ledger, accounts list. */
import type { z } from 'zod'
import { type accountAnswer, type grantAnswer, type holdAnswer, LEDGER_TYPES } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { followLedger } from './follow-command.ts'
import { LEDGER_COLUMNS, type LedgerRow } from './ledger-rows.ts'
import { type Column, table } from './table.ts'
import { type TimeOptions, timeRange } from './time-range.ts'

export type AccountJson = z.infer<typeof accountAnswer>
type BalanceJson = AccountJson['balances'][number]
export type GrantJson = z.infer<typeof grantAnswer>
type HoldJson = z.infer<typeof holdAnswer>

export interface Output {
  readonly json: boolean
  readonly print: (text: string) => void
}

export function printJson(output: Output, value: unknown): void {
  output.print(`${JSON.stringify(value, null, 2)}\n`)
}

const BALANCE_COLUMNS: readonly Column<BalanceJson>[] = [
  { title: 'UNIT', text: (row) => row.unit },
  { title: 'AVAILABLE', right: true, text: (row) => row.available },
  { title: 'HELD', right: true, text: (row) => row.held },
  { title: 'BALANCE', right: true, text: (row) => row.balance },
  { title: 'HEADROOM', right: true, text: (row) => row.headroom ?? 'no limit' },
  { title: 'GRANTED', right: true, text: (row) => row.granted },
  { title: 'CHARGED', right: true, text: (row) => row.posted },
  { title: 'EXPIRED', right: true, text: (row) => row.expired },
]

/** What is usually zero gets a line only where it is not. */
function extras(balance: BalanceJson): string[] {
  const { unit } = balance
  const lines: [string, string][] = [
    [balance.scoped, 'for some models, upstreams or labels only'],
    [balance.pending, 'not yet effective'],
    [balance.debt, 'owed as debt'],
    [balance.flagged, 'flagged, to be resolved'],
    [balance.postpaid, 'postpaid'],
  ]
  const overflow = Object.entries(balance.overflow_periods).map(([period, amount]): [string, string] => [
    amount,
    `overflow of ${period}`,
  ])
  return [...lines, ...overflow]
    .filter(([amount]) => amount !== '0')
    .map(([amount, what]) => `  ${amount} ${unit} ${what}`)
}

export function accountText(account: AccountJson): string {
  const plan = account.plan === null ? 'neither in the files nor in Redis' : `plan ${account.plan}`
  const head = `${account.id}  ${plan}  ${account.status}\n`
  const lines = account.balances.flatMap(extras)
  return head + table(BALANCE_COLUMNS, account.balances, 'No wallet.') + lines.map((line) => `${line}\n`).join('')
}

export async function balanceCommand(admin: AdminClient, account: string, output: Output): Promise<void> {
  const body = await admin.get<AccountJson>(`accounts/${part(account)}`)
  if (output.json) printJson(output, body)
  else output.print(accountText(body))
}

export async function all<Item>(
  admin: AdminClient,
  path: string,
  query: Readonly<Record<string, string>> = {},
): Promise<readonly Item[]> {
  const items: Item[] = []
  for await (const page of admin.pages<Item>(path, query)) items.push(...page)
  return items
}

const ACCOUNT_COLUMNS: readonly Column<AccountJson>[] = [
  { title: 'ACCOUNT', text: (row) => row.id },
  { title: 'PLAN', text: (row) => row.plan ?? '' },
  { title: 'STATUS', text: (row) => row.problem ?? row.status },
  { title: 'IN', text: (row) => row.source ?? '' },
  {
    title: 'AVAILABLE',
    right: true,
    text: (row) => row.balances.map((balance) => `${balance.available} ${balance.unit}`).join(', '),
  },
  { title: 'HELD', right: true, text: (row) => row.balances.map((balance) => balance.held).join(', ') },
]

export async function accountsCommand(admin: AdminClient, output: Output): Promise<void> {
  const items = await all<AccountJson>(admin, 'accounts')
  if (output.json) printJson(output, items)
  else output.print(table(ACCOUNT_COLUMNS, items, 'No accounts.'))
}

function day(time: string | null): string {
  return time === null
    ? ''
    : time
        .replace('T', ' ')
        .replace(/(:\d\d)\.000Z$/, '$1')
        .replace('Z', '')
        .replace(' 00:00:00', '')
}

function scopeText(grant: GrantJson): string {
  const { labels = {}, ...lists } = grant.applies_to ?? {}
  return [...Object.values(lists), Object.entries(labels).map(([name, value]) => `${name}=${value}`)]
    .map((values) => (values ?? []).join(','))
    .filter((values) => values !== '')
    .join('; ')
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')
}

const GRANT_COLUMNS: readonly Column<GrantJson>[] = [
  { title: 'GRANT', text: (row) => row.id },
  { title: 'FUNDING', text: (row) => row.funding },
  { title: 'AMOUNT', right: true, text: (row) => row.amount },
  { title: 'FREE', right: true, text: (row) => row.free },
  { title: 'HELD', right: true, text: (row) => row.held },
  { title: 'USED', right: true, text: (row) => row.consumed },
  { title: 'EXPIRED', right: true, text: (row) => row.expired },
  { title: 'VOIDED', right: true, text: (row) => row.voided },
  { title: 'UNIT', text: (row) => row.unit },
  { title: 'PRIORITY', right: true, text: (row) => String(row.priority) },
  { title: 'EFFECTIVE (UTC)', text: (row) => day(row.effective_at) },
  { title: 'EXPIRES', text: (row) => (row.expires_at === null ? 'never' : day(row.expires_at)) },
  { title: 'FOR', text: scopeText },
  { title: 'KEY', text: (row) => row.key ?? '' },
  { title: 'LABELS', text: (row) => labelsText(row.labels) },
]

export function grantsText(grants: readonly GrantJson[]): string {
  return table(GRANT_COLUMNS, grants, 'No grants.')
}

export async function grantsCommand(admin: AdminClient, account: string, output: Output): Promise<void> {
  const items = await all<GrantJson>(admin, `accounts/${part(account)}/grants`)
  if (output.json) printJson(output, items)
  else output.print(grantsText(items))
}

const HOLD_COLUMNS: readonly Column<HoldJson>[] = [
  { title: 'CALL', text: (row) => row.id },
  { title: 'HELD', right: true, text: (row) => row.held },
  { title: 'OVERAGE', right: true, text: (row) => row.overage },
  { title: 'UNIT', text: (row) => row.unit },
  { title: 'SINCE (UTC)', text: (row) => day(row.created_at) },
  { title: 'DEADLINE', text: (row) => day(row.deadline_at) },
  { title: 'MODEL', text: (row) => row.model },
  { title: 'ENDPOINT', text: (row) => row.endpoint },
  { title: 'KEY', text: (row) => row.key },
  { title: 'RUN', text: (row) => row.run ?? '' },
  { title: 'USER', text: (row) => row.user ?? '' },
]

export async function holdsCommand(admin: AdminClient, account: string, output: Output): Promise<void> {
  const items = await all<HoldJson>(admin, `accounts/${part(account)}/holds`)
  if (output.json) printJson(output, items)
  else output.print(table(HOLD_COLUMNS, items, 'No open calls.'))
}

export interface LedgerOptions extends TimeOptions {
  readonly follow?: boolean
  readonly type?: string | undefined
}

/** As text a page at a time; as JSON one entry a line, so that a long ledger can be piped. */
export async function ledgerCommand(
  admin: AdminClient,
  account: string,
  options: LedgerOptions,
  output: Output,
): Promise<void> {
  const range = timeRange(options, Date.now())
  if (options.type !== undefined && !(LEDGER_TYPES as readonly string[]).includes(options.type))
    throw new CliError(`--type: there is no "${options.type}"; choose ${LEDGER_TYPES.join(', ')}`, 2)
  if (options.follow && Number.isFinite(range.untilMs))
    throw new CliError('--follow has no end: leave out --until and --period', 2)
  const inRange = (row: LedgerRow) => {
    const atMs = Date.parse(row.at)
    return atMs >= range.sinceMs && atMs < range.untilMs
  }
  let lastSeq = 0
  let shown = 0
  const show = (rows: readonly LedgerRow[], titles: boolean) => {
    if (output.json) for (const row of rows) output.print(`${JSON.stringify(row)}\n`)
    else if (rows.length > 0) {
      const text = table(LEDGER_COLUMNS, rows, '')
      output.print(titles ? text : text.slice(text.indexOf('\n') + 1))
    }
    shown += rows.length
  }
  for await (const rows of admin.pages<LedgerRow>(`accounts/${part(account)}/ledger`, { type: options.type })) {
    lastSeq = rows.at(-1)?.seq ?? lastSeq
    show(rows.filter(inRange), shown === 0)
  }
  if (!options.follow) {
    if (shown === 0 && !output.json) output.print('No entries.\n')
    return
  }
  await followLedger(admin, account, options.type, lastSeq, (row) => show([row], shown === 0))
}
