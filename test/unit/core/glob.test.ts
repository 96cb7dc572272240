import { expect, test } from 'vitest'
import { anyGlobMatches, globMatches } from '../../../src/core/glob.ts'

test.each<[string, string, boolean]>([
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['*', 'a/b', true],
  ['gpt-*', 'gpt-', true],
  ['gpt-*', 'gpt', false],
  ['*mini', 'gpt-5-mini', true],
  ['*mini', 'gpt-5-mini-2', false],
  ['a*b*c', 'aXbYbZc', true],
  ['a*b*c', 'aXcYb', false],
  ['**', 'x', true],
  ['a.c', 'abc', false],
  ['a?c', 'abc', false],
  ['[ab]', 'a', false],
  ['GPT', 'gpt', false],
])('pattern "%s" and "%s": %s', (pattern, text, matches) => {
  expect(globMatches(pattern, text)).toBe(matches)
})

test('no pattern takes longer than pattern × text', () => {
  const started = performance.now()
  expect(globMatches(`${'*a'.repeat(40)}b`, 'a'.repeat(10_000))).toBe(false)
  expect(performance.now() - started).toBeLessThan(500)
})

test('any of several patterns', () => {
  expect(anyGlobMatches(['a*', 'b*'], 'bc')).toBe(true)
  expect(anyGlobMatches([], 'bc')).toBe(false)
})
