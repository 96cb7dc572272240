/** Virtual keys that are kept in Redis: made, listed, revoked. */
import type { z } from 'zod'
import type { keyAnswer, madeKeyAnswer } from '../admin/kept-schemas.ts'
import { readOverrides } from './account-commands.ts'
import { type AdminClient, part } from './admin-client.ts'
import { readLabels, timeOf } from './money-commands.ts'
import { all, type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'

type KeyJson = z.infer<typeof keyAnswer>

export interface KeyOptions {
  readonly label?: readonly string[] | undefined
  readonly planOverrides?: string | undefined
  readonly actsFor?: readonly string[] | undefined
  readonly expires?: string | undefined
  readonly timezone?: string | undefined
}

export async function createKeyCommand(
  admin: AdminClient,
  [account, id]: readonly [string, string],
  options: KeyOptions,
  output: Output,
): Promise<void> {
  const { label, planOverrides, actsFor, expires, timezone = 'UTC' } = options
  const { body } = await admin.post<z.infer<typeof madeKeyAnswer>>('keys', {
    account,
    id,
    ...(label === undefined ? {} : { labels: readLabels(label) }),
    ...(planOverrides === undefined ? {} : { plan_overrides: readOverrides(planOverrides) }),
    ...(actsFor === undefined ? {} : { acts_for: actsFor }),
    ...(expires === undefined ? {} : { expires_at: timeOf('--expires', expires, timezone) }),
  })
  if (output.json) return printJson(output, body)
  if (body.key !== null) return output.print(`${body.key}\nThis key of ${account} is shown this once; keep it safe.\n`)
  output.print(
    `The key "${id}" was made by an earlier try whose answer was lost: "tollgate keys revoke ${id}", then make another.\n`,
  )
}

const COLUMNS: readonly Column<KeyJson>[] = [
  { title: 'ACCOUNT', text: (row) => row.account },
  { title: 'KEY', text: (row) => row.id },
  { title: 'STATUS', text: (row) => row.status },
  { title: 'IN', text: (row) => row.source },
  { title: 'EXPIRES', text: (row) => row.expires_at ?? '' },
  { title: 'ACTS FOR', text: (row) => row.acts_for.join(', ') },
  {
    title: 'LABELS',
    text: (row) =>
      Object.entries(row.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(', '),
  },
]

export async function listKeysCommand(admin: AdminClient, account: string | undefined, output: Output): Promise<void> {
  const items = await all<KeyJson>(admin, 'keys', account === undefined ? {} : { account })
  if (output.json) printJson(output, items)
  else output.print(table(COLUMNS, items, 'No keys.'))
}

export async function revokeKeyCommand(admin: AdminClient, id: string, output: Output): Promise<void> {
  const body = await admin.delete<KeyJson>(`keys/${part(id)}`)
  if (output.json) printJson(output, body)
  else {
    // A record that could not be read may have named none.
    const of = body.account === '' ? '' : ` of ${body.account}`
    output.print(`Revoked: ${body.id}${of}; no new call passes with it, open ones end as they would.\n`)
  }
}
