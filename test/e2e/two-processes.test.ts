import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { entitlementsFor, TEST_KEY, writeConfig } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

test.skipIf(!redisAvailable)(
  'two gateway processes on one Redis: of 300 calls of 0.10 on 1.05 exactly 10 reach the provider',
  async () => {
    const dirs = [1, 2].map(() => mkdtempSync(join(tmpdir(), 'tollgate-two-')))
    const redis = await startRedis()
    const simulator = await startSimulator({ seed: 1 })
    const entitlements = entitlementsFor('trim: { enabled: false }')
    const gateways = await Promise.all(
      dirs.map((dir) => startGatewayProcess(writeConfig(dir, simulator.url, redis.url, { entitlements }).tollgate)),
    )
    try {
      const [first] = gateways as [(typeof gateways)[0]]
      const admin = (path: string, body?: unknown): Promise<Response> =>
        fetch(`${first.adminUrl}/admin/v1/${path}`, {
          method: body === undefined ? 'GET' : 'POST',
          headers: { authorization: `Bearer ${first.adminToken}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
      expect((await admin('accounts/acme/grants', { amount: '1.05', unit: 'USD', funding: 'invoiced' })).status).toBe(
        201,
      )
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, index) =>
          fetch(`${gateways[index % 2]?.url}/v1/chat/completions`, {
            method: 'POST',
            headers: {
              authorization: `Bearer ${TEST_KEY}`,
              'content-type': 'application/json',
              'x-simulate': 'output=100,latency=6000',
            },
            body: JSON.stringify({ model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] }),
          }).then(async (answer) => {
            await answer.arrayBuffer()
            return `${answer.status} ${answer.headers.get('x-tollgate-error')}`
          }),
        ),
      )
      expect(answers.filter((answer) => answer === '200 null')).toHaveLength(10)
      // The second to those, on a slow machine, that come when the ten have ended.
      const refused = ['429 held_by_open_calls', '402 insufficient_funds']
      expect(answers.filter((answer) => refused.includes(answer))).toHaveLength(290)
      expect(simulator.stats.requests).toBe(10)
      await waitFor('the books', async () => {
        const { balances } = (await (await admin('accounts/acme')).json()) as { balances: Record<string, string>[] }
        const { available, held, debt } = balances[0] as Record<string, string>
        return available === '0.05' && held === '0' && debt === '0'
      })
    } finally {
      await Promise.all(gateways.map((gateway) => gateway.kill('SIGTERM')))
      await simulator.close()
      await redis.stop()
      for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
    }
  },
  180_000,
)
