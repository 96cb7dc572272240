/**
 * Allowances: credit that an account is granted each period. Here is which grants there must be at a time, and what a
 * change of the plan does to those that are there; wallet/allowance-keeper.ts does it. Contract: WALLET section 2.
 */
import { createHash } from 'node:crypto'
import { calendarBounds } from './budget-window.ts'
import { stableId } from './ids.ts'
import type { Atoms } from './money.ts'
import { overflowPeriod } from './overflow-period.ts'

export type AllowanceEvery = 'day' | 'week' | 'month' | 'quarter' | 'year'

export interface AllowanceTerms {
  readonly unit: string
  readonly scale: number
  /** Above 0. */
  readonly amountAtoms: Atoms
  readonly every: AllowanceEvery
  readonly timezone: string
  /** Of a month, quarter or year the day of its first month, 1 to 31 (in a shorter month its last); of a week the ISO weekday. */
  readonly anchor: number
  readonly funding: 'promotional' | 'invoiced' | 'external'
  /** undefined: what is free at the end expires. */
  readonly rollover: AllowanceRollover | undefined
}

export interface AllowanceRollover {
  /** 100% is 1,000,000. */
  readonly percentMillionths: number
  readonly minAtoms: Atoms
  readonly maxAtoms: Atoms
}

export interface Allowance extends AllowanceTerms {
  /** What a change does to the running period: nothing, the difference on top, or the new one for its rest. */
  readonly onChange: 'keep' | 'top_up' | 'replace'
  /** Twelve hex digits; equal where the terms are. A grant carries them as a label: so a change is told. */
  readonly terms: string
}

export function makeAllowance(terms: AllowanceTerms, onChange: Allowance['onChange']): Allowance {
  const { unit, scale, amountAtoms, every, timezone, anchor, funding, rollover } = terms
  const rolls = rollover && [rollover.percentMillionths, String(rollover.minAtoms), String(rollover.maxAtoms)]
  const text = JSON.stringify([unit, scale, String(amountAtoms), every, timezone, anchor, funding, rolls ?? null])
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12)
  return Object.freeze({ ...terms, onChange, terms: hash })
}

export interface AllowancePeriod {
  /** Of the day that it begins on: 2026-11, 2026-W48 … */
  readonly name: string
  readonly startMs: number
  readonly endMs: number
  /** End of the period after it: until then what is left rolls on. */
  readonly afterMs: number
}

export type AllowancePeriods = readonly [current: AllowancePeriod, next: AllowancePeriod]

const known = new Map<string, AllowancePeriods>()
const KNOWN_MAX = 1000

/** The period that an instant falls in and the one after it. Worked out once a period for all accounts of a plan. */
export function allowancePeriods(allowance: AllowanceTerms, atMs: number): AllowancePeriods {
  const { every, timezone, anchor } = allowance
  const name = `${every} ${timezone} ${anchor}`
  const last = known.get(name)
  if (last && last[0].startMs <= atMs && atMs < last[0].endMs) return last
  const window = { kind: 'calendar', every, timezone, anchor, weekStart: anchor } as const
  const [, start, end, after] = calendarBounds(window, atMs)
  const afterNext = calendarBounds(window, end)[3]
  const called = (startMs: number) => overflowPeriod(every, startMs, timezone)
  const periods: AllowancePeriods = [
    { name: called(start), startMs: start, endMs: end, afterMs: after },
    { name: called(end), startMs: end, endMs: after, afterMs: afterNext },
  ]
  if (known.size >= KNOWN_MAX) known.clear()
  known.set(name, periods)
  return periods
}

/** What is read of a grant that is there. */
export interface FoundGrant {
  readonly id: string
  readonly key: string | undefined
  readonly unit: string
  readonly amountAtoms: Atoms
  readonly state: 'pending' | 'usable' | 'expired' | 'voided' | 'clawed_back'
  readonly effectiveAtMs: number
  readonly expiresAtMs: number | undefined
  readonly labels: Readonly<Record<string, string>>
}

export interface WantedGrant {
  /** allowance:PERIOD; one that takes another's place has :1, :2 … after it. Unique for ever in the account. */
  readonly key: string
  readonly amountAtoms: Atoms
  /** undefined: at once. */
  readonly effectiveAtMs: number | undefined
  readonly expiresAtMs: number
  readonly priority: number
  readonly labels: Readonly<Record<string, string>>
  readonly rollover: (AllowanceRollover & { expiresAtMs: number; priority: number; id: string }) | undefined
}

export interface AllowanceChanges {
  /** Ids of grants to void, before anything is made. */
  readonly voids: readonly string[]
  readonly makes: readonly WantedGrant[]
  /** Voided ones that would be made anew if a change of the plan voided them, and not a person. */
  readonly doubts: readonly string[]
}

/** What rolled over is drawn first, then what was put on top, so that the rest of the allowance itself is what rolls over. */
const PRIORITY = { rollover: 8, topUp: 9, allowance: 10 } as const

const TERMS = 'allowance_terms'
const PERIOD = 'allowance'
const TOP_UP = 'allowance_top_up'

/**
 * What is to be done so that the account has its allowance now and in the next period, by the grants that it has (in
 * the order of their creation). Two gateways that see the same want the same, under the same keys.
 *
 * `allowance` undefined: the account has none any more. `changed`: voided grants that a change of the plan voided.
 */
export function allowanceChanges(
  account: string,
  allowance: Allowance | undefined,
  found: readonly FoundGrant[],
  nowMs: number,
  changed: ReadonlySet<string> = new Set(),
): AllowanceChanges {
  const ours = found.filter((grant) => grant.key?.startsWith('allowance:') && grant.labels[TERMS] !== undefined)
  const live = ours.filter((grant) => isLive(grant, nowMs))
  const others = live.filter((grant) => grant.labels[TERMS] !== allowance?.terms)
  // The last first: should it end in the middle, what was put on top is never left without what it was put on.
  const voids = others.filter((grant) => grant.effectiveAtMs > nowMs || allowance?.onChange === 'replace').toReversed()
  if (!allowance) return { voids: voids.map(({ id }) => id), makes: [], doubts: [] }

  const stays = others.filter((grant) => !voids.includes(grant) && grant.unit === allowance.unit)
  const makes: WantedGrant[] = []
  const doubts: string[] = []
  const onTop = allowance.onChange === 'top_up' ? topUp(allowance, found, ours, stays, nowMs) : undefined
  if (onTop) makes.push(onTop)
  // Never two at once: where another one still runs, the first of these terms begins at its end.
  const freeFromMs = Math.max(0, ...stays.map((grant) => grant.expiresAtMs ?? Number.POSITIVE_INFINITY))
  for (const period of allowancePeriods(allowance, nowMs)) {
    const startMs = Math.max(period.startMs, freeFromMs)
    if (startMs >= period.endMs) continue
    const before = ours.filter((grant) => grant.labels[PERIOD] === period.name && !(TOP_UP in grant.labels))
    const last = before.findLast((grant) => grant.labels[TERMS] === allowance.terms)
    if (last && isLive(last, nowMs)) continue
    if (last && last === before.at(-1) && !changed.has(last.id)) doubts.push(last.id)
    else makes.push(wanted(account, allowance, period, found, startMs, nowMs))
  }
  return { voids: voids.map(({ id }) => id), makes, doubts }
}

function isLive({ state, expiresAtMs }: FoundGrant, nowMs: number): boolean {
  return (state === 'usable' || state === 'pending') && (expiresAtMs ?? Number.POSITIVE_INFINITY) > nowMs
}

function wanted(
  account: string,
  allowance: Allowance,
  period: AllowancePeriod,
  found: readonly FoundGrant[],
  startMs: number,
  nowMs: number,
): WantedGrant {
  const key = nextKey(found, period.name)
  const first = key === `allowance:${period.name}`
  const { rollover } = allowance
  return {
    key,
    amountAtoms: allowance.amountAtoms,
    // One that takes another's place in a running period cannot have been there before.
    effectiveAtMs: first || startMs > nowMs ? startMs : undefined,
    expiresAtMs: period.endMs,
    priority: PRIORITY.allowance,
    labels: { [PERIOD]: period.name, [TERMS]: allowance.terms },
    rollover: rollover && {
      ...rollover,
      expiresAtMs: period.afterMs,
      priority: PRIORITY.rollover,
      id: stableId(period.endMs, `${account} ${key}`),
    },
  }
}

/** The difference to what was granted for the running period; of its own it leaves nothing to the next. */
function topUp(
  allowance: Allowance,
  found: readonly FoundGrant[],
  ours: readonly FoundGrant[],
  stays: readonly FoundGrant[],
  nowMs: number,
): WantedGrant | undefined {
  const running = stays.at(-1)
  if (running?.expiresAtMs === undefined) return undefined
  const granted = ours.filter(
    (grant) => isLive(grant, nowMs) && grant.effectiveAtMs <= nowMs && grant.unit === allowance.unit,
  )
  const missing = allowance.amountAtoms - granted.reduce((sum, grant) => sum + grant.amountAtoms, 0n)
  if (missing <= 0n) return undefined
  const period = running.labels[PERIOD] ?? ''
  return {
    key: nextKey(found, period),
    amountAtoms: missing,
    effectiveAtMs: undefined,
    expiresAtMs: running.expiresAtMs,
    priority: PRIORITY.topUp,
    labels: { [PERIOD]: period, [TERMS]: allowance.terms, [TOP_UP]: 'true' },
    rollover: undefined,
  }
}

/** Counted, not drawn: whoever sees the same grants takes the same key, and one of them makes it. */
function nextKey(found: readonly FoundGrant[], period: string): string {
  const key = `allowance:${period}`
  const used = found.filter((grant) => grant.key === key || grant.key?.startsWith(`${key}:`)).length
  return used === 0 ? key : `${key}:${used}`
}
