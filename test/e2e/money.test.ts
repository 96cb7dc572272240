import { expect, test } from 'vitest'
import { withGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

/** 100 output tokens at 0.001 USD: 0.10 held, 0.10 charged. */
function chat(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }], ...more }
}

const asHeader = (directives: string): Record<string, string> => ({ 'x-simulate': directives })

run.each([1, 2])(
  '300 concurrent calls of 0.10 on 1.05 with %i worker(s): exactly 10 reach the provider',
  async (workers) => {
    await withGateway({ plan: 'trim: { enabled: false }', workers }, async (gateway) => {
      await gateway.grant('1.05')
      const answers = await Promise.all(
        Array.from({ length: 300 }, () =>
          gateway.post('/v1/chat/completions', chat(), asHeader('output=100,latency=6000')).then(async (answer) => ({
            status: answer.status,
            code: answer.headers.get('x-tollgate-error'),
            body: (await answer.json()) as { error?: { code: string; tollgate: Record<string, string> } },
          })),
        ),
      )
      expect(answers.filter((answer) => answer.status === 200)).toHaveLength(10)
      const refusals = answers
        .filter((answer) => answer.status !== 200)
        .map((answer) => `${answer.status} ${answer.code}`)
      expect(new Set(refusals)).toEqual(new Set(['429 held_by_open_calls']))
      expect(refusals).toHaveLength(290)
      const refused = answers.find((answer) => answer.status === 429)
      expect(refused?.body.error).toMatchObject({
        code: 'held_by_open_calls',
        tollgate: { needed: '0.1', available: '0.05', unit: 'USD' },
      })
      expect(gateway.simulator.stats.requests).toBe(10)
      await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
      expect(await gateway.balance()).toMatchObject({ available: '0.05', held: '0', debt: '0', posted: '1' })
      const after = await gateway.post('/v1/chat/completions', chat(), asHeader('output=100'))
      expect([after.status, after.headers.get('x-tollgate-error'), after.headers.get('x-should-retry')]).toEqual([
        402,
        'insufficient_funds',
        'false',
      ])
    })
  },
  180_000,
)

run('a call of 4,000 tokens on a wallet that pays for 500 is sent with a limit of 500 and says so', async () => {
  await withGateway({}, async (gateway) => {
    await gateway.grant('0.50')
    const answer = await gateway.post('/v1/chat/completions', chat({ max_tokens: 4000 }), asHeader('output=9000'))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-tollgate-trimmed')).toBe('max_tokens=500')
    expect(answer.headers.get('x-tollgate-cost')).toBe('0.5')
    const body = (await answer.json()) as { choices: { finish_reason: string }[]; usage: { completion_tokens: number } }
    expect(body.choices[0]?.finish_reason).toBe('length')
    expect(body.usage.completion_tokens).toBe(500)
    await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
    expect(await gateway.balance()).toMatchObject({ available: '0', debt: '0', posted: '0.5' })
  })
})

run.each([
  ['somewhat', 150, 0],
  ['far', 400, 1],
])(
  'a stream without slices that passes its limit %s goes on; more is held only where it is far',
  async (_name, output, checkpoints) => {
    await withGateway({}, async (gateway) => {
      await gateway.grant('1.00')
      const answer = await gateway.post(
        '/v1/chat/completions',
        chat({ stream: true, max_tokens: 100 }),
        asHeader(`output=${output},fault=ignore_max_tokens,tps=200`),
      )
      expect(await answer.text()).toContain('"finish_reason":"stop"')
      await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
      expect((await gateway.balance())['posted']).toBe(String(output / 1000))
      const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'checkpoint' })
      expect(entries).toHaveLength(checkpoints)
    })
  },
)

run(
  'a stream that never stops is cut where the wallet ends, with the ending of its format',
  async () => {
    await withGateway({ plan: 'streaming: { slice_tokens: 200, on_cut: finish }' }, async (gateway) => {
      await gateway.grant('1.00')
      const answer = await gateway.post(
        '/v1/chat/completions',
        chat({ stream: true, max_tokens: 100_000 }),
        asHeader('fault=endless,tps=2000'),
      )
      const text = await answer.text()
      const events = text.split('\n\n').filter((event) => event.startsWith('data: {'))
      const tokens = events.filter((event) => /"content":"[^"]/.test(event)).length
      expect(tokens).toBeGreaterThanOrEqual(800)
      expect(tokens).toBeLessThanOrEqual(1200)
      expect(text.slice(-1500)).toContain('"finish_reason":"length"')
      expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true)
      await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
      const balance = await gateway.balance()
      expect(Number(balance['debt'])).toBeLessThanOrEqual(0.2)
      expect(Number(balance['posted'])).toBeCloseTo(tokens / 1000, 6)
      await waitFor('the upstream socket closed', () => gateway.simulator.stats.open === 0)
    })
  },
  180_000,
)

run(
  'two gateways on one Redis share one wallet to the cent',
  async () => {
    await withGateway({ plan: 'trim: { enabled: false }' }, async (first) => {
      await withGateway({ plan: 'trim: { enabled: false }', redis: first.redis }, async (second) => {
        await first.grant('1.05')
        const answers = await Promise.all(
          Array.from({ length: 300 }, (_, index) =>
            (index % 2 ? first : second)
              .post('/v1/chat/completions', chat(), asHeader('output=100,latency=1500'))
              .then((answer) => answer.status),
          ),
        )
        expect(answers.filter((status) => status === 200)).toHaveLength(10)
        expect(first.simulator.stats.requests + second.simulator.stats.requests).toBe(10)
        await waitFor('nothing held', async () => (await first.balance())['held'] === '0')
        expect(await first.balance()).toMatchObject({ available: '0.05', held: '0', debt: '0' })
      })
    })
  },
  180_000,
)

run.each([
  ['negative', 'on_exhausted: { mode: negative, floor: "-20.00" }', { debt: '0.1' }],
  ['overflow', 'on_exhausted: { mode: overflow, cap: "5.00", period: month, multiplier: "2" }', { overflow: '0.2' }],
  ['flag', 'on_exhausted: { mode: flag }', { flagged: '0.1' }],
])('an empty wallet under %s passes, flagged in header and balance', async (mode, plan, expected) => {
  await withGateway({ plan }, async (gateway) => {
    const answer = await gateway.post('/v1/chat/completions', chat(), asHeader('output=100'))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-tollgate-overage')).toBe(mode)
    await waitFor('nothing held', async () => (await gateway.balance())['held'] === '0')
    expect(await gateway.balance()).toMatchObject(expected)
  })
})

run('postpaid passes without any flag', async () => {
  await withGateway({ plan: 'on_exhausted: { mode: postpaid }' }, async (gateway) => {
    const answer = await gateway.post('/v1/chat/completions', chat(), asHeader('output=100'))
    expect([answer.status, answer.headers.get('x-tollgate-overage')]).toEqual([200, null])
    await waitFor('the charge', async () => (await gateway.balance())['postpaid'] === '0.1')
  })
})

run('observe refuses nothing, says what it would have done, and flags what no grant covers', async () => {
  await withGateway({ plan: 'enforcement: observe\nmodels: ["claude-*"]' }, async (gateway) => {
    const answer = await gateway.post('/v1/chat/completions', chat(), asHeader('output=100'))
    expect([answer.status, answer.headers.get('x-tollgate-would')]).toEqual([200, 'not_entitled'])
    await waitFor('the charge', async () => (await gateway.balance())['flagged'] === '0.1')
    const ledger = (await (await gateway.admin('GET', 'accounts/acme/ledger?type=settle')).json()) as {
      items: Record<string, unknown>[]
    }
    expect(ledger.items[0]).toMatchObject({ would: { code: 'not_entitled' }, charged: '0.1' })
  })
})

run('observe lets a path pass that nothing meters, and says so in header and metric', async () => {
  await withGateway({ plan: 'enforcement: observe' }, async (gateway) => {
    const answer = await gateway.post('/v1/not-metered', { input: 'hello' })
    expect([answer.headers.get('x-tollgate-error'), answer.headers.get('x-tollgate-would')]).toEqual([
      null,
      'endpoint_not_metered',
    ])
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
    expect(metrics).toMatch(/tollgate_would_refuse_total\{account="acme",code="endpoint_not_metered",[^}]*\} 1/)
  })
})

run('observe lets a call pass that lacks what the plan requires, and says so', async () => {
  await withGateway({ plan: 'enforcement: observe\nrequire: [run]' }, async (gateway) => {
    const answer = await gateway.post('/v1/chat/completions', chat(), asHeader('output=10'))
    expect([answer.status, answer.headers.get('x-tollgate-would')]).toEqual([200, 'invalid_request'])
  })
})

run('a dry run answers what a call would do, sends nothing and holds nothing', async () => {
  await withGateway({}, async (gateway) => {
    await gateway.grant('0.50')
    const ask = async (body: Record<string, unknown>): Promise<unknown> =>
      (await gateway.post('/v1/chat/completions', body, { 'x-tollgate-dry-run': '1' })).json()
    expect(await ask(chat())).toEqual({
      decision: 'pass',
      code: null,
      rule: null,
      hold: '0.1',
      unit: 'USD',
      output_limit: 100,
      available: '0.5',
    })
    expect(await ask(chat({ max_tokens: 4000 }))).toMatchObject({ decision: 'trim', output_limit: 500, hold: '0.5' })
    expect(
      await ask(
        chat({
          max_tokens: 4000,
          tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
          response_format: { type: 'json_schema', json_schema: { name: 's', strict: true, schema: {} } },
        }),
      ),
    ).toMatchObject({
      decision: 'refuse',
      code: 'insufficient_funds',
    })
    expect(gateway.simulator.stats.requests).toBe(0)
    expect(await gateway.balance()).toMatchObject({ available: '0.5', held: '0', posted: '0' })
  })
})
