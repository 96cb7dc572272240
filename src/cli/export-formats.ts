/** How `tollgate export` writes an entry of the ledger. */
import type { LedgerRow } from './ledger-rows.ts'

export interface ExportFormat {
  /** The first line. */
  readonly head?: string
  readonly line: (account: string, row: LedgerRow) => string
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

/** RFC 4180. A cell that a spreadsheet would take for a formula is quoted by an apostrophe, as their makers advise. */
function csvCell(value: unknown): string {
  if (value === undefined || value === null) return ''
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  const safe = /^[=+@\t\r]|^-(?!\d)/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

export const EXPORT_FORMATS: Readonly<Record<string, ExportFormat>> = {
  jsonl: { line: (account, row) => `${JSON.stringify({ ...row, account })}\n` },
  csv: {
    head: `${Object.keys(COLUMNS).join(',')}\r\n`,
    line: (account, row) =>
      `${Object.values(COLUMNS)
        .map((cell) => csvCell(cell(row, account)))
        .join(',')}\r\n`,
  },
}
