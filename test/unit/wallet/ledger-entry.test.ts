import { describe, expect, test } from 'vitest'
import { decodeEntry } from '../../../src/wallet/ledger-entry.ts'
import { replayLedger } from '../../../src/wallet/replay.ts'

const entry = (seq: number, type: string, transfers: string, extra: string, op = 'OP', info = '') =>
  decodeEntry(seq, `${type}|1000|${op}||USD|2|${transfers}|5,0|${extra}`, info)

describe('an entry', () => {
  test('of a settle has what it took, apart by where it came from', () => {
    const decoded = entry(
      9,
      'settle',
      'grant:A>consumed=150,grant:B>expired=7,debt>consumed=50',
      'hold=220;overrun=20',
      'OP',
      '{"model":"m"}',
    )
    expect(decoded).toMatchObject({
      seq: 9,
      atMs: 1000,
      type: 'settle',
      op: 'OP',
      actor: 'gateway',
      unit: 'USD',
      scale: 2,
    })
    expect(decoded.fields).toEqual({
      model: 'm',
      hold: '2.2',
      overrun: '0.2',
      charged: '2',
      drawn: [{ grant: 'A', amount: '1.5' }],
      overage: { mode: 'negative', amount: '0.3' },
      late: false,
    })
    expect(decoded.legs.reduce((sum, leg) => sum + leg.atoms, 0n)).toBe(0n)
  })

  test.each([
    ['flagged', 'flag'],
    ['postpaid', 'postpaid'],
    ['overflow:2026-11', 'overflow'],
  ])('names the overage of %s', (account, mode) => {
    expect(entry(1, 'timeout', `${account}>consumed=5`, 'hold=5').fields).toMatchObject({
      unreconciled: true,
      overage: { mode, amount: '0.05' },
      charged: '0.05',
    })
  })

  test('of a late settle that gave back is below zero', () => {
    expect(entry(1, 'late_settle', 'consumed>debt=5,consumed>grant:A=10', 'late=1').fields).toMatchObject({
      charged: '-0.15',
      drawn: [{ grant: 'A', amount: '-0.1' }],
      overage: { mode: 'negative', amount: '-0.05' },
      late: true,
    })
  })

  test.each([
    ['a', 'authorized'],
    ['s', 'settled'],
    ['f', 'failed'],
  ])('of a payment says in a word how far it is: %s is %s', (letter, word) => {
    expect(entry(9, 'payment', '', `grant=G1;payment=${letter}`).fields).toEqual({ grant: 'G1', payment: word })
  })

  test('of a hold has its slices', () => {
    expect(entry(1, 'hold', '', 'tokens=8;slices=A:10,B:20;over=overflow:2026-11=5;price=v%2F1').fields).toEqual({
      tokens: 8,
      held: '0.35',
      slices: [
        { grant: 'A', amount: '0.1' },
        { grant: 'B', amount: '0.2' },
      ],
      over: { account: 'overflow:2026-11', amount: '0.05' },
      price_version: 'v/1',
    })
  })
})

describe('a replay', () => {
  const grant = entry(1, 'grant', 'fund:external>grant:A=100', 'grant=A;scope=g;effective=1000;expires=')
  const hold = entry(2, 'hold', '', 'slices=A:60', 'H')

  test('moves what a hold pins, and what its end posts', () => {
    expect(replayLedger([grant, hold]).balances).toMatchObject([
      { availableAtoms: 40n, heldAtoms: 60n, balanceAtoms: 100n },
    ])
    const settled = replayLedger([grant, hold, entry(3, 'settle', 'grant:A>consumed=25', 'hold=60', 'H')])
    expect(settled.balances).toMatchObject([{ availableAtoms: 75n, heldAtoms: 0n, postedAtoms: 25n }])
    expect(settled.openHolds).toEqual([])
  })

  test('is told by a gap, and by a grant that is not in it', () => {
    expect(() => replayLedger([grant, entry(3, 'void', '', '')])).toThrow('3 follows 1')
    expect(() => replayLedger([hold])).toThrow('which is not in it')
  })

  test('counts a grant that is not yet effective as pending', () => {
    expect(replayLedger([grant], 999).balances).toMatchObject([{ pendingAtoms: 100n, availableAtoms: 0n }])
    expect(replayLedger([grant], 1000).balances).toMatchObject([{ pendingAtoms: 0n, availableAtoms: 100n }])
  })
})
