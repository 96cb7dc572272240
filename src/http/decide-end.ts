/** How a call that was admitted ends, in money: GUARANTEES section 4 as one pure function. */
import type { UnitCounts, Usage } from '../core/usage.ts'

/** What happened to the exchange with the upstream. */
export type Ending =
  /** The answer is whole. */
  | 'complete'
  /** An answer of 3xx, 4xx or 5xx. */
  | 'refused'
  /** Nothing reached the upstream. */
  | 'never_sent'
  /** Sent, and no answer came: a timeout, or a reset before the headers. */
  | 'no_answer'
  /** The answer broke off. */
  | 'upstream_failed'
  /** The caller hung up and the upstream's answer was not awaited. */
  | 'client_gone'
  /** The money ended. */
  | 'cut'
  /** The gateway stops, and its grace is over. */
  | 'stopped'

export interface EndFacts {
  readonly ending: Ending
  /** What the provider reported, whole or so far. */
  readonly usage: Usage | undefined
  /** What was counted where the provider states nothing. */
  readonly counted: Usage | undefined
  /** The usage is the answer's last word: a terminal event or a finish reason came with it. */
  readonly usageFinal: boolean
  /** An error event came inside a 200. */
  readonly failedInside: boolean
  /** Output tokens counted from what was delivered. */
  readonly outputTokens: number
  /** An answer had begun. */
  readonly answered: boolean
  readonly inputLowTokens: number
  /** Things in the input that are billed once it is sent. */
  readonly certainUnits?: UnitCounts | undefined
  /** The input as it most likely is, for estimates. */
  readonly inputLikelyTokens: number
  readonly onNoAnswer: 'void' | 'floor'
}

export type End =
  | { readonly kind: 'void'; readonly reason: string }
  | {
      readonly kind: 'settle'
      readonly usage: Usage
      readonly source: 'provider' | 'estimate'
      /** A whole answer without usage, in which nothing could be counted either. */
      readonly missing?: true
    }

export function decideEnd(facts: EndFacts): End {
  switch (facts.ending) {
    case 'never_sent':
      return { kind: 'void', reason: 'never_sent' }
    case 'no_answer':
      return facts.onNoAnswer === 'void' ? { kind: 'void', reason: 'no_answer' } : inputAlone(facts)
    case 'refused':
      return facts.usage ? provider(facts.usage) : { kind: 'void', reason: 'upstream_refused' }
    case 'complete':
      return facts.failedInside
        ? failedInside(facts)
        : facts.usage
          ? provider(facts.usage)
          : facts.counted
            ? counted(facts.counted)
            : { ...estimate(facts, facts.inputLikelyTokens), missing: true }
    case 'client_gone':
    case 'cut':
    case 'stopped':
    case 'upstream_failed':
      if (facts.usage && facts.usageFinal) return provider(facts.usage)
      if (facts.failedInside) return failedInside(facts)
      if (facts.counted && !facts.usage && facts.answered) return counted(facts.counted)
      // Without a byte of an answer only what is certain counts: the input, counted low.
      return facts.answered ? estimate(facts, facts.inputLikelyTokens) : inputAlone(facts)
  }
}

/** An error inside a 200 is never charged as text; usage in it is, and so is what was delivered before it. */
function failedInside(facts: EndFacts): End {
  if (facts.usage) return provider(facts.usage)
  if (facts.outputTokens === 0) return { kind: 'void', reason: 'upstream_refused' }
  if (facts.counted) return counted(facts.counted)
  return estimate(facts, facts.inputLikelyTokens)
}

function provider(usage: Usage): End {
  return { kind: 'settle', usage, source: 'provider' }
}

function counted(usage: Usage): End {
  return { kind: 'settle', usage, source: 'estimate' }
}

function inputAlone(facts: EndFacts): End {
  const end = estimate(facts, facts.inputLowTokens)
  return facts.usage || !facts.certainUnits ? end : { ...end, usage: { ...end.usage, units: facts.certainUnits } }
}

/** max(usage seen, what was counted): input from the provider where it already said so. */
function estimate(facts: EndFacts, inputTokens: number): Extract<End, { kind: 'settle' }> {
  const seen = facts.usage
  if (!seen) {
    return {
      kind: 'settle',
      source: 'estimate',
      usage: { tokens: { input: inputTokens, output: facts.outputTokens }, raw: null },
    }
  }
  const output = Math.max(seen.tokens.output ?? 0, facts.outputTokens - (seen.tokens.audio_output ?? 0))
  // Where the text that was delivered says more than the passes, they are no longer what the tokens are the sum of.
  const { passes, ...rest } = seen
  const usage = { ...rest, tokens: { ...seen.tokens, output } }
  return {
    kind: 'settle',
    source: 'estimate',
    usage: passes && output === seen.tokens.output ? { ...usage, passes } : usage,
  }
}
