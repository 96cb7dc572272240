/**
 * What calls cost by the catalog, against what the provider itself said they cost, in recorded traffic: equal to a
 * billionth of a dollar, but for the exceptions here, each of which config/catalog/README.md explains.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadCatalog } from '../../src/config/load-catalog.ts'
import { findPrice } from '../../src/core/find-price.ts'
import type { CallPrice } from '../../src/core/price-book.ts'
import { priceUsage } from '../../src/core/price-usage.ts'
import { billedTier } from '../../src/core/service-tier.ts'
import { prepared, usageOf } from './answer-facts.ts'
import { haveRecordings, loadMetered, type Recording, upstreamOf } from './recordings.ts'

/** Decimals of a dollar that our own figure is worked out to: beyond what any provider states. */
const SCALE = 12
/** Where nothing says when a call was made: before the latest changes of price in the data. */
const UNDATED = '2026-08-20T12:00:00Z'

/** A body that was not kept names no model. */
const metered = (await loadMetered()).filter(
  (recording) => typeof costOf(recording) === 'number' && recording.request.body !== null,
)

function costOf(recording: Recording): number | undefined {
  return (recording.expected as { readonly providerCostUsd?: number }).providerCostUsd
}

/** Why two figures differ, by what the answer or the provider says; none: they have to be equal. */
function exceptionOf({ provider, request, expected }: Recording): string | undefined {
  const raw = JSON.stringify((expected as { readonly rawUsage?: unknown }).rawUsage ?? '')
  const model = (request.body as { readonly model?: string } | null)?.model ?? ''
  if (provider === 'azure-ai-foundry') return 'states no cost'
  if (raw.includes('"is_byok":true')) return 'own key'
  if (provider === 'openrouter' && model.startsWith('moonshotai/kimi-k2-0905')) return 'price of its upstream'
  if (/^(perplexity\/)?sonar/.test(model)) return 'rounded by the provider'
  if (model.startsWith('grok-imagine') && JSON.stringify(request.body).includes('image_url')) return 'images given'
  return undefined
}

function priceOf(recording: Recording, model: string | undefined): CallPrice | undefined {
  const data = loadCatalog()
  const { name, format, baseUrl } = upstreamOf(recording)
  const provider = data.providerOf({ name, format, url: baseUrl.href })
  const book = {
    version: '',
    unit: 'USD',
    markup: '1',
    entries: [],
    catalog: { data, providers: new Map(provider === undefined ? [] : [[name, provider]]) },
  }
  const { recordedAt = UNDATED } = (recording as unknown as { source: { recordedAt?: string } }).source
  const facts = { account: '', plan: '', key: '', upstream: name, model, endpoint: '', labels: {} }
  return findPrice(book, facts, Date.parse(recordedAt))
}

function compare(recording: Recording) {
  const { metering, call } = prepared(recording)
  const facts = usageOf(recording, { metering, call })
  const price = priceOf(recording, call.model === '' ? facts.model : call.model)
  const usage = facts.usage ?? facts.counted
  const priced =
    price &&
    usage &&
    priceUsage(price, usage, {
      scale: SCALE,
      unpricedKind: 'parent',
      tier: billedTier(facts.serviceTier, call.serviceTier),
      billedBy: call.billedBy,
    })
  return { facts, priced, ours: priced && Number(priced.costAtoms) / 10 ** SCALE, theirs: costOf(recording) as number }
}

const named = (recordings: readonly Recording[]) => recordings.map((recording) => [recording.id, recording] as const)

describe.skipIf(!haveRecordings)('a call costs what the provider said', () => {
  const exact = metered.filter((recording) => exceptionOf(recording) === undefined)
  test.each(named(exact))('%s', (_id, recording) => {
    const { facts, priced, ours, theirs } = compare(recording)
    expect(ours).toBeCloseTo(theirs, 9)
    expect(priced?.unpricedKinds).toEqual([])
    expect(Number(facts.statedCost)).toBe(theirs)
  })

  test('most of what states a cost is among them', () => {
    if (process.env['RECORDINGS']) return
    expect(exact.length).toBeGreaterThan(50)
    expect(exact.length / metered.length).toBeGreaterThan(0.7)
  })
})

describe.skipIf(!haveRecordings)('where they differ it is for a reason', () => {
  const because = (reason: string) => named(metered.filter((recording) => exceptionOf(recording) === reason))

  test.each(because('rounded by the provider'))('its parts are rounded to 0.00001: %s', (_id, recording) => {
    const { facts, ours, theirs } = compare(recording)
    expect(Math.abs((ours as number) - theirs)).toBeLessThanOrEqual(0.00001)
    expect(Number(facts.statedCost)).toBe(theirs)
  })

  test.each(because('own key'))('the gateway takes its fee, the model’s provider the rest: %s', (_id, recording) => {
    const { facts, ours, theirs } = compare(recording)
    expect(theirs).toBe(0)
    expect(Number(facts.statedCost)).toBeCloseTo(ours as number, 9)
  })

  test.each(because('states no cost'))('a zero that Azure puts there states nothing: %s', (_id, recording) => {
    const { facts, ours, theirs } = compare(recording)
    expect([theirs, facts.statedCost]).toEqual([0, undefined])
    expect(ours).toBeGreaterThan(0)
  })

  test.each(because('price of its upstream'))('OpenRouter took its upstream’s price: %s', (_id, recording) => {
    const { facts, ours, theirs } = compare(recording)
    expect(Number(facts.statedCost)).toBe(theirs)
    expect((ours as number) / theirs).toBeGreaterThan(0.4)
    expect((ours as number) / theirs).toBeLessThan(2.5)
  })

  test.each(because('images given'))('images that are given are billed and counted nowhere: %s', (_id, recording) => {
    const { facts, ours, theirs } = compare(recording)
    expect(Number(facts.statedCost)).toBe(theirs)
    expect(theirs - (ours as number)).toBeCloseTo(0.02, 9)
  })

  test('each reason is in the catalog’s README', () => {
    const readme = readFileSync(new URL('../../config/catalog/README.md', import.meta.url), 'utf8')
    for (const word of ['Perplexity rounds', 'own key', 'Azure', 'kimi-k2-0905', 'images that are given'])
      expect(readme).toContain(word)
  })
})
