/** Rebuilds the counters of budgets from what the ledger says calls counted. Pure. */
import { isCounted } from '../core/budgets.ts'
import { ATOMS_MAX, parseAmount } from '../core/money.ts'
import type { LedgerEntry } from './wallet-types.ts'

interface Count {
  readonly id: string
  readonly start: number
  readonly amount: string
}

/** What an open or timed-out call counts: of FIELD in the window that begins at `start`. */
export interface CallCount {
  readonly field: string
  readonly start: number
  amount: bigint
}

export interface ReplayedSlot {
  spent: bigint
  held: bigint
}

export interface ReplayedCounter {
  readonly id: string
  readonly field: string
  readonly slots: Map<number, ReplayedSlot>
  /** A lifetime counter that left with an event. */
  closed: boolean
  /** A refund was applied whose charge is not known. */
  uncertain: boolean
}

export interface ReplayedCounters {
  /** By id, in order of their making: a value that comes back has a new one. */
  readonly counters: Map<string, ReplayedCounter>
  readonly calls: Map<string, CallCount[]>
  apply(entry: LedgerEntry, charge?: LedgerEntry): void
}

const ENDS = ['settle', 'void', 'timeout']

export function measureOf(field: string): string {
  return field.split('~')[1] ?? ''
}

/** What to go on with is changed. */
export function replayCounters(
  counters: Map<string, ReplayedCounter> = new Map(),
  calls: Map<string, CallCount[]> = new Map(),
): ReplayedCounters {
  const slotOf = ({ id, start }: Count, seq: number): { counter: ReplayedCounter; slot: ReplayedSlot } => {
    const counter = counters.get(id)
    if (!counter) throw new Error(`ledger: ${seq} counts in ${id}, which is not in it`)
    let slot = counter.slots.get(start)
    if (!slot) {
      slot = { spent: 0n, held: 0n }
      counter.slots.set(start, slot)
    }
    return { counter, slot }
  }

  function hold(entry: LedgerEntry, count: Count): void {
    const { counter, slot } = slotOf(count, entry.seq)
    const amount = BigInt(count.amount)
    // An attempt is spent at once, whatever becomes of it.
    if (measureOf(counter.field) === 'requests' && entry.type === 'hold') {
      slot.spent = atMost(slot.spent + amount)
      return
    }
    slot.held += amount
    const list = calls.get(entry.op) ?? []
    calls.set(entry.op, list)
    const before = list.find(({ field, start }) => field === counter.field && start === count.start)
    if (before) before.amount += amount
    else list.push({ field: counter.field, start: count.start, amount })
  }

  function end(entry: LedgerEntry, count: Count): void {
    const { counter, slot } = slotOf(count, entry.seq)
    const final = BigInt(count.amount)
    const item = calls.get(entry.op)?.find(({ field, start }) => field === counter.field && start === count.start)
    if (entry.type === 'late_settle') {
      const spent = slot.spent + final - (item?.amount ?? 0n)
      slot.spent = spent < 0n ? 0n : atMost(spent)
    } else {
      slot.held -= item?.amount ?? 0n
      slot.spent = atMost(slot.spent + final)
    }
    if (item) item.amount = final
  }

  function refund(entry: LedgerEntry, charge: LedgerEntry | undefined): void {
    if (!charge) {
      for (const counter of counters.values()) counter.uncertain ||= !isCounted(measureOf(counter.field))
      return
    }
    const amount = parseAmount(String(entry.fields['amount']), entry.scale)
    const total = charge.legs.reduce(
      (sum, leg) => (leg.account === 'consumed' && leg.atoms > 0n ? sum + leg.atoms : sum),
      0n,
    )
    for (const { id, start, amount: counted } of countsOf(charge)) {
      const counter = counters.get(id)
      const slot = counter?.slots.get(start)
      if (!counter || !slot) continue
      const measure = measureOf(counter.field)
      if (isCounted(measure)) continue
      // The scripts' own arithmetic, so that it comes to the same atom.
      const share = (): bigint => BigInt(Math.floor(Number(counted) * (Number(amount) / Number(total))))
      const spent = slot.spent - (measure === charge.unit ? amount : share())
      slot.spent = spent < 0n ? 0n : spent
    }
  }

  return {
    counters,
    calls,
    apply(entry, charge) {
      for (const [id, field] of Object.entries((entry.fields['counters'] ?? {}) as Record<string, string>)) {
        counters.set(id, { id, field, slots: new Map(), closed: false, uncertain: false })
      }
      for (const id of Object.keys((entry.fields['counter'] ?? {}) as object)) {
        const counter = counters.get(id)
        if (counter) counter.closed = true
      }
      const change = entry.type === 'hold' || entry.type === 'checkpoint' ? hold : end
      for (const count of countsOf(entry)) change(entry, count)
      if (entry.type === 'refund') refund(entry, charge)
      // A call that timed out may still say what it came to.
      if (entry.type !== 'timeout' && (ENDS.includes(entry.type) || entry.type === 'late_settle'))
        calls.delete(entry.op)
    },
  }
}

function countsOf(entry: LedgerEntry): readonly Count[] {
  return (entry.fields['budgets'] ?? []) as readonly Count[]
}

function atMost(value: bigint): bigint {
  return value > ATOMS_MAX ? ATOMS_MAX : value
}
