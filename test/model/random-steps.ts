/**
 * Random steps of an account's history, decided by the seed and by the model alone: few ids, so that retries, conflicts
 * and ends without a hold occur; small amounts and the largest; times that fall on edges.
 */
import type { WalletAlerts } from '../../src/core/alerts.ts'
import { newId as newIdOfChance } from '../../src/core/ids.ts'
import { ATOMS_MAX } from '../../src/core/money.ts'
import type { GrantRequest, HoldRequest, StopKind } from '../../src/wallet/wallet-types.ts'
import { type Random, randomFrom } from './random.ts'
import { randomAlerts } from './random-alerts.ts'
import { amountsOf, budgetsOf, finalsOf, randomBudgets } from './random-budgets.ts'
import { type Plan, type Planner, planOf } from './random-plans.ts'
import type { Kind, Requests, Step } from './steps.ts'
import { WalletModel } from './wallet-model.ts'

/** Far ahead of any real clock, so that Redis drops no record whose life is told by the test's time. */
export const START_MS = 4_000_000_000_000

const UNITS = [
  { unit: 'USD', scale: 9 },
  { unit: 'USD', scale: 9 },
  { unit: 'USD', scale: 9 },
  { unit: 'credits', scale: 0 },
] as const
const HOUR_MS = 3_600_000
const MODELS = ['gpt-5-mini', 'gpt-5-mini', 'claude-sonnet', 'o*+']
const POLICIES: readonly Pick<HoldRequest, 'onExhausted' | 'overflowPeriod' | 'observe'>[] = [
  { onExhausted: { mode: 'block' }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'block' }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'negative', floorAtoms: -300n }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'negative', floorAtoms: 0n }, overflowPeriod: '', observe: false },
  ...['1', '1.25', '0.333333', '2.5', '0', '1000', '0.500001'].map((multiplier, i) => ({
    onExhausted: { mode: 'overflow', capAtoms: 400n, period: 'month', multiplier } as const,
    overflowPeriod: i % 2 === 0 ? '2096-10' : '2096-11',
    observe: i === 3,
  })),
  // Caps that only the largest amounts come to.
  ...['0.333333', '1.25'].map((multiplier) => ({
    onExhausted: { mode: 'overflow', capAtoms: 2_000_000_123_456_789n, period: 'month', multiplier } as const,
    overflowPeriod: '2096-10',
    observe: false,
  })),
  { onExhausted: { mode: 'flag' }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'postpaid' }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'block' }, overflowPeriod: '', observe: true },
]
const SCOPES: readonly GrantRequest['appliesTo'][] = [
  undefined,
  undefined,
  undefined,
  { models: ['gpt-*'] },
  { models: ['claude-*', '*mini'] },
  { labels: { team: 'platform' } },
  { labels: { team: 'plat.orm' } },
  { endpoints: ['chat'], upstreams: ['openai'], labels: { team: 'platform' } },
]

/** A name with runs of it replaced by a star, and sometimes a letter of it that is another, or one more. */
function globOf(random: Random, name: string): string {
  let glob = random.chance(0.15) ? '*' : ''
  for (const letter of name) {
    if (random.chance(0.25)) {
      if (!glob.endsWith('*')) glob += '*'
      // It stands for nothing, or for one letter and more.
      if (random.chance(0.5)) glob += letter
    } else glob += random.chance(0.02) ? 'x' : letter
  }
  return glob + random.pick(['', '', '', '*', 'i'])
}

/** How large amounts are in a history: most are small, so that sums meet each other; some are at the end of the range. */
type Amounts = (random: Random) => bigint
const small: Amounts = (random) => (random.chance(0.12) ? 0n : BigInt(random.below(200)))
const large: Amounts = (random) =>
  random.pick([
    () => small(random),
    () => ATOMS_MAX - BigInt(random.below(3)),
    () => ATOMS_MAX / BigInt(1 + random.below(4)),
    () => 1_000_000_000_000_000n - BigInt(random.below(2)),
  ])()

export interface History {
  readonly random: Random
  readonly model: WalletModel
  readonly clock: { nowMs: number }
  readonly amounts: Amounts
  /** Few, so that open calls share what there is of overage. */
  readonly policies: typeof POLICIES
  readonly budgets: ReturnType<typeof randomBudgets>
  /** What the plan wants to hear of: edited now and then. */
  alerts: WalletAlerts | undefined
  /** Requests of calls by id: at most eight at a time. */
  readonly calls: HoldRequest[]
  /** Numbers given to checkpoints so far. */
  checkpoints: number
  /** What may be asked once more, as it was. */
  readonly recent: Step[]
  /** What is left of a plan. */
  planned: Plan
}

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** An id of ours that the seed alone decides: ids break ties. */
function newId(random: Random, nowMs: number): string {
  let id = newIdOfChance(nowMs).slice(0, 10)
  for (let i = 0; i < 16; i++) id += DIGITS[random.below(32)]
  return id
}

function inRange(atoms: bigint): bigint {
  return atoms < 0n ? 0n : atoms > ATOMS_MAX ? ATOMS_MAX : atoms
}

/** What the wallet could just pay for, with and without overage and open holds, or one more or less. */
function onTheEdge({ random, model, clock }: History, unit: string): bigint {
  const balance = model.balanceOf(unit, clock.nowMs)
  if (!balance) return 0n
  const { availableAtoms, scopedAtoms, balanceAtoms } = balance
  const funds = random.pick([availableAtoms, availableAtoms + scopedAtoms, balanceAtoms])
  return inRange(funds + random.pick([0n, 0n, 0n, 300n, 400n]) + random.pick([-1n, 0n, 0n, 1n]))
}

/**
 * Of a call's id. An hour is the most: one a millisecond older is refused. Some are of a clock that is ahead, not so far
 * that a window of theirs outlives its counter: the gateway keeps those a day longer than any window.
 */
const AGES_MS = [...Array.from({ length: 20 }, () => 0), -800, -800, 5000, 5000, 5000, HOUR_MS, HOUR_MS + 1]

/** As much as a wallet may come to owe, where amounts are large. */
function fixedAtomsOf(history: History, unit: string): bigint {
  const { random, amounts, model } = history
  if (amounts !== large || !random.chance(0.15)) return amounts(random)
  return inRange(model.brim(unit).owed + random.pick([-1n, 0n, 0n, 1n]))
}

function call(history: History): HoldRequest {
  const { random, amounts, clock, model } = history
  const least = random.below(5)
  const want = least + random.below(40)
  const edge = random.chance(0.25)
  const { unit, scale } = random.pick(UNITS)
  const budgets = budgetsOf(random, history.budgets, clock.nowMs)
  return {
    ...(budgets.length > 0 && { budgets, amounts: amountsOf(random, unit, () => amounts(random)) }),
    id: newId(random, clock.nowMs - random.pick(AGES_MS)),
    account: model.account,
    unit,
    scale,
    ...random.pick(history.policies),
    facts: {
      model: random.pick(MODELS),
      upstream: random.pick(['openai', 'openai', 'anthropic']),
      endpoint: 'chat',
      key: 'k',
      run: random.pick([undefined, 'a;b,c=d|e']),
      user: undefined,
      labels: random.pick([{}, { team: 'platform' }, { other: 'x', team: 'platform' }]),
    },
    floorAtoms: random.chance(0.5) ? 0n : small(random),
    priceVersion: 'v1',
    onTimeout: random.pick(['known', 'known', 'release', 'full'] as const),
    ...random.pick([{}, {}, { lateWindowMs: random.pick([7_200_000, 86_400_000, 604_800_000]) }]),
    fixedAtoms: edge ? onTheEdge(history, unit) : fixedAtomsOf(history, unit),
    perTokenAtoms: edge ? 0n : BigInt(random.below(4)),
    leastTokens: least,
    wantTokens: want,
    totalTokens: want + random.pick([0, 0, 50]),
    deadlineMs: random.pick([1, 100, 2000, 4000, 60_000, 60_000, 60_000, 60_000]),
    dryRun: random.chance(0.05),
    ...(history.alerts && { alerts: history.alerts }),
    info: '{}',
  }
}

/** A call that is open, or another of the history; sometimes with an argument changed. */
function known(history: History): HoldRequest {
  const { random, calls, model } = history
  const open = random.chance(0.6) ? random.pick(model.openCalls) : undefined
  return changed(random, open ?? calls[random.below(8)] ?? newCall(history))
}

function newCall(history: History): HoldRequest {
  if (history.random.chance(0.03)) history.alerts = randomAlerts(history.random, history.clock.nowMs)
  const request = call(history)
  history.calls[history.random.below(8)] = request
  return request
}

function changed(random: Random, request: HoldRequest): HoldRequest {
  return random.chance(0.03) ? { ...request, fixedAtoms: (request.fixedAtoms + 1n) % ATOMS_MAX } : request
}

/** An operation id's life: one a millisecond older is refused. */
const OPERATION_MS = 35 * 86_400_000

function operation({ random, model, clock }: History) {
  const operationId = random.chance(0.2)
    ? `key:${random.below(6)}`
    : newId(random, clock.nowMs - (random.chance(0.04) ? OPERATION_MS + random.below(2) : 0))
  return { account: model.account, operationId, reason: 'test', actor: 'test' }
}

const PERIODS = ['2096-10', '2096-11', '2096-12']

/** As much as there is room for in a number, or one more or less, where amounts are large; else any. */
function upToTheBrim({ random, model, amounts }: History, what: 'owed' | 'live', unit: string): bigint {
  if (amounts !== large || !random.chance(0.35)) return amounts(random)
  return inRange(model.brim(unit)[what] + random.pick([-1n, 0n, 0n, 1n]))
}

/** One token that fills what may be owed or be in grants, where amounts are large. */
function extendToTheBrim({ random, model, amounts }: History): Partial<Requests['checkpoint']['extend']> {
  if (amounts !== large || !random.chance(0.3)) return {}
  const { owed } = model.brim(random.pick(UNITS).unit)
  return { perTokenAtoms: inRange(owed + random.pick([-1n, 0n, 0n, 1n])), leastTokens: 1, wantTokens: 1 }
}

/** What the call held, or one more or less; what it reserved at least; any. */
function finalAtomsOf(history: History, { id, unit, fixedAtoms }: HoldRequest): bigint {
  const { random, model } = history
  const held = random.chance(0.15) ? model.heldAtomsOf(id) : undefined
  if (held !== undefined && held > 0n) return held + random.pick([-1n, 0n, 1n])
  return random.chance(0.3) ? fixedAtoms : upToTheBrim(history, 'owed', unit)
}

/** All of a grant, or its free part, what is free and spent of it, or what debt has room for beside what is free. */
function partOf({ random, model }: History, id: string): bigint {
  const { free, held, consumed, room } = model.partsOf(id)
  const atoms =
    random.pick([free + consumed + held, free + consumed, free, free + room]) + random.pick([-1n, 0n, 0n, 1n])
  return atoms < 1n ? 1n : atoms
}

/** Most often one that is paid for by and by. */
function unpaidOf(history: History): string {
  return (history.random.chance(0.7) ? history.random.pick(history.model.payables) : undefined) ?? grantOf(history)
}

/** Often one that an open call has a part of. */
function grantOf({ random, model, clock }: History): string {
  const held = random.chance(0.4) ? random.pick(model.heldGrants) : undefined
  const known = held ?? (random.chance(0.1) ? undefined : random.pick(model.grantIds))
  return known ?? newId(random, clock.nowMs)
}

/** Most often one with flagged spend. */
function flaggedUnitOf({ random, model }: History): string {
  const flagged = model.balancesAsTheyAre.filter(({ flaggedAtoms }) => flaggedAtoms > 0n)
  return (random.chance(0.8) ? random.pick(flagged)?.unit : undefined) ?? random.pick(UNITS).unit
}

/** Most often one of the last, or one that a closed period has a part of. */
function chargeOf({ random, model }: History): number {
  if (random.chance(0.1)) return 1 + random.below(99)
  return (
    (random.chance(0.3) ? random.pick(model.closedCharges) : undefined) ?? random.pick(model.charges.slice(-3)) ?? 1
  )
}

/** Of a new grant; rarely one that is taken. */
function idOfGrant({ random, model, clock }: History): string {
  return (random.chance(0.03) ? random.pick(model.grantIds) : undefined) ?? newId(random, clock.nowMs)
}

/** Most grants are simply there; some wait for a payment, and some leave their rest to another. */
function termsOf({ random, clock }: History, baseMs: number): Partial<GrantRequest> {
  if (random.chance(0.5)) return {}
  const payment = random.pick(['none', 'pending', 'pending', 'authorized', 'settled'] as const)
  const availability = random.pick(['on_creation', 'on_authorized', 'on_settled'] as const)
  if (random.chance(0.6)) return { payment, availability: payment === 'none' ? 'on_creation' : availability }
  return {
    rollover: {
      percentMillionths: random.pick([0, 333_333, 1_000_000, 2_000_000]),
      minAtoms: random.pick([0n, 0n, 5n]),
      maxAtoms: random.pick([0n, 20n, 1000n]),
      expiresAtMs: baseMs + random.pick([500, 2500, 9000]),
      priority: random.pick([0, 9]),
      id: newId(random, clock.nowMs),
    },
  }
}

const MAKERS: {
  readonly [K in Exclude<Kind, 'check'>]: readonly [weight: number, make: (history: History) => Requests[K]]
} = {
  hold: [44, (history) => (history.random.chance(0.75) ? newCall(history) : known(history))],
  settle: [
    20,
    (history) => {
      const { random } = history
      // The config may have been edited since the hold: its own terms count, and another unit is a conflict.
      const terms = {
        ...known(history),
        ...(random.chance(0.1) ? random.pick(history.policies) : {}),
        ...(random.chance(0.02) ? random.pick(UNITS) : {}),
      }
      const finalAtoms = finalAtomsOf(history, terms)
      return { terms, finalAtoms, finals: finalsOf(random, terms.unit), info: '{}' }
    },
  ],
  checkpoint: [
    12,
    (history) => {
      const { random, model } = history
      const id = random.chance(0.7) ? random.pick(model.openCalls)?.id : undefined
      const extend = {
        perTokenAtoms: BigInt(random.below(4)),
        leastTokens: random.below(5),
        wantTokens: 5 + random.below(20),
        ...extendToTheBrim(history),
      }
      return {
        id: id ?? known(history).id,
        account: model.account,
        number: random.chance(0.7) ? ++history.checkpoints : 1 + random.below(6),
        cumulativeAtoms: small(random),
        amounts: ['tokens', 'EUR'].map((measure) => ({
          measure,
          known: small(random),
          perToken: BigInt(random.below(3)),
        })),
        deadlineMs: random.pick([1, 1000, 4000, 30_000]),
        extend: random.chance(0.6) ? extend : undefined,
      }
    },
  ],
  void: [
    6,
    (history) => {
      const { random, clock } = history
      const { id, account } = known(history)
      // An id that has no hold is closed as long as one could open under it.
      const absent = random.chance(0.1) ? newId(random, clock.nowMs - HOUR_MS - random.below(2)) : id
      return { id: absent, account, reason: 'test' }
    },
  ],
  grant: [
    14,
    (history) => {
      const { random, model, clock } = history
      const effectiveAtMs = random.chance(0.3) ? clock.nowMs + random.pick([-1000, -1, 0, 1, 100, 2000]) : undefined
      const base = effectiveAtMs ?? clock.nowMs
      const { reason: _, ...given } = operation(history)
      const { unit, scale } = random.pick(UNITS)
      return {
        ...given,
        id: idOfGrant(history),
        key: random.chance(0.25) ? `key-${random.below(3)}` : undefined,
        unit,
        // A wallet that is not there yet would take the wrong scale for its own.
        scale: random.chance(0.02) && model.has(unit) ? 3 : scale,
        amountAtoms: 1n + (upToTheBrim(history, 'live', unit) % ATOMS_MAX),
        funding: random.pick(['promotional', 'invoiced', 'external'] as const),
        priority: random.pick([0, 10, 10, 10]),
        effectiveAtMs,
        expiresAtMs: random.chance(0.6)
          ? base + random.pick([0, 1, 2, 100, 600, 800, 1000, 1000, 2000, 4000, 6000])
          : undefined,
        appliesTo: random.chance(0.15) ? { models: [globOf(random, random.pick(MODELS))] } : random.pick(SCOPES),
        costBasis: random.pick([undefined, undefined, '0', '0.5', '0.50', '9', '10']),
        repaysDebt: random.pick([undefined, undefined, true, false]),
        labels: {},
        ...termsOf(history, base),
      }
    },
  ],
  voidGrant: [3, (history) => ({ ...operation(history), grant: grantOf(history) })],
  clawback: [
    4,
    (history) => {
      const { random, amounts } = history
      const grant = grantOf(history)
      const amountAtoms = random.chance(0.4)
        ? undefined
        : random.chance(0.4)
          ? partOf(history, grant)
          : 1n + (amounts(random) % 60n)
      return { ...operation(history), grant, amountAtoms, freeze: random.chance(0.1) }
    },
  ],
  payment: [
    5,
    (history) => {
      const { random } = history
      const payment = random.pick(['authorized', 'settled', 'settled', 'failed'] as const)
      return { ...operation(history), grant: unpaidOf(history), payment }
    },
  ],
  refund: [
    8,
    (history) => {
      const { random, amounts, clock } = history
      return {
        ...operation(history),
        chargeSeq: chargeOf(history),
        amountAtoms: random.chance(0.3)
          ? undefined
          : 1n + ((random.chance(0.7) ? small(random) / 4n : amounts(random)) % ATOMS_MAX),
        mode: random.pick(['original', 'original', 'new_grant'] as const),
        grantId: newId(random, clock.nowMs),
        noteId: newId(random, clock.nowMs),
      }
    },
  ],
  resolveUnmatched: [
    3,
    (history) => {
      const { random, model } = history
      const seq = random.chance(0.1) ? 1 + random.below(99) : (random.pick(model.unmatched.slice(-2)) ?? 1)
      return { ...operation(history), seq, decision: random.pick(['charge', 'charge', 'dismiss'] as const) }
    },
  ],
  resolveFlagged: [
    2,
    (history) => {
      const { random, amounts, model } = history
      const unit = flaggedUnitOf(history)
      const to = random.pick(['debt', 'overflow', 'written_off'] as const)
      const room = model.roomFor(unit, to === 'overflow' ? to : 'debt') + random.pick([0n, 0n, 1n])
      const any = 1n + (amounts(random) % ATOMS_MAX)
      const amountAtoms = amounts === large && room > 0n && random.chance(0.4) ? room : any
      return {
        ...operation(history),
        unit,
        amountAtoms: random.chance(0.4) ? undefined : amountAtoms,
        to,
        period: random.pick(PERIODS),
      }
    },
  ],
  closePeriod: [
    3,
    (history) => {
      const { random, model } = history
      const known = random.chance(0.7) ? random.pick(model.overflows) : undefined
      const period = known && known.period !== '2096-12' ? known.period : random.pick(['2096-10', '2096-11'])
      return {
        ...operation(history),
        unit: known?.unit ?? random.pick(UNITS).unit,
        period,
        heir: period === '2096-10' ? '2096-11' : '2096-12',
        force: random.chance(0.5),
      }
    },
  ],
  stop: [
    3,
    (history) => {
      const { random, calls } = history
      const [kind, value] = random.pick([
        ['run', 'a;b,c=d|e'],
        ['key', 'k'],
        ['user', 'u'],
        ['request', calls[random.below(8)]?.id ?? 'x'],
      ] as const)
      const stop = { id: 's', kind, value, reason: 'test', cut: false, atMs: 1, actor: 'test' }
      if (random.chance(0.3)) return { ...operation(history), kind, value, stop }
      return lifted(history) ?? { ...operation(history), kind, value, stop: undefined }
    },
  ],
  adjust: [
    4,
    (history) => {
      const { random } = history
      const unit = random.pick(UNITS)
      const amountAtoms = (1n + (upToTheBrim(history, 'live', unit.unit) % ATOMS_MAX)) * random.pick([1n, -1n])
      return { ...operation(history), grantId: idOfGrant(history), ...unit, amountAtoms }
    },
  ],
  freeze: [2, (history) => ({ ...operation(history), frozen: history.random.chance(0.2) })],
  handOver: [3, ({ random, model }) => ({ account: model.account, upToSeq: random.pick(model.pending) ?? 0 })],
  sweep: [4, () => null],
  wait: [
    14,
    ({ random, model, clock }) => {
      const due = random.chance(0.3)
        ? nextOf(random.chance(0.3) ? model.windowEdges : model.edges, clock.nowMs)
        : undefined
      if (due !== undefined) clock.nowMs = due - random.pick([0, 0, 1])
      else if (random.chance(0.06))
        clock.nowMs += random.pick([3_600_000, 3_600_001, 7_200_000, 86_400_000, 90_000_000])
      else clock.nowMs += random.pick([1, 1, 10, 500, 3000, -1, -40])
      return null
    },
  ],
}

function nextOf(timesMs: readonly number[], nowMs: number): number | undefined {
  return timesMs.reduce<number | undefined>(
    (next, atMs) => (atMs > nowMs && !(next && next <= atMs) ? atMs : next),
    undefined,
  )
}

type Made = Exclude<Kind, 'check'>
const WEIGHTED = (Object.keys(MAKERS) as Made[]).flatMap((kind) => Array.from({ length: MAKERS[kind][0] }, () => kind))

export function beginHistory(seed: number, account: string): History {
  const random = randomFrom(seed)
  const amounts = random.chance(0.2) ? large : small
  return {
    random,
    model: new WalletModel(account),
    clock: { nowMs: START_MS },
    amounts,
    budgets: random.chance(0.7) ? randomBudgets(random, amounts === large && random.chance(0.5)) : [],
    policies: [random.pick(POLICIES), random.pick(POLICIES), random.pick(POLICIES)],
    alerts: random.chance(0.7) ? randomAlerts(random, START_MS) : undefined,
    calls: [],
    checkpoints: 0,
    recent: [],
    planned: [],
  }
}

/** Of a call that timed out a day and more ago, or of one that nobody knows: it will wait for an operator. */
function settleTooLate(history: History): Step {
  const { random, model, clock, amounts } = history
  const ofOld = { ...call(history), id: newId(random, clock.nowMs - 90_000_000) }
  const terms = random.pick(model.outlived) ?? ofOld
  // As much as the timeout posted leaves nothing to charge.
  const posted = model.timeoutOf(terms.id)?.posted
  const finalAtoms = posted !== undefined && random.chance(0.3) ? posted + random.pick([0n, 1n]) : amounts(random)
  return { kind: 'settle', atMs: clock.nowMs, request: { terms, finalAtoms, info: '{}' } }
}

/** One of those in force. A stopped key, or a frozen account, ends the holds of a history: most of them are to be held. */
function lifted(history: History): Requests['stop'] | undefined {
  const [kind, value = ''] = history.random.pick(history.model.stops)?.split(':') ?? []
  if (kind === undefined) return undefined
  return { ...operation(history), kind: kind as StopKind, value: decodeURIComponent(value), stop: undefined }
}

function thawed(history: History): Requests['freeze'] {
  return { ...operation(history), frozen: false }
}

/** The same grant once more by another operation: its key alone tells that it was made. */
function underNewId({ random, clock }: History, request: GrantRequest): GrantRequest {
  return { ...request, operationId: newId(random, clock.nowMs), id: newId(random, clock.nowMs) }
}

/** The next step of a plan that was begun, or of a new one. */
function plannedStep(history: History): Step | undefined {
  const { random, clock, model, amounts } = history
  const planner: Planner = {
    random,
    model,
    clock,
    call: () => call(history),
    grant: () => MAKERS.grant[1](history),
    operation: () => operation(history),
    newId: () => newId(random, clock.nowMs),
  }
  if (history.planned.length === 0) history.planned = planOf(planner, amounts === large)
  while (history.planned.length > 0) {
    const [make, ...rest] = history.planned
    history.planned = rest
    const [kind, request] = Object.entries(make?.(planner) ?? {})[0] ?? []
    if (kind !== undefined) return { kind, atMs: clock.nowMs, request } as Step
  }
  return undefined
}

/** Follows from the seed and what the model has come to by the steps before. */
export function nextStep(history: History): Step {
  const { random, recent, clock, model } = history
  const again = random.chance(0.06) ? random.pick(recent) : undefined
  // The id of what it leaves to the next is used once.
  if (again?.kind === 'grant' && !again.request.rollover && random.chance(0.5)) {
    return { ...again, atMs: clock.nowMs, request: underNewId(history, again.request) }
  }
  if (again) return { ...again, atMs: clock.nowMs }
  // Most often one after the other: what comes between may spoil it.
  if (random.chance(history.planned.length > 0 ? 0.9 : 0.035)) {
    const planned = plannedStep(history)
    if (planned) return planned
  }
  const stop = random.chance(0.1) ? lifted(history) : undefined
  if (stop) return { kind: 'stop', atMs: clock.nowMs, request: stop }
  if (model.isFrozen && random.chance(0.1)) return { kind: 'freeze', atMs: clock.nowMs, request: thawed(history) }
  const kind = random.pick(WEIGHTED)
  if (kind === 'resolveUnmatched' && model.waiting.length === 0 && random.chance(0.7)) return settleTooLate(history)
  // A wait moves the clock.
  const request = MAKERS[kind][1](history)
  const step = { kind, atMs: clock.nowMs, request } as Step
  if (request !== null) recent[random.below(12)] = step
  return step
}
