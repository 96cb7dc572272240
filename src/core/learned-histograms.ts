/**
 * Histograms by name, learnt by this process and by the others of the fleet: what is added here counts at once, and is
 * kept apart until it has been handed over to the shared ones (redis/share-histograms.ts).
 */
import { type HistogramShape, LogHistogram } from './log-histogram.ts'
import { RecentMap } from './recent-map.ts'

interface Learned {
  /** What is known: the shared counts as they were read last, and what was added here since. */
  readonly known: LogHistogram
  /** What the shared ones do not have yet. */
  readonly fresh: LogHistogram
  /** The shared counts were read at least once. */
  read: boolean
}

export class LearnedHistograms {
  readonly #shape: HistogramShape
  readonly #all: RecentMap<Learned>

  constructor(shape: HistogramShape, namesMax: number) {
    this.#shape = shape
    this.#all = new RecentMap(namesMax)
  }

  /** What is known under a name; undefined: nothing yet, and the shared ones are asked with the next exchange. */
  find(name: string): LogHistogram | undefined {
    const found = this.#all.get(name)
    if (found !== undefined) return found.known
    this.#make(name)
    return undefined
  }

  add(name: string, value: number): void {
    const learned = this.#all.get(name) ?? this.#make(name)
    learned.known.add(value)
    learned.fresh.add(value)
  }

  /** Names whose shared counts were never read, or lack what was added here; at most so many. */
  namesToExchange(most: number): string[] {
    const names: string[] = []
    for (const [name, { fresh, read }] of this.#all.entries()) {
      if (names.length >= most) break
      if (!read || fresh.total > 0) names.push(name)
    }
    return names
  }

  /**
   * Takes the shared counts of a name ("" where there are none) and answers what they become with what was added here;
   * undefined: nothing was added, there is nothing to write.
   */
  exchange(name: string, shared: string): string | undefined {
    const learned = this.#all.get(name)
    if (learned === undefined) return undefined
    const added = learned.fresh.total > 0 ? learned.fresh.encode() : ''
    learned.known.clear()
    learned.known.addEncoded(shared)
    learned.known.addEncoded(added)
    learned.fresh.clear()
    learned.read = true
    return added === '' ? undefined : learned.known.encode()
  }

  #make(name: string): Learned {
    const made = { known: new LogHistogram(this.#shape), fresh: new LogHistogram(this.#shape), read: false }
    this.#all.set(name, made)
    return made
  }
}
