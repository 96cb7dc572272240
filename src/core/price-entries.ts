import { globMatches } from './glob.ts'
import type { CallFacts, PriceEntry } from './price-book.ts'

/** Entries of equal match, latest `from` first. */
interface Series {
  readonly match: readonly (readonly [string, string])[]
  readonly entries: readonly PriceEntry[]
}

/** What an entry may set, each looked up by itself. `like` sets all of it, as far as its model has it. */
const ASPECTS = {
  cost: (entry) => entry.cost !== undefined,
  charge: (entry) => entry.charge !== undefined,
  contextWindow: (entry) => entry.contextWindow !== undefined,
  maxOutputTokens: (entry) => entry.maxOutputTokens !== undefined,
  longContext: (entry) => entry.longContext !== undefined,
  serviceTiers: (entry) => entry.serviceTiers !== undefined,
} satisfies Record<string, (entry: PriceEntry) => boolean>
export type Aspect = keyof typeof ASPECTS

/** Names that say where a call goes, not whose it is. */
const WHERE = new Set(['upstream', 'endpoint'])

/** The entries of one book, sorted for look-ups. */
export class PriceEntries {
  /** Names that prices depend on, without `model`. */
  readonly names: readonly string[]
  /** Instants at which an entry comes into force, rising. */
  readonly instants: readonly number[]
  readonly #series: Readonly<Record<Aspect, readonly Series[]>>

  /** `further`: names that prices depend on besides what entries match by. */
  constructor(entries: readonly PriceEntry[], further: readonly string[]) {
    const names = new Set([...further, ...entries.flatMap((entry) => Object.keys(entry.match))])
    names.delete('model')
    this.names = [...names]
    this.instants = [...new Set(entries.map((entry) => entry.fromMs))].sort((a, b) => a - b)
    const setting = (aspect: Aspect): Series[] =>
      seriesOf(entries.filter((entry) => ASPECTS[aspect](entry) || entry.like !== undefined))
    this.#series = {
      cost: setting('cost'),
      charge: setting('charge'),
      contextWindow: setting('contextWindow'),
      maxOutputTokens: setting('maxOutputTokens'),
      longContext: setting('longContext'),
      serviceTiers: setting('serviceTiers'),
    }
  }

  /** Those that set one thing of a call, in the book's order, one of each series: the latest in force. */
  *inForce(aspect: Aspect, facts: CallFacts, atMs: number): Generator<PriceEntry> {
    for (const { match, entries } of this.#series[aspect]) {
      if (!match.every(([name, glob]) => fits(name, glob, facts))) continue
      const entry = entries.find((candidate) => candidate.fromMs <= atMs)
      if (entry !== undefined) yield entry
    }
  }

  /** Those that price the model wherever it is called: by themselves, and for every customer. */
  *elsewhere(aspect: Aspect, facts: CallFacts, atMs: number): Generator<PriceEntry> {
    for (const { match, entries } of this.#series[aspect]) {
      const ofModel = match.some(([name]) => name === 'model')
      if (!ofModel || !match.every(([name, glob]) => WHERE.has(name) || (name === 'model' && fits(name, glob, facts))))
        continue
      const entry = entries.find((candidate) => candidate.fromMs <= atMs)
      if (entry !== undefined && ASPECTS[aspect](entry)) yield entry
    }
  }
}

function seriesOf(entries: readonly PriceEntry[]): Series[] {
  const byMatch = new Map<string, PriceEntry[]>()
  for (const entry of entries) {
    const match = JSON.stringify(Object.entries(entry.match).sort(([a], [b]) => (a < b ? -1 : 1)))
    const series = byMatch.get(match)
    if (series === undefined) byMatch.set(match, [entry])
    else series.push(entry)
  }
  return [...byMatch.values()].map((series) => ({
    match: Object.entries(series[0]?.match ?? {}),
    entries: series.toSorted((a, b) => b.fromMs - a.fromMs),
  }))
}

function fits(name: string, glob: string, facts: CallFacts): boolean {
  const value = factOf(facts, name)
  if (value === undefined) return name === 'model' && glob === '*'
  return globMatches(glob, value)
}

export function factOf(facts: CallFacts, name: string): string | undefined {
  switch (name) {
    case 'account':
    case 'plan':
    case 'key':
    case 'upstream':
    case 'model':
    case 'endpoint':
      return facts[name]
    default:
      return Object.hasOwn(facts.labels, name) ? facts.labels[name] : undefined
  }
}
