/**
 * Decides the fate of a metered call: read, entitled, priced, held, sent; or refused, with the rule, the figure and the
 * remedy. What happens after it is sent is live-call.ts; how it ends in money is decide-end.ts.
 */
import type { IncomingMessage } from 'node:http'
import type { Plan, Snapshot, VirtualKey } from '../config/snapshot.ts'
import { type CeilingRefusal, type CostCeiling, costCeiling } from '../core/cost-ceiling.ts'
import { decideEntitlement, missingRequired } from '../core/entitlement.ts'
import { findPrice, isPriced } from '../core/find-price.ts'
import { type Atoms, DEFAULT_SCALE, formatAmount } from '../core/money.ts'
import { overflowPeriod } from '../core/overflow-period.ts'
import type { CallFacts } from '../core/price-book.ts'
import { type ErrorCode, type ErrorFacts, errorFacts, Refusal } from '../errors.ts'
import { type CallRequest, InvalidCall, type Metering } from '../providers/provider.ts'
import {
  type Held,
  type HoldRefused,
  type HoldRequest,
  type HoldTerms,
  WalletUnavailable,
} from '../wallet/wallet-types.ts'
import type { AdmittedCall, Would } from './admitted-call.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { CallerHeaders } from './caller-headers.ts'
import { LiveCall } from './live-call.ts'
import { readBody } from './read-body.ts'
import { type Route, upstreamForModel } from './route.ts'
import { callInfo } from './settle-info.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** A request that is known, authenticated, and of a metered operation. */
export interface IncomingCall {
  readonly id: string
  readonly startedAtMs: number
  readonly startedMonotonicMs: number
  readonly snapshot: Snapshot
  readonly key: VirtualKey
  readonly caller: CallerHeaders
  readonly route: Route
}

/** What is known of a call once its body is read and its upstream chosen. */
interface ReadCall extends IncomingCall {
  readonly plan: Plan
  readonly upstream: AdmittedCall['upstream']
  readonly provider: AdmittedCall['provider']
  readonly operation: AdmittedCall['operation']
  readonly metering: Metering
  readonly call: CallRequest
  readonly facts: CallFacts
  readonly body: Buffer
}

/** Throws Refusal; resolves when the call is sent (or answered, or its caller has gone). */
export async function handleCall(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const body = await wholeBody(deps, incoming, request, response)
  if (body === undefined) return
  try {
    await admit(deps, readCall(deps, incoming, body), request, response)
  } catch (error) {
    if (!incoming.caller.dryRun || !(error instanceof Refusal) || !DECISIONS.has(error.facts.code)) throw error
    answerDecision(response, incoming.id, {
      decision: 'refuse',
      code: error.facts.code,
      rule: error.facts.rule,
      hold: error.facts.needed,
      unit: incoming.key.plan.unit,
      output_limit: null,
      available: error.facts.available,
    })
  }
}

/** Refusals that a dry run answers as a decision; the others mean that there was nothing to decide. */
const DECISIONS: ReadonlySet<ErrorCode> = new Set([
  'not_entitled',
  'model_unpriced',
  'unit_mismatch',
  'call_too_expensive',
])

async function admit(
  deps: CallDependencies,
  read: ReadCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const observe = read.plan.enforcement === 'observe'
  let would = entitlementProblem(read)
  if (would && !observe) throw new Refusal(would.facts)
  const price = findPrice(read.snapshot.priceBook, read.facts, read.startedAtMs)
  would ??= priceProblem(read, price)
  if (would && !observe) throw new Refusal(would.facts)
  const usable = isPriced(price, read.call.generates) && price.unit === read.plan.unit ? price : undefined
  const unseenTokens = await objectTokens(deps, read)
  const ceiling = costCeiling({
    call: read.call,
    price: usable,
    plan: read.plan,
    unseenTokens,
    scale: read.plan.scale,
    unpricedKind: read.snapshot.settings.metering.unpricedKind,
  })
  if (ceiling.refused !== undefined) throw new Refusal(tooExpensive(read, ceiling))
  if (ceiling.would) would ??= { facts: tooExpensive(read, ceiling.would) }
  for (const kind of ceiling.guesses) deps.metrics.assumedLimit(read.call.model, kind)
  const terms = termsOf(read, ceiling, usable?.version ?? '')
  if (read.caller.dryRun) {
    await answerDryRun(deps, read, terms, ceiling, would, response)
    return
  }
  const admitted = await holdMoney(deps, read, terms, ceiling, usable, would)
  deps.sweeper.touch(terms.account, deps.now() + read.snapshot.settings.limits.holdDeadlineMs)
  new LiveCall(deps, admitted, request, response).start(read.route.path, read.route.query)
}

interface Problem {
  readonly facts: ErrorFacts
}

async function wholeBody(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<Buffer | undefined> {
  const { bodyBytes } = incoming.snapshot.settings.limits
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
    throw new Refusal(
      errorFacts(
        'invalid_request',
        'Send the body without Content-Encoding: a compressed body cannot be metered.',
        incoming.id,
        { param: 'content-encoding' },
      ),
    )
  }
  const result = await readBody(request, response, bodyBytes, deps.uploads)
  if ('body' in result) return result.body
  if (result.problem === 'gone') return undefined
  if (result.problem === 'no_room') {
    throw new Refusal(
      errorFacts(
        'overloaded',
        'The gateway has no room for another request body at the moment; try again.',
        incoming.id,
        {
          rule: 'uploads',
          retryAfterSeconds: 5,
        },
      ),
    )
  }
  throw new Refusal(
    errorFacts('body_too_large', `The body is larger than ${bodyBytes} bytes (limits.body_bytes).`, incoming.id, {
      rule: 'limits.body_bytes',
    }),
  )
}

function readCall(deps: CallDependencies, incoming: IncomingCall, body: Buffer): ReadCall {
  const { snapshot, key, route } = incoming
  const call = parseCall(incoming, body)
  const chosen = upstreamForModel(route, call.model, snapshot.settings)
  if (chosen === undefined) {
    throw new Refusal(
      errorFacts(
        'not_entitled',
        `No upstream serves the model "${call.model}" on this path; ask for one that the gateway's config names.`,
        incoming.id,
        { rule: 'upstreams', param: 'model' },
      ),
    )
  }
  const { upstream, match } = chosen
  const { operation } = match
  return {
    ...incoming,
    plan: key.plan,
    upstream,
    provider: deps.providers.get(upstream.format) as ReadCall['provider'],
    operation,
    metering: operation.metering as Metering,
    call,
    body,
    facts: {
      account: key.account.id,
      plan: key.plan.name,
      key: key.id,
      upstream: upstream.name,
      model: call.model,
      endpoint: operation.endpoint,
      labels: key.labels,
    },
  }
}

/** Formats that share a path read its body alike, so the first one's reading serves to choose the upstream. */
function parseCall(incoming: IncomingCall, body: Buffer): CallRequest {
  const metering = incoming.route.matches[0]?.operation.metering as Metering
  try {
    return metering.readCall(body, { jsonDepth: incoming.snapshot.settings.limits.jsonDepth })
  } catch (error) {
    if (!(error instanceof InvalidCall)) throw error
    throw new Refusal(errorFacts('invalid_request', error.message, incoming.id, { param: error.field ?? null }))
  }
}

function entitlementProblem(read: ReadCall): Problem | undefined {
  const missing = missingRequired(read.plan.require, {
    run: read.caller.run,
    user: read.caller.user,
    labels: read.key.labels,
  })
  if (missing !== undefined) {
    const remedy =
      missing === 'run' || missing === 'user' ? `send it in x-tollgate-${missing}` : 'use a key that has this label'
    throw new Refusal(
      errorFacts(
        'invalid_request',
        `The plan "${read.plan.name}" requires "${missing}" on each call; ${remedy}.`,
        read.id,
        { rule: 'plan.require', param: missing },
      ),
    )
  }
  const denied = decideEntitlement(read.plan, {
    model: read.call.model,
    endpoint: read.operation.endpoint,
    free: false,
  })
  return (
    denied && {
      facts: errorFacts(denied.code, denied.message, read.id, {
        rule: denied.rule,
        param: denied.rule === 'plan.models' ? 'model' : null,
      }),
    }
  )
}

function priceProblem(read: ReadCall, price: ReturnType<typeof findPrice>): Problem | undefined {
  const { model } = read.call
  if (!isPriced(price, read.call.generates)) {
    if (read.snapshot.settings.metering.unpricedModel === 'allow_unmetered') return undefined
    return {
      facts: errorFacts(
        'model_unpriced',
        `The price book has no price for the model "${model}"; add an entry for it, or ask for a priced one.`,
        read.id,
        { rule: 'price_book', param: 'model' },
      ),
    }
  }
  if (price.unit === read.plan.unit) return undefined
  return {
    facts: errorFacts(
      'unit_mismatch',
      `The model "${model}" is priced in ${price.unit}, the wallet holds ${read.plan.unit}, and no rate between them is declared.`,
      read.id,
      {
        rule: 'rates',
        unit: read.plan.unit,
      },
    ),
  }
}

function tooExpensive(read: ReadCall, refusal: CeilingRefusal): ErrorFacts {
  const { scale, unit } = read.plan
  return errorFacts('call_too_expensive', refusal.message, read.id, {
    rule: refusal.rule,
    needed: formatAmount(refusal.neededAtoms, scale),
    available: refusal.allowedAtoms === undefined ? null : formatAmount(refusal.allowedAtoms, scale),
    unit,
  })
}

/** Tokens of the objects that the call reads; refused as not found where another account made one. */
async function objectTokens(deps: CallDependencies, read: ReadCall): Promise<number | undefined> {
  if (read.call.objects.length === 0) return undefined
  let tokens = 0
  for (const id of read.call.objects) {
    const object = await findObject(deps, read, id)
    if (object?.account !== read.key.account.id && !(object === undefined && read.upstream.shared)) {
      throw new Refusal(
        errorFacts('not_found', `No object "${id}" was found.`, read.id, { param: 'previous_response_id' }),
      )
    }
    tokens += object?.tokens ?? 0
  }
  return tokens > 0 ? tokens : undefined
}

async function findObject(
  deps: CallDependencies,
  read: ReadCall,
  id: string,
): ReturnType<CallDependencies['objects']['find']> {
  try {
    return await deps.objects.find(id)
  } catch (error) {
    if (error instanceof WalletUnavailable) throw new Refusal(walletUnavailable(read.id))
    throw error
  }
}

function termsOf(read: ReadCall, ceiling: CostCeiling, priceVersion: string): HoldTerms {
  const { plan, key, caller } = read
  return {
    id: read.id,
    account: key.account.id,
    unit: plan.unit,
    scale: plan.scale,
    onExhausted: plan.onExhausted,
    overflowPeriod:
      plan.onExhausted.mode === 'overflow'
        ? overflowPeriod(plan.onExhausted.period, read.startedAtMs, plan.timezone)
        : '',
    observe: plan.enforcement === 'observe',
    facts: {
      model: read.call.model,
      upstream: read.upstream.name,
      endpoint: read.operation.endpoint,
      key: key.id,
      run: caller.run,
      user: caller.user,
      labels: key.labels,
    },
    floorAtoms: ceiling.floorAtoms,
    priceVersion,
    onTimeout: 'known',
  }
}

function holdRequest(read: ReadCall, terms: HoldTerms, ceiling: CostCeiling, dryRun: boolean): HoldRequest {
  return {
    ...terms,
    fixedAtoms: ceiling.fixedAtoms,
    perTokenAtoms: ceiling.perTokenAtoms,
    leastTokens: ceiling.leastTokens,
    wantTokens: ceiling.wantTokens,
    totalTokens: ceiling.totalTokens,
    deadlineMs: read.snapshot.settings.limits.holdDeadlineMs,
    dryRun,
    info: JSON.stringify(callInfo(read)),
  }
}

async function holdMoney(
  deps: CallDependencies,
  read: ReadCall,
  terms: HoldTerms,
  ceiling: CostCeiling,
  price: AdmittedCall['price'],
  problem: Problem | undefined,
): Promise<AdmittedCall> {
  if (!deps.outbox.accepting) {
    throw new Refusal(
      errorFacts('overloaded', 'The gateway cannot record settlements at the moment; try again.', read.id, {
        rule: 'outbox',
        retryAfterSeconds: 5,
      }),
    )
  }
  deps.outbox.intent(read.id, terms.account)
  const held = await holdOnce(deps, read, holdRequest(read, terms, ceiling, false))
  if (held !== undefined && held.status !== 'held') {
    deps.outbox.drop(read.id)
    throw new Refusal(holdRefused(read, held))
  }
  const would: Would | undefined =
    problem !== undefined
      ? { code: problem.facts.code, rule: problem.facts.rule }
      : held?.would && { code: codeOf(held.would), rule: 'funds' }
  const limit = outputLimit(read, ceiling, held)
  if (would) deps.metrics.wouldRefuse({ account: terms.account, code: would.code, rule: would.rule })
  return {
    ...read,
    price,
    costScale:
      price === undefined ? DEFAULT_SCALE : (read.snapshot.settings.unitScales.get(price.costUnit) ?? DEFAULT_SCALE),
    ceiling,
    terms,
    held,
    would,
    trimmedTo: limit !== undefined && limit < ceiling.limitTokens ? limit : undefined,
    body: preparedBody(deps, read, limit),
  }
}

/** The body as it is sent. Where it cannot be made, what is held goes back before the call is refused. */
function preparedBody(deps: CallDependencies, read: ReadCall, outputLimit: number | undefined): Buffer {
  try {
    return read.metering.prepare(read.body, read.call, { outputLimit, upstream: read.upstream })
  } catch (error) {
    void deps.outbox.void({ id: read.id, account: read.key.account.id, reason: 'never_sent' })
    throw error
  }
}

/** Asks again with the same id where the answer was lost. Undefined: Redis is away, and observe lets the call pass. */
async function holdOnce(
  deps: CallDependencies,
  read: ReadCall,
  request: HoldRequest,
): Promise<Held | HoldRefused | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await deps.wallet.hold(request)
    } catch (error) {
      if (!(error instanceof WalletUnavailable)) throw error
      if (error.unknown && attempt === 1) continue
      deps.log.warn({ request_id: read.id, cause: error.message }, 'the wallet did not answer')
      if (request.observe && !error.unknown) return undefined
      // It may have been held all the same: the id is closed as soon as Redis is back.
      if (attempt > 1 || error.unknown)
        void deps.outbox.void({ id: read.id, account: request.account, reason: 'unknown_hold' })
      else deps.outbox.drop(read.id)
      throw new Refusal(walletUnavailable(read.id))
    }
  }
}

function walletUnavailable(id: string): ErrorFacts {
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

/** The limit to write into the call: the plan's, or what the wallet pays for. Undefined: the call goes as it came. */
function outputLimit(read: ReadCall, ceiling: CostCeiling, held: Held | undefined): number | undefined {
  if (!read.call.generates || read.plan.enforcement === 'observe' || held === undefined) return undefined
  const allowed = ceiling.sliced ? (read.plan.trim.enabled ? held.payableTokens : ceiling.totalTokens) : held.tokens
  return allowed < ceiling.limitTokens ? allowed : ceiling.writeLimit
}

/** A Lua status as the code of an answer. */
function codeOf(status: HoldRefused['status']): ErrorCode {
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

function holdRefused(read: ReadCall, refused: HoldRefused): ErrorFacts {
  const code = codeOf(refused.status)
  const { unit, scale, topUpUrl } = read.plan
  const needed = formatAmount(refused.neededAtoms, scale)
  const available = formatAmount(refused.availableAtoms, scale)
  return errorFacts(code, refusalMessage(code, needed, available, unit, topUpUrl), read.id, {
    rule: code === 'insufficient_funds' || code === 'held_by_open_calls' ? 'funds' : refused.status,
    needed,
    available,
    unit,
    topUpUrl: code === 'insufficient_funds' ? (topUpUrl ?? null) : null,
    retryAfterSeconds: code === 'held_by_open_calls' ? 1 : code === 'overloaded' ? 5 : undefined,
  })
}

function refusalMessage(
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
      return `This call may cost more than the wallet can count (${needed} ${unit}); ask for fewer output tokens.`
    default:
      return 'The call could not be admitted; try again.'
  }
}

async function answerDryRun(
  deps: CallDependencies,
  read: ReadCall,
  terms: HoldTerms,
  ceiling: CostCeiling,
  problem: Problem | undefined,
  response: TollgateResponse,
): Promise<void> {
  const held = await holdDry(deps, read, holdRequest(read, terms, ceiling, true))
  const refusal = held.status === 'held' ? held.would : held.status
  const limit = held.status === 'held' ? (outputLimit(read, ceiling, held) ?? ceiling.limitTokens) : 0
  const overage = held.status === 'held' && held.overage && held.overage.mode !== 'postpaid' && held.overage.atoms > 0n
  const heldAtoms: Atoms = held.status === 'held' ? held.heldAtoms : held.neededAtoms
  answerDecision(response, read.id, {
    decision: problem || refusal ? 'refuse' : overage ? 'overage' : limit < ceiling.limitTokens ? 'trim' : 'pass',
    code: problem?.facts.code ?? (refusal ? codeOf(refusal) : null),
    rule: problem?.facts.rule ?? (refusal ? 'funds' : null),
    hold: formatAmount(heldAtoms, terms.scale),
    unit: terms.unit,
    output_limit: read.call.generates ? limit : null,
    available: formatAmount(held.availableAtoms, terms.scale),
  })
}

interface Decision {
  readonly decision: 'pass' | 'trim' | 'overage' | 'refuse'
  readonly code: ErrorCode | null
  readonly rule: string | null
  readonly hold: string | null
  readonly unit: string
  readonly output_limit: number | null
  readonly available: string | null
}

function answerDecision(response: TollgateResponse, id: string, decision: Decision): void {
  const body = JSON.stringify(decision)
  response.writeHead(200, [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
    'x-tollgate-request-id',
    id,
  ])
  response.end(body)
}

async function holdDry(deps: CallDependencies, read: ReadCall, request: HoldRequest): Promise<Held | HoldRefused> {
  try {
    return await deps.wallet.hold(request)
  } catch (error) {
    if (error instanceof WalletUnavailable) throw new Refusal(walletUnavailable(read.id))
    throw error
  }
}
