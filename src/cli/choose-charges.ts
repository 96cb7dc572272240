/** The charges of an account that were made in a time and fit, with what is left of each to give back. */
import type { z } from 'zod'
import type { ledgerAnswer } from '../admin/schemas.ts'
import { exactOf, exactText } from '../core/decimal-sum.ts'
import { type AdminClient, part } from './admin-client.ts'
import type { TimeRange } from './time-range.ts'

type EntryJson = z.infer<typeof ledgerAnswer>

export interface ChosenCharge {
  readonly charge: string
  readonly at: string
  /** What is left of it. */
  readonly amount: string
  readonly unit: string
  readonly model: string
}

interface Open {
  readonly entry: EntryJson
  readonly model: string
  left: bigint
}

const CHARGES = ['settle', 'late_settle', 'timeout']
const ENDS = ['settle', 'void', 'timeout']

/** Reads the ledger to its end: refunds stand behind what they give back. */
export async function chooseCharges(
  admin: AdminClient,
  account: string,
  wanted: Readonly<Record<string, string>>,
  range: TimeRange,
): Promise<readonly ChosenCharge[]> {
  const chosen = new Chosen(wanted, range)
  for await (const page of admin.pages<EntryJson>(`accounts/${part(account)}/ledger`))
    for (const entry of page) chosen.add(entry)
  return chosen.left(account)
}

class Chosen {
  readonly #wanted: Readonly<Record<string, string>>
  readonly #range: TimeRange
  readonly #charges = new Map<number, Open>()
  /** Holds that are open: a timeout says of its call what its hold said. */
  readonly #holds = new Map<string, EntryJson>()
  readonly #timeouts = new Map<string, number>()

  constructor(wanted: Readonly<Record<string, string>>, range: TimeRange) {
    this.#wanted = wanted
    this.#range = range
  }

  add(entry: EntryJson): void {
    if (entry.type === 'hold') this.#holds.set(entry.op, entry)
    if (entry.type === 'refund') this.#refunded(Number(entry['charge']), exactOf(String(entry['amount'] ?? '0')))
    if (CHARGES.includes(entry.type)) this.#consider(entry)
    if (ENDS.includes(entry.type)) this.#holds.delete(entry.op)
  }

  #consider(entry: EntryJson): void {
    const { type, op, seq } = entry
    const charged = exactOf(String(entry['charged'] ?? '0'))
    // What a late settlement gave back is no more to be given back of the timeout.
    const timeout = type === 'late_settle' ? this.#timeouts.get(op) : undefined
    if (timeout !== undefined && charged < 0n) this.#refunded(timeout, -charged)
    const atMs = Date.parse(entry.at)
    const facts = type === 'timeout' ? (this.#holds.get(op) ?? entry) : entry
    const { sinceMs, untilMs } = this.#range
    if (charged <= 0n || atMs < sinceMs || atMs >= untilMs || !fits(facts, this.#wanted)) return
    this.#charges.set(seq, { entry, model: String(facts['model'] ?? ''), left: charged })
    if (type === 'timeout') this.#timeouts.set(op, seq)
  }

  #refunded(seq: number, parts: bigint): void {
    const charge = this.#charges.get(seq)
    if (charge) charge.left -= parts
  }

  left(account: string): readonly ChosenCharge[] {
    return [...this.#charges.values()]
      .filter(({ left }) => left > 0n)
      .map(({ entry, model, left }) => ({
        charge: `${account}:${entry.seq}`,
        at: entry.at,
        amount: exactText(left),
        unit: entry.legs[0]?.unit ?? '',
        model,
      }))
  }
}

function fits(entry: EntryJson, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => {
    if (name === 'account') return true
    const labels = (entry['labels'] ?? {}) as Readonly<Record<string, string>>
    const has = name.startsWith('label.') ? labels[name.slice('label.'.length)] : entry[name]
    return String(has ?? '') === value
  })
}
