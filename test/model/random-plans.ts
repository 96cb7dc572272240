/**
 * Steps that belong together, which single steps of chance would hardly ever come to one after the other: each is made
 * when its turn comes, of what the model has come to by then.
 */
import { ATOMS_MAX } from '../../src/core/money.ts'
import type { AdminOperation, GrantRequest, HoldRequest } from '../../src/wallet/wallet-types.ts'
import type { Random } from './random.ts'
import type { Kind, Requests } from './steps.ts'
import type { WalletModel } from './wallet-model.ts'

export interface Planner {
  readonly random: Random
  readonly model: WalletModel
  readonly clock: { nowMs: number }
  /** Requests as a history makes them, of which a plan changes what it is about. */
  readonly call: () => HoldRequest
  readonly grant: () => GrantRequest
  readonly operation: () => AdminOperation
  readonly newId: () => string
}
export type Planned = { readonly [K in Kind]?: Requests[K] }
/** undefined: it has come to nothing. */
export type Plan = readonly ((planner: Planner) => Planned | undefined)[]

const atLeast = (atoms: bigint, least: bigint): bigint =>
  atoms < least ? least : atoms > ATOMS_MAX ? ATOMS_MAX : atoms
/** Most often just at the limit, or one beside it. */
const beside = (random: Random): bigint => random.pick([-1n, 0n, 0n, 1n, 1n])

const SIMPLE: Partial<GrantRequest> = {
  key: undefined,
  effectiveAtMs: undefined,
  expiresAtMs: undefined,
  appliesTo: undefined,
  priority: 0,
  repaysDebt: false,
}

/** A grant that calls draw first, spent in part and held in part; then debt that leaves room for it, or for one atom less. */
function chargebackAtTheBrim({ random, newId }: Planner): Plan {
  const id = newId()
  const ofPayment = random.chance(0.5)
  const amountAtoms = BigInt(40 + random.below(160))
  let unit = ''
  return [
    ({ grant }) => {
      const request = { ...grant(), ...SIMPLE, id, amountAtoms, rollover: undefined }
      unit = request.unit
      const { rollover: _, ...rest } = request
      return { grant: ofPayment ? { ...rest, payment: 'pending', availability: 'on_creation' } : rest }
    },
    ({ call }) => ({ hold: plainCall(call(), unit, amountAtoms / 3n) }),
    ({ call }) => ({ settle: settleOf(plainCall(call(), unit, 0n), amountAtoms / 4n) }),
    ({ call, model }) => {
      const { owed } = model.brim(unit)
      return { settle: settleOf(plainCall(call(), unit, 0n), atLeast(owed - BigInt(random.below(50)), 0n)) }
    },
    ({ operation, model, newId: id_ }) => {
      const { held, consumed, room } = model.partsOf(id)
      // What is repaid is the room that there is for what will be owed.
      const amount = atLeast(held + consumed - room + beside(random), 1n)
      const scale = model.balancesAsTheyAre.find((balance) => balance.unit === unit)?.scale
      return scale === undefined
        ? undefined
        : { adjust: { ...operation(), grantId: id_(), unit, scale, amountAtoms: amount } }
    },
    ({ operation, model }) => {
      if (ofPayment) return { payment: { ...operation(), grant: id, payment: 'failed' } }
      const { free, consumed } = model.partsOf(id)
      const amountAtoms_ = random.pick([undefined, undefined, free + consumed, free + 1n + consumed / 2n])
      return { clawback: { ...operation(), grant: id, amountAtoms: amountAtoms_, freeze: false } }
    },
  ]
}

/** What is left of the room in grants is what a charge comes to, or one atom less, when it is given back. */
function refundAtTheBrim({ random }: Planner): Plan {
  let seq = 0
  let unit = ''
  const finalAtoms = BigInt(1 + random.below(90))
  return [
    ({ call }) => {
      const terms = call()
      unit = terms.unit
      return { settle: settleOf(plainCall(terms, unit, 0n), finalAtoms) }
    },
    ({ grant, model, clock }) => {
      seq = model.charges.at(-1) ?? 0
      const { scale } = model.balanceOf(unit, clock.nowMs) ?? {}
      if (scale === undefined) return undefined
      const effectiveAtMs = clock.nowMs + 5000
      return { grant: { ...withoutTerms(grant()), ...SIMPLE, unit, scale, effectiveAtMs, amountAtoms: 30n } }
    },
    ({ grant, model, clock }) => {
      const { scale } = model.balanceOf(unit, clock.nowMs) ?? {}
      const amountAtoms = model.brim(unit).live - finalAtoms + beside(random)
      if (scale === undefined || amountAtoms < 1n) return undefined
      return { grant: { ...withoutTerms(grant()), ...SIMPLE, unit, scale, amountAtoms } }
    },
    ({ operation, newId }) => ({
      refund: {
        ...operation(),
        chargeSeq: seq,
        amountAtoms: undefined,
        mode: random.pick(['original', 'new_grant']),
        grantId: newId(),
        noteId: newId(),
      },
    }),
  ]
}

/** Something is decided by time: looked at by the sweep alone, just at it or a millisecond before. */
function sweepAtAnEdge({ random }: Planner): Plan {
  return [
    ({ model, clock }) => {
      const next = model.edges.filter((atMs) => atMs > clock.nowMs).sort((a, b) => a - b)[0]
      if (next !== undefined) clock.nowMs = next - random.pick([0, 0, 0, 1])
      return { sweep: null }
    },
    ({ clock }) => {
      clock.nowMs -= random.below(3)
      return { sweep: null }
    },
  ]
}

/** A call that timed out is asked for where its late window ends, which nothing has swept yet. */
function endOfLateWindow({ random, newId }: Planner): Plan {
  const lateWindowMs = random.pick([7_200_000, 86_400_000])
  const deadlineMs = random.pick([1, 100])
  const id = newId()
  let held: HoldRequest | undefined
  return [
    ({ call }) => {
      held = { ...plainCall(call(), '', 20n), id, onExhausted: { mode: 'postpaid' }, lateWindowMs, deadlineMs }
      return { hold: held }
    },
    ({ clock }) => {
      clock.nowMs += deadlineMs
      return { sweep: null }
    },
    ({ clock, model }) => {
      clock.nowMs += lateWindowMs + random.pick([-1, 0, 0, 1])
      const { account } = model
      if (held === undefined) return undefined
      return random.pick<() => Planned>([
        () => ({ settle: settleOf(held as HoldRequest, BigInt(random.below(40))) }),
        () => ({ settle: settleOf(held as HoldRequest, 20n) }),
        () => ({ void: { id, account, reason: 'test' } }),
        () => ({ hold: held as HoldRequest }),
        () => ({
          checkpoint: { id, account, number: 1, cumulativeAtoms: 1n, amounts: [], deadlineMs: 100, extend: undefined },
        }),
      ])()
    },
  ]
}

/**
 * A call of several grants and, most often, of overage times out; then its own end comes, often lower, and is given back in
 * turn. What it owed may be repaid meanwhile, its period closed, its grants gone.
 */
function lateSettle({ random, newId }: Planner): Plan {
  const id = newId()
  const deadlineMs = random.pick([1, 100])
  let held: HoldRequest | undefined
  let late = 0n
  const settle = ({ model }: Planner): Planned | undefined => {
    const timedOut = model.timeoutOf(id)
    if (held === undefined || timedOut === undefined) return undefined
    const { posted } = timedOut
    late = random.pick([posted, posted - 1n, posted + 1n, posted / 2n, posted / 3n, 0n, posted + 70n])
    const finals = random.chance(0.7) ? { tokens: BigInt(random.below(60)), EUR: BigInt(random.below(60)) } : {}
    return { settle: { ...settleOf(held, late < 0n ? 0n : late), finals } }
  }
  return [
    ({ grant }) => smallGrant(grant(), random),
    ({ grant }) => (random.chance(0.7) ? smallGrant(grant(), random) : undefined),
    ({ call }) => {
      const onTimeout = random.pick(['full', 'full', 'known'] as const)
      const fixedAtoms = BigInt(20 + random.below(200))
      held = { ...call(), id, fixedAtoms, perTokenAtoms: 0n, deadlineMs, onTimeout, dryRun: false }
      return { hold: held }
    },
    ({ clock }) => {
      clock.nowMs += deadlineMs
      return { sweep: null }
    },
    ({ operation, newId: other, model }) => {
      if (held === undefined) return undefined
      const { unit, scale } = held
      const [period] = model.overflows.filter((of) => of.unit === unit && of.period < '2096-12')
      return random.pick<() => Planned | undefined>([
        () => undefined,
        () => ({
          adjust: { ...operation(), grantId: other(), unit, scale, amountAtoms: BigInt(1 + random.below(200)) },
        }),
        () => period && { closePeriod: { ...operation(), ...period, heir: '2096-12', force: true } },
        () => {
          const grant = random.pick(model.grantIds.slice(-2))
          return grant === undefined ? undefined : { voidGrant: { ...operation(), grant } }
        },
      ])()
    },
    settle,
    ({ call: _ }) => (held && random.chance(0.5) ? { settle: settleOf(held, late < 0n ? 0n : late) } : undefined),
    ({ operation, newId: other, model }) => {
      const [timeout, settled] = model.charges.slice(-2)
      const chargeSeq = random.pick([timeout, settled])
      if (chargeSeq === undefined) return undefined
      return { refund: refundOf(operation(), chargeSeq, random, [other(), other()]) }
    },
  ]
}

/** A charge of several grants and of overage, given back bit by bit. */
function refundsOfOneCharge({ random }: Planner): Plan {
  let seq: number | undefined
  const refund = ({ operation, newId, model }: Planner): Planned | undefined => {
    seq ??= model.charges.at(-1)
    if (seq === undefined) return undefined
    return { refund: refundOf(operation(), seq, random, [newId(), newId()]) }
  }
  return [
    ({ grant }) => smallGrant(grant(), random),
    ({ grant }) => smallGrant(grant(), random),
    ({ call }) => ({ settle: settleOf({ ...call(), dryRun: false }, BigInt(40 + random.below(200))) }),
    ({ operation, newId, model }) => {
      const [unit] = model.balancesAsTheyAre.filter(({ debtAtoms }) => debtAtoms > 0n)
      if (unit === undefined || random.chance(0.5)) return undefined
      const amountAtoms = BigInt(1 + random.below(100))
      return { adjust: { ...operation(), grantId: newId(), unit: unit.unit, scale: unit.scale, amountAtoms } }
    },
    refund,
    refund,
    refund,
  ]
}

function refundOf(
  operation: AdminOperation,
  chargeSeq: number,
  random: Random,
  [grantId, noteId]: readonly [string, string],
): Requests['refund'] {
  const amountAtoms = random.chance(0.4) ? undefined : BigInt(1 + random.below(60))
  return { ...operation, chargeSeq, amountAtoms, mode: random.chance(0.85) ? 'original' : 'new_grant', grantId, noteId }
}

function smallGrant(grant: GrantRequest, random: Random): Planned {
  const amountAtoms = BigInt(10 + random.below(60))
  return { grant: { ...withoutTerms(grant), key: undefined, effectiveAtMs: undefined, amountAtoms } }
}

function withoutTerms({ payment: _, availability: __, rollover: ___, ...grant }: GrantRequest): GrantRequest {
  return grant
}

/** Of exactly so much, from general grants first, without a budget and without a policy that has a limit. */
function plainCall({ budgets: _, amounts: __, alerts: ___, ...call }: HoldRequest, unit: string, atoms: bigint) {
  return {
    ...call,
    unit: unit || call.unit,
    scale: unit === 'credits' ? 0 : unit === '' ? call.scale : 9,
    onExhausted: { mode: 'block' } as const,
    overflowPeriod: '',
    observe: false,
    fixedAtoms: atoms,
    perTokenAtoms: 0n,
    deadlineMs: 60_000,
    dryRun: false,
  }
}

function settleOf(terms: HoldRequest, finalAtoms: bigint): Requests['settle'] {
  return { terms, finalAtoms, finals: {}, info: '{}' }
}

const ALWAYS = [sweepAtAnEdge, sweepAtAnEdge, endOfLateWindow, lateSettle, lateSettle, lateSettle, refundsOfOneCharge]
/** Where amounts are at the end of the range. */
const LARGE = [chargebackAtTheBrim, chargebackAtTheBrim, refundAtTheBrim, ...ALWAYS]

export function planOf(planner: Planner, isLarge: boolean): Plan {
  return planner.random.pick(isLarge ? LARGE : ALWAYS)(planner)
}
