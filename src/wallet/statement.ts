/** A statement of an account: what it began with, each way in and out, and what it ends with. It adds up. */
import type { Atoms } from '../core/money.ts'

/** What the statement reads of a ledger entry. */
export interface StatementEntry {
  readonly seq: number
  readonly atMs: number
  readonly unit: string
  /** Pairs: out of the first, into the second. */
  readonly legs: readonly { readonly account: string; readonly atoms: Atoms }[]
}

/** `credit`: what is left of all grants, free and held. `owed`: debt, overflow, flagged and postpaid spend together. */
export interface Position {
  readonly credit: Atoms
  readonly owed: Atoms
}

/** What a line does to credit and to what is owed. */
export const LINE_EFFECTS = {
  granted: [1, 0],
  adjusted: [1, 0],
  refunded: [1, 0],
  drawn: [-1, 0],
  expired: [-1, 0],
  voided: [-1, 0],
  /** New money that repaid what was owed. */
  repaid: [-1, -1],
  /** Spent of a grant that was clawed back: owed again. */
  clawed_back: [1, 1],
  overage: [0, 1],
  overage_refunded: [0, -1],
  written_off: [0, -1],
} as const satisfies Readonly<Record<string, readonly [credit: number, owed: number]>>
export type StatementLine = keyof typeof LINE_EFFECTS
export const STATEMENT_LINES = Object.keys(LINE_EFFECTS) as readonly StatementLine[]

/** opening + lines = closing, of credit and of what is owed; every amount is zero or more, but for `adjusted`. */
export interface Statement {
  readonly unit: string
  readonly opening: Position
  readonly lines: Readonly<Record<StatementLine, Atoms>>
  readonly closing: Position
}

type Kind = 'grant' | 'owed' | 'fund' | 'adjust' | 'consumed' | 'lost'
const MOVES: Readonly<Record<string, StatementLine | 'none'>> = {
  'fund>grant': 'granted',
  'adjust>grant': 'adjusted',
  'consumed>grant': 'refunded',
  'grant>consumed': 'drawn',
  'grant>owed': 'repaid',
  'owed>grant': 'clawed_back',
  'owed>consumed': 'overage',
  'consumed>owed': 'overage_refunded',
  'adjust>owed': 'written_off',
  // From one account of what is owed to another; and what comes back as a fresh grant, which is granted.
  'owed>owed': 'none',
  'consumed>fund': 'none',
}

function kindOf(account: string): Kind {
  if (account.startsWith('grant:')) return 'grant'
  if (account.startsWith('fund:')) return 'fund'
  if (account === 'adjust' || account === 'consumed') return account
  return account === 'expired' || account === 'voided' ? 'lost' : 'owed'
}

interface Open {
  readonly unit: string
  opening: Position
  readonly lines: Record<StatementLine, Atoms>
}

export class StatementBuilder {
  readonly #sinceMs: number
  readonly #untilMs: number
  readonly #units = new Map<string, Open>()
  #nextSeq = 1

  /** `sinceMs` inclusive, `untilMs` exclusive. */
  constructor(sinceMs: number, untilMs: number) {
    this.#sinceMs = sinceMs
    this.#untilMs = untilMs
  }

  /**
   * All entries of one account, from the first one on. Throws where one is missing, or moves money in a way that no line
   * stands for. An entry counts when it is dated, which for an expiry is before it was written.
   */
  add(entry: StatementEntry): void {
    if (entry.seq !== this.#nextSeq) throw new Error(`ledger: entry ${this.#nextSeq} is missing before ${entry.seq}`)
    this.#nextSeq++
    if (entry.atMs >= this.#untilMs) return
    for (let i = 0; i + 1 < entry.legs.length; i += 2) {
      const [from, to] = [entry.legs[i], entry.legs[i + 1]]
      if (!from || !to || from.atoms + to.atoms !== 0n) throw new Error(`ledger: legs of ${entry.seq} do not balance`)
      this.#move(entry, from.account, to.account, to.atoms)
    }
  }

  #move(entry: StatementEntry, from: string, to: string, atoms: Atoms): void {
    const [source, target] = [kindOf(from), kindOf(to)]
    const line = source === 'grant' && target === 'lost' ? (to as 'expired' | 'voided') : MOVES[`${source}>${target}`]
    if (line === undefined)
      throw new Error(`ledger: ${entry.seq} moves from ${from} to ${to}, which no statement shows`)
    const open = this.#unit(entry.unit)
    if (line === 'none') return
    if (entry.atMs >= this.#sinceMs) open.lines[line] += atoms
    else open.opening = moved(open.opening, line, atoms)
  }

  #unit(unit: string): Open {
    const before = this.#units.get(unit)
    if (before) return before
    const lines = Object.fromEntries(STATEMENT_LINES.map((line) => [line, 0n])) as Record<StatementLine, Atoms>
    const open = { unit, opening: { credit: 0n, owed: 0n }, lines }
    this.#units.set(unit, open)
    return open
  }

  /** Sorted by unit. */
  build(): readonly Statement[] {
    return [...this.#units.values()]
      .sort((a, b) => (a.unit < b.unit ? -1 : 1))
      .map(({ unit, opening, lines }) => ({
        unit,
        opening,
        lines,
        closing: STATEMENT_LINES.reduce((position, line) => moved(position, line, lines[line]), opening),
      }))
  }
}

function moved({ credit, owed }: Position, line: StatementLine, atoms: Atoms): Position {
  const [toCredit, toOwed] = LINE_EFFECTS[line]
  return { credit: credit + BigInt(toCredit) * atoms, owed: owed + BigInt(toOwed) * atoms }
}
