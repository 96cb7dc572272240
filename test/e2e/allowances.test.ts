/** Allowances through whole gateways: granted before the first call, at a boundary, at a change of the plan. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { tollgate } from '../support/cli.ts'
import { sha256, startTestGateway, type TestGateway, writeConfig } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

/** `count` accounts a0, a1 …, with keys key-a0, key-a1 … */
function accounts(count: number, allowance: string, timezone = 'UTC'): string {
  const names = Array.from({ length: count }, (_, i) => `a${i}`)
  return `version: 1
plans:
  main: { unit: USD, timezone: "${timezone}", trim: { enabled: false }, allowance: ${allowance} }
accounts:
${names.map((name) => `  ${name}: { plan: main, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }\n`).join('')}`
}

/** A call of 0.10. As long as the one before it is not settled it is answered 429, and asked again as clients do. */
async function call(gateway: { readonly url: string }, account = 'a0'): Promise<number> {
  for (;;) {
    const status = await callOnce(gateway, account)
    if (status !== 429) return status
    await sleep(5)
  }
}

async function callOnce(gateway: { readonly url: string }, account: string): Promise<number> {
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer key-${account}`,
      'content-type': 'application/json',
      'x-simulate': 'output=100',
    },
    body: JSON.stringify({ model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] }),
  })
  await answer.arrayBuffer()
  return answer.status
}

async function edit(gateway: TestGateway, from: string, to: string): Promise<void> {
  const text = readFileSync(gateway.files.entitlements, 'utf8')
  expect(text).toContain(from)
  writeFileSync(gateway.files.entitlements, text.replace(from, to))
  expect((await gateway.admin('POST', 'config/reload')).status).toBe(200)
}

async function grantsShown(gateway: TestGateway): Promise<string> {
  const { code, out } = await tollgate(gateway, 'grants', 'a0')
  expect(code).toBe(0)
  return out
}

run.each([1, 2])(
  'the first call ever of an account finds its allowance, while the background is still busy with others (%i worker(s))',
  async (workers) => {
    const entitlements = accounts(800, '{ amount: "0.10", every: month }')
    const gateway = await startTestGateway({ entitlements, workers })
    try {
      const last = ['a799', 'a798', 'a797', 'a796']
      expect(await Promise.all(last.map((account) => call(gateway, account)))).toEqual([200, 200, 200, 200])
      expect(await Promise.all(last.map((account) => call(gateway, account)))).toEqual([402, 402, 402, 402])
      await waitFor('every account has its two', async () => (await gateway.wallet.grants('a700')).length === 2)
      expect((await gateway.wallet.grants('a799')).map(({ state }) => state)).toEqual(['usable', 'pending'])
    } finally {
      await gateway.close()
    }
  },
  180_000,
)

run(
  'two gateways that start at one time grant each account one allowance a period',
  async () => {
    const dirs = [1, 2].map(() => mkdtempSync(join(tmpdir(), 'tollgate-two-')))
    const redis = await startRedis()
    const simulator = await startSimulator({ seed: 1 })
    const entitlements = accounts(60, '{ amount: "0.10", every: week }')
    const gateways = await Promise.all(
      dirs.map((dir) => startGatewayProcess(writeConfig(dir, simulator.url, redis.url, { entitlements }).tollgate)),
    )
    try {
      const names = Array.from({ length: 60 }, (_, i) => `a${i}`)
      const answers = await Promise.all(
        names.flatMap((name) => gateways.map((gateway) => call({ url: gateway.url as string }, name))),
      )
      expect(answers.filter((status) => status === 200)).toHaveLength(60)
      const [first] = gateways as [(typeof gateways)[0]]
      const headers = { authorization: `Bearer ${first.adminToken}` }
      for (const name of names) {
        const answer = await fetch(`${first.adminUrl}/admin/v1/accounts/${name}/grants`, { headers })
        expect(((await answer.json()) as { items: unknown[] }).items).toHaveLength(2)
      }
    } finally {
      await Promise.all(gateways.map((gateway) => gateway.kill('SIGTERM')))
      await simulator.close()
      await redis.stop()
      for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
    }
  },
  180_000,
)

run('an edit of the plan takes effect by its on_change, and what was granted is shown with its period', async () => {
  const gateway = await startTestGateway({ entitlements: accounts(1, '{ amount: "0.20", every: month }') })
  const available = async () => (await gateway.balance('a0'))['available']
  const pending = async () => (await gateway.balance('a0'))['pending']
  try {
    expect(await call(gateway)).toBe(200)
    await waitFor('the charge', async () => (await available()) === '0.1')
    await edit(gateway, 'amount: "0.20"', 'amount: "0.50"')
    await waitFor('the next period has the new amount', async () => (await pending()) === '0.5')
    expect(await available()).toBe('0.1')
    await edit(gateway, 'amount: "0.50", every: month', 'amount: "0.70", every: month, on_change: top_up')
    await waitFor('the difference on top', async () => (await available()) === '0.6')
    await edit(
      gateway,
      'amount: "0.70", every: month, on_change: top_up',
      'amount: "0.30", every: month, on_change: replace',
    )
    await waitFor('the new one in its place', async () => (await available()) === '0.3')
    await waitFor('the next period', async () => (await pending()) === '0.3')
    const shown = await grantsShown(gateway)
    const month = new Date().toISOString().slice(0, 7)
    expect(shown).toContain(`allowance=${month}, allowance_terms=`)
    expect(shown).toContain('allowance_top_up=true')
    expect(shown).toContain(`allowance:${month}:2`)
    await edit(gateway, ', allowance: { amount: "0.30", every: month, on_change: replace }', '')
    await waitFor('nothing is to come', async () => (await pending()) === '0')
    expect(await available()).toBe('0.3')
  } finally {
    await gateway.close()
  }
})

/** An offset from UTC by which a day begins at `atMs`, a whole minute: +05:37. */
function zoneOfMidnight(atMs: number): string {
  const minutes = Math.round(atMs / 60_000) % 1440
  const offset = minutes <= 720 ? -minutes : 1440 - minutes
  const two = (value: number) => String(value).padStart(2, '0')
  return `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`
}

run(
  'calls are refused up to the boundary and pass from it on',
  async () => {
    // Time enough to start and to spend what the day that ends has.
    const boundaryMs = Math.ceil((Date.now() + 20_000) / 60_000) * 60_000
    const entitlements = accounts(1, '{ amount: "0.10", every: day }', zoneOfMidnight(boundaryMs))
    const gateway = await startTestGateway({ entitlements })
    try {
      expect(await call(gateway)).toBe(200)
      let refusedMs = 0
      const statuses = new Set<number>()
      const passedMs = await waitFor(
        'the next day',
        async () => {
          const beganMs = Date.now()
          const status = await call(gateway)
          if (status === 200) return Date.now()
          statuses.add(status)
          refusedMs = beganMs
          return undefined
        },
        { withinMs: 100_000, everyMs: 20 },
      )
      expect([...statuses]).toEqual([402])
      expect(refusedMs).toBeLessThan(boundaryMs)
      expect(refusedMs).toBeGreaterThan(0)
      expect(passedMs).toBeGreaterThanOrEqual(boundaryMs)
      // And no second one of the same day.
      expect(await call(gateway)).toBe(402)
    } finally {
      await gateway.close()
    }
  },
  180_000,
)
