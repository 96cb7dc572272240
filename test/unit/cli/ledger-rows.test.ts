import { expect, test } from 'vitest'
import { LEDGER_COLUMNS, type LedgerRow } from '../../../src/cli/ledger-rows.ts'

const details = (row: object): string =>
  LEDGER_COLUMNS.find(({ title }) => title === 'DETAILS')?.text({
    seq: 1,
    at: '2026-11-26T14:00:00.000Z',
    type: 'event',
    actor: 'gateway',
    legs: [],
    balance_after: {},
    ...row,
  } as unknown as LedgerRow) ?? ''

test.each<[row: object, line: string]>([
  [{ op: 'wallet.low', unit: 'USD', balance: '0.7', below: '0.75' }, 'wallet.low: balance 0.7, below 0.75'],
  [{ op: 'wallet.low', unit: 'USD', share: '20%', balance: '1' }, 'wallet.low: balance 1, share 20%'],
  [{ op: 'wallet.exhausted', unit: 'USD' }, 'wallet.exhausted'],
  [
    { op: 'overage.started', mode: 'overflow', period: '2026-11', amount: '0.2' },
    'overage.started: mode overflow, period 2026-11, amount 0.2',
  ],
  [
    { op: 'budget.exceeded', budget: 'per-run', spent: '1.9', held: '0', limit: '2', resets_at: null },
    'budget.exceeded: budget per-run, spent 1.9, held 0, limit 2',
  ],
  [
    { op: 'grant.expiring', grant: '03MD', left: '4', expires_at: '2026-11-29T00:00:00.000Z' },
    'grant.expiring: left 4, expires at 2026-11-29T00:00:00.000Z; grant 03MD',
  ],
])('a line of the ledger says which event it is and what of: %j', (row, line) => {
  expect(details(row)).toBe(line)
})

test('a line of a hold says which budgets that flag it went beyond', () => {
  expect(details({ type: 'hold', held: '0.1', exceeded: ['tpm', 'soft'] })).toBe('holds 0.1; beyond budget tpm, soft')
})
