import { expect, test } from 'vitest'
import { startTestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const chat = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }

test.skipIf(!redisAvailable)(
  'calls on a wallet with alerts write each event once into its ledger, where the admin API shows them',
  async () => {
    const gateway = await startTestGateway({
      plan: 'alerts: [ { below: "0.75" }, { at: 50% } ]\nauto_top_up: { below: "0.60", amount: "5.00", at_most: "9.00", per: day }',
    })
    try {
      await gateway.grant('1.00')
      const events = async () => {
        const answer = await gateway.admin('GET', 'accounts/acme/ledger?type=event')
        return ((await answer.json()) as { items: readonly Record<string, unknown>[] }).items
      }
      const call = async () => {
        const before = (await gateway.balance())['posted']
        const answer = await gateway.post('/v1/chat/completions', chat, { 'x-simulate': 'output=100' })
        await answer.text()
        if (answer.status === 200)
          await waitFor('the call is charged', async () => (await gateway.balance())['posted'] !== before)
        return answer.status
      }
      for (let i = 0; i < 2; i++) await call()
      expect(await events()).toEqual([])
      for (let i = 0; i < 8; i++) expect(await call()).toBe(200)
      expect(await call()).toBe(402)
      expect(await call()).toBe(402)
      const said = (await events()).map(({ event, below, share, requested, unit }) => ({
        event,
        below,
        share,
        requested,
        unit,
      }))
      const of = { below: undefined, share: undefined, requested: undefined, unit: 'USD' }
      expect(said).toEqual([
        { ...of, event: 'wallet.low', below: '0.75' },
        { ...of, event: 'wallet.low', share: '50%' },
        { ...of, event: 'top_up.requested', below: '0.6', requested: '5' },
        { ...of, event: 'wallet.exhausted' },
      ])
    } finally {
      await gateway.close()
    }
  },
  60_000,
)
