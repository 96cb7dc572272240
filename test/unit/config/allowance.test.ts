import { expect, test } from 'vitest'
import { parseTexts, problemLines, snapshotOf, type Texts } from './config-texts.ts'

const SHA = 'a'.repeat(64)
const plan = (fields: string): Texts => ({ entitlements: `plans:\n  pro: { allowance: { ${fields} } }\n` })

test('what an allowance leaves out has the documented default', () => {
  const allowance = (fields: string) => snapshotOf(plan(fields)).plans.get('pro')?.allowance
  expect(allowance('amount: "10.00", every: month')).toEqual({
    unit: 'USD',
    scale: 9,
    amountAtoms: 10_000_000_000n,
    every: 'month',
    timezone: 'UTC',
    anchor: 1,
    funding: 'promotional',
    rollover: undefined,
    onChange: 'keep',
    terms: expect.stringMatching(/^[0-9a-f]{12}$/),
  })
  expect(allowance('amount: "10.00", every: month, rollover: {}')?.rollover).toEqual({
    percentMillionths: 1_000_000,
    minAtoms: 0n,
    maxAtoms: 10_000_000_000n,
  })
  expect(allowance('amount: "1", every: day, rollover: { percent: "12.5", min: "0.1", max: "0.5" }')?.rollover).toEqual(
    {
      percentMillionths: 125_000,
      minAtoms: 100_000_000n,
      maxAtoms: 500_000_000n,
    },
  )
})

test.each<[name: string, fields: string, line: string]>([
  ['no amount', 'every: day', 'e.yaml:2:10: plans.pro.allowance.amount: is missing'],
  ['an amount of nothing', 'amount: "0", every: day', 'e.yaml:2:31: plans.pro.allowance.amount: "0" is not above zero'],
  [
    'an amount without quotes',
    'amount: 5, every: day',
    'e.yaml:2:31: plans.pro.allowance.amount: "5" is a number; quote it: write "5"',
  ],
  [
    'an amount finer than the unit',
    'amount: "0.0000000001", every: day',
    'e.yaml:2:31: plans.pro.allowance.amount: "0.0000000001" has 10 decimals; this unit keeps 9',
  ],
  [
    'a period that there is not',
    'amount: "1", every: fortnight',
    'e.yaml:2:43: plans.pro.allowance.every: "fortnight" is not one of day, week, month, quarter, year',
  ],
  [
    'a day of no month',
    'amount: "1", every: month, anchor: 32',
    'e.yaml:2:58: plans.pro.allowance.anchor: "32" is out of range; from 1 to 31',
  ],
  [
    'a weekday that there is not',
    'amount: "1", every: week, anchor: 8',
    'e.yaml:2:57: plans.pro.allowance.anchor: 8 is no weekday; from 1 (Monday) to 7 (Sunday)',
  ],
  [
    'an anchor of days',
    'amount: "1", every: day, anchor: 2',
    'e.yaml:2:56: plans.pro.allowance.anchor: a day begins at midnight; leave it out',
  ],
  [
    'more than all of it',
    'amount: "1", every: day, rollover: { percent: "101" }',
    'e.yaml:2:69: plans.pro.allowance.rollover.percent: "101" is out of range; from "0" to "100"',
  ],
  [
    'a least above the most',
    'amount: "1", every: day, rollover: { min: "3", max: "2" }',
    'e.yaml:2:58: plans.pro.allowance.rollover: min "3" is above max "2"',
  ],
  [
    'a least above the amount',
    'amount: "1", every: day, rollover: { min: "3" }',
    'e.yaml:2:58: plans.pro.allowance.rollover: min "3" is above max "1" (the amount, where it is left out)',
  ],
  [
    'a word for a change that there is not',
    'amount: "1", every: day, on_change: topup',
    'e.yaml:2:59: plans.pro.allowance.on_change: "topup" is not one of keep, top_up, replace; did you mean "top_up"?',
  ],
])('%s is refused at its place', (_, fields, line) => {
  expect(problemLines(plan(fields))).toEqual([line])
})

const ACCOUNT = (account: string, key = '') => ({
  entitlements: `plans:
  pro: { allowance: { amount: "1", every: day } }
accounts:
  a: { plan: pro, ${account} keys: [ { id: k, sha256: ${SHA}, ${key} } ] }
`,
})

test('an account’s override replaces it whole, and its keys share it whatever they override', () => {
  const { accounts, keys, plans } = snapshotOf(
    ACCOUNT('plan_overrides: { allowance: { amount: "5", every: week } },', 'plan_overrides: { unit: JPY }'),
  )
  expect(plans.get('pro')?.allowance).toMatchObject({ every: 'day' })
  const own = accounts.get('a')?.plan.allowance
  expect(own).toMatchObject({ amountAtoms: 5_000_000_000n, every: 'week', unit: 'USD' })
  expect(keys.get(SHA)?.plan).toMatchObject({ unit: 'JPY', allowance: own })
})

test('a key has none of its own', () => {
  expect(problemLines(ACCOUNT('', 'plan_overrides: { allowance: { amount: "1", every: day } }'))).toEqual([
    'e.yaml:4:129: accounts.a.keys[0].plan_overrides.allowance: a wallet belongs to the account; write it in the account’s plan_overrides, and cap the key by a budget',
  ])
})

test('a plan that blocks and has an allowance is no blind alley', () => {
  expect(parseTexts(ACCOUNT('')).snapshot?.warnings.filter((line) => line.includes('without funds'))).toEqual([])
  expect(
    parseTexts({ entitlements: 'plans:\n  pro: {}\naccounts:\n  a: { plan: pro }\n' }).snapshot?.warnings,
  ).toContainEqual(expect.stringContaining('without funds'))
})
