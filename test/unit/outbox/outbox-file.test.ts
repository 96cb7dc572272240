import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { OnExhausted } from '../../../src/config/snapshot.ts'
import { encodeRecord, type OutboxRecord, readRecords } from '../../../src/wallet/outbox-file.ts'
import { terms } from './fake-wallet.ts'

const atoms = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n })
const text = fc.string({ unit: 'binary', maxLength: 30 })
const policy: fc.Arbitrary<OnExhausted> = fc.oneof(
  fc.constantFrom<OnExhausted>({ mode: 'block' }, { mode: 'flag' }, { mode: 'postpaid' }),
  fc.record({ mode: fc.constant('negative' as const), floorAtoms: atoms }),
  fc.record({
    mode: fc.constant('overflow' as const),
    capAtoms: atoms,
    period: fc.constantFrom('day' as const, 'month' as const),
    multiplier: fc.constantFrom('1', '1.5'),
  }),
)
// "5n" in a label must not come back as an amount.
const labels = fc.dictionary(fc.constantFrom('team', 'floorAtoms', 'x'), fc.oneof(text, fc.constant('5n')))

const record: fc.Arbitrary<OutboxRecord> = fc.oneof(
  fc.record({ type: fc.constantFrom('intent' as const, 'dispatched' as const), id: text, account: text }),
  fc.record({ type: fc.constantFrom('dropped' as const, 'acknowledged' as const), id: text }),
  fc.record({ type: fc.constant('progress' as const), id: text, cumulativeAtoms: atoms }),
  fc
    .record({ id: text, account: text, reason: text })
    .map((request) => ({ type: 'void' as const, id: request.id, request })),
  fc
    .record({ id: text, policy, labels, run: fc.option(text, { nil: undefined }), finalAtoms: atoms, info: text })
    .map(({ id, policy, labels, run, finalAtoms, info }) => ({
      type: 'settle' as const,
      id,
      request: {
        terms: terms(id, { onExhausted: policy, facts: { ...terms(id).facts, labels, run } }),
        finalAtoms,
        info,
      },
    })),
)

test('any record reads back as it was written', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 5 }), (records) => {
      const bytes = Buffer.from(records.map(encodeRecord).join(''))
      expect([...readRecords(bytes)]).toEqual(records)
    }),
    { numRuns: 300, verbose: 1 },
  )
})
