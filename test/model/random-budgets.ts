/** Budgets for random histories: small limits, short windows, values that meet again. */
import type { BudgetCount, MeasuredAmount } from '../../src/wallet/wallet-types.ts'
import type { Random } from './random.ts'

/** As a config has them: the values of a call make the counter. */
type Shape = Omit<BudgetCount, 'field' | 'window'> & {
  readonly each: boolean
  readonly kind: 'rolling' | 'calendar' | 'lifetime'
  readonly lengthMs: number
}

const MEASURES = ['USD', 'USD', 'tokens', 'tokens', 'requests', 'concurrent', 'EUR']
const HOUR_MS = 3_600_000
/** Of a rolling window. They are no whole part of its length: a part leaves it while the newest one goes on. */
const PARTS = 7

export function randomBudgets(random: Random, large: boolean): readonly Shape[] {
  return Array.from({ length: random.below(6) }, (_, i) => {
    const measure = random.pick(MEASURES)
    const counts = measure === 'requests' || measure === 'concurrent'
    const kind = measure === 'concurrent' ? 'lifetime' : random.pick(['rolling', 'calendar', 'lifetime'] as const)
    const each = random.chance(0.5)
    const lengthMs = random.pick([1000, 4000, 60_000, HOUR_MS])
    return {
      name: `b${i}`,
      measure,
      limit: counts ? BigInt(1 + random.below(6)) : large ? 9_007_199_254_740_991n : BigInt(50 + random.below(400)),
      action: random.pick(['block', 'block', 'block', 'flag'] as const),
      lifeMs:
        kind === 'lifetime' && !each
          ? 0
          : Math.max(random.pick([2000, 10_000, 2 * lengthMs + 1000]), kind === 'rolling' ? 2 * lengthMs : 0),
      group: each ? `b${i}~${measure}` : '',
      valuesMax: random.pick([1, 2, 2, 100]),
      each,
      kind,
      lengthMs,
    }
  })
}

/** Of one call: some of them, with windows around `nowMs` and a value of its own. */
export function budgetsOf(random: Random, shapes: readonly Shape[], nowMs: number): readonly BudgetCount[] {
  return shapes
    .filter(() => random.chance(0.8))
    .map(({ each, kind, lengthMs, ...shape }) => {
      const values = each ? `~run~${random.pick(['r1', 'r2', 'r3'])}` : ''
      const start = nowMs - (nowMs % lengthMs)
      return {
        ...shape,
        field: `${shape.name}~${shape.measure}~${kind === 'lifetime' ? 'lifetime' : `${kind}${lengthMs}`}${values || '~'}`,
        window:
          kind === 'rolling'
            ? { kind, lengthMs, partMs: Math.ceil(lengthMs / PARTS) }
            : kind === 'calendar'
              ? { kind, bounds: [start - lengthMs, start, start + lengthMs, start + 2 * lengthMs] as const }
              : { kind: 'lifetime' as const },
      }
    })
}

/** What the call comes to in every measure but its own unit. */
export function amountsOf(random: Random, unit: string, amount: () => bigint): readonly MeasuredAmount[] {
  return ['tokens', 'USD', 'EUR', 'credits']
    .filter((measure) => measure !== unit)
    .map((measure) => ({
      measure,
      fixed: amount(),
      perToken: BigInt(random.below(3)),
      floor: random.chance(0.5) ? 0n : BigInt(random.below(100)),
    }))
}

/** What an ended call came to; sometimes it is not said. */
export function finalsOf(random: Random, unit: string): Readonly<Record<string, bigint>> {
  const measures = ['tokens', 'USD', 'EUR', 'credits'].filter((measure) => measure !== unit && random.chance(0.8))
  return Object.fromEntries(measures.map((measure) => [measure, BigInt(random.below(200))]))
}
