import { type ExactRates, exactRates, roundCeiling, roundFloor, tokenRate, type UnpricedKind } from './exact-rates.ts'
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
import type { TokenKind } from './usage.ts'

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
  /** Decimals of `price.unit`. */
  readonly scale: number
  readonly unpricedKind: UnpricedKind
}

/** The most that a call may cost, in the terms of a hold. Token figures are of the call's limit for one answer. */
export interface CostCeiling {
  readonly refused: undefined
  /** Input and fees, rounded up. */
  readonly fixedAtoms: Atoms
  /** One token of the limit, all answers together, rounded up. 0n for a free model or a call that generates nothing. */
  readonly perTokenAtoms: Atoms
  /** Certainly spent once the call is sent: input counted low at the cheapest rate it may be billed at. */
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
  const { call, price, plan } = question
  const observe = plan.enforcement === 'observe'
  const rates = price && exactRates(price.charge, question.scale)
  const output = outputLimit(call, plan, price?.maxOutputTokens)
  const guesses: ('input' | 'output')[] = output.guessed ? ['output'] : []
  const money = {
    fixedAtoms: fixedAtoms(question, rates, guesses),
    perTokenAtoms: call.generates ? perTokenAtoms(question, rates) : 0n,
  }
  const least = leastTokens(call, plan, output.limitTokens)
  const fit = fitTokens(money, output.limitTokens, least, plan.maxCostPerCallAtoms, question)
  const refusal = thinkingRefusal(question, money) ?? fit.refusal
  if (refusal !== undefined && !observe) return refusal
  // What is observed is changed by no rule: only by the largest amount there is.
  const total = observe ? payableTokens(money, output.limitTokens, ATOMS_MAX) : fit.tokens
  const want = firstTokens(call, plan, question.usualTokens, total)
  return {
    refused: undefined,
    ...money,
    floorAtoms: floorAtoms(question, rates, money.fixedAtoms),
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

function fixedAtoms(question: CeilingQuestion, rates: ExactRates | undefined, guesses: ('input' | 'output')[]): Atoms {
  const { call, price, unseenTokens, unpricedKind } = question
  const input = question.input ?? { ...call.input, cachedTokens: 0 }
  const cached = Math.min(input.cachedTokens, input.highTokens)
  // What is read from the cache is not written again.
  const written = Math.min(input.cacheWriteTokens, input.highTokens - cached)
  let tokens = input.highTokens - cached - written
  if (call.unseenInput) {
    const unseen = unseenTokens ?? price?.contextWindow
    if (unseen === undefined) guesses.push('input')
    tokens += unseen ?? ASSUMED_INPUT_TOKENS
  }
  if (rates === undefined) return 0n
  const inputRate = tokenRate(rates, 'input', unpricedKind)
  // What asks to be cached may be billed as a write, or as plain input where it is too short to be kept.
  const writeRate = larger(tokenRate(rates, input.cacheWriteKind, unpricedKind), inputRate)
  const numerator =
    BigInt(tokens) * inputRate +
    BigInt(written) * writeRate +
    BigInt(cached) * tokenRate(rates, 'cached_input', unpricedKind) +
    (rates.units.requests ?? 0n)
  return roundCeiling(numerator, rates.denominator)
}

function perTokenAtoms({ call, unpricedKind }: CeilingQuestion, rates: ExactRates | undefined): Atoms {
  if (rates === undefined) return 0n
  const text = tokenRate(rates, 'output', unpricedKind)
  const rate = call.audioOutput ? larger(text, tokenRate(rates, 'audio_output', unpricedKind)) : text
  return roundCeiling(rate * BigInt(call.answers), rates.denominator)
}

const TEXT_INPUT_KINDS: readonly TokenKind[] = ['cached_input', 'cache_write_5m', 'cache_write_1h']

function floorAtoms({ call, unpricedKind }: CeilingQuestion, rates: ExactRates | undefined, fixedAtoms: Atoms): Atoms {
  if (rates === undefined) return 0n
  let cheapest = tokenRate(rates, 'input', unpricedKind)
  for (const kind of TEXT_INPUT_KINDS) {
    const rate = tokenRate(rates, kind, unpricedKind)
    if (rate < cheapest) cheapest = rate
  }
  const floor = roundFloor(BigInt(call.input.lowTokens) * cheapest, rates.denominator)
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
