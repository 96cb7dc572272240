/** Usage and cost as providers report them: one row for each UTC day and model. Throws ReportError. */
import { exactOf } from '../core/decimal-sum.ts'

export const REPORT_FORMATS = ['openai-usage', 'openai-cost', 'anthropic-usage', 'csv'] as const
export type ReportFormat = (typeof REPORT_FORMATS)[number]

/** What cannot be compared, and why. */
export class ReportError extends Error {}

export interface ReportedDay {
  /** 2026-11-26, UTC. */
  readonly day: string
  /** null: all models together. */
  readonly model: string | null
  readonly input?: bigint | undefined
  readonly output?: bigint | undefined
  /** By the unit, in parts of 10^-24. */
  readonly cost?: { readonly unit: string; readonly parts: bigint } | undefined
}

export interface ProviderReport {
  /** Days that it covers, those without any usage too. */
  readonly firstDay: string
  readonly lastDay: string
  readonly rows: readonly ReportedDay[]
}

export function readProviderReport(text: string, format: ReportFormat): ProviderReport {
  if (format === 'csv') return covering(readCsv(text), [])
  const buckets = bucketsOf(text)
  const read = { 'openai-usage': openAiUsage, 'openai-cost': openAiCost, 'anthropic-usage': anthropicUsage }[format]
  const days = buckets.map(({ day }) => day)
  return covering(
    buckets.flatMap(({ day, results }) => results.map((result) => read(day, result))),
    days,
  )
}

function covering(rows: readonly ReportedDay[], days: readonly string[]): ProviderReport {
  const all = [...days, ...rows.map(({ day }) => day)].sort()
  const [firstDay, lastDay] = [all[0], all.at(-1)]
  if (firstDay === undefined || lastDay === undefined) throw new ReportError('the report has no day in it')
  return { firstDay, lastDay, rows }
}

type Json = Readonly<Record<string, unknown>>
interface Bucket {
  readonly day: string
  readonly results: readonly Json[]
}

/** Of one page, or of a list of all its pages. */
function bucketsOf(text: string): readonly Bucket[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new ReportError('the file is not JSON')
  }
  const pages = (Array.isArray(parsed) ? parsed : [parsed]) as readonly Json[]
  if (pages.at(-1)?.['has_more'] === true)
    throw new ReportError('the report goes on (has_more): put all of its pages into one JSON list')
  return pages.flatMap((page) => {
    const data = page?.['data']
    if (!Array.isArray(data)) throw new ReportError('a page of the report has no "data"')
    return (data as readonly Json[]).map((bucket) => ({ day: dayOf(bucket), results: resultsOf(bucket) }))
  })
}

function resultsOf({ results }: Json): readonly Json[] {
  if (!Array.isArray(results)) throw new ReportError('a day of the report has no "results"')
  return results as readonly Json[]
}

/** OpenAI's seconds, Anthropic's RFC 3339. */
function dayOf({ start_time: seconds, starting_at: at }: Json): string {
  const ms = typeof seconds === 'number' ? seconds * 1000 : Date.parse(String(at))
  if (!Number.isFinite(ms)) throw new ReportError('a day of the report has neither start_time nor starting_at')
  return new Date(ms).toISOString().slice(0, 10)
}

function modelOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function countOf(value: unknown): bigint {
  const count = Number(value ?? 0)
  if (!Number.isSafeInteger(count) || count < 0) throw new ReportError(`"${String(value)}" is no number of tokens`)
  return BigInt(count)
}

/** `input_tokens` has cached ones, audio and images in it. */
function openAiUsage(day: string, { model, input_tokens, output_tokens }: Json): ReportedDay {
  return { day, model: modelOf(model), input: countOf(input_tokens), output: countOf(output_tokens) }
}

/** By line item ("gpt-5-mini-2025-08-07, input") where it is grouped so. */
function openAiCost(day: string, { amount, line_item }: Json): ReportedDay {
  const { value, currency } = (amount ?? {}) as Json
  const cost = Number(value)
  if (!Number.isFinite(cost) || typeof currency !== 'string') throw new ReportError('a cost has no amount and currency')
  const model = modelOf(line_item)?.split(',')[0] ?? null
  return { day, model, cost: { unit: currency.toUpperCase(), parts: exactOf(cost.toFixed(12)) } }
}

/** Cached and written input stand apart from the rest. */
function anthropicUsage(day: string, result: Json): ReportedDay {
  const written = Object.values((result['cache_creation'] ?? {}) as Json)
  const parts = [result['uncached_input_tokens'], result['cache_read_input_tokens'], ...written]
  const input = parts.reduce<bigint>((sum, part) => sum + countOf(part), 0n)
  return { day, model: modelOf(result['model']), input, output: countOf(result['output_tokens']) }
}

const COLUMNS = ['day', 'model', 'input_tokens', 'output_tokens', 'cost', 'currency']

/** Columns day, model, and input_tokens, output_tokens or cost (with currency, else USD), named in the first line. */
function readCsv(text: string): readonly ReportedDay[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  const names = cellsOf(lines[0] ?? '')
  const wrong = names.find((name) => !COLUMNS.includes(name))
  if (wrong !== undefined) throw new ReportError(`there is no column "${wrong}"; choose of ${COLUMNS.join(', ')}`)
  if (!names.includes('day')) throw new ReportError('the first line names no column "day"')
  return lines.slice(1).map((line, i) => csvRow(names, cellsOf(line), i + 2))
}

function csvRow(names: readonly string[], cells: readonly string[], line: number): ReportedDay {
  const cell = (name: string): string => cells[names.indexOf(name)] ?? ''
  if (cells.length !== names.length)
    throw new ReportError(`line ${line} has ${cells.length} cells, not ${names.length}`)
  if (!/^\d{4}-\d\d-\d\d$/.test(cell('day')))
    throw new ReportError(`line ${line}: "${cell('day')}" is no day like 2026-11-26`)
  if (!/^(\d+(\.\d{1,24})?)?$/.test(cell('cost'))) throw new ReportError(`line ${line}: "${cell('cost')}" is no cost`)
  return {
    day: cell('day'),
    model: modelOf(cell('model')),
    input: cell('input_tokens') === '' ? undefined : countOf(cell('input_tokens')),
    output: cell('output_tokens') === '' ? undefined : countOf(cell('output_tokens')),
    cost: cell('cost') === '' ? undefined : { unit: cell('currency') || 'USD', parts: exactOf(cell('cost')) },
  }
}

/** No cell here has a comma or a line break in it. */
function cellsOf(line: string): readonly string[] {
  return line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'))
}
