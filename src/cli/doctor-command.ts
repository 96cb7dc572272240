/** `tollgate doctor`: whether what Redis keeps is what the ledgers say. */
import type { z } from 'zod'
import type { doctorAnswer } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'

type DoctorJson = z.infer<typeof doctorAnswer>

export interface DoctorOptions {
  readonly repair?: boolean
}

// A long ledger is read from its beginning.
const ANSWER_MS = 3_600_000
const PAGE = 10

interface Row {
  readonly account: string
  readonly field: string
  readonly kept: string
  readonly ledger: string
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'ACCOUNT', text: (row) => row.account },
  { title: 'FIELD', text: (row) => row.field },
  { title: 'KEPT', text: (row) => row.kept },
  { title: 'LEDGER', text: (row) => row.ledger },
]

/** Answers the exit code: 1 where there is any difference. Throws CliError. */
export async function doctorCommand(
  admin: AdminClient,
  account: string | undefined,
  options: DoctorOptions,
  output: Output,
): Promise<0 | 1> {
  if (options.repair === true) {
    throw new CliError(
      '--repair is not supported yet, and nothing was changed: without it doctor names what differs; "freeze ACCOUNT" stops its calls meanwhile',
    )
  }
  const checked: DoctorJson[] = []
  if (account === undefined) {
    for await (const page of admin.pages<DoctorJson>('doctor', { limit: PAGE }, ANSWER_MS)) checked.push(...page)
  } else {
    checked.push(await admin.get<DoctorJson>(`accounts/${part(account)}/doctor`, {}, ANSWER_MS))
  }
  if (output.json) printJson(output, checked)
  else output.print(doctorText(checked))
  return checked.some(({ differences }) => differences.length > 0) ? 1 : 0
}

function doctorText(checked: readonly DoctorJson[]): string {
  const rows = checked.flatMap(({ account, differences }) => differences.map((found) => ({ account, ...found })))
  const differing = new Set(rows.map(({ account }) => account)).size
  const accounts = checked.length === 1 ? '1 account' : `${checked.length} accounts`
  const without = checked.filter(({ seq, differences }) => seq === 0 && differences.length === 0).length
  const summary =
    rows.length === 0
      ? `Checked ${accounts}: what Redis keeps is what the ledgers say.`
      : `Checked ${accounts}: ${rows.length === 1 ? '1 difference' : `${rows.length} differences`} in ${differing} of them.`
  const empty = without > 0 ? `Without a ledger, and with nothing kept: ${without}.\n` : ''
  return `${rows.length > 0 ? `${table(COLUMNS, rows, '')}\n` : ''}${summary}\n${empty}${notCheckedText(checked)}`
}

/** What is not checked of every account once, what of one with its name. */
function notCheckedText(checked: readonly DoctorJson[]): string {
  const accounts = new Map<string, string[]>()
  for (const { account, not_checked } of checked) {
    for (const what of not_checked) accounts.set(what, [...(accounts.get(what) ?? []), account])
  }
  const most = Math.max(0, ...[...accounts.values()].map((ids) => ids.length))
  const lines = [...accounts].map(([what, ids]) =>
    ids.length === most ? `  ${what}\n` : ids.map((id) => `  ${id}: ${what}\n`).join(''),
  )
  return lines.length === 0 ? '' : `Not checked, since the ledger does not say it:\n${lines.join('')}`
}
