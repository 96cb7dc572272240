/**
 * Decides the fate of a metered call: read, entitled, priced, held, sent; or refused, with the rule, the figure and the
 * remedy. What happens after it is sent is live-call.ts; how it ends in money is decide-end.ts.
 */
import type { IncomingMessage } from 'node:http'
import { isPriced } from '../core/find-price.ts'
import type { Atoms } from '../core/money.ts'
import { outputLimit } from '../core/output-tokens.ts'
import type { CallPrice } from '../core/price-book.ts'
import { priceUsage } from '../core/price-usage.ts'
import { Refusal } from '../errors.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { callPrice } from './call-price.ts'
import {
  entitlementRefusal,
  missingUsageRefusal,
  priceRefusal,
  tooExpensive,
  toolPriceRefusal,
} from './call-refusals.ts'
import { dearestCeiling, otherModelsRefusal } from './dearest-price.ts'
import { answerDryRun, answerRefusal } from './dry-run.ts'
import { LiveCall } from './live-call.ts'
import { ownObjects } from './own-objects.ts'
import { formOf, type IncomingCall, type ReadCall, readCall, wholeBody } from './read-call.ts'
import { holdDeadlineMs, takeHold, termsOf } from './take-hold.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** Throws Refusal; resolves when the call is sent (or answered, or its caller has gone). */
export async function handleCall(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const askedMs = performance.now()
  const body = await wholeBody(deps, incoming, request, response)
  if (body === undefined) return
  try {
    const wholeMs = performance.now()
    const form = await formOf(incoming, request, body)
    const read = readCall(deps, incoming, request, body, form, wholeMs - askedMs)
    deps.metrics.overhead('read', (performance.now() - wholeMs) / 1000)
    const admitted = await admitCall(deps, read, () => response)
    if (admitted) new LiveCall(deps, admitted, request, response).start(read.route.path, read.route.query)
  } catch (error) {
    if (!incoming.caller.dryRun) throw error
    answerRefusal(deps, incoming, error, response)
  }
}

/** Entitled, priced and held. Undefined: a dry run, which is answered. Throws Refusal. */
export async function admitCall(
  deps: CallDependencies,
  read: ReadCall,
  response: () => TollgateResponse,
): Promise<AdmittedCall | undefined> {
  const observe = read.plan.enforcement === 'observe'
  const readMs = performance.now()
  let would = entitlementRefusal(read)
  if (would && !observe) throw new Refusal(would)
  const price = callPrice(read)
  would ??= priceRefusal(read, price)
  would ??= otherModelsRefusal(read)
  const beside = besidePrice(read)
  if (read.call.beside && price) would ??= toolPriceRefusal(read, read.call.beside.model, beside)
  would ??= missingUsageRefusal(read, deps.denied.has(read.upstream.name, read.call.model))
  if (would && !observe) throw new Refusal(would)
  const usable = isPriced(price, read.call) && price.unit === read.plan.unit ? price : undefined
  const { unseenTokens, unsizedObject } = await objectTokens(deps, read)
  const input = { ...deps.sizing.input(read, await exactTokens(deps, read)), unsizedObject }
  const ceiling = dearestCeiling(read, {
    call: read.call,
    input,
    usualTokens: deps.sizing.output(read, outputLimit(read.call, read.plan, usable?.maxOutputTokens).limitTokens),
    price: usable,
    plan: read.plan,
    unseenTokens,
    besideAtoms: besideAtoms(read, beside),
    scale: read.plan.scale,
    unpricedKind: read.snapshot.settings.metering.unpricedKind,
  })
  if (ceiling.refused !== undefined) throw new Refusal(tooExpensive(read, ceiling))
  if (ceiling.would) would ??= tooExpensive(read, ceiling.would)
  for (const kind of ceiling.guesses) deps.metrics.assumedLimit(read.call.model, kind)
  const terms = termsOf(read, ceiling, usable?.version ?? '')
  const { id, plan } = read.key.account
  // Once an account, period and process: then the background is ahead.
  if (plan.allowance && !deps.allowances.covers(id, plan.allowance)) await deps.allowances.ensure(id)
  if (read.caller.dryRun) {
    await answerDryRun(deps, read, terms, ceiling, would, response())
    return undefined
  }
  const decidedMs = performance.now()
  deps.metrics.overhead('decide', (decidedMs - readMs) / 1000)
  const admitted = await takeHold(deps, read, input, terms, ceiling, usable, would)
  deps.metrics.overhead('hold', (performance.now() - decidedMs) / 1000)
  deps.sweeper.touch(terms.account, deps.now() + holdDeadlineMs(read))
  return admitted
}

function besidePrice(read: ReadCall): CallPrice | undefined {
  return read.call.beside && callPrice(read, read.call.beside.model)
}

/** The most that the model of a tool may cost. */
function besideAtoms({ call, plan, snapshot }: ReadCall, price: CallPrice | undefined): Atoms {
  if (!call.beside || price?.unit !== plan.unit) return 0n
  const { unpricedKind } = snapshot.settings.metering
  return priceUsage(price, { tokens: call.beside.tokens, raw: null }, { scale: plan.scale, unpricedKind }).chargeAtoms
}

/** Its texts by the model's own tokenizer, which are let go then. Nothing is awaited where no plan asks for that. */
async function exactTokens(deps: CallDependencies, read: ReadCall): Promise<number | undefined> {
  const exact = read.call.input.text?.exact
  if (exact === undefined) return undefined
  const tokens = await deps.exact.count(exact)
  exact.texts.length = 0
  return tokens
}

interface ObjectsRead {
  /** Tokens of all of them; undefined: not known. */
  readonly unseenTokens: number | undefined
  /** The only one whose size is not known, where the account has made it: what the call comes to tells it. */
  readonly unsizedObject: string | undefined
}

const NO_OBJECTS: ObjectsRead = { unseenTokens: undefined, unsizedObject: undefined }

/** The objects that the call reads; refused as not found where another account made one. */
async function objectTokens(deps: CallDependencies, read: ReadCall): Promise<ObjectsRead> {
  const { objects } = read.call
  if (objects.length === 0) return NO_OBJECTS
  const found = await ownObjects(deps, read, read.upstream, objects)
  let tokens = 0
  let unsized = 0
  let unsizedObject: string | undefined
  found.forEach((object, i) => {
    tokens += object?.tokens ?? 0
    if (object !== undefined && object.tokens > 0) return
    unsized++
    unsizedObject = object && objects[i]
  })
  // One of unknown size makes all of it unknown.
  if (unsized === 0) return { unseenTokens: tokens, unsizedObject: undefined }
  return { unseenTokens: undefined, unsizedObject: unsized === 1 ? unsizedObject : undefined }
}
