import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ADMIN_ROUTES } from '../../../src/admin/routes.ts'
import {
  accountAnswer,
  chargeAnswer,
  configAnswer,
  errorAnswer,
  grantAnswer,
  holdAnswer,
  ledgerAnswer,
  pageOf,
} from '../../../src/admin/schemas.ts'
import { createAdminServer } from '../../../src/admin/server.ts'
import { mayAct } from '../../../src/admin/tokens.ts'
import { BooksHeads } from '../../../src/books/books-heads.ts'
import type { AdminRole } from '../../../src/config/snapshot.ts'
import { newId } from '../../../src/core/ids.ts'
import { creditRequest } from '../../support/credit-request.ts'
import { redisAvailable } from '../../support/redis.ts'
import { memoryLog, settlement, terms } from '../outbox/fake-wallet.ts'
import { type AdminHarness, QUIET_WEBHOOKS, snapshot, startAdmin } from './harness.ts'

describe.skipIf(!redisAvailable)('the admin API', () => {
  let admin: AdminHarness
  beforeAll(async () => {
    admin = await startAdmin()
  })
  afterAll(() => admin?.stop())
  beforeEach(async () => {
    await admin.redis.call('FLUSHALL')
  })

  const grant = { amount: '10.50', unit: 'USD', funding: 'external' }

  async function heldCall(account = 'acme', fixedAtoms = 1_000_000_000n): Promise<string> {
    const id = newId(Date.now())
    const held = await admin.wallet.hold({
      ...terms(id, { account, floorAtoms: 1n }),
      fixedAtoms,
      perTokenAtoms: 0n,
      leastTokens: 0,
      wantTokens: 0,
      totalTokens: 0,
      deadlineMs: 60_000,
      dryRun: false,
      info: '{}',
    })
    expect(held.status).toBe('held')
    return id
  }

  describe('who may do what', () => {
    const calls = ADMIN_ROUTES.flatMap((row) =>
      (['viewer', 'finance', 'operator'] as AdminRole[]).map((role) => [row.method, row.path, role, row.role] as const),
    )
    test.each(calls)('%s %s as %s (needs %s)', async (method, path, role, needed) => {
      const filled = path.replace(':account', 'acme').replace(':grant', 'g').replace(':charge', 'acme:1')
      const body = method === 'POST' ? { body: {} } : {}
      const { status, body: answer } = await admin.call(method, filled.slice(1), { role, ...body })
      if (mayAct(role, needed)) expect([401, 403, 405, 500]).not.toContain(status)
      else {
        expect(status).toBe(403)
        expect(answer.error.code).toBe('forbidden')
        expect(answer.error.message).toContain(needed)
      }
    })

    test.each(ADMIN_ROUTES.map((row) => [row.method, row.path] as const))(
      '%s %s without a token is 401',
      async (method, path) => {
        for (const token of ['', 'wrong', 'view-me-not']) {
          const { status, body, headers } = await admin.call(method, path.slice(1), { token })
          expect(status).toBe(401)
          expect(body.error.code).toBe('unauthorized')
          expect(headers.get('www-authenticate')).toBe('Bearer')
        }
      },
    )

    test('every row has a role, and money is never a viewer’s', () => {
      for (const row of ADMIN_ROUTES) if (row.method === 'POST') expect(row.role).not.toBe('viewer')
    })

    test('what is not in the table does not exist', async () => {
      expect((await admin.call('GET', 'elsewhere')).body.error.code).toBe('unknown_route')
      expect((await admin.call('GET', 'elsewhere')).status).toBe(404)
      expect((await admin.call('GET', '/elsewhere')).status).toBe(404)
      expect((await admin.call('POST', 'charges/acme:1/refunds', { body: {} })).status).toBe(404)
      const wrongMethod = await admin.call('DELETE', 'config')
      expect(wrongMethod.status).toBe(405)
      expect(wrongMethod.headers.get('allow')).toBe('GET')
    })

    test('a name that is not loopback’s is refused, but not for probes and scrapers', async () => {
      const get = (path: string) =>
        new Promise<number | undefined>((resolve, reject) => {
          const options = { headers: { host: 'evil.example', authorization: 'Bearer everything-token' } }
          httpRequest(admin.url + path, options, (response) => {
            response.resume()
            resolve(response.statusCode)
          })
            .on('error', reject)
            .end()
        })
      expect(await get('/admin/v1/accounts')).toBe(403)
      for (const path of ['/healthz', '/readyz', '/metrics']) expect(await get(path)).toBe(200)
    })

    test('without configured tokens one is made for an operator', async () => {
      const inForce = snapshot()
      const settings = { ...inForce.settings, admin: { ...inForce.settings.admin, tokens: [] } }
      const made = await import('./harness.ts').then(({ startAdmin }) =>
        startAdmin({
          store: {
            current: () => ({ ...inForce, settings }),
            validateTexts: async () => ({ problems: [], warnings: [] }),
          },
        }),
      )
      expect((await made.call('GET', 'accounts', { token: 'everything-token' })).status).toBe(401)
      await made.stop()
      const { adminToken } = createAdminServer({
        store: {
          current: () => ({ ...inForce, settings }),
          validateTexts: async () => ({ problems: [], warnings: [] }),
        },
        wallet: admin.wallet,
        kept: admin.kept,
        accounts: admin.accounts,
        claims: admin.claims,
        books: new BooksHeads(admin.redis, () => []),
        accountChanged: async () => {},
        log: memoryLog(),
        touch: () => undefined,
        cut: async () => {},
        webhooks: QUIET_WEBHOOKS,
        reload: async () => ({ result: 'unchanged', version: '', problems: [], notes: [] }),
        metrics: async () => '',
        ready: async () => ({ ready: true, checks: {} }),
      })
      expect(adminToken).toMatch(/^tga_[A-Za-z0-9_-]{43}$/)
    })
  })

  describe('without a token', () => {
    test('/healthz, /readyz and /metrics answer', async () => {
      expect((await admin.call('GET', '/healthz', { token: '' })).body).toEqual({ status: 'alive' })
      expect((await admin.call('GET', '/readyz', { token: '' })).body.ready).toBe(true)
      expect((await admin.call('GET', '/metrics', { token: '' })).body).toBe('tollgate_redis_up 1\n')
    })

    test('every answer forbids scripts, framing and caching', async () => {
      const { headers } = await admin.call('GET', '/healthz', { token: '' })
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
    })
  })

  describe('grants', () => {
    test('a grant is 201 with all its fields, and shows in the account', async () => {
      const { status, body } = await admin.call('POST', 'accounts/acme/grants', { role: 'finance', body: grant })
      expect(status).toBe(201)
      expect(grantAnswer.parse(body)).toMatchObject({
        account: 'acme',
        amount: '10.5',
        free: '10.5',
        funding: 'external',
        priority: 10,
        key: null,
        expires_at: null,
        repays_debt: true,
      })
      expect(body.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      const account = accountAnswer.parse((await admin.call('GET', 'accounts/acme', { role: 'viewer' })).body)
      expect(account).toMatchObject({ id: 'acme', plan: 'pro', status: 'active', labels: { segment: 'enterprise' } })
      expect(account.balances).toEqual([
        {
          unit: 'USD',
          granted: '10.5',
          posted: '0',
          expired: '0',
          balance: '10.5',
          held: '0',
          available: '10.5',
          scoped: '0',
          headroom: '0',
          pending: '0',
          debt: '0',
          overflow: '0',
          overflow_periods: {},
          flagged: '0',
          postpaid: '0',
          frozen: false,
        },
      ])
    })

    test('a repeat under one Idempotency-Key is 200 with the first body; other arguments are a conflict', async () => {
      const headers = { 'idempotency-key': 'po-4711' }
      const first = await admin.call('POST', 'accounts/acme/grants', { body: grant, headers })
      await heldCall()
      const repeat = await admin.call('POST', 'accounts/acme/grants', { body: grant, headers })
      expect([first.status, repeat.status]).toEqual([201, 200])
      expect(repeat.body).toEqual(first.body)
      const other = await admin.call('POST', 'accounts/acme/grants', { body: { ...grant, amount: '11' }, headers })
      expect([other.status, other.body.error.code]).toEqual([409, 'conflict'])
      expect((await admin.call('GET', 'accounts/acme/grants')).body.items).toHaveLength(1)
    })

    test('the same after a restart of the gateway: the wallet remembers', async () => {
      const headers = { 'idempotency-key': 'po|47;11' }
      const first = await admin.call('POST', 'accounts/acme/grants', { body: grant, headers })
      const { wallet } = admin
      const restarted = await startAdmin({ wallet })
      const repeat = await restarted.call('POST', 'accounts/acme/grants', { body: grant, headers })
      const other = await restarted.call('POST', 'accounts/acme/grants', { body: { ...grant, amount: '11' }, headers })
      await restarted.stop()
      expect([repeat.status, repeat.body]).toEqual([200, first.body])
      expect([other.status, other.body.error.code]).toEqual([409, 'conflict'])
    })

    test('a grant key makes one grant for ever', async () => {
      const body = { ...grant, key: 'invoice-1' }
      const first = await admin.call('POST', 'accounts/acme/grants', { body })
      const repeat = await admin.call('POST', 'accounts/acme/grants', { body })
      expect([first.status, repeat.status]).toEqual([201, 200])
      expect(repeat.body.id).toBe(first.body.id)
      expect((await admin.call('POST', 'accounts/acme/grants', { body: { ...body, amount: '3' } })).status).toBe(409)
    })

    test.each([
      ['-1'],
      ['0'],
      ['1e9'],
      ['0x10'],
      ['NaN'],
      ['Infinity'],
      [''],
      [' 1'],
      ['1,5'],
      ['+1'],
      ['01'],
      ['1.'],
      ['.5'],
      ['1.0000000001'],
      ['9007199.254740992'],
      ['١٢٣'],
      ['１'],
      ['9'.repeat(10_000)],
      [5],
      [null],
      [{}],
      [['1']],
    ])('an amount of %j is 422, names the field and changes nothing', async (amount) => {
      for (const path of ['accounts/acme/grants', 'accounts/acme/adjust']) {
        const body = path.endsWith('adjust') ? { amount, unit: 'USD', reason: 'r' } : { ...grant, amount }
        // A negative adjustment is fine as such, but there is nothing to take.
        if (path.endsWith('adjust') && amount === '-1') continue
        const { status, body: answer } = await admin.call('POST', path, { body })
        expect(status).toBe(422)
        expect(['invalid', 'out_of_range']).toContain(answer.error.code)
        expect(errorAnswer.parse(answer).error.fields.map((wrong) => wrong.field)).toEqual(['amount'])
      }
      expect(await admin.redis.call('DBSIZE')).toBe(0)
    })

    test.each([
      ['funding left out', { funding: undefined }, 'funding'],
      ['a funding that is none', { funding: 'gift' }, 'funding'],
      ['a unit that nothing knows', { unit: 'usd' }, 'unit'],
      ['a measure of budgets', { unit: 'tokens' }, 'unit'],
      ['a priority out of range', { priority: 1001 }, 'priority'],
      ['a time that is none', { expires_at: 'tomorrow' }, 'expires_at'],
      ['a date that is none', { expires_at: '2027-02-30T00:00:00Z' }, 'expires_at'],
      ['an expiry in the past', { expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
      ['a misspelt field', { prioirty: 3 }, 'prioirty'],
      ['a payment that there is not', { payment: 'paid' }, 'payment'],
      ['a key with a line break', { key: 'a\nb' }, 'key'],
      ['a scope with a separator', { applies_to: { models: ['a,b'] } }, 'applies_to.models.0'],
      ['an unknown scope', { applies_to: { model: ['a'] } }, 'applies_to.model'],
    ])('%s is 422 and names the field', async (_, change, field) => {
      const { status, body } = await admin.call('POST', 'accounts/acme/grants', { body: { ...grant, ...change } })
      expect(status).toBe(422)
      expect(body.error.fields.map((wrong: { field: string }) => wrong.field)).toEqual([field])
    })

    test('an account that neither files nor wallets know is 404', async () => {
      for (const [method, path] of [
        ['POST', 'grants'],
        ['GET', 'grants'],
        ['GET', 'holds'],
        ['GET', 'ledger'],
      ] as const) {
        const body = method === 'POST' ? { body: grant } : {}
        const { status, body: answer } = await admin.call(method, `accounts/nobody/${path}`, body)
        expect([status, answer.error.code]).toEqual([404, 'unknown_account'])
      }
    })

    test('an account taken out of the files stays readable', async () => {
      await admin.wallet.grant(creditRequest(1n, { account: 'gone', operationId: 'o', funding: 'promotional' }))
      const { body } = await admin.call('GET', 'accounts/gone')
      expect(accountAnswer.parse(body)).toMatchObject({ plan: null, balances: [{ available: '0.000000001' }] })
    })

    test('an id with a slash and a colon is one part of the path', async () => {
      const path = `accounts/${encodeURIComponent('team/a:b')}`
      expect((await admin.call('POST', `${path}/grants`, { body: grant })).body.account).toBe('team/a:b')
      expect((await admin.call('GET', path)).body.id).toBe('team/a:b')
    })

    test('a void forfeits what is free; a second one is a conflict, a grant that is none 404', async () => {
      const { body } = await admin.call('POST', 'accounts/acme/grants', { body: grant })
      const path = `accounts/acme/grants/${body.id}/void`
      const voided = await admin.call('POST', path, { body: { reason: 'wrong customer' } })
      expect(voided.status).toBe(200)
      expect(grantAnswer.parse(voided.body)).toMatchObject({ free: '0', voided: '10.5', amount: '10.5' })
      expect((await admin.call('POST', path)).body.error.code).toBe('conflict')
      const none = await admin.call('POST', 'accounts/acme/grants/none/void')
      expect([none.status, none.body.error.code]).toEqual([404, 'unknown_grant'])
    })

    test('a list goes page by page', async () => {
      const ids: string[] = []
      for (let i = 1; i <= 5; i++) {
        ids.push((await admin.call('POST', 'accounts/acme/grants', { body: { ...grant, amount: `${i}` } })).body.id)
      }
      const read: string[] = []
      let after: string | null = null
      do {
        const query: string = after === null ? '?limit=2' : `?limit=2&after=${after}`
        const { items, next } = pageOf(grantAnswer).parse(
          (await admin.call('GET', `accounts/acme/grants${query}`)).body,
        )
        expect(items.length).toBeLessThanOrEqual(2)
        read.push(...items.map((item) => (item as { id: string }).id))
        after = next
      } while (after !== null)
      expect(read.sort()).toEqual(ids.sort())
    })

    test.each(['limit=0', 'limit=1001', 'limit=x', 'limit=1&limit=2', 'offset=1', 'after=-1&type=nothing'])(
      'a query of %s is 422',
      async (query) => {
        expect((await admin.call('GET', `accounts/acme/ledger?${query}`)).status).toBe(422)
      },
    )
  })

  describe('accounts', () => {
    test('all of the files, by id, with the wallet of the plan’s unit even where nothing was ever granted', async () => {
      const page = pageOf(accountAnswer).parse((await admin.call('GET', 'accounts?limit=2')).body)
      expect(page).toMatchObject({
        items: [{ id: 'acme', balances: [{ unit: 'USD', available: '0' }] }, { id: 'floor' }],
      })
      const rest = (await admin.call('GET', `accounts?after=${page.next}`)).body
      expect(rest.items.map((account: { id: string }) => account.id)).toEqual(['over', 'post', 'team/a:b'])
      expect(rest.next).toBeNull()
    })

    test.each([
      ['acme', '0'],
      ['floor', '5'],
      ['over', '7'],
      ['post', null],
    ])('headroom of %s is %s', async (account, headroom) => {
      expect((await admin.call('GET', `accounts/${account}`)).body.balances[0].headroom).toBe(headroom)
    })

    test('open holds on overage count against headroom, and so does debt', async () => {
      const id = newId(Date.now())
      const onExhausted = { mode: 'negative', floorAtoms: -5_000_000_000n } as const
      const all = terms(id, { account: 'floor', onExhausted })
      await admin.wallet.hold({
        ...all,
        fixedAtoms: 2_000_000_000n,
        perTokenAtoms: 0n,
        leastTokens: 0,
        wantTokens: 0,
        totalTokens: 0,
        deadlineMs: 60_000,
        dryRun: false,
        info: '{}',
      })
      const balance = async () => (await admin.call('GET', 'accounts/floor')).body.balances[0]
      expect(await balance()).toMatchObject({ headroom: '3', held: '2', debt: '0' })
      await admin.wallet.settle({ terms: all, finalAtoms: 1_500_000_000n, info: '{}' })
      expect(await balance()).toMatchObject({ headroom: '3.5', held: '0', debt: '1.5' })
    })

    test('freeze and unfreeze show, also where there is no wallet yet', async () => {
      for (const prepare of [
        async () => {},
        async () => void (await admin.call('POST', 'accounts/acme/grants', { body: grant })),
      ]) {
        await prepare()
        const frozen = await admin.call('POST', 'accounts/acme/freeze', { body: { reason: 'abuse' }, role: 'finance' })
        expect(frozen.body).toMatchObject({ status: 'frozen', balances: [{ frozen: true }] })
        expect((await admin.call('GET', 'accounts/acme')).body.status).toBe('frozen')
        const again = await admin.call('POST', 'accounts/acme/unfreeze', { role: 'finance' })
        expect(again.body).toMatchObject({ status: 'active', balances: [{ frozen: false }] })
      }
    })

    test('an adjustment adds, takes away, and never takes what is not free', async () => {
      const adjust = (amount: string) =>
        admin.call('POST', 'accounts/acme/adjust', { body: { amount, unit: 'USD', reason: 'goodwill' } })
      expect((await adjust('3')).body.balances[0].available).toBe('3')
      expect((await adjust('-1.25')).body.balances[0].available).toBe('1.75')
      const refused = await adjust('-2')
      expect([refused.status, refused.body.error.code]).toEqual([402, 'insufficient_funds'])
      expect((await admin.call('GET', 'accounts/acme')).body.balances[0].available).toBe('1.75')
    })
  })

  describe('holds, ledger and charges', () => {
    test('an open hold, its settle and its charge show with every field', async () => {
      await admin.call('POST', 'accounts/acme/grants', { body: grant })
      const id = await heldCall()
      const { items } = pageOf(holdAnswer).parse((await admin.call('GET', 'accounts/acme/holds')).body)
      expect(items).toMatchObject([{ id, held: '1', model: 'gpt-5-mini', run: null, slices: [{ amount: '1' }] }])
      await admin.wallet.settle({
        ...settlement(id, 250_000_000n),
        terms: terms(id, { floorAtoms: 1n }),
        info: '{"model":"m"}',
      })
      const ledger = pageOf(ledgerAnswer).parse((await admin.call('GET', 'accounts/acme/ledger')).body)
      expect(ledger.items.map((entry) => (entry as { type: string }).type)).toEqual(['grant', 'hold', 'settle'])
      const settle = ledger.items[2] as Record<string, unknown> & { seq: number }
      const charge = await admin.call('GET', `charges/acme:${settle.seq}`)
      expect(chargeAnswer.parse(charge.body)).toMatchObject({ ...settle, id: `acme:${settle.seq}`, account: 'acme' })
      expect(charge.body).toMatchObject({ request_id: id, charged: '0.25', unit: 'USD', hold: '1', overage: null })
      for (const name of SETTLE_FIELDS) expect(charge.body).toHaveProperty(name)
    })

    test('what is no charge is 404', async () => {
      await admin.call('POST', 'accounts/acme/grants', { body: grant })
      for (const id of ['acme:1', 'acme:99', 'acme', 'nobody:1', 'acme:x']) {
        const { status, body } = await admin.call('GET', `charges/${id}`)
        expect([status, body.error.code]).toEqual([404, 'unknown_charge'])
      }
    })

    test('the ledger goes page by page and by type, `after` excludes its own', async () => {
      for (let i = 0; i < 3; i++) await admin.call('POST', 'accounts/acme/grants', { body: grant })
      await admin.call('POST', 'accounts/acme/freeze')
      const first = (await admin.call('GET', 'accounts/acme/ledger?limit=2')).body
      expect(first.next).toBe('2')
      const second = (await admin.call('GET', `accounts/acme/ledger?limit=2&after=${first.next}`)).body
      expect(second.items.map((entry: { seq: number }) => entry.seq)).toEqual([3, 4])
      expect(second.next).toBeNull()
      const freezes = (await admin.call('GET', 'accounts/acme/ledger?type=freeze')).body
      expect(freezes.items).toHaveLength(1)
    })

    test('a follower gets what is there, then what comes, and goes on where it was', async () => {
      await admin.call('POST', 'accounts/acme/grants', { body: grant })
      const follow = async (headers: Record<string, string>, count: number, act: () => Promise<unknown>) => {
        const stop = new AbortController()
        const response = await fetch(`${admin.url}/admin/v1/accounts/acme/ledger`, {
          headers: { authorization: 'Bearer view-me', accept: 'text/event-stream', ...headers },
          signal: stop.signal,
        })
        expect(response.headers.get('content-type')).toContain('text/event-stream')
        const events: { seq: number; type: string }[] = []
        let text = ''
        const acted = act()
        for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
          text += Buffer.from(chunk).toString()
          for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
            const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
            if (data) events.push(JSON.parse(data))
            text = text.slice(end + 2)
          }
          if (events.length >= count) break
        }
        await acted
        stop.abort()
        return events.map((event) => `${event.seq} ${event.type}`)
      }
      const act = () => admin.call('POST', 'accounts/acme/freeze')
      expect(await follow({}, 2, act)).toEqual(['1 grant', '2 freeze'])
      const unfreeze = () => admin.call('POST', 'accounts/acme/unfreeze')
      expect(await follow({ 'last-event-id': '2' }, 1, unfreeze)).toEqual(['3 freeze'])
    })
  })

  describe('config and description', () => {
    test('the config shows no secret', async () => {
      const { body } = await admin.call('GET', 'config')
      expect(configAnswer.parse(body)).toMatchObject({
        version: 'abcdef012345',
        upstreams: { openai: { api_key: 'set' } },
      })
      const text = JSON.stringify(body)
      for (const secret of [
        'sk-upstreamsecret',
        'headersecret',
        'redispassword',
        'basepassword',
        'c0ffee',
        'everything-token',
        'view-me',
        'hooksecret',
        'hooktoken',
        'jwkspassword',
        'jwkscode',
      ]) {
        expect(text).not.toContain(secret)
      }
    })

    test('the config shows whose tokens count, and the plan of accounts known by a token alone', async () => {
      const { body } = await admin.call('GET', 'config')
      expect(body.auth).toEqual({
        jwt: [
          {
            issuer: 'https://login.example',
            audience: 'tollgate',
            jwks_url: 'https://keys:***@login.example/keys',
            algorithms: ['RS256'],
            account_claim: 'org_id',
            account: null,
            key_claim: 'sub',
            labels: { team: 'groups' },
          },
        ],
      })
      expect(body.defaults).toEqual({ plan: 'pro' })
    })

    test('receivers of events are listed and tested without their secrets', async () => {
      const listed = await admin.call('GET', 'webhooks')
      expect(listed.body.items).toEqual([
        {
          url: 'https://ops.example/hook',
          events: ['wallet.*'],
          accounts: ['*'],
          state: 'ok',
          last_success_at: null,
          failing_since: null,
          error: null,
          pending: 0,
          oldest_at: null,
        },
      ])
      const shown = await admin.call('POST', 'webhooks/test', { body: { url: 'https://ops.example/hook' } })
      const whole = await admin.call('POST', 'webhooks/test', { body: { url: snapshot().webhooks[0]?.url } })
      const all = await admin.call('POST', 'webhooks/test', { body: {} })
      for (const { status, body } of [shown, whole, all]) {
        expect(status).toBe(200)
        expect(body.items).toEqual([
          { url: 'https://ops.example/hook', delivered: true, status: 204, error: null, duration_ms: 12 },
        ])
      }
      const other = await admin.call('POST', 'webhooks/test', { body: { url: 'https://elsewhere.example/' } })
      expect([other.status, other.body.error.code]).toEqual([404, 'unknown_webhook'])
      for (const role of ['viewer', 'finance'] as const)
        expect((await admin.call('POST', 'webhooks/test', { role, body: {} })).status).toBe(403)
    })

    test('validate and reload answer what the store says', async () => {
      const validated = await admin.call('POST', 'config/validate', { body: { prices: 'version: 1' } })
      expect(validated.body).toEqual({ valid: true, problems: [], warnings: ['w'] })
      expect((await admin.call('POST', 'config/reload')).body).toMatchObject({ result: 'unchanged' })
    })

    test('a rejected reload is 422 with each place', async () => {
      const problems = [{ file: 'entitlements.yaml', line: 14, column: 9, message: 'unknown plan "prp"' }]
      const rejecting = await startAdmin({
        reload: async () => ({ result: 'rejected', version: 'v', problems, notes: [] }),
      })
      const { status, body } = await rejecting.call('POST', 'config/reload')
      await rejecting.stop()
      expect(status).toBe(422)
      expect(body.error.fields).toEqual([
        { field: 'entitlements.yaml', message: 'entitlements.yaml:14:9: unknown plan "prp"' },
      ])
    })

    test('openapi.json has exactly the rows of the table, with roles and schemas', async () => {
      const { body } = await admin.call('GET', 'openapi.json', { role: 'viewer' })
      expect(body.openapi).toBe('3.1.0')
      const described = Object.entries(body.paths).flatMap(([path, methods]) =>
        Object.entries(methods as Record<string, { 'x-tollgate-role': string }>).map(
          ([method, operation]) => `${method.toUpperCase()} ${path} ${operation['x-tollgate-role']}`,
        ),
      )
      const table = ADMIN_ROUTES.map((row) => `${row.method} ${row.path.replace(/:(\w+)/g, '{$1}')} ${row.role}`)
      expect(described.sort()).toEqual(table.sort())
      const create = body.paths['/accounts/{account}/grants'].post
      expect(create.requestBody.content['application/json'].schema.required).toContain('funding')
      expect(z.fromJSONSchema(create.responses['201'].content['application/json'].schema)).toBeDefined()
    })
  })

  describe('what goes wrong', () => {
    test.each([
      ['no JSON', { raw: '{' }, 400],
      ['an array', { raw: '[]' }, 422],
      ['no UTF-8', { raw: '"\ud800"' }, 422],
      ['another content type', { raw: '{}', headers: { 'content-type': 'text/plain' } }, 415],
      ['a body above 64 KiB', { raw: JSON.stringify({ amount: 'x'.repeat(70_000) }) }, 413],
      ['an Idempotency-Key with a space', { body: grant, headers: { 'idempotency-key': 'a b' } }, 422],
      ['an Idempotency-Key of 256 characters', { body: grant, headers: { 'idempotency-key': 'a'.repeat(256) } }, 422],
    ])('%s', async (_, options, status) => {
      const answer = await admin.call('POST', 'accounts/acme/grants', options)
      expect(answer.status).toBe(status)
      errorAnswer.parse(answer.body)
    })

    test('with Redis away: 503, when to come back, and the same key then does it once', async () => {
      const own = await startAdmin()
      own.redis.close()
      const { status, body, headers } = await own.call('POST', 'accounts/acme/grants', { body: grant })
      await own.stop()
      expect([status, body.error.code]).toEqual([503, 'wallet_unavailable'])
      expect(headers.get('retry-after')).toBe('1')
    })

    test('an error of ours is 500 without its message', async () => {
      const own = await startAdmin({
        reload: async () => {
          throw new Error('password=hunter2')
        },
      })
      const { status, body } = await own.call('POST', 'config/reload')
      await own.stop()
      expect(status).toBe(500)
      expect(JSON.stringify(body)).not.toContain('hunter2')
    })
  })
})

// SPEC section 7.
const SETTLE_FIELDS = [
  ...[
    'seq',
    'at',
    'type',
    'op',
    'actor',
    'legs',
    'balance_after',
    'request_id',
    'account',
    'key',
    'labels',
    'tags',
    'run',
  ],
  ...['user', 'upstream', 'provider_request_id', 'model', 'endpoint', 'tokens', 'units', 'usage_source', 'usage'],
  ...['unpriced_kinds', 'price_version', 'charged', 'unit', 'cost', 'cost_unit', 'drawn', 'overage', 'hold', 'trimmed'],
  ...['cut', 'late', 'would', 'status', 'duration_ms', 'ttfb_ms'],
]
