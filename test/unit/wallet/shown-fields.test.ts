import { expect, test } from 'vitest'
import { shownFields } from '../../../src/wallet/shown-fields.ts'

test.each([
  ['insufficient_funds', { code: 'insufficient_funds', rule: 'funds' }],
  ['budget_exceeded:daily~USD~day%20Europe%2FParis%201%201~', { code: 'budget_exceeded', rule: 'daily' }],
  ['budget_exceeded:tpm~tokens~rolling60000~key~k', { code: 'rate_limited', rule: 'tpm' }],
  ['budget_exceeded:rph~requests~hour%20UTC%201%201~', { code: 'rate_limited', rule: 'rph' }],
  ['budget_exceeded:rpd~requests~rolling86400000~', { code: 'budget_exceeded', rule: 'rpd' }],
  ['held_by_open_calls:a%20b~concurrent~lifetime~', { code: 'too_many_concurrent', rule: 'a b' }],
  ['held_by_open_calls:daily~USD~lifetime~', { code: 'held_by_open_calls', rule: 'daily' }],
  ['too_many_values:per-run~USD~lifetime~run~R', { code: 'budget_exceeded', rule: 'per-run' }],
])('what enforcement would have said of a hold, %s, is shown as its settle says it', (would, shown) => {
  expect(shownFields({ fields: { would }, unit: 'USD' }, new Map())).toEqual({ would: shown })
})

test('what a settle says of it stays as it is', () => {
  const would = { code: 'model_unpriced', rule: 'price_book' }
  expect(shownFields({ fields: { would }, unit: 'USD' }, new Map())).toEqual({ would })
})

const SCALES = new Map([['YEN', 2]])
const exceeds = (measure: string) => ({
  ...{
    counter_id: '7',
    budget: 'daily',
    measure,
    window: 'lifetime',
    limit: '250',
    spent: '100',
    held: '0',
    needed: '151',
  },
})

test.each([
  ['another unit, which the config names', 'YEN', { limit: '2.5', spent: '1', held: '0', needed: '1.51' }],
  ['another unit of nine decimals', 'EUR', { limit: '0.00000025', needed: '0.000000151' }],
  ['tokens', 'tokens', { limit: '250', spent: '100', needed: '151' }],
  ['the unit of the entry, which are decimals already', 'USD', { limit: '250', needed: '151' }],
])('amounts of a budget in %s', (_, measure, shown) => {
  expect(shownFields({ fields: exceeds(measure), unit: 'USD' }, SCALES)).toMatchObject({ measure, ...shown })
})
