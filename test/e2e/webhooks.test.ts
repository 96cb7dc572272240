/** From a call to the receiver: what the wallet makes known of calls, on a gateway with workers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { sha256, TEST_KEY, writeConfig } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { SECRET, startReceiver } from '../support/webhook-receiver.ts'

test.skipIf(!redisAvailable)(
  'calls through workers: low, a budget exceeded, exhausted; each is posted by the primary with what it says, in order',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-hooks-e2e-'))
    const redis = await startRedis()
    const simulator = await startSimulator({ seed: 1 })
    const receiver = await startReceiver()
    const files = writeConfig(dir, simulator.url, redis.url, {
      workers: 2,
      entitlements: `version: 1
plans:
  main: { unit: USD, trim: { enabled: false }, alerts: [ { below: "0.95" } ] }
accounts:
  acme: { plan: main, keys: [ { id: test, sha256: "${sha256(TEST_KEY)}" } ] }
budgets:
  - { name: daily, match: { user: "*" }, limit: "0.10", unit: USD, window: day }
webhooks:
  - { url: "${receiver.url}", secret: ${SECRET} }
`,
    })
    const gateway = await startGatewayProcess(files.tollgate)
    const admin = async (path: string, body: unknown) => {
      const answer = await fetch(`${gateway.adminUrl}/admin/v1/${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    }
    // 1 token of output costs 0.001.
    const call = async (tokens: number, user: string) => {
      const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${TEST_KEY}`,
          'content-type': 'application/json',
          'x-simulate': `output=${tokens}`,
          'x-tollgate-user': user,
        },
        body: JSON.stringify({ model: 'gpt-5-mini', max_tokens: tokens, messages: [{ role: 'user', content: 'hi' }] }),
      })
      await answer.arrayBuffer()
      return answer.status
    }
    try {
      const tested = await admin('webhooks/test', {})
      expect(tested.body['items']).toMatchObject([{ url: receiver.url, delivered: true, status: 200 }])
      expect((await admin('accounts/acme/grants', { amount: '1', unit: 'USD', funding: 'invoiced' })).status).toBe(201)
      expect(await call(80, 'ann')).toBe(200)
      await waitFor('low', () => receiver.taken.length === 2)
      expect(await call(80, 'ann')).toBe(402)
      await waitFor('the budget', () => receiver.taken.length === 3)
      expect(await call(1000, 'bob')).toBe(402)
      await waitFor('exhausted', () => receiver.taken.length === 4)
      const types = ['webhook.test', 'wallet.low', 'budget.exceeded', 'wallet.exhausted']
      expect(receiver.taken.map(({ type }) => type)).toEqual(types)
      const [, low, budget, exhausted] = receiver.taken.map(({ data }) => data)
      expect(low).toMatchObject({
        account: 'acme',
        unit: 'USD',
        balance_after: { available: '0.92', held: '0', balance: '0.92', debt: '0' },
        below: '0.95',
        balance: '0.92',
      })
      expect(budget).toMatchObject({
        budget: 'daily',
        values: { user: 'ann' },
        action: 'block',
        limit: '0.1',
        spent: '0.08',
        needed: '0.08',
        unit: 'USD',
        resets_at: expect.stringMatching(/T00:00:00\.000Z$/),
      })
      expect(exhausted).toMatchObject({ needed: '1', balance_after: { available: '0.92' } })
      for (const data of [low, budget, exhausted])
        for (const internal of ['event', 'watch', 'counter_id', 'group']) expect(data).not.toHaveProperty(internal)
      const seqs = [low, budget, exhausted].map((data) => data?.seq as number)
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
      expect(await gateway.kill('SIGTERM')).toBe(0)
    } finally {
      if (gateway.child.exitCode === null) await gateway.kill('SIGKILL')
      await receiver.close()
      await simulator.close()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  },
  60_000,
)
