import { expect, test } from 'vitest'
import { decideEnd, type EndFacts } from '../../../src/http/decide-end.ts'

const base: EndFacts = {
  ending: 'complete',
  usage: undefined,
  counted: undefined,
  usageFinal: false,
  failedInside: false,
  outputTokens: 0,
  answered: true,
  inputLowTokens: 10,
  inputLikelyTokens: 20,
  onNoAnswer: 'void',
}
const usage = { tokens: { input: 7, output: 3 }, raw: {} }
const counted = { tokens: { audio_input: 5 }, units: { seconds: 1 }, raw: null }
const seen = { tokens: { input: 7, output: 1 }, raw: {} }

test.each<[string, Partial<EndFacts>, string, Record<string, number> | string]>([
  ['a whole answer with usage is charged that', { usage }, 'provider', { input: 7, output: 3 }],
  ['a whole answer without usage is estimated', { outputTokens: 5 }, 'estimate', { input: 20, output: 5 }],
  [
    'a whole answer that states nothing is what was counted',
    { counted, outputTokens: 5 },
    'estimate',
    { audio_input: 5 },
  ],
  ['what is stated goes before what was counted', { counted, usage }, 'provider', { input: 7, output: 3 }],
  ['hanging up on an answer that is only counted', { ending: 'client_gone', counted }, 'estimate', { audio_input: 5 }],
  [
    'hanging up before the answer costs the certain input, whatever was to be counted',
    { ending: 'client_gone', counted, answered: false },
    'estimate',
    { input: 10, output: 0 },
  ],
  [
    'an error inside a 200 after output costs what was counted',
    { failedInside: true, counted, outputTokens: 4 },
    'estimate',
    { audio_input: 5 },
  ],
  ['an explicit zero is zero', { usage: { tokens: {}, raw: {} }, outputTokens: 5 }, 'provider', {}],
  ['nothing sent is void', { ending: 'never_sent', answered: false }, 'void', 'never_sent'],
  ['no answer is void', { ending: 'no_answer', answered: false }, 'void', 'no_answer'],
  [
    'no answer is the floor where the upstream says so',
    { ending: 'no_answer', answered: false, onNoAnswer: 'floor' },
    'estimate',
    { input: 10, output: 0 },
  ],
  ['an error answer costs nothing', { ending: 'refused' }, 'void', 'upstream_refused'],
  ['an error answer with usage costs that', { ending: 'refused', usage }, 'provider', { input: 7, output: 3 }],
  ['an error inside a 200 before any output costs nothing', { failedInside: true }, 'void', 'upstream_refused'],
  [
    'an error inside a 200 after output costs what was delivered',
    { failedInside: true, outputTokens: 4 },
    'estimate',
    { input: 20, output: 4 },
  ],
  ['usage in an error inside a 200 is charged', { failedInside: true, usage }, 'provider', { input: 7, output: 3 }],
  [
    'hanging up before the answer costs the certain input',
    { ending: 'client_gone', answered: false },
    'estimate',
    { input: 10, output: 0 },
  ],
  [
    'hanging up in the stream costs what was produced',
    { ending: 'client_gone', outputTokens: 9 },
    'estimate',
    { input: 20, output: 9 },
  ],
  [
    'hanging up: input that was reported counts, output is the greater',
    { ending: 'client_gone', usage: seen, outputTokens: 9 },
    'estimate',
    { input: 7, output: 9 },
  ],
  [
    'hanging up after the last usage is exact',
    { ending: 'client_gone', usage, usageFinal: true, outputTokens: 9 },
    'provider',
    { input: 7, output: 3 },
  ],
  ['a cut is what was delivered', { ending: 'cut', outputTokens: 1000 }, 'estimate', { input: 20, output: 1000 }],
  [
    'a broken stream is what was produced',
    { ending: 'upstream_failed', outputTokens: 6 },
    'estimate',
    { input: 20, output: 6 },
  ],
])('%s', (_name, change, kind, expected) => {
  const end = decideEnd({ ...base, ...change })
  if (end.kind === 'void') {
    expect([kind, expected]).toEqual(['void', end.reason])
  } else {
    expect(end.source).toBe(kind)
    expect(end.usage.tokens).toEqual(expected)
  }
})

test('characters that were sent are certain too, where nothing was answered', () => {
  const sent = { ...base, certainUnits: { characters: 40 }, answered: false }
  const usage = { tokens: { input: 10, output: 0 }, units: { characters: 40 }, raw: null }
  for (const facts of [
    { ...sent, ending: 'no_answer', onNoAnswer: 'floor' },
    { ...sent, ending: 'client_gone' },
  ] as const)
    expect(decideEnd(facts)).toEqual({ kind: 'settle', source: 'estimate', usage })
  expect(decideEnd({ ...sent, ending: 'no_answer' })).toEqual({ kind: 'void', reason: 'no_answer' })
})
