/** Budgets through the running gateway: what counts, what is refused, with which code, and when it has room again. */
import { expect, test } from 'vitest'
import { entitlementsFor, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

async function withBudgets(yaml: string, use: (gateway: TestGateway) => Promise<void>, plan = ''): Promise<void> {
  const settings = plan === '' ? 'trim: { enabled: false }' : plan
  const gateway = await startTestGateway({ entitlements: `${entitlementsFor(settings)}budgets:\n${yaml}` })
  try {
    await gateway.grant('100')
    await use(gateway)
  } finally {
    await gateway.close()
  }
}

interface Refused {
  readonly status: number
  readonly code: string | null
  readonly retry: string | null
  readonly retryAfter: string | null
  readonly tollgate: Record<string, string | null>
}

/** 100 output tokens at 0.001 USD. */
async function call(gateway: TestGateway, headers: Record<string, string> = {}, more: object = {}): Promise<Refused> {
  const body = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }], ...more }
  const answer = await gateway.post('/v1/chat/completions', body, { 'x-simulate': 'output=100', ...headers })
  const text = await answer.text()
  const { error } = (text.startsWith('{') ? JSON.parse(text) : {}) as { error?: { tollgate: Refused['tollgate'] } }
  return {
    status: answer.status,
    code: answer.headers.get('x-tollgate-error'),
    retry: answer.headers.get('x-should-retry'),
    retryAfter: answer.headers.get('retry-after'),
    tollgate: error?.tollgate ?? {},
  }
}

const settledCounters = (gateway: TestGateway) =>
  waitFor('nothing held', async () => {
    const { counters } = await gateway.wallet.counters('acme', '0', 1000)
    const held = counters.some((counter) => counter.slots.some((slot) => slot.held > 0n))
    return held ? undefined : counters
  })

run('a budget of money refuses beyond its limit, names itself, what is left and when it has room again', async () => {
  await withBudgets('  - { name: daily, match: {}, limit: "0.25", unit: USD, window: day }\n', async (gateway) => {
    expect((await call(gateway)).status).toBe(200)
    expect((await call(gateway)).status).toBe(200)
    await settledCounters(gateway)
    const refused = await call(gateway)
    expect(refused).toMatchObject({ status: 402, code: 'budget_exceeded', retry: 'false' })
    expect(refused.tollgate).toMatchObject({ rule: 'daily', needed: '0.1', available: '0.05', unit: 'USD' })
    const resets = Date.parse(refused.tollgate['resets_at'] ?? '')
    expect(new Date(resets).toISOString()).toMatch(/T00:00:00\.000Z$/)
    expect(resets - Date.now()).toBeLessThanOrEqual(86_400_000)
    // It counts what the calls came to, and funds nothing: the wallet paid for both.
    expect(await gateway.balance()).toMatchObject({ available: '99.8', held: '0' })
  })
})

run('each run has a counter of its own, and an unseen one is bounded from its first call on', async () => {
  await withBudgets(
    '  - { name: per-run, match: { run: "*" }, limit: "0.20", unit: USD, window: lifetime }\n',
    async (gateway) => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () =>
          call(gateway, { 'x-tollgate-run': 'fresh', 'x-simulate': 'output=100,latency=300' }),
        ),
      )
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(2)
      // What open calls hold comes back within seconds: the SDKs try again by themselves.
      expect(
        new Set(answers.filter(({ status }) => status !== 200).map(({ status, code }) => `${status} ${code}`)),
      ).toEqual(new Set(['429 held_by_open_calls']))
      expect((await call(gateway, { 'x-tollgate-run': 'another' })).status).toBe(200)
      expect((await call(gateway)).status).toBe(200)
      await settledCounters(gateway)
      expect(await call(gateway, { 'x-tollgate-run': 'fresh' })).toMatchObject({ code: 'budget_exceeded' })
    },
  )
})

run('a call is trimmed to what the tightest budget leaves, as to a wallet', async () => {
  const yaml = '  - { name: daily, match: {}, limit: "0.40", unit: USD, window: day }\n'
  await withBudgets(
    yaml,
    async (gateway) => {
      const body = { model: 'gpt-5-mini', max_tokens: 1000, messages: [{ role: 'user', content: 'hello' }] }
      const answer = await gateway.post('/v1/chat/completions', body, { 'x-simulate': 'output=2000' })
      expect([answer.status, answer.headers.get('x-tollgate-trimmed')]).toEqual([200, 'max_tokens=400'])
    },
    'trim: { enabled: true, min_output_tokens: 10 }',
  )
})

run('requests a minute are a rate: 429 with the time that it takes', async () => {
  await withBudgets(
    '  - { name: rpm, match: { key: "*" }, limit: 2, unit: requests, window: 1m }\n',
    async (gateway) => {
      expect([(await call(gateway)).status, (await call(gateway)).status]).toEqual([200, 200])
      const refused = await call(gateway)
      expect(refused).toMatchObject({ status: 429, code: 'rate_limited' })
      expect(refused.tollgate).toMatchObject({ rule: 'rpm', needed: '1', available: '0', unit: 'requests' })
      const seconds = Number(refused.retryAfter)
      expect(seconds).toBeGreaterThan(50)
      expect(seconds).toBeLessThanOrEqual(65)
      expect(refused.retry).toBe(seconds > 60 ? 'false' : null)
    },
  )
})

run('tokens are counted as the provider billed them', async () => {
  await withBudgets('  - { name: tpm, match: {}, limit: 1000, unit: tokens, window: 1m }\n', async (gateway) => {
    expect((await call(gateway)).status).toBe(200)
    const [counter] = await settledCounters(gateway)
    const settle = (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'settle' }))[0]
    const tokens = settle?.fields['tokens'] as Record<string, number>
    expect(counter?.slots[0]?.spent).toBe(BigInt((tokens['input'] ?? 0) + (tokens['output'] ?? 0)))
    // A day or more is no rate: waiting is of no use.
    expect(await call(gateway, {}, { max_tokens: 5000 })).toMatchObject({ status: 429, code: 'rate_limited' })
  })
})

run('calls at one time are bounded, and an ended one makes room', async () => {
  await withBudgets('  - { name: parallel, match: {}, limit: 2, unit: concurrent }\n', async (gateway) => {
    const slow = Array.from({ length: 5 }, () => call(gateway, { 'x-simulate': 'output=10,latency=500' }))
    const answers = await Promise.all(slow)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2)
    const refused = answers.filter(({ status }) => status !== 200)
    expect(new Set(refused.map(({ status, code }) => `${status} ${code}`))).toEqual(
      new Set(['429 too_many_concurrent']),
    )
    expect(refused[0]?.retryAfter).toBe('1')
    await settledCounters(gateway)
    expect((await call(gateway)).status).toBe(200)
  })
})

run('a budget that flags refuses nothing and counts all the same', async () => {
  const yaml = '  - { name: soft, match: {}, limit: 1, unit: requests, window: hour, action: flag }\n'
  await withBudgets(yaml, async (gateway) => {
    expect([(await call(gateway)).status, (await call(gateway)).status]).toEqual([200, 200])
    const [counter] = await settledCounters(gateway)
    expect(counter?.slots[0]?.spent).toBe(2n)
    const holds = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'hold' })
    expect(holds.map((hold) => hold.fields['exceeded'])).toEqual([undefined, ['soft']])
  })
})

run('money of another unit is counted at the declared rate, and without one the call is refused', async () => {
  const yaml = '  - { name: euros, match: {}, limit: "1.00", unit: EUR, window: day }\n'
  await withBudgets(yaml, async (gateway) => {
    expect(await call(gateway)).toMatchObject({ status: 402, code: 'unit_mismatch' })
  })
  await withBudgets(`${yaml}rates: [ { from: USD, to: EUR, rate: "0.5" } ]\n`, async (gateway) => {
    expect((await call(gateway)).status).toBe(200)
    const [counter] = await settledCounters(gateway)
    expect(counter?.slots[0]?.spent).toBe(50_000_000n)
  })
})

run('under observe nothing is refused, and what would have been is named by its budget', async () => {
  await withBudgets(
    '  - { name: daily, match: {}, limit: "0.05", unit: USD, window: day }\n',
    async (gateway) => {
      const body = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }
      const answer = await gateway.post('/v1/chat/completions', body, { 'x-simulate': 'output=100' })
      expect([answer.status, answer.headers.get('x-tollgate-would')]).toEqual([200, 'budget_exceeded'])
      const settle = await waitFor('the settle', async () =>
        (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'settle' })).at(0),
      )
      expect(settle.fields['would']).toEqual({ code: 'budget_exceeded', rule: 'daily' })
    },
    'enforcement: observe',
  )
})

run('an edit of a limit keeps what was counted, and a lower one lets open calls end', async () => {
  await withBudgets('  - { name: daily, match: {}, limit: "1.00", unit: USD, window: day }\n', async (gateway) => {
    const open = call(gateway, { 'x-simulate': 'output=100,latency=800' })
    await waitFor('the hold', async () => (await gateway.wallet.holds('acme')).length === 1)
    const { writeFileSync, readFileSync } = await import('node:fs')
    const file = gateway.files.entitlements
    writeFileSync(file, readFileSync(file, 'utf8').replace('"1.00"', '"0.15"'))
    await gateway.admin('POST', 'config/reload')
    expect(await call(gateway)).toMatchObject({ code: 'held_by_open_calls' })
    expect((await open).status).toBe(200)
    await settledCounters(gateway)
    const refused = await call(gateway)
    expect(refused).toMatchObject({ code: 'budget_exceeded', tollgate: { available: '0.05' } })
  })
})
