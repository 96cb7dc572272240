import { describe, expect, test } from 'vitest'
import { type CallFacts, type Dimension, parseDimensions } from '../../../src/reports/dimensions.ts'
import { chargedOf, marginOf, TooManyGroups, UsageReport } from '../../../src/reports/usage-report.ts'
import type { Funding, LedgerEntry } from '../../../src/wallet/wallet-types.ts'

const FACTS: CallFacts = {
  account: 'acme',
  model: 'gpt-5-mini',
  key: 'ci-bot',
  labels: { team: 'core', model: 'label' },
}
const FUNDING: Readonly<Record<string, Funding>> = { gift: 'promotional', card: 'external', sold: 'invoiced' }
const fundingOf = (grant: string): Funding => FUNDING[grant] ?? 'promotional'

let seq = 0
/** transfers: from, to, atoms. */
function entry(
  type: string,
  at: string,
  transfers: readonly (readonly [string, string, bigint])[],
  fields: Readonly<Record<string, unknown>> = {},
): LedgerEntry {
  const legs = transfers.flatMap(([from, to, atoms]) => [
    { account: from, atoms: -atoms },
    { account: to, atoms },
  ])
  seq += 1
  const rest = { op: `call-${seq}`, actor: 'gateway', unit: 'USD', scale: 9, balanceAfter: {} }
  return { seq, atMs: Date.parse(at), type, legs, fields, ...rest }
}

function dimensions(by: string): readonly Dimension[] {
  const parsed = parseDimensions(by)
  if ('wrong' in parsed) throw new Error(parsed.wrong)
  return parsed
}

function report(
  by: string,
  entries: readonly LedgerEntry[],
  more: { facts?: CallFacts; timezone?: string; groupsMax?: number } = {},
) {
  const { facts = FACTS, timezone = 'UTC', groupsMax = 100 } = more
  const span = { sinceMs: Date.parse('2026-11-01T00:00:00Z'), untilMs: Date.parse('2026-12-01T00:00:00Z') }
  const made = new UsageReport({ by: dimensions(by), ...span, timezone, groupsMax })
  for (const one of entries) made.add(one, facts, fundingOf)
  return made
}

const CALL = { tokens: { input: 10, output: 5, reasoning: 2 }, cost: '0.000000001', cost_unit: 'USD' }
const settle = (at: string, transfers: readonly (readonly [string, string, bigint])[], fields = {}) =>
  entry('settle', at, transfers, { ...CALL, ...fields })

test('a charge over grants and overage stands once as a call, and in three parts as money', () => {
  const [group] = report('', [
    settle('2026-11-10T12:00:00Z', [
      ['grant:gift', 'consumed', 3n],
      ['grant:card', 'consumed', 4n],
      ['debt', 'consumed', 5n],
    ]),
  ]).groups()
  expect(group).toMatchObject({
    calls: 1,
    promotional: 3n * 10n ** 15n,
    paid: 4n * 10n ** 15n,
    overage: 5n * 10n ** 15n,
  })
  expect(group && marginOf(group)).toBe(11n * 10n ** 15n)
  expect(Object.fromEntries(group?.tokens ?? [])).toEqual(CALL.tokens)
})

test('by funding each part stands in its own group, and the call with the first that paid', () => {
  const groups = report('funding', [
    settle('2026-11-10T12:00:00Z', [
      ['grant:gift', 'consumed', 3n],
      ['overflow:2026-11', 'consumed', 5n],
    ]),
  ]).groups()
  expect(groups.map(({ values, calls, cost }) => [values[0], calls, cost.size])).toEqual([
    ['overflow', 0, 0],
    ['promotional', 1, 1],
  ])
})

test('a late settle changes the charge and is no call of its own', () => {
  const [group] = report('', [
    entry('timeout', '2026-11-10T12:00:00Z', [['grant:card', 'consumed', 9n]]),
    entry('late_settle', '2026-11-10T13:00:00Z', [['consumed', 'grant:card', 5n]], CALL),
  ]).groups()
  expect(group).toMatchObject({ calls: 1, timeouts: 1, lateSettles: 1, paid: 4n * 10n ** 15n, refunded: 0n })
})

test('a refund counts when it was made, in the group of its charge', () => {
  const groups = report('model', [
    settle('2026-10-31T23:59:59Z', [['grant:card', 'consumed', 9n]]),
    entry('refund', '2026-11-01T00:00:00Z', [['consumed', 'grant:card', 9n]]),
  ]).groups()
  expect(groups.map((group) => [group.values[0], group.calls, chargedOf(group), group.refunded])).toEqual([
    ['gpt-5-mini', 0, 0n, 9n * 10n ** 15n],
  ])
})

test.each([
  ['UTC', '2026-11-09', '2026-11'],
  ['Pacific/Auckland', '2026-11-10', '2026-11'],
])('day and month of %s', (timezone, day, month) => {
  const [group] = report('day,month', [settle('2026-11-09T23:30:00Z', [])], { timezone }).groups()
  expect(group?.values).toEqual([day, month])
})

test.each([
  ['team', 'core'],
  ['model', 'gpt-5-mini'],
  ['label.model', 'label'],
  ['none', null],
  ['toString', null],
  ['__proto__', null],
])('by %s: %s', (by, value) => {
  expect(report(by, [settle('2026-11-09T00:00:00Z', [])]).groups()[0]?.values).toEqual([value])
})

test('more groups than may be is an error, not memory', () => {
  const made = report('user', [], { groupsMax: 2 })
  const add = (user: string) => made.add(settle('2026-11-09T00:00:00Z', []), { account: 'a', user }, fundingOf)
  add('1')
  add('2')
  add('2')
  expect(() => add('3')).toThrow(TooManyGroups)
})

describe('the margin', () => {
  test.each([
    ['in another unit is not known', { cost: '1', cost_unit: 'EUR' }, undefined],
    ['without any cost is not known', { cost: undefined, cost_unit: undefined }, undefined],
    ['in the same unit is what is left', { cost: '0.000000002', cost_unit: 'USD' }, 7n * 10n ** 15n],
  ])('%s', (_, fields, margin) => {
    const [group] = report('', [settle('2026-11-09T00:00:00Z', [['grant:sold', 'consumed', 9n]], fields)]).groups()
    expect(group && marginOf(group)).toBe(margin)
  })
})

test.each([
  ['a,b,c,d,e,f,g,h,i', /names 9 dimensions/],
  ['model,model', /"model" twice/],
  ['model,', /"" is neither/],
  ['a b', /"a b" is neither/],
])('"%s" says what is wrong', (by, message) => {
  expect(parseDimensions(by)).toEqual({ wrong: expect.stringMatching(message) })
})
