import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { PLAN, parseTexts, problemLines, snapshotOf } from './config-texts.ts'

const SHA = (digit: string) => digit.repeat(64)
const upstreams = (text: string) => snapshotOf({ tollgate: `upstreams:\n${text}` }).settings.upstreams

test('what tollgate.yaml leaves out has the documented default', () => {
  const { settings, generation, loadedAtMs } = snapshotOf({})
  expect({ generation, loadedAtMs }).toEqual({ generation: 1, loadedAtMs: 1000 })
  expect(settings).toMatchObject({
    file: resolve('t.yaml'),
    gateway: { host: '127.0.0.1', port: 8080, workers: 1 },
    admin: { host: '127.0.0.1', port: 9090, tokens: [], insecure: false },
    redis: { url: '', expectExisting: false },
    dataDir: resolve('data'),
    pricesFile: resolve('price-book.yaml'),
    entitlementsFile: resolve('entitlements.yaml'),
    upstreams: [],
    metering: {
      unpricedModel: 'deny',
      unpricedKind: 'parent',
      unmeteredPaths: [
        { method: 'GET', path: '/v1/models' },
        { method: 'GET', path: '/v1/models/*' },
      ],
      bufferBytes: 262_144,
    },
    answers: { streamCost: false },
    runHeaders: [],
    metrics: { maxSeries: 2000 },
  })
  expect(settings.limits).toEqual({
    headersMs: 10_000,
    requestMs: 60_000,
    fileMs: 900_000,
    keepAliveMs: 65_000,
    requestsPerSocket: 1000,
    headerBytes: 16_384,
    headerCount: 200,
    pathBytes: 4096,
    connections: 10_000,
    connectionsPerAddress: undefined,
    bodyBytes: 33_554_432,
    fileBytes: 268_435_456,
    batchLineBytes: 8_388_608,
    jsonDepth: 128,
    upstreamConnectMs: 5000,
    upstreamFirstByteStreamMs: 120_000,
    upstreamFirstByteJsonMs: 600_000,
    upstreamIdleMs: 120_000,
    upstreamTotalMs: 900_000,
    redisCommandMs: 300,
    redisConnectMs: 1000,
    redisBreakerFailures: 5,
    redisBreakerWindowMs: 1000,
    redisProbeMs: 500,
    holdDeadlineMs: 120_000,
    checkpointEveryMs: 30_000,
    jobDeadlineMs: 93_600_000,
    jobLateWindowMs: 604_800_000,
    pollFirstMs: 2_000,
    pollMostMs: 60_000,
    pollsPerUpstream: 4,
    webhookTimeoutMs: 15_000,
    webhookRetryFirstMs: 5_000,
    webhookRetryMostMs: 3_600_000,
    webhookRetryForMs: 259_200_000,
    webhookLeaseMs: 15_000,
    webhookConnections: 16,
    drains: 64,
    drainBytes: 8_388_608,
    graceMs: 30_000,
  })
})

test('what a plan leaves out has the documented default', () => {
  expect(snapshotOf({ entitlements: PLAN }).plans.get('pro')).toEqual({
    name: 'pro',
    unit: 'USD',
    scale: 9,
    timezone: 'UTC',
    onExhausted: { mode: 'block' },
    enforcement: 'enforce',
    models: ['*'],
    endpoints: undefined,
    maxCostPerCallAtoms: undefined,
    maxCostPerBatchAtoms: undefined,
    maxOutputTokens: undefined,
    batchOutputTokens: 1024,
    trim: { enabled: true, minOutputTokens: 256, minReasoningTokens: 4096, structured: false, tools: true },
    streaming: undefined,
    require: [],
    hold: { input: 'worst', output: 'ceiling', tokenizer: 'estimate' },
    topUpUrl: undefined,
  })
})

test.each<[written: string, expected: object]>([
  [
    'on_exhausted: { mode: negative, floor: "-20.00" }',
    { onExhausted: { mode: 'negative', floorAtoms: -20_000_000_000n } },
  ],
  [
    'on_exhausted: { mode: overflow, cap: "500" }',
    { onExhausted: { mode: 'overflow', capAtoms: 500_000_000_000n, period: 'month', multiplier: '1' } },
  ],
  ['on_exhausted: { mode: flag }', { onExhausted: { mode: 'flag' } }],
  ['on_exhausted: { mode: postpaid }', { onExhausted: { mode: 'postpaid' } }],
  ['max_cost_per_call: "0.05"', { maxCostPerCallAtoms: 50_000_000n }],
  ['unit: credits, max_cost_per_call: "5"', { unit: 'credits', scale: 0, maxCostPerCallAtoms: 5n }],
  ['streaming: { slice_tokens: 200 }', { streaming: { sliceTokens: 200, onCut: 'finish' } }],
  [
    'trim: { enabled: false }',
    { trim: { enabled: false, minOutputTokens: 256, minReasoningTokens: 4096, structured: false, tools: true } },
  ],
])('a plan with %s', (written, expected) => {
  const texts = { tollgate: 'units: { credits: { scale: 0 } }\n', entitlements: `plans:\n  pro: { ${written} }\n` }
  expect(snapshotOf(texts).plans.get('pro')).toMatchObject(expected)
})

test('an override replaces whole fields, and the most specific wins: key, account, plan', () => {
  const { accounts, keys } = snapshotOf({
    entitlements: `
plans:
  pro: { max_cost_per_call: "1", max_output_tokens: 100, trim: { min_output_tokens: 5, tools: false }, models: [a] }
accounts:
  acme:
    plan: pro
    labels: { team: one, tier: gold }
    plan_overrides: { max_cost_per_call: "2", trim: { min_output_tokens: 7 } }
    keys:
      - { id: plain, sha256: "${SHA('1')}" }
      - { id: own, sha256: "${SHA('2')}", labels: { team: two }, plan_overrides: { max_cost_per_call: "3", models: [b] } }
`,
  })
  const [account, plain, own] = [accounts.get('acme'), keys.get(SHA('1')), keys.get(SHA('2'))]
  expect(account?.plan).toMatchObject({
    maxCostPerCallAtoms: 2_000_000_000n,
    maxOutputTokens: 100,
    models: ['a'],
    trim: { minOutputTokens: 7, tools: true },
  })
  expect(plain?.plan).toBe(account?.plan)
  expect(plain?.labels).toEqual({ team: 'one', tier: 'gold' })
  expect(own?.plan).toMatchObject({ maxCostPerCallAtoms: 3_000_000_000n, models: ['b'], trim: { minOutputTokens: 7 } })
  expect(own?.labels).toEqual({ team: 'two', tier: 'gold' })
  expect(own?.account).toBe(account)
})

test('an override of the unit reads the plan’s amounts in it, and is told where they do not fit', () => {
  const texts = (scale: number) => ({
    tollgate: `units: { credits: { scale: ${scale} } }\n`,
    entitlements:
      'plans:\n  pro: { max_cost_per_call: "0.5" }\naccounts:\n  a: { plan: pro, plan_overrides: { unit: credits } }\n',
  })
  expect(snapshotOf(texts(2)).accounts.get('a')?.plan).toMatchObject({ scale: 2, maxCostPerCallAtoms: 50n })
  expect(problemLines(texts(0))).toEqual([
    'e.yaml:4:19: accounts.a.plan_overrides: "0.5" has 1 decimals; this unit keeps 0',
  ])
})

test.each<[fields: string, auth: string]>([
  ['format: openai, base_url: "https://api.openai.com/v1"', 'bearer'],
  ['format: openai, base_url: "https://me.openai.azure.com"', 'api-key'],
  ['format: openai, base_url: "https://me.services.ai.azure.com/x"', 'api-key'],
  ['format: openai, base_url: "https://me.cognitiveservices.azure.com"', 'api-key'],
  ['format: openai, base_url: "https://openai.azure.com.evil.example"', 'bearer'],
  ['format: anthropic, base_url: "https://api.anthropic.com"', 'x-api-key'],
  ['format: openai, base_url: "https://x.example", auth: none', 'none'],
])('an upstream with %s sends its key as %s', (fields, auth) => {
  expect(upstreams(`  u: { ${fields} }\n`)[0]?.auth).toBe(auth)
})

test.each<[fields: string, auth: unknown]>([
  [
    'base_url: "https://bedrock-runtime.us-east-1.amazonaws.com"',
    { sigv4: { region: 'us-east-1', service: 'bedrock' } },
  ],
  [
    'base_url: "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"',
    { sigv4: { region: 'us-gov-west-1', service: 'bedrock' } },
  ],
  [
    'base_url: "https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com"',
    { sigv4: { region: 'eu-west-3', service: 'bedrock' } },
  ],
  ['base_url: "https://bedrock-runtime.us-east-1.amazonaws.com", api_key: abc', 'bearer'],
  ['base_url: "https://bedrock-runtime.us-east-1.amazonaws.com.evil.example"', 'bearer'],
  [
    'base_url: "https://x.example", auth: { sigv4: { region: a, service: b } }',
    { sigv4: { region: 'a', service: 'b' } },
  ],
  [
    'base_url: "https://x.example", auth: { command: [a, b], refresh: 5m }',
    { command: ['a', 'b'], refreshMs: 300_000 },
  ],
  ['base_url: "https://x.example", auth: { gcp: adc }', { gcp: 'adc' }],
])('a bedrock upstream with %s proves itself so', (fields, auth) => {
  expect(upstreams(`  u: { format: bedrock, ${fields} }\n`)[0]?.auth).toEqual(auth)
})

test('upstreams keep the order of the file, and a base URL loses its last slash', () => {
  const read = upstreams(
    '  b: { format: openai, base_url: "https://b.example/v1/" }\n  a: { format: anthropic, base_url: "http://a.example", models: [], on_disconnect: { mode: cancel, max_seconds: 5 }, headers: { X-One: "1" } }\n',
  )
  expect(read.map((upstream) => [upstream.name, upstream.baseUrl.href])).toEqual([
    ['b', 'https://b.example/v1'],
    ['a', 'http://a.example/'],
  ])
  expect(read[1]).toMatchObject({
    models: [],
    onDisconnect: { mode: 'cancel', maxMs: 5000 },
    headers: { 'x-one': '1' },
  })
})

test('workers: auto is one for each core', () => {
  expect(snapshotOf({ tollgate: 'gateway: { workers: auto }\n' }).settings.gateway.workers).toBe(availableParallelism())
})

test('a reachable admin port is taken with tokens and a word that it is meant', () => {
  const token = `{ name: ops, sha256: "${SHA('c')}", role: operator }`
  const { admin } = snapshotOf({
    tollgate: `admin: { host: 0.0.0.0, tokens: [ ${token} ], insecure: true }\n`,
  }).settings
  expect(admin.tokens).toEqual([{ name: 'ops', sha256: SHA('c'), role: 'operator' }])
})

test('the price book keeps the order of its entries, and cost and charge apart', () => {
  const { priceBook } = snapshotOf({
    prices: `unit: EUR
markup: "1.10"
entries:
  - match: { upstream: u, model: "gpt-*", team: x }
    from: 2026-01-01
    per_million: { input: "0.25" }
    per_unit: { web_search: "0.01" }
    context_window: 400000
  - { match: { account: acme }, from: 2026-01-01T12:30:00+02:00, unit: USD, charge: { markup: "0.9" } }
  - { max_output_tokens: 10 }
`,
  })
  expect(priceBook).toMatchObject({ unit: 'EUR', markup: '1.10' })
  expect(priceBook.version).toMatch(/^[0-9a-f]{12}$/)
  expect(priceBook.entries).toEqual([
    {
      match: { upstream: 'u', model: 'gpt-*', team: 'x' },
      fromMs: Date.UTC(2026, 0, 1),
      unit: 'EUR',
      cost: { perMillion: { input: '0.25' }, perUnit: { web_search: '0.01' } },
      charge: undefined,
      contextWindow: 400000,
      maxOutputTokens: undefined,
      source: undefined,
      position: 'p.yaml:4',
    },
    {
      match: { account: 'acme' },
      fromMs: Date.UTC(2026, 0, 1, 10, 30),
      unit: 'USD',
      cost: undefined,
      charge: { rates: { perMillion: {}, perUnit: {} }, markup: '0.9' },
      contextWindow: undefined,
      maxOutputTokens: undefined,
      source: undefined,
      position: 'p.yaml:9',
    },
    {
      match: {},
      fromMs: 0,
      unit: 'EUR',
      cost: undefined,
      charge: undefined,
      contextWindow: undefined,
      maxOutputTokens: 10,
      source: undefined,
      position: 'p.yaml:10',
    },
  ])
})

test.each<[value: string, environment: Record<string, string>, expected: string]>([
  [`\${A}`, { A: 'x' }, 'x'],
  [`\${A:-d}`, { A: 'x' }, 'x'],
  [`\${A:-d}`, {}, 'd'],
  [`\${A:-d}`, { A: '' }, 'd'],
  [`\${A:-}`, {}, ''],
  [`\${A}`, { A: '' }, ''],
  [`a\${A}b\${B:-:-}c`, { A: '1' }, 'a1b:-c'],
  [`\${A}`, { A: `\${B}`, B: 'not again' }, `\${B}`],
  ['$A $ {A}', {}, '$A $ {A}'],
])('%s with %j is "%s"', (value, environment, expected) => {
  const texts = { tollgate: `upstreams:\n  u: { format: openai, base_url: "http://x", api_key: "${value}" }\n` }
  expect(snapshotOf(texts, environment).settings.upstreams[0]?.apiKey).toBe(expected)
})

test.each<[value: string, line: string]>([
  [`\${NONE}`, `t.yaml:1:18: the environment has no NONE; set it, or write \${NONE:-default}`],
  [`\${a-b}`, `t.yaml:1:18: no name of a variable between \${ and }; write \${NAME} or \${NAME:-default}`],
  [`x\${A`, `t.yaml:1:18: a reference to the environment is not closed; write \${NAME} or \${NAME:-default}`],
  [`\${constructor}`, `t.yaml:1:18: the environment has no constructor; set it, or write \${constructor:-default}`],
])('%s is a problem at its place', (value, line) => {
  expect(problemLines({ tollgate: `gateway: { host: "${value}" }\n` })[0]).toBe(line)
})

test('a number and a flag may come from the environment, and keys are not replaced', () => {
  const tollgate = `gateway: { port: "\${PORT:-8081}" }\nadmin: { insecure: "\${FLAG}" }\n`
  const { settings } = snapshotOf({ tollgate }, { FLAG: 'true' })
  expect([settings.gateway.port, settings.admin.insecure]).toEqual([8081, true])
  expect(problemLines({ tollgate: `"\${KEY}": 1\n` }, { KEY: 'version' })).toHaveLength(1)
})

test('host and Redis are the environment’s where the file says nothing, and the file’s where it does', () => {
  const environment = { TOLLGATE_HOST: '::1', REDIS_URL: 'redis://r:1' }
  const silent = snapshotOf({}, environment).settings
  expect([silent.gateway.host, silent.redis.url]).toEqual(['::1', 'redis://r:1'])
  const said = snapshotOf({ tollgate: 'gateway: { host: 127.0.0.2 }\nredis: { url: "" }\n' }, environment).settings
  expect([said.gateway.host, said.redis.url]).toEqual(['127.0.0.2', ''])
})

test('the version follows the texts, and nothing else', () => {
  const version = (texts: object) => snapshotOf(texts).version
  expect(version({})).toMatch(/^[0-9a-f]{12}$/)
  expect(version({})).toBe(version({}))
  expect(new Set([{}, { tollgate: '{}\n' }, { entitlements: PLAN }, { prices: '{}\n' }].map(version)).size).toBe(4)
})

test('warnings name what is valid and most likely not meant, and are no problems', () => {
  const parsed = parseTexts({
    entitlements: 'plans:\n  pro: { unit: credits }\naccounts:\n  a: { plan: pro }\n  b: { plan: pro }\n',
    prices: 'entries:\n  - { match: { upstream: opnai }, per_million: { input: "1" } }\n',
  })
  expect(parsed.problems).toBeUndefined()
  expect(parsed.snapshot?.warnings).toEqual([
    't.yaml:1:1: warning: no upstreams; every call is refused',
    'e.yaml:2:3: warning: plans.pro: is in credits, and no price is, nor a rate from one that is; its calls are refused as unit_mismatch',
    'e.yaml:2:3: warning: plans.pro: blocks without funds, and nothing here funds it; its accounts can spend what "tollgate grant" gives them',
    'p.yaml:2:26: warning: entries[0].match.upstream: fits no upstream that there is',
  ])
})

test.each([
  ['an entry in it', 'entries: [ { match: {}, unit: credits, per_million: { input: "1" } } ]\n', ''],
  ['a rate from the unit of an entry', 'entries: [ { match: {}, per_million: { input: "1" } } ]\n', 'USD'],
  ['a rate from the unit of the catalog', 'catalog: genai-prices\n', 'USD'],
  ['neither entries nor a catalog', 'catalog: none\n', ''],
])('a plan in another unit is no cause for a warning with %s', (_, prices, from) => {
  const rates = from && `rates: [ { from: ${from}, to: credits, rate: "100", valid_from: 2026-01-01 } ]\n`
  const warnings = (text: string) =>
    parseTexts({ entitlements: `plans:\n  pro: { unit: credits }\n${text}`, prices }).snapshot?.warnings
  expect(warnings(rates)).toEqual(['t.yaml:1:1: warning: no upstreams; every call is refused'])
  if (rates) expect(warnings('')).toContainEqual(expect.stringContaining('unit_mismatch'))
})
