import { expect, test } from 'vitest'
import { CachedPrefixes, type PrefixQuestion } from '../../../src/core/cached-prefixes.ts'

const MINUTE = 60_000
const ask = (more: Partial<PrefixQuestion> = {}): PrefixQuestion => ({
  account: 'acme',
  key: 'ci',
  upstream: 'openai',
  model: 'gpt-5-mini',
  run: 'r1',
  ...more,
})

test('what the last call of the run read or wrote is what the next one finds cached', () => {
  const prefixes = new CachedPrefixes()
  expect(prefixes.expected(ask(), 0)).toBe(0)
  prefixes.learn(ask(), { input: 50, cached_input: 1000, cache_write_5m: 200 }, 0)
  expect(prefixes.expected(ask(), MINUTE)).toBe(1200)
  prefixes.learn(ask(), { input: 5, cached_input: 900 }, MINUTE)
  expect(prefixes.expected(ask(), 2 * MINUTE)).toBe(900)
  prefixes.learn(ask(), { input: 5000 }, 2 * MINUTE)
  expect(prefixes.expected(ask(), 2 * MINUTE)).toBe(0)
})

test('it is forgotten when providers forget it: after 5 minutes, or an hour where it was written for one', () => {
  const prefixes = new CachedPrefixes()
  prefixes.learn(ask(), { cached_input: 1000 }, 0)
  expect(prefixes.expected(ask(), 5 * MINUTE)).toBe(0)
  prefixes.learn(ask({ run: 'r2' }), { cache_write_1h: 1000 }, 0)
  expect(prefixes.expected(ask({ run: 'r2' }), 59 * MINUTE)).toBe(1000)
  expect(prefixes.expected(ask({ run: 'r2' }), 60 * MINUTE)).toBe(0)
})

test.each<[string, Partial<PrefixQuestion>]>([
  ['run', { run: 'r2' }],
  ['key', { key: 'other' }],
  ['account', { account: 'other' }],
  ['model', { model: 'gpt-5' }],
  ['upstream', { upstream: 'azure' }],
  ['run: none at all', { run: undefined }],
])('another %s knows nothing of it', (_name, more) => {
  const prefixes = new CachedPrefixes()
  prefixes.learn(ask(), { cached_input: 1000 }, 0)
  expect(prefixes.expected(ask(more), 0)).toBe(0)
})

test('without a run only what the last four calls all had counts: they may be of several conversations', () => {
  const prefixes = new CachedPrefixes()
  const none = ask({ run: undefined })
  for (const [cached, expected] of [
    [1024, 0],
    [4096, 0],
    [1024, 0],
    [2048, 1024],
    [0, 0],
    [5000, 0],
  ] as const) {
    prefixes.learn(none, { cached_input: cached, input: 1 }, 0)
    expect(prefixes.expected(none, 0)).toBe(expected)
  }
})
