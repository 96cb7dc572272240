/**
 * What this process remembers of records in Redis, there or not there: bounded, for a few seconds, dropped at once where
 * somebody says that one has changed. Who asks for the same at the same time shares one read.
 */
import { RecentMap } from '../core/recent-map.ts'

/** Reads under way, all caches together: a flood of names that nobody has asked for must not reach Redis. */
export class LookupBound {
  readonly #most: number
  #open = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Undefined: there are too many. */
  run<T>(look: () => Promise<T>): Promise<T> | undefined {
    if (this.#open >= this.#most) return undefined
    this.#open++
    return look().finally(() => {
      this.#open--
    })
  }
}

interface Kept<Record> {
  readonly record: Record
  untilMs: number
}

interface Flight<Record> {
  readonly found: Promise<Record | undefined>
  /** It was changed while it was being read: for who asked before, and nobody after. */
  changed: boolean
}

export interface RecordCacheOptions<Record> {
  readonly sizeMax: number
  /** Names that are known not to be there. */
  readonly absentMax: number
  readonly bound: LookupBound
  /** `before`: the record that was there some seconds ago; answered again where it is the same, so that what hangs on it stays. */
  readonly read: (id: string, before: Record | undefined) => Promise<Record | undefined>
  readonly keptMs: () => number
  readonly nowMs: () => number
}

/** What is not there. */
export const ABSENT = Symbol('absent')

export class RecordCache<Record extends object> {
  readonly #options: RecordCacheOptions<Record>
  readonly #there: RecentMap<Kept<Record>>
  readonly #absent: RecentMap<number>
  readonly #flights = new Map<string, Flight<Record>>()

  constructor(options: RecordCacheOptions<Record>) {
    this.#options = options
    this.#there = new RecentMap(options.sizeMax)
    this.#absent = new RecentMap(options.absentMax)
  }

  /** Undefined: it has to be looked for. */
  get(id: string): Record | typeof ABSENT | undefined {
    const nowMs = this.#options.nowMs()
    const kept = this.#there.get(id)
    if (kept !== undefined) return nowMs < kept.untilMs ? kept.record : undefined
    const untilMs = this.#absent.get(id)
    return untilMs !== undefined && nowMs < untilMs ? ABSENT : undefined
  }

  /** The record that was there when it was last read, however long ago. */
  last(id: string): Record | undefined {
    return this.#there.get(id)?.record
  }

  /** Resolves undefined for what is not there. Undefined at once: too many reads are under way. Throws as `read` does. */
  look(id: string): Promise<Record | undefined> | undefined {
    const running = this.#flights.get(id)
    if (running !== undefined && !running.changed) return running.found
    const found = this.#options.bound.run(() => this.#options.read(id, this.last(id)))
    if (found === undefined) return undefined
    const flight: Flight<Record> = { found, changed: false }
    this.#flights.set(id, flight)
    const done = (): void => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id)
    }
    return found.then(
      (record) => {
        done()
        if (!flight.changed) this.put(id, record)
        return record
      },
      (error: unknown) => {
        done()
        throw error
      },
    )
  }

  put(id: string, record: Record | undefined): void {
    const untilMs = this.#options.nowMs() + this.#options.keptMs()
    if (record === undefined) {
      this.#there.delete(id)
      this.#absent.set(id, untilMs)
      return
    }
    this.#absent.delete(id)
    this.#there.set(id, { record, untilMs })
  }

  drop(id: string): void {
    this.#there.delete(id)
    this.#absent.delete(id)
    const flight = this.#flights.get(id)
    if (flight) flight.changed = true
  }

  clear(): void {
    this.#there.clear()
    this.#absent.clear()
    for (const flight of this.#flights.values()) flight.changed = true
  }
}
