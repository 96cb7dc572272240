/** What price-book.yaml may say of catalog, like and tiers, and what is told of mistakes in them. */
import { describe, expect, test } from 'vitest'
import { ConfigUnpacker, packConfig } from '../../../src/config/packed-config.ts'
import { findPrice } from '../../../src/core/find-price.ts'
import type { CallFacts } from '../../../src/core/price-book.ts'
import { tierPrice } from '../../../src/core/tier-price.ts'
import { parseTexts, problemLines, snapshotOf } from './config-texts.ts'

const TOLLGATE = `upstreams:
  openai: { format: openai, base_url: "https://api.openai.com/v1", models: ["*"] }
  azure: { format: openai, base_url: "https://x.openai.azure.com", models: [] }
`
const entries = (...lines: string[]) => `entries:\n${lines.map((line) => `  - { ${line} }\n`).join('')}`
const CATALOG = 'catalog: genai-prices\n'
const NOW = Date.parse('2026-11-26T12:00:00Z')
const facts = (more: Partial<CallFacts> = {}): CallFacts => ({
  account: 'acme',
  plan: 'pro',
  key: 'k',
  upstream: 'openai',
  model: 'gpt-5-mini',
  endpoint: 'chat',
  labels: {},
  ...more,
})
const priceOf = (prices: string, more: Partial<CallFacts> = {}, atMs = NOW) =>
  findPrice(snapshotOf({ tollgate: TOLLGATE, prices }).priceBook, facts(more), atMs)

describe('what is told of a mistake', () => {
  test.each<[string, string, string[]]>([
    [
      'a catalog that is none',
      'catalog: genai-price\n',
      ['p.yaml:1:10: catalog: "genai-price" is not one of none, genai-prices; did you mean "genai-prices"?'],
    ],
    [
      'like a model that is misspelt',
      CATALOG + entries('match: { model: x }, like: gpt-5-minni'),
      ['p.yaml:3:34: entries[0].like: unknown model "gpt-5-minni"; did you mean "gpt-5-mini"?'],
    ],
    [
      'like a model that is nowhere',
      CATALOG + entries('match: { model: x }, like: "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"'),
      [
        'p.yaml:3:34: entries[0].like: unknown model "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"; neither an entry nor the catalog prices it',
      ],
    ],
    [
      'like a model that only a catalog has, without one',
      entries('match: { model: x }, like: gpt-5-mini'),
      [
        'p.yaml:2:34: entries[0].like: unknown model "gpt-5-mini"; no other entry prices it, and there is no catalog ("catalog: genai-prices")',
      ],
    ],
    [
      'like a model of another entry, misspelt',
      entries('match: { model: x }, like: house', 'match: { model: houses }, per_million: { input: "1" }'),
      ['p.yaml:2:34: entries[0].like: unknown model "house"; did you mean "houses"?'],
    ],
    [
      'like itself',
      entries('match: { model: "x*" }, like: x1'),
      [
        'p.yaml:2:37: entries[0].like: unknown model "x1"; no other entry prices it, and there is no catalog ("catalog: genai-prices")',
      ],
    ],
    [
      'two that are like each other',
      entries('match: { model: a }, like: b', 'match: { model: b }, like: a'),
      [
        'p.yaml:2:34: entries[0].like: unknown model "b"; did you mean "a"?',
        'p.yaml:3:34: entries[1].like: unknown model "a"; did you mean "b"?',
      ],
    ],
    [
      'a tier that is none',
      entries('match: { model: x }, tiers: { prioritiy: "2" }'),
      ['p.yaml:2:37: entries[0].tiers: unknown field "prioritiy"; did you mean "priority"?'],
    ],
    [
      'a factor without quotes',
      entries('match: { model: x }, tiers: { batch: 0.5 }'),
      ['p.yaml:2:44: entries[0].tiers.batch: "0.5" is a number; quote it: write "0.5"'],
    ],
    [
      'a factor that is none',
      entries('match: { model: x }, tiers: { batch: "50%" }'),
      ['p.yaml:2:44: entries[0].tiers.batch: "50%" is not a decimal; write it like "10.50"'],
    ],
    [
      'a factor of nothing',
      entries('match: { model: x }, tiers: { batch: "0" }'),
      ['p.yaml:2:44: entries[0].tiers.batch: "0" is not above zero'],
    ],
    [
      'a rate of a tier that is none',
      entries('match: { model: x }, tiers: { priority: { per_million: { inptu: "1" } } }'),
      ['p.yaml:2:64: entries[0].tiers.priority.per_million: unknown field "inptu"; did you mean "input"?'],
    ],
    [
      'a rate of a tier without quotes',
      entries('match: { model: x }, tiers: { priority: { per_million: { input: 1.5 } } }'),
      ['p.yaml:2:71: entries[0].tiers.priority.per_million.input: "1.5" is a number; quote it: write "1.5"'],
    ],
    [
      'long contexts that do not rise',
      entries(
        'match: { model: x }, tiers: { long_context: [ { above: 200000, per_million: { input: "1" } }, { above: 200000, per_million: { input: "2" } } ] }',
      ),
      [
        'p.yaml:2:110: entries[0].tiers.long_context[1].above: "200000" is not above 200000, that of the one before; let them rise',
      ],
    ],
    [
      'a long context without rates',
      entries('match: { model: x }, tiers: { long_context: [ { above: 200000 } ] }'),
      ['p.yaml:2:53: entries[0].tiers.long_context[0].per_million: is missing'],
    ],
    [
      'tiers of nothing',
      entries('match: { model: x }, tiers: {}'),
      [
        'p.yaml:2:5: entries[0]: sets nothing; give it per_million, per_unit, charge, like, tiers, context_window or max_output_tokens',
      ],
    ],
    [
      'two of one series that both set the tiers',
      entries('match: { model: x }, tiers: { batch: "0.5" }', 'match: { model: x }, tiers: { flex: "0.5" }'),
      ['p.yaml:3:5: entries[1]: a second tiers of the same match and from; the first is in line 2'],
    ],
  ])('%s', (_, prices, lines) => {
    expect(problemLines({ tollgate: TOLLGATE, prices })).toEqual(lines)
  })

  test('a like is known where an entry prices it, the upstream’s provider has it, or its provider stands before it', () => {
    const prices =
      CATALOG +
      entries(
        'match: { model: "house-*" }, per_million: { input: "1", output: "2" }',
        'match: { model: a }, like: house-1',
        'match: { model: b }, like: a',
        'match: { upstream: azure, model: c }, like: gpt-5-mini',
        'match: { model: d }, like: claude-sonnet-4-5',
        'match: { model: e }, like: groq/llama-3.3-70b-versatile',
      )
    expect(problemLines({ tollgate: TOLLGATE, prices })).toEqual([])
  })
})

describe('the catalog', () => {
  test('prices what no entry does, with its tiers and limits, in USD', () => {
    expect(priceOf(CATALOG)).toMatchObject({
      unit: 'USD',
      costUnit: 'USD',
      cost: { perMillion: { input: '0.25', cached_input: '0.025', output: '2' }, perUnit: { web_search: '0.01' } },
      contextWindow: 400_000,
      maxOutputTokens: 128_000,
      reasons: true,
    })
    expect(priceOf(CATALOG, { model: 'gpt-5-mimi' })).toBeUndefined()
    expect(priceOf('catalog: none\n')).toBeUndefined()
  })

  test('is found by the upstream: one name may have two prices', () => {
    const tollgate = `upstreams:
  openai: { format: openai, base_url: "https://api.openai.com/v1", models: ["*"] }
  groq: { format: openai, base_url: "https://api.groq.com/openai/v1", models: [] }
`
    const { priceBook } = snapshotOf({ tollgate, prices: CATALOG })
    const input = (upstream: string) =>
      findPrice(priceBook, facts({ upstream, model: 'openai/gpt-oss-20b' }), NOW)?.cost.perMillion.input
    expect(input('groq')).toBe('0.075')
    expect(input('openai')).toBeUndefined()
  })

  test('gives the version of its data to every price, beside the file’s', () => {
    const version = (prices: string) => snapshotOf({ tollgate: TOLLGATE, prices }).priceBook.version
    expect(version(CATALOG)).toMatch(/^[0-9a-f]{12}\.[0-9a-f]{8}$/)
    expect(version('catalog: none\n')).toMatch(/^[0-9a-f]{12}$/)
    expect(priceOf(CATALOG)?.version).toBe(version(CATALOG))
  })

  test('gives the other side of an entry that sets the cost or the charge alone', () => {
    const contract = CATALOG + entries('match: { account: acme, model: "gpt-5*" }, charge: { markup: "0.90" }')
    expect(priceOf(contract)).toMatchObject({
      cost: { perMillion: { input: '0.25' } },
      charge: { perMillion: { input: '0.225', output: '1.8' }, perUnit: { web_search: '0.009' } },
    })
    expect(priceOf(contract, { account: 'other' })?.charge.perMillion.input).toBe('0.25')
    const cost = CATALOG + entries('match: { model: "gpt-5*" }, per_million: { input: "9", output: "9" }')
    expect(priceOf(cost)?.cost).toEqual({ perMillion: { input: '9', output: '9' }, perUnit: {} })
  })

  test('gives tiers and limits to an entry that has none; an entry’s own win, tier by tier', () => {
    const own =
      CATALOG +
      entries('match: { model: "gpt-5.4" }, per_million: { input: "1", output: "2" }, tiers: { batch: "0.4" }')
    const price = priceOf(own, { model: 'gpt-5.4' })
    expect(price).toMatchObject({
      contextWindow: 1_050_000,
      tiers: { service: { batch: { factor: '0.4' }, flex: { factor: '0.5' }, priority: { factor: '2' } } },
    })
    expect(price?.tiers?.longContext).toMatchObject([{ above: 271_999, rates: { perMillion: { input: '5' } } }])
    const none = CATALOG + entries('match: { model: "gpt-5.4" }, tiers: { long_context: [] }')
    expect(priceOf(none, { model: 'gpt-5.4' })?.tiers?.longContext).toEqual([])
  })

  test('changes its price at the moment that the data says', () => {
    const input = (time: string) => priceOf(CATALOG, { model: 'gpt-5.6' }, Date.parse(time))?.cost.perMillion.input
    expect([input('2026-08-20T23:59:59.999Z'), input('2026-08-21T00:00:00Z')]).toEqual(['5', '4'])
  })

  test('is asked anew when a price of a time of day ends', () => {
    const tollgate = 'upstreams:\n  ds: { format: openai, base_url: "https://api.deepseek.com", models: ["*"] }\n'
    const { priceBook } = snapshotOf({ tollgate, prices: CATALOG })
    const at = (time: string) =>
      findPrice(priceBook, facts({ upstream: 'ds', model: 'deepseek-v4-flash' }), Date.parse(`2026-11-26T${time}Z`))
    expect(['00:59:59', '01:00:00', '03:59:59', '04:00:00'].map((time) => at(time)?.cost.perMillion.input)).toEqual([
      '0.22',
      '0.44',
      '0.44',
      '0.22',
    ])
    expect(at('02:00:00')).toBe(at('03:00:00'))
  })
})

describe('like', () => {
  const SPEC = `
  - match: { upstream: openai, model: "gpt-5-mini*" }
    from: 2026-01-01
    per_million: { input: "0.25", cached_input: "0.025", output: "2.00" }
    per_unit: { web_search: "0.01" }
    charge: { per_million: { input: "0.30", output: "2.40" } }
    tiers: { batch: "0.5", priority: "2", long_context: [ { above: 200000, per_million: { input: "0.50" } } ] }
    context_window: 400000
    max_output_tokens: 128000
  - { match: { upstream: azure, model: prod-chat }, from: 2026-01-01, like: gpt-5-mini }
  - { match: { account: acme, model: "gpt-5*" }, from: 2026-01-01, charge: { markup: "0.90" } }
`
  test('prices, limits and tiers are those of that model, of another upstream’s entry too', () => {
    for (const catalog of ['', CATALOG]) {
      expect(
        priceOf(`${catalog}entries:${SPEC}`, { upstream: 'azure', model: 'prod-chat', account: 'x' }),
      ).toMatchObject({
        cost: {
          perMillion: { input: '0.25', cached_input: '0.025', output: '2.00' },
          perUnit: { web_search: '0.01' },
        },
        charge: { perMillion: { input: '0.30', cached_input: '0.025', output: '2.40' } },
        tiers: { service: { batch: { factor: '0.5' } }, longContext: [{ above: 200_000 }] },
        contextWindow: 400_000,
        maxOutputTokens: 128_000,
      })
    }
  })

  test('its own fields win over those of that model', () => {
    const prices =
      CATALOG +
      entries(
        'match: { model: "ft:x" }, like: gpt-4o, per_million: { input: "3" }, charge: { markup: "2" }, tiers: { batch: "0.6" }, max_output_tokens: 7',
      )
    expect(priceOf(prices, { model: 'ft:x' })).toMatchObject({
      cost: { perMillion: { input: '3', cached_input: '1.25', output: '10' } },
      charge: { perMillion: { input: '6', cached_input: '2.5', output: '20' } },
      tiers: { service: { batch: { factor: '0.6' }, priority: { factor: '1.7' } } },
      contextWindow: 128_000,
      maxOutputTokens: 7,
    })
  })

  test('a pattern maps deployments, ARNs and fine-tunes; a model may be like one that is like another', () => {
    const prices =
      CATALOG +
      entries(
        'match: { model: "arn:aws:bedrock:*:application-inference-profile/*" }, like: anthropic/claude-sonnet-4-5',
        'match: { model: "blue-*" }, like: house',
        'match: { model: house }, like: o3',
      )
    const arn = 'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc'
    expect(priceOf(prices, { model: arn })?.cost.perMillion.input).toBe('3')
    expect(priceOf(prices, { model: 'blue-1' })).toMatchObject({
      cost: { perMillion: { input: '2' } },
      reasons: true,
    })
  })

  test('a contract for the model counts for what is like it', () => {
    const price = priceOf(`${CATALOG}entries:${SPEC}`, { upstream: 'azure', model: 'prod-chat', account: 'acme' })
    // The first of the entries that fit gpt-5-mini there, and set a charge: acme's.
    expect(price?.charge.perMillion.input).toBe('0.225')
  })

  test('what is dated there is dated here', () => {
    const prices =
      CATALOG + entries('match: { model: x }, like: gpt-5.6', 'match: { model: x }, from: 2026-09-01, like: gpt-4o')
    const input = (time: string) => priceOf(prices, { model: 'x' }, Date.parse(time))?.cost.perMillion.input
    expect(['2026-08-20', '2026-08-22', '2026-09-02'].map((day) => input(`${day}T00:00:00Z`))).toEqual([
      '5',
      '4',
      '2.5',
    ])
  })
})

test('tiers are read as factors, as factors with rates, and as long contexts', () => {
  const prices = entries(
    'match: { model: "*" }, per_million: { input: "1", output: "4" }, tiers: { flex: "0.5", priority: { factor: "2", per_million: { output: "9" }, per_unit: { requests: "0.1" } }, long_context: [ { above: 1000, per_million: { input: "3" } } ] }',
  )
  const price = priceOf(prices)
  if (!price) throw new Error('no price')
  expect(tierPrice(price, { tier: 'flex', inputTokens: 0 }).charge.perMillion).toEqual({ input: '0.5', output: '2' })
  expect(tierPrice(price, { tier: 'priority', inputTokens: 1001 }).charge).toEqual({
    perMillion: { input: '6', output: '9' },
    perUnit: { requests: '0.1' },
  })
})

test('a book with a catalog comes out of the parsing thread as it went in, the catalog not copied', () => {
  const parsed = parseTexts({
    tollgate: TOLLGATE,
    prices: CATALOG + entries('match: { model: x }, like: gpt-5-mini, tiers: { batch: "0.5" }'),
  })
  const unpacker = new ConfigUnpacker()
  let back: ReturnType<ConfigUnpacker['add']>
  let bytes = 0
  for (const portion of packConfig(parsed)) {
    bytes += JSON.stringify(portion).length
    back = unpacker.add(structuredClone(portion))
  }
  expect(back?.snapshot?.priceBook).toEqual(parsed.snapshot?.priceBook)
  expect(back?.snapshot?.priceBook.catalog?.data).toBe(parsed.snapshot?.priceBook.catalog?.data)
  expect(bytes).toBeLessThan(20_000)
  expect(back?.snapshot && findPrice(back.snapshot.priceBook, facts({ model: 'x' }), NOW)?.cost.perMillion.input).toBe(
    '0.25',
  )
})
