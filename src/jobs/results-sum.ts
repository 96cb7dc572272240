/** Adds up the results of a batch as their bytes pass: each once, by model and by the rates that its length of input has. */
import { inputTotal } from '../core/price-usage.ts'
import { addStated } from '../core/stated-cost.ts'
import { longContextIndex } from '../core/tier-price.ts'
import type { TokenCounts, Usage } from '../core/usage.ts'
import { UsageSum } from '../core/usage-sum.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import type { JobNotes, ResultReader } from '../providers/provider.ts'
import type { ModelUsage } from './end-of-job.ts'
import { priceOf } from './job-price.ts'
import type { ModelPrice } from './long-call.ts'
import { SeenResults } from './seen-results.ts'

interface Part {
  readonly model: string
  readonly longContexts: number
  readonly sum: UsageSum
  lines: number
}

export class ResultsSum {
  readonly #reader: ResultReader
  readonly #notes: JobNotes
  readonly #prices: readonly ModelPrice[]
  readonly #seen = new SeenResults()
  readonly #parts = new Map<string, Part>()
  #meter: JsonMeter | undefined
  #results = 0
  #own = 0
  #used = 0
  #unread = 0
  #statedCost: string | undefined
  /** Each result so far that used something stated what it cost. */
  #allStated = true

  constructor(reader: ResultReader, notes: JobNotes, prices: readonly ModelPrice[]) {
    this.#reader = reader
    this.#notes = notes
    this.#prices = prices
  }

  /** Results that were read, those that used nothing too. */
  get results(): number {
    return this.#results
  }

  /** Results of the call, each once. */
  get own(): number {
    return this.#own
  }

  /** Results in which nothing could be read: broken JSON, or a usage beyond what is kept of one. */
  get unread(): number {
    return this.#unread
  }

  /** What they cost by the provider's own words, in USD; undefined unless each says so. */
  get statedCost(): string | undefined {
    return this.#allStated && this.#used > 0 ? this.#statedCost : undefined
  }

  get used(): readonly ModelUsage[] {
    return [...this.#parts.values()].map(({ model, longContexts, sum, lines }) => ({
      model,
      longContexts,
      lines,
      usage: sum.total(null),
    }))
  }

  begin(): void {
    this.#meter = new JsonMeter(this.#reader.members)
  }

  bytes(bytes: Buffer): void {
    this.#meter?.push(bytes)
  }

  end(): void {
    const meter = this.#meter
    this.#meter = undefined
    if (meter === undefined || !meter.isJson) return
    this.#results++
    const members = meter.end()
    if (meter.unread) this.#unread++
    const result = this.#reader.read(members, this.#notes)
    if (result === undefined) return
    if (result.id !== undefined && !this.#seen.add(result.id)) return
    this.#own++
    if (result.usage === undefined) return
    this.#used++
    this.#statedCost = result.statedCost === undefined ? undefined : addStated(this.#statedCost, result.statedCost)
    if (this.#statedCost === undefined) this.#allStated = false
    this.#add(result.model ?? '', result.usage)
  }

  #add(model: string, usage: Usage): void {
    if (usage.passes === undefined) {
      this.#part(model, usage.tokens).add(usage)
      return
    }
    for (const pass of usage.passes)
      this.#part(pass.model ?? model, pass.tokens).add({ tokens: pass.tokens, raw: null })
    const { units, reasoning, flags } = usage
    this.#part(model, {}).add({
      tokens: {},
      raw: null,
      ...(units ? { units } : {}),
      ...(reasoning === undefined ? {} : { reasoning }),
      ...(flags ? { flags } : {}),
    })
  }

  #part(model: string, tokens: TokenCounts): UsageSum {
    const { price } = priceOf(this.#prices, model)
    const longContexts = price === undefined ? 0 : longContextIndex(price, inputTotal(tokens))
    const key = `${longContexts}|${model}`
    let part = this.#parts.get(key)
    if (part === undefined) {
      part = { model, longContexts, sum: new UsageSum(), lines: 0 }
      this.#parts.set(key, part)
    }
    part.lines++
    return part.sum
  }
}
