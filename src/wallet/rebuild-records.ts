/**
 * Records of grants, holds and counters as the ledger says them. What the ledger does not say of one (terms of a payment,
 * policy of a hold, life of a counter) is taken from the record that is there; where there is none, or none that can be
 * read, it stays as it is, and the comparison afterwards says so. Pure.
 */
import { COUNTER, fieldNamed, mayLeave, olderSums } from './compare-budgets.ts'
import { FACTS, memberOf } from './compare-grants.ts'
import { stateOfGrant } from './compare-wallets.ts'
import { encodeFilter } from './encode.ts'
import type { Hash, KeptState } from './kept-state.ts'
import { slotsOfCounter } from './packed.ts'
import type { MutableGrant, MutableHold, ReplayState } from './replay.ts'
import type { ReplayedCounter } from './replay-counters.ts'

/** Parts of a record of this version, whatever has become of single ones. */
function partsOf(record: string | undefined, count: number): readonly string[] | undefined {
  const parts = record?.split('|') ?? []
  return parts.length === count && parts[0] === '1' ? parts : undefined
}

export function rebuiltGrants(kept: KeptState, state: ReplayState, nowMs: number): Map<string, string> {
  const grants = new Map<string, string>()
  for (const [id, grant] of state.grants) {
    const record = kept.grants.get(id)
    const rebuilt = grantRecord(partsOf(record, 17), grant, nowMs) ?? record
    if (rebuilt !== undefined) grants.set(id, rebuilt)
    const facts = factsOf(grant) ?? kept.grants.get(`i:${id}`)
    if (facts !== undefined) grants.set(`i:${id}`, keepIfSame(kept.grants.get(`i:${id}`), facts))
  }
  return grants
}

function grantRecord(parts: readonly string[] | undefined, grant: MutableGrant, nowMs: number): string | undefined {
  if (!parts) return undefined
  const amounts = [grant.free, grant.held, grant.consumed]
  const ended = [grant.expired, grant.voided, grant.voidedAtMs ?? '']
  const times = [grant.createdAtMs ?? parts[9], grant.effectiveAtMs, grant.expiresAtMs ?? '']
  const repays = grant.facts.repaysDebt === true ? 1 : 0
  const scope = grant.scoped ? 's' : 'g'
  const filter = encodeFilter(grant.facts.appliesTo)
  const named = [repays, parts[13], grant.unit, memberOf(grant), filter]
  return ['1', ...amounts, stateOfGrant(grant, nowMs), scope, ...ended, ...times, ...named].join('|')
}

/** Of a grant made by hand its entry has them; of what the wallet made by itself no entry does. */
function factsOf({ facts }: MutableGrant): string | undefined {
  if (facts.priority === undefined) return undefined
  return JSON.stringify(
    Object.fromEntries(FACTS.flatMap((name) => (facts[name] === undefined ? [] : [[name, facts[name]]]))),
  )
}

/** Text that says the same is left as it was written. */
function keepIfSame(before: string | undefined, facts: string): string {
  try {
    const parsed = JSON.parse(before ?? '') as Readonly<Record<string, unknown>>
    const said = JSON.parse(facts) as Readonly<Record<string, unknown>>
    const same = FACTS.every((name) => JSON.stringify(parsed[name]) === JSON.stringify(said[name]))
    if (before !== undefined && same) return before
  } catch {
    // Rewritten.
  }
  return facts
}

/** What no entry made is gone; what is not there cannot be made. */
export function rebuiltHolds(kept: KeptState, state: ReplayState): Map<string, string> {
  const holds = new Map<string, string>()
  for (const [id, record] of kept.holds) {
    const hold = state.holds.get(id) ?? state.ended.get(id)
    if (hold === undefined) continue
    const parts = partsOf(record, 19)
    holds.set(id, parts ? holdRecord(parts, hold, id, state) : record)
  }
  return holds
}

function holdRecord(parts: readonly string[], hold: MutableHold, id: string, state: ReplayState): string {
  const [, , , overBase, over, , fingerprint, policy, slices, budgets = '', floor, , onTimeout, , ...rest] = parts
  const [deadline, price, checkpoint, ended, facts] = rest
  // What a late settle left of it is the answer to its retries.
  const drawn =
    hold.state === 'l' ? [over, slices] : [hold.over, hold.slices.map((s) => `${s.grant}:${s.atoms}`).join(',')]
  return [
    ...['1', hold.state, hold.unit, overBase, drawn[0], hold.seq, fingerprint, policy, drawn[1]],
    ...[hold.state === 'l' ? budgets : countsText(budgets, id, state), floor, hold.known, onTimeout],
    ...[hold.createdAtMs, deadline, price, checkpoint, ended, facts],
  ].join('|')
}

/** NAME@start:amount:…,…: the amounts as the ledger has them. */
function countsText(budgets: string, id: string, state: ReplayState): string {
  const counts = state.counters.calls.get(id)
  return budgets.replaceAll(/([^@,]+)@(\d+):(\d+):/g, (text, name: string, start: string) => {
    const field = fieldNamed(name, state)
    const count = counts?.find((candidate) => candidate.field === field && String(candidate.start) === start)
    return count === undefined ? text : `${name}@${start}:${count.amount}:`
  })
}

/** undefined: more counters than one read brings. */
export function rebuiltBudgets(kept: KeptState, state: ReplayState, nowMs: number): Map<string, string> | undefined {
  if (kept.budgets === undefined) return undefined
  const latest = new Map<string, ReplayedCounter>()
  for (const counter of state.counters.counters.values()) latest.set(counter.field, counter)
  const budgets = new Map<string, string>()
  const groups = new Map<string, number>()
  for (const [name, record] of kept.budgets) {
    if (!name.startsWith('c:')) continue
    const counter = latest.get(name.slice(2))
    if (counter === undefined || counter.closed) continue
    const parts = COUNTER.exec(record)
    const group = groupOf(parts?.[10] ?? '', counter.field, kept.budgets)
    budgets.set(name, parts ? counterRecord(parts, group, counter, nowMs) : record)
    budgets.set(`i:${counter.id}`, counter.field)
    const told = state.told.get(`e:${counter.id}`)
    if (told !== undefined) budgets.set(`e:${counter.id}`, told)
    if (group !== '') groups.set(group, (groups.get(group) ?? 0) + 1)
  }
  setGroups(budgets, kept.budgets, groups)
  for (const [name, ms] of state.told) if (name.startsWith('x:')) budgets.set(name, ms)
  const highest = [...state.counters.counters.keys()].reduce((most, id) => Math.max(most, Number(id)), 0)
  if (highest > 0) budgets.set('next', String(highest))
  return budgets
}

/** A group that nothing counts is not one of ours: that of a counter with values is its name without them. */
function groupOf(group: string, field: string, kept: Hash): string {
  if (group === '' || kept.has(`v:${group}`)) return group
  const [name, measure, window, ...values] = field.split('~')
  return values.join('~') === '' ? '' : `${name}~${measure}~${window}`
}

/** A group without counters keeps its zero, if it has one. */
function setGroups(budgets: Map<string, string>, kept: Hash, groups: ReadonlyMap<string, number>): void {
  for (const name of kept.keys()) if (name.startsWith('v:')) budgets.set(name, String(groups.get(name.slice(2)) ?? 0))
  for (const [group, size] of groups) budgets.set(`v:${group}`, String(size))
}

function counterRecord(parts: RegExpExecArray, group: string, counter: ReplayedCounter, nowMs: number): string {
  const [, touched, , , , , , , , life, , rolling = ''] = parts
  const slots = new Map<number, string>()
  for (const part of slotsOfCounter(['1', ...parts.slice(1)])) {
    const [start = '', spent = '', , ends = ''] = part.split(':')
    const slot = counter.slots.get(Number(start))
    if (slot) slots.set(Number(start), `${start}:${counter.uncertain ? spent : slot.spent}:${slot.held}:${ends}`)
  }
  for (const [start, slot] of counter.slots) {
    // When a window of the calendar ends is not in the ledger.
    const hasNoEnd = /~(?:lifetime|rolling\d+)~/.test(counter.field)
    if (slots.has(start) || !hasNoEnd || mayLeave(counter.field, start, slot, nowMs)) continue
    slots.set(start, `${start}:${slot.spent}:${slot.held}:`)
  }
  const inOrder = [...slots].sort(([a], [b]) => a - b).map(([, slot]) => slot)
  const [newestStart = '', newestSpent = '0', newestHeld = '0', ends = ''] = inOrder.at(-1)?.split(':') ?? []
  const older = inOrder.slice(0, -1)
  const { until, spent, held } = olderSums(Number(touched), rolling, older)
  const head = [touched, newestSpent, newestHeld, newestStart, until, spent, held]
  return ['1', ...head, counter.id, life, group, rolling, ends, older.join(',')].join('|')
}
