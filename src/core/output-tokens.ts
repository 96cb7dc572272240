/** How many output tokens a call is held for, before money comes into it. */
import type { Atoms } from './money.ts'
import type { TokenCounts, UnitCounts } from './usage.ts'

/** Output of a call where neither the caller, the plan nor the price book names a limit. */
const ASSUMED_OUTPUT_TOKENS = 16_384

/** What the ceiling must know of a call; a provider's CallRequest has it all. */
export interface CeilingCall {
  readonly stream: boolean
  readonly input: {
    readonly highTokens: number
    readonly lowTokens: number
    readonly cacheWriteTokens: number
    readonly cacheWriteKind: 'cache_write_5m' | 'cache_write_1h'
    readonly parts?: TokenCounts
  }
  readonly generates: boolean
  readonly outputLimit: number | undefined
  readonly answers: number
  readonly thinkingBudget: number
  readonly leastOutputTokens?: number
  readonly reasoning: boolean
  readonly structured: boolean
  readonly tools: boolean
  readonly audioOutput: boolean
  readonly imageOutput?: boolean
  readonly units?: UnitCounts
  readonly certainUnits?: UnitCounts
  readonly serviceTier?: string
  readonly unseenInput: boolean
  readonly goesOn?: boolean
}

/** What a plan says of the ceiling; a Plan of the snapshot has it all. */
export interface CeilingPlan {
  readonly unit: string
  readonly enforcement: 'enforce' | 'observe'
  readonly maxCostPerCallAtoms: Atoms | undefined
  readonly maxOutputTokens: number | undefined
  readonly trim: {
    readonly enabled: boolean
    readonly minOutputTokens: number
    readonly minReasoningTokens: number
    readonly structured: boolean
    readonly tools: boolean
  }
  readonly streaming: { readonly sliceTokens: number } | undefined
}

export interface OutputLimit {
  readonly limitTokens: number
  readonly writeLimit: number | undefined
  /** Nothing names a limit: it is assumed. */
  readonly guessed: boolean
}

/** Whether the plan allows the call's limit to be lowered. */
export function trims(call: CeilingCall, plan: CeilingPlan): boolean {
  const { trim } = plan
  return trim.enabled && (trim.structured || !call.structured) && (trim.tools || !call.tools)
}

/** The call's limit before any trim, and what of it the plan writes into the call. */
export function outputLimit(call: CeilingCall, plan: CeilingPlan, priceLimit: number | undefined): OutputLimit {
  if (!call.generates) return { limitTokens: 0, writeLimit: undefined, guessed: false }
  const own = call.outputLimit === undefined ? undefined : wholeTokens(call.outputLimit)
  const limit = plan.maxOutputTokens
  // Observe changes no call: its plan's limit cannot bound what comes back.
  if (limit !== undefined && plan.enforcement === 'enforce' && (own === undefined || own > limit)) {
    return { limitTokens: limit, writeLimit: limit, guessed: false }
  }
  const known = own ?? priceLimit
  return { limitTokens: known ?? ASSUMED_OUTPUT_TOKENS, writeLimit: undefined, guessed: known === undefined }
}

/** A caller may name any number at all. */
function wholeTokens(limit: number): number {
  return limit >= Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Math.max(0, Math.ceil(limit))
}

/**
 * The shortest answer that is of use. Providers refuse a limit at or below the thinking budget, so none is written there.
 */
export function leastTokens(call: CeilingCall, plan: CeilingPlan, limitTokens: number): number {
  return trims(call, plan) ? Math.min(limitTokens, usefulTokens(call, plan)) : limitTokens
}

function usefulTokens(call: CeilingCall, plan: CeilingPlan): number {
  const { minOutputTokens, minReasoningTokens } = plan.trim
  const least = Math.max(1, minOutputTokens, call.leastOutputTokens ?? 0)
  return call.reasoning && call.thinkingBudget === 0 ? Math.max(minReasoningTokens, least) : least + call.thinkingBudget
}

/**
 * What of `totalTokens` is held at first: a slice, or what such calls usually stay within. The latter never below the
 * shortest answer that is of use: what the money covers of a call may become its limit.
 */
export function firstTokens(
  call: CeilingCall,
  plan: CeilingPlan,
  usualTokens: number | undefined,
  totalTokens: number,
): number {
  const usual = usualTokens === undefined ? totalTokens : Math.max(usualTokens, usefulTokens(call, plan))
  return Math.min(sliceTokens(call, plan) ?? totalTokens, usual, totalTokens)
}

/** Tokens of one slice; undefined: the call is held whole. */
export function sliceTokens(call: CeilingCall, plan: CeilingPlan): number | undefined {
  return call.stream && call.generates && !call.reasoning && !call.goesOn ? plan.streaming?.sliceTokens : undefined
}
