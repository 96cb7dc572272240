/** The figures as tables on the terminal. */
import type { AddedFigures, RowFigures, SaturationFigures } from './figures.ts'
import type { WalletFigures } from './wallet.ts'

export interface AllFigures {
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly pinned: boolean
    readonly node: string
    readonly redis: string
  }
  readonly rows: readonly RowFigures[]
  readonly wallet: readonly WalletFigures[]
}

export function printFigures({ machine, rows, wallet }: AllFigures): void {
  console.log(
    `\n${machine.cpu}, ${machine.cores} cores${machine.pinned ? '' : ' (nothing pinned)'}, Node ${machine.node}, ${machine.redis}`,
  )
  printSaturation('JSON, at saturation', rows, (row) => row.json)
  printSaturation('Streams, at saturation', rows, (row) => row.stream)
  printAdded('JSON at a fixed rate: added to the whole answer, ms', rows, (row) => row.jsonTotal)
  printAdded('Streams at a fixed rate: added to the first event, ms', rows, (row) => row.streamFirst)
  printAdded('Streams at a fixed rate: added to each event, ms', rows, (row) => row.streamEvent)
  printWallet(wallet)
  const failed = rows.filter((row) => row.failed > 0)
  for (const row of failed) console.log(`\n${row.name}: ${row.failed} calls failed; its figures mean little`)
}

function printSaturation(
  title: string,
  rows: readonly RowFigures[],
  pick: (row: RowFigures) => SaturationFigures,
): void {
  const lines = rows.map((row) => {
    const figures = pick(row)
    return [
      row.name,
      show(figures.callsPerSecond, 0),
      show(figures.overNginx, 2),
      show(figures.cpuMicros, 1),
      show(figures.cpuOverNginx, 2),
      show(figures.coreShare, 2),
      show(figures.disturbed, 2),
      show(figures.redisCpuMicros, 1),
    ]
  })
  printTable(
    title,
    ['row', 'calls/s', '× nginx', 'CPU µs/call', '× nginx', 'of its core', 'disturbed', 'Redis µs/call'],
    lines,
  )
}

function printAdded(title: string, rows: readonly RowFigures[], pick: (row: RowFigures) => AddedFigures): void {
  const others = rows.filter((row) => row.name !== 'direct')
  const lines = others.map((row) => [row.name, show(pick(row).p50, 3), show(pick(row).p90, 3), show(pick(row).p99, 3)])
  printTable(title, ['row', 'p50', 'p90', 'p99'], lines)
}

function printWallet(wallet: readonly WalletFigures[]): void {
  const lines = wallet.map((figures) => [
    `${figures.grants} grant${figures.grants === 1 ? '' : 's'}`,
    show(figures.pairsPerSecond, 0),
    show(figures.clientCpuMicros, 1),
    show(figures.redisCpuMicros, 1),
    show(figures.redisBytes, 0),
  ])
  printTable('Hold and settle by the wallet alone', ['', 'pairs/s', 'client µs', 'Redis µs', 'bytes left'], lines)
}

function show(value: number | null, decimals: number): string {
  return value === null ? '–' : value.toFixed(decimals)
}

export function printTable(title: string, head: readonly string[], lines: readonly (readonly string[])[]): void {
  const widths = head.map((name, i) => Math.max(name.length, ...lines.map((line) => line[i]?.length ?? 0)))
  const format = (line: readonly string[]) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  console.log(`\n${title}\n  ${format(head)}\n${lines.map((line) => `  ${format(line)}`).join('\n')}`)
}
