/**
 * The wallet once more, from its contract and not from the scripts: plain objects, every total summed anew from grants
 * and holds, exact integers, no clock of its own. It answers what the scripts must answer. Records of operations live
 * for ever here (as under the test clock, where Redis drops none).
 */
import { idTimeMs } from '../../src/core/ids.ts'
import { formatAmount } from '../../src/core/money.ts'
import { encodeAlerts } from '../../src/wallet/encode.ts'
import type {
  AdminRefusal,
  AdminResult,
  Balance,
  BudgetCounter,
  CheckpointRequest,
  CheckpointResult,
  Grant,
  GrantRequest,
  Held,
  HoldFacts,
  HoldRefusalStatus,
  HoldRefused,
  HoldRequest,
  HoldTerms,
  OpenHold,
  Overage,
  Payment,
  SettleRequest,
  SettleResult,
  Unmatched,
  VoidResult,
  Wallet,
} from '../../src/wallet/wallet-types.ts'
import { type Bound, type Counted, CounterModel, type Kept, type Told } from './counter-model.ts'
import { isWatched, judge, type ModelEvent, type Over, packWatched, UNWATCHED, type Watched } from './event-model.ts'

const MAX = 9_007_199_254_740_991n
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const OPERATION_MS = 35 * DAY_MS
const GRANTS_DRAWN = 64
const SWEEP_MAX = 32
const EXPIRES_IN_MS = 3 * DAY_MS

type Mode = HoldTerms['onExhausted']['mode']
interface Policy {
  readonly mode: Mode
  /** The floor (<= 0) or the cap. */
  readonly limit: bigint
  readonly millionths: bigint
  readonly period: string
}
interface Slice {
  readonly grant: string
  atoms: bigint
}
interface ModelGrant {
  readonly id: string
  readonly request: GrantRequest
  readonly repays: boolean
  readonly seq: number
  readonly createdAtMs: number
  readonly effectiveAtMs: number
  state: 'pending' | 'usable' | 'expired' | 'voided' | 'clawed_back'
  payment: Payment
  free: bigint
  held: bigint
  consumed: bigint
  expired: bigint
  voided: bigint
  voidedAtMs: number | undefined
  /** When it is told to expire. */
  noticeAtMs: number | undefined
}
interface ModelHold {
  readonly request: HoldRequest
  /** As it was held, or timed out: the period that was open then. */
  policy: Policy
  readonly answer: Held
  readonly createdAtMs: number
  state: 'open' | 'timed out' | 'late'
  /** The deadline; after it the end of the late window. */
  dueMs: number
  deadlineAtMs: number
  /** While open what is held, afterwards what was posted. */
  slices: Slice[]
  overBase: bigint
  over: bigint
  known: bigint
  kept: Kept[]
  checkpoint: { number: number; arguments: string; answer: CheckpointResult } | undefined
  late: { final: bigint; answer: SettleResult } | undefined
}
interface End {
  readonly kind: 'settled' | 'voided' | 'absent'
  readonly hold: { readonly fingerprint: string; readonly answer: Held } | undefined
  readonly final: string
  readonly settled?: SettleResult
  readonly released?: bigint
}
interface Operation {
  readonly fingerprint: string
  readonly answer: AdminResult<unknown>
}
interface State {
  seq: number
  lastMs: number
  frozen: boolean
  readonly units: Map<string, number>
  readonly grants: Map<string, ModelGrant>
  readonly holds: Map<string, ModelHold>
  readonly ends: Map<string, End>
  readonly denials: Map<string, { fingerprint: string; answer: HoldRefused }>
  readonly operations: Map<string, Operation>
  readonly grantKeys: Map<string, { id: string; fingerprint: string }>
  /** Calls that timed out and whose late window is over: the sequence of their late settle, or none. */
  readonly closed: Map<string, number | undefined>
  /** "UNIT debt", "UNIT overflow:PERIOD", …: what is owed. */
  readonly owed: Map<string, bigint>
  readonly posted: Map<string, bigint>
  /** "UNIT PERIOD": when it was closed, and where its charges go since. */
  readonly closedPeriods: Map<string, { readonly atMs: number; readonly heir: string }>
  /** Names of periods that ever were held or posted in: "UNIT PERIOD". */
  readonly periods: Set<string>
  /** By the seq of the charge: what it drew, in order. */
  readonly charges: Map<
    number,
    {
      readonly unit: string
      readonly drawn: readonly Drawn[]
      refunded: bigint
      readonly counted: readonly Counted[]
      readonly timedOut: string | undefined
    }
  >
  readonly stops: Set<string>
  readonly watched: Map<string, Watched>
  /** Balance and debt of a unit after the last act. */
  readonly before: Map<string, { readonly balance: bigint; readonly debt: bigint }>
  readonly events: ModelEvent[]
  /** What late settles gave back of their timeouts, by the id of the call. */
  readonly gaveBack: Map<string, bigint>
  /** What timeouts posted at price, by the id of the call. */
  readonly timeouts: Map<string, TimedOut>
  /** Settles that came too late, by the seq of their entry: they wait until an operator decides. */
  readonly unmatched: Map<number, TooLate>
}
interface TimedOut {
  readonly terms: HoldTerms
  readonly held: bigint
  /** At price. */
  readonly posted: bigint
  readonly charged: bigint
}
interface TooLate {
  readonly terms: HoldTerms
  readonly final: bigint
  readonly resolved: boolean
  /** What went beyond all limits when it was charged after all. */
  readonly overrun?: bigint
}
interface Drawn {
  readonly from: string
  readonly atoms: bigint
}

const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n)
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const most = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const json = (value: unknown): string => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))

function inRange(atoms: bigint): void {
  if (atoms > MAX) throw new RangeError('out_of_range')
}

function roundUp(base: bigint, millionths: bigint): bigint {
  return (base * millionths + 999_999n) / 1_000_000n
}

function roundHalfEven(base: bigint, millionths: bigint): bigint {
  const whole = (base * millionths) / 1_000_000n
  const rest = (base * millionths) % 1_000_000n
  return rest > 500_000n || (rest === 500_000n && whole % 2n === 1n) ? whole + 1n : whole
}

/** What the call is held and charged under: under observe all that grants do not cover is flagged. */
function policyOf(terms: HoldTerms, asEnforced = false): Policy {
  const policy = terms.onExhausted
  if (terms.observe && !asEnforced) return { mode: 'flag', limit: 0n, millionths: 1_000_000n, period: '' }
  if (policy.mode === 'negative')
    return { mode: 'negative', limit: policy.floorAtoms, millionths: 1_000_000n, period: '' }
  if (policy.mode !== 'overflow') return { mode: policy.mode, limit: 0n, millionths: 1_000_000n, period: '' }
  const millionths = BigInt(Math.round(Number(policy.multiplier) * 1_000_000))
  return { mode: 'overflow', limit: policy.capAtoms, millionths, period: terms.overflowPeriod }
}

function accountOf(policy: Policy): string {
  if (policy.mode === 'overflow') return `overflow:${policy.period}`
  return { negative: 'debt', flag: 'flagged', postpaid: 'postpaid', block: 'debt' }[policy.mode]
}

function globMatches(glob: string, text: string): boolean {
  const pattern = glob.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\/]/g, '\\$&'))
  return new RegExp(`^${pattern.join('.*')}$`).test(text)
}

function applies(grant: GrantRequest, facts: HoldFacts): boolean {
  const { models, upstreams, endpoints, labels } = grant.appliesTo ?? {}
  const any = (globs: readonly string[] | undefined, text: string): boolean =>
    globs === undefined || globs.some((glob) => globMatches(glob, text))
  return (
    any(models, facts.model) &&
    any(upstreams, facts.upstream) &&
    any(endpoints, facts.endpoint) &&
    Object.entries(labels ?? {}).every(([name, value]) => facts.labels[name] === value)
  )
}

/** priority, scoped first, expiry (none last), promotional first, cost basis, effective, creation. */
function drawdownOrder(a: ModelGrant, b: ModelGrant): number {
  const keys = ({ request: r, effectiveAtMs, seq }: ModelGrant): readonly number[] => [
    r.priority,
    r.appliesTo === undefined ? 1 : 0,
    r.expiresAtMs ?? Number.POSITIVE_INFINITY,
    r.funding === 'promotional' ? 0 : 1,
    Number(r.costBasis ?? '0'),
    effectiveAtMs,
    seq,
  ]
  const [left, right] = [keys(a), keys(b)]
  const at = left.findIndex((key, index) => key !== right[index])
  return at < 0 ? 0 : (left[at] as number) < (right[at] as number) ? -1 : 1
}

function fingerprintOf({ info: _, dryRun: __, id: ___, account: ____, alerts: _____, ...rest }: HoldRequest): string {
  return json(rest)
}

function emptyState(): State {
  return {
    seq: 0,
    lastMs: 0,
    frozen: false,
    units: new Map(),
    grants: new Map(),
    holds: new Map(),
    ends: new Map(),
    denials: new Map(),
    operations: new Map(),
    grantKeys: new Map(),
    closed: new Map(),
    owed: new Map(),
    posted: new Map(),
    closedPeriods: new Map(),
    periods: new Set(),
    charges: new Map(),
    stops: new Set(),
    watched: new Map(),
    before: new Map(),
    events: [],
    gaveBack: new Map(),
    timeouts: new Map(),
    unmatched: new Map(),
  }
}

/** What an operation may change is copied, what is replaced as a whole is shared. */
function cloneState(state: State): State {
  const copies = <V extends object>(map: ReadonlyMap<string, V>, copy: (value: V) => V): Map<string, V> =>
    new Map(Array.from(map, ([key, value]) => [key, copy(value)]))
  return {
    ...state,
    units: new Map(state.units),
    grants: copies(state.grants, (grant) => ({ ...grant })),
    holds: copies(state.holds, (hold) => ({
      ...hold,
      slices: hold.slices.map((slice) => ({ ...slice })),
      kept: hold.kept.map((item) => ({ ...item })),
    })),
    ends: new Map(state.ends),
    denials: new Map(state.denials),
    operations: new Map(state.operations),
    grantKeys: new Map(state.grantKeys),
    closed: new Map(state.closed),
    owed: new Map(state.owed),
    posted: new Map(state.posted),
    closedPeriods: new Map(state.closedPeriods),
    periods: new Set(state.periods),
    charges: new Map(Array.from(state.charges, ([seq, charge]) => [seq, { ...charge }])),
    stops: new Set(state.stops),
    watched: new Map(state.watched),
    before: new Map(state.before),
    events: [...state.events],
    timeouts: new Map(state.timeouts),
    unmatched: new Map(state.unmatched),
  }
}

/** One account. Each operation takes the time of the clock; RangeError `out_of_range`: nothing was changed. */
export class WalletModel {
  readonly account: string
  #state: State = emptyState()
  #counters = new CounterModel()
  #now = 0
  #handedOver = 0

  constructor(account: string) {
    this.account = account
  }

  hold(request: HoldRequest, clockMs: number): Held | HoldRefused {
    const { id, unit } = request
    this.#begin(clockMs)
    const fingerprint = fingerprintOf(request)
    const refused = (
      status: HoldRefusalStatus,
      neededAtoms = 0n,
      availableAtoms = 0n,
      rule?: string,
      resetsAtMs?: number,
    ): HoldRefused => ({ status, replay: false, neededAtoms, availableAtoms, rule, resetsAtMs })
    const state = this.#state
    const before = state.holds.get(id) ?? state.ends.get(id)?.hold
    if (before) {
      const known = 'request' in before ? fingerprintOf(before.request) : before.fingerprint
      return known === fingerprint ? { ...before.answer, replay: true } : refused('conflict')
    }
    if (state.ends.has(id)) return refused('id_closed')
    const denial = state.denials.get(id)
    if (denial) return denial.fingerprint === fingerprint ? { ...denial.answer, replay: true } : refused('conflict')
    this.#sweep()
    const deny = (...given: Parameters<typeof refused>): HoldRefused => {
      const answer = refused(...given)
      if (!request.dryRun) state.denials.set(id, { fingerprint, answer })
      if (!request.dryRun && answer.status === 'insufficient_funds')
        this.#judge({ refused: { ...request, needed: answer.neededAtoms } })
      return answer
    }
    if (this.#now - timeOf(id) > HOUR_MS) return refused('id_too_old')
    if (state.frozen) return deny('frozen')
    const stopped = this.#stopOf(request)
    if (stopped !== undefined) return deny('stopped', 0n, 0n, stopped)
    const { fixedAtoms: fixed, perTokenAtoms: each } = request
    const needed = fixed + each * BigInt(request.leastTokens)
    if (needed > MAX) return deny('out_of_range')

    const enforced = this.#opened(unit, policyOf(request, true))
    const { found, free, pinned } = this.#eligible(unit, request.facts, fixed + each * BigInt(request.totalTokens))
    const funds = least(MAX, free + this.#room(unit, enforced))
    const payableOf = (limit: number): number =>
      funds < fixed ? -1 : each === 0n ? limit : Number(least(BigInt(limit), (funds - fixed) / each))
    let tokens = payableOf(request.wantTokens)
    let payableTokens = payableOf(request.totalTokens)
    const back = free + pinned + this.#room(unit, enforced, 0n)
    const byWallet: Refusal | undefined =
      tokens < request.leastTokens
        ? { status: needed <= back ? 'held_by_open_calls' : 'insufficient_funds', needed, available: funds }
        : undefined
    const bounds = this.#counters.bounds(request, this.#now)
    if (bounds.some((bound) => bound.fixed + bound.each * BigInt(request.leastTokens) > MAX))
      return deny('out_of_range')
    for (const { budget, fixed: first, each: more, room } of bounds) {
      if (budget.action === 'flag') continue
      const fits = (most: number): number =>
        room < first ? -1 : more === 0n ? most : Number(least(BigInt(most), (room - first) / more))
      tokens = Math.min(tokens, fits(request.wantTokens))
      payableTokens = Math.min(payableTokens, fits(request.totalTokens))
    }
    const refusal = this.#refusal(bounds, byWallet, request.leastTokens)
    if (refusal && !request.observe) {
      const { status, needed: missing, available, bound } = refusal
      if (status === 'budget_exceeded' && !request.dryRun) {
        const tells = this.#counters.refusedBy(bounds, request.leastTokens, this.#now)
        this.#tell(tells, unit, request.scale)
      }
      const resets =
        bound && status === 'budget_exceeded' ? this.#counters.resetsAtMs(bound, missing, this.#now) : undefined
      return deny(status, missing, available, bound?.budget.field, resets)
    }
    if (request.observe) [tokens, payableTokens] = [request.wantTokens, request.totalTokens]
    const policy = request.observe ? policyOf(request) : enforced
    const amount = fixed + each * BigInt(tokens)
    const tooMuch = ({ spent, held, fixed: first, each: perToken }: Bound): boolean => {
      const more = first + perToken * BigInt(tokens)
      return more > 0n && spent + held + more > MAX
    }
    if (amount > MAX || bounds.some(tooMuch)) return deny('out_of_range', needed, funds)
    const overBase = most(0n, amount - free)
    const over = roundUp(overBase, policy.millionths)
    if (!this.#fits(unit, amount - overBase, over)) return deny('out_of_range', needed, funds)

    const availableBefore = this.#available(unit)
    const heldAtoms = amount - overBase + over
    const answer = (seq: number, availableAtoms: bigint): Held => ({
      status: 'held',
      replay: false,
      seq,
      tokens,
      payableTokens,
      heldAtoms,
      overage: overage(policy, over),
      availableAtoms,
      would: refusal?.status,
      wouldRule: refusal?.bound?.budget.field,
      exceeded,
    })
    let exceeded: readonly string[] = []
    if (request.dryRun) return answer(0, availableBefore)
    const counted = this.#counters.count(bounds, tokens, this.#now)
    exceeded = counted.exceeded
    const slices = this.#pin(found, amount - overBase)
    const seq = this.#entry(unit, request.scale)
    const deadlineAtMs = this.#now + request.deadlineMs
    this.#tell(counted.tells, unit, request.scale)
    const held = answer(seq, this.#available(unit))
    if (over > 0n && policy.mode === 'overflow') state.periods.add(`${unit} ${policy.period}`)
    state.holds.set(id, {
      request,
      policy,
      answer: held,
      createdAtMs: this.#now,
      state: 'open',
      dueMs: deadlineAtMs,
      deadlineAtMs,
      slices,
      overBase,
      over,
      known: 0n,
      kept: counted.kept,
      checkpoint: undefined,
      late: undefined,
    })
    this.#over(unit, { mode: policy.mode, name: accountOf(policy), atoms: over })
    this.#judge({ held: request })
    return held
  }

  checkpoint(request: CheckpointRequest, clockMs: number): CheckpointResult {
    this.#begin(clockMs)
    const refused = (
      status: Exclude<CheckpointResult['status'], 'checkpointed'>,
      neededAtoms = 0n,
      availableAtoms = 0n,
      rule?: string,
    ) => ({ status, neededAtoms, availableAtoms, rule }) as const
    const { extend } = request
    const given = json([request.cumulativeAtoms, request.deadlineMs, extend, request.amounts])
    let hold = this.#state.holds.get(request.id)
    const last = hold?.state === 'open' ? hold.checkpoint : undefined
    if (last && last.number >= request.number) {
      return last.number === request.number && last.arguments === given ? last.answer : refused('conflict')
    }
    this.#sweep()
    hold = this.#state.holds.get(request.id)
    if (hold?.state !== 'open') return refused('hold_not_open')
    const { unit, facts, scale } = hold.request
    const eachOf: Record<string, bigint> = {}
    const knownOf: Record<string, bigint> = { [unit]: request.cumulativeAtoms }
    if (extend) eachOf[unit] = extend.perTokenAtoms
    for (const { measure, known, perToken } of request.amounts ?? []) {
      knownOf[measure] = known
      if (extend) eachOf[measure] = perToken
    }
    let tokens = 0
    if (extend) {
      const { policy } = hold
      const each = extend.perTokenAtoms
      const want = each * BigInt(extend.wantTokens)
      const base = sum(hold.slices.map((slice) => slice.atoms)) + hold.overBase
      if (base + want > MAX) return refused('out_of_range')
      const { found, free, pinned } = this.#eligible(unit, facts, want)
      const funds = least(MAX, free + this.#room(unit, policy))
      tokens = want > funds ? Number(funds / each) : extend.wantTokens
      const needed = each * BigInt(extend.leastTokens)
      if (!hold.request.observe) {
        const room = this.#counters.roomToExtend(hold.kept, eachOf, extend, this.#now)
        if (tokens >= extend.leastTokens && room.tokens < extend.leastTokens && room.tightest) {
          const { budget } = room.tightest
          const more = eachOf[budget.measure] ?? 0n
          return refused(
            room.onlyHeld ? 'held_by_open_calls' : 'budget_exceeded',
            more * BigInt(extend.leastTokens),
            more * BigInt(room.tokens),
            budget.field,
          )
        }
        tokens = Math.min(tokens, room.tokens)
      }
      if (tokens < extend.leastTokens) {
        const own = sum(hold.slices.map((s) => (this.#grant(s.grant).state === 'usable' ? s.atoms : 0n)))
        const back = free + pinned - own + this.#room(unit, policy, hold.over)
        return refused(needed <= back ? 'held_by_open_calls' : 'insufficient_funds', needed, funds)
      }
      const amount = each * BigInt(tokens)
      const moreBase = most(0n, amount - free)
      const over = roundUp(hold.overBase + moreBase, policy.millionths)
      if (!this.#fits(unit, amount - moreBase, over - hold.over) || !this.#counters.inRange(hold.kept, eachOf, tokens))
        return refused('out_of_range', amount, funds)
      for (const slice of this.#pin(found, amount - moreBase)) {
        const before = hold.slices.at(-1)
        if (before?.grant === slice.grant) before.atoms += slice.atoms
        else hold.slices.push(slice)
      }
      if (over > hold.over && policy.mode === 'overflow') this.#state.periods.add(`${unit} ${policy.period}`)
      this.#over(unit, { mode: policy.mode, name: accountOf(policy), atoms: over - hold.over })
      hold.overBase += moreBase
      hold.over = over
    }
    this.#counters.extend(hold.kept, eachOf, tokens, knownOf, this.#now)
    hold.known = most(hold.known, request.cumulativeAtoms)
    hold.deadlineAtMs = this.#now + request.deadlineMs
    hold.dueMs = hold.deadlineAtMs
    this.#entry(unit, scale)
    const answer: CheckpointResult = {
      status: 'checkpointed',
      tokens,
      heldAtoms: sum(hold.slices.map((slice) => slice.atoms)) + hold.over,
      availableAtoms: this.#available(unit),
    }
    hold.checkpoint = { number: request.number, arguments: given, answer }
    this.#judge()
    return answer
  }

  /** A late settle that only the ledger remembers answers without its figures. */
  settle(request: SettleRequest, clockMs: number): Pick<SettleResult, 'status' | 'replay' | 'seq'> | SettleResult {
    const { terms, finalAtoms } = request
    const { id, unit, scale } = terms
    inRange(finalAtoms)
    this.#begin(clockMs)
    const final = `${finalAtoms}${unit}`
    const nothing = (status: SettleResult['status'], replay = false): SettleResult => ({
      status,
      replay,
      seq: 0,
      chargedAtoms: 0n,
      drawn: [],
      overage: undefined,
      overrunAtoms: 0n,
      availableAtoms: 0n,
    })
    let hold = this.#state.holds.get(id)
    if (hold && hold.request.unit !== unit) return nothing('conflict')
    if (hold?.late) {
      return hold.late.final === finalAtoms ? { ...hold.late.answer, replay: true } : nothing('conflict')
    }
    const end = hold ? undefined : this.#state.ends.get(id)
    if (end) {
      if (!end.settled) return nothing('hold_not_open')
      return end.final === final ? { ...end.settled, replay: true } : nothing('conflict')
    }
    this.#sweep()
    hold = this.#state.holds.get(id)
    const act = (): ReturnType<WalletModel['settle']> => {
      const state = this.#state
      hold = state.holds.get(id)
      if (hold?.state === 'open') {
        state.holds.delete(id)
        const charge = this.#end(hold, finalAtoms)
        const counted = this.#counters.finish(hold.kept, finalOf(request), false, this.#now)
        const settled = this.#settled('settled', unit, scale, charge, hold.policy, true, counted)
        const facts = { fingerprint: fingerprintOf(hold.request), answer: hold.answer }
        state.ends.set(id, { kind: 'settled', hold: facts, final, settled })
        return settled
      }
      if (hold) {
        return this.#settleLate(hold, finalAtoms, finalOf(request))
      }
      const lateSeq = state.closed.get(id)
      if (lateSeq !== undefined) return { status: 'late_settled', replay: true, seq: lateSeq }
      this.#legs = []
      const tooLate = state.closed.has(id) || this.#now - timeOf(id) > (terms.lateWindowMs ?? DAY_MS)
      const charge = tooLate
        ? { drawn: [], overBase: 0n, over: 0n, overrun: 0n }
        : this.#force(terms, policyOf(terms), finalAtoms, 0n, [], 0n, 0n)
      let counted: readonly Counted[] = []
      let tells: readonly Told[] = []
      if (!tooLate) {
        const finals = { ...request.finals, [unit]: finalAtoms, concurrent: 0n }
        const bounds = this.#counters.bounds(terms, this.#now, timeOf(id))
        const made = this.#counters.count(bounds, 0, this.#now, finals)
        counted = made.counted
        tells = made.tells
      }
      const status = tooLate ? 'unmatched' : 'orphan_settled'
      const settled = this.#settled(status, unit, scale, charge, policyOf(terms), true, counted)
      this.#tell(tells, unit, scale)
      state.ends.set(id, { kind: 'settled', hold: undefined, final, settled })
      if (tooLate) state.unmatched.set(settled.seq, { terms, final: finalAtoms, resolved: false })
      return settled
    }
    return this.#transact(() => {
      const answer = act()
      this.#judge()
      return answer
    })
  }

  resolveUnmatched(
    request: Parameters<Wallet['resolveUnmatched']>[0],
    clockMs: number,
  ): AdminResult<{ seq: number; chargedAtoms: bigint }> {
    const { operationId, seq: of, decision } = request
    const waiting = this.#state.unmatched.get(of)
    if (!waiting) return { status: 'unknown_unmatched' }
    const { terms, final } = waiting
    const { unit, scale, id } = terms
    const fingerprint = json(['unmatched', of, decision, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) =>
        this.#remember<{ seq: number; chargedAtoms: bigint }>(operationId, fingerprint, { status })
      if (waiting.resolved) return refuse('already_resolved')
      let [seq, chargedAtoms, overrun] = [0, 0n, 0n]
      if (decision === 'dismiss') seq = this.#entry(unit, scale)
      else {
        const excess = final - (this.#state.timeouts.get(id)?.posted ?? 0n)
        if (excess <= 0n) return refuse('nothing_to_charge')
        const policy = policyOf(terms)
        if (!this.#fits(unit, 0n, roundUp(excess, policy.millionths))) return refuse('out_of_range')
        this.#legs = []
        const settled = this.#transact(() => {
          const charge = this.#force(terms, policy, excess, 0n, [], 0n, 0n)
          return this.#settled('late_settled', unit, scale, charge, policy)
        })
        seq = settled.seq
        chargedAtoms = settled.chargedAtoms
        overrun = settled.overrunAtoms
      }
      this.#state.unmatched.set(of, { ...waiting, resolved: true, overrun })
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value: { seq, chargedAtoms } })
    })
  }

  /** Settles that came too late, those that were decided on too. */
  get unmatched(): readonly number[] {
    return [...this.#state.unmatched.keys()]
  }

  /** Terms of calls that timed out, whose late window is over and that nobody ever settled. */
  get outlived(): readonly HoldTerms[] {
    const { timeouts, closed, ends } = this.#state
    return [...timeouts].flatMap(([id, { terms }]) =>
      closed.has(id) && closed.get(id) === undefined && !ends.has(id) ? [terms] : [],
    )
  }

  /** Those that wait. */
  get waiting(): readonly Omit<Unmatched, 'entry'>[] {
    return [...this.#state.unmatched].flatMap(([seq, { terms, final, resolved }]) => {
      const { id, unit, onExhausted } = terms
      const postedAtoms = this.#state.timeouts.get(id)?.posted ?? 0n
      return resolved ? [] : [{ seq, call: id, unit, finalAtoms: final, postedAtoms, onExhausted: onExhausted.mode }]
    })
  }

  /** Throws RangeError where none is under this sequence. */
  tooLate(seq: number): TooLate & { readonly timedOut: boolean } {
    const found = this.#state.unmatched.get(seq)
    if (!found) throw new RangeError(`no unmatched settle ${seq}`)
    return { ...found, timedOut: this.#state.timeouts.has(found.terms.id) }
  }

  timeoutOf(id: string): TimedOut | undefined {
    return this.#state.timeouts.get(id)
  }

  void(id: string, clockMs: number): VoidResult {
    this.#begin(clockMs)
    const end = this.#state.holds.has(id) ? undefined : this.#state.ends.get(id)
    if (end?.kind === 'voided') return { status: 'voided', replay: true, releasedAtoms: end.released ?? 0n }
    if (end?.kind === 'absent') return { status: 'absent', replay: true, releasedAtoms: 0n }
    if (end) return { status: 'hold_not_open', replay: false, releasedAtoms: 0n }
    this.#sweep()
    const state = this.#state
    const hold = state.holds.get(id)
    if (hold && hold.state !== 'open') return { status: 'hold_not_open', replay: false, releasedAtoms: 0n }
    if (!hold) {
      if (this.#now - timeOf(id) <= HOUR_MS) state.ends.set(id, { kind: 'absent', hold: undefined, final: '' })
      return { status: 'absent', replay: false, releasedAtoms: 0n }
    }
    const released = sum(hold.slices.map((slice) => slice.atoms)) + hold.over
    state.holds.delete(id)
    this.#end(hold, 0n)
    this.#counters.finish(hold.kept, () => 0n, false, this.#now)
    this.#entry(hold.request.unit, hold.request.scale)
    const facts = { fingerprint: fingerprintOf(hold.request), answer: hold.answer }
    state.ends.set(id, { kind: 'voided', hold: facts, final: '', released })
    this.#judge()
    return { status: 'voided', replay: false, releasedAtoms: released }
  }

  grant(request: GrantRequest, clockMs: number): AdminResult<Grant> {
    const { operationId: _, id, actor: __, ...given } = request
    const fingerprint = json(['grant', given])
    return this.#operation(request.operationId, fingerprint, clockMs, () => {
      const byKey = request.key === undefined ? undefined : this.#state.grantKeys.get(request.key)
      if (byKey && byKey.fingerprint !== fingerprint) return { status: 'conflict' }
      if (byKey) return { status: 'done', replay: true, value: this.#grantView(this.#grant(byKey.id)) }
      if (this.#tooOld(request.operationId)) return { status: 'id_too_old' }
      if (this.#state.grants.has(id)) return { status: 'conflict' }
      const { unit, amountAtoms, expiresAtMs } = request
      const effectiveAtMs = request.effectiveAtMs ?? this.#now
      const refusal = ((): AdminRefusal | undefined => {
        if ((this.#state.units.get(unit) ?? request.scale) !== request.scale) return 'unit_scale_mismatch'
        if (expiresAtMs !== undefined && (expiresAtMs <= this.#now || expiresAtMs <= effectiveAtMs)) return 'expired'
        return this.#live(unit) + amountAtoms > MAX ? 'out_of_range' : undefined
      })()
      if (refusal) return this.#remember(request.operationId, fingerprint, { status: refusal })
      const grant = this.#create(request, effectiveAtMs)
      if (grant.state === 'usable' && grant.repays) this.#repay(grant)
      this.#entry(unit, request.scale)
      if (request.key !== undefined) this.#state.grantKeys.set(request.key, { id, fingerprint })
      const value = this.#grantView(grant)
      return this.#remember(request.operationId, fingerprint, { status: 'done', replay: false, value })
    })
  }

  voidGrant(request: Parameters<Wallet['voidGrant']>[0], clockMs: number): AdminResult<Grant> {
    const fingerprint = json(['void', request.grant, request.reason])
    return this.#operation(request.operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(request.operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) => this.#remember<Grant>(request.operationId, fingerprint, { status })
      const grant = this.#state.grants.get(request.grant)
      if (!grant) return refuse('unknown_grant')
      if (grant.state === 'voided' || grant.state === 'clawed_back') return refuse('already_voided')
      if (grant.state === 'expired') return refuse('expired')
      grant.state = 'voided'
      grant.voided += grant.free
      grant.free = 0n
      grant.voidedAtMs = this.#now
      this.#entry(grant.request.unit, grant.request.scale)
      const value = this.#grantView(grant)
      return this.#remember(request.operationId, fingerprint, { status: 'done', replay: false, value })
    })
  }

  adjust(request: Parameters<Wallet['adjust']>[0], clockMs: number): AdminResult<null> {
    const { unit, scale, amountAtoms, reason, operationId } = request
    const fingerprint = json(['adjust', unit, scale, amountAtoms, reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      if (this.#state.grants.has(request.grantId)) return { status: 'conflict' }
      const refuse = (status: AdminRefusal) => this.#remember<null>(operationId, fingerprint, { status })
      if ((this.#state.units.get(unit) ?? scale) !== scale) return refuse('unit_scale_mismatch')
      if (this.#live(unit) + amountAtoms > MAX) return refuse('out_of_range')
      const usable = this.#inOrder(unit)
      if (sum(usable.map((grant) => grant.free)) + amountAtoms < 0n) return refuse('insufficient_funds')
      if (amountAtoms > 0n) {
        const repaid = least(this.#owed(unit, 'debt'), amountAtoms)
        this.#owe(unit, 'debt', -repaid)
        if (amountAtoms > repaid) {
          this.#create(promotional(this.account, request.grantId, unit, scale, amountAtoms - repaid, {}), this.#now)
        }
      } else {
        let left = -amountAtoms
        for (const grant of usable) {
          const part = least(left, grant.free)
          grant.free -= part
          grant.voided += part
          left -= part
        }
      }
      this.#entry(unit, scale)
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value: null })
    })
  }

  setFrozen(request: Parameters<Wallet['setFrozen']>[0], clockMs: number): AdminResult<null> {
    const fingerprint = json(['freeze', request.frozen, request.reason])
    return this.#operation(request.operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(request.operationId)) return { status: 'id_too_old' }
      this.#state.frozen = request.frozen
      this.#entry(undefined, 0)
      return this.#remember(request.operationId, fingerprint, { status: 'done', replay: false, value: null })
    })
  }

  clawback(request: Parameters<Wallet['clawback']>[0], clockMs: number): AdminResult<Grant> {
    const { operationId, amountAtoms, freeze } = request
    if (amountAtoms !== undefined && (amountAtoms <= 0n || amountAtoms > MAX)) return { status: 'out_of_range' }
    const fingerprint = json(['clawback', request.grant, amountAtoms, freeze, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) => this.#remember<Grant>(operationId, fingerprint, { status })
      const grant = this.#state.grants.get(request.grant)
      if (!grant) return refuse('unknown_grant')
      if (grant.state === 'clawed_back') return refuse('already_clawed_back')
      const { unit, scale } = grant.request
      const all = grant.free + grant.consumed + grant.held
      const whole = amountAtoms === undefined || amountAtoms === all
      const amount = whole ? grant.free + grant.consumed : (amountAtoms as bigint)
      const held = this.#balance(unit).heldAtoms
      const consumed = least(grant.consumed, most(0n, amount - grant.free))
      const mostOwed = this.#owed(unit, 'debt') + held + consumed + (whole ? grant.held : 0n)
      if (amount > grant.free + grant.consumed || mostOwed > MAX) return refuse('out_of_range')
      this.#clawBack(grant, amount, whole)
      if (freeze) this.#state.frozen = true
      this.#entry(unit, scale)
      const value = this.#grantView(grant)
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value })
    })
  }

  payment(request: Parameters<Wallet['payment']>[0], clockMs: number): AdminResult<Grant> {
    const { operationId } = request
    const fingerprint = json(['payment', request.grant, request.payment, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) => this.#remember<Grant>(operationId, fingerprint, { status })
      const grant = this.#state.grants.get(request.grant)
      if (!grant) return refuse('unknown_grant')
      const order = ['pending', 'authorized', 'settled', 'failed']
      if (grant.payment === 'none') return refuse('no_payment')
      if (order.indexOf(request.payment) <= order.indexOf(grant.payment)) return refuse('payment_order')
      if (grant.state === 'clawed_back') return refuse('already_voided')
      const { unit, scale } = grant.request
      const owed = this.#owed(unit, 'debt') + this.#balance(unit).heldAtoms
      if (request.payment === 'failed' && owed + grant.consumed + grant.held > MAX) return refuse('out_of_range')
      grant.payment = request.payment
      if (request.payment === 'failed') this.#clawBack(grant, grant.free + grant.consumed, true)
      else if (grant.state === 'pending' && paidEnough(grant) && grant.effectiveAtMs <= this.#now) {
        this.#makeUsable(grant)
        if (grant.repays) this.#repay(grant)
      }
      this.#entry(unit, scale)
      const value = this.#grantView(grant)
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value })
    })
  }

  refund(
    request: Parameters<Wallet['refund']>[0],
    clockMs: number,
  ): AdminResult<{ refundedAtoms: bigint; ofAtoms: bigint }> {
    const { operationId, chargeSeq, mode, grantId, noteId } = request
    if (request.amountAtoms !== undefined && (request.amountAtoms <= 0n || request.amountAtoms > MAX))
      return { status: 'refund_too_large' }
    // No entry has this sequence: answered before any script is asked, and not remembered.
    if (chargeSeq < 1) return { status: 'unknown_charge' }
    // What a late settle gave back of a timeout is given back as if by refunds.
    const givenBack = this.#state.gaveBack.get(this.#state.charges.get(chargeSeq)?.timedOut ?? '')
    const fingerprint = json(['refund', chargeSeq, request.amountAtoms, mode, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) =>
        this.#remember<{ refundedAtoms: bigint; ofAtoms: bigint }>(operationId, fingerprint, { status })
      const charge = this.#state.charges.get(chargeSeq)
      if (!charge || charge.drawn.length === 0) return refuse('unknown_charge')
      const isOpen = givenBack === undefined && charge.timedOut !== undefined && this.#state.holds.has(charge.timedOut)
      if (isOpen) return refuse('charge_open')
      const total = sum(charge.drawn.map((drawn) => drawn.atoms))
      const before = charge.refunded + (givenBack ?? 0n)
      const amount = request.amountAtoms ?? total - before
      if (amount <= 0n || before + amount > total) return refuse('refund_too_large')
      const { unit } = charge
      const scale = this.#state.units.get(unit) ?? 0
      if (this.#live(unit) + amount > MAX) return refuse('out_of_range')
      let [skip, left, credit] = [before, mode === 'new_grant' ? 0n : amount, mode === 'new_grant' ? amount : 0n]
      const notes: { period: string; atoms: bigint }[] = []
      for (const { from, atoms } of charge.drawn.toReversed()) {
        const skipped = least(skip, atoms)
        skip -= skipped
        const part = least(left, atoms - skipped)
        left -= part
        if (part === 0n) continue
        if (from.startsWith('grant:')) credit += this.#giveToDrawn(this.#grant(from.slice(6)), part)
        else {
          const { rest, note } = this.#forgive(unit, from, part)
          if (note === undefined) credit += rest
          else notes.push({ period: note, atoms: rest })
        }
      }
      this.#credit(grantId, unit, scale, credit, 'promotional', { refund_of: String(chargeSeq) })
      for (const { period, atoms } of notes)
        this.#credit(noteId, unit, scale, atoms, 'invoiced', { credit_note: period })
      this.#state.posted.set(unit, (this.#state.posted.get(unit) ?? 0n) - amount)
      this.#counters.giveBack(charge.counted, unit, amount, total, this.#now)
      charge.refunded += amount
      this.#entry(unit, scale)
      const value = { refundedAtoms: charge.refunded, ofAtoms: total - (givenBack ?? 0n) }
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value })
    })
  }

  resolveFlagged(request: Parameters<Wallet['resolveFlagged']>[0], clockMs: number): AdminResult<null> {
    const { operationId, unit, to } = request
    if (request.amountAtoms !== undefined && (request.amountAtoms <= 0n || request.amountAtoms > MAX))
      return { status: 'insufficient_funds' }
    const fingerprint = json(['resolve', unit, request.amountAtoms, to, request.period, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) => this.#remember<null>(operationId, fingerprint, { status })
      const flagged = this.#owed(unit, 'flagged')
      const amount = request.amountAtoms ?? flagged
      if (amount <= 0n || amount > flagged) return refuse('insufficient_funds')
      const owed = to === 'debt' ? this.#owed(unit, 'debt') : this.#overflow(unit)
      if (to !== 'written_off' && owed + this.#balance(unit).heldAtoms + amount > MAX) return refuse('out_of_range')
      this.#owe(unit, 'flagged', -amount)
      if (to === 'debt') this.#owe(unit, 'debt', amount)
      if (to === 'overflow') this.#owe(unit, `overflow:${this.#openPeriod(unit, request.period)}`, amount)
      this.#entry(unit, this.#state.units.get(unit) ?? 0)
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value: null })
    })
  }

  closePeriod(
    request: Parameters<Wallet['closePeriod']>[0],
    clockMs: number,
  ): AdminResult<{ amountAtoms: bigint; closedAtMs: number }> {
    const { operationId, unit, period, heir, force } = request
    const fingerprint = json(['close', unit, period, heir, force, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      const refuse = (status: AdminRefusal) =>
        this.#remember<{ amountAtoms: bigint; closedAtMs: number }>(operationId, fingerprint, { status })
      const name = `${unit} ${period}`
      if (!this.#state.periods.has(name)) return refuse('unknown_period')
      if (this.#state.closedPeriods.has(name)) return refuse('already_closed')
      const pins = this.#open(unit).some((hold) => hold.over > 0n && accountOf(hold.policy) === `overflow:${period}`)
      if (pins && !force) return refuse('open_holds')
      this.#state.closedPeriods.set(name, { atMs: this.#now, heir })
      this.#entry(unit, this.#state.units.get(unit) ?? 0)
      const value = { amountAtoms: this.#owed(unit, `overflow:${period}`), closedAtMs: this.#now }
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value })
    })
  }

  setStop(request: Parameters<Wallet['setStop']>[0], clockMs: number): AdminResult<null> {
    const { operationId } = request
    const name = `${request.kind}:${encodeURIComponent(request.value)}`
    const fingerprint = json(['stop', name, request.stop !== undefined, request.reason])
    return this.#operation(operationId, fingerprint, clockMs, () => {
      if (this.#tooOld(operationId)) return { status: 'id_too_old' }
      if (!request.stop && !this.#state.stops.has(name))
        return this.#remember<null>(operationId, fingerprint, { status: 'unknown_stop' })
      if (request.stop) this.#state.stops.add(name)
      else this.#state.stops.delete(name)
      this.#entry(undefined, 0)
      return this.#remember(operationId, fingerprint, { status: 'done', replay: false, value: null })
    })
  }

  /** Applies what is due; answers when the next is. */
  sweep(clockMs: number): number | undefined {
    this.#begin(clockMs)
    this.#sweep()
    return this.#due()?.atMs
  }

  /** What the three reads say, as if all were swept; changes nothing. */
  read(clockMs: number): {
    readonly balances: readonly Balance[]
    readonly grants: readonly Grant[]
    readonly holds: readonly OpenHold[]
    readonly counters: readonly BudgetCounter[]
  } {
    return this.#asSwept(clockMs, () => ({
      balances: [...this.#state.units.keys()].sort().map((unit) => this.#balance(unit)),
      grants: [...this.#state.grants.values()]
        .sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1))
        .map((grant) => this.#grantView(grant)),
      holds: this.#open()
        .map((hold) => this.#holdView(hold))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
      counters: this.#counters.view(),
    }))
  }

  #asSwept<T>(clockMs: number, view: () => T): T {
    this.#begin(clockMs)
    const due = this.#due()
    if (due === undefined || due.atMs > this.#now) return view()
    const [state, counters] = [cloneState(this.#state), this.#counters.clone()]
    this.#sweep()
    const seen = view()
    this.#state = state
    this.#counters = counters
    return seen
  }

  balanceOf(unit: string, clockMs: number): Balance | undefined {
    return this.#asSwept(clockMs, () => (this.#state.units.has(unit) ? this.#balance(unit) : undefined))
  }

  // For what asks next: as it is, unswept.

  get grantIds(): readonly string[] {
    return [...this.#state.grants.keys()]
  }

  /** Grants that are paid for by and by. */
  get payables(): readonly string[] {
    return [...this.#state.grants.values()].flatMap(({ id, payment }) => (payment === 'none' ? [] : [id]))
  }

  /** How much more may come to be owed, and to be in grants, until a number is full. */
  brim(unit: string): { readonly owed: bigint; readonly live: bigint } {
    return { owed: MAX - this.#mostOwed(unit) - this.#balance(unit).heldAtoms, live: MAX - this.#live(unit) }
  }

  /** room: what debt has room for. */
  partsOf(id: string): {
    readonly free: bigint
    readonly held: bigint
    readonly consumed: bigint
    readonly room: bigint
  } {
    const grant = this.#state.grants.get(id)
    if (!grant) return { free: 0n, held: 0n, consumed: 0n, room: 0n }
    const { free, held, consumed, request } = grant
    const room = MAX - this.#owed(request.unit, 'debt') - this.#balance(request.unit).heldAtoms
    return { free, held, consumed, room }
  }

  get isFrozen(): boolean {
    return this.#state.frozen
  }

  /** Of which open holds have a part. */
  get heldGrants(): readonly string[] {
    return [...this.#state.grants.values()].flatMap(({ id, held }) => (held > 0n ? [id] : []))
  }

  /** Of an open call: what it is known to have used, in its unit. */
  callOf(id: string): { readonly unit: string; readonly scale: number; readonly knownAtoms: bigint } {
    const hold = this.#state.holds.get(id)
    if (!hold) throw new RangeError(`no call ${id}`)
    return { unit: hold.request.unit, scale: hold.request.scale, knownAtoms: hold.known }
  }

  heldAtomsOf(id: string): bigint | undefined {
    const hold = this.#state.holds.get(id)
    return hold && sum(hold.slices.map((slice) => slice.atoms)) + hold.over
  }

  /** Whether a grant waits for its payment. */
  awaits(id: string): boolean {
    const grant = this.#state.grants.get(id)
    return grant !== undefined && !paidEnough(grant)
  }

  isClawedBack(id: string): boolean {
    return this.#state.grants.get(id)?.state === 'clawed_back'
  }

  /** Those in force, KIND:VALUE. */
  get stops(): readonly string[] {
    return [...this.#state.stops].sort()
  }

  /** How many calls ever timed out. */
  get timedOut(): number {
    return this.#state.timeouts.size
  }

  /** How much more flagged spend may become debt, or overflow, until the number is full. */
  roomFor(unit: string, to: 'debt' | 'overflow'): bigint {
    const owed = to === 'debt' ? this.#owed(unit, 'debt') : this.#overflow(unit)
    return MAX - owed - this.#balance(unit).heldAtoms
  }

  get openCalls(): readonly HoldRequest[] {
    return this.#open().map((hold) => hold.request)
  }

  get balancesAsTheyAre(): readonly Balance[] {
    return [...this.#state.units.keys()].map((unit) => this.#balance(unit))
  }

  overflowOf(unit: string, period: string): bigint {
    return this.#owed(unit, `overflow:${period}`)
  }

  /** Times at which something is decided. */
  get edges(): readonly number[] {
    const grants = [...this.#state.grants.values()]
    return [
      ...grants.flatMap((grant) => [grant.effectiveAtMs, grant.request.expiresAtMs ?? 0]),
      ...[...this.#state.holds.values()].map((hold) => hold.dueMs),
    ]
  }

  /** What the ledger says of budgets, entry after entry. */
  get saidOfBudgets(): CounterModel['said'] {
    return this.#counters.said
  }

  /** Times at which a budget counts something no more, or forgets it. */
  get windowEdges(): readonly number[] {
    return this.#counters.edges()
  }

  get seq(): number {
    return this.#state.seq
  }

  /** Charges that something can be given back of. */
  get charges(): readonly number[] {
    return [...this.#state.charges].flatMap(([seq, { drawn }]) => (drawn.length > 0 ? [seq] : []))
  }

  /** Those of which a part is in a period that is closed. */
  get closedCharges(): readonly number[] {
    const { charges, closedPeriods } = this.#state
    const isClosed = (unit: string, from: string): boolean =>
      closedPeriods.has(`${unit} ${from.slice('overflow:'.length)}`)
    return [...charges].flatMap(([seq, { unit, drawn }]) =>
      drawn.some(({ from }) => isClosed(unit, from)) ? [seq] : [],
    )
  }

  /** Periods in which something was held or posted. */
  get overflows(): readonly { readonly unit: string; readonly period: string }[] {
    return [...this.#state.periods].map((name) => {
      const [unit = '', period = ''] = name.split(' ')
      return { unit, period }
    })
  }

  has(unit: string): boolean {
    return this.#state.units.has(unit)
  }

  /** The account's own time, which does not go back with the clock. */
  lastMs(clockMs: number): number {
    return Math.max(this.#state.lastMs, clockMs)
  }

  /** What time does not heal first, the wallet before the budgets. */
  #refusal(bounds: readonly Bound[], byWallet: Refusal | undefined, leastTokens: number): Refusal | undefined {
    const overFull = this.#counters.overFull(bounds)
    if (overFull) return { status: 'too_many_values', needed: 0n, available: 0n, bound: overFull }
    const byBudget = bounds.flatMap((bound): Refusal[] => {
      const { budget, spent, room, fixed, each } = bound
      const needed = fixed + each * BigInt(leastTokens)
      if (budget.action === 'flag' || needed <= room) return []
      const status = spent + needed <= budget.limit ? 'held_by_open_calls' : 'budget_exceeded'
      return [{ status, needed, available: room, bound }]
    })
    const hard = byBudget.find(({ status }) => status === 'budget_exceeded')
    if (byWallet?.status === 'insufficient_funds') return byWallet
    return hard ?? byWallet ?? byBudget[0]
  }

  // What time decides, in the order of time.

  #sweep(): void {
    for (let batch = this.#dueNow(); batch.length > 0; batch = this.#dueNow()) {
      // Of a full batch what is due after its last item is left to the next, which is judged by itself.
      const last = batch.length < SWEEP_MAX ? undefined : batch[SWEEP_MAX - 1]
      let due = this.#due()
      while (
        due !== undefined &&
        due.atMs <= (last?.atMs ?? this.#now) &&
        !(last && due.atMs === last.atMs && due.tie > last.tie)
      ) {
        due.act()
        this.#state.lastMs = this.#now
        due = this.#due()
      }
      this.#judge()
    }
  }

  #dueNow(): readonly Due[] {
    return this.#dueItems()
      .filter(({ atMs }) => atMs <= this.#now)
      .sort((a, b) => (isBefore(a, b) ? -1 : 1))
  }

  #due(): Due | undefined {
    return this.#dueItems().reduce<Due | undefined>((a, b) => (a && isBefore(a, b) ? a : b), undefined)
  }

  #dueItems(): readonly Due[] {
    const items: Due[] = []
    for (const grant of this.#state.grants.values()) {
      const { expiresAtMs } = grant.request
      const tie = `g${grant.id}`
      const waits = grant.state === 'pending' && !paidEnough(grant)
      if (grant.state === 'pending' && !waits)
        items.push({ atMs: grant.effectiveAtMs, tie, act: () => this.#activate(grant) })
      if ((grant.state === 'usable' || waits) && expiresAtMs !== undefined) {
        items.push({ atMs: expiresAtMs, tie, act: () => this.#expire(grant) })
      }
    }
    for (const grant of this.#state.grants.values()) {
      if (grant.noticeAtMs !== undefined && (grant.state === 'usable' || grant.state === 'pending'))
        items.push({ atMs: grant.noticeAtMs, tie: `e${grant.id}`, act: () => this.#tellExpiring(grant) })
    }
    for (const [unit, { topUp }] of this.#state.watched) {
      if (topUp.nextMs > 0 && !this.#topUpDue.has(unit))
        items.push({ atMs: topUp.nextMs, tie: `t${unit}`, act: () => void this.#topUpDue.add(unit) })
    }
    for (const [id, hold] of this.#state.holds) {
      const act = hold.state === 'open' ? () => this.#timeOut(hold) : () => this.#closeLateWindow(hold)
      items.push({ atMs: hold.dueMs, tie: `h${id}`, act })
    }
    for (const { atMs, tie, field } of this.#counters.due()) {
      const act = (): void => {
        if (this.#counters.retire(field, this.#now)) this.#entry(undefined, 0)
      }
      items.push({ atMs, tie, act })
    }
    return items
  }

  #makeUsable(grant: ModelGrant): void {
    grant.state = 'usable'
    this.#funded.add(grant.request.unit)
  }

  /** One that lives twice as long as its notice. */
  #planNotice(grant: ModelGrant): void {
    const { expiresAtMs, unit } = grant.request
    if (expiresAtMs === undefined) return
    const notice = this.#watched(unit).alerts?.expiresInMs ?? EXPIRES_IN_MS
    const atMs = expiresAtMs - notice
    if (atMs > this.#now && expiresAtMs - grant.effectiveAtMs >= 2 * notice) grant.noticeAtMs = atMs
  }

  #tellExpiring(grant: ModelGrant): void {
    grant.noticeAtMs = undefined
    const left = grant.free + grant.held
    if (grant.state !== 'usable' || left === 0n) return
    const { unit, scale, expiresAtMs } = grant.request
    const fields = { grant: grant.id, left: formatAmount(left, scale), expires: expiresAtMs }
    this.#state.events.push({ seq: this.#entry(unit, scale), unit, event: 'grant.expiring', fields })
  }

  #activate(grant: ModelGrant): void {
    this.#makeUsable(grant)
    const { unit, scale } = grant.request
    const repaid = grant.repays ? this.#repay(grant) : 0n
    if (repaid > 0n || isWatched(this.#watched(unit))) this.#entry(unit, scale)
  }

  #expire(grant: ModelGrant): void {
    grant.state = 'expired'
    grant.expired += grant.free
    const { free } = grant
    grant.free = 0n
    if (free + grant.held > 0n) this.#entry(grant.request.unit, grant.request.scale)
    this.#rollOver(grant, free)
  }

  #timeOut(hold: ModelHold): void {
    const { request } = hold
    const base = sum(hold.slices.map((slice) => slice.atoms)) + hold.overBase
    const known = least(base, most(request.floorAtoms, hold.known))
    const held = sum(hold.slices.map((slice) => slice.atoms)) + hold.over
    hold.state = 'timed out'
    const charge = this.#end(hold, { release: 0n, known, full: base }[request.onTimeout])
    const finalOfItem = (item: Kept): bigint => {
      if (item.budget.measure === 'concurrent' || request.onTimeout === 'release') return 0n
      return request.onTimeout === 'full' ? item.amount : least(item.amount, most(item.floor, item.known))
    }
    const counted = this.#counters.finish(hold.kept, finalOfItem, false, this.#now)
    this.#post(request.unit, charge)
    const drawn = sum(charge.drawn.map((slice) => slice.atoms))
    const [posted, charged] = [drawn + charge.overBase, drawn + charge.over]
    this.#state.timeouts.set(request.id, { terms: request, held, posted, charged })
    this.#charged(this.#entry(request.unit, request.scale), request.unit, counted, request.id)
    const policy = this.#opened(request.unit, hold.policy)
    Object.assign(hold, { slices: charge.drawn, overBase: charge.overBase, over: charge.over, policy })
    hold.dueMs += request.lateWindowMs ?? DAY_MS
  }

  #closeLateWindow(hold: ModelHold): void {
    this.#state.holds.delete(hold.request.id)
    this.#state.closed.set(hold.request.id, hold.late?.answer.seq)
  }

  // Charges.

  /** Posts the prefix of the slices and returns the rest; what is left goes to the overage and beyond. */
  #end(hold: ModelHold, final: bigint): Charge {
    const drawn: Slice[] = []
    this.#legs = []
    let left = final
    for (const slice of hold.slices) {
      const grant = this.#grant(slice.grant)
      const part = least(left, slice.atoms)
      grant.held -= slice.atoms
      grant.consumed += part
      draw(drawn, grant.id, part)
      this.#leg(`grant:${grant.id}`, part)
      if (grant.state === 'clawed_back') this.#clawConsumed(grant, part)
      giveTo(grant, slice.atoms - part)
      left -= part
    }
    const within = least(left, hold.overBase)
    return this.#force(hold.request, hold.policy, left - within, within, drawn, 0n, 0n)
  }

  /** `excess` that no hold covers: further grants, overage as the policy has it, debt. */
  #force(
    terms: HoldTerms,
    asHeld: Policy,
    excess: bigint,
    within: bigint,
    drawn: Slice[],
    overBase: bigint,
    over: bigint,
  ): Charge {
    const policy = this.#opened(terms.unit, asHeld)
    let left = excess
    for (const grant of excess > 0n ? this.#eligible(terms.unit, terms.facts, excess).found : []) {
      const part = least(left, grant.free)
      grant.free -= part
      grant.consumed += part
      draw(drawn, grant.id, part)
      this.#leg(`grant:${grant.id}`, part)
      left -= part
    }
    const admitted = least(left, most(0n, this.#room(terms.unit, policy) - within))
    const base = overBase + within + admitted
    const total = roundHalfEven(base, policy.millionths)
    if (total > over) {
      this.#owe(terms.unit, accountOf(policy), total - over)
      this.#over(terms.unit, { mode: policy.mode, name: accountOf(policy), atoms: total - over })
      this.#leg(accountOf(policy), total - over)
    }
    this.#owe(terms.unit, 'debt', left - admitted)
    this.#over(terms.unit, { mode: 'overrun', name: 'debt', atoms: left - admitted })
    this.#leg('debt', left - admitted)
    return { drawn, overBase: base, over: most(total, over), overrun: left - admitted }
  }

  #settleLate(hold: ModelHold, final: bigint, finalOfItem: (item: Kept) => bigint): SettleResult {
    this.#legs = []
    const { request } = hold
    const { unit, scale } = request
    const before = sum(hold.slices.map((slice) => slice.atoms))
    const posted = before + hold.overBase
    const drawn = hold.slices.map((slice) => ({ ...slice }))
    let charge: Charge = { drawn, overBase: hold.overBase, over: hold.over, overrun: 0n }
    if (final > posted) charge = this.#force(request, hold.policy, final - posted, 0n, drawn, hold.overBase, hold.over)
    if (final < posted) charge = this.#giveBack(hold, posted - final, drawn)
    this.#post(unit, { ...charge, drawn: [] }, -before - hold.over + sum(charge.drawn.map((slice) => slice.atoms)))
    const counted = this.#counters.finish(hold.kept, finalOfItem, true, this.#now)
    const answer = this.#settled('late_settled', unit, scale, charge, hold.policy, false, counted)
    hold.state = 'late'
    hold.late = { final, answer }
    this.#state.gaveBack.set(request.id, most(0n, before + hold.over - answer.chargedAtoms))
    return answer
  }

  /** The overage first, then the grants in reverse order of drawing. */
  #giveBack(hold: ModelHold, excess: bigint, drawn: Slice[]): Charge {
    const { unit, scale, id } = hold.request
    const { policy } = hold
    const fromOver = least(excess, hold.overBase)
    const overBase = hold.overBase - fromOver
    const over = fromOver > 0n ? roundHalfEven(overBase, policy.millionths) : hold.over
    const forgiven = hold.over > over ? this.#forgive(unit, accountOf(policy), hold.over - over) : NOTHING_LEFT
    let credit = forgiven.rest
    let left = excess - fromOver
    for (const slice of drawn.toReversed()) {
      const part = least(left, slice.atoms)
      credit += this.#giveToDrawn(this.#grant(slice.grant), part)
      slice.atoms -= part
      left -= part
    }
    const note = forgiven.note
    this.#credit(
      id,
      unit,
      scale,
      credit,
      note === undefined ? 'promotional' : 'invoiced',
      note === undefined ? { credit_of: id } : { credit_note: note },
    )
    inRange(this.#live(unit))
    return { drawn: drawn.filter((slice) => slice.atoms > 0n), overBase, over, overrun: 0n }
  }

  #post(unit: string, charge: Charge, more = 0n): void {
    const atoms = sum(charge.drawn.map((slice) => slice.atoms)) + charge.over + charge.overrun + more
    this.#state.posted.set(unit, (this.#state.posted.get(unit) ?? 0n) + atoms)
  }

  #settled(
    status: SettleResult['status'],
    unit: string,
    scale: number,
    charge: Charge,
    policy: Policy,
    post = true,
    counted: readonly Counted[] = [],
  ): SettleResult {
    const chargedAtoms = sum(charge.drawn.map((slice) => slice.atoms)) + charge.over + charge.overrun
    inRange(chargedAtoms)
    if (post) this.#post(unit, charge)
    const seq = this.#entry(unit, scale)
    if (status !== 'unmatched') this.#charged(seq, unit, counted)
    return {
      status,
      replay: false,
      seq,
      chargedAtoms,
      drawn: charge.drawn.map((slice) => ({ ...slice })),
      overage: overage(policy, charge.over),
      overrunAtoms: charge.overrun,
      availableAtoms: this.#available(unit),
    }
  }

  // What comes back, and what is taken back.

  #legs: Drawn[] = []

  #leg(from: string, atoms: bigint): void {
    if (atoms > 0n) this.#legs.push({ from, atoms })
  }

  #charged(seq: number, unit: string, counted: readonly Counted[], timedOut?: string): void {
    this.#state.charges.set(seq, { unit, drawn: this.#legs, refunded: 0n, counted, timedOut })
    this.#legs = []
  }

  /** Off what is owed; what was repaid meanwhile, or a closed period has, is left. */
  #forgive(unit: string, name: string, atoms: bigint): { readonly rest: bigint; readonly note: string | undefined } {
    const period = name.startsWith('overflow:') ? name.slice('overflow:'.length) : undefined
    if (period !== undefined && this.#state.closedPeriods.has(`${unit} ${period}`)) return { rest: atoms, note: period }
    const owed = least(atoms, this.#owed(unit, name))
    this.#owe(unit, name, -owed)
    return { rest: atoms - owed, note: undefined }
  }

  #giveToDrawn(grant: ModelGrant, atoms: bigint): bigint {
    const part = least(atoms, grant.consumed)
    grant.consumed -= part
    giveTo(grant, part)
    return this.#forgive(grant.request.unit, 'debt', atoms - part).rest
  }

  #credit(
    id: string,
    unit: string,
    scale: number,
    atoms: bigint,
    funding: 'promotional' | 'invoiced',
    labels: Readonly<Record<string, string>>,
  ): void {
    if (atoms === 0n) return
    inRange(this.#live(unit) + atoms)
    this.#create({ ...promotional(this.account, id, unit, scale, atoms, labels), funding }, this.#now)
  }

  #clawConsumed(grant: ModelGrant, atoms: bigint): void {
    grant.consumed -= atoms
    grant.voided += atoms
    this.#owe(grant.request.unit, 'debt', atoms)
  }

  #clawBack(grant: ModelGrant, atoms: bigint, whole: boolean): void {
    const free = least(atoms, grant.free)
    grant.free -= free
    grant.voided += free
    this.#clawConsumed(grant, atoms - free)
    if (!whole) return
    grant.state = 'clawed_back'
    grant.voidedAtMs ??= this.#now
  }

  #rollOver(grant: ModelGrant, free: bigint): void {
    const { rollover, unit, scale } = grant.request
    const { expiresAtMs } = grant.request
    if (!rollover || expiresAtMs === undefined || rollover.expiresAtMs <= Math.max(expiresAtMs, this.#now)) return
    const part = (free * BigInt(rollover.percentMillionths)) / 1_000_000n
    const atoms = least(rollover.maxAtoms, most(rollover.minAtoms, part))
    if (atoms === 0n || this.#live(unit) + atoms > MAX) return
    const request = promotional(this.account, rollover.id, unit, scale, atoms, { rollover_of: grant.id })
    this.#create({ ...request, priority: rollover.priority, expiresAtMs: rollover.expiresAtMs }, expiresAtMs)
    this.#entry(unit, scale)
  }

  #openPeriod(unit: string, period: string): string {
    const closed = this.#state.closedPeriods.get(`${unit} ${period}`)
    return closed ? this.#openPeriod(unit, closed.heir) : period
  }

  #opened(unit: string, policy: Policy): Policy {
    return policy.mode === 'overflow' ? { ...policy, period: this.#openPeriod(unit, policy.period) } : policy
  }

  #stopOf({ id, facts }: HoldRequest): string | undefined {
    const names = [
      ['request', id],
      ['run', facts.run ?? ''],
      ['user', facts.user ?? ''],
      ['key', facts.key],
    ] as const
    return names
      .map(([kind, value]) => `${kind}:${encodeURIComponent(value)}`)
      .find((name) => this.#state.stops.has(name))
  }

  // Grants and what is owed.

  #grant(id: string): ModelGrant {
    return this.#state.grants.get(id) as ModelGrant
  }

  #inOrder(unit: string): readonly ModelGrant[] {
    return [...this.#state.grants.values()]
      .filter((grant) => grant.request.unit === unit && grant.state === 'usable')
      .sort(drawdownOrder)
  }

  #eligible(unit: string, facts: HoldFacts, enough: bigint) {
    const found: ModelGrant[] = []
    let [free, pinned] = [0n, 0n]
    for (const grant of this.#inOrder(unit)) {
      if (!applies(grant.request, facts)) continue
      pinned += grant.held
      if (grant.free === 0n) continue
      found.push(grant)
      free += grant.free
      if (free >= enough || found.length === GRANTS_DRAWN) break
    }
    return { found, free, pinned }
  }

  /** How much more, at price, may go beyond the grants; `held`: as if open holds had this much overage. */
  #room(unit: string, policy: Policy, held?: bigint): bigint {
    if (policy.mode === 'block') return 0n
    if (policy.mode === 'flag' || policy.mode === 'postpaid') return MAX
    const name = accountOf(this.#opened(unit, policy))
    const inHolds = held ?? sum(this.#open(unit).map((h) => (accountOf(h.policy) === name ? h.over : 0n)))
    const limit = policy.mode === 'negative' ? -policy.limit : policy.limit
    const room = most(0n, limit - this.#owed(unit, name) - inHolds)
    if (policy.millionths === 0n) return room > 0n ? MAX : 0n
    return least(MAX, (room * 1_000_000n) / policy.millionths)
  }

  #fits(unit: string, fromGrants: bigint, over: bigint): boolean {
    const held = sum(this.#open(unit).map((hold) => sum(hold.slices.map((s) => s.atoms)) + hold.over))
    return this.#mostOwed(unit) + held + fromGrants + over <= MAX
  }

  #mostOwed(unit: string): bigint {
    const names = ['debt', 'flagged', 'postpaid'].map((name) => this.#owed(unit, name))
    return [...names, this.#overflow(unit)].reduce(most, 0n)
  }

  #open(unit?: string): readonly ModelHold[] {
    return [...this.#state.holds.values()].filter(
      (hold) => hold.state === 'open' && (unit === undefined || hold.request.unit === unit),
    )
  }

  #pin(found: readonly ModelGrant[], amount: bigint): Slice[] {
    const slices: Slice[] = []
    let left = amount
    for (const grant of found) {
      const part = least(left, grant.free)
      if (part === 0n) break
      grant.free -= part
      grant.held += part
      slices.push({ grant: grant.id, atoms: part })
      left -= part
    }
    return slices
  }

  #create(request: GrantRequest, effectiveAtMs: number): ModelGrant {
    const grant: ModelGrant = {
      id: request.id,
      request,
      repays: request.repaysDebt ?? (request.funding !== 'promotional' && request.appliesTo === undefined),
      seq: this.#state.seq + 1,
      createdAtMs: this.#now,
      effectiveAtMs,
      state: 'pending',
      payment: request.payment ?? 'none',
      free: request.amountAtoms,
      held: 0n,
      consumed: 0n,
      expired: 0n,
      voided: 0n,
      voidedAtMs: undefined,
      noticeAtMs: undefined,
    }
    if (effectiveAtMs <= this.#now && paidEnough(grant)) this.#makeUsable(grant)
    this.#planNotice(grant)
    this.#state.grants.set(grant.id, grant)
    return grant
  }

  #repay(grant: ModelGrant): bigint {
    const repaid = least(this.#owed(grant.request.unit, 'debt'), grant.free)
    grant.free -= repaid
    grant.consumed += repaid
    this.#owe(grant.request.unit, 'debt', -repaid)
    return repaid
  }

  #owed(unit: string, name: string): bigint {
    return this.#state.owed.get(`${unit} ${name}`) ?? 0n
  }

  #owe(unit: string, name: string, atoms: bigint): void {
    if (atoms === 0n) return
    this.#state.owed.set(`${unit} ${name}`, this.#owed(unit, name) + atoms)
    if (name.startsWith('overflow:')) this.#state.periods.add(`${unit} ${name.slice('overflow:'.length)}`)
    if (atoms > 0n) inRange(this.#mostOwed(unit) + this.#balance(unit).heldAtoms)
  }

  #overflow(unit: string): bigint {
    return sum(this.#periods(unit).map(([, atoms]) => atoms))
  }

  #periods(unit: string): readonly (readonly [string, bigint])[] {
    const prefix = `${unit} overflow:`
    return [...this.#state.owed]
      .filter(([name, atoms]) => name.startsWith(prefix) && atoms > 0n)
      .map(([name, atoms]) => [name.slice(prefix.length), atoms] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** All that live grants have, and could have again. */
  #live(unit: string): bigint {
    const live = [...this.#state.grants.values()].filter(
      ({ request, state }) => request.unit === unit && (state === 'usable' || state === 'pending'),
    )
    return sum(live.map((grant) => grant.free + grant.held))
  }

  #available(unit: string): bigint {
    return sum(this.#inOrder(unit).map((grant) => (grant.request.appliesTo === undefined ? grant.free : 0n)))
  }

  // Events.

  /** Since the last look: spend beyond the grants, units in which a grant became usable, or a top-up is due again. */
  #overs = new Map<string, Over[]>()
  #funded = new Set<string>()
  #topUpDue = new Set<string>()
  /** Units that an entry of this act is about, and what was charged when the operation began. */
  #said = new Set<string>()
  #postedAtFirst: ReadonlyMap<string, bigint> = new Map()

  #begin(clockMs: number): void {
    this.#now = Math.max(this.#state.lastMs, clockMs)
    this.#postedAtFirst = new Map(this.#state.posted)
    this.#startAct()
  }

  #startAct(): void {
    this.#overs = new Map()
    this.#funded = new Set()
    this.#topUpDue = new Set()
    this.#said = new Set()
  }

  #over(unit: string, over: Over): void {
    if (over.mode !== 'postpaid' && over.atoms > 0n) this.#overs.set(unit, [...(this.#overs.get(unit) ?? []), over])
  }

  /** What the last act made known. `refused`: a hold that found no money; `held`: one that was made. */
  #judge({ refused, held }: { refused?: HoldRequest & { needed: bigint }; held?: HoldRequest } = {}): void {
    if (refused?.alerts?.quiet || (refused && this.#watched(refused.unit).told.includes('exhausted'))) return
    if (refused) this.#state.units.set(refused.unit, refused.scale)
    for (const [unit, scale] of [...this.#state.units].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { balanceAtoms: balance, debtAtoms: debt } = this.#balance(unit)
      const was = this.#state.before.get(unit) ?? { balance: 0n, debt: 0n }
      this.#state.before.set(unit, { balance, debt })
      const before = this.#watched(unit)
      const needed = refused?.unit === unit ? refused.needed : undefined
      const given = held?.unit === unit && !sameAlerts(held.alerts, before.alerts) ? { alerts: held.alerts } : undefined
      const overs = this.#overs.get(unit) ?? []
      const changed =
        overs.length > 0 ||
        given !== undefined ||
        needed !== undefined ||
        this.#topUpDue.has(unit) ||
        (balance !== was.balance && (isWatched(before) || balance === 0n)) ||
        (debt !== was.debt && isWatched(before))
      if (!changed) continue
      const { watched, events } = judge(before, {
        nowMs: this.#now,
        scale,
        was,
        is: { balance, debt },
        postedBefore: this.#postedAtFirst.get(unit) ?? 0n,
        posted: this.#state.posted.get(unit) ?? 0n,
        overs,
        isOver: (name) => this.#owed(unit, name) + this.#heldOver(unit, name) > 0n,
        funded: this.#funded.has(unit),
        needed,
        given,
      })
      this.#state.watched.set(unit, watched)
      for (const event of events) this.#state.events.push({ seq: this.#entry(unit, scale), unit, ...event })
      // A change that no entry says has one of its own.
      if (json(watched) !== json(before) && !this.#said.has(unit)) this.#entry(unit, scale)
    }
    this.#startAct()
  }

  #tell(tells: readonly Told[], unit: string, scale: number): void {
    for (const tell of tells) this.#state.events.push({ seq: this.#entry(unit, scale), unit, ...tell(unit, scale) })
  }

  #watched(unit: string): Watched {
    return this.#state.watched.get(unit) ?? UNWATCHED
  }

  /** Of debt and of periods: what open holds flag is not told apart from what they hold. */
  #heldOver(unit: string, name: string): bigint {
    return name === 'flagged' ? 0n : sum(this.#open(unit).map((h) => (accountOf(h.policy) === name ? h.over : 0n)))
  }

  /** Events that are handed over, as the ledger has them. */
  get events(): readonly ModelEvent[] {
    return this.#state.events
  }

  /** What is remembered of each unit that is watched, as its record has it. */
  get watches(): readonly (readonly [unit: string, record: string])[] {
    return [...this.#state.watched].flatMap(([unit, watched]) => {
      const record = packWatched(watched)
      return record === undefined ? [] : [[unit, record] as const]
    })
  }

  /** Sequences of those that wait. */
  get pending(): readonly number[] {
    return this.#state.events.map(({ seq }) => seq).filter((seq) => seq > this.#handedOver)
  }

  handOver(upToSeq: number): number {
    this.#handedOver = Math.max(this.#handedOver, upToSeq)
    return this.pending.length
  }

  // Entries, operations, views.

  #entry(unit: string | undefined, scale: number): number {
    if (unit !== undefined) {
      this.#state.units.set(unit, scale)
      this.#said.add(unit)
    }
    this.#state.lastMs = this.#now
    return ++this.#state.seq
  }

  #transact<T>(act: () => T): T {
    const before = cloneState(this.#state)
    const counters = this.#counters.clone()
    try {
      return act()
    } catch (error) {
      this.#state = before
      this.#counters = counters
      throw error
    }
  }

  #tooOld(operationId: string): boolean {
    const atMs = idTimeMs(operationId)
    return atMs !== undefined && this.#now - atMs > OPERATION_MS
  }

  #operation<T>(id: string, fingerprint: string, clockMs: number, act: () => AdminResult<T>): AdminResult<T> {
    this.#begin(clockMs)
    const before = this.#state.operations.get(id)
    if (before && before.fingerprint !== fingerprint) return { status: 'conflict' }
    if (before) {
      const answer = before.answer as AdminResult<T>
      return answer.status === 'done' ? { ...answer, replay: true } : answer
    }
    this.#sweep()
    const answer = act()
    this.#judge()
    return answer
  }

  #remember<T>(id: string, fingerprint: string, answer: AdminResult<T>): AdminResult<T> {
    this.#state.operations.set(id, { fingerprint, answer })
    return answer
  }

  #balance(unit: string): Balance {
    const grants = [...this.#state.grants.values()].filter((grant) => grant.request.unit === unit)
    const usable = grants.filter((grant) => grant.state === 'usable')
    const of = (list: readonly ModelGrant[], pick: (grant: ModelGrant) => bigint) => sum(list.map(pick))
    return {
      unit,
      scale: this.#state.units.get(unit) ?? 0,
      grantedAtoms: of(grants, (grant) => grant.request.amountAtoms),
      postedAtoms: this.#state.posted.get(unit) ?? 0n,
      expiredAtoms: of(grants, (grant) => grant.expired + grant.voided),
      balanceAtoms: of(usable, (grant) => grant.free + grant.held),
      heldAtoms: sum(this.#open(unit).map((hold) => sum(hold.slices.map((slice) => slice.atoms)) + hold.over)),
      availableAtoms: this.#available(unit),
      scopedAtoms: of(usable, (grant) => (grant.request.appliesTo === undefined ? 0n : grant.free)),
      pendingAtoms: of(grants, (grant) => (grant.state === 'pending' ? grant.free : 0n)),
      debtAtoms: this.#owed(unit, 'debt'),
      overflowAtoms: this.#overflow(unit),
      overflowPeriods: Object.fromEntries(this.#periods(unit)),
      closedPeriods: Object.fromEntries(
        [...this.#state.closedPeriods]
          .filter(([name]) => name.startsWith(`${unit} `))
          .map(([name, { atMs }]) => [name.slice(unit.length + 1), atMs] as const)
          .sort(([x], [y]) => (x < y ? -1 : 1)),
      ),
      flaggedAtoms: this.#owed(unit, 'flagged'),
      postpaidAtoms: this.#owed(unit, 'postpaid'),
      frozen: this.#state.frozen,
    }
  }

  #grantView(grant: ModelGrant): Grant {
    const { operationId: _, actor: __, repaysDebt: ___, rollover: ____, ...request } = grant.request
    return {
      ...request,
      payment: grant.payment,
      availability: grant.request.availability ?? 'on_creation',
      state: grant.state,
      effectiveAtMs: grant.effectiveAtMs,
      repaysDebt: grant.repays,
      freeAtoms: grant.free,
      heldAtoms: grant.held,
      consumedAtoms: grant.consumed,
      expiredAtoms: grant.expired,
      voidedAtoms: grant.voided,
      createdAtMs: grant.createdAtMs,
      voidedAtMs: grant.voidedAtMs,
      seq: grant.seq,
    }
  }

  #holdView(hold: ModelHold): OpenHold {
    const { id, unit, scale, facts, floorAtoms } = hold.request
    const { labels: _, ...shown } = facts
    return {
      id,
      account: this.account,
      unit,
      scale,
      heldAtoms: sum(hold.slices.map((slice) => slice.atoms)) + hold.over,
      overageAtoms: hold.over,
      floorAtoms,
      checkpointAtoms: hold.known,
      createdAtMs: hold.createdAtMs,
      deadlineAtMs: hold.deadlineAtMs,
      slices: hold.slices.map((slice) => ({ ...slice })),
      ...shown,
    }
  }
}

/** What time decides. */
interface Due {
  readonly atMs: number
  readonly tie: string
  readonly act: () => void
}

function sameAlerts(a: HoldRequest['alerts'], b: HoldRequest['alerts']): boolean {
  return encodeAlerts(a) === encodeAlerts(b)
}

interface Refusal {
  readonly status: HoldRefusalStatus
  readonly needed: bigint
  readonly available: bigint
  readonly bound?: Bound
}

/** What an item of a hold's budgets comes to when the call is settled. */
function finalOf({ terms, finalAtoms, finals }: SettleRequest): (item: Kept) => bigint {
  return ({ budget, amount }) => {
    if (budget.measure === 'concurrent') return 0n
    return budget.measure === terms.unit ? finalAtoms : (finals?.[budget.measure] ?? amount)
  }
}

interface Charge {
  readonly drawn: Slice[]
  readonly overBase: bigint
  readonly over: bigint
  readonly overrun: bigint
}

const NOTHING_LEFT: { readonly rest: bigint; readonly note: string | undefined } = { rest: 0n, note: undefined }

function paidEnough({ payment, request }: ModelGrant): boolean {
  const { availability = 'on_creation' } = request
  if (availability === 'on_creation') return payment !== 'failed'
  if (availability === 'on_authorized') return payment === 'authorized' || payment === 'settled'
  return payment === 'settled'
}

function isBefore(a: { atMs: number; tie: string }, b: { atMs: number; tie: string }): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie)
}

function timeOf(id: string): number {
  return idTimeMs(id) as number
}

function overage(policy: Policy, atoms: bigint): Overage | undefined {
  return atoms > 0n && policy.mode !== 'block' ? { mode: policy.mode, atoms } : undefined
}

/** A grant stands once in a list of drawings. */
function draw(drawn: Slice[], grant: string, atoms: bigint): void {
  if (atoms === 0n) return
  const before = drawn.find((slice) => slice.grant === grant)
  if (before) before.atoms += atoms
  else drawn.push({ grant, atoms })
}

/** What comes back is free again, or gone with a grant that is gone. */
function giveTo(grant: ModelGrant, atoms: bigint): void {
  if (grant.state === 'voided' || grant.state === 'clawed_back') grant.voided += atoms
  else if (grant.state === 'expired') grant.expired += atoms
  else grant.free += atoms
}

function promotional(
  account: string,
  id: string,
  unit: string,
  scale: number,
  amountAtoms: bigint,
  labels: Readonly<Record<string, string>>,
): GrantRequest {
  return {
    account,
    operationId: id,
    id,
    key: undefined,
    unit,
    scale,
    amountAtoms,
    funding: 'promotional',
    priority: 10,
    effectiveAtMs: undefined,
    expiresAtMs: undefined,
    appliesTo: undefined,
    costBasis: undefined,
    repaysDebt: false,
    labels,
    actor: 'gateway',
  }
}
