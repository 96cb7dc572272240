import { expect, test } from 'vitest'
import { metricsText, RetiredMetrics } from '../../src/metrics/merge-metrics.ts'
import { METRICS } from '../../src/metrics/metric-catalog.ts'
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts'
import { filledMetrics } from './filled-metrics.ts'

/** Lines of one family, without its prefix. */
async function lines(metrics: Metrics | Metrics[], name: string): Promise<string[]> {
  const text = await metricsText(await Promise.all([metrics].flat().map((one) => one.export())))
  return text.split('\n').filter((line) => new RegExp(`^tollgate_${name}[{ ]`).test(line))
}

const request = (account: string, model = 'm') => ({
  account,
  upstream: 'u',
  model,
  endpoint: 'chat',
  outcome: 'passed' as const,
})

test('every metric of the catalog is printed once it has been counted', async () => {
  const text = await metricsText([await filledMetrics().export()])
  for (const row of Object.values(METRICS)) {
    const series = row.type === 'histogram' ? `${row.name}_count` : row.name
    expect(text, row.name).toMatch(new RegExp(`^tollgate_${series}(\\{[^}]*\\})? [0-9.e+-]+$`, 'm'))
    expect(text).toContain(`# TYPE tollgate_${row.name} ${row.type}`)
  }
})

test('the defaults of Node are there under their usual names', async () => {
  const text = await metricsText([await createMetrics({ maxSeries: 10 }).export()])
  expect(text).toMatch(/^process_resident_memory_bytes \d+/m)
  expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m)
})

test('money is counted in units, charge and cost each in its own', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  const call = {
    ...request('acme'),
    usage: undefined,
    trimmed: false,
    usageMissing: false,
    unread: false,
    upstreamSeconds: 1,
    firstByteSeconds: undefined,
  }
  const priced = { chargeAtoms: 15n, costAtoms: 2_500_000n, unpricedKinds: [] }
  metrics.ended({ ...call, unit: 'credits', scale: 1, costUnit: 'USD', costScale: 9, priced })
  metrics.ended({ ...call, unit: 'credits', scale: 1, costUnit: 'USD', costScale: 9, priced })
  expect(await lines(metrics, 'charged_total')).toEqual([
    'tollgate_charged_total{account="acme",unit="credits",model="m"} 3',
  ])
  expect(await lines(metrics, 'cost_total')).toEqual(['tollgate_cost_total{account="acme",unit="USD",model="m"} 0.005'])
})

test('a call that was voided counts as a request and nothing else', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  metrics.ended({
    ...request('acme'),
    outcome: 'failed',
    unit: 'USD',
    scale: 9,
    usage: undefined,
    trimmed: false,
    usageMissing: false,
    unread: false,
    priced: undefined,
    upstreamSeconds: 1,
    firstByteSeconds: undefined,
  })
  expect(await lines(metrics, 'requests_total')).toHaveLength(1)
  for (const name of ['tokens_total', 'charged_total', 'cost_total', 'usage_missing_total']) {
    expect(await lines(metrics, name), name).toEqual([])
  }
})

test('a refusal is a request that was refused, a fault of the gateway one that failed', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  metrics.refused({ code: 'invalid_key', rule: null })
  metrics.refused({ account: 'acme', code: 'internal', rule: null })
  // A series for each run would be one for whatever callers name.
  for (const rule of ['run:a', 'run:b']) metrics.refused({ account: 'acme', code: 'stopped', rule })
  expect(await lines(metrics, 'refused_total')).toEqual([
    'tollgate_refused_total{account="",code="invalid_key",rule=""} 1',
    'tollgate_refused_total{account="acme",code="internal",rule=""} 1',
    'tollgate_refused_total{account="acme",code="stopped",rule="run"} 2',
  ])
  expect(await lines(metrics, 'requests_total')).toEqual([
    'tollgate_requests_total{account="",upstream="",model="",endpoint="",outcome="refused"} 1',
    'tollgate_requests_total{account="acme",upstream="",model="",endpoint="",outcome="failed"} 1',
    'tollgate_requests_total{account="acme",upstream="",model="",endpoint="",outcome="refused"} 2',
  ])
})

test('reasoning is shown beside the kinds, never as one', async () => {
  const metrics = filledMetrics()
  expect((await lines(metrics, 'tokens_total')).join('\n')).not.toContain('reasoning')
  expect(await lines(metrics, 'reasoning_tokens_total')).toContain(
    'tollgate_reasoning_tokens_total{account="acme",model="gpt-5-mini"} 400',
  )
})

test('buckets of a histogram are cumulative, bounds included', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  for (const seconds of [0.0001, 0.0002, 99, Number.NaN]) metrics.redisCall('hold', seconds)
  const buckets = await lines(metrics, 'redis_seconds_bucket')
  expect(buckets[0]).toBe('tollgate_redis_seconds_bucket{le="0.0001",script="hold"} 1')
  expect(buckets[1]).toBe('tollgate_redis_seconds_bucket{le="0.00025",script="hold"} 2')
  expect(buckets.at(-1)).toBe('tollgate_redis_seconds_bucket{le="+Inf",script="hold"} 3')
  expect(await lines(metrics, 'redis_seconds_count')).toEqual(['tollgate_redis_seconds_count{script="hold"} 3'])
  expect(Number((await lines(metrics, 'redis_seconds_sum'))[0]?.split(' ')[1])).toBeCloseTo(99.0003)
})

test('accounts and models beyond max_series fold into "other", and every call is still counted', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  for (let i = 0; i < 1000; i++) metrics.request(request(`account-${i}`, `model-${i % 7}`))
  const series = await lines(metrics, 'requests_total')
  expect(series.length).toBeLessThanOrEqual(101)
  expect(series.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)).toBe(1000)
  expect(series.find((line) => line.includes('account="other"'))).toContain('model="other"')
})

test('models invented by one caller do not take the places of other accounts', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  for (let i = 0; i < 1000; i++) metrics.request(request('spammer', `invented-${i}`))
  metrics.request(request('customer'))
  expect((await lines(metrics, 'requests_total')).some((line) => line.includes('account="customer"'))).toBe(true)
})

test.each(['a"b', 'a\nb', 'a'.repeat(129), 'päss', '{}'])(
  'a model %j that is no name is never a label',
  async (model) => {
    const metrics = createMetrics({ maxSeries: 100 })
    metrics.request(request('acme', model))
    expect(await lines(metrics, 'requests_total')).toEqual([
      'tollgate_requests_total{account="acme",upstream="u",model="other",endpoint="chat",outcome="passed"} 1',
    ])
  },
)

test('a call without a model has none in its label', async () => {
  const metrics = createMetrics({ maxSeries: 2 })
  for (let i = 0; i < 2; i++) metrics.request(request('acme', ''))
  expect(await lines(metrics, 'requests_total')).toEqual([
    'tollgate_requests_total{account="acme",upstream="u",model="",endpoint="chat",outcome="passed"} 2',
  ])
})

test('a new version of the config takes the place of the old one', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  metrics.configVersion('aaaaaaaaaaaa', 1)
  metrics.configVersion('bbbbbbbbbbbb', 2)
  expect(await lines(metrics, 'config_version_info')).toEqual([
    'tollgate_config_version_info{version="bbbbbbbbbbbb",generation="2"} 1',
  ])
})

test('the results of config edits are there before the first edit', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  expect(await lines(metrics, 'config_reloads_total')).toEqual([
    'tollgate_config_reloads_total{result="accepted"} 0',
    'tollgate_config_reloads_total{result="rejected"} 0',
  ])
})

test('what rarely happens to a wallet is there at 0 before it happens', async () => {
  const metrics = createMetrics({ maxSeries: 100 })
  const wallet = { account: 'acme', unit: 'USD', available: 1, held: 0, debt: 0, secondsToEmpty: undefined }
  const account = { account: 'acme', holdsOpen: 0, unmatched: 0, budgets: [] }
  for (let i = 0; i < 2; i++) metrics.wallets([wallet], [account])
  metrics.holdsExpired('acme', 2)
  metrics.wallets([wallet], [account])
  expect(await lines(metrics, 'overrun_total')).toEqual(['tollgate_overrun_total{account="acme",unit="USD"} 0'])
  expect(await lines(metrics, 'holds_expired_total')).toEqual(['tollgate_holds_expired_total{account="acme"} 2'])
})

test('accounts beyond the bound share one series of a budget, as full as the fullest of them', async () => {
  const metrics = createMetrics({ maxSeries: 1 })
  const account = (name: string, ratio: number) => ({
    account: name,
    holdsOpen: 0,
    unmatched: 0,
    budgets: [{ budget: 'daily', unit: 'USD', ratio }],
  })
  metrics.wallets([], [account('a', 0.1), account('b', 0.9), account('c', 0.5)])
  expect(await lines(metrics, 'budget_used_ratio')).toEqual([
    'tollgate_budget_used_ratio{account="a",budget="daily",unit="USD"} 0.1',
    'tollgate_budget_used_ratio{account="other",budget="daily",unit="USD"} 0.9',
  ])
  metrics.wallets([], [])
  expect(await lines(metrics, 'budget_used_ratio')).toEqual([])
})

test('one scrape sees all workers: counts are summed, gauges taken as their meaning asks', async () => {
  const workers = [filledMetrics(), filledMetrics()] as const
  workers[1].redisUp(false)
  workers[1].redisEmbeddedInMemory(true)
  const value = async (name: string, label = '') =>
    (await lines([...workers], name)).filter((line) => line.includes(label)).map((line) => Number(line.split(' ')[1]))
  expect(
    await value('requests_total', 'account="acme",upstream="openai",model="gpt-5-mini",endpoint="chat",outcome="cut"'),
  ).toEqual([2])
  expect(await value('hold_to_charge_ratio_count')).toEqual([4])
  expect(await value('wallet_available', 'acme')).toEqual([12.5])
  expect(await value('wallet_seconds_to_empty', 'acme')).toEqual([7200])
  expect(await value('redis_up')).toEqual([0])
  expect(await value('redis_embedded_in_memory')).toEqual([1])
  expect(await value('outbox_entries')).toEqual([6])
  expect(await value('outbox_oldest_seconds')).toEqual([1.5])
  expect(await value('config_reloads_total', 'rejected')).toEqual([1])
})

test('a worker that ends leaves its counts and takes its gauges with it', async () => {
  const retired = new RetiredMetrics()
  for (let i = 0; i < 3; i++) retired.retire(structuredClone(await filledMetrics().export()))
  const living = createMetrics({ maxSeries: 100 })
  living.redisUp(true)
  const text = await metricsText([retired.families, await living.export()])
  expect(text).toContain('tollgate_refused_total{account="acme",code="insufficient_funds",rule="funds"} 3')
  expect(text).toContain('tollgate_upstream_seconds_count{upstream="openai"} 24')
  expect(text).toContain('tollgate_config_reloads_total{result="rejected"} 1')
  expect(text).toMatch(/^tollgate_redis_up 1$/m)
  expect(text).not.toContain('tollgate_wallet_available{')
  expect(text).toMatch(/^tollgate_outbox_entries 0$/m)
})
