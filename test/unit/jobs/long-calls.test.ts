/** Calls that go on, with the clock in the test's hand: an upstream that says what the test lets it say, a real Redis. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect } from 'vitest'
import { newId } from '../../../src/core/ids.ts'
import { JobList } from '../../../src/jobs/job-list.ts'
import { listJob } from '../../../src/jobs/list-job.ts'
import type { LongCall } from '../../../src/jobs/long-call.ts'
import { LongCalls, type LongCallsOptions } from '../../../src/jobs/long-calls.ts'
import { SILENT_LOG } from '../../../src/log.ts'
import { Metrics } from '../../../src/metrics/metrics.ts'
import { jobReader } from '../../../src/providers/registry.ts'
import { UpstreamCredentials } from '../../../src/proxy/credentials/upstream-credentials.ts'
import { UpstreamPools } from '../../../src/proxy/upstream.ts'
import { accountOf } from '../../support/wallet.ts'
import { redisTest, withWallet } from '../../support/with-wallet.ts'
import { snapshotOf } from '../config/config-texts.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const test = withWallet()

/** What the upstream answers to each question, the last one from then on. */
let answers: (readonly [status: number, body: unknown, headers?: Record<string, string>])[]
let asked: string[]
let atOnce: { now: number; most: number }
let delayMs: number
let server: Server
let started: (() => Promise<void>)[]

beforeEach(async () => {
  ;[answers, asked, atOnce, delayMs, started] = [[], [], { now: 0, most: 0 }, 0, []]
  server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    asked.push(request.url as string)
    atOnce.most = Math.max(atOnce.most, ++atOnce.now)
    const [status, body, headers = {}] = answers.length > 1 ? (answers.shift() ?? [500, {}]) : (answers[0] ?? [500, {}])
    setTimeout(() => {
      atOnce.now--
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
    }, delayMs)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await test.redis?.flushall()
})
afterEach(async () => {
  for (const stop of started) await stop()
  server.closeAllConnections()
  server.close()
})

/** One gateway's poller. */
function poller(): { readonly calls: LongCalls; readonly metrics: Metrics } {
  const { port } = server.address() as AddressInfo
  const upstreams = `upstreams: { up: { format: openai, base_url: "http://127.0.0.1:${port}/v1", api_key: sk } }`
  const snapshot = snapshotOf({ tollgate: `version: 1\n${upstreams}\n` })
  const { settings } = snapshot
  const { wallet, clock } = test
  const list = new JobList(test.redis)
  const metrics = new Metrics({ maxSeries: 10 })
  const pools = new UpstreamPools(settings.upstreams, settings.limits)
  const credentials = new UpstreamCredentials(settings.upstreams, { log: SILENT_LOG, now: Date.now })
  const outbox: LongCallsOptions['outbox'] = {
    settle: (request) => wallet.settle(request),
    void: (request) => wallet.void(request),
    job: (_id, _account, text) => listJob(list, text, outbox as never),
  }
  const calls = new LongCalls({
    list,
    snapshot: () => snapshot,
    pools,
    credentials,
    readers: jobReader,
    outbox,
    wallet,
    objects: { record: async () => {} },
    sweeper: { touch: () => {} },
    metrics,
    log: SILENT_LOG,
    now: () => clock.nowMs,
  })
  started.push(async () => {
    await calls.stop()
    await pools.close()
    credentials.close()
  })
  return { calls, metrics }
}

type Account = ReturnType<typeof accountOf>

/** Held for 100 atoms a token's worth of 26 hours; the response's output costs 1 atom a token. */
async function begin(account: Account, calls: LongCalls, more: { readonly job?: string } = {}): Promise<LongCall> {
  const { nowMs } = test.clock
  const terms = account.terms({ id: newId(nowMs), scale: 0, onTimeout: 'full', lateWindowMs: 7 * DAY })
  const held = await account.hold(100n, { ...terms, deadlineMs: 26 * HOUR })
  expect(held.status).toBe('held')
  const rates = { perMillion: { output: '1000000' }, perUnit: {} }
  const price = { unit: 'USD', costUnit: 'USD', cost: rates, charge: rates, version: 'v1', tiers: undefined }
  const call = {
    terms,
    heldAtoms: 100n,
    upstream: 'up',
    format: 'openai',
    endpoint: 'responses',
    job: { id: more.job ?? `resp_${terms.id}`, reader: 'response', path: '/v1/responses/resp_1', notes: {} },
    headers: [],
    prices: [{ model: '', price, costScale: 0 }],
    unpricedKind: 'parent',
    tier: undefined,
    input: { lowTokens: 0, likelyTokens: 0 },
    info: { model: 'gpt-5-mini' },
    startedAtMs: nowMs,
    firstPollAtMs: nowMs + 2_000,
    deadlineAtMs: nowMs + 26 * HOUR,
  } as unknown as LongCall
  calls.register(call)
  await calls.goesOn('up', call.job.id)
  return call
}

const OPEN = [200, { id: 'resp_1', status: 'in_progress' }] as const
const DONE = [200, { id: 'resp_1', status: 'completed', usage: { input_tokens: 0, output_tokens: 30 } }] as const
const GONE = [404, { error: { message: 'no such response' } }] as const

async function lookAt(calls: LongCalls, afterMs: number): Promise<void> {
  test.clock.nowMs += afterMs
  await calls.look()
  await calls.settled()
}

async function funded(): Promise<Account> {
  const account = accountOf(test)
  await account.grant(1000n, { scale: 0 })
  return account
}

async function typesOf(account: Account): Promise<string[]> {
  return (await account.ledger()).map(({ type }) => type).filter((type) => type !== 'grant')
}

describe('a call that goes on', () => {
  redisTest('is asked for first after two seconds, then ever later, and never more often than due', async () => {
    const { calls } = poller()
    answers = [OPEN]
    await begin(await funded(), calls)
    await lookAt(calls, 1_000)
    expect(asked).toHaveLength(0)
    const times: number[] = []
    for (let ms = 0; ms < 600_000; ms += 500) {
      const before = asked.length
      await lookAt(calls, 500)
      if (asked.length > before) times.push(ms)
    }
    const gaps = times.slice(1).map((time, index) => time - (times[index] as number))
    expect(gaps[0]).toBeLessThan(5_000)
    expect(gaps.at(-1)).toBeGreaterThan(45_000)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(73_000)
  })

  redisTest('waits as long as the provider asks for', async () => {
    const { calls } = poller()
    answers = [[429, { error: {} }, { 'retry-after': '600' }], OPEN]
    await begin(await funded(), calls)
    await lookAt(calls, 3_000)
    await lookAt(calls, 590_000)
    expect(asked).toHaveLength(1)
    await lookAt(calls, 20_000)
    expect(asked).toHaveLength(2)
  })

  redisTest('is asked for by one of two gateways at a time, and charged once', async () => {
    const [one, two] = [poller(), poller()]
    const account = await funded()
    const call = await begin(account, one.calls)
    delayMs = 30
    answers = [OPEN, OPEN, DONE]
    for (let look = 0; look < 6; look++) {
      test.clock.nowMs += 80_000
      await Promise.all([one.calls.look(), two.calls.look()])
      await Promise.all([one.calls.settled(), two.calls.settled()])
    }
    expect(atOnce.most).toBe(1)
    expect(asked).toHaveLength(3)
    expect(await typesOf(account)).toEqual(['hold', 'settle'])
    expect((await account.balance()).postedAtoms).toBe(30n)
    expect(await two.calls.goesOn('up', call.job.id)).toBe(false)
  })

  redisTest('is charged once where both ask at the same time, the lease gone', async () => {
    const [one, two] = [poller(), poller()]
    const account = await funded()
    const call = await begin(account, one.calls)
    delayMs = 50
    answers = [DONE]
    test.clock.nowMs += 3_000
    await one.calls.look()
    await test.redis.del(`tg:job-lease:up ${call.job.id}`)
    await two.calls.look()
    await Promise.all([one.calls.settled(), two.calls.settled()])
    expect(atOnce.most).toBe(2)
    expect(await typesOf(account)).toEqual(['hold', 'settle'])
    expect((await account.balance()).postedAtoms).toBe(30n)
  })

  redisTest('that a dead gateway was asking for is taken up by another when its lease is over', async () => {
    const { calls } = poller()
    const account = await funded()
    const call = await begin(account, calls)
    answers = [DONE]
    await test.redis.set(`tg:job-lease:up ${call.job.id}`, 'dead', 'PX', 60)
    await lookAt(calls, 3_000)
    expect(asked).toHaveLength(0)
    await new Promise((resolve) => setTimeout(resolve, 80))
    await lookAt(calls, 1_000)
    expect((await account.balance()).postedAtoms).toBe(30n)
  })

  redisTest(
    'without an end at its deadline is charged whole, and an end within seven days gives back the rest',
    async () => {
      const { calls } = poller()
      const account = await funded()
      await begin(account, calls)
      answers = [OPEN]
      await lookAt(calls, 25.9 * HOUR)
      await test.wallet.sweep(account.account)
      expect((await account.balance()).heldAtoms).toBe(100n)
      await lookAt(calls, 0.2 * HOUR)
      await test.wallet.sweep(account.account)
      expect(await account.balance()).toMatchObject({ heldAtoms: 0n, postedAtoms: 100n })
      answers = [DONE]
      await lookAt(calls, 6 * DAY)
      expect(await account.balance()).toMatchObject({ heldAtoms: 0n, postedAtoms: 30n })
      expect(await typesOf(account)).toEqual(['hold', 'timeout', 'late_settle'])
      const before = asked.length
      await lookAt(calls, DAY)
      expect(asked).toHaveLength(before)
    },
  )

  redisTest('is given up when its late window is over, and stays charged whole', async () => {
    const { calls } = poller()
    const account = await funded()
    const call = await begin(account, calls)
    answers = [OPEN]
    await lookAt(calls, 26 * HOUR + 1_000)
    await test.wallet.sweep(account.account)
    await lookAt(calls, 7 * DAY)
    expect(await calls.goesOn('up', call.job.id)).toBe(false)
    expect(await account.balance()).toMatchObject({ heldAtoms: 0n, postedAtoms: 100n })
  })

  redisTest('that the provider does not know is charged whole after three answers over a minute', async () => {
    const { calls, metrics } = poller()
    const account = await funded()
    const call = await begin(account, calls)
    answers = [GONE]
    for (let look = 0; look < 20; look++) {
      await lookAt(calls, 3_000)
      await test.wallet.sweep(account.account)
    }
    expect(asked.length).toBeGreaterThanOrEqual(3)
    expect((await account.balance()).heldAtoms).toBe(100n)
    await lookAt(calls, 70_000)
    test.clock.nowMs += 10
    await test.wallet.sweep(account.account)
    expect(await account.balance()).toMatchObject({ heldAtoms: 0n, postedAtoms: 100n })
    expect(await calls.goesOn('up', call.job.id)).toBe(false)
    const polls = (await metrics.export()).find(({ name }) => name === 'tollgate_polls_total')
    expect(polls?.values.find(({ labels }) => labels['result'] === 'missing')?.value).toBe(asked.length)
  })

  redisTest('that a replica did not know yet goes on', async () => {
    const { calls } = poller()
    const account = await funded()
    await begin(account, calls)
    answers = [GONE, OPEN, GONE, DONE]
    for (let look = 0; look < 4; look++) await lookAt(calls, 80_000)
    expect((await account.balance()).postedAtoms).toBe(30n)
  })

  redisTest('of a repeated request has one hold, while it goes on and after its end', async () => {
    const { calls } = poller()
    const account = await funded()
    answers = [OPEN]
    await begin(account, calls, { job: 'resp_same' })
    await begin(account, calls, { job: 'resp_same' })
    await expect.poll(async () => (await account.balance()).heldAtoms).toBe(100n)
    answers = [DONE]
    await lookAt(calls, 3_000)
    await begin(account, calls, { job: 'resp_same' })
    await expect.poll(async () => (await account.balance()).heldAtoms).toBe(0n)
    await lookAt(calls, 80_000)
    expect((await account.balance()).postedAtoms).toBe(30n)
    expect(asked).toHaveLength(1)
  })

  redisTest('no more are asked for at once than an upstream may be', async () => {
    const { calls } = poller()
    const account = await funded()
    delayMs = 20
    answers = [DONE]
    for (let number = 0; number < 10; number++) await begin(account, calls)
    for (let look = 0; look < 4; look++) await lookAt(calls, 3_000)
    expect(atOnce.most).toBe(4)
    expect((await account.balance()).postedAtoms).toBe(300n)
  })
})
