/** `tollgate usage`: what was used, in groups. */
import type { z } from 'zod'
import type { usageAnswer } from '../admin/schemas.ts'
import type { AdminClient } from './admin-client.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'
import { REPORT_ANSWER_MS, spanQuery, type TimeOptions } from './time-range.ts'

type UsageJson = z.infer<typeof usageAnswer>
type Figures = UsageJson['totals'][number]
interface Row extends Figures {
  readonly group: Readonly<Record<string, string | null>>
}

export interface UsageOptions extends TimeOptions {
  readonly by?: string
  readonly account?: string
}

/** Throws CliError. */
export async function usageCommand(admin: AdminClient, options: UsageOptions, output: Output): Promise<void> {
  const query = {
    by: options.by ?? 'account',
    account: options.account,
    timezone: options.timezone,
    ...spanQuery(options, Date.now()),
  }
  const answer = await admin.get<UsageJson>('usage', query, REPORT_ANSWER_MS)
  if (output.json) printJson(output, answer)
  else output.print(usageText(answer))
}

function usageText({ by, items, totals }: UsageJson): string {
  const rows: Row[] = items
  const sums: Row[] =
    items.length > totals.length ? totals.map((total) => ({ group: { [by[0] ?? '']: 'TOTAL' }, ...total })) : []
  return table(
    [...by.map(groupColumn), ...FIGURES],
    [...rows, ...sums],
    'Nothing was charged or refunded in this time.',
  )
}

function groupColumn(name: string): Column<Row> {
  return { title: name.toUpperCase(), text: (row) => row.group[name] ?? '' }
}

function sumOf(tokens: Readonly<Record<string, number>>, isWanted: (kind: string) => boolean): string {
  const counts = Object.entries(tokens).filter(([kind]) => kind !== 'reasoning' && isWanted(kind))
  return String(counts.reduce((sum, [, count]) => sum + count, 0))
}

const isOutput = (kind: string): boolean => kind.endsWith('output')

const FIGURES: readonly Column<Row>[] = [
  { title: 'CALLS', right: true, text: (row) => String(row.calls) },
  { title: 'IN', right: true, text: (row) => sumOf(row.tokens, (kind) => !isOutput(kind)) },
  { title: 'OUT', right: true, text: (row) => sumOf(row.tokens, isOutput) },
  { title: 'CHARGED', right: true, text: (row) => row.charged },
  { title: 'PROMOTIONAL', right: true, text: (row) => row.promotional },
  { title: 'PAID', right: true, text: (row) => row.paid },
  { title: 'OVERAGE', right: true, text: (row) => row.overage },
  { title: 'REFUNDED', right: true, text: (row) => row.refunded },
  { title: 'NET', right: true, text: (row) => row.net },
  { title: 'UNIT', text: (row) => row.unit },
  {
    title: 'COST',
    right: true,
    text: (row) =>
      Object.entries(row.cost)
        .map(([unit, amount]) => `${amount} ${unit}`)
        .join(', '),
  },
  { title: 'MARGIN', right: true, text: (row) => row.margin ?? '' },
]
