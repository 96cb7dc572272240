/** Writes down what a job came to: its hold ends in the wallet, once, by the hold's own id. */
import type { Snapshot } from '../config/snapshot.ts'
import { scaleOfMeasure } from '../core/budgets.ts'
import { findRate } from '../core/convert.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { totalInput, totalOutput } from '../providers/usage-totals.ts'
import { measuredFinals } from '../wallet/budget-measures.ts'
import type { OutboxShape } from '../wallet/outbox-types.ts'
import type { Wallet } from '../wallet/wallet-types.ts'
import { type JobEnd, type SettledJob, settleJob } from './end-of-job.ts'
import type { LongCall } from './long-call.ts'

export interface EndContext {
  readonly snapshot: () => Snapshot
  readonly outbox: Pick<OutboxShape, 'settle' | 'void' | 'job'>
  readonly wallet: Pick<Wallet, 'checkpoint'>
  readonly sweeper: { touch(account: string, deadlineAtMs: number): void }
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

/** Checkpoint numbers of a living call count from 1, those of a recovery from a million. */
const GIVEN_UP_CHECKPOINT = 2_000_000

/** Resolves when Redis has acknowledged it: only then is the job taken off the list. */
export async function endJob(context: EndContext, call: LongCall, end: JobEnd): Promise<void> {
  const { outbox, metrics } = context
  const { terms, heldAtoms } = call
  if (end.kind === 'void') {
    await outbox.void({ id: terms.id, account: terms.account, reason: end.reason })
    countEnd(metrics, call, 'failed', false)
    return
  }
  const settled = settleJob(call, end, chargeBy(context, call), context.now())
  const finals = finalsOf(context, call, settled)
  const result = await outbox.settle({ terms, finalAtoms: settled.finalAtoms, finals, info: settled.info })
  if (result.replay) return
  const { account, unit, scale } = terms
  const model = modelOf(call)
  metrics.posted({ account, model, unit, scale, result, heldAtoms, chargedAtoms: settled.finalAtoms })
  countEnd(metrics, call, 'passed', end.source === 'estimate')
  for (const { usage, price, priced } of settled.parts) {
    const cost = price.price ? { costUnit: price.price.costUnit, costScale: price.costScale } : {}
    metrics.used({ account, unit, scale, ...cost, model: price.model || model, usage, priced })
  }
}

/**
 * The provider does not know the job (any more): nobody can learn what it came to, so that its hold ends as one that
 * nobody ended, charged whole. Its deadline is brought forward to now.
 */
export async function giveUp(context: EndContext, call: LongCall): Promise<void> {
  const { id, account } = call.terms
  context.log.error(
    { request_id: id, account, upstream: call.upstream, job: call.job.id },
    'the provider knows no such job: the call is charged whole, as one whose end is not known',
  )
  await context.wallet.checkpoint({
    id,
    account,
    number: GIVEN_UP_CHECKPOINT,
    cumulativeAtoms: 0n,
    deadlineMs: 1,
    extend: undefined,
  })
  context.sweeper.touch(account, context.now() + 1)
}

function countEnd(metrics: Metrics, call: LongCall, outcome: 'passed' | 'failed', usageMissing: boolean): void {
  const { account, unit, scale } = call.terms
  metrics.ended({
    account,
    upstream: call.upstream,
    model: modelOf(call),
    endpoint: call.endpoint,
    outcome,
    unit,
    scale,
    trimmed: false,
    usageMissing,
    usage: undefined,
    priced: undefined,
    upstreamSeconds: undefined,
    firstByteSeconds: undefined,
  })
}

function finalsOf(
  { snapshot }: EndContext,
  { terms, startedAtMs }: LongCall,
  { finalAtoms, parts }: SettledJob,
): ReturnType<typeof measuredFinals> {
  const { rates, settings } = snapshot()
  const tokens = parts.reduce((sum, { usage }) => sum + totalInput(usage) + totalOutput(usage), 0)
  return measuredFinals(terms, { atoms: finalAtoms, tokens }, (measure) => {
    const rate = findRate(rates, terms.unit, measure, startedAtMs)
    const toScale = scaleOfMeasure(measure, settings.unitScales)
    return rate === undefined ? undefined : { rate, fromScale: terms.scale, toScale }
  })
}

function modelOf({ info }: LongCall): string {
  return String(info['model'] ?? '')
}

function chargeBy({ snapshot }: EndContext, { upstream }: LongCall): 'ours' | 'provider' {
  return snapshot().settings.upstreams.find(({ name }) => name === upstream)?.chargeBy ?? 'ours'
}
