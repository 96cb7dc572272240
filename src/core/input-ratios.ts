/**
 * How many tokens a model bills for text that was counted high, learnt from the calls that were settled: the factor by
 * which the next count may be lowered (or must be raised), so that at most one call in a hundred is billed more.
 *
 * A ratio depends on the tokenizer (the model), the script, how much of a short prompt is the template around it (the
 * size), and what goes into that (tools, a schema, reasoning); each combination learns by itself, and starts from its model's family, else from the safe count.
 */
import { LearnedHistograms } from './learned-histograms.ts'
import type { LogHistogram } from './log-histogram.ts'
import { RecentMap } from './recent-map.ts'

/** What kind of text most of a prompt is. `code`: JSON, code, base64, numbers. */
export type Script = 'latin' | 'code' | 'cjk' | 'other'

export interface TextCount {
  /** Counted high, with what the format puts around the caller's own. */
  readonly tokens: number
  readonly ownTokens: number
  readonly script: Script
}

export interface RatioQuestion {
  readonly upstream: string
  readonly endpoint: string
  readonly model: string
  readonly tools: boolean
  readonly structured: boolean
  readonly reasoning: boolean
  readonly text: TextCount
}

export interface RatioFactors {
  /** For `text.tokens` as they are held; 1: the safe count. Never above 2. */
  readonly held: number
  /** What they most likely come to, for estimates; undefined: too few calls to say. */
  readonly likely: number | undefined
}

const UNKNOWN: RatioFactors = { held: 1, likely: undefined }

/** Billed over counted, 5 % a bin. Beyond 2 it is no matter of tokenizers: the provider read what no body shows. */
const RATIOS = { least: 1 / 64, binsPerOctave: 14, bins: 7 * 14 } as const
const RATIO_MAX = 2
/** 1 call in 200 lies above; what is held on top of it, with the width of a bin, takes that well below 1 in 100. */
const QUANTILE = 0.995
const MARGIN = 1.05
/** And the more the fewer different ratios were seen: equal calls say little of other ones. */
const MARGIN_OF_EQUALS = 0.35
/** Fewer calls than this say nothing of the one in a hundred: the safe count stays. */
const CALLS_LEAST = 20
/** So many that are all billed above the safe count raise it at once. */
const CALLS_TO_RAISE = 4
/** Weight of what was assumed before, in calls. */
const PRIOR_CALLS = 8
/** From so many on it has none. */
const CALLS_WITHOUT_PRIOR = 256
const FAMILY_CALLS_LEAST = 50
/** A newer model of a family may have a tokenizer of its own: Claude Opus 4.7 bills up to 1.35 times as much. */
const FAMILY_MARGIN = 1.4
/** How fast the widening after an underestimate fades, a call: by half in 350. */
const FADING = 0.998
const NAMES_MAX = 4096
/**
 * Never below this part of the caller's own text, whatever was learnt: a thousand equal prompts say little of the next
 * one. English prose is at 0.40 to 0.48 of the count, Chinese at 0.25 to 0.4.
 */
const OWN_TEXT_LEAST: { readonly [script in Script]: number } = { latin: 0.5, code: 0.6, cjk: 0.45, other: 0.3 }

export class InputRatios {
  /** Handed to the exchange with the other processes. */
  readonly histograms = new LearnedHistograms(RATIOS, NAMES_MAX)
  /** By name: the ratio of the last underestimate, fading. */
  readonly #widened = new RecentMap<number>(NAMES_MAX)

  factors(question: RatioQuestion): RatioFactors {
    const { tokens, ownTokens, script } = question.text
    if (tokens === 0) return UNKNOWN
    const kind = kindOf(question)
    const name = modelName(question, kind)
    const own = this.histograms.find(name)
    const least = Math.min(1, (OWN_TEXT_LEAST[script] * ownTokens) / tokens)
    const held = Math.max(least, this.#heldFactor(question, kind, name, own))
    return { held, likely: own === undefined || own.total < CALLS_LEAST ? undefined : own.quantile(0.5) }
  }

  #heldFactor(question: RatioQuestion, kind: string, name: string, own: LogHistogram | undefined): number {
    const calls = own?.total ?? 0
    const prior = calls >= CALLS_WITHOUT_PRIOR ? 0 : this.#familyFactor(familyName(question, kind))
    if (own === undefined || calls < CALLS_TO_RAISE) return prior
    const learnt = Math.max(upper(own), this.#widened.get(name) ?? 0)
    if (calls < CALLS_LEAST) return Math.min(RATIO_MAX, Math.max(prior, learnt))
    const doubt = Math.max(0, prior - learnt) * (PRIOR_CALLS / (calls + PRIOR_CALLS))
    return Math.min(RATIO_MAX, learnt + doubt)
  }

  /** `billedTokens`: for the text that `question` counted. `held`: the factor that the call was held at. */
  learn(question: RatioQuestion, billedTokens: number, held: number): void {
    if (question.text.tokens === 0) return
    const ratio = Math.min(RATIO_MAX, billedTokens / question.text.tokens)
    if (!(ratio > 0)) return
    const kind = kindOf(question)
    const name = modelName(question, kind)
    this.histograms.add(name, ratio)
    this.histograms.add(familyName(question, kind), ratio)
    const widened = this.#widened.get(name) ?? 0
    if (ratio > held) this.#widened.set(name, Math.max(ratio * MARGIN, widened))
    else if (widened > 0) this.#widened.set(name, widened * FADING)
  }

  #familyFactor(familyName: string): number {
    const family = this.histograms.find(familyName)
    return family === undefined || family.total < FAMILY_CALLS_LEAST ? 1 : Math.min(1, upper(family) * FAMILY_MARGIN)
  }
}

function upper(histogram: LogHistogram): number {
  return (histogram.quantile(QUANTILE) ?? 1) * (MARGIN + MARGIN_OF_EQUALS / Math.max(1, histogram.spread))
}

/** Four sizes to a power of four: a prompt of a few words is mostly template, a long one mostly text. */
function kindOf({ tools, structured, reasoning, text }: RatioQuestion): string {
  const flags = `${tools ? 'T' : ''}${structured ? 'S' : ''}${reasoning ? 'R' : ''}`
  return `${text.script}${flags}${Math.floor(Math.log2(text.tokens) / 2)}`
}

function modelName({ upstream, endpoint, model }: RatioQuestion, kind: string): string {
  return `${upstream}|${endpoint}|${kind}|${model}`
}

function familyName({ endpoint, model }: RatioQuestion, kind: string): string {
  return `*|${endpoint}|${kind}|${familyOf(model)}`
}

/** "gpt", "claude", "llama": the letters that a model's name begins with, behind the name of its maker. */
function familyOf(model: string): string {
  return /^[a-z]+/i.exec(model.slice(model.lastIndexOf('/') + 1))?.[0].toLowerCase() ?? ''
}
