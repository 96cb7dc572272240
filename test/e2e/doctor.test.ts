/** `tollgate doctor` on a running gateway: exit code, what it prints, and calls that go on meanwhile. */
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { tollgate } from '../support/cli.ts'
import { entitlementsFor, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'

const run = test.skipIf(!redisAvailable)
const CHAT = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }
const BUDGETS = `budgets:
  - { name: daily, match: { account: acme }, unit: USD, limit: "50", window: day }
  - { name: rate, match: { key: "*" }, unit: requests, limit: 10000, window: 1m }
`

async function withGateway(use: (gateway: TestGateway, redis: Redis) => Promise<void>): Promise<void> {
  const gateway = await startTestGateway({
    entitlements: `${entitlementsFor('trim: { enabled: false }')}  quiet: { plan: main }\n${BUDGETS}`,
  })
  const redis = new Redis(gateway.redis.url)
  try {
    await gateway.grant('100')
    await use(gateway, redis)
  } finally {
    redis.disconnect()
    await gateway.close()
  }
}

const doctor = (gateway: TestGateway, ...args: string[]) => tollgate(gateway, 'doctor', ...args)

async function call(gateway: TestGateway): Promise<void> {
  const answer = await gateway.post('/v1/chat/completions', CHAT, { 'x-simulate': 'output=10' })
  await answer.arrayBuffer()
  expect(answer.status).toBe(200)
}

run(
  'doctor: exit 0 while calls go on, exit 1 with account, field, kept and ledger once one field is wrong',
  async () => {
    await withGateway(async (gateway, redis) => {
      let going = true
      const callers = Array.from({ length: 4 }, async () => {
        while (going) await call(gateway)
      })
      for (let look = 0; look < 5; look++) {
        const { code, out } = await doctor(gateway)
        expect([code, out.split('\n')[0]]).toEqual([0, 'Checked 2 accounts: what Redis keeps is what the ledgers say.'])
        expect(out).toMatch(/^Without a ledger, and with nothing kept: 1\.$/m)
        expect(out).toMatch(/^Not checked, since the ledger does not say it:\n {2}holds: deadline/m)
      }
      going = false
      await Promise.all(callers)

      const name = 'tg:{acme}:acct'
      const record = (await redis.hget(name, 't:USD')) as string
      await redis.hset(name, 't:USD', record.replace(/^0\|100/, '0|200'))
      const found = await doctor(gateway)
      expect(found.code).toBe(1)
      expect(found.out).toMatch(/^ACCOUNT +FIELD +KEPT +LEDGER\nacme +USD\.granted +200 +100\n/)
      expect(found.out).toContain('\nChecked 2 accounts: 1 difference in 1 of them.\n')
      const one = await doctor(gateway, 'acme', '--json')
      expect(one.code).toBe(1)
      expect(JSON.parse(one.out)).toMatchObject([
        { account: 'acme', differences: [{ field: 'USD.granted', kept: '200', ledger: '100' }] },
      ])
      expect((await doctor(gateway, 'quiet')).code).toBe(0)
      await redis.hset(name, 't:USD', record)

      const [field = '', counter = ''] =
        Object.entries(await redis.hgetall('tg:{acme}:budgets')).find(([key]) => key.startsWith('c:daily')) ?? []
      await redis.hset('tg:{acme}:budgets', field, counter.replace(/^1\|(\d+)\|/, '1|$1|9'))
      expect(await doctor(gateway)).toMatchObject({
        code: 1,
        out: expect.stringMatching(/acme +budget daily~USD~day\S*~ \d+\.spent/),
      })
      await redis.hset('tg:{acme}:budgets', field, counter)
      expect((await doctor(gateway)).code).toBe(0)
    })
  },
)

run(
  'doctor reads accounts whose records nothing else can read; --repair puts right what the ledger proves, and says what it does not',
  async () => {
    await withGateway(async (gateway, redis) => {
      await call(gateway)
      const balance = await gateway.balance()
      await redis.hset('tg:{acme}:acct', 'w:USD', 'mangled')
      expect(await doctor(gateway)).toMatchObject({
        code: 1,
        out: expect.stringMatching(/^acme +USD +mangled +a record of its form$/m),
      })
      const before = await redis.hgetall('tg:{acme}:acct')
      expect(await doctor(gateway, '--repair', '--dry-run')).toMatchObject({
        err: '',
        code: 1,
        out: expect.stringContaining('\nacme: would be repaired; nothing was changed.\n'),
      })
      expect(await redis.hgetall('tg:{acme}:acct')).toEqual(before)
      const repaired = await doctor(gateway, '--repair', '--reason', 'a slip', '--freeze')
      // The freeze itself needs a wallet that can be read: it is of the account alone.
      expect(repaired).toMatchObject({
        code: 0,
        out: expect.stringMatching(
          /^ACCOUNT .*\nacme +USD +mangled.*\nacme: repaired, as entry \d+ of its ledger says\.\n$/,
        ),
      })
      expect((await doctor(gateway)).code).toBe(0)
      expect(await gateway.balance()).toEqual({ ...balance, frozen: true })
      const answer = await gateway.admin('GET', 'accounts/acme/ledger?type=event')
      expect(((await answer.json()) as { items: unknown[] }).items).toMatchObject([
        { op: 'books.repaired', reason: 'a slip', repaired: [{ field: 'USD', kept: 'mangled' }] },
      ])
      const [grant = ''] = (await redis.hkeys('tg:{acme}:grants')).filter((id) => !id.startsWith('i:'))
      await redis.hdel('tg:{acme}:grants', grant)
      const refused = await doctor(gateway, 'acme', '--repair')
      expect(refused).toMatchObject({
        code: 1,
        out: expect.stringContaining(
          'acme: refused, and nothing was changed: the ledger does not say what stands here.',
        ),
      })
      expect(refused.out).toMatch(new RegExp(`^acme +grant ${grant} +absent +a grant$`, 'm'))
      expect(await doctor(gateway, 'nobody')).toMatchObject({ code: 1, err: expect.stringContaining('nobody') })
      expect(await doctor(gateway, '--freeze')).toMatchObject({ code: 2, err: expect.stringContaining('--repair') })
    })
  },
)
