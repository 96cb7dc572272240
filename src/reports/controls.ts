/** Whether the controls of an account work: what its ledger and its refusals prove. Pure. */
import { readCounterField } from '../core/budgets.ts'
import { exactOf, exactOfAtoms } from '../core/decimal-sum.ts'
import type { Atoms } from '../core/money.ts'
import type { Grant, LedgerEntry, Refusal } from '../wallet/wallet-types.ts'
import type { ControlFigures } from './control-figures.ts'

/** How far overage of a key may go now; undefined: its mode has no limit, or is another. */
export type OverageLimit = (
  key: string,
  account: string,
) => Promise<{ readonly limitAtoms: Atoms } | 'unlimited' | 'other'>

interface OpenOverage {
  readonly name: string
  atoms: Atoms
}

/**
 * Takes every entry of one account's ledger from the first on, since what is owed follows from all of them, and counts
 * those of the span in each of `figures`.
 */
export class ControlsOfAccount {
  readonly #figures: readonly ControlFigures[]
  readonly #span: { readonly sinceMs: number; readonly untilMs: number }
  readonly #limitOf: OverageLimit
  readonly #grants: ReadonlyMap<string, Grant>
  /** By unit and account of what is owed. */
  readonly #owed = new Map<string, Atoms>()
  readonly #held = new Map<string, Atoms>()
  readonly #open = new Map<string, OpenOverage>()
  #judgements: Promise<void>[] = []
  /** Of open holds. */
  readonly #keys = new Map<string, string>()

  constructor(
    figures: readonly ControlFigures[],
    span: { readonly sinceMs: number; readonly untilMs: number },
    grants: readonly Grant[],
    limitOf: OverageLimit,
  ) {
    this.#figures = figures
    this.#span = span
    this.#limitOf = limitOf
    this.#grants = new Map(grants.map((grant) => [grant.id, grant]))
  }

  addRefusal({ status, rule, needed, available, atMs }: Refusal): void {
    if (!this.#isIn(atMs)) return
    const name = rule === '' ? status : `${status} ${ruleName(rule)}`
    for (const figures of this.#figures) {
      figures.refused(name)
      if (MONEY_REFUSALS.includes(status) && needed <= available) figures.unprovenRefusals += 1
    }
  }

  add(entry: LedgerEntry): void {
    this.#owe(entry)
    if (entry.type === 'hold' || entry.type === 'checkpoint') this.#pin(entry)
    if (ENDS.includes(entry.type)) this.#release(entry.op)
    if (!this.#isIn(entry.atMs)) return
    for (const figures of this.#figures) this.#count(figures, entry)
  }

  #isIn(atMs: number): boolean {
    return atMs >= this.#span.sinceMs && atMs < this.#span.untilMs
  }

  #owe({ legs, unit }: LedgerEntry): void {
    for (const { account, atoms } of legs)
      if (/^(debt|overflow:|flagged|postpaid)/.test(account)) move(this.#owed, `${unit} ${account}`, -atoms)
  }

  /** Right after a hold was accepted what is owed and what open holds may come to owe is within the limit. */
  #pin(entry: LedgerEntry): void {
    const { over, slices = [], key } = entry.fields as HoldFields
    if (entry.type === 'hold') this.#keys.set(entry.op, key ?? '')
    if (this.#isIn(entry.atMs)) this.#checkTimes(entry, slices)
    if (over === undefined) return
    const name = `${entry.unit} ${over.account}`
    const atoms = exactOf(over.amount) / 10n ** BigInt(24 - entry.scale)
    const open = this.#open.get(entry.op) ?? { name, atoms: 0n }
    open.atoms += atoms
    this.#open.set(entry.op, open)
    move(this.#held, name, atoms)
    if (!this.#isIn(entry.atMs)) return
    const used = (this.#owed.get(name) ?? 0n) + (this.#held.get(name) ?? 0n)
    this.#judgements.push(this.#judge(this.#keys.get(entry.op) ?? '', over.account, used))
  }

  async #judge(key: string, account: string, used: Atoms): Promise<void> {
    const limit = await this.#limitOf(key, account)
    for (const figures of this.#figures) {
      figures.overageHolds += 1
      if (limit === 'other') figures.overageOfOtherPolicy += 1
      else if (limit !== 'unlimited' && used > limit.limitAtoms) figures.overageBeyond += 1
    }
  }

  /** What was added is counted when it resolves: between pages, so that what waits is bounded. */
  async judged(): Promise<void> {
    await Promise.all(this.#judgements)
    this.#judgements = []
  }

  #checkTimes({ atMs }: LedgerEntry, slices: readonly { readonly grant: string }[]): void {
    for (const { grant: id } of slices) {
      const grant = this.#grants.get(id)
      const isInTime =
        grant && grant.effectiveAtMs <= atMs && (grant.expiresAtMs === undefined || atMs < grant.expiresAtMs)
      if (grant && !isInTime) for (const figures of this.#figures) figures.drawnOutside += 1
    }
  }

  #release(op: string): void {
    this.#keys.delete(op)
    const open = this.#open.get(op)
    if (!open) return
    move(this.#held, open.name, -open.atoms)
    this.#open.delete(op)
  }

  #count(figures: ControlFigures, entry: LedgerEntry): void {
    const { type, unit, scale, legs } = entry
    if (type === 'timeout') figures.timeouts += 1
    if (type === 'late_settle') figures.lateSettles += 1
    if (type === 'unmatched' && entry.fields['final'] !== undefined) figures.unmatched += 1
    for (const { account, atoms } of legs)
      if (account === 'expired' && atoms > 0n) figures.expired.add(unit, exactOfAtoms(atoms, scale))
    if (CHARGES.includes(type)) countCharge(figures, entry)
  }
}

interface HoldFields {
  readonly key?: string
  readonly over?: { readonly account: string; readonly amount: string }
  readonly slices?: readonly { readonly grant: string }[]
}

interface ChargeFields {
  readonly charged?: string
  readonly hold?: string
  readonly overrun?: string
  readonly trimmed?: number
  readonly cut?: boolean
  readonly usage_source?: string
  readonly overage?: { readonly mode: string; readonly amount: string } | null
}

const ENDS = ['settle', 'void', 'timeout']
const CHARGES = ['settle', 'timeout', 'late_settle']
const MONEY_REFUSALS = ['insufficient_funds', 'budget_exceeded', 'held_by_open_calls']

/** A budget by its name, of the counter that refused. */
function ruleName(rule: string): string {
  return rule.includes('~') ? readCounterField(rule).name : rule
}

function countCharge(figures: ControlFigures, { type, unit, fields }: LedgerEntry): void {
  const { charged = '0', hold, overrun, trimmed, cut, usage_source, overage } = fields as ChargeFields
  if (type !== 'late_settle') figures.calls += 1
  if (usage_source === 'estimate') figures.estimates += 1
  if (cut === true) figures.cut += 1
  if (trimmed !== undefined) figures.trimmed += 1
  if (overage) figures.charged(overage.mode, unit, exactOf(overage.amount))
  if (overrun !== undefined) {
    figures.overruns += 1
    figures.overrun.add(unit, exactOf(overrun))
  }
  if (type !== 'settle' || hold === undefined) return
  const [held, final] = [Number(hold), Number(charged)]
  figures.ratios.add(held / final)
  if (exactOf(charged) > exactOf(hold)) figures.beyondHold += 1
}

function move(amounts: Map<string, Atoms>, name: string, atoms: Atoms): void {
  const sum = (amounts.get(name) ?? 0n) + atoms
  if (sum === 0n) amounts.delete(name)
  else amounts.set(name, sum)
}
