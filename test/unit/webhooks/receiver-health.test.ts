import { expect, test } from 'vitest'
import type { PostResult } from '../../../src/webhooks/post.ts'
import { ReceiverHealth } from '../../../src/webhooks/receiver-health.ts'
import { isGivenUp, readRetryAfter, retryDelayMs } from '../../../src/webhooks/retry.ts'

const POLICY = { firstMs: 5_000, mostMs: 3_600_000, forMs: 3 * 86_400_000 }
const failed = (more: object = {}): Exclude<PostResult, { kind: 'stopped' }> => ({
  kind: 'failed',
  reason: 'status 500',
  ofReceiver: true,
  retryAfterMs: undefined,
  ...more,
})

function healthAt(nowMs: number) {
  const clock = { nowMs }
  const receiver = { id: 'r', fingerprint: 'f', url: 'https://ops.example/x', secrets: [], events: [], accounts: [] }
  return { clock, health: new ReceiverHealth(receiver, { policy: POLICY, now: () => clock.nowMs, random: () => 0 }) }
}

test('failures of one account pause nothing, those of several do, longer each time; a success ends it', () => {
  const { clock, health } = healthAt(1_000_000)
  for (let i = 0; i < 20; i++) health.saw(failed(), 'poison')
  expect(health.slots(clock.nowMs, 16)).toBe(16)
  health.saw(failed(), 'acme')
  health.saw(failed(), 'globex')
  expect(health.slots(clock.nowMs, 16)).toBe(0)
  expect(health.resumesAt(clock.nowMs)).toBe(clock.nowMs + 5_000)
  // Those that were under way say nothing new.
  for (let i = 0; i < 15; i++) health.saw(failed(), `account-${i}`)
  expect(health.resumesAt(clock.nowMs)).toBe(clock.nowMs + 5_000)
  clock.nowMs += 5_000
  expect(health.slots(clock.nowMs, 16)).toBe(1)
  health.saw(failed(), 'acme')
  expect(health.resumesAt(clock.nowMs)).toBe(clock.nowMs + 10_000)
  clock.nowMs += 10_000
  health.saw({ kind: 'delivered', status: 200 }, 'acme')
  expect(health.slots(clock.nowMs, 16)).toBe(16)
  expect([health.failingSinceMs, health.error]).toEqual([undefined, undefined])
})

test('what an event alone is to blame for pauses nothing', () => {
  const { clock, health } = healthAt(1_000_000)
  for (let i = 0; i < 20; i++) health.saw(failed({ ofReceiver: false, reason: 'status 400' }), `account-${i}`)
  expect(health.slots(clock.nowMs, 16)).toBe(16)
  expect(health.error).toBe('status 400')
})

test('posts are made again after 5 s, doubled up to an hour, less a fifth at random', () => {
  expect([1, 2, 3, 10, 11, 12, 1000].map((failures) => retryDelayMs(failures, POLICY, () => 0))).toEqual([
    5_000, 10_000, 20_000, 2_560_000, 3_600_000, 3_600_000, 3_600_000,
  ])
  expect(retryDelayMs(1, POLICY, () => 0.999_999)).toBe(4_001)
})

test.each([
  ['120', 120_000],
  [' 7 ', 7_000],
  ['Thu, 26 Nov 2026 12:00:10 GMT', 10_000],
  ['Thu, 26 Nov 2026 11:00:00 GMT', 0],
  ['soon', undefined],
  ['-5', 0],
  [undefined, undefined],
])('Retry-After: %s is %s ms', (text, ms) => {
  expect(readRetryAfter(text, Date.UTC(2026, 10, 26, 12))).toBe(ms)
})

test('an event is given up when it and the failing are older than three days', () => {
  const now = 10 * 86_400_000
  expect(isGivenUp(now - POLICY.forMs, now - POLICY.forMs, POLICY, now)).toBe(true)
  expect(isGivenUp(now - POLICY.forMs + 1, 0, POLICY, now)).toBe(false)
  expect(isGivenUp(0, now - POLICY.forMs + 1, POLICY, now)).toBe(false)
})
