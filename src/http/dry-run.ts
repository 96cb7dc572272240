/** `x-tollgate-dry-run: 1`: what would become of a call. Nothing is sent, held or written. */
import type { CostCeiling } from '../core/cost-ceiling.ts'
import { type Atoms, formatAmount } from '../core/money.ts'
import { type ErrorCode, type ErrorFacts, Refusal } from '../errors.ts'
import {
  type Held,
  type HoldRefused,
  type HoldRequest,
  type HoldTerms,
  WalletUnavailable,
} from '../wallet/wallet-types.ts'
import { budgetOfField } from './call-budgets.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { walletUnavailable, wouldOf } from './call-refusals.ts'
import type { IncomingCall, ReadCall } from './read-call.ts'
import { holdRequest, outputLimit } from './take-hold.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** Refusals that a dry run answers as a decision; the others mean that there was nothing to decide. */
const DECISIONS: ReadonlySet<ErrorCode> = new Set([
  'not_entitled',
  'model_unpriced',
  'unit_mismatch',
  'call_too_expensive',
])

/** Answers a refusal as a decision, where it is one; throws it again where there was nothing to decide. */
export function answerRefusal(
  deps: CallDependencies,
  incoming: IncomingCall,
  error: unknown,
  response: TollgateResponse,
): void {
  if (!(error instanceof Refusal) || !DECISIONS.has(error.facts.code)) throw error
  const { code, rule, needed, available } = error.facts
  const { unit } = incoming.key.plan
  answerDecision(deps, incoming, response, {
    decision: 'refuse',
    code,
    rule,
    hold: needed,
    unit,
    output_limit: null,
    available,
  })
}

/** Throws Refusal where the wallet cannot be asked. */
export async function answerDryRun(
  deps: CallDependencies,
  read: ReadCall,
  terms: HoldTerms,
  ceiling: CostCeiling,
  problem: ErrorFacts | undefined,
  response: TollgateResponse,
): Promise<void> {
  const request = holdRequest(read, terms, ceiling, true)
  const held = await holdDry(deps, read, request)
  const refusal =
    held.status === 'held'
      ? held.would && wouldOf(read, held.would, held.wouldRule)
      : wouldOf(read, held.status, held.rule)
  const limit = held.status === 'held' ? (outputLimit(read, ceiling, held) ?? ceiling.limitTokens) : 0
  const overage = held.status === 'held' && held.overage && held.overage.mode !== 'postpaid' && held.overage.atoms > 0n
  const money = isInMoney(read, held, terms)
    ? held
    : await holdDry(deps, read, { ...request, budgets: [], amounts: [] })
  const heldAtoms: Atoms = money.status === 'held' ? money.heldAtoms : money.neededAtoms
  const refused = (problem || refusal) && !terms.observe
  answerDecision(deps, read, response, {
    decision: refused ? 'refuse' : overage ? 'overage' : limit < ceiling.limitTokens ? 'trim' : 'pass',
    code: problem?.code ?? refusal?.code ?? null,
    rule: problem?.rule ?? refusal?.rule ?? null,
    hold: formatAmount(heldAtoms, terms.scale),
    unit: terms.unit,
    output_limit: read.call.generates ? limit : null,
    available: formatAmount(money.availableAtoms, terms.scale),
  })
}

/** A budget of tokens, requests or other money speaks in its own measure: the wallet alone is asked once more. */
function isInMoney(read: ReadCall, held: Held | HoldRefused, terms: HoldTerms): boolean {
  const budget = held.status === 'held' || held.rule === undefined ? undefined : budgetOfField(read, held.rule)
  return budget === undefined || budget.measure === terms.unit
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

function answerDecision(
  deps: CallDependencies,
  { id, where }: IncomingCall,
  response: TollgateResponse,
  decision: Decision,
): void {
  deps.metrics.dryRun(where.account, where.model, decision.decision)
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
