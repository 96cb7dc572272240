/** A broken assumption anywhere inside a call: that call's money ends once, its caller is told, and all others go on. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { HoldKeeper } from '../../src/http/hold-keeper.ts'
import { TollgateResponse } from '../../src/http/tollgate-response.ts'
import { JsonMeter } from '../../src/meter/json-meter.ts'
import { StreamMeter } from '../../src/meter/stream-meter.ts'
import { openAIProvider } from '../../src/providers/openai/openai-provider.ts'
import type { Metering } from '../../src/providers/provider.ts'
import { UpstreamPools } from '../../src/proxy/upstream.ts'
import { startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
let gateway: TestGateway
const uncaught: unknown[] = []
const note = (error: unknown): void => {
  uncaught.push(error)
}

beforeAll(async () => {
  if (!redisAvailable) return
  gateway = await startTestGateway({ plan: 'streaming: { slice_tokens: 20, on_cut: finish }' })
  await gateway.grant('1000')
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
}, 180_000)
afterAll(async () => {
  process.off('uncaughtException', note)
  process.off('unhandledRejection', note)
  await gateway?.close()
})
afterEach(() => {
  vi.restoreAllMocks()
})

const chat = openAIProvider.match('POST', '/v1/chat/completions')?.operation.metering as Metering
const fault = (): never => {
  throw new Error('a broken assumption')
}

function post(stream: boolean, controls: string): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json', 'x-simulate': controls },
    body: JSON.stringify({ model: 'gpt-5-mini', max_tokens: 200, stream, messages: [{ role: 'user', content: 'hi' }] }),
  })
}

/** Breaks one step the n-th time it is taken. */
function breaks<T extends object>(target: T, name: keyof T & string, atCall = 1): () => void {
  return () => {
    const original = target[name] as (...args: unknown[]) => unknown
    let calls = 0
    vi.spyOn(target as Record<string, () => unknown>, name).mockImplementation(function (
      this: unknown,
      ...args: unknown[]
    ) {
      return ++calls === atCall ? fault() : original.apply(this, args)
    })
  }
}

const GZIP = 'encoding=gzip'

run.each([
  ['making the body that is sent', false, '', breaks(chat, 'prepare'), 'void'],
  ['sending', false, '', breaks(UpstreamPools.prototype, 'send'), 'void'],
  ['beginning to read a stream', true, '', breaks(chat, 'createStreamReader'), 'settle'],
  ['reading the usage of JSON', false, '', breaks(chat, 'readJson'), 'settle'],
  ['metering JSON', false, '', breaks(JsonMeter.prototype, 'push'), 'settle'],
  ['metering decoded JSON', false, GZIP, breaks(JsonMeter.prototype, 'push'), 'settle'],
  ['metering a stream', true, '', breaks(StreamMeter.prototype, 'push', 3), 'settle'],
  ['metering a decoded stream', true, GZIP, breaks(StreamMeter.prototype, 'push', 1), 'settle'],
  ['the end of a stream', true, 'fault=no_terminal', breaks(StreamMeter.prototype, 'end'), 'settle'],
  ['going on after a slice', true, '', breaks(StreamMeter.prototype, 'resume'), 'settle'],
  ['asking for a slice', true, '', breaks(HoldKeeper.prototype, 'askEarly'), 'settle'],
  ['the head of the answer', true, '', breaks(TollgateResponse.prototype, 'writeHead'), 'settle'],
  ['the head of a JSON answer', false, '', breaks(TollgateResponse.prototype, 'writeHead'), 'settle'],
  ['writing to the caller', true, '', breaks(TollgateResponse.prototype, 'write', 4), 'settle'],
  ['ending the answer', true, '', breaks(TollgateResponse.prototype, 'end'), 'settle'],
  ['the clock of an open call', true, 'tps=20', breaks(HoldKeeper.prototype, 'tick'), 'settle'],
] as const)(
  '%s fails (stream: %s): one end, nothing held, the gateway serves on',
  async (_name, stream, controls, breakIt, type) => {
    await waitFor('the end of the call before', async () => (await gateway.balance())['held'] === '0')
    const before =
      (await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })).at(-1)?.seq ?? 0
    breakIt()
    // A caller may be cut off; it must never wait for ever.
    await post(stream, `output=60${controls === '' ? '' : `,${controls}`}`)
      .then((answer) => answer.text())
      .catch(() => '')
    vi.restoreAllMocks()
    const entries = await waitFor('one end', async () => {
      const found = await gateway.wallet.ledger('acme', { afterSeq: before, limit: 100, type: undefined })
      return found.some((entry) => ['settle', 'void', 'timeout'].includes(entry.type)) && found
    })
    const ends = entries.filter((entry) => ['settle', 'void', 'timeout'].includes(entry.type))
    expect(ends.map((entry) => entry.type)).toEqual([type])
    expect((await gateway.balance())['held']).toBe('0')
    await waitFor('the upstream let go', () => gateway.simulator.stats.open === 0)
    const next = await post(true, 'output=5')
    expect(await next.text()).toContain('[DONE]')
    expect(uncaught).toEqual([])
  },
)
