/** Commands that change money: grant, void, adjust, freeze, unfreeze. */
import type { z } from 'zod'
import { FUNDINGS, type periodAnswer } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
import { needAmount, needPositive } from './amounts.ts'
import { CliError } from './cli-error.ts'
import { type AccountJson, accountText, type GrantJson, grantsText, type Output, printJson } from './read-commands.ts'
import { parseTime } from './time-range.ts'

export interface GrantOptions {
  readonly funding?: string | undefined
  readonly priority?: string | undefined
  readonly effective?: string | undefined
  readonly expires?: string | undefined
  readonly key?: string | undefined
  readonly timezone?: string | undefined
  readonly models?: readonly string[] | undefined
  readonly label?: readonly string[] | undefined
}

function needFunding(text: string | undefined): string {
  if (text !== undefined && (FUNDINGS as readonly string[]).includes(text)) return text
  const wrong = text === undefined ? '--funding is missing' : `--funding: there is no "${text}"`
  throw new CliError(
    `${wrong}; choose promotional (given), invoiced (sold on an invoice of ours) or external (settled elsewhere: card, marketplace)`,
    2,
  )
}

function needPriority(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > 1000)
    throw new CliError(`--priority: "${text}" is no whole number from 0 to 1000`, 2)
  return Number(text)
}

export function readLabels(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new CliError(`--label: "${pair}" is not NAME=VALUE`, 2)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

export function timeOf(option: string, text: string, timezone: string): string {
  // A time to go back to makes no sense here: "30d" would be a grant that has expired.
  if (/^\d+[mhd]$/.test(text)) throw new CliError(`${option}: write a date or a time like 2026-12-31`, 2)
  return new Date(parseTime(option, text, timezone, 0)).toISOString()
}

export async function grantCommand(
  admin: AdminClient,
  [account, amount, unit]: readonly [string, string, string],
  options: GrantOptions,
  output: Output,
): Promise<void> {
  const timezone = options.timezone ?? 'UTC'
  const { status, body } = await admin.post<GrantJson>(`accounts/${part(account)}/grants`, {
    amount: needPositive('AMOUNT', amount),
    unit,
    funding: needFunding(options.funding),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.priority === undefined ? {} : { priority: needPriority(options.priority) }),
    ...(options.effective === undefined ? {} : { effective_at: timeOf('--effective', options.effective, timezone) }),
    ...(options.expires === undefined ? {} : { expires_at: timeOf('--expires', options.expires, timezone) }),
    ...(options.models === undefined ? {} : { applies_to: { models: options.models } }),
    ...(options.label === undefined ? {} : { labels: readLabels(options.label) }),
  })
  if (output.json) return printJson(output, body)
  const done = status === 201 ? 'Granted' : 'This grant was made before'
  output.print(`${done}: ${body.amount} ${body.unit} to ${body.account}\n${grantsText([body])}`)
}

export async function voidCommand(
  admin: AdminClient,
  [account, grant]: readonly [string, string],
  options: { readonly reason?: string | undefined },
  output: Output,
): Promise<void> {
  const { body } = await admin.post<GrantJson>(
    `accounts/${part(account)}/grants/${part(grant)}/void`,
    reasonOf(options),
  )
  if (output.json) return printJson(output, body)
  output.print(`Voided: ${body.voided} ${body.unit} of grant ${body.id} is forfeit\n${grantsText([body])}`)
}

export async function adjustCommand(
  admin: AdminClient,
  [account, amount, unit]: readonly [string, string, string],
  options: { readonly reason?: string | undefined },
  output: Output,
): Promise<void> {
  if (options.reason === undefined) throw new CliError('--reason is missing: it stands in the ledger', 2)
  if (!/[1-9]/.test(needAmount('AMOUNT', amount))) throw new CliError(`AMOUNT: "${amount}" changes nothing`, 2)
  const change = { amount, unit, reason: options.reason }
  show(await admin.post<AccountJson>(`accounts/${part(account)}/adjust`, change), output)
}

export async function freezeCommand(
  admin: AdminClient,
  account: string,
  frozen: boolean,
  options: { readonly reason?: string | undefined },
  output: Output,
): Promise<void> {
  show(
    await admin.post<AccountJson>(`accounts/${part(account)}/${frozen ? 'freeze' : 'unfreeze'}`, reasonOf(options)),
    output,
  )
}

export async function clawbackCommand(
  admin: AdminClient,
  [account, grant]: readonly [string, string],
  options: { readonly amount?: string; readonly freeze?: boolean; readonly reason?: string },
  output: Output,
): Promise<void> {
  const { body } = await admin.post<GrantJson>(`accounts/${part(account)}/grants/${part(grant)}/clawback`, {
    ...(options.amount === undefined ? {} : { amount: needPositive('--amount', options.amount) }),
    freeze: options.freeze === true,
    ...reasonOf(options),
  })
  if (output.json) return printJson(output, body)
  output.print(
    `Taken back: ${body.voided} ${body.unit} of grant ${body.id}; what was spent of it is owed\n${grantsText([body])}`,
  )
}

export async function paymentCommand(
  admin: AdminClient,
  [account, grant, state]: readonly [string, string, string],
  options: { readonly reason?: string },
  output: Output,
): Promise<void> {
  if (!['authorized', 'settled', 'failed'].includes(state))
    throw new CliError(`STATE: there is no "${state}"; choose authorized, settled or failed`, 2)
  const path = `accounts/${part(account)}/grants/${part(grant)}/payment`
  const { body } = await admin.post<GrantJson>(path, { state, ...reasonOf(options) })
  if (output.json) return printJson(output, body)
  output.print(`Payment of grant ${body.id}: ${body.payment}; the grant is ${body.state}\n${grantsText([body])}`)
}

export async function resolveCommand(
  admin: AdminClient,
  [account, unit, to]: readonly [string, string, string],
  options: { readonly amount?: string; readonly reason?: string },
  output: Output,
): Promise<void> {
  if (!['debt', 'overflow', 'written_off'].includes(to))
    throw new CliError(`TO: there is no "${to}"; choose debt, overflow or written_off`, 2)
  const amount = options.amount === undefined ? {} : { amount: needPositive('--amount', options.amount) }
  const body = { unit, to, ...amount, ...reasonOf(options) }
  show(await admin.post<AccountJson>(`accounts/${part(account)}/flagged/resolve`, body), output)
}

/** Of a day, a week, a month, a quarter or a year. */
const PERIOD = /^\d{4}(-(\d{2}(-\d{2})?|Q[1-4]|W\d{2}))?$/

type PeriodJson = z.infer<typeof periodAnswer>

export async function closePeriodCommand(
  admin: AdminClient,
  [account, period]: readonly [string, string],
  options: { readonly force?: boolean; readonly reason?: string },
  output: Output,
): Promise<void> {
  if (!PERIOD.test(period)) throw new CliError(`PERIOD: "${period}" is not understood; write it like 2026-10`, 2)
  const path = `accounts/${part(account)}/overflow/${part(period)}/close`
  const { body } = await admin.post<PeriodJson>(path, { force: options.force === true, ...reasonOf(options) })
  if (output.json) return printJson(output, body)
  output.print(
    `Closed: ${body.period} of ${account} comes to ${body.amount} ${body.unit}, in ${body.lines.length} lines\n`,
  )
}

export interface StopOptions {
  readonly run?: string
  readonly user?: string
  readonly key?: string
  readonly request?: string
  readonly cut?: boolean
  readonly lift?: string
  readonly reason?: string
}

export async function stopCommand(
  admin: AdminClient,
  account: string,
  options: StopOptions,
  output: Output,
): Promise<void> {
  const { run, user, key, request, cut = false } = options
  if (options.lift !== undefined) {
    const lifted = await admin.delete<object>(`accounts/${part(account)}/stops/${part(options.lift)}`)
    if (output.json) return printJson(output, lifted)
    output.print(`Lifted: stop ${options.lift} of ${account}\n`)
    return
  }
  if ([run, user, key, request].filter((value) => value !== undefined).length !== 1)
    throw new CliError('name one of --run, --user, --key, --request (or --lift ID)', 2)
  const { body } = await admin.post<{ readonly id: string }>(`accounts/${part(account)}/stops`, {
    ...(run === undefined ? {} : { run }),
    ...(user === undefined ? {} : { user }),
    ...(key === undefined ? {} : { key }),
    ...(request === undefined ? {} : { request_id: request }),
    cut,
    reason: options.reason ?? 'stopped by hand',
  })
  if (output.json) return printJson(output, body)
  output.print(`Stopped: new calls are refused${cut ? ', open ones end within two seconds' : ''} (stop ${body.id})\n`)
}

function reasonOf(options: { readonly reason?: string | undefined }): object {
  return options.reason === undefined ? {} : { reason: options.reason }
}

function show({ body }: { readonly body: AccountJson }, output: Output): void {
  if (output.json) printJson(output, body)
  else output.print(accountText(body))
}
