/**
 * Decides the fate of a batch: every line is a call, priced and entitled as one, and all of them are held together at the
 * batch price until the provider is done. What is in it was read when its file passed, or stands in its body.
 */
import type { IncomingMessage } from 'node:http'
import type { Upstream } from '../config/snapshot.ts'
import { type GroupCeiling, groupCeiling } from '../core/batch-ceiling.ts'
import type { BatchGroup } from '../core/batch-sum.ts'
import type { CostCeiling } from '../core/cost-ceiling.ts'
import { isPriced } from '../core/find-price.ts'
import { DEFAULT_SCALE } from '../core/money.ts'
import type { CallPrice } from '../core/price-book.ts'
import { type ErrorFacts, errorFacts, Refusal } from '../errors.ts'
import type { ModelPrice } from '../jobs/long-call.ts'
import { batchCall } from '../providers/batch-call.ts'
import { type BatchRequest, InvalidCall, type Metering, type OperationMatch } from '../providers/provider.ts'
import { batchContent } from './batch-content.ts'
import { batchTooExpensive } from './batch-refusals.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { callPrice } from './call-price.ts'
import { entitlementRefusal, missingUsageRefusal, priceRefusal } from './call-refusals.ts'
import { answerDryRun, answerRefusal } from './dry-run.ts'
import { handleFree } from './handle-free.ts'
import { LiveCall } from './live-call.ts'
import { type IncomingCall, type ReadCall, wholeBody } from './read-call.ts'
import { holdDeadlineMs, takeHold, termsOf } from './take-hold.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** Throws Refusal; resolves when the batch is sent (or answered, or its caller has gone). */
export async function handleBatch(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const askedMs = performance.now()
  const body = await wholeBody(deps, incoming, request, response)
  if (body === undefined) return
  const uploadMs = performance.now() - askedMs
  try {
    const batch = readBatch(incoming, request, body)
    if (batch.files.length === 0 && batch.lines === undefined) {
      // Made empty: what is put into it is held when it is.
      await handleFree(deps, incoming, request, response, { body })
      return
    }
    await admit(deps, incoming, { batch, body, uploadMs }, request, response)
  } catch (error) {
    if (!incoming.caller.dryRun) throw error
    answerRefusal(deps, incoming, error, response)
  }
}

function readBatch(incoming: IncomingCall, request: IncomingMessage, body: Buffer): BatchRequest {
  const { route, snapshot, id } = incoming
  const { operation } = route.matches[0] as OperationMatch
  try {
    const source = { path: route.path, query: route.query, headers: request.headers }
    const { jsonDepth } = snapshot.settings.limits
    return (operation.batch as NonNullable<typeof operation.batch>).read(body, { ...source, jsonDepth })
  } catch (error) {
    if (!(error instanceof InvalidCall)) throw error
    throw new Refusal(errorFacts('invalid_request', error.message, id, { param: error.field ?? null }))
  }
}

interface BatchBody {
  readonly batch: BatchRequest
  readonly body: Buffer
  readonly uploadMs: number
}

interface PricedGroup extends GroupCeiling {
  readonly price: CallPrice | undefined
}

async function admit(
  deps: CallDependencies,
  incoming: IncomingCall,
  { batch, body, uploadMs }: BatchBody,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const { upstream, groups, objects } = await batchContent(deps, incoming, batch)
  const decide = (model: string, of: readonly BatchGroup[], judged?: BatchGroup): ReadCall => {
    const read = readAs(deps, incoming, { batch, body, uploadMs }, upstream, model, of, objects)
    if (judged === undefined) return read
    const { generates, billedBy } = judged
    return { ...read, call: { ...read.call, generates, billedBy } }
  }
  const observe = incoming.key.plan.enforcement === 'observe'
  let would: ErrorFacts | undefined
  const refuse = (facts: ErrorFacts | undefined): void => {
    if (facts && !observe) throw new Refusal(facts)
    would ??= facts
  }
  const priced = groups.map((group): PricedGroup => {
    const read = decide(group.model, [group], group)
    refuse(entitlementRefusal(read))
    const price = callPrice(read)
    refuse(priceRefusal(read, price))
    refuse(missingUsageRefusal(read, deps.denied.has(upstream.name, group.model)))
    const usable = isPriced(price, group) && price.unit === read.plan.unit ? price : undefined
    return { ...ceilingOf(incoming, group, usable), price: usable }
  })
  const dearest = priced.toSorted((a, b) => (b.atoms > a.atoms ? 1 : b.atoms < a.atoms ? -1 : 0))[0]
  const read = decide(dearest?.group.model ?? batch.model ?? '', groups)
  if (dearest === undefined) refuse(entitlementRefusal(read))
  refuse(batchTooExpensive(read, priced))
  if (priced.some(({ guessed }) => guessed)) deps.metrics.assumedLimit(read.call.model, 'input')
  const ceiling = wholeCeiling(priced)
  const terms = termsOf(read, ceiling, dearest?.price?.version ?? '')
  if (incoming.caller.dryRun) {
    await answerDryRun(deps, read, terms, ceiling, would, response)
    return
  }
  const input = deps.sizing.input(read)
  const held = await takeHold(deps, read, input, terms, ceiling, dearest?.price, would)
  deps.sweeper.touch(terms.account, deps.now() + holdDeadlineMs(read))
  const admitted = { ...held, batchPrices: pricesOf(incoming, priced) }
  new LiveCall(deps, admitted, request, response).start(incoming.route.path, incoming.route.query)
}

/** The batch as a call of one model: as each of its models is judged, and as the whole is held, all of it as a fixed part. */
function readAs(
  deps: CallDependencies,
  incoming: IncomingCall,
  { batch, body, uploadMs }: BatchBody,
  upstream: Upstream,
  model: string,
  groups: readonly BatchGroup[],
  objects: readonly string[],
): ReadCall {
  const { key, route, where } = incoming
  const { operation } =
    route.matches.find((match) => match.operation.format === upstream.format) ?? (route.matches[0] as OperationMatch)
  where.upstream = upstream.name
  where.dialect = upstream.format
  where.endpoint = operation.endpoint
  where.model = model
  const summary = { lines: groups.reduce((sum, { lines }) => sum + lines, 0), groups }
  return {
    ...incoming,
    plan: key.plan,
    upstream,
    provider: deps.providers.get(upstream.format) as ReadCall['provider'],
    operation,
    metering: operation.metering as Metering,
    call: batchCall(model, summary, objects, batch.parsed),
    body,
    uploadMs,
    facts: {
      account: key.account.id,
      plan: key.plan.name,
      key: key.id,
      upstream: upstream.name,
      model: model === '' ? undefined : model,
      endpoint: operation.endpoint,
      labels: key.labels,
    },
  }
}

function ceilingOf({ key, snapshot }: IncomingCall, group: BatchGroup, price: CallPrice | undefined): GroupCeiling {
  const { unpricedKind } = snapshot.settings.metering
  const { batchOutputTokens, scale } = key.plan
  return groupCeiling({ group, price, outputTokens: batchOutputTokens, scale, unpricedKind })
}

/** All of it is fixed: nothing is written into a line, so nothing can be trimmed. */
function wholeCeiling(groups: readonly GroupCeiling[]): CostCeiling {
  return {
    refused: undefined,
    inputTokens: groups.reduce((sum, { tokens }) => Math.min(sum + tokens, Number.MAX_SAFE_INTEGER), 0),
    fixedAtoms: groups.reduce((sum, { atoms }) => sum + atoms, 0n),
    perTokenAtoms: 0n,
    floorAtoms: 0n,
    wantTokens: 0,
    leastTokens: 0,
    totalTokens: 0,
    limitTokens: 0,
    sliced: false,
    writeLimit: undefined,
    guesses: [],
    would: undefined,
  }
}

function pricesOf({ snapshot }: IncomingCall, groups: readonly PricedGroup[]): readonly ModelPrice[] {
  const byModel = new Map<string, ModelPrice>()
  for (const { group, price } of groups) {
    const costScale =
      price === undefined ? DEFAULT_SCALE : (snapshot.settings.unitScales.get(price.costUnit) ?? DEFAULT_SCALE)
    byModel.set(group.model, { model: group.model, price, costScale })
  }
  // A batch of free lines: nothing is priced, and nothing is used.
  return byModel.size > 0 ? [...byModel.values()] : [{ model: '', price: undefined, costScale: DEFAULT_SCALE }]
}
