import { describe, expect, test } from 'vitest'
import { ControlFigures, type Verdict } from '../../../src/reports/control-figures.ts'
import { ControlsOfAccount, type OverageLimit } from '../../../src/reports/controls.ts'
import { RatioCounts } from '../../../src/reports/ratio-counts.ts'
import type { Grant, LedgerEntry, Refusal } from '../../../src/wallet/wallet-types.ts'

const SPAN = { sinceMs: 1000, untilMs: 2000 }
const GRANT = { id: 'g', effectiveAtMs: 0, expiresAtMs: 1500 } as Grant

let seq = 0
function entry(type: string, atMs: number, more: Partial<LedgerEntry> = {}): LedgerEntry {
  seq += 1
  return {
    seq,
    atMs,
    type,
    op: 'call',
    actor: '',
    unit: 'USD',
    scale: 0,
    legs: [],
    balanceAfter: {},
    fields: {},
    ...more,
  }
}

function hold(atMs: number, op: string, over: string, amount: string): LedgerEntry {
  return entry('hold', atMs, { op, fields: { key: 'k', over: { account: over, amount }, slices: [] } })
}

function owes(account: string, atoms: bigint): LedgerEntry['legs'] {
  return [
    { account, atoms: -atoms },
    { account: 'consumed', atoms },
  ]
}

interface Given {
  readonly entries?: readonly LedgerEntry[]
  readonly refusals?: readonly Refusal[]
  readonly limitOf?: OverageLimit
}

async function figuresOf(given: Given): Promise<ControlFigures> {
  const { entries = [], refusals = [], limitOf = async () => ({ limitAtoms: 100n }) } = given
  const figures = new ControlFigures()
  const controls = new ControlsOfAccount([figures], SPAN, [GRANT], limitOf)
  for (const refusal of refusals) controls.addRefusal(refusal)
  for (const one of entries) controls.add(one)
  await controls.judged()
  return figures
}

function verdict(figures: ControlFigures, name: string): Verdict | undefined {
  return figures.controls().find(({ control }) => control === name)?.verdict
}

describe('overage against the policy', () => {
  const SETTLED = entry('settle', 900, { op: 'a', legs: owes('debt', 60n) })
  test.each([
    [
      'at the limit with what is owed and what is held',
      [SETTLED, hold(1100, 'b', 'debt', '30'), hold(1200, 'c', 'debt', '10')],
      0,
    ],
    ['one beyond it', [SETTLED, hold(1100, 'b', 'debt', '30'), hold(1200, 'c', 'debt', '11')], 1],
    [
      'what ended holds nothing',
      [SETTLED, hold(1100, 'b', 'debt', '40'), entry('void', 1150, { op: 'b' }), hold(1200, 'c', 'debt', '40')],
      0,
    ],
    [
      'a slice more of a stream counts',
      [SETTLED, hold(1100, 'b', 'debt', '40'), { ...hold(1200, 'b', 'debt', '1'), type: 'checkpoint' }],
      1,
    ],
    [
      'another period has a cap of its own',
      [hold(1100, 'b', 'overflow:2026-10', '80'), hold(1200, 'c', 'overflow:2026-11', '80')],
      0,
    ],
    ['before the span it is not judged', [hold(900, 'b', 'debt', '500')], 0],
  ])('%s', async (_, entries, beyond) => {
    const figures = await figuresOf({ entries })
    expect(figures.overageBeyond).toBe(beyond)
    expect(verdict(figures, 'overage')).toBe(beyond === 0 ? 'ok' : 'look')
  })

  test('of a policy that is no more is counted apart, and one without a limit never exceeds it', async () => {
    const limitOf: OverageLimit = async (_, owed) => (owed === 'debt' ? 'other' : 'unlimited')
    const entries = [hold(1100, 'b', 'debt', '500'), hold(1100, 'c', 'postpaid', '500')]
    expect(await figuresOf({ entries, limitOf })).toMatchObject({
      overageHolds: 2,
      overageOfOtherPolicy: 1,
      overageBeyond: 0,
    })
  })
})

test.each([
  ['at its expiry', 1500, 1],
  ['a moment before', 1499, 0],
])('a grant that is drawn on %s', async (_, atMs, outside) => {
  const figures = await figuresOf({
    entries: [entry('hold', atMs, { fields: { slices: [{ grant: 'g', amount: '1' }] } })],
  })
  expect(figures.drawnOutside).toBe(outside)
})

test('a refusal for money that needed no more than there was is looked at; one for a stop has no amounts', async () => {
  const refusal = { atMs: 1100, operation: 'hold', id: 'x', rule: '' } as const
  const refusals = [
    { ...refusal, status: 'insufficient_funds', needed: 11n, available: 10n },
    { ...refusal, status: 'stopped', rule: 'run:r', needed: 0n, available: 0n },
    { ...refusal, status: 'insufficient_funds', needed: 11n, available: 10n, atMs: 2000 },
  ]
  const fine = await figuresOf({ refusals })
  expect([verdict(fine, 'refusals'), Object.fromEntries(fine.refusals)]).toEqual([
    'ok',
    { insufficient_funds: 1, 'stopped run:r': 1 },
  ])
  const wrong = await figuresOf({ refusals: [{ ...refusal, status: 'budget_exceeded', needed: 10n, available: 10n }] })
  expect(verdict(wrong, 'refusals')).toBe('look')
})

const settle = (charged: string, held: string, more = {}) =>
  entry('settle', 1100, { fields: { charged, hold: held, usage_source: 'provider', ...more } })

test.each<[string, string, Verdict, readonly LedgerEntry[]]>([
  ['hold_accuracy', 'holds of twice the charge', 'ok', [settle('5', '10')]],
  ['hold_accuracy', 'holds of ten times the charge', 'look', [settle('1', '10')]],
  ['hold_accuracy', 'a charge beyond its hold', 'look', [settle('11', '10')]],
  ['overruns', 'an overrun', 'look', [settle('11', '10', { overrun: '1' })]],
  ['unreconciled', 'a timeout', 'look', [entry('timeout', 1100)]],
  ['unreconciled', 'a timeout that was settled late', 'ok', [entry('timeout', 1100), entry('late_settle', 1200)]],
  ['estimates', 'an estimate among few', 'look', [settle('1', '2', { usage_source: 'estimate' })]],
])('%s: %s: %s', async (control, _, expected, entries) => {
  expect(verdict(await figuresOf({ entries }), control)).toBe(expected)
})

test('quantiles are at most one percent above what they are, however many there are', () => {
  const counts = new RatioCounts()
  for (let i = 1; i <= 10_000; i++) counts.add(i / 100)
  for (const [q, is] of [
    [0.1, 10],
    [0.5, 50],
    [0.99, 99],
    [1, 100],
  ] as const) {
    const found = counts.quantile(q) ?? 0
    expect(found).toBeGreaterThanOrEqual(is - 0.01)
    expect(found).toBeLessThanOrEqual(is * 1.012)
  }
  counts.add(Number.NaN)
  counts.add(Number.POSITIVE_INFINITY)
  counts.add(0)
  expect(counts.total).toBe(10_001)
  expect(new RatioCounts().quantile(0.5)).toBeUndefined()
})
