/** The ending of a call's money: what it comes to, recorded in the outbox, counted in the metrics. */

import { isSameModel } from '../core/answered-model.ts'
import { billedMeasure } from '../core/billed-measure.ts'
import type { Atoms } from '../core/money.ts'
import { priceUsage } from '../core/price-usage.ts'
import { billedTier } from '../core/service-tier.ts'
import { TOKEN_KINDS, type Usage } from '../core/usage.ts'
import type { AnswerFacts } from '../providers/provider.ts'
import { totalInput } from '../providers/usage-totals.ts'
import type { SettleResult } from '../wallet/wallet-types.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { finalsOf } from './call-budgets.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { decideEnd, type End, type Ending } from './decide-end.ts'
import type { HeldMoney } from './held-money.ts'
import { type PricedAnswer, priceAnswer } from './price-answer.ts'
import { settleInfo } from './settle-info.ts'

/** How far an exchange came. */
export interface Progress {
  readonly ending: Ending
  readonly facts: AnswerFacts
  /** The usage is the answer's last word. */
  readonly usageFinal: boolean
  readonly failedInside: boolean
  /** Something of the answer that may have carried usage could not be read. */
  readonly unread: boolean
  /** Output tokens counted from what was delivered. */
  readonly outputTokens: number
  /** Of the upstream's answer; undefined where none came. */
  readonly status: number | undefined
  readonly sentMonotonicMs: number
  readonly firstByteMonotonicMs: number | undefined
  /** By the hold and its extensions. */
  readonly held: HeldMoney
}

export interface Settled {
  readonly chargeAtoms: Atoms
  readonly held: HeldMoney
  readonly usage: Usage
}

/** Recorded when this returns; Redis is told after, and nobody waits for it. Undefined: voided, nothing is charged. */
export function endCall(deps: CallDependencies, admitted: AdmittedCall, progress: Progress): Settled | undefined {
  const { terms } = admitted
  const end = decideEnd({
    ending: progress.ending,
    usage: progress.facts.usage,
    counted: progress.facts.counted,
    usageFinal: progress.usageFinal,
    failedInside: progress.failedInside,
    outputTokens: progress.outputTokens,
    answered: progress.status !== undefined,
    inputLowTokens: admitted.call.input.lowTokens,
    certainUnits: admitted.call.certainUnits,
    inputLikelyTokens: admitted.input.likelyTokens,
    onNoAnswer: admitted.upstream.onNoAnswer,
  })
  if (progress.ending === 'no_answer') {
    deps.metrics.unbilledExposure(terms.account, terms.unit, terms.floorAtoms, terms.scale)
  }
  if (end.kind === 'settle') return settle(deps, admitted, progress, end)
  void deps.outbox.void({ id: terms.id, account: terms.account, reason: end.reason })
  count(deps, admitted, progress, undefined, undefined)
  return undefined
}

function settle(
  deps: CallDependencies,
  admitted: AdmittedCall,
  progress: Progress,
  decided: Extract<End, { kind: 'settle' }>,
): Settled {
  const { price, call, upstream } = admitted
  const end =
    decided.source === 'estimate' ? { ...decided, usage: billedMeasure(decided.usage, price, call.billedBy) } : decided
  const { ending } = progress
  if (end.source === 'provider' && ending === 'complete' && !deps.sizing.learn(admitted, end.usage))
    deps.metrics.inputUnderestimated(upstream.name, call.model)
  if (end.source === 'provider' && ending === 'complete') recordSize(deps, admitted, end.usage)
  const answered = progress.facts.model
  if (answered !== undefined && answered !== call.model && !isSameModel(call.model, answered))
    deps.metrics.otherModel(upstream.name, call.model)
  return postCharge(deps, admitted, progress, end, priceAnswer(admitted, end.usage, end.source, progress.facts))
}

/** Recorded when this returns; Redis is told after, and nobody waits for it. */
export function postCharge(
  deps: CallDependencies,
  admitted: AdmittedCall,
  progress: Progress,
  end: Extract<End, { kind: 'settle' }>,
  answer: PricedAnswer,
): Settled {
  const { terms, call, upstream } = admitted
  const { held, ending } = progress
  const { priced } = answer
  // An estimate of ours makes no debt where the plan allows none, and a cut call has used up what it holds, no more.
  const bounded = admitted.held !== undefined && (ending === 'cut' || terms.onExhausted.mode === 'block')
  const most = held.priceAtoms
  const dearer = end.source === 'estimate' && bounded && priced.chargeAtoms > most
  const wholeHold = end.missing && admitted.held !== undefined && upstream.missingUsage === 'keep_hold'
  const chargeAtoms = dearer || wholeHold ? most : priced.chargeAtoms
  if (end.missing && upstream.missingUsage === 'deny_model') deps.denied.deny(upstream.name, call.model)
  const info = settleInfo(admitted, {
    usage: end.usage,
    source: end.source,
    answer,
    facts: progress.facts,
    unread: progress.unread,
    cut: ending === 'cut',
    status: progress.status ?? null,
    endedMonotonicMs: performance.now(),
    firstByteMonotonicMs: progress.firstByteMonotonicMs,
  })
  const finals = finalsOf(admitted, terms, { atoms: chargeAtoms, tokens: totalTokens(end.usage) })
  const settled: Settled = { chargeAtoms, held, usage: end.usage }
  deps.outbox
    .settle({ terms, finalAtoms: chargeAtoms, finals, info })
    .then((result) => countPosted(deps, admitted, settled, result))
    .catch((error: unknown) => deps.log.error({ request_id: terms.id, error }, 'a settlement could not be counted'))
  count(deps, admitted, progress, end, { ...priced, chargeAtoms })
  return settled
}

/** What a file comes to is known once a call has read it: the next one is held at that, no longer at the window. */
function recordSize(deps: CallDependencies, { input, call, terms, upstream }: AdmittedCall, usage: Usage): void {
  if (input.unsizedObject === undefined) return
  const tokens = totalInput(usage) - call.input.lowTokens
  if (tokens > 0) deps.objects.record(input.unsizedObject, terms.account, upstream, tokens).catch(() => {})
}

function countPosted(deps: CallDependencies, admitted: AdmittedCall, settled: Settled, result: SettleResult): void {
  const { account, unit, scale } = admitted.terms
  deps.metrics.posted({
    account,
    model: admitted.call.model,
    unit,
    scale,
    result,
    heldAtoms: admitted.held && settled.held.atoms,
    chargedAtoms: settled.chargeAtoms,
  })
}

function count(
  deps: CallDependencies,
  admitted: AdmittedCall,
  progress: Progress,
  end: Extract<End, { kind: 'settle' }> | undefined,
  priced: Parameters<CallDependencies['metrics']['ended']>[0]['priced'],
): void {
  const { terms, price, costScale } = admitted
  const { ending, firstByteMonotonicMs } = progress
  deps.metrics.ended({
    account: terms.account,
    upstream: admitted.upstream.name,
    model: admitted.call.model,
    endpoint: admitted.operation.endpoint,
    outcome: outcomeOf(ending, admitted.trimmedTo !== undefined),
    trimmed: admitted.trimmedTo !== undefined,
    unit: terms.unit,
    scale: terms.scale,
    ...(price ? { costUnit: price.costUnit, costScale } : {}),
    usage: end?.usage,
    usageMissing: end?.missing === true,
    unread: progress.unread,
    priced,
    upstreamSeconds: (performance.now() - progress.sentMonotonicMs) / 1000,
    firstByteSeconds:
      firstByteMonotonicMs === undefined ? undefined : (firstByteMonotonicMs - admitted.startedMonotonicMs) / 1000,
  })
}

function outcomeOf(ending: Ending, trimmed: boolean): 'passed' | 'trimmed' | 'cut' | 'failed' {
  if (ending === 'cut') return 'cut'
  if (ending !== 'complete' && ending !== 'client_gone') return 'failed'
  return trimmed ? 'trimmed' : 'passed'
}

/** What a call has cost so far, as far as is known, and never below its floor: for checkpoints and progress records. */
export function knownAtoms(admitted: AdmittedCall, seen: SoFar, outputTokens: number): Atoms {
  const { terms, price, snapshot, call } = admitted
  const { unpricedKind } = snapshot.settings.metering
  const tier = billedTier(undefined, call.serviceTier)
  const usage = usageSoFar(admitted, seen, outputTokens)
  const { chargeAtoms } = priceUsage(price, usage, { scale: terms.scale, unpricedKind, tier })
  return chargeAtoms > terms.floorAtoms ? chargeAtoms : terms.floorAtoms
}

/** What was stated so far, else what could be counted: images that have come, characters that are spoken. */
type SoFar = Pick<AnswerFacts, 'usage' | 'counted'>

function usageSoFar({ price, call }: AdmittedCall, { usage, counted }: SoFar, outputTokens: number): Usage {
  if (!usage && counted) return billedMeasure(counted, price, call.billedBy)
  const { tokens, units } = usage ?? { tokens: { input: call.input.lowTokens }, units: call.certainUnits }
  const output = Math.max(tokens.output ?? 0, outputTokens)
  const known = { tokens: { ...tokens, output }, ...(units ? { units } : {}), raw: null }
  return usage ? known : billedMeasure(known, price, call.billedBy)
}

/** The same in tokens. */
export function knownTokens(admitted: AdmittedCall, seen: Usage | undefined, outputTokens: number): number {
  if (!seen) return admitted.call.input.lowTokens + outputTokens
  return totalTokens(seen) + Math.max(0, outputTokens - (seen.tokens.output ?? 0))
}

/** Of an answer that is stored at the provider: what a call that continues it will read. */
export function totalTokens(usage: Usage): number {
  let total = 0
  for (const kind of TOKEN_KINDS) total += usage.tokens[kind] ?? 0
  return total
}
