/** Why a call is refused, with the rule, the figures and the remedy: one function for each that says no. */
import type { CeilingRefusal } from '../core/cost-ceiling.ts'
import { decideEntitlement, missingRequired } from '../core/entitlement.ts'
import { type findPrice, isPriced } from '../core/find-price.ts'
import { formatAmount } from '../core/money.ts'
import { type ErrorCode, type ErrorFacts, errorFacts } from '../errors.ts'
import type { HoldRefused } from '../wallet/wallet-types.ts'
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
export function codeOf(status: HoldRefused['status']): ErrorCode {
  switch (status) {
    case 'held_by_open_calls':
    case 'insufficient_funds':
      return status
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

/** Which rule a Lua status stands for. */
export function ruleOf(status: HoldRefused['status']): string {
  return isAboutFunds(status) ? 'funds' : status
}

/** The others come before money is looked at: they have no figures. */
function isAboutFunds(status: HoldRefused['status']): boolean {
  return status === 'insufficient_funds' || status === 'held_by_open_calls'
}

/** The wallet said no. */
export function holdRefusal(read: ReadCall, refused: HoldRefused): ErrorFacts {
  const code = codeOf(refused.status)
  const { unit, scale, topUpUrl } = read.plan
  const needed = formatAmount(refused.neededAtoms, scale)
  const available = formatAmount(refused.availableAtoms, scale)
  return errorFacts(code, holdMessage(code, needed, available, unit, topUpUrl), read.id, {
    rule: ruleOf(refused.status),
    ...(isAboutFunds(refused.status) ? { needed, available } : {}),
    unit,
    topUpUrl: code === 'insufficient_funds' ? (topUpUrl ?? null) : null,
    retryAfterSeconds: code === 'held_by_open_calls' ? 1 : code === 'overloaded' ? 5 : undefined,
  })
}

function holdMessage(
  code: ErrorCode,
  needed: string,
  available: string,
  unit: string,
  topUpUrl: string | undefined,
): string {
  const figures = `This call may cost ${needed} ${unit}; ${available} ${unit} is available`
  switch (code) {
    case 'insufficient_funds':
      return `${figures}. Add credit${topUpUrl ? ` at ${topUpUrl}` : ''}, or ask for fewer output tokens.`
    case 'held_by_open_calls':
      return `${figures}, and open calls hold the rest for a moment. Try again.`
    case 'account_suspended':
      return 'The account is frozen; ask whoever runs it.'
    case 'overloaded':
      return 'The account has too many open calls; try again when some have ended.'
    case 'call_too_expensive':
      return 'This call may cost more than the wallet can count; ask for fewer output tokens.'
    default:
      return 'The call could not be admitted; try again.'
  }
}
