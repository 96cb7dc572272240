import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startTestGateway } from '../support/gateway.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const CALL = { model: 'gpt-5-mini', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] }

run(
  'a Redis that comes back empty is not a new customer: nothing is served, and /readyz says what to do',
  async () => {
    const redis = await startRedis()
    const gateway = await startTestGateway({ redis })
    try {
      await gateway.grant('1')
      expect((await gateway.post('/v1/chat/completions', CALL)).status).toBe(200)
      await redis.stop('kill')
      const empty = await startRedis({ port: redis.port })
      try {
        const said = await waitFor('the refusal', async () => {
          const answer = await fetch(`${gateway.adminUrl}/readyz`)
          const text = await answer.text()
          return answer.status === 503 && text.includes('adopt-redis') && text
        })
        expect(said).toContain('instance marker')
        const refused = await gateway.post('/v1/chat/completions', CALL)
        expect([refused.status, refused.headers.get('x-tollgate-error')]).toEqual([503, 'wallet_unavailable'])
        const look = new Redis(empty.url)
        expect(await look.keys('tg:{*')).toEqual([])
        look.disconnect()
      } finally {
        await empty.stop()
      }
    } finally {
      await gateway.close()
    }
  },
  180_000,
)

run('a Redis that may evict is refused at the start, with what to do', async () => {
  const redis = await startRedis({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] })
  try {
    await expect(startTestGateway({ redis })).rejects.toThrow(/maxmemory-policy is allkeys-lru; set it to noeviction/)
  } finally {
    await redis.stop()
  }
})
