import { expect, test } from 'vitest'
import { type Fetched, Refreshing } from '../../../../src/proxy/credentials/refreshing.ts'

interface Asked {
  resolve(fetched: Fetched<string>): void
  reject(error: Error): void
}

function harness(timeoutMs = 60_000) {
  const state = { nowMs: 0, asked: [] as Asked[], failures: [] as [string, boolean][] }
  const refreshing = new Refreshing<string>({
    fetch: () => new Promise((resolve, reject) => state.asked.push({ resolve, reject })),
    timeoutMs,
    now: () => state.nowMs,
    onFailure: (error, kept) => state.failures.push([(error as Error).message, kept]),
  })
  return { state, refreshing }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const TOKEN: Fetched<string> = { value: 'first', refreshAtMs: 1_000, expiresAtMs: 2_000 }

test('many who ask at once wait for one fetch, and those who come later do not wait', async () => {
  const { state, refreshing } = harness()
  const waiting = [refreshing.get(), refreshing.get(), refreshing.get()]
  expect(state.asked).toHaveLength(1)
  state.asked[0]?.resolve(TOKEN)
  expect(await Promise.all(waiting)).toEqual(['first', 'first', 'first'])
  expect(refreshing.get()).toBe('first')
  expect(state.asked).toHaveLength(1)
})

test('ahead of its end a value is fetched anew, once, while the old one serves without waiting', async () => {
  const { state, refreshing } = harness()
  const first = refreshing.get()
  state.asked[0]?.resolve(TOKEN)
  await first
  state.nowMs = 1_500
  expect([refreshing.get(), refreshing.get()]).toEqual(['first', 'first'])
  expect(state.asked).toHaveLength(2)
  state.asked[1]?.resolve({ value: 'second', refreshAtMs: 3_000, expiresAtMs: 4_000 })
  await settled()
  expect(refreshing.get()).toBe('second')
})

test('where the fetch fails the old value serves to its end, and the source is asked again each second at the most', async () => {
  const { state, refreshing } = harness()
  const first = refreshing.get()
  state.asked[0]?.resolve({ ...TOKEN, expiresAtMs: 10_000 })
  await first
  state.nowMs = 1_500
  refreshing.get()
  state.asked[1]?.reject(new Error('away'))
  await settled()
  expect(state.failures).toEqual([['away', true]])
  expect([refreshing.get(), state.asked.length]).toEqual(['first', 2])
  state.nowMs = 2_600
  expect([refreshing.get(), state.asked.length]).toEqual(['first', 3])
  state.asked[2]?.reject(new Error('still away'))
  await settled()
  state.nowMs = 10_000
  const waiting = refreshing.get()
  state.asked[3]?.reject(new Error('gone'))
  await expect(waiting).rejects.toThrow('gone')
  expect(state.failures.at(-1)).toEqual(['gone', false])
  await expect(refreshing.get()).rejects.toThrow('gone')
  expect(state.asked).toHaveLength(4)
  state.nowMs = 11_000
  const again = refreshing.get()
  state.asked[4]?.resolve({ value: 'back', refreshAtMs: 20_000, expiresAtMs: 30_000 })
  expect(await again).toBe('back')
})

test('a fetch that does not end is a failure', async () => {
  const { state, refreshing } = harness(20)
  await expect(refreshing.get()).rejects.toThrow('no answer within 0.02 s')
  expect(state.failures).toHaveLength(1)
})

test('a value that the other side refuses is fetched anew unless it is young', async () => {
  const { state, refreshing } = harness()
  const first = refreshing.get()
  const lasting = { refreshAtMs: 1e9, expiresAtMs: 1e9 }
  state.asked[0]?.resolve({ value: 'first', ...lasting })
  await first
  refreshing.refused()
  expect(state.asked).toHaveLength(1)
  state.nowMs = 30_000
  refreshing.refused()
  refreshing.refused()
  expect([refreshing.get(), state.asked.length]).toEqual(['first', 2])
  state.asked[1]?.resolve({ value: 'second', ...lasting })
  await settled()
  expect(refreshing.get()).toBe('second')
})
