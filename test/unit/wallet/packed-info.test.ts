import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeEntry } from '../../../src/wallet/ledger-entry.ts'
import { packInfo, unpackInfo } from '../../../src/wallet/packed-info.ts'

const USAGE = {
  prompt_tokens: 192,
  completion_tokens: 160,
  total_tokens: 352,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
}
const SETTLED = {
  key: 'ci-bot',
  upstream: 'openai',
  model: 'gpt-5-mini',
  endpoint: 'chat',
  provider_request_id: 'chatcmpl-BxW3kq0Zr1dPnVtL8mYc2sGhJ4eUa',
  tokens: { input: 192, output: 160 },
  usage_source: 'provider',
  usage: USAGE,
  price_version: '2026-01-01',
  cost: '0.000368',
  cost_unit: 'USD',
  status: 200,
  duration_ms: 900,
  ttfb_ms: 300,
}

// These bytes are in ledgers: a reader of any later version has to know them.
test.each([
  [
    'a settle entry of OpenAI',
    SETTLED,
    '\u0001\u0002"ci-bot"\u001c \u0004"gpt-5-mini"\u001c#\u000b"chatcmpl-BxW3kq0Zr1dPnVtL8mYc2sGhJ4eUa"\u000e{\u000f192\u0010160}\u0011\u0012{\u0013192\u0014160\u0015352\u001cP{\u001cW\u001cY}\u001cQ{\u001cc\u001cY\u001ce\u001cg}}\u0016"2026-01-01"\u0017"0.000368"\u0018\u0019\u001a900\u001b300}',
  ],
  [
    'other values of members that mostly have one',
    { usage_source: 'tokenizer', cost_unit: 'EUR', status: 2000, upstream: 'eu', cached_tokens: 64 },
    '\u0001\u001c2"tokenizer"\u001c6"EUR"\u001c=2000\u0003"eu"\u001cV64}',
  ],
  ['the last name of each list', { ttfb_ms: 1, billed_units: [{ run: 'r' }] }, '\u0001\u001b1\u001dI[{\u0006"r"}]}'],
  ['names that are not ours alone', { reason: 'never_sent' }, '{"reason":"never_sent"}'],
  ['nothing', {}, '{}'],
])('what is packed: %s', (_name, info, packed) => {
  const json = JSON.stringify(info)
  expect(packInfo(json)).toBe(packed)
  expect(unpackInfo(packed)).toBe(json)
})

test('no code ever comes to stand for another name', () => {
  const singles = Array.from({ length: 28 }, (_, code) => code).filter(
    (code) => code > 1 && ![9, 10, 13].includes(code),
  )
  const pairs = Array.from({ length: 137 }, (_, i) => [0x1c + Math.floor(i / 95), 0x20 + (i % 95)])
  const names = unpackInfo(
    `\u0001${[...singles.map((code) => [code]), ...pairs].map((code) => String.fromCharCode(...code)).join('')}`,
  )
  expect([names.slice(0, 17), names.slice(-16)]).toEqual(['{"key":,"upstream', ',"billed_units":'])
  expect(hash('sha256', names)).toBe('41f96aef441ec8401e2b98b6afbab8d0deb6e766d2bac404cb32fd9305e620f5')
})

test('what a call says is packed to a third, and an entry shows its usage word for word', () => {
  const json = JSON.stringify(SETTLED)
  expect(packInfo(json).length).toBeLessThan(json.length / 3)
  expect(decodeEntry(7, 'settle|1000|op||USD|9||5,0|hold=1', packInfo(json)).fields).toEqual({
    ...decodeEntry(7, 'settle|1000|op||USD|9||5,0|hold=1', json).fields,
    usage: USAGE,
  })
})

test('JSON of any names and values is the same after it was packed and unpacked, to the byte', () => {
  const names = ['key', 'usage', 'usage_source', 'status', 'cached_tokens', 'prompt_tokens', 'billed_units', 'own', '']
  const name = fc.oneof(fc.constantFrom(...names), fc.string(), fc.constantFrom('a","key', '{"key', '\\"key', '\u0001'))
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('provider', 'USD', ',"key":"x"', '{"usage":0}', '\u0002\u001c ', '"', '\\', 'a{', '{'),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, text, fc.constantFrom(0, 200, 20, null, true), tie('list'), tie('object')),
    list: fc.array(tie('value'), { maxLength: 4 }),
    object: fc.dictionary(name, tie('value'), { maxKeys: 6 }),
  }))
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 8 }), (info) => {
      const json = JSON.stringify(info)
      expect(unpackInfo(packInfo(json))).toBe(json)
    }),
    { numRuns: 2000 },
  )
})

test('JSON with white space that an older gateway or a script wrote is read as it is', () => {
  for (const json of ['', '{}', '{ "key": "a",\n\t"usage": {} }', '{"scale":9,"funding":"invoiced"}']) {
    expect(unpackInfo(json)).toBe(json)
    expect(unpackInfo(packInfo(json))).toBe(json)
  }
})

test('a name that only a later version knows is an error that says what to do', () => {
  expect(() => unpackInfo('\u0001\u001f~1}')).toThrow(/"\\u001f~".*update/)
})
