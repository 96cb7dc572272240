import { setImmediate } from 'node:timers/promises'
import { AggregatorRegistry, type Metric, prometheusContentType, Registry } from 'prom-client'
import type { FamilyValues } from './families.ts'

/** `Content-Type` of `metricsText`. */
export const METRICS_CONTENT_TYPE: string = prometheusContentType

/**
 * What several processes count as one scrape: counters and histograms are summed, gauges taken as their family says
 * (balances, equal everywhere, by the largest; redis_up by the smallest). A process that does not answer is left out.
 */
export async function metricsText(exports: readonly (readonly FamilyValues[])[]): Promise<string> {
  const registry = merge(exports.filter((families) => families.length > 0))
  const texts: string[] = []
  // One family a turn of the event loop: thousands of series in one go kept calls waiting for 70 ms.
  for (const { name } of registry.getMetricsAsArray()) {
    texts.push(await registry.getSingleMetricAsString(name))
    await setImmediate()
  }
  return `${texts.join('\n\n')}\n`
}

function merge(exports: readonly (readonly FamilyValues[])[]): Registry {
  const [only, ...others] = exports
  if (only === undefined || others.length > 0) return AggregatorRegistry.aggregate(exports.map((one) => [...one]))
  const registry = new Registry()
  for (const family of only) {
    registry.registerMetric({ ...family, get: () => Promise.resolve(family) } as unknown as Metric)
  }
  return registry
}

/**
 * What the workers that have ended leave behind: their counts stay in every later scrape, since a counter that falls
 * looks to Prometheus like one that began anew, and doubles the rate. Their gauges go with them.
 */
export class RetiredMetrics {
  #families: readonly FamilyValues[] = []

  /** Takes the last export that a worker gave. */
  retire(last: readonly FamilyValues[]): void {
    const kept = new Map(this.#families.map((family) => [family.name, family]))
    for (const family of last) {
      if (family.type !== 'counter' && family.type !== 'histogram') continue
      const before = kept.get(family.name)
      kept.set(family.name, before === undefined ? family : addValues(before, family))
    }
    this.#families = [...kept.values()]
  }

  /** To be handed to metricsText beside the exports of the living. */
  get families(): readonly FamilyValues[] {
    return this.#families
  }
}

function addValues(before: FamilyValues, family: FamilyValues): FamilyValues {
  const combine = family.aggregator === 'max' ? Math.max : (a: number, b: number) => a + b
  const values = new Map(before.values.map((value) => [keyOf(value), value]))
  for (const value of family.values) {
    const key = keyOf(value)
    const own = values.get(key)
    values.set(key, own === undefined ? value : { ...own, value: combine(own.value, value.value) })
  }
  return { ...before, values: [...values.values()] }
}

function keyOf({ metricName, labels }: FamilyValues['values'][number]): string {
  return JSON.stringify([metricName, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])
}
