/** `alerts` and `auto_top_up` of a plan: their defaults, and what is refused. */
import { expect, test } from 'vitest'
import { alertsAt } from '../../../src/core/alerts.ts'
import { problemLines, snapshotOf, type Texts } from './config-texts.ts'

const plan = (fields: string): Texts => ({ entitlements: `plans:\n  pro: { ${fields} }\n` })
const alertsOf = (fields: string) => snapshotOf(plan(fields)).plans.get('pro')?.alerts

test('what a plan wants to hear of is what its alerts say, and nothing where it has none', () => {
  expect(alertsOf('unit: USD')).toBeUndefined()
  expect(
    alertsOf(
      'alerts: [ { at: 20%, of: granted }, { at: 2.5% }, { below: "5.00" }, { hours_left: 24 }, { expires_in: 7d } ]',
    ),
  ).toEqual({
    quiet: false,
    lows: [
      { kind: 'granted', millionths: 200_000 },
      { kind: 'granted', millionths: 25_000 },
      { kind: 'below', atoms: 5_000_000_000n },
      { kind: 'hours', hours: 24 },
    ],
    expiresInMs: 604_800_000,
    topUp: undefined,
  })
  expect(alertsOf('auto_top_up: { below: "5", amount: "20", at_most: "100" }')?.topUp).toEqual({
    belowAtoms: 5_000_000_000n,
    amountAtoms: 20_000_000_000n,
    atMostAtoms: 100_000_000_000n,
    waitMs: 600_000,
    period: { kind: 'calendar', every: 'month', timezone: 'UTC', anchor: 1, weekStart: 1 },
  })
})

test.each(['on_exhausted: { mode: postpaid }', 'enforcement: observe'])('a plan of %s never runs out', (fields) => {
  expect(alertsOf(fields)).toEqual({ quiet: true, lows: [], expiresInMs: undefined, topUp: undefined })
})

test('a call carries the period that it falls in, as one object for all calls of the period', () => {
  const alerts = alertsOf(
    'timezone: Europe/Paris, auto_top_up: { below: "5", amount: "20", at_most: "100", per: day }',
  ) as NonNullable<ReturnType<typeof alertsOf>>
  const at = (time: string) => alertsAt(alerts, Date.parse(time))
  const first = at('2026-11-25T23:00:00Z')
  expect(first.topUp?.bounds.map((ms) => new Date(ms).toISOString().slice(0, 13))).toEqual([
    '2026-11-24T23',
    '2026-11-25T23',
    '2026-11-26T23',
    '2026-11-27T23',
  ])
  expect(at('2026-11-26T22:59:59Z')).toBe(first)
  expect(at('2026-11-26T23:00:00Z').topUp?.bounds[1]).toBe(first.topUp?.bounds[2])
})

test('the alerts of an account are those of its own plan, whatever its keys override', () => {
  const { keys } = snapshotOf({
    entitlements: `plans:
  pro: { alerts: [ { below: "5" } ] }
accounts:
  a:
    plan: pro
    plan_overrides: { alerts: [ { below: "7" } ] }
    keys: [ { id: k, sha256: "${'a'.repeat(64)}", plan_overrides: { max_cost_per_call: "1" } } ]
`,
  })
  const [key] = keys.values()
  expect(key?.plan.alerts?.lows).toEqual([{ kind: 'below', atoms: 7_000_000_000n }])
})

test.each<[name: string, fields: string, line: string]>([
  [
    'a share without its sign',
    'alerts: [ { at: 20 } ]',
    'e.yaml:2:26: plans.pro.alerts[0].at: "20" is no share above 0% and below 100%; write it like 20% or 2.5%',
  ],
  [
    'a share of nothing',
    'alerts: [ { at: 0% } ]',
    'e.yaml:2:26: plans.pro.alerts[0].at: "0%" is no share above 0% and below 100%; write it like 20% or 2.5%',
  ],
  [
    'an empty alert',
    'alerts: [ {} ]',
    'e.yaml:2:20: plans.pro.alerts[0]: needs one of at, below, hours_left, expires_in',
  ],
  [
    'two in one',
    'alerts: [ { at: 20%, below: "5" } ]',
    'e.yaml:2:20: plans.pro.alerts[0]: needs one of at, below, hours_left, expires_in; write two alerts',
  ],
  [
    '`of` without `at`',
    'alerts: [ { below: "5", of: granted } ]',
    'e.yaml:2:20: plans.pro.alerts[0]: `of` goes with `at` alone',
  ],
  [
    'two notices of expiry',
    'alerts: [ { expires_in: 3d }, { expires_in: 4d } ]',
    'e.yaml:2:40: plans.pro.alerts[1]: a second expires_in; leave one',
  ],
  [
    'more decimals than its unit keeps',
    'alerts: [ { below: "0.0000000001" } ]',
    'e.yaml:2:29: plans.pro.alerts[0].below: "0.0000000001" has 10 decimals; this unit keeps 9',
  ],
  [
    'a top-up that never may be asked for',
    'auto_top_up: { below: "5", amount: "20", at_most: "10" }',
    'e.yaml:2:60: plans.pro.auto_top_up.at_most: "10" is below amount "20": nothing would ever be asked for',
  ],
  [
    'a top-up without a bound',
    'auto_top_up: { below: "5", amount: "20" }',
    'e.yaml:2:10: plans.pro.auto_top_up.at_most: is missing',
  ],
])('%s is refused', (_, fields, line) => {
  expect(problemLines(plan(fields))).toEqual([line])
})

test.each(['alerts: [ { below: "5" } ]', 'auto_top_up: { below: "5", amount: "20", at_most: "100" }'])(
  'a key has no %s of its own',
  (fields) => {
    const [name = ''] = fields.split(':')
    const texts = {
      entitlements: `plans: { pro: {} }
accounts:
  a: { plan: pro, keys: [ { id: k, sha256: "${'a'.repeat(64)}", plan_overrides: { ${fields} } } ] }
`,
    }
    expect(problemLines(texts)).toEqual([
      expect.stringContaining(
        `accounts.a.keys[0].plan_overrides.${name}: a wallet belongs to the account; write it in the account’s plan_overrides`,
      ),
    ])
  },
)
