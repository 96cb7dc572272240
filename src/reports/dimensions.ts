/** What usage is grouped by: what a call was, whom its money came from, and when it was charged. */
import { overflowPeriod } from '../core/overflow-period.ts'

/** Of a charge: the account, and what its ledger entry says of the call. */
export interface CallFacts {
  readonly account: string
  readonly key?: string | undefined
  readonly user?: string | undefined
  readonly run?: string | undefined
  readonly model?: string | undefined
  readonly upstream?: string | undefined
  readonly endpoint?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}

const FACTS = ['account', 'key', 'user', 'run', 'model', 'upstream', 'endpoint'] as const
const PERIODS = ['day', 'month'] as const
/** Names that are no labels; a label of such a name is asked for as `label.NAME`. */
export const DIMENSION_NAMES: readonly string[] = [...FACTS, 'funding', ...PERIODS]
export const DIMENSIONS_MAX = 8
const LABEL = /^[A-Za-z0-9._:@/+-]{1,128}$/
const LABEL_PREFIX = 'label.'

export type Dimension =
  | { readonly name: string; readonly of: 'fact'; readonly fact: (typeof FACTS)[number] }
  | { readonly name: string; readonly of: 'period'; readonly period: (typeof PERIODS)[number] }
  | { readonly name: string; readonly of: 'label'; readonly label: string }
  | { readonly name: string; readonly of: 'funding' }

/** "model,day,team". Answers the dimensions, or what is wrong with it. */
export function parseDimensions(text: string): readonly Dimension[] | { readonly wrong: string } {
  if (text === '') return []
  const names = text.split(',')
  if (names.length > DIMENSIONS_MAX)
    return { wrong: `names ${names.length} dimensions; ${DIMENSIONS_MAX} are the most` }
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) return { wrong: `names "${twice}" twice` }
  const dimensions: Dimension[] = []
  for (const name of names) {
    const dimension = dimensionOf(name)
    if (!dimension)
      return { wrong: `"${name.slice(0, 128)}" is neither one of ${DIMENSION_NAMES.join(', ')} nor a label` }
    dimensions.push(dimension)
  }
  return dimensions
}

function dimensionOf(name: string): Dimension | undefined {
  const fact = FACTS.find((known) => known === name)
  if (fact) return { name, of: 'fact', fact }
  const period = PERIODS.find((known) => known === name)
  if (period) return { name, of: 'period', period }
  if (name === 'funding') return { name, of: 'funding' }
  const label = name.startsWith(LABEL_PREFIX) ? name.slice(LABEL_PREFIX.length) : name
  return LABEL.test(label) ? { name, of: 'label', label } : undefined
}

/** null: the call has no such value. */
export function dimensionValue(
  dimension: Dimension,
  facts: CallFacts,
  atMs: number,
  timezone: string,
  funding: string,
): string | null {
  switch (dimension.of) {
    case 'fact':
      return facts[dimension.fact] ?? null
    case 'period':
      return overflowPeriod(dimension.period, atMs, timezone)
    case 'label':
      return facts.labels && Object.hasOwn(facts.labels, dimension.label)
        ? (facts.labels[dimension.label] ?? null)
        : null
    case 'funding':
      return funding
  }
}
