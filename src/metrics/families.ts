/**
 * Metrics as plain numbers in maps, so that counting a call costs a look-up and an addition. Each family answers `get`
 * as prom-client's own metrics do: prom-client prints and merges them at a scrape.
 */
import type { Aggregator } from 'prom-client'

/** What prom-client prints of one family; plain data, which may cross a process border. */
export interface FamilyValues {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  /** How the values of several workers become one. */
  readonly aggregator: Aggregator
  readonly values: readonly SeriesValue[]
}

export interface SeriesValue {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  /** Set in a histogram: NAME_bucket, NAME_sum, NAME_count. */
  readonly metricName?: string
}

export interface FamilyOptions {
  /** Without the prefix. */
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly aggregator: Aggregator
  /** Series that keep their own account and model. */
  readonly maxSeries: number
}

const PREFIX = 'tollgate_'
/** Stands for every account and model beyond the bound. */
const OTHER = 'other'

// Names of the config are checked when it is read; a model may be a caller's own text.
const NAME = /^[A-Za-z0-9._:@/+-]{1,128}$/

/**
 * The series of one family, bounded: from half of `maxSeries` on new models fold into `other`, so that no caller can
 * use up the places of other accounts with invented models; from `maxSeries` on new accounts fold too.
 */
class SeriesMap<Series> {
  readonly #byKey = new Map<string, Series>()
  readonly #options: FamilyOptions
  readonly #make: (labels: Readonly<Record<string, string>>) => Series
  readonly #account: number
  readonly #model: number

  constructor(options: FamilyOptions, make: (labels: Readonly<Record<string, string>>) => Series) {
    this.#options = options
    this.#make = make
    this.#account = options.labels.indexOf('account')
    this.#model = options.labels.indexOf('model')
  }

  /** The series of these label values, in the order of the family's labels. */
  at(values: readonly string[]): Series {
    return this.#byKey.get(values.join('\n')) ?? this.#place(values)
  }

  all(): IterableIterator<Series> {
    return this.#byKey.values()
  }

  clear(): void {
    this.#byKey.clear()
  }

  #place(values: readonly string[]): Series {
    const { maxSeries } = this.#options
    const size = this.#byKey.size
    const model = values[this.#model]
    const folded = [...values]
    if (model && (size >= maxSeries / 2 || !NAME.test(model))) folded[this.#model] = OTHER
    if (this.#account >= 0 && size >= maxSeries) folded[this.#account] = OTHER
    const key = folded.join('\n')
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const labels: Record<string, string> = {}
    this.#options.labels.forEach((name, index) => {
      labels[name] = folded[index] ?? ''
    })
    const series = this.#make(labels)
    this.#byKey.set(key, series)
    return series
  }
}

interface NumberSeries {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

/** Values that are added to or set: counters and gauges. */
export class NumberFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly aggregator: Aggregator
  readonly #series: SeriesMap<NumberSeries>

  constructor(type: 'counter' | 'gauge', options: FamilyOptions) {
    this.name = PREFIX + options.name
    this.help = options.help
    this.type = type
    this.aggregator = options.aggregator
    this.#series = new SeriesMap(options, (labels) => ({ labels, value: 0 }))
    // What has no labels is there from the start.
    if (options.labels.length === 0) this.#series.at([])
  }

  /** Makes the series, at 0 where it is new: an increase over it then sees its first count. */
  touch(values: readonly string[]): void {
    this.#series.at(values)
  }

  /** Amounts that are not above 0 change nothing: a counter never falls. */
  add(values: readonly string[], amount: number): void {
    if (amount > 0) this.#series.at(values).value += amount
  }

  set(values: readonly string[], value: number): void {
    this.#series.at(values).value = value
  }

  /** Drops every series, before those that are still true are set again. */
  clear(): void {
    this.#series.clear()
  }

  get(): Promise<FamilyValues> {
    const values = Array.from(this.#series.all(), ({ labels, value }) => ({ labels, value }))
    return Promise.resolve({ name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values })
  }
}

interface HistogramSeries {
  readonly labels: Readonly<Record<string, string>>
  /** Observations by bucket, not cumulative; the last one is +Inf. */
  readonly counts: number[]
  sum: number
}

export class HistogramFamily {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #bounds: readonly number[]
  readonly #series: SeriesMap<HistogramSeries>

  constructor(options: FamilyOptions & { readonly bounds: readonly number[] }) {
    this.name = PREFIX + options.name
    this.help = options.help
    this.#bounds = options.bounds
    this.#series = new SeriesMap(options, (labels) => ({
      labels,
      counts: new Array<number>(options.bounds.length + 1).fill(0),
      sum: 0,
    }))
    if (options.labels.length === 0) this.#series.at([])
  }

  observe(values: readonly string[], value: number): void {
    if (!Number.isFinite(value)) return
    const series = this.#series.at(values)
    let bucket = 0
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket++
    series.counts[bucket] = (series.counts[bucket] as number) + 1
    series.sum += value
  }

  get(): Promise<FamilyValues> {
    const values = Array.from(this.#series.all()).flatMap((series) => this.#valuesOf(series))
    return Promise.resolve({ name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values })
  }

  #valuesOf({ labels, counts, sum }: HistogramSeries): SeriesValue[] {
    let count = 0
    const values: SeriesValue[] = counts.map((own, bucket) => {
      count += own
      const le = this.#bounds[bucket] ?? '+Inf'
      return { metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: count }
    })
    values.push({ metricName: `${this.name}_sum`, labels, value: sum })
    values.push({ metricName: `${this.name}_count`, labels, value: count })
    return values
  }
}
