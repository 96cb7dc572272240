/** Events once more: what an act makes known of a wallet, told from what it was before and what it is now. */
import type { LowAlert, WalletAlerts } from '../../src/core/alerts.ts'
import { formatAmount } from '../../src/core/money.ts'
import { encodeAlerts } from '../../src/wallet/encode.ts'

const HOUR_MS = 3_600_000n
const WAIT_MAX_MS = 86_400_000
const TOLD_MAX = 32
const MAX = 9_007_199_254_740_991n

export interface ModelEvent {
  readonly seq: number
  readonly unit: string
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}
export interface Over {
  readonly mode: string
  /** debt, flagged, overflow:PERIOD */
  readonly name: string
  readonly atoms: bigint
}
/** What is remembered of a unit. */
export interface Watched {
  readonly alerts: WalletAlerts | undefined
  readonly told: readonly string[]
  readonly base: bigint
  readonly hours: { readonly hour: bigint; readonly before: bigint; readonly since: bigint } | undefined
  readonly topUp: {
    readonly nextMs: number
    readonly waitMs: number
    readonly start: number
    readonly requested: bigint
  }
}
export const UNWATCHED: Watched = {
  alerts: undefined,
  told: [],
  base: 0n,
  hours: undefined,
  topUp: { nextMs: 0, waitMs: 0, start: 0, requested: 0n },
}
export interface Act {
  readonly nowMs: number
  readonly scale: number
  /** Balance and debt before and after. */
  readonly was: { readonly balance: bigint; readonly debt: bigint }
  readonly is: { readonly balance: bigint; readonly debt: bigint }
  /** What was charged in all, before the operation and after the act. */
  readonly postedBefore: bigint
  readonly posted: bigint
  readonly overs: readonly Over[]
  readonly isOver: (name: string) => boolean
  /** A grant became usable. */
  readonly funded: boolean
  /** Of a hold that found no money. */
  readonly needed: bigint | undefined
  /** Of a hold that was made. */
  readonly given: { readonly alerts: WalletAlerts | undefined } | undefined
}
export type Told = Pick<ModelEvent, 'event' | 'fields'>

const name = (low: LowAlert): string =>
  low.kind === 'granted'
    ? `granted ${low.millionths}`
    : low.kind === 'below'
      ? `below ${low.atoms}`
      : `hours ${low.hours}`

/** The alert that a name is of. */
function alertNamed(text: string): LowAlert | undefined {
  const [kind, value = ''] = text.split(' ')
  if (kind === 'granted') return { kind, millionths: Number(value) }
  if (kind === 'below') return { kind, atoms: BigInt(value) }
  return kind === 'hours' ? { kind, hours: Number(value) } : undefined
}

/** Where nothing is to be remembered the wallet is not watched. */
export function isWatched({ alerts, told, base, topUp }: Watched): boolean {
  const asks = alerts && (alerts.quiet || alerts.lows.length > 0 || alerts.expiresInMs !== undefined || alerts.topUp)
  return Boolean(asks) || told.length > 0 || base > 0n || topUp.nextMs > 0 || topUp.requested > 0n
}

const TOLD: Readonly<Record<string, string>> = { granted: 'p', below: 'b', hours: 'h', over: 'o:', exhausted: 'x' }

/** The record of it, as lib/events.lua writes it; undefined: none. */
export function packWatched({ alerts, told, base, hours, topUp }: Watched): string | undefined {
  const total = (atoms: bigint): string => `${atoms / 10n ** 15n},${atoms % 10n ** 15n}`
  const { nextMs, waitMs, start, requested } = topUp
  const parts = [
    encodeAlerts(alerts),
    told.map((text) => text.replace(/^(\S+) ?/, (_, kind: string) => TOLD[kind] ?? '')).join(','),
    String(base),
    hours ? `${hours.hour}:${total(hours.before)}:${total(hours.since)}` : '',
    nextMs > 0 || requested > 0n ? `${nextMs}:${waitMs}:${start}:${requested}` : '',
  ]
  return parts.join('') === '0' ? undefined : `1 ${parts.map((part) => part || '-').join(' ')}`
}

export function judge(before: Watched, act: Act): { readonly watched: Watched; readonly events: readonly Told[] } {
  const { balance } = act.is
  const alerts = act.given ? act.given.alerts : before.alerts
  const lows = alerts?.lows ?? []
  const has = (kind: LowAlert['kind']): boolean => lows.some((low) => low.kind === kind)
  const hours = has('hours') ? hoursNow(before.hours, act) : act.given ? undefined : before.hours
  let base = act.given && !has('granted') ? 0n : before.base
  let topUp = act.given && !alerts?.topUp ? UNWATCHED.topUp : before.topUp
  if (has('granted') && (act.funded || base === 0n)) {
    if (before.told.some((told) => told.startsWith('granted '))) base = 0n
    if (balance > base) base = balance
  }
  const money = (atoms: bigint): string => formatAmount(atoms, act.scale)
  const low = (alert: LowAlert): Record<string, unknown> | undefined => {
    if (alert.kind === 'granted') {
      const threshold = (base * BigInt(alert.millionths)) / 1_000_000n
      if (base === 0n || balance > threshold) return undefined
      return { share: `${alert.millionths / 10_000}%`, threshold: money(threshold) }
    }
    if (alert.kind === 'below') return balance < alert.atoms ? { below: money(alert.atoms) } : undefined
    const burn = burnOf(hours, act)
    if (burn === 0n || balance / burn >= BigInt(alert.hours) * 60n) return undefined
    return { hours_left: alert.hours, per_minute: money(burn) }
  }
  const rose = balance > act.was.balance || act.is.debt < act.was.debt
  const stays = (told: string): boolean => {
    if (told === 'exhausted') return false
    if (told.startsWith('over ')) return act.isOver(told.slice('over '.length))
    const alert = alertNamed(told)
    return alert !== undefined && low(alert) !== undefined
  }
  let told = rose ? before.told.filter(stays) : [...before.told]
  const events: Told[] = []
  const tell = (what: string, event: string, fields: Record<string, unknown>): void => {
    if (told.includes(what)) return
    told = [...told, what].slice(-TOLD_MAX)
    events.push({ event, fields })
  }
  for (const { mode, name: account, atoms } of act.overs) {
    const period = account.startsWith('overflow:') ? { period: account.slice('overflow:'.length) } : {}
    tell(`over ${account}`, 'overage.started', { mode, ...period, amount: money(atoms) })
  }
  for (const alert of lows) {
    const said = low(alert)
    if (said) tell(name(alert), 'wallet.low', { ...said, balance: money(balance) })
  }
  const ranOut = act.was.balance > 0n && balance === 0n && !alerts?.quiet
  if (act.needed !== undefined) tell('exhausted', 'wallet.exhausted', { needed: money(act.needed) })
  else if (ranOut) tell('exhausted', 'wallet.exhausted', {})
  if (alerts?.topUp) {
    const asked = askForTopUp(topUp, alerts.topUp, act)
    topUp = asked.topUp
    if (asked.requests) {
      const { amountAtoms, belowAtoms, atMostAtoms } = alerts.topUp
      events.push({
        event: 'top_up.requested',
        fields: {
          amount: money(amountAtoms),
          below: money(belowAtoms),
          balance: money(balance),
          requested: money(topUp.requested),
          at_most: money(atMostAtoms),
        },
      })
    }
  }
  return { watched: { alerts, told, base, hours, topUp }, events }
}

/** Totals at the beginning of the hour before, and of this one. */
function hoursNow(last: Watched['hours'], { nowMs, postedBefore }: Act): NonNullable<Watched['hours']> {
  const hour = BigInt(nowMs) / HOUR_MS
  if (last?.hour === hour) return last
  return { hour, before: last?.hour === hour - 1n ? last.since : postedBefore, since: postedBefore }
}

/** What a minute took since the hour before began. */
function burnOf(hours: Watched['hours'], { nowMs, posted }: Act): bigint {
  if (!hours) return 0n
  const spent = posted - hours.before
  const minutes = (BigInt(nowMs) - (hours.hour - 1n) * HOUR_MS) / 60_000n
  return spent > 0n ? (spent > MAX ? MAX : spent) / minutes : 0n
}

function askForTopUp(before: Watched['topUp'], terms: NonNullable<WalletAlerts['topUp']>, { nowMs, is }: Act) {
  const [b0, b1, b2, b3] = terms.bounds
  const [start, end] =
    nowMs >= b3 ? [b3, undefined] : nowMs >= b2 ? [b2, b3] : nowMs >= b1 ? [b1, b2] : ([b0, b1] as const)
  const requested = before.start === start ? before.requested : 0n
  const kept = { start, requested }
  const nothing = { topUp: UNWATCHED.topUp, requests: false }
  if (is.balance >= terms.belowAtoms) {
    return requested > 0n ? { topUp: { ...kept, nextMs: 0, waitMs: 0 }, requests: false } : nothing
  }
  if (end === undefined) return { topUp: UNWATCHED.topUp, requests: false }
  if (nowMs < before.nextMs) return { topUp: { ...before, ...kept }, requests: false }
  if (requested + terms.amountAtoms > terms.atMostAtoms) {
    return { topUp: { ...kept, nextMs: end, waitMs: 0 }, requests: false }
  }
  const waitMs = before.waitMs === 0 ? terms.waitMs : Math.min(WAIT_MAX_MS, before.waitMs * 2)
  return {
    topUp: { start, requested: requested + terms.amountAtoms, nextMs: nowMs + waitMs, waitMs },
    requests: true,
  }
}
