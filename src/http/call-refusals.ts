/** Why a call is refused, with the rule, the figures and the remedy: one function for each that says no. */
import { allowancePeriods } from '../core/allowance.ts'
import { calendarBounds } from '../core/budget-window.ts'
import { type Budget, isRate } from '../core/budgets.ts'
import type { CeilingRefusal } from '../core/cost-ceiling.ts'
import { decideEntitlement, missingRequired } from '../core/entitlement.ts'
import { type findPrice, isPriced } from '../core/find-price.ts'
import { formatAmount } from '../core/money.ts'
import { type ErrorCode, type ErrorFacts, errorFacts } from '../errors.ts'
import type { HoldRefused } from '../wallet/wallet-types.ts'
import { budgetOfField } from './call-budgets.ts'
import type { ReadCall } from './read-call.ts'

/** The plan does not cover the call, or requires what it lacks. */
export function entitlementRefusal(read: ReadCall): ErrorFacts | undefined {
  const missing = missingRequired(read.plan.require, {
    run: read.caller.run,
    user: read.caller.user,
    labels: read.key.labels,
  })
  if (missing !== undefined) {
    const remedy =
      missing === 'run' || missing === 'user' ? `send it in x-tollgate-${missing}` : 'use a key that has this label'
    const message = `The plan "${read.plan.name}" requires "${missing}" on each call; ${remedy}.`
    return errorFacts('invalid_request', message, read.id, { rule: 'plan.require', param: missing })
  }
  const denied = decideEntitlement(read.plan, {
    model: read.call.model,
    endpoint: read.operation.endpoint,
    free: false,
  })
  if (denied === undefined) return undefined
  const param = denied.rule === 'plan.models' ? 'model' : null
  return errorFacts(denied.code, denied.message, read.id, { rule: denied.rule, param })
}

/** Nothing prices the model, or only in a unit that the wallet does not hold. */
export function priceRefusal(read: ReadCall, price: ReturnType<typeof findPrice>): ErrorFacts | undefined {
  const { model } = read.call
  if (!isPriced(price, read.call)) {
    if (read.snapshot.settings.metering.unpricedModel === 'allow_unmetered') return undefined
    const message = `The price book has no price for the model "${model}"; add an entry for it, or ask for a priced one.`
    return errorFacts('model_unpriced', message, read.id, { rule: 'price_book', param: 'model' })
  }
  if (price.unit === read.plan.unit) return undefined
  const message = `The model "${model}" is priced in ${price.unit}, the wallet holds ${read.plan.unit}, and no rate between them is declared.`
  return errorFacts('unit_mismatch', message, read.id, { rule: 'rates', unit: read.plan.unit })
}

/** The call has a tool of the provider's that runs another model, and nothing prices that one. */
export function toolPriceRefusal(
  read: ReadCall,
  tool: string,
  price: ReturnType<typeof findPrice>,
): ErrorFacts | undefined {
  if (read.snapshot.settings.metering.unpricedModel === 'allow_unmetered') return undefined
  if (price !== undefined && price.unit === read.plan.unit) return undefined
  const message = `The price book has no price in ${read.plan.unit} for the model "${tool}" that a tool of this call runs; add an entry for it, or leave the tool out.`
  return errorFacts('model_unpriced', message, read.id, { rule: 'price_book', param: 'tools' })
}

/** The upstream has answered the model without usage, and its operator will not have it guessed again. */
export function missingUsageRefusal(read: ReadCall, denied: boolean): ErrorFacts | undefined {
  if (!denied || read.upstream.missingUsage !== 'deny_model') return undefined
  const { model } = read.call
  const message = `The upstream "${read.upstream.name}" has answered the model "${model}" without saying what it used; its calls are refused until the config is read again. Ask for another model.`
  return errorFacts('model_unpriced', message, read.id, { rule: 'missing_usage', param: 'model' })
}

export function tooExpensive(read: ReadCall, refusal: CeilingRefusal): ErrorFacts {
  const { scale, unit } = read.plan
  return errorFacts('call_too_expensive', refusal.message, read.id, {
    rule: refusal.rule,
    needed: formatAmount(refusal.neededAtoms, scale),
    available: refusal.allowedAtoms === undefined ? null : formatAmount(refusal.allowedAtoms, scale),
    unit,
  })
}

export function walletUnavailable(id: string): ErrorFacts {
  return errorFacts(
    'wallet_unavailable',
    'The wallet cannot be reached at the moment, and the rule is to refuse; nothing was sent or charged. Try again.',
    id,
    {
      rule: 'on_redis_down',
      retryAfterSeconds: 2,
    },
  )
}

/** A Lua status as the code of an answer. */
function codeOf(status: HoldRefused['status'], budget: Budget | undefined): ErrorCode {
  switch (status) {
    case 'held_by_open_calls':
      return budget?.measure === 'concurrent' ? 'too_many_concurrent' : status
    case 'budget_exceeded':
      return budget && isRate(budget) ? 'rate_limited' : status
    case 'insufficient_funds':
    case 'stopped':
      return status
    case 'too_many_values':
      return 'budget_exceeded'
    case 'frozen':
      return 'account_suspended'
    case 'too_many_holds':
      return 'overloaded'
    case 'out_of_range':
      return 'call_too_expensive'
    case 'conflict':
    case 'id_too_old':
    case 'id_closed':
      return 'internal'
  }
}

/** What the wallet's answer is called outside, and the rule that said so: a budget by its name. */
export function wouldOf(
  read: ReadCall,
  status: HoldRefused['status'],
  field: string | undefined,
): { readonly code: ErrorCode; readonly rule: string } {
  const budget = field === undefined ? undefined : budgetOfField(read, field)
  return { code: codeOf(status, budget), rule: budget?.name ?? field ?? (isAboutFunds(status) ? 'funds' : status) }
}

/** The others come before money is looked at: they have no figures. */
function isAboutFunds(status: HoldRefused['status']): boolean {
  return status === 'insufficient_funds' || status === 'held_by_open_calls'
}

/** The wallet said no. */
export function holdRefusal(read: ReadCall, refused: HoldRefused): ErrorFacts {
  const budget = refused.rule === undefined ? undefined : budgetOfField(read, refused.rule)
  if (budget) return budgetRefusal(read, refused, budget)
  const { code, rule } = wouldOf(read, refused.status, refused.rule)
  const { unit, scale, topUpUrl } = read.plan
  const needed = formatAmount(refused.neededAtoms, scale)
  const available = formatAmount(refused.availableAtoms, scale)
  const resetsAt = code === 'insufficient_funds' ? moreComesAt(read) : null
  return errorFacts(code, holdMessage(code, rule, { needed, available, unit, topUpUrl, resetsAt }), read.id, {
    rule,
    ...(isAboutFunds(refused.status) ? { needed, available } : {}),
    unit,
    resetsAt,
    topUpUrl: code === 'insufficient_funds' ? (topUpUrl ?? null) : null,
    retryAfterSeconds: code === 'held_by_open_calls' ? 1 : code === 'overloaded' ? 5 : undefined,
  })
}

/** When the plan lets the wallet spend more by itself: with its next allowance, or a new period of overflow. */
function moreComesAt({ plan, key, startedAtMs }: ReadCall): string | null {
  const times: number[] = []
  const { allowance } = key.account.plan
  if (allowance?.unit === plan.unit) times.push(allowancePeriods(allowance, startedAtMs)[0].endMs)
  if (plan.onExhausted.mode === 'overflow') {
    const { timezone, onExhausted } = plan
    const period = { kind: 'calendar', every: onExhausted.period, timezone, anchor: 1, weekStart: 1 } as const
    times.push(calendarBounds(period, startedAtMs)[2])
  }
  return times.length === 0 ? null : new Date(Math.min(...times)).toISOString()
}

/** A budget said no, in its own measure. */
function budgetRefusal(read: ReadCall, refused: HoldRefused, budget: Budget): ErrorFacts {
  const code = codeOf(refused.status, budget)
  const { resetsAtMs } = refused
  const needed = formatAmount(refused.neededAtoms, budget.scale)
  const available = formatAmount(refused.availableAtoms, budget.scale)
  const resetsAt = resetsAtMs === undefined ? null : new Date(resetsAtMs).toISOString()
  const figures = { needed, available, unit: budget.measure, resetsAt }
  return errorFacts(code, budgetMessage(code, refused.status, budget, figures), read.id, {
    rule: budget.name,
    ...(refused.status === 'too_many_values' ? {} : { needed, available }),
    unit: budget.measure,
    resetsAt,
    retryAfterSeconds: retryAfter(code, resetsAtMs, read.startedAtMs),
  })
}

/** What time heals says when: of a rate its reset, of open calls soon. */
function retryAfter(code: ErrorCode, resetsAtMs: number | undefined, nowMs: number): number | undefined {
  if (code === 'held_by_open_calls' || code === 'too_many_concurrent') return 1
  if (code !== 'rate_limited') return undefined
  return resetsAtMs === undefined ? 60 : Math.max(1, Math.ceil((resetsAtMs - nowMs) / 1000))
}

function budgetMessage(
  code: ErrorCode,
  status: HoldRefused['status'],
  { name, measure }: Budget,
  { needed, available, resetsAt }: { needed: string; available: string; resetsAt: string | null },
): string {
  if (status === 'too_many_values')
    return `Budget "${name}" already has as many counters as max_values allows; use a run or user that has one, or ask for more.`
  if (code === 'too_many_concurrent')
    return `Budget "${name}" allows no further call at the same time; try again when one has ended.`
  const figures = `Budget "${name}" has ${available} ${measure} left, and this call may use ${needed}`
  if (code === 'held_by_open_calls') return `${figures}; open calls hold the rest for a moment. Try again.`
  return `${figures}. ${resetsAt === null ? 'Ask whoever runs it for a higher limit.' : `It has room again at ${resetsAt}.`}`
}

interface HoldFigures {
  readonly needed: string
  readonly available: string
  readonly unit: string
  readonly topUpUrl: string | undefined
  readonly resetsAt: string | null
}

function holdMessage(
  code: ErrorCode,
  rule: string,
  { needed, available, unit, topUpUrl, resetsAt }: HoldFigures,
): string {
  const figures = `This call may cost ${needed} ${unit}; ${available} ${unit} is available`
  switch (code) {
    case 'insufficient_funds':
      return `${figures}. Add credit${topUpUrl ? ` at ${topUpUrl}` : ''}, or ask for fewer output tokens${resetsAt === null ? '' : `; more comes by itself at ${resetsAt}`}.`
    case 'held_by_open_calls':
      return `${figures}, and open calls hold the rest for a moment. Try again.`
    case 'account_suspended':
      return 'The account is frozen; ask whoever runs it.'
    case 'stopped':
      return `Calls of ${rule.replace(':', ' ')} were stopped by hand; ask whoever runs the account.`
    case 'overloaded':
      return 'The account has too many open calls; try again when some have ended.'
    case 'call_too_expensive':
      return 'This call may cost more than the wallet can count; ask for fewer output tokens.'
    default:
      return 'The call could not be admitted; try again.'
  }
}
