import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

export const CONFIG = fileURLToPath(new URL('../../config/', import.meta.url))

export interface WatchedExpression {
  /** Where it stands, for messages. */
  readonly name: string
  readonly expression: string
}

interface RuleFile {
  readonly groups: readonly {
    readonly rules: readonly { readonly record?: string; readonly alert?: string; readonly expr: string }[]
  }[]
}

interface Panel {
  readonly title: string
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[]
}

function rules(file: string): RuleFile['groups'][number]['rules'] {
  return (parse(readFileSync(`${CONFIG}prometheus/${file}`, 'utf8')) as RuleFile).groups.flatMap((group) => group.rules)
}

/** Names that the recording rules define. */
export function recordedNames(): string[] {
  return rules('recording.yaml').flatMap((rule) => rule.record ?? [])
}

/** Each expression of the rules and of the dashboard, its variables filled in for "all of the last minutes". */
export function watchedExpressions(): WatchedExpression[] {
  const ruled = ['recording.yaml', 'alerts.yaml'].flatMap((file) =>
    rules(file).map(({ record, alert, expr }) => ({ name: `${file} ${record ?? alert}`, expression: expr })),
  )
  const { panels } = JSON.parse(readFileSync(`${CONFIG}grafana/spend.json`, 'utf8')) as { panels: Panel[] }
  const drawn = panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr }) => ({ name: `spend.json "${title}" ${refId}`, expression: fillVariables(expr) })),
  )
  return [...ruled, ...drawn]
}

/**
 * The same expression with every comparison as a value (0 or 1) instead of a filter: an alert that does not fire then
 * returns a series all the same, if its metrics and labels fit together.
 */
export function withoutFilters(expression: string): string {
  return expression.replace(/\s(==|!=|<=|>=|<|>)\s/g, ' $1 bool ')
}

function fillVariables(expression: string): string {
  return expression
    .replaceAll('$account', '.*')
    .replaceAll('$unit', '.*')
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$__range', '5m')
}
