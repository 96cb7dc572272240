/**
 * What of a call's input the provider most likely has cached: the prefix that the last call of the same run read from
 * the cache or wrote into it. Known to this process alone, for as long as providers keep it; where nothing is known,
 * nothing is taken off.
 */
import { RecentMap } from './recent-map.ts'
import type { TokenCounts } from './usage.ts'

export interface PrefixQuestion {
  readonly account: string
  readonly key: string
  readonly upstream: string
  readonly model: string
  /** undefined: the calls of the key that name none, which may be of many conversations. */
  readonly run: string | undefined
}

interface Prefix {
  /** Of the last calls, the latest first: of a run one, without a run four. */
  readonly tokens: readonly number[]
  readonly untilMs: number
}

/** Anthropic keeps a prefix for 5 minutes from its last use, or for an hour; OpenAI for 5 to 10 minutes. */
const KEPT_MS = 5 * 60_000
const KEPT_LONG_MS = 60 * 60_000
/** Without a run: what the last so many calls all had, which is what their prompts have in common. */
const RUNLESS_CALLS = 4
const RUNS_MAX = 10_000

export class CachedPrefixes {
  readonly #prefixes = new RecentMap<Prefix>(RUNS_MAX)

  /** Tokens; 0: nothing is known, or it is too long ago. */
  expected(question: PrefixQuestion, nowMs: number): number {
    const prefix = this.#prefixes.get(nameOf(question))
    if (prefix === undefined || nowMs >= prefix.untilMs) return 0
    if (question.run === undefined && prefix.tokens.length < RUNLESS_CALLS) return 0
    return Math.min(...prefix.tokens)
  }

  /** `tokens`: what the provider reported of a call that began at `startedAtMs`. */
  learn(question: PrefixQuestion, tokens: TokenCounts, startedAtMs: number): void {
    const hour = tokens.cache_write_1h ?? 0
    const cached = (tokens.cached_input ?? 0) + (tokens.cache_write_5m ?? 0) + hour
    const name = nameOf(question)
    const before = this.#prefixes.get(name)
    if (cached === 0 && before === undefined) return
    const calls = question.run === undefined ? RUNLESS_CALLS : 1
    this.#prefixes.set(name, {
      tokens: [cached, ...(before?.tokens ?? [])].slice(0, calls),
      untilMs: startedAtMs + (hour > 0 ? KEPT_LONG_MS : KEPT_MS),
    })
  }
}

function nameOf({ account, key, upstream, model, run }: PrefixQuestion): string {
  return `${account}|${key}|${run === undefined ? '' : `=${run}`}|${upstream}|${model}`
}
