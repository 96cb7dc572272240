/** Reports of whether the controls work, and of what observe let pass, on calls that were really made. */
import { expect, test } from 'vitest'
import { tollgate } from '../support/cli.ts'
import { type TestGateway, withGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
// biome-ignore lint/suspicious/noExplicitAny: taken apart by assertions, which say what they expect of it
type Json = any

/** 0.001 a token; answered with 100. */
function call(gateway: TestGateway, tokens = 100): Promise<Response> {
  const body = { model: 'gpt-5-mini', max_tokens: tokens, messages: [{ role: 'user', content: 'hello' }] }
  return gateway.post('/v1/chat/completions', body, { 'x-simulate': 'output=100' })
}

async function settled(gateway: TestGateway, count: number): Promise<void> {
  await waitFor(
    'the settles',
    async () =>
      (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: 'settle' })).length === count || undefined,
  )
}

run('controls: what was refused, trimmed and went to overage, with the numbers that prove it', async () => {
  const plan = 'trim: { enabled: true, min_output_tokens: 50 }\non_exhausted: { mode: negative, floor: "-0.10" }'
  await withGateway({ plan }, async (gateway) => {
    await gateway.grant('0.15')
    expect((await call(gateway)).headers.get('x-tollgate-overage')).toBeNull()
    await settled(gateway, 1)
    expect((await call(gateway)).headers.get('x-tollgate-overage')).toBe('negative')
    await settled(gateway, 2)
    expect((await call(gateway, 500)).headers.get('x-tollgate-trimmed')).toBe('max_tokens=50')
    await settled(gateway, 3)
    expect((await call(gateway)).status).toBe(402)
    const report = await tollgate(gateway, 'report', 'controls', 'acme', '--json', '--since', '1h')
    const { items, total }: Json = JSON.parse(report.out)
    expect(items[0].controls).toEqual(total)
    const numbers = Object.fromEntries(
      total.map((control: Json) => [control.control, [control.verdict, control.numbers]]),
    )
    expect(numbers).toMatchObject({
      refusals: ['ok', { refused: 1, unproven: 0, by_rule: { insufficient_funds: 1 } }],
      trims: ['ok', { trimmed: 1 }],
      overage: ['ok', { admitted: 2, beyond_policy: 0, charged: { 'negative USD': '0.1' } }],
      hold_accuracy: ['ok', { p50: 1, beyond_hold: 0 }],
      unreconciled: ['ok', { timeouts: 0 }],
      unmatched: ['ok', { waiting: 0 }],
    })
    expect(await tollgate(gateway, 'report', 'controls', '--check')).toMatchObject({
      code: 0,
      out: expect.stringContaining('All controls are ok.'),
    })
  })
})

run('a control that needs a look says so, and with --check by the exit code', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    await gateway.grant('10')
    expect((await call(gateway, 5000)).status).toBe(200)
    await settled(gateway, 1)
    expect(await tollgate(gateway, 'report', 'controls', '--check')).toMatchObject({
      code: 1,
      out: expect.stringMatching(/hold accuracy +look .*Some controls need a look/s),
    })
    expect((await tollgate(gateway, 'report', 'controls')).code).toBe(0)
    expect((await tollgate(gateway, 'report', 'controls', 'nobody')).code).toBe(1)
    expect((await tollgate(gateway, 'report', 'controls', '--period', 'soon')).code).toBe(2)
  })
})

run('shadow: what observe let pass, by code and rule and what it came to', async () => {
  const plan = 'enforcement: observe\nmodels: ["gpt-5-mini", "gpt-4*"]\ntrim: { enabled: false }'
  await withGateway({ plan }, async (gateway) => {
    await gateway.grant('0.15')
    for (let i = 0; i < 3; i++) expect((await call(gateway)).status).toBe(200)
    await settled(gateway, 3)
    const { items }: Json = await (await gateway.admin('GET', 'reports/shadow?account=acme')).json()
    expect(items).toHaveLength(1)
    expect(items[0]).toMatchObject({ account: 'acme', code: 'insufficient_funds', unit: 'USD' })
    expect(items[0].calls).toBeGreaterThanOrEqual(1)
    expect(items[0].flagged).toBe('0.15')
    const shown = await tollgate(gateway, 'report', 'shadow', '--since', '1h')
    expect(shown).toMatchObject({ code: 0, out: expect.stringMatching(/^acme +insufficient_funds /m) })
    const before = await tollgate(gateway, 'report', 'shadow', '--until', '2020-01-01')
    expect(before.out).toBe('Nothing would have been refused.\n')
  })
})
