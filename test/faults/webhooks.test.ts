/** Webhooks with gateways that are killed: what the wallet wrote reaches the receiver, in order, whoever dies when. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import { writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { SECRET, startReceiver, takenOf, type WebhookReceiver } from '../support/webhook-receiver.ts'

const ACCOUNTS = ['acme', 'globex', 'initech', 'umbrella']

describe.skipIf(!redisAvailable)('webhooks and gateways that are killed', () => {
  let dirs: string[]
  let redis: TestRedis
  let connection: Redis
  let wallet: Wallet
  let receiver: WebhookReceiver
  let gateways: GatewayProcess[]
  beforeEach(async () => {
    ;[dirs, gateways] = [[], []]
    redis = await startRedis()
    connection = new Redis(redis.url)
    wallet = createWallet(connection)
    receiver = await startReceiver()
  })
  afterEach(async () => {
    await Promise.all(gateways.filter(({ child }) => child.exitCode === null).map((one) => one.kill('SIGKILL')))
    await receiver.close()
    connection.disconnect()
    await redis.stop()
    for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
  })

  /** A data_dir of its own; the same again for the same place. */
  async function serve(place = dirs.length): Promise<GatewayProcess> {
    dirs[place] ??= mkdtempSync(join(tmpdir(), 'tollgate-hooks-'))
    const accounts = ACCOUNTS.map((id) => `  ${id}: { plan: main }`).join('\n')
    const files = writeConfig(dirs[place], '', redis.url, {
      upstreams: '  openai: { format: openai, base_url: "http://127.0.0.1:9/v1", models: ["gpt-*"] }',
      settings: 'limits: { webhook_retry_first: 50ms, webhook_retry_most: 300ms, webhook_lease: 1s }',
      entitlements: `version: 1\nplans: { main: { unit: USD } }\naccounts:\n${accounts}\nwebhooks: [ { url: "${receiver.url}", secret: "\${HOOK_SECRET}", events: ["wallet.*"] } ]\n`,
    })
    const gateway = await startGatewayProcess(files.tollgate, { HOOK_SECRET: SECRET })
    gateways.push(gateway)
    return gateway
  }

  async function adjust(gateway: GatewayProcess, account: string, amount: string): Promise<void> {
    const answer = await fetch(`${gateway.adminUrl}/admin/v1/accounts/${account}/adjust`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ amount, unit: 'USD', reason: 'test' }),
    })
    expect(answer.status, await answer.text()).toBe(200)
  }

  /** Money comes, and is taken away: `wallet.exhausted`, by a gateway's own script. */
  async function exhaust(gateway: GatewayProcess, account: string): Promise<void> {
    await adjust(gateway, account, '1')
    await adjust(gateway, account, '-1')
  }

  const written = async (account: string): Promise<number[]> =>
    (await wallet.ledger(account, { afterSeq: 0, limit: 1000, type: 'event' })).map(({ seq }) => seq)

  const allHandedOver = (accounts: readonly string[]) =>
    waitFor(
      'all handed over',
      async () => {
        for (const account of accounts) if ((await wallet.pendingEvents(account, 1)).length > 0) return false
        return true
      },
      { withinMs: 60_000 },
    )

  test('killed in the middle of delivery, with the receiver failing at random: after restarts nothing is lost', async () => {
    let posts = 0
    receiver.behave = () => (++posts % 5 < 2 ? 500 : 200)
    let gateway = await serve(0)
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 3; i++) await Promise.all(ACCOUNTS.map((account) => exhaust(gateway, account)))
      // While some are delivered, and some wait for another try.
      await waitFor('a few posts', () => receiver.posts.length > round * 10)
      await gateway.kill('SIGKILL')
      gateway = await serve(0)
    }
    await allHandedOver(ACCOUNTS)
    for (const account of ACCOUNTS) {
      const events = await written(account)
      expect(events).toHaveLength(12)
      expect(takenOf(receiver, account)).toEqual(events)
    }
  }, 150_000)

  test('killed between the script and its mark in Redis: the sweep at the next start says that events wait', async () => {
    const gateway = await serve(0)
    await gateway.kill('SIGKILL')
    // As a gateway that is killed before it marks anything: the script's own writes are all that there is.
    const admin = { account: 'acme', unit: 'USD', scale: 9, reason: 'test', actor: 'test' }
    const ids = () => ({ operationId: newId(Date.now()), grantId: newId(Date.now()) })
    await wallet.adjust({ ...admin, ...ids(), amountAtoms: 5n })
    await wallet.adjust({ ...admin, ...ids(), amountAtoms: -5n })
    expect(await wallet.pendingEvents('acme', 10)).toHaveLength(1)
    await serve(0)
    await allHandedOver(['acme'])
    expect(takenOf(receiver, 'acme')).toEqual(await written('acme'))
  }, 90_000)

  test('of two gateways one is killed with a post under way: the other goes on within seconds, each event once while both live', async () => {
    const [one, two] = [await serve(0), await serve(1)]
    for (let i = 0; i < 5; i++)
      await Promise.all(ACCOUNTS.map((account, index) => exhaust((i + index) % 2 === 0 ? one : two, account)))
    await allHandedOver(ACCOUNTS)
    expect(receiver.posts).toHaveLength(20)

    // Alone for a moment, so that it is this one whose post is not answered.
    await two.kill('SIGKILL')
    receiver.behave = () => () => {}
    await exhaust(one, 'acme')
    await waitFor('a post that is not answered', () => receiver.posts.length === 21)
    await serve(1)
    receiver.behave = () => 200
    await one.kill('SIGKILL')
    const killedMs = performance.now()
    await allHandedOver(ACCOUNTS)
    console.log(`taken over ${((performance.now() - killedMs) / 1000).toFixed(1)} s after the kill, at a lease of 1 s`)
    expect(receiver.posts.map(({ id }) => id).slice(-2)).toEqual([receiver.posts[20]?.id, receiver.posts[20]?.id])
    for (const account of ACCOUNTS) expect(takenOf(receiver, account)).toEqual(await written(account))
  }, 150_000)

  test('no log line, answer of the admin API or metric has the secret', async () => {
    receiver.behave = () => 500
    const gateway = await serve(0)
    await exhaust(gateway, 'acme')
    await waitFor('failures', () => receiver.posts.length > 3)
    const get = async (path: string, method = 'GET') => {
      const headers = { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json' }
      const body = method === 'POST' ? { body: '{}' } : {}
      return (await fetch(`${gateway.adminUrl}/${path}`, { method, headers, ...body })).text()
    }
    const webhooks = await get('admin/v1/webhooks')
    expect(JSON.parse(webhooks).items).toMatchObject([{ url: receiver.url, state: 'failing', error: 'status 500' }])
    const tested = await get('admin/v1/webhooks/test', 'POST')
    expect(JSON.parse(tested).items).toMatchObject([{ delivered: false, error: 'status 500' }])
    const places = [webhooks, tested, await get('admin/v1/config'), await get('metrics'), gateway.output()]
    expect(await gateway.kill('SIGTERM')).toBe(0)
    places.push(gateway.output())
    expect(places.join('\n')).toContain(receiver.url)
    expect(places.join('\n')).not.toContain(SECRET.slice('whsec_'.length))
  }, 90_000)
})
