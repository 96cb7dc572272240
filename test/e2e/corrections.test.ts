/** What finance and operators put right, through the admin API and the commands, on calls that were really made. */
import { expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { tollgate } from '../support/cli.ts'
import { entitlementsFor, startTestGateway, type TestGateway, withGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

const CHAT = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }

/** 0.10 charged. Answers the id of the charge. */
async function charge(gateway: TestGateway): Promise<string> {
  const answer = await gateway.post('/v1/chat/completions', CHAT, { 'x-simulate': 'output=100' })
  expect(answer.status).toBe(200)
  const id = answer.headers.get('x-tollgate-request-id')
  const entry = await waitFor('the settle', async () =>
    (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: 'settle' })).find(({ op }) => op === id),
  )
  return `acme:${entry.seq}`
}

run('a charge is refunded in parts, never beyond what it came to, and money comes back to the wallet', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    await gateway.grant('1')
    const id = await charge(gateway)
    const refund = (body: object) => gateway.admin('POST', `charges/${id}/refund`, { reason: 'test', ...body })
    const first = await refund({ amount: '0.04' })
    expect([first.status, await first.json()]).toEqual([
      200,
      { charge: id, unit: 'USD', refunded: '0.04', charged: '0.1' },
    ])
    const tooMuch = await refund({ amount: '0.07' })
    expect([tooMuch.status, await tooMuch.json()]).toMatchObject([
      422,
      { error: { code: 'out_of_range', fields: [{ field: 'amount' }] } },
    ])
    expect(await tollgate(gateway, 'refund', id, '--reason', 'the rest')).toMatchObject({
      code: 0,
      out: expect.stringContaining('Refunded: 0.1 of 0.1 USD'),
    })
    expect(await gateway.balance()).toMatchObject({ available: '1', posted: '0', held: '0' })
    expect((await gateway.admin('POST', 'charges/acme:1/refund', { reason: 'x' })).status).toBe(404)
  })
})

run('the charges of an outage are shown first and refunded then', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    await gateway.grant('1')
    await charge(gateway)
    await charge(gateway)
    const outage = ['refund', '--where', 'upstream=openai', '--since', '1h']
    const shown = await tollgate(gateway, ...outage, '--dry-run')
    expect([shown.code, shown.out.includes('Would be refunded: 2 charges')]).toEqual([0, true])
    expect((await gateway.balance())['available']).toBe('0.8')
    expect((await tollgate(gateway, ...outage)).code).toBe(2)
    expect((await tollgate(gateway, ...outage, '--reason', 'outage')).out).toContain('Refunded: 2 charges, 0.2 USD')
    expect((await gateway.balance())['available']).toBe('1')
    expect(await tollgate(gateway, ...outage, '--reason', 'outage')).toMatchObject({
      code: 0,
      out: 'No charge fits that is not refunded already.\nRefunded: 0 charges\n',
    })
    expect((await gateway.balance())['available']).toBe('1')
    expect(await tollgate(gateway, 'refund', '--where', 'upstrem=x', '--since', '1h', '--reason', 'x')).toMatchObject({
      code: 2,
    })
  })
})

run('an outage is refunded as far as it can be, and the rest when the command is run again', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    await gateway.grant('1')
    const first = await charge(gateway)
    await gateway.admin('POST', `charges/${first}/refund`, { amount: '0.04', reason: 'on account' })
    await charge(gateway)
    const timedOut = await timeout(gateway, 'openai')
    await timeout(gateway, 'other')
    const outage = ['refund', '--where', 'upstream=openai', 'model=gpt-5-mini', '--since', '1h']
    const shown = await tollgate(gateway, ...outage, '--dry-run', '--json')
    expect(JSON.parse(shown.out)).toMatchObject({
      refunded: false,
      charges: [{ charge: first, amount: '0.06' }, { amount: '0.1' }, { charge: timedOut, amount: '0.02' }],
      sums: { USD: '0.18' },
    })
    // Its own end may still come.
    const refunded = await tollgate(gateway, ...outage, '--reason', 'outage')
    expect(refunded.code).toBe(1)
    expect(refunded.out).toContain('Refunded: 2 charges, 0.16 USD; refused: 1, run it again')
    expect(refunded.out).toMatch(new RegExp(`^${timedOut} .*conflict: The call timed out`, 'm'))
    const again = await tollgate(gateway, ...outage, '--reason', 'outage')
    expect([again.code, again.out.includes('Refunded: 0 charges; refused: 1')]).toEqual([1, true])
    expect((await gateway.balance())['posted']).toBe('0.04')
  })
})

/** 0.02 charged by its deadline. Answers the id of the charge. */
async function timeout(gateway: TestGateway, upstream: string): Promise<string> {
  const id = newId(Date.now())
  const facts = {
    model: 'gpt-5-mini',
    upstream,
    endpoint: 'chat',
    key: 'test',
    run: undefined,
    user: undefined,
    labels: {},
  }
  await gateway.wallet.hold({
    ...{
      id,
      account: 'acme',
      unit: 'USD',
      scale: 9,
      onExhausted: { mode: 'block' },
      overflowPeriod: '',
      observe: false,
    },
    ...{ facts, floorAtoms: 20_000_000n, priceVersion: 'v1', onTimeout: 'known', fixedAtoms: 50_000_000n },
    ...{ perTokenAtoms: 0n, leastTokens: 0, wantTokens: 0, totalTokens: 0, deadlineMs: 1, dryRun: false },
    info: JSON.stringify({ key: 'test', upstream, model: 'gpt-5-mini', endpoint: 'chat' }),
  })
  const entry = await waitFor('the timeout', async () => {
    await gateway.wallet.sweep('acme')
    const timeouts = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 10, type: 'timeout' })
    return timeouts.find(({ op }) => op === id)
  })
  return `acme:${entry.seq}`
}

run('a payment makes a grant usable, and a chargeback makes debt of what was spent', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    const body = { amount: '1', unit: 'USD', funding: 'external', payment: 'pending', availability: 'on_settled' }
    const made = (await (await gateway.admin('POST', 'accounts/acme/grants', body)).json()) as {
      id: string
      state: string
    }
    expect(made).toMatchObject({ state: 'pending', payment: 'pending', availability: 'on_settled' })
    expect((await gateway.post('/v1/chat/completions', CHAT)).status).toBe(402)
    expect(await tollgate(gateway, 'payment', 'acme', made.id, 'settled')).toMatchObject({
      code: 0,
      out: expect.stringContaining('the grant is usable'),
    })
    const { items } = (await (await gateway.admin('GET', 'accounts/acme/ledger?type=payment')).json()) as {
      items: unknown[]
    }
    expect(items).toMatchObject([{ type: 'payment', grant: made.id, payment: 'settled' }])
    await charge(gateway)
    expect(await tollgate(gateway, 'payment', 'acme', made.id, 'authorized')).toMatchObject({
      code: 1,
      err: expect.stringContaining('conflict'),
    })
    expect(await tollgate(gateway, 'clawback', 'acme', made.id, '--freeze', '--reason', 'chargeback')).toMatchObject({
      code: 0,
    })
    expect(await gateway.balance()).toMatchObject({ available: '0', debt: '0.1', expired: '1' })
    const refused = await gateway.post('/v1/chat/completions', CHAT)
    expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([403, 'account_suspended'])
  })
})

run('flagged spend is resolved, and an overflow period tells its lines', async () => {
  await withGateway({ plan: 'trim: { enabled: false }\non_exhausted: { mode: flag }' }, async (gateway) => {
    await charge(gateway)
    expect((await gateway.balance())['flagged']).toBe('0.1')
    expect(await tollgate(gateway, 'resolve', 'acme', 'USD', 'written_off', '--amount', '0.03')).toMatchObject({
      code: 0,
    })
    const many = await gateway.admin('POST', 'flagged/resolve', {
      unit: 'USD',
      to: 'overflow',
      where: { plan: 'main' },
    })
    expect(((await many.json()) as { items: unknown[] }).items).toHaveLength(1)
    const period = new Date().toISOString().slice(0, 7)
    expect(await gateway.balance()).toMatchObject({ flagged: '0', overflow: '0.07' })
    const lines = await (await gateway.admin('GET', `accounts/acme/overflow/${period}`)).json()
    expect(lines).toMatchObject({ period, unit: 'USD', state: 'open', amount: '0.07', lines: [{ amount: '0.07' }] })
    expect((await gateway.admin('POST', 'accounts/acme/overflow/1999-01/close', {})).status).toBe(404)
    expect((await gateway.admin('GET', 'accounts/acme/overflow/1999-01')).status).toBe(404)
  })
})

run('a statement shows each way in and out of a period, and adds up', async () => {
  await withGateway(
    { plan: 'trim: { enabled: false }\non_exhausted: { mode: negative, floor: "-1" }' },
    async (gateway) => {
      await gateway.grant('0.15')
      await charge(gateway)
      const id = await charge(gateway)
      await gateway.admin('POST', `charges/${id}/refund`, { reason: 'test', amount: '0.07' })
      await waitFor('the refund', async () => (await gateway.balance())['debt'] === '0')
      const whole = await tollgate(gateway, 'report', 'statement', 'acme')
      expect(whole.out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
        ['ACCOUNT', 'UNIT', 'LINE', 'CREDIT', 'OWED'],
        ['acme', 'USD', 'opening', '0', '0'],
        ['acme', 'USD', 'granted', '0.15'],
        ['acme', 'USD', 'refunded', '0.02'],
        ['acme', 'USD', 'drawn', '-0.15'],
        ['acme', 'USD', 'overage', '0.05'],
        ['acme', 'USD', 'overage refunded', '-0.05'],
        ['acme', 'USD', 'closing', '0.02', '0'],
        [''],
      ])
      const later = await tollgate(gateway, 'report', 'statement', '--since', '2999-01-01', '--json')
      expect(JSON.parse(later.out)).toMatchObject([
        {
          account: 'acme',
          unit: 'USD',
          opening: { credit: '0.02', owed: '0' },
          granted: '0',
          closing: { credit: '0.02' },
        },
      ])
      expect((await tollgate(gateway, 'report', 'statement', 'nobody')).code).not.toBe(0)
    },
  )
})

run('what budgets have counted is listed with their values, limits and times', async () => {
  const entitlements = `${entitlementsFor('trim: { enabled: false }')}budgets:
  - { name: daily, match: {}, limit: "5.00", unit: USD, window: day }
  - { name: per-run, match: { run: "*" }, limit: 10, unit: requests, window: lifetime }
`
  await withGateway({ entitlements }, async (gateway) => {
    await gateway.grant('1')
    await gateway.post('/v1/chat/completions', CHAT, { 'x-simulate': 'output=100', 'x-tollgate-run': 'r/1' })
    await waitFor(
      'the settle',
      async () => (await gateway.balance())['held'] === '0' && (await gateway.balance())['posted'] === '0.1',
    )
    const { items } = (await (await gateway.admin('GET', 'budgets?account=acme')).json()) as {
      items: { name: string }[]
    }
    expect(items.sort((a, b) => (a.name < b.name ? -1 : 1))).toMatchObject([
      {
        name: 'daily',
        values: {},
        unit: 'USD',
        limit: '5',
        spent: '0.1',
        held: '0',
        resets_at: expect.stringMatching(/T00:00:00.000Z$/),
      },
      {
        name: 'per-run',
        values: { run: 'r/1' },
        unit: 'requests',
        limit: '10',
        spent: '1',
        held: '0',
        resets_at: null,
      },
    ])
  })
})

run.each([1, 2])(
  'a runaway is stopped by hand: new calls refused at once, open ones ended on every gateway within 2 s (%i worker(s))',
  async (workers) => {
    await withGateway({ plan: 'trim: { enabled: false }', workers }, async (first) => {
      const second = await startTestGateway({ plan: 'trim: { enabled: false }', redis: first.redis })
      try {
        await first.grant('10')
        const stream = async (
          gateway: TestGateway,
          runId: string,
          output: number,
        ): Promise<{ ms: number; text: string }> => {
          const body = { ...CHAT, max_tokens: 2000, stream: true }
          const headers = { 'x-simulate': `output=${output},tps=100`, 'x-tollgate-run': runId }
          const answer = await gateway.post('/v1/chat/completions', body, headers)
          expect(answer.status).toBe(200)
          const text = await answer.text()
          return { ms: performance.now(), text }
        }
        const json = first.post('/v1/chat/completions', CHAT, {
          'x-simulate': 'output=100,latency=20000',
          'x-tollgate-run': 'runaway',
        })
        const open = [stream(first, 'runaway', 2000), stream(second, 'runaway', 2000)]
        const other = stream(second, 'well-behaved', 500)
        await waitFor('four holds', async () => (await first.wallet.holds('acme')).length === 4)
        const stoppedMs = performance.now()
        const done = await tollgate(first, 'stop', 'acme', '--run', 'runaway', '--cut', '--reason', 'loop')
        expect([done.code, done.out]).toEqual([0, expect.stringContaining('open ones end within two seconds')])
        const refused = await second.post('/v1/chat/completions', CHAT, { 'x-tollgate-run': 'runaway' })
        expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([403, 'stopped'])
        for (const { ms, text } of await Promise.all(open)) {
          // Two seconds, and what a busy machine adds: by itself each goes on for 20.
          expect(ms - stoppedMs).toBeLessThan(8_000)
          // Ended properly: the client sees "length", not a broken answer.
          expect(text).toMatch(/"finish_reason":"length"[\s\S]*data: \[DONE\]\n\n$/)
        }
        expect((await json).headers.get('x-tollgate-error')).toBe('stopped')
        const id = /stop (\w+)/.exec(done.out)?.[1] ?? ''
        expect((await tollgate(first, 'stop', 'acme', '--lift', id)).code).toBe(0)
        expect(
          (await first.post('/v1/chat/completions', CHAT, { 'x-tollgate-run': 'runaway', 'x-simulate': 'output=1' }))
            .status,
        ).toBe(200)
        expect((await other).text).toContain('"finish_reason":"stop"')
      } finally {
        await second.close()
      }
    })
  },
)
