import { CATALOG_UNIT } from '../core/catalog-model.ts'
import { globMatches } from '../core/glob.ts'
import { METERED_ENDPOINTS } from './endpoints.ts'
import { formatProblem, type Problem } from './problem.ts'
import type { YamlFile } from './read-yaml.ts'
import type { Snapshot } from './snapshot.ts'

interface Files {
  readonly tollgate: YamlFile
  readonly entitlements: YamlFile
  readonly prices: YamlFile
}

/** What is valid and most likely not meant: `file:line:column: warning: …`, by file and position. */
export function findWarnings(
  parts: Pick<Snapshot, 'plans' | 'accounts' | 'keys' | 'settings' | 'priceBook' | 'rates'>,
  files: Files,
): string[] {
  const found: Problem[] = []
  if (parts.settings.upstreams.length === 0) {
    found.push(files.tollgate.problemAt([], 'value', 'warning: no upstreams; every call is refused'))
  }
  warnOfPlans(parts, files.entitlements, found)
  warnOfMatches(parts, files.prices, found)
  return found.map(formatProblem)
}

function warnOfPlans(
  parts: Pick<Snapshot, 'plans' | 'accounts' | 'priceBook' | 'rates'>,
  file: YamlFile,
  found: Problem[],
): void {
  const used = new Set<string>()
  for (const account of parts.accounts.values()) {
    const { onExhausted, enforcement, allowance, name } = account.plan
    if (onExhausted.mode === 'block' && enforcement === 'enforce' && !allowance) used.add(name)
  }
  const units = unitsOfPrices(parts)
  for (const plan of parts.plans.values()) {
    const say = (message: string) =>
      found.push(file.problemAt(['plans', plan.name], 'key', `warning: plans.${plan.name}: ${message}`))
    if (units.size > 0 && !units.has(plan.unit)) {
      say(`is in ${plan.unit}, and no price is, nor a rate from one that is; its calls are refused as unit_mismatch`)
    }
    if (used.has(plan.name)) {
      say('blocks without funds, and nothing here funds it; its accounts can spend what "tollgate grant" gives them')
    }
  }
}

/** Those that something can be charged in. */
function unitsOfPrices({ priceBook, rates }: Pick<Snapshot, 'priceBook' | 'rates'>): Set<string> {
  const priced = new Set(priceBook.entries.map((entry) => entry.unit))
  if (priced.size > 0 || priceBook.catalog) priced.add(priceBook.unit)
  if (priceBook.catalog) priced.add(CATALOG_UNIT)
  return new Set([...priced, ...rates.flatMap(({ from, to }) => (priced.has(from) ? to : []))])
}

/** Upstreams and plans may be another deployment's, so a name that is not here is no error; most often it is misspelt. */
function warnOfMatches(
  parts: Pick<Snapshot, 'plans' | 'settings' | 'priceBook'>,
  file: YamlFile,
  found: Problem[],
): void {
  const known: Readonly<Record<string, readonly string[]>> = {
    upstream: parts.settings.upstreams.map((upstream) => upstream.name),
    plan: [...parts.plans.keys()],
    endpoint: METERED_ENDPOINTS,
  }
  parts.priceBook.entries.forEach((entry, i) => {
    for (const [field, names] of Object.entries(known)) {
      const pattern = entry.match[field]
      if (pattern === undefined || names.some((name) => globMatches(pattern, name))) continue
      const message = `warning: entries[${i}].match.${field}: fits no ${field} that there is`
      found.push(file.problemAt(['entries', i, 'match', field], 'value', message))
    }
  })
}
