/** Commands that change money: grant, void, adjust, freeze, unfreeze. */
import { FUNDINGS } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
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

function needAmount(text: string): string {
  if (!/^-?\d+(\.\d+)?$/.test(text))
    throw new CliError(`AMOUNT: "${text}" is not a decimal amount; write it like 10.50`, 2)
  return text
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

function readLabels(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new CliError(`--label: "${pair}" is not NAME=VALUE`, 2)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

function timeOf(option: string, text: string, timezone: string): string {
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
    amount: needAmount(amount),
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
  const change = { amount: needAmount(amount), unit, reason: options.reason }
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

function reasonOf(options: { readonly reason?: string | undefined }): object {
  return options.reason === undefined ? {} : { reason: options.reason }
}

function show({ body }: { readonly body: AccountJson }, output: Output): void {
  if (output.json) printJson(output, body)
  else output.print(accountText(body))
}
