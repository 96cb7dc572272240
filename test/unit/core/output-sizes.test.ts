import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type OutputQuestion, OutputSizes } from '../../../src/core/output-sizes.ts'
import { randomFrom } from '../../model/random.ts'

const ask = (more: Partial<OutputQuestion> = {}): OutputQuestion => ({
  account: 'acme',
  key: 'ci',
  plan: 'pro',
  upstream: 'openai',
  endpoint: 'chat',
  model: 'gpt-5-mini',
  tools: false,
  structured: false,
  reasoning: false,
  limitTokens: 4096,
  ...more,
})

function learn(sizes: OutputSizes, calls: number, tokens: number, question = ask()): void {
  for (let i = 0; i < calls; i++) sizes.learn(question, tokens)
}

test('fewer than 50 calls say nothing: the whole limit is held', () => {
  const sizes = new OutputSizes()
  learn(sizes, 49, 100)
  expect(sizes.expected(ask())).toBeUndefined()
  learn(sizes, 1, 100)
  expect(sizes.expected(ask())).toBeGreaterThanOrEqual(100)
  expect(sizes.expected(ask())).toBeLessThan(125)
})

test('99 of 100 calls stay within it', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 3000 }), (seed, scale) => {
      const random = randomFrom(seed)
      const sizes = new OutputSizes()
      let above = 0
      let asked = 0
      for (let i = 0; i < 5000; i++) {
        const tokens = Math.ceil(-Math.log(1 - (random.below(1_000_000) + 0.5) / 1_000_001) * scale)
        const expected = sizes.expected(ask())
        if (expected !== undefined) asked++
        if (expected !== undefined && tokens > expected) above++
        sizes.learn(ask(), tokens)
      }
      expect(above / asked).toBeLessThanOrEqual(0.02)
    }),
    { numRuns: 30 },
  )
})

test('a new key of a plan starts from what the plan has learnt, and then from its own', () => {
  const sizes = new OutputSizes()
  learn(sizes, 60, 100)
  const other = ask({ key: 'chat-ui' })
  expect(sizes.expected(other)).toBeLessThan(125)
  learn(sizes, 50, 2000, other)
  expect(sizes.expected(other)).toBeGreaterThanOrEqual(2000)
  expect(sizes.expected(ask())).toBeLessThan(125)
})

test.each<[string, Partial<OutputQuestion>]>([
  ['tools', { tools: true }],
  ['reasoning', { reasoning: true }],
  ['a schema', { structured: true }],
  ['another model', { model: 'gpt-5' }],
  ['another endpoint', { endpoint: 'responses' }],
  ['a much lower limit', { limitTokens: 256 }],
])('calls with %s are of another kind', (_name, more) => {
  const sizes = new OutputSizes()
  learn(sizes, 60, 100)
  expect(sizes.expected(ask(more))).toBeUndefined()
})
