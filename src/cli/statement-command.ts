/** `tollgate report statement`: from the ledger alone, a page at a time. */
import { exactOf, exactText } from '../core/decimal-sum.ts'
import type { Atoms } from '../core/money.ts'
import { LINE_EFFECTS, STATEMENT_LINES, type Statement, StatementBuilder } from '../wallet/statement.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import type { LedgerRow } from './ledger-rows.ts'
import { type AccountJson, type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'
import { type TimeOptions, timeRange } from './time-range.ts'

interface StatementRow {
  readonly account: string
  readonly unit: string
  readonly line: string
  readonly credit: string
  readonly owed: string
}

const COLUMNS: readonly Column<StatementRow>[] = [
  { title: 'ACCOUNT', text: (row) => row.account },
  { title: 'UNIT', text: (row) => row.unit },
  { title: 'LINE', text: (row) => row.line },
  { title: 'CREDIT', right: true, text: (row) => row.credit },
  { title: 'OWED', right: true, text: (row) => row.owed },
]

function rowsOf(account: string, { unit, opening, lines, closing }: Statement): readonly StatementRow[] {
  const position = (line: string, { credit, owed }: Statement['opening']): StatementRow => ({
    account,
    unit,
    line,
    credit: exactText(credit),
    owed: exactText(owed),
  })
  const signed = (effect: -1 | 0 | 1, atoms: Atoms): string => (effect === 0 ? '' : exactText(BigInt(effect) * atoms))
  const moves = STATEMENT_LINES.filter((line) => lines[line] !== 0n).map((line): StatementRow => {
    const [toCredit, toOwed] = LINE_EFFECTS[line]
    return {
      account,
      unit,
      line: line.replace('_', ' '),
      credit: signed(toCredit, lines[line]),
      owed: signed(toOwed, lines[line]),
    }
  })
  return [position('opening', opening), ...moves, position('closing', closing)]
}

function statementJson(account: string, { unit, opening, lines, closing }: Statement) {
  const shown = ({ credit, owed }: Statement['opening']) => ({ credit: exactText(credit), owed: exactText(owed) })
  return {
    account,
    unit,
    opening: shown(opening),
    ...Object.fromEntries(STATEMENT_LINES.map((line) => [line, exactText(lines[line])])),
    closing: shown(closing),
  }
}

/** `account` undefined: of all accounts. */
export async function statementCommand(
  admin: AdminClient,
  account: string | undefined,
  options: TimeOptions,
  output: Output,
): Promise<void> {
  const range = timeRange(options, Date.now())
  const accounts: string[] = account === undefined ? [] : [account]
  if (account === undefined) {
    for await (const page of admin.pages<AccountJson>('accounts')) accounts.push(...page.map(({ id }) => id))
  }
  const statements: (readonly [string, Statement])[] = []
  for (const id of accounts) {
    const builder = new StatementBuilder(range.sinceMs, range.untilMs)
    for await (const page of admin.pages<LedgerRow>(`accounts/${part(id)}/ledger`)) {
      for (const row of page) addRow(builder, id, row)
    }
    statements.push(...builder.build().map((statement) => [id, statement] as const))
  }
  if (output.json)
    printJson(
      output,
      statements.map(([id, statement]) => statementJson(id, statement)),
    )
  else
    output.print(
      table(
        COLUMNS,
        statements.flatMap(([id, statement]) => rowsOf(id, statement)),
        'Nothing happened up to then.',
      ),
    )
}

function addRow(builder: StatementBuilder, account: string, { seq, at, legs }: LedgerRow): void {
  try {
    builder.add({
      seq,
      atMs: Date.parse(at),
      unit: legs[0]?.unit ?? '',
      legs: legs.map((leg) => ({ account: leg.account, atoms: exactOf(leg.amount) })),
    })
  } catch (error) {
    throw new CliError(`no statement can be made of ${account}: ${(error as Error).message}`, 1)
  }
}
