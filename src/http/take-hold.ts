/** Holds the ceiling of a call, and makes of it the call as it is sent. */
import { alertsAt } from '../core/alerts.ts'
import type { CostCeiling } from '../core/cost-ceiling.ts'
import { DEFAULT_SCALE } from '../core/money.ts'
import { trims } from '../core/output-tokens.ts'
import { overflowPeriod } from '../core/overflow-period.ts'
import { type ErrorFacts, errorFacts, Refusal } from '../errors.ts'
import {
  type Held,
  type HoldRefused,
  type HoldRequest,
  type HoldTerms,
  WalletUnavailable,
} from '../wallet/wallet-types.ts'
import type { AdmittedCall, Would } from './admitted-call.ts'
import { budgetCounts, measuredAmounts } from './call-budgets.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { holdRefusal, walletUnavailable, wouldOf } from './call-refusals.ts'
import type { ReadCall } from './read-call.ts'
import { callInfo } from './settle-info.ts'

/** Throws Refusal: a budget cannot count the call. */
export function termsOf(read: ReadCall, ceiling: CostCeiling, priceVersion: string): HoldTerms {
  const { plan, key, caller } = read
  const budgets = budgetCounts(read)
  return {
    id: read.id,
    account: key.account.id,
    unit: plan.unit,
    scale: plan.scale,
    onExhausted: plan.onExhausted,
    overflowPeriod:
      plan.onExhausted.mode === 'overflow'
        ? overflowPeriod(plan.onExhausted.period, read.startedAtMs, plan.timezone)
        : '',
    observe: plan.enforcement === 'observe',
    ...(budgets.length > 0 && { budgets }),
    facts: {
      model: read.call.model,
      upstream: read.upstream.name,
      endpoint: read.operation.endpoint,
      key: key.id,
      run: caller.run,
      user: caller.user,
      labels: key.labels,
    },
    floorAtoms: ceiling.floorAtoms,
    priceVersion,
    // Of a call that goes on nobody knows what it comes to until the provider says so.
    onTimeout: read.call.goesOn ? 'full' : 'known',
    ...(read.call.goesOn ? { lateWindowMs: read.snapshot.settings.limits.jobLateWindowMs } : {}),
  }
}

export function holdDeadlineMs({ call, snapshot }: ReadCall): number {
  const { jobDeadlineMs, holdDeadlineMs } = snapshot.settings.limits
  return call.goesOn ? jobDeadlineMs : holdDeadlineMs
}

export function holdRequest(read: ReadCall, terms: HoldTerms, ceiling: CostCeiling, dryRun: boolean): HoldRequest {
  return {
    ...terms,
    fixedAtoms: ceiling.fixedAtoms,
    perTokenAtoms: ceiling.perTokenAtoms,
    amounts: measuredAmounts(read, terms, ceiling),
    leastTokens: ceiling.leastTokens,
    wantTokens: ceiling.wantTokens,
    totalTokens: ceiling.totalTokens,
    deadlineMs: holdDeadlineMs(read),
    dryRun,
    alerts: alertsOf(read),
    info: JSON.stringify(callInfo(read)),
  }
}

/** Of the account, whose the wallet is: not where the key's calls are charged in another unit. */
function alertsOf({ key, plan, startedAtMs }: ReadCall): HoldRequest['alerts'] {
  const { alerts, unit } = key.account.plan
  return alerts && unit === plan.unit ? alertsAt(alerts, startedAtMs) : undefined
}

/** Throws Refusal. `problem`: what enforcement would have refused the call for, under observe. */
export async function takeHold(
  deps: CallDependencies,
  read: ReadCall,
  input: AdmittedCall['input'],
  terms: HoldTerms,
  ceiling: CostCeiling,
  price: AdmittedCall['price'],
  problem: ErrorFacts | undefined,
): Promise<AdmittedCall> {
  if (!deps.outbox.accepting) {
    throw new Refusal(
      errorFacts('overloaded', 'The gateway cannot record settlements at the moment; try again.', read.id, {
        rule: 'outbox',
        retryAfterSeconds: 5,
      }),
    )
  }
  deps.outbox.intent(read.id, terms.account)
  const held = await holdOnce(deps, read, holdRequest(read, terms, ceiling, false))
  if (held !== undefined && held.status !== 'held') {
    deps.outbox.drop(read.id)
    throw new Refusal(holdRefusal(read, held))
  }
  const would: Would | undefined =
    problem !== undefined
      ? { code: problem.code, rule: problem.rule }
      : held?.would && wouldOf(read, held.would, held.wouldRule)
  const limit = outputLimit(read, ceiling, held)
  if (would) deps.metrics.wouldRefuse({ account: terms.account, code: would.code, rule: would.rule })
  return {
    ...read,
    price,
    costScale:
      price === undefined ? DEFAULT_SCALE : (read.snapshot.settings.unitScales.get(price.costUnit) ?? DEFAULT_SCALE),
    input,
    ceiling,
    terms,
    held,
    would,
    trimmedTo: limit !== undefined && limit < ceiling.limitTokens ? limit : undefined,
    body: preparedBody(deps, read, limit),
  }
}

/** The body as it is sent. Where it cannot be made, what is held goes back before the call is refused. */
function preparedBody(deps: CallDependencies, read: ReadCall, outputLimit: number | undefined): Buffer {
  try {
    return read.metering.prepare(read.body, read.call, { outputLimit, upstream: read.upstream })
  } catch (error) {
    void deps.outbox.void({ id: read.id, account: read.key.account.id, reason: 'never_sent' })
    throw error
  }
}

/** Asks again with the same id where the answer was lost. Undefined: Redis is away, and observe lets the call pass. */
async function holdOnce(
  deps: CallDependencies,
  read: ReadCall,
  request: HoldRequest,
): Promise<Held | HoldRefused | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await deps.wallet.hold(request)
    } catch (error) {
      if (!(error instanceof WalletUnavailable)) throw error
      if (error.unknown && attempt === 1) continue
      deps.log.warn({ request_id: read.id, cause: error.message }, 'the wallet did not answer')
      // Should it have been held all the same, the settle finds it.
      if (request.observe) return undefined
      // It may have been held all the same: the id is closed as soon as Redis is back.
      if (attempt > 1 || error.unknown)
        void deps.outbox.void({ id: read.id, account: request.account, reason: 'unknown_hold' })
      else deps.outbox.drop(read.id)
      throw new Refusal(walletUnavailable(read.id))
    }
  }
}

/** The limit to write into the call: the plan's, or what the wallet pays for. Undefined: the call goes as it came. */
export function outputLimit(read: ReadCall, ceiling: CostCeiling, held: Held | undefined): number | undefined {
  if (!read.call.generates || read.plan.enforcement === 'observe' || held === undefined) return undefined
  const allowed = ceiling.sliced
    ? trims(read.call, read.plan)
      ? held.payableTokens
      : ceiling.totalTokens
    : held.tokens
  return allowed < ceiling.limitTokens ? allowed : ceiling.writeLimit
}
