import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { readBody } from '../../src/http/read-body.ts'
import { TollgateResponse } from '../../src/http/tollgate-response.ts'
import { UploadBudget, uploadBytesMax } from '../../src/http/upload-budget.ts'
import { UploadClock } from '../../src/http/upload-clock.ts'
import { waitFor } from '../support/wait-for.ts'

const BOUNDS = { bytesMax: 1_000_000, time: { ms: 60_000, rule: 'limits.request_timeout' } } as const

test('bodies of all calls together are bounded, counted until the answer is over, and given back however it ends', async () => {
  const budget = new UploadBudget(250_000)
  const held: TollgateResponse[] = []
  const server = createServer({ ServerResponse: TollgateResponse }, async (request, response) => {
    const result = await readBody(request, response, BOUNDS, { uploads: budget, uploadClock: new UploadClock() })
    if ('body' in result) held.push(response)
    else response.writeHead('problem' in result && result.problem === 'no_room' ? 503 : 413).end()
  })
  await new Promise<void>((resolve) => server.listen(0, resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const abort = new AbortController()
  const post = (signal?: AbortSignal): Promise<number> =>
    fetch(url, { method: 'POST', body: 'a'.repeat(100_000), ...(signal ? { signal } : {}) }).then(
      (answer) => answer.status,
    )
  try {
    const first = post(abort.signal).catch(() => 'gone')
    const second = post()
    await waitFor('two bodies', () => held.length === 2)
    expect(budget.bytes).toBe(200_000)
    expect(await post()).toBe(503)
    await waitFor('the refused one given back', () => budget.bytes === 200_000)
    abort.abort()
    expect(await first).toBe('gone')
    await waitFor('the first given back', () => budget.bytes === 100_000)
    const third = post()
    await waitFor('three bodies', () => held.length === 3)
    for (const response of held) response.end()
    expect(await Promise.all([second, third])).toEqual([200, 200])
    await waitFor('all given back', () => budget.bytes === 0)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('the bound is a part of the memory there is, and workers share it', () => {
  expect(uploadBytesMax(1)).toBeGreaterThan(16 * 1024 * 1024)
  expect(uploadBytesMax(4)).toBeLessThanOrEqual(uploadBytesMax(1) / 4 + 1)
})
