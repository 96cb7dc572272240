import { describe, expect, test } from 'vitest'
import { exactOf } from '../../../src/core/decimal-sum.ts'
import { ReportError, type ReportFormat, readProviderReport } from '../../../src/reports/provider-usage.ts'
import { type OwnDay, reconcile } from '../../../src/reports/reconcile.ts'

const START = Date.parse('2026-11-02T00:00:00Z') / 1000

const OPENAI = {
  object: 'page',
  data: [
    {
      start_time: START,
      results: [
        { model: 'gpt-5-mini-2025-08-07', input_tokens: 1000, input_cached_tokens: 800, output_tokens: 500 },
        { model: 'gpt-5-mini-2025-08-07', batch: true, input_tokens: 10, output_tokens: 5 },
      ],
    },
    { start_time: START + 86_400, results: [] },
  ],
  has_more: false,
}
const ANTHROPIC = {
  data: [
    {
      starting_at: '2026-11-02T00:00:00Z',
      results: [
        {
          model: 'claude-sonnet-4-5-20250929',
          uncached_input_tokens: 100,
          cache_creation: { ephemeral_1h_input_tokens: 20, ephemeral_5m_input_tokens: 3 },
          cache_read_input_tokens: 4000,
          output_tokens: 70,
        },
      ],
    },
  ],
  has_more: false,
}
const COST = {
  data: [
    {
      start_time: START,
      results: [
        { amount: { value: 0.25, currency: 'usd' }, line_item: 'gpt-5-mini-2025-08-07, input' },
        { amount: { value: 1e-7, currency: 'usd' }, line_item: 'gpt-5-mini-2025-08-07, output' },
      ],
    },
  ],
}

describe('what a provider reports', () => {
  test.each<[ReportFormat, unknown, unknown]>([
    ['openai-usage', OPENAI, { lastDay: '2026-11-03', rows: [{ input: 1000n, output: 500n }, { input: 10n }] }],
    ['anthropic-usage', ANTHROPIC, { lastDay: '2026-11-02', rows: [{ input: 4123n, output: 70n }] }],
    [
      'openai-cost',
      COST,
      { rows: [{ model: 'gpt-5-mini-2025-08-07', cost: { unit: 'USD' } }, { cost: { parts: exactOf('0.0000001') } }] },
    ],
    ['openai-usage', [{ ...OPENAI, has_more: true }, OPENAI], { rows: [{}, {}, {}, {}] }],
  ])('%s', (format, report, expected) => {
    expect(readProviderReport(JSON.stringify(report), format)).toMatchObject({
      firstDay: '2026-11-02',
      ...(expected as object),
    })
  })

  test('csv', () => {
    const text = 'day,model,input_tokens,output_tokens,cost\r\n2026-11-02,"gpt-5",7,,0.5\n\n'
    expect(readProviderReport(text, 'csv').rows).toEqual([
      { day: '2026-11-02', model: 'gpt-5', input: 7n, output: undefined, cost: { unit: 'USD', parts: exactOf('0.5') } },
    ])
  })

  test.each<[ReportFormat, string, RegExp]>([
    ['openai-usage', '{', /not JSON/],
    ['openai-usage', '{}', /no "data"/],
    ['openai-usage', 'null', /no "data"/],
    ['openai-usage', '{"data":[]}', /no day/],
    ['openai-usage', JSON.stringify({ ...OPENAI, has_more: true }), /has_more/],
    ['openai-usage', '{"data":[{"start_time":0}]}', /no "results"/],
    ['openai-usage', '{"data":[{"start_time":0,"results":[{"input_tokens":-1}]}]}', /"-1" is no number/],
    ['openai-cost', '{"data":[{"start_time":0,"results":[{"amount":{}}]}]}', /no amount/],
    ['csv', 'date,model\n', /no column "date"/],
    ['csv', 'day,model\n2026-11-02', /line 2 has 1 cells/],
    ['csv', 'day,cost\n2026-11-02,free', /"free" is no cost/],
    ['csv', 'day\nyesterday', /"yesterday" is no day/],
  ])('%s: %s says what is wrong', (format, text, message) => {
    expect(() => readProviderReport(text, format)).toThrow(ReportError)
    expect(() => readProviderReport(text, format)).toThrow(message)
  })
})

const OWN: OwnDay = {
  ...{ day: '2026-11-02', model: 'gpt-5-mini', upstream: 'openai', input: 1010n, output: 505n },
  cost: { USD: exactOf('0.25') },
}
const rows = (format: ReportFormat, report: unknown) => readProviderReport(JSON.stringify(report), format).rows

test('a dated snapshot is the model that was asked for, and what is equal does not differ', () => {
  const compared = reconcile(rows('openai-usage', OPENAI), [OWN], 0n)
  expect(compared.map(({ measure, ledger, provider, differs }) => [measure, ledger, provider, differs])).toEqual([
    ['input', '1010', '1010', false],
    ['output', '505', '505', false],
  ])
})

test.each([
  [1015n, false],
  [1016n, true],
  [1005n, false],
  [1004n, true],
])('at half a percent %d for 1010 differs: %s', (input, differs) => {
  const [compared] = reconcile(rows('openai-usage', OPENAI), [{ ...OWN, input }], 5000n)
  expect(compared?.differs).toBe(differs)
})

test('both ways: what only one side has differs, but not what went to other upstreams', () => {
  const own = [
    { ...OWN, model: 'gpt-5' },
    { ...OWN, day: '2026-11-03' },
    { ...OWN, model: 'claude-sonnet-4-5', upstream: 'anthropic' },
  ]
  const differing = reconcile(rows('openai-usage', OPENAI), own, 0n).filter(({ differs }) => differs)
  expect(differing.map(({ day, model, measure }) => `${day} ${model} ${measure}`)).toEqual([
    '2026-11-02 gpt-5 input',
    '2026-11-02 gpt-5 output',
    '2026-11-02 gpt-5-mini-2025-08-07 input',
    '2026-11-02 gpt-5-mini-2025-08-07 output',
    '2026-11-03 gpt-5-mini-2025-08-07 input',
    '2026-11-03 gpt-5-mini-2025-08-07 output',
  ])
})

test('a report of days without any usage differs from a ledger that has some', () => {
  expect(reconcile([], [OWN], 0n).map(({ model, measure, differs }) => [model, measure, differs])).toEqual([
    ['all models', 'input', true],
    ['all models', 'output', true],
  ])
})

test('costs are compared in their unit, of all models where the report does not tell them apart', () => {
  const [byModel] = reconcile(rows('openai-cost', COST), [OWN], 5000n)
  expect(byModel).toMatchObject({ measure: 'USD', ledger: '0.25', provider: '0.2500001', differs: false })
  const whole = {
    data: [{ start_time: START, results: [{ amount: { value: 0.5, currency: 'usd' }, line_item: null }] }],
  }
  expect(reconcile(rows('openai-cost', whole), [OWN, { ...OWN, model: 'gpt-5' }], 0n)).toEqual([
    { day: '2026-11-02', model: 'all models', measure: 'USD', ledger: '0.5', provider: '0.5', differs: false },
  ])
})
