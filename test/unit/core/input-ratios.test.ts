import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InputRatios, type RatioQuestion, type Script } from '../../../src/core/input-ratios.ts'
import { randomFrom } from '../../model/random.ts'

const ask = (tokens = 1000, more: Partial<RatioQuestion> = {}, script: Script = 'latin'): RatioQuestion => ({
  upstream: 'openai',
  endpoint: 'chat',
  model: 'gpt-5-mini',
  tools: false,
  structured: false,
  reasoning: false,
  text: { tokens, ownTokens: 0, script },
  ...more,
})

/** Calls of these true ratios, held and learnt one after the other. */
function run(
  ratios: InputRatios,
  question: RatioQuestion,
  trueRatios: Iterable<number>,
): { under: number; calls: number; last: number } {
  let under = 0
  let calls = 0
  let last = 1
  for (const ratio of trueRatios) {
    const billed = Math.round(ratio * question.text.tokens)
    last = ratios.factors(question).held
    if (billed > Math.ceil(last * question.text.tokens)) under++
    calls++
    ratios.learn(question, billed, last)
  }
  return { under, calls, last }
}

/** Ratios from 0.25 to 0.4, as calls that differ have them. */
const unlike = (calls: number): number[] => Array.from({ length: calls }, (_, i) => 0.25 + (0.15 * (i % 16)) / 15)

describe('what nothing is known of', () => {
  test('is held at the safe count', () => {
    expect(new InputRatios().factors(ask()).held).toBe(1)
  })

  test('a call without text has a factor, and teaches nothing', () => {
    const ratios = new InputRatios()
    expect(ratios.factors(ask(0)).held).toBe(1)
    for (let i = 0; i < 100; i++) ratios.learn(ask(0), 10, 1)
    expect(ratios.factors(ask(0)).held).toBe(1)
    expect(ratios.factors(ask(1)).held).toBe(1)
  })

  test('a few calls do not lower it, twenty do', () => {
    const ratios = new InputRatios()
    expect(run(ratios, ask(), unlike(20)).last).toBe(1)
    expect(ratios.factors(ask()).held).toBeLessThan(0.75)
    expect(run(ratios, ask(), unlike(500)).last).toBeLessThan(0.47)
  })

  test('a new model starts from its family, with room for a new tokenizer; one of another family does not', () => {
    const ratios = new InputRatios()
    run(ratios, ask(), unlike(200))
    const next = ratios.factors(ask(1000, { model: 'openai/gpt-6', upstream: 'other' })).held
    expect(next).toBeGreaterThan(0.4 * 1.35)
    expect(next).toBeLessThan(0.7)
    expect(ratios.factors(ask(1000, { model: 'claude-9' })).held).toBe(1)
  })

  test('calls that are all alike lower it less: they say little of other ones', () => {
    const ratios = new InputRatios()
    expect(run(ratios, ask(), new Array(500).fill(0.4)).last).toBeGreaterThan(0.5)
  })

  test.each<[string, RatioQuestion]>([
    ['another script', ask(1000, {}, 'cjk')],
    ['another size', ask(40)],
    ['tools', ask(1000, { tools: true })],
    ['a schema', ask(1000, { structured: true })],
    ['reasoning', ask(1000, { reasoning: true })],
    ['another endpoint', ask(1000, { endpoint: 'responses' })],
  ])('%s learns by itself', (_name, other) => {
    const ratios = new InputRatios()
    run(ratios, ask(), new Array(500).fill(0.4))
    expect(ratios.factors(other).held).toBe(1)
  })
})

describe('at most one call in a hundred is billed above', () => {
  const gaussian = (random: () => number): number =>
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

  test('whatever the spread of the ratios, from the first call on', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.double({ min: 0.1, max: 0.9, noNaN: true }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (seed, middle, spread) => {
          const random = randomFrom(seed)
          const uniform = (): number => (random.below(1_000_000) + 0.5) / 1_000_000
          const drawn = Array.from({ length: 6000 }, () => Math.min(1, middle * Math.exp(spread * gaussian(uniform))))
          const { under, calls } = run(new InputRatios(), ask(), drawn)
          expect(under / calls).toBeLessThanOrEqual(0.01)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('where a rare kind of prompt is billed twice as much as the usual one', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(20, 50, 100, 200, 500), (seed, oneIn) => {
        const random = randomFrom(seed)
        const drawn = Array.from({ length: 10_000 }, () => (random.below(oneIn) === 0 ? 0.8 : 0.4))
        expect(run(new InputRatios(), ask(), drawn).under).toBeLessThanOrEqual(100)
      }),
      { numRuns: 30 },
    )
  })

  test('where the tokenizer changes in the middle: it widens at once', () => {
    const ratios = new InputRatios()
    run(ratios, ask(), new Array(5000).fill(0.4))
    const { under } = run(ratios, ask(), new Array(1000).fill(0.54))
    expect(under).toBeLessThanOrEqual(2)
  })

  test('a text is never held below the least that text of its script comes to, however equal the prompts before were', () => {
    const ratios = new InputRatios()
    const template = { ...ask(), text: { tokens: 1000, ownTokens: 100, script: 'latin' as const } }
    run(ratios, template, new Array(2000).fill(0.1))
    expect(ratios.factors(template).held).toBeLessThan(0.15)
    expect(ratios.factors({ ...ask(), text: { tokens: 1000, ownTokens: 900, script: 'latin' } }).held).toBe(0.45)
  })
})

test('a safe count that turns out too low is raised, to twice at the most', () => {
  const ratios = new InputRatios()
  expect(run(ratios, ask(), new Array(6).fill(1.3)).last).toBeGreaterThan(1.3)
  run(ratios, ask(), new Array(500).fill(300))
  expect(ratios.factors(ask()).held).toBe(2)
})

test('the likely count is the middle one, once there are enough calls', () => {
  const ratios = new InputRatios()
  expect(ratios.factors(ask()).likely).toBeUndefined()
  run(ratios, ask(), [...new Array(60).fill(0.3), ...new Array(30).fill(0.6)])
  expect(ratios.factors(ask()).likely).toBeCloseTo(0.31, 1)
})

test('a model that no text was counted of, and a bill of nothing, teach nothing', () => {
  const ratios = new InputRatios()
  for (let i = 0; i < 100; i++) ratios.learn(ask(), 0, 1)
  expect(ratios.factors(ask()).held).toBe(1)
})
