/** The counters of budgets once more: plain lists of windows, summed anew at each question. */
import { formatAmount } from '../../src/core/money.ts'
import type { BudgetCount, BudgetCounter, HoldRequest, HoldTerms } from '../../src/wallet/wallet-types.ts'

const DAY_MS = 86_400_000
const MAX = 9_007_199_254_740_991n

interface Slot {
  readonly start: number
  readonly ends: number | undefined
  spent: bigint
  held: bigint
}
interface Counter {
  readonly id: number
  readonly field: string
  readonly window: BudgetCount['window']
  readonly lifeMs: number
  readonly group: string
  touchedMs: number
  dueMs: number | undefined
  slots: Slot[]
}
/** What an open hold counts; after its end amount is what was posted. */
export interface Kept {
  readonly budget: BudgetCount
  readonly start: number
  readonly floor: bigint
  amount: bigint
  known: bigint
}
interface Amounts {
  readonly fixed: bigint
  readonly each: bigint
  readonly floor: bigint
}
/** What a charge counted, as its ledger entry has it. */
export interface Counted {
  readonly id: number
  readonly field: string
  readonly measure: string
  readonly start: number
  readonly amount: bigint
}
/** A counter that came to be: its id and its field. */
export type Made = readonly [id: string, field: string]
/** As an entry says what was counted. */
export interface SaidCount {
  readonly id: string
  readonly start: number
  readonly amount: string
}
/** A lifetime counter that ended, as its entry says it. */
export interface Closed {
  readonly counter: Readonly<Record<string, string>>
  readonly spent: number
}
/** A budget with what stands in the call's window of it. */
export interface Bound extends Amounts {
  readonly budget: BudgetCount
  readonly start: number
  readonly ends: number | undefined
  readonly spent: bigint
  readonly held: bigint
  readonly room: bigint
}

/** An event about a budget, of a call in a unit. */
export type Told = (unit: string, scale: number) => { readonly event: string; readonly fields: Record<string, unknown> }

export class CounterModel {
  readonly #counters = new Map<string, Counter>()
  /** By field: until when, and under which limit, an excess is told already. By group: when it was told to be nearly full. */
  readonly #told = new Map<string, { readonly untilMs: number; readonly limit: bigint }>()
  readonly #crowded = new Map<string, number>()
  /** What the entries of the ledger say of budgets, in their order. */
  readonly said: {
    readonly made: Made[]
    readonly counted: SaidCount[]
    readonly exceeded: string[]
    readonly closed: Closed[]
  } = {
    made: [],
    counted: [],
    exceeded: [],
    closed: [],
  }
  #lastId = 0

  /** A copy to go back to. */
  clone(): CounterModel {
    const copy = new CounterModel()
    for (const [field, counter] of this.#counters) copy.#counters.set(field, structuredClone(counter))
    copy.#lastId = this.#lastId
    for (const [field, told] of this.#told) copy.#told.set(field, told)
    for (const [group, atMs] of this.#crowded) copy.#crowded.set(group, atMs)
    copy.said.made.push(...this.said.made)
    copy.said.counted.push(...this.said.counted)
    copy.said.exceeded.push(...this.said.exceeded)
    copy.said.closed.push(...this.said.closed)
    return copy
  }

  /** `atMs`: of a call without a hold, of which only the end is known. */
  bounds(request: HoldRequest | HoldTerms, nowMs: number, atMs?: number): readonly Bound[] {
    return (request.budgets ?? []).map((budget) => {
      const { start, ends } = windowAt(budget, atMs ?? nowMs)
      const slots = this.#counters.get(budget.field)?.slots.filter((slot) => inWindow(budget, slot, start, nowMs)) ?? []
      const spent = slots.reduce((sum, slot) => sum + slot.spent, 0n)
      const held = slots.reduce((sum, slot) => sum + slot.held, 0n)
      const room = budget.limit - spent - held
      return {
        budget,
        start,
        ends,
        spent,
        held,
        room: room > 0n ? room : 0n,
        ...amountsOf(atMs === undefined ? request : undefined, budget.measure),
      }
    })
  }

  /** The first that blocks and may have no further value. */
  overFull(bounds: readonly Bound[]): Bound | undefined {
    const size = (group: string): number => [...this.#counters.values()].filter((c) => c.group === group).length
    return bounds.find(
      ({ budget }) =>
        budget.action === 'block' &&
        budget.group !== '' &&
        !this.#counters.has(budget.field) &&
        size(budget.group) >= budget.valuesMax,
    )
  }

  resetsAtMs({ budget, ends, spent, held }: Bound, needed: bigint, nowMs: number): number | undefined {
    if (ends !== undefined) return ends
    const { window } = budget
    if (window.kind !== 'rolling') return undefined
    let missing = spent + held + needed - budget.limit
    for (const slot of this.#counters.get(budget.field)?.slots ?? []) {
      if (!inWindow(budget, slot, 0, nowMs)) continue
      missing -= slot.spent + slot.held
      if (missing <= 0n) return slot.start + window.partMs + window.lengthMs
    }
    return undefined
  }

  /** `finals`: of a call without a hold, spent at once. Answers what a hold keeps, and the counters beyond their limit. */
  count(
    bounds: readonly Bound[],
    tokens: number,
    nowMs: number,
    finals?: Readonly<Record<string, bigint>>,
  ): { readonly kept: Kept[]; readonly exceeded: string[]; readonly counted: Counted[]; readonly tells: Told[] } {
    const tells: Told[] = []
    const counted: Counted[] = []
    const kept: Kept[] = []
    const exceeded: string[] = []
    for (const { budget, start, ends, spent, held, fixed, each, floor, room } of bounds) {
      const { measure } = budget
      const amount = finals ? (finals[measure] ?? (measure === 'requests' ? 1n : 0n)) : fixed + each * BigInt(tokens)
      const before = this.#counters.get(budget.field)
      const counter = before ?? this.#create(budget, nowMs)
      if (!before) tells.push(...this.#tellCrowded(budget, nowMs))
      const slot = slotOf(counter, start, ends)
      if (finals || measure === 'requests') slot.spent = least(MAX, slot.spent + amount)
      else {
        slot.held += amount
        kept.push({ budget, start, floor, amount, known: 0n })
      }
      counted.push({ id: counter.id, field: budget.field, measure, start, amount })
      this.#say(counter, start, amount)
      if (budget.action === 'flag' && amount > room) {
        exceeded.push(decodeURIComponent(budget.field.slice(0, budget.field.indexOf('~'))))
        tells.push(...this.#tellExceeded({ budget, start, ends, spent, held }, amount, nowMs))
      }
      if (budget.window.kind === 'rolling')
        counter.slots = counter.slots.filter((other) => inWindow(budget, other, start, nowMs))
      else dropClosed(counter, nowMs)
      counter.touchedMs = nowMs
    }
    this.said.exceeded.push(...exceeded)
    return { kept, exceeded, counted, tells }
  }

  /** The budgets that refuse a call whatever open holds bring back, in which something was counted in this window. */
  refusedBy(bounds: readonly Bound[], tokens: number, nowMs: number): readonly Told[] {
    return bounds.flatMap((bound) => {
      const { budget, spent, held, fixed, each } = bound
      const needed = fixed + each * BigInt(tokens)
      const refuses = budget.action === 'block' && needed > 0n && spent + needed > budget.limit && spent + held > 0n
      return refuses && this.#counters.has(budget.field) ? this.#tellExceeded(bound, needed, nowMs) : []
    })
  }

  #tellExceeded(
    { budget, start, ends, spent, held }: Pick<Bound, 'budget' | 'start' | 'ends' | 'spent' | 'held'>,
    needed: bigint,
    nowMs: number,
  ): readonly Told[] {
    const { field, limit, window, measure } = budget
    if ((measure === 'tokens' || measure === 'requests') && isShort(window, (ends ?? 0) - start)) return []
    const told = this.#told.get(field)
    if (told && nowMs < told.untilMs && told.limit === limit) return []
    const untilMs = ends ?? (window.kind === 'rolling' ? nowMs + window.lengthMs : Number.POSITIVE_INFINITY)
    this.#told.set(field, { untilMs, limit })
    return [
      (unit, scale) => {
        const shown = (amount: bigint): string => (measure === unit ? formatAmount(amount, scale) : String(amount))
        const [name, , windowName, ...values] = field.split('~')
        return {
          event: 'budget.exceeded',
          fields: {
            budget: name,
            measure,
            window: windowName,
            values: values.length === 2 ? { [String(values[0])]: values[1] } : {},
            action: budget.action,
            limit: shown(limit),
            spent: shown(least(MAX, spent)),
            held: shown(least(MAX, held)),
            needed: shown(needed),
            window_start: start,
            resets_at: untilMs === Number.POSITIVE_INFINITY ? null : untilMs,
            counter_id: String(this.#counters.get(field)?.id),
          },
        }
      },
    ]
  }

  #tellCrowded({ name, measure, group, valuesMax }: BudgetCount, nowMs: number): readonly Told[] {
    const count = [...this.#counters.values()].filter((counter) => counter.group === group).length
    const last = this.#crowded.get(group)
    if (group === '' || count * 5 < valuesMax * 4 || (last !== undefined && nowMs - last < DAY_MS)) return []
    this.#crowded.set(group, nowMs)
    return [() => ({ event: 'budget.values', fields: { budget: name, measure, count, max_values: valuesMax, group } })]
  }

  /** Money alone; of another unit by its share. */
  giveBack(counted: readonly Counted[], unit: string, atoms: bigint, total: bigint, nowMs: number): void {
    for (const { id, field, measure, start, amount } of counted) {
      const counter = this.#counters.get(field)
      const slot = counter?.slots.find((candidate) => candidate.start === start)
      if (['tokens', 'requests', 'concurrent'].includes(measure) || counter?.id !== id || !slot) continue
      const share = Math.floor(Number(amount) * (Number(atoms) / Number(total)))
      const part = measure === unit ? atoms : BigInt(share)
      slot.spent = slot.spent > part ? slot.spent - part : 0n
      counter.touchedMs = nowMs
    }
  }

  /** Answers what was counted: nothing of a window that is gone. */
  finish(kept: readonly Kept[], finalOf: (item: Kept) => bigint, late: boolean, nowMs: number): readonly Counted[] {
    const counted: Counted[] = []
    for (const item of kept) {
      const counter = this.#counters.get(item.budget.field)
      const slot = counter?.slots.find((candidate) => candidate.start === item.start)
      const final = finalOf(item)
      if (counter && slot) {
        if (!late) slot.held -= item.amount
        slot.spent = least(MAX, slot.spent + final - (late ? item.amount : 0n))
        if (slot.spent < 0n) slot.spent = 0n
        dropClosed(counter, nowMs)
        counter.touchedMs = nowMs
        const { field, measure } = item.budget
        counted.push({ id: counter.id, field, measure, start: item.start, amount: final })
        this.#say(counter, item.start, final)
        item.amount = final
      }
    }
    return counted
  }

  /** Tokens that the budgets of an open hold allow more, the tightest, and whether open holds alone are in its way. */
  roomToExtend(
    kept: readonly Kept[],
    eachOf: Readonly<Record<string, bigint>>,
    { wantTokens, leastTokens }: { readonly wantTokens: number; readonly leastTokens: number },
    nowMs: number,
  ) {
    let tokens = wantTokens
    let tightest: Kept | undefined
    let onlyHeld = false
    for (const item of kept) {
      const { budget } = item
      const each = eachOf[budget.measure] ?? 0n
      const counter = this.#counters.get(budget.field)
      if (budget.action === 'flag' || !counter || each === 0n) continue
      const slots = counter.slots.filter((slot) => inWindow(budget, slot, item.start, nowMs))
      const own = slots.some((slot) => slot.start === item.start) ? item.amount : 0n
      if (budget.window.kind === 'rolling' && own === 0n) continue
      const spent = slots.reduce((sum, slot) => sum + slot.spent, 0n)
      const held = slots.reduce((sum, slot) => sum + slot.held, 0n)
      const room = budget.limit - spent - held
      const fits = Number((room > 0n ? room : 0n) / each)
      if (fits >= tokens) continue
      tokens = fits
      tightest = item
      onlyHeld = spent + own + each * BigInt(leastTokens) <= budget.limit
    }
    return { tokens, tightest, onlyHeld }
  }

  inRange(kept: readonly Kept[], eachOf: Readonly<Record<string, bigint>>, tokens: number): boolean {
    return kept.every(({ budget, amount, start }) => {
      const more = (eachOf[budget.measure] ?? 0n) * BigInt(tokens)
      const slot = this.#counters.get(budget.field)?.slots.find((candidate) => candidate.start === start)
      return more === 0n || (amount + more <= MAX && (slot?.spent ?? 0n) + (slot?.held ?? 0n) + more <= MAX)
    })
  }

  extend(
    kept: readonly Kept[],
    eachOf: Readonly<Record<string, bigint>>,
    tokens: number,
    knownOf: Readonly<Record<string, bigint>>,
    nowMs: number,
  ): void {
    for (const item of kept) {
      const more = (eachOf[item.budget.measure] ?? 0n) * BigInt(tokens)
      const known = knownOf[item.budget.measure] ?? 0n
      if (known > item.known) item.known = known
      const counter = this.#counters.get(item.budget.field)
      const slot = counter?.slots.find((candidate) => candidate.start === item.start)
      if (!counter || !slot || more === 0n) continue
      item.amount += more
      slot.held += more
      counter.touchedMs = nowMs
      this.#say(counter, item.start, more)
    }
  }

  #say({ id }: Counter, start: number, amount: bigint): void {
    this.said.counted.push({ id: String(id), start, amount: String(amount) })
  }

  due(): readonly { readonly atMs: number; readonly tie: string; readonly field: string }[] {
    return [...this.#counters.values()].flatMap((counter) =>
      counter.dueMs === undefined ? [] : [{ atMs: counter.dueMs, tie: `b${counter.id}`, field: counter.field }],
    )
  }

  /** When each window, or part of a rolling one, ends, and when it is gone. */
  edges(): readonly number[] {
    return [...this.#counters.values()].flatMap(({ window, slots }) =>
      slots.flatMap(({ start, ends }) => {
        if (window.kind === 'rolling') return [start + window.partMs, start + window.partMs + window.lengthMs]
        return ends === undefined ? [] : [ends, ends + DAY_MS]
      }),
    )
  }

  /** Whether it is gone with an entry in the ledger. */
  retire(field: string, nowMs: number): boolean {
    const counter = this.#counters.get(field) as Counter
    const held = counter.slots.reduce((sum, slot) => sum + slot.held, 0n)
    if (held > 0n) counter.dueMs = nowMs + counter.lifeMs
    else if (counter.touchedMs + counter.lifeMs > nowMs) counter.dueMs = counter.touchedMs + counter.lifeMs
    else {
      this.#counters.delete(field)
      this.#told.delete(field)
      if (field.split('~')[2] !== 'lifetime') return false
      this.said.closed.push({ counter: { [counter.id]: field }, spent: Number(counter.slots[0]?.spent) })
      return true
    }
    return false
  }

  view(): readonly BudgetCounter[] {
    return [...this.#counters.values()]
      .map((counter) => ({
        field: counter.field,
        id: String(counter.id),
        touchedAtMs: counter.touchedMs,
        slots: counter.slots.map(({ start, ends, spent, held }) => ({ startAtMs: start, endsAtMs: ends, spent, held })),
      }))
      .sort((a, b) => Number(a.id) - Number(b.id))
  }

  #create(budget: BudgetCount, nowMs: number): Counter {
    const counter: Counter = {
      id: ++this.#lastId,
      field: budget.field,
      window: budget.window,
      lifeMs: budget.lifeMs,
      group: budget.group,
      touchedMs: nowMs,
      dueMs: budget.lifeMs > 0 ? nowMs + budget.lifeMs : undefined,
      slots: [],
    }
    this.#counters.set(budget.field, counter)
    this.said.made.push([String(counter.id), budget.field])
    return counter
  }
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)

function amountsOf(request: HoldRequest | HoldTerms | undefined, measure: string): Amounts {
  if (measure === 'requests' || measure === 'concurrent') return { fixed: 1n, each: 0n, floor: 0n }
  if (!request || !('fixedAtoms' in request)) return { fixed: 0n, each: 0n, floor: 0n }
  if (measure === request.unit)
    return { fixed: request.fixedAtoms, each: request.perTokenAtoms, floor: request.floorAtoms }
  const found = request.amounts?.find((amount) => amount.measure === measure)
  if (!found) throw new Error(`no amount of ${measure}`)
  return { fixed: found.fixed, each: found.perToken, floor: found.floor }
}

function windowAt({ window }: BudgetCount, atMs: number): { start: number; ends: number | undefined } {
  if (window.kind === 'rolling') return { start: atMs - (atMs % window.partMs), ends: undefined }
  if (window.kind === 'lifetime') return { start: 0, ends: undefined }
  const [b0, b1, b2, b3] = window.bounds
  if (atMs < b1) return { start: b0, ends: b1 }
  return atMs < b2 ? { start: b1, ends: b2 } : { start: b2, ends: b3 }
}

/** Shorter than a day, as a calendar counts days: one of 23 hours is a day. */
function isShort(window: BudgetCount['window'], calendarMs: number): boolean {
  if (window.kind === 'calendar') return calendarMs < DAY_MS / 2
  return window.kind === 'rolling' && window.lengthMs < DAY_MS
}

/** Of a rolling window the oldest part counts whole until all of it has left. */
function inWindow({ window }: BudgetCount, slot: Slot, start: number, nowMs: number): boolean {
  return window.kind === 'rolling' ? slot.start + window.partMs > nowMs - window.lengthMs : slot.start === start
}

function slotOf(counter: Counter, start: number, ends: number | undefined): Slot {
  const before = counter.slots.find((slot) => slot.start === start)
  if (before) return before
  const slot = { start, ends, spent: 0n, held: 0n }
  counter.slots = [...counter.slots, slot].sort((a, b) => a.start - b.start)
  return slot
}

/** The newest window stays. */
function dropClosed(counter: Counter, nowMs: number): void {
  const newest = counter.slots.at(-1)
  counter.slots = counter.slots.filter(
    (slot) => slot === newest || slot.ends === undefined || slot.held > 0n || slot.ends + DAY_MS > nowMs,
  )
}
