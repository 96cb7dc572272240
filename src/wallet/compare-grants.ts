/** Grants, their order of drawing, and open and timed-out holds, against the replay of the ledger. Pure. */
import { money, stateOfGrant } from './compare-wallets.ts'
import { type Differences, readRecord } from './differences.ts'
import { encodeFilter, encodeOrderHead } from './encode.ts'
import type { KeptState } from './kept-state.ts'
import type { GrantFacts } from './packed.ts'
import type { MutableGrant, MutableHold, ReplayState } from './replay.ts'
import type { GrantRequest } from './wallet-types.ts'

export const GRANT =
  /^1\|(\d+)\|(\d+)\|(\d+)\|([puxvc])\|([gs])\|(\d+)\|(\d+)\|(\d*)\|(\d+)\|(\d+)\|(\d*)\|([01])\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)$/
export const HOLD =
  /^1\|([otl])\|([^|]*)\|(\d+)\|(\d+)\|(\d+)\|([0-9a-f]*)\|([^|]*)\|([^|]*)\|([^|]*)\|(\d+)\|(\d+)\|([a-z]+)(?:,(\d+))?\|(\d+)\|(\d+)\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)$/
export const LATE_WINDOW_MS = 86_400_000
export const FACTS = ['key', 'scale', 'funding', 'priority', 'appliesTo', 'costBasis', 'repaysDebt', 'labels'] as const

export function compareGrants(differences: Differences, kept: KeptState, state: ReplayState, nowMs: number): void {
  const ids = [...kept.grants.keys()].filter((name) => !name.startsWith('i:'))
  const order = new Set<string>()
  for (const id of new Set([...ids, ...state.grants.keys()])) {
    const grant = state.grants.get(id)
    const record = kept.grants.get(id)
    if (grant === undefined || record === undefined) {
      differences.same(`grant ${id}`, record, grant && 'a grant')
      continue
    }
    const parts = readRecord(differences, `grant ${id}`, GRANT, record)
    if (parts) compareGrant(differences, parts, grant, state.wallets.get(grant.unit)?.scale ?? 0, nowMs)
    compareFacts(differences, kept.grants.get(`i:${id}`), grant)
    if (stateOfGrant(grant, nowMs) === 'u' && grant.free + grant.held > 0n) order.add(memberOf(grant))
  }
  const members = new Set(kept.order)
  for (const member of new Set([...members, ...order])) {
    const place = (there: boolean) => (there ? member : undefined)
    differences.same(`order of grant ${member.slice(-26)}`, place(members.has(member)), place(order.has(member)))
  }
}

function compareGrant(
  { same }: Differences,
  parts: readonly string[],
  grant: MutableGrant,
  scale: number,
  nowMs: number,
): void {
  const field = (name: string): string => `grant ${grant.id}.${name}`
  const amounts = [
    ['free', 0, grant.free],
    ['held', 1, grant.held],
    ['consumed', 2, grant.consumed],
    ['expired', 5, grant.expired],
    ['voided', 6, grant.voided],
  ] as const
  for (const [name, at, atoms] of amounts) same(field(name), money(parts[at], scale), money(atoms, scale))
  same(field('state'), parts[3], stateOfGrant(grant, nowMs))
  same(field('scope'), parts[4], grant.scoped ? 's' : 'g')
  same(field('voided_at'), parts[7], grant.voidedAtMs ?? '')
  if (grant.createdAtMs !== undefined) same(field('created_at'), parts[8], grant.createdAtMs)
  same(field('effective_at'), parts[9], grant.effectiveAtMs)
  same(field('expires_at'), parts[10], grant.expiresAtMs ?? '')
  same(field('repays'), parts[11], grant.facts.repaysDebt === true ? 1 : 0)
  same(field('unit'), parts[13], grant.unit)
  same(field('member'), parts[14], memberOf(grant))
  same(field('filter'), parts[15], encodeFilter(grant.facts.appliesTo))
}

/** Its place in the order of drawing. What the wallet makes by itself has priority 10. */
export function memberOf({ unit, seq, id, effectiveAtMs, expiresAtMs, funding, facts }: MutableGrant): string {
  const { priority = 10, appliesTo, costBasis } = facts
  const request = { priority, appliesTo, costBasis, expiresAtMs, funding: facts.funding ?? funding }
  const pad = (value: number): string => String(value).padStart(16, '0')
  return `${unit}:${encodeOrderHead(request as GrantRequest)}${pad(effectiveAtMs)}${pad(seq)}${id}`
}

/** JSON that no script reads: of a grant made by hand it is in its entry too. */
function compareFacts({ same, found }: Differences, text: string | undefined, { id, facts }: MutableGrant): void {
  const field = `grant ${id}.facts`
  if (text === undefined) {
    found.push({ field, kept: 'absent', ledger: 'JSON' })
    return
  }
  let kept: Partial<GrantFacts>
  try {
    kept = JSON.parse(text) as Partial<GrantFacts>
  } catch {
    found.push({ field, kept: text, ledger: 'JSON' })
    return
  }
  if (facts.priority === undefined) return
  for (const name of FACTS) same(`${field}.${name}`, JSON.stringify(kept[name]), JSON.stringify(facts[name]))
}

/** An open hold is in Redis and in the ledger. What timed out is in Redis until its late window is over. */
export function compareHolds(differences: Differences, kept: KeptState, state: ReplayState): void {
  for (const id of new Set([...kept.holds.keys(), ...state.holds.keys()])) {
    const hold = state.holds.get(id) ?? state.ended.get(id)
    const record = kept.holds.get(id)
    if (hold === undefined || record === undefined) {
      differences.same(`hold ${id}`, record, hold && 'an open hold')
      continue
    }
    const parts = readRecord(differences, `hold ${id}`, HOLD, record)
    if (parts) compareHold(differences, id, parts, hold, state)
  }
}

function compareHold(
  { same }: Differences,
  id: string,
  parts: readonly string[],
  hold: MutableHold,
  state: ReplayState,
): void {
  const scale = state.wallets.get(hold.unit)?.scale ?? 0
  const field = (name: string): string => `hold ${id}.${name}`
  same(field('state'), parts[0], hold.state)
  same(field('created_at'), parts[13], hold.createdAtMs)
  same(field('unit'), parts[1], hold.unit)
  same(field('known'), money(parts[10], scale), money(hold.known, scale))
  same(field('seq'), parts[4], hold.seq)
  // What a late settle left of it is the answer to its retries: nothing is counted from it.
  if (hold.state === 'l') return
  same(field('over'), money(parts[3], scale), money(hold.over, scale))
  same(field('slices'), parts[7], hold.slices.map(({ grant, atoms }) => `${grant}:${atoms}`).join(','))
}

/** When grants are told to expire, and a top-up is asked for again. */
export function eventsDue(state: ReplayState, nowMs: number): ReadonlyMap<string, number> {
  const due = new Map<string, number>()
  for (const grant of state.grants.values()) {
    const at = stateOfGrant(grant, nowMs)
    if ((at === 'p' || at === 'u') && grant.noticeAtMs !== undefined && grant.noticeAtMs > nowMs)
      due.set(`e${grant.id}`, grant.noticeAtMs)
  }
  for (const { unit, watch } of state.wallets.values()) {
    const nextMs = /^1 \S+ \S+ \d+ \S+ ([1-9]\d*):/.exec(watch ?? '')?.[1]
    if (nextMs !== undefined) due.set(`t${unit}`, Number(nextMs))
  }
  return due
}

/** What time will decide: each has its edge, and nothing else has one. */
export function compareDue(differences: Differences, kept: KeptState, state: ReplayState, nowMs: number): void {
  const expected = new Map<string, number>()
  for (const grant of state.grants.values()) {
    const at = stateOfGrant(grant, nowMs)
    const edge = at === 'p' && !grant.awaits ? grant.effectiveAtMs : grant.expiresAtMs
    if (at !== 'p' && at !== 'u') continue
    if (edge !== undefined) expected.set(`g${grant.id}`, edge)
  }
  for (const [id, record] of kept.holds) {
    const parts = HOLD.exec(record)
    if (!parts) continue
    const lateMs = Number(parts[13] ?? LATE_WINDOW_MS)
    expected.set(`h${id}`, Number(parts[15]) + (parts[1] === 'o' ? 0 : lateMs))
  }
  for (const [member, atMs] of eventsDue(state, nowMs)) expected.set(member, atMs)
  for (const member of new Set([...kept.due.keys(), ...expected.keys()])) {
    if (member.startsWith('b')) continue
    differences.same(`due ${member}`, kept.due.get(member), expected.get(member))
  }
}
