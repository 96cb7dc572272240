/** `tollgate refund`: one charge, or every charge of an outage. */
import type { z } from 'zod'
import type { refundAnswer } from '../admin/schemas.ts'
import { exactOf, exactText } from '../core/decimal-sum.ts'
import { type AdminClient, part, Unreachable } from './admin-client.ts'
import { needPositive } from './amounts.ts'
import { type ChosenCharge, chooseCharges } from './choose-charges.ts'
import { CliError } from './cli-error.ts'
import type { AccountJson } from './read-commands.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'
import { type TimeOptions, timeRange } from './time-range.ts'

type RefundJson = z.infer<typeof refundAnswer>

export interface RefundOptions extends TimeOptions {
  readonly amount?: string
  readonly mode?: string
  readonly where?: readonly string[]
  readonly dryRun?: boolean
  readonly reason?: string
}

const MODES = ['original', 'new_grant']
/** Fields of a settle entry that charges are chosen by. */
const FIELDS = ['account', 'upstream', 'model', 'endpoint', 'key', 'run', 'user', 'status']

/** Answers the exit code: 1 where a charge of many was refused. Throws CliError. */
export async function refundCommand(
  admin: AdminClient,
  charge: string | undefined,
  options: RefundOptions,
  output: Output,
): Promise<0 | 1> {
  if (options.reason === undefined && options.dryRun !== true)
    throw new CliError('--reason is missing: it stands in the ledger', 2)
  const mode = options.mode ?? 'original'
  if (!MODES.includes(mode)) throw new CliError(`--mode: there is no "${mode}"; choose ${MODES.join(' or ')}`, 2)
  if ((charge === undefined) === (options.where === undefined))
    throw new CliError(
      'name a CHARGE (ACCOUNT:SEQ), or choose many with --where upstream=openai --since … --until …',
      2,
    )
  if (charge !== undefined && options.dryRun === true)
    throw new CliError('--dry-run goes with --where: of one charge nothing is chosen', 2)
  if (charge !== undefined) {
    await refundOne(admin, charge, mode, options, output)
    return 0
  }
  if (options.amount !== undefined)
    throw new CliError('--amount has no meaning with --where: whole charges are refunded', 2)
  return refundMany(admin, mode, options, output)
}

async function refundOne(
  admin: AdminClient,
  charge: string,
  mode: string,
  { amount, reason }: RefundOptions,
  output: Output,
): Promise<void> {
  if (!/^.+:[1-9]\d{0,15}$/.test(charge))
    throw new CliError(`CHARGE: "${charge}" is not ACCOUNT:SEQ of a charge, such as acme:42`, 2)
  if (amount !== undefined) needPositive('--amount', amount)
  const body = { ...(amount === undefined ? {} : { amount }), mode, reason }
  const { body: done } = await admin.post<RefundJson>(`charges/${part(charge)}/refund`, body)
  if (output.json) return printJson(output, done)
  output.print(`Refunded: ${done.refunded} of ${done.charged} ${done.unit} of charge ${done.charge}, in all\n`)
}

interface Row extends ChosenCharge {
  /** undefined: a dry run. */
  readonly error?: string | undefined
}

/** What is given back already is not in it, so that a run that broke off is simply run again. */
async function refundMany(admin: AdminClient, mode: string, options: RefundOptions, output: Output): Promise<0 | 1> {
  const wanted = readWhere(options.where ?? [])
  const range = timeRange(options, Date.now())
  if (options.since === undefined && options.until === undefined && options.period === undefined)
    throw new CliError('--since and --until (or --period) are missing: an outage has a time', 2)
  const chosen: ChosenCharge[] = []
  for (const account of await accountsOf(admin, wanted['account']))
    chosen.push(...(await chooseCharges(admin, account, wanted, range)))
  if (options.dryRun === true) {
    show(output, chosen, 'Would be refunded')
    return 0
  }
  const rows: Row[] = []
  for (const charge of chosen) rows.push({ ...charge, error: await refundChosen(admin, charge, mode, options.reason) })
  show(output, rows, 'Refunded')
  return rows.some(({ error }) => error !== undefined) ? 1 : 0
}

/** Answers why it was refused. A gateway that does not answer any more ends the command: what is done stays done. */
async function refundChosen(
  admin: AdminClient,
  { charge }: ChosenCharge,
  mode: string,
  reason: string | undefined,
): Promise<string | undefined> {
  try {
    await admin.post<RefundJson>(`charges/${part(charge)}/refund`, { mode, reason })
    return undefined
  } catch (error) {
    if (error instanceof Unreachable)
      throw new CliError(`${error.message}; the refunds before ${charge} are done: run it again for the rest`)
    if (error instanceof CliError) return error.message
    throw error
  }
}

function show(output: Output, rows: readonly Row[], done: string): void {
  const isDry = done !== 'Refunded'
  const refused = rows.filter(({ error }) => error !== undefined)
  const sums = sumsOf(rows.filter(({ error }) => error === undefined))
  if (output.json) {
    printJson(output, { refunded: !isDry, charges: rows, sums })
    return
  }
  const columns: Column<Row>[] = [
    { title: 'CHARGE', text: (row) => row.charge },
    { title: 'AT', text: (row) => row.at },
    { title: 'AMOUNT', right: true, text: (row) => `${row.amount} ${row.unit}` },
    { title: 'MODEL', text: (row) => row.model },
    ...(refused.length > 0 ? [{ title: 'REFUSED', text: (row: Row) => row.error ?? '' }] : []),
  ]
  const amounts = Object.entries(sums).map(([unit, amount]) => `, ${amount} ${unit}`)
  const failed = refused.length > 0 ? `; refused: ${refused.length}, run it again when what is named is over` : ''
  output.print(table(columns, rows, 'No charge fits that is not refunded already.'))
  output.print(`${done}: ${rows.length - refused.length} charges${amounts.join('')}${failed}\n`)
}

function sumsOf(rows: readonly Row[]): Readonly<Record<string, string>> {
  const sums = new Map<string, bigint>()
  for (const { unit, amount } of rows) sums.set(unit, (sums.get(unit) ?? 0n) + exactOf(amount))
  return Object.fromEntries([...sums].map(([unit, parts]) => [unit, exactText(parts)]))
}

function readWhere(pairs: readonly string[]): Readonly<Record<string, string>> {
  const wanted: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, at)
    if (at < 1) throw new CliError(`--where: "${pair}" is not NAME=VALUE`, 2)
    if (!FIELDS.includes(name) && !name.startsWith('label.'))
      throw new CliError(`--where: there is no "${name}"; choose ${FIELDS.join(', ')} or label.NAME`, 2)
    wanted[name] = pair.slice(at + 1)
  }
  return wanted
}

async function accountsOf(admin: AdminClient, account: string | undefined): Promise<readonly string[]> {
  if (account !== undefined) return [account]
  const ids: string[] = []
  for await (const page of admin.pages<AccountJson>('accounts')) ids.push(...page.map(({ id }) => id))
  return ids
}
