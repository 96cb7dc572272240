/** Whoever hangs up on a call that goes on at the provider pays for it all the same. */
import type { ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startCountingUpstream } from '../support/counting-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)

const DONE = {
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  model: 'gpt-5',
  output: [],
  usage: { input_tokens: 3, output_tokens: 7, total_tokens: 10 },
}
const QUEUED = { ...DONE, status: 'queued', usage: null }
const CREATED = { type: 'response.created', sequence_number: 0, response: QUEUED }

run.each<[string, boolean, string]>([
  ['before its answer came', false, 'on_disconnect: { mode: cancel }'],
  ['before its stream began', true, 'on_disconnect: { mode: cancel }'],
  ['before its answer came, where no more answers may be awaited', false, 'on_disconnect: { mode: drain }'],
])('a background response whose caller hung up %s is charged what it came to', async (_name, stream, mode) => {
  let pending: ServerResponse | undefined
  const upstream = await startCountingUpstream(({ method }, response) => {
    response.setHeader('content-type', 'application/json')
    if (method === 'GET') response.end(JSON.stringify(DONE))
    else pending = response
  })
  const gateway = await startTestGateway({
    upstreams: `  openai: { format: openai, base_url: "${upstream.url}/v1", api_key: k, models: ["gpt-*"], ${mode} }`,
    settings: 'limits: { poll_first: 100ms, drains: 0 }',
  })
  try {
    await gateway.grant('100')
    const leaving = new AbortController()
    const call = fetch(`${gateway.url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: 'Bearer tg-test-key', 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-5', input: 'x', background: true, stream, max_output_tokens: 20 }),
      signal: leaving.signal,
    })
    const answer = await waitFor('the call at the upstream', () => pending)
    leaving.abort()
    await expect(call).rejects.toThrow()
    // Seen by the gateway before the answer comes.
    await setTimeout(200)
    if (stream) answer.setHeader('content-type', 'text/event-stream')
    if (stream) answer.write(`event: response.created\ndata: ${JSON.stringify(CREATED)}\n\n`)
    else answer.end(JSON.stringify(QUEUED))
    const [entry] = await waitFor('the settlement', async () => {
      const entries = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100, type: 'settle' })
      return entries.length > 0 && entries
    })
    expect(entry?.fields).toMatchObject({ charged: '0.007', usage_source: 'provider' })
    expect((await gateway.balance())['held']).toBe('0')
  } finally {
    await gateway.close()
    await upstream.close()
  }
})
