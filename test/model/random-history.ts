/**
 * One random history of an account, run against the scripts and against the model side by side: few ids, so that
 * retries, conflicts and ends without a hold occur; small amounts and the largest; times that fall on edges.
 */
import { deepStrictEqual } from 'node:assert'
import type { WalletAlerts } from '../../src/core/alerts.ts'
import { exactOfAtoms } from '../../src/core/decimal-sum.ts'
import { newId as newIdOfChance } from '../../src/core/ids.ts'
import { ATOMS_MAX } from '../../src/core/money.ts'
import { type Dimension, parseDimensions } from '../../src/reports/dimensions.ts'
import { readUsage, type UsageWallet } from '../../src/reports/read-usage.ts'
import { chargedOf } from '../../src/reports/usage-report.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import { StatementBuilder } from '../../src/wallet/statement.ts'
import type { GrantRequest, HoldRequest, LedgerEntry, Wallet } from '../../src/wallet/wallet-types.ts'
import { type Random, randomFrom } from './random.ts'
import { randomAlerts } from './random-alerts.ts'
import { amountsOf, budgetsOf, finalsOf, randomBudgets } from './random-budgets.ts'
import { WalletModel } from './wallet-model.ts'

/** Far ahead of any real clock, so that Redis drops no record whose life is told by the test's time. */
export const START_MS = 4_000_000_000_000

const UNITS = [
  { unit: 'USD', scale: 9 },
  { unit: 'USD', scale: 9 },
  { unit: 'USD', scale: 9 },
  { unit: 'credits', scale: 0 },
] as const
const MODELS = ['gpt-5-mini', 'gpt-5-mini', 'claude-sonnet', 'o*+']
const POLICIES: readonly Pick<HoldRequest, 'onExhausted' | 'overflowPeriod' | 'observe'>[] = [
  { onExhausted: { mode: 'block' }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'block' }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'negative', floorAtoms: -300n }, overflowPeriod: '', observe: false },
  { onExhausted: { mode: 'negative', floorAtoms: 0n }, overflowPeriod: '', observe: false },
  ...['1', '1.25', '0.333333', '2.5', '0', '1000'].map((multiplier, i) => ({
    onExhausted: { mode: 'overflow', capAtoms: 400n, period: 'month', multiplier } as const,
    overflowPeriod: i % 2 === 0 ? '2096-10' : '2096-11',
    observe: i === 3,
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
  { endpoints: ['chat'], upstreams: ['openai'], labels: { team: 'platform' } },
]

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
  readonly wallet: Wallet
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
  readonly log: string[]
}

/** An id of ours that the seed alone decides: ids break ties. */
function newId(random: Random, nowMs: number): string {
  const digits = Array.from({ length: 16 }, () => random.pick([...'0123456789ABCDEFGHJKMNPQRSTVWXYZ']))
  return newIdOfChance(nowMs).slice(0, 10) + digits.join('')
}

async function answerOf(act: () => unknown): Promise<unknown> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof Error && /out_of_range/.test(error.message)) return 'out_of_range'
    throw error
  }
}

/** What the wallet could just pay for, with and without overage and open holds, or one more or less. */
function onTheEdge({ random, model, clock }: History, unit: string): bigint {
  const balance = model.read(clock.nowMs).balances.find((other) => other.unit === unit)
  if (!balance) return 0n
  const { availableAtoms, scopedAtoms, balanceAtoms } = balance
  const funds = random.pick([availableAtoms, availableAtoms + scopedAtoms, balanceAtoms])
  const atoms = funds + random.pick([0n, 0n, 0n, 300n, 400n]) + random.pick([-1n, 0n, 0n, 1n])
  return atoms < 0n ? 0n : atoms > ATOMS_MAX ? ATOMS_MAX : atoms
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
    id: newId(random, clock.nowMs - random.pick([0, 0, 0, 0, 5000, 3_600_000, 3_600_001])),
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
    fixedAtoms: edge ? onTheEdge(history, unit) : amounts(random),
    perTokenAtoms: edge ? 0n : BigInt(random.below(4)),
    leastTokens: least,
    wantTokens: want,
    totalTokens: want + random.pick([0, 0, 50]),
    deadlineMs: random.pick([1, 100, 2000, 4000]),
    dryRun: random.chance(0.05),
    ...(history.alerts && { alerts: history.alerts }),
    info: '{}',
  }
}

/** A call of the history, or a new one in its place; sometimes with an argument changed. */
function known(history: History): HoldRequest {
  const { random, calls } = history
  const request = calls[random.below(8)] ?? call(history)
  if (!calls.includes(request)) calls.push(request)
  return random.chance(0.03) ? { ...request, fixedAtoms: (request.fixedAtoms + 1n) % ATOMS_MAX } : request
}

function operation({ random, model, clock }: History) {
  const operationId = random.chance(0.3) ? `key:${random.below(6)}` : newId(random, clock.nowMs)
  return { account: model.account, operationId, reason: 'test', actor: 'test' }
}

const PERIODS = ['2096-10', '2096-11', '2096-12']

function grantOf({ random, model, clock }: History): string {
  const known = random.chance(0.1) ? undefined : random.pick(model.read(clock.nowMs).grants)?.id
  return known ?? newId(random, clock.nowMs)
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

const STEPS: Readonly<
  Record<string, readonly [number, (history: History) => [unknown, () => unknown, () => unknown]]>
> = {
  hold: [
    32,
    (history) => {
      const { random, calls, wallet, model, clock } = history
      if (random.chance(0.03)) history.alerts = randomAlerts(random, clock.nowMs)
      if (random.chance(0.85)) calls[random.below(8)] = call(history)
      for (let i = 0; i < 8; i++) calls[i] ??= call(history)
      const request = known(history)
      return [request, () => wallet.hold(request), () => model.hold(request, clock.nowMs)]
    },
  ],
  settle: [
    20,
    (history) => {
      const { random, amounts, wallet, model, clock } = history
      // The config may have been edited since the hold: its own terms count, and another unit is a conflict.
      const terms = {
        ...known(history),
        ...(random.chance(0.1) ? random.pick(history.policies) : {}),
        ...(random.chance(0.02) ? random.pick(UNITS) : {}),
      }
      const finalAtoms = random.chance(0.3) ? terms.fixedAtoms : amounts(random)
      const request = { terms, finalAtoms, finals: finalsOf(random, terms.unit), info: '{}' }
      return [request, () => wallet.settle(request), () => model.settle(request, clock.nowMs)]
    },
  ],
  checkpoint: [
    12,
    (history) => {
      const { random, wallet, model, clock } = history
      const open = random.chance(0.7) ? random.pick(model.read(clock.nowMs).holds) : undefined
      const { id, account } = open ?? known(history)
      const extend = {
        perTokenAtoms: BigInt(random.below(4)),
        leastTokens: random.below(5),
        wantTokens: 5 + random.below(20),
      }
      const request = {
        id,
        account,
        number: random.chance(0.7) ? ++history.checkpoints : 1 + random.below(6),
        cumulativeAtoms: small(random),
        amounts: ['tokens', 'EUR'].map((measure) => ({
          measure,
          known: small(random),
          perToken: BigInt(random.below(3)),
        })),
        deadlineMs: random.pick([1, 1000, 4000]),
        extend: random.chance(0.6) ? extend : undefined,
      }
      return [request, () => wallet.checkpoint(request), () => model.checkpoint(request, clock.nowMs)]
    },
  ],
  void: [
    6,
    (history) => {
      const { id, account } = known(history)
      const { wallet, model, clock } = history
      return [id, () => wallet.void({ id, account, reason: 'test' }), () => model.void(id, clock.nowMs)]
    },
  ],
  grant: [
    14,
    (history) => {
      const { random, amounts, wallet, model, clock } = history
      const effectiveAtMs = random.chance(0.3) ? clock.nowMs + random.pick([-1000, -1, 0, 1, 100, 2000]) : undefined
      const base = effectiveAtMs ?? clock.nowMs
      const { reason: _, ...given } = operation(history)
      const { unit, scale } = random.pick(UNITS)
      const request: GrantRequest = {
        ...given,
        id: newId(random, clock.nowMs),
        key: random.chance(0.15) ? `key-${random.below(3)}` : undefined,
        unit,
        // A wallet that is not there yet would take the wrong scale for its own.
        scale: random.chance(0.02) && model.has(unit) ? 3 : scale,
        amountAtoms: 1n + (amounts(random) % ATOMS_MAX),
        funding: random.pick(['promotional', 'invoiced', 'external'] as const),
        priority: random.pick([0, 10, 10, 10]),
        effectiveAtMs,
        expiresAtMs: random.chance(0.6) ? base + random.pick([0, 1, 100, 1000, 1000, 2000, 6000]) : undefined,
        appliesTo: random.pick(SCOPES),
        costBasis: random.pick([undefined, undefined, '0', '0.5', '0.50', '9', '10']),
        repaysDebt: random.pick([undefined, undefined, true, false]),
        labels: {},
        ...termsOf(history, base),
      }
      return [request, () => wallet.grant(request), () => model.grant(request, clock.nowMs)]
    },
  ],
  voidGrant: [
    3,
    (history) => {
      const { random, wallet, model, clock } = history
      const grants = model.read(clock.nowMs).grants
      const grant = random.chance(0.1)
        ? newId(random, clock.nowMs)
        : (random.pick(grants)?.id ?? newId(random, clock.nowMs))
      const request = { ...operation(history), grant }
      return [request, () => wallet.voidGrant(request), () => model.voidGrant(request, clock.nowMs)]
    },
  ],
  clawback: [
    4,
    (history) => {
      const { random, amounts, wallet, model, clock } = history
      const all = random.chance(0.6)
      const request = {
        ...operation(history),
        grant: grantOf(history),
        amountAtoms: all ? undefined : 1n + (amounts(random) % 60n),
        freeze: random.chance(0.05),
      }
      return [request, () => wallet.clawback(request), () => model.clawback(request, clock.nowMs)]
    },
  ],
  payment: [
    5,
    (history) => {
      const { random, wallet, model, clock } = history
      const payment = random.pick(['authorized', 'settled', 'settled', 'failed'] as const)
      const request = { ...operation(history), grant: grantOf(history), payment }
      return [request, () => wallet.payment(request), () => model.payment(request, clock.nowMs)]
    },
  ],
  refund: [
    8,
    (history) => {
      const { random, amounts, wallet, model, clock } = history
      const request = {
        ...operation(history),
        chargeSeq: random.chance(0.1) ? 1 + random.below(99) : (random.pick(model.charges.slice(-3)) ?? 1),
        amountAtoms: random.chance(0.3)
          ? undefined
          : 1n + ((random.chance(0.7) ? small(random) / 4n : amounts(random)) % ATOMS_MAX),
        mode: random.pick(['original', 'original', 'new_grant'] as const),
        grantId: newId(random, clock.nowMs),
        noteId: newId(random, clock.nowMs),
      }
      return [request, () => wallet.refund(request), () => model.refund(request, clock.nowMs)]
    },
  ],
  resolveUnmatched: [
    3,
    (history) => {
      const { random, wallet, model, clock, amounts } = history
      if (model.waiting.length === 0 && random.chance(0.7)) {
        // Of a call that timed out a day and more ago, or of one that nobody knows.
        const ofOld = { ...call(history), id: newId(random, clock.nowMs - 90_000_000) }
        const terms = random.pick(model.outlived) ?? ofOld
        const late = { terms, finalAtoms: amounts(random), info: '{}' }
        return [late, () => wallet.settle(late), () => model.settle(late, clock.nowMs)]
      }
      const seq = random.chance(0.1) ? 1 + random.below(99) : (random.pick(model.unmatched.slice(-2)) ?? 1)
      const decision = random.pick(['charge', 'charge', 'dismiss'] as const)
      const request = { ...operation(history), seq, decision }
      return [request, () => wallet.resolveUnmatched(request), () => model.resolveUnmatched(request, clock.nowMs)]
    },
  ],
  resolveFlagged: [
    2,
    (history) => {
      const { random, amounts, wallet, model, clock } = history
      const request = {
        ...operation(history),
        unit: random.pick(UNITS).unit,
        amountAtoms: random.chance(0.5) ? undefined : 1n + (amounts(random) % ATOMS_MAX),
        to: random.pick(['debt', 'overflow', 'written_off'] as const),
        period: random.pick(PERIODS),
      }
      return [request, () => wallet.resolveFlagged(request), () => model.resolveFlagged(request, clock.nowMs)]
    },
  ],
  closePeriod: [
    2,
    (history) => {
      const { random, wallet, model, clock } = history
      const request = {
        ...operation(history),
        unit: random.pick(UNITS).unit,
        ...random.pick([
          { period: '2096-10', heir: '2096-11' },
          { period: '2096-11', heir: '2096-12' },
        ]),
        force: random.chance(0.5),
      }
      return [request, () => wallet.closePeriod(request), () => model.closePeriod(request, clock.nowMs)]
    },
  ],
  stop: [
    2,
    (history) => {
      const { random, wallet, model, clock, calls } = history
      const [kind, value] = random.pick([
        ['run', 'a;b,c=d|e'],
        ['key', 'k'],
        ['user', 'u'],
        ['request', calls[random.below(8)]?.id ?? 'x'],
      ] as const)
      const stop = { id: 's', kind, value, reason: 'test', cut: false, atMs: 1, actor: 'test' }
      // Lifted more often than set: a stopped key ends a history's holds.
      const request = { ...operation(history), kind, value, stop: random.chance(0.3) ? stop : undefined }
      return [request, () => wallet.setStop(request), () => model.setStop(request, clock.nowMs)]
    },
  ],
  adjust: [
    4,
    (history) => {
      const { random, amounts, wallet, model, clock } = history
      const amountAtoms = (1n + (amounts(random) % ATOMS_MAX)) * random.pick([1n, -1n])
      const request = { ...operation(history), grantId: newId(random, clock.nowMs), ...random.pick(UNITS), amountAtoms }
      return [request, () => wallet.adjust(request), () => model.adjust(request, clock.nowMs)]
    },
  ],
  freeze: [
    2,
    (history) => {
      const { wallet, model, clock } = history
      const request = { ...operation(history), frozen: history.random.chance(0.2) }
      return [request, () => wallet.setFrozen(request), () => model.setFrozen(request, clock.nowMs)]
    },
  ],
  handOver: [
    3,
    ({ random, wallet, model }) => {
      const upToSeq = random.pick(model.pending) ?? 0
      const ask = async () => ({
        pending: (await wallet.pendingEvents(model.account, 1000)).map(({ seq }) => seq),
        left: await wallet.eventsHandedOver(model.account, upToSeq),
      })
      return [upToSeq, ask, () => ({ pending: model.pending, left: model.handOver(upToSeq) })]
    },
  ],
  sweep: [4, ({ wallet, model, clock }) => ['', () => sweepAll(wallet, model.account), () => model.sweep(clock.nowMs)]],
  wait: [
    14,
    ({ random, model, clock }) => {
      const due = random.chance(0.3) ? structuredSweep(model, clock.nowMs) : undefined
      if (due !== undefined) clock.nowMs = due - random.pick([0, 0, 1])
      else if (random.chance(0.06))
        clock.nowMs += random.pick([3_600_000, 3_600_001, 7_200_000, 86_400_000, 90_000_000])
      else clock.nowMs += random.pick([1, 1, 10, 500, 3000, -1, -40])
      return [clock.nowMs, () => undefined, () => undefined]
    },
  ],
}

/** Answers when the next thing is due. Throws where sweeping comes to no end. */
async function sweepAll(wallet: Wallet, account: string): Promise<number | undefined> {
  for (let round = 0; round < 20; round++) {
    const { swept, nextDueMs } = await wallet.sweep(account)
    if (swept === 0) return nextDueMs
  }
  throw new Error('the sweep finds the same again and again')
}

/** When the next thing is due, looked at without sweeping. */
function structuredSweep(model: WalletModel, nowMs: number): number | undefined {
  const { grants, holds } = model.read(nowMs)
  const times = [
    ...grants.flatMap((grant) => [grant.effectiveAtMs, grant.expiresAtMs ?? 0]),
    ...holds.map((hold) => hold.deadlineAtMs),
  ]
  return times.filter((atMs) => atMs > nowMs).sort((a, b) => a - b)[0]
}

const WEIGHTED = Object.entries(STEPS).flatMap(([name, [weight]]) => Array.from({ length: weight }, () => name))

function shown(value: unknown): string {
  return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v)) ?? 'undefined'
}

/** Throws AssertionError, with the last steps, at the first answer or balance on which scripts and model differ. */
export async function runHistory(
  seed: number,
  account: string,
  makeWallet: (clock: () => number) => Wallet,
  steps: number,
): Promise<void> {
  const random = randomFrom(seed)
  const clock = { nowMs: START_MS }
  const amounts = random.chance(0.2) ? large : small
  const history: History = {
    random,
    wallet: makeWallet(() => clock.nowMs),
    model: new WalletModel(account),
    clock,
    amounts,
    budgets: random.chance(0.7) ? randomBudgets(random, amounts === large && random.chance(0.5)) : [],
    policies: [random.pick(POLICIES), random.pick(POLICIES), random.pick(POLICIES)],
    alerts: random.chance(0.7) ? randomAlerts(random, clock.nowMs) : undefined,
    calls: [],
    checkpoints: 0,
    log: [],
  }
  for (let step = 0; step < steps; step++) {
    const name = random.pick(WEIGHTED)
    const [request, script, model] = (STEPS[name] as (typeof STEPS)[string])[1](history)
    history.log.push(`${step} at ${clock.nowMs} ${name} ${shown(request)}`)
    try {
      const [answer, expected] = [await answerOf(script), await answerOf(model)]
      history.log.push(`    ${shown(answer)}`)
      compareAnswers(answer, expected)
      await compareReads(history)
      if (step % 20 === 19 || step === steps - 1) await checkLedger(history)
    } catch (error) {
      const last = history.log.slice(-Number(process.env['MODEL_SHOW'] ?? 16)).join('\n')
      throw new Error(`seed ${seed}: the scripts differ from the model\n${last}\n${(error as Error).message}`, {
        cause: error,
      })
    }
  }
}

/** What the ledger alone remembers of a late settle has other figures: those of its entry. */
function compareAnswers(answer: unknown, expected: unknown): void {
  if (typeof expected === 'object' && expected !== null && Object.keys(expected).length === 3 && 'seq' in expected) {
    const { status, replay, seq } = answer as { status: unknown; replay: unknown; seq: unknown }
    deepStrictEqual({ status, replay, seq }, expected)
  } else deepStrictEqual(answer, expected)
}

async function compareReads({ wallet, model, clock }: History): Promise<void> {
  const [balances, grants, holds, { counters }] = await Promise.all([
    wallet.balances(model.account),
    wallet.grants(model.account),
    wallet.holds(model.account),
    wallet.counters(model.account, '0', 10_000),
  ])
  const waiting = await wallet.unmatched(model.account, { afterSeq: 0, limit: 1000 })
  deepStrictEqual(
    waiting.map(({ seq }) => seq),
    model.waiting,
  )
  const expected = model.read(clock.nowMs)
  deepStrictEqual(balances, expected.balances)
  deepStrictEqual(grants, expected.grants)
  deepStrictEqual(holds, expected.holds)
  deepStrictEqual(
    [...counters].sort((a, b) => Number(a.id) - Number(b.id)),
    expected.counters,
  )
}

/** Gapless, as many entries as the model made, legs zero, and from it alone the same balances. */
async function checkLedger({ wallet, model, clock }: History): Promise<void> {
  // The account in Redis is what its ledger says, field by field, before and after what is due is swept.
  deepStrictEqual((await wallet.check(model.account)).differences, [])
  model.sweep(clock.nowMs)
  await sweepAll(wallet, model.account)
  deepStrictEqual((await wallet.check(model.account)).differences, [])
  const entries: LedgerEntry[] = []
  for (let more = true; more; ) {
    const page = await wallet.ledger(model.account, {
      afterSeq: entries.at(-1)?.seq ?? 0,
      limit: 1000,
      type: undefined,
    })
    entries.push(...page)
    more = page.length === 1000
  }
  deepStrictEqual(
    entries.map((entry) => entry.seq),
    Array.from({ length: model.seq }, (_, i) => i + 1),
  )
  for (const entry of entries) {
    const total = entry.legs.reduce((rest, leg) => rest + leg.atoms, 0n)
    deepStrictEqual(total, 0n, `legs of ${entry.seq}`)
  }
  deepStrictEqual(eventsOf(entries), model.events)
  const read = model.read(clock.nowMs)
  const replayed = replayLedger(entries, model.lastMs(clock.nowMs))
  const frozen = read.balances[0]?.frozen ?? false
  deepStrictEqual(
    replayed.balances.map((balance) => ({ ...balance, frozen })),
    read.balances,
  )
  deepStrictEqual(
    [...replayed.openHolds].sort(),
    read.holds.map((hold) => hold.id),
  )
  checkStatement(entries, read)
  await checkUsage(model.account, entries, read)
}

function eventsOf(entries: readonly LedgerEntry[]): WalletModel['events'] {
  return entries.flatMap(({ type, seq, unit, fields: { event, watch: _, ...fields } }) =>
    type === 'event' && event !== 'budget.closed' && event !== 'wallet.watched'
      ? [{ seq, unit, event: String(event), fields }]
      : [],
  )
}

/** Cut in two at any time, the second begins with what the first ends with, and ends with what there is. */
function checkStatement(entries: readonly LedgerEntry[], read: ReturnType<WalletModel['read']>): void {
  const cutMs = (entries[entries.length >> 1]?.atMs ?? 0) + (entries.length % 2)
  const [before, after] = [new StatementBuilder(-Infinity, cutMs), new StatementBuilder(cutMs, Infinity)]
  for (const entry of entries) {
    before.add(entry)
    after.add(entry)
  }
  const first = before.build()
  for (const { unit, opening, closing } of after.build()) {
    const balance = read.balances.find((other) => other.unit === unit)
    const { debtAtoms = 0n, overflowAtoms = 0n, flaggedAtoms = 0n, postpaidAtoms = 0n } = balance ?? {}
    const credit = read.grants
      .filter((grant) => grant.unit === unit)
      .reduce((total, grant) => total + grant.freeAtoms + grant.heldAtoms, 0n)
    deepStrictEqual(closing, { credit, owed: debtAtoms + overflowAtoms + flaggedAtoms + postpaidAtoms })
    deepStrictEqual(opening, first.find((other) => other.unit === unit)?.closing ?? { credit: 0n, owed: 0n })
  }
}

/** What usage shows as charged, less what it shows as refunded, is what the wallets posted: in all, and cut at any time. */
async function checkUsage(
  account: string,
  entries: readonly LedgerEntry[],
  read: ReturnType<WalletModel['read']>,
): Promise<void> {
  const wallet: UsageWallet = {
    grants: async () => read.grants,
    async ledgerPage(_, { afterSeq, limit }) {
      const page = entries.slice(afterSeq, afterSeq + limit)
      return { entries: page, lastSeq: page.at(-1)?.seq }
    },
  }
  const cutMs = (entries[Math.floor(entries.length / 3)]?.atMs ?? 0) + (entries.length % 2)
  const by = parseDimensions('account,funding,model,day') as readonly Dimension[]
  const posted = new Map<string, bigint>()
  const ranges = [
    [Number.NEGATIVE_INFINITY, cutMs],
    [cutMs, Number.POSITIVE_INFINITY],
  ] as const
  for (const [sinceMs, untilMs] of ranges) {
    const report = await readUsage(wallet, [account], { by, sinceMs, untilMs, timezone: 'UTC', groupsMax: 10_000 })
    for (const group of report.groups())
      posted.set(group.unit, (posted.get(group.unit) ?? 0n) + chargedOf(group) - group.refunded)
    const whole = report.groups().reduce((sum, group) => sum + group.calls, 0)
    const inAll = report.totals().reduce((sum, group) => sum + group.calls, 0)
    deepStrictEqual(whole, inAll)
  }
  for (const { unit, scale, postedAtoms } of read.balances)
    deepStrictEqual(posted.get(unit) ?? 0n, exactOfAtoms(postedAtoms, scale), `usage of ${unit}`)
}
