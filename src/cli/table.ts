export interface Column<Row> {
  readonly title: string
  /** Amounts are aligned on the right, so that they can be compared by eye. */
  readonly right?: boolean
  readonly text: (row: Row) => string
}

// A cell is one line, whatever was put into a label or a reason; and nothing in it reaches the terminal as a command.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g

function cell(text: string): string {
  return text.replace(CONTROL, ' ')
}

/** Lines of an aligned table with its titles; only the note below it where there are no rows. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], whenEmpty: string): string {
  if (rows.length === 0) return `${whenEmpty}\n`
  const lines = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => cell(column.text(row)))),
  ]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] as string).length)))
  const padded = lines.map((line) =>
    line
      .map((text, i) => (columns[i]?.right ? text.padStart(widths[i] as number) : text.padEnd(widths[i] as number)))
      .join('  '),
  )
  return `${padded.map((line) => line.trimEnd()).join('\n')}\n`
}
