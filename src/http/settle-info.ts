/** The ledger's settle entry as far as the gateway knows it (SPEC section 7); the script adds what money did. */

import { isEmpty } from '../core/is-empty.ts'
import { formatAmount } from '../core/money.ts'
import type { Usage } from '../core/usage.ts'
import { boundedRaw, countsOf } from '../core/usage-fields.ts'
import type { AnswerFacts } from '../providers/provider.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { PricedAnswer } from './price-answer.ts'

/** Of the provider's own words: ids, models, tiers. */
const TEXT_LENGTH_MAX = 256

export interface SettleFigures {
  readonly usage: Usage
  readonly source: 'provider' | 'estimate'
  readonly answer: PricedAnswer
  readonly facts: AnswerFacts
  readonly unread: boolean
  readonly cut: boolean
  readonly status: number | null
  readonly endedMonotonicMs: number
  readonly firstByteMonotonicMs: number | undefined
}

export function settleInfo(admitted: AdmittedCall, figures: SettleFigures): string {
  const { key, caller, price, startedMonotonicMs } = admitted
  const { usage, answer, facts, firstByteMonotonicMs } = figures
  const { priced } = answer
  return JSON.stringify({
    ...callInfo(admitted),
    tags: isEmpty(caller.tags) ? undefined : caller.tags,
    labels: isEmpty(key.labels) ? undefined : key.labels,
    provider_request_id: short(facts.providerId),
    answered_model: facts.model === admitted.call.model ? undefined : short(facts.model),
    priced_model: short(answer.pricedModel),
    service_tier: short(facts.serviceTier),
    tokens: countsOf(usage),
    units: usage.units,
    beside: usage.beside,
    usage_source: figures.source,
    usage: boundedRaw(usage.raw),
    usage_flags: flagsOf(figures),
    unpriced_kinds: priced.unpricedKinds.length > 0 ? priced.unpricedKinds : undefined,
    price_version: price?.version,
    cost: price && formatAmount(priced.costAtoms, admitted.costScale),
    cost_unit: price?.costUnit,
    rate: price?.conversion && { from: price.conversion.of.unit, to: price.unit, rate: price.conversion.rate },
    stated_cost: answer.statedCost,
    charged_by: answer.chargedBy === 'provider' ? answer.chargedBy : undefined,
    trimmed: admitted.trimmedTo,
    cut: figures.cut || undefined,
    would: admitted.would,
    status: figures.status,
    duration_ms: Math.round(figures.endedMonotonicMs - startedMonotonicMs),
    ttfb_ms: firstByteMonotonicMs === undefined ? undefined : Math.round(firstByteMonotonicMs - startedMonotonicMs),
  })
}

/** Who called what: of the hold entry too. The request id is the hold's own id and stands there already. */
export function callInfo(
  admitted: Pick<AdmittedCall, 'key' | 'caller' | 'upstream' | 'call' | 'operation'>,
): Record<string, unknown> {
  const { key, caller } = admitted
  return {
    key: key.id,
    run: caller.run,
    user: caller.user,
    upstream: admitted.upstream.name,
    model: admitted.call.model,
    endpoint: admitted.operation.endpoint,
  }
}

/** Of a call that goes on: what its settle entry will have besides what it comes to. */
export function longCallInfo(admitted: AdmittedCall): Record<string, unknown> {
  const { key, caller } = admitted
  return {
    ...callInfo(admitted),
    tags: isEmpty(caller.tags) ? undefined : caller.tags,
    labels: isEmpty(key.labels) ? undefined : key.labels,
    trimmed: admitted.trimmedTo,
    would: admitted.would,
  }
}

function flagsOf({ usage, answer, unread }: SettleFigures): readonly string[] | undefined {
  const flags = [...(usage.flags ?? []), ...answer.flags, ...(unread ? ['unread'] : [])]
  return flags.length > 0 ? flags : undefined
}

function short(text: string | undefined): string | undefined {
  return text?.slice(0, TEXT_LENGTH_MAX)
}
