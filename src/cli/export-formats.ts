/** How `tollgate export` writes an entry of the ledger. */
import { csvLine } from './csv.ts'
import { focusColumns, focusWriter } from './focus.ts'
import type { LedgerRow } from './ledger-rows.ts'

export interface ExportFormat {
  /** The first line. */
  readonly head?: string
  /**
   * Of one account, whose entries it is given in order, from the first on: '' where an entry is none that the format has,
   * undefined where the format has no form for it.
   */
  readonly writer: (account: string, issuer: string) => (row: LedgerRow) => string | undefined
}

type Cell = (row: LedgerRow, account: string) => unknown

const said =
  (name: string): Cell =>
  (row) =>
    row[name]

/** The columns of csv. What has parts of its own is JSON in its cell. */
const COLUMNS: Readonly<Record<string, Cell>> = {
  account: (_, account) => account,
  seq: said('seq'),
  at: said('at'),
  type: said('type'),
  op: said('op'),
  actor: said('actor'),
  unit: (row) => row['unit'] ?? row.legs[0]?.unit,
  charged: said('charged'),
  cost: said('cost'),
  cost_unit: said('cost_unit'),
  amount: said('amount'),
  available: (row) => row.balance_after['available'],
  key: said('key'),
  user: said('user'),
  run: said('run'),
  upstream: said('upstream'),
  model: said('model'),
  endpoint: said('endpoint'),
  request_id: said('request_id'),
  provider_request_id: said('provider_request_id'),
  usage_source: said('usage_source'),
  price_version: said('price_version'),
  tokens: said('tokens'),
  labels: said('labels'),
  tags: said('tags'),
  legs: said('legs'),
}

/** CloudEvents 1.0, one event a line: the id is unique below its source, as the specification asks. */
function cloudEvent(account: string, row: LedgerRow): string {
  const event = {
    specversion: '1.0',
    id: `${account}:${row.seq}`,
    source: `/tollgate/accounts/${encodeURIComponent(account)}`,
    type: `tollgate.ledger.${row.type}`,
    subject: account,
    time: row.at,
    datacontenttype: 'application/json',
    data: row,
  }
  return `${JSON.stringify(event)}\n`
}

export const EXPORT_FORMATS: Readonly<Record<string, ExportFormat>> = {
  jsonl: { writer: (account) => (row) => `${JSON.stringify({ ...row, account })}\n` },
  csv: {
    head: csvLine(Object.keys(COLUMNS)),
    writer: (account) => (row) => csvLine(Object.values(COLUMNS).map((cell) => cell(row, account))),
  },
  focus: { head: csvLine(focusColumns), writer: focusWriter },
  cloudevents: { writer: (account) => (row) => cloudEvent(account, row) },
}
