import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { METRICS_CONTENT_TYPE, metricsText } from '../../src/metrics/merge-metrics.ts'
import { METRICS } from '../../src/metrics/metric-catalog.ts'
import { countTraffic, filledMetrics } from './filled-metrics.ts'
import { type PrometheusServer, startPrometheus, waitFor } from './prometheus-server.ts'
import { missing } from './prometheus-tools.ts'
import { recordedNames, watchedExpressions, withoutFilters } from './watched-expressions.ts'

const rows = new Map<string, readonly string[]>(
  Object.values(METRICS).flatMap(({ type, name, labels }) =>
    type === 'histogram'
      ? ['_bucket', '_sum', '_count'].map((suffix) => [`tollgate_${name}${suffix}`, ['le', ...labels]] as const)
      : [[`tollgate_${name}`, labels] as const],
  ),
)
/** Labels that Prometheus itself adds. */
const ADDED = ['instance', 'job']

test.each(watchedExpressions())('$name names only metrics that exist', async ({ expression }) => {
  const known = new Set([...rows.keys(), ...recordedNames(), 'up'])
  for (const family of await filledMetrics().export()) known.add(family.name)
  const names = expression.match(/[a-z_:]*(tollgate|nodejs|process)_[a-z0-9_:]+/g) ?? ['up']
  for (const name of names) expect(known).toContain(name)
})

test.each(watchedExpressions())('$name groups and selects by labels that its metrics have', ({ expression }) => {
  for (const [, list, metric] of expression.matchAll(
    /by \(([a-z_, ]+)\) \([^()]*(?:\([^()]*?)?\b(tollgate_[a-z0-9_]+)/g,
  )) {
    const labels = [...(rows.get(metric as string) ?? []), ...ADDED]
    for (const label of (list as string).split(', ')) expect(labels, metric).toContain(label)
  }
  for (const [, metric, selector] of expression.matchAll(/\b(tollgate_[a-z0-9_]+)\{([^}]*)\}/g)) {
    if (!rows.has(metric as string)) continue
    for (const [, label] of (selector as string).matchAll(/([a-z_]+)=~?"/g))
      expect(rows.get(metric as string)).toContain(label)
  }
})

describe.skipIf(missing('prometheus'))('a real Prometheus that scraped the metrics', () => {
  const metrics = filledMetrics()
  let server: Server
  let prometheus: PrometheusServer
  let traffic: NodeJS.Timeout

  beforeAll(async () => {
    server = createServer((_, response) => {
      void metrics
        .export()
        .then((own) => metricsText([own]))
        .then((text) => response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE }).end(text))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    traffic = setInterval(countTraffic, 200, metrics)
    prometheus = await startPrometheus(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    // The last recorded figures stand on rates, which need two scrapes.
    const last = 'account:tollgate_refused:ratio_rate5m > 0 and on() stage:tollgate_overhead_seconds:p99_5m'
    await waitFor(
      async () => (await prometheus.query(last)).length > 0,
      () => 'no rates were recorded',
    )
  }, 180_000)

  afterAll(async () => {
    clearInterval(traffic)
    await prometheus?.stop()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  test.each(watchedExpressions())('$name returns series', async ({ expression }) => {
    expect((await prometheus.query(withoutFilters(expression))).length).toBeGreaterThan(0)
  })

  test('every rule was evaluated without an error', async () => {
    const rules = await prometheus.rules()
    expect(rules.length).toBeGreaterThan(20)
    expect(rules.filter((rule) => rule.health !== 'ok')).toEqual([])
  })

  test('every metric of the catalog arrived with its labels', async () => {
    for (const [name, labels] of rows) {
      const [series] = await prometheus.query(name)
      expect(series, name).toBeDefined()
      expect(Object.keys(series?.metric ?? {}), name).toEqual(
        expect.arrayContaining([...labels].filter((label) => label !== 'le')),
      )
    }
  })

  test('an expression without series is told apart', async () => {
    expect(await prometheus.query('tollgate_no_such_metric')).toEqual([])
    await expect(prometheus.query('sum by (')).rejects.toThrow('parse error')
  })
})
