/** Accounts that are kept in Redis: made, changed, closed. */
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { readLabels } from './money-commands.ts'
import { type AccountJson, accountText, type Output, printJson } from './read-commands.ts'

export interface AccountOptions {
  readonly plan?: string | undefined
  readonly label?: readonly string[] | undefined
  readonly planOverrides?: string | undefined
  readonly reopen?: boolean | undefined
}

/** A JSON object, such as '{"max_output_tokens":4096}'. */
export function readOverrides(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Said below.
  }
  throw new CliError(`--plan-overrides: is no JSON object; write it like '{"max_output_tokens":4096}'`, 2)
}

function fieldsOf({ plan, label, planOverrides }: AccountOptions): object {
  return {
    ...(plan === undefined ? {} : { plan }),
    ...(label === undefined ? {} : { labels: readLabels(label) }),
    ...(planOverrides === undefined ? {} : { plan_overrides: readOverrides(planOverrides) }),
  }
}

export async function createAccountCommand(
  admin: AdminClient,
  id: string,
  options: AccountOptions,
  output: Output,
): Promise<void> {
  if (options.plan === undefined) throw new CliError('--plan is missing: name one of entitlements.yaml', 2)
  const { body, status } = await admin.post<AccountJson>('accounts', { id, ...fieldsOf(options) })
  if (output.json) return printJson(output, body)
  output.print(`${status === 201 ? 'Made' : 'This account was made before'}: ${accountText(body)}`)
}

export async function updateAccountCommand(
  admin: AdminClient,
  id: string,
  options: AccountOptions,
  output: Output,
): Promise<void> {
  const fields = { ...fieldsOf(options), ...(options.reopen ? { status: 'active' } : {}) }
  if (Object.keys(fields).length === 0)
    throw new CliError('say what changes: --plan, --label, --plan-overrides or --reopen', 2)
  const body = await admin.patch<AccountJson>(`accounts/${part(id)}`, fields)
  if (output.json) printJson(output, body)
  else output.print(`Changed: ${accountText(body)}`)
}

export async function closeAccountCommand(admin: AdminClient, id: string, output: Output): Promise<void> {
  const body = await admin.delete<AccountJson>(`accounts/${part(id)}`)
  if (output.json) printJson(output, body)
  else output.print(`Closed: ${accountText(body)}`)
}
