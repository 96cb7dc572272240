/** `tollgate refund`: one charge, or every charge of an outage. */
import type { z } from 'zod'
import type { ledgerAnswer, refundAnswer } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import type { AccountJson } from './read-commands.ts'
import { type Output, printJson } from './read-commands.ts'
import { table } from './table.ts'
import { type TimeOptions, type TimeRange, timeRange } from './time-range.ts'

type EntryJson = z.infer<typeof ledgerAnswer>
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
const CHARGES = ['settle', 'late_settle']

/** Throws CliError. */
export async function refundCommand(
  admin: AdminClient,
  charge: string | undefined,
  options: RefundOptions,
  output: Output,
): Promise<void> {
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
  if (charge !== undefined) return refundOne(admin, charge, mode, options, output)
  if (options.amount !== undefined)
    throw new CliError('--amount has no meaning with --where: whole charges are refunded', 2)
  await refundMany(admin, mode, options, output)
}

async function refundOne(
  admin: AdminClient,
  charge: string,
  mode: string,
  { amount, reason }: RefundOptions,
  output: Output,
): Promise<void> {
  if (amount !== undefined && !/^\d+(\.\d+)?$/.test(amount))
    throw new CliError(`--amount: "${amount}" is not a decimal amount; write it like 10.50`, 2)
  const body = { ...(amount === undefined ? {} : { amount }), mode, reason }
  const { body: done } = await admin.post<RefundJson>(`charges/${part(charge)}/refund`, body)
  if (output.json) return printJson(output, done)
  output.print(`Refunded: ${done.refunded} of ${done.charged} ${done.unit} of charge ${done.charge}, in all\n`)
}

interface Chosen {
  readonly charge: string
  readonly at: string
  readonly amount: string
  readonly unit: string
  readonly model: string
}

async function refundMany(admin: AdminClient, mode: string, options: RefundOptions, output: Output): Promise<void> {
  const wanted = readWhere(options.where ?? [])
  const range = timeRange(options, Date.now())
  if (options.since === undefined && options.until === undefined && options.period === undefined)
    throw new CliError('--since and --until (or --period) are missing: an outage has a time', 2)
  const chosen: Chosen[] = []
  for (const account of await accountsOf(admin, wanted['account']))
    chosen.push(...(await chargesOf(admin, account, wanted, range)))
  if (options.dryRun !== true)
    for (const { charge } of chosen)
      await admin.post<RefundJson>(`charges/${part(charge)}/refund`, { mode, reason: options.reason })
  if (output.json) return printJson(output, { refunded: options.dryRun !== true, charges: chosen })
  output.print(
    table(
      [
        { title: 'CHARGE', text: (row: Chosen) => row.charge },
        { title: 'AT', text: (row) => row.at },
        { title: 'AMOUNT', right: true, text: (row) => `${row.amount} ${row.unit}` },
        { title: 'MODEL', text: (row) => row.model },
      ],
      chosen,
      'No charge fits.',
    ),
  )
  output.print(`${options.dryRun === true ? 'Would be refunded' : 'Refunded'}: ${chosen.length} charges\n`)
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

async function chargesOf(
  admin: AdminClient,
  account: string,
  wanted: Readonly<Record<string, string>>,
  { sinceMs, untilMs }: TimeRange,
): Promise<Chosen[]> {
  const chosen: Chosen[] = []
  for await (const page of admin.pages<EntryJson>(`accounts/${part(account)}/ledger`))
    for (const entry of page) {
      const atMs = Date.parse(entry.at)
      if (!CHARGES.includes(entry.type) || atMs < sinceMs || atMs >= untilMs || !fits(entry, wanted)) continue
      const amount = String(entry['charged'] ?? '0')
      if (!/[1-9]/.test(amount) || amount.startsWith('-')) continue
      const unit = entry.legs[0]?.unit ?? ''
      chosen.push({
        charge: `${account}:${entry.seq}`,
        at: entry.at,
        amount,
        unit,
        model: String(entry['model'] ?? ''),
      })
    }
  return chosen
}

function fits(entry: EntryJson, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => {
    if (name === 'account') return true
    const labels = (entry['labels'] ?? {}) as Readonly<Record<string, string>>
    const has = name.startsWith('label.') ? labels[name.slice('label.'.length)] : entry[name]
    return String(has ?? '') === value
  })
}
