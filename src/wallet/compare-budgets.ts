/** Counters of budgets against the replay of the ledger. Pure. */
import { type Differences, readRecord } from './differences.ts'
import type { Hash, KeptState } from './kept-state.ts'
import { slotsOfCounter } from './packed.ts'
import type { ReplayState } from './replay.ts'
import type { ReplayedCounter, ReplayedSlot } from './replay-counters.ts'

export const COUNTER =
  /^1\|(\d+)\|(\d+)\|(\d+)\|(\d*)\|(\d*)\|(\d+)\|(\d+)\|(\d+)\|(\d+)\|([^|]*)\|((?:\d+\/\d+)?)\|(\d*)\|((?:\d+:\d+:\d+:\d*(?:,(?=\d)|$))*)$/
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** The most that clocks go forward at once: in Antarctica/Troll; nearly everywhere it is an hour. */
const CLOCK_CHANGE_MS = 2 * HOUR_MS
/** The shortest that a window of the calendar can be. */
const SHORTEST_MS: Readonly<Record<string, number>> = {
  hour: HOUR_MS,
  day: DAY_MS - CLOCK_CHANGE_MS,
  week: 7 * DAY_MS - CLOCK_CHANGE_MS,
  month: 28 * DAY_MS - CLOCK_CHANGE_MS,
  quarter: 90 * DAY_MS - CLOCK_CHANGE_MS,
  year: 365 * DAY_MS - CLOCK_CHANGE_MS,
}

/** Adds to `notChecked` what cannot be told. */
export function compareBudgets(
  differences: Differences,
  kept: KeptState,
  state: ReplayState,
  nowMs: number,
  notChecked: string[],
): void {
  const { budgets } = kept
  if (budgets === undefined) {
    notChecked.push('counters of budgets: more than one read should bring')
    return
  }
  const { same } = differences
  const latest = new Map<string, ReplayedCounter>()
  for (const counter of state.counters.counters.values()) latest.set(counter.field, counter)
  const fields = [...budgets.keys()].flatMap((name) => (name.startsWith('c:') ? [name.slice(2)] : []))
  const groups = new Map<string, number>()
  for (const name of new Set([...fields, ...latest.keys()])) {
    const record = budgets.get(`c:${name}`)
    const counter = latest.get(name)
    const field = `budget ${name}`
    if (record === undefined) {
      if (counter && !mayBeGone(counter, nowMs)) same(field, undefined, 'a counter')
      continue
    }
    const parts = readRecord(differences, field, COUNTER, record)
    if (!parts) continue
    const [, , , , , , , id = '', life = '', group = ''] = parts
    const slots = slotsOfCounter(['1', ...parts])
    compareSums(differences, field, parts, slots.slice(0, -1))
    same(`${field}.id`, id, counter?.id)
    same(`${field}.i:${id}`, budgets.get(`i:${id}`), name)
    same(`${field} told`, budgets.get(`e:${id}`), state.told.get(`e:${id}`))
    same(`${field} due`, kept.due.has(`b${id}`) ? 1 : 0, Number(life) > 0 ? 1 : 0)
    if (group !== '') groups.set(group, (groups.get(group) ?? 0) + 1)
    if (counter && !counter.closed) compareSlots(differences, field, slots, counter, nowMs, notChecked)
    else if (counter) same(field, 'a counter', 'closed')
  }
  compareIndexes(differences, budgets, state, groups)
  compareCalls(differences, kept, state)
}

function compareIndexes(
  { same }: Differences,
  budgets: Hash,
  state: ReplayState,
  groups: ReadonlyMap<string, number>,
): void {
  for (const [name, value] of budgets) {
    if (name.startsWith('v:')) same(`budget group ${name.slice(2)}`, value, groups.get(name.slice(2)) ?? 0)
    if (name.startsWith('e:') && !budgets.has(`i:${name.slice(2)}`)) same(`budget ${name}`, value, undefined)
    if (name.startsWith('x:') && !state.told.has(name)) same(`budget group ${name.slice(2)} told`, value, undefined)
    if (name.startsWith('i:') && !budgets.has(`c:${value}`)) same(`budget ${value}.${name}`, value, undefined)
  }
  for (const [name, ms] of state.told)
    if (name.startsWith('x:')) same(`budget group ${name.slice(2)} told`, budgets.get(name), ms)
  for (const [group, size] of groups) if (!budgets.has(`v:${group}`)) same(`budget group ${group}`, undefined, size)
  const highest = [...state.counters.counters.keys()].reduce((most, id) => Math.max(most, Number(id)), 0)
  same('budgets.next', budgets.get('next') ?? 0, highest)
}

/** What a counter's head says of its older windows, so that a call need not read them. */
function compareSums({ same }: Differences, field: string, parts: readonly string[], older: readonly string[]): void {
  const [touched = '', , , , until, spent, held, , , , rolling = ''] = parts
  const expected = olderSums(Number(touched), rolling, older)
  same(`${field}.until`, until, expected.until)
  same(`${field}.older_spent`, spent, expected.spent)
  same(`${field}.older_held`, held, expected.held)
}

/** As redis-scripts/lib/budget_windows.lua writes them; `rolling`: PART/LENGTH in ms, or "". */
export function olderSums(
  touchedMs: number,
  rolling: string,
  older: readonly string[],
): { readonly until: string; readonly spent: string; readonly held: string } {
  const [part = 0, length = 0] = rolling === '' ? [] : rolling.split('/').map(Number)
  const slots = older.map((slot) => slot.split(':').map(Number) as [number, number, number, number])
  const leaves = slots.flatMap(([start, , isHeld, ends]) => {
    if (rolling !== '') return [start + part + length]
    return isHeld === 0 && ends > 0 ? [ends + DAY_MS] : []
  })
  const counting = rolling === '' ? [] : slots.filter(([start]) => start + part + length > touchedMs)
  const until = leaves.length === 0 ? '' : String(Math.min(...leaves))
  return { until, spent: String(sumOf(counting, 1)), held: String(sumOf(counting, 2)) }
}

function sumOf(slots: readonly (readonly number[])[], at: number): number {
  return Math.min(
    Number.MAX_SAFE_INTEGER,
    slots.reduce((sum, slot) => sum + (slot[at] ?? 0), 0),
  )
}

function compareSlots(
  { same }: Differences,
  field: string,
  slots: readonly string[],
  counter: ReplayedCounter,
  nowMs: number,
  notChecked: string[],
): void {
  const starts = new Set<number>()
  for (const part of slots) {
    const [start = '', spent = '', held = ''] = part.split(':')
    starts.add(Number(start))
    const slot = counter.slots.get(Number(start))
    same(`${field} ${start}.held`, held, slot?.held)
    if (counter.uncertain) notChecked.push(`${field} ${start}.spent: a refund of a charge that the ledger has not`)
    else same(`${field} ${start}.spent`, spent, slot?.spent)
  }
  for (const [start, slot] of counter.slots) {
    if (!starts.has(start) && !mayLeave(counter.field, start, slot, nowMs)) {
      same(`${field} ${start}`, undefined, `spent ${slot.spent}, held ${slot.held}`)
    }
  }
}

/** Whether a window's count may be gone by now. */
export function mayLeave(field: string, start: number, slot: ReplayedSlot, nowMs: number): boolean {
  const window = decodeURIComponent(field.split('~')[2] ?? '')
  if (window === 'lifetime') return false
  const rolling = /^rolling(\d+)$/.exec(window)
  if (rolling) return start + Number(rolling[1]) <= nowMs
  const shortest = SHORTEST_MS[window.split(' ')[0] ?? '']
  return slot.held === 0n && (shortest === undefined || start + shortest + DAY_MS <= nowMs)
}

/** A counter leaves some time after its last window; one of a lifetime says so in the ledger. */
function mayBeGone(counter: ReplayedCounter, nowMs: number): boolean {
  if (counter.closed) return true
  return [...counter.slots].every(([start, slot]) => mayLeave(counter.field, start, slot, nowMs))
}

/** A hold names a counter by its id, or by its field. */
export function fieldNamed(name: string, { counters }: ReplayState): string {
  return counters.counters.get(name)?.field ?? name
}

/** What holds keep of what they count, where the window is still kept. */
function compareCalls({ same }: Differences, kept: KeptState, state: ReplayState): void {
  for (const [id, record] of kept.holds) {
    const [, at, ...rest] = record.split('|')
    const calls = state.counters.calls.get(id)
    if ((at !== 'o' && at !== 't') || rest.length < 17) continue
    const counts = new Map<string, string>()
    for (const [, name = '', start = '', amount = ''] of (rest[7] ?? '').matchAll(/([^@,]+)@(\d+):(\d+):[^,]*/g)) {
      counts.set(`${fieldNamed(name, state)} ${start}`, amount)
    }
    const expected = new Map(calls?.map(({ field, start, amount }) => [`${field} ${start}`, String(amount)]))
    for (const name of new Set([...counts.keys(), ...expected.keys()])) {
      const at = name.lastIndexOf(' ')
      const slots = slotsOfCounter(kept.budgets?.get(`c:${name.slice(0, at)}`)?.split('|') ?? [])
      // Of a window that is gone a checkpoint says nothing any more.
      if (!slots.some((slot) => slot.startsWith(`${name.slice(at + 1)}:`))) continue
      same(`hold ${id}.counts of ${name}`, counts.get(name), expected.get(name))
    }
  }
}
