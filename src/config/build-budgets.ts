import type { BudgetWindow } from '../core/budget-window.ts'
import { type Budget, scaleOfMeasure } from '../core/budgets.ts'
import type { Rate } from '../core/convert.ts'
import { globMatches } from '../core/glob.ts'
import { parseAmount } from '../core/money.ts'
import { type BudgetFields, weekdayNumber } from './budget-schema.ts'
import type { EntitlementsFile } from './entitlements-schema.ts'

/**
 * Budgets from a checked entitlements.yaml. A calendar window that names no zone has that of the plan, so a budget that
 * matches plans of several zones is one budget for each of them. `refuse` hears of a limit that its unit cannot hold.
 */
export function buildBudgets(
  read: EntitlementsFile,
  scales: ReadonlyMap<string, number>,
  refuse: (path: readonly (string | number)[], error: Error) => void,
): readonly Budget[] {
  const budgets: Budget[] = []
  read.budgets.forEach((fields, index) => {
    const scale = scaleOfMeasure(fields.unit, scales)
    try {
      const limit = parseAmount(fields.limit, scale)
      for (const { match, timezone } of byZone(fields, read))
        budgets.push(
          Object.freeze({
            ...common(fields),
            match,
            measure: fields.unit,
            scale,
            limit,
            window: windowOf(fields, timezone),
          }),
        )
    } catch (error) {
      refuse(['budgets', index, 'limit'], error as Error)
    }
  })
  return budgets
}

function common({ name, action, max_values, idle }: BudgetFields) {
  return { name, action, valuesMax: max_values, idleMs: idle }
}

function byZone(fields: BudgetFields, read: EntitlementsFile): { match: Budget['match']; timezone: string }[] {
  const { match, window, timezone } = fields
  const ownZone = timezone !== undefined || window === undefined || typeof window === 'object' || window === 'lifetime'
  const zones = new Map(Object.entries(read.plans).map(([plan, { timezone: zone }]) => [plan, zone]))
  const named = match['plan'] === undefined ? undefined : zones.get(match['plan'])
  const first = [...zones.values()][0] ?? 'UTC'
  const zone = timezone ?? named ?? first
  if (ownZone || named !== undefined || [...zones.values()].every((other) => other === zone))
    return [{ match, timezone: zone }]
  return [...zones]
    .filter(([plan]) => globMatches(match['plan'] ?? '*', plan))
    .map(([plan, planZone]) => ({ match: { ...match, plan }, timezone: planZone }))
}

function windowOf({ window, anchor, week_start }: BudgetFields, timezone: string): BudgetWindow {
  if (window === undefined || window === 'lifetime') return { kind: 'lifetime' }
  if (typeof window === 'object') return { kind: 'rolling', lengthMs: window.rollingMs }
  return { kind: 'calendar', every: window, timezone, anchor, weekStart: weekdayNumber(week_start) }
}

export function buildRates(read: EntitlementsFile): readonly Rate[] {
  return read.rates.map(({ from, to, rate, valid_from }) =>
    Object.freeze({ from, to, rate, validFromMs: valid_from ?? 0 }),
  )
}
