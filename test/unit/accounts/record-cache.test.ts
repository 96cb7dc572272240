import { expect, test } from 'vitest'
import { ABSENT, LookupBound, RecordCache } from '../../../src/accounts/record-cache.ts'

interface Row {
  readonly text: string
}

function setUp(lookupsMax = 10, sizes = { sizeMax: 4, absentMax: 4 }) {
  const seen = { reads: [] as string[], nowMs: 0, there: new Map<string, Row>(), keptMs: 5_000 }
  const waiting: (() => void)[] = []
  const state = { held: false }
  const cache = new RecordCache<Row>({
    ...sizes,
    bound: new LookupBound(lookupsMax),
    keptMs: () => seen.keptMs,
    nowMs: () => seen.nowMs,
    read: async (id) => {
      seen.reads.push(id)
      const row = seen.there.get(id)
      if (state.held) await new Promise<void>((resolve) => waiting.push(resolve))
      return row
    },
  })
  const release = (): void => {
    state.held = false
    for (const go of waiting.splice(0)) go()
  }
  return { cache, seen, state, release }
}

test('what was found, and what was not, is remembered for its time and asked for after it', async () => {
  const { cache, seen } = setUp()
  seen.there.set('a', { text: '1' })
  expect(cache.get('a')).toBeUndefined()
  expect(await cache.look('a')).toEqual({ text: '1' })
  expect(await cache.look('b')).toBeUndefined()
  seen.nowMs = 4_999
  expect([cache.get('a'), cache.get('b')]).toEqual([{ text: '1' }, ABSENT])
  seen.nowMs = 5_000
  expect([cache.get('a'), cache.get('b')]).toEqual([undefined, undefined])
})

test('who asks for the same at the same time shares one read', async () => {
  const { cache, seen, state, release } = setUp()
  state.held = true
  const both = [cache.look('a'), cache.look('a')]
  release()
  expect(await Promise.all(both)).toEqual([undefined, undefined])
  expect(seen.reads).toEqual(['a'])
})

test('a change told while the record is being read: the answer is not kept, and who asks after it reads anew', async () => {
  const { cache, seen, state, release } = setUp()
  seen.there.set('a', { text: 'old' })
  state.held = true
  const before = cache.look('a')
  cache.drop('a')
  seen.there.set('a', { text: 'new' })
  const after = cache.look('a')
  release()
  expect([await before, await after]).toEqual([{ text: 'old' }, { text: 'new' }])
  expect(cache.get('a')).toEqual({ text: 'new' })
})

test('the same where everything is dropped', async () => {
  const { cache, seen, state, release } = setUp()
  seen.there.set('a', { text: 'old' })
  state.held = true
  const before = cache.look('a')
  cache.clear()
  release()
  await before
  expect(cache.get('a')).toBeUndefined()
})

test('more reads than the bound are not begun', async () => {
  const { cache, seen, state, release } = setUp(2)
  state.held = true
  const looks = ['a', 'b', 'c'].map((id) => cache.look(id))
  expect(looks[2]).toBeUndefined()
  release()
  await Promise.all(looks)
  expect(seen.reads).toEqual(['a', 'b'])
  await cache.look('c')
  expect(seen.reads).toEqual(['a', 'b', 'c'])
})

test('a flood of names that are not there forgets none that is', async () => {
  const { cache, seen } = setUp(1)
  seen.there.set('a', { text: '1' })
  await cache.look('a')
  for (let i = 0; i < 1000; i++) await cache.look(`none-${i}`)
  expect(cache.get('a')).toEqual({ text: '1' })
  expect(cache.get('none-0')).toBeUndefined()
  expect(cache.get('none-999')).toBe(ABSENT)
})

test('a read that fails is told to all who wait, and is not remembered', async () => {
  const { cache, seen } = setUp()
  const failing = new RecordCache<Row>({
    ...{ sizeMax: 4, absentMax: 4, bound: new LookupBound(1), keptMs: () => 5_000, nowMs: () => 0 },
    read: () => Promise.reject(new Error('away')),
  })
  await expect(failing.look('a')).rejects.toThrow('away')
  expect(failing.get('a')).toBeUndefined()
  await expect(failing.look('a')).rejects.toThrow('away')
  expect(cache.get('a')).toBeUndefined()
  expect(seen.reads).toEqual([])
})
