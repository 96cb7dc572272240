/**
 * How many output tokens calls of one kind come to, learnt from those that ended by themselves: what 99 of 100 stay
 * within may be held in place of the whole limit. Learnt for each key, and for each plan until a key has enough calls.
 */
import { LearnedHistograms } from './learned-histograms.ts'

export interface OutputQuestion {
  readonly account: string
  readonly key: string
  readonly plan: string
  readonly upstream: string
  readonly endpoint: string
  readonly model: string
  readonly tools: boolean
  readonly structured: boolean
  readonly reasoning: boolean
  /** The call's own limit, or the plan's. */
  readonly limitTokens: number
}

/** Bins of 9 %, up to a million tokens. */
const TOKENS = { least: 1, binsPerOctave: 8, bins: 20 * 8 } as const
const QUANTILE = 0.99
/** Fewer calls than this say nothing: the whole limit is held. */
const CALLS_LEAST = 50
const NAMES_MAX = 4096

export class OutputSizes {
  /** Handed to the exchange with the other processes. */
  readonly histograms = new LearnedHistograms(TOKENS, NAMES_MAX)

  /** Tokens of one answer that 99 of 100 such calls stay within; undefined: not known yet. */
  expected(question: OutputQuestion): number | undefined {
    const { keyName, planName } = namesOf(question)
    for (const name of [keyName, planName]) {
      const known = this.histograms.find(name)
      if (known !== undefined && known.total >= CALLS_LEAST) return Math.ceil(known.quantile(QUANTILE) ?? 0)
    }
    return undefined
  }

  /** `tokens`: of one answer that ended by itself. */
  learn(question: OutputQuestion, tokens: number): void {
    const { keyName, planName } = namesOf(question)
    // An answer of nothing is one of the shortest kind.
    this.histograms.add(keyName, Math.max(1, tokens))
    this.histograms.add(planName, Math.max(1, tokens))
  }
}

/** Limits of one power of two are alike: who asks for 100 tokens gets shorter answers than who asks for 4,000. */
function namesOf(question: OutputQuestion): { readonly keyName: string; readonly planName: string } {
  const { tools, structured, reasoning, limitTokens } = question
  const flags = `${tools ? 'T' : ''}${structured ? 'S' : ''}${reasoning ? 'R' : ''}`
  const limit = Math.ceil(Math.log2(Math.max(1, limitTokens)))
  const kind = `${question.upstream}|${question.endpoint}|${flags}${limit}|${question.model}`
  return { keyName: `k|${question.account}|${question.key}|${kind}`, planName: `p|${question.plan}|${kind}` }
}
