/** `tollgate unmatched`: settlements that came too late to be charged, and a word on one. */
import type { z } from 'zod'
import type { resolvedAnswer, unmatchedAnswer } from '../admin/schemas.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'

type UnmatchedJson = z.infer<typeof unmatchedAnswer>
type ResolvedJson = z.infer<typeof resolvedAnswer>

const COLUMNS: readonly Column<UnmatchedJson>[] = [
  { title: 'ID', text: (row) => `${row.account}:${row.seq}` },
  { title: 'CAME (UTC)', text: (row) => row.at.replace('T', ' ').replace('Z', '') },
  { title: 'CAME TO', right: true, text: (row) => row.final },
  { title: 'CHARGED BEFORE', right: true, text: (row) => row.charged_before },
  { title: 'WOULD CHARGE', right: true, text: (row) => row.would_charge },
  { title: 'UNIT', text: (row) => row.unit },
  { title: 'MODEL', text: (row) => row.model ?? '' },
  { title: 'KEY', text: (row) => row.key ?? '' },
  { title: 'CALL', text: (row) => row.request_id },
]

/** `account` undefined: of all accounts. */
export async function unmatchedListCommand(
  admin: AdminClient,
  account: string | undefined,
  output: Output,
): Promise<void> {
  const accounts: string[] = account === undefined ? [] : [account]
  if (account === undefined)
    for await (const page of admin.pages<{ readonly id: string }>('accounts'))
      accounts.push(...page.map(({ id }) => id))
  const items: UnmatchedJson[] = []
  for (const id of accounts)
    for await (const page of admin.pages<UnmatchedJson>(`accounts/${part(id)}/unmatched`)) items.push(...page)
  if (output.json) printJson(output, items)
  else output.print(table(COLUMNS, items, 'Nothing waits for a word.'))
}

/** `id`: ACCOUNT:SEQ. Throws CliError. */
export async function resolveUnmatchedCommand(
  admin: AdminClient,
  id: string,
  decision: 'charge' | 'dismiss',
  reason: string | undefined,
  output: Output,
): Promise<void> {
  const match = /^(.+):([1-9]\d{0,15})$/.exec(id)
  if (!match) throw new CliError(`"${id}" is not ACCOUNT:SEQ, as "tollgate unmatched list" shows it`, 2)
  if (reason === undefined) throw new CliError('--reason is missing: it stands in the ledger', 2)
  const path = `accounts/${part(match[1] as string)}/unmatched/${match[2]}/resolve`
  const { body } = await admin.post<ResolvedJson>(path, { decision, reason })
  if (output.json) return printJson(output, body)
  output.print(
    decision === 'charge' ? `Charged: ${body.charged} ${body.unit} (charge ${body.charge})\n` : `Dismissed: ${id}\n`,
  )
}
