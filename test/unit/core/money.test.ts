import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AmountError, ATOMS_MAX, formatAmount, parseAmount } from '../../../src/core/money.ts'

test.each<[string, number, bigint]>([
  ['0', 9, 0n],
  ['-0', 9, 0n],
  ['1', 9, 1_000_000_000n],
  ['1.05', 9, 1_050_000_000n],
  ['0.000000001', 9, 1n],
  ['-20.00', 9, -20_000_000_000n],
  ['1.5000000000000', 9, 1_500_000_000n],
  ['7', 0, 7n],
  ['7.000', 0, 7n],
  ['12.3456', 4, 123_456n],
  ['9007199.254740991', 9, ATOMS_MAX],
  ['-9007199.254740991', 9, -ATOMS_MAX],
])('"%s" at scale %i is %s atoms', (text, scale, atoms) => {
  expect(parseAmount(text, scale)).toBe(atoms)
})

test.each<[string, number, string]>([
  ['9007199.254740992', 9, 'out_of_range'],
  ['-9007199.254740992', 9, 'out_of_range'],
  ['9999999999999999999999999', 9, 'out_of_range'],
  ['0.0000000001', 9, 'invalid'],
  ['1.5', 0, 'invalid'],
  ['', 9, 'invalid'],
  ['1.', 9, 'invalid'],
  ['.5', 9, 'invalid'],
  ['01', 9, 'invalid'],
  ['+1', 9, 'invalid'],
  ['1e3', 9, 'invalid'],
  ['1,000', 9, 'invalid'],
  [' 1', 9, 'invalid'],
  ['1\n', 9, 'invalid'],
  ['nan', 9, 'invalid'],
  ['١', 9, 'invalid'],
])('"%s" at scale %i is %s', (text, scale, code) => {
  expect(() => parseAmount(text, scale)).toThrow(expect.objectContaining({ code }))
  expect(() => parseAmount(text, scale)).toThrow(AmountError)
})

test('an amount printed and read again is the same', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  fc.assert(
    fc.property(fc.bigInt({ min: -ATOMS_MAX, max: ATOMS_MAX }), fc.nat(12), (atoms, scale) => {
      expect(parseAmount(formatAmount(atoms, scale), scale)).toBe(atoms)
    }),
    { seed, numRuns: 2000 },
  )
})

test.each<[bigint, number, string]>([
  [1_050_000_000n, 9, '1.05'],
  [-1n, 9, '-0.000000001'],
  [0n, 9, '0'],
  [100n, 0, '100'],
  [100n, 2, '1'],
])('%s atoms at scale %i are printed as %s', (atoms, scale, text) => {
  expect(formatAmount(atoms, scale)).toBe(text)
})
