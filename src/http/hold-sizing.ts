/**
 * How much is held for a call, beside its price: input as it most likely is at the highest, output as the plan asks.
 * What calls came to teaches it, once they are settled; nothing here waits for anything.
 */
import { CachedPrefixes } from '../core/cached-prefixes.ts'
import type { CeilingInput } from '../core/cost-ceiling.ts'
import { InputRatios, type RatioQuestion } from '../core/input-ratios.ts'
import { type OutputQuestion, OutputSizes } from '../core/output-sizes.ts'
import type { Usage } from '../core/usage.ts'
import { likelyInput } from '../providers/likely-input.ts'
import type { TextShare } from '../providers/provider.ts'
import { totalInput, totalOutput } from '../providers/usage-totals.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { ReadCall } from './read-call.ts'

/** The input of one call as it is held. */
export interface HeldInput extends CeilingInput {
  /** By which the count of its text was taken; 1: as it was counted. */
  readonly factor: number
  /** As it most likely is, for estimates. */
  readonly likelyTokens: number
  /** An object of the account that it reads, whose size is not known yet. */
  readonly unsizedObject?: string | undefined
}

/** What it must know of a call. */
export type SizedCall = Pick<ReadCall, 'call' | 'key' | 'caller' | 'plan' | 'upstream' | 'operation' | 'startedAtMs'>

export class HoldSizing {
  readonly ratios = new InputRatios()
  readonly outputs = new OutputSizes()
  readonly #prefixes = new CachedPrefixes()

  /** `exactTokens`: its texts by the model's own tokenizer, where the plan asks for that and it could be had. */
  input(read: SizedCall, exactTokens?: number): HeldInput {
    const { input } = read.call
    const { text } = input
    const question = text && ratioQuestion(read, text)
    const learnt = question && this.ratios.factors(question)
    const factor = heldFactor(read, learnt?.held ?? 1, exactTokens)
    const highTokens = text === undefined ? input.highTokens : input.highTokens - text.tokens + scaled(text, factor)
    return {
      highTokens,
      cacheWriteTokens: Math.min(highTokens, input.cacheWriteTokens),
      cacheWriteKind: input.cacheWriteKind,
      cachedTokens: read.plan.hold.input === 'recent' ? this.#prefixes.expected(prefixOf(read), read.startedAtMs) : 0,
      factor,
      likelyTokens: likelyTokens(read, learnt?.likely),
    }
  }

  /** Tokens of one answer that are held at first; undefined: the whole limit. */
  output(read: SizedCall, limitTokens: number): number | undefined {
    // One that goes on after its answer has no stream to ask for more on: it is held whole.
    if (read.plan.hold.output !== 'p99' || !read.call.generates || read.call.goesOn) return undefined
    return this.outputs.expected(outputQuestion(read, limitTokens))
  }

  /** Of a call that ended by itself, with the provider's own usage. False: its input came to more than was held. */
  learn(admitted: SizedCall & Pick<AdmittedCall, 'input' | 'ceiling' | 'trimmedTo'>, usage: Usage): boolean {
    const { call, plan, input, ceiling } = admitted
    if (plan.hold.input === 'recent') this.#prefixes.learn(prefixOf(admitted), usage.tokens, admitted.startedAtMs)
    if (plan.hold.output === 'p99' && call.generates && admitted.trimmedTo === undefined) {
      const tokens = Math.ceil(totalOutput(usage) / call.answers)
      this.outputs.learn(outputQuestion(admitted, ceiling.limitTokens), tokens)
    }
    const { text } = call.input
    if (call.unseenInput || text === undefined || !isAllText(call.input.highTokens, text)) return true
    const billed = totalInput(usage)
    this.ratios.learn(ratioQuestion(admitted, text), billed - text.exactTokens, input.factor)
    return billed <= input.highTokens
  }
}

function heldFactor({ plan, call }: SizedCall, learnt: number, exactTokens: number | undefined): number {
  if (plan.hold.tokenizer === 'high') return 1
  const { text } = call.input
  if (exactTokens === undefined || text?.exact === undefined) return learnt
  return Math.min(1, (exactTokens + text.exact.besidesTokens) / text.tokens)
}

/** By what was learnt, where anything was. */
function likelyTokens({ call }: SizedCall, factor: number | undefined): number {
  const { lowTokens, highTokens, text } = call.input
  if (factor !== undefined && text !== undefined)
    return Math.max(lowTokens, highTokens - text.tokens + scaled(text, factor))
  return likelyInput(call.input)
}

function scaled(text: TextShare, factor: number): number {
  return Math.ceil(text.tokens * factor)
}

/** Media are counted by their own rules: a bill that covers them too says nothing of the text. */
function isAllText(highTokens: number, text: TextShare): boolean {
  return highTokens === text.tokens + text.exactTokens && text.tokens > 0
}

function ratioQuestion({ call, upstream, operation }: SizedCall, text: TextShare): RatioQuestion {
  const { model, tools, structured, reasoning } = call
  return { upstream: upstream.name, endpoint: operation.endpoint, model, tools, structured, reasoning, text }
}

function outputQuestion(read: SizedCall, limitTokens: number): OutputQuestion {
  const { call, key, plan, upstream, operation } = read
  return {
    account: key.account.id,
    key: key.id,
    plan: plan.name,
    upstream: upstream.name,
    endpoint: operation.endpoint,
    model: call.model,
    tools: call.tools,
    structured: call.structured,
    reasoning: call.reasoning,
    limitTokens,
  }
}

function prefixOf({ call, key, caller, upstream }: SizedCall): Parameters<CachedPrefixes['expected']>[0] {
  return { account: key.account.id, key: key.id, upstream: upstream.name, model: call.model, run: caller.run }
}
