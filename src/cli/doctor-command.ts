/** `tollgate doctor`: whether what Redis keeps is what the ledgers say, and the repair of what is not. */
import type { z } from 'zod'
import type { doctorAnswer, repairAnswer } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'

type DoctorJson = z.infer<typeof doctorAnswer>
type RepairJson = z.infer<typeof repairAnswer>

export interface DoctorOptions {
  readonly repair?: boolean
  readonly dryRun?: boolean
  readonly freeze?: boolean
  readonly reason?: string
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
  if (options.repair !== true && (options.dryRun === true || options.freeze === true)) {
    throw new CliError('--dry-run and --freeze go with --repair', 2)
  }
  const checked: DoctorJson[] = []
  if (account === undefined) {
    for await (const page of admin.pages<DoctorJson>('doctor', { limit: PAGE }, ANSWER_MS)) checked.push(...page)
  } else {
    checked.push(await admin.get<DoctorJson>(`accounts/${part(account)}/doctor`, {}, ANSWER_MS))
  }
  if (options.repair === true) return repairAll(admin, checked, options, output)
  if (output.json) printJson(output, checked)
  else output.print(doctorText(checked))
  return checked.some(({ differences }) => differences.length > 0) ? 1 : 0
}

/** Each account that differs. Answers 1 where one of them still does. */
async function repairAll(
  admin: AdminClient,
  checked: readonly DoctorJson[],
  { dryRun = false, freeze = false, reason }: DoctorOptions,
  output: Output,
): Promise<0 | 1> {
  const repairs: RepairJson[] = []
  for (const { account, differences } of checked) {
    if (differences.length === 0) continue
    const path = `accounts/${part(account)}/repair`
    repairs.push(
      (
        await admin.post<RepairJson>(
          path,
          { dry_run: dryRun, freeze, ...(reason === undefined ? {} : { reason }) },
          ANSWER_MS,
        )
      ).body,
    )
  }
  if (output.json) printJson(output, repairs)
  else output.print(repairs.length === 0 ? doctorText(checked) : repairs.map(repairText).join(''))
  return repairs.every(({ status }) => status === 'repaired' || status === 'whole') ? 0 : 1
}

const OUTCOMES: Readonly<Record<RepairJson['status'], string>> = {
  whole: 'nothing differs any more',
  repaired: 'repaired, as entry SEQ of its ledger says',
  would_repair: 'would be repaired; nothing was changed',
  refused: 'refused, and nothing was changed: the ledger does not say what stands here',
  moving: 'calls changed it each time; try again with --freeze',
}

function repairText({ account, status, seq, repaired, unproven }: RepairJson): string {
  const rows = (status === 'refused' ? unproven : repaired).map((found) => ({ account, ...found }))
  const shown = rows.length > 0 ? table(COLUMNS, rows, '') : ''
  return `${shown}${account}: ${OUTCOMES[status].replace('SEQ', String(seq))}.\n`
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
