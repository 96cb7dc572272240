import { expect, test } from 'vitest'
import { findPrice, isPriced } from '../../../src/core/find-price.ts'
import type { CallFacts, PriceBook, PriceEntry, Rates } from '../../../src/core/price-book.ts'

const day = (text: string) => Date.parse(`${text}T00:00:00Z`)
const perMillion = (rates: Rates['perMillion']): Rates => ({ perMillion: rates, perUnit: {} })

function entry(match: Record<string, string>, more: Partial<PriceEntry> = {}): PriceEntry {
  return {
    match,
    fromMs: day('2026-01-01'),
    unit: 'USD',
    cost: undefined,
    charge: undefined,
    contextWindow: undefined,
    maxOutputTokens: undefined,
    source: undefined,
    position: 'price-book.yaml:1',
    ...more,
  }
}

const book = (entries: PriceEntry[], markup = '1.00'): PriceBook => ({ version: 'v', unit: 'USD', markup, entries })

const facts = (more: Partial<CallFacts> = {}): CallFacts => ({
  account: 'acme',
  plan: 'pro',
  key: 'ci-bot',
  upstream: 'openai',
  model: 'gpt-5-mini',
  endpoint: 'chat',
  labels: { team: 'platform' },
  ...more,
})

const cost = (input: string) => ({ cost: perMillion({ input, output: '1' }) })
const NOW = day('2026-11-23')

test.each<[string, Record<string, string>, Partial<CallFacts>, boolean]>([
  ['no condition', {}, {}, true],
  ['a model by glob', { model: 'gpt-5*' }, {}, true],
  ['another model', { model: 'claude-*' }, {}, false],
  ['a star over slashes', { model: 'openai*mini' }, { model: 'openai/gpt-5/mini' }, true],
  ['"*" where the call names no model', { model: '*' }, { model: undefined }, true],
  ['a longer glob where the call names no model', { model: '**' }, { model: undefined }, false],
  ['every name at once', { account: 'ac*', plan: 'pro', key: 'ci-*', upstream: 'openai', endpoint: 'chat' }, {}, true],
  ['one name of several that differs', { account: 'acme', endpoint: 'messages' }, {}, false],
  ['a label', { team: 'plat*' }, {}, true],
  ['a label that the call lacks', { region: '*' }, {}, false],
  ['a label with a name that every object has', { constructor: '*' }, {}, false],
])('an entry fits: %s', (_, match, more, fits) => {
  expect(findPrice(book([entry(match, cost('1'))]), facts(more), NOW) !== undefined).toBe(fits)
})

test('the first entry that fits counts, not the most specific', () => {
  const prices = book([entry({ model: 'gpt-*' }, cost('1')), entry({ model: 'gpt-5-mini' }, cost('2'))])
  expect(findPrice(prices, facts(), NOW)?.cost.perMillion.input).toBe('1')
})

test.each([
  ['2025-12-31', '9'], // none of the series is in force: the next entry that fits
  ['2026-01-01', '1'],
  ['2026-05-31', '1'],
  ['2026-06-01', '2'],
  ['2026-12-01', '3'],
])('of entries of equal match the latest in force counts: at %s input costs %s', (at, input) => {
  const prices = book([
    entry({ upstream: 'openai', model: 'gpt-5*' }, { ...cost('2'), fromMs: day('2026-06-01') }),
    entry({ upstream: 'openai' }, { ...cost('9'), fromMs: day('2020-01-01') }),
    entry({ model: 'gpt-5*', upstream: 'openai' }, { ...cost('1'), fromMs: day('2026-01-01') }),
    entry({ upstream: 'openai', model: 'gpt-5*' }, { ...cost('3'), fromMs: day('2026-12-01') }),
  ])
  // Asked in both directions of time: what was found before a change is not kept past it.
  for (const time of ['2026-12-24', at, '2020-02-02', at]) findPrice(prices, facts(), day(time))
  expect(findPrice(prices, facts(), day(at))?.cost.perMillion.input).toBe(input)
})

test('the millisecond of a change already has the new price', () => {
  const prices = book([
    entry({ model: '*' }, { ...cost('2'), fromMs: day('2026-06-01') }),
    entry({ model: '*' }, { ...cost('1') }),
  ])
  expect(findPrice(prices, facts(), day('2026-06-01') - 1)?.cost.perMillion.input).toBe('1')
  expect(findPrice(prices, facts(), day('2026-06-01'))?.cost.perMillion.input).toBe('2')
})

test('a kind that the charge leaves out is charged at cost × markup, exactly', () => {
  const prices = book(
    [
      entry(
        { model: '*' },
        {
          cost: {
            perMillion: { input: '0.25', cached_input: '0.025', output: '2.00' },
            perUnit: { web_search: '0.01' },
          },
          charge: { rates: perMillion({ output: '2.40' }), markup: undefined },
        },
      ),
    ],
    '1.10',
  )
  expect(findPrice(prices, facts(), NOW)?.charge).toEqual({
    perMillion: { input: '0.275', cached_input: '0.0275', output: '2.40' },
    perUnit: { web_search: '0.011' },
  })
})

test('an entry that sets the charge alone takes its cost from the next that fits, and its own markup', () => {
  const prices = book([
    entry({ account: 'acme' }, { charge: { rates: perMillion({}), markup: '0.90' } }),
    entry({ model: '*' }, cost('10')),
  ])
  expect(findPrice(prices, facts(), NOW)).toMatchObject({
    cost: { perMillion: { input: '10', output: '1' } },
    charge: { perMillion: { input: '9', output: '0.9' } },
  })
  expect(findPrice(prices, facts({ account: 'other' }), NOW)?.charge.perMillion.input).toBe('10')
})

test('an entry that sets the cost alone takes its charge from the next that fits', () => {
  const prices = book([
    entry({ model: 'gpt-*' }, cost('10')),
    entry({}, { cost: perMillion({ input: '99' }), charge: { rates: perMillion({ input: '12' }), markup: '2' } }),
  ])
  expect(findPrice(prices, facts(), NOW)).toMatchObject({
    cost: { perMillion: { input: '10', output: '1' } },
    charge: { perMillion: { input: '12', output: '2' } },
  })
})

test('a cost in one unit and a charge in another are kept apart: no markup between them', () => {
  const prices = book([
    entry(
      { model: '*' },
      { unit: 'credits', charge: { rates: perMillion({ input: '100', output: '400' }), markup: undefined } },
    ),
    entry(
      { model: '*', upstream: '*' },
      { unit: 'USD', cost: perMillion({ input: '1', output: '4', cached_input: '0.1' }) },
    ),
  ])
  expect(findPrice(prices, facts(), NOW)).toMatchObject({
    unit: 'credits',
    costUnit: 'USD',
    charge: { perMillion: { input: '100', output: '400' } },
    cost: { perMillion: { input: '1', output: '4', cached_input: '0.1' } },
  })
  expect(findPrice(prices, facts(), NOW)?.charge.perMillion.cached_input).toBeUndefined()
})

test('context window and output limit come from the first entry that has them', () => {
  const prices = book([
    entry({ model: 'gpt-5*' }, { ...cost('1'), maxOutputTokens: 128_000 }),
    entry({ model: '*' }, { ...cost('2'), contextWindow: 400_000, maxOutputTokens: 1 }),
  ])
  expect(findPrice(prices, facts(), NOW)).toMatchObject({ contextWindow: 400_000, maxOutputTokens: 128_000 })
})

test('nothing prices a model that only a limit fits', () => {
  expect(findPrice(book([entry({ model: '*' }, { contextWindow: 8192 })]), facts(), NOW)).toBeUndefined()
})

test('calls with equal facts share one price, and more models than are kept still get theirs', () => {
  const prices = book([entry({ model: 'a*' }, cost('1')), entry({ model: 'b*', account: '*' }, cost('2'))])
  expect(findPrice(prices, facts({ model: 'a1', key: 'x' }), NOW)).toBe(
    findPrice(prices, facts({ model: 'a1', key: 'y' }), NOW),
  )
  for (let i = 0; i < 10_000; i++) {
    expect(findPrice(prices, facts({ model: `b${i}` }), NOW)?.cost.perMillion.input).toBe('2')
  }
  expect(findPrice(prices, facts({ model: `a${'x'.repeat(100_000)}` }), NOW)?.cost.perMillion.input).toBe('1')
})

test('a model name made to look like other facts is not priced as them', () => {
  const prices = book([entry({ account: 'acme', model: 'm' }, cost('1')), entry({ account: 'b*' }, cost('2'))])
  expect(findPrice(prices, facts({ account: 'acme', model: 'm' }), NOW)?.cost.perMillion.input).toBe('1')
  expect(findPrice(prices, facts({ account: 'acme', model: 'm\n' }), NOW)).toBeUndefined()
  expect(findPrice(prices, facts({ account: 'b', model: '=m' }), NOW)?.cost.perMillion.input).toBe('2')
  expect(findPrice(prices, facts({ account: 'acme', model: undefined }), NOW)).toBeUndefined()
})

test.each<[string, Rates['perMillion'] | undefined, boolean, boolean]>([
  ['no price at all', undefined, true, false],
  ['input and output', { input: '1', output: '2' }, true, true],
  ['input alone for a chat', { input: '1' }, true, false],
  ['input alone for an embedding', { input: '1' }, false, true],
  ['output alone', { output: '1' }, true, false],
  ['a free model', { input: '0', output: '0' }, true, true],
])('a call is admitted by its rates: %s', (_, rates, generates, admitted) => {
  const prices = book(rates === undefined ? [] : [entry({}, { cost: perMillion(rates) })])
  expect(isPriced(findPrice(prices, facts(), NOW), { generates })).toBe(admitted)
})
