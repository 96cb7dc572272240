import { describe, expect, test } from 'vitest'
import type { Plan } from '../../../src/config/snapshot.ts'
import type { Usage } from '../../../src/core/usage.ts'
import { HoldSizing, type SizedCall } from '../../../src/http/hold-sizing.ts'
import { PLAIN_CALL } from '../../../src/providers/plain-call.ts'
import type { CallRequest, InputEstimate } from '../../../src/providers/provider.ts'

const TEXT = { tokens: 1000, ownTokens: 100, exactTokens: 0, script: 'latin' } as const
const INPUT: InputEstimate = {
  highTokens: 1000,
  lowTokens: 100,
  cacheWriteTokens: 0,
  cacheWriteKind: 'cache_write_5m',
  text: TEXT,
}

function callOf(more: Partial<CallRequest> = {}, hold: Partial<Plan['hold']> = {}, run?: string): SizedCall {
  return {
    call: { ...PLAIN_CALL, model: 'm', generates: true, input: INPUT, unseenInput: false, parsed: undefined, ...more },
    key: { id: 'k', account: { id: 'acme' } },
    caller: { run },
    plan: { name: 'p', hold: { input: 'worst', output: 'ceiling', tokenizer: 'estimate', ...hold } },
    upstream: { name: 'u' },
    operation: { endpoint: 'chat' },
    startedAtMs: 0,
  } as unknown as SizedCall
}

const used = (input: number, more: Usage['tokens'] = {}): Usage => ({
  tokens: { input, output: 50, ...more },
  raw: null,
})

function learn(sizing: HoldSizing, read: SizedCall, usage: Usage, times = 1, trimmedTo?: number): boolean {
  let fit = true
  for (let i = 0; i < times; i++) {
    const ceiling = { limitTokens: 1000 } as never
    fit = sizing.learn({ ...read, input: sizing.input(read), ceiling, trimmedTo }, usage)
  }
  return fit
}

describe('input', () => {
  test('what was learnt scales the text alone; media, exact tokens and what is written stay within it', () => {
    const sizing = new HoldSizing()
    learn(sizing, callOf(), used(200), 300)
    const { factor, highTokens } = sizing.input(callOf())
    expect(factor).toBeLessThan(0.35)
    expect(highTokens).toBe(Math.ceil(1000 * factor))
    const more = { ...INPUT, highTokens: 5000, text: { ...TEXT, exactTokens: 1000 }, cacheWriteTokens: 5000 }
    expect(sizing.input(callOf({ input: more }))).toMatchObject({
      highTokens: 4000 + highTokens,
      cacheWriteTokens: 4000 + highTokens,
    })
  })

  test.each<[string, Partial<CallRequest>]>([
    ['input that no body shows', { unseenInput: true }],
    ['media', { input: { ...INPUT, highTokens: 2000 } }],
    ['no text', { input: { ...INPUT, text: { ...TEXT, tokens: 0, ownTokens: 0 } } }],
    ['a count of another kind', { input: { ...INPUT, text: undefined as never } }],
  ])('a call with %s teaches nothing of text, and is no underestimate', (_name, more) => {
    const sizing = new HoldSizing()
    expect(learn(sizing, callOf(more), used(9000), 300)).toBe(true)
    expect(sizing.input(callOf()).factor).toBe(1)
  })

  test('a call that comes to more than was held says so', () => {
    const sizing = new HoldSizing()
    expect(learn(sizing, callOf(), used(1000))).toBe(true)
    expect(learn(sizing, callOf(), used(1001))).toBe(false)
  })

  test('high stays as counted; exact is what the tokenizer says, with what stands in no text', () => {
    const sizing = new HoldSizing()
    learn(sizing, callOf(), used(200), 300)
    expect(sizing.input(callOf({}, { tokenizer: 'high' })).highTokens).toBe(1000)
    const exact = { encoding: 'o200k_base', texts: [], besidesTokens: 24 } as const
    const asked = callOf({ input: { ...INPUT, text: { ...TEXT, exact } } } as never, { tokenizer: 'exact' })
    expect(sizing.input(asked, 476).highTokens).toBe(500)
    // It did not answer: the estimate.
    expect(sizing.input(asked).highTokens).toBe(sizing.input(callOf()).highTokens)
  })

  test('estimates come to the middle of what was learnt, else between the counts, never below what is certain', () => {
    const sizing = new HoldSizing()
    expect(sizing.input(callOf()).likelyTokens).toBe(316)
    learn(sizing, callOf(), used(200), 100)
    expect(sizing.input(callOf()).likelyTokens).toBeGreaterThan(195)
    expect(sizing.input(callOf()).likelyTokens).toBeLessThan(215)
    expect(sizing.input(callOf({ input: { ...INPUT, lowTokens: 400 } })).likelyTokens).toBe(400)
  })

  test('recent: the cached prefix of the run, only where the plan asks for it', () => {
    const sizing = new HoldSizing()
    const recent = callOf({}, { input: 'recent' }, 'r1')
    learn(sizing, recent, used(100, { cached_input: 700 }))
    expect(sizing.input(recent).cachedTokens).toBe(700)
    expect(sizing.input(callOf({}, {}, 'r1')).cachedTokens).toBe(0)
    expect(sizing.input(callOf({}, { input: 'recent' }, 'r2')).cachedTokens).toBe(0)
  })
})

describe('output', () => {
  const p99 = (more: Partial<CallRequest> = {}): SizedCall => callOf(more, { output: 'p99' })

  test('p99: what calls of the kind stay within, for each of the answers asked for', () => {
    const sizing = new HoldSizing()
    learn(sizing, p99({ answers: 5 }), used(200), 60)
    expect(sizing.output(p99(), 1000)).toBeGreaterThanOrEqual(10)
    expect(sizing.output(p99(), 1000)).toBeLessThan(13)
    expect(sizing.output(callOf(), 1000)).toBeUndefined()
  })

  test('trimmed answers say nothing of what such calls come to', () => {
    const sizing = new HoldSizing()
    learn(sizing, p99(), used(200), 60, 50)
    expect(sizing.output(p99(), 1000)).toBeUndefined()
  })

  test.each<[string, Partial<CallRequest>]>([
    ['generates nothing', { generates: false }],
    ['goes on after its answer', { goesOn: true }],
  ])('a call that %s is held whole', (_name, more) => {
    const sizing = new HoldSizing()
    learn(sizing, p99(), used(200), 60)
    expect(sizing.output(p99(more), 1000)).toBeUndefined()
  })
})
