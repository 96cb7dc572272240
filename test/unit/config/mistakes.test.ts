import { expect, test } from 'vitest'
import { EVENTS } from '../../../src/core/event-names.ts'
import { PLAN, problemLines, snapshotOf, type Texts } from './config-texts.ts'

const SHA = 'a'.repeat(64)
const entitlements = (text: string): Texts => ({ entitlements: text })
const plan = (fields: string): Texts => entitlements(`plans:\n  pro: { ${fields} }\n`)
const upstream = (fields: string): Texts => ({
  tollgate: `upstreams:\n  u: { format: openai, base_url: "https://x.example", ${fields} }\n`,
})
const entry = (fields: string): Texts => ({ prices: `entries:\n  - { ${fields} }\n` })

test('four planted mistakes are four lines at their places', () => {
  const text = `version: 1
plans:
  pro:
    enforcement: enforced
    max_ouput_tokens: 10
  basic: {}
accounts:
  acme: { plan: pro }
  globex: { plan: basc }
  acme: { plan: basic }
`
  expect(problemLines(entitlements(text))).toEqual([
    'e.yaml:4:18: plans.pro.enforcement: "enforced" is not one of enforce, observe; did you mean "enforce"?',
    'e.yaml:5:5: plans.pro: unknown field "max_ouput_tokens"; did you mean "max_output_tokens"?',
    'e.yaml:9:19: accounts.globex.plan: unknown plan "basc"; did you mean "basic"?',
    'e.yaml:10:3: accounts.acme: duplicate account "acme"; it stands above already',
  ])
})

test('problems of all three files are told together, by file and position', () => {
  expect(
    problemLines({ tollgate: 'versoin: 1\n', entitlements: 'plan: {}\n', prices: 'unit: tokens\nentrys: []\n' }),
  ).toEqual([
    't.yaml:1:1: unknown field "versoin"; did you mean "version"?',
    'e.yaml:1:1: unknown field "plan"; did you mean "plans"?',
    'p.yaml:1:7: unit: "tokens" is a measure of budgets, not a unit of money',
    'p.yaml:2:1: unknown field "entrys"; did you mean "entries"?',
  ])
})

test.each<[name: string, texts: Texts, lines: string[]]>([
  ['an empty file', { tollgate: '' }, ['t.yaml:1:1: the file is empty; it needs at least "version: 1"']],
  ['another version', { tollgate: 'version: 2\n' }, ['t.yaml:1:10: version: "2" is out of range; from 1 to 1']],
  ['a list for a map', { tollgate: 'gateway: [a]\n' }, ['t.yaml:1:10: gateway: the value is not a map of fields']],
  [
    'a map for a list',
    { prices: 'entries: { a: 1 }\n' },
    ['p.yaml:1:10: entries: the value is not a list, like [a, b]'],
  ],
  [
    'keys of an AWS signature that are none',
    upstream('api_key: AKIA-secret, auth: { sigv4: { region: us-east-1 } }'),
    [
      't.yaml:2:64: upstreams.u.api_key: is no pair of AWS keys; write ACCESS_KEY_ID:SECRET_ACCESS_KEY (and :SESSION_TOKEN), or leave it out for AWS’s own chain of providers',
    ],
  ],
  [
    'a field without a value',
    { tollgate: 'gateway:\n  host:\n' },
    ['t.yaml:2:8: gateway.host: is empty; give it a value or leave it out'],
  ],
  [
    'a section without fields',
    { tollgate: 'gateway:\n' },
    ['t.yaml:1:9: gateway: is empty; give it a value or leave it out'],
  ],
  [
    'a port that is none',
    { tollgate: 'gateway: { port: 70000 }\n' },
    ['t.yaml:1:18: gateway.port: "70000" is out of range; from 0 to 65535'],
  ],
  [
    'an amount without quotes',
    plan('max_cost_per_call: 0.50'),
    ['e.yaml:2:29: plans.pro.max_cost_per_call: "0.50" is a number; quote it: write "0.50"'],
  ],
  [
    'an amount that is none',
    plan('max_cost_per_call: "1,5"'),
    ['e.yaml:2:29: plans.pro.max_cost_per_call: "1,5" is not a decimal; write it like "10.50"'],
  ],
  [
    'too many decimals for the unit',
    { tollgate: 'units: { JPY: { scale: 2 } }\n', ...plan('unit: JPY, max_cost_per_call: "0.125"') },
    ['e.yaml:2:40: plans.pro.max_cost_per_call: "0.125" has 3 decimals; this unit keeps 2'],
  ],
  [
    'an amount beyond what Redis keeps',
    plan('max_cost_per_call: "10000000"'),
    ['e.yaml:2:29: plans.pro.max_cost_per_call: "10000000" is beyond the largest amount, 9007199.254740991'],
  ],
  [
    'a floor above zero',
    plan('on_exhausted: { mode: negative, floor: "5" }'),
    ['e.yaml:2:49: plans.pro.on_exhausted.floor: "5" is above zero; a floor is "0" or like "-20.00"'],
  ],
  [
    'a mode that is none',
    plan('on_exhausted: { mode: blok }'),
    [
      'e.yaml:2:32: plans.pro.on_exhausted.mode: "blok" is not one of block, negative, overflow, flag, postpaid; did you mean "block"?',
    ],
  ],
  [
    'a mode without its field',
    plan('on_exhausted: { mode: overflow }'),
    ['e.yaml:2:10: plans.pro.on_exhausted.cap: is missing'],
  ],
  [
    'a misspelt needed field is told once',
    plan('on_exhausted: { mode: overflow, capp: "1" }'),
    ['e.yaml:2:42: plans.pro.on_exhausted: unknown field "capp"; did you mean "cap"?'],
  ],
  [
    'a field of another mode',
    plan('on_exhausted: { mode: block, floor: "0" }'),
    ['e.yaml:2:39: plans.pro.on_exhausted: unknown field "floor"; it does not go with the other fields here'],
  ],
  [
    'a multiplier too fine',
    plan('on_exhausted: { mode: overflow, cap: "1", multiplier: "1.1234567" }'),
    ['e.yaml:2:64: plans.pro.on_exhausted.multiplier: "1.1234567" has more than six decimals'],
  ],
  [
    'a time zone that is none',
    plan('timezone: Mars/Base'),
    ['e.yaml:2:20: plans.pro.timezone: "Mars/Base" is no time zone; write it like UTC or Europe/Paris'],
  ],
  [
    'an endpoint that is none',
    plan('endpoints: [chat, mesages]'),
    [
      'e.yaml:2:28: plans.pro.endpoints[1]: "mesages" is not one of chat, responses, completions, embeddings, messages, images, speech, transcriptions, realtime, batches, generate_content, predict, converse, invoke, rerank, ocr, generate; did you mean "messages"?',
    ],
  ],
  ['slices without a size', plan('streaming: {}'), ['e.yaml:2:10: plans.pro.streaming.slice_tokens: is missing']],
  [
    'a name with blanks',
    entitlements(`${PLAN}accounts:\n  "a b": { plan: pro }\n`),
    ['e.yaml:4:3: accounts.a b: "a b" is no account name; use letters, digits and . _ : @ / + - (at most 128)'],
  ],
  [
    'a label that could not be matched',
    entitlements(`${PLAN}accounts:\n  a: { plan: pro, labels: { model: x } }\n`),
    ['e.yaml:4:29: accounts.a.labels.model: "model" is a word of `match` itself; give the label another name'],
  ],
  [
    'an account without a plan',
    entitlements(`${PLAN}accounts:\n  a: {}\n`),
    ['e.yaml:4:3: accounts.a.plan: is missing'],
  ],
  [
    'two plans of one name',
    entitlements('plans:\n  pro: {}\n  pro: {}\n'),
    ['e.yaml:3:3: plans.pro: duplicate plan "pro"; it stands above already'],
  ],
  [
    'two keys of one id',
    entitlements(
      `${PLAN}accounts:\n  a:\n    plan: pro\n    keys:\n      - { id: k, sha256: ${SHA} }\n      - { id: k, sha256: ${'b'.repeat(64)} }\n`,
    ),
    ['e.yaml:8:15: accounts.a.keys[1].id: duplicate key "k"; the first is in line 7'],
  ],
  [
    'one key of two accounts',
    entitlements(
      `${PLAN}accounts:\n  a: { plan: pro, keys: [ { id: k, sha256: ${SHA} } ] }\n  b: { plan: pro, keys: [ { id: k, sha256: ${SHA.toUpperCase()} } ] }\n`,
    ),
    ['e.yaml:5:44: accounts.b.keys[0].sha256: duplicate key with this sha256; the first is in line 4'],
  ],
  [
    'two upstreams of one name',
    {
      tollgate:
        'upstreams:\n  u: { format: openai, base_url: "https://x.example" }\n  u: { format: openai, base_url: "https://x.example" }\n',
    },
    ['t.yaml:3:3: upstreams.u: duplicate upstream "u"; it stands above already'],
  ],
  [
    'a base URL with a query',
    { tollgate: 'upstreams:\n  u: { format: openai, base_url: "https://x.example/?k=1" }\n' },
    ['t.yaml:2:34: upstreams.u.base_url: the value has a query or a fragment; leave it out'],
  ],
  [
    'a base URL of another scheme',
    { tollgate: 'upstreams:\n  u: { format: openai, base_url: "ftp://x.example" }\n' },
    ['t.yaml:2:34: upstreams.u.base_url: the value is no URL; write it like https://api.example.com'],
  ],
  [
    'a header that is ours to set',
    upstream('headers: { Authorization: x }'),
    ['t.yaml:2:66: upstreams.u.headers.Authorization: "Authorization" is set by the gateway itself; leave it out'],
  ],
  [
    'a duration without a unit',
    { tollgate: 'limits: { grace: 30 }\n' },
    ['t.yaml:1:18: limits.grace: "30" is not a duration; write it like 250ms, 30s, 10m, 24h or 30d'],
  ],
  [
    'a size in another unit',
    { tollgate: 'limits: { body_bytes: 32MB }\n' },
    ['t.yaml:1:23: limits.body_bytes: "32MB" is not a size; write a number of bytes, or like 256KiB or 32MiB'],
  ],
  [
    'checkpoints rarer than deadlines',
    { tollgate: 'limits: { hold_deadline: 20s }\n' },
    ['t.yaml:1:26: limits.hold_deadline: has to be longer than checkpoint_every (30s), or open calls time out'],
  ],
  [
    'an admin port open to all',
    { tollgate: 'admin: { host: 0.0.0.0 }\n' },
    [
      't.yaml:1:16: admin.host: "0.0.0.0" is reachable from outside; that needs tokens and insecure: true (TLS is not there yet)',
    ],
  ],
  [
    'a unit that is a measure',
    { tollgate: 'units: { tokens: { scale: 0 } }\n' },
    ['t.yaml:1:10: units.tokens: "tokens" is no unit of money; write an ISO 4217 code like USD or a name like credits'],
  ],
  [
    'a Redis address that is none',
    { tollgate: 'redis: { url: "localhost:6379" }\n' },
    [
      't.yaml:1:15: redis.url: is no Redis address; write redis://host:port, rediss://…, the path of a unix socket, or "" for the embedded one',
    ],
  ],
  [
    'an unmetered path without a method',
    { tollgate: 'metering: { unmetered_paths: [/v1/models] }\n' },
    ['t.yaml:1:31: metering.unmetered_paths[0]: "/v1/models" is no unmetered path; write it like "GET /v1/models/*"'],
  ],
  [
    'a price without quotes',
    entry('per_million: { input: 2.50 }'),
    ['p.yaml:2:29: entries[0].per_million.input: "2.50" is a number; quote it: write "2.50"'],
  ],
  [
    'a price below zero',
    entry('per_million: { input: "-1" }'),
    ['p.yaml:2:29: entries[0].per_million.input: "-1" is below zero'],
  ],
  [
    'a kind that is none',
    entry('per_million: { inptu: "1" }'),
    ['p.yaml:2:22: entries[0].per_million: unknown field "inptu"; did you mean "input"?'],
  ],
  [
    'an entry that sets nothing',
    entry('match: { model: "gpt-*" }'),
    [
      'p.yaml:2:5: entries[0]: sets nothing; give it per_million, per_unit, charge, like, tiers, context_window or max_output_tokens',
    ],
  ],
  [
    'a date that is none',
    entry('from: 2026-02-30, charge: {}'),
    ['p.yaml:2:13: entries[0].from: "2026-02-30" is no date; write it like 2026-01-31 or 2026-01-31T09:00:00Z'],
  ],
  [
    'two prices from one day',
    {
      prices:
        'entries:\n  - { match: { model: a, upstream: u }, from: 2026-01-01, charge: {} }\n  - { match: { upstream: u, model: a }, from: 2026-01-01T00:00:00Z, charge: {} }\n',
    },
    ['p.yaml:3:5: entries[1]: a second charge of the same match and from; the first is in line 2'],
  ],
  [
    'a price by run',
    entry('match: { run: x }, charge: {}'),
    ['p.yaml:2:16: entries[0].match.run: "run" is the caller’s word; prices cannot depend on it'],
  ],
])('%s', (_, texts, lines) => {
  expect(problemLines(texts)).toEqual(lines)
})

test.each<[field: string, texts: Texts, line: string]>([
  [
    'on_redis_down',
    { tollgate: 'on_redis_down: { mode: allow }\n' },
    't.yaml:1:24: on_redis_down.mode: "allow": not supported yet',
  ],
  [
    'redis.sentinel',
    { tollgate: 'redis: { sentinel: { name: m } }\n' },
    't.yaml:1:10: redis.sentinel: not supported yet',
  ],
  ['redis.cluster', { tollgate: 'redis: { cluster: [a] }\n' }, 't.yaml:1:10: redis.cluster: not supported yet'],
  [
    'redis.durability',
    { tollgate: 'redis: { durability: { holds: wait } }\n' },
    't.yaml:1:10: redis.durability: not supported yet',
  ],
])('%s is refused until it does something', (_, texts, line) => {
  expect(problemLines(texts)).toEqual([line])
})

test('a ledger keeps what retries are answered from', () => {
  const short = { tollgate: 'ledger: { keep: 1h }\n' }
  expect(problemLines(short)).toEqual(['t.yaml:1:17: ledger.keep: "1h" is out of range; from 2h to 3650d'])
})

test('a directory of books is exported to once', () => {
  const twice = { tollgate: 'ledger: { export: [ { jsonl: a/ }, { jsonl: b/ }, { jsonl: a/ } ] }\n' }
  expect(problemLines(twice)).toEqual(['t.yaml:1:19: ledger.export: names a directory twice; leave one out'])
})

test.each<[name: string, texts: Texts]>([
  [
    'in tollgate.yaml',
    {
      tollgate:
        'auth: { jwt: [] }\non_redis_down: { mode: deny }\nledger: { export: [] }\nredis: { durability: { holds: none, money_in: none } }\n',
    },
  ],
  ['of an upstream', upstream('missing_usage: estimate, charge_by: ours')],
  [
    'in entitlements.yaml',
    entitlements('plans:\n  pro: { hold: { input: worst, output: ceiling } }\nbudgets: []\nrates: []\ndefaults: {}\n'),
  ],
])('what is not supported yet may be written as what happens without it %s', (_, texts) => {
  expect(problemLines(texts)).toEqual([])
})

const HOOK_SECRET = `whsec_${'QUJD'.repeat(8)}`
const hook = (url: string, more = `secret: ${HOOK_SECRET}`): Texts =>
  entitlements(`webhooks: [ { url: "${url}", ${more} } ]\n`)
const hookSecret = (secret: string): Texts => hook('https://a.example/h', `secret: "${secret}"`)
const MAKE = 'write whsec_ and 24 to 64 random bytes in base64 ("echo whsec_$(openssl rand -base64 32)" makes one)'

test.each<[name: string, texts: Texts, line: string]>([
  [
    'http beyond this machine',
    hook('http://ops.example/h'),
    'e.yaml:1:20: webhooks[0].url: is http beyond this machine: anyone on the way could read the events; write https',
  ],
  [
    'a user in the url',
    hook('https://me:word@ops.example/h'),
    'e.yaml:1:20: webhooks[0].url: has a user or password in it; leave them out',
  ],
  ['a fragment', hook('https://ops.example/h#x'), 'e.yaml:1:20: webhooks[0].url: has a fragment; leave it out'],
  ['no secret', hook('https://a.example/h', 'events: ["*"]'), 'e.yaml:1:13: webhooks[0].secret: is missing'],
  [
    'an empty secret',
    hookSecret(`\${HOOK_SECRET:-}`),
    `e.yaml:1:51: webhooks[0].secret: is empty: events are never sent unsigned; ${MAKE}`,
  ],
  [
    'a short secret',
    hookSecret(`whsec_${'QUJD'.repeat(7)}`),
    `e.yaml:1:51: webhooks[0].secret: is too short, of 21 bytes; ${MAKE}`,
  ],
  [
    'a long secret',
    hookSecret(`whsec_${'QUJD'.repeat(22)}`),
    `e.yaml:1:51: webhooks[0].secret: is too long, of 66 bytes; ${MAKE}`,
  ],
  [
    'another secret',
    hookSecret('correct horse battery staple'),
    `e.yaml:1:51: webhooks[0].secret: is no secret; ${MAKE}`,
  ],
  [
    'an empty list of secrets',
    hook('https://a.example/h', 'secret: []'),
    `e.yaml:1:51: webhooks[0].secret: is empty: events are never sent unsigned; ${MAKE}`,
  ],
  [
    'a bad secret in a list',
    hook('https://a.example/h', `secret: [ ${HOOK_SECRET}, "whsec_QUJD" ]`),
    `e.yaml:1:51: webhooks[0].secret: number 2 is too short, of 3 bytes; ${MAKE}`,
  ],
  [
    'one secret twice',
    hook('https://a.example/h', `secret: [ ${HOOK_SECRET}, ${HOOK_SECRET} ]`),
    'e.yaml:1:51: webhooks[0].secret: has a secret twice; write each once',
  ],
  [
    'very many secrets',
    hook('https://a.example/h', `secret: [ ${[...'ABCDE'].map((c) => `whsec_${`QUJ${c}`.repeat(8)}`).join(', ')} ]`),
    'e.yaml:1:51: webhooks[0].secret: has more than 4 secrets',
  ],
  [
    'an event that is none',
    hook('https://a.example/h', `secret: ${HOOK_SECRET}, events: [wallet.lo]`),
    'e.yaml:1:100: webhooks[0].events[0]: "wallet.lo" is no event; did you mean "wallet.low"?',
  ],
  [
    'a pattern that fits none',
    hook('https://a.example/h', `secret: ${HOOK_SECRET}, events: ["wallets.*"]`),
    `e.yaml:1:100: webhooks[0].events[0]: "wallets.*" is no event; events: ${EVENTS.join(', ')}`,
  ],
  [
    'two of one url',
    entitlements(
      `webhooks:\n  - { url: "https://a.example", secret: ${HOOK_SECRET} }\n  - { url: "https://A.example/", secret: ${HOOK_SECRET} }\n`,
    ),
    'e.yaml:3:12: webhooks[1].url: duplicate receiver with this url; the first is in line 2',
  ],
  [
    'too many',
    entitlements(
      `webhooks:\n${Array.from({ length: 17 }, (_, i) => `  - { url: "https://a.example/${i}", secret: ${HOOK_SECRET} }\n`).join('')}`,
    ),
    'e.yaml:2:3: webhooks: has more than 16 receivers',
  ],
])('a receiver of events with %s is refused', (_, texts, line) => {
  expect(problemLines(texts)).toEqual([line])
})

test('a receiver is told of all events of all accounts unless it says otherwise; on this machine by http too', () => {
  const { webhooks } = snapshotOf(hook('http://127.0.0.1:8000/h'))
  expect(webhooks).toMatchObject([{ url: 'http://127.0.0.1:8000/h', events: ['*'], accounts: ['*'] }])
})

test('a secret in a list of its own is the same receiver as without the list', () => {
  const receiver = (secret: string) => snapshotOf(hook('https://a.example/h', `secret: ${secret}`)).webhooks[0]
  const alone = receiver(HOOK_SECRET)
  const listed = receiver(`[${HOOK_SECRET}]`)
  const two = receiver(`[${HOOK_SECRET}, whsec_${'QUJE'.repeat(8)}]`)
  expect(listed).toEqual(alone)
  expect([two?.id, two?.secrets.length]).toEqual([alone?.id, 2])
  expect(two?.fingerprint).not.toBe(alone?.fingerprint)
})

test('a secret is in no message, whatever is wrong with its field', () => {
  const secret = 'sk-canary-1234567890'
  const texts: Texts[] = [
    upstream(`api_key: [${secret}]`),
    upstream(`api_key: "${secret}\\u0001"`),
    upstream(`api_key: "\${${secret}}"`),
    upstream(`api_key: "${secret}`),
    upstream(`api_key: *${secret}`),
    upstream(`api_key: !${secret} x`),
    upstream(`headers: { x-key: "${secret}\\u0000" }`),
    { tollgate: `redis: { url: "${secret}" }\n` },
    hookSecret(secret),
    hookSecret(`whsec_${secret}`),
    hook(`https://${secret}:x@a.example`),
    { tollgate: `admin: { tokens: [ { name: a, sha256: ${secret}, role: viewer } ] }\n` },
    { tollgate: `upstreams:\n  u: { format: openai, base_url: "https://user:${secret}@x.example" }\n` },
    entitlements(`${PLAN}accounts:\n  a: { plan: pro, keys: [ { id: k, sha256: ${secret} } ] }\n`),
  ]
  for (const text of texts) {
    const lines = problemLines(text)
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.join('\n')).not.toContain('canary')
  }
  const fromEnvironment = problemLines({ tollgate: `gateway: { port: "\${P}" }\n` }, { P: secret })
  expect(fromEnvironment).toEqual([`t.yaml:1:18: gateway.port: "\${P}" is not a whole number`])
})

test('thousands of problems are two hundred lines and a count', () => {
  const text = Array.from({ length: 5000 }, (_, i) => `f${i}: 1\n`).join('')
  const lines = problemLines({ tollgate: text })
  expect(lines).toHaveLength(201)
  expect(lines[200]).toBe('t.yaml:201:1: 4800 more problems from here on')
})
