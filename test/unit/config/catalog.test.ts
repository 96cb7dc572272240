/** The committed catalog against its two sources, and what is in it. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { overlaySchema } from '../../../src/config/catalog-overlay.ts'
import { readSource, type SourceProvider } from '../../../src/config/catalog-source.ts'
import { loadCatalog } from '../../../src/config/load-catalog.ts'
import { catalogText, makeCatalog } from '../../../src/config/make-catalog.ts'
import { readCatalogSources } from '../../../src/config/read-catalog-sources.ts'
import type { CatalogMatch } from '../../../src/core/catalog-data.ts'

const directory = new URL('../../../config/catalog/', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, directory), 'utf8')
const sources = await readCatalogSources()

test('config/catalog/ is what "npm run catalog" makes of the pinned package and the overlay', () => {
  expect(read('catalog.json')).toBe(catalogText(makeCatalog(sources)))
  const { devDependencies } = JSON.parse(readFileSync(new URL('../../package.json', directory), 'utf8'))
  expect(sources.source).toBe(`@pydantic/genai-prices ${devDependencies['@pydantic/genai-prices']}`)
})

test('the source’s licence lies beside its data', () => {
  const main = createRequire(import.meta.url).resolve('@pydantic/genai-prices')
  expect(read('LICENSE-genai-prices')).toBe(readFileSync(join(dirname(dirname(main)), 'LICENSE'), 'utf8'))
})

test('an overlay that names no source, no day, or a kind that is none, is not taken', () => {
  const overlay = (rule: string) =>
    overlaySchema.safeParse(parse(`providers: [{ id: openai, rules: [{ models: ["*"], ${rule} }] }]`)).success
  expect(overlay('rates: { input: "1" }, source: x, checked: 2026-11-26')).toBe(true)
  expect(overlay('rates: { input: "1" }, source: x')).toBe(false)
  expect(overlay('rates: { input: "1" }, checked: 2026-11-26')).toBe(false)
  expect(overlay('rates: { inptu: "1" }, source: x, checked: 2026-11-26')).toBe(false)
  expect(overlay('rates: { input: 1 }, source: x, checked: 2026-11-26')).toBe(false)
  expect(overlay('tiers: { prioritiy: "2" }, source: x, checked: 2026-11-26')).toBe(false)
})

test('no rule of the overlay fits nothing, and no model of it is like one that is not there', () => {
  const make = (overlay: string) => () =>
    makeCatalog({ ...sources, overlay: overlaySchema.parse(parse(overlay)), overlayText: '' })
  const seen = 'source: x, checked: 2026-11-26'
  expect(make(`providers: [{ id: openai, rules: [{ models: [gtp-5], reasons: true, ${seen} }] }]`)).toThrow(
    'openai: no model fits the rule of gtp-5',
  )
  expect(make(`providers: [{ id: openai, models: [{ id: a, like: gtp-5, ${seen} }] }]`)).toThrow(
    'openai: a is like no model: gtp-5',
  )
  expect(make('providers: [{ id: opneai }]')).toThrow('opneai: the source has no such provider')
})

describe('of the source', () => {
  const one = (prices: unknown, more: Partial<SourceProvider> = {}): SourceProvider => ({
    id: 'p',
    api_pattern: 'https://p\\.example',
    models: [{ id: 'm', match: { equals: 'm' }, prices: prices as never }],
    ...more,
  })
  const rates = (prices: unknown) => readSource([one(prices)])[0]?.models[0]?.prices

  test.each<[string, unknown, unknown]>([
    [
      'tokens are per million',
      { input_mtok: 0.0375, cache_read_mtok: 1e-7 },
      { input: '0.0375', cached_input: '0.0000001' },
    ],
    [
      'both lives of a cache',
      { cache_write_mtok: 3.75, cache_write_1h_mtok: 6 },
      { cache_write_5m: '3.75', cache_write_1h: '6' },
    ],
    ['an hour of audio is 3,600 seconds', { audio_hours: 0.36, input_audio_hours: 0.36 }, { seconds: '0.0001' }],
    ['where that has no end it stays a fraction', { audio_hours: 0.111 }, { seconds: '0.111/3600' }],
    [
      'fees are by the thousand',
      { web_searches_kcount: 10, storage_searches_kcount: 2.5, requests_kcount: 5 },
      { web_search: '0.01', file_search: '0.0025', requests: '0.005' },
    ],
    ['a page is an image', { input_document_kpages: 1 }, { images: '0.001' }],
    ['what we do not tell apart is left out', { input_mtok: 1, output_reasoning_mtok: 3 }, { input: '1' }],
    ['nothing at all is free of charge', {}, { input: '0', output: '0' }],
  ])('%s', (_, prices, expected) => {
    expect(rates(prices)).toEqual([{ rates: expected }])
  })

  test('a kind, a rule or a constraint that is not known stops the update', () => {
    expect(() => rates({ input_smells: 1 })).toThrow('p/m: unknown kind of price input_smells')
    expect(() => rates([{ prices: {}, constraint: { type: 'moon' } }])).toThrow('p/m: unknown constraint')
    expect(() => readSource([one({}, { model_match: { rhymes_with: 'x' } as unknown as CatalogMatch })])).toThrow(
      'unknown rule',
    )
  })

  test('tiers become long contexts, kind by kind and in their order', () => {
    const tiered = (base: number, ...tiers: [number, number][]) => ({
      base,
      tiers: tiers.map(([start, price]) => ({ start, price })),
    })
    expect(rates({ input_mtok: tiered(1, [500_000, 4], [200_000, 2]), output_mtok: tiered(5, [200_000, 6]) })).toEqual([
      {
        rates: { input: '1', output: '5' },
        long: [
          [200_000, { input: '2', output: '6' }],
          [500_000, { input: '4' }],
        ],
      },
    ])
  })
})

test.each<[string, string, string, Record<string, unknown>]>([
  ['a mini’s batch', 'https://api.openai.com/v1', 'gpt-5-mini', { batch: '0.5', priority: '1.8', fast: '1.8' }],
  ['a fine-tune’s batch', 'https://api.openai.com/v1', 'ft:gpt-4o-2024-08-06:acme::x', { batch: '0.5' }],
  [
    'Claude’s',
    'https://api.anthropic.com',
    'claude-opus-4-8',
    { batch: '0.5', priority: '1', us: '1.1', fast: '2', fast_us: '2.2' },
  ],
  ['Gemini’s', 'https://generativelanguage.googleapis.com', 'gemini-2.5-flash', { flex: '0.5', priority: '1.8' }],
  [
    'Claude’s on Bedrock',
    'https://bedrock-runtime.us-east-1.amazonaws.com',
    'eu.anthropic.claude-sonnet-4-5-20250929-v1:0',
    { batch: '0.5' },
  ],
])('the overlay has %s', (_, url, model, factors) => {
  const catalog = loadCatalog()
  const provider = catalog.providerOf({ name: 'x', url, format: 'openai' }) as string
  const service = catalog.find(provider, model)?.priceAt(Date.now()).price.tiers.service
  const found = Object.fromEntries(Object.entries(service ?? {}).map(([tier, { factor }]) => [tier, factor]))
  expect(found).toMatchObject(factors)
})

test.each<[string, string, string, object]>([
  ['gpt-4o’s audio', 'openai', 'gpt-4o-audio-preview-2024-12-17', { audio_input: '40', audio_output: '80' }],
  ['hours of a cache on Bedrock', 'aws', 'us.anthropic.claude-haiku-4-5-20251001-v1:0', { cache_write_1h: '2.2' }],
  ['hours of a cache on Vertex', 'google', 'claude-sonnet-4@20250514', { cache_write_1h: '6' }],
  ['an alias that moved on', 'mistral', 'mistral-large-latest', { input: '0.5', output: '1.5' }],
  ['a Bedrock ARN', 'aws', 'arn:aws:bedrock:eu-west-1::foundation-model/cohere.command-r-v1:0', { input: '0.5' }],
  ['a path of Vertex', 'google', 'publishers/google/models/gemini-2.5-pro', { input: '1.25' }],
])('the overlay knows %s', (_, provider, model, rates) => {
  expect(loadCatalog().find(provider, model)?.priceAt(Date.now()).price.rates.perMillion).toMatchObject(rates)
})

test.each<[string, string, string, object]>([
  ['search units', 'cohere', 'rerank-v3.5', { searches: '0.002' }],
  ['server tools', 'x-ai', 'grok-4.3', { web_search: '0.005' }],
  ['grounded prompts', 'google', 'gemini-2.5-pro', { web_search: '0.035' }],
  ['searches of a grounded prompt', 'google', 'gemini-3-pro-preview', { web_search: '0.014' }],
  ['spoken characters', 'openai', 'tts-1-hd', { characters: '0.00003' }],
  ['seconds', 'openai', 'whisper-1', { seconds: '0.0001' }],
  ['images', 'openai', 'dall-e-3', { images: '0.04' }],
  ['the least request fee', 'perplexity', 'sonar-pro', { requests: '0.006' }],
])('the catalog prices %s', (_, provider, model, rates) => {
  expect(loadCatalog().find(provider, model)?.priceAt(Date.now()).price.rates.perUnit).toMatchObject(rates)
})

test('the catalog marks models that reason by themselves, and states how long an answer may be', () => {
  const price = (model: string) => loadCatalog().find('openai', model)?.priceAt(Date.now()).price
  expect(price('o3')).toMatchObject({ reasons: true, maxOutputTokens: 100_000, contextWindow: 200_000 })
  expect(price('gpt-4o')).toMatchObject({ reasons: false, maxOutputTokens: 16_384, writesCache: false })
  expect(price('gpt-6-sol')).toMatchObject({ reasons: true, maxOutputTokens: 128_000, writesCache: true })
})
