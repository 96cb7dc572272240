/** The admin API of two gateways on one Redis; and one that was restarted, which is the same: its memory is empty. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { RequestClaims } from '../../../src/admin/request-claims.ts'
import { newId } from '../../../src/core/ids.ts'
import { WalletUnavailable } from '../../../src/errors.ts'
import { redisAvailable } from '../../support/redis.ts'
import { terms } from '../outbox/fake-wallet.ts'
import { type AdminHarness, startAdmin } from './harness.ts'

const grant = { amount: '10.50', unit: 'USD', funding: 'external' }
const touched: [string, number][] = []
let keys = 0
// The gateways remember keys longer than a test.
const key = () => ({ 'idempotency-key': `key-${++keys}` })

describe.skipIf(!redisAvailable)('two gateways on one Redis', () => {
  let first: AdminHarness
  let second: AdminHarness
  beforeAll(async () => {
    first = await startAdmin({ touch: (account, atMs) => void touched.push([account, atMs]) })
    second = await startAdmin({
      wallet: first.wallet,
      kept: first.kept,
      accounts: first.accounts,
      claims: first.claims,
    })
  })
  afterAll(async () => {
    await first?.stop()
    await second?.stop()
  })
  beforeEach(async () => {
    await first.redis.call('FLUSHALL')
  })

  const ledger = async () => (await first.call('GET', 'accounts/acme/ledger')).body.items as { type: string }[]

  const acts: [string, object][] = [
    ['accounts/acme/grants', { ...grant, labels: { note: 'ä\t|;,=' }, applies_to: { labels: { a: 'b' } } }],
    ['accounts/acme/adjust', { amount: '-2.5', unit: 'USD', reason: 'a mistake' }],
    ['accounts/acme/adjust', { amount: '3', unit: 'USD', reason: 'goodwill' }],
    ['accounts/acme/freeze', { reason: 'fraud?' }],
    ['accounts/acme/unfreeze', {}],
    ['accounts/acme/stops', { run: 'r', cut: true, reason: 'a loop' }],
  ]

  test.each(acts)('%s %j asked again of the other is not done again, and gets the first body', async (path, body) => {
    await first.call('POST', 'accounts/acme/grants', { body: grant })
    const headers = key()
    const answer = await first.call('POST', path, { body, headers })
    expect(answer.status).toBeLessThan(300)
    const entries = (await ledger()).length
    // The account is another by now.
    await first.call('POST', 'accounts/acme/adjust', { body: { amount: '-1', unit: 'USD', reason: 'r' } })
    const repeat = await second.call('POST', path, { body, headers })
    expect([repeat.status, repeat.body]).toEqual([200, answer.body])
    expect(await ledger()).toHaveLength(entries + 1)
    const other = await second.call('POST', path, { body: { ...body, amount: '7', reason: 'other' }, headers })
    expect([409, 422]).toContain(other.status)
    expect(await ledger()).toHaveLength(entries + 1)
  })

  test('a void asked again of the other is answered as the first time', async () => {
    const { id } = (await first.call('POST', 'accounts/acme/grants', { body: grant })).body
    const headers = key()
    const answer = await first.call('POST', `accounts/acme/grants/${id}/void`, { body: {}, headers })
    const repeat = await second.call('POST', `accounts/acme/grants/${id}/void`, { body: {}, headers })
    expect([repeat.status, repeat.body]).toEqual([200, answer.body])
    const again = await second.call('POST', `accounts/acme/grants/${id}/void`, { body: {} })
    expect([again.status, again.body.error.code]).toEqual([409, 'conflict'])
  })

  test('flagged spend of many accounts is resolved once, and the other tells the first answer', async () => {
    const flagged = async (id: string) => {
      const held = { ...terms(id), account: 'acme', onExhausted: { mode: 'flag' as const } }
      await first.wallet.settle({ terms: held, finalAtoms: 5_000_000_000n, info: '{}' })
    }
    await flagged(newId(Date.now()))
    const headers = key()
    const body = { where: { plan: 'pro' }, unit: 'USD', to: 'debt' }
    const answer = await first.call('POST', 'flagged/resolve', { body, headers })
    expect(answer.body.items).toMatchObject([{ id: 'acme', balances: [{ flagged: '0', debt: '5' }] }])
    const entries = (await ledger()).length
    const repeat = await second.call('POST', 'flagged/resolve', { body, headers })
    expect([repeat.status, repeat.body]).toEqual([200, answer.body])
    const other = await second.call('POST', 'flagged/resolve', { body: { ...body, to: 'written_off' }, headers })
    expect([other.status, other.body.error.code]).toEqual([409, 'conflict'])
    expect(await ledger()).toHaveLength(entries)
  })

  test.each(acts)('%s %j, 50 at once under one key, is one act', async (path, body) => {
    await first.call('POST', 'accounts/acme/grants', { body: grant })
    const before = (await ledger()).length
    const headers = key()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? first : second).call('POST', path, { body, headers })),
    )
    expect(answers.filter(({ status }) => status >= 300)).toEqual([])
    expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1)
    expect(await ledger()).toHaveLength(before + 1)
  })

  test('one key for two acts is a conflict on the other gateway too', async () => {
    const headers = key()
    await first.call('POST', 'accounts/acme/freeze', { body: {}, headers })
    for (const [path, body] of acts.slice(0, 3)) {
      const { status, body: answer } = await second.call('POST', path, { body, headers })
      expect([status, answer.error.code]).toEqual([409, 'conflict'])
    }
    expect(await ledger()).toHaveLength(1)
  })

  const calls: [string, object][] = [
    ['accounts/acme/freeze', {}],
    ['accounts/over/freeze', {}],
    ['accounts', { id: 'made', plan: 'pro' }],
    ['keys', { account: 'acme', id: 'made-key' }],
    ['accounts/acme/stops', { run: 'r1', reason: 'runaway' }],
  ]
  const pairs = calls.flatMap((one) => calls.filter((other) => other !== one).map((other) => [one, other] as const))

  test.each(pairs)(
    'an Idempotency-Key of POST %j is none of POST %j, on this gateway and the other',
    async (one, other) => {
      const headers = key()
      const answer = await first.call('POST', one[0], { body: one[1], headers })
      expect(answer.status).toBeLessThan(300)
      const kept = async () => [
        await ledger(),
        (await first.call('GET', 'keys')).body,
        (await first.call('GET', 'accounts')).body,
      ]
      const before = await kept()
      for (const gateway of [first, second]) {
        const { status, body } = await gateway.call('POST', other[0], { body: other[1], headers })
        expect([status, body.error.code]).toEqual([409, 'conflict'])
      }
      expect(await kept()).toEqual(before)
      const repeat = await second.call('POST', one[0], { body: one[1], headers })
      const asFirst = 'key' in answer.body ? { ...answer.body, key: null } : answer.body
      expect([repeat.status, repeat.body]).toEqual([200, asFirst])
    },
  )

  test('a key under which a call was refused may be sent with another; with Redis away it is 503, but for what does without', async () => {
    const headers = key()
    const refused = await first.call('POST', 'accounts/nobody/freeze', { body: {}, headers })
    expect([refused.status, refused.body.error.code]).toEqual([404, 'unknown_account'])
    expect((await second.call('POST', 'accounts/acme/freeze', { body: {}, headers })).status).toBe(200)
    const away = await startAdmin({
      claims: new RequestClaims({
        call: async () => {
          throw new WalletUnavailable('away', false)
        },
      }),
    })
    try {
      const { status, body } = await away.call('POST', 'accounts/acme/freeze', { body: {}, headers: key() })
      expect([status, body.error.code]).toEqual([503, 'wallet_unavailable'])
      expect((await away.call('POST', 'config/reload', { body: {}, headers: key() })).status).toBe(200)
    } finally {
      await away.stop()
    }
  })

  test('a refusal under a key is not for ever: the same key is new to other gateways once a minute has passed', async () => {
    const headers = key()
    const body = { amount: '-1', unit: 'USD', reason: 'r' }
    const refused = await first.call('POST', 'accounts/acme/adjust', { body, headers })
    expect([refused.status, refused.body.error.code]).toEqual([402, 'insufficient_funds'])
    const [record] = (await first.redis.call('KEYS', 'tg:{acme}:op:*')) as string[]
    expect(Number(await first.redis.call('PTTL', record as string))).toBeLessThanOrEqual(60_000)
  })

  test.each([
    ['GET', 'accounts/%20x', 'unknown_account'],
    ['GET', 'accounts/a%7Bb%7D/grants', 'unknown_account'],
    ['GET', `accounts/${'x'.repeat(200)}`, 'unknown_account'],
    ['POST', 'accounts/a%00b/freeze', 'unknown_account'],
    ['GET', 'charges/foo%20bar:1', 'unknown_charge'],
    ['GET', 'charges/acme:0', 'unknown_charge'],
    ['GET', 'charges/acme:9999999999999999', 'unknown_charge'],
    ['POST', 'accounts/acme/grants/i:GRANT/void', 'unknown_grant'],
    ['POST', 'accounts/acme/grants/%7C/void', 'unknown_grant'],
  ])('%s %s is 404 %s', async (method, path, code) => {
    const { id } = (await first.call('POST', 'accounts/acme/grants', { body: grant })).body
    const { status, body } = await first.call(method, path.replace('GRANT', id), method === 'POST' ? { body: {} } : {})
    expect([status, body.error.code]).toEqual([404, code])
  })

  test.each([
    ['effective_at', '1969-12-31T23:59:59Z'],
    ['expires_at', '1960-01-01T00:00:00Z'],
    ['cost_basis', '007'],
    ['cost_basis', '-1'],
  ])('a grant with %s %s is 422 and leaves the account as it was', async (field, value) => {
    const { status, body } = await first.call('POST', 'accounts/acme/grants', { body: { ...grant, [field]: value } })
    expect([status, body.error.fields[0].field]).toEqual([422, field])
    expect((await first.call('GET', 'accounts/acme')).body.balances[0].granted).toBe('0')
  })

  test('a grant that begins or ends later is looked at then, also in an account without calls', async () => {
    touched.length = 0
    const [effective_at, expires_at] = ['2095-01-01T00:00:00.000Z', '2096-01-01T00:00:00.000Z']
    await first.call('POST', 'accounts/acme/grants', { body: { ...grant, effective_at, expires_at } })
    expect(touched).toEqual([
      ['acme', Date.parse(effective_at)],
      ['acme', Date.parse(expires_at)],
    ])
  })

  test('the ledger shows a grant with the fields of the API', async () => {
    const body = {
      ...grant,
      effective_at: '2095-01-01T00:00:00.000Z',
      expires_at: null,
      applies_to: { models: ['gpt-*'] },
      cost_basis: '0.80',
    }
    const made = (await first.call('POST', 'accounts/acme/grants', { body })).body
    const entry = (await first.call('GET', 'accounts/acme/ledger')).body.items[0]
    const { effective_at, expires_at, applies_to, cost_basis, repays_debt, funding, priority } = made
    expect(entry).toMatchObject({ effective_at, expires_at, applies_to, cost_basis, repays_debt, funding, priority })
    expect(Object.keys(entry).filter((name) => /[A-Z]/.test(name))).toEqual([])
  })

  describe('a long ledger', () => {
    const ENTRIES = 10_000
    beforeEach(async () => {
      // Written as the scripts write: one grant, then holds that were voided, far faster than by calls.
      await first.call('POST', 'accounts/acme/grants', { body: grant })
      for (let from = 2; from <= ENTRIES; from += 500) {
        await Promise.all(
          Array.from({ length: Math.min(500, ENTRIES - from + 1) }, (_, i) =>
            first.redis.call('XADD', 'tg:{acme}:ledger', `${from + i}-0`, 'e', entryText(from + i), 'i', ''),
          ),
        )
      }
    })
    const entryText = (seq: number) => `${seq === 7777 ? 'freeze' : 'checkpoint'}|1|${newId(0)}||USD|9||10,0|known=1`

    test.each([1000, 999, 333])('of 10,000 entries goes page by page without a gap (limit %i)', async (limit) => {
      const seqs: number[] = []
      let after = '0'
      for (let next: string | null = after; next !== null; ) {
        const { body } = await first.call('GET', `accounts/acme/ledger?limit=${limit}&after=${after}`)
        seqs.push(...body.items.map((entry: { seq: number }) => entry.seq))
        next = body.next
        after = next ?? after
      }
      expect(seqs).toEqual(Array.from({ length: ENTRIES }, (_, i) => i + 1))
    })

    test('a rare type is found, page by page', async () => {
      const { body } = await first.call('GET', 'accounts/acme/ledger?type=freeze&limit=1')
      expect([body.items.map((entry: { seq: number }) => entry.seq), body.next]).toEqual([[7777], null])
    })

    test('a follower of a rare type reads what is new, not the ledger again and again', async () => {
      const stop = new AbortController()
      const response = await fetch(`${first.url}/admin/v1/accounts/acme/ledger?type=freeze`, {
        headers: { authorization: 'Bearer view-me', accept: 'text/event-stream' },
        signal: stop.signal,
      })
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      let text = ''
      const decoder = new TextDecoder()
      while (!text.includes('id: 7777')) text += decoder.decode((await reader.read()).value)
      await new Promise((resolve) => setTimeout(resolve, 1200))
      await first.redis.call('CONFIG', 'RESETSTAT')
      await new Promise((resolve) => setTimeout(resolve, 1200))
      const stats = String(await first.redis.call('INFO', 'commandstats'))
      stop.abort()
      expect(Number(/cmdstat_xrange:calls=(\d+)/.exec(stats)?.[1])).toBeLessThanOrEqual(4)
    })
  })

  test('a call of 2,000 open holds pages the holds without a gap', async () => {
    const ids: string[] = []
    for (let i = 0; i < 2000; i++) ids.push(newId(Date.now()))
    await Promise.all(
      ids.map((id) =>
        first.wallet.hold({
          ...terms(id, { account: 'acme', onExhausted: { mode: 'postpaid' } }),
          fixedAtoms: 1n,
          perTokenAtoms: 0n,
          leastTokens: 0,
          wantTokens: 0,
          totalTokens: 0,
          deadlineMs: 600_000,
          dryRun: false,
          info: '{}',
        }),
      ),
    )
    const seen: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const query: string = after === '' ? '' : `&after=${after}`
      const { body } = await first.call('GET', `accounts/acme/holds?limit=300${query}`)
      seen.push(...body.items.map((hold: { id: string }) => hold.id))
      after = body.next
    }
    expect(seen).toEqual(ids.sort())
  })
})
