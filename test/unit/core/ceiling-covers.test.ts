/** Whatever a call turns out to use within its estimates, and at whatever tier it is served, its hold covers it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { costCeiling } from '../../../src/core/cost-ceiling.ts'
import type { CeilingCall, CeilingPlan } from '../../../src/core/output-tokens.ts'
import type { CallPrice, Rates } from '../../../src/core/price-book.ts'
import { priceUsage } from '../../../src/core/price-usage.ts'
import { COUNTED_KINDS, TOKEN_KINDS } from '../../../src/core/usage.ts'

const rate = fc.integer({ min: 0, max: 50_000 }).map((n) => String(n / 1000))
const someRates = (needed: readonly string[]): fc.Arbitrary<Rates> =>
  fc.record({
    perMillion: fc.record(Object.fromEntries(TOKEN_KINDS.map((kind) => [kind, rate])), {
      requiredKeys: needed as never[],
    }),
    perUnit: fc.record(Object.fromEntries(COUNTED_KINDS.map((kind) => [kind, rate])), { requiredKeys: [] }),
  }) as fc.Arbitrary<Rates>
const factor = fc.integer({ min: 1, max: 40 }).map((n) => String(n / 10))

const prices: fc.Arbitrary<CallPrice> = fc
  .record({
    cost: someRates(['input', 'output']),
    own: someRates([]),
    markup: factor,
    steps: fc.array(fc.record({ above: fc.integer({ min: 1, max: 400 }), rates: someRates([]) }), { maxLength: 2 }),
    batch: factor,
    priority: fc.record({ factor, rates: someRates([]) }),
    writesCache: fc.boolean(),
  })
  .map(({ cost, own, markup, steps, batch, priority, writesCache }) => {
    const times = (value: string) => String((Number(value) * 1000 * (Number(markup) * 10)) / 10_000)
    const marked = (values: Readonly<Record<string, string>>) =>
      Object.fromEntries(Object.entries(values).map(([kind, value]) => [kind, times(value)]))
    return {
      version: 'v',
      unit: 'USD',
      costUnit: 'USD',
      cost,
      charge: {
        perMillion: { ...marked(cost.perMillion as never), ...own.perMillion },
        perUnit: { ...marked(cost.perUnit as never), ...own.perUnit },
      },
      ownCharge: own,
      markup,
      tiers: {
        service: {
          batch: { factor: batch, except: [], rates: { perMillion: {}, perUnit: {} }, unit: 'USD' },
          priority: { ...priority, except: ['cached_input' as const], unit: 'USD' },
        },
        longContext: steps.toSorted((a, b) => a.above - b.above).map((step) => ({ ...step, unit: 'USD' })),
      },
      contextWindow: undefined,
      maxOutputTokens: undefined,
      writesCache,
    }
  })

const PLAN: CeilingPlan = {
  unit: 'USD',
  enforcement: 'enforce',
  maxCostPerCallAtoms: undefined,
  maxOutputTokens: undefined,
  trim: { enabled: true, minOutputTokens: 256, minReasoningTokens: 4096, structured: false, tools: true },
  streaming: undefined,
}

const calls = fc.record({
  asked: fc.constantFrom(undefined, 'batch', 'priority'),
  served: fc.constantFrom('asked', 'default'),
  unpricedKind: fc.constantFrom('parent' as const, 'zero' as const),
  limit: fc.integer({ min: 0, max: 300 }),
  answers: fc.integer({ min: 1, max: 3 }),
  audioOutput: fc.boolean(),
  imageOutput: fc.boolean(),
  cached: fc.boolean(),
  hour: fc.boolean(),
  text: fc.integer({ min: 0, max: 500 }),
  audio: fc.integer({ min: 0, max: 100 }),
  image: fc.integer({ min: 0, max: 100 }),
  seconds: fc.integer({ min: 0, max: 5000 }).map((n) => n / 100),
  searches: fc.integer({ min: 0, max: 5 }),
  /** How much of each estimate is used. */
  share: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 12, maxLength: 12 }),
})

test('a hold is never below the charge of what stays within its estimates', () => {
  fc.assert(
    fc.property(prices, calls, (price, one) => {
      const { asked, limit, answers, text, audio, image, cached, share } = one
      const cacheWriteKind = one.hour ? 'cache_write_1h' : 'cache_write_5m'
      const high = text + audio + image
      const call: CeilingCall = {
        stream: false,
        input: {
          highTokens: high,
          lowTokens: 0,
          cacheWriteTokens: cached ? high : 0,
          cacheWriteKind,
          parts: { audio_input: audio, image_input: image },
        },
        generates: true,
        outputLimit: limit,
        answers,
        thinkingBudget: 0,
        reasoning: false,
        structured: false,
        tools: false,
        audioOutput: one.audioOutput,
        imageOutput: one.imageOutput,
        units: { seconds: one.seconds, searches: one.searches },
        ...(asked === undefined ? {} : { serviceTier: asked }),
        unseenInput: false,
      }
      const { unpricedKind } = one
      const ceiling = costCeiling({ call, price, plan: PLAN, unseenTokens: undefined, scale: 9, unpricedKind })
      // Made-up rates may come to more than the largest amount.
      fc.pre(ceiling.refused === undefined)
      const part = (whole: number, i: number) => Math.floor(whole * (share[i] as number))
      const written = cached || price.writesCache ? part(text, 0) : 0
      const read = part(text - written, 1)
      const cachedAudio = part(audio, 2)
      const spoken = one.audioOutput ? part(limit * answers, 3) : 0
      const drawn = one.imageOutput ? part(limit * answers - spoken, 4) : 0
      const usage = {
        tokens: {
          input: part(text - written - read, 5),
          cached_input: read + cachedAudio,
          [cached ? cacheWriteKind : 'cache_write_5m']: written,
          audio_input: part(audio - cachedAudio, 6),
          image_input: part(image, 7),
          output: part(limit * answers - spoken - drawn, 8),
          audio_output: spoken,
          image_output: drawn,
        },
        units: { seconds: one.seconds * (share[9] as number), searches: part(one.searches, 10) },
        raw: null,
      }
      const tier = one.served === 'asked' ? (asked as 'batch' | undefined) : undefined
      const { chargeAtoms } = priceUsage(price, usage, { scale: 9, unpricedKind, tier })
      expect(ceiling.fixedAtoms + BigInt(limit) * ceiling.perTokenAtoms).toBeGreaterThanOrEqual(chargeAtoms)
      expect(ceiling.floorAtoms).toBeLessThanOrEqual(ceiling.fixedAtoms)
    }),
    { numRuns: 500 },
  )
})
