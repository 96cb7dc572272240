/** `tollgate report controls` and `report shadow`. */
import type { z } from 'zod'
import type { controlsAnswer, shadowAnswer } from '../admin/schemas.ts'
import type { AdminClient } from './admin-client.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'
import { REPORT_ANSWER_MS, spanQuery, type TimeOptions } from './time-range.ts'

type ControlsJson = z.infer<typeof controlsAnswer>
type ControlJson = ControlsJson['total'][number]
type ShadowRow = z.infer<typeof shadowAnswer>['items'][number]

export interface ControlsOptions extends TimeOptions {
  readonly check?: boolean
}

interface ControlRow extends ControlJson {
  readonly account: string
}

const CONTROLS: readonly Column<ControlRow>[] = [
  { title: 'ACCOUNT', text: (row) => row.account },
  { title: 'CONTROL', text: (row) => row.control.replace('_', ' ') },
  { title: 'VERDICT', text: (row) => row.verdict },
  { title: 'NUMBERS', text: (row) => numbersText(row.numbers) },
  { title: 'SAYS', text: (row) => row.says },
]

/** Answers the exit code: 1 where a control needs a look, and --check asks for it. Throws CliError. */
export async function controlsCommand(
  admin: AdminClient,
  account: string | undefined,
  options: ControlsOptions,
  output: Output,
): Promise<0 | 1> {
  const query = { account, ...spanQuery(options, Date.now()) }
  const answer = await admin.get<ControlsJson>('reports/controls', query, REPORT_ANSWER_MS)
  if (output.json) printJson(output, answer)
  else output.print(controlsText(answer))
  return options.check === true && answer.verdict === 'look' ? 1 : 0
}

/** All of the total; of an account what needs a look, or all where there is one account alone. */
function controlsText({ total, items, verdict }: ControlsJson): string {
  const only = items.length === 1 ? items[0] : undefined
  const rows = (name: string, controls: readonly ControlJson[]): ControlRow[] =>
    controls.map((control) => ({ account: name, ...control }))
  const looks = items.flatMap((item) =>
    rows(
      item.account,
      item.controls.filter((control) => control.verdict === 'look'),
    ),
  )
  const shown = only ? rows(only.account, only.controls) : [...rows('TOTAL', total), ...looks]
  const summary = verdict === 'ok' ? 'All controls are ok.' : 'Some controls need a look.'
  return `${table(CONTROLS, shown, 'No accounts.')}${summary}\n`
}

function numbersText(numbers: ControlJson['numbers']): string {
  return Object.entries(numbers)
    .flatMap(([name, value]) =>
      typeof value === 'object' && value !== null ? Object.entries(value) : [[name, value ?? '-']],
    )
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

const SHADOW: readonly Column<ShadowRow>[] = [
  { title: 'ACCOUNT', text: (row) => row.account },
  { title: 'CODE', text: (row) => row.code },
  { title: 'RULE', text: (row) => row.rule ?? '' },
  { title: 'CALLS', right: true, text: (row) => String(row.calls) },
  { title: 'CHARGED', right: true, text: (row) => row.charged },
  { title: 'FLAGGED', right: true, text: (row) => row.flagged },
  { title: 'UNIT', text: (row) => row.unit },
]

/** Throws CliError. */
export async function shadowCommand(
  admin: AdminClient,
  account: string | undefined,
  options: TimeOptions,
  output: Output,
): Promise<void> {
  const query = { account, ...spanQuery(options, Date.now()) }
  const answer = await admin.get<z.infer<typeof shadowAnswer>>('reports/shadow', query, REPORT_ANSWER_MS)
  if (output.json) printJson(output, answer)
  else output.print(table(SHADOW, answer.items, 'Nothing would have been refused.'))
}
