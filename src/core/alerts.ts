/** What an account's plan wants to hear of its wallet, as a call says it at its time. */
import { type Bounds, type CalendarWindow, calendarBounds } from './budget-window.ts'
import type { Atoms } from './money.ts'

/** A threshold that a wallet is watched for. */
export type LowAlert =
  /** At or below this part of the most that the wallet held since funds came in. 1% is 10,000. */
  | { readonly kind: 'granted'; readonly millionths: number }
  | { readonly kind: 'below'; readonly atoms: Atoms }
  /** The balance lasts for less than so many hours, by what the running and the last hour took. */
  | { readonly kind: 'hours'; readonly hours: number }

/** When more credit is asked for, how much, and how often. */
export interface TopUpTerms {
  readonly belowAtoms: Atoms
  readonly amountAtoms: Atoms
  /** In a period of the calendar. */
  readonly atMostAtoms: Atoms
  /** Until it is asked for again; doubles with each time. */
  readonly waitMs: number
}

export interface WalletAlerts {
  /** It never runs out of credit: postpaid, or under observe. */
  readonly quiet: boolean
  readonly lows: readonly LowAlert[]
  /** How long before its end a grant is told to expire; undefined: 3 days. Of grants made from then on. */
  readonly expiresInMs: number | undefined
  /** With the period of `atMost` around now. */
  readonly topUp: (TopUpTerms & { readonly bounds: Bounds }) | undefined
}

/** The same without a time. */
export interface PlanAlerts extends Omit<WalletAlerts, 'topUp'> {
  readonly topUp: (TopUpTerms & { readonly period: CalendarWindow }) | undefined
}

const known = new WeakMap<PlanAlerts, WalletAlerts>()

/** One object for all calls of a period. */
export function alertsAt(plan: PlanAlerts, atMs: number): WalletAlerts {
  const { topUp, ...rest } = plan
  const bounds = topUp && calendarBounds(topUp.period, atMs)
  const last = known.get(plan)
  if (last && last.topUp?.bounds === bounds) return last
  const alerts = { ...rest, topUp: topUp && bounds && { ...topUp, bounds } }
  known.set(plan, alerts)
  return alerts
}
