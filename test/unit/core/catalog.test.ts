import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadCatalog } from '../../../src/config/load-catalog.ts'
import { Catalog } from '../../../src/core/catalog.ts'
import type { CatalogData, CatalogMatch, CatalogModelRow } from '../../../src/core/catalog-data.ts'
import { matcher } from '../../../src/core/catalog-match.ts'
import { CatalogModel } from '../../../src/core/catalog-model.ts'

const DATA = new URL('../../../config/catalog/catalog.json', import.meta.url)
const model = (id: string, match: CatalogMatch = { equals: id }, input = '1'): CatalogModelRow => ({
  id,
  match,
  prices: [{ rates: { input } }],
})
const catalog = (providers: Partial<CatalogData['providers'][number]>[]): Catalog =>
  new Catalog({
    source: '',
    sourceSha256: '',
    overlaySha256: '',
    version: 'v',
    providers: providers.map((provider) => ({
      id: 'p',
      api: `https://${provider.id ?? 'p'}\\.example`,
      models: [],
      ...provider,
    })),
  })

describe('whose API an upstream is', () => {
  const providers = catalog([
    { id: 'openai', named: { contains: 'openai' }, api: 'https://api\\.openai\\.com' },
    { id: 'azure', api: '(https?://)?([^.]*\\.)?openai\\.azure\\.com' },
    { id: 'aws', named: { contains: 'bedrock' } },
    { id: 'google', named: { contains: 'vertex' } },
  ])
  test.each([
    ['its address', { name: 'main', url: 'https://api.openai.com/v1', format: 'openai' }, 'openai'],
    ['its address before its name', { name: 'openai', url: 'https://x.openai.azure.com/', format: 'openai' }, 'azure'],
    ['its name, where that is a provider’s', { name: 'Azure', url: 'http://localhost/', format: 'openai' }, 'azure'],
    ['a name that says so', { name: 'my-vertex-eu', url: 'http://localhost/', format: 'openai' }, 'google'],
    ['its format', { name: 'main', url: 'http://localhost/', format: 'bedrock' }, 'aws'],
    [
      'an address that only contains one',
      { name: 'm', url: 'http://x/https://api.openai.com', format: 'ollama' },
      undefined,
    ],
    ['nothing', { name: 'local', url: 'http://localhost/', format: 'ollama' }, undefined],
  ])('by %s', (_, upstream, provider) => {
    expect(providers.providerOf(upstream)).toBe(provider)
  })
})

test.each<[string, CatalogMatch, string, boolean]>([
  ['equals', { equals: 'GPT-4' }, 'gpt-4', true],
  ['equals, not the beginning', { equals: 'gpt-4' }, 'gpt-4o', false],
  ['starts_with', { starts_with: 'Claude-' }, 'claude-3', true],
  ['ends_with', { ends_with: ':Free' }, 'llama:free', true],
  ['contains', { contains: 'SONNET' }, 'claude-sonnet-4', true],
  ['regex', { regex: '^o[134]$' }, 'o3', true],
  ['or', { or: [{ equals: 'a' }, { equals: 'b' }] }, 'b', true],
  ['and', { and: [{ starts_with: 'a' }, { regex: '^(?!.*tts)' }] }, 'a-tts', false],
])('a rule fits a name whatever its letters: %s', (_, match, name, fits) => {
  expect(matcher(match)(name)).toBe(fits)
})

test('the first model whose rule fits counts, as in a list that is tried from its top', () => {
  // Every name that the data has, against the rules one by one.
  const data = loadCatalog()
  const { providers } = JSON.parse(readFileSync(DATA, 'utf8')) as CatalogData
  let names = 0
  for (const { id, models, strip, fallback, vendors } of providers) {
    if (strip !== undefined || fallback !== undefined || vendors) continue
    for (const name of models.flatMap((row) => [row.id, ...namesOf(row.match)])) {
      const lower = name.toLowerCase()
      const first = models.find((row) => matcher(row.match)(lower))
      if (first === undefined) continue
      expect(`${name} ${data.find(id, name)?.id}`).toBe(`${name} ${first.id}`)
      names++
    }
  }
  expect(names).toBeGreaterThan(2000)
})

function namesOf(match: CatalogMatch): string[] {
  if ('or' in match) return match.or.flatMap(namesOf)
  if ('and' in match) return []
  return 'regex' in match ? [] : Object.values(match)
}

describe('a model is found', () => {
  const models = catalog([
    { id: 'a', models: [model('m-2025-05-14'), model('plain'), model('any', { contains: 'shared' }, '2')] },
    { id: 'b', fallback: ['a'], models: [model('own')] },
    { id: 'c', strip: '(?:.*/)?models/|arn:[^/]*/', models: [model('m')] },
    { id: 'gate', vendors: true, models: [model('a/plain', { equals: 'a/plain' }, '3')] },
    { id: 'x-ai', named: { equals: 'xai' }, owns: { contains: 'grok' }, models: [model('grok')] },
  ])
  test.each([
    ['whatever its letters and blanks', 'a', ' Plain ', 'plain'],
    ['with its date written without dashes', 'a', 'm-20250514', 'm-2025-05-14'],
    ['but not with a date that is none', 'a', 'm-20251314', undefined],
    ['at a provider that has it too', 'b', 'plain', 'plain'],
    ['at its own provider first', 'b', 'own', 'own'],
    ['behind a path', 'c', 'publishers/x/models/m', 'm'],
    ['behind an ARN', 'c', 'arn:aws:y:1:2:foundation-model/m', 'm'],
    ['under its vendor', 'gate', 'a/m-2025-05-14', 'm-2025-05-14'],
    ['under its vendor’s other name', 'gate', 'xai/grok', 'grok'],
    ['at the gateway before its vendor', 'gate', 'a/plain', 'a/plain'],
    ['not under a vendor that is none', 'gate', 'z/plain', undefined],
    ['not at a provider without it', 'a', 'own', undefined],
    ['not at a provider that is none', 'z', 'plain', undefined],
    ['not by a name longer than any', 'a', `shared${'x'.repeat(300)}`, undefined],
  ])('%s', (_, provider, name, id) => {
    expect(models.find(provider, name)?.id).toBe(id)
  })

  test.each([
    ['of the upstream’s provider', 'a', 'plain', 'plain'],
    ['of the one that owns the name', 'a', 'grok', 'grok'],
    ['with its provider before it', undefined, 'a/plain', 'plain'],
    ['of no provider', undefined, 'plain', undefined],
  ])('where a price book names it: %s', (_, provider, name, id) => {
    expect(models.findNamed(provider, name)?.id).toBe(id)
  })
})

describe('of several prices the last whose time fits counts', () => {
  const at = (text: string): number => Date.parse(text)
  const dated = new CatalogModel({
    id: 'm',
    match: { equals: 'm' },
    prices: [
      { rates: { input: '1' } },
      { from: '2026-08-17', rates: { input: '2' } },
      { between: ['01:00:00', '04:00:00'], rates: { input: '3' } },
      { between: ['23:30:00', '00:30:00'], rates: { input: '4' } },
    ],
  })
  test.each([
    ['2026-08-16T12:00:00Z', '1', '2026-08-16T04:00:00Z', '2026-08-16T23:30:00Z'],
    ['2026-08-17T00:30:00Z', '2', '2026-08-17T00:30:00Z', '2026-08-17T01:00:00Z'],
    ['2026-08-17T01:00:00Z', '3', '2026-08-17T01:00:00Z', '2026-08-17T04:00:00Z'],
    ['2026-08-17T03:59:59.999Z', '3', '2026-08-17T01:00:00Z', '2026-08-17T04:00:00Z'],
    ['2026-11-23T04:00:00Z', '2', '2026-11-23T04:00:00Z', '2026-11-23T23:30:00Z'],
    ['2026-11-23T23:59:00Z', '4', '2026-11-23T23:30:00Z', '2026-11-24T00:30:00Z'],
    ['2026-11-24T00:29:00Z', '4', '2026-11-23T23:30:00Z', '2026-11-24T00:30:00Z'],
  ])('at %s', (time, input, since, until) => {
    const { price, sinceMs, untilMs } = dated.priceAt(at(time))
    expect(price.rates.perMillion.input).toBe(input)
    expect([new Date(sinceMs).toISOString(), new Date(untilMs).toISOString()]).toEqual(
      [since, until].map((text) => new Date(at(text)).toISOString()),
    )
    expect(dated.priceAt(at(time)).price).toBe(price)
  })

  test('a price without a date is in force always', () => {
    const { sinceMs, untilMs } = new CatalogModel(model('m')).priceAt(0)
    expect([sinceMs, untilMs]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY])
  })
})
