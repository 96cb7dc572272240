/** What a call counts against, and what it comes to in the measures of its budgets. */
import {
  BUDGETS_MAX,
  type Budget,
  type BudgetFacts,
  isCounted,
  type MatchedBudget,
  matchBudgets,
  scaleOfMeasure,
  windowAround,
} from '../core/budgets.ts'
import { type Conversion, convertHalfEven, convertUp, findRate } from '../core/convert.ts'
import type { CostCeiling } from '../core/cost-ceiling.ts'
import type { Atoms } from '../core/money.ts'
import { errorFacts, Refusal } from '../errors.ts'
import { measuredFinals, measuresOf } from '../wallet/budget-measures.ts'
import type { BudgetCount, HoldTerms, MeasuredAmount, MeasuredProgress } from '../wallet/wallet-types.ts'
import type { ReadCall } from './read-call.ts'

type CallOfBudgets = Pick<
  ReadCall,
  'id' | 'startedAtMs' | 'snapshot' | 'plan' | 'key' | 'caller' | 'upstream' | 'call' | 'operation'
>

/** Measures that need no rate. */

/** Throws Refusal: more budgets than one call can count against, or money that no declared rate turns into a budget's. */
export function budgetCounts(read: CallOfBudgets): readonly BudgetCount[] {
  if (read.snapshot.budgets.length === 0) return NONE
  const matched = matchedBudgets(read)
  if (matched.length > BUDGETS_MAX) {
    throw new Refusal(
      errorFacts(
        'internal',
        `The call counts against ${matched.length} budgets; ${BUDGETS_MAX} are the most. Tell whoever runs the gateway.`,
        read.id,
        { rule: 'budgets' },
      ),
    )
  }
  return matched.map((budget) => countOf(read, budget))
}

const NONE: readonly BudgetCount[] = []

function matchedBudgets(read: CallOfBudgets): readonly MatchedBudget[] {
  return matchBudgets(read.snapshot.budgets, factsOf(read))
}

function factsOf({ plan, key, caller, upstream, call, operation }: CallOfBudgets): BudgetFacts {
  return {
    account: key.account.id,
    plan: plan.name,
    key: key.id,
    run: caller.run,
    user: caller.user,
    model: call.model === '' ? undefined : call.model,
    upstream: upstream.name,
    endpoint: operation.endpoint,
    labels: key.labels,
  }
}

function countOf(read: CallOfBudgets, { budget, field, group, lifeMs }: MatchedBudget): BudgetCount {
  const { name, measure, limit, action, valuesMax } = budget
  if (measure !== read.plan.unit && !isCounted(measure)) conversionTo(read, measure)
  return {
    name,
    field,
    measure,
    limit,
    action,
    lifeMs,
    group,
    valuesMax,
    window: windowAround(budget.window, read.startedAtMs),
  }
}

/** The budget that a counter of this call belongs to. */
export function budgetOfField(read: CallOfBudgets, field: string): Budget | undefined {
  return matchedBudgets(read).find((matched) => matched.field === field)?.budget
}

/** Throws Refusal unit_mismatch. */
function conversionTo(read: CallOfBudgets, measure: string): Conversion {
  const { plan, snapshot, startedAtMs } = read
  const rate = findRate(snapshot.rates, plan.unit, measure, startedAtMs)
  if (rate === undefined) {
    throw new Refusal(
      errorFacts(
        'unit_mismatch',
        `A budget counts ${measure}, and no rate from ${plan.unit} is declared. Add one to rates in entitlements.yaml.`,
        read.id,
        { rule: 'rates', unit: plan.unit },
      ),
    )
  }
  return { rate, fromScale: plan.scale, toScale: scaleOfMeasure(measure, snapshot.settings.unitScales) }
}

/** What a hold counts in the measures other than requests, concurrent and the wallet's own unit. */
export function measuredAmounts(
  read: CallOfBudgets,
  terms: HoldTerms,
  ceiling: CostCeiling,
): readonly MeasuredAmount[] {
  return measuresOf(terms).map((measure) => {
    if (measure === 'tokens') {
      const { lowTokens } = read.call.input
      const fixed = BigInt(ceiling.inputTokens)
      return { measure, fixed, perToken: perToken(read), floor: BigInt(Math.min(lowTokens, ceiling.inputTokens)) }
    }
    const conversion = conversionTo(read, measure)
    return {
      measure,
      fixed: convertUp(ceiling.fixedAtoms, conversion),
      perToken: convertUp(ceiling.perTokenAtoms, conversion),
      floor: convertHalfEven(terms.floorAtoms, conversion),
    }
  })
}

/** One token of the call's limit is one of each answer. */
function perToken({ call }: CallOfBudgets): bigint {
  return call.generates ? BigInt(call.answers) : 0n
}

/** What is known to be used, for a checkpoint. */
export function measuredProgress(
  read: CallOfBudgets,
  terms: HoldTerms,
  known: { readonly atoms: Atoms; readonly tokens: number; readonly perTokenAtoms: Atoms },
): readonly MeasuredProgress[] {
  return measuresOf(terms).map((measure) => {
    if (measure === 'tokens') return { measure, known: BigInt(known.tokens), perToken: perToken(read) }
    const conversion = conversionTo(read, measure)
    return {
      measure,
      known: convertHalfEven(known.atoms, conversion),
      perToken: convertUp(known.perTokenAtoms, conversion),
    }
  })
}

/** What the call came to in the end. */
export function finalsOf(
  read: CallOfBudgets,
  terms: HoldTerms,
  final: { readonly atoms: Atoms; readonly tokens: number },
): Readonly<Record<string, bigint>> {
  return measuredFinals(terms, final, (measure) => conversionTo(read, measure))
}
