import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

async function trimmedTo(gateway: TestGateway): Promise<string | null> {
  const answer = await gateway.post(
    '/v1/chat/completions',
    { model: 'gpt-5-mini', max_tokens: 400, messages: [{ role: 'user', content: 'hi' }] },
    { 'x-simulate': 'output=1000' },
  )
  const body = (await answer.json()) as { usage: { completion_tokens: number } }
  expect(answer.status).toBe(200)
  return String(body.usage.completion_tokens)
}

async function metric(gateway: TestGateway, line: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const found = text.split('\n').find((row) => row.startsWith(`${line} `))
  return Number(found?.split(' ').at(-1) ?? Number.NaN)
}

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8')
  expect(text).toContain(from)
  writeFileSync(file, text.replace(from, to))
}

run.each([1, 2])(
  'an edit of a limit is in force for the next call without a restart; a broken edit changes nothing and shows in a metric (%i worker(s))',
  async (workers) => {
    const gateway = await startTestGateway({ plan: 'max_output_tokens: 300', workers })
    try {
      await gateway.grant('100')
      expect(await trimmedTo(gateway)).toBe('300')
      edit(gateway.files.entitlements, 'max_output_tokens: 300', 'max_output_tokens: 200')
      await waitFor('the edit is in force', async () => (await trimmedTo(gateway)) === '200')
      expect(await metric(gateway, 'tollgate_config_reloads_total{result="accepted"}')).toBeGreaterThan(0)

      const before = readFileSync(gateway.files.entitlements, 'utf8')
      edit(gateway.files.entitlements, 'max_output_tokens: 200', 'max_output_tokenz: 100')
      await waitFor(
        'the rejection shows',
        async () => (await metric(gateway, 'tollgate_config_reloads_total{result="rejected"}')) > 0,
      )
      expect(await trimmedTo(gateway)).toBe('200')
      const reload = await gateway.admin('POST', 'config/reload')
      expect(reload.status).toBe(422)
      expect(JSON.stringify(await reload.json())).toContain('max_output_tokenz')

      writeFileSync(gateway.files.entitlements, before.replace('max_output_tokens: 200', 'max_output_tokens: 150'))
      expect((await gateway.admin('POST', 'config/reload')).status).toBe(200)
      expect(await trimmedTo(gateway)).toBe('150')
    } finally {
      await gateway.close()
    }
  },
  180_000,
)

run('a price edit counts for calls that start later; a key taken out gets 401, its wallet stays readable', async () => {
  const gateway = await startTestGateway({})
  try {
    await gateway.grant('100')
    const cost = async (): Promise<string | null> => {
      const answer = await gateway.post(
        '/v1/chat/completions',
        { model: 'gpt-5-mini', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] },
        { 'x-simulate': 'output=10' },
      )
      return answer.headers.get('x-tollgate-cost')
    }
    expect(await cost()).toBe('0.01')
    edit(gateway.files.prices, 'output: "1000"', 'output: "3000"')
    await waitFor('the price is in force', async () => (await cost()) === '0.03')

    edit(gateway.files.entitlements, 'id: test', 'id: other')
    edit(
      gateway.files.entitlements,
      /sha256: "(\w{64})"/.exec(readFileSync(gateway.files.entitlements, 'utf8'))?.[1] as string,
      '0'.repeat(64),
    )
    await waitFor('the key is out', async () => (await gateway.post('/v1/chat/completions', {})).status === 401)
    expect(Number((await gateway.balance())['available'])).toBeGreaterThan(99)
  } finally {
    await gateway.close()
  }
})
