/**
 * The money of one session: a hold that covers what was used, each response that runs, and the next one before it runs.
 * It is extended as responses come, and each is told how many output tokens it may have.
 */
import { type Atoms, formatAmount } from '../core/money.ts'
import { leastTokens } from '../core/output-tokens.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'
import { measuredProgress } from '../http/call-budgets.ts'
import type { CallDependencies } from '../http/call-dependencies.ts'
import { walletUnavailable } from '../http/call-refusals.ts'
import { cutError } from '../http/cut-error.ts'
import { firstHeld, type HeldMoney, heldAfter } from '../http/held-money.ts'
import type { SliceRefusal } from '../http/hold-keeper.ts'
import { totalTokens } from '../http/settlement.ts'
import type { SessionReader } from '../providers/provider.ts'
import type { CheckpointRequest, CheckpointResult, MeasuredProgress } from '../wallet/wallet-types.ts'
import { priceSession } from './session-price.ts'

/** Tokens that the next response may have, or why it may not run. */
export type Cover = { readonly tokens: number } | { readonly refused: ErrorFacts }

/** What more credit or room in a budget would change. */
const ABOUT_FUNDS: ReadonlySet<string> = new Set(['insufficient_funds', 'held_by_open_calls', 'budget_exceeded'])

export class SessionMoney {
  readonly #deps: CallDependencies
  readonly #admitted: AdmittedCall
  readonly #reader: SessionReader
  #held: HeldMoney
  #checkpoints = 0
  #renewedAtMs: number
  /** What each response that runs was covered with. */
  #running: Atoms[] = []
  /** One question to the wallet at a time. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(deps: CallDependencies, admitted: AdmittedCall, reader: SessionReader) {
    this.#deps = deps
    this.#admitted = admitted
    this.#reader = reader
    this.#held = firstHeld(admitted)
    this.#renewedAtMs = admitted.startedAtMs
  }

  get held(): HeldMoney {
    return this.#held
  }

  /** Certainly used: what was stated, and what was counted of responses that run. */
  get knownAtoms(): Atoms {
    const { counted } = this.#reader
    const usages = [...this.#reader.usages]
    if (counted) usages.push([this.#admitted.call.model, counted])
    const known = priceSession(this.#admitted, usages).chargeAtoms
    return known > this.#admitted.terms.floorAtoms ? known : this.#admitted.terms.floorAtoms
  }

  /** Observe, or nothing to be paid for: nothing is asked. */
  get #free(): boolean {
    const { held, plan, price, ceiling } = this.#admitted
    return held === undefined || plan.enforcement === 'observe' || price === undefined || ceiling.limitTokens === 0
  }

  /** The most that one response may say: the caller's own limit, the plan's, the model's. */
  #wantTokens(outputLimit: number | undefined): number {
    return Math.min(
      this.#admitted.ceiling.limitTokens,
      this.#reader.ownLimit ?? Number.POSITIVE_INFINITY,
      outputLimit ?? Number.POSITIVE_INFINITY,
    )
  }

  /** Is the next response covered already? Its tokens, or undefined: the wallet has to be asked. */
  coverNow(outputLimit: number | undefined): Cover | undefined {
    const want = this.#wantTokens(outputLimit)
    if (this.#free || this.#payable() >= want) return { tokens: want }
    return undefined
  }

  /** Asks the wallet for what is missing. Never rejects. */
  cover(outputLimit: number | undefined): Promise<Cover> {
    const answer = this.#last.then(() => this.#cover(outputLimit))
    this.#last = answer
    return answer
  }

  async #cover(outputLimit: number | undefined): Promise<Cover> {
    // While the wallet is asked the conversation goes on, and the next response may have come to read more.
    for (;;) {
      const now = this.coverNow(outputLimit)
      if (now) return now
      const want = this.#wantTokens(outputLimit)
      const least = leastTokens(this.#admitted.call, this.#admitted.plan, want)
      const refused = await this.#ask(this.#missing(want), larger(this.#missing(least), 1n))
      const tokens = Math.min(want, this.#payable())
      if (tokens >= least) return { tokens }
      if (refused) return { refused }
    }
  }

  /** What the hold lacks for one more response of so many tokens. */
  #missing(tokens: number): Atoms {
    const response = this.#nextInputAtoms() + BigInt(tokens) * this.#admitted.ceiling.perTokenAtoms
    return this.#spent + response - this.#held.priceAtoms
  }

  /** Extends the hold by what is wanted, or as far as the wallet and the plan's most for one call allow. */
  async #ask(wantAtoms: Atoms, leastAtoms: Atoms): Promise<ErrorFacts | undefined> {
    const most = this.#admitted.plan.maxCostPerCallAtoms
    if (most !== undefined && this.#held.priceAtoms + leastAtoms > most) return this.#tooExpensive(leastAtoms, most)
    const room = most === undefined ? wantAtoms : smaller(wantAtoms, most - this.#held.priceAtoms)
    const result = await this.#extend(room, leastAtoms)
    if (result?.status === 'checkpointed') {
      this.#held = heldAfter(this.#held, result, this.#piece(room))
      return undefined
    }
    return result && ABOUT_FUNDS.has(result.status) ? this.#noFunds(result) : walletUnavailable(this.#admitted.id)
  }

  /** A response with so many tokens begins. */
  begin(tokens: number): void {
    this.#running.push(this.#nextInputAtoms() + BigInt(tokens) * this.#admitted.ceiling.perTokenAtoms)
  }

  /** Responses have begun by themselves, or have ended. */
  settleRunning(): void {
    while (this.#running.length > this.#reader.running) this.#running.shift()
    while (this.#running.length < this.#reader.running) this.begin(this.#wantTokens(undefined))
  }

  /** What was used, and what is kept for responses that run. */
  get #spent(): Atoms {
    let spent = priceSession(this.#admitted, this.#reader.usages).chargeAtoms
    for (const atoms of this.#running) spent += atoms
    return spent
  }

  #nextInputAtoms(): Atoms {
    const usage = { tokens: this.#reader.nextInput, raw: null }
    // Rounded to the nearest: one more is enough.
    return priceSession(this.#admitted, [[this.#admitted.call.model, usage]]).chargeAtoms + 1n
  }

  /** Output tokens of one more response that the hold pays for. */
  #payable(): number {
    const left = this.#held.priceAtoms - this.#spent - this.#nextInputAtoms()
    const { perTokenAtoms } = this.#admitted.ceiling
    if (left < 0n) return -1
    if (perTokenAtoms === 0n) return Number.MAX_SAFE_INTEGER
    const tokens = left / perTokenAtoms
    return tokens > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(tokens)
  }

  /** The hold is extended by pieces of one output token, so that the wallet may give less than is wanted. */
  #piece(wantAtoms: Atoms): Atoms {
    const { perTokenAtoms } = this.#admitted.ceiling
    return perTokenAtoms > 0n ? perTokenAtoms : larger(wantAtoms, 1n)
  }

  /** Undefined: the wallet did not answer. */
  #extend(wantAtoms: Atoms, leastAtoms: Atoms): Promise<CheckpointResult | undefined> {
    const unit = this.#piece(wantAtoms)
    return this.#checkpoint({
      perTokenAtoms: unit,
      leastTokens: pieces(leastAtoms, unit),
      wantTokens: pieces(wantAtoms, unit),
    })
  }

  /** Each second. */
  tick(nowMs: number): void {
    const { checkpointEveryMs } = this.#admitted.snapshot.settings.limits
    if (this.#admitted.held && nowMs - this.#renewedAtMs >= checkpointEveryMs)
      this.#last = this.#last.then(() => this.#checkpoint(undefined))
  }

  async #checkpoint(extend: CheckpointRequest['extend']): Promise<CheckpointResult | undefined> {
    const { id, terms, snapshot } = this.#admitted
    const { holdDeadlineMs } = snapshot.settings.limits
    const cumulativeAtoms = this.knownAtoms
    this.#renewedAtMs = this.#deps.now()
    this.#deps.sweeper.touch(terms.account, this.#renewedAtMs + holdDeadlineMs)
    try {
      return await this.#deps.wallet.checkpoint({
        id,
        account: terms.account,
        number: ++this.#checkpoints,
        cumulativeAtoms,
        amounts: this.#amounts(cumulativeAtoms, extend),
        deadlineMs: holdDeadlineMs,
        extend,
      })
    } catch {
      return undefined
    }
  }

  /** For budgets: in tokens a piece of the extension is its share of what the next response reads and says. */
  #amounts(atoms: Atoms, extend: CheckpointRequest['extend']): readonly MeasuredProgress[] {
    let tokens = 0
    for (const usage of this.#reader.usages.values()) tokens += totalTokens(usage)
    const known = { atoms, tokens, perTokenAtoms: extend?.perTokenAtoms ?? 0n }
    const measured = measuredProgress(this.#admitted, this.#admitted.terms, known)
    if (!extend) return measured
    const next = totalTokens({ tokens: this.#reader.nextInput, raw: null }) + this.#wantTokens(undefined)
    const perToken = BigInt(Math.ceil(next / extend.wantTokens))
    return measured.map((amount) => (amount.measure === 'tokens' ? { ...amount, perToken } : amount))
  }

  #noFunds(refused: SliceRefusal): ErrorFacts {
    const facts = cutError(this.#admitted, refused)
    const { rule, needed, available, unit } = facts
    const message =
      facts.code === 'budget_exceeded'
        ? `The next response does not fit into budget "${rule}": it may come to ${needed} ${unit}, ${available} ${unit} is left.`
        : `The next response may cost ${needed} ${unit} more than is held; ${available} ${unit} is available.`
    return { ...facts, message }
  }

  #tooExpensive(missing: Atoms, most: Atoms): ErrorFacts {
    const { terms, id } = this.#admitted
    const needed = formatAmount(this.#held.priceAtoms + missing, terms.scale)
    const available = formatAmount(most, terms.scale)
    const message = `With its next response this session may cost ${needed} ${terms.unit}; its plan allows ${available} ${terms.unit}.`
    return errorFacts('call_too_expensive', message, id, {
      rule: 'max_cost_per_call',
      needed,
      available,
      unit: terms.unit,
    })
  }
}

function pieces(atoms: Atoms, unit: Atoms): number {
  const count = (larger(atoms, 1n) + unit - 1n) / unit
  return count > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(count)
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
