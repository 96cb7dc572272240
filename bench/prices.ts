/** What a call pays for its price: look-up, ceiling and pricing, in nanoseconds of CPU each. `node src/bootstrap.js bench/prices.ts`. */
import { resolve } from 'node:path'
import { loadConfigFiles } from '../src/config/load-config.ts'
import { parseConfig } from '../src/config/parse-config.ts'
import { costCeiling } from '../src/core/cost-ceiling.ts'
import { findPrice } from '../src/core/find-price.ts'
import type { CallFacts } from '../src/core/price-book.ts'
import { priceUsage } from '../src/core/price-usage.ts'

const CALLS = 300_000
const ROUNDS = 7

const loaded = await loadConfigFiles(resolve(import.meta.dirname, '../config/tollgate.yaml'), {})
if ('problems' in loaded) throw new Error('the shipped config cannot be read')
const startedMs = performance.now()
const { snapshot } = parseConfig(loaded.files, {})
if (!snapshot) throw new Error('the shipped config is not valid')
console.log(`parsed in ${(performance.now() - startedMs).toFixed(1)} ms, the first time`)
const againMs = performance.now()
parseConfig(loaded.files, {})
console.log(`and in ${(performance.now() - againMs).toFixed(1)} ms the second`)

const models = [
  'gpt-4o',
  'gpt-5-mini',
  'claude-sonnet-4-5',
  'gpt-5.6',
  'o3',
  'claude-opus-4-8',
  'text-embedding-3-small',
]
const facts = models.map(
  (model): CallFacts => ({
    account: 'acme',
    plan: 'pro',
    key: 'backend',
    upstream: model.startsWith('claude') ? 'anthropic' : 'openai',
    model,
    endpoint: 'chat',
    labels: { team: 'platform' },
  }),
)
const nowMs = Date.parse('2026-11-23T12:00:00Z')
const book = snapshot.priceBook
const usage = { tokens: { input: 1200, cached_input: 800, output: 340 }, raw: null }
const plan = snapshot.plans.get('pro')
const call = {
  stream: true,
  input: { highTokens: 2400, lowTokens: 400, cacheWriteTokens: 0, cacheWriteKind: 'cache_write_5m' as const },
  generates: true,
  outputLimit: 1000,
  answers: 1,
  thinkingBudget: 0,
  reasoning: false,
  structured: false,
  tools: false,
  audioOutput: false,
  unseenInput: false,
}

function measure(name: string, run: (i: number) => unknown): void {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const since = process.cpuUsage()
    for (let i = 0; i < CALLS; i++) run(i)
    const { user, system } = process.cpuUsage(since)
    times.push(((user + system) * 1000) / CALLS)
  }
  const sorted = times.toSorted((a, b) => a - b)
  console.log(`${name.padEnd(44)} ${(sorted[ROUNDS >> 1] ?? 0).toFixed(0)} ns (${sorted[0]?.toFixed(0)} at best)`)
}

const at = (i: number) => facts[i % facts.length] as CallFacts
measure('findPrice, known facts', (i) => findPrice(book, at(i), nowMs))
measure('findPrice, costCeiling', (i) =>
  costCeiling({
    call,
    price: findPrice(book, at(i), nowMs),
    plan: plan as NonNullable<typeof plan>,
    unseenTokens: undefined,
    scale: 9,
    unpricedKind: 'parent',
  }),
)
measure('findPrice, priceUsage', (i) =>
  priceUsage(findPrice(book, at(i), nowMs), usage, { scale: 9, unpricedKind: 'parent' }),
)
let unseen = 0
measure('findPrice, a model never seen before', () =>
  findPrice(book, { ...(facts[0] as CallFacts), model: `gpt-4o-${unseen++}` }, nowMs),
)
