/** What every step of the walk has at hand: someone who asks, someone who pays, and a way to tell the reader. */
import { formatAmount, parseAmount } from '../core/money.ts'
import type { Simulator } from '../simulator/simulator.ts'
import type { Answer, Customer } from './customer.ts'
import type { BalanceView, Finance, SettleView } from './finance.ts'
import type { Figure, Narrator } from './narrator.ts'

export interface Step {
  readonly title: string
  run(scene: Scene): Promise<void>
}

/** What a receipt has beside the usual lines. */
export interface ReceiptLines {
  readonly first?: readonly Figure[]
  readonly heldNote?: string
  readonly last?: readonly Figure[]
}

export class Scene {
  readonly out: Narrator
  readonly finance: Finance
  readonly customer: Customer
  readonly simulator: Simulator
  /** Claims that did not come true. */
  readonly failures: string[] = []

  constructor(parts: Pick<Scene, 'out' | 'finance' | 'customer' | 'simulator'>) {
    this.out = parts.out
    this.finance = parts.finance
    this.customer = parts.customer
    this.simulator = parts.simulator
  }

  /** States a claim, and whether it came true. */
  check(cameTrue: boolean, claim: string): void {
    if (cameTrue) {
      this.out.done(claim)
      return
    }
    this.failures.push(claim)
    this.out.wrong(claim)
  }

  /** The money of one call, from its entry in the ledger. */
  async receipt(account: string, answer: Answer, asked: string, more: ReceiptLines = {}): Promise<SettleView> {
    if (answer.status !== 200) throw new Error(`the call was answered ${answer.status}: ${answer.text}`)
    const settle = await this.finance.settle(account, answer.requestId)
    const returned = parseAmount(settle.hold) - parseAmount(settle.charged)
    this.out.gap()
    this.out.figures([
      { label: 'asked', value: asked },
      { label: 'used', value: usedText(settle) },
      ...(more.first ?? []),
      {
        label: 'held',
        value: settle.hold,
        note: more.heldNote ?? 'USD, the most that the call could cost, set aside while it ran',
      },
      { label: 'charged', value: settle.charged, note: 'USD, what it used' },
      ...(returned > 0n
        ? [{ label: 'returned', value: formatAmount(returned), note: 'USD, held and not needed: free again' }]
        : []),
      ...(more.last ?? []),
    ])
    return settle
  }

  /** A wallet as it stands now. */
  async wallet(account: string): Promise<BalanceView> {
    const balance = await this.finance.balance(account)
    const extra = (['expired', 'overflow', 'flagged'] as const).filter((name) => parseAmount(balance[name]) !== 0n)
    this.out.gap()
    this.out.table(
      [`wallet of ${account}, USD`, 'granted', 'held', 'posted', 'available', 'debt', ...extra],
      [
        [
          'now',
          balance.granted,
          balance.held,
          balance.posted,
          balance.available,
          balance.debt,
          ...extra.map((name) => balance[name]),
        ],
      ],
    )
    return balance
  }

  /** The last body that reached the provider. */
  lastSent(): Readonly<Record<string, unknown>> {
    return JSON.parse(this.simulator.stats.bodies.at(-1) ?? '{}') as Record<string, unknown>
  }
}

function usedText({ tokens, usage_source }: SettleView): string {
  const source = usage_source === 'provider' ? 'counted by the provider' : 'an estimate: the provider said nothing'
  const cached = tokens['cached_input'] === undefined ? '' : ` and ${tokens['cached_input']} cached ones`
  return `${tokens['input'] ?? 0} tokens of question${cached}, ${tokens['output'] ?? 0} of answer (${source})`
}

/** Sums decimal strings exactly. */
export function sum(...amounts: readonly string[]): string {
  return formatAmount(amounts.reduce((total, amount) => total + parseAmount(amount), 0n))
}

export function isMore(amount: string, than: string): boolean {
  return parseAmount(amount) > parseAmount(than)
}
