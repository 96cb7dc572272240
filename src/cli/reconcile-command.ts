/** `tollgate reconcile`: what the ledgers have against the provider's own report. */
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import type { usageAnswer } from '../admin/schemas.ts'
import { exactOf } from '../core/decimal-sum.ts'
import { REPORT_FORMATS, ReportError, type ReportFormat, readProviderReport } from '../reports/provider-usage.ts'
import { type Compared, type OwnDay, reconcile } from '../reports/reconcile.ts'
import type { AdminClient } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'
import { REPORT_ANSWER_MS, type TimeOptions, type TimeRange, timeRange } from './time-range.ts'

export interface ReconcileOptions extends TimeOptions {
  readonly providerUsage?: string
  readonly format?: string
  readonly tolerance?: string
}

const DAY_MS = 86_400_000

const COLUMNS: readonly Column<Compared>[] = [
  { title: 'DAY (UTC)', text: (row) => row.day },
  { title: 'MODEL', text: (row) => row.model },
  { title: 'MEASURE', text: (row) => row.measure },
  { title: 'LEDGER', right: true, text: (row) => row.ledger },
  { title: 'PROVIDER', right: true, text: (row) => row.provider },
  { title: '', text: (row) => (row.differs ? 'differs' : '') },
]

/** Answers the exit code: 1 where anything differs by more than the tolerance. Throws CliError. */
export async function reconcileCommand(admin: AdminClient, options: ReconcileOptions, output: Output): Promise<0 | 1> {
  const format = needFormat(options.format)
  const tolerance = readTolerance(options.tolerance ?? '0.5%')
  const range = timeRange(options, Date.now())
  const report = await readReport(options.providerUsage, format)
  const { sinceMs, untilMs } = wholeDays(range, report)
  const rows = report.rows.filter(({ day }) => Date.parse(day) >= sinceMs && Date.parse(day) < untilMs)
  const [since, until] = [new Date(sinceMs).toISOString(), new Date(untilMs).toISOString()]
  const query = { by: 'day,model,upstream', since, until, timezone: 'UTC' }
  const usage = await admin.get<z.infer<typeof usageAnswer>>('usage', query, REPORT_ANSWER_MS)
  const compared = reconcile(rows, usage.items.map(ownDay), tolerance)
  const differing = compared.filter(({ differs }) => differs).length
  if (output.json) printJson(output, compared)
  else {
    const result = differing === 0 ? 'all within the tolerance' : `${differing} beyond the tolerance`
    output.print(`${table(COLUMNS, compared, 'Neither side has any usage.')}Compared: ${compared.length}, ${result}\n`)
  }
  return differing === 0 ? 0 : 1
}

/** UTC days, as reports have them: those of the range that was asked for, else those of the report. */
function wholeDays(
  { sinceMs, untilMs }: TimeRange,
  { firstDay, lastDay }: { readonly firstDay: string; readonly lastDay: string },
): TimeRange {
  const since = Number.isFinite(sinceMs) ? Math.floor(sinceMs / DAY_MS) * DAY_MS : Date.parse(firstDay)
  const until = Number.isFinite(untilMs) ? Math.ceil(untilMs / DAY_MS) * DAY_MS : Date.parse(lastDay) + DAY_MS
  if (since >= until)
    throw new CliError(`the report is about ${firstDay} to ${lastDay}, and nothing of that is in the time asked for`, 2)
  return { sinceMs: since, untilMs: until }
}

function needFormat(format: string | undefined): ReportFormat {
  const known = REPORT_FORMATS.find((name) => name === format)
  if (known) return known
  const wrong = format === undefined ? '--format is missing' : `--format: there is no "${format}"`
  throw new CliError(`${wrong}; choose ${REPORT_FORMATS.join(', ')}`, 2)
}

/** In millionths. */
function readTolerance(text: string): bigint {
  const match = /^(\d{1,3})(?:\.(\d{1,4}))?%$/.exec(text)
  if (!match) throw new CliError(`--tolerance: "${text}" is not understood; write it like 0.5%`, 2)
  return BigInt(match[1] as string) * 10_000n + BigInt((match[2] ?? '').padEnd(4, '0'))
}

async function readReport(file: string | undefined, format: ReportFormat) {
  if (file === undefined) throw new CliError('--provider-usage is missing: the file of the provider’s report', 2)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new CliError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`)
  }
  try {
    return readProviderReport(text, format)
  } catch (error) {
    if (error instanceof ReportError) throw new CliError(`${file}: ${error.message}`)
    throw error
  }
}

type Item = z.infer<typeof usageAnswer>['items'][number]

function ownDay({ group, tokens, cost }: Item): OwnDay {
  let [input, output] = [0n, 0n]
  for (const [kind, count] of Object.entries(tokens)) {
    if (kind.endsWith('output')) output += BigInt(count)
    else if (kind !== 'reasoning') input += BigInt(count)
  }
  return {
    day: group['day'] ?? '',
    model: group['model'] ?? '',
    upstream: group['upstream'] ?? '',
    input,
    output,
    cost: Object.fromEntries(Object.entries(cost).map(([unit, amount]) => [unit, exactOf(amount)])),
  }
}
