/** One question how a job stands: what came of it, and when to ask again. */
import type { Format, Upstream } from '../config/snapshot.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import type { AnswerFacts, JobReader, JobState } from '../providers/provider.ts'
import { totalInput, totalOutput } from '../providers/usage-totals.ts'
import type { UpstreamCredentials } from '../proxy/credentials/upstream-credentials.ts'
import type { UpstreamPools } from '../proxy/upstream.ts'
import { type EndContext, endJob, giveUp } from './end-job.ts'
import { endOfObject, type JobEnd } from './end-of-job.ts'
import type { ListedJob, PollState } from './job-list.ts'
import type { LongCall } from './long-call.ts'
import { nextPollMs } from './next-poll.ts'
import { type Get, InlineResults, readResults } from './read-results.ts'
import { type GetAnswer, NoAnswer, upstreamGet } from './upstream-get.ts'

export interface PollContext extends EndContext {
  readonly pools: UpstreamPools
  readonly credentials: UpstreamCredentials
  readonly readers: (format: Format, name: string) => JobReader | undefined
  readonly objects: {
    record(id: string, account: string, upstream: { readonly name: string }, tokens?: number): Promise<void>
  }
}

/** Answers in a row, over this time, that there is no such job: it is given up. One alone may be a replica that lags. */
const MISSING_POLLS = 3
const MISSING_MS = 60_000

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
