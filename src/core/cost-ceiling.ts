import { type CeilingRates, ceilingRates } from './ceiling-rates.ts'
import { decimalParts, roundCeiling, roundFloor, type UnpricedKind } from './exact-rates.ts'
import { ATOMS_MAX, type Atoms, formatAmount } from './money.ts'
import {
  type CeilingCall,
  type CeilingPlan,
  firstTokens,
  leastTokens,
  outputLimit,
  sliceTokens,
  trims,
} from './output-tokens.ts'
import type { CallPrice } from './price-book.ts'
import { SERVICE_TIERS, type ServiceTier, serviceTier } from './service-tier.ts'
import type { CountedKind, TokenKind, UnitCounts } from './usage.ts'

/** Input of a call that cannot be seen, where neither recorded tokens nor a context window say more. */
export const ASSUMED_INPUT_TOKENS = 128_000

/** Input as it is held. */
export interface CeilingInput {
  readonly highTokens: number
  /** Part of highTokens that asks to be cached. */
  readonly cacheWriteTokens: number
  readonly cacheWriteKind: 'cache_write_5m' | 'cache_write_1h'
  /** Tokens of the same that the provider most likely has in its cache already; 0: none, or the worst is held. */
  readonly cachedTokens: number
}

export interface CeilingQuestion {
  readonly call: CeilingCall
  /** Left out: as it was counted. */
  readonly input?: CeilingInput
  /** Output tokens that answers to such calls usually stay within: held at first, where the plan asks for it. */
  readonly usualTokens?: number | undefined
  /** undefined (observe, `allow_unmetered`): everything costs 0. */
  readonly price: CallPrice | undefined
  readonly plan: CeilingPlan
  /** Tokens recorded for the objects that the call reads; undefined: not known. Read where `call.unseenInput`. */
  readonly unseenTokens: number | undefined
  /** What another model, run by a tool, may cost at the most. */
  readonly besideAtoms?: Atoms
  /** Decimals of `price.unit`. */
  readonly scale: number
  readonly unpricedKind: UnpricedKind
  /** Service tiers that may be billed (a batch's line: `batch` alone); left out: the one asked for and the default. */
  readonly tiers?: Tiers
}

type Tiers = readonly (ServiceTier | undefined)[]

/** The most that a call may cost, in the terms of a hold. Token figures are of the call's limit for one answer. */
export interface CostCeiling {
  readonly refused: undefined
  /** Input as it is held, what cannot be seen with it: what budgets of tokens count. */
  readonly inputTokens: number
  /** Input and fees, rounded up. */
  readonly fixedAtoms: Atoms
  /** One token of the limit, all answers together, rounded up. 0n for a free model or a call that generates nothing. */
  readonly perTokenAtoms: Atoms
  /** Certainly spent once the call is sent: input counted low, and the things in it, at the cheapest rate they may be billed at. */
  readonly floorAtoms: Atoms
  /** Of the first slice where the call is sliced. 0 <= leastTokens <= wantTokens <= totalTokens <= limitTokens. */
  readonly wantTokens: number
  readonly leastTokens: number
  /** The whole call, after `max_cost_per_call`. */
  readonly totalTokens: number
  /** The whole call before any trim: a call that is sent with fewer is trimmed. 0 where nothing is generated. */
  readonly limitTokens: number
  /** Only a first part of the output is held; the call's limit is what the wallet could pay in all. */
  readonly sliced: boolean
  /** Limit that the plan writes into a call which names none or a higher one, whether or not it is trimmed further. */
  readonly writeLimit: number | undefined
  /** Limits that had to be assumed because nothing names them: counted in `assumed_limits_total`. */
  readonly guesses: readonly ('input' | 'output')[]
  /** Under observe alone: the refusal that enforcement would have given. */
  readonly would: CeilingRefusal | undefined
}

export interface CeilingRefusal {
  readonly refused: 'call_too_expensive'
  readonly rule: 'max_output_tokens' | 'max_cost_per_call' | 'out_of_range'
  /** What the least useful form of the call would cost. */
  readonly neededAtoms: Atoms
  /** What a call may cost; undefined for a rule that is not about money. */
  readonly allowedAtoms: Atoms | undefined
  readonly message: string
}

/**
 * The ceiling of a call: what is held before it is sent, and how far its output limit may be lowered to fit.
 * `max_cost_per_call` lowers the limit as the wallet does, or refuses the call where the least useful answer is dearer.
 */
export function costCeiling(question: CeilingQuestion): CostCeiling | CeilingRefusal {
  const { price, plan, scale, unpricedKind } = question
  const call = reasoningCall(question)
  const observe = plan.enforcement === 'observe'
  const output = outputLimit(call, plan, price?.maxOutputTokens)
  const guesses: ('input' | 'output')[] = output.guessed ? ['output'] : []
  const high = highTokens(question, guesses)
  const tiers = question.tiers ?? (TIERS_ASKED.get(serviceTier(call.serviceTier)) as Tiers)
  const rates = price && ceilingRates(price, { tiers, highTokens: high, scale, unpricedKind })
  const fixed = fixedAtoms(question, rates, high) + (question.besideAtoms ?? 0n)
  const money = { fixedAtoms: fixed, perTokenAtoms: perTokenAtoms(call, rates) }
  const least = leastTokens(call, plan, output.limitTokens)
  const fit = fitTokens(money, output.limitTokens, least, plan.maxCostPerCallAtoms, question)
  const refusal = thinkingRefusal(question, money) ?? fit.refusal
  if (refusal !== undefined && !observe) return refusal
  // What is observed is changed by no rule: only by the largest amount there is.
  const total = observe ? payableTokens(money, output.limitTokens, ATOMS_MAX) : fit.tokens
  const want = firstTokens(call, plan, question.usualTokens, total)
  return {
    refused: undefined,
    inputTokens: high,
    ...money,
    floorAtoms: floorAtoms(call, rates, money.fixedAtoms),
    wantTokens: want,
    leastTokens: trims(call, plan) ? Math.min(least, want) : want,
    totalTokens: total,
    limitTokens: output.limitTokens,
    sliced: want < total || sliceTokens(call, plan) !== undefined,
    writeLimit: output.writeLimit,
    guesses,
    would: refusal,
  }
}

/** One array for each set: rates are kept by it. A provider may serve at its default tier what asks for another. */
const TIERS_ASKED = new Map<ServiceTier | undefined, Tiers>([
  [undefined, [undefined]],
  ...SERVICE_TIERS.map((tier) => [tier, [undefined, tier]] as const),
])

/** A model that reasons without being asked is held as one that was. */
function reasoningCall({ call, price }: CeilingQuestion): CeilingCall {
  return price?.reasons === true && !call.reasoning ? { ...call, reasoning: true } : call
}

/** Input counted high, with what cannot be seen of it. */
function highTokens({ call, input, price, unseenTokens }: CeilingQuestion, guesses: ('input' | 'output')[]): number {
  const seen = (input ?? call.input).highTokens
  if (!call.unseenInput) return seen
  const unseen = unseenTokens ?? price?.contextWindow
  if (unseen === undefined) guesses.push('input')
  return seen + (unseen ?? ASSUMED_INPUT_TOKENS)
}

function fixedAtoms({ call, input }: CeilingQuestion, rates: CeilingRates | undefined, high: number): Atoms {
  if (rates === undefined) return 0n
  const { cacheWriteTokens, cacheWriteKind, cachedTokens } = input ?? { ...call.input, cachedTokens: 0 }
  // What asks to be cached may be billed as a write, or as plain input where it is too short to be kept.
  const writeRate = larger(rates.tokens[cacheWriteKind], rates.plainInput)
  let numerator = 0n
  let text = high
  const { parts } = call.input
  for (const kind in parts) {
    const count = Math.min(parts[kind as TokenKind] ?? 0, text)
    text -= count
    const rate = larger(rates.tokens[kind as TokenKind], cacheWriteTokens > 0 ? writeRate : rates.plainInput)
    numerator += BigInt(count) * rate
  }
  const cached = Math.min(cachedTokens, text)
  // What is read from the cache is not written again.
  const written = Math.min(cacheWriteTokens, text - cached)
  numerator +=
    BigInt(cached) * rates.tokens.cached_input +
    BigInt(written) * writeRate +
    BigInt(text - cached - written) * rates.plainInput
  return roundCeiling(...withUnits(call.units, rates.units, rates.denominator, numerator))
}

/** Counted things and the fee of a request; seconds come in fractions. */
function withUnits(
  counts: UnitCounts | undefined,
  rates: CeilingRates['units'],
  tokensDenominator: bigint,
  tokens: bigint,
): [numerator: bigint, denominator: bigint] {
  let numerator = tokens
  let denominator = tokensDenominator
  for (const kind in rates) {
    const rate = rates[kind as CountedKind] ?? 0n
    const count = Math.max(counts?.[kind as CountedKind] ?? 0, kind === 'requests' ? 1 : 0)
    if (count === 0) continue
    if (Number.isSafeInteger(count)) {
      numerator += BigInt(count) * rate * (denominator / tokensDenominator)
      continue
    }
    const { mantissa, decimals } = decimalParts(count)
    const finer = 10n ** BigInt(decimals)
    numerator = numerator * finer + mantissa * rate * (denominator / tokensDenominator)
    denominator *= finer
  }
  return [numerator, denominator]
}

function perTokenAtoms(call: CeilingCall, rates: CeilingRates | undefined): Atoms {
  if (rates === undefined || !call.generates) return 0n
  let rate = rates.tokens.output
  if (call.audioOutput) rate = larger(rate, rates.tokens.audio_output)
  if (call.imageOutput) rate = larger(rate, rates.tokens.image_output)
  return roundCeiling(rate * BigInt(call.answers), rates.denominator)
}

function floorAtoms(call: CeilingCall, rates: CeilingRates | undefined, fixedAtoms: Atoms): Atoms {
  if (rates === undefined) return 0n
  const { cheapestInput, cheapestUnits, denominator } = rates
  const { requests: _fee, ...things } = cheapestUnits
  const [ofThings, finer] = withUnits(call.certainUnits, things, denominator, 0n)
  // What is billed by things is not billed by tokens too.
  const floor =
    ofThings > 0n ? roundFloor(ofThings, finer) : roundFloor(BigInt(call.input.lowTokens) * cheapestInput, denominator)
  return floor < fixedAtoms ? floor : fixedAtoms
}

interface Money {
  readonly fixedAtoms: Atoms
  readonly perTokenAtoms: Atoms
}

/** The most tokens that the plan's maximum for a call, and the largest amount there is, pay for. */
function fitTokens(
  money: Money,
  limitTokens: number,
  least: number,
  maxAtoms: Atoms | undefined,
  { plan, scale }: CeilingQuestion,
): { readonly tokens: number; readonly refusal: CeilingRefusal | undefined } {
  const allowedAtoms = maxAtoms !== undefined && maxAtoms < ATOMS_MAX ? maxAtoms : ATOMS_MAX
  const neededAtoms = money.fixedAtoms + BigInt(least) * money.perTokenAtoms
  if (neededAtoms <= allowedAtoms)
    return { tokens: payableTokens(money, limitTokens, allowedAtoms), refusal: undefined }
  const rule = allowedAtoms === maxAtoms ? 'max_cost_per_call' : 'out_of_range'
  const needed = formatAmount(neededAtoms, scale)
  const allowed = formatAmount(allowedAtoms, scale)
  const says = rule === 'max_cost_per_call' ? 'its plan allows' : 'the largest amount is'
  return {
    tokens: 0,
    refusal: {
      refused: 'call_too_expensive',
      rule,
      neededAtoms,
      allowedAtoms,
      message: `This call may cost up to ${needed} ${plan.unit}; ${says} ${allowed} for one call. Shorten the input or ask for fewer output tokens.`,
    },
  }
}

function payableTokens({ fixedAtoms, perTokenAtoms }: Money, limitTokens: number, allowedAtoms: Atoms): number {
  if (fixedAtoms > allowedAtoms) return 0
  if (perTokenAtoms === 0n) return limitTokens
  const payable = (allowedAtoms - fixedAtoms) / perTokenAtoms
  return payable < BigInt(limitTokens) ? Number(payable) : limitTokens
}

/** The plan's own limit would be written at or below the thinking budget: the call cannot work under this plan. */
function thinkingRefusal({ call, plan }: CeilingQuestion, money: Money): CeilingRefusal | undefined {
  const limit = plan.maxOutputTokens
  const budget = call.thinkingBudget
  if (!call.generates || limit === undefined || budget === 0 || limit > budget) return undefined
  if (call.outputLimit !== undefined && call.outputLimit <= limit) return undefined
  return {
    refused: 'call_too_expensive',
    rule: 'max_output_tokens',
    neededAtoms: money.fixedAtoms + BigInt(budget + 1) * money.perTokenAtoms,
    allowedAtoms: undefined,
    message: `The call asks for a thinking budget of ${budget} tokens; its plan allows ${limit} output tokens in all. Ask for a thinking budget below ${limit}.`,
  }
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
