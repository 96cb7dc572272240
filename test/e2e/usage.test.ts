/** What finance and support ask of the ledger, on calls that were really made. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import type { HoldTerms } from '../../src/wallet/wallet-types.ts'
import { tollgate } from '../support/cli.ts'
import { type TestGateway, withGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
// biome-ignore lint/suspicious/noExplicitAny: taken apart by assertions, which say what they expect of it
type Json = any

/** Charges 0.001 for each token. Answers the id of the charge. */
async function charge(gateway: TestGateway, tokens: number, headers: Record<string, string> = {}): Promise<string> {
  const body = { model: 'gpt-5-mini', max_tokens: 500, messages: [{ role: 'user', content: 'hello' }] }
  const answer = await gateway.post('/v1/chat/completions', body, { 'x-simulate': `output=${tokens}`, ...headers })
  expect(answer.status).toBe(200)
  const id = answer.headers.get('x-tollgate-request-id')
  const entry = await waitFor('the settle', async () =>
    (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: 'settle' })).find(({ op }) => op === id),
  )
  return `acme:${entry.seq}`
}

async function usage(gateway: TestGateway, query: string): Promise<{ status: number; body: Json }> {
  const answer = await gateway.admin('GET', `usage?${query}`)
  return { status: answer.status, body: await answer.json() }
}

run('usage by run, with what was refunded, agrees with the wallet and the statement', async () => {
  await withGateway({ plan: 'trim: { enabled: false }\non_exhausted: { mode: flag }' }, async (gateway) => {
    await gateway.grant('0.15')
    const first = await charge(gateway, 100, { 'x-tollgate-run': 'one' })
    await charge(gateway, 200, { 'x-tollgate-run': 'two', 'x-tollgate-user': 'ann' })
    await gateway.admin('POST', `charges/${first}/refund`, { amount: '0.04', reason: 'test' })
    const { status, body } = await usage(gateway, 'by=run,user')
    expect(status).toBe(200)
    expect(body.items).toMatchObject([
      { group: { run: 'one', user: null }, calls: 1, charged: '0.1', paid: '0.1', refunded: '0.04', net: '0.06' },
      { group: { run: 'two', user: 'ann' }, calls: 1, charged: '0.2', paid: '0.05', overage: '0.15', net: '0.2' },
    ])
    expect(body.items[0].tokens.output).toBe(100)
    expect(body.totals).toMatchObject([
      { unit: 'USD', charged: '0.3', net: '0.26', cost: { USD: '0.3' }, margin: '-0.04' },
    ])
    expect((await gateway.balance())['posted']).toBe('0.26')
    const [statement] = JSON.parse((await tollgate(gateway, 'report', 'statement', 'acme', '--json')).out) as Json
    expect([statement.drawn, statement.overage, statement.refunded]).toEqual(['0.15', '0.15', '0.04'])
  })
})

run('tollgate usage prints a table with its total, and JSON', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    await gateway.grant('1')
    await charge(gateway, 100, { 'x-tollgate-run': 'one' })
    await charge(gateway, 200, { 'x-tollgate-run': 'two' })
    const shown = await tollgate(gateway, 'usage', '--by', 'run,day', '--since', '1h', '--account', 'acme')
    expect(shown.code).toBe(0)
    expect(shown.out.split('\n')[0]).toMatch(/^RUN +DAY +CALLS +IN +OUT +CHARGED/)
    expect(shown.out).toMatch(/^TOTAL .* 2 .* 300 +0\.3 /m)
    const json = JSON.parse((await tollgate(gateway, 'usage', '--json')).out)
    expect(json).toMatchObject({ by: ['account'], since: null, items: [{ group: { account: 'acme' }, calls: 2 }] })
    const before = await tollgate(gateway, 'usage', '--until', '2020-01-01')
    expect(before).toMatchObject({ code: 0, out: 'Nothing was charged or refunded in this time.\n' })
  })
})

run('what is asked wrongly is refused with the field that is wrong', async () => {
  await withGateway({}, async (gateway) => {
    const fieldOf = async (query: string) => {
      const { status, body } = await usage(gateway, query)
      return [status, body.error.fields[0]?.field ?? body.error.code]
    }
    expect(await fieldOf('by=a,b,c,d,e,f,g,h,i')).toEqual([422, 'by'])
    expect(await fieldOf(`by=${'x'.repeat(2000)}`)).toEqual([422, 'by'])
    expect(await fieldOf('by=model,model')).toEqual([422, 'by'])
    expect(await fieldOf('timezone=Mars/Olympus')).toEqual([422, 'timezone'])
    expect(await fieldOf('since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z')).toEqual([422, 'until'])
    expect(await fieldOf('since=yesterday')).toEqual([422, 'since'])
    expect(await fieldOf('account=nobody')).toEqual([404, 'unknown_account'])
    expect(await tollgate(gateway, 'usage', '--since', '2026-11-02', '--until', '2026-11-01')).toMatchObject({
      code: 2,
    })
    expect(await tollgate(gateway, 'usage', '--account', 'nobody')).toMatchObject({ code: 1 })
  })
})

run('a call that timed out is known by its hold, and is none of its time when it is settled late', async () => {
  await withGateway({}, async (gateway) => {
    await gateway.grant('1')
    const terms = callTerms('timed-out')
    await gateway.wallet.hold({
      ...terms,
      fixedAtoms: 50n,
      ...ONE_PIECE,
      deadlineMs: 1,
      info: '{"model":"gpt-5","run":"slow"}',
    })
    await waitFor('the timeout', async () => {
      await gateway.wallet.sweep('acme')
      return (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 10, type: 'timeout' }))[0]
    })
    const { body } = await usage(gateway, 'by=run,model')
    expect(body.items).toMatchObject([
      { group: { run: 'slow', model: 'gpt-5' }, calls: 1, timeouts: 1, charged: '0.00000002', without_cost: 0 },
    ])
    await gateway.wallet.settle({ terms, finalAtoms: 30n, info: '{"model":"gpt-5","run":"slow","tokens":{"input":3}}' })
    expect((await usage(gateway, 'by=run')).body.items).toMatchObject([
      { group: { run: 'slow' }, calls: 1, late_settles: 1, charged: '0.00000003', tokens: { input: 3 } },
    ])
  })
})

run('a settlement that came too late is listed, charged once by hand, and counted as usage then', async () => {
  await withGateway({}, async (gateway) => {
    await gateway.grant('1')
    const terms = { ...callTerms('old'), id: newId(Date.now() - 90_000_000) }
    const info = '{"model":"gpt-5","run":"old","tokens":{"output":7},"cost":"0.2","cost_unit":"USD"}'
    const settled = await gateway.wallet.settle({ terms, finalAtoms: 250_000_000n, info })
    expect(settled.status).toBe('unmatched')
    const other = await gateway.wallet.settle({
      terms: { ...terms, id: newId(Date.now() - 90_000_000) },
      finalAtoms: 1n,
      info,
    })
    const id = `acme:${settled.seq}`
    const listed = await tollgate(gateway, 'unmatched', 'list', '--json')
    expect(JSON.parse(listed.out)).toMatchObject([
      {
        seq: settled.seq,
        request_id: terms.id,
        final: '0.25',
        charged_before: '0',
        would_charge: '0.25',
        model: 'gpt-5',
      },
      { seq: other.seq },
    ])
    expect((await usage(gateway, '')).body.totals).toEqual([])
    expect(await tollgate(gateway, 'unmatched', 'charge', id)).toMatchObject({ code: 2 })
    expect(await tollgate(gateway, 'unmatched', 'charge', 'acme', '--reason', 'x')).toMatchObject({ code: 2 })
    const charged = await tollgate(gateway, 'unmatched', 'charge', id, '--reason', 'checked with the provider')
    expect(charged).toMatchObject({ code: 0, out: expect.stringMatching(/^Charged: 0\.25 USD \(charge acme:\d+\)/) })
    expect(await tollgate(gateway, 'unmatched', 'charge', id, '--reason', 'again')).toMatchObject({
      code: 1,
      err: expect.stringContaining('conflict: It is charged or dismissed already'),
    })
    expect(await tollgate(gateway, 'unmatched', 'dismiss', `acme:${other.seq}`, '--reason', 'small')).toMatchObject({
      code: 0,
    })
    expect((await tollgate(gateway, 'unmatched', 'list', 'acme')).out).toBe('Nothing waits for a word.\n')
    expect((await usage(gateway, 'by=run')).body.items).toMatchObject([
      { group: { run: 'old' }, calls: 1, late_settles: 0, charged: '0.25', tokens: { output: 7 }, margin: '0.05' },
    ])
    expect((await gateway.balance())['posted']).toBe('0.25')
    expect((await tollgate(gateway, 'doctor', 'acme')).code).toBe(0)
  })
})

run('a word on what does not wait is refused, and the same Idempotency-Key gets the first answer', async () => {
  await withGateway({}, async (gateway) => {
    await gateway.grant('1')
    const terms = { ...callTerms('old'), id: newId(Date.now() - 90_000_000) }
    const { seq } = await gateway.wallet.settle({ terms, finalAtoms: 5n, info: '{}' })
    const resolve = async (of: string, body: object, key = newId(Date.now())) => {
      const path = `accounts/acme/unmatched/${of}/resolve`
      const answer = await gateway.admin('POST', path, body, { 'idempotency-key': key })
      return [answer.status, await answer.json()] as const
    }
    const charge = { decision: 'charge', reason: 'late' }
    expect(await resolve('1', charge)).toMatchObject([404, { error: { code: 'unknown_unmatched' } }])
    expect(await resolve('x', charge)).toMatchObject([404, { error: { code: 'unknown_unmatched' } }])
    expect(await resolve(String(seq), { decision: 'maybe', reason: 'r' })).toMatchObject([422, {}])
    expect(await resolve(String(seq), { decision: 'charge' })).toMatchObject([422, {}])
    const first = await resolve(String(seq), charge, 'key-1')
    expect(first).toMatchObject([200, { unmatched: seq, decision: 'charge', charged: '0.000000005' }])
    expect(await resolve(String(seq), charge, 'key-1')).toEqual(first)
    expect(await resolve(String(seq), charge, 'key-2')).toMatchObject([409, { error: { code: 'conflict' } }])
  })
})

run('tollgate reconcile holds the ledger against the provider’s report', async () => {
  await withGateway({ plan: 'trim: { enabled: false }' }, async (gateway) => {
    await gateway.grant('1')
    await charge(gateway, 100)
    const file = join(gateway.dir, 'report.json')
    const day = new Date().toISOString().slice(0, 10)
    const { body } = await usage(gateway, 'by=day')
    const report = (output: number) => {
      const result = { model: 'gpt-5-mini-2025-08-07', input_tokens: body.items[0].tokens.input, output_tokens: output }
      writeFileSync(file, JSON.stringify({ data: [{ start_time: Date.parse(day) / 1000, results: [result] }] }))
      return tollgate(gateway, 'reconcile', '--provider-usage', file, '--format', 'openai-usage')
    }
    expect(await report(100)).toMatchObject({ code: 0, out: expect.stringContaining('all within the tolerance') })
    expect(await report(110)).toMatchObject({ code: 1, out: expect.stringMatching(/output +100 +110 +differs/) })
    expect(await tollgate(gateway, 'reconcile', '--format', 'openai-usage')).toMatchObject({ code: 2 })
    expect(await tollgate(gateway, 'reconcile', '--provider-usage', file)).toMatchObject({ code: 2 })
    writeFileSync(file, `day,model,input_tokens,output_tokens\n2020-01-01,gpt-5-mini,5,5\n${day},gpt-5-mini,9,100\n`)
    const days = (...range: string[]) =>
      tollgate(gateway, 'reconcile', '--provider-usage', file, '--format', 'csv', ...range)
    expect(await days()).toMatchObject({ code: 1, out: expect.stringMatching(/^2020-01-01 .*differs/m) })
    expect(await days('--since', '1h')).toMatchObject({ code: 0, out: expect.stringContaining('Compared: 2,') })
    expect(await days('--period', '2020-01')).toMatchObject({ code: 1, out: expect.not.stringContaining(day) })
    expect(await days('--since', '2090-01-01')).toMatchObject({ code: 2 })
    writeFileSync(file, '{}')
    const csv = await tollgate(gateway, 'reconcile', '--provider-usage', file, '--format', 'csv')
    expect(csv).toMatchObject({ code: 1, err: expect.stringContaining('there is no column') })
  })
})

const ONE_PIECE = { perTokenAtoms: 0n, leastTokens: 0, wantTokens: 0, totalTokens: 0, dryRun: false }

function callTerms(key: string): HoldTerms {
  const facts = { model: 'gpt-5', upstream: 'openai', endpoint: 'chat', key, run: 'slow', user: undefined, labels: {} }
  return {
    id: newId(Date.now()),
    account: 'acme',
    unit: 'USD',
    scale: 9,
    onExhausted: { mode: 'block' },
    overflowPeriod: '',
    observe: false,
    facts,
    floorAtoms: 20n,
    priceVersion: 'v1',
    onTimeout: 'known',
  }
}
