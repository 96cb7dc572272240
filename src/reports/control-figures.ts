/** What was counted of each control, and what to make of it. */
import { exactText } from '../core/decimal-sum.ts'
import { RatioCounts } from './ratio-counts.ts'

export type Verdict = 'ok' | 'look'

export interface Control {
  readonly control: string
  /** look: something that should not be, or that somebody has to decide on. */
  readonly verdict: Verdict
  readonly says: string
  readonly numbers: Readonly<Record<string, number | string | null | Readonly<Record<string, number | string>>>>
}

/** Amounts by unit, in parts of 10^-24. */
class Amounts {
  readonly #sums = new Map<string, bigint>()

  add(unit: string, parts: bigint): void {
    if (parts !== 0n) this.#sums.set(unit, (this.#sums.get(unit) ?? 0n) + parts)
  }

  get json(): Record<string, string> {
    return Object.fromEntries([...this.#sums].sort().map(([unit, parts]) => [unit, exactText(parts)]))
  }
}

/** Holds are tight where half of the calls use a fifth of what they held, and sound where one in a hundred goes beyond. */
const RATIO_MEDIAN_MAX = 5
const BEYOND_SHARE_MAX = 0.01
const ESTIMATE_SHARE_MAX = 0.01

export class ControlFigures {
  calls = 0
  readonly refusals = new Map<string, number>()
  /** Refused for less than was there: what no refusal may be. */
  unprovenRefusals = 0
  /** Older refusals than the list keeps may be missing. */
  refusalsCutShort = false
  trimmed = 0
  cut = 0
  readonly overage = new Map<string, Amounts>()
  /** Holds that were admitted with overage, and those of them beyond the floor or cap of the present policy. */
  overageHolds = 0
  overageBeyond = 0
  /** Of a policy that the account or key does not have any more. */
  overageOfOtherPolicy = 0
  readonly expired = new Amounts()
  /** Money taken of a grant outside its time. */
  drawnOutside = 0
  readonly ratios = new RatioCounts()
  beyondHold = 0
  readonly overrun = new Amounts()
  overruns = 0
  timeouts = 0
  lateSettles = 0
  unmatched = 0
  unmatchedWaiting = 0
  estimates = 0

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
  }

  charged(mode: string, unit: string, parts: bigint): void {
    const amounts = this.overage.get(mode) ?? new Amounts()
    amounts.add(unit, parts)
    this.overage.set(mode, amounts)
  }

  controls(): readonly Control[] {
    return [
      this.#refusals(),
      {
        control: 'trims',
        verdict: 'ok',
        says: 'calls whose limit was lowered to fit',
        numbers: { trimmed: this.trimmed },
      },
      { control: 'cuts', verdict: 'ok', says: 'streams cut because the money ended', numbers: { cut: this.cut } },
      this.#overage(),
      this.#expiry(),
      this.#holds(),
      this.#overruns(),
      this.#unreconciled(),
      this.#unmatched(),
      this.#estimates(),
    ]
  }

  #refusals(): Control {
    const counts = Object.fromEntries([...this.refusals].sort())
    const refused = [...this.refusals.values()].reduce((sum, count) => sum + count, 0)
    const proven = this.unprovenRefusals === 0
    const rest = this.refusalsCutShort
      ? '; the list keeps about the last 1,000 of an account, earlier ones are not in it'
      : ''
    return {
      control: 'refusals',
      verdict: proven ? 'ok' : 'look',
      says: (proven ? 'each needed more than there was' : 'some needed no more than there was') + rest,
      numbers: { refused, unproven: this.unprovenRefusals, by_rule: counts },
    }
  }

  #overage(): Control {
    const { overageHolds, overageBeyond, overageOfOtherPolicy } = this
    const modes = [...this.overage]
      .sort()
      .flatMap(([mode, amounts]) =>
        Object.entries(amounts.json).map(([unit, amount]) => [`${mode} ${unit}`, amount] as const),
      )
    return {
      control: 'overage',
      verdict: overageBeyond === 0 ? 'ok' : 'look',
      says:
        overageBeyond === 0
          ? 'no call was admitted beyond its floor or cap'
          : 'calls were admitted beyond the floor or cap of today; was it another then?',
      numbers: {
        admitted: overageHolds,
        beyond_policy: overageBeyond,
        other_policy: overageOfOtherPolicy,
        charged: Object.fromEntries(modes),
      },
    }
  }

  #expiry(): Control {
    const isKept = this.drawnOutside === 0
    return {
      control: 'expiry',
      verdict: isKept ? 'ok' : 'look',
      says: isKept ? 'no grant was drawn on outside its time' : 'grants were drawn on outside their time',
      numbers: { expired: this.expired.json, drawn_outside: this.drawnOutside },
    }
  }

  #holds(): Control {
    const quantile = (q: number): number | null => this.ratios.quantile(q) ?? null
    const [median, beyond] = [quantile(0.5), this.ratios.total === 0 ? 0 : this.beyondHold / this.ratios.total]
    const isLoose = median !== null && median > RATIO_MEDIAN_MAX
    const isShort = beyond > BEYOND_SHARE_MAX
    return {
      control: 'hold_accuracy',
      verdict: isLoose || isShort ? 'look' : 'ok',
      says: isShort
        ? 'more than one call in a hundred came to more than was held'
        : isLoose
          ? `half of the calls use less than a fifth of what they hold: open calls block others`
          : 'held over charged',
      numbers: {
        p10: quantile(0.1),
        p50: median,
        p90: quantile(0.9),
        p99: quantile(0.99),
        beyond_hold: this.beyondHold,
      },
    }
  }

  #overruns(): Control {
    const says = this.overruns === 0 ? 'nothing became debt beyond its limit' : 'became debt beyond any limit'
    const numbers = { calls: this.overruns, amount: this.overrun.json }
    return { control: 'overruns', verdict: this.overruns === 0 ? 'ok' : 'look', says, numbers }
  }

  #unreconciled(): Control {
    const { timeouts, lateSettles } = this
    const isDone = timeouts <= lateSettles
    const says = isDone
      ? 'every call said what it came to'
      : 'calls ended by their deadline and never said what they came to'
    return {
      control: 'unreconciled',
      verdict: isDone ? 'ok' : 'look',
      says,
      numbers: { timeouts, late_settles: lateSettles },
    }
  }

  #unmatched(): Control {
    const { unmatched, unmatchedWaiting: waiting } = this
    const says = waiting === 0 ? 'nothing waits for a word' : '"tollgate unmatched list" shows what waits for a word'
    return { control: 'unmatched', verdict: waiting === 0 ? 'ok' : 'look', says, numbers: { came: unmatched, waiting } }
  }

  #estimates(): Control {
    const isRare = this.estimates <= this.calls * ESTIMATE_SHARE_MAX
    return {
      control: 'estimates',
      verdict: isRare ? 'ok' : 'look',
      says: isRare
        ? 'charges without the provider’s usage'
        : 'more than one charge in a hundred is without the provider’s usage',
      numbers: { estimates: this.estimates, calls: this.calls },
    }
  }
}
