/** What is kept of a call that goes on after its answer: all that its end needs, in whichever process learns of it. */
import type { LongCall } from '../jobs/long-call.ts'
import type { JobFacts } from '../providers/provider.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { callPrice } from './call-price.ts'
import { priceOf } from './price-answer.ts'
import { longCallInfo } from './settle-info.ts'

/** How the provider is spoken to: a poll without them would be another API version, or another project's. */
const KEPT_HEADERS = new Set([
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
  'openai-organization',
  'openai-project',
  'x-goog-user-project',
  'api-revision',
])
/** While a stream is open it tells its end itself. */
const STREAM_FIRST_POLL_MS = 60_000

/** `answered`: the model that the answer names. */
export function longCallOf(
  admitted: AdmittedCall,
  job: JobFacts,
  answered: string | undefined,
  rawHeaders: readonly string[],
  nowMs: number,
): LongCall {
  const { terms, held, upstream, operation, snapshot, call, route } = admitted
  const { limits, metering } = snapshot.settings
  const { price, pricedModel } = priceOf(admitted, answered)
  return {
    terms,
    heldAtoms: held?.heldAtoms,
    upstream: upstream.name,
    format: operation.format,
    endpoint: operation.endpoint,
    job: {
      id: job.id,
      reader: job.reader,
      path: job.pollPath(route.path) + route.query,
      notes: job.notes ?? {},
      ...(job.within === undefined ? {} : { within: job.within }),
    },
    headers: keptHeaders(rawHeaders),
    prices: admitted.batchPrices ?? [{ model: pricedModel ?? call.model, price, costScale: admitted.costScale }],
    ...(call.beside ? { toolPrices: toolPrices(admitted, call.beside.model) } : {}),
    unpricedKind: metering.unpricedKind,
    tier: admitted.batchPrices ? 'batch' : call.serviceTier,
    input: { lowTokens: call.input.lowTokens, likelyTokens: admitted.input.likelyTokens },
    info: { ...longCallInfo(admitted), priced_model: pricedModel },
    startedAtMs: admitted.startedAtMs,
    firstPollAtMs: nowMs + (call.stream ? STREAM_FIRST_POLL_MS : limits.pollFirstMs),
    deadlineAtMs: admitted.startedAtMs + limits.jobDeadlineMs,
  }
}

/** Of the model that a tool of the call runs. */
function toolPrices(admitted: AdmittedCall, model: string): LongCall['prices'] {
  return [{ model, price: callPrice(admitted, model), costScale: admitted.costScale }]
}

function keptHeaders(raw: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2)
    if (KEPT_HEADERS.has((raw[i] as string).toLowerCase())) kept.push(raw[i] as string, raw[i + 1] as string)
  return kept
}
