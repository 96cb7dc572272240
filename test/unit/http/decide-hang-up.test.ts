import { expect, test } from 'vitest'
import { decideHangUp, type HungUpCall } from '../../../src/http/decide-hang-up.ts'

const STREAMING: HungUpCall = { ended: false, sent: true, nameless: false, mode: 'drain', drains: 3, drainsMax: 64 }

test.each<[string, Partial<HungUpCall>, string]>([
  ['an open answer is read on', {}, 'drain'],
  ['not where the upstream is to be cancelled', { mode: 'cancel' }, 'cancel'],
  ['not where as many are read on as may be', { drains: 64 }, 'cancel'],
  ['the last one that may be is', { drains: 63 }, 'drain'],
  ['what was never sent costs nothing', { sent: false }, 'never_sent'],
  ['what has its end is only let go', { ended: true }, 'let_go'],
  ['nor is it never sent then', { ended: true, sent: false }, 'let_go'],
  [
    'a call that goes on waits for its name, also where others are cancelled',
    { nameless: true, mode: 'cancel' },
    'await_name',
  ],
  ['and beyond the number that may be read on', { nameless: true, drains: 64 }, 'await_name'],
  ['but not where it was never sent', { nameless: true, sent: false }, 'never_sent'],
])('%s', (_name, call, expected) => {
  expect(decideHangUp({ ...STREAMING, ...call })).toBe(expected)
})
