/** One question how a job stands: what came of it, and when to ask again. */
import type { Format, Snapshot, Upstream } from '../config/snapshot.ts'
import { findRate } from '../core/convert.ts'
import { DEFAULT_SCALE } from '../core/money.ts'
import type { Log } from '../log.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { AnswerFacts, JobReader, JobState } from '../providers/provider.ts'
import { totalInput, totalOutput } from '../providers/usage-totals.ts'
import type { UpstreamCredentials } from '../proxy/credentials/upstream-credentials.ts'
import type { UpstreamPools } from '../proxy/upstream.ts'
import { measuredFinals } from '../wallet/budget-measures.ts'
import type { OutboxShape } from '../wallet/outbox-types.ts'
import type { Wallet } from '../wallet/wallet-types.ts'
import { endOfObject, type JobEnd, settleJob } from './end-of-job.ts'
import type { ListedJob, PollState } from './job-list.ts'
import type { LongCall } from './long-call.ts'
import { nextPollMs } from './next-poll.ts'
import { type Get, InlineResults, readResults } from './read-results.ts'
import { type GetAnswer, NoAnswer, upstreamGet } from './upstream-get.ts'

export interface PollContext {
  readonly snapshot: () => Snapshot
  readonly pools: UpstreamPools
  readonly credentials: UpstreamCredentials
  readonly readers: (format: Format, name: string) => JobReader | undefined
  readonly outbox: Pick<OutboxShape, 'settle' | 'void' | 'job'>
  readonly wallet: Pick<Wallet, 'checkpoint'>
  readonly objects: {
    record(id: string, account: string, upstream: { readonly name: string }, tokens?: number): Promise<void>
  }
  readonly sweeper: { touch(account: string, deadlineAtMs: number): void }
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
}

/** Answers in a row, over this time, that there is no such job: it is given up. One alone may be a replica that lags. */
const MISSING_POLLS = 3
const MISSING_MS = 60_000
/** Checkpoint numbers of a living call count from 1, those of a recovery from a million. */
const GIVEN_UP_CHECKPOINT = 2_000_000

/** Undefined: it has its end, or is given up, and nobody need ask again. */
export async function pollJob(
  context: PollContext,
  { call, state }: ListedJob,
): Promise<{ readonly state: PollState; readonly dueAtMs: number } | undefined> {
  const { limits } = context.snapshot().settings
  const nowMs = context.now()
  const polled = await ask(context, call)
  context.metrics.polled(call.upstream, polled.result)
  const polls = state.polls + 1
  if (polled.result === 'ended') {
    await endJob(context, call, polled.end)
    return undefined
  }
  if (polled.result === 'missing') {
    const missing = state.missing + 1
    const missingSinceMs = state.missing === 0 ? nowMs : state.missingSinceMs
    if (missing >= MISSING_POLLS && nowMs - missingSinceMs >= MISSING_MS) {
      await giveUp(context, call)
      return undefined
    }
    return { state: { polls, missing, missingSinceMs }, dueAtMs: nextPollMs(limits, call, polls, context.now()) }
  }
  if (nowMs >= call.deadlineAtMs + limits.jobLateWindowMs) {
    const { id, account } = call.terms
    context.log.error(
      { request_id: id, account, job: call.job.id },
      'a call that went on has no end: it stays charged whole',
    )
    return undefined
  }
  const earliestMs = nowMs + (polled.retryAfterSeconds ?? 0) * 1000
  const dueAtMs = Math.max(earliestMs, nextPollMs(limits, call, polls, context.now()))
  return { state: { polls, missing: 0, missingSinceMs: 0 }, dueAtMs }
}

type Polled =
  | { readonly result: 'open' | 'failed'; readonly retryAfterSeconds?: number | undefined }
  | { readonly result: 'missing' }
  | { readonly result: 'ended'; readonly end: JobEnd }

async function ask(context: PollContext, call: LongCall): Promise<Polled> {
  const { settings } = context.snapshot()
  const upstream = settings.upstreams.find((candidate) => candidate.name === call.upstream)
  const reader = context.readers(call.format, call.job.reader)
  if (upstream === undefined || reader === undefined) {
    // Taken out of the config while the job ran: put back, it is asked for again.
    context.log.warn(
      { request_id: call.terms.id, upstream: call.upstream },
      'nothing in the config can ask how a call stands',
    )
    return { result: 'failed' }
  }
  try {
    return await askUpstream(context, call, upstream, reader)
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error
    context.log.warn(
      { request_id: call.terms.id, upstream: upstream.name, cause: error.message },
      'a poll got no answer',
    )
    return { result: 'failed' }
  }
}

async function askUpstream(
  context: PollContext,
  call: LongCall,
  upstream: Upstream,
  reader: JobReader,
): Promise<Polled> {
  const meter = new JsonMeter(reader.members)
  const inline =
    reader.results && reader.results.inline.length > 0 ? new InlineResults(reader.results, call) : undefined
  const answer = await get(context, call, upstream, call.job.path, (bytes) => {
    meter.push(bytes)
    inline?.push(bytes)
  })
  if (answer.status === 404 || answer.status === 410) return { result: 'missing' }
  if (answer.status !== 200) {
    context.log.warn(
      { request_id: call.terms.id, upstream: upstream.name, status: answer.status },
      'a poll was refused',
    )
    return { result: 'failed', retryAfterSeconds: answer.retryAfterSeconds }
  }
  const state: JobState = reader.read(meter.end(), call.job.notes)
  if (state.status === 'open') return { result: 'open' }
  if (state.status === 'ended') {
    await recordObjects(context, call, state.facts)
    return { result: 'ended', end: endOfObject(call, state) }
  }
  if (reader.results === undefined) return { result: 'failed' }
  const getResult: Get = async (path, onBytes) => (await get(context, call, upstream, path, onBytes)).status
  const end = await readResults(call, reader.results, state, inline, getResult)
  if (end === undefined) {
    context.log.warn({ request_id: call.terms.id, upstream: upstream.name }, 'results of a batch could not be read now')
    return { result: 'failed' }
  }
  if (end === 'open') return { result: 'open' }
  await recordObjects(context, call, { objectIds: state.objectIds })
  return { result: 'ended', end }
}

/** What a job made belongs to the account that began it. */
async function recordObjects(
  { objects }: PollContext,
  call: LongCall,
  facts: Pick<AnswerFacts, 'objectIds'> & Partial<Pick<AnswerFacts, 'usage' | 'storedId' | 'carrierId'>>,
): Promise<void> {
  const { account } = call.terms
  const upstream = { name: call.upstream }
  const tokens = facts.usage ? totalInput(facts.usage) + totalOutput(facts.usage) : 0
  const output = facts.usage ? totalOutput(facts.usage) : 0
  for (const id of [facts.storedId, facts.carrierId])
    if (id !== undefined) await objects.record(id, account, upstream, tokens)
  await Promise.all((facts.objectIds ?? []).map((id) => objects.record(id, account, upstream, output)))
}

function get(
  context: PollContext,
  call: LongCall,
  upstream: Upstream,
  path: string,
  onBytes: (bytes: Buffer) => void,
): Promise<GetAnswer> {
  const firstByteMs = context.snapshot().settings.limits.upstreamFirstByteStreamMs
  return upstreamGet(context, { upstream, path, headers: call.headers, firstByteMs }, onBytes)
}

/** Resolves when Redis has acknowledged it: only then is the job taken off the list. */
async function endJob(context: PollContext, call: LongCall, end: JobEnd): Promise<void> {
  const { outbox, metrics } = context
  const { terms } = call
  const labels = { account: terms.account, upstream: call.upstream, endpoint: call.endpoint }
  const base = { ...labels, outcome: 'passed', unit: terms.unit, scale: terms.scale, trimmed: false } as const
  const untimed = { upstreamSeconds: undefined, firstByteSeconds: undefined, usageMissing: false } as const
  const model = String(call.info['model'] ?? '')
  if (end.kind === 'void') {
    await outbox.void({ id: terms.id, account: terms.account, reason: end.reason })
    metrics.ended({ ...base, ...untimed, outcome: 'failed', model, usage: undefined, priced: undefined })
    return
  }
  const { finalAtoms, info, parts } = settleJob(call, end, chargeBy(context, call), context.now())
  const { rates, settings } = context.snapshot()
  const tokens = parts.reduce((sum, part) => sum + totalInput(part.usage) + totalOutput(part.usage), 0)
  const finals = measuredFinals(terms, { atoms: finalAtoms, tokens }, (measure) => {
    const rate = findRate(rates, terms.unit, measure, call.startedAtMs)
    const toScale = settings.unitScales.get(measure) ?? DEFAULT_SCALE
    return rate === undefined ? undefined : { rate, fromScale: terms.scale, toScale }
  })
  const result = await outbox.settle({ terms, finalAtoms, finals, info })
  if (result.replay) return
  metrics.posted({
    account: terms.account,
    unit: terms.unit,
    scale: terms.scale,
    result,
    heldAtoms: call.heldAtoms,
    chargedAtoms: finalAtoms,
  })
  for (const { usage, price, priced } of parts)
    metrics.ended({
      ...base,
      ...untimed,
      model: price.model === '' ? model : price.model,
      ...(price.price ? { costUnit: price.price.costUnit, costScale: price.costScale } : {}),
      usage,
      usageMissing: end.source === 'estimate',
      priced,
    })
}

function chargeBy(context: PollContext, { upstream }: LongCall): 'ours' | 'provider' {
  return context.snapshot().settings.upstreams.find(({ name }) => name === upstream)?.chargeBy ?? 'ours'
}

/**
 * The provider does not know the job (any more): nobody can learn what it came to, so that its hold ends as one that
 * nobody ended, charged whole. Its deadline is brought forward to now.
 */
async function giveUp(context: PollContext, call: LongCall): Promise<void> {
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
