import { expect, test } from 'vitest'
import { boundedRaw } from '../../../src/core/usage-fields.ts'

test.each([
  [
    'it is as it came, counts of zero too',
    {
      prompt_tokens: 192,
      completion_tokens: 0,
      prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
    },
    {
      prompt_tokens: 192,
      completion_tokens: 0,
      prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
    },
  ],
  [
    'what is no count of zero stays as the provider said it',
    { input_tokens: 0, service_tier: 'standard', list: [0, { a: 0 }], none: null, part: { b: false, c: '0', d: null } },
    { input_tokens: 0, service_tier: 'standard', list: [0, { a: 0 }], none: null, part: { b: false, c: '0', d: null } },
  ],
  ['one beyond 4 KiB says how long it was', { text: 'x'.repeat(5000) }, { truncated: true, bytes: 5011 }],
  ['no usage is none', null, undefined],
])('the usage that the ledger keeps: %s', (_name, raw, kept) => {
  expect(boundedRaw(raw)).toEqual(kept)
})
