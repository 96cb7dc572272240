import { createHmac } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SILENT_LOG } from '../../../src/log.ts'
import { startMemoryRedis } from '../../../src/redis/embedded-memory.ts'
import { DeliveryList } from '../../../src/webhooks/delivery-list.ts'
import { redisAvailable, startRedis, type TestRedis } from '../../support/redis.ts'
import { waitFor } from '../../support/wait-for.ts'
import { SECRET, startReceiver, takenOf, type WebhookReceiver } from '../../support/webhook-receiver.ts'
import { Events, hookSnapshot, startGateway, type TestGateway } from './harness.ts'

describe.skipIf(!redisAvailable)('webhooks', () => {
  let server: TestRedis
  let events: Events
  let receivers: WebhookReceiver[]
  let gateways: TestGateway[]
  beforeEach(async () => {
    ;[receivers, gateways, events] = [[], [], new Events()]
    server = await startRedis()
  })
  afterEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()))
    await Promise.all(receivers.map((receiver) => receiver.close()))
    await server.stop()
  })

  async function receiver(options: Parameters<typeof startReceiver>[0] = {}): Promise<WebhookReceiver> {
    const started = await startReceiver(options)
    receivers.push(started)
    return started
  }

  async function gateway(snapshot: ReturnType<typeof hookSnapshot>): Promise<TestGateway> {
    const started = await startGateway(server.url, events, snapshot)
    gateways.push(started)
    return started
  }

  const handedOver = (accounts: readonly string[]) =>
    waitFor('all events handed over', () => accounts.every((account) => events.pending(account).length === 0), {
      withinMs: 20_000,
    })

  test('a receiver that fails at random gets the events of each account in order, each id at least once', async () => {
    let posts = 0
    const hook = await receiver({ behave: () => (++posts % 7 < 3 ? 500 : 200) })
    const one = await gateway(hookSnapshot([{ url: hook.url }]))
    const accounts = ['acme', 'globex', 'initech']
    const expected = new Map<string, number[]>(accounts.map((account) => [account, []]))
    for (let i = 0; i < 60; i++) {
      const account = accounts[i % 3] as string
      expected.get(account)?.push(one.event(account))
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await handedOver(accounts)
    for (const account of accounts) expect(takenOf(hook, account)).toEqual(expected.get(account))
    const ids = new Map(hook.posts.map(({ id, data }) => [`${data.account} ${data.seq}`, id]))
    expect(new Set(ids.values()).size).toBe(60)
    for (const { id, data } of hook.posts) expect(ids.get(`${data.account} ${data.seq}`)).toBe(id)
  })

  test('a receiver that was down gets all that came meanwhile, in order', async () => {
    const down = await receiver()
    const port = Number(new URL(down.url).port)
    await down.close()
    const one = await gateway(hookSnapshot([{ url: down.url }]))
    const sent = [one.event('acme'), one.event('acme')]
    await waitFor('a failed post', async () => (await one.deliveries.report())[0]?.error === 'ECONNREFUSED')
    sent.push(one.event('acme'))
    const again = await receiver({ port })
    await handedOver(['acme'])
    expect(takenOf(again, 'acme')).toEqual(sent)
    // Its list is left after the events are handed over.
    const report = await waitFor('nothing waits', async () => {
      const [read] = await one.deliveries.report()
      return read?.pending === 0 && read
    })
    expect(report).toMatchObject({ error: undefined, failingSinceMs: undefined, gone: false })
    expect(report?.lastSuccessMs).toBeGreaterThan(Date.now() - 20_000)
  })

  test('a receiver that never answers does not delay another, nor its other accounts that one', async () => {
    const dead = await receiver({ behave: () => () => {} })
    const live = await receiver()
    const snapshot = hookSnapshot([{ url: dead.url }, { url: live.url }], 'webhook_connections: 2')
    const one = await gateway(snapshot)
    const accounts = Array.from({ length: 30 }, (_, i) => `account-${i}`)
    for (const account of accounts) for (let i = 0; i < 3; i++) one.event(account)
    await waitFor('all at the one that lives', () => live.taken.length >= 90, { withinMs: 5_000 })
    for (const account of accounts) expect(takenOf(live, account)).toHaveLength(3)
    // Two connections, each with a post that is not answered.
    expect(dead.posts.length).toBeLessThanOrEqual(2)
    expect(events.pending('account-0')).toHaveLength(3)
  })

  test('an event that its receiver cannot take holds up its own account alone', async () => {
    const hook = await receiver({ behave: ({ data }) => (data.account === 'poison' ? 500 : 200) })
    const one = await gateway(hookSnapshot([{ url: hook.url }], 'webhook_retry_for: 3s'))
    one.event('poison')
    await waitFor('many failures', () => hook.posts.length > 6)
    one.event('acme')
    await waitFor('the other', () => hook.taken.length === 1, { withinMs: 1_500 })
    await handedOver(['poison', 'acme'])
    expect(one.log.lines).toEqual([
      'error: an event was given up: its receiver did not take it; it stays in the ledger',
    ])
    expect(await deliveries(one)).toMatchObject({ delivered: 1, given_up: 1 })
  })

  test('while all fails there is one post at a time, and then everything at once', async () => {
    let up = false
    const hook = await receiver({ behave: () => (up ? 200 : 503) })
    const one = await gateway(
      hookSnapshot([{ url: hook.url }], 'webhook_retry_first: 300ms, webhook_retry_most: 400ms'),
    )
    const accounts = Array.from({ length: 200 }, (_, i) => `account-${i}`)
    for (const account of accounts) one.event(account)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    // 16 at once at first, then one a third of a second.
    expect(hook.posts.length).toBeLessThan(30)
    expect(hook.posts.length).toBeGreaterThan(15)
    up = true
    await handedOver(accounts)
    for (const account of accounts) expect(takenOf(hook, account)).toHaveLength(1)
  })

  test('Retry-After is waited for', async () => {
    let first = true
    const hook = await receiver({
      behave: () => {
        if (!first) return 200
        first = false
        return (response) => void response.writeHead(429, { 'retry-after': '1' }).end()
      },
    })
    const one = await gateway(hookSnapshot([{ url: hook.url }]))
    const startedMs = performance.now()
    one.event('acme')
    await handedOver(['acme'])
    expect(performance.now() - startedMs).toBeGreaterThan(950)
    expect(hook.posts).toHaveLength(2)
  })

  test('410 Gone ends the posts until the config changes, for every gateway; nothing is lost by it', async () => {
    let gone = true
    const hook = await receiver({ behave: () => (gone ? 410 : 200) })
    const one = await gateway(hookSnapshot([{ url: hook.url }]))
    const sent = [one.event('acme'), one.event('acme')]
    await waitFor('it is known', async () => (await one.deliveries.report())[0]?.gone)
    const two = await gateway(hookSnapshot([{ url: hook.url }]))
    sent.push(two.event('acme'))
    const other = two.event('globex')
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(hook.posts).toHaveLength(1)
    gone = false
    for (const each of gateways) each.current.snapshot = hookSnapshot([{ url: hook.url, events: ['wallet.*'] }])
    await handedOver(['acme', 'globex'])
    expect(takenOf(hook, 'acme')).toEqual(sent)
    expect(takenOf(hook, 'globex')).toEqual([other])
  })

  test('a test that it takes is another way back from 410', async () => {
    let gone = true
    const hook = await receiver({ behave: () => (gone ? 410 : 200) })
    const snapshot = hookSnapshot([{ url: hook.url }])
    const one = await gateway(snapshot)
    one.event('acme')
    await waitFor('it is known', async () => (await one.deliveries.report())[0]?.gone)
    const [target] = snapshot.webhooks
    expect((await one.deliveries.test(target as never)).result).toEqual({ kind: 'gone', reason: 'status 410' })
    gone = false
    expect((await one.deliveries.test(target as never)).result).toEqual({ kind: 'delivered', status: 200 })
    await handedOver(['acme'])
    expect(hook.taken.map(({ type }) => type)).toEqual(['webhook.test', 'wallet.low'])
  })

  test('an event is given up after the time for it; what waited behind it as long is tried once', async () => {
    const hook = await receiver({ behave: () => 500 })
    const one = await gateway(hookSnapshot([{ url: hook.url }], 'webhook_retry_for: 1s'))
    const first = one.event('acme', 'wallet.low', Date.now())
    const second = one.event('acme', 'wallet.exhausted', Date.now())
    await handedOver(['acme'])
    const posts = (seq: number): number => hook.posts.filter(({ data }) => data.seq === seq).length
    expect(posts(first)).toBeGreaterThan(3)
    expect(posts(second)).toBe(1)
    // An old event that nobody has tried gets the whole time.
    const old = one.event('globex', 'wallet.low', Date.now() - 100_000)
    await handedOver(['globex'])
    expect(posts(old)).toBeGreaterThan(3)
    expect(await deliveries(one)).toMatchObject({ given_up: 3 })
  })

  test('redirects are not followed, long answers not read, silence is cut', async () => {
    const trap = await receiver()
    const answers: ((response: import('node:http').ServerResponse) => void)[] = [
      (response) => void response.writeHead(307, { location: trap.url }).end(),
      (response) => void response.writeHead(500).end('x'.repeat(10_000_000)),
      () => {},
      (response) => void response.writeHead(200).end('x'.repeat(10_000_000)),
    ]
    const hook = await receiver({ behave: () => answers.shift() ?? 200 })
    const one = await gateway(hookSnapshot([{ url: hook.url }], 'webhook_timeout: 300ms'))
    one.event('acme')
    const seen = new Set<string | undefined>()
    await waitFor('it is taken', async () => {
      seen.add((await one.deliveries.report())[0]?.error)
      return events.pending('acme').length === 0
    })
    expect(hook.posts).toHaveLength(4)
    expect(trap.posts).toHaveLength(0)
    expect(await deliveries(one)).toMatchObject({ failed: 3, delivered: 1 })
  })

  test('a receiver gets the events and the accounts that it asks for, and no event waits for who does not want it', async () => {
    const money = await receiver()
    const own = await receiver()
    const one = await gateway(
      hookSnapshot([
        { url: money.url, events: ['wallet.*'] },
        { url: own.url, accounts: ['cust-*'] },
      ]),
    )
    one.event('acme', 'wallet.low')
    one.event('acme', 'budget.exceeded')
    one.event('acme', 'wallet.exhausted')
    one.event('cust-1', 'budget.exceeded')
    await handedOver(['acme', 'cust-1'])
    expect(money.taken.map(({ type }) => type)).toEqual(['wallet.low', 'wallet.exhausted'])
    expect(own.taken.map(({ type }) => type)).toEqual(['budget.exceeded'])
  })

  test('without receivers events are handed over at once', async () => {
    const one = await gateway(hookSnapshot([]))
    for (let i = 0; i < 250; i++) one.event('acme')
    await handedOver(['acme'])
  })

  test('an edit counts at once for what is not yet handed over', async () => {
    const dead = await receiver({ behave: () => 500 })
    const fresh = await receiver()
    const one = await gateway(hookSnapshot([{ url: dead.url }], 'webhook_retry_first: 1h, webhook_retry_most: 1h'))
    const sent = [one.event('acme'), one.event('acme'), one.event('globex')]
    await waitFor('failures', () => dead.posts.length >= 2)
    // One is added: it gets what the other still waits for.
    one.current.snapshot = hookSnapshot([{ url: dead.url }, { url: fresh.url }])
    await waitFor('all at the new one', () => fresh.taken.length === 3)
    expect([...takenOf(fresh, 'acme'), ...takenOf(fresh, 'globex')]).toEqual(sent)
    expect(events.pending('acme')).toHaveLength(2)
    // The other is removed: nobody waits for it, and it leaves nothing in Redis.
    one.current.snapshot = hookSnapshot([{ url: fresh.url }])
    await handedOver(['acme', 'globex'])
    await waitFor('its keys are gone', async () => {
      const keys = (await one.redis.call('KEYS', 'tg:hook-*')) as string[]
      return keys.length === 0
    })
    expect(fresh.taken).toHaveLength(3)
  })

  test('a receiver that was added while no gateway ran gets what was not handed over', async () => {
    const dead = await receiver({ behave: () => 500 })
    const one = await gateway(hookSnapshot([{ url: dead.url }], 'webhook_retry_first: 1h, webhook_retry_most: 1h'))
    one.event('acme')
    await waitFor('a failure', () => dead.posts.length === 1)
    await one.stop()
    gateways = []
    const fresh = await receiver()
    await gateway(hookSnapshot([{ url: fresh.url }]))
    await handedOver(['acme'])
    expect(fresh.taken).toHaveLength(1)
  })

  test('an event whose account was never listed is delivered when the next answer says that events wait', async () => {
    const hook = await receiver()
    const one = await gateway(hookSnapshot([{ url: hook.url }]))
    // The gateway whose script wrote it was killed before it could say so.
    const lost = events.add('acme')
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(hook.posts).toHaveLength(0)
    one.marks.add('acme')
    await handedOver(['acme'])
    expect(takenOf(hook, 'acme')).toEqual([lost])
  })

  test('an event that was listed for one receiver alone, when its gateway was killed, reaches the other too', async () => {
    const [first, second] = [await receiver(), await receiver()]
    const snapshot = hookSnapshot([{ url: first.url }, { url: second.url }])
    const one = await gateway(snapshot)
    await one.deliveries.tick()
    const seq = events.add('acme')
    await new DeliveryList(one.redis).mark(snapshot.webhooks[0]?.id ?? '', ['acme'], Date.now())
    await one.deliveries.tick()
    await handedOver(['acme'])
    expect([takenOf(first, 'acme'), takenOf(second, 'acme')]).toEqual([[seq], [seq]])
  })

  test('two gateways deliver each event once while both live, in order, and share the work', async () => {
    const hook = await receiver()
    const snapshot = hookSnapshot([{ url: hook.url }])
    const [one, two] = [await gateway(snapshot), await gateway(snapshot)]
    const accounts = Array.from({ length: 40 }, (_, i) => `account-${i}`)
    for (let round = 0; round < 5; round++) for (const account of accounts) (round % 2 === 0 ? one : two).event(account)
    await handedOver(accounts)
    expect(hook.posts).toHaveLength(200)
    for (const account of accounts) {
      const taken = takenOf(hook, account)
      expect(taken).toHaveLength(5)
      expect(taken).toEqual([...taken].sort((a, b) => a - b))
    }
    const shares = await Promise.all([one, two].map(async (each) => (await deliveries(each))['delivered'] ?? 0))
    expect(shares[0]).toBeGreaterThan(0)
    expect(shares[1]).toBeGreaterThan(0)
  })

  test('another gateway goes on where one died in the middle of a post, and both live on with one delivery each', async () => {
    let silent = true
    const hook = await receiver({ behave: () => (silent ? () => {} : 200) })
    const snapshot = hookSnapshot([{ url: hook.url }], 'webhook_lease: 600ms')
    const dead = await gateway(snapshot)
    const sent = [dead.event('acme'), dead.event('acme')]
    await waitFor('its post', () => hook.posts.length === 1)
    // Killed: it lets go of nothing, and its connection to Redis is gone.
    dead.redis.close()
    silent = false
    const startedMs = performance.now()
    await gateway(snapshot)
    await handedOver(['acme'])
    expect(takenOf(hook, 'acme')).toEqual(sent)
    expect(hook.posts).toHaveLength(3)
    expect(hook.posts[1]?.id).toBe(hook.posts[0]?.id)
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })

  test('10,000 accounts with an event each are delivered in bounded memory', async () => {
    const hook = await receiver({ brief: true })
    const one = await gateway(hookSnapshot([{ url: hook.url }]))
    const accounts = Array.from({ length: 10_000 }, (_, i) => `account-${i}`)
    const before = retainedBytes()
    const startedMs = performance.now()
    for (const account of accounts) one.event(account)
    let most = 0
    await waitFor(
      'all delivered',
      () => {
        most = Math.max(most, retainedBytes() - before)
        return hook.taken.length >= 10_000
      },
      { withinMs: 120_000, everyMs: 1_000 },
    )
    const seconds = (performance.now() - startedMs) / 1000
    console.log(
      `10,000 accounts in ${seconds.toFixed(1)} s, ${Math.round(10_000 / seconds)} events/s; ${(most / 1e6).toFixed(0)} MB of heap in use at most, the receiver's own list in it`,
    )
    await handedOver(accounts)
    expect(new Set(hook.taken.map(({ id }) => id)).size).toBe(10_000)
    expect(hook.posts).toHaveLength(10_000)
    expect(most).toBeLessThan(64e6)
  }, 150_000)

  test('on the in-memory Redis of a machine that has no server it works alike', async () => {
    let down = true
    const memory = await startMemoryRedis(SILENT_LOG)
    try {
      const hook = await receiver({ behave: () => (down ? 500 : 200) })
      const one = await startGateway(memory.url, events, hookSnapshot([{ url: hook.url }]))
      gateways.push(one)
      const sent = [one.event('acme'), one.event('acme')]
      await waitFor('a failure', () => hook.posts.length > 0)
      down = false
      one.current.snapshot = hookSnapshot([{ url: hook.url, events: ['wallet.*'] }])
      await handedOver(['acme'])
      expect(takenOf(hook, 'acme')).toEqual(sent)
      expect(one.log.lines).toEqual([])
    } finally {
      await Promise.all(gateways.splice(0).map((each) => each.stop()))
      await memory.stop()
    }
  })

  test('a post is signed by each secret of a list, so that a receiver may change to the new one at its own time', async () => {
    const hook = await receiver()
    const fresh = `whsec_${Buffer.from('the-new-secret-of-the-webhook').toString('base64')}`
    const one = await gateway(hookSnapshot([{ url: hook.url, secret: [fresh, SECRET] }]))
    one.event('acme')
    await handedOver(['acme'])
    // The receiver has the old one, and took it; its library takes it with the new one too.
    const [post] = hook.taken
    const headers = post?.headers as Record<string, string>
    for (const secret of [SECRET, fresh])
      expect(new Webhook(secret).verify(post?.body ?? '', headers)).toMatchObject({ type: 'wallet.low' })
    const at = new Date(Number(headers['webhook-timestamp']) * 1000)
    const signed = [fresh, SECRET].map((secret) => new Webhook(secret).sign(post?.id ?? '', at, post?.body ?? ''))
    expect(headers['webhook-signature']).toBe(signed.join(' '))
    const other = `whsec_${Buffer.from('a-secret-that-is-in-no-config').toString('base64')}`
    expect(() => new Webhook(other).verify(post?.body ?? '', headers)).toThrow('No matching signature')
    // One is taken out: it signs the next post no more.
    one.current.snapshot = hookSnapshot([{ url: hook.url, secret: SECRET }])
    one.event('other')
    await handedOver(['other'])
    expect(hook.taken.at(-1)?.headers['webhook-signature']).toMatch(/^v1,[^ ]{44}$/)
  })

  test('nothing is posted unsigned, and no answer, log line or metric has the secret', async () => {
    const hook = await receiver({ behave: () => 500 })
    const one = await gateway(hookSnapshot([{ url: `${hook.url}?token=canary-query` }], 'webhook_retry_for: 1s'))
    one.event('acme')
    await handedOver(['acme'])
    const [post] = hook.posts
    const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64')
    const signed = `${post?.id}.${post?.headers['webhook-timestamp']}.${post?.body}`
    const signature = createHmac('sha256', key).update(signed).digest('base64')
    expect(post?.headers['webhook-signature']).toBe(`v1,${signature}`)
    expect(Math.abs(Number(post?.headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(20)
    const metrics = JSON.stringify(await one.metrics.export())
    const everything = [one.log.written.join('\n'), metrics, JSON.stringify(await dumpOf(one))].join('\n')
    expect(everything).toContain('127.0.0.1')
    for (const canary of [SECRET, SECRET.slice(6), 'canary']) expect(everything).not.toContain(canary)
  })
})

/** Of the heap, after a collection. */
function retainedBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

async function dumpOf({ redis }: TestGateway): Promise<unknown[]> {
  const keys = (await redis.call('KEYS', '*')) as string[]
  return Promise.all(keys.map(async (key) => [key, await redis.call('DUMP', key)]))
}

/** Posts by result. */
async function deliveries(gateway: TestGateway): Promise<Record<string, number>> {
  const families = await gateway.metrics.export()
  const counts: Record<string, number> = {}
  for (const { labels, value } of families.find(({ name }) => name.endsWith('webhook_deliveries_total'))?.values ?? [])
    counts[String(labels['result'])] = (counts[String(labels['result'])] ?? 0) + value
  return counts
}
