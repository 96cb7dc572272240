import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts'

/** Metrics with every family in use, as a gateway with two customers has them. */
export function filledMetrics(): Metrics {
  const metrics = createMetrics({ maxSeries: 2000 })
  metrics.redisUp(true)
  metrics.redisEmbeddedInMemory(false)
  metrics.watchOutbox({ depth: 3, oldestSeconds: 1.5 })
  metrics.configVersion('0123456789ab', 4)
  metrics.ledgerExportLag(12)
  metrics.drift('globex', 2)
  metrics.wallets(
    [
      { account: 'acme', unit: 'USD', available: 12.5, held: 0.25, debt: 0, secondsToEmpty: 7200 },
      { account: 'globex', unit: 'USD', available: 0, held: 0, debt: 1.5, secondsToEmpty: 0 },
    ],
    [
      {
        account: 'acme',
        holdsOpen: 2,
        unmatched: 1,
        budgets: [{ budget: 'platform-daily', unit: 'USD', ratio: 0.95 }],
      },
      { account: 'globex', holdsOpen: 0, unmatched: 0, budgets: [] },
    ],
  )
  countTraffic(metrics)
  return metrics
}

/** One round of calls of every kind: run again, every counter has risen. */
export function countTraffic(metrics: Metrics): void {
  const call = { upstream: 'openai', model: 'gpt-5-mini', endpoint: 'chat' }
  const unit = { unit: 'USD', scale: 9 }
  for (const account of ['acme', 'globex']) {
    for (const outcome of ['passed', 'trimmed', 'cut', 'failed'] as const) {
      metrics.ended({
        ...call,
        ...unit,
        account,
        outcome,
        trimmed: outcome === 'trimmed',
        usage: { tokens: { input: 1000, cached_input: 200, output: 300 }, reasoning: 100, raw: null },
        usageMissing: outcome === 'failed',
        unread: outcome === 'failed',
        priced: { chargeAtoms: 50_000_000n, costAtoms: 40_000_000n, unpricedKinds: ['cached_input'] },
        upstreamSeconds: 1.2,
        firstByteSeconds: 0.3,
      })
    }
    metrics.request({ ...call, account, endpoint: 'count_tokens', outcome: 'passed' })
    metrics.refused({ ...call, account, code: 'insufficient_funds', rule: 'funds' })
    metrics.wouldRefuse({ account, code: 'insufficient_funds', rule: 'funds' })
    metrics.posted({
      ...unit,
      account,
      model: 'gpt-5-mini',
      result: {
        status: 'late_settled',
        overage: { mode: 'overflow', atoms: 20_000_000n },
        overrunAtoms: 1_000_000n,
        chargedAtoms: 60_000_000n,
      },
      heldAtoms: 80_000_000n,
      chargedAtoms: 50_000_000n,
    })
    metrics.holdsExpired(account, 1)
    metrics.unbilledExposure(account, 'USD', 1_000_000n, 9)
  }
  metrics.dryRun('acme', 'gpt-5-mini', 'pass')
  metrics.assumedLimit('gpt-5-mini', 'output')
  metrics.inputUnderestimated('openai', 'gpt-5-mini')
  metrics.otherModel('openai', 'gpt-5-mini')
  metrics.unmeteredBytes('openai', 'received', 2048)
  metrics.overhead('admit', 0.0006)
  metrics.redisCall('hold', 0.0004)
  for (const result of ['fetched', 'failed'] as const) metrics.issuerFetch('https://login.example', result)
  metrics.polled('openai', 'open')
  metrics.jobsOpen(2)
  for (const result of ['delivered', 'failed', 'gone', 'given_up'] as const)
    metrics.webhookDelivered('wallet.low', result)
  metrics.webhooksWaiting([{ receiver: 'ops.example', pending: 2, oldestSeconds: 3.5 }])
  metrics.configReload('accepted')
  metrics.configReload('rejected')
}
