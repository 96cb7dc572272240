/** Our usage against a provider's report, both ways, by UTC day and model. Pure. */
import { isSameModel } from '../core/answered-model.ts'
import { exactText } from '../core/decimal-sum.ts'
import type { ReportedDay } from './provider-usage.ts'

/** What the ledgers have of a day, a model and an upstream. */
export interface OwnDay {
  readonly day: string
  readonly model: string
  readonly upstream: string
  readonly input: bigint
  readonly output: bigint
  /** By unit, in parts of 10^-24. */
  readonly cost: Readonly<Record<string, bigint>>
}

export interface Compared {
  readonly day: string
  readonly model: string
  /** input, output, or the unit of a cost. */
  readonly measure: string
  readonly ledger: string
  readonly provider: string
  readonly differs: boolean
}

interface Pair {
  readonly day: string
  readonly model: string
  readonly measure: string
  ledger: bigint
  provider: bigint
}

/**
 * `toleranceMillionths`: of what the provider says. Of ours only the upstreams count that served a model of the report,
 * or all where it is about all models together.
 */
export function reconcile(
  reported: readonly ReportedDay[],
  own: readonly OwnDay[],
  toleranceMillionths: bigint,
): readonly Compared[] {
  const pairs = new Map<string, Pair>()
  const pairOf = (day: string, model: string, measure: string): Pair => {
    const key = JSON.stringify([day, model, measure])
    const pair = pairs.get(key) ?? { day, model, measure, ledger: 0n, provider: 0n }
    pairs.set(key, pair)
    return pair
  }
  const models = [...new Set(reported.flatMap(({ model }) => (model === null ? [] : [model])))]
  const together = models.length === 0
  const measures = new Set<string>()
  for (const row of reported) {
    for (const [measure, amount] of amountsOf(row)) {
      measures.add(measure)
      pairOf(row.day, row.model ?? ALL, measure).provider += amount
    }
  }
  // A report without any usage says that there was none.
  if (reported.length === 0) measures.add('input').add('output')
  const nameOf = (model: string): string => models.find((name) => isSameModel(model, name)) ?? model
  const upstreams = new Set(own.filter(({ model }) => models.includes(nameOf(model))).map(({ upstream }) => upstream))
  for (const row of own) {
    if (!together && !upstreams.has(row.upstream)) continue
    const amounts: Readonly<Record<string, bigint>> = { input: row.input, output: row.output, ...row.cost }
    for (const measure of measures)
      pairOf(row.day, together ? ALL : nameOf(row.model), measure).ledger += amounts[measure] ?? 0n
  }
  return [...pairs.values()].sort(byDay).map((pair) => compared(pair, toleranceMillionths))
}

const ALL = 'all models'

function amountsOf({ input, output, cost }: ReportedDay): readonly (readonly [string, bigint])[] {
  const amounts: (readonly [string, bigint])[] = []
  if (input !== undefined) amounts.push(['input', input])
  if (output !== undefined) amounts.push(['output', output])
  if (cost !== undefined) amounts.push([cost.unit, cost.parts])
  return amounts
}

function compared({ day, model, measure, ledger, provider }: Pair, toleranceMillionths: bigint): Compared {
  const apart = ledger > provider ? ledger - provider : provider - ledger
  const text = measure === 'input' || measure === 'output' ? String : exactText
  const differs = apart * 1_000_000n > provider * toleranceMillionths
  return { day, model, measure, ledger: text(ledger), provider: text(provider), differs }
}

function byDay(a: Pair, b: Pair): number {
  const [left, right] = [a, b].map(({ day, model, measure }) => `${day}\n${model}\n${measure}`) as [string, string]
  return left < right ? -1 : 1
}
