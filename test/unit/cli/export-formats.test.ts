import { expect, test } from 'vitest'
import { EXPORT_FORMATS } from '../../../src/cli/export-formats.ts'
import type { LedgerRow } from '../../../src/cli/ledger-rows.ts'

const row = (seq: number, type: string, more: Readonly<Record<string, unknown>> = {}): LedgerRow => ({
  seq,
  at: '2026-11-30T23:59:59.500Z',
  type,
  op: `op-${seq}`,
  actor: 'gateway',
  legs: [],
  balance_after: {},
  unit: 'USD',
  ...more,
})

const CALL = {
  charged: '0.5',
  cost: '0.4',
  cost_unit: 'USD',
  key: 'web',
  upstream: 'openai',
  model: 'gpt-5-mini',
  endpoint: 'chat',
  request_id: 'r1',
  tokens: { input: 10, output: 5, reasoning: 3 },
  labels: { team: 'a' },
  tags: { note: 'x,y' },
}

/** Cells by column; quoted ones as they are read. */
function focus(rows: readonly LedgerRow[]): readonly (Readonly<Record<string, string>> | string)[] {
  const format = EXPORT_FORMATS['focus']
  const columns = format?.head?.trimEnd().split(',') ?? []
  const write = format?.writer('acme', 'Example Ltd')
  return rows.map((entry) => {
    const line = write?.(entry)
    if (line === undefined || line === '') return String(line)
    const cells = [...line.trimEnd().matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))/g)]
    expect(cells).toHaveLength(columns.length)
    return Object.fromEntries(
      columns.map((name, i) => [name, cells[i]?.[1]?.replaceAll('""', '"') ?? cells[i]?.[2] ?? '']),
    )
  })
}

// https://focus.finops.org/focus-specification/v1-2/: feature level Mandatory, and those of them that may be null.
const MANDATORY =
  'BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity PricingUnit ProviderName PublisherName ServiceCategory ServiceName'.split(
    ' ',
  )

test('focus: a charge has every mandatory column, in UTC, with an end that is exclusive', () => {
  const [charge] = focus([row(3, 'settle', CALL)])
  for (const name of MANDATORY) {
    if (name === 'ChargeClass') expect(charge).toMatchObject({ ChargeClass: '' })
    else expect([name, (charge as Record<string, string>)[name]]).not.toEqual([name, ''])
  }
  expect(charge).toMatchObject({
    BilledCost: '0.5',
    BillingCurrency: 'USD',
    BillingPeriodStart: '2026-11-01T00:00:00Z',
    BillingPeriodEnd: '2026-12-01T00:00:00Z',
    ChargePeriodStart: '2026-11-30T23:00:00Z',
    ChargePeriodEnd: '2026-12-01T00:00:00Z',
    ChargeDescription: 'Call: gpt-5-mini chat',
    ConsumedQuantity: '15',
    ConsumedUnit: 'Tokens',
    InvoiceIssuerName: 'Example Ltd',
    PublisherName: 'openai',
    SubAccountId: 'web',
    Tags: '{"team":"a","note":"x,y"}',
    x_ProviderCost: '0.4',
    x_Entry: 'acme:3',
  })
})

test('focus: charges and refunds alone; a refund is below zero, and a correction where its charge was in another month', () => {
  const december = { at: '2026-12-01T00:00:00.000Z' }
  const rows = focus([
    row(1, 'grant', { amount: '10' }),
    row(2, 'hold', { hold: '1' }),
    row(3, 'settle', CALL),
    row(4, 'refund', { charge: 3, amount: '0.2' }),
    row(5, 'settle', { ...CALL, ...december }),
    row(6, 'refund', { charge: 3, amount: '0.1', ...december }),
    row(7, 'refund', { charge: 5, amount: '0.1', ...december }),
    row(8, 'timeout', { charged: '0.3', ...december }),
    row(9, 'late_settle', { ...CALL, charged: '-0.1', ...december }),
    row(10, 'settle', { ...CALL, unit: 'credits' }),
  ])
  expect(rows.map((line) => (typeof line === 'string' ? line : [line['BilledCost'], line['ChargeClass']]))).toEqual([
    '',
    '',
    ['0.5', ''],
    ['-0.2', ''],
    ['0.5', ''],
    ['-0.1', 'Correction'],
    ['-0.1', ''],
    ['0.3', ''],
    ['-0.1', ''],
    'undefined',
  ])
  expect(rows[7]).toMatchObject({ ConsumedQuantity: '', PricingQuantity: '1', PricingUnit: 'Requests' })
})

test('cloudevents: what the specification requires, and an id of its own for each entry', () => {
  const write = EXPORT_FORMATS['cloudevents']?.writer('team/a', '')
  expect(JSON.parse(write?.(row(7, 'settle', CALL)) ?? '')).toEqual({
    specversion: '1.0',
    id: 'team/a:7',
    source: '/tollgate/accounts/team%2Fa',
    type: 'tollgate.ledger.settle',
    subject: 'team/a',
    time: '2026-11-30T23:59:59.500Z',
    datacontenttype: 'application/json',
    data: row(7, 'settle', CALL),
  })
})

test('csv: one line an entry; what would be a formula in a spreadsheet is text', () => {
  const format = EXPORT_FORMATS['csv']
  const line =
    format?.writer('acme', '')(row(3, 'settle', { ...CALL, user: '=1+1', run: 'a"b', charged: '-0.5' })) ?? ''
  expect(line).toContain(`,'=1+1,"a""b",openai,`)
  expect(line).toContain(',-0.5,0.4,USD,')
  expect(line.endsWith('\r\n')).toBe(true)
  expect(line.match(/\n/g)).toHaveLength(1)
})
