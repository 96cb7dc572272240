/**
 * A replay as text, so that the next one begins there: snapshot(S) and the entries after S give the state at N, byte for
 * byte as the entries from the first on do. Members, maps and sets stand in the order in which the ledger filled them, members
 * without a value too: what is read from the text goes on as what it was written from.
 */
import type { KeptState } from './kept-state.ts'
import { slotsOfCounter } from './packed.ts'
import { createReplay, type Replay, type ReplayState } from './replay.ts'
import { replayCounters } from './replay-counters.ts'

/** Another one where a member of the state is added or means something else. */
const VERSION = 1

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

export function writeReplay(state: ReplayState): string {
  const { counters, ...rest } = state
  const { counters: byId, calls } = counters
  return JSON.stringify({ version: VERSION, state: packed({ ...rest, counters: { byId, calls } }) })
}

/** undefined where the text is of another version of this program: the ledger is then replayed from its first entry. */
export function readReplay(text: string): Replay | undefined {
  const { version, state } = JSON.parse(text) as { readonly version: unknown; readonly state: Json }
  if (version !== VERSION || !hasMembersOf(state)) return undefined
  const read = unpacked(state) as Omit<ReplayState, 'counters'> & {
    readonly counters: Pick<ReplayState['counters'], 'calls'> & { readonly byId: ReplayState['counters']['counters'] }
  }
  const { byId, calls } = read.counters
  return createReplay({ ...read, counters: replayCounters(byId, calls) })
}

function hasMembersOf(state: Json): boolean {
  const names = (value: object): string => Object.keys(value).sort().join()
  return names(state as object) === names(createReplay().state)
}

/** What JSON has no form for is an object with one member, whose name begins with `$`; no name of ours does. */
function packed(value: unknown): Json {
  if (value === undefined) return { $undefined: true }
  if (typeof value === 'bigint') return { $n: String(value) }
  if (value instanceof Map) return { $map: [...value].map(([key, item]) => [packed(key), packed(item)]) }
  if (value instanceof Set) return { $set: [...value].map(packed) }
  if (Array.isArray(value)) return value.map(packed)
  if (typeof value !== 'object' || value === null) return value as Json
  const members = Object.entries(value).map(([name, member]) => [name, packed(member)] as const)
  return members.some(([name]) => name.startsWith('$')) ? { $object: members } : Object.fromEntries(members)
}

function unpacked(value: Json): unknown {
  if (Array.isArray(value)) return value.map(unpacked)
  if (typeof value !== 'object' || value === null) return value
  const { $n, $map, $set, $object, $undefined } = value as Record<string, Json>
  if ($undefined !== undefined) return undefined
  if ($n !== undefined) return BigInt($n as string)
  if ($map !== undefined) return new Map(unpacked($map) as [unknown, unknown][])
  if ($set !== undefined) return new Set(unpacked($set) as unknown[])
  const members = ($object ?? Object.entries(value)) as readonly (readonly [string, Json])[]
  return Object.fromEntries(members.map(([name, member]) => [name, unpacked(member)]))
}

/**
 * Takes out of a replay what Redis does not keep any more and never has again: holds whose late window is over, windows
 * and counters whose life is. Without it a snapshot would grow with the ledger. To be called where `kept` is what the
 * replay says.
 */
export function forgetEnded(state: ReplayState, kept: KeptState): void {
  for (const id of state.ended.keys()) if (!kept.holds.has(id)) state.ended.delete(id)
  const { counters, calls } = state.counters
  for (const id of calls.keys()) if (!kept.holds.has(id)) calls.delete(id)
  if (kept.budgets === undefined) return
  for (const name of state.told.keys()) if (!kept.budgets.has(name)) state.told.delete(name)
  const highest = [...counters.keys()].reduce((most, id) => Math.max(most, Number(id)), 0)
  for (const [id, { field, slots }] of counters) {
    const record = kept.budgets.get(`c:${field}`)
    const isKept = record !== undefined && kept.budgets.get(`i:${id}`) === field
    // The highest id says which is the next, whether or not its counter is still there.
    if (!isKept && Number(id) !== highest) counters.delete(id)
    const starts = new Set(isKept ? slotsOfCounter(record.split('|')).map((slot) => Number(slot.split(':')[0])) : [])
    for (const start of slots.keys()) if (!starts.has(start)) slots.delete(start)
  }
}
